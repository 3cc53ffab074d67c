"""CREATE: tables, indexes, views, types, and everything else that has a name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from reviewer.names import Name
from reviewer.operations import (
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
from reviewer.sql import queries
from reviewer.sql.cursor import Cursor, NotUnderstood
from reviewer.sql.definitions import (
    COLUMN_CONSTRAINT_WORDS,
    at_table_constraint,
    column_definition,
    index_columns,
    table_constraint,
    type_name,
)
from reviewer.sql.kinds import accept_kind, signature


def create(cursor: Cursor) -> Iterator[Operation]:
    """Any CREATE statement."""
    cursor.expect("create")
    replaces = cursor.accept("or", "replace")
    cursor.accept_any("local", "global")
    temporary = bool(cursor.accept_any("temporary", "temp"))
    unlogged = cursor.accept("unlogged")
    if cursor.accept("table"):
        yield from _table(cursor, CreateTable(Name(""), temporary=temporary, unlogged=unlogged))
    elif cursor.accept("foreign", "table"):
        yield from _table(cursor, CreateTable(Name(""), foreign=True))
    elif cursor.at("index") or cursor.at("unique", "index"):
        yield _index(cursor)
    elif cursor.accept("view") or cursor.accept("recursive", "view"):
        yield _view(cursor, replaces=replaces, materialized=False)
    elif cursor.accept("materialized", "view"):
        yield _view(cursor, replaces=False, materialized=True)
    elif cursor.accept("type"):
        yield _type(cursor)
    elif cursor.accept("domain"):
        yield _domain(cursor)
    elif cursor.accept("schema"):
        yield from _schema(cursor)
    else:
        yield _object(cursor, replaces=replaces)


# -- tables ---------------------------------------------------------------------------------------


@dataclass
class _Parts:
    """What stands between the parentheses of CREATE TABLE."""

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

    def read(self, part: Cursor, table: Name) -> None:
        mark = part.mark
        try:
            if part.accept("like"):
                self.like.append(part.name())
            elif at_table_constraint(part):
                self._constraint(part, table)
            else:
                self._column(column_definition(part))
        except NotUnderstood:
            part.back_to(mark)
            self.unrecognized.append(Unrecognized(part.rest()))

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

    def _constraint(self, part: Cursor, table: Name) -> None:
        constraint = table_constraint(part, table)
        part.expect_end()
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


def _table(cursor: Cursor, draft: CreateTable) -> Iterator[Operation]:
    if_not_exists = cursor.if_not_exists()
    table = cursor.name()
    draft = replace(draft, table=table, if_not_exists=if_not_exists)
    if cursor.accept("partition", "of"):
        draft = replace(draft, partition_of=cursor.name())
    elif cursor.accept("of"):
        cursor.name()
    parts = _Parts()
    if cursor.at_symbol("("):
        inside = cursor.inside()
        if not inside.done:
            for part in inside.split():
                parts.read(part, table)
    elif not (draft.partition_of or cursor.holds("as") or cursor.done):
        raise NotUnderstood
    yield replace(
        _table_tail(cursor, draft),
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


def _table_tail(cursor: Cursor, draft: CreateTable) -> CreateTable:
    while not cursor.done:
        if cursor.accept("inherits"):
            draft = replace(draft, inherits=tuple(cursor.inside().names()))
        elif cursor.accept("partition", "by"):
            cursor.identifier()
            cursor.group()
            draft = replace(draft, partitioned=True)
        elif cursor.accept("for", "values"):
            if cursor.accept_any("in", "from", "with"):
                cursor.group()
            if cursor.accept("to"):
                cursor.group()
        elif cursor.accept_any("using", "tablespace", "server"):
            cursor.identifier()
        elif cursor.accept_any("with", "options"):
            cursor.group()
        elif cursor.accept("without", "oids") or cursor.accept("default"):
            continue
        elif cursor.accept("on", "commit"):
            cursor.expect_any("drop", "delete", "preserve")
            cursor.accept("rows")
        elif cursor.accept("as"):
            cursor.skip_all()
            draft = replace(draft, as_query=True)
        else:
            raise NotUnderstood
    return draft


# -- indexes and views ----------------------------------------------------------------------------


def _index(cursor: Cursor) -> CreateIndex:
    unique = cursor.accept("unique")
    cursor.expect("index")
    concurrently = cursor.accept("concurrently")
    if_not_exists = cursor.if_not_exists()
    name = None if cursor.at("on") else cursor.identifier()
    cursor.expect("on")
    only = cursor.at("only")
    table = cursor.table()
    method = cursor.identifier() if cursor.accept("using") else None
    columns = index_columns(cursor)
    index = CreateIndex(table, name, columns, unique, concurrently, if_not_exists, only, method)
    while not cursor.done:
        if cursor.accept("include"):
            index = replace(index, include=index_columns(cursor))
        elif cursor.accept("nulls"):
            cursor.accept("not")
            cursor.expect("distinct")
        elif cursor.accept("with"):
            cursor.group()
        elif cursor.accept("tablespace"):
            cursor.identifier()
        else:
            cursor.expect("where")
            index = replace(index, where=cursor.rest())
    return index


def _view(cursor: Cursor, *, replaces: bool, materialized: bool) -> CreateView:
    cursor.if_not_exists()
    name = cursor.name()
    columns = cursor.columns() if cursor.at_symbol("(") else ()
    if not cursor.skip_until({"as"}):
        raise NotUnderstood
    cursor.expect("as")
    mark = cursor.mark
    columns = columns or queries.output_columns(cursor)
    cursor.back_to(mark)
    return CreateView(name, replaces, materialized, cursor.rest(), columns)


# -- types ----------------------------------------------------------------------------------------


def _type(cursor: Cursor) -> Operation:
    name = cursor.name()
    if not cursor.accept("as", "enum"):
        cursor.skip_all()
        return CreateObject("type", name)
    inside = cursor.inside()
    cursor.expect_end()
    return CreateEnum(name, () if inside.done else tuple(label.string() for label in inside.split()))


def _domain(cursor: Cursor) -> CreateDomain:
    name = cursor.name()
    cursor.accept("as")
    domain_type = type_name(cursor)
    constrained = False
    while not cursor.done:
        if cursor.accept("constraint"):
            cursor.identifier()
        if cursor.accept("not", "null"):
            constrained = True
        elif cursor.accept("check"):
            cursor.group()
            constrained = True
        elif cursor.accept("default"):
            cursor.expression(COLUMN_CONSTRAINT_WORDS)
        elif cursor.accept("collate"):
            cursor.name()
        else:
            cursor.expect("null")
    return CreateDomain(name, domain_type, constrained)


# -- everything else ------------------------------------------------------------------------------


def _schema(cursor: Cursor) -> Iterator[Operation]:
    if_not_exists = cursor.if_not_exists()
    name = cursor.identifier() if not cursor.at("authorization") else None
    if cursor.accept("authorization"):
        owner = cursor.identifier()
        name = name or owner
    yield CreateObject("schema", Name(name or ""), if_not_exists=if_not_exists)
    if not cursor.done:  # CREATE SCHEMA s CREATE TABLE t ...: in that schema, whatever the names say
        yield Unrecognized(cursor.rest())


def _object(cursor: Cursor, *, replaces: bool) -> CreateObject:
    cursor.accept_any("trusted", "procedural", "default", "constraint")
    cursor.accept("procedural")
    kind = accept_kind(cursor)
    if_not_exists = cursor.if_not_exists()
    read = _NAMES.get(kind, _plain_name)
    name, table = read(cursor)
    cursor.skip_all()
    return CreateObject(kind, name, replaces, if_not_exists, table)


def _plain_name(cursor: Cursor) -> tuple[Name, Name | None]:
    return signature(cursor), None


def _trigger(cursor: Cursor) -> tuple[Name, Name | None]:
    name = cursor.identifier()
    while not cursor.accept("on"):
        cursor.next()
    return Name(name), cursor.name()


def _policy(cursor: Cursor) -> tuple[Name, Name | None]:
    name = cursor.identifier()
    cursor.expect("on")
    return Name(name), cursor.name()


def _rule(cursor: Cursor) -> tuple[Name, Name | None]:
    name = cursor.identifier()
    cursor.expect("as", "on")
    cursor.expect_any("select", "insert", "update", "delete")
    cursor.expect("to")
    return Name(name), cursor.name()


def _statistics(cursor: Cursor) -> tuple[Name, Name | None]:
    name = Name("") if cursor.at("on") or cursor.at_symbol("(") else cursor.name()
    while not cursor.accept("from"):
        if not cursor.skip_group():
            cursor.next()
    return name, cursor.name()


def _text(cursor: Cursor) -> tuple[Name, Name | None]:
    return Name(cursor.rest()), None


_NAMES: dict[str, Callable[[Cursor], tuple[Name, Name | None]]] = {
    "trigger": _trigger,
    "policy": _policy,
    "rule": _rule,
    "statistics": _statistics,
    "cast": _text,
    "transform": _text,
    "user mapping": _text,
}
