"""What the database looked like before the new revisions."""

from __future__ import annotations

from dataclasses import dataclass

from reviewer.sql.names import Name


@dataclass(frozen=True)
class Column:
    """A column of the base state, its type as `format_type` prints it."""

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    """The expression, of a generated column too."""
    stored: bool = False
    """Whether it is a generated column whose values are stored."""
    generated: bool = False
    """Whether it is a generated column, stored or virtual."""


@dataclass(frozen=True)
class Constraint:
    """A constraint of the base state; `definition` is `pg_get_constraintdef`."""

    name: str
    kind: str
    """`check`, `foreign key`, `unique`, `primary key`, `exclusion`, `not null` or `trigger`."""
    columns: tuple[str, ...]
    definition: str
    valid: bool = True
    referenced: Name | None = None


@dataclass(frozen=True)
class Index:
    """An index of the base state; `definition` is `pg_get_indexdef`."""

    name: str
    columns: tuple[str, ...]
    """Key columns in order; an expression is an empty string."""
    definition: str
    unique: bool = False
    valid: bool = True
    constraint: str | None = None
    """The constraint that it backs."""


@dataclass(frozen=True)
class Table:
    """A table, view or materialized view of the base state."""

    name: Name
    kind: str
    columns: tuple[Column, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    partition_of: Name | None = None
    rows: int = 0
    """Rows that it had when the rehearsal began."""
    policies: tuple[str, ...] = ()
    """Names of its row security policies."""

    def column(self, name: str) -> Column | None:
        """The column called `name`, if there is one."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Enumeration:
    """An enum type of the base state, its labels in order."""

    name: Name
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """What the database looked like at the base state; without a server, what the earlier revisions' text tells."""

    tables: tuple[Table, ...] = ()
    enums: tuple[Enumeration, ...] = ()
    types: tuple[Name, ...] | None = None
    """Without a server: every type that the revisions before have created; None where others may be there."""
    domains: tuple[Name, ...] = ()
    """Without a server: domains with a constraint that the revisions before have created."""
    volatile: tuple[Name, ...] = ()
    """Without a server: functions that the revisions before have created as volatile."""

    def table(self, name: Name) -> Table | None:
        """The table called `name`, if there is one."""
        return next((table for table in self.tables if table.name.matches(name)), None)
