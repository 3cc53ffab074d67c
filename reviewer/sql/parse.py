"""SQL as it was emitted → operations. Every statement ends as operations, possibly `Unrecognized`.

It is read with sqlglot (`reviewer.sql`), which is slow to import and therefore imported for the first text:
`prepare` starts that in the background. Expressions are slices of the text that was given, never a rendering.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from reviewer import sql  # noqa: F401  (from here on, every import of sqlglot gets the one that can be extended
from reviewer.sql.operations import Operation

if TYPE_CHECKING:
    from reviewer.sql.choices import Choice
    from reviewer.sql.conditions import Condition
    from reviewer.sql.mapped import Mapped
    from reviewer.sql.matching import Match

_KEPT = 10_000
"""Characters of a text up to which its operations are kept: the same is often sent again, up, down and up."""


def parse(text: str, cut: bool = False) -> tuple[Operation, ...]:
    """The operations of an emitted text, in order: for none, one or several statements. Never raises.

    A statement that is not understood is `Unrecognized` with its text; in an `ALTER TABLE` only the action is.
    `cut`: the text is truncated. Its last statement is recognised by its head.
    """
    return _parsed(text, cut) if len(text) <= _KEPT else _parse(text, cut)


def split(text: str) -> tuple[str, ...]:
    """The statements of a text as they were emitted, without semicolons and the comments around them.

    Data of `COPY ... FROM STDIN` belongs to its statement. Never raises.
    """
    from reviewer.sql import dialect

    return tuple(statement.text for statement in dialect.split(text))


def excludes_null(condition: str, column: str) -> bool:
    """Whether a condition says of the column that it is not NULL; False also for one that is not understood."""
    from reviewer.sql import dialect

    return dialect.excludes_null(condition, column)


def matches(text: str) -> tuple[Match, ...]:
    """What rows must hold for each UPDATE and DELETE of a text to take them, as far as that is known. Never raises."""
    from reviewer.sql import dialect

    return tuple(dialect.matches(text))


def mapped(text: str) -> tuple[Mapped, ...]:
    """The columns that each UPDATE of a text makes NULL where a CASE does not list their value. Never raises."""
    from reviewer.sql import dialect

    return tuple(dialect.mapped(text))


def choices(text: str) -> tuple[Choice, ...]:
    """How each UPDATE ... FROM of a text chooses among several rows, as far as that is known. Never raises."""
    from reviewer.sql import dialect

    return tuple(dialect.choices(text))


def conditions(text: str) -> tuple[Condition, ...]:
    """The WHERE of each UPDATE and DELETE of a text, as far as it is understood. Never raises."""
    from reviewer.sql import dialect

    return tuple(dialect.conditions(text))


def _parse(text: str, cut: bool = False) -> tuple[Operation, ...]:
    from reviewer.sql import dialect

    return tuple(operation for operations in dialect.read(text, cut=cut) for operation in operations)


_parsed = lru_cache(maxsize=4_096)(_parse)
