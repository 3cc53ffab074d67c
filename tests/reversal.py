"""Downgrades for the revisions of a remedy: the plain reverse of what each of them did, where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reviewer.recording import Direction, Recording, Rehearsal
from reviewer.review.remedies import execute
from reviewer.sql.names import quoted
from reviewer.sql.operations import (
    AddCheck,
    AddColumn,
    AddForeignKey,
    AddNotNull,
    AddPrimaryKey,
    AddUnique,
    AttachIndex,
    CreateIndex,
    CreateTable,
    DropConstraint,
    Operation,
    RefreshMaterializedView,
    Reindex,
    SetDefault,
    SetNotNull,
    SetVariable,
    Update,
    ValidateConstraint,
)
from reviewer.sql.parse import parse


def downgrades(recording: Recording) -> tuple[str, ...] | None:
    """A `downgrade()` for every revision of the recording; None where one of them has no plain reverse."""
    done: list[Operation] = []
    bodies = []
    for revision in recording.revisions:
        operations = list(_operations(recording, revision.id))
        done += operations
        lines = [_reverse(operation, done) for operation in reversed(operations)]
        known = [line for line in lines if line is not None]
        if not operations or len(known) < len(lines):
            return None
        bodies.append("\n".join(line for line in known if line) or "op.execute('SELECT 1')")
    return tuple(bodies)


def _operations(recording: Recording, revision: str) -> Iterator[Operation]:
    for each in recording.passes:
        if (each.revision, each.direction, each.rehearsal) == (revision, Direction.UPGRADE, Rehearsal.DEPLOYED):
            for statement in each.statements:
                if statement.location is not None:
                    yield from parse(statement.sql)


def _reverse(operation: Operation, done: Sequence[Operation]) -> str | None:
    """The body that undoes `operation`, empty where nothing has to be undone, None where nobody knows how."""
    match operation:
        case CreateIndex(table=table, name=str(name)):
            schema = f"{quoted(table.schema)}." if table.schema else ""
            return execute(f"DROP INDEX {schema}{quoted(name)}")
        case (
            AddUnique(table=table, name=str(name), using_index=str(index))
            | AddPrimaryKey(table=table, name=str(name), using_index=str(index))
        ):
            drop = execute(f"ALTER TABLE {table.sql} DROP CONSTRAINT {quoted(name)}")
            columns = next((o.columns for o in done if isinstance(o, CreateIndex) and o.name == index), None)
            if columns is None:
                return None
            keys = ", ".join(map(quoted, columns))
            return f"{drop}\n" + execute(f"CREATE UNIQUE INDEX {quoted(index)} ON {table.sql} ({keys})")
        case (
            AddCheck(table=table, name=str(name))
            | AddForeignKey(table=table, name=str(name))
            | AddNotNull(table=table, name=str(name))
            | AddUnique(table=table, name=str(name))
        ):
            return execute(f"ALTER TABLE {table.sql} DROP CONSTRAINT {quoted(name)}")
        case DropConstraint(table=table, name=name):
            checks = [o for o in done if isinstance(o, AddCheck) and o.name == name]
            if not checks:
                return None
            check = f"CONSTRAINT {quoted(name)} CHECK ({checks[-1].expression})"
            return execute(f"ALTER TABLE {table.sql} ADD {check}")
        case AddColumn(table=table, column=column):
            return execute(f"ALTER TABLE {table.sql} DROP COLUMN {quoted(column.name)}")
        case SetNotNull(table=table, column=name):
            return execute(f"ALTER TABLE {table.sql} ALTER COLUMN {quoted(name)} DROP NOT NULL")
        case SetDefault(table=table, column=name):
            return execute(f"ALTER TABLE {table.sql} ALTER COLUMN {quoted(name)} DROP DEFAULT")
        case CreateTable(table=table):
            return execute(f"DROP TABLE {table.sql}")
        case (
            ValidateConstraint() | AttachIndex() | Reindex() | RefreshMaterializedView() | Update() | SetVariable()
        ):
            return ""
        case _:
            return None
