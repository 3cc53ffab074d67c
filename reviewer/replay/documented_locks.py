"""The locks that PostgreSQL's manual says an operation takes: for statements whose execution was not observed.

That is every statement of a static review, and on a server those that run outside a transaction: their locks are
released before they can be observed. Sources:
<https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES> and the notes of each command's page;
what the pages do not say was measured on PostgreSQL 14 to 18.
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name
from reviewer.sql.operations import (
    AddCheck,
    AddColumn,
    AddExclusion,
    AddForeignKey,
    AddIdentity,
    AddNotNull,
    AddPrimaryKey,
    AddUnique,
    AlterColumnOptions,
    AlterColumnType,
    AlterConstraint,
    AlterIdentity,
    Analyze,
    AttachPartition,
    Cluster,
    ClusterOn,
    Copy,
    CreateIndex,
    CreateObject,
    CreateTable,
    CreateView,
    Delete,
    DetachPartition,
    DropColumn,
    DropConstraint,
    DropDefault,
    DropExpression,
    DropIdentity,
    DropNotNull,
    DropObject,
    DropTable,
    DropView,
    Inherit,
    Insert,
    LockTable,
    Merge,
    Operation,
    RefreshMaterializedView,
    Reindex,
    RenameColumn,
    RenameConstraint,
    RenameTable,
    Repack,
    ReplicaIdentity,
    RowSecurity,
    SetAccessMethod,
    SetDefault,
    SetExpression,
    SetLogged,
    SetNotNull,
    SetSchema,
    SetStorageParameters,
    SetTablespace,
    SetTrigger,
    Truncate,
    Update,
    Vacuum,
    ValidateConstraint,
)

_RX, _SUX = LockMode.ROW_EXCLUSIVE, LockMode.SHARE_UPDATE_EXCLUSIVE
_S, _SRX, _X = LockMode.SHARE, LockMode.SHARE_ROW_EXCLUSIVE, LockMode.EXCLUSIVE
_AX = LockMode.ACCESS_EXCLUSIVE


def locks(operation: Operation) -> Iterator[tuple[Name, LockMode]]:
    """The tables that `operation` locks if its text names them, and the lock modes. Weaker locks than ROW EXCLUSIVE
    are left out. An operation that is not listed here takes no lock that can be derived from its text.
    """
    match operation:
        case (
            DropTable() | RenameTable() | SetLogged() | SetTablespace() | SetAccessMethod() | ReplicaIdentity()
            | RowSecurity() | DropColumn() | RenameColumn() | AlterColumnType() | SetDefault() | DropDefault()
            | SetNotNull() | DropNotNull() | AddIdentity() | AlterIdentity() | DropIdentity() | SetExpression()
            | DropExpression() | AddCheck() | AddNotNull() | AddUnique() | AddPrimaryKey() | AddExclusion()
            | DropConstraint() | RenameConstraint() | AlterConstraint() | Truncate()
        ):  # fmt: skip
            yield operation.table, _AX
        case AddColumn():
            yield operation.table, _AX
            if operation.column.references:
                yield operation.column.references.referenced, _SRX
        case AddForeignKey():
            yield operation.table, _SRX
            yield operation.key.referenced, _SRX
        case CreateTable():
            for key in operation.foreign_keys:
                yield key.referenced, _SRX
            if operation.partition_of:
                yield operation.partition_of, _AX
        case ValidateConstraint() | ClusterOn():
            yield operation.table, _SUX
        case AlterColumnOptions():
            yield operation.table, _AX if operation.option.lower().startswith(("storage", "compr")) else _SUX
        case SetStorageParameters():
            yield operation.object, _SUX
        case SetSchema(kind="table"):
            yield operation.object, _AX
        case Inherit():
            yield operation.table, _AX
            yield operation.parent, _SUX
        case AttachPartition():
            yield operation.table, _SUX
            yield operation.partition, _AX
        case DetachPartition():
            yield operation.table, _SUX if operation.concurrently else _AX
            yield operation.partition, _SUX if operation.concurrently else _AX
        case CreateIndex():
            yield operation.table, _SUX if operation.concurrently else _S
        case Reindex(kind="table", object=Name() as table):
            yield table, _SUX if operation.concurrently else _S
        case CreateView(replace=True) | DropView():
            yield operation.view, _AX
        case RefreshMaterializedView():
            yield operation.view, _X if operation.concurrently else _AX
        case CreateObject(kind="trigger", table=Name() as table) | SetTrigger(table=table):
            yield table, _SRX
        case (
            CreateObject(kind="policy" | "rule", table=Name() as table)
            | DropObject(kind="trigger" | "policy" | "rule", table=Name() as table)
        ):
            yield table, _AX
        case LockTable():
            yield operation.table, LockMode(operation.mode)
        case Vacuum(table=Name() as table):
            yield table, _AX if operation.full else _SUX
        case Cluster(table=Name() as table):
            yield table, _AX
        case Repack(table=Name() as table):
            yield table, _SUX if operation.concurrently else _AX
        case Analyze(table=Name() as table):
            yield table, _SUX
        case Insert() | Update() | Delete() | Merge() | Copy(table=Name(), into=True):
            assert operation.table is not None
            yield operation.table, _RX
