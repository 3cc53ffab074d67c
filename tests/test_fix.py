"""Fixes are rehearsed on a real server, in the ways in which people write migrations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from reviewer.fix import fixers
from tests.command import files_in, revision
from tests.examples import Bench
from tests.fixing import Fixing, one, told

USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text, age int)")
op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, note text)")"""
QUICK = "op.execute(\"SET LOCAL lock_timeout = '5s'\")\n"


@dataclass(frozen=True)
class Style:
    """One way to write a migration, and what is to become of it."""

    title: str
    rule: str
    upgrade: str
    downgrade: str
    has: tuple[str, ...]
    """What the revision has afterwards."""
    new: tuple[tuple[str, ...], ...] = ()
    """What each new revision has."""
    lacks: tuple[str, ...] = ()
    given: str = USERS
    env: tuple[str, ...] = ()
    """What env.py has."""
    top: str = ""
    """What is above the functions."""
    until: int = 99
    """Last major version of PostgreSQL on which it is written so."""


STYLES = (
    Style(
        "an index by position",
        "blocking-index",
        QUICK + 'op.create_index("ix", "users", ["name"], unique=False)  # for the search',
        'op.drop_index("ix", "users")',
        (
            "    with op.get_context().autocommit_block():\n"
            '        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix")\n'
            '        op.create_index("ix", "users", ["name"], unique=False, postgresql_concurrently=True)  # for the search\n',
            '        op.drop_index("ix", "users", postgresql_concurrently=True)\n',
        ),
    ),
    Style(
        "an index in a batch with something else, over several lines",
        "blocking-index",
        QUICK + 'with op.batch_alter_table("users", schema=None) as batch_op:\n'
        '    batch_op.add_column(sa.Column("x", sa.Integer()))\n'
        '    batch_op.create_index(\n        "ix",  # its name\n        ["name"],  # its columns\n    )',
        'with op.batch_alter_table("users") as batch_op:\n    batch_op.drop_index("ix")\n    batch_op.drop_column("x")',
        ('        batch_op.add_column(sa.Column("x", sa.Integer()))\n', '        batch_op.drop_column("x")\n'),
        (
            (
                '            batch_op.create_index(\n                "ix",  # its name\n                ["name"],  # its columns\n'
                "                postgresql_concurrently=True,\n            )\n",
                '            batch_op.drop_index("ix", postgresql_concurrently=True)\n',
            ),
        ),
        ("create_index", "drop_index"),
    ),
    Style(
        "an index as SQL, in another schema, dropped",
        "blocking-index-drop",
        QUICK + 'op.execute("DROP INDEX app.ix")',
        'op.create_index("ix", "things", [sa.text("lower(name)")], schema="app")',
        (
            '        op.execute("DROP INDEX CONCURRENTLY app.ix")\n',
            '        op.create_index("ix", "things", [sa.text("lower(name)")], schema="app", postgresql_concurrently=True)\n',
        ),
        given='op.execute("CREATE SCHEMA app; CREATE TABLE app.things (name text); CREATE INDEX ix ON app.things (lower(name))")',
    ),
    Style(
        "two indexes, and nothing limits the wait for locks",
        "blocking-index",
        'op.create_index("ix", "users", ["name"])\nop.create_index("ix2", "users", columns=["age"])',
        'op.drop_index("ix2", "users")\nop.drop_index("ix", table_name="users")',
        (
            '        op.create_index("ix2", "users", columns=["age"], postgresql_concurrently=True)\n'
            "        op.execute(\"SET lock_timeout = '5s'\")\n",
            '        op.drop_index("ix", table_name="users", postgresql_concurrently=True)\n',
        ),
        env=("            context.execute(\"SET lock_timeout = '5s'\")\n            context.run_migrations()\n",),
    ),
    Style(
        "an index, where the revisions run on other databases too",
        "blocking-index",
        'op.create_index("ix", "users", ["name"])',
        'op.drop_index("ix", "users")',
        (
            '        if op.get_bind().dialect.name == "postgresql":\n            op.execute("SET lock_timeout = 0")\n'
            '            op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix")\n'
            '        op.create_index("ix", "users", ["name"], postgresql_concurrently=True)\n'
            '        if op.get_bind().dialect.name == "postgresql":\n            op.execute("SET lock_timeout = \'5s\'")\n',
        ),
        env=(
            '            if context.get_context().dialect.name == "postgresql":\n'
            "                context.execute(\"SET lock_timeout = '5s'\")\n            context.run_migrations()\n",
        ),
        top="# on sqlite too",
    ),
    Style(
        "a foreign key by keyword",
        "validating-foreign-key",
        QUICK
        + 'op.create_foreign_key("fk", source_table="orders", referent_table="users", local_cols=["user_id"], remote_cols=["id"])',
        'op.drop_constraint("fk", "orders", type_="foreignkey")',
        ('remote_cols=["id"], postgresql_not_valid=True)\n',),
        (('        op.execute("ALTER TABLE orders VALIDATE CONSTRAINT fk")\n', "    pass\n"),),
    ),
    Style(
        "a foreign key as SQL",
        "validating-foreign-key",
        QUICK + 'op.execute("ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (user_id) REFERENCES users (id);")',
        'op.execute("ALTER TABLE orders DROP CONSTRAINT fk")',
        ("REFERENCES users (id) NOT VALID;",),
        (("VALIDATE CONSTRAINT fk",),),
    ),
    Style(
        "a foreign key on a new column",
        "validating-foreign-key",
        QUICK + 'op.add_column("orders", sa.Column("u_id", sa.BigInteger(), sa.ForeignKey("users.id")))',
        'op.drop_column("orders", "u_id")',
        ('sa.ForeignKey("users.id")), inline_references=True)\n',),
    ),
    Style(
        "a check in a batch",
        "validating-check",
        QUICK
        + 'with op.batch_alter_table("users") as b:\n    b.create_check_constraint(b.f("ck"), "age > -1000000000")',
        'with op.batch_alter_table("users") as b:\n    b.drop_constraint(b.f("ck"), type_="check")',
        ('        b.create_check_constraint(b.f("ck"), "age > -1000000000", postgresql_not_valid=True)\n',),
        (("VALIDATE CONSTRAINT ck",),),
    ),
    Style(
        "a unique constraint beside something else",
        "blocking-unique-constraint",
        QUICK
        + 'op.add_column("users", sa.Column("z", sa.Integer()))\nop.create_unique_constraint("uq", "users", ["name"])',
        'op.drop_constraint("uq", "users", type_="unique")\nop.drop_column("users", "z")',
        ('op.add_column("users"', 'op.drop_column("users", "z")'),
        (("unique=True, postgresql_concurrently=True", "UNIQUE USING INDEX uq", 'op.drop_constraint("uq"'),),
        ("uq",),
    ),
    Style(
        "NOT NULL",
        "scanning-not-null",
        QUICK + "op.execute(\"UPDATE users SET name = 'x' WHERE name IS NULL\")\n"
        'op.alter_column("users", "name", existing_type=sa.Text(), nullable=False)',
        'op.alter_column("users", "name", existing_type=sa.Text(), nullable=True)',
        ("postgresql_not_valid=True", 'op.drop_constraint(op.f("users_name_is_set")'),
        (("VALIDATE CONSTRAINT users_name_is_set", 'op.alter_column("users", "name", nullable=False)'),),
        ("nullable=",),
        until=17,
    ),
    Style(
        "NOT NULL with a default",
        "scanning-not-null",
        QUICK + "op.execute(\"UPDATE users SET name = 'x' WHERE name IS NULL\")\n"
        'op.alter_column("users", "name", existing_type=sa.Text(), nullable=False, server_default="x")',
        'op.alter_column("users", "name", existing_type=sa.Text(), nullable=True, server_default=None)',
        (
            'op.alter_column("users", "name", existing_type=sa.Text(), server_default="x")\n    op.create_check_constraint(',
            'op.alter_column("users", "name", existing_type=sa.Text(), server_default=None)\n    op.drop_constraint(',
        ),
        (("VALIDATE CONSTRAINT users_name_is_set", 'op.alter_column("users", "name", nullable=False)'),),
        until=17,
    ),
    Style(
        "a column that is NOT NULL",
        "required-column",
        QUICK + 'op.add_column("users", sa.Column("slug", sa.String(20), nullable=False))',
        'op.drop_column("users", "slug")',
        ("nullable=False, server_default=sa.text(\"''\")))\n",),
    ),
    Style(
        "a column under another name, in a batch",
        "rename-as-drop",
        QUICK + 'with op.batch_alter_table("users") as batch_op:\n'
        '    batch_op.add_column(sa.Column("full_name", sa.Text(), nullable=True))\n    batch_op.drop_column("name")',
        'with op.batch_alter_table("users") as batch_op:\n'
        '    batch_op.add_column(sa.Column("name", sa.Text(), nullable=True))\n    batch_op.drop_column("full_name")',
        (
            '        batch_op.alter_column("name", new_column_name="full_name")\n',
            '        batch_op.alter_column("full_name", new_column_name="name")\n',
        ),
        lacks=("add_column", "drop_column"),
    ),
    Style(
        "an enum type that stays",
        "incomplete-downgrade",
        'op.create_table("moods", sa.Column("id", sa.BigInteger(), primary_key=True),'
        ' sa.Column("mood", sa.Enum("good", "bad", name="mood")))',
        'op.drop_table("moods")',
        ("    op.drop_table(\"moods\")\n    sa.Enum(name='mood').drop(op.get_bind())\n",),
    ),
    Style(
        "an index and a constraint that do not come back",
        "incomplete-downgrade",
        QUICK + 'op.drop_column("users", "name")',
        QUICK + 'op.add_column("users", sa.Column("name", sa.Text()))',
        ("CREATE INDEX ix_n ON users USING btree (name)", "ADD CONSTRAINT u UNIQUE (name, age)"),
        given=USERS
        + '\nop.create_index("ix_n", "users", ["name"])\nop.execute("ALTER TABLE users ADD CONSTRAINT u UNIQUE (name, age)")',
    ),
    Style(
        "a downgrade that does nothing",
        "failing-second-upgrade",
        QUICK + 'op.add_column("users", sa.Column("z", sa.Integer()))',
        "pass",
        ("    op.drop_column('users', 'z')\n",),
    ),
    Style(
        "a constraint without a name",
        "unnamed-constraint",
        QUICK + 'op.create_foreign_key(None, "orders", "users", ["user_id"], ["id"], postgresql_not_valid=True)',
        'op.drop_constraint(None, "orders", type_="foreignkey")',
        (
            'op.create_foreign_key(op.f("orders_user_id_fkey"), "orders"',
            'op.drop_constraint(op.f("orders_user_id_fkey")',
        ),
    ),
    Style(
        "an enum type that is there already",
        "failing-upgrade",
        "op.execute(\"CREATE TYPE mood AS ENUM ('good', 'bad')\")\n"
        'op.create_table("m2", sa.Column("mood", sa.Enum("good", "bad", name="mood"), primary_key=True))',
        'op.drop_table("m2")\nop.execute("DROP TYPE mood")',
        (
            "from sqlalchemy.dialects import postgresql\n",
            'postgresql.ENUM("good", "bad", name="mood", create_type=False), primary_key=True',
        ),
    ),
    Style(
        "an enum type that is there already, before what nobody could see",
        "failing-upgrade",
        "op.execute(\"CREATE TYPE mood AS ENUM ('good', 'bad')\")\n"
        'op.create_table("m2", sa.Column("mood", sa.Enum("good", "bad", name="mood"), primary_key=True))\n'
        'op.add_column("users", sa.Column("z", sa.Integer()))',
        'op.drop_column("users", "z")\nop.drop_table("m2")\nop.execute("DROP TYPE mood")',
        ('name="mood", create_type=False), primary_key=True',),
        env=("            context.execute(\"SET lock_timeout = '5s'\")\n            context.run_migrations()\n",),
    ),
    Style(
        "a volatile default",
        "rewriting-default",
        QUICK
        + 'op.add_column("users", sa.Column("token", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False))',
        'op.drop_column("users", "token")',
        (
            '    op.add_column("users", sa.Column("token", sa.Uuid(), nullable=True))\n'
            '    op.alter_column("users", "token", server_default=sa.text("gen_random_uuid()"))\n',
        ),
        (("while op.get_bind().execute(batch).rowcount:",), ("nullable=False",)),
        until=17,
    ),
    Style(
        "indexes in a loop, and nothing else",
        "blocking-index",
        QUICK + 'for column in ("name", "age"):\n    op.create_index(f"ix_{column}", "users", [column])',
        'for column in ("age", "name"):\n    op.drop_index(f"ix_{column}", "users")',
        (
            '    for column in ("name", "age"):\n        with op.get_context().autocommit_block():\n'
            '            op.drop_index(f"ix_{column}", table_name="users", if_exists=True, postgresql_concurrently=True)\n'
            '            op.create_index(f"ix_{column}", "users", [column], postgresql_concurrently=True)\n',
        ),
    ),
    Style(
        "an index behind a guard that reads the catalogue, beside something else",
        "blocking-index",
        QUICK + 'op.add_column("orders", sa.Column("w", sa.Integer()))\n'
        'present = {each["name"] for each in sa.inspect(op.get_bind()).get_indexes(TABLE)}\n'
        'if "ix" not in present:\n    op.create_index("ix", TABLE, ["name"])',
        'op.drop_index("ix", TABLE)\nop.drop_column("orders", "w")',
        ('op.add_column("orders"', 'op.drop_column("orders", "w")'),
        (
            (
                "TABLE = 'users'\n",
                "pg_index WHERE NOT indisvalid AND indexrelid = to_regclass('ix')",
                '    present = {each["name"] for each in sa.inspect(op.get_bind()).get_indexes(TABLE)}\n'
                '    if "ix" not in present:\n        with op.get_context().autocommit_block():\n'
                '            op.create_index("ix", TABLE, ["name"], postgresql_concurrently=True, if_not_exists=True)\n',
                '        op.drop_index("ix", TABLE, postgresql_concurrently=True)\n',
            ),
        ),
        ("create_index",),
        top="TABLE = 'users'",
    ),
    Style(
        "an index that goes and another one that comes, not on SQLite",
        "blocking-index-drop",
        QUICK + 'if op.get_bind().dialect.name != "sqlite":\n    op.drop_index("ix_n", table_name="users")\n'
        '    op.create_index("ix_a", "users", ["age"])',
        'op.drop_index("ix_a", "users")\nop.create_index("ix_n", "users", ["name"])',
        (
            '            op.drop_index("ix_n", table_name="users", postgresql_concurrently=True, if_exists=True)\n',
            '            op.create_index("ix_a", "users", ["age"], postgresql_concurrently=True, if_not_exists=True)\n',
        ),
        given=USERS + '\nop.create_index("ix_n", "users", ["name"])',
    ),
    Style(
        "an index that comes with a new column",
        "blocking-index",
        QUICK + 'op.add_column("users", sa.Column("z", sa.Integer(), index=True, unique=True, nullable=True))',
        'op.drop_index("ix_users_z", "users")\nop.drop_column("users", "z")',
        (
            '    op.add_column("users", sa.Column("z", sa.Integer(), nullable=True))\n',
            '    op.drop_column("users", "z")\n',
        ),
        (
            (
                '        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_users_z")\n',
                '        op.create_index("ix_users_z", "users", ["z"], unique=True, postgresql_concurrently=True)\n',
                '        op.drop_index("ix_users_z", "users", postgresql_concurrently=True)\n',
            ),
        ),
        ("drop_index",),
    ),
    Style(
        "an index as SQL with a value in it, in a helper",
        "blocking-index",
        QUICK + "_make()",
        'op.execute("DROP INDEX ix")',
        (
            '        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix")\n'
            '        op.execute(f"CREATE INDEX CONCURRENTLY ix ON {TABLE} "\n                   "(name)")\n',
        ),
        top="TABLE = 'users'\n\n\ndef _make():\n    op.execute(f\"CREATE INDEX ix ON {TABLE} \"\n"
        '               "(name)")',
    ),
    Style(
        "an index in a schema that the revision computes",
        "blocking-index",
        QUICK + 'op.execute(f"CREATE INDEX ix ON {SCHEMA}things (name)")',
        'op.execute(f"DROP INDEX {SCHEMA}ix")',
        (
            '        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {SCHEMA}ix")\n'
            '        op.execute(f"CREATE INDEX CONCURRENTLY ix ON {SCHEMA}things (name)")\n',
            '        op.execute(f"DROP INDEX CONCURRENTLY {SCHEMA}ix")\n',
        ),
        given='op.execute("CREATE SCHEMA tenant; CREATE TABLE tenant.things (name text)")',
        top="SCHEMA = 'ten' + 'ant.'",
    ),
    Style(
        "foreign keys in a loop, in the branch of a dialect",
        "validating-foreign-key",
        QUICK
        + 'if op.get_bind().dialect.name == "postgresql":\n    for name, local in (("fk1", "user_id"), ("fk2", "id")):\n'
        '        op.create_foreign_key(name, "orders", "users", [local], ["id"])',
        'for name in ("fk2", "fk1"):\n    op.drop_constraint(name, "orders", type_="foreignkey")',
        ('op.create_foreign_key(name, "orders", "users", [local], ["id"], postgresql_not_valid=True)\n',),
        (("VALIDATE CONSTRAINT fk1",), ("VALIDATE CONSTRAINT fk2",)),
    ),
    Style(
        "NOT NULL as SQL",
        "scanning-not-null",
        QUICK + "op.execute(\"UPDATE users SET name = 'x' WHERE name IS NULL\")\n"
        'op.execute("ALTER TABLE users ALTER COLUMN name SET NOT NULL")',
        'op.execute("ALTER TABLE users ALTER COLUMN name DROP NOT NULL")',
        ("postgresql_not_valid=True", 'op.drop_constraint(op.f("users_name_is_set")'),
        (("VALIDATE CONSTRAINT users_name_is_set", 'op.alter_column("users", "name", nullable=False)'),),
        ("SET NOT NULL",),
        until=17,
    ),
    Style(
        "two constraints without a name on one table",
        "unnamed-constraint",
        QUICK + 'with op.batch_alter_table("orders") as batch_op:\n'
        '    batch_op.create_foreign_key(None, "users", ["user_id"], ["id"], postgresql_not_valid=True)\n'
        '    batch_op.create_foreign_key(None, "users", ["id"], ["id"], postgresql_not_valid=True)',
        'with op.batch_alter_table("orders") as batch_op:\n'
        '    batch_op.drop_constraint(None, type_="foreignkey")\n    batch_op.drop_constraint(None, type_="foreignkey")',
        (
            'batch_op.create_foreign_key(batch_op.f("orders_user_id_fkey"), "users", ["user_id"]',
            'batch_op.drop_constraint(batch_op.f("orders_id_fkey"), type_="foreignkey")\n'
            '        batch_op.drop_constraint(batch_op.f("orders_user_id_fkey"), type_="foreignkey")',
        ),
    ),
    Style(
        "a concurrent build under a lock_timeout",
        "timed-out-concurrent-build",
        "with op.get_context().autocommit_block():\n    op.execute(\"SET lock_timeout = '2s'\")\n    # for the search\n"
        '    op.create_index("ix", "users", ["name"], postgresql_concurrently=True)',
        "with op.get_context().autocommit_block():\n    op.execute(\"SET lock_timeout = '2s'\")\n"
        '    op.drop_index("ix", "users", postgresql_concurrently=True)',
        (
            '        # for the search\n        op.execute("SET lock_timeout = 0")\n'
            '        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix")\n'
            '        op.create_index("ix", "users", ["name"], postgresql_concurrently=True)\n'
            "        op.execute(\"SET lock_timeout = '2s'\")\n",
        ),
    ),
    Style(
        "what the downgrade restores otherwise: an enum type, a constraint and an index",
        "incomplete-downgrade",
        QUICK + 'op.execute("DROP TYPE mood")\n'
        'op.execute("ALTER TABLE moods DROP CONSTRAINT fk")\nop.drop_index("ix_m", "moods")',
        QUICK
        + 'op.execute("ALTER TABLE moods ADD CONSTRAINT fk FOREIGN KEY (u) REFERENCES users ON DELETE CASCADE")\n'
        'op.create_index("ix_m", "moods", ["mood"])',
        (
            "sa.Enum('good', 'bad', name='mood').create(op.get_bind())",
            "ALTER TABLE moods DROP CONSTRAINT fk, ADD CONSTRAINT fk FOREIGN KEY (u) REFERENCES users(id)",
            'op.execute("DROP INDEX ix_m")\n    op.execute("CREATE UNIQUE INDEX ix_m ON moods USING btree (mood)")',
        ),
        given=USERS
        + "\nop.execute(\"CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE moods (mood text, u bigint"
        ' CONSTRAINT fk REFERENCES users); CREATE UNIQUE INDEX ix_m ON moods (mood)")',
    ),
)


