"""PostgreSQL's lexical rules: a text as tokens, and a text as statements.

Source: <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>. sqlglot's tokenizer is not used for this:
it joins several words into one token, takes `EXPLAIN` and `CALL` with all that follows as one, splits bodies of
`BEGIN ATOMIC` at their semicolons, and knows neither `U&"..."` nor operators that users define.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from typing import NamedTuple


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    """A keyword or an unquoted name."""
    QUOTED = "quoted"
    """A name in double quotes."""
    STRING = "string"
    NUMBER = "number"
    PARAMETER = "parameter"
    """`$1`, `%s`, `%(name)s` or `:name`: what a driver binds a value to."""
    SYMBOL = "symbol"
    """An operator or punctuation."""
    COPY_DATA = "copy data"
    """The lines that follow `COPY ... FROM STDIN;`, with their end mark."""
    BROKEN = "broken"
    """What no statement can hold: a quote that nothing closes, a NUL, a command of psql."""


class Token(NamedTuple):
    """One token; `sql[start:end]` is how it was written."""

    kind: Kind
    value: str
    """A name as PostgreSQL stores it, the content of a string, else the text as it is."""
    start: int
    end: int


_NAME_START = "A-Za-z_\u0080-\U0010ffff"
_NAME = f"[{_NAME_START}][{_NAME_START}0-9$]*"
_TOKEN = re.compile(
    rf"""
      (?P<space> [ \t\n\r\f\v]+ )
    | (?P<line_comment> --[^\n\r]* )
    | (?P<block_comment> /\* )
    | (?P<escape_string> [eE]'[^'\\]*(?:(?:''|\\.)[^'\\]*)*'(?!') )
    | (?P<string> (?:[bBxXnN]|[uU]&)?'[^']*(?:''[^']*)*'(?!') )
    | (?P<dollar_string> (?P<quote>\$(?:[{_NAME_START}][{_NAME_START}0-9]*)?\$).*?(?P=quote) )
    | (?P<quoted> (?:[uU]&)?"[^"]*(?:""[^"]*)*"(?!") )
    | (?P<word> (?![eEbBxXnN]'|[uU]&['"]){_NAME} )
    | (?P<number> 0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | 0[bB][01_]+
        | (?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)? )
    | (?P<parameter> \$[0-9]+ | %\([^()'";\s]+\)s | %s\b | (?<!:):[A-Za-z_][A-Za-z0-9_]* )
    | (?P<symbol> :: | := | \.\. | %% | [][(),;.:] | (?:(?!--|/\*|%s\b|%\([^()'";\s]+\)s)[-+*/<>=~!@\#%^&|`?])+ )
    | (?P<unclosed> (?:[eEbBxXnN]|[uU]&)?['"].* | \$(?:[{_NAME_START}][{_NAME_START}0-9]*)?\$.* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
# What may hide a semicolon, and a semicolon: enough to find the end of a statement too long to be read.
_HIDING = re.compile(
    rf"""
      ; | --[^\n\r]*
    | (?P<block_comment> /\* )
    | [eE]'[^'\\]*(?:(?:''|\\.)[^'\\]*)*(?:'|\Z)
    | '[^']*(?:'|\Z)
    | "[^"]*(?:"|\Z)
    | (?<![{_NAME_START}0-9$])(?P<quote>\$(?:[{_NAME_START}][{_NAME_START}0-9]*)?\$)(?:.*?(?P=quote)|.*)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_COPY_END = re.compile(r"^\\\.[ \t]*\r?$", re.MULTILINE)
_LINE_END = re.compile(r"[^\n\r]*")
_IGNORED = frozenset({"space", "line_comment"})
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_UNICODE_ESCAPE = re.compile(r"\\(?:(\\)|([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6}))")
_CONTROL = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def tokens(sql: str, start: int = 0) -> Iterator[Token]:
    """The tokens of `sql`, white space and comments left out. Never raises: what cannot be is a `BROKEN` token."""
    position = start
    size = len(sql)
    match = _TOKEN.match
    while position < size:
        found = match(sql, position)
        assert found is not None  # its last alternative takes any character
        group = found.lastgroup
        end = found.end()
        if group in _IGNORED:
            position = end
        elif group == "word":
            yield Token(Kind.WORD, folded(sql[position:end]), position, end)
        elif group == "symbol":
            yield Token(Kind.SYMBOL, sql[position:end], position, end)
        elif group == "block_comment":
            closed = _end_of_comment(sql, end)
            if closed is None:
                yield Token(Kind.BROKEN, "", position, size)
                return
            end = closed
        elif group == "unclosed":
            if sql[position] == "\\":  # a command of psql takes its line
                line = _LINE_END.match(sql, position)
                end = line.end() if line else size
            yield Token(Kind.BROKEN, "", position, end)
        else:
            yield _literal(sql, group or "", position, end)
        position = end


def split(sql: str, limit: int = 50_000) -> Iterator[tuple[str, list[Token]]]:
    """Each statement as it was written, without comments around it and its semicolon, and its tokens.

    The positions of the tokens are those in the statement. Of a statement of more than `limit` tokens only these are
    read, so that ten megabytes in one statement cost about a second.
    """
    for start, end, chunk in _chunks(sql, limit):
        text = sql[start:end]
        yield text, [Token(t.kind, t.value, t.start - start, t.end - start) for t in chunk] if start else chunk


def folded(word: str) -> str:
    """An unquoted name as PostgreSQL stores it: ASCII letters in lower case, others as they are."""
    if word.isascii():
        return word.lower()
    return "".join(letter.lower() if letter.isascii() else letter for letter in word)


def _chunks(sql: str, limit: int) -> Iterator[tuple[int, int, list[Token]]]:
    position = 0
    while position < len(sql):
        statement: list[Token] = []
        boundary = _Boundary()
        end = resume = len(sql)
        for token in tokens(sql, position):
            if not statement and token.kind is Kind.BROKEN and sql[token.start] == "\\":
                statement, end, resume = [token], token.end, token.end
                break
            if boundary.ends_at(token):
                end, resume = (statement[-1].end if statement else token.start), token.end
                break
            if len(statement) == limit:
                end = _end_of_long_statement(sql, token.start)
                resume = end + 1
                break
            statement.append(token)
        else:
            end = statement[-1].end if statement else end
        if statement:
            if resume < len(sql) and _copies_from_stdin(statement):
                resume = _end_of_copy_data(sql, resume)
                statement.append(Token(Kind.COPY_DATA, "", end, resume))
                end = resume
            yield statement[0].start, end, statement
        position = resume


def _end_of_long_statement(sql: str, position: int) -> int:
    while found := _HIDING.search(sql, position):
        if found.group() == ";":
            return found.start()
        position = found.end()
        if found.lastgroup == "block_comment":
            position = _end_of_comment(sql, position) or len(sql)
    return len(sql)


class _Boundary:
    """Tells the semicolon that ends a statement from one inside a rule's or a function's body."""

    def __init__(self) -> None:
        self.depth = 0
        self.head: list[str] = []
        self.blocks = 0
        self.previous = ""

    def ends_at(self, token: Token) -> bool:
        """Whether the statement ends before this token."""
        value = token.value
        if token.kind is Kind.SYMBOL:
            if value == ";":
                return not self.blocks and not (self.depth > 0 and self.head[1:2] == ["rule"])
            if value == "(":
                self.depth += 1
            elif value == ")":
                self.depth -= 1
        elif token.kind is Kind.WORD:
            if len(self.head) < 2 and value not in {"or", "replace"}:
                self.head.append(value)
            if self.head[:1] == ["create"] and self.head[1:2] in (["function"], ["procedure"]):
                self._count_blocks(value)
            self.previous = value
        return False

    def _count_blocks(self, word: str) -> None:
        opens = word == "atomic" and self.previous == "begin"
        if opens or (self.blocks and word == "case"):
            self.blocks += 1
        elif self.blocks and word == "end":
            self.blocks -= 1


def _copies_from_stdin(statement: list[Token]) -> bool:
    if not statement or statement[0].value != "copy" or len(statement) > 2000:
        return False
    words = [token.value for token in statement if token.kind is Kind.WORD]
    return any(pair == ("from", "stdin") for pair in zip(words, islice(words, 1, None), strict=False))


def _end_of_copy_data(sql: str, start: int) -> int:
    """Where the data after `COPY ... FROM STDIN;` ends: after its mark, else at once."""
    mark = _COPY_END.search(sql, start)
    return mark.end() if mark else start


def _end_of_comment(sql: str, start: int) -> int | None:
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return None


def _literal(sql: str, group: str, start: int, end: int) -> Token:
    text = sql[start:end]
    if "\0" in text:
        return Token(Kind.BROKEN, "", start, end)
    if group == "number":
        return Token(Kind.NUMBER, text, start, end)
    if group == "parameter":
        return Token(Kind.PARAMETER, text, start, end)
    if group == "quoted":
        name = text[text.index('"') + 1 : -1].replace('""', '"')
        return Token(Kind.QUOTED, _unicode(name) if text[0] != '"' else name, start, end)
    if group == "escape_string":
        return Token(Kind.STRING, _ESCAPE.sub(_unescaped, text[2:-1].replace("''", "'")), start, end)
    if group == "dollar_string":
        width = text.index("$", 1) + 1
        return Token(Kind.STRING, text[width:-width], start, end)
    content = text[text.index("'") + 1 : -1].replace("''", "'")
    return Token(Kind.STRING, _unicode(content) if text[0] in "uU" else content, start, end)


def _unescaped(escape: re.Match[str]) -> str:
    octal, byte, short, long, letter = escape.groups()
    if letter is not None:
        return _CONTROL.get(letter, letter)
    return _character(int(octal, 8) if octal else int(byte or short or long, 16))


def _unicode(text: str) -> str:
    return _UNICODE_ESCAPE.sub(lambda found: found[1] or _character(int(found[2] or found[3], 16)), text)


def _character(code: int) -> str:
    return chr(code) if code <= 0x10FFFF else "\ufffd"
