"""Benchmarks on published projects, where they are installed: real pull requests, and `--each` over the last 100 revisions.

The file that --projects names is a list of objects:

    name         for the result
    path         the folder with the project's ini file and its migrations, which is copied into a repository
    python       the interpreter in which its env.py can be imported
    config       the ini file below `path` (alembic.ini)
    revision     the revision of the pull request (the last one); its history is what came before
    count        how many revisions `--each` reviews (100); 0 leaves the project out there
    env          variables of env.py; {url} is the URL of the database
    bare_env     the same for the bare commands, where they need something else; {query} is the URL without its scheme,
                 and {host}, {port}, {user}, {password} and {database} are its parts
    launcher     MODULE:FUNCTION, as for the reviewer
    flask        whether Flask-Migrate runs it: the app that FLASK_APP names is loaded first
    base_schema  SQL that creates the state before the first revision, as for the reviewer
    options      more options for the reviewer
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.measuring import (
    ENVIRONMENT,
    Failed,
    Figure,
    LeftOut,
    branch,
    call,
    commit,
    compared,
    fill,
    review,
    review_call,
    seconds,
    server,
)
from reviewer.postgres.server import Address

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

HELP = "published projects, as benchmarks/published.py describes them"


@dataclass(frozen=True)
class Project:
    """A published project, as the file describes it."""

    name: str
    path: Path
    python: str
    config: str = "alembic.ini"
    revision: str = ""
    count: int = 100
    env: Mapping[str, str] = field(default_factory=dict)
    bare_env: Mapping[str, str] = field(default_factory=dict)
    launcher: str = ""
    flask: bool = False
    base_schema: str = ""
    options: Sequence[str] = ()

    @property
    def for_reviewer(self) -> list[str]:
        """The options that a review of it needs."""
        options = ["--python", self.python, *self.options]
        options += [part for name, value in self.env.items() for part in ("--env", f"{name}={value}")]
        options += ["--launcher", self.launcher] if self.launcher else []
        return options + (["--base-schema", self.base_schema] if self.base_schema else [])


class Unsuitable(Exception):
    """The project has nothing that a benchmark could measure."""


def _left_out(name: str, project: Project, error: Failed | Unsuitable) -> LeftOut:
    failed = isinstance(error, Failed)
    return LeftOut(f"{name} of {project.name}", error.last if failed else str(error), failed)


@dataclass(frozen=True)
class Revision:
    """A revision that the project has, told by its own Alembic."""

    id: str
    down: Sequence[str]
    path: Path


def load(file: Path) -> list[Project]:
    """The projects of `file`. Raises `SystemExit` if it is not what the module describes."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(told, list):
            raise TypeError("it is no list")
        return [Project(**{**each, "path": Path(each["path"])}) for each in told]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{file} does not describe projects: {error}") from error


def pull_requests(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure | LeftOut]:
    """One real revision of each of several published projects, over their bare three commands."""
    if arguments.projects is None:
        yield LeftOut("a3", "needs --projects FILE")
        return
    for project in load(arguments.projects):
        try:
            yield _pull_request(folder / project.name, project, arguments)
        except (Failed, Unsuitable) as error:
            yield _left_out("a3", project, error)


@dataclass(frozen=True)
class PullRequest:
    """A repository whose branch adds one revision of a project to those before it."""

    project: Project
    folder: Path
    new: Revision
    before: int
    """How many revisions are there before."""

    def review(self, arguments: argparse.Namespace) -> list[str]:
        """The command that reviews it."""
        config = ("--config", str(self.folder / self.project.config))
        return review_call(self.folder, arguments, *config, *self.project.for_reviewer)

    def by_turns(self, command: Sequence[str], arguments: argparse.Namespace) -> tuple[list[float], list[float]]:
        """Seconds of reviews, and of the three bare commands."""
        new, bares, reviews = self.new, list[float](), list[float]()
        three = [["upgrade", new.id], ["downgrade", new.down[0]], ["upgrade", new.id]]
        with server(arguments.postgres) as started:
            base = _base(started, self.folder, self.project, new.down[0])
            for number in range(arguments.runs):
                database = started.create_database(f"run_{number}", base)

                def bare(each: list[str], database: str = database) -> str:
                    return _bare(self.folder, self.project, started, database, [each])

                bares.append(sum(seconds(partial(bare, each)) for each in three))
                reviews.append(seconds(lambda: review(command)))
                started.terminate_connections(database)
                started.drop_database(database)
        return reviews, bares

    def rendered(self) -> str:
        """Its SQL. Raises `Failed` if the project does not render any."""
        words = _words(Address("nowhere.invalid", 5432, "nobody", None), "x")
        span = f"{self.new.down[0]}:{self.new.id}"
        return _run(self.folder, self.project, words, commands=[["upgrade", span]])


