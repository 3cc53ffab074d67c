"""The way there and back, on a live server: what goes up, down and up without an error and is wrong all the same."""

from __future__ import annotations

import re

import pytest

import checks
from reviewer.recording import Direction, Outcome
from reviewer.review.engine import review
from reviewer.review.rollback_label import label
from tests.examples import Bench, Story

CHECKS = checks.load()
OURS = {
    "incomplete-downgrade",
    "lossy-round-trip",
    "failing-downgrade",
    "failing-second-upgrade",
    "fails-on-legal-rows",
    "failing-upgrade",
}

GIVEN = """op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
op.execute("CREATE TABLE groups (id bigserial PRIMARY KEY, name text NOT NULL, code text NOT NULL CONSTRAINT groups_code UNIQUE)")
op.execute(
    "CREATE TABLE users (id bigserial PRIMARY KEY, name varchar(50) NOT NULL, email text, mood mood, score numeric(10, 2),"
    " group_id bigint REFERENCES groups)"
)
op.execute("CREATE INDEX ix_users_email ON users (email)")"""

CASES = {
    "an additive revision with the plain reverse": (
        'op.add_column("users", sa.Column("age", sa.Integer()))', 'op.drop_column("users", "age")', "loses-new-data", []),
    "a table in a schema of its own": (
        'op.execute("CREATE SCHEMA own")\nop.execute("CREATE TABLE own.notes (id bigint PRIMARY KEY)")',
        'op.execute("DROP SCHEMA own CASCADE")', "loses-new-data", []),
    "an index": (
        'op.create_index("ix", "users", ["score"])', 'op.drop_index("ix", table_name="users")', "lossless", []),
    "a column is renamed": (
        'op.alter_column("users", "email", new_column_name="mail")',
        'op.alter_column("users", "mail", new_column_name="email")', "lossless", []),
    "a table is renamed": (
        'op.rename_table("users", "people")', 'op.rename_table("people", "users")', "lossless", []),
    "an enum type is left behind": (
        'op.execute("CREATE TYPE kind AS ENUM (\'a\')")\nop.execute("ALTER TABLE users ADD k kind")',
        'op.drop_column("users", "k")', "broken",
        ["After the downgrade of `new1`, enum type `kind` is left behind: add `sa.Enum(name='kind').drop(op.get_bind())`;"
         ' the next upgrade then fails: PostgreSQL says type "kind" already exists.']),
    "an index does not come back": (
        'op.drop_index("ix_users_email", table_name="users")', 'op.get_bind()', "broken",
        ["After the downgrade of `new1`, index `ix_users_email` on `users` is missing; the next upgrade then fails:"
         ' PostgreSQL says index "ix_users_email" does not exist.']),
    "NOT NULL does not come back": (
        'op.alter_column("users", "name", nullable=True)', 'op.get_bind()', "lossless",
        ["After the downgrade of `new1`, column `users.name` is nullable, which it was not before: add"
         " `op.alter_column('users', 'name', nullable=False)`."]),
    "a default stays": (
        'op.alter_column("users", "email", server_default="x")', 'op.get_bind()', "lossless",
        ["After the downgrade of `new1`, column `users.email` still has server default `'x'::text`, which it did not"
         " have before: add `op.alter_column('users', 'email', server_default=None)`."]),
    "a foreign key comes back without its action": (
        'op.drop_constraint("users_group_id_fkey", "users")',
        'op.create_foreign_key("users_group_id_fkey", "users", "groups", ["group_id"], ["id"], ondelete="CASCADE")',
        "data-dependent",
        ["After the downgrade of `new1`, the definition of constraint `users_group_id_fkey` on `users` is `FOREIGN KEY"
         " (group_id) REFERENCES groups(id) ON DELETE CASCADE` and was `FOREIGN KEY (group_id) REFERENCES groups(id)`.",
         "The downgrade of `new1` fails once the tables hold what `users_group_id_fkey` rejected in `users`, which the"
         ' upgrade makes possible: PostgreSQL says insert or update on table "users" violates foreign key constraint'
         ' "users_group_id_fkey".']),
    "values are cut": (
        'op.alter_column("users", "score", type_=sa.Numeric(10, 1))',
        'op.alter_column("users", "score", type_=sa.Numeric(10, 2))', "loses-existing-data",
        ["After the upgrade and downgrade of `new1`, 5 of 5 values of `users.score` in the rehearsal are changed: `1.25`"
         " became `1.30`."]),
    "rows are deleted": (
        'op.execute("DELETE FROM users WHERE id < 3")', 'op.get_bind()', "loses-existing-data",
        ["After the upgrade and downgrade of `new1`, 2 of 5 rows of `users` in the rehearsal are lost."]),
    "NOT NULL is restored on NULLs that the upgrade lets in": (
        'op.alter_column("users", "name", nullable=True)', 'op.alter_column("users", "name", nullable=False)',
        "data-dependent",
        ["The downgrade of `new1` fails once the tables hold NULL in `users.name`, which the upgrade makes possible:"
         ' PostgreSQL says column "name" of relation "users" contains null values.']),
    "a length is restored on longer values": (
        'op.alter_column("users", "name", type_=sa.String(80))', 'op.alter_column("users", "name", type_=sa.String(50))',
        "data-dependent",
        ["The downgrade of `new1` fails once the tables hold 51 characters in `users.name`, which the upgrade makes"
         " possible: PostgreSQL says value too long for type character varying(50)."]),
    "a form that can be turned back": (
        'op.alter_column("users", "score", type_=sa.Float())', 'op.alter_column("users", "score", type_=sa.Numeric(10, 2))',
        "lossless", []),
    "a column comes back without its values": (
        'op.drop_column("users", "email")', 'op.add_column("users", sa.Column("email", sa.Text()))\n'
        'op.create_index("ix_users_email", "users", ["email"])', "loses-existing-data", []),
    "a column comes back as NOT NULL on a table with rows": (
        'op.drop_column("users", "score")', 'op.add_column("users", sa.Column("score", sa.Numeric(10, 2), nullable=False))',
        "broken",
        ["The downgrade of `new1` fails: PostgreSQL says column \"score\" of relation \"users\" contains null values."]),
    "values are merged": (
        'op.execute("UPDATE users SET mood = \'good\'")', 'op.get_bind()', "loses-existing-data",
        ["After the upgrade and downgrade of `new1`, 3 of 5 values of `users.mood` in the rehearsal are changed: `bad`"
         " became `good`."]),
    "a function is left behind": (
        'op.execute("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS \'SELECT 1\'")', 'op.get_bind()', "lossless",
        ["After the downgrade of `new1`, function `f()` is left behind."]),
    "an enum label stays": (
        'op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS \'odd\'")', 'op.get_bind()', "lossless",
        ["After the downgrade of `new1`, enum type `mood` still has `odd`: PostgreSQL cannot drop a label, only the whole"
         " type."]),
    "a foreign key comes back not validated": (
        'op.drop_constraint("users_group_id_fkey", "users")',
        'op.create_foreign_key("users_group_id_fkey", "users", "groups", ["group_id"], ["id"], postgresql_not_valid=True)',
        "lossless", ["After the downgrade of `new1`, constraint `users_group_id_fkey` on `users` is no longer validated: add"
         ' `op.execute("ALTER TABLE users VALIDATE CONSTRAINT users_group_id_fkey")`.']),
    "UNIQUE is restored on what is there twice": (
        'op.drop_constraint("groups_code", "groups")', 'op.create_unique_constraint("groups_code", "groups", ["code"])',
        "data-dependent",
        ["The downgrade of `new1` fails once the tables hold the same code twice in `groups`, which the upgrade makes"
         ' possible: PostgreSQL says could not create unique index "groups_code".']),
    "rows that were written in between are deleted": (
        'op.create_index("ix", "groups", ["name"])',
        'op.execute("DELETE FROM groups WHERE id > 5")\nop.drop_index("ix", table_name="groups")', "loses-new-data",
        ["What is written after the upgrade of `new1`, and would fit the schema before it, does not survive its downgrade:"
         " 5 of 5 rows of `groups` in the rehearsal are lost."]),
    "values that were written in between are emptied": (
        'op.add_column("users", sa.Column("nick", sa.Text()))\nop.execute("UPDATE users SET nick = \'-\'")',
        'op.execute("UPDATE users SET email = NULL WHERE id > 5")\nop.drop_column("users", "nick")', "loses-new-data",
        ["What is written after the upgrade of `new1`, and only fits the upgraded schema, does not survive its downgrade:"
         " 5 of 5 values of `users.email` in the rehearsal are lost: `person1001@example.org` became NULL."]),
    "NULL that the upgrade lets in is filled": (
        'op.alter_column("users", "name", nullable=True)',
        'op.execute("UPDATE users SET name = \'?\' WHERE name IS NULL")\nop.alter_column("users", "name", nullable=False)',
        "loses-new-data",
        ["What is written after the upgrade of `new1`, and only fits the upgraded schema, does not survive its downgrade:"
         " 1 of 1 values of `users.name` that were compared in the rehearsal are changed: NULL became `?`."]),
    "a longer value that the upgrade lets in is cut": (
        'op.alter_column("users", "name", type_=sa.String(80))',
        'op.alter_column("users", "name", type_=sa.String(50), postgresql_using="left(name, 50)")', "loses-new-data",
        ["What is written after the upgrade of `new1`, and only fits the upgraded schema, does not survive its downgrade:"
         f" 1 of 1 values of `users.name` that were compared in the rehearsal are changed: `{'x' * 51}` became `{'x' * 50}`."]),
    "a column that takes documents now is written back as Python spells them": (
        'op.alter_column("users", "email", type_=postgresql.JSONB(), postgresql_using="to_jsonb(email)")',
        'op.alter_column("users", "email", type_=sa.Text(), postgresql_using='
        '"replace(email #>> \'{}\', chr(34), chr(39))")', "loses-new-data",
        ["What is written after the upgrade of `new1`, and only fits the upgraded schema, does not survive its downgrade:"
         """ 5 of 5 values of `users.email` in the rehearsal are changed: `{"row": 1001}` became `{'row': 1001}`."""]),
    "a label that a type made again lets in is turned into an old one": (
        'op.execute("ALTER TYPE mood RENAME TO mood_old")\nop.execute("CREATE TYPE mood AS ENUM (\'odd\', \'good\', \'bad\')")\n'
        'op.execute("ALTER TABLE users ALTER mood TYPE mood USING mood::text::mood")\nop.execute("DROP TYPE mood_old")',
        'op.execute("UPDATE users SET mood = \'bad\' WHERE mood = \'odd\'")\nop.execute("ALTER TYPE mood RENAME TO mood_old")\n'
        'op.execute("CREATE TYPE mood AS ENUM (\'good\', \'bad\')")\n'
        'op.execute("ALTER TABLE users ALTER mood TYPE mood USING mood::text::mood")\nop.execute("DROP TYPE mood_old")',
        "loses-new-data",
        ["What is written after the upgrade of `new1`, and only fits the upgraded schema, does not survive its downgrade:"
         " 2 of 5 values of `users.mood` in the rehearsal are changed: `odd` became `bad`."]),
    "a sequence counts further than before": (
        'op.execute("ALTER SEQUENCE users_id_seq MAXVALUE 99999")', 'op.execute("ALTER SEQUENCE users_id_seq MAXVALUE 9999999")',
        "lossless", ["After the downgrade of `new1`, the range of sequence `users_id_seq` is `bigint, 1, 1, 1, 9999999, False`"
         " and was `bigint, 1, 1, 1, 9223372036854775807, False`."]),
    "a table is not logged any more": (
        'op.execute("ALTER TABLE users SET UNLOGGED")', "op.get_bind()", "lossless",
        ["After the downgrade of `new1`, table `users` is still UNLOGGED, which it was not before."]),
    "what is in a new column is folded into an old one": (
        'op.add_column("groups", sa.Column("kind", sa.Text()))',
        'op.execute("UPDATE groups SET name = name || kind WHERE id > 5")\nop.drop_column("groups", "kind")', "loses-new-data",
        ["What is written after the upgrade of `new1`, and only fits the upgraded schema, does not survive its downgrade:"
         " 5 of 5 values of `groups.name` in the rehearsal are changed: `Name 1001` became `Name 1001Kind 1001`."]),
    "an upgrade that wants other rows than ours goes its way without rows": (
        'assert not op.get_bind().exec_driver_sql("SELECT 1 FROM users").first(), "other rows"\n'
        'op.execute("CREATE SEQUENCE s")', 'op.get_bind()', "broken", ['After the downgrade of `new1`, sequence `s` is left behind: add `op.execute("DROP SEQUENCE s")`; the next upgrade'
         ' then fails: PostgreSQL says relation "s" already exists.',
         "The upgrade of `new1` fails if its tables contain rows, but not on empty ones: its own code raises"
         " AssertionError: other rows. The rows were generated to fit the schema: check whether yours are similar."]),
    "new columns and tables with what was written to them": (
        'op.create_table("notes", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id")))\n'
        'op.add_column("users", sa.Column("age", sa.Integer()))\nop.add_column("users", sa.Column("ok", sa.Boolean(), server_default="t"))',
        'op.drop_column("users", "ok")\nop.drop_column("users", "age")\nop.drop_table("notes")', "loses-new-data", []),
    "a column that changes its form and back, with rows of both forms": (
        'op.alter_column("users", "email", type_=postgresql.JSONB(), postgresql_using="to_jsonb(email)")',
        'op.alter_column("users", "email", type_=sa.Text(), postgresql_using="email #>> \'{}\'")', "lossless", []),
    "it raises on purpose": (
        'op.execute("UPDATE users SET email = NULL")', 'raise NotImplementedError("restore from the backup")',
        "irreversible", []),
}  # fmt: skip


