"""What git tells of a branch, as findings: real repositories, and no server."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

import checks
from reviewer import __version__
from reviewer.config import Config
from reviewer.early import trees
from reviewer.planning import history_of
from reviewer.recording import (
    Direction,
    Mode,
    Outcome,
    Pass,
    Recording,
    Rehearsal,
    Revision,
    Server,
    Statement,
)
from reviewer.review.engine import review
from reviewer.review.finding import Severity
from reviewer.session import scope
from tests.repository import PROJECT, Repository, revision

pytestmark = pytest.mark.processes

RULES = {
    "colliding-head",
    "several-heads",
    "edited-revision",
    "deleted-revision",
    "inserted-revision",
    "application-import",
}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.at(tmp_path / "project", PROJECT)


def told(repository: Repository) -> list[tuple[str, str, str | None, int | None]]:
    """Rule, severity, path and line of each finding about the branch that is checked out, against main."""
    config = Config(path=repository.folder, base="main")
    (tree,) = trees(config)
    found = scope(config, tree, {})
    recording = Recording(__version__, Mode.STATIC, found.selection.recorded(), history=history_of(found))
    findings = review(recording, [check for check in checks.load() if check.RULE.id in RULES]).findings
    return [
        (f.rule, f.severity.value, f.location.path.rsplit("/", 1)[-1] if f.location else None, f.location.line if f.location else None)
        for f in findings
    ]  # fmt: skip


def test_nothing_is_said_of_a_revision_on_top(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "branch")
    repository.commit({"migrations/versions/c.py": revision("c", "b")})

    assert told(repository) == []


def test_a_revision_of_the_base_branch_with_the_same_parent_collides(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "branch")
    repository.commit({"migrations/versions/c.py": revision("c", "b")})
    repository.git("checkout", "--quiet", "main")
    repository.commit({"migrations/versions/d.py": revision("d", "b")})
    repository.git("checkout", "--quiet", "branch")

    assert told(repository) == [("colliding-head", "error", "c.py", 3)]


def test_a_labelled_branch_does_not_collide(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "branch")
    repository.commit({"migrations/versions/c.py": revision("c", None, "branch_labels = ('billing',)")})
    repository.git("checkout", "--quiet", "main")
    repository.commit({"migrations/versions/d.py": revision("d", "b")})
    repository.git("checkout", "--quiet", "branch")

    assert told(repository) == []


def test_an_edited_revision_is_told_though_none_is_new(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "branch")
    repository.commit({"migrations/versions/b_second.py": revision("b", "a", body="print()")})

    assert told(repository) == [("edited-revision", "error", "b_second.py", 6)]


def test_a_deleted_revision_is_told_where_it_was(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "branch")
    (repository.folder / "migrations/versions/b_second.py").unlink()
    repository.commit()

    assert told(repository) == [("deleted-revision", "error", "b_second.py", 3)]


def test_an_inserted_revision_is_told_beside_the_one_that_was_edited_for_it(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "branch")
    repository.commit(
        {
            "migrations/versions/n.py": revision("n", "a"),
            "migrations/versions/b_second.py": revision("b", "n"),
        }
    )

    assert told(repository) == [
        ("edited-revision", "error", "b_second.py", 6),
        ("inserted-revision", "error", "n.py", 3),
    ]


def test_models_of_the_application_are_told_and_helpers_of_the_migrations_are_not(repository: Repository) -> None:
    repository.commit({"shop/models.py": "", "shop/types.py": "", "migrations/helpers.py": ""})
    repository.git("checkout", "--quiet", "-b", "branch")
    imports = (
        "import os, sqlalchemy\nfrom shop.models import x\nimport shop.types\nfrom migrations.helpers import y"
    )
    repository.commit({"migrations/versions/c.py": revision("c", "b", imports)})

    assert told(repository) == [
        ("application-import", "warning", "c.py", 5),
        ("application-import", "notice", "c.py", 6),
    ]


@pytest.mark.parametrize(
    ("version", "expected"), [("14.2", [Severity.WARNING]), ("14.4", []), ("14.18", []), ("15.1", [])]
)
def test_a_concurrent_index_is_told_on_the_versions_that_corrupt_it(version: str, expected: list[Severity]) -> None:
    made = Statement("CREATE INDEX CONCURRENTLY i ON t (a)", in_transaction=False)
    done = Pass("r1", Direction.UPGRADE, Rehearsal.DEPLOYED, Outcome.OK, statements=(made,))
    recording = Recording(
        __version__, Mode.OBSERVED, (Revision("r1", (), "r1.py"),), (done,), server=Server(version, "url")
    )
    check = checks.by_id()["corrupting-concurrent-index"]

    found = review(recording, [check]).findings

    assert [f.severity for f in found] == expected
    assert review(replace(recording, server=None), [check]).findings == ()
