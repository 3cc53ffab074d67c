"""What the sizes of tables in production change in a review, on migrations that a server has run."""

from __future__ import annotations

import textwrap
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

import checks
from reviewer.config import Config
from reviewer.errors import UsageError
from reviewer.judging import judged
from reviewer.recording import Direction
from reviewer.report import html, json, markdown, sarif, text, workflow_commands
from reviewer.review.engine import review
from reviewer.review.finding import Finding, Severity
from reviewer.review.rule import Check
from reviewer.stats.sizes import Production, told_bytes, told_rows
from tests.examples import Bench, Story, without_server
from tests.stats.made import MADE, production, table

USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'
ORDERS = 'op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, note text)")'
EVENTS = (
    'op.execute("CREATE TABLE events (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")\n'
    "op.execute(\"CREATE TABLE e1 PARTITION OF events FOR VALUES FROM ('2000-01-01') TO ('2050-01-01')\")"
)
INDEX = 'op.create_index("ix", "users", ["name"])'
MILLIONS = 50_000_000


def story(given: str, upgrade: str, downgrade: str | None = None) -> Story:
    bodies = (textwrap.dedent(each).strip("\n") for each in (given, upgrade))
    return Story(given=(next(bodies),), new=(next(bodies),), downgrade=downgrade)


def findings(bench: Bench, told: Story, there: Production | None, small: int = 10_000) -> dict[str, Finding]:
    """What a review finds, by rule: the rules that grow with a table."""
    found = review(bench.record(told), checks.load(), there, small).findings
    return {each.rule: each for each in found if each.grows_with}


def like(rule: str, **other: Any) -> list[Check]:
    """The check of a rule with a promise that differs."""
    check = checks.by_id()[rule]
    found = SimpleNamespace(RULE=replace(check.RULE, **other), EXAMPLES=check.EXAMPLES, check=check.check)
    return [cast("Check", found)]


def test_a_small_table_makes_a_notice_that_says_how_small_it_is(bench: Bench) -> None:
    found = findings(bench, story(USERS, INDEX), production({"users": 50}))["blocking-index"]

    assert found.severity is Severity.NOTICE
    assert found.message.endswith(" In production `users` has 50 rows (5 kB), so this is soon done.")
    assert [(str(each.table), each.rows, each.bytes) for each in found.grows_with] == [("users", 50, 5_000)]


@pytest.mark.parametrize(("days", "severity"), [(30, Severity.NOTICE), (31, Severity.ERROR)])
def test_an_old_file_no_longer_says_that_a_table_is_small(days: int, severity: Severity, bench: Bench) -> None:
    then = production({"users": 50}).at(MADE + timedelta(days=days))

    found = findings(bench, story(USERS, INDEX), then)["blocking-index"]

    assert found.severity is severity
    assert found.message.endswith(", but that was 31 days ago.") == (days == 31)


def test_an_old_file_still_says_that_a_table_is_large(bench: Bench) -> None:
    then = production({"users": MILLIONS}).at(MADE + timedelta(days=365))

    found = findings(bench, story(USERS, INDEX), then)["blocking-index"]

    assert found.severity is Severity.ERROR
    assert found.message.endswith(" In production `users` has 50 million rows (4.7 GB).")


def test_a_large_table_stays_an_error_that_says_rows_and_bytes(bench: Bench) -> None:
    found = findings(bench, story(USERS, INDEX), production({"users": MILLIONS}))["blocking-index"]

    assert found.severity is Severity.ERROR
    assert found.message.endswith(" In production `users` has 50 million rows (4.7 GB).")


def test_without_sizes_a_finding_only_says_what_it_grows_with(bench: Bench) -> None:
    (with_none, with_some) = (
        findings(bench, story(USERS, INDEX), there)["blocking-index"]
        for there in (None, production({"users": MILLIONS}))
    )

    assert with_some.message.startswith(with_none.message)
    assert (with_none.severity, with_none.evidence) == (with_some.severity, with_some.evidence)
    assert [(str(each.table), each.rows, each.bytes) for each in with_none.grows_with] == [("users", None, None)]


