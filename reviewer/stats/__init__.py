"""Statistics of production in a file: `server` reads them from a running PostgreSQL, `views` has the types of the
file, `file` reads and writes it, `sizes` answers a review's questions, `drift` compares its schema with another.
"""

from __future__ import annotations

SMALL_TABLE = 10_000
"""The number of rows up to which a table is small, unless the configuration sets another."""
