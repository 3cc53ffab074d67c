"""What remedies are made of: pieces of `upgrade()` bodies, written as Alembic code with the user's own names."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from msgspec.structs import replace

from reviewer.sql import types
from reviewer.sql.names import Name, quoted
from reviewer.sql.operations import ColumnDefinition, CreateIndex, ForeignKey

WIDTH = 88
"""Longer calls are broken, one argument a line."""

PREDICATE = "{column} IS NOT NULL"

_NOT_COMPARABLE = frozenset({"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"})
"""Types without an equality, or with one that compares something else than the value."""


class Code(str):
    """An argument that is code already, not a value."""

    __slots__ = ()


def call(function: str, *arguments: object, **options: object) -> str:
    """`function(...)` with every argument as it is written in Python. Options that are None are left out.

    A `Name` as argument stands for its last part, and its schema becomes the option `schema`.
    """
    written = [_python(argument) for argument in arguments]
    for argument in arguments:
        if isinstance(argument, Name) and argument.schema and argument.schema != "public":
            options.setdefault("schema", argument.schema)
    written += [f"{name}={_python(value)}" for name, value in options.items() if value is not None]
    line = f"{function}({', '.join(written)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return f"{function}(\n" + "".join(textwrap.indent(part, "    ") + ",\n" for part in written) + ")"


def execute(sql: str) -> str:
    """`op.execute(...)`. Colons that SQLAlchemy would take for bound parameters are escaped."""
    return call("op.execute", _safe(sql))


def span(milliseconds: int) -> str:
    """A time as PostgreSQL reads it."""
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def outside_transaction(body: str) -> str:
    """`body` inside an autocommit block."""
    return "with op.get_context().autocommit_block():\n" + textwrap.indent(body, "    ")


def create_index(index: CreateIndex, sql: str, *, timeout: str = "") -> str:
    """The same index, built CONCURRENTLY outside a transaction, after what a build that failed may have left. `sql` is
    the statement that was emitted, empty where the index is no more than its columns. `timeout` is the `lock_timeout`
    in force, which would end the build behind any older transaction; it is set again afterwards.
    """
    if index.name and (not sql or _only_columns(index, sql)):
        body = call(
            "op.create_index",
            index.name,
            index.table,
            list(index.columns),
            unique=True if index.unique else None,
            postgresql_concurrently=True,
        )
    else:
        body = execute(re.sub(r"\bINDEX\b", "INDEX CONCURRENTLY", sql, count=1, flags=re.IGNORECASE))
    return outside_transaction(_unbounded(body, timeout=timeout, leftover=index.name, schema=index.table.schema))


def _unbounded(body: str, *, timeout: str, leftover: str | None, schema: str | None) -> str:
    """A concurrent build that can be run once more, and that waits for older transactions as long as they last."""
    first = [execute("SET lock_timeout = 0")] if timeout else []
    if leftover:
        first.append(execute(f"DROP INDEX CONCURRENTLY IF EXISTS {Name(leftover, schema).sql}"))
    last = [execute(f"SET lock_timeout = {timeout}")] if timeout else []
    return "\n".join((*first, body, *last))


def index_on_partitions(index: CreateIndex, partitions: Sequence[Name], *, timeout: str = "") -> tuple[str, ...]:
    """The bodies that give a partitioned table an index that is no more than its columns: one on the table alone, one
    built CONCURRENTLY on each partition, and then they are attached.
    """
    assert index.name is not None
    unique = "UNIQUE " if index.unique else ""
    columns = ", ".join(quoted(column) for column in index.columns)
    children = [(table, constraint_name(table, index.columns, "idx")) for table in partitions]
    attached = (
        execute(
            f"ALTER INDEX {Name(index.name, index.table.schema).sql} ATTACH PARTITION {Name(name, table.schema).sql}"
        )
        for table, name in children
    )
    return (
        execute(f"CREATE {unique}INDEX {quoted(index.name)} ON ONLY {index.table.sql} ({columns})"),
        *(create_index(replace(index, table=table, name=name), "", timeout=timeout) for table, name in children),
        "\n".join(attached) or "pass",
    )


def fixed(name: str) -> Code:
    """The name of a constraint as it is: a naming convention in the project's metadata adds nothing to it."""
    return Code(call("op.f", name))


