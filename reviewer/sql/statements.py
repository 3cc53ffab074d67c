"""Splits a text into statements, each with its own tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from itertools import islice, pairwise

from msgspec import Struct, field
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from reviewer.sql.literals import Hidden, end_of_statement, marks, skip_blank
from reviewer.sql.tokenizer import NO_WORDS, Tokenizer

_MOST = 80_000
"""Most tokens of a definition that are read, each of which takes up to 300 bytes; of the rest only the
end is searched for. A table of 5,000 columns has 60,000.
"""
_MOST_OF_ROWS = 30_000
"""The same for a query or a change of rows."""
_SHORT = 20_000
"""Characters up to which a statement is read completely; of a list of rows this many, because its head says
everything.
"""
_SIGN = re.compile(r"\w+|[^\w\s]")
_DEFINITION = re.compile(r"(?:create|alter|do)\b", re.IGNORECASE)
_VALUES = re.compile(
    r"insert\s+into\s[^()]*(?:\([^()]*\)\s*(?:overriding\s+\w+\s+value\s+)?)?values\b", re.IGNORECASE
)
_LINE = re.compile(r"[^\n\r]*")
_COPY_END = re.compile(r"^\\\.[ \t]*\r?$", re.MULTILINE)


class Statement(Struct, frozen=True):
    """One statement of a text."""

    text: str
    """As it was emitted, without its semicolon and the comments around it; with the data of COPY."""
    tokens: list[Token] = field(default_factory=list)
    """Their positions are those in the text. None if it cannot be a statement."""
    cut: bool = False
    """Whether the statement is so long that only its beginning is tokenized."""


def statements(sql: str, tokenizer: Tokenizer, *, cut: bool = False) -> Iterator[Statement]:
    """The statements of `sql`, in order. Never raises; takes time in proportion to the text.

    `cut`: the text is truncated.
    """
    position = 0
    while (position := skip_blank(sql, position)) < len(sql):
        if sql[position] == ";":
            position += 1
            continue
        if sql[position] == "\\":  # a psql command takes its whole line
            line = _LINE.match(sql, position)
            end = line.end() if line else len(sql)
            yield Statement(sql[position:end])
            position = end
            continue
        draft = _Draft(sql, position, tokenizer, cut=cut)
        position = draft.read()
        if draft.statement is not None:
            yield draft.statement


class _Draft:
    """A statement while searching for its end."""

    def __init__(self, sql: str, start: int, tokenizer: Tokenizer, *, cut: bool) -> None:
        self._text_is_cut = cut
        self.statement: Statement | None = None
        self._sql = sql
        self._start = start
        self._tokenizer = tokenizer
        self._tokens: list[Token] = []
        self._taken = start
        self._readable = True
        self._cut = False
        self._body = _Body()

    def read(self) -> int:
        """Read it, and return where the next one begins."""
        sql = self._sql
        if len(sql) - self._start > _SHORT or ";" in sql or self._text_is_cut:
            code = self._start
            for mark in marks(sql, self._start):
                if not mark.closed and self._text_is_cut:
                    self._take(mark.start, whole=True, code=code)
                    self._cut = True
                    return self._finish(len(sql), len(sql))
                self._readable = self._readable and mark.closed
                self._take(mark.start, whole=mark.kind is Hidden.SEMICOLON, code=code)
                if self._cut:
                    end = end_of_statement(sql, mark.start)
                    self._readable = end is not None
                    return self._finish(len(sql) if end is None else end, len(sql) if end is None else end + 1)
                code = mark.end
                if mark.kind is Hidden.SEMICOLON:
                    if not self._body.goes_on:
                        return self._finish(mark.start, mark.end)
                    if self._readable:
                        self._tokens.append(_inner(mark.start - self._start))
                    self._taken = mark.end
            self._take(len(sql), whole=True, code=code)
            if self._text_is_cut and not self._cut:
                self._cut = True
                del self._tokens[-1:]  # it may be half a word
        else:
            self._take(len(sql), whole=True, code=self._start)
        return self._finish(len(sql), len(sql))

    def _take(self, end: int, *, whole: bool, code: int) -> None:
        """The tokens up to `end`, if something ends there, or up to the limit.

        `code`: where the code in front of `end` begins; the text can be cut from there on.
        """
        size = end - self._start
        too_long = size > _SHORT and size > self._most
        if self._cut or not self._readable or not (whole or too_long):
            return
        if too_long:
            most = max(code, self._start + self._most)
            self._cut = most < end
            end = min(most, end)
        try:
            found = self._tokenizer.tokenize(self._sql[self._taken : end])
        except TokenError:
            self._readable = False
            return
        if self._taken > self._start:
            for token in found:
                token.start += self._taken - self._start
                token.end += self._taken - self._start
        if self._cut:
            del found[-1:]  # it may be half a word
        self._body.follow(found)
        self._tokens += found
        self._taken = end

    @cached_property
    def _most(self) -> int:
        """How many characters of it are read."""
        head = self._sql[self._start : self._start + _SHORT]
        if _VALUES.match(head):
            return _SHORT
        most = _MOST if _DEFINITION.match(head) else _MOST_OF_ROWS
        last = next(islice(_SIGN.finditer(self._sql, self._start), most, None), None)
        return (last.start() if last else len(self._sql)) - self._start

    def _finish(self, end: int, after: int) -> int:
        """Create the statement that ends at `end`, if there is one, and return where the next one begins."""
        sql, start, tokens = self._sql, self._start, self._tokens
        if not self._readable:
            self.statement = Statement(sql[start:end].rstrip())
            return after
        if not tokens:
            self.statement = Statement(sql[start:end].rstrip()) if self._cut else None
            return after
        if not self._cut:
            end = start + tokens[-1].end + 1
        if after < len(sql) and _copies_from_stdin(tokens) and (data := _COPY_END.search(sql, after)):
            after = end = data.end()
        self.statement = Statement(sql[start:end], tokens, self._cut)
        return after


class _Body:
    """Decides whether the semicolon after some tokens is inside the body of a rule or a function."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._depth = 0
        self._blocks = 0
        self._previous = ""

    @property
    def goes_on(self) -> bool:
        """Whether a semicolon that comes now does not end the statement."""
        return self._blocks > 0 or (self._depth > 0 and self._head == ["create", "rule"])

    def follow(self, tokens: list[Token]) -> None:
        """Read on."""
        for token in tokens:
            kind = token.token_type
            if kind is TokenType.L_PAREN:
                self._depth += 1
            elif kind is TokenType.R_PAREN:
                self._depth -= 1
            elif kind not in NO_WORDS:
                word = token.text
                if len(self._head) < 2 and word not in {"or", "replace"}:
                    self._head.append(word)
                    if self._head[0] != "create":
                        return
                elif len(self._head) == 2 and self._head[1] in {"function", "procedure"}:
                    self._count(word)
                elif len(self._head) == 2 and self._head[1] != "rule":
                    return
                self._previous = word

    def _count(self, word: str) -> None:
        opens = word == "atomic" and self._previous == "begin"
        if opens or (self._blocks and word == "case"):
            self._blocks += 1
        elif self._blocks and word == "end":
            self._blocks -= 1


def _inner(position: int) -> Token:
    """A semicolon that does not end a top-level statement."""
    return Token(TokenType.BLOCK_END, ";", start=position, end=position)


def _copies_from_stdin(tokens: list[Token]) -> bool:
    if tokens[0].text != "copy" or len(tokens) > 2000:
        return False
    words = [token.text for token in tokens if token.token_type not in NO_WORDS]
    return ("from", "stdin") in pairwise(words)
