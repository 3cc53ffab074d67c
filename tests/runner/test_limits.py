"""What a migration sends or brings forth may be as large as it likes: what is told of it is bounded, and says so."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from reviewer.recording import Statement
from reviewer.rehearsal.reader import Run
from reviewer.sql.operations import AddColumn, Insert
from reviewer.sql.parse import parse
from tests.command import revision
from tests.runner.conftest import Project

LONG = """
op.execute("CREATE TABLE t (id int, x text)")
op.execute("INSERT INTO t VALUES (1, '" + "x" * 3000000 + "')")
op.get_bind().execute(sa.text("SELECT CAST(:a AS text), CAST(:b AS text)"), {"a": "y" * 3000000, "b": "z"})
op.execute("ALTER TABLE t ADD COLUMN y serial")
"""
LOOP = """
for number in range(1200):
    op.execute("SELECT %d" % number)
op.execute("CREATE TABLE later (id int)")
"""
LOOP_THAT_FAILS = """
for number in range(1200):
    op.execute("SELECT 1 / (1100 - %d)" % number)
"""
NOTICES = """
op.execute("CREATE TABLE items_2 (id int)")
op.execute(\"\"\"DO $$ BEGIN
    FOR i IN 1..20000 LOOP RAISE NOTICE 'row %', i; END LOOP;
    RAISE NOTICE '%', repeat('x', 10000000);
    ALTER TABLE items_2 ADD COLUMN y serial;
END $$\"\"\")
op.execute("SELECT 1")
"""
HUGE_NUMBER = """
class Odd(dict):
    def values(self):
        raise ValueError("not for you")
op.get_bind().execute(sa.text("SELECT 1 WHERE CAST(:a AS numeric) > 0"), {"a": 10 ** 5000})
op.get_bind().execute(sa.text("SELECT 1 WHERE :a > 0"), {"a": 1})
"""


@pytest.fixture(scope="module")
def project(make: Callable[..., Project]) -> Project:
    bodies = {"long": LONG, "loop": LOOP, "fails": LOOP_THAT_FAILS, "notices": NOTICES, "number": HUGE_NUMBER}
    return make(*(revision(name, None, body) for name, body in bodies.items()))


def statements(run: Run) -> tuple[Statement, ...]:
    return tuple(each for one in run.passes for each in one.statements if each.location is not None)


def test_a_long_statement_is_cut_and_known_for_what_it_is(project: Project) -> None:
    run = project.run(do="step", revision="long", direction="upgrade")

    assert run.failure is None
    _, insert, select, alter = statements(run)
    assert (len(insert.sql), insert.left_out) == (1_000_000, 2_000_028)
    assert [type(each) for each in parse(insert.sql, cut=True)] == [Insert]
    assert (select.left_out, select.parameters) == (0, ("<str of length 3000000>", "<str of length 1>"))
    assert isinstance(parse(alter.sql)[0], AddColumn)
    assert alter.observation is not None
    assert [str(each) for each in alter.observation.rewritten] == []  # a new table's rows are nobody's
    [(what, reason)] = run.shortened
    assert what.startswith("rest of migrations/versions/")
    assert reason == "of 3,000,028 characters of SQL only the first 1,000,000 were read"


def test_of_a_loop_only_the_first_statements_are_told_and_what_follows_is(project: Project) -> None:
    run = project.run(do="step", revision="loop", direction="upgrade")

    assert run.failure is None
    found = statements(run)
    assert len(found) == 1001
    assert found[-1].sql == "CREATE TABLE later (id int)"
    [(what, reason)] = run.shortened
    assert what.startswith("statements of migrations/versions/")
    assert reason == "it sent 1,200 in one run, of which the first 1,000 were recorded"


def test_a_statement_that_fails_is_told_though_its_line_is_only_counted(project: Project) -> None:
    run = project.run(do="step", revision="fails", direction="upgrade")

    assert run.failure is not None
    assert (run.failure.sql, run.failure.message) == ("SELECT 1 / (1100 - 1100)", "division by zero")
    assert statements(run)[-1].error == "division by zero"


def test_a_flood_of_messages_is_cut_and_what_the_server_does_is_among_the_rest(project: Project) -> None:
    run = project.run(do="step", revision="notices", direction="upgrade")

    assert run.failure is None
    flood, after = statements(run)[1:]
    assert flood.observation is not None
    messages = flood.observation.messages
    assert "row 1" in messages
    assert 200 < len(messages) < 300
    assert re.fullmatch(r"1980\d more messages were left out", messages[-1])
    assert flood.observation.says('rewriting table "items_2"')
    assert max(map(len, messages)) <= 2000
    assert after.observation is not None
    assert after.observation.messages == ()


def test_a_migration_does_not_fail_because_its_values_are_looked_at(project: Project) -> None:
    run = project.run(do="step", revision="number", direction="upgrade")

    assert run.failure is None
    assert [each.parameters for each in statements(run)] == [("<int of 16610 bits>",), ("1",)]