@pytest.mark.parametrize("style", STYLES, ids=[each.title for each in STYLES])
def test_a_fix_is_offered_after_it_was_rehearsed(fixing_bench: Fixing, tmp_path: Path, style: Style) -> None:
    folder = one(tmp_path.resolve(), style.given, style.upgrade, style.downgrade, top=style.top)
    before = files_in(folder)
    if int(fixing_bench.server.version.split(".")[0]) > style.until:
        pytest.skip("written otherwise on this version, which has a test of its own")

    found = fixing_bench.of(folder)

    assert style.rule in {each.fix.rule for each in found.applied}, told(found)
    assert style.rule not in {each.rule for each in found.last.tree.findings}, told(found)
    contents = {path: data.decode() for path, data in found.last.contents.items()}
    env = contents.pop("migrations/env.py", "")
    text = contents.pop("migrations/versions/r1.py")
    for words in style.has:
        assert words in text, told(found)
    for words in style.lacks:
        assert words not in text, told(found)
    for words in style.env:
        assert words in env
    assert len(contents) == len(style.new), told(found)
    # in the order of the chain
    parents = {_down(each): each for each in contents.values()}
    last = "b"
    for wanted in style.new:
        text = parents[last]
        last = text.partition("revision = '")[2].partition("'")[0]
        for words in wanted:
            assert words in text, told(found)
    assert fixing_bench.runs[-1] <= (3 if style.env else 2)
    assert files_in(folder) == before


