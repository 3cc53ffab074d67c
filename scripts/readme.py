"""The README as the package index shows it: its links to files of the repository lead there, and pictures come from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"(?<=\]\()(?!https?:)(?=[^)\s]+\.png\))")
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)(?=[^)\s]+\))")


class Readme(MetadataHookInterface):
    """Called by hatchling when it builds a package."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the README to the package's metadata."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        source = metadata["urls"]["Source"]
        shown = LINK.sub(f"{source}/blob/main/", PICTURE.sub(f"{source}/raw/main/", text))
        metadata["readme"] = {"content-type": "text/markdown", "text": shown}
