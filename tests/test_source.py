"""One revision file, read without running it."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewer.project import declarations
from reviewer.project.source import (
    Import,
    Outline,
    Problem,
    ProblemKind,
    SourceRevision,
    read_declarations,
    read_source,
    wanted_extensions,
)


def read(text: str, path: str = "versions/x.py") -> SourceRevision:
    found = read_source(inspect.cleandoc(text).encode(), path)
    assert isinstance(found, SourceRevision), found
    return found


def problem(text: str | bytes, path: str = "versions/x.py") -> Problem:
    found = read_source(text if isinstance(text, bytes) else inspect.cleandoc(text).encode(), path)
    assert isinstance(found, Problem), found
    return found


def test_reads_everything_that_a_file_says() -> None:
    found = read(
        '''
        """Add users

        Revision ID: 1a
        """
        from alembic import op

        revision: str = "1a"
        down_revision: str | None = "0f"
        branch_labels = ("core",)
        depends_on = ["x", "y"]


        def upgrade() -> None:
            op.add_column()


        def downgrade() -> None:
            op.drop_column()
        '''
    )

    assert found == SourceRevision(
        id="1a",
        down_revisions=("0f",),
        path="versions/x.py",
        depends_on=("x", "y"),
        branch_labels=("core",),
    )
    assert found.outline == Outline(message="Add users", line=8, upgrade_line=13, id_line=7, downgrade_line=17)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("None", ()),
        ("()", ()),
        ("tuple()", ()),
        ("'a'", ("a",)),
        ("'a' 'b'", ("ab",)),
        ("('a'\n 'b')", ("ab",)),
        ("'a' + 'b'", ("ab",)),
        ("f'{revision}_old'", ("r_old",)),
        ("EARLIER", ("e",)),
        ("('a', EARLIER)", ("a", "e")),
        ("['a'] + ['b']", ("a", "b")),
        ("('None',)", ("None",)),
        ("'9.a-b_c'", ("9.a-b_c",)),
    ],
)
def test_reads_what_can_be_told_without_running(written: str, meant: tuple[str, ...]) -> None:
    found = read_source(f"EARLIER = 'e'\nrevision = 'r'\ndown_revision = {written}\n".encode(), "x.py")

    assert isinstance(found, SourceRevision)
    assert (found.down_revisions, found.source_problem) == (meant, None)


@pytest.mark.parametrize(
    "written",
    ["f()", "'a' if x else 'b'", "x['a']", "'a'.lower()", "down_revision", "UNKNOWN", "f'{revision!r}'", "1"],
)
def test_a_computed_down_revision_is_a_problem_but_no_crash(written: str) -> None:
    found = read_source(f"revision = 'r'\ndown_revision = {written}\n".encode(), "v/x.py")

    assert isinstance(found, SourceRevision)
    assert found.source_problem is not None
    assert (found.source_problem.kind, found.source_problem.line) == (ProblemKind.COMPUTED, 2)
    assert not found.source_problem.fatal


def test_labels_that_are_computed_are_told_apart_as_they_are_written() -> None:
    text = "revision = 'r'\nbranch_labels = (cli.CONTRACT_BRANCH,)\n"

    found = read_source(text.encode(), "v/x.py")

    assert isinstance(found, SourceRevision)
    assert found.branch_labels == ("(cli.CONTRACT_BRANCH,)",)
    assert found.source_problem is not None
    assert found.source_problem.message == (
        "`branch_labels` in v/x.py:2 is computed, so --revisions knows no such label."
    )


@pytest.mark.parametrize(
    "text",
    [
        "if x:\n    down_revision = 'a'\nelse:\n    down_revision = 'b'\n",
        "try:\n    down_revision = f()\nexcept E:\n    down_revision = None\n",
        "from settings import down_revision\n",
        "down_revision = 'a'\ndown_revision += 'b'\n",
    ],
    ids=["if", "try", "imported", "added to"],
)
def test_a_value_that_depends_on_something_is_not_guessed(text: str) -> None:
    found = read_source(b"revision = 'r'\n" + text.encode(), "x.py")

    assert isinstance(found, SourceRevision)
    assert found.source_problem is not None
    assert found.source_problem.kind is ProblemKind.COMPUTED


def test_several_names_set_at_once_are_read() -> None:
    found = read("revision, down_revision = 'a', 'b'")

    assert (found.id, found.down_revisions) == ("a", ("b",))


def test_a_branch_label_may_be_the_text_none() -> None:
    assert read("revision = 'a'\nbranch_labels = 'None'").branch_labels == ("None",)


def test_a_syntax_error_names_file_and_line() -> None:
    found = problem("revision = 'a'\ndef upgrade(:\n", "versions/x.py")

    assert (found.kind, found.line, found.fatal) == (ProblemKind.SYNTAX, 2, True)
    assert found.message.startswith("versions/x.py:2 cannot be read as Python")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"revision = 'a'\0", {ProblemKind.UNREADABLE, ProblemKind.SYNTAX}),
        (b"# coding: nonsense\nrevision = 'a'", {ProblemKind.SYNTAX}),
        (b"revision = '\xff'", {ProblemKind.SYNTAX, ProblemKind.UNREADABLE}),
        (b"x = " + b"(" * 10_000, {ProblemKind.SYNTAX, ProblemKind.UNREADABLE}),
        (b"import helpers", {ProblemKind.NO_REVISION}),
        (b"revision = make()", {ProblemKind.COMPUTED}),
    ],
    ids=["NUL byte", "unknown encoding", "not UTF-8", "nested without end", "no revision", "computed id"],
)
def test_what_cannot_be_read_is_a_problem_that_names_the_file(content: bytes, kind: set[ProblemKind]) -> None:
    found = problem(content)

    assert found.kind in kind
    assert "versions/x.py" in found.message


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfrevision = 'a'", b"# coding: latin-1\nrevision = 'a'  # \xfc"])
def test_a_byte_order_mark_or_a_declared_encoding_is_no_problem(content: bytes) -> None:
    assert isinstance(read_source(content, "x.py"), SourceRevision)


def test_an_invalid_escape_in_a_migration_is_not_reported_as_ours() -> None:
    assert read(r"revision = 'a'; x = '\d'").id == "a"


def test_an_old_file_has_its_id_in_its_name() -> None:
    assert read("def upgrade(): pass", "versions/1975ea83b712.py").id == "1975ea83b712"


@pytest.mark.parametrize(
    ("body", "empty"),
    [
        ("", True),
        ("def downgrade(): pass", True),
        ("def downgrade(): ...", True),
        ("def downgrade():\n    '''Nothing.'''\n    return None", True),
        ("def downgrade(): raise NotImplementedError", False),
        ("def downgrade(): op.drop_table('a')", False),
        ("from helpers import downgrade", False),
        ("downgrade = helper", False),
        ("if x:\n    def downgrade(): op.drop_table('a')", False),
    ],
)
def test_tells_whether_downgrade_does_anything(body: str, empty: bool) -> None:
    assert read("revision = 'a'\n" + body).outline.downgrade_is_empty is empty


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("'''Other words.'''\nrevision='a'\ndef upgrade():\n  # why\n  op.x( 1 )\n", True),
        ("revision = 'a'\ndef upgrade():\n    '''Explained.'''\n    op.x(1)\n", True),
        ("revision = 'a'\ndef upgrade():\n    op.x(2)\n", False),
        ("revision = 'a'\ndown_revision = None\ndef upgrade():\n    op.x(1)\n", False),
    ],
    ids=["formatting, comments and docstring", "docstring of a function", "argument", "assignment"],
)
def test_the_digest_is_about_what_the_file_does(other: str, same: bool) -> None:
    text = "'''Words.'''\nrevision = 'a'\ndef upgrade():\n    op.x(1)\n"

    assert (read(text).digest == read(other).digest) is same


_PIECES = [
    '"""Add users\n\nRevision ID: a\nrevision = \'b\'\n"""\n',
    "'''Other words'''\n",
    '"""A quotation: "x" and ""."""\n',
    "\n",
    "   \t\n",
    "# revision identifiers, used by Alembic.\n",
    "# coding: latin-1\n",
    "from alembic import op\n",
    "import sqlalchemy as sa, os.path  # noqa\n",
    "from typing import (\n    Sequence,\n    Union,\n)\n",
    "from settings import revision\n",
    "from settings import *\n",
    "revision = 'a'\n",
    'revision: str = "b-1"  # the id\n',
    "revision = None\n",
    "revision = ('a', 'b')\n",
    "revision = 'a'; depends_on = 'c'\n",
    "revision = 'a' 'b'\n",
    "revision = 'a\\x62'\n",
    "revision = down_revision = 'a'\n",
    "down_revision = None\n",
    "down_revision: Union[str, None] = ('a', \"b\",)\n",
    "down_revision = ['a', 'b']\n",
    "down_revision = ('a' 'b')\n",
    "down_revision = ('a')\n",
    "down_revision = (\n    'a',\n    'b',\n)\n",
    "down_revision = ()\n",
    "down_revision = 'a' if x else None\n",
    "branch_labels = ('core',)\r\n",
    "branch_labels: Union[str, Sequence[str], None] = None\n",
    "depends_on = ''\n",
    "depends_on=None",
    "if x:\n    revision = 'c'\n",
    "    depends_on = 'd'\n",
    "depends_on += 'x'\n",
    "table = 'x'\n",
    'text = """\nrevision = \'e\'\n"""\n',
    "def upgrade():\n    op.execute('x')\n",
    "def upgrade():\n    sa.column('revision')\n",
    "def downgrade():\n    pass\n",
    "words = '\u00fc'\n",
    "\\\n",
    "(\n",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=9))