def _down(text: str) -> str:
    return text.partition("down_revision = '")[2].partition("'")[0]


def test_no_fix_names_a_schema_that_the_revision_computes(fixing_bench: Fixing, tmp_path: Path) -> None:
    given = 'op.execute("CREATE SCHEMA tenant; CREATE TABLE tenant.things (name text UNIQUE)")'
    upgrade = QUICK + 'op.execute(f"ALTER TABLE {SCHEMA}things ALTER name SET NOT NULL")'
    downgrade = 'op.execute(f"ALTER TABLE {SCHEMA}things ALTER name DROP NOT NULL")'

    found = fixing_bench.of(one(tmp_path.resolve(), given, upgrade, downgrade, top="SCHEMA = 'ten' + 'ant.'"))

    reasons = {each.finding.rule: each.reason for each in found.left}
    assert reasons["scanning-not-null"] == "it is in the schema `tenant`, which the revision does not name itself"
    assert found.last.contents == {}


def test_not_null_needs_no_check_from_18_on(
    bench_of: Callable[[int], Bench], fixing_bench: Fixing, tmp_path: Path
) -> None:
    style = next(each for each in STYLES if each.rule == "scanning-not-null")
    on_18 = Fixing(bench_of(18).server, fixing_bench.guardian, fixing_bench.work)

    found = on_18.of(one(tmp_path.resolve(), style.given, style.upgrade, style.downgrade))

    assert [each.fix.rule for each in found.applied] == ["scanning-not-null"], told(found)
    contents = {path: data.decode() for path, data in found.last.contents.items()}
    first = contents.pop("migrations/versions/r1.py")
    assert "ADD CONSTRAINT users_name_not_null NOT NULL name NOT VALID" in first
    assert 'op.alter_column("users", "name", existing_type=sa.Text(), nullable=True)' in first
    (second,) = contents.values()
    assert "VALIDATE CONSTRAINT users_name_not_null" in second


