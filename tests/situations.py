"""Situations of public bug reports, each as the smallest revisions that show it, with what a careful reviewer says.

`#! SEVERITY RULE` stands behind the line that is to blame; in a line of its own it is about the `def` above it. Nothing
else may be an error or a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reviewer.sql.parse import split
from tests import cases

NO_WAY_BACK = "raise NotImplementedError"


@dataclass(frozen=True)
class Situation:
    """What happened to somebody."""

    slug: str
    source: str
    """Where it was told."""
    what: str
    given: str
    """The state before, in SQL."""
    new: tuple[tuple[str, str], ...]
    """The new revisions: bodies of `upgrade()` and `downgrade()`."""
    env: str = cases.RUN_MIGRATIONS
    """How env.py runs the migrations."""

    @property
    def case(self) -> cases.Case:
        """The project that shows it."""
        revisions = tuple(
            {
                "revision": f"r{n}",
                "down_revision": f"r{n - 1}" if n > 1 else "base0",
                "upgrade": up,
                "downgrade": down,
            }
            for n, (up, down) in enumerate(self.new, 1)
        )
        return cases.Case(self.slug, self.what, "", (), tuple(split(self.given)), revisions, env=self.env)


def expected(files: dict[str, str]) -> set[tuple[str, int, str, str]]:
    """File, line, severity and rule of each finding that a situation names in its files."""
    return {
        (file, number - line.lstrip().startswith("#!"), severity, rule)
        for file, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        for severity, rule in re.findall(r"#! (\w+) ([\w-]+)", line)
    }


def wrong(situation: Situation, bench: cases.Bench) -> Iterator[str]:
    """What a review of the situation says and should not, or does not say and should; a sentence each."""
    report = bench.review(situation.case)
    yield from report.all_errors
    said = {
        (
            f.location.path.rpartition("/")[2].removesuffix(".py"),
            f.location.line,
            f.severity.value,
            f.rule,
        ): f.message
        for f in report.findings
        if f.location is not None and f.rule != "endless-lock-wait"
    }
    wanted = expected(bench.last)
    yield from (
        f"silent: {severity} {rule} in line {line} of {file}"
        for file, line, severity, rule in sorted(wanted - set(said))
    )
    yield from (
        f"told: {severity} {rule} in line {line} of {file}: {said[file, line, severity, rule]}"
        for file, line, severity, rule in sorted(set(said) - wanted)
        if severity != "notice"
    )


SITUATIONS = (
    Situation(
        "events-pending-across-revisions",
        "https://github.com/aiidateam/aiida-core/issues/4590",
        "rows are written in one revision and the table is altered in the next, all in one transaction: a deferred key has events pending",
        """
