"""Migrations that look alike and are not: what was judged wrongly once, reviewed on a real server."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from msgspec.structs import replace

from reviewer.rehearsal.workbench import NOT_BUILT_IN
from reviewer.review.rollback_label import label
from tests import cases, look_alikes

ITEMS = ("CREATE TABLE items (id int PRIMARY KEY, old text)", "INSERT INTO items SELECT generate_series(1, 50)")

NO_WAY_BACK = "raise NotImplementedError"


@pytest.fixture(name="bench")
def bench_of_cases(case_bench: cases.Bench) -> cases.Bench:
    return case_bench


def case(*revisions: tuple[str, str], per_migration: bool = False) -> cases.Case:
    """Revisions, each an upgrade and a downgrade, on a table that holds rows."""
    made = tuple(
        {"revision": f"r{n}", "down_revision": f"r{n - 1}" if n > 1 else "base0", "upgrade": up, "downgrade": down}
        for n, (up, down) in enumerate(revisions, 1)
    )
    return cases.Case("twin", "a near twin", "safe", (), ITEMS, made, per_migration)


@pytest.mark.parametrize(
    ("sql", "rule", "first"),
    [
        (
            "ALTER TABLE items ADD COLUMN a int NOT NULL, ADD COLUMN b text",
            "required-column",
            ["# Not covered here: the same statement also adds items.b."],
        ),
        (
            "ALTER TABLE items ALTER id TYPE bigint, DROP COLUMN old",
            "rewriting-type-change",
            ["# Not covered here: the same statement also drops items.old.", "op.add_column("],
        ),
        (
            "ALTER TABLE items ADD COLUMN a int; CREATE INDEX ix ON items (old) WHERE id > 3",
            "blocking-index",
            [
                "# Not covered here: the same statement also adds items.a.",
                "with op.get_context().autocommit_block():",
                '    op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix")',
                '    op.execute("CREATE INDEX CONCURRENTLY ix ON items (old) WHERE id > 3")',
            ],
        ),
        (
            "SELECT 1; CREATE INDEX ix ON items (old)",
            "blocking-index",
            [
                "with op.get_context().autocommit_block():",
                '    op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix")',
                '    op.create_index("ix", "items", ["old"]',
            ],
        ),
    ],
    ids=["two columns", "a type and a column", "two statements", "a statement that changes nothing"],
)
def test_a_remedy_says_what_it_leaves_out_of_a_text_that_does_several_things(
    sql: str, rule: str, first: list[str], bench: cases.Bench
) -> None:
    report = bench.review(case((f"op.execute({sql!r})", "raise NotImplementedError")))

    (finding,) = (each for each in report.findings if each.rule == rule)
    lines = finding.remedy[0].splitlines()
    assert [line[: len(wanted)] for line, wanted in zip(lines, first, strict=False)] == first


def test_a_downgrade_may_bring_a_constraint_back_without_reading_every_row(bench: cases.Bench) -> None:
    added = 'op.create_check_constraint("set", "items", "id IS NOT NULL", postgresql_not_valid=True)'
    dropped = 'op.drop_constraint("set", "items", type_="check")'
    validated = 'op.execute("ALTER TABLE items VALIDATE CONSTRAINT set")'.replace("set", '\\"set\\"')

    report = bench.review(case((added, dropped), (validated, "pass"), (dropped, added), per_migration=True))

    told = [(f.severity.value, f.rule) for f in report.findings if f.rule == "incomplete-downgrade"]
    assert told == [("notice", "incomplete-downgrade")]
    assert cases.loud(report.findings) == []


@pytest.mark.parametrize(
    ("first", "severity"),
    [
        ('op.add_column("items", sa.Column("a", sa.Integer()))', "notice"),
        ('op.execute("ALTER TABLE items ALTER id TYPE bigint")', "warning"),
    ],
    ids=["that takes no time", "that writes every row anew"],
)
def test_a_second_table_is_as_bad_as_what_happens_to_the_first(
    first: str, severity: str, bench: cases.Bench
) -> None:
    made = case((f'{first}\nop.add_column("others", sa.Column("b", sa.Text()))', "raise NotImplementedError"))
    report = bench.review(replace(made, setup=(*ITEMS, "CREATE TABLE others (id int PRIMARY KEY)")))

    assert [f.severity.value for f in report.findings if f.rule == "several-exclusive-locks"] == [severity]


@pytest.mark.parametrize(
    ("statement", "severity"),
    [
        ("INSERT INTO keyed (id) VALUES (1), (2)", "notice"),
        ("UPDATE keyed SET id = 1", "warning"),
    ],
    ids=["that the revision inserts", "that it gives to all"],
)
def test_a_key_that_a_made_up_row_has_is_doubted(statement: str, severity: str, bench: cases.Bench) -> None:
    made = case((f'op.execute("{statement}")', 'op.execute("DELETE FROM keyed WHERE id < 3")'))
    report = bench.review(replace(made, setup=("CREATE TABLE keyed (id int PRIMARY KEY)",)))

    assert [f.severity.value for f in report.findings if f.rule == "failing-upgrade"] == [severity]


def test_a_type_that_is_missing_is_told_with_the_column_that_had_it(bench: cases.Bench) -> None:
    made = case(
        (
            'op.execute("ALTER TABLE pets ALTER mood TYPE varchar(4)")\nop.execute("DROP TYPE mood")',
            'op.execute("ALTER TABLE pets ALTER mood TYPE varchar(5)")',
        )
    )
    setup = ("CREATE TYPE mood AS ENUM ('good', 'bad')", "CREATE TABLE pets (id bigint PRIMARY KEY, mood mood)")
    report = bench.review(replace(made, setup=setup))

    (told,) = (f.message for f in report.findings if f.rule == "incomplete-downgrade")
    assert "the type of column `pets.mood` is `character varying(5)` and was `mood`" in told


def test_a_downgrade_that_drops_what_was_there_is_told_once(bench: cases.Bench) -> None:
    made = case(
        (
            'op.add_column("items", sa.Column("a", sa.Integer()))',
            'op.drop_column("items", "a")\nop.drop_column("items", "old")\nop.drop_table("others")',
        )
    )
    report = bench.review(replace(made, setup=(*ITEMS, "CREATE TABLE others (id int PRIMARY KEY)")))

    down = [(f.rule, f.severity.value) for f in report.findings if f.direction.value == "downgrade"]
    assert down == [("destructive-downgrade", "error")] * 2


OTHERS = (*ITEMS, "CREATE TABLE others (id int PRIMARY KEY, old text)", "INSERT INTO others VALUES (1)")
INSTANT = 'op.add_column("items", sa.Column("a", sa.Integer()))'


@pytest.mark.parametrize(
    ("first", "second", "rule", "told"),
    [
        (
            INSTANT,
            'op.add_column("others", sa.Column("b", sa.Integer()))',
            "several-exclusive-locks",
            "since line {}, so",
        ),
        (
            'op.create_check_constraint("positive", "items", "id > 0", postgresql_not_valid=True)',
            'op.execute("ALTER TABLE items VALIDATE CONSTRAINT positive")',
            "validated-in-same-transaction",
            "was added in line {}, in the same transaction",
        ),
        (INSTANT, """op.execute("UPDATE others SET old = 'x'")""", "work-under-lock", "taken in line {}, so"),
    ],
    ids=["a lock on another table", "a constraint", "rows"],
)
@pytest.mark.parametrize("apart", [True, False], ids=["in another revision", "in the same revision"])
def test_a_line_of_another_revision_is_told_with_that_revision(
    apart: bool, first: str, second: str, rule: str, told: str, bench: cases.Bench
) -> None:
    bodies = [f"pass\n{first}", second] if apart else [f"pass\n{first}\n{second}"]
    report = bench.review(replace(case(*((body, "pass") for body in bodies)), setup=OTHERS))

    [finding] = (each for each in report.findings if each.rule == rule)
    line = bench.last["r1"].splitlines().index(f"    {first}") + 1
    assert told.format(f"{line} of `r1`" if apart else line) in finding.message


BUILD = 'op.create_index("ix_old", "items", ["old"])'
REWRITE = 'op.execute("ALTER TABLE items ALTER id TYPE bigint")'
SCAN = 'op.alter_column("items", "old", nullable=False)'


@pytest.mark.parametrize("work", [BUILD, REWRITE, SCAN], ids=["builds an index", "rewrites", "scans"])
@pytest.mark.parametrize("instant", [True, False], ids=["with another statement", "alone"])
def test_a_timeout_before_a_statement_that_takes_long_is_no_remedy(
    work: str, instant: bool, bench: cases.Bench
) -> None:
    # on another table: whoever holds the lock already does not wait for it
    quick = 'op.add_column("others", sa.Column("a", sa.Integer()))'
    made = case((f"{work}\n{quick}" if instant else work, "raise NotImplementedError"))
    report = bench.review(replace(made, setup=(ITEMS[0], OTHERS[2])))

    [finding] = (each for each in report.findings if each.rule == "endless-lock-wait")
    assert finding.location is not None
    assert bench.last["r1"].splitlines()[finding.location.line - 1].strip() == (quick if instant else work)
    assert [remedy.splitlines() for remedy in finding.remedy] == (
        [
            [
                "# set it for all migrations in env.py, as `alembic-reviewer explain endless-lock-wait` shows, or here:",
                """op.execute("SET LOCAL lock_timeout = '5s'")""",
                'op.execute("ALTER TABLE others ADD COLUMN a INTEGER")',
            ]
        ]
        if instant
        else []
    )


TYPES = ["timestamp", "timestamptz"]
DOUBT = [("warning", "unless the session's time zone is UTC as in the rehearsal")]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("SELECT 1", "", DOUBT),
        ("SELECT 1", " USING seen::{new}", DOUBT),
        ("SET LOCAL TimeZone = 'UTC'", "", []),
        ("SET LOCAL TimeZone = 'Europe/Berlin'", "", [("error", "writes every row")]),
        ("SELECT 1", " USING seen AT TIME ZONE 'UTC'", [("error", "writes every row")]),
    ],
    ids=["as the server says", "with a plain cast", "set to UTC", "set to another", "with USING"],
)
@pytest.mark.parametrize(("old", "new"), [TYPES, TYPES[::-1]], ids=["to timestamptz", "and back"])
def test_a_change_that_the_time_zone_decides_is_told_though_the_rehearsal_runs_in_utc(
    old: str, new: str, before: str, after: str, told: list[tuple[str, str]], bench: cases.Bench
) -> None:
    change = f"ALTER TABLE items ALTER seen TYPE {new}{after.format(new=new)}"
    made = case((f'op.execute("{before}")\nop.execute("{change}")', "raise NotImplementedError"))
    report = bench.review(replace(made, setup=(f"CREATE TABLE items (id int PRIMARY KEY, seen {old})",)))

    found = [each for each in report.findings if each.rule == "rewriting-type-change"]
    assert [each.severity.value for each in found] == [severity for severity, _ in told]
    assert all(words in each.message for each, (_, words) in zip(found, told, strict=True))


@pytest.mark.parametrize(
    ("actions", "told"),
    [
        ("ALTER old TYPE varchar(90), ALTER id TYPE bigint", [("rewriting-type-change", "`items.id`")]),
        ("ADD a text DEFAULT 'x', ALTER id TYPE bigint", [("rewriting-type-change", "`items.id`")]),
        (
            "ADD a timestamptz DEFAULT now(), ADD b uuid DEFAULT gen_random_uuid()",
            [("rewriting-default", "`items.b`")],
        ),
    ],
    ids=["a type that is stored alike", "a constant", "the time of the statement"],
)
def test_only_the_action_that_writes_the_table_anew_is_told(
    actions: str, told: list[tuple[str, str]], bench: cases.Bench
) -> None:
    made = case((f'op.execute("ALTER TABLE items {actions}")', "raise NotImplementedError"))
    report = bench.review(replace(made, setup=("CREATE TABLE items (id int PRIMARY KEY, old varchar(50))",)))

    found = [each for each in report.findings if each.rule.startswith("rewriting-")]
    assert [each.rule for each in found] == [rule for rule, _ in told]
    assert all(name in each.message for each, (_, name) in zip(found, told, strict=True))


ADDED = ('op.add_column("items", sa.Column("made", sa.Text()))', 'op.drop_column("items", "made")')


@pytest.mark.parametrize(
    ("second", "severity"),
    [
        (
            (
                'op.alter_column("items", "made", new_column_name="born")',
                'op.alter_column("items", "born", new_column_name="made")',
            ),
            [],
        ),
        (("""op.execute("UPDATE items SET made = 'x' WHERE made IS NULL")""", "pass"), ["notice"]),
        (("""op.execute("UPDATE items SET old = 'x' WHERE id < 10")""", "pass"), ["warning"]),
    ],
    ids=["renamed with its NULLs", "filled where it was NULL", "of values that were there"],
)
def test_only_a_value_that_was_there_is_lost(
    second: tuple[str, str], severity: list[str], bench: cases.Bench
) -> None:
    report = bench.review(replace(case(ADDED, second, per_migration=True), setup=(ITEMS[0],)))

    assert [each.severity.value for each in report.findings if each.rule == "lossy-round-trip"] == severity


@pytest.mark.parametrize(
    ("proof", "told"),
    [
        ("id > 0 AND (old IS NOT NULL)", []),
        ('("old" IS NOT NULL) AND id > 0', []),
        ("id > 0 OR old IS NOT NULL", ["warning"]),
        ("id > 0 OR id < 9 AND old IS NOT NULL", ["warning"]),
        ("NOT (old IS NOT NULL)", ["warning"]),
        ("(CASE WHEN id > 0 AND old IS NOT NULL AND true THEN true END)", ["warning"]),
    ],
)
def test_without_a_server_a_check_proves_what_each_of_its_rows_satisfies(
    proof: str, told: list[str], bench: cases.Bench
) -> None:
    made = case(('op.alter_column("items", "old", nullable=False)', "raise NotImplementedError"))
    setup = (ITEMS[0], f"ALTER TABLE items ADD CONSTRAINT proof CHECK ({proof})")

    report = bench.review(replace(made, setup=setup), static=True)

    assert [each.severity.value for each in report.findings if each.rule == "scanning-not-null"] == told


def test_rows_that_had_no_place_before_a_new_partition_are_not_lost(bench: cases.Bench) -> None:
    bounds = "ALTER TABLE items {} PARTITION items_b FOR VALUES FROM (1000) TO (9999)"
    up = f'op.execute("CREATE TABLE items_b (LIKE items INCLUDING ALL)")\nop.execute("{bounds.format("ATTACH")}")'
    down = 'op.execute("ALTER TABLE items DETACH PARTITION items_b")\nop.drop_table("items_b")'
    setup = (
        "CREATE TABLE items (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE items_a PARTITION OF items FOR VALUES FROM (0) TO (1000)",
        "INSERT INTO items VALUES (1), (2)",
    )
    report = bench.review(replace(case((up, down)), setup=setup))

    assert [each.severity.value for each in report.findings if each.rule == "lossy-round-trip"] == ["notice"]


@pytest.mark.parametrize(
    ("drop", "rules"),
    [
        ("DROP VIEW low CASCADE", ["cascading-drop"]),
        ("DROP VIEW high CASCADE", ["dropped-object"]),
    ],
    ids=["that takes another along", "that takes none along"],
)
def test_a_drop_with_cascade_is_told_once(drop: str, rules: list[str], bench: cases.Bench) -> None:
    setup = (*ITEMS, "CREATE VIEW low AS SELECT id FROM items", "CREATE VIEW high AS SELECT id FROM low")
    made = case((f'op.execute("{drop}")', "raise NotImplementedError"))
    report = bench.review(replace(made, setup=setup))

    assert [f.rule for f in report.findings if f.rule in ("cascading-drop", "dropped-object")] == rules


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE items SET old = lower(old) WHERE id < 10", ["lossy-round-trip"]),
        ("DELETE FROM items WHERE id < 10", ["lossy-round-trip"]),
        ("DELETE FROM items", ["unfiltered-change"]),
        ("DELETE FROM items WHERE id < 0", ["unreversed-data-change"]),
    ],
    ids=["values", "some rows", "all rows", "rows that are not there"],
)
def test_rows_that_are_lost_are_told_once(change: str, told: list[str], bench: cases.Bench) -> None:
    made = case((f'op.execute("{change}")\n{ADDED[0]}', ADDED[1]))
    report = bench.review(replace(made, setup=(*ITEMS, "UPDATE items SET old = 'Ab'")))

    assert [each.rule for each in cases.loud(report.findings)] == told


def trigger(when: str, body: str) -> str:
    return (
        f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
        f"CREATE TRIGGER t {when} ON items FOR EACH ROW EXECUTE FUNCTION f()"
    )


def vanished(bench: cases.Bench, sql: str, *setup: str) -> list[str]:
    report = bench.review(replace(case((f"op.execute({sql!r})", NO_WAY_BACK)), setup=(*ITEMS, *setup)))
    told = [f for f in report.findings if f.rule == "refused-after-upgrade"]
    assert [f.severity.value for f in told] == ["error"] * len(told)
    return [f.message for f in told]


@pytest.mark.parametrize(
    ("sql", "action"),
    [
        (trigger("BEFORE INSERT", "RETURN NULL;"), "INSERT"),
        (trigger("BEFORE DELETE", "RETURN NEW;"), "DELETE"),
        (trigger("BEFORE UPDATE", "RETURN OLD;"), "UPDATE"),
        (trigger("BEFORE UPDATE", "RETURN NULL;"), "UPDATE"),
        ("CREATE RULE r AS ON INSERT TO items DO INSTEAD NOTHING", "INSERT"),
    ],
    ids=["INSERT", "DELETE", "UPDATE that is undone", "UPDATE that is left out", "rule"],
)
def test_a_statement_that_succeeds_and_writes_nothing_is_told(sql: str, action: str, bench: cases.Bench) -> None:
    (told,) = vanished(bench, sql)

    assert told.startswith(f"{action} on `items` succeeds and ")


@pytest.mark.parametrize(
    "sql",
    [
        trigger("AFTER INSERT", "RETURN NULL;"),
        trigger("BEFORE DELETE", "RETURN OLD;"),
        trigger("BEFORE UPDATE", "NEW.old := lower(NEW.old); RETURN NEW;"),
        trigger("BEFORE INSERT", "INSERT INTO others VALUES (NEW.id); RETURN NULL;"),
        trigger("BEFORE DELETE", "UPDATE items SET old = 'gone' WHERE id = OLD.id; RETURN NULL;"),
        trigger("BEFORE UPDATE", "INSERT INTO others VALUES (OLD.id); RETURN OLD;"),
        "CREATE RULE r AS ON INSERT TO items DO ALSO NOTIFY items",
        "CREATE RULE r AS ON INSERT TO items DO INSTEAD INSERT INTO others VALUES (NEW.id)",
        "CREATE TRIGGER t BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DELETE FROM items",
        "ALTER TABLE items ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON items USING (id < 0) WITH CHECK (true)",
    ],
    ids=[
        "AFTER INSERT",
        "deleted",
        "changed",
        "routed",
        "marked",
        "kept elsewhere",
        "also",
        "instead elsewhere",
        "redundant",
        "no rows",
        "hidden",
    ],
)
def test_a_statement_that_writes_something_or_finds_no_row_does_not_vanish(sql: str, bench: cases.Bench) -> None:
    assert vanished(bench, sql, "CREATE TABLE others (id int)") == []


def test_a_statement_that_wrote_nothing_before_does_not_vanish(bench: cases.Bench) -> None:
    dropped = (trigger("BEFORE INSERT", "RETURN NULL;"), "INSERT INTO items VALUES (99)")

    assert vanished(bench, "COMMENT ON TABLE items IS 'x'; ALTER TABLE items ADD a text", *dropped) == []


PRICE = "CREATE FUNCTION price(a int) RETURNS int LANGUAGE sql STABLE AS 'SELECT a'"
OTHER_PRICE = "CREATE FUNCTION price(a int, b int{}) RETURNS int LANGUAGE sql STABLE AS 'SELECT a + b'"
PRICED = trigger("BEFORE INSERT", "NEW.old := price(NEW.id)::text; RETURN NEW;")
BY_DEFAULT = """CREATE FUNCTION first() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN price(1); END $$;
CREATE TABLE priced (id int PRIMARY KEY, a int DEFAULT first())"""

BY_FUNCTION = """CREATE FUNCTION total() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN price(1); END'"""


