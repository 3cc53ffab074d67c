"""Looks at the server after each statement, from inside the migration's own connection.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8. It decides nothing and judges nothing.
"""

import json
import os
import re
import sys
import time

# Statements that must be the first of their transaction, or that end one: no query of ours before them.
NO_QUERY_BEFORE = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:set\s+(?:session\s+characteristics|transaction|local\s+transaction)|begin|start|commit|end|rollback|abort)\b",
    re.I | re.S,
)
# Statements that may give a known relation another name or schema; what runs code may do anything.
RENAMES = re.compile(r"\b(?:rename|schema|do|call|select|execute)\b", re.I)
# Statements that are likely to make a relation: a guess that only saves a second question.
MAKES_RELATIONS = re.compile(r"\b(?:create|unique|primary|serial|bigserial|identity|using|type)\b", re.I)
FORGETS_PREPARED = re.compile(r"\b(?:discard|deallocate)\b", re.I)
READS_ROWS = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:update|delete|merge|with|select|insert\b.*?\bselect)\b", re.I | re.S
)

# Everything about the relations that this transaction has locked, in one round trip. Relations that the
# transaction has created itself (oid above the base's highest) are told once. Prepared, because planning it takes
# longer than running it; twice, because the names take a third of the time and are seldom news. Lines of text, because
# making JSON takes the server another third: three with the time and the timeouts, then one for each lock.
NARROW = """
PREPARE {name} (oid, oid, bool) AS SELECT concat_ws(
    E'\\n', now(), current_setting('lock_timeout'), current_setting('statement_timeout'),
    string_agg(concat_ws(
        ' ', relation, mode, coalesce(pg_relation_filenode(relation), 0), pg_stat_get_xact_numscans(relation),
        pg_stat_get_xact_tuples_returned(relation), {names}), E'\\n'))
FROM pg_locks l WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted AND relation >= 16384
    AND (relation <= $1 OR relation > $2)
"""
NAMES = """CASE WHEN l.relation > $2 OR $3 THEN
    (SELECT json_build_array(n.nspname, c.relname, c.relkind::text, i.indrelid::bigint)
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.oid = l.relation) END"""
# The same about every relation there is, with scans counted over the session: before a transaction's first
# statement, and around a statement that runs in no transaction.
WIDE = """
SELECT json_build_array(
    now()::text, current_setting('lock_timeout'), current_setting('statement_timeout'),
    coalesce((SELECT json_agg(json_build_array(
        c.oid::bigint, NULL, n.nspname, c.relname, c.relkind::text,
        pg_relation_filenode(c.oid)::bigint, pg_stat_get_xact_numscans(c.oid), pg_stat_get_xact_tuples_returned(c.oid),
        i.indrelid::bigint, pg_stat_get_numscans(c.oid), pg_stat_get_tuples_returned(c.oid)))
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_index i ON i.indexrelid = c.oid
     WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'i', 'I', 'm', 'v', 'S', 'f')), '[]'::json)
)::text
"""
SEQSCAN_OFF = "SET enable_seqscan = off"
NOTHING = frozenset()
PAST_SQLALCHEMY = "(statements that were sent through the driver's own cursor, past SQLAlchemy)"
KINDS = {
    "r": "table",
    "p": "partitioned table",
    "i": "index",
    "I": "partitioned index",
    "m": "materialized view",
    "v": "view",
    "S": "sequence",
    "f": "foreign table",
}


class Watched:
    """What is known of one connection."""

    def __init__(self, number):
        self.number = number
        self.messages = []
        self.relations = {}  # oid -> (schema, name, kind, filenode, scans, tuples, table)
        self.totals = {}  # oid -> (scans, tuples) of the whole session
        self.locks = {}  # oid -> set of modes held
        self.base = None  # highest oid when the command began
        self.last = None
        self.stale = True
        self.transaction = None
        self.seqscan_off = False
        self.started = 0.0
        self.listening = False
        self.prepared = {}  # whether with names -> the name under which this session knows NARROW
        self.renames = False  # whether the statement may give known relations other names
        self.makes = False  # whether the statement is likely to make relations
        self.settles = False  # whether whoever uses the connection next waits for our question first
        # While the server works on our question: the number of the statement that it is about, what was said in it,
        # and whether the question asks for names.
        self.pending = None
        self.then = None  # what is to be run when that question has been answered


