"""Our dialect: sqlglot's PostgreSQL with the lexical rules, statements and functions of PostgreSQL's own grammar."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import Token, TokenType

from reviewer.sql import choices as choices_of
from reviewer.sql import commands, heads, matching, trees
from reviewer.sql import conditions as conditions_of
from reviewer.sql import mapped as mapped_values
from reviewer.sql.alter import alter
from reviewer.sql.create import create
from reviewer.sql.operations import Operation, SessionCommand, Unrecognized, Update
from reviewer.sql.reader import NotUnderstood, Reader, TooMuch
from reviewer.sql.statements import Statement, statements
from reviewer.sql.tokenizer import NO_WORDS, OPERATORS, Tokenizer

T = TypeVar("T")

_TOO_LONG_FOR_TREES = 4_000
"""Tokens of a statement above which only its head is read: a tree of it costs seconds."""
_MOST_NODES = 10_000
"""Nodes that sqlglot may make for one statement: some nestings (`ARRAY[ARRAY[...]]`) double them at each level."""
_SPECIAL_ARGUMENTS = frozenset(
    {"CAST", "EXTRACT", "JSON_OBJECT", "JSON_OBJECTAGG", "JSON_TABLE", "JSON_VALUE", "NORMALIZE", "OVERLAY",
     "POSITION", "SUBSTRING", "TRIM", "XMLELEMENT", "XMLTABLE"}
)  # fmt: skip
_ORDINARY_NAMES = frozenset(
    """
    alter anti apply asof autoincrement blob byte cache call clob comment commit connect_by_root copy database
    datetime declare describe drop enum exec execute explain file fixed format function glob hugeint if index inout
    keep kill list load lock long longblob longtext map mediumblob mediumint mediumtext namespace nullable number
    object optimize out overwrite percent pivot pragma prepare procedure qualify ref refresh regexp reindex rename
    replace reset revoke rlike rollback schema semi sequence session settings short show str straight_join string
    struct tinyblob tinyint tinytext trigger truncate type uncache unpivot use vacuum variant view volatile xor
    """.split()  # noqa: SIM905  (a page of quotes is hard to read)
)
"""Keywords of sqlglot that are ordinary names in a PostgreSQL query."""
_PAIRS = {
    tuple(words.lower().split()): kind
    for words, kind in Postgres.Tokenizer.KEYWORDS.items()
    if words.count(" ") == 1 and kind in {
        TokenType.GROUP_BY, TokenType.GROUPING_SETS, TokenType.ORDER_BY, TokenType.PARTITION_BY, TokenType.SIMILAR_TO,
        TokenType.DOUBLE, TokenType.VARCHAR,
    }
}  # fmt: skip
"""Two keywords that sqlglot's grammar of queries takes for one."""


