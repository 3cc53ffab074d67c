"""What the new revisions look for in rows is read from their source, and some of the generated rows are made so."""

from __future__ import annotations

from pathlib import Path

import pytest

from reviewer.rehearsal import wanted_rows
from reviewer.sql import parse
from tests.examples import Bench, Story


@pytest.mark.parametrize(
    ("where", "values"),
    [
        ("state = 'it''s'", {"state": "'it''s'"}),
        ("'x' = state", {"state": "'x'"}),
        ("u.state IN ('a', 'b')", {"state": "'a'"}),
        ("state IS NULL AND n = -1", {"state": "NULL", "n": "-1"}),
        ("n > 5 AND state IS NOT NULL", {"n": "5 + 1"}),
        ("seen < '2001-01-01'", {"seen": "(timestamp '2001-01-01' - interval '1 day')"}),
        ("NOT done", {"done": "false"}),
        ("done AND lower(state) = 'x'", {"done": "true", "state": "'x'"}),
        ("n BETWEEN 3 AND 5", {"n": "3"}),
        ("f(n) = 1 OR state LIKE 'ab%'", {"state": "'ab'"}),
    ],
)
def test_a_simple_condition_says_which_row_it_takes(where: str, values: dict[str, str]) -> None:
    (found,) = parse.matches(f"UPDATE users u SET n = 1 WHERE {where}")

    assert (str(found.table), dict(found.values)) == ("users", values)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE users SET n = 1",
        "UPDATE users SET n = 1 WHERE state = 'a' AND state = 'b'",
        "UPDATE users SET n = 1 WHERE state = name",
        "UPDATE users SET n = 1 WHERE state = 'a' AND id IN (SELECT id FROM others)",
        "UPDATE users SET n = 1 FROM others o WHERE o.state = 'a'",
        "DELETE FROM users USING others o WHERE users.n = 1",
        "DELETE FROM users WHERE state <> 'a'",
        "UPDATE users SET WHERE",
        "SELECT * FROM users WHERE state = 'a'",
    ],
)
def test_any_other_says_nothing(sql: str) -> None:
    assert parse.matches(sql) == ()


SOURCE = """
users = sa.table("users", sa.column("state"), sa.column("n"), schema="app")

def reset(bind):
    bind.execute(sa.text("UPDATE users SET n = 1 WHERE state = :s"), {"s": "old"})

def upgrade():
    if True:
        op.execute("DELETE FROM users WHERE n = 7")
    op.execute(users.update().where(users.c.state == "core").where(users.c.n.is_(None)).values(n=1))
    op.execute(sa.delete(users).where(users.c.state == "gone"))
    op.get_bind().execute(sa.select(users.c.n).where(users.c.state == "only read"))
    reset(op.get_bind())

def downgrade():
    op.execute("UPDATE users SET n = 1 WHERE state = 'back'")
"""


def test_texts_bound_values_and_expressions_are_read_and_a_downgrade_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SOURCE)
    (tmp_path / "b.py").write_text("def upgrade(:\n")

    found = wanted_rows.of(tmp_path, ["a.py", "b.py", "gone.py"])

    assert [(str(each.table), dict(each.values)) for each in found] == [
        ("users", {"state": "'old'"}),
        ("users", {"n": "7"}),
        ("app.users", {"state": "'core'", "n": "NULL"}),
        ("app.users", {"state": "'gone'"}),
    ]


@pytest.mark.server
def test_an_update_meets_a_row_of_each_kind_that_it_asks_for(bench: Bench) -> None:
    recording = bench.record(
        Story(
            given=(
                "op.execute(\"CREATE TABLE users (id int PRIMARY KEY, state text CHECK (state <> 'never'), n int)\")",
            ),
            new=(
                "op.execute(\"UPDATE users SET n = 1 WHERE state = 'x'\")\n"
                'op.execute("UPDATE users SET n = 2 WHERE state IS NULL")\n'
                "op.execute(\"UPDATE users SET n = 3 WHERE state = 'never'\")",
            ),
        )
    )

    assert [each.rows for each in recording.passes[0].statements if "users" in each.sql] == [1, 1, 0]


@pytest.mark.processes
def test_no_row_is_made_whose_key_the_revision_may_insert_itself(bench: Bench) -> None:
    given = ('op.execute("CREATE TABLE settings (key text PRIMARY KEY, value text)")',)
    inserted = """op.execute("INSERT INTO settings VALUES ('theme', 'dark')")"""
    changed = """op.execute("UPDATE settings SET value = 'light' WHERE key = 'theme'")"""

    both = bench.record(Story(given, (f"{inserted}\n{changed}",)))
    alone = bench.record(Story(given, (changed,)))

    assert "failing-upgrade" not in {each.rule for each in bench.findings(both)}
    assert [s.rows for p in alone.passes[:1] for s in p.statements if s.sql.startswith("UPDATE settings")] == [1]
