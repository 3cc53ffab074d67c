"""CREATE: tables, indexes, views, types, and everything else that has a name.

sqlglot reads `CREATE` of tables, indexes, views, schemas, sequences and functions, in trees that render their
contents differently from the source; see `definitions`. What it turns into a `Command`, or rejects, is noted at
each reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct, field
from msgspec.structs import replace
from sqlglot.tokenizer_core import TokenType

from reviewer.sql.definitions import (
    COLUMN_CONSTRAINT_WORDS,
    at_table_constraint,
    column_definition,
    index_columns,
    table_constraint,
    type_name,
)
from reviewer.sql.heads import output_columns, sources
from reviewer.sql.kinds import accept_kind, signature
from reviewer.sql.names import Name
from reviewer.sql.operations import (
    AddCheck,
    AddForeignKey,
    AddNotNull,
    AddPrimaryKey,
    AddUnique,
    ColumnDefinition,
    CreateDomain,
    CreateEnum,
    CreateIndex,
    CreateObject,
    CreateTable,
    CreateView,
    ForeignKey,
    Operation,
    Unrecognized,
)
from reviewer.sql.reader import NotUnderstood, Reader


def create(reader: Reader) -> Iterator[Operation]:
    """Any CREATE statement."""
    reader.expect("CREATE")
    replaces = reader.accept("OR", "REPLACE")
    reader.accept_any("LOCAL", "GLOBAL")
    temporary = bool(reader.accept_any("TEMPORARY", "TEMP"))
    unlogged = reader.accept("UNLOGGED")
    if reader.accept("TABLE"):
        yield from _table(reader, CreateTable(Name(""), temporary=temporary, unlogged=unlogged))
    elif reader.accept("FOREIGN", "TABLE"):
        yield from _table(reader, CreateTable(Name(""), foreign=True))
    elif reader.at("INDEX") or reader.at("UNIQUE", "INDEX"):
        yield _index(reader)
    elif reader.accept("VIEW") or reader.accept("RECURSIVE", "VIEW"):
        yield _view(reader, replaces=replaces, materialized=False)
    elif reader.accept("MATERIALIZED", "VIEW"):
        yield _view(reader, replaces=False, materialized=True)
    elif reader.accept("TYPE"):
        yield _type(reader)
    elif reader.accept("DOMAIN"):
        yield _domain(reader)
    elif reader.accept("SCHEMA"):
        yield from _schema(reader)
    else:
        yield _object(reader, replaces=replaces)


# -- tables ---------------------------------------------------------------------------------------


class _Parts(Struct):
    """The contents of the parentheses of CREATE TABLE."""

    columns: list[ColumnDefinition] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    primary_key: tuple[str, ...] = ()
    unique: list[tuple[str, ...]] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    unnamed: int = 0
    like: list[Name] = field(default_factory=list)
    not_null: set[str] = field(default_factory=set)
    unrecognized: list[Unrecognized] = field(default_factory=list)

    def read(self, reader: Reader, table: Name) -> None:
        mark = reader.mark
        try:
            if reader.accept("LIKE"):
                self.like.append(reader.name())
                reader.skip_all()  # INCLUDING and EXCLUDING
            elif at_table_constraint(reader):
                self._constraint(reader, table)
            else:
                self._column(column_definition(reader))
        except NotUnderstood:
            reader.back_to(mark)
            self.unrecognized.append(Unrecognized(reader.rest()))

    def _column(self, column: ColumnDefinition) -> None:
        self.columns.append(column)
        self.names.extend(column.constraint_names)
        self.unnamed += column.unnamed_constraints
        if column.primary_key:
            self.primary_key = (column.name,)
        if column.unique:
            self.unique.append((column.name,))
        if column.check is not None:
            self.checks.append(column.check)
        if column.references is not None:
            self.foreign_keys.append(replace(column.references, columns=(column.name,)))

    def _constraint(self, reader: Reader, table: Name) -> None:
        constraint = table_constraint(reader, table)
        reader.expect_end()
        match constraint:
            case AddForeignKey(key=key):
                self.foreign_keys.append(key)
            case AddCheck(expression=expression):
                self.checks.append(expression)
            case AddPrimaryKey(columns=columns):
                self.primary_key = columns
            case AddUnique(columns=columns):
                self.unique.append(columns)
            case AddNotNull(column=name):
                self.not_null.add(name)
        if constraint.name is not None:
            self.names.append(constraint.name)
        else:
            self.unnamed += not isinstance(constraint, AddNotNull)


def _table(reader: Reader, draft: CreateTable) -> Iterator[Operation]:
    if_not_exists = reader.if_not_exists()
    table = reader.name()
    draft = replace(draft, table=table, if_not_exists=if_not_exists)
    if reader.accept("PARTITION", "OF"):
        draft = replace(draft, partition_of=reader.name())
    elif reader.accept("OF"):
        reader.name()
    parts = _Parts()
    if reader.at_symbol(TokenType.L_PAREN):
        reader.within(lambda: reader.done or reader.listed(lambda: parts.read(reader, table)))
    elif not (draft.partition_of or reader.holds("AS") or reader.done):
        raise NotUnderstood
    yield replace(
        _table_tail(reader, draft),
        columns=tuple(replace(c, nullable=False) if c.name in parts.not_null else c for c in parts.columns),
        foreign_keys=tuple(parts.foreign_keys),
        primary_key=parts.primary_key,
        unique=tuple(parts.unique),
        checks=tuple(parts.checks),
        constraint_names=tuple(parts.names),
        unnamed_constraints=parts.unnamed,
        like=tuple(parts.like),
    )
    yield from parts.unrecognized


def _table_tail(reader: Reader, draft: CreateTable) -> CreateTable:
    while not reader.done:
        if reader.accept("INHERITS"):
            draft = replace(draft, inherits=tuple(reader.within(reader.names)))
        elif reader.accept("PARTITION", "BY"):
            reader.identifier()
            reader.group()
            draft = replace(draft, partitioned=True)
        elif reader.accept("FOR", "VALUES"):
            if reader.accept_any("IN", "FROM", "WITH"):
                reader.group()
            if reader.accept("TO"):
                reader.group()
        elif reader.accept_any("USING", "TABLESPACE", "SERVER"):
            reader.identifier()
        elif reader.accept_any("WITH", "OPTIONS"):
            reader.group()
        elif reader.accept("WITHOUT", "OIDS") or reader.accept("DEFAULT"):
            continue
        elif reader.accept("ON", "COMMIT"):
            reader.expect_any("DROP", "DELETE", "PRESERVE")
            reader.accept("ROWS")
        elif reader.accept("AS"):
            draft = replace(draft, as_query=True, sources=_copied(reader))
        else:
            raise NotUnderstood
    return draft


def _copied(reader: Reader) -> tuple[Name, ...]:
    """The tables that the query after AS reads, unless it ends in WITH NO DATA."""
    if reader.accept("TABLE"):
        found: tuple[Name, ...] = (reader.table(),)
    else:
        mark = reader.mark
        found = sources(reader)
        reader.back_to(mark)
    while not reader.done:
        if reader.accept("WITH", "NO", "DATA"):
            return ()
        reader.next()
    return found


# -- indexes and views ----------------------------------------------------------------------------


def _index(reader: Reader) -> CreateIndex:
    unique = reader.accept("UNIQUE")
    reader.expect("INDEX")
    concurrently = reader.accept("CONCURRENTLY")
    if_not_exists = reader.if_not_exists()
    name = None if reader.at("ON") else reader.identifier()
    reader.expect("ON")
    only = reader.at("ONLY")
    table = reader.table()
    method = reader.identifier() if reader.accept("USING") else None
    columns = index_columns(reader)
    index = CreateIndex(table, name, columns, unique, concurrently, if_not_exists, only, method)
    while not reader.done:
        if reader.accept("INCLUDE"):
            index = replace(index, include=index_columns(reader))
        elif reader.accept("NULLS"):
            index = replace(index, nulls_not_distinct=reader.accept("NOT"))
            reader.expect("DISTINCT")
        elif reader.accept("WITH"):
            reader.group()
        elif reader.accept("TABLESPACE"):
            reader.identifier()
        else:
            reader.expect("WHERE")
            index = replace(index, where=reader.rest())
    return index


def _view(reader: Reader, *, replaces: bool, materialized: bool) -> CreateView:
    reader.if_not_exists()
    name = reader.name()
    columns = reader.columns() if reader.at_symbol(TokenType.L_PAREN) else ()
    if not reader.skip_until({"AS"}):
        raise NotUnderstood
    reader.expect("AS")
    mark = reader.mark
    columns = columns or output_columns(reader)
    reader.back_to(mark)
    return CreateView(name, replaces, materialized, reader.rest(), columns)


# -- types ----------------------------------------------------------------------------------------


def _type(reader: Reader) -> Operation:
    name = reader.name()
    if not reader.accept("AS", "ENUM"):
        reader.skip_all()
        return CreateObject("type", name)
    labels = reader.within(lambda: [] if reader.done else reader.listed(reader.string))
    return CreateEnum(name, tuple(labels))


def _domain(reader: Reader) -> CreateDomain:
    name = reader.name()
    reader.accept("AS")
    domain_type = type_name(reader)
    constrained = False
    while not reader.done:
        if reader.accept("CONSTRAINT"):
            reader.identifier()
        if reader.accept("NOT", "NULL"):
            constrained = True
        elif reader.accept("CHECK"):
            reader.group()
            constrained = True
        elif reader.accept("DEFAULT"):
            reader.text_until(COLUMN_CONSTRAINT_WORDS)
        elif reader.accept("COLLATE"):
            reader.name()
        else:
            reader.expect("NULL")
    return CreateDomain(name, domain_type, constrained)


# -- everything else ------------------------------------------------------------------------------


def _schema(reader: Reader) -> Iterator[Operation]:
    if_not_exists = reader.if_not_exists()
    name = reader.identifier() if not reader.at("AUTHORIZATION") else None
    if reader.accept("AUTHORIZATION"):
        owner = reader.identifier()
        name = name or owner
    yield CreateObject("schema", Name(name or ""), if_not_exists=if_not_exists)
    if not reader.done:  # CREATE SCHEMA s CREATE TABLE t ...: what has no schema is in that one
        mark = reader.mark
        try:
            found = reader.each_from(*_ELEMENTS, read=lambda: create(reader))
        except NotUnderstood:
            reader.back_to(mark)
            yield Unrecognized(reader.rest())
        else:
            yield from (_in_schema(each, name or "") for each in found)


_ELEMENTS = (
    ("CREATE", "TABLE"),
    ("CREATE", "UNLOGGED", "TABLE"),
    ("CREATE", "VIEW"),
    ("CREATE", "INDEX"),
    ("CREATE", "UNIQUE", "INDEX"),
    ("CREATE", "SEQUENCE"),
    ("CREATE", "TRIGGER"),
)
"""How what CREATE SCHEMA can contain begins, GRANT aside."""


def _in_schema(operation: Operation, schema: str) -> Operation:
    """The operation with its own names in that schema, as far as they have none."""
    named = {
        attribute: Name(name.name, schema)
        for attribute in ("table", "view", "object")
        if isinstance(name := getattr(operation, attribute, None), Name)
        if name.schema is None and not (attribute == "object" and getattr(operation, "table", None) is not None)
    }
    return replace(operation, **named) if named else operation


def _object(reader: Reader, *, replaces: bool) -> CreateObject:
    reader.accept_any("TRUSTED", "PROCEDURAL", "DEFAULT", "CONSTRAINT")
    reader.accept("PROCEDURAL")
    kind = accept_kind(reader)
    if_not_exists = reader.if_not_exists()
    read = _NAMES.get(kind, _plain_name)
    name, table = read(reader)
    reader.skip_all()
    return CreateObject(kind, name, replaces, if_not_exists, table)


def _plain_name(reader: Reader) -> tuple[Name, Name | None]:
    return signature(reader), None


def _trigger(reader: Reader) -> tuple[Name, Name | None]:
    name = reader.identifier()
    while not reader.accept("ON"):
        reader.next()
    return Name(name), reader.name()


def _policy(reader: Reader) -> tuple[Name, Name | None]:
    name = reader.identifier()
    reader.expect("ON")
    return Name(name), reader.name()


def _rule(reader: Reader) -> tuple[Name, Name | None]:
    name = reader.identifier()
    reader.expect("AS", "ON")
    reader.expect_any("SELECT", "INSERT", "UPDATE", "DELETE")
    reader.expect("TO")
    return Name(name), reader.name()


def _statistics(reader: Reader) -> tuple[Name, Name | None]:
    name = Name("") if reader.at("ON") or reader.at_symbol(TokenType.L_PAREN) else reader.name()
    while not reader.accept("FROM"):
        if not reader.skip_group():
            reader.next()
    return name, reader.name()


def _text(reader: Reader) -> tuple[Name, Name | None]:
    return Name(reader.rest()), None


_NAMES: dict[str, Callable[[Reader], tuple[Name, Name | None]]] = {
    "trigger": _trigger,
    "policy": _policy,
    "rule": _rule,
    "statistics": _statistics,
    "cast": _text,
    "transform": _text,
    "user mapping": _text,
}
