"""The model of the schema: what operations make of it, what things were called before, and what a name stands for."""

from __future__ import annotations

import pytest

import checks
from reviewer.recording import (
    Catalogue,
    Column,
    Direction,
    Index,
    Location,
    Lock,
    Mode,
    Observation,
    Outcome,
    Pass,
    Recording,
    Rehearsal,
    Relation,
    Revision,
    Scan,
    Server,
    Statement,
    Table,
)
from reviewer.replay.schema import Schema
from reviewer.replay.stream import operations, qualified, understand
from reviewer.review.engine import review
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name
from reviewer.sql.parse import parse

USERS = Table(
    Name("users", "public"),
    "table",
    (Column("id", "bigint", nullable=False), Column("name", "character varying(50)")),
    indexes=(Index("by_name", ("name",), "CREATE INDEX by_name ON public.users USING btree (name)"),),
)
BASE = Schema.of(Catalogue((USERS,)))


def after(*statements: str, schema: Schema = BASE) -> Schema:
    for sql in statements:
        for operation in parse(sql):
            schema = schema.apply(qualified(operation, schema))
    return schema


def test_what_it_was_before_an_operation_stays_as_it_was() -> None:
    after("ALTER TABLE users DROP COLUMN name", "DROP TABLE users")

    assert BASE.column(Name("users"), "name") == USERS.columns[1]


def test_knows_what_a_column_was_called_when_the_deploy_began() -> None:
    now = after(
        "ALTER TABLE users RENAME name TO nick",
        "ALTER TABLE users RENAME TO people",
        "CREATE SCHEMA other",
        "ALTER TABLE people SET SCHEMA other",
        "ALTER TABLE other.people RENAME nick TO title",
    )

    assert now.column_origin(Name("people", "other"), "title") == (Name("users"), "name")
    assert now.table(Name("users")) is None


@pytest.mark.parametrize(
    "statements",
    [
        ["ALTER TABLE users ADD COLUMN age int"],
        ["ALTER TABLE users ADD COLUMN born int", "ALTER TABLE users RENAME born TO age"],
        ["ALTER TABLE users DROP COLUMN age", "ALTER TABLE users ADD COLUMN age int"],
    ],
)
def test_a_column_that_came_has_no_name_of_before(statements: list[str]) -> None:
    assert after(*statements).is_new_column(Name("users"), "age")


def test_a_column_that_is_there_is_not_new_because_it_is_added_if_it_is_not() -> None:
    assert not after("ALTER TABLE users ADD COLUMN IF NOT EXISTS name text").is_new_column(Name("users"), "name")


def test_what_takes_the_name_of_another_table_is_what_it_was() -> None:
    now = after(
        "CREATE TABLE fresh (id int)", "ALTER TABLE users RENAME TO old", "ALTER TABLE fresh RENAME TO users"
    )

    assert now.is_new(Name("users"))
    assert now.origin(Name("old")) == Name("users")


def test_an_index_goes_with_a_column_that_its_where_reads() -> None:
    index = "CREATE INDEX first ON users (id) WHERE name IS NULL"
    renamed = after(index, "ALTER TABLE users RENAME name TO called")
    dropped = after(index, "ALTER TABLE users DROP name")

    assert [each.reads for each in renamed.indexes(Name("users")) if each.name == "first"] == [("called",)]
    assert dropped.indexes(Name("users")) == ()


def test_indexes_and_references_follow_a_table_that_is_renamed() -> None:
    now = after("CREATE TABLE orders (user_id bigint REFERENCES users)", "ALTER TABLE users RENAME TO people")

    assert now.indexes(Name("people"))[0].definition == "CREATE INDEX by_name ON people USING btree (name)"
    assert now.constraints(Name("orders"))[0].referenced == Name("people", "public")


@pytest.mark.parametrize(
    ("named", "statements", "there"),
    [
        ("", (), ("id",)),
        (" (name)", (), ("name",)),
        ("", ("ALTER TABLE users RENAME id TO number",), ("number",)),
        (" (name)", ("ALTER TABLE users RENAME id TO number",), ("name",)),
    ],
)
def test_a_foreign_key_knows_the_columns_that_it_refers_to(
    named: str, statements: tuple[str, ...], there: tuple[str, ...]
) -> None:
    now = after(
        "ALTER TABLE users ADD PRIMARY KEY (id)",
        f"CREATE TABLE pets (id bigint PRIMARY KEY, owner text REFERENCES users{named})",
        *statements,
    )

    found = [each.referenced_columns for each in now.constraints(Name("pets")) if each.kind == "foreign key"]
    assert found == [there]


