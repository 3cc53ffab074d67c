"""The list of base states that are kept between reviews."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from reviewer.report import inert
from reviewer.report.digest import number


class Kept(Protocol):
    """A base state that is kept."""

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        ...

    @property
    def used(self) -> float:
        """When it was used last, in seconds since 1970."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """What is known of it."""
        ...


def render(folder: Path, found: Sequence[Kept]) -> str:
    """The base states in `folder`, one a line, the last used first, and what they take together."""
    lines = [_line(each) for each in found]
    total = (
        f"{len(found)} base state{'' if len(found) == 1 else 's'}, {megabytes(sum(each.size for each in found))}"
    )
    return "\n".join([*lines, f"{total} in {inert.name(str(folder))}"])


def megabytes(size: int) -> str:
    """`37.1 MB`."""
    return f"{size / (1 << 20):.1f} MB"


def _line(each: Kept) -> str:
    about = each.about
    heads = ", ".join(inert.name(str(head)) for head in about.get("heads", ()))
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.used))
    project = inert.name(str(about.get("project", "")))
    count = number(len(about.get("revisions", ())), "revision")
    rows = ", with rows" if "rows" in about else ""
    return f"{used}  {megabytes(each.size):>9}  {count:>15} up to {heads}{rows}  {project}"