@pytest.mark.parametrize(
    ("given", "rule", "message"),
    [
        (PRICED, "stale-function", "every INSERT on `items` fails"),
        (BY_DEFAULT, "stale-function", "every INSERT on `priced` fails"),
        (BY_FUNCTION, "stale-function", "what calls `total` fails"),
        ("SELECT 1", "refused-after-upgrade", "`price` cannot be called as before"),
    ],
    ids=["a trigger", "a default", "a function", "nothing"],
)
def test_a_second_function_that_a_call_also_fits_is_told_with_what_calls_it(
    given: str, rule: str, message: str, bench: cases.Bench
) -> None:
    def told(sql: str) -> list[str]:
        made = case((f"op.execute({sql!r})", NO_WAY_BACK))
        report = bench.review(replace(made, setup=(*ITEMS, PRICE, given)))
        assert all(f.location is not None for f in report.findings)
        return [
            f"{f.rule} {f.message}"
            for f in report.findings
            if f.rule in {"stale-function", "refused-after-upgrade"}
        ]

    ambiguous = OTHER_PRICE.format(" DEFAULT 0")
    assert any(each.startswith(rule) and message in each and "is not unique" in each for each in told(ambiguous))
    assert told(f"DROP FUNCTION price(int); {ambiguous}") == []
    assert told(OTHER_PRICE.format("")) == []


def test_a_call_that_was_ambiguous_before_is_not_told(bench: cases.Bench) -> None:
    made = case(
        (
            "op.execute(\"CREATE FUNCTION price(a int, b int, c text DEFAULT '') RETURNS int LANGUAGE sql AS 'SELECT 1'\")",
            NO_WAY_BACK,
        )
    )
    report = bench.review(replace(made, setup=(*ITEMS, PRICE, OTHER_PRICE.format(" DEFAULT 0"))))

    assert [
        f.message
        for f in report.findings
        if f.rule == "refused-after-upgrade" and "price(NULL::integer)" in f.message
    ] == []


COPIED = """CREATE TABLE copy (LIKE parts INCLUDING ALL);
INSERT INTO copy SELECT * FROM parts;{}
DROP TABLE parts;
ALTER TABLE copy RENAME TO parts;{}"""
PARTS = (
    "CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TABLE parts (id int PRIMARY KEY, item_id int CONSTRAINT of_item REFERENCES items, size int CHECK (size > 0))",
    "CREATE INDEX ON parts (item_id)",
    "CREATE TRIGGER touch BEFORE UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION touched()",
)
KEY = "ALTER TABLE parts ADD CONSTRAINT of_item FOREIGN KEY (item_id) REFERENCES items NOT VALID;"
TOUCH = "CREATE TRIGGER touch BEFORE UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION touched();"


def replaced(bench: cases.Bench, sql: str, rule: str) -> list[tuple[str, str]]:
    report = bench.review(replace(case((f"op.execute({sql!r})", NO_WAY_BACK)), setup=(*ITEMS, *PARTS)))
    return [(f.severity.value, f.message) for f in report.findings if f.rule == rule]