@pytest.mark.parametrize(
    "rename", ["ALTER TABLE users RENAME CONSTRAINT uq TO unique_name", "ALTER INDEX uq RENAME TO unique_name"]
)
def test_a_unique_constraint_and_its_index_are_renamed_together(rename: str) -> None:
    now = after("ALTER TABLE users ADD CONSTRAINT uq UNIQUE (name)", rename)

    assert ("unique_name", "unique_name") in {(i.name, i.constraint) for i in now.indexes(Name("users"))}
    assert [each.name for each in now.constraints(Name("users"))] == ["unique_name"]


def test_of_a_table_that_nobody_knows_it_keeps_what_was_done_to_it() -> None:
    now = after("ALTER TABLE things ADD COLUMN age int NOT NULL DEFAULT 1", "ALTER TABLE things RENAME TO other")

    assert now.table(Name("other")) is None
    assert now.column(Name("other"), "age") == Column("age", "integer", nullable=False, default="1")
    assert now.column_origin(Name("other"), "name") == (Name("things"), "name")


@pytest.mark.parametrize(
    ("set_", "path"),
    [
        ("SET search_path TO acme", ("acme",)),
        ("SET search_path = 'acme', public", ("acme", "public")),
        ('SET search_path TO "Acme Inc", "$user", public', ("Acme Inc", "public")),
        ("SET SCHEMA 'acme'", ("acme",)),
        ("SELECT set_config('search_path', 'acme, public', false)", ("acme", "public")),
        ("SELECT pg_catalog.set_config('search_path', '', false)", ("public",)),
        ("SET search_path TO DEFAULT", ("public",)),
        ("RESET search_path", ("public",)),
    ],
)
def test_follows_the_search_path(set_: str, path: tuple[str, ...]) -> None:
    assert after(set_).path == path


def test_the_path_of_a_transaction_ends_with_it() -> None:
    now = after("SET search_path TO acme", "SET LOCAL search_path TO other")

    assert (now.path, now.committed().path) == (("other",), ("acme",))


def test_a_name_stands_for_the_first_table_on_the_path_and_a_new_one_for_the_first_schema() -> None:
    schema = after("SET search_path TO acme, public", "CREATE TABLE orders (id int)")

    found = [
        operation
        for sql in ("DROP TABLE orders", "DROP TABLE users", "CREATE TABLE users (id int)")
        for operation in parse(sql)
    ]

    assert [str(getattr(qualified(each, schema), "table", "")) for each in found] == [
        "acme.orders",
        "users",
        "acme.users",
    ]


def tenant(name: str, *sent: Statement) -> Recording:
    """One revision on the tables of a tenant, whose schema is where names are looked for."""
    table = Table(
        Name("orders", "acme"), "table", (Column("id", "bigint", nullable=False), Column("state", "text")), rows=20
    )
    ran = Pass(name, Direction.UPGRADE, Rehearsal.DEPLOYED, Outcome.OK, statements=sent)
    revision = Revision(name, (), f"{name}.py", upgrade_line=1)
    return Recording(
        "0", Mode.OBSERVED, (revision,), (ran,), server=Server("18.4", "local"), base=Catalogue((table,))
    )


ORDERS = Relation("acme", "orders", "table")
BUILT = Relation("acme", "ix", "index", new=True, table="orders")


def test_an_observed_lock_tells_where_a_name_leads_that_no_statement_has_set() -> None:
    seen = Observation((Lock(ORDERS, LockMode.SHARE),), (), (Scan(ORDERS, 20),), (BUILT,), transaction=1)
    index = Statement("CREATE INDEX ix ON orders (state)", Location("r.py", 2), observation=seen)
    failing = Statement(
        "ALTER TABLE orders DROP COLUMN state", Location("r.py", 3), error="canceled", sqlstate="57014"
    )

    recording = tenant("r", index, failing)

    tables = [
        operation.table
        for story in understand(recording)
        for operation, _ in story.operations()
        if hasattr(operation, "table")
    ]
    assert tables == [Name("orders", "acme"), Name("orders", "acme")]


def test_a_schema_for_each_tenant_gets_the_rules_and_remedies_of_public() -> None:
    seen = Observation(
        (Lock(ORDERS, LockMode.SHARE),), (), (Scan(ORDERS, 20),), (BUILT,), lock_timeout=5000, transaction=1
    )
    sent = (
        Statement("SET search_path TO acme", Location("r.py", 2)),
        Statement("CREATE INDEX ix ON orders (state)", Location("r.py", 3), observation=seen),
    )

    told = review(tenant("r", *sent), checks.load()).findings
    found = next(each for each in told if each.rule == "blocking-index")

    assert not {each.rule for each in told} & {"blocking-statement", "unnamed-lock"}
    assert found.message.count("`acme.orders`") == found.message.count("orders") == 2
    assert 'schema="acme"' in found.remedy[0]


def test_names_as_they_are_written_are_read_once() -> None:
    statement = Statement("CREATE TABLE a (id int); DROP TABLE a")

    assert (
        operations(statement)
        == operations(statement)
        == (*parse("CREATE TABLE a (id int)"), *parse("DROP TABLE a"))
    )
