"""Where people read on: the product's own pages."""

from __future__ import annotations

from pathlib import Path

HOME = "https://github.com/alembic-reviewer/alembic-reviewer"
"""The repository of the product."""

_RULES = Path(__file__).parent.parent.parent / "checks"


def of_rule(rule: str) -> str | None:
    """The address of the page that explains a rule; None for one that is not ours, as of a check of a project's own."""
    name = rule.replace("-", "_")
    known = name.isidentifier() and (_RULES / f"{name}.py").is_file()
    return f"{HOME}/blob/main/docs/checks/{rule}.md" if known else None
