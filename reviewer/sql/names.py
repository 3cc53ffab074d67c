"""Names of database objects: a schema that may be missing, and a name, as PostgreSQL stores them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

VERSION_TABLE = "alembic_version"
"""Name of Alembic's own table unless env.py sets another."""


class Name(Struct, frozen=True):
    """An object's name as PostgreSQL stores it: quotes removed, unquoted parts folded to lower case."""

    name: str
    schema: str | None = None

    def matches(self, other: Name) -> bool:
        """Whether both may mean the same object; a missing schema means `public`."""
        return self.name == other.name and (self.schema or "public") == (other.schema or "public")

    @property
    def sql(self) -> str:
        """The name as written in SQL, quoted if necessary."""
        return ".".join(quoted(part) for part in (self.schema, self.name) if part)

    def __str__(self) -> str:
        schema = self.schema if self.schema != "public" else None
        return ".".join(_told(part) for part in (schema, self.name) if part)

    @classmethod
    def told(cls, text: str) -> Name:
        """The name that `str` has written as `text`; without a schema one of `public`."""
        found = _TOLD.fullmatch(text)
        schema, name = found.groups() if found else (None, text)
        return cls(_untold(name), _untold(schema) if schema else "public")


def _told(part: str) -> str:
    """Unchanged, in quotes only if it would be ambiguous."""
    return '"' + part.replace('"', '""') + '"' if "." in part or part.startswith('"') else part


def _untold(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


_TOLD = re.compile(r'(?:("(?:[^"]|"")*"|[^".][^.]*)\.)?("(?:[^"]|"")*"|[^".][^.]*)', re.DOTALL)


_PART = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_WHOLE = re.compile(rf"(?:({_PART})\.)?({_PART})")


def read(text: str) -> Name | None:
    """The name that `text` is in SQL, with or without a schema; None if it is not a name."""
    found = _WHOLE.fullmatch(text.strip())
    if found is None:
        return None
    schema, name = (
        part and (part[1:-1].replace('""', '"') if part[0] == '"' else part.lower()) for part in found.groups()
    )
    return Name(name, schema)


def quoted(identifier: str) -> str:
    """`identifier` as written in SQL: unchanged if that is the same name, else in quotes."""
    plain = identifier.isascii() and identifier.replace("_", "a").isalnum() and identifier == identifier.lower()
    if plain and not identifier[:1].isdigit() and identifier not in RESERVED:
        return identifier
    return '"' + identifier.replace('"', '""') + '"'


# The words that PostgreSQL reserves, which need quotes to be a name.
# https://www.postgresql.org/docs/current/sql-keywords-appendix.html
RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "binary",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "group",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "intersect",
        "into",
        "is",
        "isnull",
        "join",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "natural",
        "not",
        "notnull",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "outer",
        "overlaps",
        "placing",
        "primary",
        "references",
        "returning",
        "right",
        "select",
        "session_user",
        "similar",
        "some",
        "symmetric",
        "system_user",
        "table",
        "tablesample",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
    ]
)


def listed(names: Sequence[str], most: int | None = None) -> str:
    """`a, b and c`; of more than `most` the first, and how many more there are."""
    shown = list(names if most is None else names[:most])
    if len(shown) < len(names):
        shown.append(f"{len(names) - len(shown):,} more")
    return " and ".join(part for part in (", ".join(shown[:-1]), *shown[-1:]) if part)
