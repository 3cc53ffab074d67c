"""Runs a server of our own from binaries on this machine: initialize, start, stop, remove."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from reviewer.errors import ServerError
from reviewer.host.guardian import Guardian, end_processes_on, give_back_memory
from reviewer.postgres import sessions
from reviewer.postgres.account import Account, server_account
from reviewer.postgres.cache import Entry
from reviewer.postgres.folders import run_folder
from reviewer.postgres.installation import Installation
from reviewer.postgres.request import Candidate
from reviewer.postgres.server import Address, RunningServer, connected
from reviewer.postgres.snapshots import Snapshot

if TYPE_CHECKING:
    import psycopg

USER = "postgres"
"""The role that the migrations run as, named as they expect (`GRANT … TO postgres`). initdb creates a superuser of
this name, which is renamed (see `sessions.make_owner`)."""
PORT = 5432
"""The number in the socket's name. No port is opened."""

_NAMELESS = (
    ", because initdb wants the account that runs it to have a name: give it one in /etc/passwd, for example with"
    " `useradd --uid N reviewer` in the image, or name a server with --postgres URL"
)
"""Added to the error for an account that the system does not know, as containers are often started with."""

_INITDB_SECONDS = 300.0
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0

Choose = Callable[[Installation], Snapshot | None]
"""Returns the snapshot that a server from these binaries should start from; None for a fresh server."""


def choose_none(_: Installation) -> None:
    """Choose a fresh server."""


SETTINGS = {
    "listen_addresses": "",
    # Nothing needs to survive a crash.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    # Only the migration's own backend should cause what is observed: parallel workers have their own counters.
    "autovacuum": "off",
    "jit": "off",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "max_logical_replication_workers": "0",
    # One transaction may create hundreds of tables, each with indexes, a sequence and a toast table.
    "max_locks_per_transaction": "512",
    # Every query of pg_locks scans slots for that many locks times the maximum number of processes.
    "max_connections": "32",
    "max_worker_processes": "2",
    "autovacuum_max_workers": "1",
    "shared_buffers": "32MB",
    "huge_pages": "off",
    # Files in the data folder are removed with it; a segment in /dev/shm would remain when the server is killed.
    "dynamic_shared_memory_type": "mmap",
    # The same time zone everywhere: it decides whether `timestamp` to `timestamptz` rewrites a table.
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",
}


_LEAST_BUFFERS, _MOST_BUFFERS = 32, 1024
"""Megabytes of shared buffers: what a review needs, and what takes all tables that a rehearsal at scale fills."""


