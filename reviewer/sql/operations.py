"""The closed vocabulary of operations: what a statement means, one frozen dataclass each.

`parse.py` creates them, checks match on them. One statement can contain several (an `ALTER TABLE` with three
actions is three operations). What is not understood becomes `Unrecognized`, and is never dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

from reviewer.sql.names import Name


@dataclass(frozen=True)
class ForeignKey:
    """What a foreign key refers to; `columns` is empty where it is written on a column."""

    referenced: Name
    columns: tuple[str, ...] = ()
    referenced_columns: tuple[str, ...] = ()
    on_delete: str | None = None
    on_update: str | None = None


@dataclass(frozen=True)
class ColumnDefinition:
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


@dataclass(frozen=True)
class CreateTable:
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
    inherits: tuple[Name, ...] = ()
    like: tuple[Name, ...] = ()
    foreign: bool = False


@dataclass(frozen=True)
class DropTable:
    """DROP TABLE of one table; a list becomes one operation each."""

    table: Name
    cascade: bool = False
    if_exists: bool = False


@dataclass(frozen=True)
class RenameTable:
    table: Name
    new_name: str


@dataclass(frozen=True)
class SetSchema:
    """ALTER ... SET SCHEMA of a table or another object."""

    kind: str
    object: Name
    new_schema: str


@dataclass(frozen=True)
class SetLogged:
    """ALTER TABLE ... SET LOGGED or SET UNLOGGED."""

    table: Name
    logged: bool


@dataclass(frozen=True)
class SetTablespace:
    table: Name
    tablespace: str


@dataclass(frozen=True)
class SetAccessMethod:
    table: Name
    method: str


@dataclass(frozen=True)
class SetStorageParameters:
    """ALTER TABLE or INDEX ... SET (...) or RESET (...)."""

    object: Name
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class ReplicaIdentity:
    table: Name


@dataclass(frozen=True)
class RowSecurity:
    """ALTER TABLE ... ENABLE, DISABLE, FORCE or NO FORCE ROW LEVEL SECURITY."""

    table: Name
    action: str


@dataclass(frozen=True)
class Inherit:
    """ALTER TABLE ... INHERIT or NO INHERIT."""

    table: Name
    parent: Name
    inherit: bool = True


@dataclass(frozen=True)
class ClusterOn:
    """ALTER TABLE ... CLUSTER ON or SET WITHOUT CLUSTER: only a mark, no rows are moved."""

    table: Name


@dataclass(frozen=True)
class AttachPartition:
    table: Name
    partition: Name
    default: bool = False


@dataclass(frozen=True)
class DetachPartition:
    table: Name
    partition: Name
    concurrently: bool = False
    """Also for `FINALIZE`, which completes such a detachment."""


# -- columns --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AddColumn:
    table: Name
    column: ColumnDefinition
    if_not_exists: bool = False


@dataclass(frozen=True)
class DropColumn:
    table: Name
    column: str
    cascade: bool = False
    if_exists: bool = False


@dataclass(frozen=True)
class RenameColumn:
    table: Name
    column: str
    new_name: str


@dataclass(frozen=True)
class AlterColumnType:
    table: Name
    column: str
    type: str
    using: str | None = None
    collation: str | None = None


@dataclass(frozen=True)
class SetDefault:
    table: Name
    column: str
    default: str


@dataclass(frozen=True)
class DropDefault:
    table: Name
    column: str


@dataclass(frozen=True)
class SetNotNull:
    table: Name
    column: str


@dataclass(frozen=True)
class DropNotNull:
    table: Name
    column: str


@dataclass(frozen=True)
class AddIdentity:
    table: Name
    column: str


@dataclass(frozen=True)
class AlterIdentity:
    """ALTER COLUMN ... SET GENERATED, RESTART and the like."""

    table: Name
    column: str


@dataclass(frozen=True)
class DropIdentity:
    table: Name
    column: str


@dataclass(frozen=True)
class SetExpression:
    """ALTER COLUMN ... SET EXPRESSION of a generated column."""

    table: Name
    column: str
    expression: str


@dataclass(frozen=True)
class DropExpression:
    table: Name
    column: str


@dataclass(frozen=True)
class AlterColumnOptions:
    """ALTER COLUMN ... SET STATISTICS, STORAGE, COMPRESSION or (options): catalogue only."""

    table: Name
    column: str
    option: str


# -- constraints ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class AddForeignKey:
    table: Name
    name: str | None
    key: ForeignKey
    not_valid: bool = False
    """Also for `NOT ENFORCED` (PostgreSQL 18), which does not scan the table either."""


@dataclass(frozen=True)
class AddCheck:
    table: Name
    name: str | None
    expression: str
    not_valid: bool = False
    """As of `AddForeignKey`."""


@dataclass(frozen=True)
class AddNotNull:
    """ADD CONSTRAINT ... NOT NULL column (PostgreSQL 18)."""

    table: Name
    name: str | None
    column: str
    not_valid: bool = False


@dataclass(frozen=True)
class AddUnique:
    """ADD CONSTRAINT ... UNIQUE, by columns or USING INDEX."""

    table: Name
    name: str | None
    columns: tuple[str, ...] = ()
    using_index: str | None = None


@dataclass(frozen=True)
class AddPrimaryKey:
    """ADD PRIMARY KEY, by columns or USING INDEX."""

    table: Name
    name: str | None
    columns: tuple[str, ...] = ()
    using_index: str | None = None


@dataclass(frozen=True)
class AddExclusion:
    table: Name
    name: str | None


@dataclass(frozen=True)
class DropConstraint:
    table: Name
    name: str
    cascade: bool = False
    if_exists: bool = False


@dataclass(frozen=True)
class RenameConstraint:
    table: Name
    name: str
    new_name: str


@dataclass(frozen=True)
class ValidateConstraint:
    table: Name
    name: str


@dataclass(frozen=True)
class AlterConstraint:
    table: Name
    name: str
    enforced: bool | None = None
    """What it becomes with ENFORCED (foreign keys from PostgreSQL 18 on, CHECK from 19 on) or NOT ENFORCED."""


# -- indexes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CreateIndex:
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


@dataclass(frozen=True)
class DropIndex:
    index: Name
    concurrently: bool = False
    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True)
class RenameIndex:
    index: Name
    new_name: str


@dataclass(frozen=True)
class AttachIndex:
    """ALTER INDEX ... ATTACH PARTITION."""

    index: Name
    partition: Name


@dataclass(frozen=True)
class Reindex:
    """REINDEX of an `index`, `table`, `schema`, `database` or `system`."""

    kind: str
    object: Name | None
    concurrently: bool = False


# -- views, types, and everything else that has a name --------------------------------------------


@dataclass(frozen=True)
class CreateView:
    view: Name
    replace: bool = False
    materialized: bool = False
    query: str = ""
    columns: tuple[str, ...] = ()
    """Names of its columns; empty if the text does not show all of them."""


@dataclass(frozen=True)
class DropView:
    view: Name
    cascade: bool = False
    materialized: bool = False


@dataclass(frozen=True)
class RefreshMaterializedView:
    view: Name
    concurrently: bool = False
    with_data: bool = True


@dataclass(frozen=True)
class CreateEnum:
    type: Name
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class AddEnumValue:
    type: Name
    value: str
    if_not_exists: bool = False


@dataclass(frozen=True)
class RenameEnumValue:
    type: Name
    value: str
    new_value: str


@dataclass(frozen=True)
class CreateDomain:
    domain: Name
    type: str = ""
    constrained: bool = False


@dataclass(frozen=True)
class AlterDomain:
    """ALTER DOMAIN; `action` is one of `add constraint`, `drop constraint`, `validate constraint`, `set not null`,
    `drop not null`, `set default`, `drop default`, `rename constraint`.
    """

    domain: Name
    action: str
    constraint: str | None = None
    not_valid: bool = False


@dataclass(frozen=True)
class CreateObject:
    """CREATE of any other named object: `sequence`, `function`, `procedure`, `trigger`, `policy`, `extension`,
    `schema`, `type`, `rule`, `statistics`, `collation`, `aggregate`, `role`, `database`, `publication` …
    """

    kind: str
    object: Name
    replace: bool = False
    if_not_exists: bool = False
    table: Name | None = None
    """Of a trigger, policy or rule: the table that it is on."""


@dataclass(frozen=True)
class AlterObject:
    """ALTER of any other named object that is not a rename, an owner or a schema change."""

    kind: str
    object: Name
    action: str = ""
    table: Name | None = None


@dataclass(frozen=True)
class DropObject:
    """DROP of any other named object, kinds as in `CreateObject`."""

    kind: str
    object: Name
    cascade: bool = False
    if_exists: bool = False
    table: Name | None = None


@dataclass(frozen=True)
class RenameObject:
    """RENAME of anything that is not a table, column, index, constraint or enum value. Kinds as in
    `CreateObject`, and `view`, `materialized view`, `domain`, `attribute`.
    """

    kind: str
    object: Name
    new_name: str
    table: Name | None = None
    """Of a trigger, policy or rule: its table; of an attribute: its type."""


@dataclass(frozen=True)
class SetTrigger:
    """ALTER TABLE ... ENABLE or DISABLE TRIGGER (or RULE); `name` may be `all` or `user`."""

    table: Name
    name: str
    enabled: bool


@dataclass(frozen=True)
class ChangeOwner:
    kind: str
    object: Name
    owner: str


@dataclass(frozen=True)
class Privileges:
    """GRANT, REVOKE or ALTER DEFAULT PRIVILEGES."""

    action: str


@dataclass(frozen=True)
class Comment:
    """COMMENT ON, or SECURITY LABEL."""

    kind: str
    object: str


# -- rows -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Select:
    """SELECT, VALUES, TABLE or WITH that changes nothing; `calls` are the functions it calls."""

    tables: tuple[Name, ...] = ()
    calls: tuple[str, ...] = ()
    locking: bool = False
    """FOR UPDATE and the like."""


@dataclass(frozen=True)
class Insert:
    table: Name
    columns: tuple[str, ...] = ()
    sources: tuple[Name, ...] = ()
    """Tables that INSERT ... SELECT reads."""


@dataclass(frozen=True)
class Update:
    table: Name
    columns: tuple[str, ...] = ()
    filtered: bool = True
    """Whether a WHERE excludes some rows; a tautology does not."""
    sources: tuple[Name, ...] = ()
    reads: tuple[str, ...] = ()
    """Columns that the assigned expressions read."""


@dataclass(frozen=True)
class Delete:
    table: Name
    filtered: bool = True
    sources: tuple[Name, ...] = ()


@dataclass(frozen=True)
class Merge:
    table: Name
    sources: tuple[Name, ...] = ()


@dataclass(frozen=True)
class Truncate:
    table: Name
    cascade: bool = False


@dataclass(frozen=True)
class Copy:
    """COPY; `into`: whether it inserts rows."""

    table: Name | None
    into: bool = True


# -- maintenance, sessions, code ------------------------------------------------------------------


@dataclass(frozen=True)
class LockTable:
    table: Name
    mode: str = "ACCESS EXCLUSIVE"


@dataclass(frozen=True)
class Vacuum:
    table: Name | None
    full: bool = False


@dataclass(frozen=True)
class Cluster:
    table: Name | None


@dataclass(frozen=True)
class Repack:
    """REPACK (PostgreSQL 19), which does the work of VACUUM FULL and CLUSTER."""

    table: Name | None
    concurrently: bool = False


@dataclass(frozen=True)
class Analyze:
    table: Name | None


@dataclass(frozen=True)
class SetVariable:
    """SET, RESET or `SELECT set_config(...)`; `value` is None for RESET and DEFAULT."""

    name: str
    value: str | None
    local: bool = False


@dataclass(frozen=True)
class TransactionControl:
    """BEGIN, COMMIT, ROLLBACK, SAVEPOINT and the like; `action` in lower case."""

    action: str
    name: str = ""
    """Of the savepoint."""


@dataclass(frozen=True)
class DoBlock:
    """DO: code whose effects the text does not show."""

    language: str = "plpgsql"
    body: str = ""


@dataclass(frozen=True)
class Call:
    """CALL of a procedure."""

    procedure: Name


@dataclass(frozen=True)
class SessionCommand:
    """Statements that only affect the session: SHOW, EXPLAIN, PREPARE, DISCARD, LISTEN, NOTIFY, CHECKPOINT …"""

    command: str


@dataclass(frozen=True)
class Unrecognized:
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
