"""The code of the base commit is tried on the new schema, in real repositories with real models."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from reviewer.project.additive import only_adds_tables
from reviewer.recording import Models
from tests import warm
from tests.branch import ENV, Branch
from tests.command import revision
from tests.repository import git, write

pytestmark = pytest.mark.processes

USERS = """
op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
op.create_table(
    "users",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(50), nullable=False),
    sa.Column("email", sa.String(80), nullable=False, unique=True),
    sa.Column("state", sa.String(20), nullable=False, server_default="new"),
    sa.Column("mood", sa.Enum("good", "bad", name="mood", create_type=False).with_variant(sa.Text, "sqlite")),
)
op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False))
""".replace('sa.Enum("good", "bad", name="mood", create_type=False).with_variant(sa.Text, "sqlite")', "MOOD")

TOP = (
    'from sqlalchemy.dialects.postgresql import ENUM\nMOOD = ENUM("good", "bad", name="mood", create_type=False)\n'
)

MODELS = """
class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(50), nullable=False)
    email = sa.Column(sa.String(80), nullable=False, unique=True)
    state = sa.Column(sa.String(20), nullable=False, server_default="new")
    mood = sa.Column(sa.Enum("good", "bad", name="mood"))
    notes = orm.relationship("Note")


class Note(Base):
    __tablename__ = "notes"
    id = sa.Column(sa.Integer, primary_key=True)
    user_id = sa.Column(sa.ForeignKey("users.id"), nullable=False)
"""


def without(column: str) -> str:
    return "\n".join(line for line in MODELS.splitlines() if not line.startswith(f"    {column} ="))


def branch(folder: Path, models: str = MODELS, files: dict[str, str] | None = None) -> Branch:
    return Branch(
        folder, USERS, models, {"migrations/versions/a.py": revision("a", None, USERS, top=TOP), **(files or {})}
    )


def test_a_dropped_column_that_is_mapped_is_proof_and_quotes_the_guess(tmp_path: Path) -> None:
    found = branch(tmp_path).adds('op.drop_column("users", "name")').with_models(without("name")).review()

    assert found.rules() == ["old-code-broken"]
    said = found.finding("old-code-broken")
    assert said.startswith("error: `User` of the running code")
    assert "SELECT, INSERT and UPDATE on `users` fail with `column users.name does not exist`" in said
    assert "Dropping `users.name` destroys its values" in said
    assert found.report.findings[0].location or found.report.findings[1].location


def test_a_column_that_was_unmapped_a_release_before_is_a_notice(tmp_path: Path) -> None:
    found = branch(tmp_path, without("mood")).adds('op.drop_column("users", "mood")').review()

    assert found.rules() == ["dropped-column"]
    assert found.finding("dropped-column").startswith("notice: ")


def test_a_renamed_column_keeps_the_remedy_of_the_guess(tmp_path: Path) -> None:
    models = MODELS.replace("name = sa.Column(sa.String(50)", "full_name = sa.Column(sa.String(50)")
    found = (
        branch(tmp_path)
        .adds('op.alter_column("users", "name", new_column_name="full_name")')
        .with_models(models)
        .review()
    )

    assert found.rules() == ["old-code-broken"]
    (finding,) = [f for f in found.report.findings if f.rule == "old-code-broken"]
    assert finding.remedy
    assert finding.evidence["replaces"] == ["renamed-column"]


def test_a_required_column_breaks_the_insert_of_code_that_does_not_know_it(tmp_path: Path) -> None:
    found = (
        branch(tmp_path)
        .adds(
            'op.add_column("users", sa.Column("age", sa.Integer, nullable=False, server_default="0"))\n'
            'op.alter_column("users", "age", server_default=None)'
        )
        .with_models(MODELS.replace("    notes =", "    age = sa.Column(sa.Integer, nullable=False)\n    notes ="))
        .review()
    )

    assert found.rules() == ["old-code-broken"]
    assert 'INSERT on `users` fails with `null value in column "age"' in found.finding("old-code-broken")


def test_a_dropped_default_breaks_code_that_leaves_the_column_out(tmp_path: Path) -> None:
    found = branch(tmp_path).adds('op.alter_column("users", "state", server_default=None)').review()

    assert "old-code-broken" in found.rules()
    assert "dropped-default" not in found.rules()


def test_a_dropped_default_is_a_notice_where_the_old_code_always_writes_the_column(tmp_path: Path) -> None:
    writes = MODELS.replace('server_default="new"', 'default="new"')
    found = branch(tmp_path, writes).adds('op.alter_column("users", "state", server_default=None)').review()

    assert found.finding("dropped-default").startswith("notice: ")
    assert "old-code-broken" not in found.rules()


def test_a_table_that_is_renamed_behind_a_view_breaks_nothing(tmp_path: Path) -> None:
    found = (
        branch(tmp_path)
        .adds('op.rename_table("notes", "remarks")\nop.execute("CREATE VIEW notes AS SELECT * FROM remarks")')
        .review()
    )

    assert "old-code-broken" not in found.rules()
    assert found.recording.old_code.mapped


def test_a_view_that_takes_no_rows_breaks_the_writes(tmp_path: Path) -> None:
    found = (
        branch(tmp_path)
        .adds(
            'op.rename_table("notes", "remarks")\n'
            'op.execute("CREATE VIEW notes AS SELECT DISTINCT id, user_id FROM remarks")'
        )
        .review()
    )

    assert "INSERT, UPDATE and DELETE on `notes`" in found.finding("old-code-broken")


def test_a_renamed_label_breaks_code_that_sends_it(tmp_path: Path) -> None:
    found = branch(tmp_path).adds("""op.execute("ALTER TYPE mood RENAME VALUE 'bad' TO 'sad'")""").review()

    assert "SELECT, INSERT and UPDATE on `users` fail" in found.finding("old-code-broken")
    assert "'sad' is not among the defined enum values" in found.finding("old-code-broken")
    assert "renamed-enum-value" not in found.rules()


def test_a_row_with_a_label_that_the_running_code_does_not_know_breaks_its_reads(tmp_path: Path) -> None:
    """PostgreSQL puts the changed rows behind all others."""
    upgrade = """