def _large_buffers() -> int:
    """Megabytes of shared buffers for large tables: at most an eighth of the machine's memory, as other sessions may run.
    They take memory only once they are used.
    """
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    except (AttributeError, ValueError, OSError):
        return _LEAST_BUFFERS
    return max(_LEAST_BUFFERS, min(_MOST_BUFFERS, whole // 8))


@contextmanager
def own_server(
    candidate: Candidate,
    guardian: Guardian,
    why: Callable[[str], str],
    others: Callable[[], tuple[Candidate, ...]],
    choose: Choose = choose_none,
    *,
    large: bool = False,
) -> Iterator[RunningServer]:
    """Provide a server from the binaries of `candidate`, on a unix socket only. All traces of it are removed
    afterwards.

    With `large` it caches large tables. It starts from the snapshot that `choose` returns for its binaries, if that is complete.

    Raises:
        ServerError: it does not start, or the disk is full.
    """
    if candidate.folder is None or candidate.version is None:
        raise ValueError(f"{candidate} has no binaries")
    account = server_account()
    # The driver takes longer to load than the server takes to start, so it is loaded in parallel.
    loading = Thread(target=import_module, args=["psycopg"], daemon=True)
    loading.start()
    with ExitStack() as stack:
        folder = stack.enter_context(run_folder(account, guardian))
        cluster = _Cluster(Installation(candidate.folder, candidate.version), folder, account, guardian, large)
        try:
            cluster.prepare(choose)
            stack.callback(cluster.stop)
            admin, own_user = cluster.start()
        except OSError as error:
            raise ServerError(
                f"{candidate} cannot be started in {folder.parent}: {error.strerror or error}.",
                "Free some space, or set TMPDIR to a writable folder.",
            ) from error
        server = RunningServer(
            source=candidate.source,
            why=why,
            address=cluster.address,
            admin=admin,
            own_user=own_user,
            last_words=cluster.last_words,
            others=others,
            machine=cluster,
        )
        stack.callback(server.hang_up)
        yield server


def _without_maps(data: Path) -> None:
    """Remove the free space maps and visibility maps, a quarter of the files that each new database gets. PostgreSQL does
    without: https://www.postgresql.org/docs/current/storage-file-layout.html
    """
    for folder in (data / "global", *(data / "base").iterdir()):
        for each in folder.iterdir():
            if each.name.endswith(("_fsm", "_vm")):
                each.unlink()


_SAYS_WHY = re.compile(r"error:|FATAL:|PANIC:")
_TROUBLE = re.compile(r"^.*\b(?:FATAL|PANIC):\s+")


class _Cluster:
    """One data folder and the server on it."""

    def __init__(
        self, installation: Installation, folder: Path, account: Account, guardian: Guardian, large: bool
    ) -> None:
        self._original = installation
        self._installation = installation
        self._folder = folder
        self._data = folder / "data"
        self._log = folder / "log"
        self._account = account
        self._guardian = guardian
        self._large = large
        self._from_cache = False
        self.snapshot: Snapshot | None = None
        """The snapshot that the server has started from; None if it started from a fresh folder."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> Address:
        return Address(str(self._folder), PORT, USER)

    def prepare(self, choose: Choose) -> None:
        if not self._installation.usable_by(self._account):
            self._installation = self._copied()
        chosen = choose(self._original)
        if chosen is not None:
            if chosen.entry.unpack(self._data, self._account):
                self.snapshot = chosen
                return
            chosen.discard()
        self._prepare_fresh()

    def _prepare_fresh(self) -> None:
        entry = Entry.of(self._original)
        self._from_cache = entry.unpack(self._data, self._account)
        if not self._from_cache:
            self._initialise(entry)

    def start(self) -> tuple[psycopg.Connection[Any], str]:
        """Start the server. Returns a connection of a superuser created for the reviewer, and its name."""
        import_error = import_module("psycopg").Error
        if self.snapshot is not None:
            try:
                admin = self._start(self.snapshot.superuser)
                own_user = sessions.become_unknown(admin, None)
                sessions.forget_user(admin, self.snapshot.superuser)
            except (ServerError, import_error):
                # A kept state may be damaged in a way that its checksum does not show.
                self.snapshot.discard()
                return self.afresh()
            return admin, own_user
        try:
            admin = self._start()
        except ServerError:
            if not self._from_cache:
                raise
            self._clear()
            entry = Entry.of(self._original)
            entry.discard()
            self._initialise(entry)
            admin = self._start()
        own_user = sessions.become_unknown(admin, None)
        sessions.make_owner(admin, USER, None)
        return admin, own_user

    def afresh(self) -> tuple[psycopg.Connection[Any], str]:
        """Start again, from a fresh data folder."""
        self._clear()
        self.snapshot = None
        self._prepare_fresh()
        return self.start()

    def paused(self, user: str, use: Callable[[Path], None]) -> psycopg.Connection[Any]:
        """Shut the server down cleanly, call `use` with its data folder, and start it again. Returns a new
        connection of `user`.

        Raises:
            ServerError: it did not shut down cleanly, or does not start again.
        """
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process = process
            raise ServerError(f"PostgreSQL {self._original.version} did not stop.") from None
        if process.returncode != 0:
            raise ServerError(f"PostgreSQL {self._original.version} did not stop in good order.")
        use(self._data)
        return self._start(user)

    def _clear(self) -> None:
        self.stop()
        end_processes_on(str(self._folder))
        give_back_memory(self._data)
        shutil.rmtree(self._data, ignore_errors=True)
        self._log.unlink(missing_ok=True)

    def stop(self) -> None:
        process = self._process
        if process is None:
            return
        self._process = None
        # An immediate shutdown: nothing in it is worth a checkpoint.
        process.send_signal(signal.SIGQUIT)
        process.send_signal(signal.SIGCONT)  # a migration may have stopped it
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def last_words(self) -> str:
        """Return the last line of the server's log that reports an error, or else its last line; empty if there is
        no log.
        """
        try:
            lines = self._log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        trouble = [line for line in lines if any(word in line for word in ("FATAL:", "PANIC:", "terminated by"))]
        return (trouble or lines or [""])[-1].strip()

    def _copied(self) -> Installation:
        target = self._folder / "installation"
        target.mkdir()
        try:
            return self._original.copied_to(target, self._account)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise ServerError(
                f"PostgreSQL {self._original.version} in {self._original.folder} cannot be used by root: the account"
                " that the server must run under cannot reach it, and the files are not where a copy needs them.",
                "Make the folder readable and its parents enterable for everyone, or run as an ordinary user.",
            ) from error

    def _initialise(self, entry: Entry) -> None:
        done = None
        for locale in self._locales():
            shutil.rmtree(self._data, ignore_errors=True)
            done = self._run_initdb(locale)
            if done.returncode == 0:
                _without_maps(self._data)
                entry.keep(self._data, self._guardian)
                return
        # what the server says that initdb starts comes behind "running bootstrap script ... " and the time
        said = (
            [_TROUBLE.sub("", line) for line in done.stdout.splitlines() if _SAYS_WHY.search(line)] if done else []
        )
        reason = (
            said or (done.stdout.strip().splitlines()[-1:] if done else []) or ["it exited without a message"]
        )[0]
        raise ServerError(
            f"PostgreSQL {self._original.version} in {self._original.folder} cannot be set up: {reason}"
            + (_NAMELESS if "effective user" in reason else "")
        )

    def _locales(self) -> list[list[str]]:
        """Return options for "UTF-8, sorted by code point": the best first; the last one works everywhere."""
        built_in = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        return [*([built_in] if self._original.major >= 17 else []), ["--locale=C.UTF-8"], ["--locale=C"]]

    def _run_initdb(self, locale: list[str]) -> subprocess.CompletedProcess[str]:
        command = [str(self._installation.folder / "initdb"), "-D", str(self._data), "-U", USER, "-A", "trust"]
        command += ["-E", "UTF8", "--no-sync", "--no-instructions", "--wal-segsize=1", "-T", "english", *locale]
        try:
            return self._account.run(command, timeout=_INITDB_SECONDS, mark=str(self._folder))
        except subprocess.TimeoutExpired:
            raise ServerError(f"`{command[0]}` did not end within {_INITDB_SECONDS:.0f} s.") from None

    def _start(self, user: str = USER) -> psycopg.Connection[Any]:
        command = [str(self._installation.folder / "postgres"), "-D", str(self._data), "-p", str(PORT)]
        settings = SETTINGS | {"unix_socket_directories": str(self._folder)}
        if self._large:
            settings["shared_buffers"] = f"{_large_buffers()}MB"
        if self._original.major >= 18:
            settings["io_method"] = "sync"  # no workers to start
        if self._original.major >= 19:
            settings["wal_level"] = "replica"  # REPACK (CONCURRENTLY) requires it
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._process = process = self._account.spawn(command, log, str(self._folder))
        # The driver is loaded while the server starts.
        import_module("psycopg")
        self._await_ready(process)
        options = sessions.admin_options(self._original.major, superuser=True)
        return connected(replace(self.address, user=user), "postgres", self.last_words, options=options)

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        # What `pg_ctl -w` does, but that checks only every 0.1 s. The eighth line is the state:
        # https://www.postgresql.org/docs/current/storage-file-layout.html
        deadline = time.monotonic() + _START_SECONDS
        state = self._data / "postmaster.pid"
        while time.monotonic() < deadline:
            try:
                lines = state.read_text().splitlines()
            except FileNotFoundError:
                lines = []
            if len(lines) > 7 and lines[7].strip() == "ready":
                return
            if process.poll() is not None:
                raise ServerError(
                    f"PostgreSQL {self._original.version} in {self._original.folder} does not start: "
                    f"{self.last_words() or f'it exits with status {process.returncode}'}"
                )
            time.sleep(0.002)
        raise ServerError(f"PostgreSQL {self._original.version} was not ready within {_START_SECONDS:.0f} s.")
