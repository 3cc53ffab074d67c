"""What fixes do to files: rewriting, refusing, chaining, diffs, and writing all or none. No server is needed."""

from __future__ import annotations

import os
import stat
from datetime import datetime
from pathlib import Path

import libcst as cst
import pytest

from reviewer.errors import UsageError
from reviewer.fix import writing
from reviewer.fix.code import outside_transaction, with_call, with_option, without_option
from reviewer.fix.diff import unified
from reviewer.fix.fix import NewRevision
from reviewer.fix.refused import Refused
from reviewer.fix.revisions import chained
from reviewer.fix.source import Hunk, Rewriting, Source
from reviewer.project.graph import Graph
from reviewer.project.naming import Naming
from reviewer.project.source import SourceRevision, read_source
from tests.repository import git

TOP = "from alembic import op\nimport sqlalchemy as sa\n\nrevision = 'b'\ndown_revision = 'a'\n\n"
NOW = datetime(2026, 11, 29, 7, 8, 9)


def source(body: str, encoding: str = "utf-8", top: str = TOP) -> Source:
    return Source("v/b.py", (top + body).encode(encoding))


def in_block(given: Source, line: int) -> str:
    site = given.call_at(line, ("create_index",))
    rewriting = Rewriting(given)
    call = with_option(site.call, "postgresql_concurrently", "True")
    rewriting.replace(site.whole, [outside_transaction([with_call(site, call)], given)])
    return given.with_hunks(rewriting.hunks()).decode(given.encoding)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (
            "def upgrade():\r\n\top.create_index('ix', 't', ['a'])\r\n",
            "\twith op.get_context().autocommit_block():\r\n\t\top.create_index('ix', 't', ['a'], postgresql_concurrently=True)\r\n",
        ),
        (
            "def upgrade():\n  op.create_index(\n    'ix', 't', ['a']\n  )  # 'é'\n",
            "  with op.get_context().autocommit_block():\n    op.create_index(\n      'ix', 't', ['a'], postgresql_concurrently=True\n    )  # 'é'\n",
        ),
        (
            "def upgrade():\n    # why\n    op.create_index('ix', 't', [sa.text('''\nlower(a)''')])",
            "    # why\n    with op.get_context().autocommit_block():\n        op.create_index('ix', 't', [sa.text('''\nlower(a)''')], postgresql_concurrently=True)",
        ),
    ],
    ids=["tabs and CRLF", "two blanks", "a text over several lines, no line end"],
)
def test_what_is_not_rewritten_stays_as_it_is(body: str, wanted: str) -> None:
    newline = "\r\n" if "\r\n" in body else "\n"
    top = TOP.replace("\n", newline)
    given = source(body, top=top)

    text = in_block(given, top.count("\n") + (3 if "# why" in body else 2))

    assert text == top + body.partition(newline)[0] + newline + wanted


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_a_file_keeps_its_encoding(encoding: str) -> None:
    top = "# -*- coding: latin-1 -*-\n" + TOP if encoding == "latin-1" else TOP
    given = source("def upgrade():\n    op.create_index('é', 't', ['a'])\n", encoding, top)

    in_block(given, top.count("\n") + 2)
    site = given.call_at(top.count("\n") + 2, ("create_index",))
    rewriting = Rewriting(given)
    rewriting.replace(site.call, [with_option(site.call, "unique", "True")])
    data = given.with_hunks(rewriting.hunks())

    assert data == given.data.replace(b"['a'])", b"['a'], unique=True)")


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("f()", "f(x=1)"),
        ("f(a, b)", "f(a, b, x=1)"),
        ("f(a, x=2)", "f(a, x=1)"),
        ("f(\n    a,\n    b,\n)", "f(\n    a,\n    b,\n    x=1,\n)"),
        ("f(\n    a,  # one\n    b,  # two\n)", "f(\n    a,  # one\n    b,  # two\n    x=1,\n)"),
        ("f(\n    a, b\n)", "f(\n    a, b, x=1\n)"),
        ("f(a,\n  b)", "f(a,\n  b,\n  x=1)"),
    ],
)
def test_an_argument_is_laid_out_as_the_others(call: str, wanted: str) -> None:
    parsed = cst.parse_expression(call)
    assert isinstance(parsed, cst.Call)

    changed = with_option(parsed, "x", "1")

    assert cst.Module([]).code_for_node(changed) == wanted
    if "x=" not in call and call != "f()":
        assert cst.Module([]).code_for_node(without_option(changed, "x")).split() == call.split()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def upgrade():\n    [op.create_index(c, 't', [c])\n     for c in 'ab']\n", "part of a larger expression"),
        (
            "class A:\n    def make(self):\n        op.create_index('ix', 't', ['a'])\n",
            "not in a function at the top",
        ),
        ("def upgrade():\n    if 1:\n        x = 1; op.create_index('ix', 't', ['a'])\n", "several statements"),
        ("def upgrade():\n\n    make('ix')\n", "line 10 does not call `create_index` itself"),
    ],
)
def test_what_cannot_be_rewritten_is_refused_with_words(body: str, words: str) -> None:
    given = source(body)
    lines = (TOP + body).splitlines()
    line = next((n for n, text in enumerate(lines, 1) if "create_index" in text), 10)

    with pytest.raises(Refused, match=words.replace("(", r"\(").replace(")", r"\)")):
        given.call_at(line, ("create_index",))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def upgrade():\n    for c in 'ab':\n        op.create_index(c, 't', [c])\n", "runs in a loop"),
        ("def make():\n\n    op.create_index('ix', 't', ['a'])\n", "in the helper `make()`"),
        ("def upgrade():\n    def make():\n        op.create_index('ix', 't', ['a'])\n", "in the helper `make()`"),
        (
            "def make():\n    op.create_index('ix', 't', ['a'])\ndef upgrade():\n    make()\n    make()\n",
            "in the helper",
        ),
        ("def make():\n    op.create_index('ix', 't', ['a'])\ndef upgrade():\n    make()\n", ""),
        ("def make():\n    op.create_index('ix', 't', ['a'])\ndef upgrade():\n    on(postgresql=make)\n", ""),
        (
            "def make():\n    op.create_index('ix', 't', ['a'])\ndef upgrade():\n    for _ in 'ab':\n        make()\n",
            "in the helper",
        ),
    ],
)
def test_a_call_that_may_run_several_times_says_so(body: str, words: str) -> None:
    given = source(body)
    line = next(n for n, text in enumerate((TOP + body).splitlines(), 1) if "create_index" in text)

    repeated = given.call_at(line, ("create_index",)).repeated

    assert words in repeated
    assert bool(words) == bool(repeated)