class Parser(Reader):
    """The parser of the dialect. It turns each statement into a `Command` that holds its operations."""

    # Every function keeps its name as written: sqlglot would merge now() and CURRENT_TIMESTAMP.
    FUNCTIONS = {}  # noqa: RUF012  (declared by the base class, as the others)
    # Left are those whose arguments are not a list: CAST(a AS b), EXTRACT(a FROM b).
    FUNCTION_PARSERS = {  # noqa: RUF012
        name: parse for name, parse in PostgresParser.FUNCTION_PARSERS.items() if name in _SPECIAL_ARGUMENTS
    }
    # An operator in front of its operand that sqlglot does not know: `@ a`, `|/ a`, `!! a`.
    UNARY_PARSERS = {  # noqa: RUF012
        **PostgresParser.UNARY_PARSERS,
        TokenType.DPIPE: lambda self: self._parse_unary(),
    }
    STATEMENTS: dict[str, Callable[[Reader], Iterable[Operation]]] = {  # noqa: RUF012
        "CREATE": create,
        "ALTER": alter,
        **commands.READERS,
    }
    """The reader of each statement that sqlglot leaves opaque or misreads, by its first word."""

    _in_tree = False

    def operations(self, statement: Statement) -> tuple[Operation, ...]:
        """What a statement does, in order; `Unrecognized` if it is not understood. Never raises.

        For a truncated one, also what could be read; a change of rows is recognised by its head.
        """
        self.cut = statement.cut
        self._in_tree = False
        found: tuple[Operation, ...] = ()
        # Besides its own errors, sqlglot raises RecursionError, IndexError and others.
        with suppress(Exception):
            if statement.tokens:
                (node,) = self.parse(statement.tokens, statement.text)
                found = tuple(node.args["operations"]) if isinstance(node, exp.Command) else ()
                if not (statement.cut and statement.tokens[0].text.upper() not in heads.READERS):
                    return found
        known = tuple(operation for operation in found if not isinstance(operation, Unrecognized))
        return (*known, Unrecognized(statement.text))

    def _parse_statement(self) -> exp.Expr | None:
        """The whole statement; inside a query (`WITH x AS (DELETE …)`) as sqlglot reads it."""
        if self._in_tree:
            return super()._parse_statement()
        return exp.Command(this=self.word, operations=tuple(self._operations()))

    def _operations(self) -> Iterator[Operation]:
        word = self.word or self.token.text
        if read := self.STATEMENTS.get(word):
            yield from read(self)
            self.expect_end()
        elif word == "EXPLAIN":
            yield from self._explained()
        elif word in heads.READERS:
            yield from self._rows(word)
            self.skip_all()
        else:
            raise NotUnderstood

    def _explained(self) -> Iterator[Operation]:
        """EXPLAIN; with ANALYZE the statement runs, and its operations with it. sqlglot: a `Command`."""
        self.expect("EXPLAIN")
        runs = self.at_symbol(TokenType.L_PAREN) and commands.option(self, "ANALYZE")
        while option := self.accept_any("ANALYZE", "ANALYSE", "VERBOSE"):
            runs = runs or option != "VERBOSE"
        yield SessionCommand("explain")
        if runs and not self.done and not self.at("EXPLAIN"):
            yield from self._operations()
        self.skip_all()

    def _rows(self, word: str) -> Iterable[Operation]:
        """A query or a change of rows: from sqlglot's tree, else from the words of its head."""
        start = self.mark
        words = {
            token.text for token in self._tokens[start : self._tokens_size] if token.token_type not in NO_WORDS
        }
        if "set_config" in words:
            try:
                return heads.set_config(self)
            except NotUnderstood:
                self.back_to(start)
        plain = word == "TABLE" or (word == "INSERT" and not words & {"select", "with", "table"})
        if not plain and not self.cut and self._tokens_size - start <= _TOO_LONG_FOR_TREES:
            with suppress(Exception):
                return trees.operations(self._tree(start))
        return tuple(heads.READERS[word](self))

    def _tree(self, start: int) -> exp.Expr | None:
        """The tree of the tokens from `start` on. The position is `start` again afterwards."""
        given = self._tokens
        self._tokens = list(_for_trees(given[start : self._tokens_size]))
        self._tokens_size = len(self._tokens)
        self._in_tree = True
        try:
            self._move(0)
            tree = super()._parse_statement()
            self.expect_end()
            return tree
        finally:
            self._in_tree = False
            self._tokens, self._tokens_size = given, len(given)
            self._move(start)

    def condition(self, tokens: list[Token], sql: str) -> exp.Expr | None:
        """The tree of an expression alone.

        Raises:
            NotUnderstood: it is not an expression.
        """
        return self._alone(lambda parser: parser._parse_disjunction(), tokens, sql)

    def change(self, tokens: list[Token], sql: str) -> exp.Expr | None:
        """The tree of an UPDATE or DELETE.

        Raises:
            NotUnderstood: it is none that sqlglot reads.
        """
        return self._alone(lambda parser: parser._parse_statement(), tokens, sql)

    def _alone(self, read: Callable[[Any], exp.Expr | None], tokens: list[Token], sql: str) -> exp.Expr | None:
        self._in_tree = True
        try:
            (tree,) = self._parse(read, list(_for_trees(tokens)), sql)
        except (RecursionError, ValueError) as problem:
            raise NotUnderstood from problem
        return tree


class PostgreSQL(Postgres):
    """The dialect."""

    Tokenizer = Tokenizer
    Parser = Parser
    NUMBERS_CAN_BE_UNDERSCORE_SEPARATED = True
    # Subscripts stay as they are written: turning them into offsets is logged.
    INDEX_OFFSET = 0


_DIALECT = PostgreSQL()


def read(sql: str, *, cut: bool = False) -> Iterator[tuple[Operation, ...]]:
    """The operations of each statement of a text; `cut`: it is truncated. Never raises."""
    parser = _parser()
    for statement in split(sql, cut=cut):
        yield parser.operations(statement)


