"""Reconstructs the base state without a server, from the text of the statements of earlier revisions.

Only what is certain is kept. Code whose effect cannot be read from its text (a DO block, a revision that cannot be
rendered) makes it forget the tables that the code names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from reviewer.recording import Catalogue
from reviewer.replay.schema import Schema
from reviewer.replay.stream import commands, qualified
from reviewer.sql.names import Name
from reviewer.sql.operations import CreateObject, DoBlock, Operation, Unrecognized


class Opaque(Struct, frozen=True):
    """Code whose statements cannot be read from its text. Afterwards, nothing is known about what it names."""

    source: str


def catalogue(past: Iterable[str | Opaque]) -> Catalogue:
    """Return the tables, indexes, constraints and types after `past`: emitted statements, oldest first."""
    known = Schema()
    for each in past:
        if isinstance(each, Opaque):
            known = _forget(known, each.source)
            continue
        for command in commands(each):
            for written in command.operations:
                operation = qualified(written, known)
                known = _remember_function(known.apply(operation), operation, command.text)
                if isinstance(operation, DoBlock | Unrecognized):
                    source = operation.body if isinstance(operation, DoBlock) else operation.sql
                    known = _forget(known, source)
    return known.catalogue()


_ANY_TABLE = re.compile(
    r"pg_class|pg_tables|pg_constraint|pg_indexes|information_schema|get_table_names|\binspect\b"
)
"""How code looks up tables instead of naming them."""


_PLPGSQL = re.compile(r"\blanguage\s+'?plpgsql\b", re.IGNORECASE)
_STEADY = re.compile(r"\b(immutable|stable)\b", re.IGNORECASE)


def _forget(known: Schema, source: str) -> Schema:
    """Return `known` without the objects that the code names; without any if the code looks up tables."""
    words = set(re.findall(r"\w+", source.lower()))
    everything = _ANY_TABLE.search(source.lower()) is not None

    def stays(name: str) -> bool:
        return not everything and name.lower() not in words

    return replace(
        known,
        whole=False,
        tables={key: table for key, table in known.tables.items() if stays(key[1])},
        enums={key: labels for key, labels in known.enums.items() if stays(key[1])},
    )


def _remember_function(known: Schema, operation: Operation, text: str) -> Schema:
    """Record whether a function is volatile. SQL functions are left out, because PostgreSQL may inline them."""
    match operation:
        case CreateObject(kind="function", object=Name() as name):
            key = (name.schema or "public", name.name)
            volatile = {each: None for each in known.volatile if each != key}
            if _PLPGSQL.search(text) and not _STEADY.search(text):
                volatile[key] = None
            return replace(known, volatile=volatile)
    return known
