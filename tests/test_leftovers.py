"""Nothing is left behind: no process, no file in the temporary folder, none in the cache but the archive, none in the
project. However the review ends, and whatever a migration does to the processes around it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Place, before_long, files_in, mentioning, project, revision, somewhere, told

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are counted in /proc")

# Tells that it is there, with its parents still alive, and waits to be ended.
WAITS = """
import pathlib, time
pathlib.Path(os.environ["HERE"]).write_text(str(os.getpid()))
time.sleep(600)
"""

# A daemon as daemons are made: a session of its own, its parent gone. Tells its number first.
DAEMON = """
import pathlib, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    pathlib.Path(os.environ["DAEMON"]).write_text(str(os.getpid()))
    time.sleep(600)
while not (os.path.exists(os.environ["DAEMON"]) and open(os.environ["DAEMON"]).read()):
    time.sleep(0.01)
"""


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as place:
        yield place
        for pid, _ in mentioning(str(place.folder)):
            os.kill(pid, signal.SIGKILL)


def settings(folder: Path) -> list[str]:
    """Where the migrations write down that they are there."""
    return [f"--env={name}={folder / name.lower()}" for name in ("HERE", "DAEMON")]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def number_in(file: Path) -> int:
    """The number that a process has written there, once it has."""
    assert before_long(lambda: file.exists() and bool(file.read_text()))
    return int(file.read_text())


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        pytest.param("pass", {0}, id="a good run"),
        pytest.param('op.execute("SELECT wrong")', {1}, id="a failing run"),
        pytest.param('raise RuntimeError("no")', {1}, id="a revision that raises"),
        pytest.param("import sys\nsys.exit(3)", {1, 3}, id="a revision that exits"),
        pytest.param("os.kill(os.getpid(), 9)", {1, 3}, id="a runner killed by its migration"),
        pytest.param("os.abort()", {1, 3}, id="a runner aborted by its migration"),
        pytest.param(DAEMON, {0, 1}, id="a daemon"),
        pytest.param(f"{DAEMON}\nraise RuntimeError('no')", {1}, id="a daemon of a revision that fails"),
        pytest.param(f"{DAEMON}\nos.kill(os.getpid(), 9)", {1, 3}, id="a daemon of a runner that is killed"),
        pytest.param(
            "import subprocess, sys\n"
            "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', os.environ['TMPDIR']],\n"
            "                 start_new_session=True, close_fds=False)",
            {0},
            id="a child in a session of its own",
        ),
        pytest.param(
            'op.execute("SELECT pg_terminate_backend(pg_backend_pid())")', {1}, id="its own backend ended"
        ),
        pytest.param(
            "open(os.environ['TMPDIR'] + '/alembic-reviewer-mine', 'w').close()\n"
            "os.unlink(os.environ['TMPDIR'] + '/alembic-reviewer-mine')",
            {0},
            id="temporary files",
        ),
    ],
)
def test_leaves_nothing_when_it_ends_by_itself(body: str, statuses: set[int], place: Place, tmp_path: Path) -> None:
    folder = project(tmp_path / "project", revision("b", "a", body))
    before = files_in(folder)

    done = place.review(folder, "--revisions", "a:b", *settings(tmp_path))

    assert done.returncode in statuses, told(done)
    assert "Traceback" not in done.stderr
    # At once, not before long: who has ended has cleared up.
    assert place.left_behind() == []
    assert files_in(folder) == before


@pytest.mark.parametrize(
    ("number", "to_all", "status"),
    [
        pytest.param(signal.SIGINT, True, 130, id="Ctrl-C in a terminal, which reaches the whole group"),
        pytest.param(signal.SIGINT, False, 130, id="SIGINT to the reviewer alone"),
        pytest.param(signal.SIGTERM, False, 143, id="SIGTERM"),
        pytest.param(signal.SIGHUP, False, 129, id="the terminal is closed"),
        pytest.param(signal.SIGKILL, False, -9, id="kill -9"),
        pytest.param(signal.SIGKILL, True, -9, id="kill -9 of the whole group"),
    ],
)
@pytest.mark.parametrize("body", [WAITS, DAEMON + WAITS], ids=["in a migration", "with a daemon"])
def test_leaves_nothing_when_it_is_ended(
    body: str, number: signal.Signals, to_all: bool, status: int, place: Place, tmp_path: Path
) -> None:
    folder = project(tmp_path / "project", revision("b", "a", body))
    before = files_in(folder)
    with started(place, folder, tmp_path) as reviewer:
        runner = number_in(tmp_path / "here")

        (os.killpg if to_all else os.kill)(reviewer.pid, number)
        stderr = reviewer.communicate(timeout=60)[1]

    assert reviewer.returncode == status, stderr
    assert "Traceback" not in stderr
    assert place.clean(), place.left_behind()
    assert not alive(runner)
    assert files_in(folder) == before


def test_leaves_nothing_when_several_rehearsals_at_once_are_interrupted(place: Place, tmp_path: Path) -> None:
    """The last of them waits, the first has long ended."""
    names = "bcdefg"
    revisions = (revision(n, b, WAITS if n == "g" else "pass") for b, n in zip("a" + names, names, strict=False))
    folder = project(tmp_path / "project", *revisions)
    with started(place, folder, tmp_path, "--revisions", "a:head", "--each", "--jobs", "2") as reviewer:
        runner = number_in(tmp_path / "here")

        os.kill(reviewer.pid, signal.SIGINT)
        stderr = reviewer.communicate(timeout=60)[1]

    assert reviewer.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert place.clean(), place.left_behind()
    assert not alive(runner)


def test_leaves_nothing_when_segments_are_interrupted(place: Place, tmp_path: Path) -> None:
    """The second lane waits, the first is in the middle of its work."""
    names = "bcdefghijklmnopqrstu"
    waits = "from alembic import context\nif context.get_revision_argument() == 'p':\n    " + WAITS.strip().replace(
        "\n", "\n    "
    )
    revisions = (revision(n, b, waits if n == "p" else "pass") for b, n in zip("a" + names, names, strict=False))
    folder = project(tmp_path / "project", *revisions)
    with started(place, folder, tmp_path, "--revisions", "a:head", "--jobs", "2") as reviewer:
        runner = number_in(tmp_path / "here")

        os.kill(reviewer.pid, signal.SIGINT)
        stderr = reviewer.communicate(timeout=60)[1]

    assert (reviewer.returncode, stderr.strip()) == (130, "alembic-reviewer: interrupted")
    assert place.clean(), place.left_behind()
    assert not alive(runner)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda n: n.name)
def test_leaves_nothing_when_the_migration_ends_its_parent(
    number: signal.Signals, place: Place, tmp_path: Path
) -> None:
    body = f"{DAEMON}\nos.kill(os.getppid(), {int(number)})\n{WAITS}"
    folder = project(tmp_path / "project", revision("b", "a", body))

    done = place.review(folder, "--revisions", "a:b", *settings(tmp_path))

    assert done.returncode in {-number, 128 + number}, told(done)
    assert "Traceback" not in done.stderr
    assert place.clean(), place.left_behind()


def test_leaves_nothing_when_it_is_killed_before_a_migration_runs(place: Place, tmp_path: Path) -> None:
    folder = project(tmp_path / "project", revision("b", "a"), env="import os\n" + WAITS)
    with started(place, folder, tmp_path) as reviewer:
        number_in(tmp_path / "here")

        reviewer.kill()
        reviewer.communicate(timeout=60)

    assert place.clean(), place.left_behind()


def test_leaves_nothing_when_its_time_runs_out(place: Place, tmp_path: Path) -> None:
    folder = project(tmp_path / "project", revision("b", "a", DAEMON + WAITS))

    done = place.review(folder, "--revisions", "a:b", "--timeout", "3", *settings(tmp_path))

    assert done.returncode in {1, 3}, told(done)  # 3: on a busy machine the time ends before the revision begins
    assert place.left_behind() == []


def started(place: Place, folder: Path, tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        place.command(*(options or ("--revisions", "a:b")), *settings(tmp_path)),
        cwd=folder,
        env=place.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
