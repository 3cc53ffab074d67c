"""How long revisions sleep, after which statement and in which line.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Python >= 3.8.

    events:     slept {n, path, line, seconds}
"""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from reviewer.runner.channel import Channel
    from reviewer.runner.sources import Sources

MOST = 100
"""Of each command, so many are reported: a loop may sleep again and again."""


class Pauses:
    """Takes the place of `time.sleep`."""

    def __init__(self, channel: Channel, sources: Sources, count: Callable[[], int]) -> None:
        self.channel = channel
        self.sources = sources
        self.count = count
        """The number of the last statement that was sent."""
        self.told = 0

    def install(self) -> None:
        original = time.sleep

        def sleep(*args: Any) -> None:
            began = time.perf_counter()
            try:
                original(*args)
            finally:
                self.slept(time.perf_counter() - began, sys._getframe(1))

        sleep.__doc__ = original.__doc__
        changed: Any = time
        changed.sleep = sleep

    def slept(self, seconds: float, frame: Any) -> None:
        if self.told >= MOST:
            return
        path, line, origin = self.sources.location(frame)
        if origin == "revision":
            self.told += 1
            self.channel.emit(event="slept", n=self.count(), path=path, line=line, seconds=seconds)
