"""Base states that are kept between reviews, so that a history is replayed only once.

A kept state is used only if nothing has changed that the history is known to depend on: the server's binaries, the
interpreter and the packages installed in it, the configuration and the environment of env.py, the revisions up to
the base, and every file and folder of the project that its code had read by the end of the history. What cannot be
observed (the time, a network, randomness, files that C code reads) is not covered; `snapshot-key` adds more.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from reviewer.errors import ReviewerError, ServerError
from reviewer.postgres import snapshots
from reviewer.postgres.cache import FORMAT as CLUSTERS
from reviewer.postgres.cluster import SETTINGS
from reviewer.postgres.installation import Installation, share_folder
from reviewer.postgres.server import Kept
from reviewer.postgres.snapshots import Snapshot
from reviewer.rehearsal.code import Code, Folder
from reviewer.rehearsal.protocol import Settled

if TYPE_CHECKING:
    from reviewer.project.graph import Graph
    from reviewer.project.source import SourceRevision
    from reviewer.rehearsal.kept_rows import KeptRows
    from reviewer.rehearsal.reader import Run
    from reviewer.rehearsal.workbench import Workbench

PAYS_AFTER = 0.2
"""Seconds that the revisions of a history must take for its result to be kept at once. Stopping the server, copying
its folder and starting it again takes about as long."""
ROWS_PAY_AFTER = 0.2
"""Seconds that filling the tables must take for the state with rows to be kept as well."""
_ABOUT_ROWS = frozenset({"rows", "number", "day"})
"""What is known only of a state with rows."""
_INSTALLED = (".dist-info", ".egg-info", ".egg-link", ".pth", ".egg")
_WHAT_IT_CONSISTS_OF = ("RECORD", "direct_url.json")
"""Files of a distribution: the digests of all its files, and the commit that it was installed from."""
_END = 1 << 16


class Wanted(Struct, frozen=True):
    """The base state that a review needs, and everything that is known about it before anything runs."""

    heads: tuple[str, ...]
    revisions: Mapping[str, list[Any]]
    """Every revision up to `heads`, with the properties that identify its content."""
    key: tuple[object, ...]
    """What else has to be the same, in values that JSON can represent."""
    code: Code
    """The files that the history runs with."""
    root: Path
    """The root of the working tree. Paths in the project are relative to it."""
    apart: frozenset[str] = frozenset()
    """Files of revisions. Those up to the base are in `revisions`; the others do not matter."""
    folders: tuple[str, ...] = ()
    """Folders of revisions. Other revisions in them do not matter."""
    always: tuple[str, ...] = ()
    """Files that count even if nothing was seen to open them: the code may have checked for them."""
    declared: bool = False
    """Whether the user has declared what else the state depends on."""
    rows: int = 0
    """The number of rows that are generated for each table, and that nothing but the state determines; 0 if a state
    with rows is not wanted."""
    limit: int = snapshots.LIMIT
    sources: Mapping[str, SourceRevision] = {}
    """The same revisions, as the working tree has them."""

    @classmethod
    def of(
        cls,
        graph: Graph,
        heads: Iterable[str],
        *,
        key: tuple[object, ...],
        code: Code,
        root: Path,
        folders: Iterable[Path],
        always: Iterable[Path],
        declared: bool = False,
        rows: int = 0,
        limit: int = snapshots.LIMIT,
    ) -> Wanted:
        """Describe the state after `heads` of `graph`."""
        ids = graph.sorted(graph.with_ancestors(heads))
        return cls(
            tuple(sorted(heads)),
            {
                each: [
                    graph.revisions[each].path,
                    list(graph.revisions[each].down_revisions),
                    list(graph.dependencies[each]),
                    hashlib.sha256(graph.revisions[each].text).hexdigest(),
                ]
                for each in ids
            },
            key,
            code,
            root,
            frozenset(each.path for each in graph.revisions.values()),
            tuple(_placed(str(each), root) for each in folders),
            tuple(_placed(str(each), root) for each in always),
            declared,
            rows,
            limit,
            {each: graph.revisions[each] for each in ids},
        )


class KeptStates:
    """Finds the kept state to start from, and keeps the state that a history has produced."""

    def __init__(self, wanted: Wanted, keeps: bool = True) -> None:
        self._wanted = wanted
        self._keeps = keeps
        self._name: str | None = None
        """Name of the key; None until a server whose state can be kept is about to start."""
        self._made: Mapping[str, Any] | None = None
        """What the wanted state depends on, once it has been kept without rows, or will be kept with them."""
        self._soon = False
        """Whether the wanted state will be kept with its rows only: its history was short."""
        self.waits = False
        """Whether the wanted state will be kept once a clone of it has rows: both with one stop of the server."""
        self._told = ""
        """What is known of the rows in the state that was chosen, as text; empty if it has none."""
        self._rows: KeptRows | None = None
        """The same, once somebody has asked for it."""

    def reading(self) -> KeptStates:
        """Return the same for another server, whose state is not kept: that of the first one is."""
        return KeptStates(self._wanted, keeps=False)

    def choose(self, installation: Installation) -> Snapshot | None:
        """Return the best kept state for a server from these binaries: the exact one, or else the closest one
        before it.

        None if no kept state fits. A state with rows is chosen only if it is the exact one.
        """
        self._name, self._told, self._rows = None, "", None
        try:
            server = [_build(installation), _extensions(installation), SETTINGS]
            self._name = snapshots.name_of([*server, *self._wanted.key])
            fitting = self._fitting(self._name)
        except (OSError, ReviewerError):
            return None
        empty = [each for each in fitting if "rows" not in each.about]
        best = max(empty, key=lambda each: len(each.about["revisions"]), default=None)
        if best is not None:
            best.touch()
        for each in fitting:
            if self._has_rows(each) and self.is_exact(each):
                self._told = str(each.about["rows"])
                each.touch()
                return each
        return best

    @property
    def has_rows(self) -> bool:
        """Whether the state that was chosen has rows."""
        return bool(self._told)

    def rows(self) -> KeptRows | None:
        """Return what is known of the rows in the state that was chosen, which takes a moment for a thousand tables;
        None if none was chosen yet, it has no rows, or that cannot be read.
        """
        from reviewer.rehearsal.kept_rows import KeptRows

        if self._told and self._rows is None:
            self._rows = KeptRows.told(self._told)
        return self._rows

    def _fitting(self, name: str) -> list[Snapshot]:
        found: list[Snapshot] = []
        judged: list[tuple[dict[str, Any], bool]] = []
        for each in snapshots.found(name):
            # the same state may be kept with rows and without: what it depends on is read once
            depends = {aspect: value for aspect, value in each.about.items() if aspect not in _ABOUT_ROWS}
            fits = next((known for other, known in judged if other == depends), None)
            if fits is None:
                fits = self._fits(each)
                judged.append((depends, fits))
            found += [each] * fits
        return found

    def _has_rows(self, snapshot: Snapshot) -> bool:
        """Return whether `snapshot` holds the wanted rows. Those of another day may depend on its date."""
        from reviewer.rehearsal.kept_rows import today

        about = snapshot.about
        return self._wanted.rows > 0 and (about.get("number"), about.get("day")) == (self._wanted.rows, today())

    def is_exact(self, snapshot: Snapshot) -> bool:
        """Return whether `snapshot` is the wanted state, and not an earlier one."""
        return bool(snapshot.about["revisions"].keys() == self._wanted.revisions.keys())

    def settled(self, snapshot: Snapshot) -> tuple[Settled, ...]:
        """Return the revisions of the exact state `snapshot` that were loaded when it was made, by the same
        interpreter with the same packages, and that do nothing when they are loaded: it need not be done again.
        """
        known = (self._wanted.sources.get(each) for each in snapshot.about["inert"])
        return tuple(
            Settled(each.stamp, each.id, each.down_revisions, each.depends_on, each.branch_labels)
            for each in known
            if each is not None and each.stamp is not None and each.source_problem is None
        )

    def left(self, snapshot: Snapshot) -> int:
        """Return how many revisions lie between `snapshot` and the wanted state."""
        return len(self._wanted.revisions) - len(snapshot.about["revisions"])

    @staticmethod
    def versions(bench: Workbench) -> list[str]:
        """Return the versions and the executable of the interpreter that the command starts."""
        return [*bench.versions, bench.executable]

    def keep(self, bench: Workbench, database: str, run: Run) -> bool:
        """Keep the state in `database` if that saves time later. `run` produced it, with the code that `bench`
        runs.

        If a state with rows will be wanted too, it is `keep_rows` that keeps both.

        Returns False if the server had to be replaced by a fresh one, in which the database does not exist.
        """
        self.waits = False
        if not self._keeps or self._name is None or not bench.server.can_pause or not snapshots.writable():
            return True
        seconds = sum(each.seconds or 0.0 for each in run.passes)
        short = seconds < PAYS_AFTER
        if run.again or run.depends is None or (short and not self._wanted_again()):
            return True
        if bench.skipped or bench.unreadable:
            return True  # messages about the history have to be reported again in each review
        if run.depends.started and not self._wanted.declared:
            bench.progress(
                "not keeping the base state: the project starts other processes, and no snapshot-key says what for"
            )
            return True
        about = self._about(bench, run)
        if about is None:
            return True
        about["seconds"] = seconds
        rows_follow = self._wanted.rows > 0 and bench.plan.stage is None
        self._soon = short and rows_follow
        self.waits = not short and rows_follow
        if not rows_follow and not self._copy(bench, {database: about}):
            return False
        self._made = about
        return True

    def _wanted_again(self) -> bool:
        """Return whether another review has wanted the same state: a third one would start from it."""
        return snapshots.asked_again(snapshots.name_of([self._name, sorted(self._wanted.revisions.items())]))

    def pays(self, seconds: float) -> bool:
        """Return whether rows that took `seconds` are worth keeping, and may be kept."""
        worth = self.waits or self._soon or seconds >= ROWS_PAY_AFTER
        return self._keeps and self._wanted.rows > 0 and worth

    def keep_rows(self, bench: Workbench, database: str, rows: KeptRows, empty: str = "") -> bool:
        """Keep the wanted state in `database`, with the `rows` that were generated in it, if they depend on nothing
        but the state, their number and the date; and the same state without rows in `empty`, if that is given.

        Returns False if the server had to be replaced by a fresh one, in which the databases do not exist.
        """
        from reviewer.rehearsal.kept_rows import today

        about, snapshot = self._made, bench.server.snapshot
        if about is None and snapshot is not None and self.is_exact(snapshot):
            about = snapshot.about
        if about is None or self._name is None or not bench.server.can_pause or not snapshots.writable():
            return True
        day = today()
        states: dict[str, Mapping[str, object]] = {empty: about} if empty else {}
        same = rows.lasting and day == rows.day and bench.plan.stage is None
        if same and not bench.skipped and not bench.unreadable:
            states[database] = {**about, "number": self._wanted.rows, "day": day, "rows": rows.text()}
        if not states:
            return True
        if not self._copy(bench, states, {database}):
            return False
        for each in [*snapshots.found(self._name)]:
            if "rows" in each.about and each.about.get("day") != day and each.about["heads"] == about["heads"]:
                each.discard()
        return True

    def _copy(
        self, bench: Workbench, states: Mapping[str, Mapping[str, object]], others: Collection[str] = ()
    ) -> bool:
        """Keep the states in these databases; what is known of each is given. `others` stay too, all other databases
        are dropped. Returns False if the server was lost.
        """
        name = self._name
        assert name is not None

        def copy(data: Path, found: Sequence[Kept]) -> None:
            def one(each: Kept) -> None:
                snapshots.keep(
                    name,
                    states[each.database],
                    data,
                    bench.guardian,
                    database=each.database,
                    superuser=each.superuser,
                    shared=each.shared,
                    others=each.others,
                    without=each.without,
                )

            with ThreadPoolExecutor() as pool:
                list(pool.map(one, (each for each in found if each.database in states)))

        stay = list(dict.fromkeys([*states, *others]))
        bench.progress("keeping the base state")
        try:
            bench.drop_all_but(stay)
            bench.server.drop_all(keep=stay)
            bench.server.pause(stay, copy)
        except ServerError:
            bench.server.start_over()
            return False
        snapshots.make_room(self._wanted.limit)
        return True

    def _fits(self, snapshot: Snapshot) -> bool:
        about, wanted = snapshot.about, self._wanted
        try:
            if not about["revisions"] or not all(
                wanted.revisions.get(each) == known for each, known in about["revisions"].items()
            ):
                return False
            return bool(
                {each: _site(each) for each in about["sites"]} == about["sites"]
                and wanted.code.names(about["listed"]) == about["listed"]
                and wanted.code.names(about["searched"], modules=True) == about["searched"]
                and wanted.code.digests(about["files"]) == about["files"]
            )
        except (KeyError, TypeError, AttributeError):
            return False

    def _about(self, bench: Workbench, run: Run) -> dict[str, object] | None:
        """Return what must be unchanged for the state to be valid; None if that cannot be determined."""
        wanted, depends, root = self._wanted, run.depends, bench.plan.root
        assert depends is not None
        before = bench.server.snapshot.about if bench.server.snapshot is not None else {}

        def placed(paths: Iterable[str]) -> set[str]:
            found = {_placed(each, root) for each in paths}
            ours = (f"{bench.folder}{os.sep}", f"{bench.server.address.host}{os.sep}")
            return {each for each in found if not each.startswith(ours)}

        def of_revisions(folder: str) -> bool:
            return any(folder == each or folder.startswith(f"{each}/") for each in wanted.folders)

        files = {*placed(depends.files), *before.get("files", ()), *wanted.always} - wanted.apart
        listed, searched = (
            {each for each in {*placed(told), *before.get(name, ())} if not of_revisions(each)}
            for name, told in (("listed", depends.listed), ("searched", depends.searched))
        )
        try:
            told = {
                "files": wanted.code.digests(files),
                "listed": wanted.code.names(listed),
                "searched": wanted.code.names(searched, modules=True),
            }
        except ReviewerError:
            return None
        # the project may have changed the files meanwhile, and checked-out files can differ from what git stores
        seen = Folder(root)
        revisions = {str(path): digest for path, *_, digest in wanted.revisions.values()}
        if seen.digests(revisions) != revisions or seen.changed_since(bench.began, (*files, *revisions)):
            return None
        if told != {
            "files": seen.digests(files),
            "listed": seen.names(listed),
            "searched": seen.names(searched, modules=True),
        }:
            return None
        return {
            **told,
            "heads": list(wanted.heads),
            "project": str(wanted.root),
            "revisions": dict(wanted.revisions),
            "inert": [each for each in wanted.revisions if wanted.sources[each].only_defines],
            "sites": {each: _site(each) for each in depends.sites},
            "versions": self.versions(bench),
            "version_table": run.version_table,
            "models": run.models,
            "privileged": [[each.what, each.reason] for each in bench.privileged],
        }


def _placed(path: str, root: Path) -> str:
    """Return `path` relative to `root`, with `/`; unchanged if it is outside."""
    for place, base in ((path, str(root)), (os.path.realpath(path), os.path.realpath(root))):
        if place == base:
            return "."
        if place.startswith(base.rstrip(os.sep) + os.sep):
            return os.path.relpath(place, base).replace(os.sep, "/")
    return path


def _site(folder: str) -> str | None:
    """Return a digest of what is installed in `folder`: the names and versions of the distributions, and all their
    files.
    """
    try:
        names = sorted(each for each in os.listdir(folder) if each.endswith(_INSTALLED))  # noqa: PTH208 - names
    except OSError:
        return None
    found = hashlib.sha256()
    for name in names:
        files = [f"{name}/{each}" for each in _WHAT_IT_CONSISTS_OF] if name.endswith(".dist-info") else [name]
        found.update(os.fsencode(name))
        for each in files:
            with suppress(OSError), open(f"{folder}/{each}", "rb") as file:  # noqa: PTH123 - many
                found.update(hashlib.sha256(file.read()).digest())
    return found.hexdigest()


def _build(installation: Installation) -> list[object]:
    """Return what identifies the binaries, even if they are reinstalled in the same place; and the C library, which
    determines sort order.
    """
    version = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    binary = installation.folder.resolve() / "postgres"
    return [CLUSTERS, installation.version, str(binary), _identity(binary), version, os.geteuid()]


def _extensions(installation: Installation) -> list[object]:
    """Return what identifies the extensions that are installed with the binaries."""
    share = share_folder(installation.folder, installation.major)
    if share is None:
        return []
    with os.scandir(share / "extension") as entries:
        return [str(share), sorted([each.name, each.stat().st_size] for each in entries)]


def _identity(program: Path) -> list[object]:
    """Return the size and a digest of both ends of a file: a linker writes the build ID near the beginning."""
    with program.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        ends = file.read(_END)
        if size > _END:
            file.seek(-min(_END, size - _END), os.SEEK_END)
            ends += file.read(_END)
    return [size, hashlib.sha256(ends).hexdigest()]


def interpreter_of(command: tuple[str, ...]) -> list[object]:
    """Return what identifies the interpreter that `command` starts, so that another one under the same name is
    recognized.
    """
    found: list[object] = [list(command)]
    program = shutil.which(command[0]) if command else None
    if program is not None:
        with suppress(OSError):
            found += [os.path.realpath(program), _identity(Path(program))]
    return found
