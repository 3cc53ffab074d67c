"""A running server: how to connect to it, and its scratch databases."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from reviewer.errors import ServerError
from reviewer.postgres import sessions
from reviewer.postgres.request import Candidate
from reviewer.postgres.settings import copy_by_statements
from reviewer.postgres.shared import Shared
from reviewer.postgres.shared_roles import SharedRoles
from reviewer.postgres.shared_rows import SharedRows
from reviewer.postgres.snapshots import Snapshot

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql
    from typing_extensions import LiteralString

_LONGEST_NAME = 63

_MOST_IDLE = 2
"""So many databases are looked at by turns: the one that a revision starts from, and the one that it runs in."""

_PAYS_TO_CLONE_AT_ONCE = 0.1
"""Seconds that a clone must take: a session for a second one has to be opened first."""

MAKE_ROOM = "Free some space, or set TMPDIR to another folder for temporary files."
"""The way out if the disk is full."""

ALWAYS = {"client_min_messages": "debug1", "lc_messages": "C"}
"""Settings of every scratch database: PostgreSQL reports what it does ("rewriting table"), and in English."""


class Address(Struct, frozen=True):
    """What a client needs to connect, apart from the name of a database."""

    host: str
    """The name of a host, or the folder of the unix socket."""
    port: int
    user: str
    password: str | None = None
    sslmode: str | None = None
    """As libpq spells it, if the user's URL contained it."""

    def __repr__(self) -> str:
        shown = "" if self.password is None else ", password=..."
        return f"Address(host={self.host!r}, port={self.port}, user={self.user!r}{shown})"

    @property
    def is_socket(self) -> bool:
        """Whether `host` is the folder of a unix socket."""
        return self.host.startswith("/")

    @property
    def parameters(self) -> dict[str, str]:
        """The address as libpq parameters. They override everything that the user's own PG… variables would set."""
        given = {"host": self.host, "port": str(self.port), "user": self.user, "hostaddr": "", "options": ""}
        if self.password is not None:
            given["password"] = self.password
        if self.is_socket:
            given |= {
                "sslmode": "disable",
                "gssencmode": "disable",
                "channel_binding": "disable",
                "requirepeer": "",
            }
        elif self.sslmode is not None:
            given["sslmode"] = self.sslmode
        return given

    def url(self, database: str) -> str:
        """Return the URL of `database`, for env.py files and commands that need one. A socket's folder is in the
        query: libpq prefers it to the host that URL parsers such as pydantic's `PostgresDsn` require.
        """
        password = f":{quote(self.password, safe='')}" if self.password else ""
        place = "localhost" if self.is_socket else f"{self.host}:{self.port}"
        query = f"?host={quote(self.host)}&port={self.port}" if self.is_socket else ""
        return f"postgresql://{quote(self.user, safe='')}{password}@{place}/{database}{query}"


class Kept(Struct, frozen=True):
    """The contents of the data folder of a stopped server, for a `Snapshot` of it."""

    database: str
    superuser: str
    shared: Mapping[str, Any]
    others: tuple[str, ...]
    """Other databases that the server knows. Their folders are in `without`."""
    without: tuple[str, ...]
    """Files and folders that a copy for `database` can omit."""


class Machine(Protocol):
    """A server of our own that can be stopped and started."""

    snapshot: Snapshot | None

    def paused(self, user: str, use: Callable[[Path], None]) -> psycopg.Connection[Any]:
        """Shut it down cleanly, call `use` with its data folder, start it again, and connect as `user`."""
        ...

    def afresh(self) -> tuple[psycopg.Connection[Any], str]:
        """Start it again from a fresh data folder, and connect as a new superuser of the reviewer, whose name is
        returned too.
        """
        ...


class _Idle(Struct, frozen=True):
    connection: psycopg.Connection[Any]
    defaults: str
    """What new sessions began with when it was last used."""


