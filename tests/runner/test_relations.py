"""What the server reports about relations is read as it is, whatever they are called."""

from __future__ import annotations

from collections.abc import Callable

from tests.command import revision
from tests.runner.conftest import Project

SCHEMA, TABLE = "a b\\n\n c", "x \\n y\nz\\"


def runs(*statements: str) -> str:
    return "\n".join(f"op.execute({each!r})" for each in statements)


def test_names_with_spaces_line_breaks_and_backslashes_are_read_as_they_are(make: Callable[..., Project]) -> None:
    schema, table = f'"{SCHEMA}"', f'"{SCHEMA}"."{TABLE}"'
    made = runs(f"CREATE SCHEMA {schema}", f"CREATE TABLE {table} (n int)")
    committed = "with op.get_context().autocommit_block():\n    op.execute('SELECT 1')"
    changed = runs(f"ALTER TABLE {table} ALTER n TYPE bigint")
    project = make(revision("b", "a", f"{made}\n{committed}\n{changed}"))

    ran = project.run(do="step", revision="b", direction="upgrade")

    seen = [each.observation for each in ran.passes[0].statements if each.observation and "ALTER" in each.sql]
    locked = {(each.relation.schema, each.relation.name) for found in seen for each in found.locks}
    assert locked == {(SCHEMA, TABLE)}
