"""The code of the base commit: the models that are running in production while the migration runs.

Its files are checked out beside, its interpreter is the project's, and its statements are tried on the state before
the new revisions and on the one after. What it cannot do any more is evidence, where the text allows only guesses.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from msgspec import Struct, field, structs
from msgspec.structs import replace

from reviewer.errors import ReviewerError
from reviewer.host.guardian import Guardian
from reviewer.project.git import Git
from reviewer.recording import (
    Broken,
    Catalogue,
    ClientDefault,
    Disagreement,
    Mapped,
    Models,
    OldCode,
    Origin,
    Pass,
    Relationship,
)
from reviewer.rehearsal.breaks import Ledger, Tried
from reviewer.rehearsal.interpreter import Answer, RunnerProcess, Setup
from reviewer.rehearsal.protocol import (
    AnyCommand,
    Compare,
    Create,
    DiffersEvent,
    FactEvent,
    MappedEvent,
    Probe,
    Upgrade,
)
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name

PATIENCE = 30.0
"""Seconds that one command of the old code may take: models that wait for a network are left waiting."""

_MADE_UP = frozenset({"23503", "23505", "23514", "23P01", "P0001", "55P03", "57014", "40001", "40P01"})
"""SQLSTATEs that say something of the row, which the reviewer has made up, or of the moment: no evidence."""

_LOCKS_TELL = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:"
    r"alter\s+table|create\s+(?:unlogged\s+|temp(?:orary)?\s+)?table|create\s+(?:unique\s+)?index|drop\s+(?:index|table)"
    r"|insert|update|delete|select|comment|truncate|lock|set|create\s+(?:view|type|sequence|extension|schema|domain))\b",
    re.IGNORECASE | re.DOTALL,
)
"""Statements of which the locks on existing tables tell all that they change."""

_MOVES = re.compile(r"\brename\s+to\b|\bset\s+schema\b", re.IGNORECASE)

_CHECKING_OUT = threading.Lock()

Ask = Callable[[Mapping[str, object]], Answer]


class OldSource(Struct, frozen=True):
    """Where the old code is."""

    root: Path
    """The root of the repository."""
    commit: str
    early: bool = True
    """Whether it will be needed: start it while the server starts."""
    unchanged: bool = False
    """Whether the working tree holds the same code, so that nothing needs to be checked out."""
    setup: Setup | None = None
    """What the runner must know of the working tree, where the new code runs in a copy of it."""


class Unavailable(Exception):
    """The old code cannot be asked; the sentence says why."""


class OldProcess:
    """The project's interpreter with the code of the base commit, in a checkout of it where the working tree has other
    code. Starts in the background when it is made.
    """

    def __init__(
        self,
        source: OldSource,
        setup: Setup,
        interpreter: tuple[str, ...],
        environ: Mapping[str, str],
        folder: Path,
        guardian: Guardian,
        runner: Callable[..., RunnerProcess] = RunnerProcess,
    ) -> None:
        self._runner = runner
        self._source = source
        self._setup = source.setup or setup
        self._interpreter = interpreter
        self._environ = environ
        self._folder = folder
        self._guardian = guardian
        self._process: RunnerProcess | None = None
        self._closed = False
        self._used = False
        """Whether the process has run a command."""
        self._fresh_each = False
        """Whether each command needs its own process, because one command breaks the next."""
        self.unreadable: list[str] = []
        """What came from the process and cannot be believed."""
        self._pool = ThreadPoolExecutor(1)
        self._ready = self._pool.submit(self._prepare)

    def ask(self, command: AnyCommand) -> Future[Answer]:
        """Send `command` in the background. The future raises `Unavailable` where there is no answer."""
        return self._pool.submit(self._run, command)

    def close(self) -> None:
        """End the process, whatever it does. Its checkout goes away with the review's folder."""
        self._closed = True
        if self._process is not None:
            self._process.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._process is not None:
            self._process.close()

    def _prepare(self) -> None:
        if not self._source.unchanged:
            self._setup = moved(self._setup, self._source.root, checked_out(self._source, self._folder))
        self._start()

    def _start(self) -> None:
        if self._closed:
            raise Unavailable("the review has ended")
        self._process = self._runner(self._interpreter, self._setup, self._environ, self._folder, self._guardian)
        self._process.hello()
        self._used = False

    def _again(self) -> None:
        if self._process is not None:
            self._process.close()
        self._start()

    def _run(self, command: AnyCommand) -> Answer:
        try:
            self._ready.result()
            if self._used and self._fresh_each:
                self._again()
            answer, used = self._send(command)
            if answer.failed is not None and used:  # some env.py files do not survive a second run in one process
                self._again()
                answer, _ = self._send(command)
                self._fresh_each = self._fresh_each or answer.ok
        except (ReviewerError, OSError) as error:
            raise Unavailable(str(error).split("\n")[0].rstrip(".")) from None
        if not answer.ok:
            raise Unavailable(_why(answer))
        return answer

    def _send(self, command: AnyCommand) -> tuple[Answer, bool]:
        """Returns the answer, and whether the process had run a command before."""
        assert self._process is not None
        used, self._used = self._used, True
        answer = self._process.run(command, time.monotonic() + PATIENCE)
        if answer.unreadable is not None:
            self.unreadable.append(answer.unreadable)
        return answer, used


