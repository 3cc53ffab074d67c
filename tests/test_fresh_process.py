"""What goes wrong only because a process has run something before is no fault of any revision."""

from __future__ import annotations

from pathlib import Path

import pytest

from reviewer.recording import Direction, Outcome, Recording, Rehearsal
from reviewer.review.rollback_label import label
from tests.command import ENV, TABLE, project, revision
from tests.rehearsals import Rehearsals, loud
from tests.repository import write

COUNT = "import builtins\nbuiltins.{0} = getattr(builtins, '{0}', 0) + 1\n"
PLAIN = revision("b", "a", 'op.add_column("items", sa.Column("b", sa.Text()))', 'op.drop_column("items", "b")')
MORE = revision("c", "b", 'op.add_column("items", sa.Column("c", sa.Text()))', 'op.drop_column("items", "c")')
ON_PURPOSE = "if builtins.{0} > {1}:\n    raise RuntimeError('a second time')"


def env_that_raises_from(run: int) -> str:
    return COUNT.format("runs") + f"if builtins.runs >= {run}:\n    raise RuntimeError('a second loop')\n" + ENV


def base_that_cannot_be_loaded_from(load: int) -> str:
    broken = f"if builtins.loads >= {load}:\n    raise AttributeError('no such attribute')\n"
    return revision("a", None, TABLE, 'op.drop_table("items")', top=COUNT.format("loads") + broken)


def counts_itself(upgrade: str, downgrade: str = 'op.drop_column("items", "b")') -> str:
    """A revision `b` whose upgrade goes wrong when it has run in the process before."""
    add = 'op.add_column("items", sa.Column("b", sa.Text()))\nimport builtins\n'
    return revision("b", "a", f"{add}{COUNT.format('ran')}{upgrade}", downgrade)


KEYS = """ids = builtins.__dict__.setdefault("ids", [])
ids += [901 + len(ids), 901]
for each in set(ids[-2:]) if len(ids) == 2 else ids[-2:] + [901]:
    op.execute(f"INSERT INTO items (id) VALUES ({each})")"""

BREAKS = {
    "a base revision that loads twice": ({"versions/a.py": base_that_cannot_be_loaded_from(3)}, PLAIN),
    "an env.py that runs once": ({"env.py": env_that_raises_from(2)}, PLAIN),
    "an upgrade that refuses to run again": ({}, counts_itself(ON_PURPOSE.format("ran", 1))),
    "rows that pile up": ({}, counts_itself(KEYS, 'op.drop_column("items", "b")\nop.execute("DELETE FROM items WHERE id > 900")')),
    "a downgrade that fails once something has run": (
        {},
        counts_itself("pass", 'import builtins\nif hasattr(builtins, "ran"):\n    raise RuntimeError("late")\nop.drop_column("items", "b")'),
    ),
}  # fmt: skip


@pytest.fixture(name="bench")
def bench_of_projects(rehearsal_bench: Rehearsals) -> Rehearsals:
    return rehearsal_bench


def made(folder: Path, name: str, *more: str) -> Path:
    files, first = BREAKS[name]
    project(folder, first, *more)
    return write(folder, {f"migrations/{path}": text for path, text in files.items()})


def failed(recording: Recording) -> list[str]:
    return [
        f"{p.revision} {p.direction.value}: {p.failure}" for p in recording.passes if p.outcome is not Outcome.OK
    ]


@pytest.mark.parametrize("name", [name for name in BREAKS if name != "an env.py that runs once"])
def test_one_clean_revision_is_told_as_what_it_is(name: str, bench: Rehearsals, tmp_path: Path) -> None:
    (recording,) = bench.of(made(tmp_path, name))

    assert (recording.errors, failed(recording), recording.trials) == ((), [], ())
    # true of the one that inserts keys itself
    assert [each for each in loud(recording) if each.rule != "sequence-behind-rows"] == []
    assert label(recording, "b") == "loses-new-data"


def test_clean_revisions_are_told_as_what_they_are_each_by_itself(bench: Rehearsals, tmp_path: Path) -> None:
    found = bench.of(made(tmp_path, "a base revision that loads twice", MORE), each=True)

    assert [(each.errors, failed(each)) for each in found] == [((), [])] * 2
    assert [label(each, each.revisions[0].id) for each in found] == ["loses-new-data"] * 2


def test_a_hazard_behind_a_process_that_breaks_is_still_found(bench: Rehearsals, tmp_path: Path) -> None:
    wrong = revision("c", "b", 'op.execute("DELETE FROM items")', 'op.drop_column("items", "nothing")')

    (recording,) = bench.of(made(tmp_path, "an env.py that runs once", wrong))

    assert "failing-downgrade" in {each.rule for each in loud(recording) if each.revision == "c"}
    assert [label(recording, each) for each in "bc"] == ["loses-new-data", "broken"]


def test_the_run_without_rows_is_told_though_the_process_breaks(bench: Rehearsals, tmp_path: Path) -> None:
    folder = made(tmp_path, "an env.py that runs once")
    check = 'op.execute("ALTER TABLE items ADD CONSTRAINT none CHECK (id < 0)")'
    refused = revision("b", "a", check, 'op.execute("ALTER TABLE items DROP CONSTRAINT none")')
    write(folder, {"migrations/versions/r1.py": refused})

    (recording,) = bench.of(folder)

    deployed = [(p.outcome, p.rows) for p in recording.passes if p.rehearsal is Rehearsal.DEPLOYED]
    assert deployed == [(Outcome.FAILED, True), (Outcome.OK, False)]


def test_the_run_on_other_keys_is_told_though_the_process_breaks(bench: Rehearsals, tmp_path: Path) -> None:
    folder = made(tmp_path, "an env.py that runs once")
    clash = revision("b", "a", 'op.execute("INSERT INTO items (id) VALUES (1)")', 'op.execute("DELETE FROM items")')
    write(folder, {"migrations/versions/r1.py": clash})

    (recording,) = bench.of(folder)

    deployed = [(p.outcome, p.rows) for p in recording.passes if p.rehearsal is Rehearsal.DEPLOYED]
    assert (deployed, [each.collided for each in recording.trials]) == ([(Outcome.OK, True)], [True])


APPLICATION = """from sqlalchemy import create_engine

engine = create_engine("postgresql+psycopg://app@database.invalid/app", pool_pre_ping=True)
"""
KEPT = """import sys
from pathlib import Path

from alembic import context

sys.path.insert(0, str(Path(context.config.config_file_name).parent))
from application import engine

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


def test_a_connection_that_an_application_keeps_leads_to_no_database_of_before(
    bench: Rehearsals, tmp_path: Path
) -> None:
    # the worst rows come last: what goes back to the database of the stepwise rehearsal would find nothing to do there
    unique = revision(
        "c", "b", 'op.create_unique_constraint("once", "items", ["b"])', 'op.drop_constraint("once", "items")'
    )
    folder = project(tmp_path, PLAIN, unique, env=KEPT)
    write(folder, {"application.py": APPLICATION})

    (recording,) = bench.of(folder, "b:head")

    assert failed(recording) == []
    assert [each.worst for each in recording.trials if each.direction is Direction.UPGRADE] == [True]
