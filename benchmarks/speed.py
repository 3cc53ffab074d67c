"""Prints how fast the reviewer is, as ratios and times measured in one run on this machine, each with its target.

    python benchmarks/speed.py [--runs N] [--postgres KIND] [NAME ...]

NAME: review, history, observation, checks, rows, snapshot, data, startup, nothing-new; all of them without a name. Ends with status 1 where a target
is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = Path(sys.executable).parent
REVIEWER = str(COMMANDS / "alembic-reviewer")
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith(("GIT_", "ALEMBIC_REVIEWER"))
} | {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
ENVIRONMENT["VIRTUAL_ENV"] = sys.prefix


@dataclass(frozen=True)
class Figure:
    """One line of the result."""

    what: str
    value: float
    unit: str
    target: float
    how: str

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value <= self.target

    def __str__(self) -> str:
        word = "ok    " if self.met else "MISSED"
        return f"{word} {self.what}: {self.value:.2f}{self.unit} (at most {self.target:g}{self.unit})\n       {self.how}"


def main() -> int:
    """Measure what is asked for and print it as it comes."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="alembic-reviewer-speed-") as folder:
        figures = []
        for name in arguments.names or BENCHMARKS:
            for figure in BENCHMARKS[name](Path(folder), arguments):
                print(figure, flush=True)
                figures.append(figure)
    return 0 if all(figure.met for figure in figures) else 1


# -- review ---------------------------------------------------------------------------------------


