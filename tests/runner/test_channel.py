"""What comes over the runner's channel: every event whole and in order, and nothing that somebody else has written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reviewer.rehearsal.protocol import MAX_EVENT_BYTES, AnyEvent, Done, Lines, Ready, Unreadable
from tests.command import ENV, project, revision, somewhere, told
from tests.runner.conftest import Project

pytestmark = pytest.mark.processes

SEAL = "0123456789abcdef"


def line(number: int, seal: str = SEAL, **event: Any) -> bytes:
    return f"{seal} {number} {json.dumps(event)}\n".encode()


READY: dict[str, Any] = {"event": "ready"}
DONE: dict[str, Any] = {"event": "done", "calls": 1, "connected": 2}


def test_events_come_whole_however_they_are_cut() -> None:
    lines = Lines(SEAL)
    data = line(1, **READY) + line(2, **DONE)

    found = [event for byte in data for event in lines.feed(bytes([byte]))]

    assert found == [Ready(), Done(1, 2)]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(line(1, "", **DONE), "a line that is not the runner's", id="without a seal"),
        pytest.param(line(1, "f" * 16, **DONE), "a line that is not the runner's", id="another seal"),
        pytest.param(
            b'{"event": "done", "calls": 1, "connected": 2}\n', "is not the runner's", id="an event as such"
        ),
        pytest.param(b"\n", "is not the runner's", id="an empty line"),
        pytest.param(b"\xff\x1b[31m\n", "is not the runner's", id="bytes"),
        pytest.param(line(2, **DONE), "event 1 is missing", id="one is missing"),
        pytest.param(line(1, **READY) + line(1, **READY), "event 2 is missing", id="one comes twice"),
        pytest.param(b"x" + line(1, **READY), "is not the runner's", id="something in front"),
        pytest.param(line(1, event="done"), "event 1 cannot be decoded", id="no event of ours"),
        pytest.param(line(1, event="paid"), "event 1 cannot be decoded", id="an unknown event"),
        pytest.param(SEAL.encode() + b" 1 {\n", "event 1 cannot be decoded", id="no JSON"),
        pytest.param(SEAL.encode() + b" 1 " + b"[" * 100_000 + b"\n", "event 1 cannot be decoded", id="deep"),
        pytest.param(
            line(1, event="lost", what="observed", reason="it has 20000000 bytes"),
            "event 1, `observed`, could not be sent: it has 20000000 bytes",
            id="could not be sent",
        ),
        pytest.param(b"x" * (MAX_EVENT_BYTES + 1), "a line of more than 17 MB", id="endless"),
    ],
)
def test_what_is_no_event_of_the_runners_is_named(data: bytes, says: str) -> None:
    with pytest.raises(Unreadable) as raised:
        _all(Lines(SEAL).feed(data))

    assert says in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


def _all(events: Iterator[AnyEvent]) -> list[AnyEvent]:
    return list(events)


# As a migration might, that finds the descriptor of a socket and writes what an event looks like.
FORGE = """
import stat
ours = [n for n in map(int, os.listdir("/proc/self/fd")) if n > 20]
for number in ours:
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            os.write(number, b'{"event": "done", "calls": 1, "connected": 1}\\n')
    except OSError:
        pass
"""


def test_an_event_that_a_migration_forges_ends_the_command(make: Callable[..., Project]) -> None:
    run = make(revision("b", "a", FORGE)).run(do="upgrade", to=["b"])

    assert run.failure is not None
    assert run.failure.kind.value == "unreadable"
    assert "a line that is not the runner's" in run.failure.message


@pytest.mark.parametrize("where", ["env.py", "the history", "without a server"])
def test_wherever_an_event_is_forged_it_is_one_error(where: str, tmp_path: Path) -> None:
    with somewhere() as place:
        forge = ("import os\n" + FORGE) if where == "env.py" else ""
        folder = project(tmp_path / "project", revision("b", "a", "pass", "pass"), env=forge + ENV)
        if where != "env.py":
            id_, file = ("a", "a") if where == "the history" else ("b", "r1")
            text = revision(id_, None if id_ == "a" else "a", FORGE, "pass")
            (folder / "migrations" / "versions" / f"{file}.py").write_text(text)
        options = ["--static"] if where == "without a server" else []

        done = place.review(folder, "--revisions", "a:b", "--format", "json", *options)

        report = json.loads(done.stdout)
        assert (done.returncode, report["verdict"]) == (3, "error"), told(done)
        (error,) = report["errors"]
        assert error.startswith("What the project's process told cannot be believed: ")
        assert report["findings"] == []


def test_an_event_that_cannot_be_sent_ends_the_command(make: Callable[..., Project]) -> None:
    env = (
        "from alembic import context\nimport sys\nclass Odd(str):\n    pass\n"
        "channel = sys.modules['_alembic_reviewer_channel'].Channel\n"
        "deep = []\nfor _ in range(100000):\n    deep = [deep]\n"
        "import gc\n"
        "[c.emit(event='fact', kind=deep) for c in gc.get_objects() if type(c) is channel]\n"
    )
    answer = make(env=env).ask(do="describe")

    assert answer.unreadable is not None
    assert "`fact`, could not be sent: it is no JSON (RecursionError)" in answer.unreadable


def test_a_forged_event_makes_the_review_an_error(tmp_path: Path) -> None:
    with somewhere() as place:
        folder = project(tmp_path / "project", revision("b", "a", FORGE + "op.execute('SELECT 1')", "pass"))

        done = place.review(folder, "--revisions", "a:b", "--format", "json", "--fail-on", "never")

        assert done.returncode == 3, told(done)
        (error,) = json.loads(done.stdout)["errors"]
        assert error.startswith(
            "What the project's process told cannot be believed: a line that is not the runner's"
        )
        assert "so the upgrade of revision b could not be observed to the end" in error
        assert place.clean(), place.left_behind()
