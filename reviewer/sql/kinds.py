"""The kinds of objects as CREATE, ALTER, DROP and COMMENT ON call them."""

from __future__ import annotations

from sqlglot.tokenizer_core import TokenType

from reviewer.sql.names import Name
from reviewer.sql.reader import NotUnderstood, Reader
from reviewer.sql.tokenizer import STRINGS, SYMBOLS

_KINDS: dict[str, list[tuple[str, ...]]] = {}
# Longer ones first if one is a prefix of another.
for _kind in (
    "access method", "aggregate", "cast", "collation", "constraint", "conversion", "database", "domain",
    "event trigger", "extension", "foreign data wrapper", "foreign table", "function", "group", "index",
    "language", "large object", "materialized view", "operator class", "operator family", "operator", "policy",
    "procedure", "publication", "role", "routine", "rule", "schema", "sequence", "server", "statistics",
    "subscription", "table", "tablespace", "text search configuration", "text search dictionary",
    "text search parser", "text search template", "transform", "trigger", "type", "user mapping", "user", "view",
):  # fmt: skip
    _KINDS.setdefault(_kind.split()[0].upper(), []).append(tuple(_kind.upper().split()))
_SAME = {"user": "role", "group": "role"}
ON_A_TABLE = frozenset({"trigger", "policy", "rule"})
"""Kinds whose objects are named together with their table."""


def accept_kind(reader: Reader) -> str:
    """The kind that comes next; users and groups are roles."""
    for words in _KINDS.get(reader.word, ()):
        mark = reader.mark
        if reader.accept(*words):
            if words[-1] == "MAPPING" and not (reader.at("FOR") or reader.at("IF")):
                reader.back_to(mark)  # CREATE USER mapping
                continue
            kind = " ".join(words).lower()
            return _SAME.get(kind, kind)
    raise NotUnderstood


def signature(reader: Reader) -> Name:
    """A name, and the arguments of a function after it, which are dropped; an operator is its own name."""
    is_operator = reader.kind in SYMBOLS and not reader.at_symbol(TokenType.L_PAREN)
    if is_operator or reader.kind in STRINGS or reader.kind is TokenType.NUMBER:  # LANGUAGE 'x', LARGE OBJECT 1
        name = Name(reader.next().text)
    else:
        parts = [reader.identifier()]
        while reader.accept_symbol(TokenType.DOT):
            parts.append(reader.next().text)
        name = Name(parts[-1], parts[-2] if len(parts) > 1 else None)
    reader.skip_group()
    return name
