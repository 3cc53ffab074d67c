"""The runner, unchanged, on the oldest and the newest that it promises: the same findings on the same lines.

Each combination is a virtual environment of its own, made once and kept in the cache folder of the tests. It is
skipped by name where its Python is not on this machine, or where its packages cannot be had.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reviewer.rehearsal.interpreter import RUNNER
from tests.command import Place, project, revision, somewhere

pytestmark = pytest.mark.processes

COMBINATIONS = {
    "oldest": ("3.8", "alembic==1.7.7", "sqlalchemy==1.4.54", "psycopg2-binary==2.9.9"),
    "oldest Alembic, asyncpg": ("3.11", "alembic==1.7.7", "sqlalchemy[asyncio]==1.4.54", "asyncpg==0.29.0"),
    "in between": ("3.11", "alembic==1.13.3", "sqlalchemy==2.0.36", "psycopg[binary]==3.2.3"),
    "in between, pg8000": ("3.9", "alembic==1.12.1", "sqlalchemy==2.0.36", "pg8000==1.30.5"),
    "newest": ("3.13", "alembic", "sqlalchemy", "psycopg[binary]"),
}

UPGRADE = """
op.add_column("items", sa.Column("note", sa.String(50), nullable=False, server_default="x"))
for name in ("note", "id"):
    op.create_index(f"ix_items_{name}", "items", [name])
op.create_table("parts", sa.Column("item_id", sa.Integer()))
op.create_foreign_key("fk_item", "parts", "items", ["item_id"], ["id"])
op.alter_column("items", "note", type_=sa.String(10))
op.execute("UPDATE items SET note = 'y'")
"""
# Not for pg8000: with it, Alembic itself does not get out of the transaction.
CONCURRENTLY = """
with op.get_context().autocommit_block():
    op.create_index("ix_later", "items", ["note"], postgresql_concurrently=True)
"""
DOWNGRADE = """
op.drop_table("parts")
op.drop_column("items", "note")
op.drop_index("ix_items_id")
"""

# As `alembic init` leaves it, and as its async template does: neither knows a driver.
ENV = """
import asyncio

from alembic import context
from sqlalchemy import create_engine, pool

url = context.config.get_main_option("sqlalchemy.url")


def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def run_async():
    from sqlalchemy.ext.asyncio import create_async_engine

    async with create_async_engine(url, poolclass=pool.NullPool).connect() as connection:
        await connection.run_sync(run)


if "asyncpg" in url:
    asyncio.run(run_async())
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        run(connection)
"""


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as place:
        yield place


def python(version: str) -> str:
    """The interpreter of that version, wherever this machine has it; skips by name where it has none."""
    name = f"python{version}"
    places = [f"{folder}/bin" for folder in sorted(map(str, Path.home().glob(f".pyenv/versions/{version}.*")))]
    for path in (*places, os.environ.get("PATH", os.defpath)):
        found = shutil.which(name, path=path)
        # What pyenv puts into PATH is there for versions too that it does not run.
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
            return found
    pytest.skip(f"there is no Python {version} on this machine")


def environment(version: str, *packages: str) -> str:
    """The interpreter of a virtual environment with `packages`, made by whoever comes first."""
    base = python(version)
    key = hashlib.sha256(repr((base, packages)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "alembic-reviewer-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"{version}-{key}"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryFile() as output:
                for command in (
                    [base, "-m", "venv", str(folder)],
                    [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages],
                ):
                    if subprocess.run(command, stdout=output, stderr=output, check=False).returncode:
                        output.seek(0)
                        said = output.read().decode(errors="replace").strip().splitlines() or ["no reason"]
                        pytest.skip(f"{', '.join(packages)} cannot be had for Python {version}: {said[-1]}")
            (folder / "complete").touch()
    return str(folder / "bin" / "python")


def driver(packages: tuple[str, ...]) -> str:
    return next(name for name in ("psycopg2", "asyncpg", "pg8000", "psycopg") if packages[-1].startswith(name))


def essence(report: dict[str, Any]) -> dict[str, Any]:
    """What must be the same everywhere: findings, and the statements with their places and locks."""
    return {
        "findings": sorted((f["rule"], f["line"], f["direction"], f["message"]) for f in report["findings"]),
        "statements": [
            (
                each["direction"],
                each["outcome"],
                statement["sql"].split()[:3],
                statement["line"],
                statement["in_transaction"],
                sorted((lock["relation"], lock["mode"]) for lock in statement["locks"]),
                statement["rewritten"],
                sorted(scan["relation"] for scan in statement["scanned"]),
            )
            for revision in report["revisions"]
            for each in revision["passes"]
            for statement in each["statements"]
            if statement["path"] and statement["path"].startswith("migrations")
        ],
        "skipped": report["skipped"],
        "unrecognized": report["unrecognized"],
    }


@pytest.mark.parametrize("name", COMBINATIONS)
def test_the_same_review_on_every_version(name: str, place: Place, tmp_path: Path) -> None:
    version, *packages = COMBINATIONS[name]
    interpreter = environment(version, *packages)
    folders = {}
    for who, used in (("here", "psycopg"), ("there", driver(tuple(packages)))):
        url = f"postgresql+{used}://app@database.invalid/app"
        upgrade = UPGRADE if "pg8000" in name else UPGRADE + CONCURRENTLY
        folders[who] = project(tmp_path / who, revision("b", "a", upgrade, DOWNGRADE), url=url, env=ENV)

    here = place.report(folders["here"], "--revisions", "a:b", "--python", sys.executable)
    there = place.report(folders["there"], "--revisions", "a:b", "--python", interpreter)

    expected = essence(here)
    assert expected["findings"]
    assert expected["statements"]
    assert essence(there) == expected
    assert place.left_behind() == []


FILES = sorted(RUNNER.parent.glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_runner_is_text_that_the_oldest_python_reads(file: Path) -> None:
    ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8))


class Executed(ast.NodeTransformer):
    """Without what only the type checker reads."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node


def test_the_runner_imports_the_standard_library_alembic_and_sqlalchemy_alone() -> None:
    # What a module of the project's may bring, asked for only where it is there already.
    only_if_there = {"anyio", "flask", "psycopg", "psycopg2"}
    imported = set()
    for file in FILES:
        for node in ast.walk(Executed().visit(ast.parse(file.read_text(encoding="utf-8")))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add(str(node.module).partition(".")[0])

    assert imported - sys.stdlib_module_names - only_if_there - {"__future__"} == {"alembic", "sqlalchemy"}


def test_the_runner_starts_on_the_oldest_python_without_anything() -> None:
    done = subprocess.run([python("3.8"), "-I", str(RUNNER)], capture_output=True, text=True, check=False)

    assert "SyntaxError" not in done.stderr
    assert "IndexError" in done.stderr  # the number of the channel is missing: all else was understood