@pytest.mark.parametrize(("upgrade", "downgrade", "wanted", "messages"), CASES.values(), ids=CASES.keys())
def test_tells_what_the_way_there_and_back_leaves(
    upgrade: str, downgrade: str, wanted: str, messages: list[str], bench: Bench
) -> None:
    recording = bench.record(Story((GIVEN,), (upgrade,), downgrade=downgrade))

    told = [found.message for found in review(recording, CHECKS).findings if found.rule in OURS]

    assert (label(recording, "new1"), told) == (wanted, messages)


def test_a_value_that_a_wider_check_lets_in_did_not_fit_before(bench: Bench) -> None:
    given = """op.execute("CREATE TABLE t (id int PRIMARY KEY, kind text CONSTRAINT kinds CHECK (kind IN ('a', 'b')))")"""
    drop = 'op.drop_constraint("kinds", "t")\n'
    wider = """op.create_check_constraint("kinds", "t", "kind IN ('c', 'a', 'b')")"""
    back = """op.create_check_constraint("kinds", "t", "kind IN ('a', 'b')")"""
    down = f"""op.execute("UPDATE t SET kind = 'a' WHERE kind = 'c'")\n{drop}{back}"""

    recording = bench.record(Story((given,), (drop + wider,), downgrade=down))

    told = [f for f in review(recording, CHECKS).findings if f.rule == "lossy-round-trip"]
    assert [f.severity.value for f in told] == ["notice"]
    assert "only fits the upgraded schema" in told[0].message


