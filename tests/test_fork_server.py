"""Processes that are forked are as fresh as those that are started, and nothing of them stays behind."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from reviewer.errors import InterpreterError
from reviewer.host.guardian import Guardian
from reviewer.rehearsal.fork_server import Fork, ForkServer
from reviewer.rehearsal.interpreter import Answer, RunnerProcess, Setup
from reviewer.rehearsal.protocol import Offline
from tests.command import before_long, project, revision
from tests.repository import write

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere each process is started"),
]

DAEMON = """
if os.fork() == 0:
    os.setsid()
    pid = os.fork()
    if pid == 0:
        import time
        time.sleep(600)
    with open({file!r}, "a") as file:
        file.write(str(pid) + " ")
    os._exit(0)
os.wait()
"""


@pytest.fixture(scope="module")
def guardian() -> Iterator[Guardian]:
    with Guardian() as guardian:
        yield guardian


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def forks(guardian: Guardian, folder: Path) -> Iterator[ForkServer]:
    with ForkServer((sys.executable,), environ(), folder, guardian) as server:
        yield server


def environ(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **more}


def started(server: ForkServer, place: Path, guardian: Guardian) -> RunnerProcess:
    setup = Setup(place, place / "alembic.ini")
    return server.start((sys.executable,), setup, environ(), place, guardian)


def render(process: RunnerProcess) -> Answer:
    return process.run(Offline(revisions=("b",)), time.monotonic() + 60)


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def noted(file: Path) -> list[int]:
    return [int(each) for each in file.read_text().split()] if file.exists() else []


def test_each_fork_knows_nothing_of_what_ran_before_and_works_in_its_own_folder(
    forks: ForkServer, guardian: Guardian, tmp_path: Path
) -> None:
    body = 'import sys\nassert "of_mine" not in sys.modules\nimport of_mine\nop.execute(of_mine.TEXT)'
    said = []
    for name in ("one", "two"):
        place = project(tmp_path / name, revision("b", "a", body), ini="prepend_sys_path = .\n")
        write(place, {"of_mine.py": f"TEXT = 'SELECT {name}'\n"})
        with started(forks, place, guardian) as process:
            process.hello()
            assert isinstance(process._process, Fork)
            said.append(str(render(process).events))

    assert "SELECT one" in said[0]
    assert "SELECT two" in said[1]


def test_what_a_fork_leaves_behind_ends_with_it_and_another_fork_goes_on(
    forks: ForkServer, guardian: Guardian, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    place = project(tmp_path / "project", revision("b", "a", DAEMON.format(file=str(file))))

    with started(forks, place, guardian) as other:
        other.hello()
        render(other)
        with started(forks, place, guardian) as process:
            process.hello()
            render(process)
            assert before_long(lambda: len(noted(file)) == 2)
        assert [alive(pid) for pid in noted(file)] == [True, False]
        assert render(other).ok
    assert not any(map(alive, noted(file)))


@pytest.mark.parametrize(
    ("body", "status"), [("os._exit(7)", 7), ("import signal\nos.kill(os.getpid(), signal.SIGABRT)", -6)]
)
def test_how_a_fork_ends_is_told(
    body: str, status: int, forks: ForkServer, guardian: Guardian, tmp_path: Path
) -> None:
    with started(forks, project(tmp_path, revision("b", "a", body)), guardian) as process:
        process.hello()

        assert render(process).exit_status == status


def test_what_a_fork_prints_is_its_own(forks: ForkServer, guardian: Guardian, tmp_path: Path) -> None:
    body = 'print("out of b")\nos.write(2, b"and straight\\n")\nimport sys\nsys.stdout.flush()\nos._exit(3)'
    with started(forks, project(tmp_path, revision("b", "a", body)), guardian) as process:
        process.hello()
        render(process)

        assert {*process.output.splitlines()} == {"out of b", "and straight"}


STREAMS = """
import sys
for each in (sys.stdin, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
    facts = each.encoding, each.errors, each.line_buffering, each.seekable(), each.isatty(), type(each.buffer).__name__
    print(each.fileno(), *facts)
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize("variables", [{}, {"PYTHONUNBUFFERED": "1"}])
def test_the_streams_of_a_fork_are_those_of_a_process_that_was_started(
    variables: dict[str, str], guardian: Guardian, tmp_path: Path
) -> None:
    place = project(tmp_path, revision("b", "a", STREAMS))
    given, setup, told = environ(**variables), Setup(place, place / "alembic.ini"), []
    with ForkServer((sys.executable,), given, tmp_path, guardian) as server:
        for start in (server.start, RunnerProcess):
            with start((sys.executable,), setup, given, place, guardian) as process:
                process.hello()
                render(process)
                told.append(process.output)

    assert told[0] == told[1]
    assert [each.split()[4] for each in told[0].splitlines()] == ["True", *["False"] * 4]


def test_a_server_that_was_killed_takes_its_forks_along_and_processes_are_started_then(
    guardian: Guardian, tmp_path: Path
) -> None:
    place = project(tmp_path, revision("b", "a", "os.kill(os.getppid(), 9)\nimport time\ntime.sleep(60)"))
    with ForkServer((sys.executable,), environ(), tmp_path, guardian) as server:
        with started(server, place, guardian) as process:
            process.hello()
            pid = process._process.pid
            assert render(process).exit_status == -signal.SIGKILL
        assert before_long(lambda: not alive(pid))
        write(place, {"migrations/versions/r1.py": revision("b", "a", "op.execute('SELECT 1')")})
        with started(server, place, guardian) as process:
            process.hello()

            assert render(process).ok
            assert not isinstance(process._process, Fork)


def test_where_the_interpreter_has_threads_of_its_own_processes_are_started(
    guardian: Guardian, tmp_path: Path
) -> None:
    site = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    write(tmp_path / "site", {"sitecustomize.py": site})
    place = project(tmp_path / "project", revision("b", "a", "op.execute('SELECT 1')"))
    variables = environ(PYTHONPATH=str(tmp_path / "site"))
    with ForkServer((sys.executable,), variables, tmp_path, guardian) as server:
        setup = Setup(place, place / "alembic.ini")
        with server.start((sys.executable,), setup, variables, place, guardian) as process:
            process.hello()

            assert render(process).ok
            assert not isinstance(process._process, Fork)


def test_an_interpreter_without_alembic_is_named(guardian: Guardian, tmp_path: Path) -> None:
    command = (sys.executable, "-I", "-S")
    with ForkServer(command, environ(), tmp_path, guardian) as server:
        setup = Setup(tmp_path, tmp_path / "alembic.ini")
        with (
            server.start(command, setup, environ(), tmp_path, guardian) as process,
            pytest.raises(InterpreterError, match="has no Alembic"),
        ):
            process.hello()


def test_the_driver_that_is_named_is_imported_once_for_all_forks(guardian: Guardian, tmp_path: Path) -> None:
    body = "import sys\nop.execute(\"SELECT '%s'\" % [each for each in ('psycopg2', 'asyncpg') if each in sys.modules])"
    place = project(tmp_path, revision("b", "a", body))
    with (
        ForkServer((sys.executable,), environ(), tmp_path, guardian, "psycopg2") as server,
        started(server, place, guardian) as process,
    ):
        process.hello()

        assert "['psycopg2']" in str(render(process).events).replace("\\", "")


def test_a_driver_of_the_project_itself_is_left_to_each_fork(guardian: Guardian, tmp_path: Path) -> None:
    place = project(tmp_path / "project", revision("b", "a", "import psycopg2\nop.execute(psycopg2.TEXT)"))
    write(
        tmp_path / "vendored",
        {
            "psycopg2/__init__.py": f"import os\nopen({str(tmp_path / 'told')!r}, 'a').write(f'{{os.getpid()}} ')\nTEXT = 'SELECT 1'\n"
        },
    )
    variables = environ(PYTHONPATH=str(tmp_path / "vendored"))
    with ForkServer((sys.executable,), variables, tmp_path, guardian, "psycopg2") as server:
        setup = Setup(place, place / "alembic.ini")
        with server.start((sys.executable,), setup, variables, place, guardian) as process:
            pid = process.hello().pid
            render(process)

    assert noted(tmp_path / "told") in ([pid], [])
