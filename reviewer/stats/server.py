"""Reads production in one short read-only transaction, from the catalogs and the statistics of the server alone.

Any role that can connect can do this. What a role may not see is listed in `unknown`, and so is what does not
exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from reviewer.errors import ServerError, UsageError
from reviewer.postgres import url as urls
from reviewer.postgres.request import NEWEST, OLDEST
from reviewer.recording import Catalogue
from reviewer.sql.names import VERSION_TABLE, Name, quoted
from reviewer.stats import statements, views

if TYPE_CHECKING:
    from psycopg import Connection

LOCK_TIMEOUT = "2s"
"""How long a query waits for a lock before it gives up."""
STATEMENT_TIMEOUT = "60s"
"""How long one query may take."""
MOST_QUERIES = 500
"""The most statements that are read from pg_stat_statements."""

_WAY_OUT = "Give it a URL such as postgresql://user@host/database, with the password in PGPASSWORD or ~/.pgpass."

ReadCatalogue = Callable[["Connection[tuple[Any, ...]]"], Catalogue]


def read(url: str, tool: str, *, schema: ReadCatalogue | None = None, queries: bool = False) -> views.Stats:
    """Read what the server of `url` shows about production, including its catalogue if `schema`, a function that
    reads it, is given.

    Raises:
        UsageError: it is not a URL of a PostgreSQL server, or the database has no tables.
        ServerError: the server does not respond, is not supported, or rejects a query.
    """
    conninfo, _ = urls.conninfo_of(url, _WAY_OUT)
    connection = urls.connect(conninfo, "The server", _WAY_OUT)
    with connection, _told():
        connection.prepare_threshold = None  # with a connection pooler, prepared statements may not exist
        _refuse_other_versions(connection.info.server_version)
        try:
            return _read(_Reader(connection), tool, schema, queries)
        except _errors().LockNotAvailable:
            # another session has locked a table between two queries: what can be read without a lock is good enough
            return _read(_Reader(connection, patient=False), tool, schema, queries)


def _errors() -> Any:
    import psycopg

    return psycopg.errors


@contextmanager
def _told() -> Iterator[None]:
    """Turn errors of the server into a `ServerError` of one sentence."""
    import psycopg

    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise ServerError(
            f"A table has been locked by another session for more than {LOCK_TIMEOUT}.", "Try again later."
        ) from None
    except psycopg.errors.QueryCanceled:
        raise ServerError(
            f"The server took more than {STATEMENT_TIMEOUT} for one query of its catalogue.",
            "Try again when it has less to do.",
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        said = str(error).strip().splitlines()[0]
        raise ServerError(
            f"The role may not read the catalogue: {said}.", "Use a role that may, for example one in pg_monitor."
        ) from None
    except psycopg.OperationalError as error:
        said = str(error).strip().splitlines()[0]
        raise ServerError(f"The server broke off: {said}", "Try again.") from None
    except psycopg.Error as error:
        said = str(error).strip().splitlines()[0]
        raise ServerError(
            f"The server refuses what every PostgreSQL answers: {said}.", "Connect to the server itself."
        ) from None


def _refuse_other_versions(version: int) -> None:
    """Raise `ServerError` for a server that is too old. `version` is libpq's version number."""
    if version // 10000 < OLDEST:
        number = f"{version // 10000}" if version >= 100000 else f"{version // 10000}.{version // 100 % 100}"
        raise ServerError(
            f"The server is PostgreSQL {number}; versions {OLDEST} to {NEWEST} are supported.", "Update it first."
        )


class _Reader(Struct):
    """One transaction, and what it could not see."""

    connection: Connection[tuple[Any, ...]]
    patient: bool = True
    """Whether the size of a table is queried even if that may wait for a lock."""
    unknown: list[str] = field(default_factory=list)

    def rows(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values or None).fetchall()

    def row(self, query: str, **values: object) -> tuple[Any, ...]:
        return self.rows(query, **values)[0]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.connection.execute(b"BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            self.connection.execute(
                f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}';"
                " SET LOCAL search_path = public; SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, MDY';"
                " SET LOCAL quote_all_identifiers = off; SET LOCAL jit = off".encode()
            )
            yield
        finally:
            if not self.connection.closed:
                self.connection.execute(b"ROLLBACK")


