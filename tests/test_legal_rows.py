"""The worst rows that the schema allows: what an upgrade says to them, and what it says to those behind it."""

from __future__ import annotations

import pytest

import checks
from reviewer.review.engine import review
from reviewer.review.finding import Finding
from tests.examples import Bench, Story

CHECKS = checks.load()

GIVEN = """op.execute(
    "CREATE TABLE users (id bigserial PRIMARY KEY, email varchar(20) NOT NULL UNIQUE, code text, city text, UNIQUE (city, code))"
)"""

NAMED = 'op.execute("ALTER TABLE users ALTER code SET NOT NULL")'
CASE = 'op.execute("CREATE UNIQUE INDEX users_email_key2 ON users (lower(email))")'
FILLED = "op.execute(\"ALTER TABLE users ADD CHECK (city <> '')\")"
PLAIN = 'op.execute("CREATE INDEX users_city ON users (city)")'


def told(bench: Bench, story: Story) -> dict[str | None, Finding]:
    findings = review(bench.record(story), CHECKS).findings
    return {found.revision: found for found in findings if found.rule == "fails-on-legal-rows"}


@pytest.mark.parametrize(
    ("upgrade", "query"),
    [
        (
            CASE,
            "SELECT (lower(email)), count(*) FROM users WHERE (lower(email)) IS NOT NULL GROUP BY (lower(email)) HAVING count(*) > 1",
        ),
        (
            'op.execute("CREATE UNIQUE INDEX ix ON users (city, upper(code))")',
            "SELECT city, (upper(code)), count(*) FROM users WHERE city IS NOT NULL AND (upper(code)) IS NOT NULL GROUP BY city, (upper(code)) HAVING count(*) > 1",
        ),
        (
            'op.execute("CREATE UNIQUE INDEX ix ON users (trim(email))")',
            "SELECT (trim(email)), count(*) FROM users WHERE (trim(email)) IS NOT NULL GROUP BY (trim(email)) HAVING count(*) > 1",
        ),
    ],
)
def test_unique_texts_that_differ_in_case_or_in_a_space_are_tried(upgrade: str, query: str, bench: Bench) -> None:
    (found,) = told(bench, Story((GIVEN,), (upgrade,))).values()

    assert found.evidence["query"] == query


@pytest.mark.parametrize(
    ("given", "upgrade", "query"),
    [
        (
            "a int, b text NOT NULL",
            "ALTER TABLE rooms ADD UNIQUE (a, b)",
            "SELECT a, b, count(*) FROM rooms WHERE a IS NOT NULL GROUP BY a, b HAVING count(*) > 1",
        ),
        (
            "a int",
            "ALTER TABLE rooms ADD UNIQUE NULLS NOT DISTINCT (a)",
            "SELECT a, count(*) FROM rooms GROUP BY a HAVING count(*) > 1",
        ),
        (
            "a int, b bool NOT NULL",
            "CREATE UNIQUE INDEX ix ON rooms (a) WHERE b OR a > 0",
            "SELECT a, count(*) FROM rooms WHERE (b OR a > 0) AND a IS NOT NULL GROUP BY a HAVING count(*) > 1",
        ),
        (
            "a int UNIQUE, b int NOT NULL",
            "ALTER TABLE rooms ADD PRIMARY KEY (b, a)",
            "SELECT count(*) FROM rooms WHERE a IS NULL",
        ),
        (
            "a int NOT NULL, b int NOT NULL",
            "ALTER TABLE rooms ADD PRIMARY KEY (a, b)",
            "SELECT a, b, count(*) FROM rooms GROUP BY a, b HAVING count(*) > 1",
        ),
    ],
)
def test_the_query_finds_the_rows_that_fail_and_no_others(
    given: str, upgrade: str, query: str, bench: Bench
) -> None:
    if "NULLS NOT" in upgrade and bench.major < 15:
        pytest.skip("NULLS NOT DISTINCT came with PostgreSQL 15")
    story = Story((f'op.execute("CREATE TABLE rooms ({given})")',), (f'op.execute("{upgrade}")',))

    (found,) = told(bench, story).values()

    assert found.evidence["query"] == query


