"""The objects of the database before the new revisions."""

from __future__ import annotations

from functools import cached_property

from msgspec import Struct

from reviewer.sql.names import Name


class Column(Struct, frozen=True):
    """A column of the base state. The type is written as `format_type` prints it."""

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    """The expression, also that of a generated column."""
    stored: bool = False
    """Whether it is a stored generated column."""
    generated: bool = False
    """Whether it is a generated column, stored or virtual."""


class Constraint(Struct, frozen=True):
    """A constraint of the base state. `definition` is the result of `pg_get_constraintdef`."""

    name: str
    kind: str
    """`check`, `foreign key`, `unique`, `primary key`, `exclusion`, `not null` or `trigger`."""
    columns: tuple[str, ...]
    definition: str
    valid: bool = True
    referenced: Name | None = None
    referenced_columns: tuple[str, ...] = ()
    """What a foreign key refers to, in the order of `columns`."""


class Index(Struct, frozen=True):
    """An index of the base state. `definition` is the result of `pg_get_indexdef`."""

    name: str
    columns: tuple[str, ...]
    """Key columns in order. An expression is an empty string."""
    definition: str
    unique: bool = False
    valid: bool = True
    constraint: str | None = None
    """The constraint that the index implements."""
    reads: tuple[str, ...] = ()
    """Further columns without which it cannot be: those of its WHERE, its expressions and its INCLUDE."""


class Table(Struct, frozen=True):
    """A table, view or materialized view of the base state."""

    name: Name
    kind: str
    columns: tuple[Column, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    partition_of: Name | None = None
    rows: int = 0
    """Number of rows when the rehearsal began."""
    policies: tuple[str, ...] = ()
    """Names of its row-level security policies."""

    def column(self, name: str) -> Column | None:
        """Return the column called `name`; None if there is none."""
        return next((column for column in self.columns if column.name == name), None)


class Enumeration(Struct, frozen=True):
    """An enum type of the base state, with its labels in order."""

    name: Name
    labels: tuple[str, ...]


class Catalogue(Struct, frozen=True, dict=True):
    """The objects of the database in the base state; without a server, as far as the text of earlier revisions
    shows.
    """

    tables: tuple[Table, ...] = ()
    enums: tuple[Enumeration, ...] = ()
    types: tuple[Name, ...] | None = None
    """Without a server: every type that earlier revisions have created; None if there may be others."""
    domains: tuple[Name, ...] = ()
    """Without a server: domains with a constraint that earlier revisions have created."""
    volatile: tuple[Name, ...] = ()
    """Without a server: volatile functions that earlier revisions have created."""

    def table(self, name: Name) -> Table | None:
        """Return the table called `name`; None if there is none."""
        return self._by_name.get((name.schema or "public", name.name))

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Table]:
        """The first table of each name: a review asks for each of thousands."""
        return {(each.name.schema or "public", each.name.name): each for each in reversed(self.tables)}