with op.get_context().autocommit_block():
    op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'sad'")
op.execute("UPDATE users SET mood = 'sad' WHERE mood = 'bad'")
"""
    said = branch(tmp_path).adds(upgrade).review().finding("old-code-broken")
    assert "SELECT on `users` fails with `LookupError: 'sad' is not among the defined enum values" in said


def test_what_a_made_up_row_violates_is_no_evidence(tmp_path: Path) -> None:
    found = (
        branch(tmp_path)
        .adds("""op.execute("ALTER TABLE users ADD CONSTRAINT c CHECK (name = 'x') NOT VALID")""")
        .review()
    )

    assert "old-code-broken" not in found.rules()


def test_the_revision_that_breaks_it_is_found_by_trying_after_each(tmp_path: Path) -> None:
    found = (
        branch(tmp_path)
        .adds('op.add_column("users", sa.Column("age", sa.Integer))', 'op.drop_column("users", "age")')
        .adds('op.execute("DO $$ BEGIN ALTER TABLE users DROP COLUMN name; END $$")')
        .adds('op.create_index("ix_notes", "notes", ["user_id"])', 'op.drop_index("ix_notes")')
        .review()
    )

    assert [each.revision for each in found.recording.old_code.broken] == ["c"]
    (finding,) = [f for f in found.report.findings if f.rule == "old-code-broken"]
    assert finding.revision == "c"


SEVERAL = (
    'op.add_column("users", sa.Column("age", sa.Integer))',
    'op.alter_column("users", "name", new_column_name="full_name")',
    'op.add_column("users", sa.Column("size", sa.Integer, nullable=False, server_default="1"))\n'
    'op.alter_column("users", "size", server_default=None)',
    'op.drop_column("users", "email")',
    """op.execute("ALTER TYPE mood RENAME VALUE 'bad' TO 'sad'")""",
    'op.rename_table("notes", "remarks")\nop.execute("CREATE VIEW notes AS SELECT * FROM remarks")',
    'op.add_column("remarks", sa.Column("size", sa.Integer, nullable=False, server_default="1"))\n'
    'op.alter_column("remarks", "size", server_default=None)',
    'op.create_index("ix_users_age", "users", ["age"])',
    'op.execute("DROP VIEW notes")\nop.drop_table("remarks")',
)


@pytest.mark.parametrize("option", [(), ("--each",)], ids=["together", "each"])
def test_each_of_several_revisions_that_breaks_it_is_told_once(option: tuple[str, ...], tmp_path: Path) -> None:
    project = branch(tmp_path)
    for upgrade in SEVERAL:
        project.adds(upgrade)
    found = project.review(*option)

    told = [(f.revision, f.evidence["column"]) for f in found.report.findings if f.rule == "old-code-broken"]
    assert sorted(told) == [
        ("c", "name"),
        ("d", "size"),
        ("e", "email"),
        ("f", "mood"),
        ("h", "size"),
        ("j", None),
    ]
    assert found.skipped == ""


def test_what_running_code_sees_between_two_transactions_is_told_and_before_a_failure_too(tmp_path: Path) -> None:
    project = branch(
        tmp_path,
        files={
            "migrations/env.py": ENV.replace("target_metadata=", "transaction_per_migration=True, target_metadata=")
        },
    )
    project.adds('op.alter_column("users", "name", new_column_name="full_name")')
    project.adds('op.alter_column("users", "full_name", new_column_name="name")')
    project.adds('op.drop_column("notes", "user_id")').adds('op.execute("SELECT 1 / 0")')
    found = project.review()

    told = [(each.revision, each.column, each.until) for each in found.recording.old_code.broken]
    assert told == [("b", "name", "c"), ("d", "user_id", None)]
    assert "`column users.name does not exist` until revision c" in "".join(
        f.message for f in found.report.findings if f.revision == "b"
    )


def test_what_one_transaction_breaks_and_mends_no_running_code_sees(tmp_path: Path) -> None:
    found = (
        branch(tmp_path)
        .adds('op.alter_column("users", "name", new_column_name="full_name")')
        .adds('op.alter_column("users", "full_name", new_column_name="name")')
        .review()
    )

    assert found.recording.old_code.mapped
    assert found.recording.old_code.broken == ()


def test_all_columns_that_one_revision_requires_are_told(tmp_path: Path) -> None:
    columns = [f'op.execute("ALTER TABLE notes ADD COLUMN {each} int NOT NULL")' for each in ("size", "kind")]
    found = branch(tmp_path).adds("\n".join(['op.execute("DELETE FROM notes")', *columns])).review()

    assert sorted(each.column or "" for each in found.recording.old_code.broken) == ["kind", "size"]


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ("import package_that_nobody_has\n" + MODELS, "No module named 'package_that_nobody_has'"),
        ("raise RuntimeError('no settings')\n", "RuntimeError: no settings"),
        ("import os\nos._exit(3)\n", "ended the process"),
    ],
    ids=["missing package", "fails at import", "ends the process"],
)
def test_old_code_that_does_not_import_is_skipped_and_the_guesses_stay(
    tmp_path: Path, models: str, says: str
) -> None:
    found = branch(tmp_path, models).adds('op.drop_column("users", "name")').with_models(without("name")).review()

    assert "dropped-column" in found.rules()
    assert "code of the base commit" in found.skipped
    assert says in found.skipped


def test_an_event_that_the_old_code_forges_makes_the_review_an_error(tmp_path: Path) -> None:
    forges = """
