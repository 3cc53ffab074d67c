"""What a downgrade lacks, as Alembic code: from the difference that it leaves behind."""

from __future__ import annotations

from reviewer.recording import Change, Difference
from reviewer.sql.names import Name, quoted


def plain(difference: Difference) -> str:
    """The one call that follows from the difference alone; empty where none does."""
    table = Name.told(difference.table) if difference.table else None
    own = Name(difference.name) if table else Name.told(difference.name)
    name, sql = own.name, _sql(own)
    where = _where(own)
    on, on_where, on_sql = (table.name, _where(table), _sql(table)) if table else ("", "", "")
    match difference:
        case Difference(kind="enum type", change=Change.LEFT_BEHIND):
            return f"sa.Enum(name={name!r}{where}).drop(op.get_bind())"
        case Difference(kind="table", change=Change.LEFT_BEHIND):
            return f"op.drop_table({name!r}{where})"
        case Difference(kind="column", change=Change.LEFT_BEHIND):
            return f"op.drop_column({on!r}, {name!r}{on_where})"
        case Difference(kind="index", change=Change.LEFT_BEHIND):
            return f"op.drop_index({name!r}, table_name={on!r}{on_where})"
        case Difference(kind="constraint", change=Change.LEFT_BEHIND):
            return f"op.drop_constraint({name!r}, {on!r}{on_where})"
        case Difference(
            kind="domain" | "sequence" | "view" | "materialized view" as kind, change=Change.LEFT_BEHIND
        ):
            return _execute(f"DROP {kind.upper()} {sql}")
        case Difference(
            kind="role" | "tablespace" | "database" | "subscription" as kind, change=Change.LEFT_BEHIND
        ):
            return _execute(f"DROP {kind.upper()} {quoted(name)}")
        case Difference(kind="server setting", change=Change.LEFT_BEHIND):
            return _execute(f"ALTER SYSTEM RESET {name}")
        case Difference(kind="schema", change=Change.LEFT_BEHIND):
            return _execute(f"DROP SCHEMA {quoted(name)}")
        case Difference(kind="composite type" | "range type", change=Change.LEFT_BEHIND):
            return _execute(f"DROP TYPE {sql}")
        case Difference(kind="trigger" | "policy" | "rule" as kind, change=Change.LEFT_BEHIND):
            return _execute(f"DROP {kind.upper()} {sql} ON {on_sql}")
        case Difference(kind="column", aspect="not null", change=Change.CHANGED):
            return f"op.alter_column({on!r}, {name!r}, nullable={difference.after is not None}{on_where})"
        case Difference(kind="column", aspect="default", before=None, change=Change.CHANGED):
            return f"op.alter_column({on!r}, {name!r}, server_default=None{on_where})"
        case Difference(kind="column", aspect="default", before=str(before), change=Change.CHANGED):
            return f"op.alter_column({on!r}, {name!r}, server_default=sa.text({before!r}){on_where})"
        case Difference(kind="constraint", aspect="not valid", before=None):
            return _execute(f"ALTER TABLE {on_sql} VALIDATE CONSTRAINT {sql}")
    return ""


def code(difference: Difference) -> str:
    """The same, and what takes a definition of the catalogue; empty where even that is not enough."""
    found = plain(difference)
    if found:
        return found
    table = Name.told(difference.table) if difference.table else None
    own = Name(difference.name) if table else Name.told(difference.name)
    sql, on = _sql(own), _sql(table) if table else ""
    match difference:
        case Difference(kind="index", change=Change.MISSING, after=str(definition)):
            unique = "UNIQUE " if definition.startswith("UNIQUE ") else ""
            return _execute(f"CREATE {unique}INDEX {sql} ON {on} {definition.removeprefix('UNIQUE ')}")
        case Difference(kind="constraint", change=Change.MISSING, after=str(definition)):
            return _execute(f"ALTER TABLE {on} ADD CONSTRAINT {sql} {definition}")
        case Difference(kind="trigger" | "rule" | "function", change=Change.MISSING, after=str(definition)):
            return _execute(definition.rstrip().rstrip(";"))
        case Difference(kind="view" | "materialized view" as kind, change=Change.MISSING, after=str(definition)):
            return _execute(f"CREATE {kind.upper()} {sql} AS {definition.strip().rstrip(';')}")
        case Difference(kind="column", aspect="type", before=str(before), change=Change.CHANGED):
            textual = str(difference.after).startswith(_TEXTS) and not before.startswith(_TEXTS)
            cast = f" USING {sql}::{before}" if textual else ""
            return _execute(f"ALTER TABLE {on} ALTER COLUMN {sql} TYPE {before}{cast}")
        case Difference(kind="constraint", aspect="definition", before=str(before), change=Change.CHANGED):
            return _execute(f"ALTER TABLE {on} DROP CONSTRAINT {sql}, ADD CONSTRAINT {sql} {before}")
        case Difference(kind="index", aspect="definition", before=str(before), change=Change.CHANGED):
            unique = "UNIQUE " if before.startswith("UNIQUE ") else ""
            there = _sql(Name(own.name, table.schema if table else None))
            create = f"CREATE {unique}INDEX {sql} ON {on} {before.removeprefix('UNIQUE ')}"
            return f"{_execute(f'DROP INDEX {there}')}\n{_execute(create)}"
        case Difference(kind="enum type", change=Change.MISSING, after=str(labels)):
            written = ", ".join(repr(each) for each in labels.split(", "))
            return f"sa.Enum({written}, name={own.name!r}{_where(own)}).create(op.get_bind())"
        case Difference(kind="constraint", aspect="name", before=str(before), after=str(after)):
            return _execute(f"ALTER TABLE {on} RENAME CONSTRAINT {quoted(after)} TO {quoted(before)}")
        case Difference(kind="index", aspect="name", before=str(before), after=str(after)):
            schema = table.schema if table else None
            return _execute(f"ALTER INDEX {_sql(Name(after, schema))} RENAME TO {quoted(before)}")
    return ""


_TEXTS = ("text", "character")
"""Types whose values become others only by a cast that is written."""


def _sql(name: Name) -> str:
    return name.sql.removeprefix("public.")


def _where(name: Name) -> str:
    return f", schema={name.schema!r}" if name.schema not in {None, "public"} else ""


def _execute(sql: str) -> str:
    written = repr(sql) if '"' in sql or "\n" in sql else f'"{sql}"'
    return f"op.execute({written})"
