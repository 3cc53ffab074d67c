"""Measures on a live server what labelled migrations do, without the product: Alembic runs them, and PostgreSQL is asked.

python benchmarks/truth.py [--postgres KIND] [--postgres-version N] [--write] [ID ...]

A migration is unsafe if one of these is measured: it fails; it works on every row of a table in use while it holds a lock
on it that blocks writes; it changes most rows of one in one transaction; a statement of the running code that worked
before fails afterwards; the downgrade fails, or does not lead back to the same schema and rows, or the second upgrade
fails. Where a case says nothing about the downgrade, that is left out. --write puts what was measured into the file; the
status is 1 where it is not what the label says.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parent.parent))

from alembic import command
from alembic.config import Config

from reviewer.host.guardian import Guardian
from reviewer.postgres import RunningServer, ServerRequest, start
from tests import cases

PRACTICE = Path(__file__).parent / "practice.json"

NO_DOWNGRADE = "not part of the case"
"""What the body of a downgrade says that nobody looks at."""

BLOCKING = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
"""Modes of table locks that block writes."""

_STATE = """
SELECT c.oid, c.oid::regclass::text, pg_relation_filenode(c.oid), pg_stat_get_xact_numscans(c.oid),
       array(SELECT i.indexrelid::bigint * 1000000 + coalesce(pg_relation_filenode(i.indexrelid)::bigint, 0)
             FROM pg_index i WHERE i.indrelid = c.oid),
       array(SELECT l.mode FROM pg_locks l WHERE l.relation = c.oid AND l.pid = pg_backend_pid() AND l.granted)
FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
"""


@dataclass
class Watch:
    """What the statements of one upgrade do to the tables that were there before."""

    tables: dict[int, int] = field(default_factory=dict)
    """Rows of each table by its oid."""
    seen: dict[int, tuple[int, int, frozenset[int]]] = field(default_factory=dict)
    locks: dict[str, set[str]] = field(default_factory=dict)
    work: dict[str, set[str]] = field(default_factory=dict)
    hazards: set[str] = field(default_factory=set)

    def begin(self, connection: psycopg.Connection[Any]) -> None:
        """Remember the tables that are there, and their rows."""
        for oid, name, *rest in connection.execute(_STATE).fetchall():
            if name != "alembic_version":
                self.tables[oid] = connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # type: ignore[index]
                self.seen[oid] = (rest[0], rest[1], frozenset(rest[2]))
        self.seen = {oid: (node, 0, indexes) for oid, (node, _, indexes) in self.seen.items()}

    def after(self, connection: psycopg.Connection[Any], sql: str, rows: int) -> None:
        """See what a statement did."""
        in_transaction = connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        for oid, name, node, scans, indexes, modes in connection.cursor().execute(_STATE).fetchall():
            if oid not in self.tables:
                continue
            held = {mode for mode in modes if mode in BLOCKING} if in_transaction else set()
            old = self.seen[oid]
            done = {
                "rewrite": node != old[0],
                # the counter goes on over transactions until the server collects it
                "scan": in_transaction and scans > (old[1] if scans >= old[1] else 0),
                "index build": bool(frozenset(indexes) - old[2]) and in_transaction and node == old[0],
            }
            self.seen[oid] = (node, scans, frozenset(indexes))
            found = {what for what, did in done.items() if did}
            if held:
                self.locks.setdefault(name, set()).update(held)
            if found:
                self.work.setdefault(name, set()).update(found)
            if held and found and self.tables[oid]:
                self.hazards.add("works on every row under a lock that blocks writes")
        most = max(self.tables.values(), default=0)
        if sql.lstrip().upper().startswith(("UPDATE", "DELETE")) and most and rows > most // 2:
            self.hazards.add("changes most rows in one transaction")


def main() -> int:
    """Measure, print, and compare with the labels."""
    arguments = _arguments()
    raw = json.loads(arguments.file.read_text(encoding="utf-8"))
    wrong = 0
    with (
        Guardian() as guardian,
        start(ServerRequest(arguments.postgres, arguments.postgres_version), guardian) as server,
    ):
        for each, case in zip(raw, cases.load(arguments.file), strict=True):
            if arguments.ids and case.id not in arguments.ids:
                continue
            each["measured"] = {"on": f"PostgreSQL {server.version}", **_measured(case, each["probes"], server)}
            unsafe = bool(each["measured"]["hazards"])
            right = unsafe == (case.verdict == "unsafe")
            wrong += not right
            print(f"{'right' if right else 'WRONG'} {case.id} {case.verdict}: {each['measured']}")
            server.drop_all()
    if arguments.write:
        arguments.file.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    print(f"{wrong} labels are not what was measured")
    return 1 if wrong else 0


def _measured(case: cases.Case, probes: list[str], server: RunningServer) -> dict[str, object]:
    database = server.create_database("truth")
    os.environ["PGDATABASE"] = database
    os.environ |= {"PGHOST": server.address.host, "PGPORT": str(server.address.port), "PGUSER": server.address.user}
    watch, found = Watch(), set[str]()
    with tempfile.TemporaryDirectory(prefix="truth-") as name:
        cases.write(case, Path(name))
        config = Config(str(Path(name) / "alembic.ini"), stdout=io.StringIO())
        os.chdir(name)
        command.upgrade(config, "base0")
        with psycopg.connect(autocommit=True) as connection:
            watch.begin(connection)
        before, worked = _state(), _working(probes)
        with _watched(watch):
            failure = _tried(lambda: command.upgrade(config, "heads"))
        if failure:
            found.add("the upgrade fails")
        elif worked - _working(probes):
            found.add("a statement of the running code fails afterwards")
        if not failure and not any(NO_DOWNGRADE in each["downgrade"] for each in case.revisions):
            found |= set(_round_trip(config, before, [each["revision"] for each in case.revisions]))
        os.chdir("/")
    return {
        "hazards": sorted(found | watch.hazards),
        "locks": {table: sorted(modes) for table, modes in sorted(watch.locks.items())},
        "work": {table: sorted(work) for table, work in sorted(watch.work.items())},
    }


def _round_trip(config: Config, before: tuple[str, Mapping[str, int]], revisions: Sequence[str]) -> Iterator[str]:
    """What is wrong with the way down and up again: of all revisions together, then of each one by itself."""
    upgraded = _state()[0]
    if _tried(lambda: command.downgrade(config, "base0")):
        yield "the downgrade fails"
        return
    after = _state()
    if after[0] != before[0]:
        yield "the downgrade leads to another schema"
    elif after[1] != before[1]:
        yield "the downgrade does not bring the rows back"
    if _tried(lambda: command.upgrade(config, "heads")):
        yield "the second upgrade fails"
    elif _state()[0] != upgraded:
        yield "the second upgrade leads to another schema"
    elif len(revisions) > 1:
        command.downgrade(config, "base0")
        for each, below in zip(revisions, ["base0", *revisions], strict=False):
            step = _state()[0]
            command.upgrade(config, each)
            if _tried(lambda below=below: command.downgrade(config, below)):  # type: ignore[misc]
                yield "the downgrade fails"
            elif _state()[0] != step:
                yield "the downgrade leads to another schema"
            if _tried(lambda each=each: command.upgrade(config, each)):  # type: ignore[misc]
                yield "the second upgrade fails"
                return


@contextlib.contextmanager
def _watched(watch: Watch) -> Iterator[None]:
    def after(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "alembic_version" not in statement:
            watch.after(connection.connection.dbapi_connection, statement, cursor.rowcount)

    sa.event.listen(sa.Engine, "after_cursor_execute", after)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", after)


def _working(probes: list[str]) -> set[str]:
    """The statements of the running code that work; none leaves anything behind."""
    found = set()
    with psycopg.connect() as connection:
        for each in probes:
            with contextlib.suppress(psycopg.Error):
                connection.execute(each)
                found.add(each)
            connection.rollback()
    return found


def _state() -> tuple[str, dict[str, int]]:
    """The schema as pg_dump writes it, and a number for the rows of each table."""
    dumped = subprocess.run(
        ["pg_dump", "--schema-only", "--exclude-table", "alembic_version"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    schema = "\n".join(
        line for line in dumped.splitlines() if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))
    )
    with psycopg.connect() as connection:
        names = [
            row[0]
            for row in connection.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
            )
        ]
        rows = {
            name: connection.execute(
                f"SELECT coalesce(sum(hashtext(x::text)::bigint), 0) FROM {name} x"
            ).fetchone()[0]  # type: ignore[index]
            for name in names
        }
    return schema, rows


def _tried(what: Any) -> str:
    """Why it failed; empty if it did not."""
    try:
        what()
    except Exception as error:  # noqa: BLE001  (whatever a migration raises is a failure of it)
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*", metavar="ID")
    parser.add_argument("--file", type=Path, default=PRACTICE)
    parser.add_argument("--postgres", default="auto")
    parser.add_argument("--postgres-version", type=int)
    parser.add_argument("--write", action="store_true", help="put it into the file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
