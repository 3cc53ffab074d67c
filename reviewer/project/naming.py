"""How the project names its revision files: `file_template` and `truncate_slug_length`, as Alembic reads them."""

from __future__ import annotations

import re
from datetime import datetime

from msgspec import Struct

from reviewer.project.discovery import Tree, options_of

USUAL = "%(rev)s_%(slug)s"
_WORD = re.compile(r"\w+")


class Naming(Struct, frozen=True):
    """The settings for file names of one migration tree."""

    template: str = USUAL
    longest: int = 40
    """The maximum length of the slug, in characters."""

    @classmethod
    def of(cls, tree: Tree) -> Naming:
        """Read the settings from the tree's configuration. Invalid lengths are replaced by the default, 40."""
        options = options_of(tree)
        longest = options.text("truncate_slug_length") or ""
        return cls(options.text("file_template") or USUAL, int(longest) if longest.isdigit() else 40)

    def file_name(self, revision: str, message: str, now: datetime) -> str:
        """Return the file name of a revision, including folders if the template has any.

        If the template cannot be formatted, the default one is used.
        """
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
