"""alembic-reviewer: a migration safety reviewer for Alembic on PostgreSQL."""

__version__ = "0.1.0"
