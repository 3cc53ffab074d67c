"""The control: tests what env.py does when a revision fails.

A step that must fail runs through the project's own env.py, once with an exception, once with a statement that
PostgreSQL rejects, and once with a duplicate, which some take for a migration that another process has done. If env.py then ends without an error, it hides every failure: `alembic upgrade` reports success,
and production stays behind.

There are no false alarms: the step itself reports that it ran and failed, and an env.py that seems to swallow the
failure is tested again in a fresh process. The result that env.py reports failures is kept in the user's cache
folder, keyed by the content of every file that the failure passed through, so that it is tested once and not in
every review. The result that it swallows failures is never kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from reviewer import __version__
from reviewer.errors import ReviewerError
from reviewer.host.files import keep_newest, read_regular
from reviewer.host.guardian import Guardian
from reviewer.host.paths import relative
from reviewer.recording import Control, Location
from reviewer.rehearsal import protocol
from reviewer.rehearsal.interpreter import Answer
from reviewer.rehearsal.plan import Plan
from reviewer.rehearsal.protocol import ControlEvent
from reviewer.rehearsal.workbench import Workbench

WAYS = ("exception", "statement", "duplicate")
"""How the step fails: it raises, PostgreSQL rejects its statement, or finds that something already exists."""
PATIENCE = 20.0
"""Seconds that env.py may take to end after the step has failed. Some retry for a while."""

_FORMAT = 2
_LARGEST = 1 << 20
"""Bytes, for a file that is compared and for a cache entry."""
_MOST_ENTRIES = 200


class _Seen(Struct, frozen=True):
    """The result of one way to fail."""

    way: str
    swallowed: str = ""
    """How env.py ended without an error, in words; empty if it reported the failure."""
    location: Location | None = None
    depends: tuple[str, ...] = ()
    reason: str = ""
    """Why there is no result."""


def ask(bench: Workbench, template: str) -> Control:
    """Test what env.py does when a revision fails, in a clone of the database `template`, or return the cached
    result.

    Call this last: the project's process must not be used after it.
    """
    plan = bench.plan
    if plan.control is None:
        return Control()
    entry = _Entry.of(plan, plan.control, bench.versions)
    if entry is not None and entry.is_known():
        return Control(WAYS)
    if bench.is_late():
        return _untold(bench, "the time for the whole review ran out")
    bench.progress("testing what env.py does when a revision fails")
    try:
        database = bench.database(template)
        found = [_once(bench, database, way) for way in WAYS]
        if any(each.swallowed or each.reason for each in found):
            # a process that has already run many commands may behave differently
            bench.restart()
            found = [_once(bench, database, way) for way in WAYS]
    except ReviewerError as error:
        return _untold(bench, error.sentence)
    unknown = next((each.reason for each in found if each.reason), "")
    swallowed = [each for each in found if each.swallowed]
    if unknown and not swallowed:
        return _untold(bench, unknown)
    if not unknown and not swallowed and entry is not None:
        entry.keep({file for each in found for file in each.depends}, bench.guardian)
    return Control(
        tried=tuple(each.way for each in found if not each.reason),
        swallowed=tuple(each.way for each in swallowed),
        ended=swallowed[0].swallowed if swallowed else "",
        location=swallowed[0].location if swallowed else None,
        reason=unknown,
    )


def _untold(bench: Workbench, reason: str) -> Control:
    bench.skip("what env.py does when a revision fails", reason)
    return Control(reason=reason)


def _once(bench: Workbench, database: str, way: str) -> _Seen:
    answer = bench.ask(bench.at(database, protocol.Control(way=way)), PATIENCE)
    events = [each for each in answer.events if isinstance(each, ControlEvent) and each.way == way]
    failing = next((each for each in events if each.phase == "failing"), None)
    ended = next((each for each in events if each.phase == "ended"), None)
    if failing is None:
        return _Seen(way, reason=_why_not(answer, ended))
    location = None
    if failing.path is not None and failing.line is not None:
        location = Location(relative(Path(failing.path), bench.plan.root), failing.line)
    if answer.timed_out:
        return _Seen(way, reason=f"it did not end within {PATIENCE:g} seconds after the failure")
    how = _how_it_hides(answer, ended)
    return _Seen(way, how, location, tuple(failing.depends))


def _how_it_hides(answer: Answer, ended: ControlEvent | None) -> str:
    """Describe how the process ended if `alembic` would have exited with status 0; empty otherwise."""
    if ended is None:
        return "ends the process with exit status 0" if answer.exit_status == 0 else ""
    if ended.status is not None:
        return "calls `sys.exit` with status 0" if ended.status == 0 else ""
    return "continues to its end" if ended.error is None else ""


def _why_not(answer: Answer, ended: ControlEvent | None) -> str:
    if answer.unreadable is not None:
        return answer.unreadable
    if ended is not None and ended.error is not None:
        return f"env.py failed before it ran a revision: {ended.error.rstrip('.')}"
    if answer.timed_out:
        return f"env.py did not start running a revision within {PATIENCE:g} seconds"
    return answer.failed.message if answer.failed else "env.py did not run the step that must fail"


# -- kept between reviews -------------------------------------------------------------------------


class _Entry(Struct, frozen=True):
    """The cache entry that records that one env.py reports failures."""

    path: Path

    @classmethod
    def of(cls, plan: Plan, env: Path, versions: tuple[str, ...]) -> _Entry | None:
        """Return the entry for this env.py with this configuration and these versions; None if a file cannot be
        read.
        """
        from reviewer.postgres.cache import cache_folder

        setup = plan.setup
        files = [_digest(each) for each in (env, setup.config, setup.toml) if each is not None]
        if None in files:
            return None
        key = [
            *(
                _FORMAT,
                __version__,
                str(env),
                files,
                versions,
                plan.interpreter,
                plan.steady_environ,
                str(setup.directory),
            ),
            *(setup.section, setup.x, setup.launcher, setup.flask, setup.script_location),
        ]
        name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
        try:
            return cls(cache_folder() / "controls" / f"{name}.json")
        except OSError:
            return None

    def is_known(self) -> bool:
        """Return whether env.py has been tested, and no file that the failure passed through has changed since."""
        try:
            found = json.loads(read_regular(self.path, _LARGEST))
            depends = found["depends"]
            return (
                found["format"] == _FORMAT
                and isinstance(depends, dict)
                and all(_digest(Path(file)) == digest for file, digest in depends.items())
            )
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return False

    def keep(self, files: Iterable[str], guardian: Guardian) -> None:
        """Write the entry. Errors in writing are ignored."""
        depends = {file: _digest(Path(file)) for file in sorted(files)}
        if None in depends.values():
            return
        text = json.dumps({"format": _FORMAT, "depends": depends})
        building = self.path.with_name(f".building-{secrets.token_hex(8)}")
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            watched = guardian.folder(building)
            try:
                building.write_text(text, encoding="utf-8")
                building.replace(self.path)
                keep_newest(self.path.parent.glob("*.json"), _MOST_ENTRIES)
            finally:
                building.unlink(missing_ok=True)
                guardian.forget(watched)


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(read_regular(path, _LARGEST)).hexdigest()
    except OSError:
        return None
