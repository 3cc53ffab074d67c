"""Benchmarks that compare the reviewer with other tools: squawk on what Alembic renders, and pytest-alembic."""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks import projects, tools
from benchmarks.measuring import (
    COMMANDS,
    ENVIRONMENT,
    Figure,
    LeftOut,
    by_turns,
    call,
    compared,
    pairs,
    ratio,
    review,
    review_call,
    server,
)

TOOLS = tools.TOOLS


def static(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure | LeftOut]:
    """`--static` over `alembic upgrade A:B --sql` piped into squawk."""
    try:
        command_of_squawk = squawk(arguments)
    except (OSError, subprocess.SubprocessError) as error:
        yield LeftOut("e", f"needs squawk, and {tools.reason(error)}; name it with --squawk")
        return
    project = projects.blog(folder / "blog")
    command = review_call(project, arguments, "--static")
    alembic = shlex.join([str(COMMANDS / "alembic"), "upgrade", f"{projects.BLOG_BASE}:head", "--sql"])
    shell = ["bash", "-o", "pipefail", "-c", f"{alembic} | {shlex.quote(command_of_squawk)} --pg-version 15.0"]
    call(shell, cwd=project, fine=(0, 1))
    review(command)
    pipes, statics = by_turns(
        arguments.runs, lambda: call(shell, cwd=project, fine=(0, 1)), lambda: review(command)
    )
    yield compared(
        "`--static` of the four revisions of examples/blog, over `alembic upgrade A:B --sql` piped into squawk",
        statics,
        pipes,
        1.1,
        "e",
    )


def squawk(arguments: argparse.Namespace) -> str:
    """The command. Raises what its installation raises."""
    given: str | None = arguments.squawk or shutil.which("squawk")
    if given is not None:
        return given
    folder = arguments.tools / tools.SQUAWK.replace("==", "-")
    return str(tools.installed(folder, tools.pip(tools.SQUAWK)) / "bin" / "squawk")


def pytest_alembic(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure | LeftOut]:
    """A review over pytest-alembic's default tests on the same project and kind of server."""
    try:
        python = _with_pytest_alembic(arguments)
    except (OSError, subprocess.SubprocessError) as error:
        yield LeftOut("f", f"needs pytest-alembic, and {tools.reason(error)}")
        return
    suite = folder / "suite"  # beside the project, which stays as it is
    suite.mkdir()
    (suite / "conftest.py").write_text(_CONFTEST)
    said = []
    for length in (10, 300):
        project = projects.long(folder / f"history-{length}", length, models=True)
        command = review_call(project, arguments)
        review(command)
        with server(arguments.postgres) as started:
            url = started.address.url(started.create_database("admin")).replace(
                "postgresql:", "postgresql+psycopg:", 1
            )
            default = [
                str(python),
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "--rootdir",
                str(suite),
                str(suite),
            ]
            default += ["--test-alembic", "--alembic-tests-path", "conftest.py"]
            environment = ENVIRONMENT | {"ADMIN_URL": url, "INI": str(project / "alembic.ini")}
            suites = partial(call, default, cwd=project, environment=environment)
            tests, reviews = by_turns(arguments.runs, suites, partial(review, command))
        said.append(f"behind {length}: {pairs(reviews, tests)}")
    yield Figure(
        "one new revision behind 300, over pytest-alembic's default tests on a running server",
        ratio(reviews, tests),
        "",
        0.3,
        "; ".join(reversed(said)),
        "f",
    )


_CONFTEST = """
import itertools
import os

import pytest
import sqlalchemy as sa

numbers = itertools.count()


@pytest.fixture
def alembic_config():
    return {"file": os.environ["INI"]}


@pytest.fixture
def alembic_engine():
    url = sa.make_url(os.environ["ADMIN_URL"])
    database = f"tested_{os.getpid()}_{next(numbers)}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {database}"))
    engine = sa.create_engine(url.set(database=database))
    yield engine
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {database}"))
    admin.dispose()
"""


def _with_pytest_alembic(arguments: argparse.Namespace) -> Path:
    """A Python that has it, with the Alembic and SQLAlchemy that we measure with. Raises what its installation raises."""
    same = [f"{name}=={version(name.partition('[')[0])}" for name in ("alembic", "sqlalchemy", "psycopg[binary]")]
    name = "-".join([tools.PYTEST_ALEMBIC[0], *same[:2]]).replace("==", "-")
    return tools.installed(arguments.tools / name, tools.pip(*tools.PYTEST_ALEMBIC, *same)) / "bin" / "python"
