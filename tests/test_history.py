"""What is under review: the working tree against a commit, and spans of the history."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from reviewer import recording
from reviewer.errors import ProjectError, UsageError
from reviewer.project.discovery import Tree, find_trees
from reviewer.project.git import Git
from reviewer.project.history import (
    Graph,
    Selection,
    between,
    changed_files,
    new_revisions,
    read_commit,
    read_worktree,
)
from reviewer.project.source import ProblemKind
from reviewer.scope import Scope, unread
from tests.repository import INI, PROJECT, Repository, revision, write

pytestmark = pytest.mark.processes

VERSIONS = "migrations/versions"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.at(tmp_path / "repository", PROJECT)


def tree_of(repository: Repository) -> Tree:
    (tree,) = find_trees(repository.folder)
    return tree


def selected(repository: Repository, commit: str = "HEAD") -> Selection:
    tree, git = tree_of(repository), Git.containing(repository.folder)
    now = read_worktree(tree, git.root)
    selection = new_revisions(now, read_commit(tree, git, commit, now))
    assert selection == new_revisions(now, read_commit(tree, git, commit)), "with and without reuse must agree"
    return selection


def ids(found: tuple[object, ...]) -> list[str]:
    return [getattr(each, "id", "") for each in found]


def test_nothing_is_new_where_nothing_changed(repository: Repository) -> None:
    tree, git = tree_of(repository), Git.containing(repository.folder)

    assert changed_files(tree, git, "HEAD") == frozenset()
    assert selected(repository).revisions == ()


def test_what_is_committed_changed_or_not_tracked_yet_is_new(repository: Repository) -> None:
    start = repository.git("rev-parse", "HEAD")
    repository.commit({f"{VERSIONS}/c.py": revision("c", "b")})
    repository.write({f"{VERSIONS}/d.py": revision("d", "c")})
    repository.git("add", "--all")
    repository.write({f"{VERSIONS}/e.py": revision("e", "d")})

    found = selected(repository, start)

    assert (ids(found.revisions), found.base_heads, found.targets) == (["c", "d", "e"], ("b",), ("e",))
    assert found.history() == recording.History(heads=("e",), base_heads=("b",))
    assert changed_files(tree_of(repository), Git.containing(repository.folder), start) == {
        f"{VERSIONS}/{each}.py" for each in "cde"
    }


def test_a_recorded_revision_has_its_path_from_the_git_root(tmp_path: Path) -> None:
    files = {f"backend/{path}": text for path, text in PROJECT.items()}
    repository = Repository.at(tmp_path, files)
    repository.write({f"backend/{VERSIONS}/c.py": revision("c", "b", "depends_on = ['a']\nbranch_labels = 'x'")})

    (found,) = selected(repository).recorded()

    assert found == recording.Revision(
        id="c",
        down_revisions=("b",),
        path=f"backend/{VERSIONS}/c.py",
        depends_on=("a",),
        branch_labels=("x",),
        message="c does something",
        upgrade_line=7,
        downgrade_line=11,
        downgrade_is_empty=True,
        line=2,
    )


def test_other_branches_of_the_base_are_part_of_the_base_state(repository: Repository) -> None:
    repository.commit({f"{VERSIONS}/x.py": revision("x"), f"{VERSIONS}/y.py": revision("y", "a")})
    repository.write({f"{VERSIONS}/c.py": revision("c", "b")})

    found = selected(repository)

    assert (found.base_heads, found.heads, found.targets) == (("b", "x", "y"), ("c", "x", "y"), ("c",))


def test_a_dependency_that_is_resolved_from_a_label_is_recorded_as_an_id(repository: Repository) -> None:
    repository.commit({f"{VERSIONS}/x.py": revision("x", None, "branch_labels = ('stock',)")})
    repository.write({f"{VERSIONS}/c.py": revision("c", "b", "depends_on = 'stock'")})

    found = selected(repository)

    assert [each.depends_on for each in found.recorded()] == [("x",)]
    assert found.base_heads == ("b", "x")


def test_an_edited_revision_is_one_that_does_something_else(repository: Repository) -> None:
    same = revision("a").replace("does something", "says something else") + "\n# A comment.\n"
    repository.write({f"{VERSIONS}/a_first.py": same, f"{VERSIONS}/b_second.py": revision("b", "a", body="f()")})

    found = selected(repository)

    assert (ids(found.revisions), ids(found.edited), ids(found.deleted)) == ([], ["b"], [])


def test_a_renamed_file_is_the_same_revision(repository: Repository) -> None:
    repository.git("mv", f"{VERSIONS}/b_second.py", f"{VERSIONS}/b_renamed.py")

    assert selected(repository) == Selection(
        base_heads=("b",), heads=("b",), previous_heads=("b",), dependencies={}
    )


def test_a_folder_that_moved_as_a_whole_brings_nothing_new(repository: Repository) -> None:
    start = repository.git("rev-parse", "HEAD")
    repository.git("mv", "migrations", "database")
    repository.write({"alembic.ini": INI.replace("migrations", "database")})
    repository.write({"database/versions/c.py": revision("c", "b")})
    repository.git("add", "--all")
    tree, git = tree_of(repository), Git.containing(repository.folder)
    now = read_worktree(tree, git.root)

    found = new_revisions(now, read_commit(tree, git, start, now))

    assert (ids(found.revisions), found.base_heads) == (["c"], ("b",))


def test_a_deleted_revision_is_named_as_it_was(repository: Repository) -> None:
    (repository.folder / VERSIONS / "b_second.py").unlink()

    found = selected(repository)

    assert (ids(found.revisions), ids(found.deleted), found.heads, found.previous_heads) == (
        [],
        ["b"],
        ("a",),
        ("b",),
    )


def test_a_revision_put_in_between_is_inserted_and_what_stands_on_it_is_carried(repository: Repository) -> None:
    repository.write({f"{VERSIONS}/m.py": revision("m", "a"), f"{VERSIONS}/b_second.py": revision("b", "m")})

    found = selected(repository)

    assert (ids(found.revisions), ids(found.inserted), ids(found.edited)) == (["m"], ["m"], ["b"])
    assert (found.base_heads, found.carried) == (("a",), ("b",))


def test_a_file_that_git_changed_only_in_mode_or_line_ends_is_not_edited(repository: Repository) -> None:
    file = repository.folder / VERSIONS / "a_first.py"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    file.chmod(0o755)

    assert selected(repository).edited == ()


def test_only_files_that_alembic_loads_are_read(repository: Repository) -> None:
    other = {"__init__.py": "x", ".#c.py": "(", "README": "(", "c.pyc": "(", "sub/d.py": revision("d", "b")}
    repository.write({f"{VERSIONS}/{name}": text for name, text in other.items()})

    assert ids(selected(repository).revisions) == []


def test_folders_below_are_read_where_the_project_says_so(repository: Repository) -> None:
    repository.commit({"alembic.ini": INI + "recursive_version_locations = true\n"})
    repository.write(
        {f"{VERSIONS}/2026/d.py": revision("d", "b"), f"{VERSIONS}/2026/__pycache__/e.py": revision("e")}
    )

    assert ids(selected(repository).revisions) == ["d"]


def test_a_link_that_leads_to_itself_is_a_file_that_cannot_be_read(repository: Repository) -> None:
    (repository.folder / VERSIONS / "round.py").symlink_to("round.py")

    (problem,) = read_worktree(tree_of(repository), repository.folder).problems

    assert (problem.kind, problem.path) == (ProblemKind.UNREADABLE, f"{VERSIONS}/round.py")


def test_labels_that_are_computed_are_mentioned_where_somebody_names_one(repository: Repository) -> None:
    computed = "import os\nbranch_labels = (os.name,)"
    write(repository.folder, {f"{VERSIONS}/old.py": revision("old", more=computed)})
    tree, git = tree_of(repository), Git.containing(repository.folder)
    now = read_worktree(tree, git.root)

    assert unread(Scope(tree, selected(repository), now, git.root)) == ()
    with pytest.raises(UsageError) as refused:
        between(now, "base:posix@head")
    assert "`branch_labels` in migrations/versions/old.py" in f"{refused.value.sentence} {refused.value.way_out}"


def test_several_version_locations_make_one_graph(repository: Repository) -> None:
    locations = "version_locations = %(here)s/migrations/versions %(here)s/more %(here)s/nowhere\n"
    repository.commit({"alembic.ini": INI + locations, "more/x.py": revision("x", "a")})
    repository.write({"more/y.py": revision("y", ("x", "b"))})

    found = selected(repository)

    assert (ids(found.revisions), found.base_heads) == (["y"], ("b", "x"))


def test_a_folder_of_revisions_that_is_gone_counts_as_deleted(repository: Repository) -> None:
    for file in (repository.folder / VERSIONS).iterdir():
        file.unlink()
    (repository.folder / VERSIONS).rmdir()

    assert ids(selected(repository).deleted) == ["a", "b"]


def test_a_project_without_git_is_read_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, PROJECT)
    (tree,) = find_trees(tmp_path)

    graph = read_worktree(tree, tmp_path)

    assert {each.path for each in graph.revisions.values()} == {f"{VERSIONS}/a_first.py", f"{VERSIONS}/b_second.py"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"c.py": "revision = 'c'\ndef (:\n"}, "c.py:2 cannot be read as Python"),
        ({"c.py": revision("a")}, "a_first.py and migrations/versions/c.py both declare revision a"),
        ({"c.py": revision("c", "gone")}, "c.py (revision c) has the down_revision gone, which no file declares"),
        ({"a_first.py": revision("a", "b")}, "form a cycle"),
        ({"helpers.py": "X = 1"}, "helpers.py sets no `revision`"),
    ],
)
def test_a_broken_history_is_refused_with_the_file_named(
    repository: Repository, files: dict[str, str], message: str
) -> None:
    repository.write({f"{VERSIONS}/{name}": text for name, text in files.items()})

    with pytest.raises(ProjectError) as caught:
        selected(repository)

    assert message in caught.value.sentence
    assert caught.value.way_out


def test_a_location_that_only_an_import_can_find_is_refused_not_taken_for_empty(repository: Repository) -> None:
    repository.write({"alembic.ini": "[alembic]\nscript_location = installed_package:migrations\n"})

    with pytest.raises(ProjectError, match="installed_package:migrations"):
        read_worktree(tree_of(repository), repository.folder)


LINE = {f"{VERSIONS}/{name}.py": revision(name, down) for name, down in zip("abcde", [None, *"abcd"], strict=True)}


@pytest.fixture
def line(tmp_path: Path) -> Graph:
    write(tmp_path, {"alembic.ini": INI, "migrations/env.py": "", **LINE})
    (tree,) = find_trees(tmp_path)
    return read_worktree(tree, tmp_path)


@pytest.mark.parametrize(
    ("span", "revisions", "base_heads"),
    [
        ("b:d", ["c", "d"], ("b",)),
        ("base:b", ["a", "b"], ()),
        ("c:head", ["d", "e"], ("c",)),
        ("c:", ["d", "e"], ("c",)),
        (":b", ["a", "b"], ()),
        (":", ["a", "b", "c", "d", "e"], ()),
        ("head-1:heads", ["e"], ("d",)),
        ("e:head", [], ("e",)),
        (" b : c ", ["c"], ("b",)),
    ],
)
def test_a_span_is_what_comes_after_its_start_up_to_its_end(
    line: Graph, span: str, revisions: list[str], base_heads: tuple[str, ...]
) -> None:
    found = between(line, span)

    assert (ids(found.revisions), found.base_heads) == (revisions, base_heads)


@pytest.mark.parametrize(
    ("span", "message", "way_out"),
    [
        ("d:b", "d does not come before b", "--revisions b:d"),
        ("b", "not of the form A:B", "base:head"),
        ("a:b:c", "not of the form A:B", "base:head"),
        ("x:b", "no revision `x`", "5 revisions"),
    ],
)
def test_a_span_that_means_nothing_says_so(line: Graph, span: str, message: str, way_out: str) -> None:
    with pytest.raises(UsageError) as caught:
        between(line, span)

    assert message in caught.value.sentence
    assert way_out in caught.value.way_out


def test_a_span_to_a_merge_has_the_other_branch_too_as_alembic_would_run_it(tmp_path: Path) -> None:
    files = {"a": None, "b": "a", "c": "a", "m": ("b", "c")}
    write(tmp_path, {f"v/{name}.py": revision(name, down) for name, down in files.items()})
    write(
        tmp_path,
        {"alembic.ini": "[alembic]\nscript_location = v\nversion_locations = v\n", "v/env.py": "revision = 'z'"},
    )
    (tree,) = find_trees(tmp_path)

    found = between(read_worktree(tree, tmp_path), "b:m")

    assert (ids(found.revisions), found.base_heads) == (["c", "m"], ("b",))


def test_branches_that_are_not_on_one_line_are_no_span(tmp_path: Path) -> None:
    write(tmp_path, {**PROJECT, f"{VERSIONS}/x.py": revision("x")})
    (tree,) = find_trees(tmp_path)

    with pytest.raises(UsageError, match="x does not come before b"):
        between(read_worktree(tree, tmp_path), "x:b")


@pytest.mark.parametrize("seed", range(5))
def test_base_heads_and_new_revisions_are_together_the_whole_history(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    names = [f"r{number:02}" for number in range(30)]
    files = {}
    for number, name in enumerate(names):
        down = tuple(dice.sample(names[:number], min(number, dice.choice([0, 1, 1, 1, 1, 2]))))
        files[f"{VERSIONS}/{name}.py"] = revision(name, down or None)
    old = dict(list(files.items())[:20])
    repository = Repository.at(tmp_path, {"alembic.ini": INI, "migrations/env.py": "", **old})
    repository.write(files)
    (tree,) = find_trees(tmp_path)
    now = read_worktree(tree, repository.folder)

    found = selected(repository)

    assert sorted(ids(found.revisions)) == names[20:]
    assert now.with_ancestors(found.base_heads) == set(names[:20])
    assert now.with_ancestors([*found.base_heads, *found.targets]) == set(names)
