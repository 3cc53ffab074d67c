"""DROP, and the statements that are neither CREATE, ALTER nor a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot.tokenizer_core import TokenType

from reviewer.sql.kinds import ON_A_TABLE, accept_kind, signature
from reviewer.sql.names import Name
from reviewer.sql.operations import (
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
    Repack,
    SessionCommand,
    SetVariable,
    TransactionControl,
    Truncate,
    Vacuum,
)
from reviewer.sql.reader import NotUnderstood, Reader
from reviewer.sql.tokenizer import NO_WORDS

# -- DROP -----------------------------------------------------------------------------------------


def drop(reader: Reader) -> Iterator[Operation]:
    """Any DROP statement; a list becomes one operation for each name."""
    reader.expect("DROP")
    if reader.accept("OWNED", "BY"):
        owners = reader.names()
        cascade = reader.cascade()
        yield from (DropObject("owned", owner, cascade) for owner in owners)
        return
    reader.accept("PROCEDURAL")
    kind = accept_kind(reader)
    concurrently = kind == "index" and reader.accept("CONCURRENTLY")
    if_exists = reader.if_exists()
    if kind in {"cast", "transform", "user mapping"}:
        yield DropObject(kind, Name(reader.rest()), if_exists=if_exists)
        return
    named = [_dropped(reader, kind)]
    while reader.accept_symbol(TokenType.COMMA):
        named.append(_dropped(reader, kind))
    cascade = reader.cascade()
    if kind == "database" and reader.accept("WITH"):
        reader.group()
    reader.expect_end()
    for name, table in named:
        if kind == "table":
            yield DropTable(name, cascade, if_exists)
        elif kind == "index":
            yield DropIndex(name, concurrently, if_exists, cascade)
        elif kind in {"view", "materialized view"}:
            yield DropView(name, cascade, kind == "materialized view")
        else:
            yield DropObject(kind, name, cascade, if_exists, table)


def _dropped(reader: Reader, kind: str) -> tuple[Name, Name | None]:
    name = signature(reader)
    if kind in ON_A_TABLE:
        reader.expect("ON")
        return name, reader.name()
    if kind in {"operator class", "operator family"}:
        reader.expect("USING")
        reader.identifier()
    return name, None


# -- rows in bulk ---------------------------------------------------------------------------------


def truncate(reader: Reader) -> Iterator[Operation]:
    """TRUNCATE."""
    reader.expect("TRUNCATE")
    reader.accept("TABLE")
    tables = reader.tables()
    if reader.accept_any("RESTART", "CONTINUE"):
        reader.expect("IDENTITY")
    cascade = reader.cascade()
    reader.expect_end()
    yield from (Truncate(table, cascade) for table in tables)


def copy(reader: Reader) -> Iterator[Operation]:
    """COPY."""
    reader.expect("COPY")
    if reader.skip_group():
        reader.expect("TO")
        reader.skip_all()
        yield Copy(None, into=False)
        return
    reader.accept("BINARY")
    table = reader.name()
    reader.skip_group()
    direction = reader.expect_any("FROM", "TO")
    reader.skip_all()
    yield Copy(table, direction == "FROM")


def lock(reader: Reader) -> Iterator[Operation]:
    """LOCK TABLE."""
    reader.expect("LOCK")
    reader.accept("TABLE")
    tables = reader.tables()
    mode = "ACCESS EXCLUSIVE"
    if reader.accept("IN"):
        mark = reader.mark
        if not reader.skip_until({"MODE"}):
            raise NotUnderstood
        mode = reader.words_since(mark).upper()
        reader.expect("MODE")
    reader.accept("NOWAIT")
    reader.expect_end()
    yield from (LockTable(table, mode) for table in tables)


# -- maintenance ----------------------------------------------------------------------------------


def vacuum(reader: Reader) -> Iterator[Operation]:
    """VACUUM, of tables or of all."""
    reader.expect("VACUUM")
    full = False
    if reader.at_symbol(TokenType.L_PAREN):
        full = option(reader, "FULL")
    while word := reader.accept_any("FULL", "FREEZE", "VERBOSE", "ANALYZE", "ANALYSE"):
        full = full or word == "FULL"
    for table in _maintained(reader):
        yield Vacuum(table, full)


def analyze(reader: Reader) -> Iterator[Operation]:
    """ANALYZE, of tables or of all."""
    reader.expect_any("ANALYZE", "ANALYSE")
    reader.skip_group()
    reader.accept("VERBOSE")
    for table in _maintained(reader):
        yield Analyze(table)


def _maintained(reader: Reader) -> list[Name | None]:
    found: list[Name | None] = []
    while not reader.done:
        found.append(reader.table())
        reader.skip_group()
        if not reader.accept_symbol(TokenType.COMMA):
            break
    reader.expect_end()
    return found or [None]


def option(reader: Reader, name: str) -> bool:
    """Whether an option is on in the list that comes next, like `(FULL, ANALYZE off)`."""
    return any(reader.within(lambda: reader.listed(lambda: _is_on(reader, name))))


def _is_on(reader: Reader, name: str) -> bool:
    named = reader.accept(name)
    on = named and (reader.done or reader.token.text.lower() not in {"false", "off", "0"})
    reader.skip_all()
    return on


def cluster(reader: Reader) -> Iterator[Operation]:
    """CLUSTER, also in its old form `CLUSTER index ON table`."""
    reader.expect("CLUSTER")
    reader.skip_group()
    reader.accept("VERBOSE")
    if reader.done:
        yield Cluster(None)
        return
    table = reader.name()
    if reader.accept("ON"):
        table = reader.name()
    elif reader.accept("USING"):
        reader.identifier()
    reader.expect_end()
    yield Cluster(table)


def repack(reader: Reader) -> Iterator[Operation]:
    """REPACK; sqlglot: `Command`."""
    reader.expect("REPACK")
    concurrently = option(reader, "CONCURRENTLY") if reader.at_symbol(TokenType.L_PAREN) else False
    if reader.done:
        yield Repack(None, concurrently)
        return
    table = reader.table()
    reader.skip_group()
    if reader.accept("USING"):
        reader.expect("INDEX")
        if not reader.done:
            reader.identifier()
    reader.expect_end()
    yield Repack(table, concurrently)


def reindex(reader: Reader) -> Iterator[Operation]:
    """REINDEX."""
    reader.expect("REINDEX")
    concurrently = option(reader, "CONCURRENTLY") if reader.at_symbol(TokenType.L_PAREN) else False
    kind = reader.expect_any("INDEX", "TABLE", "SCHEMA", "DATABASE", "SYSTEM")
    concurrently = reader.accept("CONCURRENTLY") or concurrently
    name = None if reader.done else reader.name()
    reader.expect_end()
    yield Reindex(kind.lower(), name, concurrently)


def refresh(reader: Reader) -> Iterator[Operation]:
    """REFRESH MATERIALIZED VIEW."""
    reader.expect("REFRESH", "MATERIALIZED", "VIEW")
    concurrently = reader.accept("CONCURRENTLY")
    view = reader.name()
    with_data = True
    if reader.accept("WITH"):
        with_data = not reader.accept("NO")
        reader.expect("DATA")
    reader.expect_end()
    yield RefreshMaterializedView(view, concurrently, with_data)


# -- rights and remarks ---------------------------------------------------------------------------


def privileges(reader: Reader) -> Iterator[Operation]:
    """GRANT and REVOKE."""
    yield Privileges(reader.expect_any("GRANT", "REVOKE").lower())
    reader.skip_all()


def reassign(reader: Reader) -> Iterator[Operation]:
    """REASSIGN OWNED."""
    reader.expect("REASSIGN", "OWNED", "BY")
    owners = reader.names()
    reader.expect("TO")
    owner = reader.identifier()
    yield from (ChangeOwner("owned", old, owner) for old in owners)


def comment(reader: Reader) -> Iterator[Operation]:
    """COMMENT ON."""
    reader.expect("COMMENT", "ON")
    yield _remark(reader)


def security_label(reader: Reader) -> Iterator[Operation]:
    """SECURITY LABEL."""
    reader.expect("SECURITY", "LABEL")
    if reader.accept("FOR"):
        reader.next()
    reader.expect("ON")
    yield _remark(reader)


def _remark(reader: Reader) -> Comment:
    reader.accept("PROCEDURAL")
    kind = "column" if reader.accept("COLUMN") else accept_kind(reader)
    mark = reader.mark
    if not reader.skip_until({"IS"}):
        raise NotUnderstood
    written = reader.words_since(mark)
    reader.back_to(mark)
    parts = _dotted(reader)
    reader.skip_all()
    return Comment(kind, ".".join(parts) if parts else written)


def _dotted(reader: Reader) -> list[str]:
    """The parts of a name up to IS; empty where it is not a name alone."""
    parts: list[str] = []
    while reader.at_name():
        parts.append(reader.identifier())
        if reader.at("IS"):
            return parts
        if not reader.accept_symbol(TokenType.DOT):
            break
    return []


def import_foreign_schema(reader: Reader) -> Iterator[Operation]:
    """IMPORT FOREIGN SCHEMA."""
    reader.expect("IMPORT", "FOREIGN", "SCHEMA")
    yield CreateObject("foreign schema", Name(reader.identifier()))
    reader.skip_all()


# -- sessions and transactions --------------------------------------------------------------------

# Names for settings that have a statement of their own.
_SPELLED = {
    ("TIME", "ZONE"): "timezone",
    ("NAMES",): "client_encoding",
    ("SCHEMA",): "search_path",
    ("ROLE",): "role",
    ("XML", "OPTION"): "xmloption",
    ("SESSION", "AUTHORIZATION"): "session_authorization",
    ("TRANSACTION", "ISOLATION", "LEVEL"): "transaction_isolation",
}


def set_variable(reader: Reader) -> Iterator[Operation]:
    """SET and RESET of a setting, and SET TRANSACTION and SET CONSTRAINTS."""
    reset = reader.expect_any("SET", "RESET") == "RESET"
    if not reset and reader.accept("CONSTRAINTS"):
        reader.skip_all()
        yield SessionCommand("set constraints")
        return
    local = _accept_before_a_name(reader, "LOCAL")
    if not local and not reader.at("SESSION", "AUTHORIZATION"):
        _accept_before_a_name(reader, "SESSION")
    if not reset and (_accept_before_a_name(reader, "TRANSACTION") or reader.accept("CHARACTERISTICS")):
        reader.skip_all()
        yield TransactionControl("set transaction")
        return
    name = next((spelled for words, spelled in _SPELLED.items() if _accept_before_a_name(reader, *words)), None)
    if name is None:
        setting = reader.name()
        name = f"{setting.schema}.{setting.name}" if setting.schema else setting.name
        if not reset and not reader.accept_symbol(TokenType.EQ) and not reader.accept("FROM"):
            reader.expect("TO")
    elif (name == "timezone" and reader.accept("LOCAL")) or (name == "client_encoding" and reader.done):
        reset = True
    yield SetVariable(name, None if reset else _value(reader), local)


def _accept_before_a_name(reader: Reader, *words: str) -> bool:
    """Read these keywords if they come next and are not themselves the name of a setting."""
    mark = reader.mark
    if not reader.accept(*words):
        return False
    if reader.at_symbol(TokenType.DOT) or reader.at_symbol(TokenType.EQ) or reader.at("TO"):
        reader.back_to(mark)
        return False
    return True


def _value(reader: Reader) -> str | None:
    mark = reader.mark
    first = reader.next()
    if reader.done:
        return None if first.text == "default" and first.token_type not in NO_WORDS else first.text
    reader.skip_all()
    return reader.words_since(mark)


_TRANSACTION = {"start": "begin", "end": "commit", "abort": "rollback"}


def transaction(reader: Reader) -> Iterator[Operation]:
    """BEGIN, COMMIT, ROLLBACK, SAVEPOINT and the like."""
    word = reader.identifier()
    action = _TRANSACTION.get(word, word)
    name = ""
    if action in {"commit", "rollback"} and reader.accept("PREPARED"):
        action += " prepared"
    elif word == "prepare":
        action = "prepare transaction"
    elif action == "savepoint":
        name = reader.identifier()
    elif action == "release":
        action = "release savepoint"
        name = _savepoint(reader)
    elif action == "rollback":
        reader.accept_any("WORK", "TRANSACTION")
        if reader.accept("TO"):
            action = "rollback to savepoint"
            name = _savepoint(reader)
    reader.skip_all()
    yield TransactionControl(action, name)


def _savepoint(reader: Reader) -> str:
    """The name of a savepoint, with or without the word before it."""
    name = reader.identifier()
    return name if name != "savepoint" or reader.done else reader.identifier()


def session(reader: Reader) -> Iterator[Operation]:
    """SHOW, LISTEN, FETCH and the like."""
    if reader.at("PREPARE", "TRANSACTION"):
        yield from transaction(reader)
        return
    yield SessionCommand(reader.identifier())
    reader.skip_all()


def do(reader: Reader) -> Iterator[Operation]:
    """DO."""
    reader.expect("DO")
    language = "plpgsql"
    body = None
    while not reader.done:
        if reader.accept("LANGUAGE"):
            language = reader.next().text
        else:
            body = reader.string()
    if body is None:
        raise NotUnderstood
    yield DoBlock(language, body)


def call(reader: Reader) -> Iterator[Operation]:
    """CALL."""
    reader.expect("CALL")
    procedure = reader.name()
    reader.group()
    reader.expect_end()
    yield Call(procedure)


READERS: dict[str, Callable[[Reader], Iterator[Operation]]] = {
    "DROP": drop,
    "TRUNCATE": truncate,
    "COPY": copy,
    "LOCK": lock,
    "VACUUM": vacuum,
    "ANALYZE": analyze,
    "ANALYSE": analyze,
    "CLUSTER": cluster,
    "REPACK": repack,
    "REINDEX": reindex,
    "REFRESH": refresh,
    "REASSIGN": reassign,
    "COMMENT": comment,
    "SECURITY": security_label,
    "IMPORT": import_foreign_schema,
    "DO": do,
    "CALL": call,
    **dict.fromkeys(("GRANT", "REVOKE"), privileges),
    **dict.fromkeys(("SET", "RESET"), set_variable),
    **dict.fromkeys(("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"), transaction),
    **dict.fromkeys(
        ("SHOW", "PREPARE", "DEALLOCATE", "DECLARE", "FETCH", "MOVE", "CLOSE", "LISTEN", "UNLISTEN", "NOTIFY",
         "DISCARD", "CHECKPOINT", "LOAD"),
        session,
    ),
}  # fmt: skip
"""The reader of each statement, by its first word."""
