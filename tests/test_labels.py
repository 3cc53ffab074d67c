from __future__ import annotations

import ast
import textwrap

import pytest

from reviewer.project.labels import labelled
from reviewer.recording import Labelled

OPEN = [("state", None, ("open", "shut"))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('sa.Enum("open", "shut", name="state")', OPEN),
        ('postgresql.ENUM("open", "shut", name="state", create_type=False).create(op.get_bind())', OPEN),
        ('ENUM("open", "shut", name="state", schema="app")', [("state", "app", ("open", "shut"))]),
        ('op.add_column("doors", sa.Column("state", STATE))', OPEN),
        ('op.alter_column("doors", "state", existing_type=STATE, nullable=False)', []),
        ('op.alter_column("doors", "state", existing_type=sa.Enum("open", name="state"))', []),
        ('sa.Enum("open", "shut", name="state", native_enum=False)', []),
        ('sa.Enum("open", "shut", name="state", schema=SCHEMA)', []),
        ('sa.Enum(State, name="state")', []),
        ("sa.Enum(name='state').drop(op.get_bind())", []),
        ('sa.Enum("open", "shut")', []),
    ],
)
def test_the_labels_that_an_upgrade_names_are_read(
    text: str, found: list[tuple[str, str | None, tuple[str, ...]]]
) -> None:
    module = ast.parse(f'STATE = sa.Enum("open", "shut", name="state")\n\n\ndef upgrade():\n    {text}\n')

    assert [(each.type, each.schema, each.labels) for each in labelled(module)] == found


def test_those_of_a_downgrade_are_not() -> None:
    text = """
    def upgrade():
        pass

    def downgrade():
        sa.Enum("open", name="state").create(op.get_bind())
    """

    assert labelled(ast.parse(textwrap.dedent(text))) == ()


def test_each_is_told_by_its_line() -> None:
    text = 'def upgrade():\n    sa.Enum("a", name="one")\n    sa.Enum("b", name="two")\n'

    assert labelled(ast.parse(text)) == (Labelled("one", None, ("a",), 2), Labelled("two", None, ("b",), 3))