def test_a_column_with_any_name_is_tried(bench: Bench) -> None:
    given = """op.execute('CREATE TABLE users (id int PRIMARY KEY, "$$" text, "$alembic_reviewer$" text)')"""
    upgrade = """op.execute('ALTER TABLE users ALTER "$alembic_reviewer$" SET NOT NULL')"""

    assert list(told(bench, Story((given,), (upgrade,)))) == ["new1"]


def test_a_unique_text_that_ignores_case_already_is_no_reason_to_fail(bench: Bench) -> None:
    given = GIVEN + '\nop.execute("CREATE UNIQUE INDEX one ON users (lower(email))")'

    assert not told(bench, Story((given,), (CASE,)))


@pytest.mark.parametrize("per_migration", [False, True], ids=["one transaction", "one for each"])
def test_what_comes_behind_a_revision_that_fails_is_tried_too(per_migration: bool, bench: Bench) -> None:
    story = Story((GIVEN,), (NAMED, PLAIN, CASE, FILLED), per_migration=per_migration)

    assert list(told(bench, story)) == ["new1", "new3", "new4"]


def test_what_a_revision_before_has_forbidden_is_not_held_against_a_later_one(bench: Bench) -> None:
    check = 'op.execute("ALTER TABLE users ADD CHECK (code IS NOT NULL)")'

    assert list(told(bench, Story((GIVEN,), (check, NAMED)))) == ["new1"]


def test_each_of_several_branches_that_fails_is_told_once(bench: Bench) -> None:
    story = Story((GIVEN,), (NAMED,), beside=(CASE, PLAIN), per_migration=True)

    recording = bench.record(story)

    assert sorted(each.revision for each in recording.trials if each.worst) == ["new1", "new2"]


@pytest.mark.parametrize(
    ("old", "new", "using"),
    [
        ("json", "jsonb", "a::jsonb"),
        ("bytea", "text", "convert_from(a, 'UTF8')"),
        ("point", "circle", "CASE WHEN a IS NOT NULL THEN ('<' || a::text || ',-1>')::circle END"),
    ],
)
def test_a_value_that_the_new_type_does_not_take_is_told_with_a_query_that_runs(
    old: str, new: str, using: str, bench: Bench
) -> None:
    given = f"CREATE TABLE items (id int PRIMARY KEY, a {old})"
    upgrade = f'op.execute("ALTER TABLE items ALTER a TYPE {new} USING {using}")'

    findings = review(bench.record(Story((f'op.execute("{given}")',), (upgrade,))), CHECKS).findings

    (found,) = (each for each in findings if each.rule in {"fails-on-legal-rows", "failing-upgrade"})
    with bench.server.connect(bench.server.create_database(f"query_{old.partition('(')[0]}")) as connection:
        connection.execute(given.encode())
        connection.execute(str(found.evidence.get("query", "SELECT 1")).encode())


FILLS = 'op.execute("UPDATE items SET a = {} WHERE a IS NULL")\nop.alter_column("items", "a", nullable=False)'
REQUIRES = 'op.alter_column("items", "a", nullable=False)'


@pytest.mark.parametrize(
    ("columns", "upgrade", "fails"),
    [
        ("a text, nickname text, name text NOT NULL", FILLS.format("nickname"), True),
        ("a text, nickname text, name text NOT NULL", FILLS.format("name"), False),
        ("a text, b text, c text, CHECK (b IS NOT NULL OR c IS NOT NULL)", FILLS.format("coalesce(b, c)"), False),
        ("a text, b text, c text, CHECK (b IS NOT NULL OR c IS NOT NULL)", FILLS.format("b"), True),
        ("a text, b text, c text, CHECK (b IS NOT NULL OR c IS NOT NULL)", FILLS.format("c"), True),
        ("a int, b int NOT NULL, CHECK (a IS NOT NULL OR b > 5000)", REQUIRES, True),
        ("a int, b text NOT NULL, CHECK (a IS NOT NULL OR b = 'none')", REQUIRES, True),
        ("a int, b int NOT NULL, CHECK (a IS NOT NULL AND b > 5)", REQUIRES, False),
    ],
)
def test_null_is_tried_in_all_columns_at_once_and_beside_what_a_check_wants(
    columns: str, upgrade: str, fails: bool, bench: Bench
) -> None:
    given = f'op.execute("CREATE TABLE items (id serial PRIMARY KEY, {columns})")'

    assert bool(told(bench, Story((given,), (upgrade,)))) == fails


