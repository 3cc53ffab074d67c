"""sqlglot's PostgreSQL parser with the small parsing steps that definitions and commands are made of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import Token, TokenType

from reviewer.sql.names import Name
from reviewer.sql.tokenizer import NO_WORDS, STRINGS, SYMBOLS

T = TypeVar("T")

_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET})
_NOTHING: frozenset[str] = frozenset()
_NOWHERE = Token(TokenType.SENTINEL, "")


class NotUnderstood(ParseError):
    """The statement, or a part of it, is not what its reader expects."""

    def __init__(self, message: str = "not understood") -> None:
        super().__init__(message)


class TooMuch(Exception):
    """A tree becomes too large."""


class Reader(PostgresParser):
    """Reads one statement from left to right. Methods raise `NotUnderstood` if the text does not match.

    Keywords are written in upper case here, as in sqlglot; names come as PostgreSQL stores them.
    """

    cut = False
    """Whether the statement is so long that only its beginning is tokenized."""

    def raise_error(self, message: str, token: Token = _NOWHERE) -> None:  # noqa: ARG002  (declared by the base class)
        """Without sqlglot's rendering of the position, which nobody sees."""
        raise NotUnderstood(message)

    def validate_expression(self, expression: exp.Expr, args: list[object] | None = None) -> exp.Expr:  # type: ignore[override]
        """As in sqlglot, but with an exception that no alternative parse can catch."""
        self._node_count += 1
        if self._node_count > self.max_nodes > -1:
            raise TooMuch
        for problem in expression.error_messages(args):
            raise NotUnderstood(problem)
        return expression

    def _warn_unsupported(self) -> None:
        """Log nothing: what is not understood is shown, and logging belongs to the user."""

    # -- looking ----------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether no token is left."""
        return self._index >= self._tokens_size

    @property
    def token(self) -> Token:
        """The next token; one without text at the end."""
        return self._curr

    @property
    def kind(self) -> TokenType:
        """The type of the next token."""
        return self._curr.token_type

    @property
    def word(self) -> str:
        """The next token as a keyword; empty where it is none."""
        token = self._curr
        return token.text.upper() if token.token_type not in NO_WORDS else ""

    def at(self, *words: str) -> bool:
        """Whether these keywords come next."""
        return self._match_text_seq(*words, advance=False)

    def at_symbol(self, symbol: TokenType) -> bool:
        """Whether this operator or punctuation comes next."""
        return self._curr.token_type is symbol

    def at_name(self) -> bool:
        """Whether a word or a quoted name comes next."""
        kind = self._curr.token_type
        return kind not in NO_WORDS or kind is TokenType.IDENTIFIER

    def holds(self, *words: str) -> bool:
        """Whether one of these keywords is among the tokens that are left."""
        left = self._tokens[self._index : self._tokens_size]
        return any(t.token_type not in NO_WORDS and t.text.upper() in words for t in left)

    # -- reading ----------------------------------------------------------------------------------

    def next(self) -> Token:
        """The next token, which is consumed."""
        if self.done:
            raise NotUnderstood
        self._advance()
        return self._prev

    def accept(self, *words: str) -> bool:
        """Read these keywords if they come next."""
        return self._match_text_seq(*words)

    def accept_any(self, *words: str) -> str:
        """Read one of these keywords if it comes next, and return it; empty if none does."""
        return self._prev.text.upper() if self._match_texts(words) else ""

    def accept_symbol(self, symbol: TokenType) -> bool:
        """Read this operator or punctuation if it comes next."""
        return self._match(symbol)

    def expect(self, *words: str) -> None:
        """Read these keywords."""
        if not self._match_text_seq(*words):
            raise NotUnderstood

    def expect_any(self, *words: str) -> str:
        """Read one of these keywords."""
        found = self.accept_any(*words)
        if not found:
            raise NotUnderstood
        return found

    def expect_symbol(self, symbol: TokenType) -> None:
        """Read this operator or punctuation."""
        if not self._match(symbol):
            raise NotUnderstood

    def expect_end(self) -> None:
        """Raise unless everything has been read."""
        if not self.done:
            raise NotUnderstood

    def skip_all(self) -> None:
        """Leave the rest unread."""
        self.back_to(self._tokens_size)

    def if_exists(self) -> bool:
        """Read `IF EXISTS` if it comes next."""
        return self.accept("IF", "EXISTS")

    def if_not_exists(self) -> bool:
        """Read `IF NOT EXISTS` if it comes next."""
        return self.accept("IF", "NOT", "EXISTS")

    def cascade(self) -> bool:
        """Read `CASCADE` or `RESTRICT` if one comes next: whether it was the former."""
        return self.accept_any("CASCADE", "RESTRICT") == "CASCADE"

    def identifier(self) -> str:
        """A name without a schema, as PostgreSQL stores it."""
        if not self.at_name():
            raise NotUnderstood
        self._advance()
        return self._prev.text

    def name(self) -> Name:
        """A name with or without a schema; a database in front of it is dropped."""
        name = self.identifier()
        schema = None
        while self._match(TokenType.DOT):
            schema, name = name, self.identifier()
        return Name(name, schema)

    def names(self) -> list[Name]:
        """Names between commas."""
        return self._parse_csv(self.name)

    def table(self) -> Name:
        """A table as ALTER and the like name it: `ONLY t`, `ONLY (t)`, `t *`."""
        if self.accept("ONLY") and self._match(TokenType.L_PAREN):
            name = self.name()
            self.expect_symbol(TokenType.R_PAREN)
            return name
        name = self.name()
        self._match(TokenType.STAR)
        return name

    def tables(self) -> list[Name]:
        """The same between commas."""
        return self._parse_csv(self.table)

    def columns(self) -> tuple[str, ...]:
        """Column names in parentheses."""
        self.expect_symbol(TokenType.L_PAREN)
        found = self._parse_csv(self.identifier)
        self.expect_symbol(TokenType.R_PAREN)
        return tuple(found)

    def string(self) -> str:
        """The content of a string constant."""
        if not self._match_set(STRINGS):
            raise NotUnderstood
        return self._prev.text

    # -- slices of the text -----------------------------------------------------------------------

    @property
    def mark(self) -> int:
        """The position, for `since` and `back_to`."""
        return self._index

    def back_to(self, mark: int) -> None:
        """Continue reading from there."""
        self._retreat(mark)

    def since(self, mark: int) -> str:
        """The text from `mark` up to here."""
        return self._find_sql(self._tokens[mark], self._prev) if self._index > mark else ""

    def words_since(self, mark: int) -> str:
        """The same with white space folded and comments left out, for types and phrases."""
        parts: list[str] = []
        behind = None
        for token in self._tokens[mark : self._index]:
            if behind is not None and token.start > behind:
                parts.append(" ")
            parts.append(self._find_sql(token, token))
            behind = token.end + 1
        return "".join(parts)

    def rest(self) -> str:
        """All that is left, as written."""
        mark = self._index
        self.skip_all()
        return self.since(mark)

    def group(self) -> str:
        """The contents of the parentheses that come next, as written."""
        return self.within(self.rest)

    def within(self, read: Callable[[], T]) -> T:
        """What `read` makes of the parentheses that come next, which are consumed; it sees nothing else."""
        self.expect_symbol(TokenType.L_PAREN)
        first, last = self._index, self._closing()
        return self._bounded(first, last, read, after=last + 1)

    def listed(self, read: Callable[[], T]) -> list[T]:
        """What `read` makes of each part of the rest between commas outside parentheses; it must read all of one."""

        def whole() -> T:
            found = read()
            self.expect_end()
            return found

        parts: list[T] = []
        while True:
            first = self._index
            self.skip_until()
            parts.append(self._bounded(first, self._index, whole, after=self._index))
            if not self._match(TokenType.COMMA):
                break
        self.expect_end()
        return parts

    def skip_group(self) -> bool:
        """Read parentheses with all in them if they come next."""
        if not self._match(TokenType.L_PAREN):
            return False
        self.back_to(self._closing() + 1)
        return True

    def skip_until(self, words: Collection[str] = _NOTHING, *, expression: bool = False) -> bool:
        """Skip to one of these keywords, a comma or a closing parenthesis, all outside parentheses, or to the end.

        `expression`: a keyword at the start or after an operator belongs to the expression (`DEFAULT NULL`).
        Keywords inside `CASE ... END` do too. Returns whether a keyword stopped it.
        """
        depth = cases = 0
        operand = expression
        found = False
        tokens = self._tokens
        position = self._index
        while position < self._tokens_size:
            kind = tokens[position].token_type
            if kind in SYMBOLS:
                if not depth and (kind is TokenType.COMMA or kind in _CLOSING):
                    break
                depth += (kind in _OPENING) - (kind in _CLOSING)
                operand = expression and kind not in _CLOSING
            else:
                if not depth and kind not in NO_WORDS:
                    value = tokens[position].text.upper()
                    if value in words and not cases and not operand:
                        found = True
                        break
                    cases += (value == "CASE") - (value == "END" and cases > 0)
                operand = False
            position += 1
        self.back_to(position)
        return found

    def text_until(self, words: Collection[str] = _NOTHING) -> str:
        """An expression up to one of these keywords, a comma or the end, as written."""
        mark = self._index
        self.skip_until(words, expression=True)
        if self._index == mark:
            raise NotUnderstood
        return self.since(mark)

    def each_from(self, *starts: Sequence[str], read: Callable[[], Iterable[T]]) -> list[T]:
        """What `read` makes of each part of what is left; a part begins with one of these sequences of keywords."""
        places = [
            n
            for n in range(self._index, self._tokens_size)
            if any(self._words(n, len(start)) == list(start) for start in starts)
        ]
        if not places or places[0] != self._index:
            raise NotUnderstood

        def whole() -> list[T]:
            made = [*read()]
            self.expect_end()
            return made

        found: list[T] = []
        for first, last in itertools.pairwise([*places, self._tokens_size]):
            found += self._bounded(first, last, whole, after=last)
        return found

    def _words(self, first: int, number: int) -> list[str]:
        """The keywords from a position on; an empty string for anything else."""
        tokens = self._tokens[first : min(first + number, self._tokens_size)]
        return ["" if token.token_type in NO_WORDS else token.text.upper() for token in tokens]

    def _closing(self) -> int:
        """Position at which the currently open parentheses are closed."""
        depth = 1
        tokens = self._tokens
        for position in range(self._index, self._tokens_size):
            kind = tokens[position].token_type
            if kind is TokenType.L_PAREN:
                depth += 1
            elif kind is TokenType.R_PAREN:
                depth -= 1
                if not depth:
                    return position
        raise NotUnderstood

    def _bounded(self, first: int, last: int, read: Callable[[], T], *, after: int) -> T:
        """What `read` makes of the tokens from `first` up to `last`; the position is then `after`."""
        size = self._tokens_size
        self._tokens_size = last
        try:
            self._move(first)
            return read()
        finally:
            self._tokens_size = size
            self._move(after)

    def _move(self, position: int) -> None:
        """As `back_to`, also where only the end of what can be seen has changed."""
        self._advance(position - self._index)