def create_foreign_key(name: str, table: Name, key: ForeignKey, **options: object) -> str:
    """`op.create_foreign_key(...)`."""
    schemas = {
        "source_schema": table.schema if table.schema != "public" else None,
        "referent_schema": key.referenced.schema if key.referenced.schema != "public" else None,
    }
    return call(
        "op.create_foreign_key",
        fixed(name),
        table.name,
        key.referenced.name,
        list(key.columns),
        list(key.referenced_columns),
        ondelete=key.on_delete,
        onupdate=key.on_update,
        **schemas,
        **options,
    )


def validate(table: Name, constraint: str) -> str:
    """`VALIDATE CONSTRAINT`: reads the rows while reads and writes continue."""
    return execute(f"ALTER TABLE {table.sql} VALIDATE CONSTRAINT {quoted(constraint)}")


def constraint_from_index(
    kind: str,
    table: Name,
    name: str,
    columns: Sequence[str],
    sql: str,
    *,
    replaces: bool = False,
    timeout: str = "",
) -> tuple[str, ...]:
    """The bodies that build a unique index CONCURRENTLY and make it the constraint's. `kind` is `UNIQUE` or `PRIMARY
    KEY`, `sql` the statement that was emitted; none if it contains more than columns. `replaces`: it takes the place
    of a constraint of the same name, which guards the rows until the new one exists.
    """
    if re.search(r"\b(include|nulls|with|tablespace|without|deferrable)\b", sql, re.IGNORECASE):
        return ()
    index = constraint_name(table, columns, "new") if replaces else name
    gone = f"DROP CONSTRAINT IF EXISTS {quoted(name)}, " if replaces else ""
    build = call("op.create_index", index, table, list(columns), unique=True, postgresql_concurrently=True)
    build = _unbounded(build, timeout=timeout, leftover=index, schema=table.schema)
    told = (
        "# instead of dropping the constraint first, which leaves the rows unchecked until then\n"
        if replaces
        else ""
    )
    return (
        outside_transaction(build),
        told
        + execute(
            f"ALTER TABLE {table.sql} {gone}ADD CONSTRAINT {quoted(name)} {kind} USING INDEX {quoted(index)}"
        ),
    )


def not_null(table: Name, column: str, major: int, proof: str | None = None) -> tuple[str, ...]:
    """The bodies, one for each revision, that make a column NOT NULL without a scan under ACCESS EXCLUSIVE. `proof` is
    a CHECK constraint that proves it once it is validated.
    """
    if proof is not None:
        return (validate(table, proof), call("op.alter_column", table, column, nullable=False))
    # refused from the first step on, which comes after the code that writes it
    when = f"# once all running code writes {shown(table, column)} and every row has a value\n"
    if major >= 18:
        name = constraint_name(table, [column], "not_null")
        return (
            when
            + execute(f"ALTER TABLE {table.sql} ADD CONSTRAINT {quoted(name)} NOT NULL {quoted(column)} NOT VALID"),
            validate(table, name),
        )
    name = constraint_name(table, [column], "is_set")
    return (
        when
        + call(
            "op.create_check_constraint",
            fixed(name),
            table,
            PREDICATE.format(column=quoted(column)),
            postgresql_not_valid=True,
        ),
        validate(table, name),
        call("op.alter_column", table, column, nullable=False)
        + "\n"
        + call("op.drop_constraint", fixed(name), table, type_="check"),
    )


def add_column(table: Name, column: ColumnDefinition, *, default: str | None = None, nullable: bool = True) -> str:
    """A column of the same name and type, with the server default and nullability that are said here."""
    written = types.sqlalchemy(column.type)
    if written is None or column.collation:
        collation = f" COLLATE {column.collation}" if column.collation else ""
        sql = f"ALTER TABLE {table.sql} ADD COLUMN {quoted(column.name)} {column.type}{collation}"
        return execute(sql + (f" DEFAULT {default}" if default else "") + ("" if nullable else " NOT NULL"))
    options: dict[str, object] = {"nullable": nullable}
    if default is not None:
        options["server_default"] = Code(call("sa.text", default))
    return call("op.add_column", table, Code(call("sa.Column", column.name, Code(written), **options)))


