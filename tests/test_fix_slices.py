"""What is taken along when a statement moves to a revision of its own: conditions, loops, early ends, and names."""

from __future__ import annotations

import pytest

from reviewer.fix.code import outside_transaction, text_of
from reviewer.fix.moving import only
from reviewer.fix.refused import Refused
from reviewer.fix.slicing import taken
from reviewer.fix.source import Rewriting, Source

TOP = "from alembic import op\nimport sqlalchemy as sa\n\n"


def moved(text: str) -> tuple[str, str]:
    """The body and the top of a revision that has the one call of `create_index` in `text`."""
    source = Source("v/b.py", (TOP + text).encode())
    line = next(n for n, each in enumerate((TOP + text).splitlines(), 1) if "create_index(" in each)
    site = source.call_at(line, ("create_index",))

    found = taken(site, [only(site, site.call)], lambda inner: outside_transaction(inner, source))

    return text_of(found.body, source), text_of(found.top, source)


def left(text: str) -> str:
    """`text` without the call."""
    source = Source("v/b.py", (TOP + text).encode())
    line = next(n for n, each in enumerate((TOP + text).splitlines(), 1) if "create_index(" in each)
    rewriting = Rewriting(source)
    rewriting.remove(source.call_at(line, ("create_index",)))
    return rewriting.text().removeprefix(TOP)


IN_BLOCK = "with op.get_context().autocommit_block():\n"

GUARD = """def upgrade():
    bind = op.get_bind()
    present = {each["name"] for each in sa.inspect(bind).get_indexes("t")}
    op.add_column("t", sa.Column("b", sa.Integer()))
    if "ix" not in present:
        print("new")
        op.create_index("ix", "t", ["a"])
"""
LOOP = """PAIRS = [("t", "a"), ("u", "b")]
OTHER = 1

def upgrade():
    for table, column in PAIRS:
        name = f"ix_{table}_{column}"
        op.create_index(name, table, [column])
"""
BRANCHES = """def upgrade():
    kind = op.get_bind().dialect.name
    if kind == "sqlite":
        op.execute("x")
    elif kind == "postgresql":
        op.create_index("ix", "t", ["a"])
    else:
        op.execute("y")
"""
ELSE = """def upgrade():
    if op.get_bind().dialect.name == "sqlite":
        op.execute("x")
    else:
        op.create_index("ix", "t", ["a"])
"""
EARLY = """def _has(name):
    return name in sa.inspect(op.get_bind()).get_table_names()

def upgrade():
    if not _has("t"):
        op.execute("y")
        return
    op.create_index("ix", "t", ["a"])
"""
BATCH = """def upgrade():
    columns = sa.inspect(op.get_bind()).get_columns("t")
    with op.batch_alter_table("t") as batch_op:
        batch_op.add_column(sa.Column("b", sa.Integer()))
        if columns:
            batch_op.create_index("ix", ["a"])
"""
TWICE = """def upgrade():
    def make():
        op.create_index("ix", "t", ["a"])
        op.create_table("n")

    if op.get_bind().dialect.name == "sqlite":
        op.execute("x")
        make()
        return
    op.execute("y")
    make()
"""
HANDED = """from elsewhere import on

def _other():
    op.execute("x")

def _sqlite():
    _other()

def _postgresql():
    schema = "s"
    op.create_index("ix", "t", ["a"], schema=schema)
    op.execute("z")

def upgrade():
    on(postgresql=_postgresql, sqlite=_sqlite)
"""


