"""DROP, and the statements that are neither CREATE, ALTER nor a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reviewer.names import Name
from reviewer.operations import (
    Analyze,
    Call,
    ChangeOwner,
    Cluster,
    Comment,
    Copy,
    CreateObject,
    DoBlock,
    DropIndex,
    DropObject,
    DropTable,
    DropView,
    LockTable,
    Operation,
    Privileges,
    RefreshMaterializedView,
    Reindex,
    SessionCommand,
    SetVariable,
    TransactionControl,
    Truncate,
    Vacuum,
)
from reviewer.sql.cursor import Cursor, NotUnderstood
from reviewer.sql.kinds import ON_A_TABLE, accept_kind, signature
from reviewer.sql.tokens import Kind

# -- DROP -----------------------------------------------------------------------------------------


def drop(cursor: Cursor) -> Iterator[Operation]:
    """Any DROP statement; a list becomes one operation for each name."""
    cursor.expect("drop")
    if cursor.accept("owned", "by"):
        owners = cursor.names()
        cascade = cursor.cascade()
        yield from (DropObject("owned", owner, cascade) for owner in owners)
        return
    cursor.accept("procedural")
    kind = accept_kind(cursor)
    concurrently = kind == "index" and cursor.accept("concurrently")
    if_exists = cursor.if_exists()
    if kind in {"cast", "transform", "user mapping"}:
        yield DropObject(kind, Name(cursor.rest()), if_exists=if_exists)
        return
    named = [_dropped(cursor, kind)]
    while cursor.accept_symbol(","):
        named.append(_dropped(cursor, kind))
    cascade = cursor.cascade()
    if kind == "database" and cursor.accept("with"):
        cursor.group()
    cursor.expect_end()
    for name, table in named:
        if kind == "table":
            yield DropTable(name, cascade, if_exists)
        elif kind == "index":
            yield DropIndex(name, concurrently, if_exists, cascade)
        elif kind in {"view", "materialized view"}:
            yield DropView(name, cascade, kind == "materialized view")
        else:
            yield DropObject(kind, name, cascade, if_exists, table)


def _dropped(cursor: Cursor, kind: str) -> tuple[Name, Name | None]:
    name = signature(cursor)
    if kind in ON_A_TABLE:
        cursor.expect("on")
        return name, cursor.name()
    if kind in {"operator class", "operator family"}:
        cursor.expect("using")
        cursor.identifier()
    return name, None


# -- rows in bulk ---------------------------------------------------------------------------------


def truncate(cursor: Cursor) -> Iterator[Operation]:
    """TRUNCATE."""
    cursor.expect("truncate")
    cursor.accept("table")
    tables = _tables(cursor)
    if cursor.accept_any("restart", "continue"):
        cursor.expect("identity")
    cascade = cursor.cascade()
    cursor.expect_end()
    yield from (Truncate(table, cascade) for table in tables)


def copy(cursor: Cursor) -> Iterator[Operation]:
    """COPY."""
    cursor.expect("copy")
    if cursor.skip_group():
        cursor.expect("to")
        cursor.skip_all()
        yield Copy(None, into=False)
        return
    cursor.accept("binary")
    table = cursor.name()
    cursor.skip_group()
    direction = cursor.expect_any("from", "to")
    cursor.skip_all()
    yield Copy(table, direction == "from")


def lock(cursor: Cursor) -> Iterator[Operation]:
    """LOCK TABLE."""
    cursor.expect("lock")
    cursor.accept("table")
    tables = _tables(cursor)
    mode = "ACCESS EXCLUSIVE"
    if cursor.accept("in"):
        mark = cursor.mark
        while not cursor.at("mode"):
            cursor.next()
        mode = cursor.words_since(mark).upper()
        cursor.expect("mode")
    cursor.accept("nowait")
    cursor.expect_end()
    yield from (LockTable(table, mode) for table in tables)


def _tables(cursor: Cursor) -> list[Name]:
    found = [cursor.table()]
    while cursor.accept_symbol(","):
        found.append(cursor.table())
    return found


# -- maintenance ----------------------------------------------------------------------------------


def vacuum(cursor: Cursor) -> Iterator[Operation]:
    """VACUUM, of tables or of all."""
    cursor.expect("vacuum")
    full = False
    if cursor.at_symbol("("):
        full = option(cursor.inside(), "full")
    while word := cursor.accept_any("full", "freeze", "verbose", "analyze", "analyse"):
        full = full or word == "full"
    for table in _maintained(cursor):
        yield Vacuum(table, full)


def analyze(cursor: Cursor) -> Iterator[Operation]:
    """ANALYZE, of tables or of all."""
    cursor.expect_any("analyze", "analyse")
    cursor.skip_group()
    cursor.accept("verbose")
    for table in _maintained(cursor):
        yield Analyze(table)


def _maintained(cursor: Cursor) -> list[Name | None]:
    found: list[Name | None] = []
    while not cursor.done:
        found.append(cursor.table())
        cursor.skip_group()
        if not cursor.accept_symbol(","):
            break
    cursor.expect_end()
    return found or [None]


def option(options: Cursor, name: str) -> bool:
    """Whether an option is on in a list like `(FULL, ANALYZE off)`."""
    for part in options.split():
        if part.accept(name):
            return part.done or part.next().value not in {"false", "off", "0"}
    return False


def cluster(cursor: Cursor) -> Iterator[Operation]:
    """CLUSTER, also in its old form `CLUSTER index ON table`."""
    cursor.expect("cluster")
    cursor.skip_group()
    cursor.accept("verbose")
    if cursor.done:
        yield Cluster(None)
        return
    table = cursor.name()
    if cursor.accept("on"):
        table = cursor.name()
    elif cursor.accept("using"):
        cursor.identifier()
    cursor.expect_end()
    yield Cluster(table)


def reindex(cursor: Cursor) -> Iterator[Operation]:
    """REINDEX."""
    cursor.expect("reindex")
    concurrently = option(cursor.inside(), "concurrently") if cursor.at_symbol("(") else False
    kind = cursor.expect_any("index", "table", "schema", "database", "system")
    concurrently = cursor.accept("concurrently") or concurrently
    name = None if cursor.done else cursor.name()
    cursor.expect_end()
    yield Reindex(kind, name, concurrently)


def refresh(cursor: Cursor) -> Iterator[Operation]:
    """REFRESH MATERIALIZED VIEW."""
    cursor.expect("refresh", "materialized", "view")
    concurrently = cursor.accept("concurrently")
    view = cursor.name()
    with_data = True
    if cursor.accept("with"):
        with_data = not cursor.accept("no")
        cursor.expect("data")
    cursor.expect_end()
    yield RefreshMaterializedView(view, concurrently, with_data)


# -- rights and remarks ---------------------------------------------------------------------------


def privileges(cursor: Cursor) -> Iterator[Operation]:
    """GRANT and REVOKE."""
    yield Privileges(cursor.expect_any("grant", "revoke"))
    cursor.skip_all()


def reassign(cursor: Cursor) -> Iterator[Operation]:
    """REASSIGN OWNED."""
    cursor.expect("reassign", "owned", "by")
    owners = cursor.names()
    cursor.expect("to")
    owner = cursor.identifier()
    yield from (ChangeOwner("owned", old, owner) for old in owners)


def comment(cursor: Cursor) -> Iterator[Operation]:
    """COMMENT ON."""
    cursor.expect("comment", "on")
    yield _remark(cursor)


def security_label(cursor: Cursor) -> Iterator[Operation]:
    """SECURITY LABEL."""
    cursor.expect("security", "label")
    if cursor.accept("for"):
        cursor.next()
    cursor.expect("on")
    yield _remark(cursor)


def _remark(cursor: Cursor) -> Comment:
    cursor.accept("procedural")
    kind = "column" if cursor.accept("column") else accept_kind(cursor)
    mark = cursor.mark
    if not cursor.skip_until({"is"}):
        raise NotUnderstood
    written = cursor.words_since(mark)
    cursor.back_to(mark)
    parts = _dotted(cursor)
    cursor.skip_all()
    return Comment(kind, ".".join(parts) if parts else written)


def _dotted(cursor: Cursor) -> list[str]:
    """The parts of a name up to IS; empty where it is not a name alone."""
    parts: list[str] = []
    while cursor.token.kind in {Kind.WORD, Kind.QUOTED}:
        parts.append(cursor.identifier())
        if cursor.at("is"):
            return parts
        if not cursor.accept_symbol("."):
            break
    return []


def import_foreign_schema(cursor: Cursor) -> Iterator[Operation]:
    """IMPORT FOREIGN SCHEMA."""
    cursor.expect("import", "foreign", "schema")
    yield CreateObject("foreign schema", Name(cursor.identifier()))
    cursor.skip_all()


# -- sessions and transactions --------------------------------------------------------------------

# Names for settings that have a statement of their own.
_SPELLED = {
    ("time", "zone"): "timezone",
    ("names",): "client_encoding",
    ("schema",): "search_path",
    ("role",): "role",
    ("xml", "option"): "xmloption",
    ("session", "authorization"): "session_authorization",
    ("transaction", "isolation", "level"): "transaction_isolation",
}


def set_variable(cursor: Cursor) -> Iterator[Operation]:
    """SET and RESET of a setting, and SET TRANSACTION and SET CONSTRAINTS."""
    reset = cursor.expect_any("set", "reset") == "reset"
    if not reset and cursor.accept("constraints"):
        cursor.skip_all()
        yield SessionCommand("set constraints")
        return
    local = cursor.accept("local")
    if not local and cursor.at("session") and not cursor.at("session", "authorization"):
        cursor.next()
    if not reset and cursor.accept_any("transaction", "characteristics"):
        cursor.skip_all()
        yield TransactionControl("set transaction")
        return
    name = next((spelled for words, spelled in _SPELLED.items() if cursor.accept(*words)), None)
    if name is None:
        setting = cursor.name()
        name = f"{setting.schema}.{setting.name}" if setting.schema else setting.name
        if not reset and not cursor.accept_symbol("=") and not cursor.accept("from"):
            cursor.expect("to")
    yield SetVariable(name, None if reset else _value(cursor), local)


def _value(cursor: Cursor) -> str | None:
    mark = cursor.mark
    first = cursor.next()
    if cursor.done:
        if first.kind is Kind.WORD and first.value == "default":
            return None
        return first.value
    cursor.skip_all()
    return cursor.words_since(mark)


_TRANSACTION = {"start": "begin", "end": "commit", "abort": "rollback"}


def transaction(cursor: Cursor) -> Iterator[Operation]:
    """BEGIN, COMMIT, ROLLBACK, SAVEPOINT and the like."""
    word = cursor.identifier()
    action = _TRANSACTION.get(word, word)
    name = ""
    if action in {"commit", "rollback"} and cursor.accept("prepared"):
        action += " prepared"
    elif word == "prepare":
        action = "prepare transaction"
    elif action == "savepoint":
        name = cursor.identifier()
    elif action == "release":
        action = "release savepoint"
        name = _savepoint(cursor)
    elif action == "rollback":
        cursor.accept_any("work", "transaction")
        if cursor.accept("to"):
            action = "rollback to savepoint"
            name = _savepoint(cursor)
    cursor.skip_all()
    yield TransactionControl(action, name)


def _savepoint(cursor: Cursor) -> str:
    """The name of a savepoint, with or without the word before it."""
    name = cursor.identifier()
    return name if name != "savepoint" or cursor.done else cursor.identifier()


def session(cursor: Cursor) -> Iterator[Operation]:
    """SHOW, LISTEN, FETCH and the like."""
    if cursor.at("prepare", "transaction"):
        yield from transaction(cursor)
        return
    yield SessionCommand(cursor.identifier())
    cursor.skip_all()


def do(cursor: Cursor) -> Iterator[Operation]:
    """DO."""
    cursor.expect("do")
    language = "plpgsql"
    body = None
    while not cursor.done:
        if cursor.accept("language"):
            token = cursor.next()
            language = token.value
        else:
            body = cursor.string()
    if body is None:
        raise NotUnderstood
    yield DoBlock(language, body)


def call(cursor: Cursor) -> Iterator[Operation]:
    """CALL."""
    cursor.expect("call")
    procedure = cursor.name()
    cursor.group()
    cursor.expect_end()
    yield Call(procedure)


Reader = Callable[[Cursor], Iterator[Operation]]

READERS: dict[str, Reader] = {
    "drop": drop,
    "truncate": truncate,
    "copy": copy,
    "lock": lock,
    "vacuum": vacuum,
    "analyze": analyze,
    "analyse": analyze,
    "cluster": cluster,
    "reindex": reindex,
    "refresh": refresh,
    "reassign": reassign,
    "comment": comment,
    "security": security_label,
    "import": import_foreign_schema,
    "do": do,
    "call": call,
    **dict.fromkeys(("grant", "revoke"), privileges),
    **dict.fromkeys(("set", "reset"), set_variable),
    **dict.fromkeys(("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"), transaction),
    **dict.fromkeys(
        ("show", "prepare", "deallocate", "declare", "fetch", "move", "close", "listen", "unlisten", "notify",
         "discard", "checkpoint", "load"),
        session,
    ),
}  # fmt: skip
"""The reader of each statement, by its first word."""