def test_every_fixer_has_a_style_that_it_fixes() -> None:
    tried = {fixers.by_rule()[each.rule].__name__ for each in STYLES} | {"reviewer.fix.fixers.lock_timeout"}

    assert {each.__name__ for each in fixers.by_rule().values()} == tried


def test_every_fix_is_documented() -> None:
    text = (Path(__file__).parent.parent / "docs" / "fix.md").read_text()

    assert [rule for rule in fixers.by_rule() if f"`{rule}`" not in text] == []


def test_new_revisions_come_between_and_a_second_time_changes_nothing(fixing_bench: Fixing, tmp_path: Path) -> None:
    more = revision(
        "c", "b", QUICK + 'op.add_column("orders", sa.Column("w", sa.Integer()))', 'op.drop_column("orders", "w")'
    )
    upgrade = (
        QUICK
        + 'op.create_foreign_key("fk", "orders", "users", ["user_id"], ["id"])\nop.create_index("ix", "users", ["name"])'
    )
    downgrade = 'op.drop_index("ix", "users")\nop.drop_constraint("fk", "orders", type_="foreignkey")'
    folder = one(tmp_path.resolve(), USERS, upgrade, downgrade, more)

    found = fixing_bench.of(folder, unsafe=True)

    assert len(found.applied) == 2, told(found)
    ids = [each.id for each in found.last.scope.selection.revisions]
    assert (ids[0], ids[-1], len(ids)) == ("b", "c", 4)
    assert found.last.scope.graph.revisions["c"].down_revisions == (ids[2],)
    for path, data in found.last.contents.items():
        (folder / path).write_bytes(data)
    again = fixing_bench.of(folder)
    assert again.applied == (), told(again)
    assert again.last.contents == {}