def second_column(
    table: Name,
    old: str,
    new: str,
    type_: str,
    value: str | None = None,
    *,
    other_type: bool = False,
    required: bool = False,
    added: ColumnDefinition | None = None,
    settings: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
) -> tuple[str, ...]:
    """The bodies that put a new column beside an old one, keep it filled and copy the old values over, `value` being
    the expression for another type.

    `other_type`: not everything that the new column holds fits into the old one. `required`: the old column is NOT
    NULL, which code that does not know it any more could not satisfy. `added`: the new column, if it already exists
    and may hold a default. `settings` are in force for the session that copies. `notes` say what else goes with it.
    """
    first = [] if added else [add_column(table, ColumnDefinition(new, type_))]
    one_way = other_type or value is not None or types.canonical(type_) in _NOT_COMPARABLE
    if required and one_way:
        first.append(call("op.alter_column", table, old, nullable=True))
    if one_way:
        first.append(
            f"# fills {ascii(new)[1:-1]}, and never {ascii(old)[1:-1]}: as long as old code runs, new code writes both"
        )
    first.append(_in_step(table, old, new, value, one_way=one_way, default=added.default if added else None))
    # where a default was given no row is NULL; other types than the old one may round, and would never be equal
    copied = f"{quoted(new)} IS NULL AND {f'({value})' if value else quoted(old)} IS NOT NULL"
    if value is None and added and types.canonical(type_) not in _NOT_COMPARABLE:
        copied = f"{quoted(new)} IS DISTINCT FROM {quoted(old)}"
        if required or not added.nullable:  # NULL is then no value of the old column, but that nobody wrote it
            copied += f" AND {quoted(old)} IS NOT NULL"
    copy = (
        in_batches(table, f"{quoted(new)} = {value or quoted(old)}", copied, settings)
        + "".join(f"\n# {ascii(note)[1:-1]}" for note in notes)
        + (
            f"\n# in a later deploy: NOT NULL for {shown(table, new)}, as scanning-not-null says"
            if required and one_way
            else ""
        )
        + f"\n# in a later deploy, once no code uses it any more: drop trigger and function {ascii(_sync(table, new))[1:-1]},"
        + f" then {shown(table, old)}"
    )
    return ("\n".join(first), copy)


def _in_step(
    table: Name, old: str, new: str, value: str | None, *, one_way: bool, default: str | None = None
) -> str:
    """A trigger by which rows that are written from now on have the same in both columns, whichever the code knows."""
    to, of = f"NEW.{quoted(new)}", f"NEW.{quoted(old)}"
    if one_way:
        made = f"(SELECT {value} FROM (SELECT NEW.*) AS each_row)" if value else of
        body = f"IF TG_OP = 'UPDATE' OR {to} IS NULL THEN\n        {to} := {made};\n    END IF;"
        events = f"INSERT OR UPDATE OF {quoted(old)}"
    else:
        # a default is no value that anybody wrote
        wanted = f"coalesce({of}, {to})" if default is not None else f"coalesce({to}, {of})"
        body = (
            f"IF TG_OP = 'INSERT' THEN\n        {to} := {wanted};\n        {of} := {to};\n"
            f"    ELSIF {to} IS DISTINCT FROM OLD.{quoted(new)} THEN\n        {of} := {to};\n"
            f"    ELSE\n        {to} := {of};\n    END IF;"
        )
        events = "INSERT OR UPDATE"
    return trigger(table, _sync(table, new), body, events)


def kept_filled(table: Name, column: str, expression: str) -> str:
    """A trigger by which a column has the value of `expression` in every row that is written from now on."""
    body = f"NEW.{quoted(column)} := (SELECT {expression} FROM (SELECT NEW.*) AS each_row);"
    return trigger(table, _sync(table, column), body, "INSERT OR UPDATE")


def trigger(table: Name, name: str, body: str, events: str) -> str:
    """A BEFORE trigger for each row, and the function of the same name that it calls. `body` is in PL/pgSQL."""
    function = Name(name, table.schema).sql
    made = (
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        f"BEGIN\n    {body}\n    RETURN NEW;\nEND $$"
    )
    fires = (
        f"CREATE TRIGGER {quoted(name)} BEFORE {events} ON {table.sql} FOR EACH ROW EXECUTE FUNCTION {function}()"
    )
    return f"{execute(made)}\n{execute(fires)}"


def _sync(table: Name, column: str) -> str:
    return constraint_name(table, [column], "sync")


