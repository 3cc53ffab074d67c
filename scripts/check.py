"""Set up what is needed and run everything that must stay green: formatting, lint, types, tests.

`--quick` leaves out the tests that start processes or need a PostgreSQL. `--coverage` measures which lines the tests
reach, in every process that runs our code, and shows it. Other arguments go to pytest.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from environment import ROOT, prepared, run, said

# Each worker takes one group of tests at a time, in the order of tests/kinds.py: what shares a server or a recording
# stays together, and the long ones come first.
PYTEST = ["--dist", "loadgroup", "--no-loadscope-reorder", "-q"]
PURE = ["-m", "not server and not processes"]


def main() -> None:
    arguments = sys.argv[1:]
    if {"-h", "--help"} & {*arguments}:
        print(f"usage: check.py [--quick] [--coverage] [ARGUMENT OF PYTEST ...]\n\n{__doc__}")
        return
    quick, coverage = (_taken(arguments, option) for option in ("--quick", "--coverage"))
    commands = prepared("dev")
    python = str(commands / "python")
    if not quick:
        run([python, "-m", "tests.majors"])
    run([str(commands / "ruff"), "format", "--check", "."])
    run([str(commands / "ruff"), "check", "."])
    with ExitStack() as until_done:
        in_memory = not quick and until_done.enter_context(_temporary_files_in_memory())
        # a test often waits for a process, and for the disk; a pure one never does
        workers = _cores() + (0 if quick else 2 if in_memory else 1)
        _check(commands, workers, quick=quick, coverage=coverage, arguments=arguments)


def _check(commands: Path, workers: int, *, quick: bool, coverage: bool, arguments: list[str]) -> None:
    python = str(commands / "python")
    tests = ["-m", "pytest", "-n", str(workers), *PYTEST, *(PURE if quick else []), *arguments]
    with ThreadPoolExecutor() as beside:
        others = {
            name: beside.submit(said, [str(commands / name), *options])
            for name, options in (("lint-imports", ["--no-cache"]), ("mypy", []))
        }
        if coverage:
            _measure(python, tests)
        else:
            run([python, *tests])
    if failed := [name for name, other in others.items() if other.result()]:
        sys.exit(f"{' and '.join(failed)} failed, and said above why")  # the tests may have said much since


@contextmanager
def _temporary_files_in_memory() -> Iterator[bool]:
    """Let the tests put their files into /dev/shm, if it has room for them and programs can be started from there: on a
    disk they wait for a third of their time. Yields whether they do.
    """
    folder = Path("/dev/shm")
    try:
        found = os.statvfs(folder)
        meminfo = Path("/proc/meminfo").read_text()
        available = next(int(line.split()[1]) << 10 for line in meminfo.splitlines() if "MemAvailable" in line)
        limit = Path("/sys/fs/cgroup/memory.max")  # of a container
        if limit.exists() and (most := limit.read_text().strip()).isdigit():
            available = min(available, int(most))
        fits = min(found.f_bavail * found.f_frsize, available // 2) >= _ROOM
        usable = fits and not found.f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK)
    except (OSError, StopIteration, AttributeError):
        usable = False
    if not usable or "TMPDIR" in os.environ:
        yield False
        return
    made = Path(tempfile.mkdtemp(prefix="tests-", dir=folder))
    made.chmod(0o1777)  # some tests run the command as another user
    os.environ["TMPDIR"] = str(made)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield True
    finally:
        del os.environ["TMPDIR"]
        shutil.rmtree(made, ignore_errors=True)


_ROOM = 6 << 30
"""Bytes. Up to 5 GiB are used with four workers, the servers' data folders among them."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _taken(arguments: list[str], option: str) -> bool:
    """Whether the option is among the arguments; it is taken out."""
    found = option in arguments
    if found:
        arguments.remove(option)
    return found


def _measure(python: str, tests: list[str]) -> None:
    """Run the tests with coverage.py. What a process reaches that is killed is not counted."""
    data = Path(ROOT) / ".coverage"
    if data.is_file():
        data.unlink()
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    data.chmod(0o1777)  # some tests run the command as another user
    run([python, "-m", "coverage", "run", *tests])
    run([python, "-m", "coverage", "combine", "--quiet"])
    run([python, "-m", "coverage", "report"])


if __name__ == "__main__":
    main()