def test_declarations_are_those_of_the_whole_file(pieces: list[str]) -> None:
    text = "".join(pieces).encode()

    whole, quick = read_source(text, "x.py"), read_declarations(text, "x.py")

    if isinstance(whole, Problem) and isinstance(quick, SourceRevision):
        assert whole.kind in {ProblemKind.SYNTAX, ProblemKind.UNREADABLE}  # which shows when the file is loaded
        assert quick.outline == Outline()
    else:
        assert quick == whole
        if isinstance(whole, SourceRevision) and isinstance(quick, SourceRevision):
            assert quick.outline == whole.outline


@pytest.mark.parametrize(
    ("pieces", "plain"),
    [
        ((0, 3, 5, 7, 9, 12, 21, 29, 37, 39), True),
        ((2, 8, 13, 25, 35, 37), True),
        ((12, 40), True),
        ((7, 12, 20, 38), False),
        ((12, 36), False),
        ((12, 13), False),
        ((6, 12), False),
        ((12, 32), False),
    ],
)
def test_a_file_as_the_template_writes_it_need_not_be_parsed(pieces: tuple[int, ...], plain: bool) -> None:
    text = "".join(_PIECES[each] for each in pieces)

    assert (declarations.plain(text.encode()) is not None) is plain


def test_a_file_that_is_not_utf_8_is_parsed() -> None:
    assert declarations.plain(b"revision = 'a'\nwords = '\xfc'\n") is None


