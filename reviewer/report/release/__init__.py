"""A release in every format, one pure function each."""
