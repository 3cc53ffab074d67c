"""Reads what is under review from source and git, without running it."""