def test_changes_to_the_same_lines_collide_and_equal_ones_do_not() -> None:
    assert Hunk(3, 4, ("x\n",)).collides(Hunk(3, 4, ("y\n",)))
    assert Hunk(3, 3, ("x\n",)).collides(Hunk(3, 3, ("y\n",)))
    assert not Hunk(3, 4, ("x\n",)).collides(Hunk(3, 4, ("x\n",)))
    assert not Hunk(3, 4, ("x\n",)).collides(Hunk(4, 5, ("y\n",)))


# -- new revisions ----------------------------------------------------------------------------------


def graph_of(files: dict[str, str]) -> tuple[Graph, dict[str, Source]]:
    found = [read_source(text.encode(), path) for path, text in files.items()]
    assert all(isinstance(each, SourceRevision) for each in found)
    return Graph.of(found), {path: Source(path, text.encode()) for path, text in files.items()}


GENERATED = '''"""first thing

Revision ID: a
Revises:
Create Date: 2025-01-01 00:00:00

"""
from __future__ import annotations

from typing import Sequence, Union

import sqlalchemy as sa
from alembic import op
from myapp.types import Money, Name

revision: str = 'a'
down_revision: Union[str, Sequence[str], None] = None
branch_labels: Union[str, Sequence[str], None] = ('billing',)
depends_on = None

TABLES = ['t']


def upgrade() -> None:
\t"""Upgrade."""
\top.create_table('t', sa.Column('m', Money()))


def downgrade() -> None:
\top.drop_table('t')
'''


def test_a_new_revision_is_written_in_the_manner_of_the_one_before_it() -> None:
    graph, sources = graph_of(
        {
            "v/a.py": GENERATED,
            "v/b.py": '"""b\n\nRevises: a\n"""\nrevision = "b"\ndown_revision = "a"\n',
            "v/c.py": 'revision = "c"\ndown_revision = ("a", "x")\n',
            "v/x.py": 'revision = "x"\ndown_revision = None\n',
        }
    )
    news = [NewRevision("a", f"do more {n}", f"op.execute('SELECT {n}')\nif 1:\n    pass", "") for n in (1, 2)]

    placed, hunks = chained(news, graph, frozenset("abc"), sources, Naming(), NOW)

    one, two = placed
    assert one.path == f"v/{one.id}_do_more_1.py"
    assert one.data.decode() == (
        f'"""do more 1\n\nRevision ID: {one.id}\nRevises: a\nCreate Date: 2026-11-29 07:08:09\n\n"""\n'
        "from __future__ import annotations\n\nfrom typing import Sequence, Union\n\nfrom alembic import op\n\n"
        f"revision: str = '{one.id}'\ndown_revision: Union[str, Sequence[str], None] = 'a'\n"
        "branch_labels: Union[str, Sequence[str], None] = None\ndepends_on = None\n\n\n"
        'def upgrade() -> None:\n\t"""Upgrade."""\n\top.execute(\'SELECT 1\')\n\tif 1:\n\t\tpass\n\n\n'
        "def downgrade() -> None:\n\tpass\n"
    )
    assert f"down_revision: Union[str, Sequence[str], None] = '{one.id}'" in two.data.decode()
    assert sources["v/b.py"].with_hunks(hunks["v/b.py"]).decode() == (
        f'"""b\n\nRevises: {two.id}\n"""\nrevision = "b"\ndown_revision = "{two.id}"\n'
    )
    assert f'down_revision = ("{two.id}", "x")' in sources["v/c.py"].with_hunks(hunks["v/c.py"]).decode()