def _read(reader: _Reader, tool: str, schema: ReadCatalogue | None, queries: bool) -> views.Stats:
    with reader.transaction():
        database, version, standby, made, started, reset = reader.row(_SERVER)
        tables = _tables(reader)
        if not tables:
            raise UsageError(
                f"The database {database} has no tables.", "Name the database of the application in the URL."
            )
        replicas = _replicas(reader)
        return views.Stats(
            schema=1,
            tool=tool,
            made=made,
            database=database,
            postgres=version.split(" ")[0],
            standby=standby,
            started=started,
            counted_since=reset,
            settings=tuple(
                views.Setting(name=name, value=value, unit=unit)
                for name, value, unit in reader.rows(_SETTINGS, names=list(SETTINGS))
            ),
            overrides=tuple(_overrides(reader.rows(_OVERRIDES))),
            tables=tables,
            oldest_transaction=_oldest(reader),
            replicas=replicas,
            slots=tuple(views.Slot(kind=kind, active=active) for kind, active in reader.rows(_SLOTS)),
            heads=_heads(reader) if schema else None,
            catalogue=schema(reader.connection) if schema else None,
            queries=_queries(reader) if queries else None,
            unknown=tuple(reader.unknown),
        )


# -- the server -----------------------------------------------------------------------------------

SETTINGS = frozenset(
    [
        "autovacuum",
        "checkpoint_timeout",
        "deadlock_timeout",
        "default_transaction_isolation",
        "default_transaction_read_only",
        "hot_standby_feedback",
        "idle_in_transaction_session_timeout",
        "lock_timeout",
        "maintenance_work_mem",
        "max_connections",
        "max_parallel_maintenance_workers",
        "max_standby_streaming_delay",
        "max_wal_size",
        "random_page_cost",
        "search_path",
        "shared_buffers",
        "statement_timeout",
        "synchronous_commit",
        "TimeZone",
        "transaction_timeout",
        "wal_level",
        "work_mem",
    ]
)
"""Settings that matter to a migration. No others are read: a custom one may hold a secret."""

_SERVER = """
SELECT pg_catalog.current_database()::text, pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery(),
    pg_catalog.now(), pg_catalog.pg_postmaster_start_time(),
    (SELECT d.stats_reset FROM pg_catalog.pg_stat_database d WHERE d.datname = pg_catalog.current_database())
"""

# reset_val is the session's value before our own SET LOCAL
_SETTINGS = """
SELECT s.name, s.reset_val, s.unit FROM pg_catalog.pg_settings s
WHERE s.name = ANY (%(names)s) AND s.reset_val IS NOT NULL ORDER BY pg_catalog.lower(s.name)
"""

_OVERRIDES = """
SELECT r.rolname::text, s.setdatabase <> 0, pg_catalog.unnest(s.setconfig)
FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
ORDER BY 1, 2, 3
"""

_SLOTS = "SELECT s.slot_type, s.active FROM pg_catalog.pg_replication_slots s ORDER BY s.slot_name"

# a role without pg_read_all_stats sees only that other sessions exist
_OLDEST = """
SELECT extract(epoch FROM pg_catalog.clock_timestamp() - x.since)::double precision, x.state, x.hidden FROM (
    SELECT a.xact_start, a.state, a.query = '<insufficient privilege>' FROM pg_catalog.pg_stat_activity a
    WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
    UNION ALL
    SELECT p.prepared, 'prepared', false FROM pg_catalog.pg_prepared_xacts p
    WHERE p.database = pg_catalog.current_database()
) x (since, state, hidden) WHERE x.hidden OR x.since IS NOT NULL ORDER BY x.since
"""

_REPLICAS = """
SELECT r.state, r.sync_state,
    greatest(pg_catalog.pg_wal_lsn_diff(
        CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn()
            ELSE pg_catalog.pg_current_wal_lsn() END, r.replay_lsn), 0)::bigint,
    CASE WHEN r.replay_lag IS NOT NULL THEN greatest(extract(epoch FROM r.replay_lag), 0)::double precision END
FROM pg_catalog.pg_stat_replication r ORDER BY r.pid
"""


def _overrides(found: Iterable[tuple[Any, ...]]) -> Iterator[views.Override]:
    for role, database, setting in found:
        name, _, value = setting.partition("=")
        if name in SETTINGS:
            yield views.Override(role=role, database=database, name=name, value=value)


def _oldest(reader: _Reader) -> views.OldestTransaction | None:
    found = reader.rows(_OLDEST)
    hidden = sum(hidden for _, _, hidden in found)
    if hidden:
        reader.unknown.append(
            f"the transactions of {hidden} sessions are hidden from the role, which is not in pg_read_all_stats"
        )
    seen = [(seconds, state) for seconds, state, hidden in found if not hidden]
    if not seen:
        return None
    seconds, state = seen[0]
    return views.OldestTransaction(seconds=max(seconds, 0.0), state=state or "unknown")