@pytest.mark.parametrize(
    ("back", "told"),
    [("CURRENT_TIMESTAMP", []), ("transaction_timestamp()", []), ("clock_timestamp()", ["incomplete-downgrade"])],
)
def test_the_same_moment_in_other_words_is_the_same_default(back: str, told: list[str], bench: Bench) -> None:
    given = 'op.execute("CREATE TABLE t (id int PRIMARY KEY, made timestamptz DEFAULT now())")'
    ways = [f'op.alter_column("t", "made", server_default={each})' for each in ("None", f"sa.text('{back}')")]

    recording = bench.record(Story((given,), (ways[0],), downgrade=ways[1]))

    found = [f.rule for f in review(recording, CHECKS).findings if f.rule in OURS]
    assert found == told


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (
            "",
            [
                "The downgrade of `new1` fails once the tables hold a row of `members` that refers to a new one of"
                " `roles`, which the upgrade makes possible: PostgreSQL says update or delete on table"
                ' "roles" violates foreign key constraint "members_role_id_fkey" on table "members".'
            ],
        ),
        ("ON DELETE CASCADE", []),
    ],
)
def test_a_downgrade_deletes_what_rows_may_refer_to_by_then(action: str, told: list[str], bench: Bench) -> None:
    given = f"""op.execute("CREATE TABLE roles (id serial PRIMARY KEY, name text NOT NULL UNIQUE)")
op.execute("CREATE TABLE members (id serial PRIMARY KEY, role_id int NOT NULL REFERENCES roles {action})")"""
    ways = ("INSERT INTO roles (name) VALUES ('auditor')", "DELETE FROM roles WHERE name = 'auditor'")
    up, down = (f'op.execute("{each}")' for each in ways)

    recording = bench.record(Story((given,), (up,), downgrade=down))

    assert [f.message for f in review(recording, CHECKS).findings if f.rule in OURS] == told


