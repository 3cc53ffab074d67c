"""The guardian, with real processes that are really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reviewer.host import guardian as guardian_module
from reviewer.host.guardian import Guardian, processes_on, start_time

pytestmark = pytest.mark.processes

PROGRAM = guardian_module.__file__

# A reviewer that registers what its arguments say, and then waits to be killed.
REVIEWER = """
import subprocess, sys
from pathlib import Path
from reviewer.host.guardian import Guardian
with Guardian() as guardian:
    folder = Path(sys.argv[1])
    guardian.folder(folder)
    leader = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.Popen(['sleep', '600']).wait()"],
        start_new_session=True,
    )
    guardian.group(leader.pid)
    on_it = subprocess.Popen(["tail", "-f", str(folder / "file")], start_new_session=True)
    print(leader.pid, on_it.pid, flush=True)
    sys.stdin.readline()
    if sys.argv[2] == "raise":
        raise SystemExit(7)
"""


def gone(condition: Callable[[], bool]) -> bool:
    """Whether `condition` comes true before the guardian itself would give up."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def ended(pid: int) -> bool:
    # A zombie has ended too: nobody may be there to collect it in a container.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").touch()
    return folder


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda s: s.name
)
def test_clears_up_when_the_reviewer_is_killed(how: signal.Signals, folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", REVIEWER, str(folder), "wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        leader, on_it = map(int, process.stdout.readline().split())

        process.send_signal(how)
        process.wait()

    assert gone(lambda: not folder.exists())
    assert gone(lambda: ended(leader))
    assert gone(lambda: ended(on_it))


def test_clears_up_before_the_reviewer_goes_on_when_an_exception_left_things(folder: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", REVIEWER, str(folder), "raise"],
        input="\n",
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 7
    assert not folder.exists()
    assert all(ended(int(pid)) for pid in process.stdout.split())


def test_leaves_alone_what_was_forgotten(folder: Path) -> None:
    with Guardian() as guardian:
        guardian.forget(guardian.folder(folder))

    assert folder.exists()


def test_removes_what_is_left_at_the_end(folder: Path) -> None:
    with Guardian() as guardian:
        guardian.folder(folder)

    assert not folder.exists()


def test_removes_a_file_and_survives_what_is_already_gone(tmp_path: Path, folder: Path) -> None:
    with Guardian() as guardian:
        guardian.folder(tmp_path / "never there")
        guardian.folder(folder / "file")

    assert not (folder / "file").exists()
    assert folder.exists()


def test_does_not_kill_a_younger_group_with_the_same_number() -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as younger:
        thing = subprocess.run(
            [sys.executable, "-I", "-S", PROGRAM],
            input=f'{{"watch": "{{\\"kind\\": \\"group\\", \\"pgid\\": {younger.pid}, \\"started\\": \\"1\\"}}"}}\n',
            text=True,
            check=False,
        )

        assert (thing.returncode, younger.poll()) == (0, None)
        younger.kill()


def test_goes_on_without_a_guardian_that_was_killed(folder: Path) -> None:
    # A guardian of the tests that ran before, whose session is still open, is none of ours.
    others = _children_running(PROGRAM)
    with Guardian() as guardian:
        first = guardian.folder(folder)
        (process,) = _children_running(PROGRAM) - others
        subprocess.run(["kill", "-9", str(process)], check=True)
        assert gone(lambda: ended(process))

        guardian.folder(folder / "file")
        guardian.forget(first)

    assert folder.exists()


def test_one_that_was_killed_is_replaced_by_one_that_knows_all(folder: Path, tmp_path: Path) -> None:
    others = _children_running(PROGRAM)
    with Guardian() as guardian:
        guardian.folder(folder)
        (process,) = _children_running(PROGRAM) - others
        os.kill(process, signal.SIGKILL)
        assert gone(lambda: ended(process))
        (tmp_path / "second").touch()

        guardian.folder(tmp_path / "second")

    assert list(tmp_path.iterdir()) == []


def test_one_that_was_stopped_clears_up_all_the_same(folder: Path) -> None:
    others = _children_running(PROGRAM)
    with Guardian() as guardian:
        guardian.folder(folder)
        (process,) = _children_running(PROGRAM) - others
        os.kill(process, signal.SIGSTOP)

    assert not folder.exists()


class Interrupted(BaseException):
    """Comes at the worst moment."""


@pytest.mark.parametrize("when", ["before it is made", "when it is made"])
def test_a_folder_is_watched_before_it_is_there(when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Path.mkdir

    def mkdir(path: Path, mode: int = 0o777) -> None:
        if when == "when it is made":
            make(path, mode)
        raise Interrupted

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(Interrupted), Guardian() as guardian:
        guardian.make_folder(tmp_path, "x-")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_ours_alone_and_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["there", "new"])
    (tmp_path / "x-there").mkdir()
    monkeypatch.setattr("secrets.token_hex", lambda _: next(names))
    with Guardian() as guardian:
        made, watched = guardian.make_folder(tmp_path, "x-")
        mode = made.stat().st_mode & 0o777
        guardian.forget(watched)

    assert (made.name, mode) == ("x-new", 0o700)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x-new", "x-there"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody holds the process any more
@pytest.mark.skipif(sys.platform != "linux", reason="marks are read in /proc")
def test_a_process_is_watched_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def group(_: Guardian, pgid: int, mark: str = "") -> str:  # noqa: ARG001 - as the real one
        started.append(pgid)
        raise Interrupted

    monkeypatch.setattr(Guardian, "group", group)
    with pytest.raises(Interrupted), Guardian() as guardian:
        guardian.start(["sleep", "600"], {"PATH": os.environ["PATH"]}, "a token of this test")

    assert ended(started[0])
    os.waitpid(started[0], 0)


def test_what_cannot_be_started_is_not_watched() -> None:
    with Guardian() as guardian:
        with pytest.raises(FileNotFoundError):
            guardian.start(["/nowhere/at/all"], {}, "token")

        assert guardian._watched == set()


def test_a_folder_in_the_value_of_an_option_is_found(folder: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)", f"--prefix={folder}/x"]
    with subprocess.Popen(command) as process:
        assert gone(lambda: processes_on(str(folder)) == [process.pid])
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="marks are read in /proc")
def test_what_a_server_has_started_is_found_by_its_mark(folder: Path) -> None:
    environ = {**os.environ, guardian_module.MARK: str(folder)}
    with subprocess.Popen(["sleep", "600"], env=environ, start_new_session=True) as process:
        assert gone(lambda: processes_on(str(folder)) == [process.pid])
        process.kill()


def test_knows_a_process_by_its_start() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        assert start_time(process.pid).isdigit()
        process.kill()

    assert start_time(process.pid) == ""


def test_finds_processes_by_a_folder_in_their_command_line(folder: Path) -> None:
    with subprocess.Popen(["tail", "-f", str(folder / "file")]) as process:
        assert gone(lambda: processes_on(str(folder)) == [process.pid])
        assert processes_on(str(folder)[:-1]) == []
        process.kill()


def _children_running(program: str) -> set[int]:
    listing = subprocess.run(
        ["ps", "-e", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    return {int(pid) for pid, parent, args in rows if int(parent) == os.getpid() and program in args}
