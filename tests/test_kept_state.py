"""The base state that is kept between reviews: when it is used, and that it never is where something has changed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec import Struct
from msgspec.structs import replace

from reviewer import early, planning, rows, session
from reviewer.cli import main
from reviewer.config import Config, load
from reviewer.errors import ServerError
from reviewer.github import review_step
from reviewer.host.guardian import Guardian
from reviewer.postgres import snapshots
from reviewer.postgres.installation import Installation
from reviewer.project.discovery import find_interpreter
from reviewer.recording import BaseOrigin, Outcome, Recording
from reviewer.rehearsal import kept_rows, kept_state
from reviewer.rehearsal.kept_rows import KeptRows
from reviewer.rehearsal.kept_state import KeptStates
from reviewer.rehearsal.workbench import Workbench
from reviewer.release_session import release_project
from reviewer.report import kept as kept_page
from reviewer.report import render
from reviewer.review.verdict import Report
from tests.command import ENV, INI, URL, lend_archives, revision
from tests.repository import git, write

pytestmark = [pytest.mark.server, pytest.mark.processes, pytest.mark.usefixtures("lent")]

ACCOUNTS = """
import os
import pathlib
import helper
for name in sorted(os.listdir("statements")):
    with open(os.path.join("statements", name)) as file:
        op.execute(file.read())
op.create_table(helper.TABLE, sa.Column("id", sa.Integer(), primary_key=True))
if os.path.exists("extra.sql") or pathlib.Path("extra/more.sql").is_file():
    raise RuntimeError("nobody opens it")
"""

PROJECT = {
    "alembic.ini": INI.format(url=URL) + "prepend_sys_path = .\n",
    "migrations/env.py": "try:\n    open('absent.ini')\nexcept OSError:\n    pass\n" + ENV,
    "migrations/versions/a.py": revision("a", None, ACCOUNTS),
    "migrations/versions/b.py": revision("b", "a", 'op.add_column("items", sa.Column("name", sa.Text()))'),
    "helper.py": "from more import names\n\nTABLE = names.TABLE\n",
    "more/__init__.py": "",
    "more/names.py": 'TABLE = "items"\n',
    "statements/1.sql": "CREATE TABLE people (id int PRIMARY KEY)",
    ".gitignore": "__pycache__/\n",
}
NEW = {"migrations/versions/c.py": revision("c", "b", 'op.add_column("items", sa.Column("size", sa.Integer()))')}


class Project(Struct):
    """A repository whose `main` has a history of two revisions that read files of the project, and a branch."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Project:
        write(folder, PROJECT)
        git(folder, "init", "-qb", "main")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "base")
        git(folder, "checkout", "-qb", "branch")
        write(folder, NEW)
        return cls(folder)

    def config(self, **flags: Any) -> Config:
        given = {
            "path": self.folder,
            "base": "main",
            "python": sys.executable,
            "no_old_code": True,
            "no_rows": True,
        }
        return load({**given, **flags}, self.folder)

    def review(self, **flags: Any) -> Reviewed:
        return Reviewed(session.review_project(self.config(**flags), os.environ))

    def kept(self, **flags: Any) -> KeptStates:
        """What a review with these flags would look for."""
        config = self.config(**flags)
        (tree,) = early.trees(config)
        scope = session.scope(config, tree, os.environ)
        interpreter = find_interpreter(config.path, config.python, os.environ)
        plan = planning.plan_for(config, scope, interpreter, os.environ)
        found = planning.kept_states(config, scope, plan, os.environ)
        assert found is not None
        return found

    def history(self, **revisions: str) -> None:
        """Let these upgrades be what the revisions on `main` do."""
        downs = {"a": None, "b": "a", "c": "b"}
        write(
            self.folder,
            {f"migrations/versions/{each}.py": revision(each, downs[each], up) for each, up in revisions.items()},
        )
        git(self.folder, "add", "migrations")
        git(self.folder, "reset", "-q", "migrations/versions/c.py")
        git(self.folder, "commit", "-qm", "another history")
        git(self.folder, "branch", "-f", "main")