def checked_out(source: OldSource, folder: Path) -> Path:
    """The files of the commit, below `folder`; made once.

    Raises:
        ReviewerError: git does not give them.
    """
    checkout = folder / f"commit-{source.commit[:12]}"
    with _CHECKING_OUT:
        if not checkout.exists():
            building = checkout.with_suffix(".building")
            building.mkdir(exist_ok=True)
            Git(source.root).check_out(source.commit, building, folder / f"{checkout.name}.index")
            building.rename(checkout)
    return checkout


def moved(setup: Setup, root: Path, checkout: Path) -> Setup:
    """`setup` for the same project in `checkout` instead of `root`."""

    def place(path: Path | None) -> Path | None:
        if path is None:
            return None
        try:
            return checkout / path.resolve().relative_to(root.resolve())
        except ValueError:
            return path

    location = place(Path(setup.script_location)) if setup.script_location else None
    directory = place(setup.directory) or setup.directory
    return replace(
        setup,
        directory=directory if directory.is_dir() else checkout,
        config=place(setup.config),
        toml=place(setup.toml),
        script_location=str(location) if location else None,
        moved=(root, checkout),
    )


def _why(answer: Answer) -> str:
    if answer.unreadable is not None:
        return f"the events of its process cannot be trusted: {answer.unreadable}"
    if answer.timed_out:
        return f"its env.py did not end within {PATIENCE:g} seconds"
    if answer.failed is None:
        return "its env.py ended the process"
    message = answer.failed.message.rstrip(".")
    if answer.failed.kind == "import":
        return f"it fails to import: {message}"
    return f"its env.py failed: {message}"


def affected(passes: Iterable[Pass], *, new: bool = False) -> frozenset[Name] | None:
    """Tables and views that existed before and that the revisions' statements may have changed; None: any. With `new`
    those too that they have made.
    """
    found: set[Name] = set()
    for each in passes:
        for statement in each.statements:
            if statement.origin is not Origin.REVISION or statement.error is not None:
                continue
            seen = statement.observation
            if seen is None or not _LOCKS_TELL.match(statement.sql):
                return None
            if _MOVES.search(statement.sql):  # seen under its new name, and missed under the old one
                return None
            if not statement.in_transaction and "concurrently" not in statement.sql.lower():
                return None
            relations = [lock.relation for lock in seen.locks if lock.mode >= LockMode.ROW_EXCLUSIVE]
            found |= {
                r.as_name
                for r in (*relations, *seen.rewritten)
                if (new or not r.new) and not r.kind.endswith("index")
            }
    return frozenset(found)


def concerns(broken: Iterable[Broken], tables: frozenset[Name] | None) -> bool:
    """Whether something of `broken` may have changed with what a revision has touched; None: any."""
    if tables is None:
        return True
    return any(each.table.matches(name) for each in broken for name in tables)


def read_tried(answer: Answer) -> Tried:
    """What the statements did."""
    mapped: list[Mapped] = []
    broken: list[Broken] = []
    beneath: list[Broken] = []
    allowed: list[Broken] = []
    for event in answer.events:
        if not isinstance(event, MappedEvent):
            continue
        table = Name(event.table, event.schema or "public")
        mapped.append(Mapped(table, event.model, tuple(event.columns), tuple(event.tried), event.untried))
        for each in event.broken:
            where = beneath if each.beneath else broken
            ours = each.sqlstate == "23502" and each.column in event.columns and each.column not in event.omitted
            if ours or each.sqlstate == "23514":
                # the NULL was ours: the code may always write a value. Where the models do not ask for one, it may not
                if not each.least or each.beneath:
                    continue
                where = allowed
            elif each.sqlstate in _MADE_UP or (each.sqlstate or "")[:2] in {"53", "58", "08"}:
                continue
            if (each.sqlstate or "")[:2] == "22" and each.sqlstate != "22P02":
                continue
            where.append(
                Broken(
                    table,
                    event.model,
                    tuple(each.statements),
                    each.sql,
                    each.error,
                    each.sqlstate,
                    each.column,
                )
            )
    return Tried(tuple(mapped), tuple(broken), tuple(beneath), tuple(allowed))