def test_what_a_copy_of_a_table_does_not_take_over_is_told(bench: cases.Bench) -> None:
    ((severity, told),) = replaced(bench, COPIED.format("", ""), "silently-dropped-constraint")

    assert severity == "warning"
    assert "the foreign key `of_item`" in told
    assert "the trigger `touch`" in told


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", KEY + TOUCH),
        ("", KEY.replace("of_item", "of_its_item") + TOUCH),
        ("ALTER TABLE parts DROP CONSTRAINT of_item; DROP TRIGGER touch ON parts;", ""),
    ],
    ids=["made again", "made again with another name", "dropped by name"],
)
def test_what_a_copy_gets_again_or_a_statement_drops_is_not_told(
    before: str, after: str, bench: cases.Bench
) -> None:
    assert replaced(bench, COPIED.format(before, after), "silently-dropped-constraint") == []


@pytest.mark.parametrize(
    ("first", "severities"),
    [
        ("", ["warning"]),
        ("LOCK TABLE parts IN ROW EXCLUSIVE MODE;", ["warning"]),
        ("LOCK TABLE parts IN SHARE ROW EXCLUSIVE MODE;", []),
        ("CREATE TRIGGER sync AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION touched();", []),
    ],
    ids=["no lock", "a weak lock", "a lock", "a trigger"],
)
def test_rows_that_come_between_a_copy_and_the_drop_are_lost_without_a_lock(
    first: str, severities: list[str], bench: cases.Bench
) -> None:
    told = replaced(bench, first + COPIED.format("", ""), "dropped-table")

    assert [severity for severity, _ in told] == severities


@pytest.mark.parametrize(
    ("nulls", "told"),
    [("", {"redundant-index"}), (" NULLS NOT DISTINCT", {"stricter-for-old-code", "fails-on-legal-rows"})],
    ids=["allows", "forbids"],
)
def test_a_second_unique_index_that_forbids_what_the_first_allows_is_not_redundant(
    nulls: str, told: set[str], bench: cases.Bench
) -> None:
    sql = f"CREATE UNIQUE INDEX CONCURRENTLY uq2 ON pairs (a, b){nulls}"
    made = case(
        (f"with op.get_context().autocommit_block():\n    op.execute({sql!r})", "raise NotImplementedError")
    )
    report = bench.review(replace(made, setup=("CREATE TABLE pairs (a int NOT NULL, b int, UNIQUE (a, b))",)))

    rules = {"redundant-index", "stricter-for-old-code", "fails-on-legal-rows"}
    assert {each.rule for each in report.findings} & rules == told


SUMMED = (
    "CREATE MATERIALIZED VIEW summed AS SELECT id, old FROM items",
    "CREATE UNIQUE INDEX summed_id ON summed (id)",
)
AGAIN = "DROP MATERIALIZED VIEW summed; CREATE MATERIALIZED VIEW summed AS SELECT id, upper(old) AS old FROM items"


@pytest.mark.parametrize(
    ("sql", "severities"),
    [
        (AGAIN, ["warning"]),
        (f"{AGAIN}; CREATE UNIQUE INDEX summed_new ON summed (id)", []),
        ("CREATE UNIQUE INDEX summed_new ON summed (id) WHERE id > 0; DROP INDEX summed_id", ["warning"]),
        ("CREATE UNIQUE INDEX summed_new ON summed (id, old); DROP INDEX summed_id", []),
    ],
    ids=["none", "another", "a partial one", "a wider one"],
)
def test_a_materialized_view_needs_a_unique_index_to_be_refreshed_concurrently(
    sql: str, severities: list[str], bench: cases.Bench
) -> None:
    made = replace(case((f"op.execute({sql!r})", NO_WAY_BACK)), setup=(*ITEMS, *SUMMED))
    told = [f for f in bench.review(made).findings if "REFRESH MATERIALIZED VIEW CONCURRENTLY of" in f.message]

    assert [f.severity.value for f in told] == severities


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("old IS NOT NULL AND id < 0 WITH CHECK OPTION", True),
        ("old IS NOT NULL AND id < 0", False),
        ("old IS NOT NULL WITH CHECK OPTION", False),
    ],
    ids=["fewer rows, checked", "fewer rows", "the same rows, checked"],
)
def test_a_view_with_a_check_option_refuses_rows_that_it_showed(where: str, told: bool, bench: cases.Bench) -> None:
    sql = f"CREATE OR REPLACE VIEW named AS SELECT id, old FROM items WHERE {where}"
    view = "CREATE VIEW named AS SELECT id, old FROM items WHERE old IS NOT NULL"
    made = replace(case((f"op.execute({sql!r})", NO_WAY_BACK)), setup=(*ITEMS, "UPDATE items SET old = 'x'", view))
    found = [f for f in bench.review(made).findings if f.rule == "refused-after-upgrade"]

    assert ["check option" in f.message for f in found] == ([True] if told else [])


@pytest.mark.parametrize(
    ("columns", "told"), [("id int NOT NULL", True), ("id int PRIMARY KEY", False)], ids=["no key", "a key"]
)
def test_a_new_table_that_is_published_with_all_others_needs_a_key(
    columns: str, told: bool, bench: cases.Bench
) -> None:
    made = case((f'op.execute("CREATE TABLE fresh ({columns})")', 'op.drop_table("fresh")'))
    report = bench.review(replace(made, setup=(*ITEMS, "CREATE PUBLICATION everything FOR ALL TABLES")))
    found = [f.message for f in report.findings if f.rule == "refused-after-upgrade"]

    assert [m.startswith("UPDATE and DELETE on the new table `fresh` fail:") for m in found] == [True] * told


FIRST = """first = op.get_bind().execute(sa.text("SELECT id FROM items ORDER BY id")).{}
op.execute(f"UPDATE items SET old = 'first' WHERE id = {{first or 0}}")"""
REFUSES = """if not op.get_bind().execute(sa.text("SELECT id FROM items")).all():
    raise RuntimeError("load the items first")"""
EMPTY = "CREATE TABLE items (id int PRIMARY KEY, old text)"


@pytest.mark.parametrize(
    ("upgrade", "setup", "severities"),
    [
        (FIRST.format("first()[0]"), (EMPTY,), ["error"]),
        (FIRST.format("scalar_one()"), ITEMS, ["error"]),
        (FIRST.format("first()[0]"), ITEMS, []),
        (FIRST.format("scalar()"), (EMPTY,), []),
        (REFUSES, (EMPTY,), ["warning"]),
    ],
    ids=["a row is needed", "it fails anyway", "the history has a row", "no row is needed", "it says so"],
)
def test_an_upgrade_that_needs_a_row_fails_in_a_fresh_install(
    upgrade: str, setup: tuple[str, ...], severities: list[str], bench: cases.Bench
) -> None:
    report = bench.review(replace(case((upgrade, "pass")), setup=setup))
    told = [f for f in report.findings if f.rule == "failing-upgrade"]

    assert [f.severity.value for f in told] == severities
    assert ["as in a fresh install" in f.message for f in told] == [setup != ITEMS for _ in told]


VISITS = "CREATE TABLE visits (id bigint PRIMARY KEY, at timestamp, paid numeric(10, 2), name varchar(50))"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("at TYPE timestamp(0)", "PostgreSQL rounds every time to fewer digits."),
        ("at TYPE date", "PostgreSQL keeps only the date."),
        ("paid TYPE numeric(10, 0)", "values that do not fit stop the deploy or are rounded."),
        ("name TYPE varchar(10)", "values that do not fit stop the deploy or are truncated."),
    ],
)
def test_what_becomes_of_values_that_a_type_does_not_hold_is_said(
    change: str, told: str, bench: cases.Bench
) -> None:
    made = case((f'op.execute("ALTER TABLE visits ALTER {change}")', NO_WAY_BACK))
    (found,) = [
        f for f in bench.review(replace(made, setup=(VISITS,))).findings if f.rule == "narrowing-type-change"
    ]

    assert found.message.endswith(told)


@pytest.mark.parametrize(
    ("sql", "rule", "severity", "told"),
    [
        ("CREATE INDEX ON summed (old)", "blocking-index", "notice", "so refreshes of `summed` wait"),
        (AGAIN, "blocking-statement", "error", "so reads of `summed` wait"),
        ("CLUSTER summed USING summed_id", "rewriting-maintenance", "error", "so reads of `summed` wait"),
        ("DROP INDEX summed_id", "blocking-index-drop", "warning", ": later reads queue behind it"),
    ],
)
def test_nothing_writes_to_a_materialized_view(
    sql: str, rule: str, severity: str, told: str, bench: cases.Bench
) -> None:
    made = replace(case((f"op.execute({sql!r})", NO_WAY_BACK)), setup=(*ITEMS, *SUMMED))
    found = bench.review(made).findings

    assert not any("reads and writes of `summed`" in f.message or "writes of `summed`" in f.message for f in found)
    assert [(f.severity.value, told in f.message) for f in found if f.rule == rule] == [(severity, True)]


def test_a_temporary_table_that_is_there_already_is_of_the_same_session(bench: cases.Bench) -> None:
    up = 'op.execute("CREATE TEMPORARY TABLE ids AS SELECT id FROM items")'
    report = bench.review(case((up, NO_WAY_BACK), (up, NO_WAY_BACK)))
    (found,) = [f for f in report.findings if f.rule == "failing-upgrade"]

    assert "A temporary table lives as long as its session" in found.message
    assert "nother revision made it" not in found.message


WITH_NEW = ('op.add_column("items", sa.Column("new", sa.Integer()))', 'op.drop_column("items", "new")')


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (WITH_NEW[::-1], []),
        (("op.execute(\"DO $$ BEGIN EXECUTE 'ALTER TABLE items DROP COLUMN old'; END $$\")", NO_WAY_BACK), ["r2"]),
    ],
    ids=["that the deploy has added", "that was there before"],
)
def test_a_column_that_goes_breaks_what_runs_only_if_that_knew_it(
    last: tuple[str, str], told: list[str], bench: cases.Bench
) -> None:
    report = bench.review(case(WITH_NEW, last, per_migration=True))

    assert [f.revision for f in report.findings if f.rule == "refused-after-upgrade"] == told


@pytest.mark.parametrize("apart", [True, False], ids=["in two transactions", "in one transaction"])
@pytest.mark.parametrize(
    ("there", "back", "rules"),
    [
        (
            'op.alter_column("items", "old", new_column_name="new")',
            'op.alter_column("items", "new", new_column_name="old")',
            {"renamed-column"},
        ),
        ('op.rename_table("items", "things")', 'op.rename_table("things", "items")', {"renamed-table"}),
        (
            'op.alter_column("items", "n", server_default=None)',
            'op.alter_column("items", "n", server_default="5")',
            {"dropped-default"},
        ),
    ],
    ids=["a column", "a table", "a default"],
)
def test_what_is_taken_away_and_given_back_breaks_the_code_only_if_anybody_sees_it(
    there: str, back: str, rules: set[str], apart: bool, bench: cases.Bench
) -> None:
    made = case((there, back), (back, there), per_migration=apart)
    report = bench.review(
        replace(made, setup=("CREATE TABLE items (id int PRIMARY KEY, old text, n int NOT NULL DEFAULT 5)",))
    )

    told = {(f.revision, f.rule) for f in cases.loud(report.findings) if f.revision is not None}
    assert told == ({("r1", rule) for rule in rules} if apart else set())


def test_a_value_that_was_made_up_says_nothing_of_the_code_that_writes_a_column(bench: cases.Bench) -> None:
    upgrade = "op.execute(\"ALTER TABLE pets ALTER m TYPE kind USING 'a'::kind\")"
    setup = ("CREATE TYPE kind AS ENUM ('a', 'b')", "CREATE TABLE pets (id int PRIMARY KEY, m text NOT NULL)")
    report = bench.review(replace(case((upgrade, NO_WAY_BACK)), setup=setup))

    told = {f.rule for f in report.findings}
    assert "type-changed-for-old-code" in told
    assert "refused-after-upgrade" not in told


