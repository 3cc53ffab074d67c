"""Projects and the work in them."""