@pytest.mark.parametrize(
    ("value", "query"),
    [
        ("b WHERE a IS NULL", "SELECT count(*) FROM items WHERE a IS NULL AND b IS NULL"),
        ("nullif(b, '')", None),
        ("'' WHERE b <> ''", None),
    ],
)
def test_the_query_looks_for_what_the_backfill_leaves(value: str, query: str | None, bench: Bench) -> None:
    given = 'op.execute("CREATE TABLE items (id serial PRIMARY KEY, a text, b text)")'
    upgrade = f'op.execute("UPDATE items SET a = {value}")\n{REQUIRES}'

    (found,) = told(bench, Story((given,), (upgrade,))).values()

    assert found.evidence.get("query") == query


@pytest.mark.parametrize(
    ("columns", "index", "fails"),
    [
        ("a int NOT NULL, b int, UNIQUE (a, b)", "(a, b) NULLS NOT DISTINCT", True),
        ("a int NOT NULL, b int, UNIQUE (a, b)", "(a, b, id) NULLS NOT DISTINCT", False),
        ("a int NOT NULL, b int NOT NULL, UNIQUE (a, b)", "(a, b) NULLS NOT DISTINCT", False),
        ("a int, UNIQUE (a)", "(a) NULLS NOT DISTINCT", True),
        ("a int NOT NULL, b int, UNIQUE (a, b)", "(a, coalesce(b, 0))", True),
        ("a int NOT NULL UNIQUE, b int", "(a, coalesce(b, 0))", False),
        ("a int NOT NULL, b date, c text UNIQUE, UNIQUE (a, b)", "(a, coalesce(b, 'infinity'))", True),
        ("a int NOT NULL, b uuid, UNIQUE (a, b)", "(a, b)", False),
    ],
)
def test_rows_that_are_the_same_but_for_null_are_tried(columns: str, index: str, fails: bool, bench: Bench) -> None:
    if "NULLS" in index and bench.major < 15:
        pytest.skip("NULLS NOT DISTINCT is new in PostgreSQL 15")
    given = f'op.execute("CREATE TABLE items (id serial PRIMARY KEY, {columns})")'
    upgrade = f'op.execute("CREATE UNIQUE INDEX ix ON items {index}")'

    assert bool(told(bench, Story((given,), (upgrade,)))) == fails


@pytest.mark.parametrize(("default", "fails"), [("now()", False), ("'infinity'", True)])
def test_a_time_without_an_end_is_tried_where_the_schema_has_one(default: str, fails: bool, bench: Bench) -> None:
    given = f"""op.execute("CREATE TABLE items (at timestamp NOT NULL DEFAULT {default}, ms bigint)")"""
    upgrade = 'op.execute("UPDATE items SET ms = extract(epoch FROM at) * 1000")'

    assert bool(told(bench, Story((given,), (upgrade,)))) == fails


DATED = """op.execute("CREATE TABLE events (id int NOT NULL, kind text, at date NOT NULL) PARTITION BY {}")
op.execute("CREATE TABLE events_other PARTITION OF events DEFAULT")"""


@pytest.mark.parametrize(
    ("key", "added"),
    [
        ("RANGE (at)", "CREATE TABLE new PARTITION OF events FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')"),
        (
            "RANGE (at)",
            "CREATE TABLE new (LIKE events); ALTER TABLE events ATTACH PARTITION new FOR VALUES FROM (DATE '2030-01-01') TO ('2031-01-01')",
        ),
        (
            "RANGE (at, id)",
            "CREATE TABLE new PARTITION OF public.events FOR VALUES FROM ('2030-01-01', MINVALUE) TO ('2031-01-01', 3)",
        ),
        ("LIST (kind)", "CREATE TABLE new PARTITION OF \"events\" FOR VALUES IN ('it''s', 'b')"),
    ],
)
def test_rows_of_the_default_partition_that_belong_into_a_new_one_are_tried(
    key: str, added: str, bench: Bench
) -> None:
    upgrade = "".join(f"op.execute({each.strip()!r})\n" for each in added.split(";"))

    assert told(bench, Story((DATED.format(key),), (upgrade,)))


def test_rows_that_the_default_partition_forbids_are_no_reason_to_fail(bench: Bench) -> None:
    given = (
        DATED.format("RANGE (at)")
        + """
op.execute("ALTER TABLE events_other ADD CHECK (at < '2030-01-01')")"""
    )
    upgrade = "CREATE TABLE new PARTITION OF events FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')"

    assert not told(bench, Story((given,), (f'op.execute("{upgrade}")',)))