def test_a_table_that_production_does_not_have_is_unknown_and_said(bench: Bench) -> None:
    found = findings(bench, story(USERS, INDEX), production({"others": 5}))["blocking-index"]

    assert found.severity is Severity.ERROR
    assert found.message.endswith(" The size of `users` in production is unknown.")


def test_a_table_that_was_never_analyzed_is_unknown(bench: Bench) -> None:
    found = findings(bench, story(USERS, INDEX), production({"users": table("users", None, 8_192)}))

    assert found["blocking-index"].severity is Severity.ERROR
    assert found["blocking-index"].message.endswith(" In production `users` has 8 kB and was never analyzed.")


def test_few_rows_of_many_bytes_are_not_small(bench: Bench) -> None:
    found = findings(bench, story(USERS, INDEX), production({"users": table("users", 500, 10**9)}))

    assert found["blocking-index"].severity is Severity.ERROR


@pytest.mark.parametrize(("small", "severity"), [(49, Severity.ERROR), (50, Severity.NOTICE), (0, Severity.ERROR)])
def test_what_is_small_is_configured(small: int, severity: Severity, bench: Bench) -> None:
    found = findings(bench, story(USERS, INDEX), production({"users": 50}), small)

    assert found["blocking-index"].severity is severity


@pytest.mark.parametrize(
    ("given", "upgrade", "rule", "sizes", "severity"),
    [
        pytest.param(
            f"{USERS}\n{ORDERS}",
            'op.create_foreign_key("fk", "orders", "users", ["user_id"], ["id"])',
            "validating-foreign-key",
            {"orders": 50, "users": MILLIONS},
            Severity.ERROR,
            id="the table that a foreign key refers to",
        ),
        pytest.param(
            f"{USERS}\n{ORDERS}",
            'op.create_foreign_key("fk", "orders", "users", ["user_id"], ["id"])',
            "validating-foreign-key",
            {"orders": 50, "users": 50},
            Severity.NOTICE,
            id="both tables of a foreign key are small",
        ),
        pytest.param(
            """
            op.execute("CREATE DOMAIN d AS integer")
            op.execute("CREATE TABLE users (id bigint PRIMARY KEY, a d)")
            op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, b d)")
            """,
            'op.execute("ALTER DOMAIN d ADD CHECK (VALUE < 1000000000)")',
            "blocking-statement",
            {"users": 50, "orders": MILLIONS},
            Severity.ERROR,
            id="every table of a domain",
        ),
        pytest.param(
            EVENTS,
            'op.create_index("ix", "events", ["day"])',
            "blocking-index",
            {"events": MILLIONS},
            Severity.ERROR,
            id="a partitioned table, whose partitions have other names there",
        ),
        pytest.param(
            EVENTS,
            'op.create_index("ix", "e1", ["day"])',
            "blocking-index",
            {"events": MILLIONS, "e1": 7},
            Severity.NOTICE,
            id="one partition alone",
        ),
        pytest.param(
            """
            op.execute("CREATE TABLE events (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")
            op.execute("CREATE TABLE e1 PARTITION OF events FOR VALUES FROM ('2000-01-01') TO ('2050-01-01')")
            op.execute("CREATE TABLE rest PARTITION OF events DEFAULT")
            op.execute("CREATE TABLE e2 (id bigint NOT NULL, day date NOT NULL)")
            """,
            "op.execute(\"ALTER TABLE events ATTACH PARTITION e2 FOR VALUES FROM ('2060-01-01') TO ('2070-01-01')\")",
            "scanning-attach-partition",
            {"events": MILLIONS, "e1": MILLIONS, "rest": 20, "e2": 7},
            Severity.NOTICE,
            id="the partitions that are read, and not the whole",
        ),
        pytest.param(
            ORDERS,
            'op.rename_table("orders", "purchases")\nop.create_index("ix", "purchases", ["note"])',
            "blocking-index",
            {"orders": 50},
            Severity.NOTICE,
            id="a table that has just been renamed",
        ),
        pytest.param(
            f"{USERS}\n{ORDERS}",
            """
            op.add_column("users", sa.Column("x", sa.Integer()))
            op.execute("UPDATE orders SET note = 'x'")
            """,
            "work-under-lock",
            {"users": MILLIONS, "orders": 50},
            Severity.NOTICE,
            id="the table that is worked on, and not the one that is locked",
        ),
        pytest.param(
            ORDERS,
            """
            op.add_column("orders", sa.Column("x", sa.Integer()))
            for (key,) in op.get_bind().execute(sa.text("SELECT id FROM orders")).fetchall():
                op.execute(f"UPDATE orders SET x = 1 WHERE id = {key}")
            """,
            "work-under-lock",
            {"orders": 50},
            Severity.NOTICE,
            id="rows that are changed one by one",
        ),
        pytest.param(
            USERS,
            'op.execute("DO $$ BEGIN ALTER TABLE users ALTER name SET NOT NULL; END $$")',
            "blocking-statement",
            {"users": 50},
            Severity.NOTICE,
            id="a statement whose text says nothing",
        ),
        pytest.param(
            f'{USERS}\nop.execute("CREATE MATERIALIZED VIEW m AS SELECT * FROM users")',
            'op.execute("REFRESH MATERIALIZED VIEW m")',
            "blocking-refresh",
            {"m": 50, "users": MILLIONS},
            Severity.ERROR,
            id="the table that a materialized view reads",
        ),
    ],
)
def test_the_tables_that_count_are_those_that_the_server_worked_on(
    given: str,
    upgrade: str,
    rule: str,
    sizes: dict[str, int],
    severity: Severity,
    bench: Bench,
) -> None:
    assert findings(bench, story(given, upgrade), production(dict(sizes)))[rule].severity is severity


