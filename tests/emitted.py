"""What the examples of checks send, rendered in this process: recordings as a review without a server makes them."""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.dialects import postgresql

from reviewer.recording import (
    Direction,
    Location,
    Mode,
    Outcome,
    Pass,
    Recording,
    Rehearsal,
    Revision,
    Statement,
)
from reviewer.rehearsal import reconstruction
from reviewer.review.rule import Example
from reviewer.sql.parse import split

UNRENDERED = (Exception,)
"""What rendering raises for code that wants an answer from a database."""


class Emitted(Struct, frozen=True):
    """The statements of an example: what is deployed already, and of each new revision both ways."""

    given: tuple[str, ...]
    upgrades: tuple[tuple[str, ...], ...]
    downgrade: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """All that is new, as one text."""
        return "\n".join(each for statements in (*self.upgrades, self.downgrade) for each in statements)


@functools.cache
def emitted(example: Example) -> Emitted | None:
    """What the example sends; None where its code cannot be rendered without a database."""
    if example.beside or example.models:
        return None
    bodies = (example.given, example.upgrade, *example.then, example.downgrade or "")
    try:
        given, *upgrades, downgrade = map(_rendered, bodies)
    except UNRENDERED:
        return None
    return Emitted(given, tuple(upgrades), downgrade)


def _rendered(body: str) -> tuple[str, ...]:
    out = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": out, "literal_binds": True}
    )
    op = Operations(context)
    namespace: dict[str, Any] = {"op": op, "sa": sa, "postgresql": postgresql}
    exec(textwrap.dedent(body), namespace)
    return split(out.getvalue())


def recording(found: Emitted, *, joined: bool = False, first: Sequence[str] = ()) -> Recording:
    """The recording of a static review; `joined`: each revision sends all in one text. `first` is sent before the rest,
    on line 0.
    """
    revisions, passes = [], []
    for number, statements in enumerate(found.upgrades, 1):
        name = f"new{number}"
        revisions.append(Revision(name, (f"new{number - 1}",), f"{name}.py", upgrade_line=1, downgrade_line=99))
        begin = tuple(_statement(name, 0, sql) for sql in first) if number == 1 else ()
        passes.append(_pass(name, Direction.UPGRADE, (*begin, *_sent(name, statements, joined=joined))))
    if found.downgrade:
        passes.append(_pass("new1", Direction.DOWNGRADE, _sent("new1", found.downgrade, joined=joined)))
    base = reconstruction.catalogue(found.given)
    return Recording("0", Mode.STATIC, tuple(revisions), tuple(passes), base=base)


def _pass(name: str, direction: Direction, statements: tuple[Statement, ...]) -> Pass:
    return Pass(name, direction, Rehearsal.DEPLOYED, Outcome.OK, statements=statements)


def _sent(name: str, statements: tuple[str, ...], *, joined: bool) -> tuple[Statement, ...]:
    if joined:
        return (_statement(name, 1, "; ".join(statements)),) if statements else ()
    return tuple(_statement(name, line, sql) for line, sql in enumerate(statements, 1))


def _statement(name: str, line: int, sql: str) -> Statement:
    return Statement(sql, Location(f"{name}.py", line))


def at_one_line(found: Recording) -> Recording:
    """The same where each revision sends everything from one line, as a text of several commands does."""
    passes = [
        replace(
            each,
            statements=tuple(
                replace(s, location=Location(s.location.path, 1)) if s.location else s for s in each.statements
            ),
        )
        for each in found.passes
    ]
    return replace(found, passes=tuple(passes))
