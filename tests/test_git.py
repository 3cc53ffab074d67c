"""The repository as git tells it: which commit to compare with, and what differs from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from reviewer.errors import UsageError
from reviewer.project.git import Base, Git, GitError, NoRepositoryError
from tests.repository import ENVIRONMENT, Repository, git

pytestmark = pytest.mark.processes


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.at(tmp_path / "repository", {"a.txt": "a"})


def cloned(repository: Repository, folder: Path, *options: str) -> Repository:
    git(folder.parent, "clone", "--quiet", *options, f"file://{repository.folder}", str(folder))
    return Repository(folder.resolve())


def test_finds_the_root_from_a_folder_and_from_a_file(repository: Repository) -> None:
    repository.write({"x/y/z.txt": ""})

    found = [Git.containing(repository.folder / each).root for each in ("", "x/y", "x/y/z.txt")]

    assert found == [repository.folder] * 3


def test_says_that_there_is_no_repository_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoRepositoryError, match="not in a git repository") as caught:
        Git.containing(tmp_path)

    assert "--revisions" in caught.value.way_out


def test_says_that_git_is_missing(repository: Repository, tmp_path: Path) -> None:
    code = f"from pathlib import Path; from reviewer.project.git import Git; Git.containing(Path({str(repository.folder)!r}))"

    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )

    assert "NoRepositoryError: git is not installed or not on PATH." in done.stderr


def test_is_not_led_astray_by_the_variables_of_a_git_hook(repository: Repository, tmp_path: Path) -> None:
    other = Repository.at(tmp_path / "other", {"b.txt": "b"})
    code = f"from pathlib import Path; from reviewer.project.git import Git; print(Git.containing(Path({str(repository.folder)!r})).root)"
    hook = {**ENVIRONMENT, "GIT_DIR": str(other.folder / ".git"), "GIT_INDEX_FILE": "nowhere"}

    printed = subprocess.run([sys.executable, "-c", code], env=hook, capture_output=True, text=True, check=True)

    assert printed.stdout.strip() == str(repository.folder)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a folder away")
def test_says_that_another_user_owns_the_repository(repository: Repository) -> None:
    for path in (repository.folder, repository.folder / ".git"):
        shutil.chown(path, 12345)
    code = f"from pathlib import Path; from reviewer.project.git import Git; Git.containing(Path({str(repository.folder)!r}))"

    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )

    assert "another user owns it" in done.stderr
    assert "safe.directory" in done.stderr


def test_a_repository_without_a_commit_has_no_base(tmp_path: Path) -> None:
    empty = Repository.at(tmp_path / "empty")

    with pytest.raises(UsageError, match="no commit yet"):
        Git.containing(empty.folder).base(None, {})


def test_compares_with_the_merge_base_not_with_the_tip(repository: Repository) -> None:
    start = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "--quiet", "-b", "topic")
    repository.commit({"b.txt": "b"})
    repository.git("checkout", "--quiet", "main")
    tip = repository.commit({"c.txt": "c"})
    repository.git("checkout", "--quiet", "topic")

    base = Git.containing(repository.folder).base("main", {})

    assert replace(base, head="") == Base(start, tip, "main", "given as the base")


def test_prefers_the_pull_requests_base_then_origins_default_branch(repository: Repository, tmp_path: Path) -> None:
    repository.git("branch", "release")
    clone = Git.containing(cloned(repository, tmp_path / "clone").folder)

    assert clone.base(None, {"GITHUB_BASE_REF": "release"}).ref == "origin/release"
    assert clone.base(None, {}).ref == "origin/HEAD"


def test_falls_back_on_origin_main_then_on_a_local_main(repository: Repository, tmp_path: Path) -> None:
    clone = cloned(repository, tmp_path / "clone")
    clone.git("remote", "set-head", "origin", "--delete")
    remote = Git.containing(clone.folder).base(None, {}).ref
    repository.git("checkout", "--quiet", "-b", "topic")
    local = Git.containing(repository.folder).base(None, {}).ref

    assert (remote, local) == ("origin/main", "main")


def test_on_main_without_a_remote_nothing_tells_the_base(repository: Repository) -> None:
    with pytest.raises(UsageError, match="Cannot determine which commit") as caught:
        Git.containing(repository.folder).base(None, {})

    assert "--base HEAD" in caught.value.way_out


@pytest.mark.parametrize("ref", ["nowhere", "--help", "a..b"])
def test_an_unknown_ref_is_named(repository: Repository, ref: str) -> None:
    with pytest.raises(UsageError, match=f"no commit {ref}"):
        Git.containing(repository.folder).base(ref, {})


def test_an_unknown_ref_that_origin_has_is_suggested(repository: Repository, tmp_path: Path) -> None:
    repository.git("branch", "release")
    clone = cloned(repository, tmp_path / "clone")

    with pytest.raises(UsageError) as caught:
        Git.containing(clone.folder).base("release", {})

    assert caught.value.way_out == "Did you mean origin/release?"


def test_branches_without_a_common_commit_are_named(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "--orphan", "other")
    repository.commit({"b.txt": "b"})

    with pytest.raises(UsageError, match="HEAD and main have no commit in common"):
        Git.containing(repository.folder).base("main", {})


@pytest.mark.parametrize(
    ("options", "environment", "message"),
    [
        (["--branch=topic", "--single-branch"], {"GITHUB_BASE_REF": "main"}, "does not have origin/main"),
        (["--branch=topic", "--no-single-branch"], {}, "does not reach back"),
        (["--branch=topic", "--single-branch"], {}, "Cannot determine"),
    ],
    ids=["the base was not fetched", "the base was fetched, not what is between", "no remote branch at all"],
)
def test_a_shallow_clone_says_how_to_fetch_the_rest(
    repository: Repository, tmp_path: Path, options: list[str], environment: dict[str, str], message: str
) -> None:
    repository.git("checkout", "--quiet", "-b", "topic")
    repository.commit({"b.txt": "b"})
    repository.commit({"b.txt": "c"})
    repository.git("checkout", "--quiet", "main")
    repository.commit({"c.txt": "c"})
    clone = cloned(repository, tmp_path / "clone", "--depth=1", *options)
    if "--single-branch" in options:
        clone.git("remote", "set-head", "origin", "--delete")

    with pytest.raises(GitError, match=message) as caught:
        Git.containing(clone.folder).base(None, environment)

    assert "fetch-depth: 0" in caught.value.way_out
    assert "git fetch --unshallow" in caught.value.way_out


def merged_by_github(repository: Repository) -> str:
    repository.git("checkout", "--quiet", "-b", "topic")
    repository.commit({"b.txt": "b"})
    repository.git("checkout", "--quiet", "main")
    tip = repository.commit({"c.txt": "c"})
    repository.git("checkout", "--quiet", "--detach")
    repository.git("merge", "--quiet", "--no-ff", "--message", "m", "topic")
    return tip


def test_githubs_merge_of_a_pull_request_is_compared_with_its_first_parent(repository: Repository) -> None:
    tip = merged_by_github(repository)

    found = Git.containing(repository.folder).base(
        None, {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_BASE_REF": "main"}
    )

    assert (found.commit, found.tip, found.ref) == (tip, tip, "origin/main")


def test_githubs_merge_without_its_parents_says_how_to_fetch_them(repository: Repository, tmp_path: Path) -> None:
    merged_by_github(repository)
    repository.git("branch", "merge", "HEAD")
    clone = cloned(repository, tmp_path / "clone", "--depth=1", "--branch=merge")

    with pytest.raises(GitError, match="does not contain its first parent") as caught:
        Git.containing(clone.folder).base(None, {"GITHUB_EVENT_NAME": "pull_request"})

    assert "fetch-depth: 0" in caught.value.way_out


def test_changed_files_are_those_changed_added_removed_untracked_or_ignored(repository: Repository) -> None:
    start = repository.commit({"v/same.py": "1", "v/edited.py": "1", "v/removed.py": "1", "other/x.py": "1"})
    repository.commit({"v/committed.py": "1", ".gitignore": "v/ignored.py\n"})
    repository.write({"v/edited.py": "2", "v/untracked ü.py": "1", "v/ignored.py": "1", "other/x.py": "2"})
    (repository.folder / "v/removed.py").unlink()

    changed = Git.containing(repository.folder).changed(start, ["v"])

    names = ["committed", "edited", "ignored", "removed", "untracked ü"]
    assert sorted(changed) == [f"v/{name}.py" for name in names]


def test_what_was_only_touched_is_not_changed_and_the_index_stays_as_it_was(repository: Repository) -> None:
    names = ["ü x.py", '"quoted".py', "two\nlines.py", "back\\slash.py", "-dash.py", "crlf.txt"]
    repository.commit(dict.fromkeys(names, "1\n") | {".gitattributes": "crlf.txt text eol=crlf\n"})
    (repository.folder / "link").symlink_to("a.txt")
    (repository.folder / "moved").symlink_to("a.txt")
    (repository.folder / "program").touch(0o755)
    start = repository.commit({})
    (repository.folder / "crlf.txt").write_bytes(b"1\r\n")
    for name in (*names, "a.txt", "link", "program"):
        os.utime(repository.folder / name, (1, 1), follow_symlinks=False)
    (repository.folder / "moved").unlink()
    (repository.folder / "moved").symlink_to("b.txt")
    index = (repository.folder / ".git/index").read_bytes()
    there = Git.containing(repository.folder)

    found = there.changed(start, ["."]), there.edited(start), there.renamed(start)

    assert [sorted(each) for each in found] == [["moved"], ["moved"], []]
    assert (repository.folder / ".git/index").read_bytes() == index


def test_reads_files_of_a_commit_whatever_their_names_and_contents(repository: Repository) -> None:
    files = {"v/ü x.py": "one", "v/empty.py": "", "v/[a]*.py": "a\nb\0c\n", "w/other.py": "no"}
    commit = repository.commit(files)
    there = Git.containing(repository.folder)

    blobs = there.files(commit, ["v", "not-there"])
    contents = there.contents(blobs.values())

    expected = {path: text.encode() for path, text in files.items() if path.startswith("v/")}
    assert {path: contents[blob] for path, blob in blobs.items()} == expected


def test_tells_where_a_moved_file_was(repository: Repository) -> None:
    repository.commit({"old/a.py": "x = 1\n" * 20})
    repository.git("mv", "old", "new")

    assert Git.containing(repository.folder).renamed("HEAD") == {"new/a.py": "old/a.py"}


def test_a_path_outside_the_repository_is_named(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="is outside the git repository"):
        Git.containing(repository.folder).relative(tmp_path)
