"""The deploy between two states of a real repository: order, locks, plan, way back, and what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
from msgspec.structs import replace

from reviewer.config import Config, load
from reviewer.errors import ReviewerError
from reviewer.judging import judged
from reviewer.project.git import root_of
from reviewer.recording import Recording, loads
from reviewer.release import emitted
from reviewer.release.build import build
from reviewer.release.model import Cell, Duration, Estimate, May, Release, Sequence, Timeline, When
from reviewer.release.plan import plan
from reviewer.release.snippets import LOCK_TIMEOUT
from reviewer.release_session import release_project
from reviewer.report import RELEASE_FORMATS, render_release
from reviewer.report.release import json as release_json
from reviewer.report.release import notes, words
from reviewer.report.release.chart import chart
from reviewer.review.finding import Growth
from reviewer.sql.names import Name
from tests import template, warm
from tests.branch import Branch
from tests.command import project, revision
from tests.postgres.test_own_server import becomes_true
from tests.rehearsals import Rehearsals
from tests.repository import git, write
from tests.stats.made import production

pytestmark = pytest.mark.processes

GIVEN = """
op.create_table("orders", sa.Column("id", sa.Integer, primary_key=True), sa.Column("note", sa.String(80)),
    sa.Column("state", sa.String(20), nullable=False))
op.create_table("items", sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("order_id", sa.Integer, sa.ForeignKey("orders.id"), nullable=False), sa.Column("sku", sa.String(20)))
"""

MODELS = """
class Order(Base):
    __tablename__ = "orders"
    id = sa.Column(sa.Integer, primary_key=True)
    note = sa.Column(sa.String(80))
    state = sa.Column(sa.String(20), nullable=False)


class Item(Base):
    __tablename__ = "items"
    id = sa.Column(sa.Integer, primary_key=True)
    order_id = sa.Column(sa.ForeignKey("orders.id"), nullable=False)
    sku = sa.Column(sa.String(20))
"""

NEW_MODELS = (
    MODELS.replace("    note = sa.Column(sa.String(80))\n", "    total = sa.Column(sa.Integer)\n").replace(
        "    sku = sa.Column(sa.String(20))\n", "    code = sa.Column(sa.String(20))\n"
    )
    + """

class Refund(Base):
    __tablename__ = "refunds"
    id = sa.Column(sa.Integer, primary_key=True)
    order_id = sa.Column(sa.ForeignKey("orders.id"))