class RunningServer:
    """A running PostgreSQL, and the scratch databases that are created, cloned and dropped on it.

    Every method that takes the name of a database accepts only names that `create_database` or `adopt` returned, so
    nothing else is ever touched on a user's server.
    """

    version: str
    """For example `16.14`."""
    source: str
    """`url`, `local`, `embedded` or `container`."""
    why: str
    """One sentence: which server it is, and why it was chosen."""
    address: Address

    def __init__(
        self,
        *,
        source: str,
        why: Callable[[str], str],
        address: Address,
        admin: psycopg.Connection[Any],
        own_user: str = "",
        prefix: str = "",
        watch: Callable[[str], Callable[[], None]] | None = None,
        watch_role: Callable[[int], Callable[[], None]] | None = None,
        last_words: Callable[[], str] = str,
        others: Callable[[], tuple[Candidate, ...]] = tuple,
        machine: Machine | None = None,
    ) -> None:
        """Take over a server through the connection `admin`, which the caller closes.

        Args:
            source: where it comes from.
            why: returns the sentence for a version.
            address: how others connect.
            admin: a connection in autocommit mode, as a role that can create databases.
            own_user: the reviewer's superuser, which exists only on our own server; `admin` is connected as it.
            prefix: the prefix of the names of scratch databases.
            watch: called with a database's name before it is created; the function that it returns is called after it is dropped.
            watch_role: the same with the oid of a role that the migrations have created on a user's server.
            last_words: returns the last line that the server logged, for errors when it breaks.
            others: returns the servers that could have been used instead.
            machine: stops and starts the server; None for a server that is not ours.
        """
        self.version = admin.info.parameter_status("server_version") or ""
        self.version = self.version.split()[0]
        self.source = source
        self.why = why(self.version)
        self.address = address
        self._admin = admin
        self._own_user = own_user
        self._own = replace(address, user=own_user) if own_user else address
        self._owner = self._oid_of_owner()
        superuser = admin.info.parameter_status("is_superuser") == "on"
        self._options = sessions.options(sessions.settings_of(self.major, superuser))
        self._machine = machine
        self._rows = SharedRows(admin, self._owner) if own_user else None
        self._roles = None if own_user else SharedRoles(admin, prefix, watch_role or (lambda _oid: lambda: None))
        self._shared = Shared(self._rows or self._roles)  # type: ignore[arg-type]  # one of them is set
        self._prefix = prefix
        self._watch = watch or (lambda _name: lambda: None)
        self._last_words = last_words
        self._others = others
        self._databases: dict[str, Callable[[], None]] = {}
        self._idle: dict[str, _Idle] = {}
        """Sessions for the next look at a database, the one that was used last at the end."""
        self._cloning = 0.0
        """Seconds that the last clone of a database took."""

    @property
    def major(self) -> int:
        """The major version, for example 16."""
        return self._admin.info.server_version // 10000

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that the server has started from; None if it started without one."""
        return self._machine.snapshot if self._machine is not None else None

    @property
    def can_pause(self) -> bool:
        """Whether the server is ours to stop and start."""
        return self._machine is not None

    def adopt(self, name: str) -> str:
        """Make the database of the snapshot a scratch database of this review. Returns its name."""
        from psycopg import sql

        snapshot = self.snapshot
        assert snapshot is not None
        database = (self._prefix + name)[:_LONGEST_NAME]
        for other in snapshot.others:
            self._execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(other)))
        if snapshot.database != database:
            renamed = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            self._execute(renamed.format(sql.Identifier(snapshot.database), sql.Identifier(database)))
        oid = self._oid_of(database)
        if oid is None:
            raise ServerError(f"The snapshot does not hold the database {snapshot.database}.")
        self._databases[database] = lambda: None
        assert self._rows is not None
        self._shared.adopted(database, oid, self._rows.known(snapshot.shared))
        return database

    def _oid_of(self, database: str) -> int | None:
        row = self._execute("SELECT oid FROM pg_catalog.pg_database WHERE datname = %s", [database]).fetchone()
        return None if row is None else int(row[0])

    def start_over(self) -> None:
        """Continue with a fresh server. All scratch databases are lost."""
        assert self._machine is not None
        self._forget_sessions()
        self._admin.close()
        self._admin, self._own_user = self._machine.afresh()
        self._own = replace(self.address, user=self._own_user)
        self._owner = self._oid_of_owner()
        self._databases.clear()
        self._rows = SharedRows(self._admin, self._owner)
        self._shared = Shared(self._rows)

    def pause(self, databases: Sequence[str], use: Callable[[Path, Sequence[Kept]], None]) -> bool:
        """Stop the server while `use` copies its data folder, once for each of `databases`, and start it again. No
        other scratch database may exist.

        Returns False, and does nothing, if what the migrations have changed is not all in that folder.

        Raises:
            ServerError: the server is lost; `start_over` provides a fresh one.
        """
        assert self._machine is not None
        assert self._rows is not None
        initial, now = self._shared.state()
        if not self._rows.is_within(now, initial) or set(self._databases) != {*map(self._ours, databases)}:
            return False
        row = self._execute("SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn())").fetchone()
        current = str(row[0]) if row else ""
        told = self._rows.told(initial)
        folders = {name: f"base/{self._oid_of(name)}" for name in databases}
        for name in databases:
            self.terminate_connections(name)
        self._admin.close()

        def copy(data: Path) -> None:
            log = tuple(_old_log(data, current))
            found = []
            for name in databases:
                others = tuple(each for each in databases if each != name)
                without = (*log, *(folders[each] for each in others))
                found.append(Kept(name, self._own_user, told, others, without))
            use(data, found)

        self._admin = self._machine.paused(self._own_user, copy)
        self._rows.reconnect(self._admin)
        return True

    def hang_up(self) -> None:
        """Close our own connections."""
        self._forget_sessions()
        self._admin.close()

    def create_database(
        self, name: str, template: str | None = None, settings: Mapping[str, str] | None = None
    ) -> str:
        """Create the database `name`, empty or as a clone of `template`, and return its name on the server.

        `settings` become its defaults for every session, in addition to `ALWAYS`. A clone gets its template's
        settings, which PostgreSQL does not copy, and its owner, privileges and limits.

        Raises:
            ServerError: the server rejects it, for example because its disk is full.
        """
        from psycopg import sql

        began = time.monotonic()
        database, gone = self._announced(name, template)
        try:
            self._execute(self._creation(database, template))
        except ServerError:
            if not self._admin.broken:  # otherwise it is unknown whether it was created
                gone()
            raise
        self._cloning = time.monotonic() - began if template is not None else self._cloning
        self._register(database, template, gone)
        if template is None:
            self._configure(database, ALWAYS | dict(settings or {}))
        elif settings:
            self._configure(database, settings)
        if template is None and self._own_user and self.major < 15:
            # later versions give it to the owner of the database
            with self.connect(database) as connection:
                connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(self._owner_name()))
        return database

    def clone_both(self, first: tuple[str, str], second: tuple[str, str]) -> tuple[str, str]:
        """Create two databases, each given by its name and its template, as `create_database` does: at the same time
        where that pays. Returns their names on the server.

        Raises:
            ServerError: the server rejects one of them.
        """
        if self._machine is None or self._cloning < _PAYS_TO_CLONE_AT_ONCE:
            return self.create_database(*first), self.create_database(*second)
        ready = [(*self._announced(*each), each[1]) for each in (first, second)]
        (one, _, template), (other, _, others_template) = ready
        with ThreadPoolExecutor(1) as pool:
            beside = pool.submit(self._execute_beside, self._creation(other, others_template))
            errors: list[BaseException | None] = [None]
            try:
                self._execute(self._creation(one, template))
            except ServerError as error:
                errors[0] = error
            errors.append(beside.exception())
        for failed, (database, gone, of) in zip(errors, ready, strict=True):
            if failed is None:
                self._register(database, of, gone)
        for failed in filter(None, errors):
            raise failed
        return one, other

    def _announced(self, name: str, template: str | None) -> tuple[str, Callable[[], None]]:
        """Get ready for the creation of a database. Returns its name, and what to call once it is gone."""
        database = (self._prefix + name)[:_LONGEST_NAME]
        if template is not None:
            self._forget_sessions(template)
            still_open = self._settle(self._ours(template), seconds=1.0)
            if still_open is not None:  # PostgreSQL itself would report this only after five more seconds
                raise ServerError(
                    f"The database {template} cannot be cloned: a session on it is still open, which last ran"
                    f" `{still_open[:200]}`."
                )
        return database, self._watch(database)

    def _register(self, database: str, template: str | None, gone: Callable[[], None]) -> None:
        self._databases[database] = gone
        self._shared.made(database, self._complete(database, template), template)

    def _execute_beside(self, statement: sql.Composed) -> None:
        """Execute a statement in a session of its own."""
        import psycopg

        with connected(self._own, "postgres", self._last_words, options=self._options) as connection:
            try:
                connection.execute(statement)
            except psycopg.Error as error:
                raise self._refused(error) from error

    @property
    def has_ordinary_owner(self) -> bool:
        """Whether the migrations run as an ordinary role that owns the databases, and can be made superuser."""
        return bool(self._own_user)

    def make_superuser(self, name: str, superuser: bool) -> None:
        """Make the role of the migrations a superuser while the database `name` and its clones are in use, or an
        ordinary role again.

        Only on a server of our own; elsewhere the role stays what it is.
        """
        from psycopg import sql

        if not self._own_user:
            return
        self.enter(name)
        word = sql.SQL("SUPERUSER" if superuser else "NOSUPERUSER")
        self._execute(sql.SQL("ALTER ROLE {} {}").format(self._owner_name(), word))

    def share_roles(self, name: str) -> None:
        """Let the role of the migrations act as every role that was created in the database `name`, as since
        PostgreSQL 16 an ordinary role can act as those that it has created.
        """
        from psycopg import sql

        if not self._own_user:
            return
        self.enter(name)
        for (role,) in self._execute(_ROLES_OF_OTHERS, [str(self._owner)]).fetchall():
            grant = sql.SQL("GRANT {} TO {} WITH ADMIN OPTION")
            self._execute(grant.format(sql.Identifier(role), self._owner_name()))

    @contextmanager
    def as_superuser(self, name: str) -> Iterator[None]:
        """Let the role of the migrations be a superuser in the database `name` within this context, and our sessions
        create objects as that role.
        """
        self.make_superuser(name, True)
        try:
            yield
        finally:
            self.make_superuser(name, False)

    def enter(self, name: str, before: Callable[[], None] = lambda: None) -> tuple[str, ...]:
        """Switch to the database `name`: server-wide objects, such as roles, are restored to the state in which it
        was left.

        `before` is called if anything has to be restored. Returns what could not be restored, one sentence each.
        """
        return self._shared.enter(self._ours(name), before)

    def drop_database(self, name: str) -> None:
        """Drop the database `name`, terminating its sessions."""
        from psycopg import sql

        self.terminate_connections(name)
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._databases.pop(name)()
        self._shared.dropped(name)

    @property
    def databases(self) -> tuple[str, ...]:
        """The existing scratch databases."""
        return tuple(self._databases)

    def drop_all(self, keep: Collection[str] = ()) -> None:
        """Drop every remaining scratch database except those in `keep`."""
        for name in list(self._databases):
            if name not in keep:
                self.drop_database(name)

    def heard(self, statements: Iterable[str]) -> None:
        """Record statements that the migrations have run. On a user's server they show which new roles belong to
        the migrations.
        """
        if self._roles is not None:
            for statement in statements:
                self._roles.heard(statement)

    @property
    def roles(self) -> frozenset[str] | None:
        """The roles that count on a server where others can create roles at any time; None if all of them count."""
        return None if self._roles is None else self._roles.names

    def drop_roles(self) -> None:
        """Drop the roles that the migrations have created on a user's server. Call it after all databases are
        dropped.
        """
        if self._roles is not None:
            self._roles.close()

    def connect(self, name: str) -> psycopg.Connection[Any]:
        """Open a connection for our own use to the database `name`, in autocommit mode. The caller closes it.

        No revision can lock us out (see `sessions`). It resolves unqualified names as the migrations do. On our own
        server it is a superuser: the role that the migrations run as if that is one now (see `as_superuser`), and
        otherwise the one that the server was created with.

        Raises:
            ServerError: the server no longer responds.
        """
        connection = connected(self._own, self._ours(name), self._last_words, options=self._options)
        self.resume(connection)
        return connection

    @contextmanager
    def look(self, name: str) -> Iterator[psycopg.Connection[Any]]:
        """A connection as `connect` opens it, for one of several looks at the same database: the session is kept for the
        next one, which saves a process of the server and all that it has read of the catalogue. It starts like a new
        one, and is a new one if a revision has ended it or changed what a new session begins with.

        Raises:
            ServerError: the server no longer responds.
        """
        idle = self._idle_session(name) or _Idle(self.connect(name), "")
        connection = idle.connection
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._forget_sessions(name, *list(self._idle)[: 1 - _MOST_IDLE])
        if connection.closed or connection.info.transaction_status:
            connection.close()
        else:
            self._idle[name] = replace(idle, defaults=idle.defaults or self._defaults())

    def _idle_session(self, name: str) -> _Idle | None:
        import psycopg

        idle = self._idle.pop(self._ours(name), None)
        if idle is None:
            return None
        if self._defaults() == idle.defaults:
            with suppress(psycopg.Error):  # a revision has ended it
                idle.connection.execute(_AS_NEW)
                self.resume(idle.connection)
                return idle
        idle.connection.close()
        return None

    def _defaults(self) -> str:
        """What a new session begins with, to be compared."""
        row = self._asked(_DEFAULTS).fetchone()
        return str(row[0]) if row else ""

    def _forget_sessions(self, *names: str) -> None:
        for name in names or tuple(self._idle):
            idle = self._idle.pop(name, None)
            if idle is not None:
                idle.connection.close()

    def resume(self, connection: psycopg.Connection[Any]) -> None:
        """Give `connection`, which `connect` has opened, the role and the search path that it would get now."""
        if not self._own_user:
            return
        values = {"user": self.address.user, "database": connection.info.dbname}
        # asked here, where the answer is prepared: a new session reads much of the catalogue for it
        row = self._asked(_ROLE_OF_THE_MIGRATIONS, values).fetchone()
        if row is not None:
            path, user, role = row
            values = {"path": path, "setting": sessions.MIGRATES_AS, "user": user, "role": role}
            connection.execute(_AS_THE_MIGRATIONS, values)

    def terminate_connections(self, name: str) -> None:
        """End every other session on the database `name`, and wait until they have ended."""
        self._forget_sessions(name)
        self._asked(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = %s"
            " AND pid <> pg_catalog.pg_backend_pid()",
            [self._ours(name)],
        )
        self._settle(name, seconds=5.0)

    def has_extension(self, name: str) -> bool:
        """Return whether `CREATE EXTENSION name` can find its files on this server."""
        found = self._execute("SELECT 1 FROM pg_catalog.pg_available_extensions WHERE name = %s", [name])
        return found.fetchone() is not None

    def ways_to_an_image(self) -> bool:
        """Return whether a container of another image could be started here."""
        return self.source == "container" or any(
            other.source == "container" and not other.problem for other in self._others()
        )

    def extension_sources(self, name: str) -> tuple[Candidate, ...]:
        """Return the other servers that could have been used and are known to have the extension `name`."""
        return tuple(
            other
            for other in self._others()
            if not other.problem and other.supported and name in (other.extensions or ())
        )

    def _oid_of_owner(self) -> int:
        if not self._own_user:
            return 0
        row = self._execute(
            "SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s", [self.address.user]
        ).fetchone()
        if row is None:
            raise ServerError(f"The server has no role {self.address.user}.")
        return int(row[0])

    def _owner_name(self) -> sql.Identifier:
        """Return the present name of the role that the migrations run as."""
        from psycopg import sql

        row = self._asked("SELECT rolname FROM pg_catalog.pg_roles WHERE oid = %s", [str(self._owner)]).fetchone()
        return sql.Identifier(str(row[0]) if row else self.address.user)

    def _ours(self, name: str) -> str:
        if name not in self._databases:
            raise ValueError(f"{name!r} is not a scratch database of this review")
        return name

    def _creation(self, database: str, template: str | None) -> sql.Composed:
        from psycopg import sql

        words: list[sql.Composable] = [sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database))]
        if template is not None:
            words.append(sql.SQL("TEMPLATE {}").format(sql.Identifier(template)))
        elif self._own_user:
            words.append(sql.SQL("OWNER {}").format(self._owner_name()))
        # Copying files forces a checkpoint, which is cheap on our own server without fsync, and two to five times
        # as fast as copying through the WAL. On a user's server it would slow down everyone.
        if self.major >= 15 and not self._prefix:
            words.append(sql.SQL("STRATEGY file_copy"))
        return sql.SQL(" ").join(words)

    def _complete(self, database: str, template: str | None) -> int:
        """Give a new database what CREATE DATABASE does not copy. Returns its oid."""
        if self._own_user and template is not None:
            row = self._asked(_LIKE_TEMPLATE, {"new": database, "template": template}).fetchone()
            assert row is not None
            return int(row[0])
        if template is not None:
            copy_by_statements(self._admin, template, database)
        oid = self._oid_of(database)
        assert oid is not None
        return oid

    def _configure(self, database: str, settings: Mapping[str, str]) -> None:
        import psycopg
        from psycopg import sql

        for parameter, value in settings.items():
            statement = sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(database), sql.Identifier(parameter), sql.Literal(value)
            )
            try:
                self._execute(statement)
            except ServerError as error:
                # Only a superuser can set `lc_messages`; on a user's server it may stay unset.
                if not isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                    raise

    def _settle(self, name: str, *, seconds: float) -> str | None:
        """Wait for sessions that are ending: PostgreSQL itself would check again only after 0.1 s.

        Returns the last query of a session that still exists at the end; None if there is none.
        """
        deadline = time.monotonic() + seconds
        while True:
            busy = self._asked(
                "SELECT query FROM pg_catalog.pg_stat_activity WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid()"
                " AND backend_type = 'client backend' LIMIT 1",
                [name],
            ).fetchone()
            if busy is None or time.monotonic() > deadline:
                return None if busy is None else str(busy[0] or "")
            time.sleep(0.002)

    def _asked(self, query: LiteralString, values: list[str] | dict[str, str] | None = None) -> psycopg.Cursor[Any]:
        """Execute what is executed again and again."""
        return self._execute(query, values, prepare=True)

    def _execute(
        self,
        statement: LiteralString | sql.Composed,
        values: list[str] | dict[str, str] | None = None,
        prepare: bool | None = None,
    ) -> psycopg.Cursor[Any]:
        import psycopg

        try:
            return self._admin.execute(statement, values, prepare=prepare)
        except psycopg.Error as error:
            if self._admin.broken:
                raise _broke(self._last_words(), error) from error
            raise self._refused(error) from error

    def _refused(self, error: psycopg.Error) -> ServerError:
        import psycopg

        way_out = MAKE_ROOM if isinstance(error, psycopg.errors.DiskFull) else ""
        return ServerError(f"PostgreSQL {self.version} refuses: {_sentence(error)}.", way_out)


def _old_log(data: Path, current: str) -> Iterator[str]:
    """Yield WAL segments, by path below `data`, that a cleanly stopped server does not need: those before the
    `current` one, and recycled ones that start some way after it.
    """
    names = sorted(each.name for each in (data / "pg_wal").iterdir() if len(each.name) == len(current) == 24)
    behind = [name for name in names if name > current]
    yield from (f"pg_wal/{name}" for name in (*(each for each in names if each < current), *behind[4:]))


_ROLE_OF_THE_MIGRATIONS: LiteralString = """
SELECT (SELECT pg_catalog.substr(c, 13) FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) c
        WHERE s.setrole = r.oid AND pg_catalog.starts_with(c, 'search_path=') AND (s.setdatabase = 0 OR s.setdatabase =
            (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = %(database)s))
        ORDER BY s.setdatabase DESC LIMIT 1), r.rolname, CASE WHEN r.rolsuper THEN r.rolname ELSE first.rolname END