def shown(table: Name, column: str) -> str:
    """A column as it can stand in a comment."""
    return ascii(f"{table}.{column}")[1:-1]


def set_default(table: Name, column: str, default: str) -> str:
    """`op.alter_column(..., server_default=...)`: for rows to come only, no row is touched."""
    return call("op.alter_column", table, column, server_default=Code(call("sa.text", default)))


def in_batches(table: Name, assignment: str, where: str, settings: Sequence[tuple[str, str]] = ()) -> str:
    """An UPDATE in batches of 1,000 rows, each committed by itself, until `where` finds no more. `settings` are in
    force meanwhile.
    """
    sql = (
        f"UPDATE {table.sql} SET {assignment} WHERE ctid = ANY (ARRAY("
        f"SELECT ctid FROM {table.sql} WHERE {where} LIMIT 1000))"
    )
    batch = 'batch = sa.text(\n    "' + '"\n    " '.join(_wrapped(sql)) + '"\n)'
    before = "".join(f"{execute(f'SET {name} = {value}')}\n" for name, value in settings)
    after = "".join(f"\n{execute(f'RESET {name}')}" for name, _ in settings)
    return outside_transaction(f"{before}{batch}\nwhile op.get_bind().execute(batch).rowcount:\n    pass{after}")


def until_none(sql: str) -> str:
    """A change that takes some rows at a time, each batch committed by itself, until it finds no more."""
    change = call("sa.text", _safe(sql.strip().rstrip(";")))
    return outside_transaction(f"batch = {change}\nwhile op.get_bind().execute(batch).rowcount:\n    pass")


def in_ranges(table: Name, key: str, sql: str) -> str:
    """A change of all rows, 1,000 keys at a time, each range committed by itself. `sql` has no WHERE."""
    change = sql.strip().rstrip(";").replace("{", "{{").replace("}", "}}")
    limits = f"SELECT min({quoted(key)}), max({quoted(key)}) FROM {table.sql}"
    change = f"{change} WHERE {quoted(key)} BETWEEN {{start}} AND {{start + 999}}"
    return outside_transaction(
        "\n".join(
            (
                f"limits = op.get_bind().execute({call('sa.text', limits)})",
                "first, last = limits.one()",
                "for start in range(first or 0, (last or 0) + 1, 1000):",
                f"    {call('op.execute', Code('f' + _string(_safe(change))))}".replace("\n", "\n    "),
            )
        )
    )


def fill_default(table: Name, column: str) -> str:
    """The rows that have no value get the column's default, in batches."""
    return in_batches(table, f"{quoted(column)} = DEFAULT", f"{quoted(column)} IS NULL")


def constraint_name(table: Name, columns: Sequence[str], suffix: str) -> str:
    """The name that PostgreSQL would give, cut to the 63 bytes that it keeps."""
    middle = "_".join(columns)
    return f"{table.name[: 61 - len(suffix) - min(len(middle), 28)]}_{middle[:28]}_{suffix}"


def _safe(sql: str) -> str:
    return re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", sql.strip().rstrip(";"))


def _only_columns(index: CreateIndex, sql: str) -> bool:
    """Whether the statement says nothing of the index but name, table, uniqueness and columns."""
    columns = ", ".join(quoted(column) for column in index.columns)
    wanted = rf".*\sINDEX\s+(?:IF NOT EXISTS\s+)?\S+\s+ON\s+\S+\s*\({re.escape(columns)}\)\s*"
    return re.fullmatch(wanted, sql, re.IGNORECASE | re.DOTALL) is not None and not index.if_not_exists


def _wrapped(sql: str) -> list[str]:
    return [
        line.replace("\\", "\\\\").replace('"', '\\"') for line in textwrap.wrap(sql, 80, break_long_words=False)
    ]


def _python(value: object) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, Name):
        value = value.name
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        return "[" + ", ".join(_python(item) for item in value) + "]"
    return repr(value)


def _string(value: str) -> str:
    """In double quotes, as the formatters write it."""
    if "\n" in value:
        return '"""' + value.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') + '"""'
    written = repr(value)
    if written.startswith("'"):
        inside = written[1:-1].replace("\\'", "'")
        if '"' in inside and "'" not in inside:
            return written
        return '"' + inside.replace('"', '\\"') + '"'
    return written