"""
)

REFUNDS = """
op.execute("UPDATE orders SET total = 0")
op.create_table("refunds", sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("order_id", sa.Integer, sa.ForeignKey("orders.id")))
"""


def shop(folder: Path) -> Path:
    """v1 has two tables; v2 needs a column and a table, renames a column, and drops one that v1 uses."""
    branch = Branch(folder, GIVEN, MODELS)
    git(folder, "tag", "v1")
    branch.adds('op.add_column("orders", sa.Column("total", sa.Integer))', 'op.drop_column("orders", "total")')
    declares(folder, "b", "# pre/post deployment: post")
    branch.adds('op.create_index("ix_items_sku", "items", ["sku"])', 'op.drop_index("ix_items_sku")')
    branch.adds(REFUNDS, 'op.drop_table("refunds")')
    branch.adds(
        'op.alter_column("items", "sku", new_column_name="code")',
        'op.alter_column("items", "code", new_column_name="sku")',
    )
    branch.adds('op.alter_column("items", "order_id", nullable=True)\nop.drop_column("orders", "note")')
    branch.with_models(NEW_MODELS).commit("v2")
    git(folder, "tag", "v2")
    return folder


def declares(folder: Path, name: str, line: str) -> None:
    file = folder / f"migrations/versions/{name}.py"
    file.write_text(f"{file.read_text()}\n{line}\n")


def release(folder: Path, start: str, end: str, **flags: Any) -> Release:
    given = {"path": folder, "python": sys.executable, **flags}
    with template.lent():
        return release_project(load(given, root_of(folder)), start, end, os.environ)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def found(folder: Path) -> Release:
    """From one tag to the next, while the working tree is elsewhere."""
    git(folder, "checkout", "-q", "v1")
    try:
        return release(folder, "v1", "v2", save_recording=folder / "recording.json")
    finally:
        git(folder, "checkout", "-q", "v2")


# -- what a release says --------------------------------------------------------------------------


def test_each_revision_goes_to_the_side_on_which_both_codes_run(found: Release) -> None:
    orders = {each.revision.id: (each.when, each.old, each.new) for each in found.sequence.orders}

    assert orders == {
        "b": (When.BEFORE, Cell.RUNS, Cell.BREAKS),
        "c": (When.EITHER, Cell.RUNS, Cell.RUNS),
        "d": (When.BEFORE, Cell.RUNS, Cell.BREAKS),
        "e": (When.SPLIT, Cell.BREAKS, Cell.BREAKS),
        "f": (When.AFTER, Cell.BREAKS, Cell.RUNS),
    }
    assert "orders.total" in " ".join(found.sequence.orders[0].why)
    assert found.sequence.stages == ()
    assert "e runs neither" in found.sequence.conflict


def test_a_split_names_what_each_side_needs(found: Release) -> None:
    split = found.sequence.orders[3]

    assert "`items.code`" in split.how[0]
    assert "`items.sku`" in split.how[1]
    assert [each.title for each in found.plan.split] == ["Revision e"]


def test_a_split_keeps_what_the_old_code_knows_and_asks_for_nothing_that_it_does_not_write(tmp_path: Path) -> None:
    branch = Branch(tmp_path, GIVEN, MODELS)
    required = """