@pytest.mark.parametrize(
    ("statement", "severity"),
    [
        ('op.create_index("ix", "itemz", ["old"])', ["warning"]),
        ('op.add_column("items", sa.Column("old", sa.Text()))', ["notice"]),
        ('op.drop_column("items", "gone")', ["notice"]),
        ('op.add_column("items", sa.Column("new", sa.Text()))', []),
        ('op.execute("SELECT gone FROM items")', []),
    ],
    ids=["that has no table", "that is done", "that is undone", "that succeeds", "that only asks"],
)
def test_a_change_that_fails_in_a_savepoint_is_told(
    statement: str, severity: list[str], bench: cases.Bench
) -> None:
    upgrade = f"try:\n    with op.get_bind().begin_nested():\n        {statement}\nexcept Exception:\n    pass"
    report = bench.review(case((upgrade, NO_WAY_BACK)))

    assert [f.severity.value for f in report.findings if f.rule == "swallowed-failure"] == severity


def test_a_default_that_python_makes_is_told_once(bench: cases.Bench) -> None:
    upgrade = 'import uuid\nop.add_column("items", sa.Column("t", sa.Text(), server_default=str(uuid.uuid4())))'
    report = bench.review(case((upgrade, 'op.drop_column("items", "t")')))

    assert [f.rule for f in cases.loud(report.findings)] == ["frozen-default"]


def test_a_commit_in_a_revision_is_told_once(bench: cases.Bench) -> None:
    upgrade = 'op.add_column("items", sa.Column("t", sa.Text()))\nop.execute("COMMIT")\nop.execute("SELECT 1")'
    report = bench.review(case((upgrade, 'op.drop_column("items", "t")')))

    assert [f.rule for f in cases.loud(report.findings)] == ["transaction-control"]


TRIGGER = """
op.execute("CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.a := 1; RETURN NEW; END'")
op.execute("CREATE TRIGGER fill {when} INSERT ON items FOR EACH ROW EXECUTE FUNCTION fill()")
"""


@pytest.mark.parametrize(("when", "rules"), [("BEFORE", set()), ("AFTER", {"dropped-default"})])
def test_a_trigger_may_fill_what_a_dropped_default_filled(when: str, rules: set[str], bench: cases.Bench) -> None:
    up = """
op.add_column("items", sa.Column("a", sa.Integer(), nullable=False, server_default="1"))
op.alter_column("items", "a", server_default=None)
"""
    report = bench.review(case((up + TRIGGER.format(when=when), NO_WAY_BACK)))
    assert {each.rule for each in report.findings if each.severity.name != "NOTICE"} & {
        "dropped-default",
        "refused-after-upgrade",
    } == rules


@pytest.mark.parametrize(("default", "refused"), [("'none'", True), ("gen_random_uuid()", False), (None, False)])
def test_a_unique_column_with_one_default_for_all_takes_one_row_of_the_running_code(
    default: str | None, refused: bool, bench: cases.Bench
) -> None:
    given = f'op.execute("ALTER TABLE items ALTER code SET DEFAULT {default}")' if default else "pass"
    up = f"""
op.add_column("items", sa.Column("code", sa.Text()))
{given}
op.create_unique_constraint("one_code", "items", ["code"])
"""
    told = [each for each in bench.review(case((up, NO_WAY_BACK))).findings if each.rule == "refused-after-upgrade"]
    assert [("INSERT of a second row" in each.message) for each in told] == [True] * refused


@pytest.mark.parametrize("default", [True, False], ids=["a default instead", "nothing instead"])
def test_a_trigger_that_filled_a_column_is_missed(default: bool, bench: cases.Bench) -> None:
    filled = (
        *ITEMS,
        "ALTER TABLE items ADD COLUMN k int NOT NULL DEFAULT 1",
        "ALTER TABLE items ALTER k DROP DEFAULT",
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.k := coalesce(NEW.k, 1); RETURN NEW; END'",
        "CREATE TRIGGER fill BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION fill()",
    )
    up = 'op.execute("DROP TRIGGER fill ON items")'
    up += '\nop.alter_column("items", "k", server_default="1")' if default else ""
    told = bench.review(replace(case((up, NO_WAY_BACK)), setup=filled)).findings
    assert [(each.rule, each.severity.name) for each in told if each.rule == "refused-after-upgrade"] == [
        ("refused-after-upgrade", "WARNING")
    ] * (not default)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("IF NEW.old IS NULL THEN RAISE EXCEPTION ''no text''; END IF;", True),
        ("NEW.old := coalesce(NEW.old, ''none'');", False),
    ],
    ids=["refuses it", "fills it"],
)
def test_a_trigger_that_refuses_what_the_running_code_may_leave_out_is_told(
    body: str, told: bool, bench: cases.Bench
) -> None:
    up = f"""
op.execute("CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {body} RETURN NEW; END'")
op.execute("CREATE TRIGGER look BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION look()")
"""
    found = bench.review(case((up, NO_WAY_BACK))).findings
    assert [each.severity.name for each in found if each.rule == "refused-after-upgrade"] == ["WARNING"] * told


AFTERWARDS = """
context.run_migrations()
with create_engine(url).begin() as other:
    other.exec_driver_sql("CREATE TABLE IF NOT EXISTS log (id int)")
"""


def test_what_env_py_does_after_a_revision_is_no_step_of_it(bench: cases.Bench) -> None:
    made = case(('op.add_column("items", sa.Column("a", sa.Integer()))', 'op.drop_column("items", "a")'))
    told = {each.rule for each in bench.review(replace(made, env=AFTERWARDS)).findings}
    assert "half-applied-revision" not in told


def test_a_mistake_in_the_way_back_hides_none_of_the_way_there(bench: cases.Bench) -> None:
    dropped = 'op.execute("ALTER TABLE numbered ALTER id DROP IDENTITY")'
    back = 'op.execute("ALTER TABLE numbered ALTER id ADD GENERATED BY DEFAULT AS IDENTITY")'
    made = replace(
        case((dropped, back)),
        setup=("CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text)",),
    )

    told = {(f.rule, f.direction.value) for f in bench.review(made).findings if f.severity.value == "error"}

    assert told == {("refused-after-upgrade", "upgrade"), ("incomplete-downgrade", "downgrade")}


@pytest.mark.parametrize("copied", [True, False])
def test_what_an_earlier_revision_of_the_deploy_has_copied_is_not_destroyed(
    copied: bool, bench: cases.Bench
) -> None:
    add, copy = 'op.add_column("items", sa.Column("new", sa.Text()))', 'op.execute("UPDATE items SET new = old")'
    kept = 'op.execute("CREATE TABLE kept AS SELECT * FROM others")'
    first = "\n".join([add, *([copy, kept] if copied else [])])
    made = case((first, NO_WAY_BACK), ('op.drop_column("items", "old")\nop.drop_table("others")', NO_WAY_BACK))
    report = bench.review(replace(made, setup=(*ITEMS, "CREATE TABLE others (id int PRIMARY KEY)")))

    told = [f.message for f in report.findings if f.rule in {"dropped-column", "dropped-table"}]

    assert len(told) == 2
    assert ["destroys" in each for each in told] == [not copied, not copied]


def test_a_column_that_is_missing_in_each_partition_is_told_once(bench: cases.Bench) -> None:
    setup = (
        "CREATE TABLE ev (id int NOT NULL, a text NOT NULL, b text, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE ev_2 PARTITION OF ev FOR VALUES FROM (10) TO (20)",
    )
    add = 'op.add_column("ev", sa.Column("x", sa.Integer()))'
    back = 'op.drop_column("ev", "x")\nop.drop_column("ev", "b")\nop.alter_column("ev", "a", nullable=True)'
    report = bench.review(replace(case((add, back)), setup=setup))

    told = [(f.rule, f.message) for f in report.findings if f.severity.value == "error"]

    assert [rule for rule, _ in told] == ["destructive-downgrade", "incomplete-downgrade"]
    assert "`ev.b`" in told[0][1]
    assert "`ev.a`" in told[1][1]


TOTALS = (
    "CREATE TABLE users (id int PRIMARY KEY, total int, code uuid)",
    "CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, total int NOT NULL)",
)
UPDATE = "UPDATE users SET total = o.total FROM orders o WHERE o.user_id = users.id"


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        ((UPDATE,), True),
        ((UPDATE, "DROP TABLE orders"), True),
        (("ALTER TABLE users ADD COLUMN sum int", UPDATE.replace("SET total", "SET sum")), True),
        (("CREATE TABLE made AS SELECT * FROM orders", UPDATE.replace("orders", "made")), True),
        (
            ("CREATE TABLE made AS SELECT DISTINCT ON (user_id) * FROM orders", UPDATE.replace("orders", "made")),
            False,
        ),
        (("DELETE FROM orders a USING orders b WHERE a.user_id = b.user_id AND a.id > b.id", UPDATE), False),
        ((f"{UPDATE} AND users.total IS NULL",), True),
        (("UPDATE users SET code = gen_random_uuid() FROM orders o WHERE o.user_id = users.id",), False),
        (("UPDATE users SET total = coalesce(users.total, 0) FROM orders o WHERE o.user_id = users.id",), False),
    ],
    ids=[
        "a column of the same name",
        "a table that is dropped after it",
        "a new column",
        "a table of the revision",
        "one row of each in a table of the revision",
        "a table of which duplicates are deleted first",
        "only where there is no value yet",
        "a value of its own for each row",
        "its own value",
    ],
)
def test_an_update_that_may_take_one_of_several_rows_is_told(
    statements: tuple[str, ...], told: bool, bench: cases.Bench
) -> None:
    made = case(("\n".join(f"op.execute({each!r})" for each in statements), NO_WAY_BACK))
    report = bench.review(replace(made, setup=TOTALS))

    assert [f.severity.value for f in report.findings if f.rule == "ambiguous-update"] == ["warning"] * told


def sent(*statements: str) -> str:
    return "\n".join(f"op.execute({each!r})" for each in statements)


@pytest.mark.parametrize(
    ("upgrade", "advice"),
    [
        (
            sent(
                "ALTER TABLE items ADD CONSTRAINT a CHECK (id > 0)",
                "ALTER TABLE items ADD CONSTRAINT a CHECK (id > 1)",
            ),
            "An earlier statement of this revision has made it: give one of them another name.",
        ),
        (
            sent("CREATE TABLE made (id int)", "CREATE TABLE made (id int)"),
            "An earlier statement of this revision has made it: give one of them another name.",
        ),
        (
            'op.add_column("items", sa.Column("mail", postgresql.CITEXT()))',
            "It belongs to the extension `citext`, which is not there or not in the search_path: create it first, with"
            " `CREATE EXTENSION IF NOT EXISTS citext`.",
        ),
        (
            'op.add_column("items", sa.Column("key", sa.UUID(), server_default=sa.text("uuid_generate_v4()")))',
            "It belongs to the extension `uuid-ossp`, which is not there or not in the search_path: create it first, with"
            ' `CREATE EXTENSION IF NOT EXISTS "uuid-ossp"`.',
        ),
        (
            'op.create_index("ix", "items", ["old"], postgresql_using="gin", postgresql_ops={"old": "gin_trgm_ops"})',
            "It belongs to the extension `pg_trgm`, which is not there or not in the search_path: create it first, with"
            " `CREATE EXTENSION IF NOT EXISTS pg_trgm`.",
        ),
        (
            sent("ALTER TABLE items ADD EXCLUDE USING gist (id WITH =)"),
            "The extension `btree_gist` has one: create it first, with `CREATE EXTENSION IF NOT EXISTS btree_gist`.",
        ),
        (
            'op.create_index("ix", "items", ["lower(old)"])',
            'Alembic takes a string for the name of a column: give it the expression as `sa.text("lower(old)")`.',
        ),
        (
            'op.add_column("items", sa.Column("key", custom_types.Key()))',
            "Import `custom_types` in the revision; autogenerate does not, unless script.py.mako does.",
        ),
        (
            'op.drop_constraint("positive", "items")',
            "`items` has `ck_items_positive`: where a naming convention would add to the name, give it as"
            ' `op.f("ck_items_positive")`.',
        ),
        (
            'op.drop_constraint("negative", "items")',
            "",
        ),
    ],
    ids=[
        "a constraint of the same revision",
        "a table of the same revision",
        "a type of an extension",
        "a function of an extension",
        "an operator class of an extension",
        "an access method that lacks the type",
        "an expression as a string",
        "a module that is not imported",
        "a constraint whose name a convention has made",
        "a constraint that nothing resembles",
    ],
)
def test_a_failure_says_what_helps(upgrade: str, advice: str, bench: cases.Bench) -> None:
    setup = ("CREATE TABLE items (id int CONSTRAINT ck_items_positive CHECK (id > 0), old text)",)
    report = bench.review(replace(case((upgrade, NO_WAY_BACK)), setup=setup))

    (message,) = (each.message for each in report.findings if each.rule == "failing-upgrade")
    assert message.endswith(f". {advice}" if advice else "does not exist.")


