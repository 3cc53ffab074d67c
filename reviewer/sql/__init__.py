"""Reading PostgreSQL's DDL from its tokens. Used by `reviewer.parse` only."""
