"""The projects that the benchmarks of speed make: each is a repository with its history on `main` and a branch."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measuring import ROOT, branch, commit

BLOG_BASE = "5d3c0f7b9a21"
BLOG_NEW = ("91b7e6d20c4f", "c05a8e1f73d9", "7e2f4b96d018", "e8d1a35c7b60")
"""The revisions of the blog after its base, in their order."""

_INI = "[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = %(here)s\nsqlalchemy.url = postgresql+psycopg://nobody@nowhere.invalid/x\n"
_ENV = """
from alembic import context
from sqlalchemy import engine_from_config, pool
{models}

given = context.config.attributes.get("connection")  # of pytest-alembic
engine = given or engine_from_config(context.config.get_section("alembic"), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata={metadata})
    with context.begin_transaction():
        context.run_migrations()
"""


def blog(folder: Path, new: Sequence[str] = BLOG_NEW) -> Path:
    """examples/blog with its history on `main` and the revisions `new` on the branch."""
    shutil.copytree(ROOT / "examples" / "blog", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "alembic-reviewer.toml").unlink()
    (folder / ".gitignore").write_text("__pycache__\nbare.ini\n")
    versions = folder / "migrations" / "versions"
    later = {path.name: path.read_text() for each in BLOG_NEW for path in versions.glob(f"{each}_*.py")}
    for name in later:
        (versions / name).unlink()
    commit(folder)
    branch(folder)
    for name, text in later.items():
        if name[:12] in new:
            (versions / name).write_text(text)
    commit(folder)
    return folder


def long(folder: Path, length: int, new: int = 1, *, models: bool = False) -> Path:
    """A history of `length` revisions, a third of which create tables, and a branch with `new` more of the same kinds.

    The revisions are r0000, r0001 and so on. With `models`, the application has models of all tables.
    """
    versions = _start(folder, "models" if models else "")
    for number in range(length + new):
        if number == length:
            if models:
                (folder / "models.py").write_text(_long_models(length))
            commit(folder)
            branch(folder)
        table = f"t{number // 3}"
        up, back = (
            (
                f"op.create_table('{table}', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.Text))",
                f"op.drop_table('{table}')",
            ),
            (
                f"op.add_column('{table}', sa.Column('c{number}', sa.Integer))",
                f"op.drop_column('{table}', 'c{number}')",
            ),
            (f"op.create_index('ix_{number}', '{table}', ['name'])", f"op.drop_index('ix_{number}')"),
        )[number % 3]
        _write_revision(versions, f"r{number:04}", f"r{number - 1:04}" if number else None, [up], [back])
    if models:
        (folder / "models.py").write_text(_long_models(length + new))
    commit(folder)
    return folder


def _long_models(length: int) -> str:
    """The tables that `length` revisions lead to."""
    lines = ["import sqlalchemy as sa", "", "metadata = sa.MetaData()"]
    for number in range(length):
        table = f"t{number // 3}"
        lines.append(
            (
                f"{table} = sa.Table('{table}', metadata, sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.Text))",
                f"{table}.append_column(sa.Column('c{number}', sa.Integer))",
                f"sa.Index('ix_{number}', {table}.c.name)",
            )[number % 3]
        )
    return "\n".join([*lines, ""])


def wide(folder: Path, tables: int) -> Path:
    """A base state of `tables` tables, and a branch with a revision that adds a column to one of them."""
    versions = _start(folder)
    up = [
        f"for n in range({tables}):",
        "    op.create_table(f't{n}', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.Text, index=True))",
    ]
    _write_revision(versions, "first", None, up, ["pass"])
    commit(folder)
    branch(folder)
    new = "op.add_column('t7', sa.Column('new', sa.Integer))"
    _write_revision(versions, "new", "first", [new], ["op.drop_column('t7', 'new')"])
    commit(folder)
    return folder


def large(folder: Path, number: int) -> Path:
    """20 tables, and one new revision of `number` statements of several kinds; not a repository."""
    versions = _start(folder)
    shutil.copy(ROOT / "examples" / "blog" / "migrations" / "script.py.mako", folder / "migrations")
    tables = [
        f"op.create_table('base_{n}', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.Text))"
        for n in range(20)
    ]
    _write_revision(versions, "first", None, tables, ["pass"])
    up, down = [], []
    for n in range(number):
        table = f"base_{n % 20}"
        match n % 5:
            case 0:
                up.append(
                    f"op.create_table('new_{n}', sa.Column('id', sa.Integer, primary_key=True),"
                    " sa.Column('name', sa.String(50), nullable=False), sa.Column('at', sa.DateTime(timezone=True)))"
                )
                down.append(f"op.drop_table('new_{n}')")
            case 1:
                up.append(f"op.add_column('{table}', sa.Column('c_{n}', sa.Integer))")
                down.append(f"op.drop_column('{table}', 'c_{n}')")
            case 2:
                up.append(f"op.create_index('ix_{n}', 'new_{n - 2}', ['name'])")
            case 3:
                up.append(f"op.execute(\"UPDATE {table} SET name = name || 'x' WHERE id = {n}\")")
            case _:
                up.append(f"op.alter_column('new_{n - 4}', 'name', nullable=True)")
    _write_revision(versions, "new", "first", up, list(reversed(down)))
    return folder


def shop(folder: Path) -> Path:
    """A branch that adds a column to one of 100 mapped tables, and makes a column of another one mandatory."""
    versions = _start(folder, "models")
    (folder / "models.py").write_text(_SHOP_MODELS)
    tables = [f"op.execute({sql!r})" for sql in shop_tables(100)]
    _write_revision(versions, "first", None, tables, ["pass"])
    commit(folder)
    branch(folder)
    up = ["op.add_column('t7', sa.Column('note', sa.Text))", "op.alter_column('t8', 'score', nullable=False)"]
    down = ["op.alter_column('t8', 'score', nullable=True)", "op.drop_column('t7', 'note')"]
    _write_revision(versions, "new", "first", up, down)
    commit(folder)
    return folder


def shop_tables(number: int) -> Iterator[str]:
    """The SQL of `number` tables of several kinds of columns; each refers to one before it."""
    yield "CREATE TYPE mood AS ENUM ('good', 'bad')"
    for n in range(number):
        yield (
            f"CREATE TABLE t{n} (id serial PRIMARY KEY, parent int NOT NULL REFERENCES t{max(n - 1, 0)},"
            " name varchar(50) NOT NULL UNIQUE, mood mood, score numeric(10, 2) CHECK (score >= 0),"
            " document jsonb, tags text[], at timestamptz NOT NULL DEFAULT now())"
        )
        yield f"CREATE INDEX ON t{n} (parent)"


_SHOP_MODELS = """
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import declarative_base

