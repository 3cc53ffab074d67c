"""Prints what a rehearsal at scale predicts of many kinds of statements, beside what they really take.

    python benchmarks/scale.py [--rows N] [--measured N] [--seconds S] [NAME ...]

Each is predicted from runs on at most MEASURED rows (200,000) within S seconds (20), and then run once by Alembic alone on
ROWS rows (3,000,000). NAME: words of the kinds to try; all of them without a name. Ends with status 1 where fewer than
nine of ten truths are inside the range.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from reviewer import rows
from reviewer.config import Config
from reviewer.host.guardian import Guardian
from reviewer.planning import plan_for
from reviewer.postgres import RunningServer, ServerRequest, start
from reviewer.project.discovery import Interpreter, find_trees
from reviewer.project.history import between, read_worktree
from reviewer.recording import Direction
from reviewer.rehearsal import catalogue
from reviewer.rehearsal.deploy import rehearse
from reviewer.review.durations import Durations, durations, told, told_seconds
from reviewer.review.fit import Fit, Range
from reviewer.rows.bulk import Bulk
from reviewer.scope import Scope
from reviewer.sql.names import Name
from reviewer.stats.sizes import Production, Size, Source

BASE = """
    op.execute('''
        CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, email varchar(80) NOT NULL UNIQUE);
        CREATE TABLE orders (id serial PRIMARY KEY, customer_id int NOT NULL, status varchar(20), total numeric(10, 2),
            note text, amount int, created timestamptz);
        ALTER TABLE orders ADD CONSTRAINT fk_customer FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID;
        CREATE TABLE tags (id serial PRIMARY KEY, label text);
        CREATE MATERIALIZED VIEW order_totals AS SELECT customer_id, sum(total) AS total FROM orders GROUP BY 1;
    ''')
"""
NARROW = 4
"""How many times its lower end the upper end of a range should be at most."""
SMALL = 30
"""A table that is worked through row by row is so many times smaller."""
BATCHES = """
    connection = op.get_bind()
    last = 0
    while True:
        ids = [row[0] for row in connection.execute(sa.text(
            "SELECT id FROM orders WHERE id > :last ORDER BY id LIMIT 5000"), {"last": last})]
        if not ids:
            break
        connection.execute(sa.text("UPDATE orders SET status = 'seen' WHERE id BETWEEN :first AND :last"),
                           {"first": ids[0], "last": ids[-1]})
        last = ids[-1]
"""
LOOP = """
    connection = op.get_bind()
    for row in connection.execute(sa.text("SELECT id, label FROM tags")).fetchall():
        connection.execute(sa.text("UPDATE tags SET label = :label WHERE id = :id"),
                           {"label": (row[1] or "").upper(), "id": row[0]})
