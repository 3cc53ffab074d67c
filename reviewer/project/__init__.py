"""What is under review, read from source and git without running it."""