@pytest.mark.parametrize("key", ["PRIMARY KEY", "NOT NULL"])
@pytest.mark.parametrize(
    ("more", "losses"),
    [("", 0), ("\nop.execute('UPDATE t SET made = made - interval $$1 day$$')", 1)],
    ids=["by our rows alone", "by the revision"],
)
def test_what_a_trigger_writes_when_we_fill_a_new_column_is_no_loss(
    more: str, losses: int, key: str, bench: Bench
) -> None:
    given = f"""op.execute("CREATE TABLE t (id int {key}, made timestamp)")
op.execute("CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.made := now(); RETURN NEW; END'")
op.execute("CREATE TRIGGER touched BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()")"""
    ways = ('op.add_column("t", sa.Column("x", sa.Integer()))' + more, 'op.drop_column("t", "x")')

    recording = bench.record(Story((given,), (ways[0],), downgrade=ways[1]))

    rules = [f.rule for f in review(recording, CHECKS).findings]
    assert rules.count("lossy-round-trip") == losses


AGE = ('op.add_column("users", sa.Column("age", sa.Integer()))', 'op.drop_column("users", "age")')
MAIL = ('op.drop_column("users", "email")', 'op.add_column("users", sa.Column("email", sa.Text()))')
TEAMS = ('op.rename_table("groups", "teams")', 'op.rename_table("teams", "groups")')