op.add_column("items", sa.Column("size", sa.Integer))
op.execute("UPDATE items SET size = 1")
op.alter_column("items", "size", nullable=False)
op.alter_column("orders", "note", new_column_name="remark")
"""
    branch.adds(required, 'op.drop_column("items", "size")')
    new = MODELS.replace(
        "    note = sa.Column(sa.String(80))\n", "    remark = sa.Column(sa.String(80))\n"
    ).replace("    sku =", "    size = sa.Column(sa.Integer, nullable=False)\n    sku =")
    branch.with_models(new).commit("v2")

    (split,) = release(tmp_path, "a", "b").sequence.orders

    assert split.when is When.SPLIT
    assert "until then keep what the old code uses, `orders.note`, and let" in split.how[1]
    assert split.how[2] == "until then let `items.size` be NULL, which the old code may leave out"
    assert not any("is_set" in body for body in split.remedy)


def test_what_the_old_model_allows_and_the_new_schema_refuses_waits_for_the_code(tmp_path: Path) -> None:
    branch = Branch(tmp_path, GIVEN, MODELS)
    branch.adds(
        'op.execute("UPDATE orders SET note = 1")\nop.alter_column("orders", "note", nullable=False)',
        'op.alter_column("orders", "note", nullable=True)',
    )
    branch.with_models(MODELS.replace("sa.String(80))", "sa.String(80), nullable=False)")).commit("v2")

    (order,) = release(tmp_path, "a", "b").sequence.orders

    assert (order.when, order.old, order.new) == (When.AFTER, Cell.BREAKS, Cell.RUNS)
    assert (
        "INSERT of `orders` (Order) with the required columns only, which its models allow, fails" in order.why[0]
    )


def test_a_declared_phase_that_measuring_contradicts_is_told(found: Release) -> None:
    said = found.sequence.orders[0]

    assert said.declared is not None
    assert not said.declared.before_code
    assert said.disagrees
    assert any("declared is not the one that was measured: b" in each for each in found.verdict.reasons)


def test_locks_are_held_from_their_statement_to_the_end_of_the_transaction(found: Release) -> None:
    (band,) = found.timeline.bands
    first = band.holds[0]

    assert band.revisions == ("b", "c", "d", "e", "f")
    assert band.order[:2] == ("orders", "items")
    assert (str(first.table), str(first.mode), first.blocks) == ("orders", "ACCESS EXCLUSIVE", "reads and writes")
    assert first.until == band.steps[-1].number
    assert {str(g.before) for g in first.duration.grows_with} == {
        "orders",
        "items",
    }
    assert found.verdict.may is May.NO
    assert found.verdict.reads == first


def test_the_first_revision_that_loses_what_was_there_is_the_point_of_no_return(found: Release) -> None:
    back = {each.revision.id: each for each in found.way_back}

    assert found.verdict.no_return is not None
    assert found.verdict.no_return.revision.id == "d"
    assert back["c"].label == "lossless"
    assert back["c"].old_code is Cell.RUNS
    assert back["c"].duration is not None
    assert back["f"].label == "irreversible"


def test_an_index_that_can_be_built_before_is_in_the_plan_with_its_statement(found: Release) -> None:
    (action,) = found.plan.beforehand

    assert action.code == "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_items_sku ON items (sku);"
    assert "`if_not_exists=True`" in action.detail


def test_the_code_of_both_tags_is_that_of_their_checkouts(found: Release, folder: Path) -> None:
    assert found.code == git(folder, "rev-parse", "v1")
    assert found.report.head == git(folder, "rev-parse", "v2")
    assert all(not Path(each.path).is_absolute() for each in found.revisions)


def test_sizes_of_production_decide_who_waits_longest(found: Release) -> None:
    recording = found.report.trees[0].recording
    there = production({"orders": 50, "items": 50_000_000})

    built = build(judged(Config(), [recording], {}, there), "v1", "v2", production=there)

    assert built.verdict.writes is not None
    assert built.verdict.writes.duration.grows_with[0].rows == 50_000_000
    assert "`items` (50 million rows" in render_release("markdown", built)
    assert "in production" in notes.render(built)


def test_a_measured_range_is_told_before_what_was_measured() -> None:
    growth = Growth(Name("t"), Name("t"), 1_000_000, 8_192_000)
    duration = Duration(0.25, (growth,), 100, Estimate(90, 190, "three sizes"))

    assert duration.words.startswith(
        "1 min 30 s to 3 min 10 s in production (three sizes); measured 250 ms on 100 rows"
    )


# -- the formats ----------------------------------------------------------------------------------


def test_reads_and_writes_that_wait_for_the_same_lock_are_told_once(found: Release) -> None:
    reads = found.verdict.reads
    same = replace(found, verdict=replace(found.verdict, writes=reads))
    other = replace(found, verdict=replace(found.verdict, writes=None))

    assert [label for label, _ in words.waits(same)] == ["reads and writes wait longest"]
    assert [label for label, _ in words.waits(other)] == ["reads wait longest", "writes wait longest"]


def test_the_page_says_whether_an_order_does_harm_or_is_not_known(found: Release) -> None:
    unknown = Sequence(
        tuple(replace(each, when=When.UNKNOWN) for each in found.sequence.orders), conflict="nobody has tried it."
    )

    assert "<b>No order is without harm:</b>" in render_release("html", found)
    assert "<b>The order is not known:</b>" in render_release("html", replace(found, sequence=unknown))


def test_where_neither_code_was_tried_that_is_said_once_and_not_for_each_revision(found: Release) -> None:
    orders = tuple(replace(each, old=Cell.UNKNOWN, new=Cell.UNKNOWN, why=()) for each in found.sequence.orders)
    untried = Sequence(orders, untried=("the code was not tried: its env.py names no models",))

    shown = render_release("text", replace(found, sequence=untried))

    assert "on the new schema" in render_release("text", found)
    assert shown.count("was not tried: its env.py") == 1
    assert "on the new schema" not in shown.partition("Order")[2].partition("Plan")[0]


def test_every_short_name_of_a_lock_in_the_picture_is_explained(found: Release) -> None:
    drawn = chart(found)
    full = {hold.mode.value for hold in found.timeline.holds}

    assert {bar.label for bar in drawn.bars if bar.label and bar.label not in full} <= {
        each for each, _ in drawn.short
    }
    page = render_release("html", found)
    assert all(f"<b>{initials}</b> {mode}</li>" in page for initials, mode in drawn.short)


@pytest.mark.parametrize("form", RELEASE_FORMATS)
def test_every_format_begins_with_the_verdict_and_names_every_revision(form: str, found: Release) -> None:
    text = render_release(form, found)

    assert all(re.search(rf"\b{each.id}\b", text) for each in found.revisions)
    if form != "json":
        headings = ("Timeline", "(?:Deploy o|O)rder", "Way back")
        found_at = [re.search(rf'(?m)^(?:## |<h2 id="\w+">)?{each}', text) for each in headings]
        places = [text.index("should not run with traffic"), *(each.start() for each in found_at if each)]
        assert len(places) == 4
        assert places == sorted(places)


def test_json_is_as_its_schema_says(found: Release) -> None:
    jsonschema.Draft202012Validator.check_schema(release_json.schema())
    written = json.loads(render_release("json", found))

    jsonschema.Draft202012Validator(release_json.schema()).validate(written)
    assert written["verdict"]["may_run"] == "no"
    assert written["review"]["schema"] == 1


def test_the_schema_beside_the_code_is_that_of_its_types() -> None:
    shipped = (Path(release_json.__file__).parent / "schema.json").read_text(encoding="utf-8")

    assert json.loads(shipped) == json.loads(json.dumps(release_json.schema()))


def test_the_page_loads_nothing_and_runs_no_script(found: Release) -> None:
    page = render_release("html", found)

    assert not re.search(r"<script|<link|<img|@import|\bsrc=|url\((?!#)|\son\w+=", page)
    assert "default-src 'none'" in page
    bars = re.findall(r'<g id="([\w-]+)" class="bar" tabindex="0" role="img" aria-label="([^"]+)"', page)
    assert bars
    assert all(f'id="about-{name}"' in page for name, _ in bars)
    assert len(re.findall(r'\sid="([^"]+)"', page)) == len(set(re.findall(r'\sid="([^"]+)"', page)))


def test_the_emitted_sql_leads_from_one_state_to_the_other(
    found: Release, database: psycopg.Connection[Any]
) -> None:
    script = emitted.script(found)

    database.execute(
        "CREATE TABLE orders (id serial PRIMARY KEY, note varchar(80), state varchar(20) NOT NULL);"
        "CREATE TABLE items (id serial PRIMARY KEY, order_id integer NOT NULL REFERENCES orders, sku varchar(20));"
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); INSERT INTO alembic_version VALUES ('a')"
    )
    database.execute(script.encode())

    assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("f",)]
    assert database.execute("SELECT code FROM items").fetchall() == []
    assert "BEGIN;" in script
    assert "COMMIT;" in script
    assert "-- revision c, migrations/versions/c.py:12" in script


def test_a_line_break_in_a_name_does_not_end_a_comment_of_the_script(found: Release) -> None:
    from msgspec.structs import replace

    script = emitted.script(replace(found, end="v2\nDROP TABLE orders;"))

    assert "\nDROP TABLE orders" not in script


def test_notes_say_what_takes_as_long_as_a_table_is_large(found: Release) -> None:
    text = notes.render(found)

    assert "c builds index `ix_items_sku` on `items`" in text
    assert "CREATE INDEX CONCURRENTLY" in text
    assert "Point of no return" in text


def test_a_recording_keeps_what_the_new_code_needs(found: Release, folder: Path) -> None:
    (kept,) = loads((folder / "recording.json").read_bytes())

    assert isinstance(kept, Recording)
    assert kept == found.report.trees[0].recording
    assert {each.revision for each in kept.new_code.broken} == {"b", "d", "e"}


# -- ends -----------------------------------------------------------------------------------------


def test_the_code_before_a_revision_is_that_of_the_commit_before_it(folder: Path) -> None:
    part = release(folder, "a", "b", rows=0)

    assert part.code == git(folder, "rev-parse", "v1")
    assert [each.when for each in part.sequence.orders] == [When.BEFORE]
    assert [(each.what, each.to) for each in part.sequence.stages] == [("migrate", ("b",)), ("code", ())]


@pytest.mark.parametrize(("start", "end"), [("v2", "v2"), ("v2", "head"), ("f", "f"), ("heads", "head")])
def test_nothing_between_two_ends_is_nothing_to_deploy(folder: Path, start: str, end: str) -> None:
    nothing = release(folder, start, end)

    assert (nothing.verdict.may, nothing.exit_status, nothing.revisions) == (May.NOTHING, 0, ())
    assert all("othing to deploy" in render_release(form, nothing) for form in RELEASE_FORMATS if form != "json")


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two branches of history and their merge, a tag from before there were migrations, and two heads at a tag."""
    folder = tmp_path_factory.mktemp("forked")
    write(folder, {"README": "nothing yet"})
    git(folder, "init", "-qb", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "empty")
    git(folder, "tag", "v0")
    versions = {
        "a": None,
        "b1": "a",
        "b2": "a",
    }
    files = {f"migrations/versions/{id_}.py": revision(id_, down) for id_, down in versions.items()}
    write(
        folder,
        {
            "alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\n",
            "migrations/env.py": "",
            **files,
        },
    )
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "two heads")
    git(folder, "tag", "two-heads")
    git(folder, "tag", "b1x")
    merge = revision("m", None).replace("down_revision = None", "down_revision = ('b1', 'b2')")
    write(folder, {"migrations/versions/m.py": merge, "migrations/versions/b1y.py": revision("b1x9", "m")})
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "merged")
    git(folder, "tag", "v1")
    return folder


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("v1", "two-heads", "comes before v1"),
        ("m", "a", "a comes before m"),
        ("b1", "b2", "they are on different branches"),
        ("v0", "v1", "At v0 there are no migrations"),
        ("nope", "v1", "no revision `nope`, and no tag, branch or commit"),
        ("a", "nope", "no revision `nope`, and no tag, branch or commit"),
        ("b1x", "head", "`b1x` is both the beginning of a revision's id and a name that git knows"),
        ("a", "v0", "At v0 the project cannot be found: There is no alembic.ini"),
    ],
)
def test_ends_that_make_no_release_are_refused_in_one_sentence(
    forked: Path, start: str, end: str, said: str
) -> None:
    with pytest.raises(ReviewerError) as refused:
        release(forked, start, end)

    assert said in str(refused.value)
    assert refused.value.exit_status == 2
    assert refused.value.way_out or said.startswith("no revision")


