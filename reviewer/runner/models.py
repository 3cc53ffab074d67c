"""What the project's models contain, and whether their statements run: the commands that need more than env.py.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8. It decides nothing and judges nothing.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from reviewer.runner import causes
else:  # loaded earlier by path, so the project cannot have modules with these names
    causes = sys.modules["_alembic_reviewer_causes"]


READ, INSERT, UPDATE, DELETE = "select", "insert", "update", "delete"
LEAST = "an insert with the required columns only"
MOST_ROWS = 200
MOST_LABELS = 30
MOST_REFUSALS = 10


# -- modules of another commit --------------------------------------------------------------------


def verb(what: str) -> str:
    """The statement that an attempt sends."""
    return INSERT if what == LEAST else what


class Moved:
    """Finds modules in the checkout of another commit instead of the working tree, however they were installed."""

    def __init__(self, root: str, checkout: str) -> None:
        self.root, self.checkout = os.path.realpath(root), os.path.realpath(checkout)
        prefix = os.path.realpath(sys.prefix)
        self.environment = prefix + os.sep if prefix.startswith(self.root + os.sep) else None

    def install(self) -> None:
        sys.path[:] = [self.place(entry) or entry for entry in sys.path]
        sys.meta_path.insert(0, self)

    def place(self, path: object) -> str | None:
        """Return where `path` of the working tree is in the checkout; None if it is not in the working tree."""
        if not isinstance(path, str) or not path:
            return None
        real = os.path.realpath(path)
        if real != self.root and not real.startswith(self.root + os.sep):
            return None
        if real.startswith(self.checkout) or "site-packages" in real or "dist-packages" in real:
            return None
        if self.environment and real.startswith(self.environment):
            return None
        return self.checkout + real[len(self.root) :]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        import importlib.machinery
        import importlib.util

        later = sys.meta_path[sys.meta_path.index(self) + 1 :]
        asked = (finder.find_spec(name, path, target) for finder in later if hasattr(finder, "find_spec"))
        spec = next((spec for spec in asked if spec), None)
        if spec is None:
            return None
        inside = spec.submodule_search_locations
        if not spec.has_location:
            places = [self.place(each) for each in inside or ()]
            if not any(places):
                return spec
            moved = importlib.machinery.ModuleSpec(name, None, is_package=True)
            moved.submodule_search_locations = [new or old for new, old in zip(places, inside or ())]
            return moved
        place = self.place(spec.origin)
        if place is None or (not os.path.exists(place) and not str(spec.origin).endswith(".py")):
            return spec
        if not os.path.exists(place):
            raise ModuleNotFoundError(f"No module named {name!r} in that commit", name=name)
        locations = None if inside is None else [self.place(each) or each for each in inside]
        return importlib.util.spec_from_file_location(name, place, submodule_search_locations=locations)


# -- the models -----------------------------------------------------------------------------------


def metadatas(context: Any) -> list[Any]:
    """Return the project's target_metadata as a list."""
    target = context.opts.get("target_metadata")
    if target is None:
        return []
    return list(target) if isinstance(target, (list, tuple)) else [target]


def tables_of(context: Any) -> Iterator[tuple[Any, str, list[Any]]]:
    """Yield (table, model's name, mapped columns) for every table of the metadata."""
    by_table: dict[Any, list[Any]] = {}
    for mapper in mappers():
        by_table.setdefault(mapper.local_table, []).append(mapper)
    seen = set()
    for metadata in metadatas(context):
        for table in metadata.tables.values():
            if (table.schema, table.name) in seen or table.info.get("is_view"):
                continue
            seen.add((table.schema, table.name))
            found = by_table.get(table, [])
            mapped = [c for c in table.columns if any(c in mapper.columns.values() for mapper in found)]
            yield table, found[0].class_.__name__ if found else table.name, mapped or list(table.columns)


def mappers() -> list[Any]:
    module = sys.modules.get("sqlalchemy.orm.mapper")
    registries = getattr(module, "_all_registries", None)
    if registries is None:
        return []
    return [mapper for registry in registries() for mapper in registry.mappers]


def facts(context: Any) -> Iterator[dict[str, Any]]:
    """Yield client-side defaults and one-to-many relationships as events."""
    tables = set()
    for table, model, columns in tables_of(context):
        tables.add(table)
        for column in columns:
            default = column.default
            if default is None or column.server_default is not None or getattr(default, "is_sequence", False):
                continue
            argument = getattr(default, "arg", None)
            name = getattr(argument, "__name__", None)
            yield {
                "event": "fact",
                "kind": "default",
                "model": model,
                "schema": table.schema,
                "table": table.name,
                "column": column.name,
                "detail": f"{name}()" if callable(argument) and name else repr(argument)[:60],
                "callable": bool(callable(argument)),
            }
    yield from relationships(tables)