def read_disagreements(answer: Answer) -> dict[str, Disagreement]:
    """What autogenerate would write, by its text."""
    found = {}
    for event in answer.events:
        if isinstance(event, DiffersEvent):
            table = Name(event.table, event.schema or "public") if event.table else None
            found[event.code] = Disagreement(event.code, event.kind, table, event.column, event.name)
    return found


def was_there(each: Disagreement, base: Catalogue) -> bool:
    """Whether autogenerate would drop what existed before the new revisions: other programs have tables too, and
    what the models do not use any more is best dropped a release later.
    """
    table = base.table(each.table) if each.table is not None else None
    if table is None or not each.kind.startswith("Drop"):
        return False
    if each.name is not None:
        return each.name in {*(i.name for i in table.indexes), *(c.name for c in table.constraints)}
    return each.column is None or table.column(each.column) is not None


def read_facts(answer: Answer, base: Catalogue) -> Models:
    """What the models say of tables and columns that are not in the base state."""
    defaults, relationships = [], []
    for event in answer.events:
        if not isinstance(event, FactEvent):
            continue
        table = Name(event.table, event.schema or "public")
        known = base.table(table)
        if known is not None and known.column(event.column) is not None:
            continue
        if event.kind == "default":
            defaults.append(ClientDefault(table, event.column, event.model, event.detail))
        else:
            relationships.append(
                Relationship(
                    event.model,
                    event.attribute,
                    table,
                    event.column,
                    event.cascades,
                    event.passive_deletes,
                    event.ondelete.upper(),
                    event.nullable,
                )
            )
    return Models(tuple(defaults), tuple(relationships))


class Running(Struct):
    """The old code's process, for several rehearsals in a row."""

    process: OldProcess | None = None
    ledger: Ledger = field(default_factory=Ledger)
    """What it cannot do any more."""
    refusals: Ledger = field(default_factory=Ledger)
    """What its models allow and the schema refuses."""
    before: str = ""
    """The database with the state before the first of several rehearsals; empty where there is one."""
    whole: bool = True
    """Whether every revision so far has been tried."""
    failed: str = ""
    """Why it cannot be asked any more."""
    modelless: bool | None = None
    """Whether its env.py names no models; None until it has answered."""

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.close()


class _Asked(Struct, frozen=True):
    revision: str | None
    """None: after all of them."""
    command: Probe
    answer: Future[Answer]