def split(sql: str, *, cut: bool = False) -> Iterator[Statement]:
    """The statements of a text; `cut`: it is truncated. Never raises."""
    return statements(sql, Tokenizer(_DIALECT), cut=cut)


def _parser() -> Parser:
    return Parser(max_nodes=_MOST_NODES, dialect=_DIALECT)


def excludes_null(condition: str, column: str) -> bool:
    """Whether a condition says of the column that it is not NULL; False also if it is not understood."""
    found = list(split(condition))
    if len(found) != 1 or found[0].cut:
        return False
    try:
        tree = _parser().condition(found[0].tokens, found[0].text)
    except (NotUnderstood, TooMuch):
        return False
    return trees.excludes_null(tree, column)


def matches(sql: str) -> Iterator[matching.Match]:
    """What rows must hold for each UPDATE and DELETE of a text to take them, and what a text must hold to be taken apart,
    as far as that is known. Never raises.
    """
    yield from _of_changes(sql, matching.of)
    if not _TAKES_APART.search(sql):
        return
    for statement in split(sql):
        with suppress(Exception):
            for each in _parser().operations(statement):
                yield from matching.of_parts(each, statement.text)


_TAKES_APART = re.compile(r"\b(?:string_to_|regexp_split_to_|split_part)", re.IGNORECASE)


def mapped(sql: str) -> Iterator[mapped_values.Mapped]:
    """The columns that each UPDATE of a text makes NULL where a CASE does not list their value. Never raises."""
    for found in _of_changes(sql, lambda tree: tuple(mapped_values.of(tree))):
        yield from found


def choices(sql: str) -> Iterator[choices_of.Choice]:
    """How each UPDATE ... FROM of a text chooses among several rows, as far as that is known. Never raises."""
    for statement in split(sql):
        if statement.text[:6].lower() == "update" and not statement.cut:
            with suppress(Exception):
                (update,) = _parser().operations(statement)
                found = choices_of.of(statement, update) if isinstance(update, Update) else None
                if found is not None:
                    yield found


def conditions(sql: str) -> Iterator[conditions_of.Condition]:
    """The WHERE of each UPDATE and DELETE of a text, as far as it is understood. Never raises."""
    return _of_changes(sql, conditions_of.of)


def _of_changes(sql: str, of: Callable[[object], T | None]) -> Iterator[T]:
    for statement in split(sql):
        if statement.text[:6].lower() in {"update", "delete"} and not statement.cut:
            with suppress(Exception):
                found = of(_parser().change(statement.tokens, statement.text))
                if found is not None:
                    yield found


def _for_trees(tokens: list[Token]) -> Iterator[Token]:
    """The tokens as sqlglot's grammar of queries needs them.

    Pairs of keywords become one token, and names of PostgreSQL are not keywords. Omitted is what it does not know
    and what means nothing to us: `INSERT INTO t OVERRIDING SYSTEM VALUE SELECT …`, `ORDER BY a USING >`.
    """
    position = 0
    previous = TokenType.SENTINEL
    while position < len(tokens):
        token = tokens[position]
        position += 1
        text = token.text
        if token.token_type not in NO_WORDS:
            behind = tokens[position].text if position < len(tokens) else ""
            if text == "overriding" and behind in {"system", "user"}:
                position += 2
                continue
            if text == "using" and position < len(tokens) and tokens[position].token_type in OPERATORS.values():
                position += 1
                continue
            if previous is TokenType.DOT or text in _ORDINARY_NAMES:
                token = _retyped(token, TokenType.IDENTIFIER, token.end)
            elif kind := _PAIRS.get((text, behind)):
                token = _retyped(token, kind, tokens[position].end)
                position += 1
        elif token.token_type is TokenType.NUMBER and not text.isdecimal():
            token = Token(TokenType.NUMBER, _plain(text), start=token.start, end=token.end)
        previous = token.token_type
        yield token


def _plain(number: str) -> str:
    """A number without underscores and in decimal."""
    digits = number.replace("_", "")
    return str(int(digits, 0)) if digits[1:2] in {"x", "X", "o", "O", "b", "B"} else digits


def _retyped(token: Token, kind: TokenType, end: int) -> Token:
    return Token(kind, token.text, start=token.start, end=end)
