"""What every test relies on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests import cases, examples, rehearsals

# A shell that starts the tests in the background, or `nohup`, has them ignored, and every process that a test starts
# would ignore them too: tests that interrupt a reviewer would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def bench() -> Iterator[examples.Bench]:
    """Rehearses stories, on the server that a review finds by itself."""
    from tests import examples

    with examples.bench() as running:
        yield running


@pytest.fixture(scope="session")
def bench_of() -> Iterator[Callable[[int], examples.Bench]]:
    """Rehearses stories on a server of the major version that is asked for."""
    from tests import conformance

    with conformance.benches() as found:
        yield found


@pytest.fixture(scope="session")
def case_bench() -> Iterator[cases.Bench]:
    """Reviews cases, each a project of its own."""
    from tests import cases

    with cases.bench() as running:
        yield running


@pytest.fixture(scope="session")
def rehearsal_bench() -> Iterator[rehearsals.Rehearsals]:
    """Rehearses small projects in processes of their own."""
    from tests import rehearsals

    with rehearsals.rehearsals() as running:
        yield running