SEVERAL = {
    "a column goes from a table that is locked already": ([AGE, MAIL], ["loses-new-data", "loses-existing-data"]),
    "both empty the same column": (
        [(f"op.execute('UPDATE users SET email = NULL WHERE id < {upto}')", "pass") for upto in (3, 5)],
        ["loses-existing-data", "loses-existing-data"]),
    "a column goes from a table that has another name by then": (
        [TEAMS, ('op.drop_column("teams", "code")', 'op.add_column("teams", sa.Column("code", sa.Text()))')],
        ["lossless", "loses-existing-data"]),
    "a column goes from a table whose key has another name by then": (
        [('op.alter_column("groups", "id", new_column_name="number")', 'op.alter_column("groups", "number", new_column_name="id")'),
         ("op.execute('UPDATE groups SET code = number::text')", "pass")],
        ["lossless", "loses-existing-data"]),
    "rows that the same deploy puts in are changed": (
        [('op.execute("CREATE TABLE kinds AS SELECT 1 AS id, text \'a\' AS name")', 'op.drop_table("kinds")'),
         ("op.execute('UPDATE kinds SET name = upper(name)')", "pass")],
        ["loses-new-data", "loses-existing-data"]),
    "an index on a table that is locked already": (
        [AGE, ('op.create_index("ix", "users", ["score"])', 'op.drop_index("ix", table_name="users")')],
        ["loses-new-data", "lossless"]),
}  # fmt: skip


@pytest.mark.parametrize("per_migration", [False, True], ids=["one transaction", "one for each"])
@pytest.mark.parametrize(("ways", "wanted"), SEVERAL.values(), ids=SEVERAL.keys())
def test_a_later_revision_is_compared_as_the_first_is(
    ways: list[tuple[str, str]], wanted: list[str], per_migration: bool, bench: Bench
) -> None:
    ups, downs = zip(*ways, strict=True)

    recording = bench.record(Story((GIVEN,), ups, downgrades=downs, per_migration=per_migration))

    assert [label(recording, each.id) for each in recording.revisions] == wanted


def test_what_is_written_after_each_revision_is_its_own(bench: Bench) -> None:
    given = 'op.execute("CREATE TABLE t (id int PRIMARY KEY, name text)")'
    deletes = ("op.execute('DELETE FROM t')", "op.get_bind()")

    ups, downs = zip((AGE[0].replace("users", "t"), AGE[1].replace("users", "t")), deletes, strict=True)
    recording = bench.record(Story((given,), ups, downgrades=downs))

    down = [each for each in recording.passes_of("new2") if each.direction is Direction.DOWNGRADE][-1]
    assert [(each.column, each.values, each.of) for each in down.losses] == [(None, 10, 10)]