def test_a_branch_that_is_merged_in_is_deployed_and_named(forked: Path) -> None:
    from reviewer.release_session import _ends

    ends = _ends(load({"path": forked, "python": sys.executable}, forked), "b1", "m", os.environ, forked)

    assert [each.id for each in ends.span.selection.revisions] == ["b2", "m"]
    assert "b2 comes from another branch" in ends.span.notes[0]


def test_the_code_before_a_branch_is_that_of_before_any_other_revision(tmp_path: Path) -> None:
    from reviewer.release_session import _ends

    write(tmp_path, {"alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\n", "migrations/env.py": ""})
    git(tmp_path, "init", "-qb", "main")
    for id_, down in (("a", None), ("b", "a"), ("c", "a")):
        write(tmp_path, {f"migrations/versions/{id_}.py": revision(id_, down)})
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", id_)

    ends = _ends(load({"path": tmp_path, "python": sys.executable}, tmp_path), "a", "c", os.environ, tmp_path)

    assert [each.id for each in ends.span.selection.revisions] == ["c"]
    assert ends.span.code == git(tmp_path, "rev-parse", "HEAD~2")


def test_two_heads_are_a_start(forked: Path) -> None:
    from reviewer.release_session import _ends

    ends = _ends(load({"path": forked, "python": sys.executable}, forked), "two-heads", "head", os.environ, forked)

    assert ends.span.start.ids == ("b1", "b2")
    assert [each.id for each in ends.span.selection.revisions] == [
        "m",
        "b1x9",
    ]


