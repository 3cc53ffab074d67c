"""The closed vocabulary of operations: what a statement means, one frozen struct each.

`parse.py` creates them, checks match on them. One statement can contain several (an `ALTER TABLE` with three
actions is three operations). What is not understood becomes `Unrecognized`, and is never dropped.
"""

from __future__ import annotations

from typing import Union

from msgspec import Struct, field

from reviewer.sql.names import Name


class ForeignKey(Struct, frozen=True):
    """What a foreign key refers to; `columns` is empty where it is written on a column."""

    referenced: Name
    columns: tuple[str, ...] = ()
    referenced_columns: tuple[str, ...] = ()
    on_delete: str | None = None
    on_update: str | None = None
    sets: tuple[str, ...] = ()
    """The columns to which ON DELETE SET NULL or SET DEFAULT is limited; empty for all of the key."""


class ColumnDefinition(Struct, frozen=True):
    """A column as CREATE TABLE or ADD COLUMN writes it."""

    name: str
    type: str
    """As written, white space folded: `VARCHAR(50)`, `TIMESTAMP WITH TIME ZONE`, `kind[]`."""
    nullable: bool = True
    default: str | None = None
    identity: bool = False
    generated: str | None = None
    """The expression of a generated column."""
    stored: bool = False
    primary_key: bool = False
    unique: bool = False
    check: str | None = None
    references: ForeignKey | None = None
    collation: str | None = None
    constraint_names: tuple[str, ...] = ()
    """Names given to the constraints written on it."""
    unnamed_constraints: int = 0
    """Keys, unique and check constraints written on it whose names the database generates."""

    @property
    def serial(self) -> bool:
        """Whether the type is one of the serial pseudo-types."""
        return self.type.lower() in {"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"}


# -- tables ---------------------------------------------------------------------------------------


