"""UPDATE ... FROM → the query that finds rows for which it may write one of several values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct
from sqlglot.tokenizer_core import TokenType

from reviewer.sql.names import Name
from reviewer.sql.operations import Update

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from reviewer.sql.statements import Statement

_DEEPER = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET})
_HIGHER = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET})


class Choice(Struct, frozen=True):
    """An UPDATE that takes its values from other rows."""

    table: Name
    columns: tuple[str, ...]
    sources: tuple[Name, ...]
    """The tables that it reads besides the one that it changes."""
    calls: tuple[str, ...]
    """Names of all functions that it may call."""
    query: str
    """Counts the rows that it can give different values, depending on which of several rows it takes for them."""
    reads_what_it_writes: bool
    """Whether a column that it sets also decides which rows it takes, or what it sets."""


def of(statement: Statement, update: Update) -> Choice | None:
    """How `statement`, which is `update`, chooses; None if it reads no other rows, or is not understood."""
    tokens, text = statement.tokens, statement.text
    places = dict(_clauses(tokens))
    if not tokens or tokens[0].text != "update" or not {"set", "from"} <= places.keys():
        return None

    def between(first: int, last: int) -> str:
        return text[tokens[first].start : tokens[last - 1].end + 1]

    end = places.get("returning", len(tokens))
    where = places.get("where", end)
    given = [*_parts(tokens, places["set"] + 1, places["from"])]
    plain = all(tokens[first + 1].text == "=" for first, _ in given)
    if not plain or places["from"] - places["set"] < 4:
        return None
    values = [between(first + 2, last) for first, last in given]
    called = text[tokens[places["set"] - 1].start : tokens[places["set"] - 1].end + 1]
    condition = f" WHERE {between(where + 1, end)}" if where < end else ""
    set_here = {first for first, _ in given}
    own = {update.table.name, tokens[places["set"] - 1].text}
    names = {
        token.text
        for n, token in enumerate(tokens[:end])
        if n not in set_here and (tokens[n - 1].token_type is not TokenType.DOT or tokens[n - 2].text in own)
    }
    return Choice(
        update.table,
        update.columns,
        update.sources,
        tuple(
            dict.fromkeys(
                one.text for one, other in pairwise(tokens) if other.token_type is TokenType.L_PAREN and one.text
            )
        ),
        f"SELECT count(*) FROM (SELECT FROM {between(1, places['set'])}, {between(places['from'] + 1, where)}"
        f"{condition} GROUP BY {called}.tableoid, {called}.ctid"
        f" HAVING count(DISTINCT ROW({', '.join(values)})::text) > 1) AS several",
        not names.isdisjoint(update.columns),
    )


def _clauses(tokens: Sequence[Token]) -> Iterator[tuple[str, int]]:
    """Where the clauses begin: the first of each outside of parentheses."""
    found, depth = set[str](), 0
    for place, token in enumerate(tokens):
        depth += (token.token_type in _DEEPER) - (token.token_type in _HIGHER)
        quoted = token.token_type in {TokenType.STRING, TokenType.IDENTIFIER}
        # IS DISTINCT FROM is no clause
        beside = place > 0 and tokens[place - 1].text == "distinct"
        if depth == 0 and not quoted and not beside and token.text in {"set", "from", "where", "returning"}:
            if token.text not in found:
                yield token.text, place
            found.add(token.text)


def _parts(tokens: Sequence[Token], first: int, last: int) -> Iterator[tuple[int, int]]:
    """What commas outside of parentheses separate."""
    start, depth = first, 0
    for place in range(first, last):
        kind = tokens[place].token_type
        depth += (kind in _DEEPER) - (kind in _HIGHER)
        if depth == 0 and kind is TokenType.COMMA:
            yield start, place
            start = place + 1
    yield start, last