CREATE TABLE users (id int PRIMARY KEY);
INSERT INTO users SELECT generate_series(1, 20);
CREATE TABLE groups (id int PRIMARY KEY, user_id int REFERENCES users DEFERRABLE INITIALLY DEFERRED, extras text);
INSERT INTO groups SELECT g, g FROM generate_series(1, 20) g;
""",
        (
            (
                "op.execute(\"UPDATE groups SET extras = '{}', user_id = 1 WHERE extras IS NULL\")",
                "#! warning lossy-round-trip\npass",
            ),
            (
                'op.alter_column("groups", "extras", nullable=False)  #! error failing-upgrade #! error scanning-not-null',
                'op.alter_column("groups", "extras", nullable=True)',
            ),
        ),
    ),
    Situation(
        "index-on-long-text",
        "https://github.com/department-of-veterans-affairs/vets-api/pull/19790",
        "an index on a text without a limit: a row of more than 2,704 bytes stops the build. So common that it is no warning",
        "CREATE TABLE claims (id int PRIMARY KEY, metadata text, kind text)",
        (
            (
                "with op.get_context().autocommit_block():\n"
                '    op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_claims_metadata")\n'
                '    op.create_index("ix_claims_metadata", "claims", ["metadata"], postgresql_concurrently=True)',
                "with op.get_context().autocommit_block():\n"
                '    op.drop_index("ix_claims_metadata", "claims", postgresql_concurrently=True, if_exists=True)',
            ),
        ),
    ),
    Situation(
        "on-conflict-names-an-index",
        "https://github.com/ebongard/renfield/pull/630",
        "ON CONFLICT ON CONSTRAINT names a partial unique index, which is no constraint",
        "CREATE TABLE documents (id int PRIMARY KEY); INSERT INTO documents SELECT generate_series(1, 20)",
        (
            (
                'op.create_table("history", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("doc_id", sa.Integer()), sa.Column("initial", sa.Boolean()))\n'
                'op.create_index("uq_history_initial", "history", ["doc_id"], unique=True, postgresql_where=sa.text("initial"))\n'
                'op.execute("""INSERT INTO history (doc_id, initial) SELECT id, true FROM documents ON CONFLICT ON CONSTRAINT uq_history_initial DO NOTHING""")  #! error failing-upgrade',
                'op.drop_table("history")',
            ),
        ),
    ),
    Situation(
        "env-takes-duplicates-for-done",
        "https://github.com/learntocloud/learn-to-cloud-app/pull/436",
        "env.py swallows errors whose text has 'already exists' or 'duplicate': production stayed behind for eight days, green",
        "CREATE TABLE steps (id int PRIMARY KEY, a int)",
        (('op.add_column("steps", sa.Column("b", sa.Integer()))', 'op.drop_column("steps", "b")'),),
        env="""
try:
    context.run_migrations()  #! error swallowed-failure
except Exception as error:
    if "already exists" not in str(error) and "duplicate" not in str(error):
        raise
""",
    ),
    Situation(
        "downgrade-makes-its-enum-twice",
        "https://github.com/lablup/backend.ai/issues/12886",
        "the downgrade makes the type, and create_table makes it again",
        "CREATE TYPE scope AS ENUM ('domain', 'user'); CREATE TABLE configs (id int PRIMARY KEY, scope scope NOT NULL)",
        (
            (
                'op.drop_table("configs")  #! error dropped-table\nop.execute("DROP TYPE scope")',
                'scope = sa.Enum("domain", "user", name="scope")\n'
                "scope.create(op.get_bind(), checkfirst=True)\n"
                'op.create_table("configs", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("scope", sa.Enum("domain", "user", name="scope"), nullable=False))  #! error failing-downgrade',
            ),
        ),
    ),
    Situation(
        "settings-moved-but-not-copied",
        "https://github.com/vectorize-io/hindsight/issues/1157",
        "a JSON column takes the place of single columns and nobody copies their values",
        "CREATE TABLE banks (id int PRIMARY KEY, mission text, skepticism int NOT NULL DEFAULT 3)",
        (
            (
                'op.add_column("banks", sa.Column("config", postgresql.JSONB(), nullable=False, server_default=sa.text("\'{}\'")))\n'
                'op.drop_column("banks", "mission")  #! error dropped-column\n'
                'op.drop_column("banks", "skepticism")  #! error dropped-column',
                'op.add_column("banks", sa.Column("skepticism", sa.Integer(), nullable=False, server_default="3"))\n'
                'op.add_column("banks", sa.Column("mission", sa.Text()))\n'
                'op.drop_column("banks", "config")',
            ),
        ),
    ),
    Situation(
        "old-enum-type-still-used",
        "https://github.com/Pogchamp-company/alembic-postgresql-enum/issues/67",
        "an enum type is swapped in one table, and another table still has the old one, so that it cannot be dropped",
        "CREATE TYPE status AS ENUM ('new', 'done'); CREATE TABLE jobs (id int PRIMARY KEY, status status); CREATE TABLE tasks (id int PRIMARY KEY, status status)",
        (
            (
                'op.execute("ALTER TYPE status RENAME TO status_old")\n'
                "op.execute(\"CREATE TYPE status AS ENUM ('new', 'done', 'failed')\")\n"
                'op.execute("ALTER TABLE jobs ALTER COLUMN status TYPE status USING status::text::status")  #! error rewriting-type-change\n'
                'op.execute("DROP TYPE status_old")  #! error failing-upgrade',
                NO_WAY_BACK,
            ),
        ),
    ),
    Situation(
        "now-in-quotes",
        "https://github.com/Unleash/unleash/issues/741",
        "the default now() in quotes is the moment of the migration, for every row that is ever inserted",
        "CREATE TABLE features (id int PRIMARY KEY, name text)",
        (
            (
                'op.add_column("features", sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default="now()"))  #! warning frozen-default',
                'op.drop_column("features", "created_at")',
            ),
        ),
    ),
    Situation(
        "view-on-the-column",
        "https://github.com/olirice/alembic_utils/issues/89",
        "the type of a column that a view shows cannot be changed",
        "CREATE TABLE a (id int PRIMARY KEY, some_field varchar(255)); CREATE VIEW a_view AS SELECT id, some_field FROM a",
        (
            (
                'op.alter_column("a", "some_field", type_=sa.Text(), existing_type=sa.String(255))  #! error failing-upgrade',
                'op.alter_column("a", "some_field", type_=sa.String(255), existing_type=sa.Text())',
            ),
        ),
    ),
    Situation(
        "replaced-view-with-another-order",
        "https://github.com/rommapp/romm/issues/2938",
        "CREATE OR REPLACE VIEW cannot put a new column in front of an old one",
        "CREATE TABLE roms (id int PRIMARY KEY, released int, rating int); CREATE VIEW roms_metadata AS SELECT id, released FROM roms",
        (
            (
                'op.execute("CREATE OR REPLACE VIEW roms_metadata AS SELECT id, rating, released FROM roms")  #! error failing-upgrade',
                'op.execute("CREATE OR REPLACE VIEW roms_metadata AS SELECT id, released FROM roms")',
            ),
        ),
    ),
    Situation(
        "backfill-fires-the-trigger",
        "https://github.com/bytebase/bytebase/pull/5638",
        "a backfill of every row fires the trigger that says when a row was changed: afterwards all were changed just now",
        """
