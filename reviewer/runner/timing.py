"""How long each line of a revision takes, however many statements it sends.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Python >= 3.8. What we do ourselves around a statement is not in its time, nor is the time for which the statement was
ready to run and other work kept the processors busy: on a quiet machine it would not have waited.
"""

from __future__ import annotations

import os
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reviewer.runner.sources import Place


TEXTS = 8
"""A line that sends more different statements than that is a block, and its statements are taken together."""
LONGEST_SQL = 4000
"""Characters of a statement that are reported."""


class Moment:
    """A point in time, and for how long this thread and a process of the server had run by then, or waited to run."""

    def __init__(self, process: int | None, at: float | None = None) -> None:
        """`process`: that of the server, if it is known. `at`: when it was, if reading the rest comes after it."""
        self.process = process
        self.thread = threading.get_ident()
        told = scheduled("thread-self")
        # the kernel counts the present run of a thread only when it ends
        self.mine = (time.thread_time(), told[1]) if told is not None else None
        self.theirs = scheduled(process) if process is not None else None
        self.at = time.perf_counter() if at is None else at

    def until(self, later: Moment) -> tuple[float, float]:
        """Return the seconds until `later`, without those spent waiting for a processor, and those. One side may be
        woken up while the other still runs, and then counts as waiting: what is left is at least what both have run.
        """
        passed = max(later.at - self.at, 0.0)
        known = []
        if self.thread == later.thread and self.mine is not None and later.mine is not None:
            known.append((later.mine[0] - self.mine[0], later.mine[1] - self.mine[1]))
        if self.process == later.process and self.theirs is not None and later.theirs is not None:
            known.append((later.theirs[0] - self.theirs[0], later.theirs[1] - self.theirs[1]))
        ran = sum(max(each[0], 0.0) for each in known)
        waited = min(sum(max(each[1], 0.0) for each in known), max(passed - ran, 0.0))
        return passed - waited, waited


def scheduled(process: int | str) -> tuple[float, float] | None:
    """Return for how many seconds a process has run, and for how many it could have run and waited for a processor, as
    Linux counts them; None if that is not known.
    """
    try:
        file = os.open(f"/proc/{process}/schedstat", os.O_RDONLY)
        try:
            ran, waited = os.read(file, 100).split()[:2]
        finally:
            os.close(file)
        return int(ran) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return None


def is_a_server(process: int) -> bool:
    """Return whether that process is one of PostgreSQL's on this machine. The server may run on another machine or in
    a container, and the number then belongs to another process here, or to none.
    """
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read(9) == b"postgres:"
    except OSError:
        return False


class Timing:
    """The times of one revision in one direction."""

    def __init__(self) -> None:
        self.entries: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.texts: dict[Place, int] = {}
        self.blocks: dict[Place, dict[str, Any]] = {}
        self.current: dict[str, Any] | None = None
        self.left = Moment(None)

    def begin(self, place: Place, sql: str, entered: float) -> None:
        """A statement is about to be sent; `entered`: when the project asked for it."""
        between, waited = self.left.until(Moment(self.left.process, entered))
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
                "waited": 0.0,
                "block": False,
            }
            self.texts[place] = self.texts.get(place, 0) + 1
            if self.texts[place] > TEXTS:
                entry = self.together(place)
            else:
                self.entries[place, sql] = entry
        entry["count"] += 1
        entry["between"] += between
        entry["waited"] += waited
        self.current = entry

    def together(self, place: Place) -> dict[str, Any]:
        """What the statements of `place` have taken so far, as one."""
        keys = [key for key in self.entries if key[0] == place]
        first = self.entries[keys[0]]
        for key in keys[1:]:
            other = self.entries.pop(key)
            for name in ("count", "seconds", "between", "waited"):
                first[name] += other[name]
        first["block"] = True
        self.blocks[place] = first
        return first

    def end(self, began: Moment, ended: float) -> None:
        """It ran from `began` to `ended`, and the project continues."""
        if self.current is not None:
            seconds, waited = began.until(Moment(began.process, ended))
            self.current["seconds"] += seconds
            self.current["waited"] += waited
        self.left = Moment(began.process)

    def told(self) -> list[dict[str, Any]]:
        """Everything, when the revision's own code has ended: what came after the last statement belongs to that one."""
        if self.current is not None:
            between, waited = self.left.until(Moment(self.left.process, time.perf_counter()))
            self.current["between"] += between
            self.current["waited"] += waited
        return list(self.entries.values())
