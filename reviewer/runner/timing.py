"""How long each line of a revision takes, however many statements it sends.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Python >= 3.8. What we do ourselves around a statement is not in its time.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reviewer.runner.sources import Place


TEXTS = 8
"""A line that sends more different statements than that is a block, and its statements are taken together."""
LONGEST_SQL = 4000
"""Characters of a statement that are reported."""


class Timing:
    """The times of one revision in one direction."""

    def __init__(self) -> None:
        self.entries: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.texts: dict[Place, int] = {}
        self.blocks: dict[Place, dict[str, Any]] = {}
        self.current: dict[str, Any] | None = None
        self.left = time.perf_counter()

    def begin(self, place: Place, sql: str, entered: float) -> None:
        """A statement is about to be sent; `entered`: when the project asked for it."""
        entry = self.blocks.get(place)
        if entry is None:
            entry = self.entries.get((place, sql))
        if entry is None:
            path, line, origin = place
            entry = {
                "path": path,
                "line": line,
                "origin": origin,
                "sql": sql[:LONGEST_SQL],
                "count": 0,
                "seconds": 0.0,
                "between": 0.0,
                "block": False,
            }
            self.texts[place] = self.texts.get(place, 0) + 1
            if self.texts[place] > TEXTS:
                entry = self.together(place)
            else:
                self.entries[place, sql] = entry
        entry["count"] += 1
        entry["between"] += max(entered - self.left, 0.0)
        self.current = entry

    def together(self, place: Place) -> dict[str, Any]:
        """What the statements of `place` have taken so far, as one."""
        keys = [key for key in self.entries if key[0] == place]
        first = self.entries[keys[0]]
        for key in keys[1:]:
            other = self.entries.pop(key)
            for name in ("count", "seconds", "between"):
                first[name] += other[name]
        first["block"] = True
        self.blocks[place] = first
        return first

    def end(self, seconds: float) -> None:
        """It took so long."""
        if self.current is not None:
            self.current["seconds"] += seconds

    def leave(self) -> None:
        """The project continues."""
        self.left = time.perf_counter()

    def told(self) -> list[dict[str, Any]]:
        """Everything, when the revision's own code has ended: what came after the last statement belongs to that one."""
        if self.current is not None:
            self.current["between"] += max(time.perf_counter() - self.left, 0.0)
        return list(self.entries.values())