"""
KINDS = {
    "index build": 'op.create_index("ix_customer", "orders", ["customer_id"])',
    "index build on text": 'op.create_index("ix_note", "orders", ["note", "status"])',
    "concurrent index build": """
        with op.get_context().autocommit_block():
            op.create_index("ix_customer", "orders", ["customer_id"], postgresql_concurrently=True)""",
    "unique constraint": 'op.create_unique_constraint("uq", "orders", ["id", "status"])',
    "foreign key validation": 'op.execute("ALTER TABLE orders VALIDATE CONSTRAINT fk_customer")',
    "check validation": 'op.create_check_constraint("ck", "orders", "id > 0")',
    "SET NOT NULL": 'op.alter_column("orders", "created", nullable=False)',
    "type change": 'op.alter_column("orders", "id", type_=sa.BigInteger())',
    "type change with a computed value": """
        op.alter_column("orders", "status", type_=sa.Integer(), postgresql_using="length(status)")""",
    "volatile default": """
        op.add_column("orders", sa.Column("token", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False))""",
    "stored generated column": 'op.execute("ALTER TABLE orders ADD twice int GENERATED ALWAYS AS (amount * 2) STORED")',
    "UPDATE of all rows": "op.execute(\"UPDATE orders SET note = note || '!'\")",
    "UPDATE from another table": """
        op.execute("UPDATE orders SET note = c.name FROM customers c WHERE c.id = orders.customer_id")""",
    "DELETE": 'op.execute("DELETE FROM orders WHERE id % 3 = 0")',
    "INSERT from another table": """
        op.execute("CREATE TABLE archive (id int, note text)")
        op.execute("INSERT INTO archive SELECT id, note FROM orders")""",
    "batches in Python": BATCHES,
    "loop over rows": LOOP,
    "refresh of a materialized view": 'op.execute("REFRESH MATERIALIZED VIEW order_totals")',
    "downgrade of a type change": """
        op.alter_column("orders", "status", type_=sa.Text())
    # down
        op.alter_column("orders", "status", type_=sa.String(30))""",
    "column without a default": 'op.add_column("orders", sa.Column("extra", sa.Text()))',
}
ENV = """
from alembic import context
from sqlalchemy import create_engine
import os
with create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """
from alembic import context, op
import sqlalchemy as sa
from reviewer.runner.timing import Moment
revision, down_revision = {id!r}, {down!r}
def now():
    return Moment(op.get_bind().connection.driver_connection.info.backend_pid)
def upgrade():
    context.config.attributes["began"] = now()
{upgrade}
    context.config.attributes["ended"] = now()
def downgrade():
    context.config.attributes["began"] = now()
{downgrade}
    context.config.attributes["ended"] = now()
"""
RUN = """
import sys
from alembic import command
from alembic.config import Config
config = Config("alembic.ini")
command.upgrade(config, "a") if sys.argv[1] == "base" else None
if sys.argv[1] != "base":
    command.upgrade(config, "b") if sys.argv[1] == "upgrade" else command.downgrade(config, "a")
    print(*config.attributes["began"].until(config.attributes["ended"]))
"""


@dataclass(frozen=True)
class Result:
    """A prediction and the truth, in seconds."""

    kind: str
    growth: str
    predicted: Range | None
    truth: float
    clock: float
    """What passed on the clock, with the time for which other work kept the processors busy."""
    measured: str
    """The quickest run of each size, of the statement that took longest."""
    load: float
    """Of the machine, before."""

    @property
    def inside(self) -> bool:
        """Whether the truth is in the range."""
        return self.predicted is not None and self.predicted.low <= self.truth <= self.predicted.high

    @property
    def width(self) -> float:
        """The upper end divided by the lower."""
        return self.predicted.high / max(self.predicted.low, 1e-4) if self.predicted is not None else math.inf

    def __str__(self) -> str:
        predicted = told(self.predicted) if self.predicted is not None else "none"
        word = ("yes" if self.inside else "**no**") if self.predicted is not None else ""
        width = f"{self.width:.1f}" if self.predicted is not None else ""
        return (
            f"| {self.kind} | {self.growth} | {self.measured} | {predicted} | {told_seconds(self.truth)} | {word}"
            f" | {width} | {told_seconds(self.clock)} | {self.load:.0f} |"
        )


