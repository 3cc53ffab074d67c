"""`python -m reviewer`: the same start as `alembic-reviewer`."""

from __future__ import annotations

from alembic_reviewer import main

if __name__ == "__main__":
    main()