def test_what_another_run_of_a_revision_makes_anew_is_no_loss(bench: Bench) -> None:
    # each of the others fails on what was written, and the first runs once more in another database
    keys = "op.execute('ALTER TABLE users ADD key uuid NOT NULL DEFAULT gen_random_uuid()')"
    index = 'op.create_index("{0}", "users", ["score"])'
    refuses = 'op.execute("SELECT 1 / (count(*) < 6)::int FROM users")\nop.drop_index("{0}", table_name="users")'
    ups = (keys, index.format("one"), index.format("two"))
    downs = ("op.drop_column('users', 'key')", refuses.format("one"), refuses.format("two"))

    recording = bench.record(Story((GIVEN,), ups, downgrades=downs))

    down = [each for each in recording.passes_of("new3") if each.direction is Direction.DOWNGRADE][-1]
    assert (down.outcome, down.losses, down.unread) == (Outcome.OK, (), ("users",))


def test_rows_that_a_replay_does_not_bring_back_are_no_loss(bench: Bench) -> None:
    # what was written after the first is there before the second, until its downgrade fails and is tried elsewhere
    index = 'op.create_index("ix", "users", ["score"])'
    refuses = 'op.execute("SELECT 1 / (count(*) < 6)::int FROM users")\nop.drop_index("ix", table_name="users")'

    recording = bench.record(Story((GIVEN,), (AGE[0], index), downgrades=(AGE[1], refuses)))

    down = [each for each in recording.passes_of("new2") if each.direction is Direction.DOWNGRADE][-1]
    assert (down.outcome, down.losses, down.unread) == (Outcome.OK, (), ("users",))
    assert label(recording, "new2") == "data-dependent"


@pytest.mark.parametrize(
    "story",
    [
        Story((GIVEN,), ('op.execute("CREATE SEQUENCE s")',), downgrade="op.execute('DROP SEQUENCE s')\nop.execute('UPDATE users SET email = NULL')"),
        Story((GIVEN,), MAIL[:1], downgrade=MAIL[1], rows=False),
    ],
    ids=["the downgrade changes a table that the upgrade leaves alone", "there are no rows"],
)  # fmt: skip
def test_what_nobody_has_read_is_not_called_lossless(story: Story, bench: Bench) -> None:
    recording = bench.record(story)

    (down,) = (each for each in recording.passes if each.direction is Direction.DOWNGRADE)
    assert down.unread == ("users",)
    assert label(recording, "new1") == "untested"


def test_what_the_rows_of_partitions_lose_is_told_once(bench: Bench) -> None:
    given = """op.execute("CREATE TABLE t (id int PRIMARY KEY, name text) PARTITION BY HASH (id)")
op.execute("CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0)")
op.execute("CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)")"""

    recording = bench.record(
        Story((given,), ("op.execute('UPDATE t SET name = NULL')",), downgrade="op.get_bind()")
    )

    (down,) = (each for each in recording.passes if each.direction is Direction.DOWNGRADE)
    assert [(each.table, each.column) for each in down.losses] == [("t", "name")]


@pytest.mark.parametrize(
    "below",
    ["CREATE TABLE below PARTITION OF t DEFAULT", "CREATE TABLE below () INHERITS (t)"],
    ids=["a partition", "a table that inherits"],
)
def test_a_column_that_is_renamed_below_too_is_not_a_new_one(below: str, bench: Bench) -> None:
    by = " PARTITION BY RANGE (id)" if "PARTITION" in below else ""
    given = f'op.execute("CREATE TABLE t (id int, name text){by}")\nop.execute("{below}")'
    upgrade = 'op.alter_column("t", "name", new_column_name="title")'

    recording = bench.record(
        Story((given,), (upgrade,), downgrade='op.alter_column("t", "title", new_column_name="name")')
    )

    assert label(recording, "new1") == "lossless"


def test_unique_is_tried_for_the_columns_that_it_is_about(bench: Bench) -> None:
    add = 'op.execute("ALTER TABLE groups ADD CONSTRAINT wide UNIQUE (name) INCLUDE (code)")'

    recording = bench.record(Story((GIVEN, add), ('op.drop_constraint("wide", "groups")',), downgrade=add))

    assert label(recording, "new1") == "data-dependent"
    assert [each.written for each in recording.trials] == [("the same name twice in `groups`",)]


ODD_NAMES = """op.execute('CREATE SCHEMA "My Schema"')
op.execute('CREATE VIEW "Left View" AS SELECT 1 AS one')
op.execute('CREATE SEQUENCE "left.seq"')
op.execute('CREATE DOMAIN "order" AS int')
op.execute('CREATE TYPE "Pair" AS (a int)')
op.execute("CREATE TYPE \\"It's\\" AS ENUM ('a')")
op.execute('CREATE TABLE "a.b" (id int PRIMARY KEY)')
op.execute('CREATE POLICY "A Policy" ON users')"""