class Trial:
    """The old code beside one rehearsal: start it, let it try while the rehearsal continues, and return the result."""

    def __init__(
        self, source: OldSource | None, start: Callable[[OldSource], OldProcess], reason: str, running: Running
    ) -> None:
        self._source = source
        self._make = start
        self._shared = running
        self._asked: list[_Asked] = []
        self._upgraded: dict[str, Disagreement] = {}
        self._models = Models()
        self._commit = source.commit if source else ""
        self.stale: tuple[Name, ...] = ()
        """Tables of which a statement that was prepared before the upgrade does not run after it."""
        self.reason = reason
        self._mapped: dict[Name, Mapped] = {}
        self._broken: list[Broken] = []
        self._allowed: list[Broken] = []
        self._tried = False
        if source is not None and source.early:
            self._running()
        self._known_unreadable = len(running.process.unreadable) if running.process is not None else 0

    @property
    def unreadable(self) -> tuple[str, ...]:
        """What came from its process and cannot be believed: the review is not complete."""
        process = self._shared.process
        return tuple(process.unreadable[self._known_unreadable :]) if process is not None else ()

    @property
    def wanted(self) -> bool:
        """Whether there is old code at all."""
        return self._source is not None

    def create(self, command: Create) -> None:
        """Make the tables of the old models. Raises `Unavailable`."""
        self._running().ask(command).result()

    def upgrade(self, command: Upgrade) -> None:
        """Run the history with the old code. Raises `Unavailable`, also where it does not run."""
        self._running().ask(command).result()

    def compared(self, answer: Answer, base: Catalogue) -> None:
        """Take in what the models at head say, and what autogenerate would write for the upgraded state."""
        found = read_disagreements(answer)
        self._upgraded = {code: each for code, each in found.items() if not was_there(each, base)}
        self._models = replace(read_facts(answer, base), compared=True)

    def begin(self, revision: str | None, command: Probe, tables: Iterable[Name] | None) -> None:
        """Try the old code's statements in the background, on the state after `revision`; None: after all."""
        only = None if tables is None else tuple(sorted((n.schema or "public", n.name) for n in tables))
        probe = structs.replace(command, tables=only)
        self._asked.append(_Asked(revision, probe, self._running().ask(probe)))

    @property
    def databases(self) -> frozenset[str]:
        """Those that it still uses."""
        return frozenset(
            name
            for each in self._asked
            if not each.answer.done()
            for name in (each.command.database, each.command.head)
        )

    def finish(self) -> None:
        """Wait until what was begun has ended, however it ends."""
        wait([each.answer for each in self._asked])

    def go_on(self, other: Trial) -> None:
        """Continue with what was begun in `other`, on states after those here."""
        self._asked += other._asked

    def take_in(self) -> None:
        """Take in what was tried, in the order in which it was begun. Raises `Unavailable` where something that was
        begun could not be tried; what came before it is taken in.
        """
        asked, self._asked = self._asked, []
        for each in asked:
            try:
                tried = read_tried(each.answer.result())
            except Unavailable as error:
                self._shared.failed = self.reason = str(error)
                raise
            self._tried = True
            for one in tried.mapped:
                known = self._mapped.get(one.table, one)
                kinds = tuple(sorted({*known.tried, *one.tried}))
                self._mapped[one.table] = replace(one, tried=kinds, untried=known.untried or one.untried)
            new, again = self._shared.ledger.after(each.revision, tried)
            self._broken = [replace(one, until=again.get(one, one.until)) for one in self._broken] + [*new]
            new, again = self._shared.refusals.after(each.revision, Tried(tried.mapped, tried.allowed))
            self._allowed = [replace(one, until=again.get(one, one.until)) for one in self._allowed] + [*new]

    @property
    def untried(self) -> tuple[Mapped, ...]:
        """The tables on which something could not be tried."""
        return tuple(each for each in self._mapped.values() if each.untried)

    @property
    def failed(self) -> str:
        """Why it cannot be asked any more; empty while it can."""
        return self._shared.failed

    def result(self, counts: Callable[[Broken], bool]) -> OldCode:
        """What came of it. `counts` says whether what breaks only for some revisions is ever seen by running code."""
        if not self._mapped:
            asked = self._tried or self._shared.modelless
            nothing = "its env.py names no models as target_metadata" if asked else _NO_STATE
            return OldCode(self._commit, reason=self.reason or nothing)
        return OldCode(
            self._commit,
            tuple(self._mapped.values()),
            tuple(each for each in self._broken if each.until is None or counts(each)),
            tuple(name for name in self.stale if name in self._mapped),
            allowed=tuple(each for each in self._allowed if each.until is None or counts(each)),
        )

    def runs_as(self, names_models: bool) -> None:
        """Take in whether env.py names models in the working tree: the old one does too where it is the same code."""
        if self._source is not None and self._source.unchanged and not names_models:
            self._shared.modelless = True

    @property
    def names_no_models(self) -> bool:
        """Whether an answer has come that tells of no model, so that there is nothing to try on any state."""
        if self._shared.modelless is None:
            known = next((each.answer for each in self._asked if each.answer.done()), None)
            if known is not None and not known.cancelled() and known.exception() is None:
                self._shared.modelless = not any(isinstance(event, MappedEvent) for event in known.result().events)
        return self._shared.modelless or False

    def models(self, base: Callable[[], Compare]) -> Models:
        """What the models at head say, less what autogenerate would have written before: `base` makes the command
        that asks. Raises `Unavailable`.
        """
        if not self._upgraded or self._source is None:
            return self._models
        before = read_disagreements(self._running().ask(base()).result())
        new = [each for code, each in self._upgraded.items() if code not in before]
        return replace(self._models, disagreements=tuple(new))

    def _running(self) -> OldProcess:
        assert self._source is not None
        if self._shared.process is None:
            self._shared.process = self._make(self._source)
        return self._shared.process


_NO_STATE = "there is no upgraded state to test it on"