def relationships(tables: set[Any]) -> Iterator[dict[str, Any]]:
    if "sqlalchemy.orm" not in sys.modules:
        return
    from sqlalchemy.orm import configure_mappers

    try:
        configure_mappers()
    except Exception:  # a model that env.py does not import: what is not configured cannot be read
        return
    for mapper in mappers():
        for relation in mapper.relationships:
            if relation.direction.name != "ONETOMANY" or relation.parent is not mapper or relation.viewonly:
                continue
            for _, column in relation.local_remote_pairs:
                table = getattr(column, "table", None)
                if table is None or table not in tables:
                    continue
                for key in column.foreign_keys:
                    yield {
                        "event": "fact",
                        "kind": "relationship",
                        "model": mapper.class_.__name__,
                        "attribute": relation.key,
                        "schema": table.schema,
                        "table": table.name,
                        "column": column.name,
                        "cascades": bool(relation.cascade.delete),
                        "passive_deletes": bool(relation.passive_deletes),
                        "ondelete": (key.ondelete or (key.constraint.ondelete if key.constraint else None) or ""),
                        "nullable": bool(column.nullable),
                    }


# -- autogenerate ---------------------------------------------------------------------------------


def differences(context: Any) -> Iterator[dict[str, Any]]:
    """Yield what autogenerate would write, one event per operation, with env.py's own options."""
    from alembic.autogenerate import produce_migrations, render
    from alembic.autogenerate.api import AutogenContext

    if not metadatas(context):
        return
    script = produce_migrations(context, context.opts["target_metadata"])
    writing = AutogenContext(context, metadata=context.opts["target_metadata"], autogenerate=False)
    for container in script.upgrade_ops_list:
        for operation in flat(container.ops):
            column = getattr(operation, "column", None)
            yield {
                "event": "differs",
                "code": render.render_op_text(writing, operation),
                "schema": getattr(operation, "schema", None),
                "table": getattr(operation, "table_name", None) or getattr(operation, "source_table", None),
                "column": getattr(operation, "column_name", None) or getattr(column, "name", None),
                "kind": type(operation).__name__,
                "name": as_name(
                    getattr(operation, "index_name", None) or getattr(operation, "constraint_name", None)
                ),
            }


def as_name(name: object) -> str | None:
    return None if name is None else str(name)


def flat(operations: Any) -> Iterator[Any]:
    for operation in operations:
        inner = getattr(operation, "ops", None)
        if inner is None:
            yield operation
        else:
            yield from flat(inner)


# -- the statements of the models -----------------------------------------------------------------


class Refused(Exception):
    """A statement that did not run, with the server's message, or Python's if the driver failed before it was sent."""

    def __init__(self, sql: str, message: str, sqlstate: str | None = None, error: Any = None) -> None:
        Exception.__init__(self, message)
        self.sql, self.message, self.sqlstate = sql, message, sqlstate
        self.column = said(error, "column_name", "c")
        self.error = error


