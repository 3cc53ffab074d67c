"""What differs between the drivers psycopg, psycopg2, asyncpg and pg8000, below SQLAlchemy.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8.
"""

from __future__ import annotations

import datetime
import decimal
import itertools
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reviewer.runner import causes, limits
    from reviewer.runner.limits import Messages
else:  # loaded earlier by path, so the project cannot have modules with these names
    causes = sys.modules["_alembic_reviewer_causes"]
    limits = sys.modules["_alembic_reviewer_limits"]


def driver_connection(connection: Any) -> Any:
    fairy = connection.connection
    for name in ("driver_connection", "dbapi_connection", "connection"):
        raw = getattr(fairy, name, None)
        if raw is not None:
            return raw
    return fairy


def with_libpq(raw: Any, sql: str) -> Any:
    """Run `sql` without psycopg's cursor, which takes longer than the query."""
    return value_of(raw, raw.pgconn.exec_(sql.encode("ascii")))


def value_of(raw: Any, result: Any) -> Any:
    if result is None or result.status not in (1, 2):  # neither COMMAND_OK nor TUPLES_OK
        raise RuntimeError((result.error_message if result else b"").decode("utf-8", "replace"))
    value = result.get_value(0, 0) if result.status == 2 else None
    return None if value is None else value.decode(raw.info.encoding)


def listen(raw: Any, messages: Messages) -> None:
    """Collect the server's messages with whatever the driver offers for that."""
    if hasattr(raw, "add_notice_handler"):  # psycopg
        # psycopg would drop every prepared statement of the session after a DROP, including the reviewer's
        raw.prepare_threshold = None
        raw.add_notice_handler(lambda said: add(messages, said.message_primary, said.message_detail))
    elif hasattr(raw, "add_log_listener"):  # asyncpg
        raw.add_log_listener(lambda _, said: add(messages, said.message, getattr(said, "detail", None)))


def add(messages: Messages, message: Any, detail: Any) -> None:
    """Add a message. The detail of a cascade names the objects that were dropped with it, one per line."""
    messages.add(message)
    for line in detail.split("\n") if detail and "cascades to" in detail else ():
        messages.add(line)


def drain(raw: Any, messages: Messages) -> None:
    notices = getattr(raw, "notices", None)
    if notices is None or hasattr(raw, "add_notice_handler"):
        return
    for notice in list(notices):
        if isinstance(notice, dict):  # pg8000
            messages.add((notice.get(b"M") or b"").decode("utf-8", "replace"))
        else:  # psycopg2: "DEBUG:  rewriting table ..."
            messages.add(re.sub(r"^[A-Z0-9]+:\s+", "", str(notice)).strip())
    try:
        notices.clear()
    except AttributeError:
        del notices[:]


def is_gone(raw: Any) -> bool:
    """Return whether the driver knows that its connection is closed or broken."""
    closed = getattr(raw, "closed", None)  # psycopg, psycopg2
    if closed is None:
        closed = getattr(raw, "is_closed", False)  # asyncpg
    closed = closed() if callable(closed) else closed
    return bool(closed) or getattr(getattr(raw, "pgconn", None), "status", 0) == 1


def server_process(raw: Any) -> int | None:
    """Return the number of the process that serves the connection; None if the driver does not tell it."""
    try:
        number = getattr(getattr(raw, "info", None), "backend_pid", None)  # psycopg, psycopg2 from 2.8
        if number is None and hasattr(raw, "get_server_pid"):  # asyncpg
            number = raw.get_server_pid()
        if number is None and isinstance(getattr(raw, "_backend_key_data", None), bytes):  # pg8000
            number = int.from_bytes(raw._backend_key_data[:4], "big")
    except Exception:  # a connection that is already gone
        return None
    return number if type(number) is int and number > 0 else None


def in_transaction(raw: Any, connection: Any) -> bool:
    """Return whether the session is in a transaction block, as the server reported with its last answer."""
    info = getattr(raw, "info", None)
    status = getattr(info, "transaction_status", None)  # psycopg, psycopg2
    if status is not None:
        return int(status) != 0
    if hasattr(raw, "is_in_transaction"):  # asyncpg
        return bool(raw.is_in_transaction())
    status = getattr(raw, "_transaction_status", None)  # pg8000
    if status is not None:
        return status not in (b"I", ord("I"))
    return bool(connection.in_transaction())


