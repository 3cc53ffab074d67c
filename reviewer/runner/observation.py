"""Queries the server after each statement, from inside the migration's own connection.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8. It decides nothing and judges nothing.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import re
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from reviewer.runner import drivers, limits, relations, timing
    from reviewer.runner.channel import Channel
    from reviewer.runner.redirection import Expected, Redirection
    from reviewer.runner.sources import Place, Sources
else:  # loaded earlier by path, so the project cannot have modules with these names
    drivers = sys.modules["_alembic_reviewer_drivers"]
    relations = sys.modules["_alembic_reviewer_relations"]
    limits = sys.modules["_alembic_reviewer_limits"]
    timing = sys.modules["_alembic_reviewer_timing"]
    Expected = sys.modules["_alembic_reviewer_redirection"].Expected


# Statements that must be the first of their transaction, or that end one: the runner must not query before them.
NO_QUERY_BEFORE = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:set\s+(?:session\s+characteristics|transaction|local\s+transaction)|begin|start|commit|end|rollback|abort)\b",
    re.IGNORECASE | re.DOTALL,
)
# Statements that roll back to a savepoint what a transaction has done since: locks, files and relations.
GOES_BACK = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*rollback\s+(?:(?:work|transaction)\s+)?to\b", re.IGNORECASE | re.DOTALL
)
# Statements that may rename a known relation or move it to another schema. Statements that run code may do
# anything.
RENAMES = re.compile(r"\b(?:rename|schema|do|call|select|execute)\b", re.IGNORECASE)
# Statements that are likely to create a relation. A wrong guess only costs a second query.
MAKES_RELATIONS = re.compile(r"\b(?:create|unique|primary|serial|bigserial|identity|using|type)\b", re.IGNORECASE)
FORGETS_PREPARED = re.compile(r"\b(?:discard|deallocate)\b", re.IGNORECASE)
READS_ROWS = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:update|delete|merge|with|select|insert\b.*?\bselect)\b",
    re.IGNORECASE | re.DOTALL,
)

SIZES = """SELECT CAST(pg_catalog.json_object_agg(
    CAST(oid AS pg_catalog.text), pg_catalog.pg_relation_size(oid)) AS pg_catalog.text)
FROM pg_catalog.pg_class WHERE oid OPERATOR(pg_catalog.=) ANY (CAST('{%s}' AS pg_catalog.oid[]))"""
FAILED_TRANSACTION = "25P02"
SEQSCAN_OFF = "SET enable_seqscan = off"
# Statements that may change statement_timeout. A statement that is wrongly included only costs a guard.
SETS_LIMITS = re.compile(
    r"timeout|\b(?:set|set_config|reset|discard|do|call|select|execute|rollback|release)\b", re.IGNORECASE
)
PAST_SQLALCHEMY = "(statements that were sent through the driver's own cursor, past SQLAlchemy)"


class Watched:
    """What is known about one connection."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.messages = limits.Messages()
        self.relations = relations.Relations()
        self.stale = True  # whether that belongs to an earlier transaction
        self.went_back = False  # whether it belongs to the current one, part of which has been rolled back since
        self.seqscan_off = False
        self.started = 0.0
        self.process: int | None = None  # the server's process, where its times are known
        self.began: timing.Moment | None = None
        self.listening = False
        self.prepared: dict[bool, str] = {}  # whether with names -> the name of the prepared NARROW in this session
        self.renames = False  # whether the statement may rename known relations
        self.makes = False  # whether the statement is likely to create relations
        self.limited = True  # whether a statement_timeout was in force when the server last answered
        self.sets_limits = False  # whether the statement may set one
        self.guarded = False  # whether the pending query has set the statement_timeout aside
        self.settles = False  # whether the next user of the connection waits for our query first
        # While the server works on our query: the number of the statement that it is about, the messages of that
        # statement, and whether the query asks for names.
        self.pending: tuple[int | None, list[str], bool] | None = None
        self.then: str | None = None  # what to run when that query has been answered
        # makes the beginning of a statement that is only reported if it fails
        self.untold: Callable[[], dict[str, Any]] | None = None
        # the report that the current statement begins, and that of one whose rows a cursor of the server fetches later
        self.begun: dict[str, Any] | None = None
        self.fetched: dict[str, Any] | None = None

    @property
    def may_be_limited(self) -> bool:
        """Whether a statement_timeout may be in force: one of the session may apply again in another transaction."""
        return self.limited or self.sets_limits or self.stale


