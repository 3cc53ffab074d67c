"""What Alembic's directives and SQLAlchemy's statements emit is understood to the last word."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import asyncpg, pg8000, psycopg, psycopg2

from reviewer.sql.names import Name
from reviewer.sql.operations import (
    AddColumn,
    AddForeignKey,
    AddPrimaryKey,
    AddUnique,
    AlterColumnType,
    ColumnDefinition,
    CreateEnum,
    CreateIndex,
    CreateTable,
    Delete,
    DropColumn,
    DropConstraint,
    DropDefault,
    DropIndex,
    DropNotNull,
    DropObject,
    DropTable,
    ForeignKey,
    Insert,
    Operation,
    RenameColumn,
    RenameTable,
    Select,
    SetDefault,
    SetNotNull,
    SetSchema,
    Unrecognized,
    Update,
)
from reviewer.sql.parse import parse

T = Name("t")


def emitted(directive: Callable[[Operations], object]) -> str:
    """What a directive writes in offline mode."""
    buffer = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": buffer, "literal_binds": True}
    )
    directive(Operations(context))
    return buffer.getvalue()


def column(name: str, kind: str, **parts: object) -> AddColumn:
    """The operation that adds a column to `t`."""
    return AddColumn(T, ColumnDefinition(name, kind, **parts))  # type: ignore[arg-type]  # keywords as given


KEY = ForeignKey(Name("u"), ("a",), ("id",))

DIRECTIVES: list[tuple[str, Callable[[Operations], object], list[Operation]]] = [
    ("add_column", lambda op: op.add_column("t", sa.Column("a", sa.Integer)), [column("a", "INTEGER")]),
    (
        "add_column with a server default",
        lambda op: op.add_column("t", sa.Column("a", sa.String(20), server_default="it's", nullable=False)),
        [column("a", "VARCHAR(20)", default="'it''s'", nullable=False)],
    ),
    (
        "add_column with a function as default",
        lambda op: op.add_column("t", sa.Column("a", sa.DateTime(timezone=True), server_default=sa.func.now())),
        [column("a", "TIMESTAMP WITH TIME ZONE", default="now()")],
    ),
    (
        "add_column in a schema",
        lambda op: op.add_column("T", sa.Column("Order", sa.Numeric(10, 2)), schema="S x"),
        [AddColumn(Name("T", "S x"), ColumnDefinition("Order", "NUMERIC(10, 2)"))],
    ),
    (
        "add_column with a foreign key",
        lambda op: op.add_column("t", sa.Column("a", sa.Integer, sa.ForeignKey("u.id", name="fk"))),
        [column("a", "INTEGER"), AddForeignKey(T, "fk", KEY)],
    ),
    (
        "add_column with an index",
        lambda op: op.add_column("t", sa.Column("a", sa.Integer, index=True)),
        [column("a", "INTEGER"), CreateIndex(T, "ix_t_a", ("a",))],
    ),
    (
        "add_column that is unique",
        lambda op: op.add_column("t", sa.Column("a", sa.Integer, unique=True)),
        [column("a", "INTEGER"), AddUnique(T, None, ("a",))],
    ),
    (
        "add_column, computed",
        lambda op: op.add_column("t", sa.Column("a", sa.Integer, sa.Computed("b * 2", persisted=True))),
        [column("a", "INTEGER", generated="b * 2", stored=True)],
    ),
    (
        "add_column with an identity",
        lambda op: op.add_column("t", sa.Column("a", sa.BigInteger, sa.Identity(always=True, start=5))),
        [column("a", "BIGINT", identity=True, nullable=False)],
    ),
    (
        "add_column of an array",
        lambda op: op.add_column("t", sa.Column("a", postgresql.ARRAY(sa.Text, dimensions=2), server_default="{}")),
        [column("a", "TEXT[][]", default="'{}'")],
    ),
    (
        "add_column of an enum type in a schema",
        lambda op: op.add_column("t", sa.Column("a", postgresql.ENUM("x", name="Kind", schema="s", create_type=False))),
        [column("a", 's."Kind"')],
    ),
    ("drop_column", lambda op: op.drop_column("t", "a"), [DropColumn(T, "a")]),
    (
        "alter_column to another name",
        lambda op: op.alter_column("t", "note", new_column_name="note2"),
        [RenameColumn(T, "note", "note2")],
    ),
    ("alter_column to NOT NULL", lambda op: op.alter_column("t", "a", nullable=False), [SetNotNull(T, "a")]),
    ("alter_column to NULL", lambda op: op.alter_column("t", "a", nullable=True), [DropNotNull(T, "a")]),
    (
        "alter_column to another type",
        lambda op: op.alter_column("t", "a", type_=sa.Double(), postgresql_using="a::double precision"),
        [AlterColumnType(T, "a", "DOUBLE PRECISION", using="a::double precision")],
    ),
    (
        "alter_column with a default",
        lambda op: op.alter_column("t", "a", server_default=sa.text("gen_random_uuid()")),
        [SetDefault(T, "a", "gen_random_uuid()")],
    ),
    ("alter_column without its default", lambda op: op.alter_column("t", "a", server_default=None), [DropDefault(T, "a")]),
    (
        "alter_column with all at once",
        lambda op: op.alter_column("t", "a", new_column_name="b", type_=sa.Text(), nullable=False, server_default="x"),
        [AlterColumnType(T, "a", "TEXT"), SetNotNull(T, "a"), SetDefault(T, "a", "'x'"), RenameColumn(T, "a", "b")],
    ),
    ("rename_table", lambda op: op.rename_table("t", "u", schema="s"), [RenameTable(Name("t", "s"), "u")]),
    ("drop_table", lambda op: op.drop_table("t", if_exists=True), [DropTable(T, if_exists=True)]),
    ("create_index", lambda op: op.create_index("ix", "t", ["a", "b"]), [CreateIndex(T, "ix", ("a", "b"))]),
    (
        "create_index with everything",
        lambda op: op.create_index(
            "ix", "t", [sa.text("lower(a) DESC"), "b"], unique=True, postgresql_concurrently=True, if_not_exists=True,
            postgresql_using="btree", postgresql_where=sa.text("a > 'x'"), postgresql_include=["c"],
            postgresql_ops={"b": "text_pattern_ops"},
        ),
        [
            CreateIndex(
                T, "ix", ("lower(a)", "b"), unique=True, concurrently=True, if_not_exists=True, method="btree",
                where="a > 'x'", include=("c",),
            )
        ],
    ),
    (
        "drop_index",
        lambda op: op.drop_index("ix", "t", schema="s", postgresql_concurrently=True, if_exists=True),
        [DropIndex(Name("ix", "s"), concurrently=True, if_exists=True)],
    ),
    (
        "create_foreign_key",
        lambda op: op.create_foreign_key("fk", "t", "u", ["a"], ["id"]),
        [AddForeignKey(T, "fk", KEY)],
    ),
    (
        "create_foreign_key, not valid",
        lambda op: op.create_foreign_key("fk", "t", "u", ["a"], ["id"], postgresql_not_valid=True),
        [AddForeignKey(T, "fk", KEY, not_valid=True)],
    ),
    (
        "create_foreign_key with actions",
        lambda op: op.create_foreign_key(
            "fk", "t", "u", ["a"], ["id"], ondelete="CASCADE", onupdate="SET NULL", deferrable=True, initially="DEFERRED"
        ),
        [AddForeignKey(T, "fk", ForeignKey(Name("u"), ("a",), ("id",), "CASCADE", "SET NULL"))],
    ),
    ("create_unique_constraint", lambda op: op.create_unique_constraint("uq", "t", ["a"]), [AddUnique(T, "uq", ("a",))]),
    ("create_primary_key", lambda op: op.create_primary_key("pk", "t", ["a"]), [AddPrimaryKey(T, "pk", ("a",))]),
    ("drop_constraint", lambda op: op.drop_constraint("fk", "t", type_="foreignkey"), [DropConstraint(T, "fk")]),
    (
        "create_table",
        lambda op: op.create_table(
            "t",
            sa.Column("id", sa.BigInteger, primary_key=True),
            sa.Column("a", sa.Integer, sa.ForeignKey("u.id", ondelete="CASCADE"), nullable=False),
            sa.Column("kind", sa.Enum("x", "y", name="kind")),
            sa.Column("at", sa.DateTime, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False, comment="when"),
            sa.CheckConstraint("a > 0", name="positive"),
            sa.UniqueConstraint("a", "kind", name="uq"),
        ),
        [
            CreateEnum(Name("kind"), ("x", "y")),
            CreateTable(
                T,
                columns=(
                    ColumnDefinition("id", "BIGSERIAL", nullable=False),
                    ColumnDefinition("a", "INTEGER", nullable=False),
                    ColumnDefinition("kind", "kind"),
                    ColumnDefinition(
                        "at", "TIMESTAMP WITHOUT TIME ZONE", nullable=False, default="CURRENT_TIMESTAMP"
                    ),
                ),
                foreign_keys=(ForeignKey(Name("u"), ("a",), ("id",), "CASCADE"),),
                primary_key=("id",),
                unique=(("a", "kind"),),
                checks=("a > 0",),
                constraint_names=("positive", "uq"),
                unnamed_constraints=2,
            ),
        ],
    ),
    (
        "bulk_insert",
        lambda op: op.bulk_insert(sa.table("t", sa.column("a", sa.Integer), sa.column("b", sa.Text)), [{"a": 1, "b": "x;'y"}, {"a": 2, "b": None}]),
        [Insert(T, ("a", "b")), Insert(T, ("a", "b"))],
    ),
    (
        "execute of an update",
        lambda op: op.execute(sa.update(sa.table("t", sa.column("a"), sa.column("b"))).values(b=sa.column("a") + 1)),
        [Update(T, ("b",), filtered=False, reads=("a",))],
    ),
    (
        "execute of text",
        lambda op: op.execute("ALTER TABLE t SET SCHEMA s"),
        [SetSchema("table", T, "s")],
    ),
    ("drop of an enum type", lambda op: op.execute("DROP TYPE kind"), [DropObject("type", Name("kind"))]),
]  # fmt: skip


@pytest.mark.parametrize(("directive", "operations"), [pytest.param(d, o, id=i) for i, d, o in DIRECTIVES])
def test_a_directive_is_read_as_what_it_means(
    directive: Callable[[Operations], object], operations: list[Operation]
) -> None:
    sql = emitted(directive)

    assert [operation for operation in parse(sql) if type(operation).__name__ != "Comment"] == operations


TYPES = [
    sa.BigInteger(), sa.Boolean(), sa.Date(), sa.DateTime(), sa.Double(), sa.Enum("a", name="e"), sa.Float(10),
    sa.Interval(), sa.JSON(), sa.LargeBinary(), sa.Numeric(10), sa.SmallInteger(), sa.String(), sa.Time(), sa.Uuid(),
    sa.CHAR(3), sa.NCHAR(3), sa.REAL(), sa.TIMESTAMP(timezone=True), sa.Time(timezone=True), sa.ARRAY(sa.String(5)),
    postgresql.BIT(5), postgresql.BIT(5, varying=True), postgresql.CIDR(), postgresql.CITEXT(),
    postgresql.DATERANGE(), postgresql.DOMAIN("email", sa.Text), postgresql.HSTORE(), postgresql.INET(),
    postgresql.INT4MULTIRANGE(), postgresql.INTERVAL(fields="DAY TO SECOND", precision=3),
    postgresql.INTERVAL(fields="YEAR"), postgresql.JSONB(), postgresql.MACADDR(), postgresql.MONEY(),
    postgresql.OID(), postgresql.REGCLASS(), postgresql.TIME(True, 3), postgresql.TIMESTAMP(True, 3),
    postgresql.TSQUERY(), postgresql.TSTZRANGE(), postgresql.TSVECTOR(), postgresql.ARRAY(postgresql.JSONB()),
]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_every_column_type_is_read_as_it_is_spelled(kind: sa.types.TypeEngine[object]) -> None:
    spelled = kind.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]  # SQLAlchemy's own

    sql = emitted(lambda op: op.add_column("t", sa.Column("a", kind, nullable=False)))

    assert parse(sql)[-1] == column("a", spelled, nullable=False)


DRIVERS = [psycopg.dialect, psycopg2.dialect, asyncpg.dialect, pg8000.dialect]
TABLE = sa.table("t", sa.column("id", sa.Integer), sa.column("a", sa.String), sa.column("b", sa.JSON))
ROWS: list[tuple[sa.sql.ClauseElement, Operation]] = [
    (sa.insert(TABLE).values(id=1, a="x"), Insert(T, ("id", "a"))),
    (postgresql.insert(TABLE).values(id=1).on_conflict_do_nothing(), Insert(T, ("id",))),
    (
        sa.insert(TABLE).from_select(["id"], sa.select(sa.column("x")).select_from(sa.table("u")).where(sa.column("y") == 5)),
        Insert(T, ("id",), (Name("u"),)),
    ),
    (sa.update(TABLE).where(TABLE.c.id == 5).values(a="x"), Update(T, ("a",))),
    (sa.update(TABLE).values(a=TABLE.c.b["k"].as_string()), Update(T, ("a",), filtered=False, reads=("b",))),
    (sa.update(TABLE).where(sa.true()).values(a="x"), Update(T, ("a",), filtered=False)),
    (sa.delete(TABLE).where(TABLE.c.id.between(1, 5)), Delete(T)),
    (sa.delete(TABLE).where(TABLE.c.id.in_([1, 2]), TABLE.c.a.like("50%")), Delete(T)),
    (sa.select(sa.func.pg_advisory_lock(5)), Select(calls=("pg_advisory_lock",))),
    (sa.select(TABLE.c.id % 2).where(TABLE.c.a == "x").limit(5).with_for_update(), Select((T,), locking=True)),
    (sa.select(sa.cast(TABLE.c.a, sa.DateTime(timezone=True)), sa.extract("year", TABLE.c.a)), Select((T,))),
]  # fmt: skip


@pytest.mark.parametrize("dialect", DRIVERS, ids=lambda dialect: dialect.__module__.rpartition(".")[2])
@pytest.mark.parametrize(("statement", "operation"), ROWS)
def test_bound_parameters_of_every_driver_are_parameters(
    statement: sa.sql.ClauseElement, operation: Operation, dialect: Callable[[], sa.engine.Dialect]
) -> None:
    sql = str(statement.compile(dialect=dialect(), compile_kwargs={"render_postcompile": True}))

    assert parse(sql) == (operation,)


def test_what_alembic_writes_around_a_revision_is_understood() -> None:
    sql = """
    BEGIN;

    CREATE TABLE alembic_version (
        version_num VARCHAR(32) NOT NULL,
        CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
    );

    -- Running upgrade  -> abc

    INSERT INTO alembic_version (version_num) VALUES ('abc') RETURNING alembic_version.version_num;

    UPDATE alembic_version SET version_num='def' WHERE alembic_version.version_num = 'abc';

    DELETE FROM alembic_version WHERE alembic_version.version_num = 'def';

    DROP TABLE alembic_version;

    COMMIT;
    """

    assert not [operation for operation in parse(sql) if isinstance(operation, Unrecognized)]