def test_what_is_unsafe_is_left_alone_and_says_why(fixing_bench: Fixing, tmp_path: Path) -> None:
    folder = one(
        tmp_path.resolve(),
        USERS,
        QUICK + 'op.add_column("users", sa.Column("slug", sa.String(20), nullable=False))',
        'op.drop_column("users", "slug")',
    )

    found = fixing_bench.of(folder, unsafe=False)

    (left,) = (each for each in found.left if each.finding.rule == "required-column")
    assert left.unsafe
    assert "is your decision" in left.reason
    assert found.last.contents == {}


def test_a_fix_that_makes_something_worse_is_not_offered_and_the_others_are(
    fixing_bench: Fixing, tmp_path: Path
) -> None:
    # the second index is needed by the foreign key that comes after it
    upgrade = (
        QUICK + 'op.create_index("ix", "orders", ["note"])\nop.create_index("uq", "users", ["age"], unique=True)\n'
        'op.execute("CREATE TABLE ages (age int REFERENCES users (age))")'
    )
    downgrade = 'op.drop_table("ages")\nop.drop_index("uq", "users")\nop.drop_index("ix", "orders")'
    folder = one(tmp_path.resolve(), USERS, upgrade, downgrade)

    found = fixing_bench.of(folder)

    assert [each.fix.title for each in found.applied] == ["build index `ix` CONCURRENTLY"], told(found)
    (left,) = (each for each in found.left if each.finding.rule == "blocking-index")
    assert "the upgrade of b fails with this fix" in left.reason


