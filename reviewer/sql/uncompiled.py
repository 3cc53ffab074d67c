"""Imports sqlglot from its Python source even if its compiled modules (`sqlglot[c]`) are installed.

A dialect extends sqlglot by subclassing its parser, which the compiled one rejects ("interpreted classes cannot
inherit from compiled"); upstream keeps it so for speed. The extra lays its modules over the source, which stays.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType


class Source:
    """Finds the source of sqlglot's modules where the import system would prefer the compiled ones."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] != "sqlglot":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None or not isinstance(spec.loader, ExtensionFileLoader):
            return spec
        source = Path(spec.origin).with_name(name.rpartition(".")[2] + ".py")
        return spec_from_file_location(name, source) if source.is_file() else spec


def install() -> None:
    """From now on sqlglot is imported from source.

    Raises:
        ImportError: compiled modules of sqlglot are already imported.
    """
    core = sys.modules.get("sqlglot.tokenizer_core")
    if core is not None and not str(core.__file__).endswith(".py"):
        raise ImportError(
            "sqlglot was imported in its compiled form (sqlglot[c]), which no dialect can extend:"
            " import reviewer.sql.parse before sqlglot, or uninstall sqlglotc"
        )
    if Source not in sys.meta_path:
        sys.meta_path.insert(0, Source)
