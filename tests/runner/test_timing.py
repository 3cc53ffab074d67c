"""For how long something ran, and for how long it only waited for a processor."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from reviewer.runner.timing import Moment, is_a_server, scheduled
from tests.rehearsals import Rehearsals

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")


def _moment(
    at: float, mine: tuple[float, float] | None, theirs: tuple[float, float] | None, thread: int = 1
) -> Moment:
    made = Moment(None, at)
    made.process, made.thread, made.mine, made.theirs = 7, thread, mine, theirs
    return made


def _span(began: Moment, ended: Moment) -> tuple[float, float]:
    seconds, waited = began.until(ended)
    return round(seconds, 6), round(waited, 6)


def test_waiting_for_a_processor_does_not_count() -> None:
    assert _span(_moment(10, (1, 1), (2, 2)), _moment(14, (1.5, 1.25), (3, 3))) == (2.75, 1.25)


def test_no_less_is_left_than_both_sides_have_run() -> None:
    """One of two that take turns is woken up while the other one still runs."""
    assert _span(_moment(10, (0, 0), (0, 0)), _moment(14, (1, 3), (2, 3))) == (3, 1)


def test_what_nobody_tells_counts_as_it_passed() -> None:
    assert _span(_moment(10, None, None), _moment(14, None, None)) == (4, 0)
    assert _span(_moment(10, (0, 0), (0, 0)), _moment(14, (1, 1), None)) == (3, 1)


def test_times_of_another_thread_are_not_compared() -> None:
    assert _span(_moment(10, (0, 0), None), _moment(14, (9, 3), None, thread=2)) == (4, 0)


def test_a_clock_that_goes_back_is_no_time() -> None:
    assert _span(_moment(14, (1, 1), (1, 1)), _moment(10, (0, 0), (0, 0))) == (0, 0)


@linux
def test_a_process_that_works_has_run() -> None:
    before, began = scheduled(os.getpid()), Moment(None)
    assert before is not None
    while time.thread_time() - (began.mine or (0.0,))[0] < 0.02:
        pass
    seconds, waited = began.until(Moment(None))
    assert seconds >= 0.02
    assert waited >= 0


def test_a_process_that_does_not_exist_tells_nothing() -> None:
    assert scheduled(2**22 + 1) is None
    assert not is_a_server(2**22 + 1)


@linux
def test_only_a_process_of_postgresql_is_taken_for_the_server(rehearsal_bench: Rehearsals) -> None:
    database = rehearsal_bench.server.create_database("timing")
    with rehearsal_bench.server.connect(database) as connection:
        assert is_a_server(connection.info.backend_pid)
    rehearsal_bench.server.drop_database(database)
    assert not is_a_server(os.getpid())


@linux
def test_each_thread_has_times_of_its_own() -> None:
    found: list[Moment] = []
    other = threading.Thread(target=lambda: found.append(Moment(None)))
    other.start()
    other.join()
    assert found[0].thread != Moment(None).thread
