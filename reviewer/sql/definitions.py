"""Columns, types and constraints as CREATE TABLE, ALTER TABLE and CREATE DOMAIN write them.

sqlglot's trees of them are not used: they render a type and an expression otherwise than they were written (`serial`
becomes an identity, `now()` CURRENT_TIMESTAMP) and have no positions to cut the text by. What it does not read at all
stands at the reader of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sqlglot.tokenizer_core import TokenType

from reviewer.sql.names import Name
from reviewer.sql.operations import (
    AddCheck,
    AddExclusion,
    AddForeignKey,
    AddNotNull,
    AddPrimaryKey,
    AddUnique,
    ColumnDefinition,
    ForeignKey,
)
from reviewer.sql.reader import NotUnderstood, Reader
from reviewer.sql.tokenizer import SYMBOLS

TableConstraint = AddForeignKey | AddCheck | AddNotNull | AddUnique | AddPrimaryKey | AddExclusion

COLUMN_CONSTRAINT_WORDS = frozenset(
    {
        "CHECK", "COLLATE", "COMPRESSION", "CONSTRAINT", "DEFAULT", "DEFERRABLE", "ENFORCED", "GENERATED",
        "INITIALLY", "NOT", "NULL", "OPTIONS", "PRIMARY", "REFERENCES", "STORAGE", "UNIQUE",
    }
)  # fmt: skip
TABLE_CONSTRAINT_WORDS = frozenset({"CONSTRAINT", "CHECK", "UNIQUE", "PRIMARY", "EXCLUDE", "FOREIGN"})


def type_name(reader: Reader) -> str:
    """A type as written, white space folded: several words, schema, modifiers and array bounds.

    sqlglot: no `%TYPE`, no modifiers of types that users define, no `INTERVAL … TO …(n)`.
    """
    mark = reader.mark
    reader.accept("SETOF")
    if reader.accept("NATIONAL"):
        reader.expect_any("CHARACTER", "CHAR")
        reader.accept("VARYING")
    else:
        first = reader.word
        reader.name()
        if first == "DOUBLE":
            reader.accept("PRECISION")
        elif first in {"CHARACTER", "CHAR", "NCHAR", "BIT"}:
            reader.accept("VARYING")
        elif first == "INTERVAL":
            reader.skip_group()
            if reader.accept_any("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND") and reader.accept("TO"):
                reader.expect_any("MONTH", "HOUR", "MINUTE", "SECOND")
    reader.skip_group()
    if reader.at("WITH", "TIME") or reader.at("WITHOUT", "TIME"):
        reader.next()
        reader.expect("TIME", "ZONE")
    if reader.token.text == "%" and reader.accept_symbol(TokenType.DPIPE):
        reader.expect("TYPE")
    if reader.accept("ARRAY") or reader.at_symbol(TokenType.L_BRACKET):
        while reader.accept_symbol(TokenType.L_BRACKET):
            if not reader.at_symbol(TokenType.R_BRACKET):
                reader.next()
            reader.expect_symbol(TokenType.R_BRACKET)
    return reader.words_since(mark)


def column_definition(reader: Reader) -> ColumnDefinition:
    """A column with its type and all that is written behind it, up to a comma or the end."""
    name = reader.identifier()
    accept_options = reader.accept("WITH", "OPTIONS")
    bare = (
        accept_options or reader.done or reader.at_symbol(TokenType.COMMA) or reader.word in COLUMN_CONSTRAINT_WORDS
    )
    draft = _Draft()
    column_type = "" if bare else type_name(reader)
    while not reader.done and not reader.at_symbol(TokenType.COMMA):
        _column_constraint(reader, draft)
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


def _column_constraint(reader: Reader, draft: _Draft) -> None:
    name = reader.identifier() if reader.accept("CONSTRAINT") else None
    if reader.accept("NOT", "NULL"):
        draft.set(nullable=False)
        reader.accept("NO", "INHERIT")
    elif reader.accept("NULL"):
        pass
    elif reader.accept("DEFAULT"):
        draft.set(default=reader.text_until(COLUMN_CONSTRAINT_WORDS))
    elif reader.accept("GENERATED"):
        _generated(reader, draft)
    elif reader.accept("CHECK"):
        draft.checks.append(reader.group())
        reader.accept("NO", "INHERIT")
        draft.count(name)
    elif reader.accept("UNIQUE"):
        draft.set(unique=True)
        index_details(reader)
        draft.count(name)
    elif reader.accept("PRIMARY", "KEY"):
        draft.set(primary_key=True, nullable=False)
        index_details(reader)
        draft.count(name)
    elif reader.at("REFERENCES"):
        draft.set(references=references(reader, ()))
        draft.count(name)
    elif reader.accept("COLLATE"):
        draft.set(collation=reader.name().sql)
    elif reader.accept_any("STORAGE", "COMPRESSION"):
        reader.identifier()
    elif reader.accept("OPTIONS"):
        reader.group()
    elif not constraint_attribute(reader):
        raise NotUnderstood


def _generated(reader: Reader, draft: _Draft) -> None:
    if reader.accept("BY", "DEFAULT"):
        reader.expect("AS", "IDENTITY")
    else:
        reader.expect("ALWAYS", "AS")
        if not reader.accept("IDENTITY"):
            draft.set(generated=reader.group(), stored=reader.accept_any("STORED", "VIRTUAL") == "STORED")
            return
    reader.skip_group()
    draft.set(identity=True, nullable=False)


def index_details(reader: Reader) -> None:
    """What may follow UNIQUE, PRIMARY KEY and EXCLUDE besides their columns."""
    while True:
        if reader.accept("NULLS"):
            reader.accept("NOT")
            reader.expect("DISTINCT")
        elif reader.accept("USING", "INDEX", "TABLESPACE"):
            reader.identifier()
        elif reader.accept_any("INCLUDE", "WITH"):
            reader.group()
        else:
            return


def constraint_attribute(reader: Reader) -> str:
    """DEFERRABLE and the like, as a word (`not valid`); empty where none comes next."""
    if reader.accept("INITIALLY"):
        return "initially " + reader.expect_any("DEFERRED", "IMMEDIATE").lower()
    for words in _ATTRIBUTES:
        if reader.accept(*words):
            return " ".join(words).lower()
    return ""


_ATTRIBUTES = (
    ("DEFERRABLE",),
    ("NOT", "DEFERRABLE"),
    ("NOT", "VALID"),
    ("ENFORCED",),
    ("NOT", "ENFORCED"),
    ("NO", "INHERIT"),
)


def references(reader: Reader, columns: tuple[str, ...]) -> ForeignKey:
    """REFERENCES and what belongs to it."""
    reader.expect("REFERENCES")
    referenced = reader.name()
    referenced_columns = _key_columns(reader) if reader.at_symbol(TokenType.L_PAREN) else ()
    actions: dict[str, str] = {}
    while True:
        if reader.accept("MATCH"):
            reader.expect_any("FULL", "PARTIAL", "SIMPLE")
        elif reader.accept("ON"):
            event = reader.expect_any("DELETE", "UPDATE")
            actions[event] = _referential_action(reader)
        else:
            break
    return ForeignKey(referenced, columns, referenced_columns, actions.get("DELETE"), actions.get("UPDATE"))


def _referential_action(reader: Reader) -> str:
    for words in (("NO", "ACTION"), ("RESTRICT",), ("CASCADE",), ("SET", "NULL"), ("SET", "DEFAULT")):
        if reader.accept(*words):
            reader.skip_group()
            return " ".join(words)
    raise NotUnderstood


def _key_columns(reader: Reader) -> tuple[str, ...]:
    """Columns of a key; `PERIOD c` and `c WITHOUT OVERLAPS` (sqlglot reads neither) count as the column."""
    return tuple(reader.within(lambda: reader.listed(lambda: _key_column(reader))))


def _key_column(reader: Reader) -> str:
    name = reader.identifier()
    if name == "period" and reader.at_name() and not reader.at("WITHOUT"):
        name = reader.identifier()
    reader.accept("WITHOUT", "OVERLAPS")
    return name


def at_table_constraint(reader: Reader) -> bool:
    """Whether a table constraint comes next, and not a column that has a similar name."""
    word = reader.word
    # `exclude` is no reserved word: a column may be called so.
    return (word in TABLE_CONSTRAINT_WORDS and (word != "EXCLUDE" or _opens_exclusion(reader))) or (
        word == "NOT" and reader.at("NOT", "NULL")
    )


def _opens_exclusion(reader: Reader) -> bool:
    mark = reader.mark
    reader.next()
    opens = reader.at("USING") or reader.at_symbol(TokenType.L_PAREN)
    reader.back_to(mark)
    return opens


def table_constraint(reader: Reader, table: Name) -> TableConstraint:
    """A constraint of a table, up to a comma or the end, as the operation that adds it."""
    name = reader.identifier() if reader.accept("CONSTRAINT") else None
    constraint = _table_constraint(reader, table, name)
    attributes: set[str] = set()
    while attribute := constraint_attribute(reader):
        attributes.add(attribute)
    if attributes & {"not valid", "not enforced"} and isinstance(constraint, AddForeignKey | AddCheck | AddNotNull):
        return replace(constraint, not_valid=True)
    return constraint


def _table_constraint(reader: Reader, table: Name, name: str | None) -> TableConstraint:
    if reader.accept("CHECK"):
        return AddCheck(table, name, reader.group())
    if reader.accept("FOREIGN", "KEY"):
        columns = _key_columns(reader)
        return AddForeignKey(table, name, references(reader, columns))
    if reader.accept("NOT", "NULL"):
        return AddNotNull(table, name, reader.identifier())
    if reader.accept("EXCLUDE"):
        if reader.accept("USING"):
            reader.identifier()
        reader.group()
        index_details(reader)
        if reader.accept("WHERE"):
            reader.group()
        return AddExclusion(table, name)
    make = AddPrimaryKey if reader.accept("PRIMARY", "KEY") else AddUnique
    if make is AddUnique:
        reader.expect("UNIQUE")
        if reader.accept("NULLS"):
            reader.accept("NOT")
            reader.expect("DISTINCT")
    if reader.at("USING", "INDEX") and not reader.at("USING", "INDEX", "TABLESPACE"):
        reader.expect("USING", "INDEX")
        return make(table, name, (), reader.identifier())
    columns = _key_columns(reader)
    index_details(reader)
    return make(table, name, columns)


def index_columns(reader: Reader) -> tuple[str, ...]:
    """The key of an index: a column by its name, an expression as written."""
    return tuple(reader.within(lambda: reader.listed(lambda: _index_column(reader))))


def _index_column(reader: Reader) -> str:
    mark = reader.mark
    if reader.skip_group():
        found = reader.since(mark)
    else:
        name = reader.name()
        if reader.skip_group():
            found = reader.since(mark)
        elif name.schema is not None or reader.kind in SYMBOLS:
            raise NotUnderstood
        else:
            found = name.name
    reader.skip_all()
    return found