@pytest.mark.parametrize(
    ("text", "body", "top", "rest"),
    [
        (
            GUARD,
            'bind = op.get_bind()\npresent = {each["name"] for each in sa.inspect(bind).get_indexes("t")}\n'
            f'if "ix" not in present:\n    {IN_BLOCK}        op.create_index("ix", "t", ["a"])',
            "",
            '    if "ix" not in present:\n        print("new")\n',
        ),
        (
            LOOP,
            'for table, column in PAIRS:\n    name = f"ix_{table}_{column}"\n'
            f"    {IN_BLOCK}        op.create_index(name, table, [column])",
            'PAIRS = [("t", "a"), ("u", "b")]',
            '        name = f"ix_{table}_{column}"\n',
        ),
        (
            BRANCHES,
            'kind = op.get_bind().dialect.name\nif not (kind == "sqlite"):\n    if kind == "postgresql":\n'
            f'        {IN_BLOCK}            op.create_index("ix", "t", ["a"])',
            "",
            '    elif kind == "postgresql":\n        pass\n    else:',
        ),
        (
            ELSE,
            f'if not (op.get_bind().dialect.name == "sqlite"):\n    {IN_BLOCK}'
            '        op.create_index("ix", "t", ["a"])',
            "",
            '        op.execute("x")\n    else:\n        pass\n',
        ),
        (
            EARLY,
            f'if not _has("t"):\n    return\n{IN_BLOCK}    op.create_index("ix", "t", ["a"])',
            "def _has(name):\n    return name in sa.inspect(op.get_bind()).get_table_names()",
            '        op.execute("y")\n        return\n',
        ),
        (
            BATCH,
            f'columns = sa.inspect(op.get_bind()).get_columns("t")\n{IN_BLOCK}'
            '    with op.batch_alter_table("t") as batch_op:\n        if columns:\n'
            '            batch_op.create_index("ix", ["a"])',
            "",
            '        batch_op.add_column(sa.Column("b", sa.Integer()))\n',
        ),
        (
            TWICE,
            f'if op.get_bind().dialect.name == "sqlite":\n    {IN_BLOCK}        op.create_index("ix", "t", ["a"])\n'
            f'if op.get_bind().dialect.name == "sqlite":\n    return\n{IN_BLOCK}    op.create_index("ix", "t", ["a"])',
            "",
            '    def make():\n        op.create_table("n")\n',
        ),
        (
            HANDED,
            "on(postgresql=_postgresql)",
            f'def _postgresql():\n    schema = "s"\n    {IN_BLOCK}'
            '        op.create_index("ix", "t", ["a"], schema=schema)',
            '    schema = "s"\n    op.execute("z")\n',
        ),
    ],
    ids=[
        "a guard",
        "a loop",
        "an elif",
        "an else",
        "an early end",
        "a batch",
        "two callers",
        "handed to a function",
    ],
)
def test_a_statement_takes_along_what_decides_whether_it_runs(text: str, body: str, top: str, rest: str) -> None:
    assert moved(text) == (body, top)
    assert rest in left(text)
    assert "create_index" not in left(text)


def test_what_would_be_left_empty_goes_too() -> None:
    text = "def upgrade():\n    op.execute('x')\n    for c in 'ab':\n        if c:\n            op.create_index(c, 't', [c])\n"

    assert left(text) == "def upgrade():\n    op.execute('x')\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "def upgrade():\n    count = op.get_bind().execute(sa.text('DELETE FROM t')).rowcount\n"
            "    if count:\n        op.create_index('ix', 't', ['a'])\n",
            "depends on line 5, which changes something itself",
        ),
        (
            "def made():\n    op.execute('x')\n    return 't'\n"
            "def upgrade():\n    op.create_index('ix', made(), ['a'])\n",
            "uses `made`, which changes something itself",
        ),
        ("def upgrade():\n    op.create_index('ix', unknown, ['a'])\n", "uses `unknown`"),
        (
            "def upgrade():\n    try:\n        op.create_index('ix', 't', ['a'])\n    except Exception:\n        pass\n",
            "inside",
        ),
        (
            "def make(name):\n    op.create_index(name, 't', ['a'])\ndef upgrade():\n    make('ix')\n",
            "in the helper `make..`, which may run elsewhere too",
        ),
        (
            "def make():\n    op.create_index('ix', 't', ['a'])\ndef upgrade():\n    make()\ndef downgrade():\n    make()\n",
            "in the helper `make..`, which may run elsewhere too",
        ),
    ],
)
def test_what_depends_on_more_is_not_moved(text: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        moved(text)
