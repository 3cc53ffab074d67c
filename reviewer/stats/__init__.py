"""Production as a file: `server` reads it from a running PostgreSQL, `views` has the types of the file, `file` reads and
writes it, `sizes` answers what a review asks, `drift` compares its schema with another.
"""