def test_what_was_as_bad_before_under_another_lock_keeps_no_fix_back(fixing_bench: Fixing, tmp_path: Path) -> None:
    """The fix commits before the index is built: from there on other tables are held, and no longer than before."""
    given = USERS + '\nop.execute("CREATE TABLE items (id bigint PRIMARY KEY); CREATE TABLE kinds (id bigint)")'
    adds = ('op.add_column("{}", sa.Column("v", sa.Integer()))', 'op.drop_column("{}", "v")')
    upgrade = QUICK + adds[0].format("users") + '\nop.create_index("ix", "orders", ["note"])'
    downgrade = 'op.drop_index("ix", "orders")\n' + adds[1].format("users")
    more = [
        revision(id_, before, QUICK + adds[0].format(table), adds[1].format(table))
        for id_, before, table in (("c", "b", "items"), ("d", "c", "kinds"))
    ]

    found = fixing_bench.of(one(tmp_path.resolve(), given, upgrade, downgrade, *more), rules=("blocking-index",))

    assert [each.fix.rule for each in found.applied] == ["blocking-index"], told(found)
    (held,) = (each for each in found.last.tree.findings if each.rule == "several-exclusive-locks")
    assert "ACCESS EXCLUSIVE on `kinds` is requested while the transaction holds it on `items`" in held.message