class Reviewed(Struct):
    report: Report

    @property
    def recording(self) -> Recording:
        return self.report.trees[0].recording

    @property
    def origin(self) -> BaseOrigin:
        return self.recording.base_origin

    @property
    def what_counts(self) -> object:
        """Everything that must not depend on where the base state came from."""
        recording = self.recording
        passes = [(p.revision, p.direction, p.rehearsal, p.outcome, len(p.statements)) for p in recording.passes]
        return recording.base, passes, recording.skipped, recording.errors, self.report.findings


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    folder.chmod(0o700)
    lend_archives(folder)
    monkeypatch.setenv("ALEMBIC_REVIEWER_CACHE", str(folder))
    monkeypatch.setattr(kept_state, "PAYS_AFTER", 0.0)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.at(tmp_path / "project")


def damage_about(snapshot: snapshots.Snapshot, **changed: object) -> None:
    """Write the file about a snapshot anew, as if another version of what is in it had been kept."""
    known = {
        "database": snapshot.database,
        "superuser": snapshot.superuser,
        "shared": snapshot.shared,
        "about": {**snapshot.about, **changed},
    }
    text = json.dumps(known).encode()
    snapshot.path.write_bytes(sha256(text).hexdigest().encode() + b"\n" + text)


def test_the_second_review_starts_from_the_kept_state_and_says_the_same(project: Project) -> None:
    first = project.review()
    second = project.review()
    third = project.review(no_snapshot=True)

    assert (first.origin.kind, second.origin.kind, third.origin.kind) == ("history", "snapshot", "history")
    assert (second.origin.revisions, second.origin.replayed) == (2, 0)
    assert first.what_counts == second.what_counts == third.what_counts
    assert "base state from a snapshot of 2 revisions" in render("text", second.report, dict)
    (kept,) = snapshots.found()
    # what is in the server belongs to the history alone: no superuser of ours, and no further database
    assert kept.superuser.startswith("reviewer_")


def test_only_what_does_nothing_when_it_is_loaded_counts_as_loaded(project: Project) -> None:
    file = project.folder / "migrations/versions/a.py"
    file.write_text(f"import helper\n{file.read_text()}")
    git(project.folder, "add", file.relative_to(project.folder).as_posix())
    git(project.folder, "commit", "-qm", "imports from the project")
    git(project.folder, "branch", "-f", "main")
    project.review()
    (kept,) = snapshots.found()

    assert [each.revision for each in project.kept().settled(kept)] == ["b"]


def test_a_release_starts_from_the_state_that_a_review_has_kept(project: Project) -> None:
    first = project.review()

    made = release_project(project.config(base=None), "b", "head", os.environ)

    second = Reviewed(made.report)
    assert (first.origin.kind, second.origin.kind) == ("history", "snapshot")
    assert second.recording.base == first.recording.base
    assert [each.outcome for each in second.recording.passes] == [each.outcome for each in first.recording.passes]


def test_roles_of_the_history_are_there_again_and_nothing_of_the_new_revisions(project: Project) -> None:
    roles = 'op.execute("CREATE ROLE keeper")\nop.execute("ALTER ROLE keeper SET work_mem = \'5MB\'")\nop.execute("GRANT SELECT ON items TO keeper")'
    write(project.folder, {"migrations/versions/b.py": revision("b", "a", roles)})
    git(project.folder, "commit", "-qam", "roles")
    git(project.folder, "branch", "-f", "main")
    needs = 'op.execute("ALTER ROLE keeper NOLOGIN")\nop.execute("CREATE ROLE another")'
    back = 'op.execute("DROP ROLE another")\nop.execute("ALTER ROLE keeper LOGIN")'
    write(project.folder, {"migrations/versions/c.py": revision("c", "b", needs, back)})

    first, second = project.review(), project.review()

    assert second.origin.kind == "snapshot"
    assert first.what_counts == second.what_counts
    assert all(each.outcome is Outcome.OK for each in second.recording.passes)


def test_what_a_data_folder_does_not_hold_is_not_kept(project: Project) -> None:
    system = "with op.get_context().autocommit_block():\n    op.execute(\"ALTER SYSTEM SET work_mem = '7MB'\")"
    write(project.folder, {"migrations/versions/b.py": revision("b", "a", system)})
    git(project.folder, "commit", "-qam", "a setting of the server")
    git(project.folder, "branch", "-f", "main")

    assert project.review().origin.kind == "history"
    assert list(snapshots.found()) == []