import os, stat
for number in [n for n in map(int, os.listdir("/proc/self/fd")) if n > 20]:
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            os.write(number, b'{"event": "done", "calls": 1, "connected": 1}\\n')
    except OSError:
        pass
"""
    changed = branch(tmp_path, forges + MODELS).adds('op.drop_column("users", "name")').with_models(without("name"))

    found = changed.review()

    (error,) = found.report.all_errors
    assert error.startswith("What the project's process told cannot be believed: a line that is not the runner's")
    assert found.recording.old_code.mapped is None
    assert "the events of its process cannot be trusted" in found.recording.old_code.reason


def test_models_that_wait_for_a_network_do_not_hold_the_review(tmp_path: Path) -> None:
    waits = "import socket\nsocket.create_connection(('192.0.2.1', 9), 0.2)\n"
    found = branch(tmp_path, waits).adds('op.drop_column("users", "name")').with_models(without("name")).review()

    assert "dropped-column" in found.rules()
    assert "code of the base commit" in found.skipped


def test_old_code_is_imported_from_the_base_commit_wherever_it_is_installed(tmp_path: Path) -> None:
    """As with an editable install, the working tree is on the path before anything else."""
    found = (
        branch(tmp_path)
        .adds('op.drop_column("users", "name")')
        .with_models(without("name"))
        .review("--env", f"PYTHONPATH={tmp_path}")
    )

    assert "old-code-broken" in found.rules()


def test_files_that_git_ignores_are_there_for_the_old_code_too(tmp_path: Path) -> None:
    reads = "from pathlib import Path\nPath(__file__).with_name('.env').read_text()\n" + MODELS
    project = branch(tmp_path, reads)
    (tmp_path / ".env").write_text("SECRET=1\n")
    found = project.adds('op.drop_column("users", "name")').review()

    assert "old-code-broken" in found.rules()


def test_nothing_of_the_repository_is_touched(tmp_path: Path) -> None:
    project = branch(tmp_path).adds('op.drop_column("users", "name")')
    project.commit("branch")
    (tmp_path / "models.py").write_text("# being edited\n" + (tmp_path / "models.py").read_text())
    git(tmp_path, "status")
    before = (
        git(tmp_path, "status", "--porcelain"),
        (tmp_path / ".git/index").read_bytes(),
        git(tmp_path, "for-each-ref"),
        git(tmp_path, "worktree", "list"),
        sorted(p.name for p in (tmp_path / ".git").iterdir()),
    )
    hooked = tmp_path / ".git/hooks/post-checkout"
    hooked.parent.mkdir(exist_ok=True)
    hooked.write_text("#!/bin/sh\ntouch hooked\n")
    hooked.chmod(0o755)

    arguments = ["review", ".", "--base", "main", "--python", sys.executable]
    reviewed = warm.run(arguments, tmp_path, warm.environment())

    assert "old-code-broken" in reviewed.stdout
    after = (
        git(tmp_path, "status", "--porcelain"),
        (tmp_path / ".git/index").read_bytes(),
        git(tmp_path, "for-each-ref"),
        git(tmp_path, "worktree", "list"),
        sorted(p.name for p in (tmp_path / ".git").iterdir()),
    )
    assert after == before
    assert not (tmp_path / "hooked").exists()


def test_statements_that_were_prepared_before_are_tried_after(tmp_path: Path) -> None:
    models = MODELS.replace("String(50)", "String(60)")
    found = (
        branch(tmp_path)
        .adds(
            'op.alter_column("users", "name", type_=sa.String(60))',
            'op.alter_column("users", "name", type_=sa.String(50))',
        )
        .with_models(models)
        .review()
    )

    assert found.finding("old-code-broken").startswith("notice: ")
    assert "cached plan must not change result type" in found.finding("old-code-broken")


def test_a_column_more_leaves_prepared_statements_of_named_columns_alone(tmp_path: Path) -> None:
    models = MODELS.replace("    notes =", "    age = sa.Column(sa.Integer)\n    notes =")
    found = (
        branch(tmp_path)
        .adds('op.add_column("users", sa.Column("age", sa.Integer))', 'op.drop_column("users", "age")')
        .with_models(models)
        .review()
    )

    assert found.rules() == []


def test_can_be_turned_off(tmp_path: Path) -> None:
    found = branch(tmp_path).adds('op.drop_column("users", "name")').review("--no-old-code")

    assert found.rules() == ["dropped-column"]
    assert found.recording.old_code.reason == "turned off"
    assert found.skipped == ""


NO_MODELS = {"migrations/env.py": ENV.replace("models.Base.metadata", "None")}


def test_where_env_py_names_no_models_there_is_nothing_to_try_and_that_is_said(tmp_path: Path) -> None:
    found = branch(tmp_path, files=NO_MODELS).adds('op.drop_column("users", "name")').review()

    assert found.rules() == ["dropped-column"]
    assert found.recording.old_code.mapped is None
    assert found.recording.old_code.reason == "its env.py names no models as target_metadata"
    assert found.recording.models == Models(compared=True)
    assert found.skipped == ""


def test_old_code_that_names_models_is_tried_where_the_new_one_names_none_any_more(tmp_path: Path) -> None:
    project = branch(tmp_path).adds('op.drop_column("users", "name")')
    write(tmp_path, NO_MODELS)

    assert "old-code-broken" in project.review().rules()


def test_where_the_upgrade_fails_the_old_code_has_no_state_to_be_tried_on_and_that_is_said(tmp_path: Path) -> None:
    found = branch(tmp_path).adds('op.execute("SELECT 1 / 0")').review()

    assert found.recording.old_code.mapped is None
    assert found.recording.old_code.reason == "there is no upgraded state to test it on"


def test_a_suppression_of_the_guess_is_used_by_the_proof(tmp_path: Path) -> None:
    found = (
        branch(tmp_path).adds('op.drop_column("users", "name")  # reviewer: allow[dropped-column] a test').review()
    )

    assert "unused-suppression" not in found.rules()
    assert "old-code-broken" in found.rules()


@pytest.mark.parametrize(
    ("upgrade", "adds"),
    [
        (
            'op.create_table("x", sa.Column("id", sa.Integer, primary_key=True))\nop.create_index("i", "x", ["id"])',
            True,
        ),
        ("pass", True),
        ('op.create_index("i", "users", ["id"])', False),
        ('op.add_column("users", sa.Column("x", sa.Integer))', False),
        ('op.execute("DROP TABLE users")', False),
        ("helper()", False),
        ('op.create_table("x", *columns())', False),
    ],
)
def test_what_only_adds_tables_needs_no_old_code(upgrade: str, adds: bool) -> None:
    assert only_adds_tables([revision("b", "a", upgrade).encode()]) is adds


def test_a_value_that_the_model_does_not_ask_for_is_told_where_the_schema_asks_for_it(tmp_path: Path) -> None:
    models = MODELS.replace('name="mood"))', 'name="mood"), nullable=False)')
    found = (
        branch(tmp_path)
        .adds('op.execute("UPDATE users SET mood = \'good\'")\nop.alter_column("users", "mood", nullable=False)')
        .with_models(models)
        .review()
    )

    said = found.finding("stricter-for-old-code")
    assert said.startswith("warning: The model `User` of the running code")
    assert re.search(r"running code \(commit `[0-9a-f]{7}`\) allows", said)  # GitHub takes a bare one for a link
    assert "allows `users.mood` to be NULL: from now on an INSERT without it fails with `null value in" in said
    assert "scanning-not-null" in found.rules()
    assert "old-code-broken" not in found.rules()
    assert found.report.trees[0].order == "the code, then `b`"


def test_a_check_that_asks_for_a_value_is_told_once_with_the_not_null_that_follows(tmp_path: Path) -> None:
    models = MODELS.replace('name="mood"))', 'name="mood"), nullable=False)')
    checked = """
