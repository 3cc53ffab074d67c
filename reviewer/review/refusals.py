"""What PostgreSQL is known to reject, from the text alone: for reviews without a server."""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.review.context import Context, Subject
from reviewer.sql import names, types
from reviewer.sql.names import Name
from reviewer.sql.operations import AddColumn, AlterColumnType, CreateDomain, CreateEnum, CreateTable


def refusals(subject: Subject, context: Context) -> Iterator[str]:
    """Why the statement at hand fails, as PostgreSQL would say it: what earlier revisions and statements tell for
    certain. Nothing where a server was asked.
    """
    if not context.static:
        return
    match subject:
        case CreateEnum(type=name) | CreateDomain(domain=name) if context.now.has_type(name):
            yield f"type `{name}` already exists"
        case CreateTable(table=table, if_not_exists=False, temporary=False) if context.now.has_table(table):
            yield f"relation `{table}` already exists"
        case AddColumn(table=table, column=column, if_not_exists=False):
            if context.now.column(table, column.name) is not None:
                yield f"column `{column.name}` of relation `{table}` already exists"
            yield from _missing_type(table, column.type, context)
        case AlterColumnType(table=table, column=name, type=new, using=None):
            known = context.now.column(table, name)
            if known is not None and types.has_no_cast(known.type, new):
                yield (
                    f"column `{name}`, which is `{types.canonical(known.type)}`, cannot be cast automatically to type"
                    f" `{types.canonical(new)}`"
                )
            yield from _missing_type(table, new, context)


def _missing_type(table: Name, written: str, context: Context) -> Iterator[str]:
    """Only on a table of which the history knows, so that it began with an empty database."""
    name = names.read(types.base(written))
    if (
        name is None
        or types.comes_with_postgres(written)
        or context.before.table(context.now.origin(table) or table) is None
    ):
        return
    if (
        name.schema not in {"pg_catalog", "information_schema"}
        and context.now.has_type(context.now.resolve(name)) is False
    ):
        yield f"type `{name}` does not exist, because no revision has created it"
