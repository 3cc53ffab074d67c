"""
A default that was meant for each new row is one value for all of them: the moment, or the key, of the migration.

## Why it hurts

PostgreSQL reads the text `'now()'` as a time when the default is set, and stores that time. So does a Python
expression such as `str(datetime.now())` or `str(uuid4())`: Alembic runs it once, and sends its result. Every row
that is ever inserted without the column gets that same value. Nothing fails, and nobody notices until the times are
needed; the rows cannot be repaired. In a column of texts, `'gen_random_uuid()'` is not even a key: every row gets these
letters.

## Do this instead

Send an expression, not a text: `server_default=sa.text("now()")` or `sa.func.now()` for a time,
`sa.text("gen_random_uuid()")` for a key. Add a column of keys without a default first: see `rewriting-default`.

## Not flagged

- Constants: a date that is written in the revision, `'epoch'`, `'infinity'`.
- `'now'::text::timestamptz`, which PostgreSQL evaluates for each row.
- A value that Python makes, if the revision ran only once, without a second upgrade to compare with.

## References

- <https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-DATETIME-SPECIAL-VALUES>
- <https://docs.sqlalchemy.org/en/20/core/defaults.html#server-invoked-ddl-explicit-default-expressions>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    ColumnDefinition,
    Concern,
    Context,
    CreateTable,
    Direction,
    Example,
    Group,
    Name,
    Operation,
    Rule,
    SetDefault,
    Severity,
    Subject,
    about,
    concern,
    operations_of,
    remedies,
    types,
)

RULE = Rule(
    id="frozen-default",
    summary="every row gets the same value, where each was meant to get its own",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)

_AT_ONCE = re.compile(
    r"\(*\s*(?:(?:timestamp|date|time)\w*(?:\s*\(\d+\))?(?:\s+with(?:out)?\s+time\s+zone)?\s*)?"
    r"'\s*(?P<word>now|today|tomorrow|yesterday)\b[^']*'(?!\s*\)*\s*::\s*(?:text|varchar|character|name)\b)",
    re.IGNORECASE,
)
"""A text that PostgreSQL reads as a time at once."""

_CALL = re.compile(
    r"\(*\s*'\s*(?P<call>(?:\w+\.)?(?:now|(?:clock|statement|transaction)_timestamp|gen_random_uuid|uuid_generate_v\w+|uuidv[47]"
    r"|random)\s*\(\s*\)|current_(?:timestamp|date|time)|localtime(?:stamp)?)\s*'"
    r"(?:\s*::\s*(?:text|varchar|character varying)(?:\s*\(\d+\))?)?\s*\)*$",
    re.IGNORECASE,
)
"""A text that is a call which somebody wanted for each row."""

_EXPRESSIONS = {
    "now": "now()",
    "today": "CURRENT_DATE",
    "tomorrow": "CURRENT_DATE + 1",
    "yesterday": "CURRENT_DATE - 1",
}


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddColumn() | SetDefault() | CreateTable():
            for table, column in _defaults(subject, context):
                default = str(column.default)
                moment = _AT_ONCE.match(default.strip()) if _is_time(column.type) else None
                call = _CALL.match(default.strip()) if _is_text(column.type) else None
                if call is not None:
                    why = "is a text and no call"
                    instead = call["call"]
                elif moment is not None:
                    word = moment["word"].lower()
                    why = "PostgreSQL reads once, when the default is set"
                    instead = _EXPRESSIONS[word]
                elif other := _made_again(subject, table, column, context):
                    why = f"Python made once: when the revision ran again, it was `{other}`"
                    instead = "now()" if _is_time(column.type) else ""
                else:
                    continue
                way = f' Write `server_default=sa.text("{instead}")`.' if instead else ""
                yield concern(
                    f"""
                    `{table}.{column.name}` gets the default `{default}`, which {why}. Every row that is inserted
                    without it gets that same value.{way}
                    """,
                    remedy=_remedy(subject, table, column, instead),
                    about=about.column(table, column.name, "frozen"),
                )


def _is_text(type_: str) -> bool:
    return types.canonical(type_).startswith(("text", "character", "varchar", "char"))


def _is_time(type_: str) -> bool:
    return types.canonical(type_).startswith(("timestamp", "date", "time"))


def _defaults(operation: Operation, context: Context) -> Iterator[tuple[Name, ColumnDefinition]]:
    """The columns to which an operation gives a default."""
    match operation:
        case AddColumn(table=table, column=column) if column.default is not None:
            yield table, column
        case CreateTable(table=table, columns=columns, temporary=False):
            yield from ((table, column) for column in columns if column.default is not None)
        case SetDefault(table=table, column=name, default=default):
            known = context.now.column(table, name)
            yield table, ColumnDefinition(name, known.type if known is not None else "", default=default)


def _made_again(operation: Operation, table: Name, column: ColumnDefinition, context: Context) -> str | None:
    """Another default that the same line gave the column when the revision ran again; None if it was the same."""
    runs = context.story.passes if context.story is not None and context.direction is Direction.UPGRADE else ()
    for each in runs:
        given = [
            str(other.default)
            for statement in (each.statements if each.direction is not Direction.DOWNGRADE else ())
            if statement.location == context.statement.location
            for sent in operations_of(statement)
            if type(sent) is type(operation)
            for other_table, other in _defaults(sent, context)
            if other.name == column.name and other_table.name == table.name
        ]
        if given and column.default not in given:
            return given[0]
    return None


def _remedy(operation: Operation, table: Name, column: ColumnDefinition, instead: str) -> list[str]:
    # a column that is added with a default of its own for each row rewrites the table
    for_each_row = isinstance(operation, AddColumn) and re.search(r"uuid|random|clock", instead, re.IGNORECASE)
    if not instead or for_each_row or isinstance(operation, CreateTable):
        return []
    if isinstance(operation, AddColumn):
        return [remedies.add_column(table, column, default=instead, nullable=column.nullable)]
    return [remedies.set_default(table, column.name, instead)]


USERS = (
    'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("seen", sa.DateTime()))'
)

EXAMPLES = [
    Example(
        "now() in quotes",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("made", sa.DateTime(timezone=True), nullable=False, server_default="now()"))  # flagged
        op.alter_column("users", "seen", server_default="now")  # flagged
        op.create_table(  # flagged
            "notes", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("day", sa.Date(), server_default="today")
        )
        """,
    ),
    Example(
        "a call in quotes, for a text",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("token", sa.String(36), server_default="gen_random_uuid()"))  # flagged
        op.add_column("users", sa.Column("made", sa.Text(), server_default="CURRENT_TIMESTAMP"))  # flagged
        op.add_column("users", sa.Column("at", sa.Text(), server_default=sa.text("now()")))
        op.add_column("users", sa.Column("hint", sa.Text(), server_default="call now() first"))
        """,
        downgrade="""
        for name in ("hint", "at", "made", "token"):
            op.drop_column("users", name)
        """,
    ),
    Example(
        "what Python makes, once",
        given=USERS,
        upgrade="""
        import uuid
        op.add_column("users", sa.Column("key", sa.Uuid(), server_default=str(uuid.uuid4())))  # flagged
        """,
        downgrade="""
        op.drop_column("users", "key")
        """,
    ),
    Example(
        "expressions, and constants that are meant",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("made", sa.DateTime(), server_default=sa.func.now()))
        op.add_column("users", sa.Column("since", sa.Date(), server_default="2020-01-01"))
        op.add_column("users", sa.Column("word", sa.Text(), server_default="now"))
        op.alter_column("users", "seen", server_default=sa.text("'now'::text::timestamp"))
        """,
        downgrade="""
        op.drop_column("users", "word")
        op.drop_column("users", "since")
        op.drop_column("users", "made")
        op.alter_column("users", "seen", server_default=None)
        """,
    ),
]