class Watcher:
    """Looks at the server after each statement, from inside the migration's own connection."""

    def __init__(self, channel, redirection, sources):
        self.channel = channel
        self.redirection = redirection
        self.sources = sources
        self.observe = False
        self.own_lock_timeout = None
        self.busy = False
        self.connections = {}
        self.base = None
        self.count = 0
        self.prepared = 0
        channel.settle = self.settle_all

    def install(self):
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        event.listen(Engine, "before_cursor_execute", self.before)
        event.listen(Engine, "after_cursor_execute", self.after)
        event.listen(Engine, "handle_error", self.error)
        for name in ("commit", "rollback", "begin"):
            event.listen(Engine, name, self.boundary)

    def begin(self, observe):
        self.observe, self.connections, self.base, self.busy = observe, {}, None, False

    def watched(self, connection, settled=True):
        """The driver's connection and what is known of it, by default with no question of ours under way."""
        raw = driver_connection(connection)
        found = self.connections.get(id(raw))
        if found is None or found[0] is not raw:
            found = self.connections[id(raw)] = (raw, Watched(len(self.connections) + 1))
        elif settled:
            self.collect(*found)
        return found

    def boundary(self, connection):
        if not self.busy and self.observe:
            try:
                self.watched(connection)[1].stale = True
            except Exception:  # a connection that is already invalid
                return

    def before(self, connection, cursor, statement, parameters, context, executemany):
        if self.busy:
            return
        raw, watched = self.watched(connection, settled=False)
        if self.observe:
            if not watched.listening:
                listen(raw, watched.messages)
                watched.settles = self.settle_first(raw)
                watched.listening = True
            watched.renames = RENAMES.search(statement) is not None
            watched.makes = MAKES_RELATIONS.search(statement) is not None
            if NO_QUERY_BEFORE.match(statement):
                watched.stale = True
            elif watched.stale:
                self.collect(raw, watched)
                self.look_around(connection, raw, watched)
            if READS_ROWS.match(statement) and not watched.seqscan_off:
                # the tables of a rehearsal are small: without this every change by key would be a scan
                watched.seqscan_off = True
                if watched.pending is None:
                    self.quietly(connection, raw, SEQSCAN_OFF)
                else:
                    watched.then = SEQSCAN_OFF
            drain(raw, watched.messages)
            del watched.messages[:]
        path, line, origin = self.sources.location(sys._getframe())
        self.count += 1
        # what waits for our question to be answered says both
        say = self.channel.emit if watched.pending is None else self.channel.hold
        say(
            event="begin",
            n=self.count,
            sql=as_text(as_sent(statement, parameters, context)),
            path=path,
            line=line,
            origin=origin,
            parameters=[] if executemany else describe_parameters(parameters),
            connection=watched.number,
        )
        watched.started = time.perf_counter()

    def after(self, connection, cursor, statement, parameters, context, executemany):
        if self.busy:
            return
        raw, watched = self.watched(connection)
        seconds = time.perf_counter() - watched.started
        rows = getattr(cursor, "rowcount", None)
        event = dict(
            event="statement", n=self.count, seconds=seconds, in_transaction=in_transaction(raw, connection)
        )
        if isinstance(rows, int) and rows >= 0:
            event["rows"] = rows
        if self.observe:
            if FORGETS_PREPARED.search(statement):
                watched.prepared = {}
            if not self.look_meanwhile(connection, raw, watched, event["in_transaction"]):
                event["observation"] = self.look(connection, raw, watched, event["in_transaction"])
        self.channel.emit(**event)

    def settle_first(self, raw):
        """Have every use of a psycopg connection, by whomever, wait for our question; whether that can be done."""
        if not hasattr(raw, "pgconn") or not hasattr(raw, "wait"):
            return False
        original = raw.wait  # what executes, commits, rolls back and copies goes through it
        if getattr(original, "settles", False):
            return True
        if "Async" in type(raw).__name__:
            return False

        def wait(*args, **kwargs):
            found = self.connections.get(id(raw))
            if found is not None and found[0] is raw:
                self.collect(*found)
            return original(*args, **kwargs)

        wait.settles = True
        raw.wait = wait
        return True

    def look_meanwhile(self, connection, raw, watched, inside):
        """Let the server look while Python goes on, where that can be done: it halves the price of looking."""
        if not (inside and watched.settles and not watched.stale and raw.pgconn.transaction_status == 2):
            return False
        names = watched.renames or watched.makes
        sql = self.narrow(connection, raw, watched, names)
        first = "RESET enable_seqscan; " if watched.seqscan_off else ""
        watched.seqscan_off = False
        raw.pgconn.send_query((first + sql).encode("ascii"))
        raw.pgconn.flush()
        watched.pending = self.count, watched.messages[:], names
        return True

    def collect(self, raw, watched):
        """Tell what the server has answered meanwhile, if it was asked."""
        if watched.pending is None:
            return
        (n, messages, named), watched.pending = watched.pending, None
        result = None
        while True:
            following = raw.pgconn.get_result()
            if following is None:
                break
            if result is None or result.status in (1, 2):
                result = following
        answer = answer_of(value_of(raw, result))
        if not named and self.tells_of_strangers(watched, answer):
            answer = answer_of(self.quietly(None, raw, self.narrow(None, raw, watched, True)))
        self.channel.emit(
            event="observed", n=n, observation=self.compared(None, raw, watched, True, answer, messages)
        )
        if watched.then is not None:
            then, watched.then = watched.then, None
            self.quietly(None, raw, then)

    def settle_all(self):
        for raw, watched in list(self.connections.values()):
            try:
                self.collect(raw, watched)
            except Exception:  # the connection is gone, and what it would have told
                continue

    def rest(self, connection, function):
        """What a revision did past SQLAlchemy after its last statement, through the driver's own cursor, if anything."""
        if not self.observe or connection is None or connection.closed or connection.invalidated:
            return
        raw, watched = self.watched(connection)
        if watched.stale or not in_transaction(raw, connection):
            return
        observation = self.look(connection, raw, watched, True)
        if not any(observation[name] for name in ("locks", "rewritten", "scanned", "built")):
            return
        self.count += 1
        self.channel.emit(
            event="begin",
            n=self.count,
            sql=PAST_SQLALCHEMY,
            path=os.path.realpath(function.__code__.co_filename),
            line=function.__code__.co_firstlineno,
            origin="revision",
            parameters=[],
            connection=watched.number,
        )
        self.channel.emit(
            event="statement", n=self.count, seconds=0.0, in_transaction=True, observation=observation
        )

    def error(self, context):
        if self.busy or context.statement is None:
            return
        raw, watched = None, None
        if context.connection is not None:
            try:
                raw, watched = self.watched(context.connection)
                watched.stale = True
                watched.seqscan_off = False
            except Exception:  # the connection is gone: nothing more to know about it
                watched = None
        message, sqlstate = server_words(context.original_exception)
        self.channel.emit(
            event="statement",
            n=self.count,
            seconds=time.perf_counter() - watched.started if watched else 0.0,
            in_transaction=in_transaction(raw, context.connection) if raw is not None else True,
            error=message,
            sqlstate=sqlstate,
        )

    def quietly(self, connection, raw, sql, first=""):
        """The one value that `sql` brings, if any, past SQLAlchemy and as much of the driver as can be left out.

        `first` is run before it, in the same round trip where the driver can do that.
        """
        self.busy = True
        try:
            if getattr(getattr(raw, "pgconn", None), "transaction_status", None) == 2:  # psycopg, in a transaction
                return with_libpq(raw, first + sql)
            if type(raw).__module__.startswith("psycopg2"):
                with raw.cursor(cursor_factory=sys.modules["psycopg2.extensions"].cursor) as cursor:
                    cursor.execute(first + sql)
                    return cursor.fetchone()[0] if cursor.description else None
            if first:
                connection.exec_driver_sql(first)
            result = connection.exec_driver_sql(sql)
            return result.scalar() if result.returns_rows else None
        finally:
            self.busy = False

    def ask(self, connection, raw, sql, first=""):
        return json.loads(self.quietly(connection, raw, sql, first))

    def narrow(self, connection, raw, watched, names):
        if names not in watched.prepared:
            self.prepared += 1
            name = "alembic_reviewer_%d" % self.prepared
            self.quietly(connection, raw, NARROW.format(name=name, names=NAMES if names else "NULL"))
            watched.prepared[names] = name
        return "EXECUTE %s (%d, %d, %s)" % (watched.prepared[names], self.base, watched.last, watched.renames)

    def tells_of_strangers(self, watched, answer):
        return any(row[0] > watched.last and row[0] not in watched.relations for row in answer[3])

    def look_around(self, connection, raw, watched):
        """The state of every relation: what a transaction's first statement is compared with."""
        now, lock_timeout, statement_timeout, rows = self.ask(connection, raw, WIDE)
        if self.base is None:
            self.base = max([row[0] for row in rows], default=16383)
        watched.relations = {row[0]: tuple(row[2:9]) for row in rows}
        watched.totals = {row[0]: (row[9] + row[6], row[10] + row[7]) for row in rows}
        watched.last = max([row[0] for row in rows], default=16383)
        watched.locks = {}
        watched.stale = False

    def look(self, connection, raw, watched, inside):
        if self.base is None:
            self.base = max(watched.relations, default=16383)
        first = "RESET enable_seqscan; " if watched.seqscan_off else ""
        watched.seqscan_off = False
        if inside and not watched.stale:
            answer = answer_of(self.quietly(connection, raw, self.narrow(connection, raw, watched, True), first))
        else:
            answer = self.ask(connection, raw, WIDE, first)
        drain(raw, watched.messages)
        return self.compared(connection, raw, watched, inside, answer, watched.messages)

    def compared(self, connection, raw, watched, inside, answer, messages):
        """What has changed since the last look."""
        now, lock_timeout, statement_timeout, rows = answer
        observation = {
            "lock_timeout": 0 if lock_timeout == self.own_lock_timeout else milliseconds(lock_timeout),
            "statement_timeout": milliseconds(statement_timeout),
            "transaction": now if inside else None,
            "messages": [m for m in messages if "pg_toast_" not in m and "deduplication" not in m][:200],
            "locks": [],
            "rewritten": [],
            "scanned": [],
            "built": [],
        }
        said = "\n".join(messages)
        files = None
        maybe_rewritten = []
        for row in rows:
            oid, modes = row[:2]
            known = watched.relations.get(oid)
            if len(row) == 6:
                names, filenode, scans, tuples = row[2:]
                if filenode is None and known is not None:  # dropped, or a relation without a file
                    filenode = known[3]
                if known is not None and (names is None or names == [known[0], known[1], known[2], known[6]]):
                    if known[3:6] == (filenode, scans, tuples) and watched.locks.get(oid, NOTHING).issuperset(
                        modes
                    ):
                        continue  # nothing has happened to it
                    names = [known[0], known[1], known[2], known[6]]
                if names is None:  # it came and went within this statement
                    watched.last = max(watched.last, oid)
                    continue
                schema, name, kind, table = names
            else:
                schema, name, kind, filenode, scans, tuples, table = row[2:9]
            new = oid > self.base
            if kind == "t" or schema.startswith("pg_toast"):
                watched.last = max(watched.last, oid)
                continue
            if len(row) > 9:  # outside a transaction: totals of the session, which are never reset
                totals = (row[9] + row[6], row[10] + row[7])
                before_scans, before_tuples = watched.totals.get(oid, totals)
                more_scans, more_tuples = totals[0] - before_scans, totals[1] - before_tuples
            else:
                before_scans, before_tuples = (known[4], known[5]) if known else (0, 0)
                more_scans, more_tuples = scans - before_scans, tuples - before_tuples
                if more_scans < 0:  # counted anew since the statistics were sent off
                    more_scans, more_tuples = scans, tuples
            relation = self.relation(watched, oid, known, schema, name, kind, table)
            held = watched.locks.setdefault(oid, set())
            for mode in modes or ():
                if mode not in held:
                    held.add(mode)
                    observation["locks"].append([relation, mode])
            if kind in "rm" and not new and more_scans > 0:
                observation["scanned"].append([relation, more_tuples])
            if known is None and kind == "i":
                if files is None:
                    files = {known[3] for known in watched.relations.values()}
                if filenode not in files:  # ALTER COLUMN TYPE may make an index anew around the file of the old one
                    observation["built"].append(relation)
            elif known is not None and known[3] != filenode and filenode is not None:
                if kind == "i":
                    observation["built"].append(relation)
                elif kind in "rm" and not new:
                    if 'rewriting table "%s"' % name in said:
                        observation["rewritten"].append(relation)
                    else:
                        maybe_rewritten.append((oid, relation))
            watched.relations[oid] = (schema, name, kind, filenode, scans, tuples, table)
            watched.last = max(watched.last, oid)
        if len(rows) and len(rows[0]) > 9:
            watched.totals = {row[0]: (row[9] + row[6], row[10] + row[7]) for row in rows}
        if maybe_rewritten:  # TRUNCATE makes a new, empty file too: that is no rewrite
            sizes = self.ask(
                connection,
                raw,
                "SELECT json_object_agg(oid::text, pg_relation_size(oid))::text FROM pg_class WHERE oid IN (%s)"
                % ", ".join(str(oid) for oid, _ in maybe_rewritten),
            )
            observation["rewritten"] += [relation for oid, relation in maybe_rewritten if sizes.get(str(oid))]
        if not inside:
            watched.stale, watched.locks = True, {}
        return observation

    def relation(self, watched, oid, known, schema, name, kind, table):
        if known:  # under the name that it had when the statement began
            schema, name = known[0], known[1]
        described = {"schema": schema, "name": name, "kind": KINDS.get(kind, "other"), "new": oid > self.base}
        if table is not None and table in watched.relations:
            described["table"] = watched.relations[table][1]
            described["table_new"] = table > self.base
        elif table is not None:
            described["table_new"] = table > self.base
            described["table"] = ""
        return described


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


def answer_of(text):
    """What NARROW tells, in the form of what WIDE tells: one row for each relation."""
    now, lock_timeout, statement_timeout, *lines = text.split("\n")
    rows = {}
    for line in lines:
        oid, mode, filenode, scans, tuples, *names = line.split(" ", 5)
        if oid in rows:
            rows[oid][1].append(mode)
        else:
            rows[oid] = (
                int(oid),
                [mode],
                json.loads(names[0]) if names else None,
                int(filenode) or None,
                int(scans),
                int(tuples),
            )
    return now, lock_timeout, statement_timeout, list(rows.values())


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


def milliseconds(setting):
    if setting == "0":
        return 0
    match = re.match(r"(\d+)\s*(us|ms|s|min|h|d)?$", setting or "")
    if not match:
        return 0
    factor = {"us": 0.001, "ms": 1, "s": 1000, "min": 60000, "h": 3600000, "d": 86400000, None: 1}
    return int(int(match.group(1)) * factor[match.group(2)])


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