def main() -> int:
    """Predict and measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--measured", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    kinds = [kind for kind in KINDS if not arguments.names or any(each in kind for each in arguments.names)]
    results = []
    with (
        tempfile.TemporaryDirectory(prefix="alembic-reviewer-scale-") as name,
        Guardian() as guardian,
        start(ServerRequest(large=True), guardian) as server,
    ):
        folder = Path(name).resolve()
        filled = _filled(server, _project(folder, "base", "pass"), arguments.rows)
        print(
            "| statement | growth | measured | predicted | truth | inside | width | clock | load |\n"
            "|---|---|---|---|---|---|---|---|---|"
        )
        for number, kind in enumerate(kinds):
            project = _project(folder, f"p{number}", KINDS[kind])
            way = Direction.DOWNGRADE if "# down" in KINDS[kind] else Direction.UPGRADE
            load = os.getloadavg()[0]
            found = _predicted(server, guardian, folder, project, kind, arguments)
            there = found.of_revision("b", way)
            growth = [each for each in found.all if each.direction is way]
            growth.sort(key=lambda each: each.fit.largest.seconds)
            longest = growth[-1].fit if growth else None
            results.append(
                Result(
                    kind,
                    longest.kind.value if longest else "",
                    there,
                    *_truth(server, project, filled, way),
                    _told(longest),
                    load,
                )
            )
            print(results[-1], flush=True)
    inside = sum(each.inside for each in results)
    narrow = sum(each.width <= NARROW for each in results)
    print(
        f"\n{inside} of {len(results)} truths are inside the range, {narrow} ranges are no wider than {NARROW} times"
    )
    return 0 if inside >= 0.9 * len(results) else 1


def _told(fit: Fit | None) -> str:
    quickest: dict[int, float] = {}
    for each in fit.points if fit else ():
        quickest[each.rows] = min(each.seconds, quickest.get(each.rows, each.seconds))
    return ", ".join(f"{round(rows / 1000)}k {told_seconds(seconds)}" for rows, seconds in quickest.items())


def _project(folder: Path, name: str, code: str) -> Path:
    project = folder / name
    (project / "migrations" / "versions").mkdir(parents=True)
    (project / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
    (project / "migrations" / "env.py").write_text(ENV)
    (project / "run.py").write_text(RUN)
    up, _, down = code.partition("# down")
    for id_, parent, upgrade, downgrade in (("a", None, BASE, "pass"), ("b", "a", up, down or "pass")):
        text = REVISION.format(id=id_, down=parent, upgrade=_body(upgrade), downgrade=_body(downgrade))
        (project / "migrations" / "versions" / f"{id_}.py").write_text(text)
    return project


def _body(code: str) -> str:
    return textwrap.indent(textwrap.dedent(code.strip("\n")), "    ")


def _run(server: RunningServer, project: Path, database: str, what: str) -> str:
    environ = {**os.environ, "DATABASE_URL": server.address.url(database)}
    done = subprocess.run(
        [sys.executable, "run.py", what], cwd=project, env=environ, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def _filled(server: RunningServer, project: Path, number: int) -> str:
    database = server.create_database("filled")
    _run(server, project, database, "base")
    with server.connect(database) as connection:
        made = rows.fill(connection, catalogue.read(connection), 100)
        bulk = Bulk(connection, made.tables)
        began = time.perf_counter()
        sizes = {Name(name, "public"): number for name in ("customers", "orders")}
        added = bulk.fill({**sizes, Name("tags", "public"): number // SMALL})
        print(f"{added:,} rows put in within {time.perf_counter() - began:.1f} s", file=sys.stderr)
        bulk.settle()
        connection.execute("REFRESH MATERIALIZED VIEW order_totals")
    return database


def _truth(server: RunningServer, project: Path, filled: str, way: Direction) -> tuple[float, float]:
    """Seconds that it takes, and those that passed on the clock."""
    database = server.create_database("truth", template=filled)
    try:
        told = _run(server, project, database, "upgrade")
        if way is Direction.DOWNGRADE:
            told = _run(server, project, database, "downgrade")
        took, waited = map(float, told.split())
        return took, took + waited
    finally:
        server.drop_database(database)


def _predicted(
    server: RunningServer,
    guardian: Guardian,
    folder: Path,
    project: Path,
    kind: str,
    arguments: argparse.Namespace,
) -> Durations:
    most = arguments.measured // (SMALL if kind == "loop over rows" else 1)
    config = Config(
        path=project,
        revisions="a:head",
        scale=True,
        scale_seconds=arguments.seconds,
        scale_rows=most,
        env={"DATABASE_URL": "{url}"},
    )
    (tree,) = find_trees(project, (), "alembic", git_root=None)
    graph = read_worktree(tree, project)
    scope = Scope(tree, between(graph, "a:head"), graph, project)
    plan = plan_for(config, scope, Interpreter((sys.executable,), "the one that runs this"), dict(os.environ))
    future: Future[RunningServer] = Future()
    future.set_result(server)
    return durations(rehearse(plan, future, guardian, folder), _production(arguments.rows))


def _production(number: int) -> Production:
    tables = {"customers": number, "orders": number, "tags": number // SMALL}
    sizes = {("public", name): Size(count, count * 100) for name, count in tables.items()}
    source = Source("made up", "production", "17.0", datetime.now(timezone.utc))
    return Production(source, None, sizes)  # type: ignore[arg-type]  # only sizes are asked for


if __name__ == "__main__":
    sys.exit(main())