def test_a_renamed_table_is_told_with_the_name_that_it_has_in_production(bench: Bench) -> None:
    renamed = story(ORDERS, 'op.rename_table("orders", "purchases")\nop.create_index("ix", "purchases", ["note"])')

    found = findings(bench, renamed, production({"orders": 50, "purchases": MILLIONS}))["blocking-index"]

    assert "In production `purchases` (there `orders`) has 50 rows" in found.message


def test_a_table_of_this_deploy_is_not_looked_up(bench: Bench) -> None:
    new = story(USERS, f"{ORDERS}\nop.create_index('ix', 'orders', ['note'])")

    assert findings(bench, new, production({"orders": MILLIONS, "users": 1})) == {}


def test_in_the_rollback_of_a_rename_the_table_has_its_old_name_in_production(bench: Bench) -> None:
    back = story(
        ORDERS,
        'op.rename_table("orders", "purchases")',
        'op.rename_table("purchases", "orders")\nop.create_index("ix", "orders", ["note"])',
    )
    asked = like("blocking-index", directions=frozenset({Direction.UPGRADE, Direction.DOWNGRADE}))

    (found,) = review(bench.record(back), asked, production({"orders": 50})).findings

    assert found.direction is Direction.DOWNGRADE
    assert "In production `orders` has 50 rows" in found.message


def test_what_is_only_read_from_the_text_counts_the_table_that_it_names(bench: Bench) -> None:
    recording = without_server(bench.record(story(USERS, INDEX)))

    small, large = (
        next(
            each
            for each in review(recording, checks.load(), production({"users": rows})).findings
            if each.rule == "blocking-index"
        )
        for rows in (50, MILLIONS)
    )

    assert small.severity is Severity.NOTICE
    assert large.severity is Severity.ERROR
    assert "50 million rows" in large.message


