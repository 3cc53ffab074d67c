"""PostgreSQL's lexical rules where sqlglot's tokenizer deviates from them. There is no other tokenizer.

What is corrected, each of which could be offered upstream:

- words: each keyword is one token (`GROUP /* why */ BY` are two), an unquoted name is folded as PostgreSQL
  stores it, and no statement swallows what follows it as a string (`EXPLAIN`, `CALL`);
- operators are as long as in PostgreSQL, user-defined ones included: `@>=`, `<->`, `!~~*`;
- numbers: `.5`, `1_000`, `0o17`, and `0x1F` is not a string;
- placeholders of drivers: `%s`, `%(name)s`, `:name`, `$1`;
- `U&"..."` and `U&'...'`;
- `$1,$2` is not the beginning of a string between dollars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from reviewer.sql.literals import Hidden, Mark, marks

STRINGS = frozenset(
    {
        TokenType.BIT_STRING,
        TokenType.BYTE_STRING,
        TokenType.HEREDOC_STRING,
        TokenType.HEX_STRING,
        TokenType.NATIONAL_STRING,
        TokenType.STRING,
        TokenType.UNICODE_STRING,
    }
)
"""The types of string constants."""
OPERATORS = {
    "+": TokenType.PLUS,
    "-": TokenType.DASH,
    "*": TokenType.STAR,
    "/": TokenType.SLASH,
    "^": TokenType.CARET,
    "<": TokenType.LT,
    ">": TokenType.GT,
    "=": TokenType.EQ,
    "<=": TokenType.LTE,
    ">=": TokenType.GTE,
    "<>": TokenType.NEQ,
    "!=": TokenType.NEQ,
    "=>": TokenType.FARROW,
    "||": TokenType.DPIPE,
}
"""The operators that have a precedence or a meaning of their own; any other is like `||`, as in PostgreSQL."""
_NO_CODE = frozenset({*STRINGS, TokenType.IDENTIFIER})
_PUNCTUATION = frozenset(
    {
        TokenType.L_PAREN,
        TokenType.R_PAREN,
        TokenType.L_BRACKET,
        TokenType.R_BRACKET,
        TokenType.COMMA,
        TokenType.DOT,
        TokenType.COLON,
        TokenType.DCOLON,
        TokenType.COLON_EQ,
        TokenType.SEMICOLON,
    }
)
SYMBOLS = frozenset({*_PUNCTUATION, *OPERATORS.values(), TokenType.BLOCK_END})
"""The types of operators and punctuation."""
NO_WORDS = frozenset({*SYMBOLS, *_NO_CODE, TokenType.NUMBER, TokenType.PLACEHOLDER, TokenType.SENTINEL})
"""The types of everything that is neither a keyword nor an unquoted name."""
_OPERATOR_CHARACTERS = frozenset("+-*/<>=~!@#%^&|`?")
_MAY_END_IN_A_SIGN = frozenset("~!@#%^&|`?")
_BOUND = re.compile(r"%(?:s\b|\([^()'\";\s]+\)s)")
_RADIX = frozenset({TokenType.HEX_STRING, TokenType.BIT_STRING})
_OCTAL = re.compile(r"0[oO][0-7_]+(?![A-Za-z0-9_$\u0080-\U0010ffff])")
_READ_BY_OURSELVES = 500
"""Length of a literal above which sqlglot does not see it: it takes a microsecond per character."""
_PREFIXES = frozenset("nNbBxX&")
"""Prefixes of special strings, and of names with escapes."""

_UNICODE_ESCAPE = re.compile(r"\\(?:(\\)|([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6}))")
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_CONTROL = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Tokenizer(Postgres.Tokenizer):
    """The tokenizer of the dialect."""

    HEREDOC_STRINGS = []  # noqa: RUF012  (declared by the base class, as the others)
    COMMANDS = set()  # noqa: RUF012
    SINGLE_TOKENS = {**Postgres.Tokenizer.SINGLE_TOKENS, "$": TokenType.PARAMETER}  # noqa: RUF012
    KEYWORDS = {  # noqa: RUF012
        **{word: kind for word, kind in Postgres.Tokenizer.KEYWORDS.items() if word.isidentifier()},
        "::": TokenType.DCOLON,
        ":=": TokenType.COLON_EQ,
    }

    def tokenize(self, sql: str) -> list[Token]:
        """The tokens of one statement.

        Raises:
            TokenError: it cannot be a statement, for example because of an unterminated quote.
        """
        if "\0" in sql:
            raise TokenError("a NUL")
        if "$" in sql or "/*" in sql or len(sql) > _READ_BY_OURSELVES:
            found = list(self._around_literals(sql))
        else:
            found = self._core.tokenize(sql)
        return _mended(sql, found)

    def _around_literals(self, sql: str) -> Iterator[Token]:
        """The tokens of a text with strings between dollars, long literals, or nestable comments.

        Of `/*/* a */ b */` sqlglot takes the first `*/` for the end.
        """
        position = 0
        for mark in marks(sql):
            if not mark.closed:
                raise TokenError("no end")
            prefixed = sql[mark.start - 1 : mark.start] in _PREFIXES
            is_long = mark.end - mark.start > _READ_BY_OURSELVES and not prefixed
            if mark.kind is Hidden.DOLLARS or is_long or sql.startswith("/*", mark.start):
                yield from self._shifted(sql, position, mark.start)
                if mark.kind is not Hidden.COMMENT:
                    yield _literal(sql, mark)
                position = mark.end
        yield from self._shifted(sql, position, len(sql))

    def _shifted(self, sql: str, start: int, end: int) -> list[Token]:
        found: list[Token] = self._core.tokenize(sql[start:end])
        if start:
            for token in found:
                token.start += start
                token.end += start
        return found


# sqlglot adds the comments of a templating language to those of every dialect.
Tokenizer._COMMENTS.pop("{#", None)


def folded(word: str) -> str:
    """An unquoted name as PostgreSQL stores it: ASCII letters in lower case, others as they are."""
    if word.isascii():
        return word.lower()
    return "".join(letter.lower() if letter.isascii() else letter for letter in word)


def _literal(sql: str, mark: Mark) -> Token:
    text = sql[mark.start : mark.end]
    kind = TokenType.STRING
    if mark.kind is Hidden.DOLLARS:
        kind = TokenType.HEREDOC_STRING
        width = text.index("$", 1) + 1
        text = text[width:-width]
    elif mark.kind is Hidden.QUOTED:
        kind = TokenType.IDENTIFIER
        text = text[1:-1].replace('""', '"')
    elif mark.kind is Hidden.ESCAPED:
        text = _ESCAPE.sub(_unescaped, text[2:-1].replace("''", "'"))
    else:
        text = text[1:-1].replace("''", "'")
    return Token(kind, text, start=mark.start, end=mark.end - 1)


def _mended(sql: str, tokens: list[Token]) -> list[Token]:
    """The tokens as PostgreSQL cuts them."""
    found: list[Token] = []
    last = _START
    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        kind = token.token_type
        if kind in _NO_CODE:
            if kind is TokenType.UNICODE_STRING:
                token.token_type, token.text = TokenType.STRING, _unicode(token.text)
            elif kind is TokenType.IDENTIFIER and _is_prefixed(found, token):
                token.text = _unicode(token.text)
                token.start -= 2
                del found[-2:]
            elif kind in _RADIX and sql[token.start] == "0":
                token = _spanning(sql, TokenType.NUMBER, token.start, token.end)
        elif kind in _PUNCTUATION:
            pass
        elif token.text[0] in _OPERATOR_CHARACTERS:
            position = _operators(sql, tokens, position - 1, found)
            last = found[-1]
            continue
        elif kind is TokenType.NUMBER:
            _join_number(sql, found, token)
            if token.text == "0" and (octal := _OCTAL.match(sql, token.start)):
                token = _spanning(sql, TokenType.NUMBER, token.start, octal.end() - 1)
                position += 1
        elif token.text == "$":
            number = tokens[position] if position < len(tokens) else _START
            if number.token_type is not TokenType.NUMBER or number.start != token.end + 1:
                raise TokenError("a dollar sign alone")
            position += 1
            token = _spanning(sql, TokenType.PLACEHOLDER, token.start, number.end)
        else:
            token.text = _word(token.text)
            if last.token_type is TokenType.COLON and last.end + 1 == token.start and _is_named(found, token):
                found.pop()
                token = _spanning(sql, TokenType.PLACEHOLDER, token.start - 1, token.end)
        found.append(token)
        last = token
    return found


_START = Token(TokenType.SENTINEL, "", start=-2, end=-2)
_NAME = re.compile("[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*")


def _spanning(sql: str, kind: TokenType, start: int, end: int) -> Token:
    """A token with the text from `start` up to and with `end`."""
    return Token(kind, sql[start : end + 1], start=start, end=end)


def _word(text: str) -> str:
    """A keyword or a name, folded."""
    if not text.isidentifier() and not _NAME.fullmatch(text):
        raise TokenError("no word")
    return folded(text)


def _is_prefixed(found: list[Token], name: Token) -> bool:
    """Whether `U&` stands in front of a quoted name."""
    before = found[-2:]
    is_prefix = [token.text for token in before] == ["u", "&"] and before[0].token_type not in _NO_CODE
    return is_prefix and before[0].end + 2 == before[1].end + 1 == name.start


def _is_named(found: list[Token], name: Token) -> bool:
    """Whether a colon and a name are a parameter, and not the bounds of an array's slice."""
    before = found[-2] if len(found) > 1 else _START
    is_bound = before.token_type is TokenType.NUMBER and before.end + 1 == found[-1].start
    return not is_bound and name.text.isascii() and "$" not in name.text