class Gone(Exception):
    """The connection is gone, or its transaction has failed. The answer is lost, and the next user of the connection
    meets the failure.
    """


def in_our_name(listener: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `listener` so that its own errors are never attributed to the project."""

    @functools.wraps(listener)
    def listen(*args: Any, **kwargs: Any) -> Any:
        try:
            return listener(*args, **kwargs)
        except Expected:
            raise
        except Exception as error:
            last = error.__traceback__
            while last is not None and last.tb_next is not None:
                last = last.tb_next
            code = last.tb_frame.f_code if last is not None else listener.__code__
            place = f"{os.path.basename(code.co_filename)}:{last.tb_lineno if last is not None else 0}"
            said = f"{type(error).__name__} in {listener.__name__}, at {code.co_name} ({place})"
            raise Expected("reviewer", said) from error

    return listen


class Watcher:
    """Queries the server after each statement, from inside the migration's own connection."""

    def __init__(self, channel: Channel, redirection: Redirection, sources: Sources) -> None:
        self.channel = channel
        self.redirection = redirection
        self.sources = sources
        self.observe = False
        self.own_lock_timeout: str | None = None
        self.busy = False
        self.connections: list[tuple[Any, Watched]] = []
        self.base: int | None = None  # the highest oid when the command began
        self.count = 0
        self.prepared = 0
        self.allowance = limits.Allowance()
        self.timed = False
        self.silent = False
        self.timing: timing.Timing | None = None
        channel.settle = self.settle_all

    def install(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        event.listen(Engine, "before_cursor_execute", in_our_name(self.before))
        event.listen(Engine, "after_cursor_execute", in_our_name(self.after))
        event.listen(Engine, "handle_error", in_our_name(self.error))
        for name in ("commit", "rollback", "begin"):
            event.listen(Engine, name, self.boundary)

    def begin(self, observe: bool, timed: bool = False, silent: bool = False) -> None:
        used = bool(self.connections)
        self.timed, self.timing, self.silent = timed, None, silent
        self.observe, self.connections, self.base, self.busy = observe, [], None, False
        if used:
            # A connection of the last command closes its descriptor when it is collected. That must happen before
            # env.py closes its own descriptors and the number belongs to another one. What is left need not be
            # collected again.
            gc.collect()
            gc.freeze()
        self.allowance = limits.Allowance()

    def watched(self, connection: Any, settled: bool = True) -> tuple[Any, Watched]:
        """Return the driver's connection and what is known about it. By default, waits for a pending query first."""
        raw = drivers.driver_connection(connection)
        found = self.known(raw)
        if found is None:
            found = (raw, Watched(len(self.connections) + 1))
            self.connections.append(found)
        elif settled:
            self.collect(*found)
        return found

    def known(self, raw: Any) -> tuple[Any, Watched] | None:
        """Return what is known about the connection, found by identity: the driver may define equality and hash."""
        return next((found for found in self.connections if found[0] is raw), None)

    def boundary(self, connection: Any) -> None:
        if not self.busy and self.observe:
            try:
                watched = self.watched(connection)[1]
                watched.stale, watched.went_back = True, False
            except Exception:  # a connection that is already invalid
                return

    def before(
        self, connection: Any, cursor: Any, statement: Any, parameters: Any, context: Any, executemany: bool
    ) -> None:
        if self.busy:
            return
        entered = time.perf_counter()
        raw, watched = self.watched(connection, settled=False)
        if self.observe:
            try:
                self.get_ready(connection, raw, watched, statement)
            except Gone:
                watched.stale = True
        self.count += 1
        told = statement, parameters, context, executemany, watched.number
        if self.silent:
            watched.untold = lambda: self.beginning(self.sources.location(sys._getframe()), *told)
            watched.started = time.perf_counter()
            return
        place = self.sources.location(sys._getframe())
        if self.timing is not None:
            self.timing.begin(place, drivers.as_text(statement), entered)
        # of those that are only timed, none is reported unless it fails
        tells = not self.timed and self.allowance.tells(place)
        begin = self.beginning(place, *told, whole=tells)
        watched.untold = None if tells else lambda: begin
        watched.begun = begin if tells else None
        if tells:
            # sent together with the answer to a pending query
            (self.channel.emit if watched.pending is None else self.channel.hold)(**begin)
        if self.timing is not None:
            if watched.began is None:
                watched.process = drivers.server_process(raw)
                if watched.process is not None and not timing.is_a_server(watched.process):
                    watched.process = None
            watched.began = timing.Moment(watched.process)
        watched.started = time.perf_counter()

    def beginning(
        self,
        place: Place,
        statement: Any,
        parameters: Any,
        context: Any,
        executemany: bool,
        connection: int,
        whole: bool = True,
    ) -> dict[str, Any]:
        """Return the report that a statement begins; if it is not `whole`, with its first characters only."""
        sql, left_out = self.allowance.cut(statement) if whole else (statement[: limits.SQL_AFTER_THAT], 0)
        path, line, origin = place
        return dict(
            event="begin",
            n=self.count,
            sql=drivers.as_text(drivers.as_sent(sql, parameters, context)),
            path=path,
            line=line,
            origin=origin,
            parameters=[] if executemany else drivers.describe_parameters(parameters),
            connection=connection,
            **({"left_out": left_out} if left_out else {}),
        )

    def get_ready(self, connection: Any, raw: Any, watched: Watched, statement: Any) -> None:
        """Read the state before `statement`, as far as it is not known."""
        if not watched.listening:
            drivers.listen(raw, watched.messages)
            watched.settles = self.settle_first(raw)
            watched.listening = True
        # a text that is too long to be searched may do anything
        long, head = len(statement) > limits.LONGEST_SQL, statement[: limits.LONGEST_SQL]
        watched.renames = long or RENAMES.search(head) is not None
        watched.makes = long or MAKES_RELATIONS.search(head) is not None
        if NO_QUERY_BEFORE.match(head):
            watched.stale = True
        elif watched.stale:
            self.collect(raw, watched)
            self.look_around(connection, raw, watched)
        watched.sets_limits = long or SETS_LIMITS.search(head) is not None
        if READS_ROWS.match(head) and not watched.seqscan_off:
            # the tables of a rehearsal are small: otherwise every change by key would be a sequential scan
            watched.seqscan_off = True
            if watched.pending is None:
                self.quietly(connection, raw, SEQSCAN_OFF)
            else:
                watched.then = SEQSCAN_OFF
        drivers.drain(raw, watched.messages)
        watched.messages.clear()

    def after(
        self, connection: Any, cursor: Any, statement: Any, parameters: Any, context: Any, executemany: bool
    ) -> None:
        if self.busy:
            return
        raw, watched = self.watched(connection)
        ended = time.perf_counter()
        seconds = ended - watched.started
        if self.timing is not None and watched.began is not None:
            self.timing.end(watched.began, ended)
        if self.silent:
            watched.untold = None
        if self.timed or self.silent:
            return
        if getattr(context, "_is_server_side", False) and watched.begun is not None:
            watched.fetched = watched.begun
        rows = getattr(cursor, "rowcount", None)
        event: dict[str, Any] = {
            "event": "statement",
            "n": self.count,
            "seconds": seconds,
            "in_transaction": drivers.in_transaction(raw, connection),
        }
        if isinstance(rows, int) and rows >= 0:
            event["rows"] = rows
        if self.observe:
            if len(statement) > limits.LONGEST_SQL or FORGETS_PREPARED.search(statement):
                watched.prepared = {}
            try:
                if event["in_transaction"] and GOES_BACK.match(statement):
                    event["observation"] = self.look_back(connection, raw, watched)
                elif not self.look_meanwhile(connection, raw, watched, event["in_transaction"]):
                    event["observation"] = self.look(connection, raw, watched, event["in_transaction"])
            except Gone:
                watched.stale = True
        if watched.untold is None:
            self.channel.emit(**event)

    def settle_first(self, raw: Any) -> bool:
        """Make every use of a psycopg connection wait for our query. Returns whether that is possible."""
        if not hasattr(raw, "pgconn") or not hasattr(raw, "wait"):
            return False
        original = raw.wait  # executing, committing, rolling back and copying all go through it
        if getattr(original, "settles", False):
            return True
        if "Async" in type(raw).__name__:
            return False

        def wait(*args: Any, **kwargs: Any) -> Any:
            found = self.known(raw)
            if found is not None:
                self.collect(*found)
            return original(*args, **kwargs)

        wait.settles = True  # type: ignore[attr-defined]
        raw.wait = wait
        return True

    def look_meanwhile(self, connection: Any, raw: Any, watched: Watched, inside: bool) -> bool:
        """Let the server answer while Python continues, if possible: this halves the cost of observing."""
        if not (inside and watched.settles and not watched.stale and raw.pgconn.transaction_status == 2):
            return False
        names = watched.renames or watched.makes
        sql = self.narrow(connection, raw, watched, names)
        first = "RESET enable_seqscan" if watched.seqscan_off else ""
        watched.seqscan_off = False
        watched.guarded = watched.may_be_limited
        texts = [relations.GUARD.format(local=True)] if watched.guarded else []
        texts += [first, sql] if first else [sql]
        raw.pgconn.send_query("; ".join(texts).encode("ascii"))
        raw.pgconn.flush()
        n = self.count if watched.untold is None else None
        watched.pending = n, watched.messages.take(), names
        return True

    def collect(self, raw: Any, watched: Watched) -> None:
        """Report what the server has answered in the meantime, if there is a pending query."""
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
        try:
            answer = relations.Answer.of_narrow(drivers.value_of(raw, result))
        except RuntimeError as error:
            if drivers.is_gone(raw):
                return
            raise self.not_answered(error) from error
        watched.limited = answer.limited
        if watched.guarded:
            watched.guarded = False
            drivers.with_libpq(raw, relations.UNGUARD.format(local=True))
        if not named and watched.relations.has_strangers(answer):
            text = self.quietly(None, raw, self.narrow(None, raw, watched, True))
            answer = relations.Answer.of_narrow(text)
        observation = self.compared(None, raw, watched, True, answer, messages)
        if n is not None:
            self.channel.emit(event="observed", n=n, observation=observation)
        if watched.then is not None:
            then, watched.then = watched.then, None
            self.quietly(None, raw, then)

    def settle_all(self) -> None:
        for raw, watched in list(self.connections):
            try:
                self.collect(raw, watched)
            except Exception:  # the connection is gone, and the answer with it
                continue
        for (path, line, origin), count in self.allowance.only_counted():
            self.channel.hold(
                event="counted", path=path, line=line, origin=origin, told=limits.SAME_LINE, count=count
            )
        self.allowance.lines.clear()

    def rest(self, connection: Any, function: Any) -> None:
        """Report what a revision did after its last statement: the rows that a cursor of the server has fetched since,
        and what went through the driver's own cursor, bypassing SQLAlchemy.
        """
        if not self.observe or connection is None or connection.closed or connection.invalidated:
            return
        raw, watched = self.watched(connection)
        if watched.stale or not drivers.in_transaction(raw, connection):
            return
        try:
            observation = self.look(connection, raw, watched, True)
        except Gone:
            return
        if not any(observation[name] for name in relations.CHANGES):
            return
        self.count += 1
        begin: dict[str, Any] = {
            "event": "begin",
            "n": self.count,
            "sql": PAST_SQLALCHEMY,
            "path": os.path.realpath(function.__code__.co_filename),
            "line": function.__code__.co_firstlineno,
            "origin": "revision",
            "parameters": [],
            "connection": watched.number,
        }
        if watched.fetched is not None and not any(
            observation[name] for name in relations.CHANGES if name != "scanned"
        ):
            begin = {**watched.fetched, "n": self.count}
        self.channel.emit(**begin)
        self.channel.emit(
            event="statement", n=self.count, seconds=0.0, in_transaction=True, observation=observation
        )

    def error(self, context: Any) -> None:
        if self.busy or context.statement is None:
            return
        raw, watched = None, None
        if context.connection is not None:
            try:
                raw, watched = self.watched(context.connection)
                watched.stale = watched.went_back = True
                watched.seqscan_off = False
            except Exception:  # the connection is gone: nothing more can be learned about it
                watched = None
        if self.timing is not None and watched is not None and watched.began is not None:
            self.timing.end(watched.began, time.perf_counter())
        message, sqlstate = drivers.server_words(context.original_exception)
        self.remember(context.original_exception)
        if watched is not None and watched.untold is not None:
            self.channel.emit(**watched.untold())
            watched.untold = None
        self.channel.emit(
            event="statement",
            n=self.count,
            seconds=time.perf_counter() - watched.started if watched else 0.0,
            in_transaction=drivers.in_transaction(raw, context.connection) if raw is not None else True,
            error=message,
            sqlstate=sqlstate,
        )

    def remember(self, error: Any) -> None:
        """Record on a driver's exception which statement it is about: code that catches it may raise another one."""
        try:
            error._alembic_reviewer_statement = self.count
        except Exception:  # the statement is then found by its message
            return

    def quietly(self, connection: Any, raw: Any, sql: str, first: str = "") -> Any:
        """Return the one value of `sql`, if any, bypassing SQLAlchemy and as much of the driver as possible.

        `first` runs before it, in the same round trip if the driver can do that. No statement_timeout cancels it.
        """
        self.busy = True
        found = self.known(raw)
        limited = found is not None and found[1].may_be_limited
        local = limited and drivers.in_transaction(raw, connection)
        texts = [relations.GUARD.format(local=local)] if limited else []
        texts += [first, sql] if first else [sql]
        try:
            return self.answer_to(
                connection, raw, texts, relations.UNGUARD.format(local=local) if limited else None
            )
        except Exception as error:
            if drivers.is_gone(raw) or drivers.server_words(driver_error(error))[1] == FAILED_TRANSACTION:
                raise Gone() from error
            raise self.not_answered(error) from error
        finally:
            self.busy = False

    def answer_to(self, connection: Any, raw: Any, texts: list[str], after: str | None) -> Any:
        """Return the one value of the last of `texts`, if any. `after` runs last."""
        if getattr(getattr(raw, "pgconn", None), "transaction_status", None) == 2:  # psycopg, in a transaction
            found = drivers.with_libpq(raw, "; ".join(texts))
            if after:
                drivers.with_libpq(raw, after)
            return found
        if type(raw).__module__.startswith("psycopg2"):
            with raw.cursor(cursor_factory=sys.modules["psycopg2.extensions"].cursor) as cursor:
                cursor.execute("; ".join(texts))
                found = cursor.fetchone()[0] if cursor.description else None
                if after:
                    cursor.execute(after)
                return found
        for text in texts[:-1]:
            connection.exec_driver_sql(text)
        result = connection.exec_driver_sql(texts[-1])
        found = result.scalar() if result.returns_rows else None
        if after:
            connection.exec_driver_sql(after)
        return found

    def not_answered(self, error: BaseException) -> Expected:
        """Return an error that is attributed to the reviewer and not to the current statement."""
        words = drivers.server_words(driver_error(error))[0].rstrip(".")
        if "statement timeout" in words:
            words += (
                " (a statement_timeout that the project has set, past SQLAlchemy, is shorter than the look takes)"
            )
        return Expected("reviewer", words)

    def ask(self, connection: Any, raw: Any, first: str = "") -> relations.Answer:
        """Query every existing relation."""
        return relations.Answer.of_wide(self.quietly(connection, raw, relations.WIDE, first))

    def narrow(self, connection: Any, raw: Any, watched: Watched, names: bool) -> str:
        if names not in watched.prepared:
            self.prepared += 1
            name = f"alembic_reviewer_{self.prepared}"
            asked = relations.NAMES if names else "NULL"
            text = relations.NARROW.format(name=name, names=asked, limit=relations.LIMIT)
            self.quietly(connection, raw, text)
            watched.prepared[names] = name
        told = f"{self.base or 0}, {watched.relations.last or 0}, {watched.renames}"
        return f"EXECUTE {watched.prepared[names]} ({told})"

    def look_around(self, connection: Any, raw: Any, watched: Watched) -> relations.Answer:
        """Read the state of every relation, with which a transaction's first statement is compared."""
        answer = self.ask(connection, raw)
        held = self.quietly(connection, raw, relations.HELD) if watched.went_back else "{}"
        watched.relations.begin(answer, held)
        watched.limited = answer.limited
        if self.base is None:
            self.base = watched.relations.last
        watched.stale = watched.went_back = False
        return answer

    def look_back(self, connection: Any, raw: Any, watched: Watched) -> dict[str, Any]:
        """Read the state after ROLLBACK TO: the server has released what was taken since, which the statement did
        not do.
        """
        watched.seqscan_off = False  # the setting is rolled back too
        watched.went_back = True
        answer = self.look_around(connection, raw, watched)
        drivers.drain(raw, watched.messages)
        nothing: dict[str, list[Any]] = {name: [] for name in relations.CHANGES}
        return self.told(True, answer, nothing, watched.messages.take())

    def look(self, connection: Any, raw: Any, watched: Watched, inside: bool) -> dict[str, Any]:
        if watched.relations.last is None:
            # the first statement of the connection is one that no query may precede, so this is the state before it
            self.look_around(connection, raw, watched)
            watched.stale = True
        first = "RESET enable_seqscan" if watched.seqscan_off else ""
        watched.seqscan_off = False
        if inside and not watched.stale:
            text = self.quietly(connection, raw, self.narrow(connection, raw, watched, True), first)
            answer = relations.Answer.of_narrow(text)
        else:
            answer = self.ask(connection, raw, first)
        watched.limited = answer.limited
        drivers.drain(raw, watched.messages)
        return self.compared(connection, raw, watched, inside, answer, watched.messages.take())

    def compared(
        self,
        connection: Any,
        raw: Any,
        watched: Watched,
        inside: bool,
        answer: relations.Answer,
        messages: list[str],
    ) -> dict[str, Any]:
        """Return what has changed since the last query, as it is reported to the reviewer."""
        found, doubtful = watched.relations.compare(answer, self.base or 0, "\n".join(messages))
        if doubtful:  # TRUNCATE also creates a new, empty file: that is not a rewrite
            sizes = json.loads(self.quietly(connection, raw, SIZES % ", ".join(map(str, doubtful))))
            found["rewritten"] += [relation for oid, relation in doubtful.items() if sizes.get(str(oid))]
        if not inside:
            watched.stale, watched.went_back, watched.relations.locks = True, False, {}
        return self.told(inside, answer, found, messages)

    def told(
        self, inside: bool, answer: relations.Answer, found: dict[str, Any], messages: list[str]
    ) -> dict[str, Any]:
        return dict(
            found,
            lock_timeout=0 if answer.lock_timeout == self.own_lock_timeout else milliseconds(answer.lock_timeout),
            statement_timeout=milliseconds(answer.statement_timeout),
            transaction=answer.now if inside else None,
            messages=messages,
        )


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's exception, of which SQLAlchemy may have made its own."""
    return getattr(error, "orig", None) or error


def milliseconds(setting: str) -> int:
    if setting == "0":
        return 0
    match = re.match(r"(\d+)\s*(us|ms|s|min|h|d)?$", setting or "")
    if not match:
        return 0
    factor = {"us": 0.001, "ms": 1, "s": 1000, "min": 60000, "h": 3600000, "d": 86400000, None: 1}
    return int(int(match.group(1)) * factor[match.group(2)])