def review(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """A review of one new revision over the three bare commands that it replaces."""
    project = _blog(folder / "blog")
    call = [REVIEWER, "review", str(project), "--base", "main", "--postgres", arguments.postgres]
    _call(call, fine=(0, 1))  # keeps the data folder, writes the byte code
    with _server(arguments.postgres) as server:
        base = server.create_database("base")
        ini = project / "bare.ini"

        def aim(database: str) -> None:
            url = server.address.url(database).replace("postgresql:", "postgresql+psycopg:", 1)
            text = (project / "alembic.ini").read_text()
            ini.write_text(re.sub(r"(?m)^sqlalchemy.url = .*", lambda _: f"sqlalchemy.url = {url}", text))

        def bare() -> None:
            for command in (["upgrade", "head"], ["downgrade", "-1"], ["upgrade", "head"]):
                _call([str(COMMANDS / "alembic"), "-c", str(ini), *command], cwd=project)

        aim(base)
        _call([str(COMMANDS / "alembic"), "-c", str(ini), "upgrade", BLOG_BASE], cwd=project)
        _fill(server, base)
        bares, reviews = [], []
        peak = 0.0
        for number in range(arguments.runs):
            database = server.create_database(f"run_{number}", base)
            aim(database)
            bares.append(_seconds(bare))
            began = time.perf_counter()
            peak = max(peak, _peak_megabytes(call))
            reviews.append(time.perf_counter() - began)
            server.drop_database(database)
    ratio = statistics.median(r / b for r, b in zip(reviews, bares, strict=True))
    yield Figure(
        "review of one revision, server start included, over upgrade, downgrade, upgrade on a running server",
        ratio,
        "",
        1.5,
        f"{_median(reviews)} over {_median(bares)}, {arguments.runs} runs each, by turns",
    )
    yield Figure("peak memory of the largest process of a review", peak, " MB", 200, "wait4, ru_maxrss")


BLOG_BASE = "5d3c0f7b9a21"
BLOG_NEW = "91b7e6d20c4f"


def _blog(folder: Path) -> Path:
    """The blog as a git repository: its history on `main`, one new revision on the branch that is checked out."""
    shutil.copytree(ROOT / "examples" / "blog", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "alembic-reviewer.toml").unlink()
    versions = folder / "migrations" / "versions"
    later = {name: path for path in versions.glob("*.py") for name in [path.name[:12]] if _is_new(path)}
    new = later.pop(BLOG_NEW).rename(folder / "new.py")
    for path in later.values():
        path.unlink()
    (folder / ".gitignore").write_text("__pycache__\nbare.ini\n")
    text = new.read_text()
    new.unlink()
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _commit(folder)
    _git(folder, "switch", "--quiet", "--create", "branch")
    (versions / f"{BLOG_NEW}_new.py").write_text(text)
    _commit(folder)
    return folder


def _is_new(path: Path) -> bool:
    """Whether the blog's revision in `path` comes after its base."""
    dates = {p: re.search(r"Create Date: (.+)", p.read_text()) for p in path.parent.glob("*.py")}
    base = next(date for p, date in dates.items() if p.name.startswith(BLOG_BASE))
    mine = dates[path]
    return base is not None and mine is not None and mine.group(1) > base.group(1)


# -- history ----------------------------------------------------------------------------------------


def history(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """The same new revision behind histories of 10, 300 and 1,000 revisions, the base state kept or not."""
    lengths = (10, 300, 1000)
    cache = folder / "history-cache"
    projects = {length: _long(folder / f"history-{length}", length) for length in lengths}
    calls = {
        length: [REVIEWER, "review", str(project), "--base", "main", "--postgres", arguments.postgres]
        for length, project in projects.items()
    }
    runs = max(1, arguments.runs)
    with _cached(cache), _server(arguments.postgres) as server:
        _call([*calls[10], "--no-snapshot"], fine=(0, 1))  # keeps the fresh data folder
        for length in lengths:
            _call([*calls[length], "--no-snapshot"], fine=(0, 1))  # writes the byte code
        firsts, wholes, bares = [], [], []
        seconds: dict[int, list[float]] = {length: [] for length in lengths}
        for number in range(max(1, runs // 2)):
            shutil.rmtree(cache / "snapshots", ignore_errors=True)
            firsts.append(_seconds(lambda: _call(calls[300], fine=(0, 1))))
            alembic = _aimed(projects[300], server, server.create_database(f"whole_{number}"))
            wholes.append(
                _seconds(_start_a_server(arguments.postgres))
                + _seconds(lambda alembic=alembic: _call([*alembic, "upgrade", "r0299"]))  # type: ignore[misc]
            )
        for length in lengths:
            _call(calls[length], fine=(0, 1))
        alembic = _aimed(projects[10], server, server.create_database("bare"))
        _call([*alembic, "upgrade", "r0009"])
        for _ in range(runs):
            bares.append(
                sum(
                    _seconds(lambda command=command: _call([*alembic, *command]))  # type: ignore[misc]
                    for command in (["upgrade", "head"], ["downgrade", "-1"], ["upgrade", "head"])
                )
            )
            _call([*alembic, "downgrade", "-1"])
            for length in lengths:
                seconds[length].append(_seconds(lambda length=length: _call(calls[length], fine=(0, 1))))  # type: ignore[misc]
    yield Figure(
        "second review of one revision behind 10, over the bare upgrade, downgrade, upgrade on a running server",
        statistics.median(r / b for r, b in zip(seconds[10], bares, strict=True)),
        "",
        0.6,
        f"{_median(seconds[10])} over {_median(bares)}, {runs} runs each, by turns",
    )
    for length in lengths[1:]:
        yield Figure(
            f"the same behind {length} revisions, over that behind 10",
            statistics.median(a / b for a, b in zip(seconds[length], seconds[10], strict=True)),
            "",
            1.15,
            f"{_median(seconds[length])} over {_median(seconds[10])}",
        )
    yield Figure(
        "first review behind 300 revisions, over `alembic upgrade` of them from empty and the start of a server",
        statistics.median(a / b for a, b in zip(firsts, wholes, strict=True)),
        "",
        1.2,
        f"{_median(firsts)} over {_median(wholes)}, {len(firsts)} runs each",
    )


def _long(folder: Path, length: int) -> Path:
    """A repository with a history of `length` revisions on `main`, and a branch with one more."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / ".gitignore").write_text("__pycache__\nbare.ini\n")
    (folder / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/migrations\nsqlalchemy.url = postgresql+psycopg://nobody@nowhere.invalid/x\n"
    )
    (folder / "migrations" / "env.py").write_text(_ENV)
    down = None
    for number in range(length):
        table, name = f"t{number // 3}", f"r{number:04}"
        up, back = (
            (
                f"op.create_table('{table}', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.Text))",
                f"op.drop_table('{table}')",
            ),
            (
                f"op.add_column('{table}', sa.Column('c{number}', sa.Integer))",
                f"op.drop_column('{table}', 'c{number}')",
            ),
            (f"op.create_index('ix_{number}', '{table}', ['name'])", f"op.drop_index('ix_{number}')"),
        )[number % 3]
        _write_revision(versions / f"{name}.py", name, down, [up], [back])
        down = name
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _commit(folder)
    _git(folder, "switch", "--quiet", "--create", "branch")
    new = "op.add_column('t0', sa.Column('new', sa.Integer))"
    _write_revision(versions / "new.py", "new", down, [new], ["op.drop_column('t0', 'new')"])
    _commit(folder)
    return folder


def _aimed(project: Path, server: RunningServer, database: str) -> list[str]:
    """The bare command for the project on `database`."""
    url = server.address.url(database).replace("postgresql:", "postgresql+psycopg:", 1)
    text = (project / "alembic.ini").read_text()
    ini = project / "bare.ini"
    ini.write_text(re.sub(r"(?m)^sqlalchemy.url = .*", lambda _: f"sqlalchemy.url = {url}", text))
    return [str(COMMANDS / "alembic"), "-c", str(ini)]


def _start_a_server(source: str) -> Callable[[], object]:
    def start() -> None:
        with _server(source):
            pass

    return start


@contextlib.contextmanager
def _cached(folder: Path) -> Iterator[None]:
    """Everything that is kept goes to `folder`."""
    before = dict(ENVIRONMENT)
    ENVIRONMENT["ALEMBIC_REVIEWER_CACHE"] = str(folder)
    try:
        yield
    finally:
        ENVIRONMENT.clear()
        ENVIRONMENT.update(before)


# -- observation and checks -----------------------------------------------------------------------


def observation(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """A revision of 500 statements, watched and not."""
    from reviewer.host.guardian import Guardian
    from reviewer.rehearsal.interpreter import RunnerProcess, Setup

    project = _large(folder / "large-500", 500)
    watched, unwatched = [], []
    with _server(arguments.postgres) as server, Guardian() as guardian:
        setup = Setup(directory=project, config=project / "alembic.ini")
        with RunnerProcess((sys.executable,), setup, ENVIRONMENT, folder, guardian) as process:
            process.hello()

            def upgrade(database: str, to: str, observe: bool) -> float:
                began = time.perf_counter()
                answer = process.run(
                    {
                        "do": "upgrade",
                        "to": [to],
                        "database": database,
                        "address": server.address.for_runner,
                        "observe": observe,
                        "environ": {},
                    },
                    time.monotonic() + 600,
                )
                assert answer.ok, answer.failed
                return time.perf_counter() - began

            base = server.create_database("base")
            upgrade(base, "first", observe=False)
            server.terminate_connections(base)
            _fill(server, base)
            for number in range(arguments.runs + 1):
                for observe, times in ((False, unwatched), (True, watched)):
                    database = server.create_database(f"run_{number}_{observe}", base)
                    times.append(upgrade(database, "new", observe))
                    server.drop_database(database)
    ratio = statistics.median(w / u for w, u in zip(watched[1:], unwatched[1:], strict=True))
    yield Figure(
        "a revision of 500 statements with observation, over the same without",
        ratio,
        "",
        1.5,
        f"{_median(watched[1:])} over {_median(unwatched[1:])}, {arguments.runs} runs each, by turns",
    )


def checks(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """Every check over a recording of a revision of 1,000 statements."""
    import checks as all_checks
    from reviewer import recording

    project = _large(folder / "large-1000", 1000)
    kept = folder / "recording.json"
    call = [REVIEWER, "review", str(project), "--revisions", "first:head", "--postgres", arguments.postgres]
    _call([*call, "--save-recording", str(kept)], fine=(0, 1))
    loaded = all_checks.load()
    (recorded,) = recording.loads(kept.read_bytes())
    statements = [len(each.statements) for each in recorded.passes]
    program = (
        "import time, sys; from pathlib import Path; from reviewer import recording; import checks\n"
        "from reviewer.review.engine import review; loaded = checks.load()\n"
        "(each,) = recording.loads(Path(sys.argv[1]).read_bytes()); import reviewer.sql.parse\n"
        "reviewer.sql.parse.parse('SELECT 1'); began = time.process_time(); review(each, loaded)\n"
        "print(time.process_time() - began)"
    )
    times = [
        float(_call([sys.executable, "-c", program, str(kept)]).stdout) for _ in range(max(3, arguments.runs // 2))
    ]
    yield Figure(
        f"processor time of all {len(loaded)} checks over a revision of 1,000 statements",
        statistics.median(times),
        " s",
        1.0,
        f"{sum(statements)} statements in {len(statements)} passes; parsing included",
    )


def _large(folder: Path, number: int) -> Path:
    """A project with 20 tables and one new revision of `number` statements of several kinds."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/migrations\nsqlalchemy.url = postgresql+psycopg://nobody@nowhere.invalid/x\n"
    )
    shutil.copy(ROOT / "examples" / "blog" / "migrations" / "script.py.mako", folder / "migrations")
    (folder / "migrations" / "env.py").write_text(_ENV)
    tables = [
        f"op.create_table('base_{n}', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.Text))"
        for n in range(20)
    ]
    _write_revision(versions / "first.py", "first", None, tables, ["pass"])
    up, down = [], []
    for n in range(number):
        table = f"base_{n % 20}"
        match n % 5:
            case 0:
                up.append(
                    f"op.create_table('new_{n}', sa.Column('id', sa.Integer, primary_key=True),"
                    " sa.Column('name', sa.String(50), nullable=False), sa.Column('at', sa.DateTime(timezone=True)))"
                )
                down.append(f"op.drop_table('new_{n}')")
            case 1:
                up.append(f"op.add_column('{table}', sa.Column('c_{n}', sa.Integer))")
                down.append(f"op.drop_column('{table}', 'c_{n}')")
            case 2:
                up.append(f"op.create_index('ix_{n}', 'new_{n - 2}', ['name'])")
            case 3:
                up.append(f"op.execute(\"UPDATE {table} SET name = name || 'x' WHERE id = {n}\")")
            case _:
                up.append(f"op.alter_column('new_{n - 4}', 'name', nullable=True)")
    _write_revision(versions / "new.py", "new", "first", up, list(reversed(down)))
    return folder


def _write_revision(path: Path, name: str, down: str | None, upgrade: list[str], downgrade: list[str]) -> None:
    bodies = [
        f"def {what}():\n" + "".join(f"    {line}\n" for line in lines)
        for what, lines in (("upgrade", upgrade), ("downgrade", downgrade))
    ]
    head = f"from alembic import op\nimport sqlalchemy as sa\n\nrevision = {name!r}\ndown_revision = {down!r}\n"
    path.write_text("\n\n".join([head, *bodies]))


_ENV = """
from alembic import context
from sqlalchemy import engine_from_config, pool

engine = engine_from_config(context.config.get_section("alembic"), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


# -- rows, reversibility and old code ---------------------------------------------------------------


def rows(_: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """Rows for a schema of 100 tables that refer to each other."""
    from reviewer import rows as filler
    from reviewer.rehearsal import catalogue

    times = []
    with _server(arguments.postgres) as server:
        _shop(server, "shop", 100)
        for number in range(arguments.runs):
            database = server.create_database(f"run_{number}", "shop")
            with server.connect(database) as connection:
                began = time.perf_counter()
                filled = filler.fill(connection, catalogue.read(connection), 100)
                times.append(time.perf_counter() - began)
            assert (len(filled.tables), filled.skipped) == (100, ()), filled.skipped
            server.drop_database(database)
    yield Figure(
        "rows for 100 tables, 100 in each",
        statistics.median(times),
        " s",
        3.0,
        f"{arguments.runs} runs, wall clock",
    )


def snapshot(_: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """The catalogue of 200 tables."""
    from reviewer.rehearsal import catalogue_snapshot as catalogue

    times = []
    with _server(arguments.postgres) as server:
        _shop(server, "shop", 200)
        with server.connect("shop") as connection:
            catalogue.take(connection)
            for _number in range(max(arguments.runs, 10)):
                began = time.perf_counter()
                found = catalogue.take(connection)
                times.append(time.perf_counter() - began)
    yield Figure(
        "a snapshot of the catalogue of 200 tables",
        statistics.median(times) * 1000,
        " ms",
        50,
        f"{len(found.objects):,} objects, {len(times)} runs, wall clock, best {min(times) * 1000:.0f} ms",
    )


def _shop(server: RunningServer, database: str, number: int) -> None:
    """A database with `number` tables of several kinds of columns; each refers to one before it."""
    server.create_database(database)
    with server.connect(database) as connection:
        for sql in _shop_tables(number):
            connection.execute(sql.encode())


def _shop_tables(number: int) -> Iterator[str]:
    yield "CREATE TYPE mood AS ENUM ('good', 'bad')"
    for n in range(number):
        yield (
            f"CREATE TABLE t{n} (id serial PRIMARY KEY, parent int NOT NULL REFERENCES t{max(n - 1, 0)},"
            " name varchar(50) NOT NULL UNIQUE, mood mood, score numeric(10, 2) CHECK (score >= 0),"
            " document jsonb, tags text[], at timestamptz NOT NULL DEFAULT now())"
        )
        yield f"CREATE INDEX ON t{n} (parent)"


def data(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """A review of one revision of a project with 100 tables and models, with rows and old code and without."""
    project = _shop_project(folder / "shop")
    call = [REVIEWER, "review", str(project), "--base", "main", "--postgres", arguments.postgres]
    without = [*call, "--no-rows", "--no-old-code"]
    for each in (call, without):
        _call(each, fine=(0, 1))
    pairs = []
    for _ in range(arguments.runs):
        bare = _seconds(lambda: _call(without, fine=(0, 1)))
        pairs.append((_seconds(lambda: _call(call, fine=(0, 1))), bare))
    yield Figure(
        "review of one revision of a project with 100 tables, with rows, round trip and old code, over without",
        statistics.median(full / bare for full, bare in pairs),
        "",
        2.5,
        f"{_median([full for full, _ in pairs])} over {_median([bare for _, bare in pairs])}, by turns",
    )


def _shop_project(folder: Path) -> Path:
    """A repository whose branch adds a column to one of 100 mapped tables, and drops another column."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = %(here)s\n"
        "sqlalchemy.url = postgresql+psycopg://nobody@nowhere.invalid/x\n"
    )
    (folder / "models.py").write_text(_SHOP_MODELS)
    env = _ENV.replace("context.configure(connection=connection)", _SHOP_CONFIGURE)
    (folder / "migrations" / "env.py").write_text(f"from models import Base\n{env}")
    (folder / ".gitignore").write_text("__pycache__\n")
    tables = [f"op.execute({sql!r})" for sql in _shop_tables(100)]
    _write_revision(versions / "first.py", "first", None, tables, ["pass"])
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _commit(folder)
    _git(folder, "switch", "--quiet", "--create", "branch")
    up = ["op.add_column('t7', sa.Column('note', sa.Text))", "op.alter_column('t8', 'score', nullable=False)"]
    down = ["op.alter_column('t8', 'score', nullable=True)", "op.drop_column('t7', 'note')"]
    _write_revision(versions / "new.py", "new", "first", up, down)
    _commit(folder)
    return folder


_SHOP_CONFIGURE = "context.configure(connection=connection, target_metadata=Base.metadata)"
_SHOP_MODELS = """
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import declarative_base

Base = declarative_base()

for n in range(100):
    columns = {
        "__tablename__": f"t{n}",
        "id": sa.Column(sa.Integer, primary_key=True),
        "parent": sa.Column(sa.ForeignKey(f"t{max(n - 1, 0)}.id"), nullable=False, index=True),
        "name": sa.Column(sa.String(50), nullable=False, unique=True),
        "mood": sa.Column(sa.Enum("good", "bad", name="mood")),
        "score": sa.Column(sa.Numeric(10, 2)),
        "document": sa.Column(postgresql.JSONB),
        "tags": sa.Column(postgresql.ARRAY(sa.Text)),
        "at": sa.Column(sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    }
    type(f"T{n}", (Base,), columns)
"""


# -- small things ---------------------------------------------------------------------------------


def startup(_: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """The list of rules, which imports every check."""
    call = [REVIEWER, "rules"]
    _call(call)
    times = [_processor_seconds(call) for _ in range(arguments.runs)]
    yield Figure(
        "processor time of `alembic-reviewer rules`", statistics.median(times), " s", 0.3, f"{arguments.runs} runs"
    )


def nothing_new(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """A review of a branch that adds no revision."""
    project = folder / "nothing"
    _blog(project)
    call = [REVIEWER, "review", str(project), "--base", "HEAD"]
    _call(call)
    times = [_seconds(lambda: _call(call)) for _ in range(arguments.runs)]
    yield Figure("a branch without new revisions", statistics.median(times), " s", 0.6, f"{arguments.runs} runs")


BENCHMARKS: dict[str, Callable[[Path, argparse.Namespace], Iterator[Figure]]] = {
    "review": review,
    "history": history,
    "observation": observation,
    "checks": checks,
    "rows": rows,
    "snapshot": snapshot,
    "data": data,
    "startup": startup,
    "nothing-new": nothing_new,
}


@contextlib.contextmanager
def _server(source: str) -> Iterator[RunningServer]:
    from reviewer.host.guardian import Guardian
    from reviewer.postgres import ServerRequest, start

    with Guardian() as guardian, start(ServerRequest(source), guardian) as server:
        yield server


def _fill(server: RunningServer, database: str) -> None:
    """The rows that a review puts there, for a comparison on the same tables."""
    from reviewer import rows
    from reviewer.rehearsal import catalogue

    with server.connect(database) as connection:
        rows.fill(connection, catalogue.read(connection), 100)


def _call(
    command: list[str], cwd: Path | None = None, fine: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode not in fine:
        sys.exit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def _peak_megabytes(command: list[str]) -> float:
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)


def _processor_seconds(command: list[str]) -> float:
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _median(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s"


def _git(folder: Path, *arguments: str) -> None:
    _call(["git", "-C", str(folder), *arguments])


def _commit(folder: Path) -> None:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "change")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*BENCHMARKS, []])
    parser.add_argument("--runs", type=int, default=7, help="of each thing that is timed (default 7)")
    parser.add_argument("--postgres", default="auto", help="as for the reviewer")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