def server_words(error: Any) -> tuple[str, str | None]:
    """Return PostgreSQL's own message and SQLSTATE from whatever exception the driver raised."""
    message, sqlstate = said_by_server(error)
    return as_text(message, limits.LONGEST_MESSAGE), as_text(sqlstate, 5) if sqlstate else None


def said_by_server(error: Any) -> tuple[Any, Any]:
    diagnostic = causes.attribute(error, "diag")
    message = causes.attribute(diagnostic, "message_primary")
    if message:
        return message, causes.attribute(diagnostic, "sqlstate")
    for seen in causes.said_causes(error):
        message, sqlstate = causes.attribute(seen, "message"), causes.attribute(seen, "sqlstate")
        if sqlstate and message:  # asyncpg
            return message, sqlstate
        said = (causes.attribute(seen, "args") or (None,))[0]
        if isinstance(said, dict) and "M" in said:  # pg8000
            return said["M"], said.get("C")
    text = (causes.text_of(error) or "").strip() or causes.type_name(error)
    return text.split("\n")[0], causes.attribute(error, "sqlstate") or causes.attribute(error, "pgcode")


_ADDED = (
    ("detail", "message_detail", "detail", "D"),
    ("hint", "message_hint", "hint", "H"),
    ("context", "context", "context", "W"),
)
"""What PostgreSQL may report in addition to its message: the protocol's key, and its names in psycopg, asyncpg and
pg8000."""


def server_adds(error: Any) -> dict[str, str]:
    """Return what PostgreSQL reports in addition to its message: DETAIL, HINT and CONTEXT, with lower-case keys."""
    diagnostic = causes.attribute(error, "diag")
    behind = list(causes.said_causes(error))
    found: dict[str, str] = {}
    for word, psycopg, asyncpg, letter in _ADDED:
        told = [causes.attribute(diagnostic, psycopg)]
        for seen in behind:
            said = (causes.attribute(seen, "args") or (None,))[0]
            if isinstance(said, dict):
                told.append(said.get(letter))
            elif causes.attribute(seen, "sqlstate"):
                told.append(causes.attribute(seen, asyncpg))
        text = next((each for each in told if isinstance(each, str) and each), None)
        if text:
            found[word] = as_text(text, limits.LONGEST_MESSAGE)
    return found


def statement_of(error: Any) -> int | None:
    """Return the number of the statement that was recorded for a driver's exception; None if there is none."""
    number = causes.attribute(error, "_alembic_reviewer_statement")
    return number if type(number) is int else None


def as_sent(statement: Any, parameters: Any, context: Any) -> Any:
    """Return the statement as the server receives it: with drivers that mark parameters with %, every other % is
    doubled.
    """
    style = getattr(getattr(context, "dialect", None), "paramstyle", None)
    if style not in ("format", "pyformat") or not isinstance(statement, str) or "%%" not in statement:
        return statement
    if not parameters and getattr(context, "execution_options", {}).get("no_parameters"):
        return statement
    return statement.replace("%%", "%")


def as_text(thing: object, longest: int | None = None) -> str:
    """Return `thing` as text that can be sent, at most `longest` characters of it."""
    text = thing if isinstance(thing, str) else causes.text_of(thing) or ""
    text = text if longest is None else limits.cut(text, longest)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def describe_parameters(parameters: Any) -> list[str]:
    """Describe bound values in their order: numbers, booleans and dates as they are, other values only by type and
    length.
    """
    try:
        values = parameters.values() if isinstance(parameters, dict) else parameters or ()
        return [described(value) for value in itertools.islice(values, 20)]
    except Exception:  # the values belong to the project: a migration must not fail because they are described
        return []


def described(value: Any) -> str:
    known = (bool, int, float, type(None), datetime.date, datetime.timedelta, decimal.Decimal)
    if type(value) in known or isinstance(value, datetime.date):
        number = isinstance(value, int) and value.bit_length() > 1000
        return f"<int of {value.bit_length()} bits>" if number else str(value)[:40]
    if isinstance(value, (str, bytes, list, tuple, dict)):
        return f"<{causes.type_name(value)} of length {len(value)}>"
    return f"<{causes.type_name(value)}>"