class Session:
    """A connection to one of the two states. Every statement on it is rolled back."""

    def __init__(self, engine: Any, words: Callable[[Any], tuple[str, str | None]]) -> None:
        from sqlalchemy import event

        self.words = words
        self.sql: str | None = None
        self.connection = engine.connect()
        self.transaction = self.connection.begin()
        self.quote: Callable[[str], str] = engine.dialect.identifier_preparer.quote_identifier
        event.listen(self.connection, "before_cursor_execute", self.sending)
        self.execute("SET LOCAL statement_timeout = '5s'")
        self.execute("SET LOCAL lock_timeout = '2s'")

    def sending(
        self, connection: Any, cursor: Any, statement: Any, parameters: Any, context: Any, executemany: bool
    ) -> None:
        self.sql = statement if isinstance(statement, str) else str(statement)

    def execute(self, sql: str) -> None:
        self.connection.exec_driver_sql(sql)

    def attempt(self, *steps: Callable[[Any], Any]) -> Any:
        """Run `steps` one after the other and roll them back. Returns the result of the last. Raises Refused."""
        inner = self.connection.begin_nested()
        self.sql = None
        try:
            result = None
            for step in steps:
                result = step(self.connection)
            return result
        except Exception as error:
            raise self.refused(error) from None
        finally:
            inner.rollback()

    def refused(self, error: Exception) -> Refused:
        original = driver_error(error)
        if original is None:
            text = str(error).strip().split("\n")[0]
            return Refused(self.sql or "", f"{type(error).__name__}: {text}")
        message, sqlstate = self.words(original)
        return Refused(self.sql or "", message, sqlstate, original)

    def views(self) -> set[tuple[str, str]]:
        """Return schema and name of every view."""
        found = self.connection.exec_driver_sql(
            "SELECT schemaname, viewname FROM pg_catalog.pg_views"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        return {(row[0], row[1]) for row in found}

    def close(self) -> None:
        try:
            self.transaction.rollback()
        finally:
            self.connection.close()


def driver_error(error: BaseException) -> Any:
    """Return the driver's exception behind `error`, for which a listener of the application may have raised its own; None
    if the server has refused nothing.
    """
    return causes.refused(causes.reason(error, lambda _: False))


def said(error: Any, field: str, code: str) -> str | None:
    """Return a field that the server names in addition to its message; `code` is its letter in the protocol."""
    seen = error
    while seen is not None:
        found = getattr(getattr(seen, "diag", None), field, None) or getattr(seen, field, None)
        if not found and seen.args and isinstance(seen.args[0], dict):
            found = seen.args[0].get(code)
        if isinstance(found, str):
            return found
        seen = seen.__cause__
    return None


def sending(sql: str) -> Callable[[Any], Any]:
    return lambda connection: connection.exec_driver_sql(sql)


def without(refused: Refused, quote: Callable[[str], str]) -> str | None:
    """Return the statement that takes away the condition that a row was refused for; None if there is none."""
    schema, table = said(refused.error, "schema_name", "s"), said(refused.error, "table_name", "t")
    constraint = said(refused.error, "constraint_name", "n")
    if schema is None or table is None:
        return None
    alter = f"ALTER TABLE {quote(schema)}.{quote(table)}"
    if refused.sqlstate == "23502" and refused.column is not None:
        return f"{alter} ALTER COLUMN {quote(refused.column)} DROP NOT NULL"
    if refused.sqlstate == "23514" and constraint is not None:
        return f"{alter} DROP CONSTRAINT {quote(constraint)}"
    return None


class Mapped:
    """One table as the models of this commit define it, and the statements that they send for it."""

    def __init__(self, table: Any, model: str, columns: list[Any]) -> None:
        self.table, self.model, self.columns = table, model, columns
        self.key = [column for column in table.primary_key.columns if column in columns]
        self.row: dict[str, Any] = {}  # one of its rows, once it is known
        self.raw: set[str] = set()  # columns whose types cannot take a generated value apart

    def less(self, hurt: set[str]) -> Mapped | None:
        """Return the same table without the columns `hurt`; None if its rows cannot be found without them."""
        left = [column for column in self.columns if column.name not in hurt]
        if not left or any(column.name in hurt for column in self.key):
            return None
        found = Mapped(self.table, self.model, left)
        found.row, found.raw = self.row, self.raw
        return found

    def written(self) -> list[Any]:
        return [c for c in self.columns if c.computed is None and not getattr(c.identity, "always", False)]

    def read(self, columns: list[Any]) -> Callable[[Any], Any]:
        """Return what reads rows, with the values that the models make of them, or as the server sends them in columns
        whose types have failed before.
        """
        from sqlalchemy import select, type_coerce
        from sqlalchemy.types import NullType

        wanted = [type_coerce(column, NullType()) if column.name in self.raw else column for column in columns]
        return lambda connection: connection.execute(select(*wanted).limit(MOST_ROWS)).fetchall()

    def first(self, session: Session) -> Any:
        """Read rows for the first time, and see which types fail on generated values: one may want JSON in a text. Raises
        Refused.
        """
        try:
            return session.attempt(self.read(self.columns))
        except Refused as refused:
            if refused.sqlstate is not None:  # the server refuses it
                raise
        for column in self.columns:
            try:
                session.attempt(self.read([column]))
            except Refused as refused:
                if refused.sqlstate is not None:
                    raise
                self.raw.add(column.name)
        return session.attempt(self.read(self.columns))

    def choose(self, values: Any) -> None:
        """Take one of the rows that were read for those that are written."""
        self.row = {
            column.name: as_sent(column, value) if column.name in self.raw else value
            for column, value in zip(self.columns, values)
        }

    def where(self, statement: Any) -> Any:
        for column in self.key:
            statement = statement.where(column == self.row[column.name])
        return statement

    def take_out(self, connection: Any) -> None:
        """Delete the row to make room for a new one, without checking rows that refer to it: that is not what is
        tried.
        """
        for unchecked in (True, False):  # before PostgreSQL 15, only a superuser can leave out the checks
            inner = connection.begin_nested()
            try:
                if unchecked:
                    connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
                connection.execute(self.where(self.table.delete()))
                if unchecked:
                    connection.exec_driver_sql("SET LOCAL session_replication_role = origin")
                inner.commit()
                return
            except Exception:  # if something is in the way, the INSERT reports it
                inner.rollback()

    def insert(self, values: dict[Any, Any]) -> Callable[[Any], Any]:
        return lambda connection: connection.execute(self.table.insert().values(values))

    def update(self, values: dict[Any, Any]) -> Callable[[Any], Any]:
        return lambda connection: connection.execute(self.where(self.table.update()).values(values))

    def delete(self, connection: Any) -> None:
        connection.execute(self.where(self.table.delete()))

    def least(self) -> dict[Any, Any]:
        """Return what the ORM sends for an object on which only the required attributes were set."""
        values = {}
        own = getattr(self.table, "_autoincrement_column", None)
        for column in self.written():
            if column is own or column.default is not None or column.server_default is not None:
                continue
            if column.identity is not None:
                continue
            values[column] = None if column.nullable and column not in self.key else self.row[column.name]
        return values

    def statements(self) -> Iterator[tuple[str, Any, tuple[Callable[[Any], Any], ...]]]:
        """Yield (what, column, steps) for every statement that writes. `row` must be known."""
        whole = {column: self.row[column.name] for column in self.written()}
        if self.key:
            yield INSERT, None, (self.take_out, self.insert(whole))
            yield LEAST, None, (self.take_out, self.insert(self.least()))
            changed = {column: value for column, value in whole.items() if column not in self.key}
            if changed:
                yield UPDATE, None, (self.update(changed),)
            for column in changed:
                for label in labels(column):
                    yield UPDATE, column, (self.update({column: label}),)
            yield DELETE, None, (self.delete,)
        else:
            yield INSERT, None, (self.insert(whole),)

    def singly(self) -> Iterator[tuple[Any, tuple[Callable[[Any], Any], ...]]]:
        """Yield an UPDATE for each column, to find out which one fails."""
        for column in self.written():
            if column not in self.key:
                yield column, (self.update({column: self.row[column.name]}),)


def as_sent(column: Any, value: Any) -> Any:
    """Return what sends `value` as it is, past the type that could not take it apart."""
    from sqlalchemy import bindparam
    from sqlalchemy.types import TypeDecorator

    if value is None or not isinstance(column.type, TypeDecorator):
        return value
    return bindparam(None, value, type_=column.type.impl, unique=True)


def labels(column: Any) -> list[Any]:
    from sqlalchemy import Enum

    if isinstance(column.type, Enum) and getattr(column.type, "native_enum", False):
        return list(column.type.enums)[:MOST_LABELS]
    return []


class Probe:
    """Finds what runs on the state before and not on the state after."""

    def __init__(self, before: Session, after: Session) -> None:
        self.before, self.after = before, after

    def run(self, mapped: Mapped) -> dict[str, Any]:
        event = {
            "event": "mapped",
            "schema": mapped.table.schema,
            "table": mapped.table.name,
            "model": mapped.model,
            "columns": [column.name for column in mapped.columns],
            "omitted": [c.name for c in mapped.columns if c.server_default is not None or c.identity is not None],
            "tried": [],
            "broken": [],
            "untried": "",
        }
        readable = self.reads(mapped, event)
        if readable and self.chosen(mapped, readable):
            self.writes(mapped, event)
            self.beneath(mapped, event)
        event["tried"] = sorted(set(event["tried"]))
        return event

    def reads(self, mapped: Mapped, event: dict[str, Any]) -> list[Any] | None:
        """Read the table in both states. Returns the rows before; None if reading them fails."""
        try:
            rows: list[Any] = mapped.first(self.before)
        except Refused as refused:
            if refused.sqlstate is None:  # the server has refused nothing
                event["untried"] = f"{READ.upper()}: {refused.message}"
            return None
        event["tried"].append(READ)
        try:
            self.after.attempt(mapped.read(mapped.columns))
            return rows
        except Refused as refused:
            whole = refused
        for column in mapped.columns:
            try:
                self.after.attempt(mapped.read([column]))
            except Refused as refused:
                if refused.sqlstate == "42P01" or refused.sqlstate == "3F000":
                    break
                self.broke(event, READ, column.name, refused, whole.sql)
        if not event["broken"]:
            self.broke(event, READ, None, whole, whole.sql)
        return rows

    def chosen(self, mapped: Mapped, rows: list[Any]) -> bool:
        best = max(rows, key=lambda row: sum(value is not None for value in row), default=None)
        if best is not None:
            mapped.choose(best)
        return best is not None

    def writes(self, mapped: Mapped, event: Any) -> None:
        untried: dict[str, str] = {}
        for what, column, steps in mapped.statements():
            try:
                self.before.attempt(*steps)
            except Refused as error:
                if error.sqlstate is None and column is None:
                    untried.setdefault(verb(what), error.message)
                continue
            event["tried"].append(verb(what))
            for refused in self.attempted(self.after, steps)[1]:
                self.explain(mapped, event, what, column, refused)
        left = [f"{what.upper()}: {why}" for what, why in untried.items() if what not in event["tried"]]
        event["untried"] = "; ".join(left)

    def beneath(self, mapped: Mapped, event: Any) -> None:
        """Try to write without the columns that something is wrong with, to see what else is: one break must not
        hide the next.
        """
        known = event["broken"]
        hurt = {each["column"] for each in known}.intersection(event["columns"])
        left = mapped.less(hurt) if hurt else None
        if left is None:
            return
        seen = {"broken": [], "columns": event["columns"]}
        for what, column, steps in left.statements():
            # before, NOT NULL of a column that is left out is not what is tried
            if self.attempted(self.before, steps)[0]:
                for refused in self.attempted(self.after, steps)[1]:
                    self.explain(left, seen, what, column, refused)
        told = {(each["column"], each["error"]) for each in known}
        for each in seen["broken"]:
            if (each["column"], each["error"]) not in told:
                known.append(dict(each, beneath=True))

    @staticmethod
    def attempted(session: Session, steps: tuple[Callable[[Any], Any], ...]) -> tuple[bool, list[Refused]]:
        """Try a statement, and where a condition on the row refuses it, without that condition. Returns whether it
        ran in the end, and why it was refused before.
        """
        lifting: list[Callable[[Any], Any]] = []
        refusals: list[Refused] = []
        while len(refusals) < MOST_REFUSALS:
            try:
                session.attempt(*lifting, *steps)
                return True, refusals
            except Refused as refused:
                refusals.append(refused)
                sql = without(refused, session.quote)
            if sql is None:
                break
            lifting.append(sending(sql))
            try:
                session.attempt(*lifting)
            except Refused:  # a primary key for example
                break
        return False, refusals

    def explain(self, mapped: Mapped, event: Any, what: str, column: Any, refused: Refused) -> None:
        known = event["broken"]
        if refused.sqlstate in ("42703", "42P01", "3F000") and known:
            for each in known:  # what cannot be read cannot be written either
                each["statements"] = sorted(set(each["statements"]) | {verb(what)})
            return
        if column is None and what == UPDATE and refused.column is None:
            found = False
            for single, steps in mapped.singly():
                try:
                    self.before.attempt(*steps)
                except Refused:
                    continue
                try:
                    self.after.attempt(*steps)
                except Refused as only:
                    found = True
                    self.broke(event, what, single.name, only, only.sql)
            if found:
                return
        self.broke(event, what, column.name if column is not None else refused.column, refused, refused.sql)

    @staticmethod
    def broke(event: Any, what: str, column: str | None, refused: Refused, sql: str | None) -> None:
        least, what = what == LEAST, verb(what)
        for each in event["broken"]:
            if each["column"] == column and each["error"] == refused.message:
                each["statements"] = sorted(set(each["statements"]) | {what})
                each["least"] = each["least"] and least
                return
        event["broken"].append(
            {
                "statements": [what],
                "column": column,
                "sql": sql or refused.sql,
                "error": refused.message,
                "sqlstate": refused.sqlstate,
                "beneath": False,
                "least": least,
            }
        )


def probe(
    context: Any,
    engine_for: Callable[[str], Any],
    words: Callable[[Any], tuple[str, str | None]],
    wanted: set[tuple[str, str]] | None,
    emit: Callable[..., None],
) -> None:
    """Try the statements of every mapped table on both states. `engine_for(which)` returns an engine for a state."""
    before = Session(engine_for("before"), words)
    try:
        after = Session(engine_for("after"), words)
        try:
            trial = Probe(before, after)
            if wanted is not None:  # what is done to the table behind a view, is done to the view
                wanted = wanted.union(before.views(), after.views())
            for table, model, columns in tables_of(context):
                if wanted is None or (table.schema or "public", table.name) in wanted:
                    emit(**trial.run(Mapped(table, model, columns)))
                else:
                    emit(
                        event="mapped",
                        schema=table.schema,
                        table=table.name,
                        model=model,
                        columns=[column.name for column in columns],
                        omitted=[],
                        tried=[],
                        broken=[],
                        untried="",
                    )
        finally:
            after.close()
    finally:
        before.close()
