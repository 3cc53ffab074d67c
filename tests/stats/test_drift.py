"""Where production differs from what the history makes, and what a review says of it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

import checks
from reviewer.config import Config
from reviewer.judging import judged
from reviewer.recording import (
    Catalogue,
    Change,
    Column,
    Constraint,
    Enumeration,
    History,
    Index,
    Recording,
    Table,
)
from reviewer.review.engine import review
from reviewer.review.finding import Finding
from reviewer.sql.names import Name
from reviewer.stats import drift
from tests.examples import Bench, Story, without_server
from tests.stats.made import production

ID, NOTE = Column("id", "bigint", nullable=False), Column("note", "text")
KEY = Constraint("orders_pkey", "primary key", ("id",), "PRIMARY KEY (id)")
IX = Index("ix_note", ("note",), "CREATE INDEX ix_note ON public.orders USING btree (note)")
ORDERS = Table(Name("orders", "public"), "table", (ID, NOTE), (KEY,), (IX,))
MADE = Catalogue((ORDERS,), (Enumeration(Name("mood", "public"), ("sad", "ok")),))


def other(**change: Any) -> Catalogue:
    return replace(MADE, tables=(replace(ORDERS, **change),))


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (Catalogue((), MADE.enums), [("table", "orders", Change.MISSING, "")]),
        (
            replace(MADE, tables=(ORDERS, replace(ORDERS, name=Name("more", "app")))),
            [("table", "app.more", Change.LEFT_BEHIND, "")],
        ),
        (other(kind="view"), [("table", "orders", Change.CHANGED, "kind")]),
        (other(columns=(ID,)), [("column", "note", Change.MISSING, "")]),
        (other(columns=(ID, NOTE, Column("x", "text"))), [("column", "x", Change.LEFT_BEHIND, "")]),
        (
            other(columns=(ID, Column("note", "character varying(9)", nullable=False, default="'a'::text"))),
            [
                ("column", "note", Change.CHANGED, "type"),
                ("column", "note", Change.CHANGED, "nullable"),
                ("column", "note", Change.CHANGED, "default"),
            ],
        ),
        (other(constraints=()), [("constraint", "orders_pkey", Change.MISSING, "")]),
        (other(constraints=(replace(KEY, name="pk_orders"),)), []),
        (
            other(constraints=(replace(KEY, definition="PRIMARY KEY (id) NOT VALID", valid=False),)),
            [("constraint", "orders_pkey", Change.CHANGED, "valid")],
        ),
        (other(constraints=(KEY, Constraint("n", "not null", ("id",), "NOT NULL id"))), []),
        (other(indexes=()), [("index", "ix_note", Change.MISSING, "")]),
        (other(indexes=(replace(IX, name="i", definition=IX.definition.replace("ix_note", "i")),)), []),
        (other(indexes=(replace(IX, valid=False),)), [("index", "ix_note", Change.CHANGED, "valid")]),
        (
            other(indexes=(replace(IX, definition=IX.definition.replace("INDEX", "UNIQUE INDEX")),)),
            [("index", "ix_note", Change.CHANGED, "definition")],
        ),
        (other(policies=("mine",)), [("policy", "mine", Change.LEFT_BEHIND, "")]),
        (replace(MADE, enums=()), [("enum type", "mood", Change.MISSING, "")]),
        (
            replace(MADE, enums=(Enumeration(Name("mood", "public"), ("sad",)),)),
            [("enum type", "mood", Change.CHANGED, "labels")],
        ),
        (
            replace(MADE, tables=(ORDERS, replace(ORDERS, name=Name("p"), partition_of=Name("orders")))),
            [],
        ),
        (replace(MADE, tables=(ORDERS, Table(Name("alembic_version", "public"), "table"))), []),
    ],
)
def test_tells_each_difference_once(there: Catalogue, told: list[tuple[str, str, Change, str]]) -> None:
    found = [(each.kind, each.name, each.change, each.aspect) for each in drift.compare(MADE, there)]

    assert found == told


def test_the_sequence_of_a_serial_column_may_have_another_name() -> None:
    mine, theirs = (
        other(columns=(replace(ID, default=f"nextval('{name}_id_seq'::regclass)"),)) for name in ("orders", "old")
    )

    assert list(drift.compare(mine, theirs)) == []


STORY = Story(
    given=(
        'op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, note text)")\n'
        'op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")\n'
        'op.execute("CREATE INDEX ix_note ON orders (note)")',
    ),
    new=(
        'op.add_column("orders", sa.Column("plan", sa.Text()))\n'
        "with op.get_context().autocommit_block():\n"
        '    op.create_index("ix_plan", "orders", ["plan"], postgresql_concurrently=True)',
    ),
)


def with_table(base: Catalogue, name: str, **change: Any) -> Catalogue:
    tables = [replace(each, **change) if each.name.name == name else each for each in base.tables]
    return replace(base, tables=tuple(tables))


def told(recording: Recording, there: Catalogue) -> list[Finding]:
    known = production({"orders": 50}, catalogue=there)
    return [each for each in review(recording, checks.load(), known).findings if each.rule == "production-drift"]


def test_a_production_that_is_what_the_history_makes_is_not_mentioned(bench: Bench) -> None:
    recording = bench.record(STORY)

    assert told(recording, recording.base) == []


def test_a_table_that_the_revision_changes_and_that_differs_is_a_warning(bench: Bench) -> None:
    recording = bench.record(STORY)

    (found,) = told(recording, with_table(recording.base, "orders", indexes=()))

    assert found.severity.value == "warning"
    assert found.message == (
        "In production `orders`, which this revision changes, is not what the history makes: index `ix_note` is missing"
        " there."
    )
    assert found.location is not None


def test_what_the_revision_creates_and_production_has_is_an_error(bench: Bench) -> None:
    recording = bench.record(STORY)
    orders = recording.base.table(Name("orders"))
    assert orders is not None
    columns = (*orders.columns, Column("plan", "text"))

    (found,) = told(recording, with_table(recording.base, "orders", columns=columns))

    assert found.severity.value == "error"
    assert found.message == (
        "Production has column `plan` of `orders` already, which is created here: the upgrade fails there."
    )


def test_a_table_that_is_missing_in_production_is_an_error(bench: Bench) -> None:
    recording = bench.record(STORY)
    rest = tuple(each for each in recording.base.tables if each.name.name != "orders")

    (found,) = told(recording, replace(recording.base, tables=rest))

    assert found.severity.value == "error"
    assert found.message.startswith("`orders`, which this revision changes, is missing in production")


def test_what_no_revision_changes_is_one_notice(bench: Bench) -> None:
    recording = bench.record(STORY)
    there = with_table(recording.base, "users", columns=())
    there = replace(there, tables=(*there.tables, Table(Name("leftover", "public"), "table")))

    (found,) = told(recording, there)

    assert (found.severity.value, found.revision) == ("notice", None)
    assert "table `leftover` is there besides" in found.message
    assert "column `id` of `users` is missing there" in found.message


def test_a_production_at_another_revision_is_not_compared_and_that_is_said(bench: Bench) -> None:
    recording = replace(bench.record(STORY), history=History(base_heads=("abc",)))
    known = production({"orders": 50}, catalogue=Catalogue(), heads=("xyz",))

    report = judged(Config(select=("production-drift",)), [recording], {}, known)

    assert report.findings == ()
    assert [(each.what, each.reason) for each in report.skipped] == [
        (
            "a comparison with the schema of production",
            "production was at revision xyz, and the review starts from abc",
        )
    ]


def test_without_a_server_it_is_not_compared(bench: Bench) -> None:
    recording = without_server(bench.record(STORY))
    known = production({"orders": 50}, catalogue=Catalogue())

    assert drift.between(recording, known) == ()
    assert "without a server" in drift.why_not(recording, known)