def test_a_label_that_the_downgrade_cannot_drop_is_added_if_it_is_not_there(bench: cases.Bench) -> None:
    made = case((sent("ALTER TYPE mood ADD VALUE 'c'"), "pass"))
    report = bench.review(replace(made, setup=("CREATE TYPE mood AS ENUM ('a', 'b')",)))

    (message,) = (each.message for each in report.findings if each.rule == "failing-second-upgrade")
    assert message.endswith(" A downgrade cannot drop a label: add it with `IF NOT EXISTS`.")


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ('op.create_index("ix_items_old", "items", ["old"])', True),
        ('op.create_index("ix_items_old", "items", [sa.text("old DESC")])', False),
        ('op.create_index("ix_items_old", "items", ["old"], postgresql_where=sa.text("id > 3"))', False),
        ('op.create_index("ix_items_old", "items", ["old", "id"])', False),
    ],
    ids=["the same", "in another order", "of fewer rows", "with one more column"],
)
def test_an_index_that_only_gets_another_name_need_not_be_built(made: str, told: bool, bench: cases.Bench) -> None:
    report = bench.review(
        replace(
            case((f'op.drop_index("by_old", "items")\n{made}', NO_WAY_BACK)),
            setup=(*ITEMS, "CREATE INDEX by_old ON items (old)"),
        )
    )

    (message,) = (each.message for each in report.findings if each.rule == "blocking-index")
    assert ("ALTER INDEX by_old RENAME TO ix_items_old" in message) is told


LOGS = (
    "CREATE TABLE users (id int PRIMARY KEY)",
    "CREATE TABLE logs (id int PRIMARY KEY, user_id int, kind text, made date NOT NULL)",
)
OLD = "l.made < now()"
GONE = "DELETE FROM logs l WHERE l.made < now()"


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        ((f"CREATE TABLE kept AS SELECT l.* FROM logs l JOIN users u ON u.id = l.user_id WHERE {OLD}", GONE), True),
        (
            (
                f"CREATE TABLE kept AS SELECT l.* FROM logs l LEFT JOIN users u ON u.id = l.user_id WHERE {OLD}",
                GONE,
            ),
            False,
        ),
        (
            (
                "CREATE TABLE kept (LIKE logs)",
                f"INSERT INTO kept SELECT * FROM logs l WHERE kind <> 'a' AND {OLD}",
                GONE,
            ),
            True,
        ),
        (
            (
                "CREATE TABLE kept (LIKE logs)",
                f"INSERT INTO kept SELECT * FROM logs l WHERE kind = 'a' AND {OLD}",
                f"INSERT INTO kept SELECT * FROM logs l WHERE kind IS DISTINCT FROM 'a' AND {OLD}",
                GONE,
            ),
            False,
        ),
        (
            (
                f"CREATE TABLE kept AS SELECT * FROM logs l WHERE kind = 'a' AND {OLD}",
                f"CREATE TABLE others AS SELECT * FROM logs l WHERE kind IS DISTINCT FROM 'a' AND {OLD}",
                GONE,
            ),
            False,
        ),
        ((f"CREATE TABLE kept AS SELECT kind, count(*) FROM logs l WHERE {OLD} GROUP BY kind", GONE), False),
        (
            (
                f"CREATE TABLE kept AS SELECT * FROM logs l WHERE {OLD}",
                "DELETE FROM logs WHERE id IN (SELECT id FROM kept)",
            ),
            False,
        ),
    ],
    ids=[
        "an inner join",
        "an outer join",
        "a comparison that NULL does not meet",
        "two parts that are all",
        "two tables that are all",
        "a summary",
        "what the copy has",
    ],
)
def test_rows_that_a_copy_leaves_out_before_they_are_deleted_are_told(
    statements: tuple[str, ...], told: bool, bench: cases.Bench
) -> None:
    report = bench.review(replace(case((sent(*statements), NO_WAY_BACK)), setup=LOGS))

    found = [
        f.message for f in report.findings if f.rule == "unreversed-data-change" and f.severity.value == "warning"
    ]
    assert [message.endswith("were copied before: the others are lost for good.") for message in found] == [
        True
    ] * told


def test_a_column_that_two_branches_add_is_no_matter_of_rows(bench: cases.Bench) -> None:
    up, down = 'op.add_column("items", sa.Column("tz", sa.Text()))', 'op.drop_column("items", "tz")'
    branches = tuple(
        {"revision": each, "down_revision": "base0", "upgrade": up, "downgrade": down} for each in ("left", "right")
    )
    merge = {"revision": "mrg", "down_revision": ("left", "right"), "upgrade": "pass", "downgrade": "pass"}
    setup = ("CREATE TABLE items (id int PRIMARY KEY)",)
    report = bench.review(replace(case((up, down)), setup=setup, revisions=(*branches, merge)))

    told = [each.message for each in report.findings if each.rule == "failing-upgrade"]
    assert told
    assert not any("if its tables contain rows" in message for message in told)


ROWS_READ = 'found = op.get_bind().execute(sa.text("SELECT id, old FROM items")).all()'
ROWS_WRITTEN = (
    'op.get_bind().execute(sa.text("INSERT INTO kept VALUES (:id, :old)"), [row._asdict() for row in found])'
)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (f"{ROWS_READ}\n{ROWS_WRITTEN}", "Dropping `items.old` breaks"),
        (ROWS_READ, "Dropping `items.old` destroys its values and breaks"),
        ('op.execute("DELETE FROM items")', "Dropping `items.old` breaks"),
        (
            'op.execute("WITH o AS (SELECT id, upper(old) AS u FROM items), k AS (INSERT INTO kept SELECT id, u FROM o)'
            ' UPDATE items SET id = items.id FROM o WHERE o.id = items.id")',
            "Dropping `items.old` breaks",
        ),
        ('op.execute("DELETE FROM items WHERE id < 3")', "Dropping `items.old` destroys its values and breaks"),
    ],
    ids=["written in one call", "only read", "emptied before", "handed on", "emptied in part"],
)
def test_a_column_is_said_to_lose_its_values_only_if_it_has_any_that_were_not_moved(
    before: str, told: str, bench: cases.Bench
) -> None:
    setup = (*ITEMS, "UPDATE items SET old = 'o' || id", "CREATE TABLE kept (id int PRIMARY KEY, old text)")
    made = case(
        (f'{before}\nop.drop_column("items", "old")', 'op.add_column("items", sa.Column("old", sa.Text()))')
    )
    report = bench.review(replace(made, setup=setup))

    (message,) = (f.message for f in report.findings if f.rule == "dropped-column")
    assert message.startswith(told)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ('op.execute("DELETE FROM items")', False),
        ('op.execute("DELETE FROM items WHERE id < 3")', True),
        ('op.execute("TRUNCATE items")', False),
    ],
    ids=["all", "some", "truncated"],
)
def test_a_required_column_fails_on_no_row_of_a_table_that_was_emptied_before(
    before: str, told: bool, bench: cases.Bench
) -> None:
    upgrade = f'{before}\nop.add_column("items", sa.Column("n", sa.Integer(), nullable=False))'
    report = bench.review(case((upgrade, 'op.drop_column("items", "n")')))

    (finding,) = (f for f in report.findings if f.rule == "required-column")
    assert ("has rows" in finding.message) is told
    assert "INSERT of the running code fails" in finding.message


CALLS = ("CREATE TABLE users (id int PRIMARY KEY)", "CREATE TABLE calls (id int PRIMARY KEY, person int {})")
KEYED = 'op.create_foreign_key("of_user", "calls", "users", ["user_id"], ["id"])'


@pytest.mark.parametrize(("refers", "rule"), [("REFERENCES users", "rename-as-drop"), ("", "dropped-column")])
def test_a_reference_is_renamed_only_if_it_still_refers_to_the_same_table(
    refers: str, rule: str, bench: cases.Bench
) -> None:
    column = 'op.add_column("calls", sa.Column("user_id", sa.Integer()))'
    made = case((f'{column}\n{KEYED}\nop.drop_column("calls", "person")', NO_WAY_BACK))
    report = bench.review(replace(made, setup=tuple(each.format(refers) for each in CALLS)))

    assert {f.rule for f in report.findings if f.rule in {"rename-as-drop", "dropped-column"}} == {rule}


@pytest.mark.parametrize(("column", "told"), [("user_id", False), ("id", True)])
def test_a_foreign_key_that_the_renamed_column_gets_again_is_not_dropped(
    column: str, told: bool, bench: cases.Bench
) -> None:
    renamed = 'op.alter_column("calls", "person", new_column_name="user_id")'
    added = KEYED.replace("user_id", column)
    made = case((f'op.drop_constraint("calls_person_fkey", "calls")\n{renamed}\n{added}', NO_WAY_BACK))
    report = bench.review(replace(made, setup=tuple(each.format("REFERENCES users") for each in CALLS)))

    assert any(f.rule == "dropped-constraint" for f in report.findings) is told


@pytest.mark.parametrize(
    ("made", "severity"),
    [
        ("CREATE TABLE users (id serial PRIMARY KEY)", "warning"),
        ("CREATE SEQUENCE users_id_seq", "error"),
    ],
    ids=["of a serial column", "of nobody"],
)
def test_a_sequence_that_fills_a_column_is_seldom_named(made: str, severity: str, bench: cases.Bench) -> None:
    there, back = (
        f'op.execute("ALTER SEQUENCE {a} RENAME TO {b}")'
        for a, b in pairwise(("users_id_seq", "s", "users_id_seq"))
    )
    report = bench.review(replace(case((there, back)), setup=(made,)))

    assert [f.severity.value for f in report.findings if f.rule == "renamed-object"] == [severity]


def test_a_second_upgrade_after_an_empty_downgrade_is_not_left_to_be_explained(bench: cases.Bench) -> None:
    made = 'op.create_table("kinds", sa.Column("id", sa.Integer(), primary_key=True))'
    report = bench.review(case((made, "pass")))

    (message,) = (f.message for f in report.findings if f.rule == "failing-second-upgrade")
    assert message.endswith('relation "kinds" already exists.')


@pytest.mark.parametrize(
    ("message", "lacks"),
    [
        ("ICU is not supported in this build", True),
        ("unsupported XML feature", True),
        ("compression method lz4 not supported", True),
        ("cross-database references are not implemented", False),
        ('access method "hash" does not support unique indexes', False),
    ],
)
def test_what_a_server_was_built_without_is_no_fault_of_the_revision(message: str, lacks: bool) -> None:
    assert bool(NOT_BUILT_IN.search(message)) is lacks


@pytest.mark.parametrize(
    ("back", "severity"),
    [
        ('op.create_unique_constraint("one_old_2", "items", ["old"])', "warning"),
        ('op.create_unique_constraint("one_old", "items", ["old", "id"])', "error"),
    ],
    ids=["under another name", "on other columns"],
)
def test_a_constraint_that_comes_back_under_another_name_still_does_its_work(
    back: str, severity: str, bench: cases.Bench
) -> None:
    dropped = (
        'op.execute("ALTER TABLE items DROP CONSTRAINT IF EXISTS one_old, DROP CONSTRAINT IF EXISTS one_old_2")'
    )
    made = case((dropped, back))
    report = bench.review(replace(made, setup=(*ITEMS, "ALTER TABLE items ADD CONSTRAINT one_old UNIQUE (old)")))

    told = {
        f.severity.value for f in report.findings if f.rule in {"incomplete-downgrade", "failing-second-upgrade"}
    }
    assert severity in told


