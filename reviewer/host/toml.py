"""TOML files: the standard library's reader, or its backport on Python 3.10."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def loads(content: bytes) -> dict[str, Any]:
    """What a TOML file says. Raises `ValueError` if it is not UTF-8 or not TOML."""
    # By name, because a type checker looks for both modules and only one of them is installed.
    module = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    found: dict[str, Any] = module.loads(content.decode("utf-8-sig"))
    return found
