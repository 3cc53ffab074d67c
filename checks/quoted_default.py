"""
A default in quotes has the quotes in it: every row that is inserted without the column gets them.

## Why it hurts

SQLAlchemy quotes a `server_default` that is a string. Who adds quotes of their own, because the default is SQL, gets a
text with an apostrophe at both ends: `'active'` with them is not `active`, and no comparison finds it. `""` inside
quotes is a text of two apostrophes, not an empty one. `server_default="NULL"` is the word. Nothing fails, and the rows
have to be repaired.

## Do this instead

`server_default="active"`, or `server_default=sa.text("'active'")`. For an empty text `server_default=""`.

## Not flagged

- Columns that are no texts: PostgreSQL rejects the quotes there, or reads them, as in JSON.
- Texts that contain an apostrophe elsewhere.

## References

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
    remedies,
    types,
)

RULE = Rule(
    id="quoted-default",
    summary="new rows get the quotes, too",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)

_QUOTED = re.compile(
    r"\(*\s*'(?P<value>(?P<quoted>''(?P<meant>(?:[^']|'''')*)'')|null)'"
    r"(?:\s*::\s*(?:text|varchar|character varying|character|bpchar)(?:\s*\(\d+\))?)?\s*\)*$",
    re.IGNORECASE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddColumn() | SetDefault() | CreateTable():
            for table, column in _defaults(subject, context):
                found = _QUOTED.match(str(column.default).strip()) if _is_text(column.type) else None
                if found is None:
                    continue
                value = found["value"].replace("''", "'")
                meant = found["meant"].replace("''''", "''") if found["quoted"] else None
                instead = (
                    f'server_default="{meant}"'.replace("''", "'") if meant is not None else "no server_default"
                )
                what = "the quotes included" if found["quoted"] else "the word and not NULL"
                yield concern(
                    f"""
                    `{table}.{column.name}` gets the default `{value}`, {what}: SQLAlchemy quotes a string by itself.
                    Write {f"`{instead}`" if meant is not None else instead}.
                    """,
                    remedy=_remedy(subject, table, column, meant),
                    about=about.column(table, column.name, "quoted"),
                )


def _is_text(type_: str) -> bool:
    return types.canonical(type_).startswith(("text", "character", "varchar", "char"))


def _defaults(operation: Operation, context: Context) -> Iterator[tuple[Name, ColumnDefinition]]:
    match operation:
        case AddColumn(table=table, column=column) if column.default is not None:
            yield table, column
        case CreateTable(table=table, columns=columns, temporary=False):
            yield from ((table, column) for column in columns if column.default is not None)
        case SetDefault(table=table, column=name, default=default):
            known = context.now.column(table, name)
            yield table, ColumnDefinition(name, known.type if known is not None else "", default=default)


def _remedy(operation: Operation, table: Name, column: ColumnDefinition, meant: str | None) -> list[str]:
    if meant is None or isinstance(operation, CreateTable):
        return []
    if isinstance(operation, AddColumn):
        return [remedies.add_column(table, column, default=f"'{meant}'", nullable=column.nullable)]
    return [remedies.set_default(table, column.name, f"'{meant}'")]


USERS = 'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("name", sa.Text()))'

EXAMPLES = [
    Example(
        "quotes within quotes",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("state", sa.String(20), nullable=False, server_default="'active'"))  # flagged
        op.alter_column("users", "name", server_default="''")  # flagged
        op.create_table(  # flagged
            "notes",
            sa.Column("id", sa.BigInteger(), primary_key=True),
            sa.Column("kind", sa.Text(), server_default="'plain'"),
        )
        """,
    ),
    Example(
        "the word NULL",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("state", sa.String(20), server_default="NULL"))  # flagged
        """,
        downgrade="""
        op.drop_column("users", "state")
        """,
    ),
    Example(
        "quotes once",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("state", sa.String(20), nullable=False, server_default="active"))
        op.add_column("users", sa.Column("kind", sa.Text(), server_default=sa.text("'plain'")))
        op.add_column("users", sa.Column("hint", sa.Text(), server_default="don't"))
        op.add_column("users", sa.Column("doc", sa.JSON(), server_default='"x"'))
        op.alter_column("users", "name", server_default="")
        """,
        downgrade="""
        for name in ("doc", "hint", "kind", "state"):
            op.drop_column("users", name)
        op.alter_column("users", "name", server_default=None)
        """,
    ),
]