@pytest.mark.parametrize(
    ("value", "fails"),
    [("100 / amount", True), ("100 / NULLIF(amount, 0)", False)],
    ids=["divides", "leaves 0 out"],
)
def test_what_an_update_computes_is_tried_on_the_worst_of_the_rows_that_an_index_finds(
    value: str, fails: bool, bench: Bench
) -> None:
    given = 'op.execute("CREATE TABLE users (id bigserial PRIMARY KEY, amount int NOT NULL, part int)")'
    upgrade = f'op.execute("UPDATE users SET part = {value} WHERE id < 1000")'

    assert bool(told(bench, Story((given,), (upgrade,)))) == fails


PARENTS = """op.execute(
    "CREATE TABLE users (id bigserial PRIMARY KEY, tag text, team_id bigint);"
    "CREATE TABLE teams (id bigserial PRIMARY KEY); ALTER TABLE users ADD FOREIGN KEY (team_id) REFERENCES teams;"
    "CREATE TABLE tags (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, name text);"
    "CREATE TABLE nicks (id bigserial PRIMARY KEY, user_id bigint NOT NULL UNIQUE REFERENCES users, name text);"
    "CREATE INDEX by_user ON tags (user_id)"
)"""


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        ("tag = (SELECT name FROM tags WHERE user_id = users.id) WHERE id < 1000", True),
        ("tag = (SELECT name FROM nicks WHERE user_id = users.id) WHERE id < 1000", False),
        ("team_id = 987654 WHERE id < 1000 AND team_id IS NULL", True),
        ("team_id = (SELECT min(id) FROM teams) WHERE team_id IS NULL", False),
    ],
    ids=["a second row", "at most one row", "a parent that may be missing", "a parent that is there"],
)
def test_what_an_update_reads_of_other_tables_is_tried(change: str, fails: bool, bench: Bench) -> None:
    upgrade = f'op.execute("UPDATE users SET {change}")'

    assert bool(told(bench, Story((PARENTS,), (upgrade,)))) == fails


@pytest.mark.parametrize(
    ("upgrade", "fails"),
    [
        ("UPDATE docs SET age = (data ->> 'age')::int WHERE data ? 'age'", True),
        ("UPDATE docs SET age = (data ->> 'age')::int WHERE data ->> 'age' ~ '^[0-9]{1,9}$'", False),
        ("INSERT INTO tags SELECT id, unnest(string_to_array(list, ',')) FROM docs", True),
        ("INSERT INTO tags SELECT DISTINCT id, unnest(string_to_array(list, ',')) FROM docs", False),
    ],
    ids=["no number", "only numbers", "the same twice", "each once"],
)
def test_what_a_statement_takes_from_a_document_or_a_text_may_be_anything(
    upgrade: str, fails: bool, bench: Bench
) -> None:
    given = """op.execute("CREATE TABLE docs (id int PRIMARY KEY, data jsonb NOT NULL, list text, age int)")
op.execute("CREATE TABLE tags (doc int, tag text, PRIMARY KEY (doc, tag))")"""

    found = told(bench, Story((given,), (f"op.get_bind().exec_driver_sql({upgrade!r})",)))

    assert list(found) == (["new1"] if fails else [])


@pytest.mark.parametrize("only", ["", " AND price IS NOT NULL"], ids=["all of them", "those that it fills"])
def test_batches_that_leave_rows_to_the_next_for_ever_are_told(
    only: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reviewer.rehearsal.deploy._ENOUGH", 4.0)
    given = 'op.execute("CREATE TABLE items (id int PRIMARY KEY, price int, total int)")'
    upgrade = f"""
batch = "UPDATE items SET total = price WHERE id IN (SELECT id FROM items WHERE total IS NULL{only} LIMIT 50)"
while op.get_bind().execute(sa.text(batch)).rowcount:
    pass"""

    messages = [f.message for f in told(bench, Story((given,), (upgrade,))).values()]

    assert messages == (
        []
        if only
        else [
            "The upgrade of `new1` does not end on rows that the schema allows: it was still running after 4 seconds."
            " Let each round of a loop leave fewer rows to the next."
        ]
    )
