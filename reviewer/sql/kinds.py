"""The kinds of objects as CREATE, ALTER, DROP and COMMENT ON call them."""

from __future__ import annotations

from reviewer.names import Name
from reviewer.sql.cursor import Cursor, NotUnderstood
from reviewer.sql.tokens import Kind

# Longer ones first where one is the beginning of another.
_KINDS = tuple(
    tuple(kind.split())
    for kind in (
        "access method", "aggregate", "cast", "collation", "constraint", "conversion", "database", "domain",
        "event trigger", "extension", "foreign data wrapper", "foreign table", "function", "group", "index",
        "language", "large object", "materialized view", "operator class", "operator family", "operator", "policy",
        "procedure", "publication", "role", "routine", "rule", "schema", "sequence", "server", "statistics",
        "subscription", "table", "tablespace", "text search configuration", "text search dictionary",
        "text search parser", "text search template", "transform", "trigger", "type", "user mapping", "user", "view",
    )
)  # fmt: skip
_SAME = {"user": "role", "group": "role"}
ON_A_TABLE = frozenset({"trigger", "policy", "rule"})
"""Kinds whose objects are named together with their table."""


def accept_kind(cursor: Cursor) -> str:
    """The kind that comes next; users and groups are roles."""
    word = cursor.word
    for words in _KINDS:
        if word == words[0] and cursor.accept(*words):
            kind = " ".join(words)
            return _SAME.get(kind, kind)
    raise NotUnderstood


def signature(cursor: Cursor) -> Name:
    """A name, and the arguments of a function behind it, which are dropped; an operator is its own name."""
    is_operator = cursor.token.kind is Kind.SYMBOL and not cursor.at_symbol("(")
    if is_operator or cursor.token.kind in {Kind.STRING, Kind.NUMBER}:  # LANGUAGE 'x', LARGE OBJECT 1
        name = Name(cursor.next().value)
    else:
        parts = [cursor.identifier()]
        while cursor.accept_symbol("."):
            parts.append(cursor.next().value)
        name = Name(parts[-1], parts[-2] if len(parts) > 1 else None)
    cursor.skip_group()
    return name