def test_the_nearest_earlier_state_is_gone_on_from(project: Project) -> None:
    project.review()
    git(project.folder, "add", ".")
    git(project.folder, "commit", "-qm", "c is on main now")
    git(project.folder, "branch", "-f", "main")
    later = {"migrations/versions/d.py": revision("d", "c", 'op.add_column("items", sa.Column("e", sa.Text()))')}
    write(project.folder, later)

    found, again = project.review(), project.review()

    assert (found.origin.kind, found.origin.revisions, found.origin.replayed) == ("earlier snapshot", 3, 1)
    assert "a snapshot of 2 revisions and 1 replayed" in render("markdown", found.report, dict)
    assert again.origin.kind == "snapshot"
    assert found.what_counts == again.what_counts == project.review(no_snapshot=True).what_counts


def test_a_rest_that_does_not_run_from_an_earlier_state_is_run_with_the_whole_history(project: Project) -> None:
    marks = 'op.b_has_run = True\nop.add_column("items", sa.Column("name", sa.Text()))'
    write(project.folder, {"migrations/versions/b.py": revision("b", "a", marks)})
    git(project.folder, "commit", "-qam", "b leaves something in the process")
    git(project.folder, "branch", "-f", "main")
    project.review()
    needs = 'if not getattr(op, "b_has_run", False):\n    raise RuntimeError("only in one process with b")'
    write(project.folder, {"migrations/versions/c.py": revision("c", "b", needs)})
    git(project.folder, "add", ".")
    git(project.folder, "commit", "-qm", "c is on main now")
    git(project.folder, "branch", "-f", "main")
    write(project.folder, {"migrations/versions/d.py": revision("d", "c", 'op.drop_column("items", "name")')})

    found = project.review()

    assert (found.origin.kind, found.origin.replayed) == ("history", 3)
    assert found.recording.errors == ()
    assert project.review().origin.kind == "snapshot"


# -- rows -----------------------------------------------------------------------------------------

ROWS = """
op.execute("CREATE TABLE log (id serial PRIMARY KEY, item int)")
op.execute("CREATE TABLE items (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text, due date CHECK (due > current_date))")
op.execute("CREATE TABLE nothing (id int NOT NULL CHECK (id <> id))")
op.execute("CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " INSERT INTO public.log (item) VALUES (new.id); RETURN new; END $$")
op.execute("CREATE TRIGGER logged BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION logged()")
"""


