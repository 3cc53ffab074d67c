"""Several commands in one text are judged as the statements that they are.

PostgreSQL itself tells two things apart, and so do we: CONCURRENTLY is refused in a text of several commands whatever the
transaction, in other words and with nothing to write instead; and outside a transaction a text is one by itself, where
statements of their own are committed one by one. What the server sees of a text it sees once: `tests/test_checks.py`
sends the examples both ways on a live server, and what each command has had to do with is tested here.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import checks
from reviewer.recording import Catalogue, Column, Lock, Observation, Relation, Scan, Statement, Table
from reviewer.replay import shares
from reviewer.replay.schema import Schema
from reviewer.replay.stream import commands
from reviewer.review.engine import review
from reviewer.review.finding import Finding
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name
from tests import emitted
from tests.emitted import Emitted

CHECKS = checks.load()
EXAMPLES = [
    pytest.param(found, id=f"{check.RULE.id}: {example.title}")
    for check in CHECKS
    for example in check.EXAMPLES
    if (found := emitted.emitted(example)) is not None and any(len(sent) > 1 for sent in found.upgrades)
]

USERS = Relation("public", "users", "table")


def code(remedy: str) -> list[str]:
    """Without the words on what the rest of the text, or of the revision, does besides."""
    return [line for line in remedy.splitlines() if not line.startswith("#")]


def essence(findings: tuple[Finding, ...]) -> Sequence[object]:
    return sorted(
        (f.rule, f.severity.value, f.direction.value, str(f.location))
        + (() if f.rule == "concurrently-in-transaction" else (f.message, [code(body) for body in f.remedy]))
        for f in findings
    )


@pytest.mark.parametrize("example", EXAMPLES)
def test_one_text_is_judged_as_its_commands_are(example: Emitted) -> None:
    apart = emitted.at_one_line(emitted.recording(example))
    joined = emitted.recording(example, joined=True)

    assert essence(review(joined, CHECKS).findings) == essence(review(apart, CHECKS).findings)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT id, name FROM people", set()),
        ("ALTER TABLE users ADD COLUMN c int NOT NULL DEFAULT 0; ALTER TABLE users ALTER c DROP DEFAULT", {"dropped-default"}),
        ("ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON users USING (true)", set()),
        ("ALTER TABLE users DISABLE TRIGGER trim; ALTER TABLE users ENABLE TRIGGER trim", set()),
        ("DROP VIEW names; CREATE VIEW names AS SELECT name FROM users", set()),
        (
            "ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0) NOT VALID; ALTER TABLE users VALIDATE CONSTRAINT c",
            {"stricter-for-old-code", "validated-in-same-transaction"},
        ),
        ("COMMIT; ALTER TABLE users VALIDATE CONSTRAINT c", {"transaction-control"}),
    ],
)  # fmt: skip
def test_a_command_sees_those_before_and_after_it_in_its_text(sql: str, told: set[str]) -> None:
    given = ("CREATE TABLE users (id bigint PRIMARY KEY, name text)", "CREATE VIEW names AS SELECT name FROM users")

    found = review(emitted.recording(Emitted(given, ((sql,),))), CHECKS).findings

    assert {f.rule for f in found} == told


def parts(sql: str, seen: Observation) -> list[Observation]:
    base = Catalogue((Table(Name("users", "public"), "table", (Column("id", "bigint"), Column("name", "text"))),))
    read = [(each.text, each.operations) for each in commands(sql)]
    found = shares.of(Statement(sql, observation=seen), read, Schema.of(base))
    return [each.observation for each in found if each.observation]


def test_a_lock_is_the_first_command_s_that_takes_it() -> None:
    sql = "UPDATE users SET name = 'x'; ALTER TABLE users ADD COLUMN a int; ALTER TABLE users ADD COLUMN b int"
    taken = (Lock(USERS, LockMode.ROW_EXCLUSIVE), Lock(USERS, LockMode.ACCESS_EXCLUSIVE))

    assert [each.locks for each in parts(sql, Observation(locks=taken))] == [taken[:1], taken[1:], ()]


def test_what_was_written_anew_was_so_by_the_command_that_must_do_it() -> None:
    sql = "ALTER TABLE users ADD COLUMN a int; ALTER TABLE users ALTER id TYPE text; ALTER TABLE users ADD COLUMN b int"

    assert [bool(each.rewritten) for each in parts(sql, Observation(rewritten=(USERS,)))] == [False, True, False]


def test_a_scan_is_that_of_every_command_that_makes_one() -> None:
    sql = "ALTER TABLE users ALTER name SET NOT NULL; ALTER TABLE users ADD COLUMN a int; CREATE INDEX i ON users (name)"

    found = parts(sql, Observation(scanned=(Scan(USERS, 20),)))

    assert [bool(each.scanned) for each in found] == [True, False, True]


def test_a_relation_has_the_name_that_it_had_when_the_command_had_run() -> None:
    sql = "ALTER TABLE users ADD COLUMN a int; ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT 1 AS id"
    people, view = Relation("public", "people", "table"), Relation("public", "users", "view", new=True)
    taken = (Lock(people, LockMode.ACCESS_EXCLUSIVE), Lock(view, LockMode.ACCESS_EXCLUSIVE))

    found = [
        [(str(lock.relation), lock.relation.new) for lock in each.locks] for each in parts(sql, Observation(taken))
    ]

    assert found == [[("users", False)], [], [("users", True)]]


def test_a_table_in_the_place_of_another_is_not_locked_before_it_is_there() -> None:
    sql = "DROP TABLE users; CREATE TABLE users (id bigint)"
    new = Relation("public", "users", "table", new=True)
    taken = (Lock(USERS, LockMode.ACCESS_EXCLUSIVE), Lock(new, LockMode.ACCESS_EXCLUSIVE))

    assert [each.locks for each in parts(sql, Observation(taken))] == [taken[:1], taken[1:]]


def test_a_message_is_said_of_the_command_that_names_what_it_names() -> None:
    sql = "DROP VIEW IF EXISTS a; DROP VIEW b"
    said = ('view "a" does not exist, skipping',)

    assert [each.messages for each in parts(sql, Observation(messages=said))] == [said, ()]