Base = declarative_base()
metadata = Base.metadata

for n in range(100):
    columns = {
        "__tablename__": f"t{n}",
        "id": sa.Column(sa.Integer, primary_key=True),
        "parent": sa.Column(sa.ForeignKey(f"t{max(n - 1, 0)}.id"), nullable=False, index=True),
        "name": sa.Column(sa.String(50), nullable=False, unique=True),
        "mood": sa.Column(sa.Enum("good", "bad", name="mood")),
        "score": sa.Column(sa.Numeric(10, 2)),
        "document": sa.Column(postgresql.JSONB),
        "tags": sa.Column(postgresql.ARRAY(sa.Text)),
        "at": sa.Column(sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    }
    type(f"T{n}", (Base,), columns)
"""


def _start(folder: Path, models: str = "") -> Path:
    """The frame of a project, whose env.py takes `metadata` from the module `models`; returns the folder of its revisions."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / ".gitignore").write_text("__pycache__\nbare.ini\n.pytest_cache\n")
    (folder / "alembic.ini").write_text(_INI)
    env = _ENV.format(
        models=f"import {models}" if models else "", metadata=f"{models}.metadata" if models else None
    )
    (folder / "migrations" / "env.py").write_text(re.sub(r"\n{3,}", "\n\n", env))
    return versions


def _write_revision(
    versions: Path, name: str, down: str | None, upgrade: Sequence[str], downgrade: Sequence[str]
) -> None:
    bodies = [
        f"def {what}():\n" + "".join(f"    {line}\n" for line in lines)
        for what, lines in (("upgrade", upgrade), ("downgrade", downgrade))
    ]
    head = f"from alembic import op\nimport sqlalchemy as sa\n\nrevision = {name!r}\ndown_revision = {down!r}\n"
    (versions / f"{name}.py").write_text("\n\n".join([head, *bodies]))