def test_code_that_does_not_import_any_more_is_told_with_its_side(folder: Path) -> None:
    git(folder, "checkout", "-qb", "later", "v2")
    env = folder / "migrations/env.py"
    env.write_text(f"import no_such_package\n{env.read_text()}")
    git(folder, "commit", "-qam", "v3")
    git(folder, "tag", "v3")
    git(folder, "checkout", "-q", "v2")

    broken = release(folder, "v1", "v3")

    assert (broken.verdict.may, broken.exit_status) == (May.UNKNOWN, 3)
    assert broken.verdict.reasons[0].startswith("At v3: ")
    assert "no_such_package" in broken.verdict.reasons[0]
    assert "did not run to the end: the rest is not counted" in render_release("text", broken)


def test_a_revision_that_refuses_generated_rows_is_a_doubt_and_no_reason_against_it(tmp_path: Path) -> None:
    refuses = """
if op.get_bind().exec_driver_sql("SELECT count(*) FROM items").scalar():
    raise RuntimeError("unsupported content")
"""
    told = release(project(tmp_path, revision("b", "a", refuses, "pass")), "a", "b")

    assert told.verdict.may is May.WITH_CARE
    assert "the upgrade of `b` fails on generated rows: check whether yours are similar" in told.verdict.reasons


LOOP = """
rows = op.get_bind().execute(sa.text("SELECT id FROM things")).fetchall()
for row in rows:
    op.get_bind().execute(sa.text("UPDATE things SET note = :s WHERE id = :i"), {"s": "x", "i": row[0]})
with op.get_context().autocommit_block():
    op.execute("ANALYZE things")
op.execute("ALTER TABLE things ALTER COLUMN note SET NOT NULL")
"""


