"""New revisions run at three sizes of their tables, and every report says how they grow. No test asserts a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from reviewer import recording
from reviewer.config import Config, load
from reviewer.errors import UsageError
from reviewer.judging import judged
from reviewer.recording import Direction, Location, Origin, Recording, Scale, ScaledRun, Sized, Table, Taken
from reviewer.release.build import build
from reviewer.report import html, markdown, text
from reviewer.report.json import load as read_report
from reviewer.report.json import render as as_json
from reviewer.report.release import html as release_html
from reviewer.report.release import markdown as release_markdown
from reviewer.report.release import notes as release_notes
from reviewer.report.release import text as release_text
from reviewer.review.durations import durations, refuse_unknown, told_seconds
from reviewer.review.fit import Kind
from reviewer.review.verdict import Report
from reviewer.sql.names import Name
from tests import rehearsals
from tests.command import project, revision
from tests.stats.made import production

INDEX = 'op.create_index("ix_items_id", "items", ["id"])'
UNINDEX = 'op.drop_index("ix_items_id", "items")'
LOOP = """for row in op.get_bind().execute(sa.text("SELECT id FROM items LIMIT 200")).fetchall():
    op.execute(f"UPDATE items SET id = {row[0]} WHERE id = {row[0]}")"""
ITEMS = Name("items", "public")


@pytest.fixture(scope="module")
def scaled(rehearsal_bench: rehearsals.Rehearsals, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = project(
        tmp_path_factory.mktemp("scaled"),
        revision("b", "a", INDEX, UNINDEX),
        revision("c", "b", LOOP),
    )
    return rehearsal_bench.of(folder, scale=1800)[0]


def _sizes(scale: Scale, revision: str = "") -> list[int]:
    """The sizes at which `revision` ran, or any did, twice at least."""
    rows = [each.rows for each in scale.runs if not revision or any(t.revision == revision for t in each.taken)]
    assert rows == sorted(rows)
    return [each for each in dict.fromkeys(rows) if rows.count(each) > 1]


@pytest.mark.processes
def test_the_revisions_run_at_three_sizes_and_each_at_least_twice(scaled: Recording) -> None:
    assert scaled.scale is not None
    assert scaled.scale.reason == ""
    assert _sizes(scaled.scale) == [200, 600, 1800]
    assert [each.tables for each in scaled.scale.runs[-1:]] == [(Sized(ITEMS, 1800),)]
    assert not any(each.failure for each in scaled.scale.runs)


@pytest.mark.processes
def test_each_statement_is_timed_up_and_down_with_the_table_it_works_on(scaled: Recording) -> None:
    assert scaled.scale is not None
    run = scaled.scale.runs[-1]
    (built,) = [each for each in run.taken if "CREATE INDEX" in each.sql]
    assert (built.direction, built.tables, built.works, built.count) == (Direction.UPGRADE, (ITEMS,), True, 1)
    (dropped,) = [each for each in run.taken if "DROP INDEX" in each.sql]
    assert (dropped.direction, dropped.works) == (Direction.DOWNGRADE, False)


@pytest.mark.processes
def test_a_loop_that_sends_other_statements_each_time_is_one_block(scaled: Recording) -> None:
    assert scaled.scale is not None
    blocks = [each for each in scaled.scale.runs[-1].taken if each.block]
    assert [(each.revision, each.count, each.tables) for each in blocks] == [("c", 200, (ITEMS,))]


@pytest.mark.processes
def test_a_recording_with_sizes_is_the_same_after_it_was_saved(scaled: Recording) -> None:
    assert recording.loads(recording.dumps([scaled])) == (scaled,)


@pytest.mark.processes
def test_a_release_tells_how_long_each_statement_its_lock_and_the_way_back_take_in_production(
    scaled: Recording,
) -> None:
    timed = _timed(scaled, 2.0)
    there = production({"items": 10_000_000})

    made = build(judged(Config(path=Path()), [timed], {}, there), "v1", "v2", production=there)

    (built,) = [each for each in made.timeline.steps if "CREATE INDEX" in each.statement.sql]
    assert built.duration.estimate is not None
    assert built.duration.estimate.least < 20 < built.duration.estimate.most
    assert built.duration.growth == "1.8 to 2.3 s per million rows"
    assert "in production (measured at 100,000, 300,000 and 900,000 rows" in built.duration.words
    # of the loop of the next revision, which runs under the same lock, nothing is known here
    assert [each.duration.estimate for band in made.timeline.bands for each in band.holds] == [None]

    made = build(judged(Config(path=Path()), [scaled], {}, there), "v1", "v2", production=there)

    under = [each.duration.estimate for each in made.timeline.steps]
    (whole,) = [each.duration.estimate for band in made.timeline.bands for each in band.holds]
    assert whole is not None
    assert whole.most >= sum(each.most for each in under if each is not None) > 0
    assert made.way_back[0].duration is not None
    assert made.way_back[0].duration.estimate is not None


@pytest.mark.processes
def test_without_sizes_a_release_tells_how_each_statement_grows(scaled: Recording) -> None:
    made = build(judged(Config(path=Path()), [_timed(scaled, 2.0)], {}), "v1", "v2")

    (built,) = [each for each in made.timeline.steps if "CREATE INDEX" in each.statement.sql]
    assert built.duration.estimate is None
    assert built.duration.words.endswith("grows with `items`; 1.8 to 2.3 s per million rows")


@pytest.mark.processes
def test_every_format_of_a_release_tells_first_what_takes_longest(scaled: Recording) -> None:
    made = build(judged(Config(path=Path()), [_timed(scaled, 2.0)], {}), "v1", "v2")

    for page in (release_text.render(made), release_markdown.render(made), release_html.render(made)):
        first, _, rest = page.partition("Takes longest")
        told, _, _ = rest.partition("Timeline")
        assert "Order" not in first
        assert "1.8 to 2.3 s per million rows" in told
        assert "items" in told
    assert '(<span class="option">--calibrate</span>)' in release_html.render(made)


@pytest.mark.processes
def test_a_block_counts_once_however_many_statements_it_sends(scaled: Recording) -> None:
    there = production({"items": 10_000_000})
    found = durations(scaled, there)
    made = build(judged(Config(path=Path()), [scaled], {}, there), "v1", "v2", production=there)

    (block,) = [each for each in found.all if each.block]
    sent = [each.duration.estimate for each in made.timeline.steps if each.location == block.location]
    assert len(sent) > 3
    assert block.production is not None
    assert sum(each.most for each in sent if each is not None) == pytest.approx(block.production.high)


@pytest.mark.processes
def test_notes_tell_how_it_grows_and_not_what_a_hundred_rows_took(scaled: Recording) -> None:
    text = release_notes.render(build(judged(Config(path=Path()), [_timed(scaled, 2.0)], {}), "v1", "v2"))

    assert "b builds index `ix_items_id` on `items`: grows with `items`; 1.8 to 2.3 s per million rows" in text


@pytest.mark.processes
def test_no_database_is_left_behind(scaled: Recording, rehearsal_bench: rehearsals.Rehearsals) -> None:
    assert scaled.scale is not None
    assert rehearsal_bench.server.databases == ()


@pytest.mark.processes
def test_what_fails_at_a_size_is_told_and_no_fault_of_the_project(
    rehearsal_bench: rehearsals.Rehearsals, tmp_path: Path
) -> None:
    guard = 'if op.get_bind().execute(sa.text("SELECT count(*) FROM items")).scalar() > 500: raise ValueError("too many")'
    made = rehearsal_bench.of(project(tmp_path, revision("b", "a", f"{INDEX}\n{guard}", UNINDEX)), scale=1800)[0]
    assert made.scale is not None
    assert made.scale.reason == "at 600 rows revision b failed: ValueError: too many"
    assert [each.outcome.value for each in made.passes if each.direction is Direction.UPGRADE] == ["ok"]
    assert any(each.what == "a larger size" for each in made.skipped)
    assert made.errors == ()


FAILING = {
    "rows that a constraint refuses": (
        """op.execute("CREATE TABLE kinds (id int PRIMARY KEY); CREATE TABLE things (id int PRIMARY KEY, kind int REFERENCES kinds)")""",
        """op.execute("ALTER TABLE kinds ADD CHECK (id < 0)")""",
        "rows of kinds at scale",
    ),
    "values that only the application can make": (
        """op.execute("CREATE TABLE things (id int PRIMARY KEY, packed bytea, note text NOT NULL)")""",
        """import zlib