op.execute("UPDATE users SET mood = 'good'")
op.execute("ALTER TABLE users ADD CONSTRAINT has_mood CHECK (mood IS NOT NULL) NOT VALID")
"""
    validated = """
with op.get_context().autocommit_block():
    op.execute("ALTER TABLE users VALIDATE CONSTRAINT has_mood")
op.alter_column("users", "mood", nullable=False)
op.drop_constraint("has_mood", "users")
"""
    found = branch(tmp_path).adds(checked, "pass").adds(validated, "pass").with_models(models).review()

    (told,) = [each for each in found.report.findings if each.rule == "stricter-for-old-code"]
    assert told.revision == "b"
    assert "allows rows of `users` that `has_mood` rejects" in told.message
    assert "until" not in told.message


def test_a_value_that_the_model_asks_for_is_not_told_though_the_old_schema_did_not_ask(tmp_path: Path) -> None:
    models = MODELS.replace('name="mood"))', 'name="mood"), nullable=False)')
    found = (
        branch(tmp_path, models)
        .adds('op.execute("UPDATE users SET mood = \'good\'")\nop.alter_column("users", "mood", nullable=False)')
        .review()
    )

    assert "stricter-for-old-code" not in found.rules()


ENCODED = """
import json


class Encoded(sa.types.TypeDecorator):
    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value, dialect):
        if not isinstance(value, dict):
            raise TypeError(f"not a dict: {value!r}")
        return json.dumps(value)

    def process_result_value(self, value, dialect):
        return json.loads(value)


