"""What every test relies on."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests import kinds

if TYPE_CHECKING:
    from tests import cases, examples, fixing, rehearsals

# No test asserts a time.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")

# A shell that starts the tests in the background, or `nohup`, has them ignored, and every process that a test starts
# would ignore them too: tests that interrupt a reviewer would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config: pytest.Config) -> None:
    """What the tests keep is their own: nothing of it goes to the user's cache, and no base state is kept, so that no
    history is taken from an earlier test. Whoever tests that gives a cache of their own.
    """
    if hasattr(config, "workerinput"):
        return  # it has the environment of the process that has started it
    from tests.command import lend_archives

    folder = Path(tempfile.mkdtemp(prefix="alembic-reviewer-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    lend_archives(folder)
    (folder / "snapshots").touch()
    os.environ["ALEMBIC_REVIEWER_CACHE"] = str(folder)


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


@pytest.fixture(scope="session")
def fixing_bench() -> Iterator[fixing.Fixing]:
    """Fixes small projects, each in a process of its own."""
    from tests import fixing

    with fixing.fixing() as running:
        yield running


@pytest.fixture
def lent() -> Iterator[None]:
    """Gives reviews in this process their fork servers without starting an interpreter for each."""
    from tests import template

    with template.lent():
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what each test needs, keep together what shares something, and put long ones first."""
    found = []
    for item in items:
        for marker in kinds.needs(getattr(item, "fixturenames", ())):
            item.add_marker(marker)
        if item.get_closest_marker("server"):
            item.add_marker("processes")  # whoever starts a server starts a process
        pure = item.get_closest_marker("processes") is None
        together = item.get_closest_marker("xdist_group")
        group = together.args[0] if together else item.nodeid.partition("::")[0] if pure else item.nodeid
        if not together:
            item.add_marker(pytest.mark.xdist_group(group))
        found.append((group, pure))
    items[:] = [items[position] for position in kinds.ordered(found)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make sure that what belongs together stays together: without it each worker would rehearse every example anew."""
    if getattr(session.config.option, "loadgroup", False) and not all("@" in each.nodeid for each in session.items):
        raise pytest.UsageError("This pytest-xdist does not keep groups of tests together with this pytest.")
    gc.collect()
    gc.freeze()  # ten thousand tests stay to the end, and are looked through for garbage again and again


_running: list[pytest.Item] = []


def _audit(event: str, _arguments: tuple[object, ...]) -> None:
    if event not in {"subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"} or not _running:
        return
    # a fixture's server may have threads that outlive its test
    if threading.current_thread() is threading.main_thread():
        raise RuntimeError(f"{_running[-1].nodeid} starts a process: it needs @pytest.mark.processes")


sys.addaudithook(_audit)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Let no test start a process that would not be left out with those that do."""
    if item.get_closest_marker("processes") is None:
        _running.append(item)
    try:
        return (yield)
    finally:
        _running.clear()