def test_lists_the_modules_that_a_file_imports() -> None:
    found = read(
        "import os, app.models\nrevision = 'a'\ndef upgrade():\n    from .x import y\n    from app import db"
    )

    assert found.imports == (Import("app.models", 1), Import("os", 1), Import(".x", 4), Import("app", 5))


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ('op.execute("CREATE EXTENSION pg_trgm")', {"pg_trgm"}),
        ("op.execute('create extension if not exists \"uuid-ossp\" WITH SCHEMA x')", {"uuid-ossp"}),
        (
            'op.execute("""\n  CREATE EXTENSION\n IF NOT EXISTS Hstore;\n CREATE EXTENSION citext""")',
            {"hstore", "citext"},
        ),
        ('op.execute("CREATE EXTENSION IF NOT " "EXISTS unaccent")', {"unaccent"}),
        ('for e in ("a", "b"):\n    op.execute(f"CREATE EXTENSION IF NOT EXISTS {e}")', {"a", "b"}),
        ("for e in ['a-b']:\n    op.execute(f'CREATE EXTENSION \"{e}\"')", {"a-b"}),
        ("E = ('a',)\nfor e in E:\n    op.execute(f'CREATE EXTENSION {e}')", {"a"}),
        ('op.execute("DROP EXTENSION citext")  # CREATE EXTENSION citext', set()),
        ('def f():\n    """Runs CREATE EXTENSION citext."""', set()),
    ],
)
def test_names_the_extensions_that_are_wanted(code: str, names: set[str]) -> None:
    assert wanted_extensions([read("revision = 'a'\n" + code)]) == names


@pytest.mark.parametrize(
    ("text", "only"),
    [
        (
            '"""words"""\nfrom alembic import op\nimport sqlalchemy as sa\nfrom sqlalchemy.dialects import postgresql',
            True,
        ),
        ("from typing import Sequence, Union\nbranch_labels: Union[str, Sequence[str], None] = None", True),
        ("def upgrade(bind: str | None = None) -> None:\n    print('run')", True),
        ("SIZES = {'small': [1, -2]}\nALL = SIZES['small'] + [3]", True),
        ("from app.models import User", False),
        ("from . import helpers", False),
        ("import geoalchemy2", False),
        ("TABLE = sa.table('users')", False),
        ("print('loaded')", False),
        ("op.context = None", False),
        ("@decorated\ndef upgrade(): pass", False),
        ("def upgrade(now=time.time()): pass", False),
        ("if True:\n    register()", False),
        ("class Helper(Base): pass", False),
    ],
)
def test_loading_a_file_only_defines_what_it_holds(text: str, only: bool) -> None:
    assert read(f"{text}\nrevision = 'r'\ndown_revision = 'a'").only_defines is only
