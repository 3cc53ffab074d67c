"""Rehearsals that run side by side, each with a server, a folder and processes of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from reviewer.rehearsal.interpreter import RunnerProcess
from reviewer.rehearsal.kept_state import KeptStates
from reviewer.rehearsal.plan import Plan

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

T = TypeVar("T")

Start = Callable[[contextlib.ExitStack, KeptStates | None], "Future[RunningServer]"]
"""Starts another server, which ends with the stack, from a kept state if there is one."""


class Lanes(Struct, frozen=True):
    """How many rehearsals may run at the same time, and how each but the first gets its server."""

    number: int = 1
    start: Start | None = None

    def each(self, number: int) -> Lanes:
        """Return the lanes that each of `number` rehearsals may use if all of them run at the same time."""
        return replace(self, number=max(1, self.number // max(1, number)))

    def of(self, tasks: int) -> int:
        """Return how many of `tasks` rehearsals run at the same time."""
        return max(1, min(self.number, tasks)) if self.start is not None else 1

    @contextlib.contextmanager
    def further(self, kept: KeptStates | None, folder: Path) -> Iterator[tuple[Future[RunningServer], Path]]:
        """A server for a further lane, and a folder."""
        assert self.start is not None
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            yield self.start(stack, kept), folder


class Processes:
    """Starts processes of the project's interpreter, and ends all of them when it stops."""

    def __init__(self) -> None:
        self._started: list[RunnerProcess] = []
        self._stopped = False
        self._lock = threading.Lock()

    def of(self, plan: Plan) -> Plan:
        """Return `plan` with processes that it starts."""
        start = plan.runner

        def started(*arguments: Any) -> RunnerProcess:
            with self._lock:
                if self._stopped:
                    raise KeyboardInterrupt
                process = start(*arguments)
                self._started.append(process)
            return process

        return replace(plan, runner=started)

    def stop(self) -> None:
        """End every process that was started. A thread that asks for another one gets a `KeyboardInterrupt`."""
        with self._lock:
            self._stopped = True
        for each in self._started:
            each.close()


def divided(number: int, parts: int) -> list[range]:
    """Divide the first `number` positions into `parts` of the same length, as far as possible."""
    ends = [number * part // parts for part in range(parts + 1)]
    return [range(begin, end) for begin, end in pairwise(ends)]


def side_by_side(tasks: Sequence[Callable[[], T]], stop: Callable[[], None]) -> list[T]:
    """Run the first task here and the others in threads. Returns what they return, in the same order.

    Whatever ends the first one, such as an interrupt, or is raised by another ends all of them: `stop` makes those that
    still run end.
    """
    first, *others = tasks
    with ThreadPoolExecutor(max(1, len(others))) as pool:
        try:
            waiting = [pool.submit(task) for task in others]
            return [first(), *(each.result() for each in waiting)]
        except BaseException:
            stop()
            raise
