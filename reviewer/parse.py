"""SQL as it was emitted → operations. Every statement ends as operations, possibly `Unrecognized`.

DDL is read from PostgreSQL's tokens (`reviewer.sql`), queries and changes of rows with sqlglot
(`reviewer.dialect`). Expressions are slices of the text that was given, never a rendering.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from reviewer.operations import Delete, Operation, SessionCommand, Unrecognized, Update
from reviewer.sql import commands, queries
from reviewer.sql import tokens as lexer
from reviewer.sql.alter import alter
from reviewer.sql.create import create
from reviewer.sql.cursor import Cursor, NotUnderstood
from reviewer.sql.tokens import Kind, Token

_READERS = {"create": create, "alter": alter, **commands.READERS}
_TOO_LONG_FOR_TREES = 4_000
"""Tokens of a statement above which only its head is read: a tree of it costs seconds."""


def parse(sql: str, cut: bool = False) -> tuple[Operation, ...]:
    """The operations of an emitted text, in order: of none, one or several statements. Never raises.

    A statement that is not understood is `Unrecognized` with its text; of an `ALTER TABLE` only the action is.
    `cut`: the text goes on behind its end. Of its last statement the head tells what it is.
    """
    found: list[Operation] = []
    statements = list(lexer.split(sql))
    for text, tokens in statements[:-1] if cut else statements:
        found.extend(_operations(text, tokens))
    if cut and statements:
        found.extend(_cut_operations(*statements[-1]))
    return tuple(found)


def split(sql: str) -> tuple[str, ...]:
    """The statements of a text as they were emitted, without semicolons and the comments around them.

    Data of `COPY ... FROM STDIN` belongs to its statement. Never raises.
    """
    return tuple(text for text, _ in lexer.split(sql))


def _operations(text: str, tokens: Sequence[Token]) -> tuple[Operation, ...]:
    try:
        if any(token.kind is Kind.BROKEN for token in tokens):
            raise NotUnderstood
        return tuple(_read(text, tokens))
    except NotUnderstood:
        return (Unrecognized(text),)


def _cut_operations(text: str, tokens: Sequence[Token]) -> tuple[Operation, ...]:
    """Of a statement whose end is not there. What changes rows is known by its head; of anything else a part is not."""
    whole = [token for token in tokens if token.kind is not Kind.BROKEN]
    whole = whole if len(whole) < len(tokens) else whole[:-1]  # its last word may be half a word
    if not whole:
        return (Unrecognized(text),)
    reader = queries.READERS.get(whole[0].value)
    if reader is None:
        known = tuple(each for each in _operations(text, whole) if not isinstance(each, Unrecognized))
        return (*known, Unrecognized(text))
    try:
        # a WHERE may stand in what is not there
        found = tuple(reader(Cursor(text, whole)))
        return tuple(replace(o, filtered=True) if isinstance(o, (Update, Delete)) else o for o in found)
    except NotUnderstood:
        return (Unrecognized(text),)


def _read(text: str, tokens: Sequence[Token]) -> Iterator[Operation]:
    cursor = Cursor(text, tokens)
    word = tokens[0].value
    if tokens[0].kind is Kind.WORD and word in _READERS:
        yield from _READERS[word](cursor)
        cursor.expect_end()
    elif cursor.at("explain"):
        yield from _explained(cursor, text, tokens)
    elif word in queries.READERS:
        yield from _rows(text, tokens)
    else:
        raise NotUnderstood


def _explained(cursor: Cursor, text: str, tokens: Sequence[Token]) -> Iterator[Operation]:
    """EXPLAIN; with ANALYZE the statement runs, and its operations with it."""
    cursor.expect("explain")
    runs = cursor.at_symbol("(") and commands.option(cursor.inside(), "analyze")
    while option := cursor.accept_any("analyze", "analyse", "verbose"):
        runs = runs or option != "verbose"
    yield SessionCommand("explain")
    rest = tokens[cursor.mark :]
    if runs and rest and rest[0].value != "explain":
        yield from _read(text, rest)


def _rows(text: str, tokens: Sequence[Token]) -> tuple[Operation, ...]:
    word = tokens[0].value
    words = {token.value for token in tokens if token.kind is Kind.WORD}
    if "set_config" in words:
        try:
            return tuple(queries.set_config(Cursor(text, tokens)))
        except (NotUnderstood, ValueError):
            pass
    plain = word == "table" or (word == "insert" and not words & {"select", "with", "table"})
    if not plain and len(tokens) <= _TOO_LONG_FOR_TREES:
        from reviewer import dialect  # sqlglot takes a tenth of a second to import

        try:
            return dialect.operations(text, tokens)
        except NotUnderstood:
            pass
    return tuple(queries.READERS[word](Cursor(text, tokens)))
