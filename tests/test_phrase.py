"""What operations do, in one phrase."""

from __future__ import annotations

from pathlib import Path

import pytest

from reviewer.review.summary import describe
from reviewer.sql.operations import Copy, Operation, Select, SessionCommand, SetVariable, TransactionControl
from reviewer.sql.parse import parse, split

CORPUS = (Path(__file__).parent / "data" / "statements.sql").read_text(encoding="utf-8")
SILENT = (Select, SetVariable, TransactionControl, SessionCommand, Copy)


def test_names_each_thing_with_its_table() -> None:
    operations = parse(
        "ALTER TABLE users ADD age int; CREATE INDEX CONCURRENTLY ix_a ON users (age); DROP TABLE public.logs"
    )

    assert describe(operations) == "adds `users.age`, creates index `ix_a` on `users`, drops table `logs`"


def test_says_how_many_more_there_are() -> None:
    operations = parse("; ".join(f"ALTER TABLE users ADD c{n} int" for n in range(8)))

    assert describe(operations) == "adds `users.c0`, `users.c1`, `users.c2` and 5 more"


def test_shows_the_last_one_instead_of_saying_one_more() -> None:
    operations = parse("; ".join(f"DROP TABLE t{n}" for n in range(4)))

    assert describe(operations) == "drops tables `t0`, `t1`, `t2` and `t3`"


@pytest.mark.parametrize(
    ("sql", "phrase"),
    [
        ("DROP INDEX a; DROP INDEX b; DROP TABLE t", "drops indexes `a` and `b`, drops table `t`"),
        ("DELETE FROM a; DELETE FROM b", "deletes from `a` and `b`"),
        (
            "ALTER TABLE t ALTER a SET NOT NULL, ALTER b SET NOT NULL, ALTER c SET NOT NULL, DROP d, DROP e",
            "makes `t.a`, `t.b` and `t.c` NOT NULL and 2 more",
        ),
        ("ALTER TABLE t RENAME a TO b; ALTER TABLE t RENAME c TO d", "renames `t.a` to `b`, renames `t.c` to `d`"),
    ],
)
def test_says_the_verb_once_for_several_names(sql: str, phrase: str) -> None:
    assert describe(parse(sql)) == phrase


def test_says_a_thing_that_is_done_twice_once() -> None:
    assert describe(parse("UPDATE users SET a = 1; UPDATE users SET b = 2")) == "updates `users`"


@pytest.mark.parametrize("sql", ["", "SELECT 1", "SET lock_timeout = '1s'", "BEGIN; SHOW x; COMMIT"])
def test_what_only_reads_or_concerns_the_session_changes_nothing(sql: str) -> None:
    assert describe(parse(sql)) == "changes nothing"


@pytest.mark.parametrize(
    ("sql", "phrase"),
    [
        ("DO $$ BEGIN END $$", "runs a DO block"),
        ("what is this", "runs SQL that is not understood"),
        ("CALL s.p(1)", "calls `s.p`"),
        ("INSERT INTO s.t VALUES (1)", "inserts into `s.t`"),
        ("ALTER TABLE t ALTER a TYPE double precision", "makes `t.a` `double precision`"),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u", "adds a foreign key from `t` to `u`"),
        ("CREATE INDEX ON t (a)", "creates an index on `t`"),
        ("CREATE TABLE p PARTITION OF t DEFAULT", "creates partition `p` of `t`"),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", "creates materialized view `v`"),
        ("ALTER TYPE mood ADD VALUE 'ok'", "adds `ok` to type `mood`"),
        ("CREATE TRIGGER a AFTER INSERT ON t EXECUTE FUNCTION f()", "creates trigger `a` on `t`"),
        ("REINDEX SYSTEM", "rebuilds the system"),
    ],
)
def test_a_statement_in_words(sql: str, phrase: str) -> None:
    assert describe(parse(sql)) == phrase


@pytest.mark.parametrize("sql", split(CORPUS))
def test_every_operation_that_changes_something_has_words(sql: str) -> None:
    changes: list[Operation] = [operation for operation in parse(sql) if not isinstance(operation, SILENT)]

    assert all(describe([operation]) != "changes nothing" for operation in changes)
