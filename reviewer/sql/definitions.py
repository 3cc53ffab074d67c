"""Columns, types and constraints as CREATE TABLE, ALTER TABLE and CREATE DOMAIN write them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from reviewer.names import Name
from reviewer.operations import (
    AddCheck,
    AddExclusion,
    AddForeignKey,
    AddNotNull,
    AddPrimaryKey,
    AddUnique,
    ColumnDefinition,
    ForeignKey,
)
from reviewer.sql.cursor import Cursor, NotUnderstood
from reviewer.sql.tokens import Kind

TableConstraint = AddForeignKey | AddCheck | AddNotNull | AddUnique | AddPrimaryKey | AddExclusion

COLUMN_CONSTRAINT_WORDS = frozenset(
    {
        "check", "collate", "compression", "constraint", "default", "deferrable", "enforced", "generated",
        "initially", "not", "null", "options", "primary", "references", "storage", "unique",
    }
)  # fmt: skip
TABLE_CONSTRAINT_WORDS = ("constraint", "check", "unique", "primary", "exclude", "foreign")


def type_name(cursor: Cursor) -> str:
    """A type as written, white space folded: several words, schema, modifiers and array bounds."""
    mark = cursor.mark
    cursor.accept("setof")
    if cursor.accept("national"):
        cursor.expect_any("character", "char")
        cursor.accept("varying")
    else:
        first = cursor.word
        cursor.name()
        if first == "double":
            cursor.accept("precision")
        elif first in {"character", "char", "nchar", "bit"}:
            cursor.accept("varying")
        elif first == "interval":
            cursor.skip_group()
            if cursor.accept_any("year", "month", "day", "hour", "minute", "second") and cursor.accept("to"):
                cursor.expect_any("month", "hour", "minute", "second")
    cursor.skip_group()
    if cursor.at("with", "time") or cursor.at("without", "time"):
        cursor.next()
        cursor.expect("time", "zone")
    if cursor.accept_symbol("%"):
        cursor.expect("type")
    if cursor.accept("array") or cursor.at_symbol("["):
        while cursor.accept_symbol("["):
            if not cursor.at_symbol("]"):
                cursor.next()
            cursor.expect_symbol("]")
    return cursor.words_since(mark)


def column_definition(cursor: Cursor) -> ColumnDefinition:
    """A column with its type and all that is written behind it, up to a comma or the end."""
    name = cursor.identifier()
    accept_options = cursor.accept("with", "options")
    bare = accept_options or cursor.done or cursor.at_symbol(",") or cursor.word in COLUMN_CONSTRAINT_WORDS
    draft = _Draft()
    column_type = "" if bare else type_name(cursor)
    while not cursor.done and not cursor.at_symbol(","):
        _column_constraint(cursor, draft)
    return ColumnDefinition(
        name,
        column_type,
        constraint_names=tuple(draft.names),
        unnamed_constraints=draft.unnamed,
        check=" AND ".join(draft.checks) or None,
        **draft.parts,
    )


@dataclass
class _Draft:
    """A column while it is read."""

    parts: dict[str, Any] = field(default_factory=dict)
    checks: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    unnamed: int = 0

    def set(self, **parts: Any) -> None:
        self.parts.update(parts)

    def count(self, name: str | None) -> None:
        """A constraint that has a name, its own or one that the database invents."""
        if name is None:
            self.unnamed += 1
        else:
            self.names.append(name)


def _column_constraint(cursor: Cursor, draft: _Draft) -> None:
    name = cursor.identifier() if cursor.accept("constraint") else None
    if cursor.accept("not", "null"):
        draft.set(nullable=False)
        cursor.accept("no", "inherit")
    elif cursor.accept("null"):
        pass
    elif cursor.accept("default"):
        draft.set(default=cursor.expression(COLUMN_CONSTRAINT_WORDS))
    elif cursor.accept("generated"):
        _generated(cursor, draft)
    elif cursor.accept("check"):
        draft.checks.append(cursor.group())
        cursor.accept("no", "inherit")
        draft.count(name)
    elif cursor.accept("unique"):
        draft.set(unique=True)
        index_details(cursor)
        draft.count(name)
    elif cursor.accept("primary", "key"):
        draft.set(primary_key=True, nullable=False)
        index_details(cursor)
        draft.count(name)
    elif cursor.at("references"):
        draft.set(references=references(cursor, ()))
        draft.count(name)
    elif cursor.accept("collate"):
        draft.set(collation=cursor.name().sql)
    elif cursor.accept_any("storage", "compression"):
        cursor.identifier()
    elif cursor.accept("options"):
        cursor.group()
    elif not constraint_attribute(cursor):
        raise NotUnderstood


def _generated(cursor: Cursor, draft: _Draft) -> None:
    if cursor.accept("by", "default"):
        cursor.expect("as", "identity")
    else:
        cursor.expect("always", "as")
        if not cursor.accept("identity"):
            draft.set(generated=cursor.group(), stored=cursor.accept_any("stored", "virtual") == "stored")
            return
    cursor.skip_group()
    draft.set(identity=True, nullable=False)


def index_details(cursor: Cursor) -> None:
    """What may follow UNIQUE, PRIMARY KEY and EXCLUDE besides their columns."""
    while True:
        if cursor.accept("nulls"):
            cursor.accept("not")
            cursor.expect("distinct")
        elif cursor.accept("using", "index", "tablespace"):
            cursor.identifier()
        elif cursor.accept_any("include", "with"):
            cursor.group()
        else:
            return


def constraint_attribute(cursor: Cursor) -> str:
    """DEFERRABLE and the like, as a word (`not valid`); empty where none comes next."""
    if cursor.accept("initially"):
        return "initially " + cursor.expect_any("deferred", "immediate")
    for words in (("deferrable",), ("not", "deferrable"), ("not", "valid"), ("enforced",), ("not", "enforced")):
        if cursor.accept(*words):
            return " ".join(words)
    return " ".join(("no", "inherit")) if cursor.accept("no", "inherit") else ""


def references(cursor: Cursor, columns: tuple[str, ...]) -> ForeignKey:
    """REFERENCES and what belongs to it."""
    cursor.expect("references")
    referenced = cursor.name()
    referenced_columns = _key_columns(cursor) if cursor.at_symbol("(") else ()
    actions: dict[str, str] = {}
    while True:
        if cursor.accept("match"):
            cursor.expect_any("full", "partial", "simple")
        elif cursor.accept("on"):
            event = cursor.expect_any("delete", "update")
            actions[event] = _referential_action(cursor)
        else:
            break
    return ForeignKey(referenced, columns, referenced_columns, actions.get("delete"), actions.get("update"))


def _referential_action(cursor: Cursor) -> str:
    for words in (("no", "action"), ("restrict",), ("cascade",), ("set", "null"), ("set", "default")):
        if cursor.accept(*words):
            cursor.skip_group()
            return " ".join(words).upper()
    raise NotUnderstood


def _key_columns(cursor: Cursor) -> tuple[str, ...]:
    """Columns of a key; `PERIOD c` and `c WITHOUT OVERLAPS` count as the column."""
    found: list[str] = []
    for part in cursor.inside().split():
        if part.at("period") and not _is_alone(part):
            part.next()
        found.append(part.identifier())
        part.accept("without", "overlaps")
        part.expect_end()
    return tuple(found)


def _is_alone(part: Cursor) -> bool:
    mark = part.mark
    part.next()
    alone = part.done
    part.back_to(mark)
    return alone


def at_table_constraint(cursor: Cursor) -> bool:
    """Whether a table constraint comes next, and not a column that has a similar name."""
    word = cursor.word
    # `exclude` is no reserved word: a column may be called so.
    return (word in TABLE_CONSTRAINT_WORDS and (word != "exclude" or _opens_exclusion(cursor))) or cursor.at(
        "not", "null"
    )


def _opens_exclusion(cursor: Cursor) -> bool:
    mark = cursor.mark
    cursor.next()
    opens = cursor.at("using") or cursor.at_symbol("(")
    cursor.back_to(mark)
    return opens


def table_constraint(cursor: Cursor, table: Name) -> TableConstraint:
    """A constraint of a table, up to a comma or the end, as the operation that adds it."""
    name = cursor.identifier() if cursor.accept("constraint") else None
    constraint = _table_constraint(cursor, table, name)
    attributes: set[str] = set()
    while attribute := constraint_attribute(cursor):
        attributes.add(attribute)
    if attributes & {"not valid", "not enforced"} and isinstance(constraint, AddForeignKey | AddCheck | AddNotNull):
        return replace(constraint, not_valid=True)
    return constraint


def _table_constraint(cursor: Cursor, table: Name, name: str | None) -> TableConstraint:
    if cursor.accept("check"):
        return AddCheck(table, name, cursor.group())
    if cursor.accept("foreign", "key"):
        columns = _key_columns(cursor)
        return AddForeignKey(table, name, references(cursor, columns))
    if cursor.accept("not", "null"):
        return AddNotNull(table, name, cursor.identifier())
    if cursor.accept("exclude"):
        if cursor.accept("using"):
            cursor.identifier()
        cursor.group()
        index_details(cursor)
        if cursor.accept("where"):
            cursor.group()
        return AddExclusion(table, name)
    make = AddPrimaryKey if cursor.accept("primary", "key") else AddUnique
    if make is AddUnique:
        cursor.expect("unique")
        if cursor.accept("nulls"):
            cursor.accept("not")
            cursor.expect("distinct")
    if cursor.at("using", "index") and not cursor.at("using", "index", "tablespace"):
        cursor.expect("using", "index")
        return make(table, name, (), cursor.identifier())
    columns = _key_columns(cursor)
    index_details(cursor)
    return make(table, name, columns)


def index_columns(cursor: Cursor) -> tuple[str, ...]:
    """The key of an index: a column by its name, an expression as written."""
    return tuple(_index_column(part) for part in cursor.inside().split())


def _index_column(part: Cursor) -> str:
    mark = part.mark
    if part.skip_group():
        return part.since(mark)
    name = part.name()
    if part.skip_group():
        return part.since(mark)
    if name.schema is not None or (part.token.kind is Kind.SYMBOL and not part.done):
        raise NotUnderstood
    return name.name
