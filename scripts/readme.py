"""The README as the package index shows it: its links to files of the repository lead there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)(?=[^)\s]+\))")


class Readme(MetadataHookInterface):
    """Called by hatchling when it builds a package."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the README to the package's metadata."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        shown = LINK.sub(f"{metadata['urls']['Source']}/blob/main/", text)
        metadata["readme"] = {"content-type": "text/markdown", "text": shown}