@pytest.mark.parametrize(
    ("between", "told"),
    [(ROWS_WRITTEN, False), ("pass", True)],
    ids=["after they were written elsewhere", "after they were only read"],
)
def test_rows_that_are_deleted_are_said_to_be_lost_only_if_they_were_not_moved(
    between: str, told: bool, bench: cases.Bench
) -> None:
    deleted = 'op.execute("DELETE FROM items WHERE id < 30")'
    made = case((f"{ROWS_READ}\n{between}\n{deleted}", NO_WAY_BACK))
    report = bench.review(replace(made, setup=(*ITEMS, "CREATE TABLE kept (id int PRIMARY KEY, old text)")))

    assert any("are lost for good" in f.message for f in report.findings) is told


@pytest.mark.parametrize(("nullable", "told"), [("NOT NULL", False), ("", True)])
def test_a_foreign_key_on_one_more_column_replaces_the_old_one_unless_that_may_be_null(
    nullable: str, told: bool, bench: cases.Bench
) -> None:
    setup = (
        "CREATE TABLE teams (place int, id int UNIQUE, PRIMARY KEY (place, id))",
        f"CREATE TABLE users (id int PRIMARY KEY, place int {nullable}, team int CONSTRAINT in_team REFERENCES teams (id))",
    )
    added = 'op.create_foreign_key("in_place", "users", "teams", ["place", "team"], ["place", "id"])'
    report = bench.review(
        replace(case((f'op.drop_constraint("in_team", "users")\n{added}', NO_WAY_BACK)), setup=setup)
    )

    assert any(f.rule == "dropped-constraint" for f in report.findings) is told


@pytest.mark.parametrize(
    ("update", "severity"),
    [
        ("SET old = left(old, 5) WHERE length(old) > 5", "warning"),
        ("SET old = left(old, 5)", "warning"),
        ("SET old = left(old, 5) WHERE length(old) > 9", "error"),
        ("SET old = left(old, 9) WHERE length(old) > 5", "error"),
        ("SET old = left(old, 5) WHERE length(old) > 5 AND id > 9", "error"),
    ],
)
def test_values_that_an_update_has_cut_stop_no_deploy(update: str, severity: str, bench: cases.Bench) -> None:
    upgrade = f'op.execute("UPDATE items {update}")\nop.alter_column("items", "old", type_=sa.String(5))'
    report = bench.review(case((upgrade, NO_WAY_BACK)))

    assert [f.severity.value for f in report.findings if f.rule == "narrowing-type-change"] == [severity]


@pytest.mark.parametrize(
    ("filled", "severity"),
    [("UPDATE items SET kind = k.id FROM kinds k WHERE k.name = items.old", "warning"), ("SELECT 1", "error")],
    ids=["filled from another table", "not filled"],
)
def test_a_column_that_an_update_fills_may_be_filled_in_production(
    filled: str, severity: str, bench: cases.Bench
) -> None:
    made = case(
        (
            f'op.add_column("items", sa.Column("kind", sa.Integer()))\nop.execute("{filled}")\n'
            'op.alter_column("items", "kind", nullable=False)',
            NO_WAY_BACK,
        )
    )
    kinds = "CREATE TABLE kinds (id int PRIMARY KEY, name text)"
    report = bench.review(replace(made, setup=(ITEMS[0], kinds)))

    assert [f.severity.value for f in report.findings if f.rule == "failing-upgrade"] == [severity]


def test_what_only_an_owner_may_do_breaks_only_the_code_of_others(bench: cases.Bench) -> None:
    made = case(
        (
            'op.execute("CREATE MATERIALIZED VIEW seen AS SELECT id FROM items")\n'
            'op.execute("CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS'
            ' $$ BEGIN REFRESH MATERIALIZED VIEW seen; RETURN NULL; END $$")\n'
            'op.execute("CREATE TRIGGER again AFTER INSERT ON items FOR EACH STATEMENT EXECUTE FUNCTION again()")',
            NO_WAY_BACK,
        )
    )
    report = bench.review(made)

    (finding,) = (f for f in report.findings if f.rule == "stale-function")
    assert finding.severity.value == "warning"
    assert "for a role that does not own what it uses" in finding.message


NOTES = ("CREATE TABLE old_notes (id int PRIMARY KEY, body text)",)
NEW_NOTES = "CREATE TABLE notes (id int PRIMARY KEY, body text)"
NOTES_BACK = sent(
    "CREATE TABLE old_notes (id int PRIMARY KEY, body text)",
    "INSERT INTO old_notes SELECT * FROM notes",
    "DROP TABLE notes",
)


@pytest.mark.parametrize(
    ("copy", "told"),
    [
        ("INSERT INTO notes SELECT * FROM old_notes WHERE body <> ''", True),
        ("INSERT INTO notes SELECT * FROM old_notes", False),
        ("INSERT INTO notes SELECT DISTINCT ON (body) * FROM old_notes WHERE body <> ''", False),
    ],
    ids=["a comparison that NULL does not meet", "all", "one of each on purpose"],
)
def test_rows_that_a_copy_leaves_out_before_their_table_is_dropped_are_told(
    copy: str, told: bool, bench: cases.Bench
) -> None:
    upgrade = sent(NEW_NOTES, copy, "DROP TABLE old_notes")
    report = bench.review(replace(case((upgrade, NOTES_BACK)), setup=NOTES))

    (message,) = (f.message for f in report.findings if f.rule == "dropped-table")
    assert ("destroys the rows that were not copied before" in message) is told
    assert (label(report.trees[0].recording, "r1") == "loses-existing-data") is told


@pytest.mark.parametrize(
    ("guard", "told"),
    [
        (
            "if sa.inspect(op.get_bind()).has_table('tag'):",
            "drops it only if `sa.inspect(op.get_bind()).has_table('tag')`",
        ),
        ("if sa.inspect(op.get_bind()).has_table('tags'):", None),
        ("if not sa.inspect(op.get_bind()).has_table('items'):", "drops it only if `not sa.inspect("),
    ],
    ids=["of another name", "of its name", "that is the other way about"],
)
def test_what_a_guard_keeps_the_downgrade_from_is_no_line_that_is_missing(
    guard: str, told: str | None, bench: cases.Bench
) -> None:
    up, down = sent("CREATE TABLE tags (id int PRIMARY KEY)"), f"{guard}\n    op.drop_table('tags')"
    report = bench.review(case((up, down)))

    found = [each.message for each in report.findings if each.rule == "incomplete-downgrade"]
    assert len(found) == (told is not None)
    assert all((told or "") in message and "add `" not in message for message in found)


@pytest.mark.parametrize(
    ("default", "told"), [("DEFAULT int4range(1, 5)", True), ("", False), ("DEFAULT 'empty'", False)]
)
def test_a_second_row_that_overlaps_with_the_first_by_its_default_is_told(
    default: str, told: bool, bench: cases.Bench
) -> None:
    up = sent(
        "ALTER TABLE items ADD COLUMN during int4range",
        f"ALTER TABLE items ALTER COLUMN during SET {default or 'DEFAULT NULL'}",
        "ALTER TABLE items ADD CONSTRAINT apart EXCLUDE USING gist (during WITH &&)",
    )
    report = bench.review(case((up, 'op.drop_column("items", "during")')))

    found = [each.message for each in report.findings if each.rule == "refused-after-upgrade"]
    assert [message.startswith("INSERT of a second row ") for message in found] == [True] * told


@pytest.mark.parametrize(("called", "told"), [("ok", True), ("other", False)], ids=["by the CHECK", "by nothing"])
def test_a_check_whose_function_now_rejects_more_is_told(called: str, told: bool, bench: cases.Bench) -> None:
    made = (
        "CREATE OR REPLACE FUNCTION {0}(t text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT length(t) > {1}'"
    )
    setup = (
        made.format("ok", 0),
        made.format("other", 0),
        "CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL CONSTRAINT fine CHECK (ok(email)), n int)",
    )
    up, down = sent(made.format(called, 40)), sent(made.format(called, 0))
    report = bench.review(replace(case((up, down)), setup=setup))

    found = [each for each in report.findings if each.rule == "refused-after-upgrade"]
    assert [each.severity.value for each in found] == ["warning"] * told
    assert all("because a function that it calls has changed" in each.message for each in found)


PARTED = (
    "CREATE TABLE logs (id int, made date NOT NULL) PARTITION BY RANGE (made)",
    "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')",
    "CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2020-02-01') TO ('2020-03-01')",
    "CREATE TABLE others PARTITION OF logs DEFAULT",
)


@pytest.mark.parametrize(("part", "told"), [("others", True), ("logs_1", False)])
def test_a_default_partition_that_is_detached_leaves_rows_without_one(
    part: str, told: bool, bench: cases.Bench
) -> None:
    up = sent(f"ALTER TABLE logs DETACH PARTITION {part}")
    report = bench.review(replace(case((up, NO_WAY_BACK)), setup=PARTED), select=("refused-after-upgrade",))

    assert [each.severity.value for each in report.findings] == ["warning"] * told


@pytest.mark.parametrize(
    ("again", "told"), [("fk", False), ("other", True)], ids=["under its name", "under another"]
)
def test_a_foreign_key_that_goes_by_cascade_and_comes_back_is_named(
    again: str, told: bool, bench: cases.Bench
) -> None:
    setup = (*ITEMS, "CREATE TABLE parts (id int PRIMARY KEY, item_id int CONSTRAINT fk REFERENCES items)")
    up = sent(
        "ALTER TABLE items DROP CONSTRAINT items_pkey CASCADE",
        "ALTER TABLE items ADD PRIMARY KEY (id)",
        f"ALTER TABLE parts ADD CONSTRAINT {again} FOREIGN KEY (item_id) REFERENCES items NOT VALID",
    )
    report = bench.review(replace(case((up, NO_WAY_BACK)), setup=setup), select=("cascading-drop",))

    assert [each.rule for each in report.findings] == ["cascading-drop"] * told


@pytest.mark.parametrize(
    ("back", "told"), [("'yes', 'no'", False), ("'yes', 'no', 'x'", True)], ids=["the same", "another list"]
)
def test_a_list_of_texts_that_postgresql_writes_in_another_way_is_the_same(
    back: str, told: bool, bench: cases.Bench
) -> None:
    given = (
        "CREATE TABLE answers (id int PRIMARY KEY, f varchar(5) NOT NULL CONSTRAINT c CHECK (f IN ('yes', 'no')))"
    )
    up = sent("ALTER TABLE answers ALTER f TYPE varchar(20)")
    down = sent(
        "ALTER TABLE answers ALTER f TYPE varchar(5)",
        *(
            ("ALTER TABLE answers DROP CONSTRAINT c", f"ALTER TABLE answers ADD CONSTRAINT c CHECK (f IN ({back}))")
            * told
        ),
    )
    report = bench.review(
        replace(case((up, down)), setup=(given, "CREATE INDEX ix ON answers (id) WHERE f IN ('yes', 'no')")),
        select=("incomplete-downgrade",),
    )

    assert [each.rule for each in report.findings] == ["incomplete-downgrade"] * told


@pytest.mark.parametrize(
    ("kept", "rule"), [("", "failing-upgrade"), ("ALTER TABLE answers DROP CONSTRAINT c", "narrowing-type-change")]
)
def test_a_check_that_the_new_type_violates_is_told_as_a_failure(kept: str, rule: str, bench: cases.Bench) -> None:
    given = (
        "CREATE TABLE answers (id int PRIMARY KEY, f varchar(5) NOT NULL CONSTRAINT c CHECK (f IN ('yes', 'no')))"
    )
    change = "ALTER TABLE answers ALTER f TYPE boolean USING f = 'yes'"
    report = bench.review(
        replace(case((sent(*filter(None, (kept, change))), NO_WAY_BACK)), setup=(given,)),
        select=("failing-upgrade", "narrowing-type-change"),
    )

    assert [each.rule for each in report.findings] == [rule]