@pytest.fixture(scope="module")
def looping(tmp_path_factory: pytest.TempPathFactory) -> Release:
    given = 'op.execute("CREATE TABLE things (id int PRIMARY KEY, note text)")'
    first = f'op.execute("ALTER TABLE things ADD COLUMN x int")\n{LOOP}'
    folder = project(
        tmp_path_factory.mktemp("looping"),
        revision("b", "a", given, "pass"),
        revision("c", "b", first, 'op.execute("ALTER TABLE things DROP COLUMN x")'),
    )
    return release(folder, "b", "c")


def test_what_a_loop_sends_is_one_entry_with_a_count(looping: Release) -> None:
    sent = [each for each in looping.timeline.steps if "UPDATE things" in each.statement.sql]
    assert len(sent) > 20
    (waits,) = [each for each in looping.plan.quiet if "UPDATE things" in each.title]
    assert waits.title.endswith(f"` ({len(sent)} times)")

    for form in ("text", "markdown", "html"):
        assert render_release(form, looping).count("UPDATE things") <= 2 + (form == "html") * len(sent) * 2
    assert render_release("text", looping).count(f"({len(sent)} times)") == 2
    assert notes.render(looping).count(f"({len(sent)} times)") == 1


def test_what_wants_a_quiet_hour_is_cut_where_it_is_long(looping: Release) -> None:
    step = next(each for each in looping.timeline.steps if "UPDATE things" in each.statement.sql)
    (first, *_) = looping.timeline.bands
    steps = tuple(
        replace(step, number=n, statement=replace(step.statement, sql=f"UPDATE things AS t{n} SET note = 1"))
        for n in range(1, 31)
    )
    hold = replace(first.holds[0], since=1, until=30)
    many = Timeline((replace(first, steps=steps, holds=(hold,)),))
    tree = looping.report.trees[0]

    quiet = plan(looping.report, tree.recording, many, looping.sequence).quiet

    assert len(quiet) == 13
    assert quiet[-1].title == "And 18 more statements, which the timeline has"


def test_the_footer_counts_the_transactions_that_there_were(looping: Release) -> None:
    assert "2 transactions, 1 statement outside of any" in words.footer(looping)
    whole = replace(looping, timeline=replace(looping.timeline, bands=looping.timeline.bands[:1]))
    assert "all revisions in one transaction" in words.footer(whole)


