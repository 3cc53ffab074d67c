"""Paths as text that every format can represent: the name of a file need not be valid UTF-8."""

from __future__ import annotations

import re
from pathlib import Path

_ESCAPED = re.compile(r"\\u(dc[89a-f][0-9a-f])")


def shown(path: str) -> str:
    r"""`path` with what is not UTF-8 in it escaped: `b\udcff.py`. The runner does the same."""
    return path if path.isascii() else path.encode("utf-8", "backslashreplace").decode("utf-8")


def on_disk(root: Path, path: str) -> Path:
    """The file below `root` that is shown as `path`."""
    found = root / path
    if "\\udc" not in path or found.exists():
        return found
    return root / _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)), path)


def relative(path: Path, root: Path) -> str:
    """`path` as it is shown: relative to `root` with forward slashes, or unchanged if it is outside."""
    try:
        return Path(shown(str(path.resolve()))).relative_to(shown(str(root.resolve()))).as_posix()
    except ValueError:
        return shown(path.as_posix())