CREATE TABLE deals (id int PRIMARY KEY, last_activity text, updated_at timestamptz NOT NULL DEFAULT now());
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON deals FOR EACH ROW EXECUTE FUNCTION touch();
INSERT INTO deals (id) SELECT generate_series(1, 20);
""",
        (
            (
                "op.execute(\"UPDATE deals SET last_activity = 'none' WHERE last_activity IS NULL\")",
                "#! warning lossy-round-trip\npass",
            ),
        ),
    ),
    Situation(
        "key-loses-its-cascade",
        "https://github.com/workfloworchestrator/orchestrator-core/issues/906",
        "a foreign key is made anew without ON DELETE CASCADE: deleting a process fails from then on",
        """
CREATE TABLE processes (id int PRIMARY KEY);
CREATE TABLE states (id int PRIMARY KEY, pid int, CONSTRAINT states_pid_fkey FOREIGN KEY (pid) REFERENCES processes ON DELETE CASCADE);
INSERT INTO processes SELECT generate_series(1, 20);
INSERT INTO states SELECT g, g FROM generate_series(1, 20) g;
""",
        (
            (
                'op.drop_constraint("states_pid_fkey", "states", type_="foreignkey")  #! warning unnamed-lock\n'
                'op.create_foreign_key("states_pid_fkey", "states", "processes", ["pid"], ["id"], postgresql_not_valid=True)  #! warning refused-after-upgrade',
                'op.drop_constraint("states_pid_fkey", "states", type_="foreignkey")\n'
                'op.create_foreign_key("states_pid_fkey", "states", "processes", ["pid"], ["id"], ondelete="CASCADE", postgresql_not_valid=True)',
            ),
        ),
    ),
    Situation(
        "unique-without-the-partition-key",
        "https://github.com/edictum-ai/edictum-console/pull/86",
        "a unique constraint on a partitioned table has to hold its partition key",
        "CREATE TABLE events (id int NOT NULL, tenant int, call int, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); CREATE TABLE events_rest PARTITION OF events DEFAULT",
        (
            (
                'op.create_unique_constraint("uq_events_call", "events", ["tenant", "call"])  #! error failing-upgrade #! error blocking-unique-constraint',
                'op.drop_constraint("uq_events_call", "events")',
            ),
        ),
    ),
    Situation(
        "parameter-before-a-cast",
        "https://github.com/rhesis-ai/rhesis/pull/2661",
        "text() takes `:ids::int[]` for no parameter at all, and the downgrade fails",
        "CREATE TABLE model (id int PRIMARY KEY, name text NOT NULL); INSERT INTO model VALUES (100, 'x')",
        (
            (
                "op.execute(\"INSERT INTO model VALUES (7001, 'default')\")",
                'op.get_bind().execute(sa.text("DELETE FROM model WHERE id = ANY(:ids::int[])"), {"ids": [7001]})  #! error failing-downgrade',
            ),
        ),
    ),
    Situation(
        "colon-in-a-literal",
        "https://github.com/sqlalchemy/alembic/issues/522",
        "op.execute() takes a colon within a literal for a parameter",
        "CREATE TABLE jobs (id int PRIMARY KEY, target jsonb)",
        (
            (
                'op.execute("""INSERT INTO jobs VALUES (1, \'{"days":28}\')""")  #! error failing-upgrade',
                'op.execute("DELETE FROM jobs WHERE id = 1")',
            ),
        ),
    ),
    Situation(
        "if-not-exists-skips-the-retry",
        "https://github.com/chatwoot/chatwoot/issues/15885",
        "a concurrent build that was interrupted leaves an invalid index, which `if_not_exists` takes for the index",
        "CREATE TABLE reports (id int PRIMARY KEY, name text)",
        (
            (
                "with op.get_context().autocommit_block():\n"
                '    op.create_index("ix_reports_name", "reports", ["name"], postgresql_concurrently=True, if_not_exists=True)  #! warning invalid-index',
                "with op.get_context().autocommit_block():\n"
                '    op.drop_index("ix_reports_name", "reports", postgresql_concurrently=True, if_exists=True)',
            ),
        ),
    ),
    Situation(
        "copied-into-less-room",
        "https://github.com/vectorize-io/hindsight/issues/2106",
        "rows are copied from a text without a limit into a new table with VARCHAR(64)",
        "CREATE TABLE units (id int PRIMARY KEY, bank_id text NOT NULL, history text)",
        (
            (
                'op.create_table("observations", sa.Column("unit_id", sa.Integer()), sa.Column("bank_id", sa.String(64)), sa.Column("content", sa.Text()))\n'
                'op.execute("INSERT INTO observations SELECT id, bank_id, history FROM units")  #! warning fails-on-legal-rows',
                'op.drop_table("observations")',
            ),
        ),
    ),
    Situation(
        "addresses-that-collide-in-lower-case",
        "https://github.com/getfider/fider/issues/935",
        "lower-casing addresses collides with the unique index on them",
        "CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL); CREATE UNIQUE INDEX user_email_unique_idx ON users (email)",
        (
            (
                'op.execute("UPDATE users SET email = lower(email)")  #! warning unfiltered-change #! warning fails-on-legal-rows',
                "pass",
            ),
        ),
    ),
    Situation(
        "session-that-commits-nothing",
        "https://github.com/apache/airflow/pull/18453",
        "a session on Alembic's connection commits, which since SQLAlchemy 2 ends a savepoint and not the transaction",
        "CREATE TABLE runs (id int PRIMARY KEY, name text)",
        (
            (
                "from sqlalchemy.orm import Session\n\n"
                'op.add_column("runs", sa.Column("slug", sa.Text()))\n'
                "session = Session(bind=op.get_bind())\n"
                'session.execute(sa.text("UPDATE runs SET slug = name WHERE id < 0"))\n'
                "session.commit()\n"
                'op.add_column("runs", sa.Column("kind", sa.Text()))',
                'op.drop_column("runs", "kind")\nop.drop_column("runs", "slug")',
            ),
        ),
    ),
    Situation(
        "check-made-wider",
        "https://github.com/mlflow/mlflow/pull/2352",
        "a check takes one more value: the new one reads every row under a lock, and going back fails once a row has the value",
        """
CREATE TABLE runs (id int PRIMARY KEY, status varchar(20) DEFAULT 'RUNNING', CONSTRAINT status CHECK (status IN ('RUNNING', 'FINISHED')));
INSERT INTO runs SELECT generate_series(1, 20);
""",
        (
            (
                'op.drop_constraint("status", "runs", type_="check")\n'
                "op.create_check_constraint(\"status\", \"runs\", \"status IN ('RUNNING', 'FINISHED', 'KILLED')\")  #! error validating-check",
                'op.drop_constraint("status", "runs", type_="check")\n'
                'op.create_check_constraint("status", "runs", "status IN (\'RUNNING\', \'FINISHED\')")',
            ),
        ),
    ),
    Situation(
        "index-goes-with-its-constraint",
        "https://github.com/sqlalchemy/alembic/issues/1288",
        "autogenerate drops a unique constraint, and then the index that went with it",
        "CREATE TABLE commits (id int PRIMARY KEY, sha text, CONSTRAINT commits_sha_key UNIQUE (sha))",
        (
            (
                'op.drop_constraint("commits_sha_key", "commits", type_="unique")\n'
                'op.drop_index("commits_sha_key", table_name="commits")  #! error failing-upgrade',
                'op.create_unique_constraint("commits_sha_key", "commits", ["sha"])',
            ),
        ),
    ),
    Situation(
        "default-in-the-way-of-the-type",
        "https://github.com/claytonbonelli/int_pk2uuid_pk/issues/1",
        "a serial key becomes a uuid, and its default cannot be cast",
        "CREATE TABLE chats (id serial PRIMARY KEY, name text); INSERT INTO chats (name) SELECT 'x' FROM generate_series(1, 20)",
        (
            (
                "op.execute(\"ALTER TABLE chats ALTER id TYPE uuid USING lpad(to_hex(id), 32, '0')::uuid\")  #! error failing-upgrade #! error rewriting-type-change",
                NO_WAY_BACK,
            ),
        ),
    ),
    Situation(
        "variable-named-like-the-new-column",
        "https://github.com/Silo-Server/silo-server/pull/822",
        "a new column has the name of a variable of a trigger's function: the reference is ambiguous, and every write fails",
        """
CREATE TABLE candidates (id int PRIMARY KEY, item int);
CREATE TABLE items (id int PRIMARY KEY, title text);
CREATE FUNCTION probe() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE kind text := 'poster';
BEGIN
    PERFORM 1 FROM candidates WHERE item = NEW.id AND kind = 'poster';
    RETURN NEW;
END $$;
CREATE TRIGGER probe BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION probe();
INSERT INTO items SELECT generate_series(1, 20);
""",
        (
            (
                'op.add_column("candidates", sa.Column("kind", sa.Text()))  #! error stale-function',
                'op.drop_column("candidates", "kind")',
            ),
        ),
    ),
    Situation(
        "default-dropped-from-a-required-column",
        "https://github.com/lablup/backend.ai/issues/13725",
        "a column is added NOT NULL with a default, and the default goes in the same revision: each INSERT of the running code fails",
        "CREATE TABLE checkers (id int PRIMARY KEY, name text); INSERT INTO checkers SELECT generate_series(1, 20)",
        (
            (
                "op.execute(\"ALTER TABLE checkers ADD COLUMN IF NOT EXISTS types text[] NOT NULL DEFAULT '{}'\")\n"
                'op.alter_column("checkers", "types", server_default=None)  #! error dropped-default',
                'op.drop_column("checkers", "types")',
            ),
        ),
    ),
    Situation(
        "trigger-off-during-the-backfill",
        "https://github.com/MakePrisms/agicash/pull/1016",
        "a trigger is disabled, every row is updated, and it is enabled again: writes wait for the whole of it",
        """
CREATE TABLE transactions (id int PRIMARY KEY, kind text, currency text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('changes', NEW.id::text); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER tell AFTER INSERT OR UPDATE ON transactions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell();
INSERT INTO transactions SELECT generate_series(1, 20);
""",
        (
            (
                'op.execute("ALTER TABLE transactions DISABLE TRIGGER tell")\n'
                "op.execute(\"UPDATE transactions SET currency = 'BTC' WHERE currency IS NULL\")  #! error work-under-lock\n"
                'op.execute("ALTER TABLE transactions ENABLE TRIGGER tell")',
                "pass",
            ),
        ),
    ),
    Situation(
        "null-character-in-json",
        "https://github.com/lightly-ai/lightly-studio/pull/2269",
        "json takes the character \\u0000, jsonb does not: one such row stops the change",
        "CREATE TABLE traces (id int PRIMARY KEY, payload json)",
        (
            (
                'op.alter_column("traces", "payload", type_=postgresql.JSONB(), postgresql_using="payload::jsonb")  #! error rewriting-type-change #! warning fails-on-legal-rows',
                'op.alter_column("traces", "payload", type_=sa.JSON(), postgresql_using="payload::json")',
            ),
        ),
    ),
    Situation(
        "orphans-deleted-without-a-word",
        "https://github.com/linagora/openrag/issues/357",
        "rows without a parent are deleted before a foreign key is added, and no downgrade brings them back",
        """
CREATE TABLE files (id int PRIMARY KEY);
CREATE TABLE workspace_files (id int PRIMARY KEY, file_id int);
INSERT INTO files SELECT generate_series(1, 10);
INSERT INTO workspace_files SELECT g, g FROM generate_series(1, 20) g;
""",
        (
            (
                'op.execute("DELETE FROM workspace_files WHERE file_id NOT IN (SELECT id FROM files)")\n'
                'op.create_foreign_key("fk_file", "workspace_files", "files", ["file_id"], ["id"])  #! error validating-foreign-key',
                '#! warning lossy-round-trip\nop.drop_constraint("fk_file", "workspace_files", type_="foreignkey")',
            ),
        ),
    ),
    Situation(
        "table-and-its-history",
        "https://github.com/alphagov/notifications-api/pull/3890",
        "a table and its history get NOT NULL in one transaction: each is locked while the other waits, and it deadlocks",
        "CREATE TABLE services (id int PRIMARY KEY, limits int); CREATE TABLE services_history (id int PRIMARY KEY, limits int)",
        (
            (
                'op.alter_column("services", "limits", nullable=False)  #! error scanning-not-null #! warning fails-on-legal-rows\n'
                'op.alter_column("services_history", "limits", nullable=False)  #! error scanning-not-null #! warning several-exclusive-locks',
                'op.alter_column("services_history", "limits", nullable=True)\nop.alter_column("services", "limits", nullable=True)',
            ),
        ),
    ),
    Situation(
        "table-renamed-its-key-not",
        "https://github.com/SpecterOps/BloodHound/pull/2946",
        "a table is renamed out of the way, but the index of its key keeps the name that the new table wants",
        "CREATE TABLE stats (id int, run text, CONSTRAINT stats_pkey PRIMARY KEY (id))",
        (
            (
                'op.rename_table("stats", "stats_old")  #! error renamed-table\n'
                'op.create_table("stats", sa.Column("id", sa.Integer()), sa.Column("day", sa.Date()), sa.PrimaryKeyConstraint("id", name="stats_pkey"))  #! error failing-upgrade',
                NO_WAY_BACK,
            ),
        ),
    ),
)