def pull_request(folder: Path, project: Project) -> PullRequest:
    """Make one of the project's last revision, or of the one that the file names, in `folder`."""
    copied = _copied(folder, project)
    revisions = _revisions(copied, project)
    single = [each for each in revisions if len(each.down) == 1 and project.revision in ("", each.id)]
    if not single:
        raise Unsuitable("it has no such revision")
    new = single[-1]
    before = revisions[: revisions.index(new)]
    text = new.path.read_text(encoding="utf-8")
    for each in revisions[len(before) :]:
        each.path.unlink()
    commit(copied)
    branch(copied)
    new.path.write_text(text, encoding="utf-8")
    commit(copied)
    return PullRequest(project, copied, new, len(before))


def _pull_request(folder: Path, project: Project, arguments: argparse.Namespace) -> Figure:
    made = pull_request(folder, project)
    command = made.review(arguments)
    review(command)
    return compared(
        f"{made.new.id} of {project.name}, behind {made.before}, over upgrade, downgrade, upgrade",
        *made.by_turns(command, arguments),
        1.0,
        "a3",
    )


def each(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure | LeftOut]:
    """`--each` over the last revisions of each project, over the same up, down, up in one warm process."""
    for project in load(arguments.projects):
        if project.count == 0:
            continue
        try:
            yield _each(folder / project.name, project, arguments)
        except (Failed, Unsuitable) as error:
            yield _left_out("d2", project, error)


def _each(folder: Path, project: Project, arguments: argparse.Namespace) -> Figure:
    copied = _copied(folder, project)
    last = _linear(_revisions(copied, project), project.count)
    commit(copied)
    with server(arguments.postgres) as started:
        base = _base(started, copied, project, last[0].down[0], filled=False)  # some do not pass with rows
        # What the bare commands cannot pass ends the comparison: after it there is no state to go on from.
        tried = started.create_database("tried", base)
        told = _bare(copied, project, started, tried, _one_by_one(last), stop=True)
        passed, stopped = json.loads(told.splitlines()[-1])
        started.terminate_connections(tried)
        if not passed:
            raise Unsuitable(f"the bare commands do not pass {last[0].id}: {stopped}")
        last = last[:passed]
        span = f"{last[0].down[0]}:{last[-1].id}"
        config = ("--config", str(copied / project.config))
        command = review_call(copied, arguments, "--revisions", span, "--each", *config, *project.for_reviewer)
        review(command)
        reviews, bares = [], []
        for number in range(arguments.runs):
            database = started.create_database(f"run_{number}", base)
            bares.append(seconds(lambda: _bare(copied, project, started, database, _one_by_one(last))))  # noqa: B023
            reviews.append(seconds(lambda: review(command)))
            started.terminate_connections(database)
            started.drop_database(database)
    end = f"; then the bare commands stop: {stopped}" if stopped else ""
    return compared(
        f"`--each` over {len(last)} revisions of {project.name}, over each of them up, down, up in one process",
        reviews,
        bares,
        2.0,
        "d2",
        more=f"; {statistics.median(reviews) / len(last):.2f} s a revision{end}",
    )


def _one_by_one(revisions: Sequence[Revision]) -> list[list[str]]:
    return [
        each
        for revision in revisions
        for each in (["upgrade", revision.id], ["downgrade", revision.down[0]], ["upgrade", revision.id])
    ]


def _linear(revisions: Sequence[Revision], count: int) -> list[Revision]:
    """The last revisions that follow each other without a branch, `count` at most."""
    found: list[Revision] = []
    for revision in reversed(revisions):
        if len(revision.down) != 1 or (found and found[0].down[0] != revision.id) or len(found) == count:
            break
        found.insert(0, revision)
    if not found:
        raise Unsuitable("its history ends in a branch")
    return found


