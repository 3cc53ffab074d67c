"""The processes that tests get without starting them are what they would be if they had been started."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import ENV, Place, project, revision, somewhere, told
from tests.repository import write

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process is started"),
]

FACTS = """
import builtins, gc, json, os, pathlib, resource, signal, sys, threading, warnings

def environ(pid):
    text = pathlib.Path("/proc", str(pid), "environ").read_bytes().decode()
    return sorted(each.partition("=")[0] if "REVIEWER_RUN" in each else each for each in text.split(chr(0)) if each)

def status(pid):
    lines = pathlib.Path("/proc", str(pid), "status").read_text().splitlines()
    wanted = ("Umask", "Threads", "SigBlk", "SigIgn", "SigCgt", "Uid", "Gid", "Groups", "CapEff", "NoNewPrivs")
    return [each for each in lines if each.startswith(wanted)]

def descriptors(pid):
    found = []
    for each in pathlib.Path("/proc", str(pid), "fd").iterdir():
        try:
            found.append(os.readlink(each).partition("[")[0].rpartition("-")[0] or os.readlink(each).partition(":")[0])
        except OSError:
            pass
    return sorted(found)

server = os.getppid()
facts = {
    "modules": sorted(sys.modules),
    "built in": sorted(vars(builtins)),
    "main": [sys.modules["__main__"].__file__, sorted(vars(sys.modules["__main__"]))],
    "path": sys.path,
    "flags": str(sys.flags),
    "arguments": [sys.argv[0], len(sys.argv)],
    "executable": [sys.executable, sys.prefix, sys.base_prefix],
    "variables": sorted((name, value) for name, value in os.environ.items() if name != "ALEMBIC_REVIEWER_RUN"),
    "environment": environ("self"),
    "environment of the server": environ(server),
    "folder": [os.getcwd(), os.readlink(f"/proc/{server}/cwd")],
    "status": status("self"),
    "status of the server": status(server),
    "sessions": [os.getsid(0) == os.getpid(), os.getsid(server) == server, os.getpgid(server) == server],
    "limits": [resource.getrlimit(getattr(resource, each)) for each in dir(resource) if each.startswith("RLIMIT")],
    "signals": [str(signal.getsignal(each)).partition(" at 0x")[0] for each in sorted(signal.valid_signals())],
    "streams": [(each.encoding, each.errors, each.line_buffering) for each in (sys.stdin, sys.stdout, sys.stderr)],
    "descriptors": [descriptors("self"), descriptors(server)],
    "warnings": [str(each) for each in warnings.filters],
    "hooks": [str(each).partition(" at 0x")[0] for each in (*sys.meta_path, *sys.path_hooks, sys.excepthook)],
    "time zone": __import__("time").tzname,
    "collection": [gc.isenabled(), gc.get_threshold()],
    "dont_write_bytecode": sys.dont_write_bytecode,
}
with open(os.environ["FACTS"], "w") as file:
    json.dump(facts, file)
with open(os.environ["FACTS"] + ".server", "w") as file:
    file.write(pathlib.Path("/proc", str(server), "cmdline").read_text())
"""
LOOK = """
import contextlib, glob
for each in glob.glob("/proc/[0-9]*/environ"):
    with contextlib.suppress(OSError), open(each, "rb") as file:
        if b"OF_THIS_REVIEW=yes" in file.read().split(bytes(1)):
            open({file!r}, "a").close()
"""
DAEMON = "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        import time\n        time.sleep(600)\n    os._exit(0)"


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as place:
        yield place


def tells(folder: Path) -> Path:
    """A project whose env.py tells what its process is like."""
    return write(project(folder, revision("b", "a")), {"migrations/env.py": FACTS + ENV})


def facts(place: Place, done: subprocess.CompletedProcess[str]) -> tuple[dict[str, Any], bool]:
    """What env.py has told, and whether its process comes from a template."""
    assert done.returncode in {0, 1}, told(done)
    file = place.folder / "facts"
    # what each review names by itself
    text = re.sub(r"alembic-reviewer-[0-9a-f]{8}|review_\d+", "-", file.read_text())
    return json.loads(text), "template.py" in Path(f"{file}.server").read_text()


def test_a_projects_process_is_as_one_of_an_interpreter_that_was_started(place: Place, tmp_path: Path) -> None:
    folder = tells(tmp_path / "project")
    words = ("--revisions", "a:b", "--env", f"FACTS={place.folder / 'facts'}", "--env", "TOWN=Nürnberg")

    started, lent = facts(
        place,
        subprocess.run(
            place.command(*words),
            cwd=folder,
            env=place.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        ),
    )
    assert not lent
    forked, lent = facts(place, place.review(folder, *words))
    assert lent

    assert {name: (value, forked[name]) for name, value in started.items() if value != forked[name]} == {}
    assert any("TOWN=Nürnberg" in each for each in forked["environment of the server"])


@pytest.mark.parametrize("given", ["PYTHONHASHSEED=1", "LC_ALL=C"])
def test_an_interpreter_that_would_start_otherwise_is_started(given: str, place: Place, tmp_path: Path) -> None:
    words = ("--revisions", "a:b", "--env", f"FACTS={place.folder / 'facts'}", "--env", given)

    _, lent = facts(place, place.review(tells(tmp_path / "project"), *words))

    assert not lent


def test_what_hides_from_a_forked_review_ends_with_it(place: Place, tmp_path: Path) -> None:
    folder = project(tmp_path / "project", revision("b", "a", DAEMON))

    done = place.review(folder, "--revisions", "a:b")

    assert done.returncode in {0, 1}, told(done)
    assert place.clean(), place.left_behind()


def test_a_review_has_the_environment_that_it_was_given(place: Place, tmp_path: Path) -> None:
    """Also for those who look for what it has left behind."""
    seen = tmp_path / "seen"
    look = LOOK.format(file=str(seen))
    folder = project(tmp_path / "project", revision("b", "a", look))

    done = place.review(folder, "--revisions", "a:b", env={"OF_THIS_REVIEW": "yes"})

    assert done.returncode == 0, told(done)
    assert seen.exists()