def _replicas(reader: _Reader) -> tuple[views.Replica, ...]:
    found = tuple(
        views.Replica(
            state=state,
            sync=sync,
            bytes_behind=behind if state else None,
            seconds_behind=lag,
        )
        for state, sync, behind, lag in reader.rows(_REPLICAS)
    )
    if any(each.state is None for each in found):
        reader.unknown.append(
            "the state of the replicas is hidden from the role, which is not in pg_read_all_stats"
        )
    return found


# -- the tables -----------------------------------------------------------------------------------

_USERS = r"""n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%%'"""

# For a relation that is locked exclusively, or about to be, the size is that of its last VACUUM: querying it would
# wait.
_LOCKED = """
locked AS MATERIALIZED (
    SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l
    WHERE l.mode = 'AccessExclusiveLock' AND l.relation IS NOT NULL
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
)
"""
_SIZE = """
coalesce(CASE WHEN %(patient)s AND NOT EXISTS (SELECT FROM locked l WHERE l.relation = {c}.oid)
    THEN pg_catalog.pg_relation_size({c}.oid)
    ELSE {c}.relpages::bigint * pg_catalog.current_setting('block_size')::bigint END, 0)
"""

_TABLES = f"""
WITH {_LOCKED}
SELECT c.oid, n.nspname::text, c.relname::text,
    CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'm' THEN 'materialized view'
        ELSE 'foreign table' END,
    (SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid AND c.relispartition LIMIT 1),
    c.reltuples::double precision, c.relpages::bigint * pg_catalog.current_setting('block_size')::bigint,
    CASE WHEN c.relkind IN ('r', 'm') THEN {_SIZE.format(c="c")} ELSE 0 END,
    CASE WHEN t.oid IS NULL THEN 0 ELSE {_SIZE.format(c="t")} END,
    pg_catalog.pg_stat_get_live_tuples(c.oid), pg_catalog.pg_stat_get_dead_tuples(c.oid),
    pg_catalog.pg_stat_get_tuples_inserted(c.oid), pg_catalog.pg_stat_get_tuples_updated(c.oid),
    pg_catalog.pg_stat_get_tuples_deleted(c.oid), pg_catalog.pg_stat_get_numscans(c.oid),
    greatest(pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid)),
    EXISTS (SELECT FROM locked l WHERE l.relation IN (c.oid, t.oid))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.relpersistence <> 't' AND {_USERS}
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname
"""

_INDEXES = f"""
WITH {_LOCKED}
SELECT x.indrelid, i.relname::text, CASE i.relkind WHEN 'i' THEN {_SIZE.format(c="i")} ELSE 0 END,
    x.indisvalid AND x.indisready, x.indisunique, x.indisprimary, pg_catalog.pg_stat_get_numscans(i.oid)
FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_class c ON c.oid = x.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND {_USERS}
ORDER BY i.relname
"""


class _Found(Struct, frozen=True):
    """A table as read from the server, before its partitions are added up."""

    view: views.Table
    parent: int | None


def _tables(reader: _Reader) -> tuple[views.Table, ...]:
    indexes: dict[int, list[views.Index]] = defaultdict(list)
    for of, name, size, valid, unique, primary, scans in reader.rows(_INDEXES, patient=reader.patient):
        indexes[of].append(
            views.Index(name=name, bytes=size, valid=valid, unique=unique, primary=primary, scans=scans)
        )
    found: dict[int, _Found] = {}
    locked = []
    for oid, *told, is_locked in reader.rows(_TABLES, patient=reader.patient):
        found[oid] = _table(told, tuple(indexes[oid]))
        if is_locked:
            locked.append(str(Name(told[1], told[0])))
    if locked or not reader.patient:
        which = ", ".join(locked[:5]) + (f" and {len(locked) - 5} more" if len(locked) > 5 else "")
        reader.unknown.append(
            f"the present size of {which or 'the tables'}, locked by another session: it is that of the last VACUUM"
        )
    return tuple(_summed(found))


def _table(told: list[Any], indexes: tuple[views.Index, ...]) -> _Found:
    schema, name, kind, parent, tuples, known, heap, toast, live, dead, *counts = told
    inserted, updated, deleted, scans, analyzed = counts
    return _Found(
        views.Table(
            schema=schema,
            name=name,
            kind=kind,
            rows=None if kind == "foreign table" else _estimated(tuples, known, heap, live),
            heap_bytes=heap,
            toast_bytes=toast,
            index_bytes=sum(each.bytes for each in indexes),
            indexes=indexes,
            inserted=inserted,
            updated=updated,
            deleted=deleted,
            dead=dead,
            sequential_scans=scans,
            index_scans=sum(each.scans for each in indexes),
            analyzed=analyzed,
        ),
        parent,
    )