def _copied(folder: Path, project: Project) -> Path:
    shutil.copytree(project.path, folder, ignore=shutil.ignore_patterns("__pycache__", ".git"))
    (folder / ".gitignore").write_text("__pycache__\n")
    return folder


# -- the project's own Alembic ----------------------------------------------------------------------------

_PROGRAM = """
import gc, importlib, json, os, sys

asked = json.loads(sys.argv[1])
from alembic import command  # before what the folder has by that name
from alembic.config import Config
from alembic.script import ScriptDirectory

sys.path[0] = os.getcwd()


def config():
    made = Config(asked["config"])
    if asked["flask"]:
        made.set_main_option("script_location", os.path.dirname(asked["config"]))
    if asked["launcher"]:
        module, _, function = asked["launcher"].partition(":")
        getattr(importlib.import_module(module), function)(made)
    return made


if asked["flask"]:
    from flask.cli import ScriptInfo

    ScriptInfo(app_import_path=os.environ["FLASK_APP"]).load_app().app_context().push()
if asked["list"]:
    with open(asked["list"], "w") as file:
        json.dump(
            [
                [each.revision, [each.down_revision] if isinstance(each.down_revision, str) else list(each.down_revision or ()), each.path]
                for each in reversed(list(ScriptDirectory.from_config(config()).walk_revisions()))
            ],
            file,
        )
done, stopped = 0, ""
for what, revision in asked["commands"]:
    try:
        getattr(command, what)(config(), revision, sql=":" in revision)
    except Exception as error:
        if not asked["stop"]:
            raise
        stopped = str(error).strip().partition("\\n")[0]
        break
    done += 1
    if len(asked["commands"]) > 1:
        from sqlalchemy.engine import Engine

        for each in gc.get_objects():
            if isinstance(each, Engine):
                each.dispose(close=False)  # what belongs to an event loop that has ended cannot be closed
print()
print(json.dumps([done // 3, stopped]), flush=True)
os._exit(0)  # some have threads that never end
"""


def _run(copied: Path, project: Project, words: Mapping[str, str], **asked: Any) -> str:
    """Ask the project's Alembic, with `words` in its variables. Raises `Failed` with what it says."""
    whole = {
        "config": str(copied / project.config),
        "launcher": project.launcher,
        "flask": project.flask,
        "list": "",
        "commands": [],
        "stop": False,
        **asked,
    }
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "VIRTUAL_ENV"}
    for name, value in {**project.env, **project.bare_env}.items():
        environment[name] = re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), value)
    program = copied.parent / "commands.py"
    program.write_text(_PROGRAM, encoding="utf-8")
    return call([project.python, str(program), json.dumps(whole)], copied, environment=environment).stdout


def _revisions(copied: Path, project: Project) -> list[Revision]:
    """All of them, each after those that it stands on."""
    told = copied.parent / f"{project.name}.revisions"
    _run(copied, project, _words(Address("nowhere.invalid", 5432, "nobody", None), "x"), list=str(told))
    return [Revision(id_, down, Path(path)) for id_, down, path in json.loads(told.read_text(encoding="utf-8"))]


def _bare(
    copied: Path,
    project: Project,
    started: RunningServer,
    database: str,
    commands: Sequence[Sequence[str]],
    *,
    stop: bool = False,
) -> str:
    """The commands on `database`, all in one process."""
    words = _words(started.address, database)
    return _run(copied, project, words, commands=commands, stop=stop)


def _words(address: Address, database: str) -> dict[str, str]:
    """What variables can have in braces."""
    url = address.url(database)
    return {
        "url": url,
        "query": url.partition("://")[2],
        "host": address.host,
        "port": str(address.port),
        "user": address.user,
        "password": address.password or "",
        "database": database,
    }


def _base(started: RunningServer, copied: Path, project: Project, revision: str, *, filled: bool = True) -> str:
    """A database that stands at `revision`, with the rows that a review would put in, or without."""
    base = started.create_database("base")
    if project.base_schema:
        text = Path(project.base_schema).read_text(encoding="utf-8")
        with psycopg.connect(**started.address.parameters, dbname=base, autocommit=True) as connection:
            connection.execute(text.encode())
    _bare(copied, project, started, base, [["upgrade", revision]])
    started.terminate_connections(base)
    if filled:
        fill(started, base)
    return base