FILLED = """
op.add_column("items", sa.Column("code", sa.Text()))
bind = op.get_bind()
last = bind.execute(sa.text("SELECT {last} FROM items")).scalar()
for start in range({first}, last + 1, 1000):
    bind.execute(sa.text("UPDATE items SET code = 'c' WHERE id > :a AND id {sign} :b"), {{"a": start, "b": start + 1000}})
op.alter_column("items", "code", nullable=False)
"""


@pytest.mark.parametrize(
    ("last", "sign", "told"),
    [
        ("coalesce(max(id), 0)", "<=", False),
        ("coalesce(max(id), 0)", "<", True),
        ("count(*)", "<=", True),
    ],
    ids=["all", "without their bounds", "by the number of rows"],
)
def test_rows_that_batches_leave_out_are_told(last: str, sign: str, told: bool, bench: cases.Bench) -> None:
    setup = ("CREATE TABLE items (id int PRIMARY KEY CHECK (id > 0))",)
    up = FILLED.format(last=last, sign=sign, first=0)
    report = bench.review(
        replace(case((up, 'op.drop_column("items", "code")')), setup=setup), select=("fails-on-legal-rows",)
    )

    assert [each.rule for each in report.findings] == ["fails-on-legal-rows"] * told


@pytest.mark.parametrize(("size", "told"), [(50, True), (9, False)])
def test_digits_that_are_too_many_for_a_number_are_told(size: int, told: bool, bench: cases.Bench) -> None:
    number = "nullif(regexp_replace(code, '[^0-9]', '', 'g'), '')::int"
    setup = (f"CREATE TABLE things (id int PRIMARY KEY, code varchar({size}))",)
    up = sent("ALTER TABLE things ADD COLUMN n int", f"UPDATE things SET n = {number}")
    report = bench.review(replace(case((up, NO_WAY_BACK)), setup=setup), select=("fails-on-legal-rows",))

    assert [each.rule for each in report.findings] == ["fails-on-legal-rows"] * told


LONG = "ix_customer_subscription_notification_preferences_history_created_at"


@pytest.mark.parametrize(
    ("setup", "sql", "told"),
    [
        (
            (),
            (f"CREATE INDEX {LONG}_a ON items (id)", f"CREATE INDEX {LONG}_b ON items (old)"),
            "PostgreSQL keeps 63 bytes of a name",
        ),
        (
            ("CREATE TABLE items_old (id int)",),
            ("CREATE INDEX items_old ON items (old)",),
            "A table has this name, and an index",
        ),
        (
            ("CREATE TYPE kind AS ENUM ('a')",),
            ("CREATE TABLE kind (id int PRIMARY KEY)",),
            "A table makes a type of its own name",
        ),
        (
            ("CREATE TABLE jobs (id serial PRIMARY KEY)",),
            ("CREATE TABLE new_jobs (LIKE jobs INCLUDING ALL)", "DROP TABLE jobs"),
            "run `ALTER SEQUENCE jobs_id_seq OWNED BY new_jobs.id` first.",
        ),
        (
            ("CREATE TABLE jobs (id serial PRIMARY KEY)",),
            ("ALTER TABLE jobs RENAME TO tasks", "ALTER SEQUENCE tasks_id_seq RESTART"),
            "A sequence keeps its name when its table is renamed",
        ),
        ((), ("CREATE INDEX ix ON items USING gin (to_tsvector(old))",), "to_tsvector('english', ...)"),
    ],
    ids=["the same when cut", "of a table", "of a type", "a sequence of the old table", "renamed", "not immutable"],
)
def test_the_way_out_fits_what_is_in_the_way(
    setup: tuple[str, ...], sql: tuple[str, ...], told: str, bench: cases.Bench
) -> None:
    report = bench.review(
        replace(case((sent(*sql), NO_WAY_BACK)), setup=(*ITEMS, *setup)), select=("failing-upgrade",)
    )

    (message,) = (each.message for each in report.findings)
    assert told in message


@pytest.mark.parametrize(
    ("down", "told"),
    [
        (("DROP TABLE app.a",), ", after `app.b` in it."),
        (("DROP TABLE app.a", "DROP TABLE app.b"), 'DROP SCHEMA app")`.'),
    ],
)
def test_a_schema_that_is_left_behind_goes_after_what_is_in_it(
    down: tuple[str, ...], told: str, bench: cases.Bench
) -> None:
    up = sent("CREATE SCHEMA app", "CREATE TABLE app.a (id int)", "CREATE TABLE app.b (id int)")
    report = bench.review(case((up, sent(*down))), select=("incomplete-downgrade",))

    (message,) = (each.message for each in report.findings if "schema `app`" in each.message)
    assert told in message.replace('; the next upgrade then fails: PostgreSQL says schema "app" already exists', "")


@pytest.mark.parametrize(
    ("kind", "told"), [("address", True), ("text", False)], ids=["a column has it", "none has"]
)
def test_an_attribute_that_columns_have_is_dropped_with_its_values(
    kind: str, told: bool, bench: cases.Bench
) -> None:
    setup = (
        "CREATE TYPE address AS (street text, zip text)",
        f"CREATE TABLE users (id int PRIMARY KEY, home {kind})",
    )
    up, down = sent("ALTER TYPE address DROP ATTRIBUTE zip"), sent("ALTER TYPE address ADD ATTRIBUTE zip text")
    report = bench.review(replace(case((up, down)), setup=setup), select=("dropped-column",))

    assert [each.message.startswith("Dropping the attribute `zip`") for each in report.findings] == [True] * told


TIED = (
    "DELETE FROM logs WHERE id IN (SELECT id FROM logs WHERE kind = 'a' LIMIT 10)",
    "DELETE FROM logs WHERE ctid IN (SELECT ctid FROM logs WHERE kind = 'a' LIMIT 10)",
    "DELETE FROM logs a USING logs b WHERE a.kind = b.kind AND a.id > b.id",
    "DELETE FROM logs USING users u WHERE u.id = user_id",
    "WITH gone AS (SELECT id AS user_id FROM users) DELETE FROM logs WHERE user_id IN (SELECT user_id FROM gone)",
    "DELETE FROM logs WHERE EXISTS (SELECT FROM users u WHERE u.id = logs.user_id)",
    "DELETE FROM logs l WHERE NOT EXISTS (SELECT FROM users WHERE id = l.user_id)",
    "UPDATE logs SET kind = 'b' WHERE (SELECT count(*) FROM users WHERE id = user_id) > 3",
    "UPDATE logs SET kind = 'b' FROM (SELECT max(id) AS last FROM users) m WHERE user_id = m.last",
    "UPDATE logs l SET kind = 'b' FROM users u, logs k WHERE k.id = l.id AND u.id = k.user_id",
    "DELETE FROM logs WHERE logs IS NOT NULL AND EXISTS (SELECT FROM users)",
    "CREATE TABLE doomed AS SELECT l.* FROM logs l WHERE kind = 'a'",
    "DELETE FROM logs WHERE id IN (SELECT id FROM doomed)",
    "ALTER TABLE doomed RENAME TO gone",
    "DELETE FROM logs WHERE id IN (SELECT id FROM gone)",
    "CREATE VIEW seen AS SELECT user_id FROM logs",
    "DELETE FROM logs WHERE user_id IN (SELECT user_id FROM seen)",
)
UNTIED = (
    "DELETE FROM logs WHERE user_id IN (SELECT user_id FROM users)",
    "DELETE FROM logs l WHERE l.id NOT IN (SELECT made FROM users)",
    "DELETE FROM logs USING users u WHERE u.id > 7",
    "DELETE FROM logs USING users WHERE users.id > 7 AND EXISTS (SELECT FROM logs k WHERE k.user_id = users.id)",
    "UPDATE logs SET kind = 'b' WHERE EXISTS (SELECT FROM users u WHERE u.id > 7)",
)


def test_a_condition_that_says_nothing_of_the_table_is_told(bench: cases.Bench) -> None:
    setup = (LOGS[0], "CREATE TABLE logs (id int PRIMARY KEY, user_id int, kind text, made int NOT NULL)")
    up = sent(*TIED, *UNTIED)
    report = bench.review(replace(case((up, NO_WAY_BACK)), setup=setup), select=("unfiltered-change",))

    says = re.compile("Nothing in this WHERE|.* is no column of ")
    told = {each.location.line for each in report.findings if each.location and says.match(each.message)}
    assert [line - min(told) for line in sorted(told)] == list(range(len(UNTIED)))
    assert len(TIED) + len(UNTIED) == max(told) - (report.trees[0].recording.revisions[0].upgrade_line or 0)


def test_a_loop_whose_last_round_finds_no_row_is_told_once(bench: cases.Bench) -> None:
    update = "UPDATE items SET old = 'x' WHERE id IN (SELECT id FROM items WHERE old IS NULL LIMIT 500)"
    up = f"""
op.add_column("items", sa.Column("code", sa.Text()))
while op.get_bind().exec_driver_sql({update!r}).rowcount:
    pass
"""
    report = bench.review(case((up, NO_WAY_BACK)), select=("work-under-lock",))

    (found,) = report.findings
    assert found.message.startswith("Updating every row of `items` in 2 statements")
    assert "while op.get_bind().execute(batch).rowcount:" in found.remedy[0]


def test_one_of_many_changes_is_no_remedy_for_all_of_them(bench: cases.Bench) -> None:
    up = """
op.add_column("items", sa.Column("code", sa.Text()))
for (key,) in op.get_bind().exec_driver_sql("SELECT id FROM items").fetchall():
    op.execute(f"UPDATE items SET code = 'c{key}' WHERE id = {key}")
"""
    report = bench.review(case((up, NO_WAY_BACK)), select=("work-under-lock",))

    assert [each.remedy for each in report.findings] == [()]


@pytest.mark.parametrize("both", [True, False], ids=["that refers to it", "that does not"])
def test_what_a_truncate_takes_with_it_is_told_once(both: bool, bench: cases.Bench) -> None:
    setup = (*ITEMS, f"CREATE TABLE parts (id int PRIMARY KEY, item int {'REFERENCES items' * both})")
    up = sent("TRUNCATE items CASCADE" if both else "TRUNCATE items, parts")
    report = bench.review(replace(case((up, "pass")), setup=setup), select=("truncated-table", "lossy-round-trip"))

    assert {each.rule for each in report.findings} == {"truncated-table"}


@pytest.mark.parametrize("not_valid", [False, True])
def test_a_foreign_key_that_indexes_check_reads_every_row_too(not_valid: bool, bench: cases.Bench) -> None:
    setup = (
        "CREATE TABLE u (a int, b int, PRIMARY KEY (a, b))",
        "CREATE TABLE o (id int PRIMARY KEY, a int, b int)",
        "CREATE INDEX ix ON o (a, b)",
    )
    up = sent(f"ALTER TABLE o ADD CONSTRAINT fk FOREIGN KEY (a, b) REFERENCES u {'NOT VALID' * not_valid}")
    report = bench.review(replace(case((up, 'op.drop_constraint("fk", "o")')), setup=setup))

    rules = {each.rule for each in report.findings}
    assert ("validating-foreign-key" in rules) is not not_valid
    assert ("fails-on-legal-rows" in rules) is not not_valid


