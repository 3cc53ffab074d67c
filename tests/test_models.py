"""Models and migrations are compared, and the models at head are asked, in real repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.branch import ENV, Branch

pytestmark = pytest.mark.processes

USERS = """
op.create_table(
    "users",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(50), nullable=False),
)
op.create_table("of_an_extension", sa.Column("id", sa.Integer, primary_key=True))
"""

MODELS = """
class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(50), nullable=False)
"""

AGE = "    age = sa.Column(sa.Integer)\n"


def test_a_column_that_the_migration_forgets_is_named_with_the_line_that_adds_it(tmp_path: Path) -> None:
    found = (
        Branch(tmp_path, USERS, MODELS)
        .adds('op.create_table("x", sa.Column("id", sa.Integer, primary_key=True))', 'op.drop_table("x")')
        .with_models(
            MODELS
            + AGE
            + '\n\nclass X(Base):\n    __tablename__ = "x"\n    id = sa.Column(sa.Integer, primary_key=True)\n'
        )
        .review()
    )

    assert found.rules() == ["models-disagree"]
    assert "the models have the column `users.age`" in found.finding("models-disagree")
    (finding,) = [f for f in found.report.findings if f.rule == "models-disagree"]
    assert finding.evidence["autogenerate"] == [
        "op.add_column('users', sa.Column('age', sa.Integer(), nullable=True))"
    ]


def test_what_differed_before_is_not_the_branchs(tmp_path: Path) -> None:
    models = MODELS + "    forgotten = sa.Column(sa.Integer)\n"
    found = (
        Branch(tmp_path, USERS, models)
        .adds('op.add_column("users", sa.Column("age", sa.Integer))', 'op.drop_column("users", "age")')
        .with_models(models + AGE)
        .review()
    )

    assert found.rules() == []


def test_what_the_models_do_not_use_any_more_may_stay_a_release_longer(tmp_path: Path) -> None:
    models = MODELS + AGE
    found = (
        Branch(
            tmp_path, USERS.replace("nullable=False)", 'nullable=False), sa.Column("age", sa.Integer)', 1), models
        )
        .adds('op.add_column("users", sa.Column("born", sa.Date))', 'op.drop_column("users", "born")')
        .with_models(MODELS + "    born = sa.Column(sa.Date)\n")
        .review()
    )

    assert found.rules() == []


def test_options_of_env_py_decide_what_is_compared(tmp_path: Path) -> None:
    project = Branch(tmp_path, USERS, MODELS)
    env = tmp_path / "migrations/env.py"
    env.write_text(
        env.read_text().replace(
            "target_metadata=models.Base.metadata",
            "target_metadata=models.Base.metadata, include_name=lambda name, kind, parents: name != 'age'",
        )
    )
    project.commit("options")
    found = project.adds(
        'op.add_column("users", sa.Column("age", sa.Integer))', 'op.drop_column("users", "age")'
    ).review()

    assert found.rules() == []


def test_a_default_of_python_and_a_relationship_are_looked_at_when_selected(tmp_path: Path) -> None:
    posts = """
from datetime import datetime

class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(50), nullable=False)
    posts = orm.relationship("Post", cascade="all, delete-orphan")

class Post(Base):
    __tablename__ = "posts"
    id = sa.Column(sa.Integer, primary_key=True)
    user_id = sa.Column(sa.ForeignKey("users.id"), nullable=False)
    written = sa.Column(sa.DateTime, default=datetime.utcnow)
"""
    found = (
        Branch(tmp_path, USERS, MODELS)
        .adds(
            'op.create_table("posts", sa.Column("id", sa.Integer, primary_key=True),\n'
            '    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),\n'
            '    sa.Column("written", sa.DateTime))',
            'op.drop_table("posts")',
        )
        .with_models(posts)
        .review("--select", "client-side-default,orphaning-relationship")
    )

    assert found.rules() == ["client-side-default", "orphaning-relationship"]
    assert "`utcnow()`" in found.finding("client-side-default")
    assert "has no ON DELETE" in found.finding("orphaning-relationship")


def test_an_env_py_without_models_is_no_trouble(tmp_path: Path) -> None:
    env = ENV.replace(", target_metadata=models.Base.metadata", "")
    project = Branch(tmp_path, USERS, MODELS, {"migrations/env.py": env})
    found = project.adds('op.drop_column("users", "name")').review()

    assert found.rules() == ["dropped-column"]
    assert found.finding("dropped-column").startswith("error: ")
    assert found.skipped == ""


def test_a_comparison_that_fails_is_skipped_with_its_reason(tmp_path: Path) -> None:
    project = Branch(tmp_path, USERS, MODELS)
    env = tmp_path / "migrations/env.py"
    env.write_text(
        env.read_text().replace(
            "target_metadata=models.Base.metadata",
            "target_metadata=models.Base.metadata, include_object=lambda *_: 1 / 0",
        )
    )
    project.commit("options")
    found = project.adds(
        'op.create_table("y", sa.Column("id", sa.Integer, primary_key=True))', 'op.drop_table("y")'
    ).review()

    assert "comparison of models and migrations: ZeroDivisionError" in found.skipped
    assert found.rules() == []


def test_a_history_that_does_not_start_from_empty_starts_from_the_models_of_the_base_commit(tmp_path: Path) -> None:
    found = (
        Branch(tmp_path, 'op.add_column("users", sa.Column("old", sa.Integer))', MODELS)
        .adds('op.drop_column("users", "name")')
        .review("--base-from", "models")
    )

    assert found.recording.errors == ()
    assert "old-code-broken" in found.rules()


def test_base_from_models_needs_a_base_commit(tmp_path: Path) -> None:
    found = (
        Branch(tmp_path, 'op.add_column("users", sa.Column("old", sa.Integer))', MODELS)
        .adds('op.drop_column("users", "name")')
        .review("--base-from", "models", base=("--revisions", "a:head"))
    )

    assert "cannot be built from models" in found.recording.errors[0]
