"""Production as a file: `server` reads it from a running PostgreSQL, `views` has the types of the file, `file` reads and
writes it, `sizes` answers what a review asks, `drift` compares its schema with another.
"""

from __future__ import annotations

SMALL_TABLE = 10_000
"""Rows up to which a table is small, unless the configuration says otherwise."""