def test_nothing_comes_between_what_is_deployed_and_a_computed_parent_is_refused() -> None:
    files = {"v/a.py": GENERATED, "v/b.py": 'revision = "b"\ndown_revision = "a"\n'}
    news = [NewRevision("a", "more", "pass", "pass")]
    graph, sources = graph_of(files)
    with pytest.raises(Refused, match="revision b follows on a and is deployed already"):
        chained(news, graph, frozenset("a"), sources, Naming(), NOW)

    graph, sources = graph_of({**files, "v/b.py": 'A = "a"\nrevision = "b"\ndown_revision = A\n'})
    with pytest.raises(Refused, match="is computed"):
        chained(news, graph, frozenset("ab"), sources, Naming(), NOW)


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("", "ab12_build_index_ix_on_a_very_long_name_of_.py"),
        ("%(year)d/%(month).2d_%(slug)s-%(rev)s", "2026/11_build_index_ix_on_a_very_long_name_of_-ab12.py"),
        ("%(nothing)s", "ab12_build_index_ix_on_a_very_long_name_of_.py"),
    ],
)
def test_files_are_named_as_the_project_names_them(template: str, wanted: str) -> None:
    naming = Naming(template) if template else Naming()

    assert naming.file_name("ab12", "Build index ix on a very long name of things", NOW) == wanted


# -- diffs and writing ------------------------------------------------------------------------------


@pytest.mark.processes
def test_a_diff_is_what_git_applies(tmp_path: Path) -> None:
    before = {"a b.py": b"one\r\ntwo\r\nthree", "c.py": "é\n".encode("latin-1")}
    after = {"a b.py": b"one\r\n2\r\nthree", "c.py": "è\n".encode("latin-1"), "new/d.py": b"x\n"}
    for path, data in before.items():
        (tmp_path / path).write_bytes(data)
    git(tmp_path, "init", "--quiet")
    (tmp_path / "x.diff").write_bytes(unified(before, after))

    git(tmp_path, "apply", "x.diff")

    assert {path: (tmp_path / path).read_bytes() for path in after} == after


def test_all_files_are_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {"a.py": b"a", "b.py": b"b"}
    after = {"a.py": b"A", "b.py": b"B", "sub/c.py": b"C"}
    for path, data in before.items():
        (tmp_path / path).write_bytes(data)
    (tmp_path / "a.py").chmod(0o640)
    there = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}

    def unchanged() -> bool:
        return {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == there

    with pytest.raises(UsageError, match=r"b\.py has changed since it was reviewed"):
        writing.write(tmp_path, {**before, "b.py": b"other"}, after)
    assert unchanged()
    with pytest.raises(UsageError, match=r"The file b\.py already exists"):
        writing.write(tmp_path, {"a.py": b"a"}, after)
    assert unchanged()
    with pytest.raises(UsageError, match=r"gone\.py is gone"):
        writing.write(tmp_path, {**before, "gone.py": b""}, {**after, "gone.py": b"x"})
    assert unchanged()

    put, calls = Path.replace, []

    def fails_at_last(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == len(after):
            raise OSError(28, os.strerror(28))
        return put(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fails_at_last)
        with pytest.raises(UsageError, match=r"cannot be written: No space left on device\.\nNothing was written"):
            writing.write(tmp_path, before, after)
    assert unchanged()

    writing.write(tmp_path, before, after)

    assert {path: (tmp_path / path).read_bytes() for path in after} == after
    assert stat.S_IMODE((tmp_path / "a.py").stat().st_mode) == 0o640
    assert not list(tmp_path.rglob(".alembic-reviewer-*"))


def test_a_file_that_is_read_only_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_bytes(b"a")
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(UsageError, match=r"a\.py is read-only"):
        writing.write(tmp_path, {"a.py": b"a"}, {"a.py": b"A"})

    assert (tmp_path / "a.py").read_bytes() == b"a"
