"""A position in the tokens of one statement, and the small readings that every statement is made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from reviewer.names import Name
from reviewer.sql.tokens import Kind, Token

_END = Token(Kind.SYMBOL, "", -1, -1)
_OPENING = {"(", "["}
_CLOSING = {")", "]"}
_NOTHING: frozenset[str] = frozenset()


class NotUnderstood(Exception):
    """The statement, or the part of it, is not what its reader expects."""


class Cursor:
    """Reads one statement from left to right. Readings that do not fit raise `NotUnderstood`."""

    def __init__(self, sql: str, tokens: Sequence[Token]) -> None:
        self.sql = sql
        self._tokens = tokens
        self._position = 0

    # -- looking ----------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether no token is left."""
        return self._position >= len(self._tokens)

    @property
    def token(self) -> Token:
        """The next token; an empty symbol at the end."""
        return self._tokens[self._position] if self._position < len(self._tokens) else _END

    @property
    def word(self) -> str:
        """The next token as a keyword; empty where it is none."""
        token = self.token
        return token.value if token.kind is Kind.WORD else ""

    def at(self, *words: str) -> bool:
        """Whether these keywords come next."""
        coming = self._tokens[self._position : self._position + len(words)]
        return len(coming) == len(words) and all(
            token.kind is Kind.WORD and token.value == word for token, word in zip(coming, words, strict=True)
        )

    def at_symbol(self, symbol: str) -> bool:
        """Whether this operator or punctuation comes next."""
        token = self.token
        return token.kind is Kind.SYMBOL and token.value == symbol

    def holds(self, *words: str) -> bool:
        """Whether one of these keywords is among the tokens that are left."""
        return any(t.kind is Kind.WORD and t.value in words for t in self._tokens[self._position :])

    @property
    def cut(self) -> bool:
        """Whether the statement is so long that its tokens are only its beginning."""
        return bool(self._tokens) and self._tokens[-1].end < len(self.sql)

    # -- reading ----------------------------------------------------------------------------------

    def next(self) -> Token:
        """The next token, which is then behind."""
        token = self.token
        if token is _END:
            raise NotUnderstood
        self._position += 1
        return token

    def accept(self, *words: str) -> bool:
        """Read these keywords if they come next."""
        if not self.at(*words):
            return False
        self._position += len(words)
        return True

    def accept_any(self, *words: str) -> str:
        """Read one of these keywords if it comes next, and tell which; empty where none does."""
        word = self.word
        if word not in words:
            return ""
        self._position += 1
        return word

    def accept_symbol(self, symbol: str) -> bool:
        """Read this operator or punctuation if it comes next."""
        if not self.at_symbol(symbol):
            return False
        self._position += 1
        return True

    def expect(self, *words: str) -> None:
        """Read these keywords."""
        if not self.accept(*words):
            raise NotUnderstood

    def expect_any(self, *words: str) -> str:
        """Read one of these keywords."""
        return self.accept_any(*words) or self._fail()

    def expect_symbol(self, symbol: str) -> None:
        """Read this operator or punctuation."""
        if not self.accept_symbol(symbol):
            raise NotUnderstood

    def expect_end(self) -> None:
        """All has been read."""
        if not self.done:
            raise NotUnderstood

    def skip_all(self) -> None:
        """Leave the rest unread."""
        self._position = len(self._tokens)

    def if_exists(self) -> bool:
        """Read `IF EXISTS` if it comes next."""
        return self.accept("if", "exists")

    def if_not_exists(self) -> bool:
        """Read `IF NOT EXISTS` if it comes next."""
        return self.accept("if", "not", "exists")

    def cascade(self) -> bool:
        """Read `CASCADE` or `RESTRICT` if one comes next: whether it was the former."""
        return self.accept_any("cascade", "restrict") == "cascade"

    def identifier(self) -> str:
        """A name without a schema, as PostgreSQL stores it."""
        token = self.next()
        if token.kind is Kind.WORD or token.kind is Kind.QUOTED:
            return token.value
        raise NotUnderstood

    def name(self) -> Name:
        """A name with or without a schema; a database in front of it is dropped."""
        parts = [self.identifier()]
        while self.accept_symbol("."):
            parts.append(self.identifier())
        return Name(parts[-1], parts[-2] if len(parts) > 1 else None)

    def names(self) -> list[Name]:
        """Names between commas."""
        found = [self.name()]
        while self.accept_symbol(","):
            found.append(self.name())
        return found

    def table(self) -> Name:
        """A table as ALTER and the like name it: `ONLY t`, `ONLY (t)`, `t *`."""
        if self.accept("only") and self.accept_symbol("("):
            name = self.name()
            self.expect_symbol(")")
            return name
        name = self.name()
        self.accept_symbol("*")
        return name

    def columns(self) -> tuple[str, ...]:
        """Column names in parentheses."""
        self.expect_symbol("(")
        found = [self.identifier()]
        while self.accept_symbol(","):
            found.append(self.identifier())
        self.expect_symbol(")")
        return tuple(found)

    def string(self) -> str:
        """The content of a string constant."""
        token = self.next()
        if token.kind is Kind.STRING:
            return token.value
        raise NotUnderstood

    # -- slices of the text -----------------------------------------------------------------------

    @property
    def mark(self) -> int:
        """The position, for `since` and `back_to`."""
        return self._position

    def back_to(self, mark: int) -> None:
        """Read again from there."""
        self._position = mark

    def since(self, mark: int) -> str:
        """What was written from `mark` up to here."""
        if self._position <= mark:
            return ""
        return self.sql[self._tokens[mark].start : self._tokens[self._position - 1].end]

    def words_since(self, mark: int) -> str:
        """The same with white space folded and comments left out, for types and phrases."""
        parts: list[str] = []
        behind = None
        for token in self._tokens[mark : self._position]:
            if behind is not None and token.start > behind:
                parts.append(" ")
            parts.append(self.sql[token.start : token.end])
            behind = token.end
        return "".join(parts)

    def rest(self) -> str:
        """All that is left, as written."""
        mark = self._position
        self.skip_all()
        return self.since(mark)

    def group(self) -> str:
        """What stands in the parentheses that come next, as written."""
        inner = self.inside()
        return inner.rest()

    def inside(self) -> Cursor:
        """A cursor over what stands in the parentheses that come next, which are then behind."""
        self.expect_symbol("(")
        first = self._position
        depth = 1
        while depth:
            token = self.next()
            if token.kind is Kind.SYMBOL:
                depth += (token.value == "(") - (token.value == ")")
        return Cursor(self.sql, self._tokens[first : self._position - 1])

    def skip_group(self) -> bool:
        """Read parentheses with all in them if they come next."""
        if not self.at_symbol("("):
            return False
        self.inside()
        return True

    def split(self) -> list[Cursor]:
        """The rest as one cursor for each part between commas outside parentheses."""
        parts: list[Cursor] = []
        while True:
            first = self._position
            self.skip_until()
            parts.append(Cursor(self.sql, self._tokens[first : self._position]))
            if not self.accept_symbol(","):
                break
        self.expect_end()
        return parts

    def skip_until(self, words: Collection[str] = _NOTHING, *, expression: bool = False) -> bool:
        """Go on to one of these keywords, a comma or a closing parenthesis, all outside parentheses, or to the end.

        `expression`: a keyword at the start or after an operator belongs to the expression (`DEFAULT NULL`).
        Keywords inside `CASE ... END` do too. Tells whether a keyword stopped it.
        """
        depth = cases = 0
        operand = expression
        while not self.done:
            token = self.token
            value = token.value
            if token.kind is Kind.SYMBOL:
                if not depth and (value == "," or value in _CLOSING):
                    return False
                depth += (value in _OPENING) - (value in _CLOSING)
                operand = expression and value not in _CLOSING
            else:
                if token.kind is Kind.WORD and not depth:
                    if value in words and not cases and not operand:
                        return True
                    cases += (value == "case") - (value == "end" and cases > 0)
                operand = False
            self._position += 1
        return False

    def expression(self, words: Collection[str] = _NOTHING) -> str:
        """An expression up to one of these keywords, a comma or the end, as written."""
        mark = self._position
        self.skip_until(words, expression=True)
        return self.since(mark) or self._fail()

    def _fail(self) -> str:
        raise NotUnderstood