def test_what_is_to_be_added_to_a_downgrade_runs_whatever_the_names_are(bench: Bench) -> None:
    def told(downgrade: str) -> list[str]:
        recording = bench.record(Story((GIVEN,), (ODD_NAMES,), downgrade=downgrade))
        return [found.message for found in review(recording, CHECKS).findings if found.rule in OURS]

    added = re.findall(r"add `(.*?)`[;.]", "\n".join(told("op.get_bind()")))

    assert len(added) == ODD_NAMES.count("op.execute")
    assert told("\n".join(added)) == []


EMPTY = 'op.execute("CREATE TABLE t (id int PRIMARY KEY, name text, CHECK (id <> id))")'
NO_ROWS = {
    "its rows are changed": ('op.execute("UPDATE t SET name = upper(name)")', "op.get_bind()", "untested"),
    "a column goes and comes": (
        'op.drop_column("t", "name")', 'op.add_column("t", sa.Column("name", sa.Text()))', "untested"),
    "it is made anew": (
        'op.drop_table("t")\nop.create_table("t", sa.Column("x", sa.Integer()))',
        'op.drop_table("t")\nop.execute("CREATE TABLE t (id int PRIMARY KEY, name text, CHECK (id <> id))")', "untested"),
    "a column is renamed": (
        'op.alter_column("t", "name", new_column_name="title")', 'op.alter_column("t", "title", new_column_name="name")',
        "lossless"),
    "it is renamed": ('op.rename_table("t", "u")', 'op.rename_table("u", "t")', "lossless"),
    "it goes to another schema": (
        'op.execute("CREATE SCHEMA s")\nop.execute("ALTER TABLE t SET SCHEMA s")',
        'op.execute("ALTER TABLE s.t SET SCHEMA public")\nop.execute("DROP SCHEMA s")', "lossless"),
}  # fmt: skip


@pytest.mark.parametrize(("upgrade", "downgrade", "wanted"), NO_ROWS.values(), ids=NO_ROWS.keys())
def test_of_a_table_that_takes_no_row_nothing_is_known_where_its_rows_change(
    upgrade: str, downgrade: str, wanted: str, bench: Bench
) -> None:
    recording = bench.record(Story((EMPTY,), (upgrade,), downgrade=downgrade))

    assert label(recording, "new1") == wanted


def test_rows_that_a_materialized_view_computes_are_no_data(bench: Bench) -> None:
    given = """op.execute("CREATE TABLE t (id int PRIMARY KEY, name text)")
op.execute("CREATE MATERIALIZED VIEW names AS SELECT name FROM t")
op.execute("CREATE MATERIALIZED VIEW none AS SELECT name FROM t WITH NO DATA")"""
    upgrade = 'op.execute("REFRESH MATERIALIZED VIEW names")\nop.execute("REFRESH MATERIALIZED VIEW none")'

    recording = bench.record(Story((given,), (upgrade,), downgrade="op.get_bind()"))

    assert label(recording, "new1") == "lossless"
    assert [each.message for each in review(recording, CHECKS).findings if each.rule in OURS] == []


SILENT = [
    "NOT NULL does not come back",
    "a default stays",
    "a foreign key comes back without its action",
    "a foreign key comes back not validated",
    "a function is left behind",
    "an enum label stays",
    "a column comes back without its values",
    "a column comes back as NOT NULL on a table with rows",
    "values are cut",
    "values are merged",
    "rows are deleted",
    "rows that were written in between are deleted",
    "values that were written in between are emptied",
    "NOT NULL is restored on NULLs that the upgrade lets in",
    "NULL that the upgrade lets in is filled",
    "a length is restored on longer values",
    "a longer value that the upgrade lets in is cut",
    "UNIQUE is restored on what is there twice",
]


@pytest.mark.parametrize("case", SILENT)
def test_an_empty_database_goes_up_and_down_and_up_and_says_nothing_of_it(case: str, bench: Bench) -> None:
    upgrade, downgrade, wanted, _ = CASES[case]
    recording = bench.record(Story((GIVEN,), (upgrade,), downgrade=downgrade, rows=False))

    outcomes = {each.outcome for each in recording.passes}
    plain = {each.direction for each in recording.passes}

    assert wanted != "irreversible"
    assert (outcomes, plain) == ({Outcome.OK}, set(Direction))
