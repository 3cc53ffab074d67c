"""The start of the command: nothing of the project's is imported into our process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import write

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parent.parent
CONSOLE = Path(sys.executable).with_name("alembic-reviewer")
OWN = (
    "reviewer/__init__.py",
    "checks/__init__.py",
    "click/__init__.py",
    "reviewer/cli.py",
)


# `python -m reviewer` finds a `reviewer` in the folder that it is started in: it is for those that have none
@pytest.mark.parametrize("command", [[str(CONSOLE)], [sys.executable, "-m", "alembic_reviewer"]])
@pytest.mark.parametrize("pythonpath", [".", "", f"{ROOT}{os.pathsep}.", f".{os.pathsep}{ROOT}", "missing"])
def test_packages_of_the_project_with_our_names_are_not_imported(
    command: list[str], pythonpath: str, tmp_path: Path
) -> None:
    write(tmp_path, dict.fromkeys(OWN, "raise SystemExit('the project ran in the reviewer')\n"))

    done = subprocess.run(
        [*command, "rules"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": pythonpath},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "blocking-index" in done.stdout


def test_what_is_installed_stays_importable_when_pythonpath_names_it_too(tmp_path: Path) -> None:
    import click

    done = subprocess.run(
        [sys.executable, "-m", "alembic_reviewer", "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(click.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("alembic-reviewer")


@pytest.mark.parametrize("arguments", [["rules"], ["explain", "no-such-rule"]])
def test_signal_handlers_of_a_caller_are_put_back(arguments: list[str]) -> None:
    program = f"""
import signal
from click.testing import CliRunner
from reviewer.cli import main
def ours(number, frame): pass
signal.signal(signal.SIGTERM, ours)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
CliRunner().invoke(main, {arguments!r})
assert signal.getsignal(signal.SIGTERM) is ours
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""

    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_others_have_registered_for_the_end_still_runs_and_the_status_stays() -> None:
    start = (
        "import atexit, sys; atexit.register(lambda: (print('over'), sys.stdout.flush()));"
        "sys.argv = ['alembic-reviewer', 'explain', '{}']; from alembic_reviewer import main; main()"
    )
    known, unknown = (
        subprocess.run([sys.executable, "-c", start.format(rule)], capture_output=True, text=True, check=False)
        for rule in ("dropped-table", "no-such-rule")
    )

    assert (known.returncode, known.stdout.splitlines()[-1]) == (0, "over")
    assert (unknown.returncode, unknown.stdout) == (2, "over\n")
    assert "no-such-rule" in unknown.stderr


def test_a_thread_that_still_runs_is_waited_for() -> None:
    start = (
        "import sys, threading\n"
        "def work(): threading.main_thread().join(); print('done')\n"
        "threading.Thread(target=work).start()\n"
        "sys.argv = ['alembic-reviewer', '--version']; from alembic_reviewer import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines()[-1] == "done"