def _join_number(sql: str, found: list[Token], number: Token) -> None:
    """Include the point in front of a number, and what precedes it."""
    while found and found[-1].end + 1 == number.start and found[-1].token_type in {TokenType.DOT, TokenType.NUMBER}:
        if found[-1].token_type is TokenType.DOT and len(found) > 1 and _ends_in_a_name(found[-2], found[-1]):
            return
        number.start = found.pop().start
        number.text = sql[number.start : number.end + 1]


def _ends_in_a_name(before: Token, point: Token) -> bool:
    is_name = before.token_type not in NO_WORDS or before.token_type is TokenType.IDENTIFIER
    return is_name and before.end + 1 == point.start


def _operators(sql: str, tokens: list[Token], position: int, found: list[Token]) -> int:
    """Add the operators and parameters that start at a token, and return the token at which to continue."""
    start = tokens[position].start
    end = start
    while position < len(tokens) and tokens[position].start == end and _is_operator(tokens[position]):
        end = tokens[position].end + 1
        position += 1
    at = start
    while at < end:
        bound = _parameter(sql, at, end)
        stop = bound.start() if bound else end
        for operator in _cut(sql[at:stop]):
            kind = OPERATORS.get(operator, TokenType.DPIPE)
            found.append(Token(kind, operator, start=at, end=at + len(operator) - 1))
            at += len(operator)
        if bound:
            at = bound.end()
            found.append(_spanning(sql, TokenType.PLACEHOLDER, bound.start(), at - 1))
            while position < len(tokens) and tokens[position].start < at:
                position += 1
    return position


