"""What differs between the drivers: psycopg, psycopg2, asyncpg and pg8000, below SQLAlchemy.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8.
"""

import re


def driver_connection(connection):
    fairy = connection.connection
    for name in ("driver_connection", "dbapi_connection", "connection"):
        raw = getattr(fairy, name, None)
        if raw is not None:
            return raw
    return fairy


def with_libpq(raw, sql):
    """Past the cursor of psycopg, which takes longer than the query."""
    return value_of(raw, raw.pgconn.exec_(sql.encode("ascii")))


def value_of(raw, result):
    if result is None or result.status not in (1, 2):  # neither COMMAND_OK nor TUPLES_OK
        raise RuntimeError((result.error_message if result else b"").decode("utf-8", "replace"))
    value = result.get_value(0, 0) if result.status == 2 else None
    return None if value is None else value.decode(raw.info.encoding)


def listen(raw, messages):
    """Collect what the server says, with whatever the driver offers for it."""
    if hasattr(raw, "add_notice_handler"):  # psycopg
        # psycopg would drop every prepared statement of the session, ours too, after a DROP
        raw.prepare_threshold = None
        raw.add_notice_handler(lambda said: messages.extend(lines(said.message_primary, said.message_detail)))
    elif hasattr(raw, "add_log_listener"):  # asyncpg
        raw.add_log_listener(lambda _, said: messages.extend(lines(said.message, getattr(said, "detail", None))))


def lines(message, detail):
    """The detail of a cascade names what went with it, one object a line."""
    if detail and "cascades to" in detail:
        return [message or ""] + detail.split("\n")
    return [message or ""]


def drain(raw, messages):
    notices = getattr(raw, "notices", None)
    if notices is None or hasattr(raw, "add_notice_handler"):
        return
    for notice in list(notices):
        if isinstance(notice, dict):  # pg8000
            messages.append((notice.get(b"M") or b"").decode("utf-8", "replace"))
        else:  # psycopg2: "DEBUG:  rewriting table ..."
            messages.append(re.sub(r"^[A-Z0-9]+:\s+", "", str(notice)).strip())
    try:
        notices.clear()
    except AttributeError:
        del notices[:]


def in_transaction(raw, connection):
    """Whether the server is inside a transaction block, as it told the driver with its last answer."""
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


def server_words(error):
    """PostgreSQL's own message and SQLSTATE, from whatever exception the driver raised."""
    diagnostic = getattr(error, "diag", None)
    if diagnostic is not None and getattr(diagnostic, "message_primary", None):
        return diagnostic.message_primary, getattr(diagnostic, "sqlstate", None)
    seen = error
    while seen is not None:
        if getattr(seen, "sqlstate", None) and getattr(seen, "message", None):  # asyncpg
            return seen.message, seen.sqlstate
        if seen.args and isinstance(seen.args[0], dict) and "M" in seen.args[0]:  # pg8000
            return seen.args[0]["M"], seen.args[0].get("C")
        seen = seen.__cause__
    text = str(error).strip() or type(error).__name__
    return text.split("\n")[0], getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def as_sent(statement, parameters, context):
    """The statement as the server gets it: drivers that mark parameters with % want every other % twice."""
    style = getattr(getattr(context, "dialect", None), "paramstyle", None)
    if style not in ("format", "pyformat") or not isinstance(statement, str) or "%%" not in statement:
        return statement
    if not parameters and getattr(context, "execution_options", {}).get("no_parameters"):
        return statement
    return statement.replace("%%", "%")


def as_text(statement):
    text = statement if isinstance(statement, str) else str(statement)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def describe_parameters(parameters):
    """Bound values in the order they stand: numbers, booleans and dates as they are, the rest only described."""
    import datetime
    import decimal

    values = list(parameters.values()) if isinstance(parameters, dict) else list(parameters or ())
    described = []
    for value in values[:20]:
        if isinstance(value, (bool, int, float, type(None), datetime.date, datetime.timedelta, decimal.Decimal)):
            described.append(str(value)[:40])
        elif isinstance(value, (str, bytes, list, tuple, dict)):
            described.append("<%s of length %d>" % (type(value).__name__, len(value)))
        else:
            described.append("<%s>" % type(value).__name__)
    return described