"""


def test_a_type_that_takes_no_made_up_value_apart_hides_nothing(tmp_path: Path) -> None:
    models = ENCODED + MODELS.replace("name = sa.Column(sa.String(50)", "name = sa.Column(Encoded()")
    gone = "\n".join(line for line in models.splitlines() if not line.startswith("    state ="))

    found = branch(tmp_path, models).adds('op.drop_column("users", "state")').with_models(gone).review()

    assert found.rules() == ["old-code-broken"]
    assert "SELECT, INSERT and UPDATE on `users` fail" in found.finding("old-code-broken")
    assert not [each for each in found.report.all_skipped if "code of the base commit" in each.what]


def test_a_listener_that_raises_an_error_of_its_own_hides_no_column(tmp_path: Path) -> None:
    listening = (
        "class Refused(Exception):\n    pass\n\n\n"
        '@sa.event.listens_for(sa.engine.Engine, "handle_error")\n'
        "def raised_again(context):\n    raise Refused('no') from context.original_exception\n\n\n"
    )
    models = listening + MODELS

    found = branch(tmp_path, models).adds('op.drop_column("users", "name")').review()

    assert "fail with `column users.name does not exist`" in found.finding("old-code-broken")


def test_rows_that_the_running_code_cannot_read_are_no_proof_that_it_runs(tmp_path: Path) -> None:
    born = 'op.add_column("users", sa.Column("born", sa.Date))\n'
    late = "op.execute(\"INSERT INTO users VALUES (1000, 'x', 'y', 'new', 'good', '20000-01-01')\")"
    models = MODELS.replace("    notes =", "    born = sa.Column(sa.Date)\n    notes =")
    history = USERS + born + late
    files = {"migrations/versions/a.py": revision("a", None, history, top=TOP)}

    found = Branch(tmp_path, history, models, files).adds('op.drop_column("users", "name")').review()

    (told,) = [each for each in found.report.all_skipped if "code of the base commit" in each.what]
    assert told.what.endswith("on `users` (User)")
    assert "date too large" in told.reason
