"""What env.py does where a revision fails: asked with a step that must fail, and remembered where all is well."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from reviewer.recording import Control
from reviewer.rehearsal import control
from reviewer.rehearsal.interpreter import Answer
from reviewer.rehearsal.protocol import AnyCommand
from tests.command import project, somewhere, told
from tests.repository import write
from tests.runner.conftest import Project

pytestmark = pytest.mark.processes

ENV = """import os
import sys
import threading
import sqlalchemy as sa
from alembic import context
from sqlalchemy import engine_from_config, pool


def migrate():
    section = context.config.get_section(context.config.config_ini_section)
    with engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()


"""
LINE = ENV.splitlines().index("            context.run_migrations()") + 1
ALL = ("exception", "statement", "duplicate")
TO_THE_END, BY_EXIT = "continues to its end", "calls `sys.exit` with status 0"

TRY = "try:\n    migrate()\n"
RAISED_AGAIN = """
class Refused(Exception):
    pass

def raised_again(context):
    raise Refused(str(context.original_exception)) from context.sqlalchemy_exception

def engine_from_config(*args, made=engine_from_config, **kwargs):
    engine = made(*args, **kwargs)
    sa.event.listen(engine, "handle_error", raised_again)
    return engine

"""
"""What oslo.db does: errors of the driver become its own."""
SWALLOWING = {
    "catches everything": (f"{TRY}except Exception as error:\n    print(error)\n", ALL, TO_THE_END),
    "suppresses": ("import contextlib\nwith contextlib.suppress(Exception):\n    migrate()\n", ALL, TO_THE_END),
    "catches the database's": (f"{TRY}except sa.exc.SQLAlchemyError:\n    pass\n", ALL[1:], TO_THE_END),
    "takes a duplicate for done": (
        f"{TRY}except Exception as error:\n    if 'already exists' not in str(error):\n        raise\n", ALL[2:], TO_THE_END,
    ),
    "takes what violates a constraint for done": (
        f"{TRY}except sa.exc.IntegrityError:\n    pass\n", ALL[2:], TO_THE_END,
    ),
    "returns in finally": (
        "def run():\n    try:\n        migrate()\n    finally:\n        return\nrun()\n", ALL, TO_THE_END,
    ),
    "exits with 0": (f"{TRY}except BaseException:\n    sys.exit()\n", ALL, BY_EXIT),
    "ends the process": (
        f"{TRY}except BaseException:\n    os._exit(0)\n", ALL, "ends the process with exit status 0",
    ),
    "catches what the engine's listener raises": (
        f"{RAISED_AGAIN}{TRY}except Refused:\n    pass\n", ALL[1:], TO_THE_END,
    ),
    "in a thread": ("thread = threading.Thread(target=migrate)\nthread.start()\nthread.join()\n", ALL, TO_THE_END),
}  # fmt: skip
TELLING = {
    "lets it out": "migrate()\n",
    "logs and raises": f"{TRY}except Exception as error:\n    print(error)\n    raise\n",
    "lets out what the engine's listener raises": f"{RAISED_AGAIN}migrate()\n",
    "words it": f"{TRY}except Exception as error:\n    raise RuntimeError('the migration failed') from None\n",
    "exits with 1": f"{TRY}except Exception as error:\n    sys.exit(1)\n",
    "exits with a text": f"{TRY}except Exception as error:\n    sys.exit('the migration failed')\n",
    "ends the process with 3": f"{TRY}except Exception as error:\n    os._exit(3)\n",
    "tries again": "for attempt in range(3):\n    try:\n        migrate()\n        break\n"
    "    except Exception:\n        if attempt == 2:\n            raise\n",
    "catches what it may": f"{TRY}except sa.exc.OperationalError:\n    print('the database is not there')\n",
    "remembers, and tells at its end": f"failed = None\n{TRY}except Exception as error:\n    failed = error\n"
    "if failed:\n    raise SystemExit(2)\n",
}  # fmt: skip
UNTOLD = {
    "runs nothing": ("pass\n", "env.py did not run the step that must fail"),
    "fails before": ("raise OSError('no')\n", "env.py failed before it ran a revision: OSError: no"),
    "fails before, and hides that": (
        "try:\n    {}['x']\n    migrate()\nexcept Exception:\n    pass\n",
        "env.py did not run the step that must fail",
    ),
}


class Asked:
    """A project whose env.py is asked, again and again in one process, with a cache of its own."""

    def __init__(self, project: Project) -> None:
        self.folder = project.folder
        self.bench = project.bench(
            replace(project.plan, control=self.folder / "migrations" / "env.py", timeout=3600)
        )
        self.database = self.bench.database()
        self.cache = self.folder
        self.commands = 0
        ask = self.bench.ask

        def counted(command: AnyCommand, seconds: float = math.inf) -> Answer:
            self.commands += 1
            return ask(command, seconds)

        self.bench.ask = counted  # type: ignore[method-assign]

    def begin(self, cache: Path) -> None:
        """Forget what was asked before."""
        self.cache = cache / "controls"
        self.bench.skipped.clear()
        self.commands = 0

    def ask(self, env: str, helper: str = "") -> Control:
        """What is known of an env.py with `env` at its end."""
        write(self.folder, {"migrations/env.py": ENV + env, "helper.py": helper})
        return control.ask(self.bench, self.database)


@pytest.fixture(scope="module")
def only(make: Callable[..., Project]) -> Iterator[Asked]:
    asked = Asked(make())
    yield asked
    asked.bench.close()


@pytest.fixture
def asked(only: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setenv("ALEMBIC_REVIEWER_CACHE", str(tmp_path))
    only.begin(tmp_path)
    return only


@pytest.mark.parametrize("name", SWALLOWING)
def test_an_env_py_that_swallows_failures_is_found(name: str, asked: Asked) -> None:
    env, ways, ended = SWALLOWING[name]

    found = asked.ask(env)

    assert (found.tried, found.swallowed, found.ended, found.reason) == (ALL, ways, ended, "")
    assert str(found.location) == f"migrations/env.py:{LINE}"
    assert asked.bench.skipped == []
    assert not list(asked.cache.glob("*"))


@pytest.mark.parametrize("name", TELLING)
def test_an_env_py_that_tells_failures_is_not(name: str, asked: Asked) -> None:
    found = asked.ask(TELLING[name])

    assert found == Control(ALL)
    assert asked.bench.skipped == []
    assert len(list(asked.cache.glob("*.json"))) == 1


@pytest.mark.parametrize("name", UNTOLD)
def test_where_the_step_did_not_fail_nothing_is_claimed(name: str, asked: Asked) -> None:
    env, reason = UNTOLD[name]

    found = asked.ask(env)

    assert found == Control(reason=reason)
    assert [(each.what, each.reason) for each in asked.bench.skipped] == [
        ("what env.py does when a revision fails", reason)
    ]
    assert not list(asked.cache.glob("*"))


def test_an_env_py_that_does_not_end_is_not_waited_for(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PATIENCE", 3.0)

    found = asked.ask(f"{TRY}except Exception:\n    import time\n    time.sleep(600)\n")

    assert found.swallowed == ()
    assert found.reason in {
        "it did not end within 3 seconds after the failure",
        "env.py did not start running a revision within 3 seconds",
    }


HELPER = "from alembic import context\ndef run():\n    context.run_migrations()\n"
HIDING = (
    HELPER.replace("    context.run", "    try:\n        context.run") + "    except Exception:\n        pass\n"
)
THROUGH_HELPER = """
import runpy
section = context.config.get_section(context.config.config_ini_section)
with engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        runpy.run_path("helper.py")["run"]()
"""


def test_it_is_asked_once_and_again_where_something_has_changed_that_the_failure_goes_through(asked: Asked) -> None:
    asked.ask(THROUGH_HELPER, HELPER)
    first = asked.commands

    known = asked.ask(THROUGH_HELPER, HELPER)
    again = asked.commands - first
    changed = asked.ask(THROUGH_HELPER, HIDING)

    assert (first, again) == (len(ALL), 0)
    assert known == Control(ALL)
    assert changed.swallowed == ALL


def test_a_damaged_entry_is_as_none(asked: Asked) -> None:
    asked.ask("migrate()\n")
    [entry] = asked.cache.glob("*.json")
    damaged = ["", "{}", "[]", "{", '{"format": 1, "depends": [1]}', "\0" * 100, "[" * 100_000, None]
    for text in damaged:
        asked.commands = 0
        entry.unlink()
        if text is None:
            os.mkfifo(entry)
        else:
            entry.write_text(text)

        found = asked.ask("migrate()\n")

        assert (asked.commands, found) == (len(ALL), Control(ALL)), text
        assert json.loads(entry.read_text())["format"] == 2


def test_a_review_of_a_project_that_swallows_failures_is_red(tmp_path: Path) -> None:
    with somewhere() as place:
        folder = project(tmp_path / "project", env=ENV + SWALLOWING["catches everything"][0])

        done = place.review(folder, "--revisions", "base:head", "--format", "json")

        assert done.returncode == 1, told(done)
        [found] = json.loads(done.stdout)["findings"]
        assert (found["rule"], found["path"], found["line"]) == ("swallowed-failure", "migrations/env.py", LINE)
        assert place.clean(), place.left_behind()