def test_what_grows_under_a_lock_is_told_in_clauses() -> None:
    tables = tuple(Growth(Name(name), Name(name), rows=2_000_000, bytes=1 << 20) for name in ("a", "b", "c"))
    told = Duration(0.075, tables, 100, None, "revision `d` grows most: 1.3 to 2.5 s per million rows")
    assert told.words == (
        "75 ms on 100 rows, grows with `a` (2 million rows, 1 MB in production), `b` (2 million rows, 1 MB in"
        " production) and `c` (2 million rows, 1 MB in production); revision `d` grows most: 1.3 to 2.5 s per million rows"
    )
    assert Duration(0.004, tables[:1]).words.startswith("4 ms on empty tables, grows with `a`")


def test_what_ran_on_empty_tables_is_not_told_as_if_there_were_rows(untested: Release) -> None:
    assert not any(each.duration.rows for each in untested.timeline.steps)


@pytest.fixture(scope="module")
def untested(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A revision that fails on rows, so that nobody sees what its way back brings back."""
    fails = """
op.add_column("things", sa.Column("size", sa.Integer, nullable=False))
op.drop_column("things", "note")
op.execute("DELETE FROM things WHERE id < 0")
"""
    back = 'op.add_column("things", sa.Column("note", sa.Text))\nop.drop_column("things", "size")'
    given = 'op.execute("CREATE TABLE things (id int PRIMARY KEY, note text)")'
    folder = project(
        tmp_path_factory.mktemp("untested"),
        revision("b", "a", given, "pass"),
        revision("c", "b", fails, back),
        revision("d", "c", 'op.drop_table("things")', given),
    )
    return release(folder, "b", "d")


def test_a_revision_that_destroys_something_and_is_untested_leaves_the_point_of_no_return_unknown(
    untested: Release,
) -> None:
    c, _ = untested.way_back

    assert c.label == "untested"
    assert c.destroys == ("drops `things.note`", "deletes from `things`")
    told = words.no_return(untested)
    assert told.startswith("unknown, because c is untested and drops `things.note` and deletes from `things`")
    assert "and nobody has seen what was there come back" in words.back_line(c)


def test_nothing_untested_is_told_as_if_there_were_a_way_back(untested: Release) -> None:
    c, d = untested.way_back
    final = replace(d, label="irreversible")
    known = replace(untested, way_back=(c, final), verdict=replace(untested.verdict, no_return=final))
    harmless = replace(
        untested, way_back=(replace(c, destroys=()),), verdict=replace(untested.verdict, no_return=None)
    )

    assert words.no_return(known).endswith("; at the latest revision d: it has no way back")
    assert words.no_return(harmless) == "unknown, because the way back over c is untested"


# -- the command ----------------------------------------------------------------------------------


def test_the_command_writes_all_that_is_asked_for(folder: Path) -> None:
    done = warm.run(
        [
            *("release", "v1", "b", "--python", sys.executable, "--rows", "5"),
            *("--sql", "deploy.sql", "--notes", "notes.md", "--format", "html", "--output", "page.html"),
            *("--format", "text"),
        ],
        folder,
        warm.environment(),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Release v1 (a) to b: 1 revision\n")
    assert "ADD COLUMN total" in (folder / "deploy.sql").read_text()
    assert (folder / "notes.md").read_text().startswith("## Database upgrade from v1")
    assert (folder / "page.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("option", ["--output", "--sql", "--notes"])
def test_a_file_that_cannot_be_written_is_refused_with_its_option(option: str, folder: Path) -> None:
    done = warm.run(["release", "v1", "b", option, "."], folder, warm.environment())

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "alembic-reviewer: The report cannot be written to .: it is a folder.",
        f"Name another file with {option}.",
    ]


def test_quiet_leaves_one_line_that_says_what_it_comes_to(folder: Path) -> None:
    done = warm.run(["release", "v2", "head", "-q"], folder, warm.environment())

    (line,) = done.stdout.splitlines()
    assert line.startswith("Release v2 (f) to head (f): 0 revisions. There is nothing to deploy")


@pytest.fixture
def database(rehearsal_bench: Rehearsals) -> Iterator[psycopg.Connection[Any]]:
    """An empty database."""
    server = rehearsal_bench.server
    name = server.create_database("release_script")
    with server.connect(name) as connection:
        connection.autocommit = True
        yield connection
    server.drop_database(name)


# -- what the plan says to write ------------------------------------------------------------------


_SYNC = """
from alembic import context
from sqlalchemy import engine_from_config, pool

config = context.config


def run_migrations_online() -> None:
    connectable = engine_from_config(
        config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool
    )
    with connectable.connect() as connection:
        context.configure(connection=connection, include_schemas=True, version_table_schema="own")
        with context.begin_transaction():
            context.run_migrations()


"""
_ASYNC = """
import asyncio

from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import async_engine_from_config

config = context.config


def do_run_migrations(connection) -> None:
    context.configure(connection=connection, include_schemas=True, version_table_schema="own")
    with context.begin_transaction():
        context.run_migrations()


async def run_async_migrations() -> None:
    connectable = async_engine_from_config(
        config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool
    )
    async with connectable.connect() as connection:
        await connection.run_sync(do_run_migrations)
    await connectable.dispose()


def run_migrations_online() -> None:
    asyncio.run(run_async_migrations())


"""
_LAST = """


if context.is_offline_mode():
    raise NotImplementedError
else:
    run_migrations_online()
"""


@pytest.mark.parametrize("own", [_SYNC, _ASYNC], ids=["synchronous", "asynchronous"])
def test_an_env_py_with_the_lines_of_the_plan_waits_for_no_lock_and_tries_again(
    own: str, tmp_path: Path, rehearsal_bench: Rehearsals, database: psycopg.Connection[Any]
) -> None:
    user = rehearsal_bench.server.address.user
    database.execute("CREATE TABLE items (id serial PRIMARY KEY)")
    database.execute(f"ALTER TABLE items OWNER TO {user}")
    database.execute(f"CREATE SCHEMA own AUTHORIZATION {user}")
    snippet = LOCK_TIMEOUT.replace('"2s", 5, 10', '"50ms", 0.2, 50')
    address = rehearsal_bench.server.address
    url = address.url(database.info.dbname).replace("postgresql://", "postgresql+psycopg://")
    write(
        tmp_path,
        {
            "alembic.ini": f"[alembic]\nscript_location = %(here)s/m\nsqlalchemy.url = {url.replace('%', '%%')}\n",
            "m/env.py": f"{own}{snippet}{_LAST}",
            "m/versions/a.py": revision("a", None, 'op.add_column("items", sa.Column("sku", sa.Text))'),
        },
    )
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]

    with rehearsal_bench.server.connect(database.info.dbname) as reader:
        reader.autocommit = False
        reader.execute("SELECT * FROM items")  # it holds ACCESS SHARE until it ends
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as migration:
            assert becomes_true(lambda: _refused(database) > 6)
            assert migration.poll() is None
            reader.rollback()
            output = migration.communicate(timeout=60)[0].decode()

    assert migration.returncode == 0, output
    assert database.execute("SELECT sku FROM items").fetchall() == []
    assert database.execute("SELECT version_num FROM own.alembic_version").fetchall() == [("a",)]


def test_the_plan_says_where_its_lines_of_env_py_go(looping: Release) -> None:
    (lines,) = [each for each in looping.plan.bound if each.code]
    assert lines.code == LOCK_TIMEOUT
    assert "above its last `if context.is_offline_mode():`" in lines.detail


def _refused(database: psycopg.Connection[Any]) -> int:
    """How many transactions of the migration were rolled back."""
    database.execute("SELECT pg_stat_force_next_flush()")
    found = database.execute(
        "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    return int(found[0]) if found else 0
