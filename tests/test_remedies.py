"""What is said instead is applied as it is said, on a real server."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests import cases


@pytest.fixture(name="bench")
def bench_of_cases(case_bench: cases.Bench) -> cases.Bench:
    return case_bench


def case(setup: str, *upgrades: str) -> cases.Case:
    made = tuple(
        {
            "revision": f"r{n}",
            "down_revision": f"r{n - 1}" if n > 1 else "base0",
            "upgrade": upgrade,
            "downgrade": "raise NotImplementedError",
        }
        for n, upgrade in enumerate(upgrades, 1)
    )
    return cases.Case("remedy", "a remedy", "safe", (), (setup,), made, True)


def test_what_is_said_instead_of_a_rename_keeps_the_values_beside_a_column_with_a_default(
    bench: cases.Bench,
) -> None:
    setup = "CREATE TABLE people (id int PRIMARY KEY, fullname text NOT NULL)"
    added = 'op.add_column("people", sa.Column("name", sa.Text(), nullable=False{}))'
    report = bench.review(case(setup, added.format("") + '\nop.drop_column("people", "fullname")'))
    (instead,) = (each.remedy for each in report.findings if each.rule == "rename-as-drop")

    copied = "SELECT count(*) FROM people WHERE name IS DISTINCT FROM fullname"
    proof = f'assert op.get_bind().scalar(sa.text("{copied}")) == 0'
    written = "op.execute(\"INSERT INTO people (id, name) VALUES (-1, 'new')\")"
    report = bench.review(
        case(
            setup,
            added.format(", server_default=''") + f"\n{instead[0]}",
            f"{instead[1]}\n{proof}\n{written}",
        )
    )

    assert len(instead) == 2
    assert [each.message for each in report.findings if each.rule.startswith("failing")] == []


@pytest.mark.parametrize("null", ["", " NOT NULL"], ids=["may be NULL", "NOT NULL"])
def test_what_is_said_instead_of_a_rename_takes_no_value_from_rows_without_an_old_one(
    bench: cases.Bench, null: str
) -> None:
    setup = f"CREATE TABLE people (id int PRIMARY KEY, fullname text{null})"
    added = 'op.add_column("people", sa.Column("name", sa.Text(), nullable=False{}))'
    report = bench.review(case(setup, added.format("") + '\nop.drop_column("people", "fullname")'))
    (instead,) = (each.remedy for each in report.findings if each.rule == "rename-as-drop")

    written = "op.execute(\"INSERT INTO people (id, name) VALUES (-1, 'new')\")"
    proof = """assert op.get_bind().scalar(sa.text("SELECT name FROM people WHERE id = -1")) == 'new'"""
    deploys = [added.format(", server_default=''"), *instead[:-1]]
    report = bench.review(case(setup, "\n".join(deploys), f"{written}\n{instead[-1]}\n{proof}"))

    assert [each.message for each in report.findings if each.rule.startswith("failing")] == []


def test_constraints_of_a_remedy_keep_their_names_under_a_naming_convention(bench: cases.Bench) -> None:
    setup = "CREATE TABLE items (id int PRIMARY KEY)"
    report = bench.review(case(setup, 'op.execute("ALTER TABLE items ADD CHECK (id > 0)")'))

    (finding,) = (each for each in report.findings if each.rule == "validating-check")
    assert 'op.f("items_check")' in finding.remedy[0]
    assert "VALIDATE CONSTRAINT items_check" in finding.remedy[1]


def test_a_remedy_that_commits_says_that_it_wants_a_revision_of_its_own(bench: cases.Bench) -> None:
    setup = "CREATE TABLE items (id int PRIMARY KEY, old text)"
    index = 'op.create_index("ix", "items", ["old"])'
    alone = bench.review(case(setup, index))
    together = bench.review(case(setup, f'op.add_column("items", sa.Column("a", sa.Integer()))\n{index}'))

    (first,), (second,) = (
        [each.remedy for each in report.findings if each.rule == "blocking-index"] for report in (alone, together)
    )
    assert second == ("# in a separate revision: the block commits the earlier statements\n" + first[0],)


def test_rows_that_are_written_meanwhile_have_the_same_in_both_columns(bench: cases.Bench) -> None:
    setup = "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL)"
    report = bench.review(case(setup, 'op.alter_column("people", "name", new_column_name="full_name")'))
    (instead,) = (each.remedy for each in report.findings if each.rule == "renamed-column")

    old = "INSERT INTO people (id, name) VALUES (-1, 'a'); UPDATE people SET name = 'b' WHERE id = -1"
    new = "INSERT INTO people (id, full_name) VALUES (-2, 'c'); UPDATE people SET full_name = 'd' WHERE id = -2"
    query = "SELECT string_agg(name || full_name, ' ' ORDER BY id) FROM people WHERE id < 0"
    proof = f'assert op.get_bind().scalar(sa.text("{query}")) == "dd bb"'
    written = f'op.execute("{old}; {new}")'
    report = bench.review(case(setup, f"{instead[0]}\n{written}\n{proof}", f"{instead[1]}\n{proof}"))

    assert [each.message for each in report.findings if each.rule.startswith("failing")] == []


def test_the_way_out_is_said_with_what_postgresql_adds(bench: cases.Bench) -> None:
    setup = "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'a')"
    kind = 'sa.Column("kind", sa.Enum("a", name="kind"))'
    bodies = {
        f'op.add_column("users", {kind})': '`sa.Enum(..., name="kind").create(op.get_bind(), checkfirst=True)`',
        f'op.execute("CREATE TYPE kind AS ENUM (\'a\')")\nop.create_table("b", {kind})': "create_type=False",
        'op.drop_constraint(None, "users")': "the name that the database has",
        'op.alter_column("users", "name", type_=sa.Integer())': '`postgresql_using="name::integer"`',
    }
    for body, words in bodies.items():
        report = bench.review(case(setup, body), select=["failing-upgrade"])
        (told,) = report.findings
        assert words in told.message
    assert told.evidence["hint"] == 'You might need to specify "USING name::integer".'

    report = bench.review(case(setup, 'op.execute("INSERT INTO users VALUES (1)")'), select=["failing-upgrade"])
    assert [each.evidence["detail"] for each in report.findings] == ["Key (id)=(1) already exists."]


@pytest.mark.parametrize("static", [False, True], ids=["on a server", "without one"])
def test_a_revision_id_that_the_version_table_does_not_take_is_told_at_its_revision(
    bench: cases.Bench, static: bool
) -> None:
    made = case("CREATE TABLE users (id int)", 'op.execute("SELECT 1")')
    long = "revision_" * 4
    made = replace(made, revisions=({**made.revisions[0], "revision": long},))

    report = bench.review(made, static=static, select=["failing-upgrade"])

    (told,) = report.findings
    assert told.location is not None
    assert told.location.path == f"migrations/versions/{long}.py"
    assert "has 36 characters, and the version table takes 32" in told.message


def test_a_long_history_keeps_the_databases_that_it_needs_and_no_other(bench: cases.Bench) -> None:
    bodies = [f'op.add_column("users", sa.Column("c{n}", sa.Text()))' for n in range(6)]
    made = case("CREATE TABLE users (id int PRIMARY KEY)", *bodies)
    revisions = tuple(
        {**each, "downgrade": f'op.drop_column("users", "c{n}")'} for n, each in enumerate(made.revisions)
    )

    report = bench.review(replace(made, revisions=revisions))

    assert report.all_errors == ()
    assert len(bench.databases) <= 8


def test_times_without_a_zone_are_read_in_the_one_that_the_remedy_names(bench: cases.Bench) -> None:
    setup = "CREATE TABLE visits (id int PRIMARY KEY, at timestamp NOT NULL)"
    change = 'op.alter_column("visits", "at", type_=sa.DateTime(timezone=True))'
    report = bench.review(case(setup, change), select=["rewriting-type-change"])
    (told,) = report.findings

    again = bench.review(case(setup, *told.remedy), select=["rewriting-type-change", "failing-upgrade"])

    assert "The old values are read as times in the session's time zone." in told.message
    assert again.findings == ()