def _parameter(sql: str, start: int, end: int) -> re.Match[str] | None:
    """The first parameter that begins between the two; a doubled percent sign begins none."""
    at = sql.find("%", start, end)
    while at >= 0:
        if (found := _BOUND.match(sql, at)) and not (at > start and sql[at - 1] == "%"):
            return found
        at = sql.find("%", at + 1, end)
    return None


def _is_operator(token: Token) -> bool:
    return token.token_type not in _NO_CODE and token.text[0] in _OPERATOR_CHARACTERS


def _cut(run: str) -> Iterator[str]:
    """The operators of a run of their characters: one ends in a sign only with a character that allows it."""
    first = run if len(run) < 2 or _MAY_END_IN_A_SIGN & set(run) else run.rstrip("+-")
    if first:
        yield first
    yield from run[len(first) :]


def _unescaped(escape: re.Match[str]) -> str:
    octal, byte, short, long, letter = escape.groups()
    if letter is not None:
        return _CONTROL.get(letter, letter)
    return _character(int(octal, 8) if octal else int(byte or short or long, 16))


def _unicode(text: str) -> str:
    return _UNICODE_ESCAPE.sub(lambda found: found[1] or _character(int(found[2] or found[3], 16)), text)


def _character(code: int) -> str:
    return chr(code) if code <= 0x10FFFF else "\ufffd"