for row in op.get_bind().execute(sa.text("SELECT packed FROM things WHERE packed IS NOT NULL")).fetchall():
    zlib.decompress(row[0])
op.execute("UPDATE things SET note = ''")""",
        "bytea values of things at scale",
    ),
}


@pytest.mark.processes
@pytest.mark.parametrize(("given", "upgrade", "left_out"), FAILING.values(), ids=FAILING)
def test_what_a_revision_fails_on_is_left_out_and_all_others_are_measured(
    given: str, upgrade: str, left_out: str, rehearsal_bench: rehearsals.Rehearsals, tmp_path: Path
) -> None:
    later = 'op.execute("UPDATE things SET id = id + 1000000")'
    folder = project(tmp_path, revision("b", "a", given), revision("c", "b", upgrade), revision("d", "c", later))

    made = rehearsal_bench.of(folder, "b:head", scale=1800)[0]

    assert made.scale is not None
    assert _sizes(made.scale) == [200, 600, 1800]
    assert made.scale.reason == ""
    assert [each.what for each in made.skipped if "at scale" in each.what] == [left_out]
    (found,) = [each for each in durations(made).all if each.revision == "d"]
    assert [str(each) for each in found.tables] == ["things"]
    assert sorted({point.rows for point in found.fit.points}) == [200, 600, 1800]


@pytest.mark.processes
def test_what_works_on_rows_that_a_later_revision_fails_on_is_measured_with_them(
    rehearsal_bench: rehearsals.Rehearsals, tmp_path: Path
) -> None:
    given, fails, left_out = FAILING["rows that a constraint refuses"]
    folder = project(
        tmp_path,
        revision("b", "a", given),
        revision("c", "b", 'op.create_index("ix_kinds_id", "kinds", ["id"])', 'op.drop_index("ix_kinds_id")'),
        revision("d", "c", fails, 'op.execute("ALTER TABLE kinds DROP CONSTRAINT kinds_id_check")'),
        revision("e", "d", 'op.execute("UPDATE things SET id = id + 1000000")'),
    )

    made = rehearsal_bench.of(folder, "b:head", scale=1800)[0]

    assert made.scale is not None
    assert made.scale.reason == ""
    assert [each.what for each in made.skipped if "at scale" in each.what] == [left_out]
    assert [_sizes(made.scale, each) for each in "ce"] == [[200, 600, 1800]] * 2
    found = {(each.revision, each.direction): each for each in durations(made).all if each.tables}
    (built,) = [each for (revision, _), each in found.items() if revision == "c"]
    assert [str(each) for each in built.tables] == ["kinds"]
    assert max(point.rows for point in built.fit.points) == 1800
    assert {point.rows for each in found.values() if each.revision == "d" for point in each.fit.points} == {0}
    assert {each.why for run in made.scale.runs for each in run.tables if not each.rows} == {
        "revision d fails on rows of kinds"
    }
    assert ("c", Direction.DOWNGRADE) in {(each.revision, each.direction) for each in durations(made).all}


# -- judging, from made-up times ------------------------------------------------------------------


PLACE = Location("migrations/versions/b.py", 8)


def _timed(
    scaled: Recording, seconds: float, *, sizes: tuple[int, ...] = (100_000, 300_000, 900_000), off: float = 1.0
) -> Recording:
    """With an index build of so many seconds per million rows, or `off` times that in every second run."""
    (built,) = [each for run in scaled.scale.runs[-1:] for each in run.taken if "CREATE INDEX" in each.sql]  # type: ignore[union-attr]
    runs = tuple(
        ScaledRun(
            size,
            (Sized(ITEMS, size),),
            (replace(built, seconds=times * seconds * size / 1_000_000, between=0.0, waited=0.0),),
        )
        for size in sizes
        for times in (1.0, off)
    )
    return replace(scaled, scale=Scale(60, 50, runs))


def _report(made: Recording, **settings: object) -> Report:
    stats = production({"items": 50_000_000})
    return judged(Config(path=Path(), **settings), [made], {}, stats)  # type: ignore[arg-type]


@pytest.mark.processes
def test_a_time_in_production_is_a_range_around_what_its_rows_would_take(scaled: Recording) -> None:
    (found,) = durations(_timed(scaled, 2.0), production({"items": 50_000_000})).all
    assert found.fit.kind is Kind.LINEAR
    assert found.rows == 50_000_000
    assert found.production is not None
    assert found.production.low < 100 < found.production.high


@pytest.mark.processes
def test_a_statement_whose_table_is_not_known_does_not_hide_the_time_of_the_revision(scaled: Recording) -> None:
    timed = _timed(scaled, 2.0)
    assert timed.scale is not None
    other = [
        replace(run, taken=(*run.taken, replace(run.taken[0], sql="SELECT do()", tables=(), works=False)))
        for run in timed.scale.runs
    ]
    timed = replace(timed, scale=replace(timed.scale, runs=tuple(other)))

    found = durations(timed, production({"items": 10_000_000})).of_revision("b", Direction.UPGRADE)

    assert found is not None
    assert found.low < 40 < found.high


@pytest.mark.processes
def test_what_worked_on_empty_tables_was_not_measured(scaled: Recording) -> None:
    timed = _timed(scaled, 0.0)
    assert timed.scale is not None
    empty = [replace(run, tables=(Sized(ITEMS, 0),)) for run in timed.scale.runs]

    (found,) = durations(replace(timed, scale=replace(timed.scale, runs=tuple(empty)))).all

    assert found.phrase == "not measured: items was empty"


@pytest.mark.parametrize(
    ("kinds", "there", "phrase"),
    [
        ([0, 0, 0], 10, "not measured: kinds was empty, as revision c fails on rows of kinds"),
        ([5, 5, 5], 50_000, "not measured: kinds was of 5 rows in every run, as revision c fails on rows of kinds"),
        ([5, 5, 5], 5, ""),
        ([50_000, 150_000, 450_000], 5_000_000, ""),
    ],
    ids=["without rows", "at one size", "as many as in production", "at three sizes"],
)
@pytest.mark.processes
def test_what_one_of_its_tables_costs_says_nothing_of_another_without_rows(
    kinds: list[int], there: int, phrase: str, scaled: Recording
) -> None:
    kind, why = Name("kinds", "public"), "revision c fails on rows of kinds"
    timed = _timed(scaled, 2.0)
    assert timed.scale is not None
    tables = (*timed.base.tables, Table(kind, "table"))
    runs = tuple(
        replace(
            run,
            tables=(*run.tables, Sized(kind, rows, why)),
            taken=tuple(replace(each, tables=(*each.tables, kind)) for each in run.taken),
        )
        for run, rows in zip(timed.scale.runs, [size for size in kinds for _ in range(2)], strict=True)
    )
    made = replace(timed, base=replace(timed.base, tables=tables), scale=replace(timed.scale, runs=runs))

    (found,) = durations(made, production({"items": 50_000_000, "kinds": there})).all

    assert (found.production is None) == bool(phrase)
    if phrase:
        assert found.phrase == phrase
        assert "in production" not in found.sentence


@pytest.mark.processes
def test_without_sizes_there_is_a_time_for_a_million_rows_and_none_for_production(scaled: Recording) -> None:
    (found,) = durations(_timed(scaled, 2.0)).all
    assert found.production is None
    assert "s per million rows" in found.phrase


@pytest.mark.processes
def test_a_known_run_in_production_sets_the_factor_between_the_machines(scaled: Recording) -> None:
    made, stats = _timed(scaled, 2.0), production({"items": 50_000_000})
    plain, slower = durations(made, stats), durations(made, stats, [("b", 1000.0)])
    total = slower.of_revision("b", Direction.UPGRADE)
    assert total is not None
    assert total.middle == pytest.approx(1000.0)
    assert slower.calibrated == "b"
    assert slower.factor > plain.factor == 1


@pytest.mark.processes
def test_two_known_runs_in_production_count_alike(scaled: Recording) -> None:
    made, stats = _timed(scaled, 2.0), production({"items": 50_000_000})
    total = durations(made, stats, [("b", 500.0), ("b", 2000.0)]).of_revision("b", Direction.UPGRADE)
    assert total is not None
    assert total.middle == pytest.approx(1000.0)


def test_a_name_that_begins_no_new_revision_is_refused() -> None:
    for name, said in (("nosuch", "no new revision begins with that"), ("b", "b1 and b2 begin with that")):
        with pytest.raises(UsageError, match=f"--calibrate {name}: {said}"):
            refuse_unknown([(name, 3.0)], ["b1", "b2"])


@pytest.mark.processes
@pytest.mark.parametrize(
    ("rows", "off", "sizes", "why"),
    [
        (100_000, 1, {"orders": 5}, "the size of items in production is not known (--stats)"),
        (0, 1, {"items": 5_000_000}, "its growth was not measured: items was empty"),
        (100_000, 2.4, {"items": 50_000_000}, "could not be measured well enough to say it closer"),
        (100_000, 1, {"items": 10}, "too little to compare"),
    ],
)
def test_a_revision_of_which_no_time_is_known_calibrates_nothing_and_is_told(
    rows: int, off: float, sizes: dict[str, int], why: str, scaled: Recording
) -> None:
    made = _timed(scaled, 2.0, sizes=(rows, 3 * rows, 9 * rows), off=off)
    found = durations(made, production(sizes), [("b", 3.0), ("of_another_tree", 1.0)])
    assert (found.factor, found.calibrated) == (1, "")
    assert [(revision, why in said) for revision, said in found.unused] == [("b", True)]

    config = Config(path=Path(), calibrate=(("b", 3.0),))
    report = judged(config, [made], {})
    assert any(each.what == "--calibrate b" for each in report.skipped)


@pytest.mark.processes
def test_a_range_that_is_too_wide_to_plan_with_says_so(scaled: Recording) -> None:
    stats = production({"items": 50_000_000})
    (sure,) = durations(_timed(scaled, 2.0), stats).all
    (vague,) = durations(_timed(scaled, 2.0, off=2.4), stats).all
    assert sure.production is not None
    assert vague.production is not None
    assert sure.production.high <= 4 * sure.production.low
    assert vague.production.high > 4 * vague.production.low
    assert "could not be measured well enough" not in sure.sentence
    assert vague.sentence.count("could not be measured well enough to say it closer") == 1


@pytest.mark.processes
def test_every_format_has_the_table_and_the_finding_says_how_long(scaled: Recording) -> None:
    report = _report(_timed(scaled, 2.0))
    (blocking,) = [each for each in report.findings if each.rule == "blocking-index"]
    assert "50 million rows" in blocking.takes
    for page in (text.render(report), markdown.render(report), html.render(report)):
        assert "how long" in page.lower()
        assert "50 million rows" in page
        assert "100,000, 300,000 and 900,000 rows" in page
    found = json.loads(as_json(report))
    assert found["scale"] == [{"tree": "", "sizes": [100_000, 300_000, 900_000], "factor": 1.0, "calibrated": None}]
    (duration,) = found["durations"]
    assert (duration["growth"], duration["tables"], duration["rows"]) == ("linear", ["items"], 50_000_000)
    assert duration["production"]["low"] < 100 < duration["production"]["high"]


@pytest.mark.processes
def test_a_report_that_is_read_again_has_the_same_durations(scaled: Recording) -> None:
    report = _report(_timed(scaled, 2.0))
    again = read_report(as_json(report))
    assert markdown.render(again) == markdown.render(report)


def test_a_time_has_two_digits_and_a_unit() -> None:
    assert [told_seconds(each) for each in (0.0001, 0.012, 1.0, 3.44, 45.2, 300, 9000)] == [
        "under 1 ms",
        "12 ms",
        "1 s",
        "3.4 s",
        "45 s",
        "5 min",
        "2.5 h",
    ]


def test_statements_of_alembic_itself_are_not_told() -> None:
    taken = Taken("b", Direction.UPGRADE, "UPDATE alembic_version", None, Origin.ALEMBIC, 1, 0.1)
    made = Recording("1", recording.Mode.OBSERVED, (), scale=Scale(1, 1, (ScaledRun(10, (), (taken,)),)))
    assert durations(made).all == ()


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"scale": True, "static": True}, "--static"),
        ({"scale": True, "no_rows": True}, "--no-rows"),
        ({"calibrate": ("abc",)}, "REVISION=SECONDS"),
        ({"calibrate": ("abc=-3",)}, "REVISION=SECONDS"),
        ({"scale_rows": 10}, "at least 1000"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(flags: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        load({"path": ".", **flags})