FROM pg_catalog.pg_authid r JOIN pg_catalog.pg_authid first ON first.oid = 10 WHERE r.rolname = %(user)s
"""
"""The role's own search path, its name, and the role that our sessions get. The one with oid 10 is the superuser that the
server was created with, whatever its name is now.
"""

_AS_THE_MIGRATIONS: LiteralString = """
SELECT pg_catalog.set_config('search_path', pg_catalog.replace(
        coalesce(%(path)s::pg_catalog.text, pg_catalog.current_setting('search_path')), '"$user"', pg_catalog.quote_ident(%(user)s)), false),
    pg_catalog.set_config(%(setting)s, %(user)s, false), pg_catalog.set_config('role', %(role)s, false)
"""

_AS_NEW: LiteralString = """
CLOSE ALL; UNLISTEN *; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; DISCARD TEMP; DISCARD SEQUENCES;
SELECT pg_catalog.pg_advisory_unlock_all()
"""
"""What DISCARD ALL does, except that prepared statements stay."""

_DEFAULTS: LiteralString = """
SELECT pg_catalog.concat(pg_catalog.pg_conf_load_time(), pg_catalog.string_agg(s::pg_catalog.text, ' ' ORDER BY s.setdatabase, s.setrole))
FROM pg_catalog.pg_db_role_setting s
"""

_ROLES_OF_OTHERS: LiteralString = """
SELECT r.rolname FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_roles owner ON owner.oid = %s
WHERE r.oid >= 16384 AND NOT r.rolsuper AND r.oid <> owner.oid
    AND NOT pg_catalog.pg_has_role(owner.oid, r.oid, 'MEMBER') AND NOT pg_catalog.pg_has_role(r.oid, owner.oid, 'MEMBER')
