"""Folders of one run, and of runs that were killed with their guardian."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reviewer.errors import CannotReview
from reviewer.host.folders import PREFIX, clear_stale_folders, own_folder, work_folder
from reviewer.host.guardian import Guardian, give_back_memory, processes_on

# Makes a folder and is killed with its guardian, so that nobody clears up.
KILLED = """
import os, signal, subprocess, sys
from reviewer.host.folders import work_folder
from reviewer.host.guardian import Guardian
with Guardian() as guardian, work_folder(guardian) as folder:
    (folder / "data").mkdir()
    subprocess.Popen(["sleep", "600"], env={**os.environ, "ALEMBIC_REVIEWER_RUN": str(folder)}, start_new_session=True, stdout=subprocess.DEVNULL)
    print(folder, flush=True)
    os.kill(guardian._process.pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.mark.processes
def test_a_folder_of_a_run_that_was_killed_is_removed_by_the_next(temporary: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, check=False)
    left = Path(done.stdout.strip())
    assert left.is_dir()

    with Guardian() as guardian, work_folder(guardian) as folder:
        assert list(temporary.iterdir()) == [folder]

    assert processes_on(str(left)) == []
    assert list(temporary.iterdir()) == []


def test_a_folder_in_which_nothing_was_made_is_removed_when_it_is_old(temporary: Path) -> None:
    old, new, full, other = (temporary / f"{PREFIX}{name}" for name in ("old", "new", "full", "other"))
    for folder in (old, new, full):
        folder.mkdir()
    (full / "file").touch()
    other.touch()
    for path in (old, full, other):
        os.utime(path, (time.time() - 3600, time.time() - 3600))

    clear_stale_folders()

    assert sorted(temporary.iterdir()) == sorted([new, full, other])


def test_a_pipe_in_the_place_of_the_lock_is_not_waited_for(temporary: Path) -> None:
    (temporary / f"{PREFIX}x").mkdir()
    os.mkfifo(temporary / f"{PREFIX}x" / "owner")

    clear_stale_folders()


@pytest.mark.processes
def test_a_living_folder_is_left_alone() -> None:
    with Guardian() as guardian, work_folder(guardian) as first:
        with Guardian() as other, work_folder(other):
            assert first.exists()
        assert first.exists()


@pytest.mark.processes
def test_no_place_for_a_folder_is_told_with_a_way_out(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reviewer.host.folders.temporary_folders", lambda: [temporary / "missing", Path("/proc")])
    with (
        pytest.raises(CannotReview, match=r"(?s)No temporary folder can be created: .*TMPDIR"),
        Guardian() as guardian,
        work_folder(guardian),
    ):
        pass


@pytest.mark.processes
def test_what_still_works_on_a_folder_ends_with_it(temporary: Path) -> None:
    with Guardian() as guardian, own_folder(temporary, guardian) as folder:
        writer = f"import time, pathlib\nwhile True:\n    pathlib.Path({str(folder)!r}, 'x').touch()\n    time.sleep(0.001)"
        process = subprocess.Popen([sys.executable, "-c", writer, str(folder)], start_new_session=True)
        while not (folder / "x").exists():
            assert process.poll() is None

    assert process.wait(60) < 0
    assert not folder.exists()


@pytest.mark.processes
def test_a_folder_that_is_being_removed_is_no_dead_ones(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    remove = shutil.rmtree

    def meanwhile(folder: Path, ignore_errors: bool) -> None:
        monkeypatch.setattr("reviewer.host.folders.end_processes_on", ended.append)
        clear_stale_folders()  # of another reviewer
        monkeypatch.undo()
        remove(folder, ignore_errors)

    monkeypatch.setattr("reviewer.host.folders.temporary_folders", lambda: [temporary])
    with Guardian() as guardian, own_folder(temporary, guardian, serves=False) as folder:
        monkeypatch.setattr("reviewer.host.folders.shutil.rmtree", meanwhile)

    assert not folder.exists()
    assert ended == []


@pytest.mark.processes
@pytest.mark.skipif(not Path("/proc/sysvipc/shm").exists(), reason="shared memory is counted in /proc")
def test_shared_memory_of_a_server_that_was_killed_is_given_back(tmp_path: Path) -> None:
    makes = "import ctypes, os; print(os.getpid(), ctypes.CDLL(None).shmget(0, 56, 0o600), flush=True)"
    done = subprocess.run([sys.executable, "-c", makes], stdout=subprocess.PIPE, text=True, check=True)
    pid, segment = done.stdout.split()

    def there() -> bool:
        lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
        return segment in [line.split()[1] for line in lines]

    assert there()
    for number in ("1", pid):  # of another process it is left alone
        (tmp_path / "postmaster.pid").write_text(f"{number}\n\n\n\n\n\n  0 {segment}\nready\n")
        give_back_memory(tmp_path)
        assert there() == (number == "1")