def test_a_foreign_key_that_is_only_read_from_the_text_counts_both_tables(bench: Bench) -> None:
    key = story(f"{USERS}\n{ORDERS}", 'op.create_foreign_key("fk", "orders", "users", ["user_id"], ["id"])')
    recording = without_server(bench.record(key))

    (found,) = review(
        recording, [checks.by_id()["validating-foreign-key"]], production({"orders": 5, "users": MILLIONS})
    ).findings

    assert {str(each.table) for each in found.grows_with} == {"orders", "users"}
    assert found.severity is not Severity.NOTICE


def test_a_warning_about_work_on_a_large_table_becomes_an_error(bench: Bench) -> None:
    asked = like("blocking-index", severity=Severity.WARNING)
    recording = bench.record(story(USERS, INDEX))

    severities = [
        review(recording, asked, production({"users": rows})).findings[0].severity
        for rows in (50, 500_000, MILLIONS)
    ]

    assert severities == [Severity.NOTICE, Severity.WARNING, Severity.ERROR]


def test_a_severity_that_the_configuration_sets_wins(bench: Bench) -> None:
    config = Config(select=("blocking-index",), severity={"blocking-index": Severity.WARNING})

    report = judged(config, [bench.record(story(USERS, INDEX))], {}, production({"users": 50}))

    assert [each.severity for each in report.findings] == [Severity.WARNING]


def test_the_database_of_somebody_else_is_a_wrong_usage(bench: Bench) -> None:
    with pytest.raises(UsageError) as caught:
        judged(
            Config(), [bench.record(story(USERS, INDEX))], {}, production({"payments": 50, "alembic_version": 1})
        )

    assert caught.value.sentence == (
        "stats.json is about the database shop, which has none of the tables of this project."
    )


def test_of_two_trees_the_one_whose_tables_are_elsewhere_is_told(bench: Bench) -> None:
    mine = replace(bench.record(story(USERS, INDEX)), tree="shop")
    other = replace(bench.record(story(ORDERS, 'op.create_index("i", "orders", ["note"])')), tree="billing")

    report = judged(Config(select=("blocking-index",)), [mine, other], {}, production({"users": 50}))

    assert [each.severity for each in report.findings] == [Severity.NOTICE, Severity.ERROR]
    assert [(each.what, each.reason) for each in report.skipped] == [
        ("the sizes of tree billing", "stats.json is about the database shop, which has none of its tables")
    ]


def test_every_format_shows_the_size_and_the_age_of_the_file(bench: Bench) -> None:
    made = judged(
        Config(select=("blocking-index",)), [bench.record(story(USERS, INDEX))], {}, production({"users": MILLIONS})
    )
    assert made.sizes is not None
    report = replace(made, sizes=made.sizes.at(MADE.replace(year=2027)))
    size = "50 million rows (4.7 GB)"
    age = "sizes of database shop (PostgreSQL 16.4) from 2026-11-22, 365 days old: run alembic-reviewer stats again"

    read = json.load(json.render(report))

    for one in (report, read):
        for page in (text.render(one), markdown.render(one), html.render(one)):
            assert size in page
            assert age in page
        for page in (sarif.render(one, checks.by_id()), workflow_commands.render(one)):
            assert size in page
    assert read.sizes == report.sizes
    assert [each.grows_with for each in read.findings] == [each.grows_with for each in report.findings]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (0, "0 rows"),
        (1, "1 row"),
        (12_345, "12,345 rows"),
        (999_999, "999,999 rows"),
        (1_000_000, "1 million rows"),
        (1_260_000, "1.3 million rows"),
        (50_000_000, "50 million rows"),
        (2_500_000_000, "2.5 billion rows"),
    ],
)
def test_rows_are_told_as_people_say_them(rows: int, told: str) -> None:
    assert told_rows(rows) == told


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (0, "0 bytes"),
        (8_192, "8 kB"),
        (1_500_000, "1.4 MB"),
        (12 * 1024**3, "12 GB"),
        (3 * 1024**4, "3 TB"),
        (5_000 * 1024**4, "5000 TB"),
    ],
)
def test_bytes_are_told_as_postgresql_does(size: int, told: str) -> None:
    assert told_bytes(size) == told