@pytest.fixture
def filled(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows the reviewer asked for, each time that it filled the tables of a base state; rows are always kept."""
    monkeypatch.setattr(kept_state, "ROWS_PAY_AFTER", 0.0)
    project.history(a=ROWS, b='op.execute("CREATE ROLE reader_of_rows; GRANT SELECT ON items TO reader_of_rows")')
    up = "op.execute(\"UPDATE items SET name = 'new' WHERE name = 'wanted'\")"
    write(project.folder, {"migrations/versions/c.py": revision("c", "b", up)})
    asked: list[int] = []
    fill = rows.fill

    def counting(connection: Any, catalogue: Any, number: int, *others: Any, **named: Any) -> rows.Filled:
        if not named:  # otherwise it is not the base state
            asked.append(number)
        return fill(connection, catalogue, number, *others, **named)

    monkeypatch.setattr(rows, "fill", counting)
    return asked


def test_rows_that_took_long_are_kept_with_the_state_and_the_review_says_the_same(
    project: Project, filled: list[int]
) -> None:
    first = project.review(no_rows=False)
    second = project.review(no_rows=False)
    third = project.review(no_rows=False, no_snapshot=True)

    assert filled == [100, 100]  # not the second time
    assert (first.origin.kind, second.origin.kind, third.origin.kind) == ("history", "snapshot", "history")
    assert first.what_counts == second.what_counts == third.what_counts
    assert {str(each.name): each.rows for each in second.recording.base.tables} == {
        "items": 100,
        "log": 100,
        "nothing": 0,
        "alembic_version": 1,
    }
    assert [each.what for each in second.recording.skipped if "nothing" in each.what] == ["rows of table nothing"]
    # one of the rows is such as the revision looks for, each time
    updates = [
        [s.rows for s in each.recording.passes[0].statements if s.sql.startswith("UPDATE items")]
        for each in (first, second, third)
    ]
    assert updates == [[1], [1], [1]]
    with_rows, without = sorted(snapshots.found(), key=lambda each: "rows" not in each.about)
    assert "rows" in with_rows.about
    assert "rows" not in without.about
    assert "with rows" in kept_page.render(snapshots.folder(), [with_rows])


@pytest.mark.parametrize("no_rows", [True, False])
def test_a_short_history_is_kept_when_it_is_wanted_again_and_once(
    no_rows: bool, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_state, "PAYS_AFTER", 1e9)
    reviews = [project.review(no_rows=no_rows) for _ in range(4)]

    assert [each.origin.kind for each in reviews] == ["history", "history", "snapshot", "snapshot"]
    assert all(each.what_counts == reviews[0].what_counts for each in reviews)
    (kept,) = snapshots.found()
    assert ("rows" in kept.about) is not no_rows
    project.history(b='op.add_column("items", sa.Column("title", sa.Text()))')
    assert [project.review(no_rows=no_rows).origin.kind for _ in range(3)] == ["history", "history", "snapshot"]

    snapshots.clear()
    assert list(snapshots.folder().iterdir()) == []


def test_rows_of_another_number_or_another_day_are_not_used(
    project: Project, filled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.review(no_rows=False)
    fewer = project.review(no_rows=False, rows=7)
    none = project.review()
    assert filled == [100, 7, 0]
    assert (fewer.origin.kind, none.origin.kind) == ("snapshot", "snapshot")
    assert [
        max(t.rows for t in each.recording.base.tables if t.name.name == "items") for each in (fewer, none)
    ] == [7, 0]

    monkeypatch.setattr(kept_rows, "today", lambda: "2001-01-01")
    before = {each.path for each in snapshots.found() if "rows" in each.about}
    project.review(no_rows=False)
    assert filled == [100, 7, 0, 100]
    (after,) = {each.path for each in snapshots.found() if "rows" in each.about}
    assert after not in before  # they can never be used again


def test_rows_that_something_else_decides_are_not_kept(
    project: Project, filled: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert filled == []
    write(tmp_path, {"seed.sql": "INSERT INTO items (name) VALUES ('wanted');"})
    seeded = project.review(no_rows=False, seed=tmp_path / "seed.sql")
    assert seeded.origin.kind == "history"
    monkeypatch.setattr(rows, "_PATIENCE", "100ms")  # as long as counting rows may take on a busy machine
    slow = ROWS.replace("BEGIN", "BEGIN PERFORM pg_catalog.pg_sleep(0.3);")
    project.history(a=slow)
    project.review(no_rows=False)
    assert [each for each in snapshots.found() if "rows" in each.about] == []


def test_the_rest_of_a_history_does_not_meet_kept_rows(project: Project, filled: list[int]) -> None:
    project.review(no_rows=False)
    git(project.folder, "add", ".")
    git(project.folder, "commit", "-qm", "c is on main now")
    git(project.folder, "branch", "-f", "main")
    later = 'op.execute("DO $$ BEGIN ASSERT (SELECT count(*) FROM items) = 100; END $$")'
    write(project.folder, {"migrations/versions/d.py": revision("d", "c", later)})

    found = project.review(no_rows=False)

    assert (found.origin.kind, found.origin.replayed) == ("earlier snapshot", 1)
    assert found.recording.errors == ()
    assert filled == [100, 100]
    alone = project.review(no_rows=False, each=True)  # the states between revisions have no rows
    assert alone.origin.kind == "snapshot"
    assert filled == [100, 100, 100]


def test_a_server_that_does_not_come_back_with_rows_is_replaced(
    project: Project, filled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = KeptStates.keep_rows
    lost: list[bool] = []

    def losing(self: KeptStates, bench: Workbench, database: str, found: KeptRows, empty: str) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(bench.server._machine, "paused", _refuse)
            lost.append(original(self, bench, database, found, empty))
        return lost[-1]

    monkeypatch.setattr(KeptStates, "keep_rows", losing)
    found = project.review(no_rows=False)
    assert (lost, filled) == ([False], [100, 100])
    assert found.recording.errors == ()
    assert found.what_counts == project.review(no_rows=False, no_snapshot=True).what_counts


def _refuse(*_: object) -> None:
    raise ServerError("it does not start")


# -- what the key holds ---------------------------------------------------------------------------


@pytest.fixture
def seen(project: Project, tmp_path: Path) -> tuple[Project, dict[str, Any], Installation]:
    """A project with a kept state, the flags with which it was kept, and the server's binaries."""
    site = tmp_path / "more" / "site-packages"
    write(site, {"thing-1.0.dist-info/RECORD": "thing.py,sha256=1,7\n", "thing.pth": "/somewhere\n"})
    binaries: list[Installation] = []
    write(tmp_path, {"schema.sql": "CREATE TABLE old (id int);\n", "declared.txt": "one"})
    write(
        project.folder,
        {
            "alembic-reviewer.toml": f'snapshot-key = ["file:{tmp_path}/declared.txt"]\n',
            "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        },
    )
    (project.folder / "python").chmod(0o755)
    flags = {
        "base": None,
        "revisions": "b:head",  # so that it is the working tree whose files count
        "env": (f"PYTHONPATH={site}", "MODE=plain"),
        "x": ("tenant=one",),
        "base_schema": tmp_path / "schema.sql",
        "python": str(project.folder / "python"),
    }
    original = KeptStates.choose

    def choose(self: KeptStates, installation: Installation) -> snapshots.Snapshot | None:
        binaries.append(installation)
        return original(self, installation)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptStates, "choose", choose)
        assert project.review(**flags).origin.kind == "history"
    return project, flags, binaries[-1]


def changes(project: Project, flags: dict[str, Any], about: dict[str, Any]) -> Iterator[tuple[str, Change]]:
    """Everything that the key holds, one by one, each as something that changes it."""
    folder = project.folder
    for name, digest in about["files"].items():
        if not (folder / name).is_relative_to(folder.parent) or (folder / name).is_dir():
            continue  # the system's, and folders that were only asked for
        yield f"file {name}", Written(folder / name, None if digest is None else "\n# more\n")
        if digest is not None:
            yield f"no file {name}", Moved(folder / name)
    for name in about["listed"]:
        yield f"a file more in {name}", Written(folder / name / "zzz.sql", None)
    for name in about["searched"]:
        yield f"a module more in {name}", Written(folder / name / "zzz.py", None)
    for name in about["sites"]:
        if name in flags["env"][0]:
            yield f"another version in {name}", Moved(Path(name) / "thing-1.0.dist-info")
            yield f"another build in {name}", Written(Path(name) / "thing-1.0.dist-info/RECORD", "x")
            yield f"another place in {name}", Written(Path(name) / "thing.pth", "x")
    for path, *_ in about["revisions"].values():
        yield f"revision {path}", Written(folder / path, "\nx = 1\n")
    yield "the interpreter", Written(folder / "python", "\n")
    yield "what was declared", Written(folder.parent / "declared.txt", "two")
    yield "a variable", Flag("env", (*flags["env"], "MODE=other"))
    yield "one variable more", Flag("env", (*flags["env"], "MORE=1"))
    yield "an argument", Flag("x", ("tenant=two",))
    yield "no base schema", Flag("base_schema", None)
    yield "the base schema", Written(folder.parent / "schema.sql", "\nCREATE TABLE newer (id int);\n")
    yield "section", Flag("section", "other")
    yield "launcher", Flag("launcher", "helper:start")


class Change:
    """Something that changes, and changes back."""

    def apply(self, flags: dict[str, Any]) -> dict[str, Any]:
        return flags

    def undo(self) -> None: ...


class Written(Change, Struct):
    path: Path
    more: str | None

    def apply(self, flags: dict[str, Any]) -> dict[str, Any]:
        self.before = self.path.read_bytes() if self.more is not None else None
        self.made = not self.path.parent.exists()
        self.path.parent.mkdir(exist_ok=True)
        with self.path.open("a") as file:
            file.write(self.more or "")
        return flags

    def undo(self) -> None:
        if self.before is None:
            self.path.unlink()
            if self.made:
                self.path.parent.rmdir()
        else:
            status = self.path.stat()
            self.path.write_bytes(self.before)
            os.utime(self.path, ns=(status.st_atime_ns, status.st_mtime_ns))


class Moved(Change, Struct):
    path: Path

    def apply(self, flags: dict[str, Any]) -> dict[str, Any]:
        self.path.rename(self.path.with_name(".away"))
        return flags

    def undo(self) -> None:
        self.path.with_name(".away").rename(self.path)


class Flag(Change, Struct):
    name: str
    value: Any

    def apply(self, flags: dict[str, Any]) -> dict[str, Any]:
        return {**flags, self.name: self.value}


def test_a_change_of_any_one_thing_that_the_key_holds_is_a_miss(
    seen: tuple[Project, dict[str, Any], Installation], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, flags, installation = seen
    (kept,) = snapshots.found()
    about = dict(kept.about)
    # what the history has read is known, whoever has read it
    assert {"helper.py", "more/names.py", "statements/1.sql", "migrations/env.py", "alembic.ini"} <= about[
        "files"
    ].keys()
    assert {"migrations/absent.ini", "absent.ini", ".env"} & about["files"].keys() >= {"absent.ini", ".env"}
    assert {"extra.sql", "extra/more.sql"} <= about["files"].keys()
    assert "statements" in about["listed"]
    assert "." in about["searched"]
    assert "migrations/versions/c.py" not in about["files"]

    every = list(changes(project, flags, about))
    random.shuffle(every)
    assert len(every) > 25
    for what, change in every:
        hit = project.kept(**flags).choose(installation)
        assert hit is not None, f"a hit before {what}"
        with_it = change.apply(flags)
        try:
            missed = _chosen(project, with_it, installation)
        finally:
            change.undo()
        assert missed is None, what
    assert project.kept(**flags).choose(installation) is not None

    for target, name, value in (
        (planning, "__version__", "99"),
        (snapshots, "FORMAT", 99),
        (kept_state, "CLUSTERS", 99),
        (kept_state, "SETTINGS", {}),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, value)
            assert project.kept(**flags).choose(installation) is None, name
    assert project.kept(**flags).choose(replace(installation, version="15.0")) is None


def _chosen(project: Project, flags: dict[str, Any], installation: Installation) -> snapshots.Snapshot | None:
    try:
        return project.kept(**flags).choose(installation)
    except Exception:  # noqa: BLE001 (a project without its alembic.ini is none)
        return None


def test_what_the_history_does_not_depend_on_is_no_miss(
    seen: tuple[Project, dict[str, Any], Installation],
) -> None:
    project, flags, installation = seen
    write(
        project.folder,
        {
            "README.md": "words",
            "notes.txt": "a file beside",
            "report.json": "{}",
            "migrations/versions/d.py": revision("d", "c", "pass"),
            "more/__pycache__/names.pyc": "",
            "data/it.json": "",
        },
    )
    (project.folder / "migrations/versions/c.py").write_text(revision("c", "b", 'op.drop_column("items", "name")'))

    assert project.kept(**flags).choose(installation) is not None


def test_a_branch_that_changes_what_the_history_reads_starts_from_the_state_of_its_base(project: Project) -> None:
    history = 'op.create_table("items", sa.Column("id", sa.Integer(), primary_key=True))'
    env = "import helper\n" + ENV
    write(project.folder, {"migrations/versions/a.py": revision("a", None, history), "migrations/env.py": env})
    git(project.folder, "commit", "-qam", "env.py imports the application")
    git(project.folder, "branch", "-f", "main")
    project.review()
    write(project.folder, {"helper.py": "TABLE = 'other'\n", "statements/2.sql": "SELECT 1"})

    of_the_branch = project.review()

    assert of_the_branch.origin.kind == "snapshot"
    assert of_the_branch.origin.commit == git(project.folder, "rev-parse", "main")
    git(project.folder, "stash", "-q", "--include-untracked")
    git(project.folder, "checkout", "-q", "main")
    write(project.folder, {"helper.py": "TABLE = 'third'\n"})
    git(project.folder, "commit", "-qam", "main goes on")
    git(project.folder, "checkout", "-q", "branch")
    git(project.folder, "rebase", "-q", "main")
    write(project.folder, NEW)

    assert project.review().origin.kind == "history"


def test_another_version_behind_the_same_interpreter_is_a_miss(project: Project) -> None:
    first = project.review()
    (kept,) = snapshots.found()
    damage_about(kept, versions=["3.8.0", "1.7.0", "1.4.0"])

    again = project.review()

    assert again.origin.kind == "history"
    assert again.what_counts == first.what_counts


def test_a_file_that_changed_while_the_history_ran_is_not_taken_for_what_it_has_read(project: Project) -> None:
    touches = (
        'import pathlib\npathlib.Path("helper.py").write_text("from more import names\\n\\nTABLE = names.TABLE\\n")'
    )
    project.history(b=touches)

    assert project.review().origin.kind == "history"
    assert list(snapshots.found()) == []


def test_what_other_processes_read_has_to_be_declared(project: Project) -> None:
    project.history(b='import subprocess\nsubprocess.run(["true"], check=True)')

    assert project.review().origin.kind == "history"
    assert list(snapshots.found()) == []

    write(project.folder, {"alembic-reviewer.toml": 'snapshot-key = ["env:VERSION"]\n'})
    project.review()
    assert project.review().origin.kind == "snapshot"


def test_what_python_asks_the_system_is_no_process_of_the_project(project: Project) -> None:
    project.history(b='import ctypes.util\nctypes.util.find_library("no-such-library")')

    project.review()

    assert project.review().origin.kind == "snapshot"


STARTER = """import subprocess
subprocess.run(["true"], check=True)
def later():
    subprocess.run(["true"], check=True)
"""


@pytest.mark.parametrize(("then", "kind"), [("", "snapshot"), ("\nstarter.later()", "history")])
def test_what_an_installed_package_starts_while_it_is_imported_is_no_process_of_the_project(
    then: str, kind: str, project: Project
) -> None:
    write(project.folder, {"vendor/site-packages/starter.py": STARTER})
    git(project.folder, "add", "vendor")
    project.history(b=f"import sys\nsys.path.insert(0, 'vendor/site-packages')\nimport starter{then}")
    project.review()

    assert project.review().origin.kind == kind


@pytest.mark.parametrize(("jobs", "kinds"), [(1, ["snapshot", "history"]), (2, ["snapshot", "snapshot"])])
def test_another_tree_does_not_meet_the_roles_of_the_kept_history(
    jobs: int, kinds: list[str], tmp_path: Path
) -> None:
    folder, role = tmp_path / "project", 'op.execute("CREATE ROLE keeper")'
    one = {name: text for name, text in PROJECT.items() if name.endswith("env.py")}
    for tree in ("one", "two"):
        files = {name.replace("migrations", tree): text for name, text in one.items()}
        ini = INI.format(url=URL).replace("migrations", tree)
        write(folder, {**files, f"{tree}.ini": ini, f"{tree}/versions/a.py": revision("a", None, role)})
    git(folder, "init", "-qb", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "base")
    git(folder, "checkout", "-qb", "branch")
    for tree in ("one", "two"):
        write(folder, {f"{tree}/versions/b.py": revision("b", "a", 'op.execute("CREATE TABLE t (id int)")')})
    project = Project(folder)
    flags = {"config": (f"one={folder}/one.ini", f"two={folder}/two.ini"), "jobs": jobs}

    first, second = project.review(**flags), project.review(**flags)

    assert [each.recording.base_origin.kind for each in second.report.trees] == kinds
    assert [each.recording.errors for each in second.report.trees] == [(), ()]
    assert first.report.findings == second.report.findings


# -- the cache --------------------------------------------------------------------------------------


def test_a_file_about_a_snapshot_that_is_damaged_anywhere_is_not_believed(
    tmp_path: Path, guardian: Guardian
) -> None:
    assert keep(tmp_path, guardian, about={"heads": ["a"], "files": {"x": "y"}})
    (kept,) = snapshots.found()
    whole = kept.path.read_bytes()

    for place in range(len(whole)):
        kept.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert list(snapshots.found()) == []
        kept.path.write_bytes(whole[:place])
        assert list(snapshots.found()) == []
    kept.path.write_bytes(whole)
    assert [each.about for each in snapshots.found()] == [{"heads": ["a"], "files": {"x": "y"}}]


def test_a_damaged_data_folder_is_replayed_and_kept_anew(project: Project) -> None:
    first = project.review()
    for damage in ("cut", "flipped", "gone", "a pipe"):
        (kept,) = snapshots.found()
        (archive,) = kept.path.parent.glob("*.tar")
        whole = archive.read_bytes()
        match damage:
            case "cut":
                archive.write_bytes(whole[:-20_000])
            case "flipped":
                at = whole.index(b"pg_catalog")
                archive.write_bytes(whole[:at] + b"pg_catalug" + whole[at + 10 :])
            case "gone":
                archive.unlink()
            case _:
                archive.unlink()
                os.mkfifo(archive)

        again = project.review()

        assert again.origin.kind == "history", damage
        assert again.what_counts == first.what_counts, damage
        assert [each.path for each in snapshots.found()] != [kept.path], damage
    assert project.review().origin.kind == "snapshot"


def test_a_server_that_does_not_come_back_is_replaced_by_a_fresh_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = project.review(no_snapshot=True).what_counts

    def break_it(*given: Any, **_: object) -> bool:
        data = given[2]
        (data / "global" / "pg_control").write_bytes(b"rubbish")
        return True

    monkeypatch.setattr(snapshots, "keep", break_it)
    found = project.review()

    assert found.origin.kind == "history"
    assert found.what_counts == expected


def test_a_cache_that_cannot_be_written_costs_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ALEMBIC_REVIEWER_CACHE", str(tmp_path / "file"))

    assert [project.review().origin.kind for _ in range(2)] == ["history", "history"]


def test_what_somebody_else_can_write_to_is_not_read(tmp_path: Path, guardian: Guardian) -> None:
    assert keep(tmp_path, guardian)
    snapshots.folder().chmod(0o777)
    assert list(snapshots.found()) == []
    assert not keep(tmp_path, guardian)
    snapshots.folder().chmod(0o700)
    assert len(list(snapshots.found())) == 1


def test_what_is_kept_is_listed_and_cleared(tmp_path: Path, guardian: Guardian) -> None:
    about: dict[str, object] = {"heads": ["abc"], "revisions": {"abc": []}, "project": "/shop"}
    assert keep(tmp_path, guardian, about=about)
    (snapshots.folder() / "unrelated").write_text("")

    listed = CliRunner().invoke(main, ["cache"])
    cleared = CliRunner().invoke(main, ["cache", "clear"])
    after = CliRunner().invoke(main, ["cache"])

    assert listed.exit_code == cleared.exit_code == after.exit_code == 0
    assert "1 revision up to abc  /shop" in listed.output
    assert f"in {snapshots.folder()}" in listed.output
    assert cleared.output.startswith("removed 1 base state, ")
    assert after.output.startswith("0 base states, 0.0 MB in ")
    assert [each.name for each in snapshots.folder().iterdir()] == ["unrelated"]


def test_the_action_names_the_folder_and_a_key_that_changes_with_what_is_kept(
    tmp_path: Path, guardian: Guardian
) -> None:
    assert review_step._cache() == {}
    assert keep(tmp_path, guardian)
    one = review_step._cache()
    assert one == review_step._cache()
    assert keep(tmp_path, guardian)

    assert one["cache-path"] == str(snapshots.folder())
    assert one["cache-key"].startswith("alembic-reviewer-")
    assert review_step._cache()["cache-key"] != one["cache-key"]


def test_an_interrupted_copy_leaves_nothing(
    tmp_path: Path, guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keep(tmp_path, guardian)
    assert list(snapshots.folder().iterdir()) == []


def test_the_one_used_longest_ago_goes_first(tmp_path: Path, guardian: Guardian) -> None:
    for number in range(3):
        assert keep(tmp_path, guardian, name=f"{number}", size=400_000)
        (kept,) = snapshots.found(f"{number}-")
        os.utime(kept.path, (number, number))
    first = next(iter(snapshots.found("0-")))
    first.touch()

    assert keep(tmp_path, guardian, name="3", size=100_000, limit=1)

    names = {each.path.name[0] for each in snapshots.found()}
    assert {"0", "3"} <= names
    assert "1" not in names
    assert sum(each.size for each in snapshots.found()) <= 1 << 20


def test_ten_at_once_write_and_read_whole_ones(tmp_path: Path) -> None:
    troubles: list[str] = []

    def work(number: int) -> None:
        with Guardian() as guardian:
            keep(tmp_path, guardian, folder=f"data-{number}", about={"number": number}, limit=2)
            troubles.extend(str(s) for s in snapshots.found() if s.about.get("number") not in range(10))

    threads = [threading.Thread(target=work, args=[number]) for number in range(10)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert troubles == []
    assert list(snapshots.found())
    assert not list(snapshots.folder().glob(".building-*"))


def keep(
    place: Path,
    guardian: Guardian,
    *,
    name: str = "key",
    size: int = 1000,
    folder: str = "data",
    about: dict[str, object] | None = None,
    limit: int = 100,
) -> bool:
    data = write(place / folder, {"PG_VERSION": "x" * size})
    kept = snapshots.keep(name, about or {}, data, guardian, database="d", superuser="s", shared={})
    snapshots.make_room(limit)
    return kept


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    with Guardian() as guardian:
        yield guardian
