"""How the project names its revision files: `file_template` and `truncate_slug_length`, as Alembic reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from reviewer.project.discovery import Tree, options_of

USUAL = "%(rev)s_%(slug)s"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Naming:
    """The settings of one tree."""

    template: str = USUAL
    longest: int = 40
    """Most characters of the slug."""

    @classmethod
    def of(cls, tree: Tree) -> Naming:
        """As the tree's configuration says."""
        options = options_of(tree)
        longest = options.text("truncate_slug_length") or ""
        return cls(options.text("file_template") or USUAL, int(longest) if longest.isdigit() else 40)

    def file_name(self, revision: str, message: str, now: datetime) -> str:
        """The name of the file of a revision; with folders where the template has some."""
        slug = "_".join(_WORD.findall(message)).lower()
        if len(slug) > self.longest:
            slug = slug[: self.longest].rsplit("_", 1)[0] + "_"
        values = {
            "rev": revision,
            "slug": slug,
            "epoch": int(now.timestamp()),
            **{part: getattr(now, part) for part in ("year", "month", "day", "hour", "minute", "second")},
        }
        try:
            return f"{self.template % values}.py"
        except (KeyError, TypeError, ValueError):
            return f"{USUAL % values}.py"