"""

_LIKE_TEMPLATE: LiteralString = """
WITH old AS (
    SELECT * FROM pg_catalog.pg_database WHERE datname = %(template)s
), made AS (
    UPDATE pg_catalog.pg_database n SET datdba = old.datdba, datacl = old.datacl, datconnlimit = old.datconnlimit,
        datallowconn = old.datallowconn, datistemplate = old.datistemplate
    FROM old WHERE n.datname = %(new)s RETURNING n.oid
), disowned AS (
    DELETE FROM pg_catalog.pg_shdepend s USING made WHERE s.dbid = made.oid OR (s.dbid = 0 AND s.objid = made.oid
        AND s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass)
), owned AS (
    INSERT INTO pg_catalog.pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
    SELECT s.dbid, s.classid, made.oid, s.objsubid, s.refclassid, s.refobjid, s.deptype
    FROM pg_catalog.pg_shdepend s, old, made WHERE s.dbid = 0 AND s.objid = old.oid
        AND s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
), configured AS (
    INSERT INTO pg_catalog.pg_db_role_setting (setdatabase, setrole, setconfig)
    SELECT made.oid, s.setrole, s.setconfig FROM pg_catalog.pg_db_role_setting s, old, made WHERE s.setdatabase = old.oid
), described AS (
    INSERT INTO pg_catalog.pg_shdescription (objoid, classoid, description)
    SELECT made.oid, s.classoid, s.description FROM pg_catalog.pg_shdescription s, old, made
    WHERE s.objoid = old.oid AND s.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
), labelled AS (
    INSERT INTO pg_catalog.pg_shseclabel (objoid, classoid, provider, label)
    SELECT made.oid, s.classoid, s.provider, s.label FROM pg_catalog.pg_shseclabel s, old, made
    WHERE s.objoid = old.oid AND s.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
)
SELECT oid FROM made
"""
"""Dependencies on roles within the clone are inserted when it is entered."""


def connected(
    address: Address,
    database: str,
    last_words: Callable[[], str] = str,
    *,
    seconds: int = 15,
    options: str = "",
) -> psycopg.Connection[Any]:
    """Open a connection in autocommit mode, with the settings in `options` and none from the environment.

    Raises:
        ServerError: the server does not respond, or rejects the connection.
    """
    import psycopg

    _quieten()
    parameters: dict[str, Any] = {**address.parameters, "options": options}
    hidden = sessions.without_variables() if address.is_socket else sessions.for_a_server_of_the_users()
    try:
        with hidden:
            connection = psycopg.connect(dbname=database, autocommit=True, connect_timeout=seconds, **parameters)
    except psycopg.OperationalError as error:
        raise _broke(last_words(), error) from error
    # What psycopg has prepared by itself it forgets after a ROLLBACK, and with it what is prepared in `prepared`.
    connection.prepare_threshold = sys.maxsize
    return connection


def _quieten() -> None:
    """Keep psycopg from complaining of the transactions that it cannot end when a review is interrupted."""
    import logging

    log = logging.getLogger("psycopg")
    if log.propagate:
        log.propagate = False
        log.addHandler(logging.NullHandler())


def _broke(last_words: str, error: psycopg.Error) -> ServerError:
    return ServerError(f"The PostgreSQL server stopped responding: {last_words or _sentence(error)}")


def _sentence(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip().splitlines()[0]