def _estimated(tuples: float, known: int, heap: int, live: int) -> int | None:
    """Estimate the number of rows as the planner does: `tuples` when the table had `known` bytes, scaled to its
    present size, and never fewer than were counted as `live`. None if the table was never analyzed.
    """
    if heap == 0:
        return 0
    if tuples >= 0 and known > 0:
        return max(round(tuples * heap / known), live)
    return live or None


def _summed(found: Mapping[int, _Found]) -> Iterator[views.Table]:
    """Yield the tables. Partitioned ones have the sums of their partitions at every depth."""
    children: dict[int, list[int]] = defaultdict(list)
    for oid, each in found.items():
        if each.parent is not None:
            children[each.parent].append(oid)

    def leaves(oid: int) -> Iterator[views.Table]:
        for child in children[oid]:
            if found[child].view.kind == "partitioned table":
                yield from leaves(child)
            else:
                yield found[child].view

    for oid, each in found.items():
        if each.view.kind != "partitioned table":
            yield each.view
            continue
        parts = list(leaves(oid))
        rows = [part.rows for part in parts]
        yield views.Table(
            schema=each.view.schema,
            name=each.view.name,
            kind=each.view.kind,
            rows=None if None in rows else sum(filter(None, rows)),
            heap_bytes=sum(part.heap_bytes for part in parts),
            toast_bytes=sum(part.toast_bytes for part in parts),
            index_bytes=sum(part.index_bytes for part in parts),
            indexes=each.view.indexes,
            partitions=tuple(str(Name(found[c].view.name, found[c].view.schema)) for c in children[oid]),
            inserted=sum(part.inserted for part in parts),
            updated=sum(part.updated for part in parts),
            deleted=sum(part.deleted for part in parts),
            dead=sum(part.dead for part in parts),
            sequential_scans=sum(part.sequential_scans for part in parts),
            index_scans=sum(part.index_scans for part in parts),
            analyzed=min((part.analyzed for part in parts if part.analyzed is not None), default=None),
        )


# -- optional parts -------------------------------------------------------------------------------

_VERSIONS = """
SELECT n.nspname::text, pg_catalog.has_schema_privilege(n.oid, 'USAGE')
    AND pg_catalog.has_column_privilege(c.oid, 'version_num', 'SELECT') AND NOT c.relrowsecurity
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'version_num' AND NOT a.attisdropped
WHERE c.relkind = 'r' AND c.relname = %(name)s
ORDER BY 1
"""


def _heads(reader: _Reader) -> tuple[str, ...] | None:
    """Return the revisions in every version table of Alembic's name; None if there is none, or the role may not
    read one.
    """
    heads: list[str] = []
    tables = reader.rows(_VERSIONS, name=VERSION_TABLE)
    for schema, allowed in tables:
        if not allowed:
            reader.unknown.append(f"which revision the database is at: the role may not read {VERSION_TABLE}")
            return None
        table = f"{quoted(schema)}.{quoted(VERSION_TABLE)}"
        heads += [str(head) for (head,) in reader.rows(f"SELECT v.version_num FROM {table} v ORDER BY 1")]
    if not tables:
        reader.unknown.append(f"which revision the database is at: it has no table {VERSION_TABLE}")
        return None
    return tuple(heads)


_EXTENSION = """
SELECT n.nspname::text FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
"""


def _queries(reader: _Reader) -> tuple[views.Query, ...]:
    where = reader.rows(_EXTENSION)
    if not where:
        raise UsageError(
            "--queries needs the extension pg_stat_statements, which this database does not have.",
            "Create the extension, or leave out --queries.",
        )
    try:
        found = reader.rows(
            f"SELECT s.query, s.calls, s.total_exec_time, s.rows FROM {quoted(where[0][0])}.pg_stat_statements(true) s"
            " WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())"
            " ORDER BY s.total_exec_time DESC",
        )
    except _errors().ObjectNotInPrerequisiteState:
        raise UsageError(
            "--queries needs pg_stat_statements in shared_preload_libraries, where this server does not have it.",
            "Add it there, or leave out --queries.",
        ) from None
    hidden = sum(text is None or text == "<insufficient privilege>" for text, *_ in found)
    if hidden:
        reader.unknown.append(
            f"{hidden} statements of other roles are hidden from the role, which is not in pg_read_all_stats"
        )
    kept: dict[str, views.Query] = {}
    for text, calls, milliseconds, rows in found:
        told = statements.normalised(text) if text else None
        if told is None:
            continue
        known = kept.get(told)
        kept[told] = views.Query(
            text=told,
            calls=calls + (known.calls if known else 0),
            milliseconds=milliseconds + (known.milliseconds if known else 0.0),
            rows=rows + (known.rows if known else 0),
        )
    return tuple(sorted(kept.values(), key=lambda each: -each.milliseconds)[:MOST_QUERIES])