class CreateTable(Struct, frozen=True):
    """CREATE TABLE, CREATE FOREIGN TABLE or SELECT INTO; constraints written in it are part of it, not
    separate operations. `foreign_keys`, `primary_key`, `unique` and `checks` hold those that are written on
    a column too.
    """

    table: Name
    columns: tuple[ColumnDefinition, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    checks: tuple[str, ...] = ()
    constraint_names: tuple[str, ...] = ()
    unnamed_constraints: int = 0
    if_not_exists: bool = False
    partition_of: Name | None = None
    partitioned: bool = False
    unlogged: bool = False
    temporary: bool = False
    as_query: bool = False
    sources: tuple[Name, ...] = ()
    """The tables from which it gets rows."""
    inherits: tuple[Name, ...] = ()
    like: tuple[Name, ...] = ()
    foreign: bool = False


class DropTable(Struct, frozen=True):
    """DROP TABLE of one table; a list becomes one operation each."""

    table: Name
    cascade: bool = False
    if_exists: bool = False


class RenameTable(Struct, frozen=True):
    table: Name
    new_name: str


class SetSchema(Struct, frozen=True):
    """ALTER ... SET SCHEMA of a table or another object."""

    kind: str
    object: Name
    new_schema: str


class SetLogged(Struct, frozen=True):
    """ALTER TABLE ... SET LOGGED or SET UNLOGGED."""

    table: Name
    logged: bool


class SetTablespace(Struct, frozen=True):
    table: Name
    tablespace: str


class SetAccessMethod(Struct, frozen=True):
    table: Name
    method: str


class SetStorageParameters(Struct, frozen=True):
    """ALTER TABLE or INDEX ... SET (...) or RESET (...)."""

    object: Name
    parameters: tuple[str, ...]


class ReplicaIdentity(Struct, frozen=True):
    table: Name


class RowSecurity(Struct, frozen=True):
    """ALTER TABLE ... ENABLE, DISABLE, FORCE or NO FORCE ROW LEVEL SECURITY."""

    table: Name
    action: str


class Inherit(Struct, frozen=True):
    """ALTER TABLE ... INHERIT or NO INHERIT."""

    table: Name
    parent: Name
    inherit: bool = True


class ClusterOn(Struct, frozen=True):
    """ALTER TABLE ... CLUSTER ON or SET WITHOUT CLUSTER: only a mark, no rows are moved."""

    table: Name


class AttachPartition(Struct, frozen=True):
    table: Name
    partition: Name
    default: bool = False


class DetachPartition(Struct, frozen=True):
    table: Name
    partition: Name
    concurrently: bool = False
    """Also for `FINALIZE`, which completes such a detachment."""


# -- columns --------------------------------------------------------------------------------------


class AddColumn(Struct, frozen=True):
    table: Name
    column: ColumnDefinition
    if_not_exists: bool = False


class DropColumn(Struct, frozen=True):
    table: Name
    column: str
    cascade: bool = False
    if_exists: bool = False


class RenameColumn(Struct, frozen=True):
    table: Name
    column: str
    new_name: str


class AlterColumnType(Struct, frozen=True):
    table: Name
    column: str
    type: str
    using: str | None = None
    collation: str | None = None


class SetDefault(Struct, frozen=True):
    table: Name
    column: str
    default: str


class DropDefault(Struct, frozen=True):
    table: Name
    column: str


class SetNotNull(Struct, frozen=True):
    table: Name
    column: str


class DropNotNull(Struct, frozen=True):
    table: Name
    column: str


class AddIdentity(Struct, frozen=True):
    table: Name
    column: str


class AlterIdentity(Struct, frozen=True):
    """ALTER COLUMN ... SET GENERATED, RESTART and the like."""

    table: Name
    column: str


class DropIdentity(Struct, frozen=True):
    table: Name
    column: str


class SetExpression(Struct, frozen=True):
    """ALTER COLUMN ... SET EXPRESSION of a generated column."""

    table: Name
    column: str
    expression: str


class DropExpression(Struct, frozen=True):
    table: Name
    column: str


class AlterColumnOptions(Struct, frozen=True):
    """ALTER COLUMN ... SET STATISTICS, STORAGE, COMPRESSION or (options): catalogue only."""

    table: Name
    column: str
    option: str


# -- constraints ----------------------------------------------------------------------------------


class AddForeignKey(Struct, frozen=True):
    table: Name
    name: str | None
    key: ForeignKey
    not_valid: bool = False
    """Also for `NOT ENFORCED` (PostgreSQL 18), which does not scan the table either."""


class AddCheck(Struct, frozen=True):
    table: Name
    name: str | None
    expression: str
    not_valid: bool = False
    """As of `AddForeignKey`."""


class AddNotNull(Struct, frozen=True):
    """ADD CONSTRAINT ... NOT NULL column (PostgreSQL 18)."""

    table: Name
    name: str | None
    column: str
    not_valid: bool = False


class AddUnique(Struct, frozen=True):
    """ADD CONSTRAINT ... UNIQUE, by columns or USING INDEX."""

    table: Name
    name: str | None
    columns: tuple[str, ...] = ()
    using_index: str | None = None
    nulls_not_distinct: bool = False


class AddPrimaryKey(Struct, frozen=True):
    """ADD PRIMARY KEY, by columns or USING INDEX."""

    table: Name
    name: str | None
    columns: tuple[str, ...] = ()
    using_index: str | None = None


class AddExclusion(Struct, frozen=True):
    table: Name
    name: str | None


class DropConstraint(Struct, frozen=True):
    table: Name
    name: str
    cascade: bool = False
    if_exists: bool = False


class RenameConstraint(Struct, frozen=True):
    table: Name
    name: str
    new_name: str


class ValidateConstraint(Struct, frozen=True):
    table: Name
    name: str


class AlterConstraint(Struct, frozen=True):
    table: Name
    name: str
    enforced: bool | None = None
    """What it becomes with ENFORCED (foreign keys from PostgreSQL 18 on, CHECK from 19 on) or NOT ENFORCED."""
    deferrable: bool | None = None
    """What it becomes; None if it stays what it is."""
    deferred: bool | None = None
    """Whether it is checked at the end of the transaction from now on, without SET CONSTRAINTS."""


# -- indexes --------------------------------------------------------------------------------------


class CreateIndex(Struct, frozen=True):
    table: Name
    name: str | None
    columns: tuple[str, ...] = ()
    """Key columns in order; an expression as written."""
    unique: bool = False
    concurrently: bool = False
    if_not_exists: bool = False
    only: bool = False
    method: str | None = None
    where: str | None = None
    include: tuple[str, ...] = ()
    nulls_not_distinct: bool = False


class DropIndex(Struct, frozen=True):
    index: Name
    concurrently: bool = False
    if_exists: bool = False
    cascade: bool = False


class RenameIndex(Struct, frozen=True):
    index: Name
    new_name: str


class AttachIndex(Struct, frozen=True):
    """ALTER INDEX ... ATTACH PARTITION."""

    index: Name
    partition: Name


class Reindex(Struct, frozen=True):
    """REINDEX of an `index`, `table`, `schema`, `database` or `system`."""

    kind: str
    object: Name | None
    concurrently: bool = False


# -- views, types, and everything else that has a name --------------------------------------------


class CreateView(Struct, frozen=True):
    view: Name
    replace: bool = False
    materialized: bool = False
    query: str = ""
    columns: tuple[str, ...] = ()
    """Names of its columns; empty if the text does not show all of them."""


class DropView(Struct, frozen=True):
    view: Name
    cascade: bool = False
    materialized: bool = False


class RefreshMaterializedView(Struct, frozen=True):
    view: Name
    concurrently: bool = False
    with_data: bool = True


class CreateEnum(Struct, frozen=True):
    type: Name
    labels: tuple[str, ...] = ()


class AddEnumValue(Struct, frozen=True):
    type: Name
    value: str
    if_not_exists: bool = False


class RenameEnumValue(Struct, frozen=True):
    type: Name
    value: str
    new_value: str


class CreateDomain(Struct, frozen=True):
    domain: Name
    type: str = ""
    constrained: bool = False


class AlterDomain(Struct, frozen=True):
    """ALTER DOMAIN; `action` is one of `add constraint`, `drop constraint`, `validate constraint`, `set not null`,
    `drop not null`, `set default`, `drop default`, `rename constraint`.
    """

    domain: Name
    action: str
    constraint: str | None = None
    not_valid: bool = False


class CreateObject(Struct, frozen=True):
    """CREATE of any other named object: `sequence`, `function`, `procedure`, `trigger`, `policy`, `extension`,
    `schema`, `type`, `rule`, `statistics`, `collation`, `aggregate`, `role`, `database`, `publication` …
    """

    kind: str
    object: Name
    replace: bool = False
    if_not_exists: bool = False
    table: Name | None = None
    """Of a trigger, policy or rule: the table that it is on."""


class AlterObject(Struct, frozen=True):
    """ALTER of any other named object that is not a rename, an owner or a schema change."""

    kind: str
    object: Name
    action: str = ""
    table: Name | None = None


class DropObject(Struct, frozen=True):
    """DROP of any other named object, kinds as in `CreateObject`."""

    kind: str
    object: Name
    cascade: bool = False
    if_exists: bool = False
    table: Name | None = None


class RenameObject(Struct, frozen=True):
    """RENAME of anything that is not a table, column, index, constraint or enum value. Kinds as in
    `CreateObject`, and `view`, `materialized view`, `domain`, `attribute`.
    """

    kind: str
    object: Name
    new_name: str
    table: Name | None = None
    """Of a trigger, policy or rule: its table; of an attribute: its type."""


class SetTrigger(Struct, frozen=True):
    """ALTER TABLE ... ENABLE or DISABLE TRIGGER (or RULE); `name` may be `all` or `user`."""

    table: Name
    name: str
    enabled: bool


class ChangeOwner(Struct, frozen=True):
    kind: str
    object: Name
    owner: str


class Privileges(Struct, frozen=True):
    """GRANT, REVOKE or ALTER DEFAULT PRIVILEGES."""

    action: str


class Comment(Struct, frozen=True):
    """COMMENT ON, or SECURITY LABEL."""

    kind: str
    object: str


# -- rows -----------------------------------------------------------------------------------------


class Select(Struct, frozen=True):
    """SELECT, VALUES, TABLE or WITH that changes nothing; `calls` are the functions it calls."""

    tables: tuple[Name, ...] = ()
    calls: tuple[str, ...] = ()
    locking: bool = False
    """FOR UPDATE and the like."""
    locks_all: bool = False
    """Whether it locks each row of its only table for other writers: FOR UPDATE or FOR SHARE without WHERE or LIMIT."""


class Insert(Struct, frozen=True):
    table: Name
    columns: tuple[str, ...] = ()
    sources: tuple[Name, ...] = ()
    """Tables that INSERT ... SELECT reads."""


class Update(Struct, frozen=True):
    table: Name
    columns: tuple[str, ...] = ()
    filtered: bool = True
    """Whether a WHERE excludes some rows; a tautology does not."""
    sources: tuple[Name, ...] = ()
    reads: tuple[str, ...] = ()
    """Columns that the assigned expressions read."""


class Delete(Struct, frozen=True):
    table: Name
    filtered: bool = True
    sources: tuple[Name, ...] = ()


class Merge(Struct, frozen=True):
    table: Name
    sources: tuple[Name, ...] = ()
    does: tuple[str, ...] = ()
    """What follows THEN, each once: `insert`, `update` or `delete`; not DO NOTHING."""


class Truncate(Struct, frozen=True):
    table: Name
    cascade: bool = False


class Copy(Struct, frozen=True):
    """COPY; `into`: whether it inserts rows."""

    table: Name | None
    into: bool = True


# -- maintenance, sessions, code ------------------------------------------------------------------


class LockTable(Struct, frozen=True):
    table: Name
    mode: str = "ACCESS EXCLUSIVE"


class Vacuum(Struct, frozen=True):
    table: Name | None
    full: bool = False


class Cluster(Struct, frozen=True):
    table: Name | None


class Repack(Struct, frozen=True):
    """REPACK (PostgreSQL 19), which does the work of VACUUM FULL and CLUSTER."""

    table: Name | None
    concurrently: bool = False


class Analyze(Struct, frozen=True):
    table: Name | None


class SetVariable(Struct, frozen=True):
    """SET, RESET or `SELECT set_config(...)`; `value` is None for RESET and DEFAULT."""

    name: str
    value: str | None
    local: bool = False


class TransactionControl(Struct, frozen=True):
    """BEGIN, COMMIT, ROLLBACK, SAVEPOINT and the like; `action` in lower case."""

    action: str
    name: str = ""
    """Of the savepoint."""


class DoBlock(Struct, frozen=True):
    """DO: code whose effects the text does not show."""

    language: str = "plpgsql"
    body: str = ""


class Call(Struct, frozen=True):
    """CALL of a procedure."""

    procedure: Name


class SessionCommand(Struct, frozen=True):
    """Statements that only affect the session: SHOW, EXPLAIN, PREPARE, DISCARD, LISTEN, NOTIFY, CHECKPOINT …"""

    command: str


class Unrecognized(Struct, frozen=True):
    """A statement, or a part of one, that is not understood: shown as it is."""

    sql: str = field(default="")


Operation = Union[
    CreateTable, DropTable, RenameTable, SetSchema, SetLogged, SetTablespace, SetAccessMethod,
    SetStorageParameters, ReplicaIdentity, RowSecurity, Inherit, ClusterOn, AttachPartition, DetachPartition,
    AddColumn, DropColumn, RenameColumn, AlterColumnType, SetDefault, DropDefault, SetNotNull, DropNotNull,
    AddIdentity, AlterIdentity, DropIdentity, SetExpression, DropExpression, AlterColumnOptions,
    AddForeignKey, AddCheck, AddNotNull, AddUnique, AddPrimaryKey, AddExclusion, DropConstraint,
    RenameConstraint, ValidateConstraint, AlterConstraint,
    CreateIndex, DropIndex, RenameIndex, AttachIndex, Reindex,
    CreateView, DropView, RefreshMaterializedView, CreateEnum, AddEnumValue, RenameEnumValue,
    CreateDomain, AlterDomain, CreateObject, AlterObject, DropObject, RenameObject, SetTrigger, ChangeOwner,
    Privileges, Comment,
    Select, Insert, Update, Delete, Merge, Truncate, Copy,
    LockTable, Vacuum, Cluster, Repack, Analyze, SetVariable, TransactionControl, DoBlock, Call, SessionCommand,
    Unrecognized,
]  # fmt: skip
"""Every operation there is."""