@pytest.mark.parametrize(
    ("then", "more"),
    [
        ('op.create_index("ix", "items", ["old"])', ""),
        ('op.create_index("ix", "others", ["id"])', " (and at 1 more statement)"),
    ],
    ids=["the same table", "another table"],
)
def test_a_table_that_is_held_already_is_not_waited_for_again(then: str, more: str, bench: cases.Bench) -> None:
    made = case((f'op.add_column("items", sa.Column("a", sa.Integer()))\n{then}', NO_WAY_BACK))
    report = bench.review(replace(made, setup=(*ITEMS, "CREATE TABLE others (id int)")))

    (finding,) = (each for each in report.findings if each.rule == "endless-lock-wait")
    assert f"on `items` is requested{more}: while" in finding.message


@pytest.mark.parametrize(
    ("upgrade", "query"),
    [
        ('op.create_unique_constraint("u", "items", ["old"])', "SELECT old, count(*) FROM items "),
        (
            """
op.add_column("items", sa.Column("slug", sa.Text()))
op.execute("UPDATE items SET slug = lower(old)")
op.create_unique_constraint("u", "items", ["slug"])
""",
            None,
        ),
        (
            """
op.add_column("items", sa.Column("slug", sa.Text()))
op.execute("UPDATE items SET slug = old")
op.alter_column("items", "slug", nullable=False)
""",
            "SELECT count(*) FROM items WHERE old IS NULL",
        ),
        (
            """
op.alter_column("items", "old", new_column_name="label")
op.create_unique_constraint("u", "items", ["label"])
""",
            None,
        ),
    ],
    ids=["a column that is there", "a new column", "a column that a new one is filled from", "a renamed column"],
)
def test_production_is_asked_only_what_it_can_answer_before_the_deploy(
    upgrade: str, query: str | None, bench: cases.Bench
) -> None:
    report = bench.review(replace(case((upgrade.strip(), NO_WAY_BACK)), setup=ITEMS[:1]))

    (finding,) = (each for each in report.findings if each.rule == "fails-on-legal-rows")
    asked = finding.evidence.get("query")
    assert str(asked or "").startswith(query or "")
    assert (asked is None) is (query is None)
    assert ("Query production" in finding.message) is (query is not None)


@pytest.mark.parametrize(
    ("columns", "severities"), [("id, old", ["warning"]), ("old", [])], ids=["with their old keys", "with new keys"]
)
def test_rows_of_two_tables_that_become_one_have_the_same_keys(
    columns: str, severities: list[str], bench: cases.Bench
) -> None:
    up = sent(
        "CREATE TABLE things (id serial PRIMARY KEY, old text)",
        f"INSERT INTO things ({columns}) SELECT {columns} FROM items UNION ALL SELECT {columns} FROM parts",
    )
    setup = tuple(f"CREATE TABLE {name} (id serial PRIMARY KEY, old text)" for name in ("items", "parts"))
    made = replace(case((up, 'op.drop_table("things")')), setup=setup)
    report = bench.review(made, select=("failing-upgrade",))

    assert [each.severity.value for each in report.findings] == severities


@pytest.mark.parametrize(("scale", "told"), [(4, True), (2, False)], ids=["with more digits", "with these digits"])
def test_a_copy_that_rounds_is_told_where_its_column_goes(scale: int, told: bool, bench: cases.Bench) -> None:
    setup = (f"CREATE TABLE fees (id serial PRIMARY KEY, amount numeric(12, {scale}) NOT NULL)",)
    up = sent(
        "ALTER TABLE fees ADD COLUMN cents bigint",
        "UPDATE fees SET cents = amount * 100",
        "ALTER TABLE fees DROP COLUMN amount",
    )
    down = sent(
        f"ALTER TABLE fees ADD COLUMN amount numeric(12, {scale}) NOT NULL DEFAULT 0",
        "UPDATE fees SET amount = cents / 100.0",
        "ALTER TABLE fees ALTER COLUMN amount DROP DEFAULT, DROP COLUMN cents",
    )
    report = bench.review(replace(case((up, down)), setup=setup), select=("lossy-round-trip",))

    assert ["`fees.amount`" in each.message for each in report.findings] == [True] * told


@pytest.mark.parametrize(
    ("does", "lost"),
    [("DROP TABLE items", True), ("ALTER TABLE items RENAME TO things", False)],
    ids=["dropped", "renamed"],
)
def test_the_rows_of_a_table_that_a_block_drops_are_lost(does: str, lost: bool, bench: cases.Bench) -> None:
    up = sent(f"DO $$ BEGIN {does}; END $$")
    report = bench.review(case((up, NO_WAY_BACK)), select=("refused-after-upgrade",))

    (message,) = (each.message for each in report.findings)
    assert message.endswith("Its rows are lost.") is lost


def test_each_table_that_one_statement_blocks_is_told(bench: cases.Bench) -> None:
    changes = "".join(
        f"ALTER TABLE {each} ADD COLUMN uid uuid DEFAULT gen_random_uuid();" for each in ("items", "parts")
    )
    up = sent(f"DO $$ BEGIN {changes} END $$")
    setup = (*ITEMS, "CREATE TABLE parts (id int PRIMARY KEY)", "INSERT INTO parts SELECT generate_series(1, 50)")
    report = bench.review(replace(case((up, NO_WAY_BACK)), setup=setup), select=("blocking-statement",))

    (message,) = (each.message for each in report.findings)
    assert "reads and writes of `items` and `parts` wait" in " ".join(message.split())


@pytest.mark.parametrize("back", [NO_WAY_BACK, "pass"])
def test_rows_that_a_refused_downgrade_leaves_where_they_were_written_stop_no_later_revision(
    back: str, bench: cases.Bench
) -> None:
    created = ('op.execute("CREATE TABLE IF NOT EXISTS notes (id int PRIMARY KEY, body text)")', back)
    between = [(f'op.execute("ALTER TABLE items ADD COLUMN IF NOT EXISTS n{n} int")', back) for n in range(16)]
    required = ('op.add_column("notes", sa.Column("kind", sa.Integer(), nullable=False))', NO_WAY_BACK)

    report = bench.review(case(created, *between, required))

    assert not {"failing-upgrade", "fails-on-legal-rows"} & {f.rule for f in report.findings}


TEXTS = "CREATE TABLE texts (id int PRIMARY KEY, name varchar(200) NOT NULL, slug varchar(200))"
BY_LINES = """
for row in op.get_bind().execute(sa.text("SELECT id, name FROM texts WHERE slug IS NULL")).all():
    {}
"""
LITERAL = "op.execute(f\"UPDATE texts SET slug = '{row.name.lower()}' WHERE id = {row.id}\")"
PARAMETER = 'op.get_bind().execute(sa.text("UPDATE texts SET slug = :s WHERE id = :i"), {"s": row.name.lower(), "i": row.id})'
BY_PAGES = """
bind, seen = op.get_bind(), 0
while True:
    page = sa.text("SELECT id FROM texts WHERE slug IS NULL ORDER BY id LIMIT 500{}")
    ids = bind.execute(page, {{"seen": seen}}).scalars().all()
    if not ids:
        break
    bind.execute(sa.text("UPDATE texts SET slug = name WHERE id = ANY(:ids)"), {{"ids": list(ids)}})
    seen += 500
op.alter_column("texts", "slug", nullable=False)
"""
ONCE = (
    "DELETE FROM texts a USING texts b WHERE {0}(a.name) = {0}(b.name) AND a.id > b.id",
    "CREATE UNIQUE INDEX one_name ON texts (lower(name))",
)


@pytest.mark.parametrize(
    ("given", "harmful", "harmless"),
    [
        (TEXTS, BY_LINES.format(LITERAL), BY_LINES.format(PARAMETER)),
        (TEXTS, BY_PAGES.format(" OFFSET :seen"), BY_PAGES.format("")),
        (TEXTS, *(sent(*(each.format(fold) for each in ONCE)) for fold in ("md5", "lower"))),
        (
            "CREATE TABLE texts (id int PRIMARY KEY, tags text, list text[])",
            sent("UPDATE texts SET list = ('{' || tags || '}')::text[] WHERE list IS NULL AND tags IS NOT NULL"),
            sent("UPDATE texts SET list = string_to_array(tags, ',') WHERE list IS NULL AND tags IS NOT NULL"),
        ),
        (
            "CREATE TABLE fees (id int PRIMARY KEY, price numeric(10, 2) NOT NULL, cents int, big bigint)",
            sent("UPDATE fees SET cents = price * 100 WHERE cents IS NULL"),
            sent("UPDATE fees SET big = price * 100 WHERE big IS NULL"),
        ),
    ],
    ids=["quotes", "pages that shrink", "alike but for case", "braces", "too many digits"],
)
def test_rows_that_a_statement_takes_may_be_bad_in_another_column(
    given: str, harmful: str, harmless: str, bench: cases.Bench
) -> None:
    told = [
        bench.review(
            replace(case((body.strip(), NO_WAY_BACK)), setup=(given,)), select=("fails-on-legal-rows",)
        ).findings
        for body in (harmful, harmless)
    ]

    assert [[each.rule for each in found] for found in told] == [["fails-on-legal-rows"], []]


@pytest.mark.parametrize(("update", "told"), [("", True), (', onupdate="CASCADE"', False)])
def test_a_key_that_references_no_longer_follow_is_told(update: str, told: bool, bench: cases.Bench) -> None:
    setup = (
        "CREATE TABLE kinds (code text PRIMARY KEY)",
        "CREATE TABLE things (id int PRIMARY KEY, code text CONSTRAINT of_kind REFERENCES kinds ON UPDATE CASCADE)",
    )
    up = f"""
op.drop_constraint("of_kind", "things")
op.create_foreign_key("of_kind", "things", "kinds", ["code"], ["code"], postgresql_not_valid=True{update})
"""
    report = bench.review(replace(case((up.strip(), NO_WAY_BACK)), setup=setup), select=("refused-after-upgrade",))

    assert [each.message.startswith("UPDATE of a key that others refer to") for each in report.findings] == [
        True
    ] * told


@pytest.mark.parametrize(("timeout", "told"), [("'3s'", ["warning"]), ("0", [])])
def test_a_build_that_may_take_no_longer_than_other_statements_is_told(
    timeout: str, told: list[str], bench: cases.Bench
) -> None:
    up = f"""
with op.get_context().autocommit_block():
    op.execute("SET statement_timeout = {timeout}")
    op.create_index("ix", "items", ["old"], postgresql_concurrently=True)
"""
    report = bench.review(case((up.strip(), NO_WAY_BACK)), select=("timed-out-concurrent-build",))

    assert [each.severity.value for each in report.findings] == told


@pytest.mark.parametrize("pair", look_alikes.PAIRS, ids=lambda pair: pair.name)
def test_what_does_harm_is_told_apart_from_what_only_looks_like_it(
    pair: look_alikes.LookAlikes, bench: cases.Bench
) -> None:
    told = []
    for upgrade, back, given in (
        (pair.harmful, pair.back[0], pair.given),
        (pair.harmless, pair.back[1], pair.other or pair.given),
    ):
        revisions = upgrade if isinstance(upgrade, list) else [(upgrade, back)]
        made = replace(case(*revisions, per_migration=not pair.together), setup=(given,))
        report = bench.review(made)
        assert not report.all_errors
        told.append({f.rule for f in report.findings if f.severity.value != "notice"})

    assert [pair.rule in each for each in told] == [True, False]


@pytest.mark.parametrize(("default", "severity"), [("", "notice"), (" DEFAULT ''", "error")])
def test_a_check_on_a_column_that_the_insert_leaves_out_is_proof_only_where_its_default_is_rejected(
    default: str, severity: str, bench: cases.Bench
) -> None:
    condition = "name <> ''" if default else "name IS NOT NULL"
    upgrade = sent(f"ALTER TABLE users ADD CONSTRAINT of_name CHECK ({condition}) NOT VALID")
    setup = (f"CREATE TABLE users (id int PRIMARY KEY, name varchar(50){default})",)

    report = bench.review(replace(case((upgrade, NO_WAY_BACK)), setup=setup))

    told = {
        f.severity.value for f in report.findings if f.rule in {"refused-after-upgrade", "stricter-for-old-code"}
    }
    assert told == {severity}
