"""Documents that can be asked."""
