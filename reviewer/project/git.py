"""Queries git: the repository, the commit to compare with, and the files in it.

A thin wrapper around the `git` executable. It is read-only: it never changes a ref, the index or the working tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reviewer.errors import UsageError

_KEPT = ("GIT_CEILING_DIRECTORIES", "GIT_CONFIG", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_EXEC_PATH", "GIT_SSH")
"""Prefixes of variables that configure git without selecting its repository. A git hook sets the others (GIT_DIR,
GIT_INDEX_FILE …), which would make us read another repository or a half-built index."""

_SMALL = 1024 * 1024
"""The largest size in bytes of an ignored file that is copied into a checkout."""

_REGULAR_FILES = frozenset({"100644", "100755"})
_SYMBOLIC_LINK = "120000"


class GitError(UsageError):
    """The requested object is not in the repository, or there is no repository."""


class NoRepositoryError(GitError):
    """The project is not inside a git repository, or git is not installed."""


class Base(Struct, frozen=True):
    """The commit that the branch is compared with."""

    commit: str
    """Full object name of the merge base."""
    tip: str
    """Full object name of the tip that the branch will be merged into. It is newer than `commit` if the tip has
    moved on."""
    ref: str
    """Name of the tip, such as `origin/main`."""
    why: str
    """How it was chosen, as a phrase for people."""
    head: str = ""
    """Full object name of the commit that is checked out."""


class Git(Struct, frozen=True):
    """A repository with a working tree. Paths in arguments and results are relative to `root`, with `/`."""

    root: Path
    shallow: bool = False

    @classmethod
    def containing(cls, path: Path) -> Git:
        """Return the repository that contains `path`. Raises `NoRepositoryError` if there is none, and `GitError`
        for a broken one.
        """
        return _repository(path if path.is_dir() else path.parent)

    def relative(self, path: Path) -> str:
        """Return `path` as git spells it. Raises `GitError` for a path outside the repository."""
        try:
            return path.resolve().relative_to(self.root).as_posix()
        except ValueError:
            raise GitError(
                f"{path} is outside the git repository {self.root}.",
                "Say which revisions to review with --revisions A:B, which needs no git.",
            ) from None

    def commit(self, ref: str) -> str | None:
        """Return the full object name of the commit that `ref` refers to; None if there is none."""
        if ref.startswith("-"):
            return None
        done = _run(self.root, ["rev-parse", "--verify", "--quiet", ref + "^{commit}"])
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def base(self, ref: str | None, environment: Mapping[str, str]) -> Base:
        """Return what to compare HEAD with: the merge base with `ref`, or with the branch that this one will be
        merged into.

        `environment` is read for GITHUB_EVENT_NAME and GITHUB_BASE_REF, which GitHub sets for a pull request.
        Raises `GitError` if the commit is missing or cannot be determined.
        """
        head = self.commit("HEAD")
        if head is None:
            raise GitError(
                f"The repository {self.root} has no commit yet, so there is nothing to compare with.",
                "Commit first, or say which revisions to review with --revisions A:B.",
            )
        return replace(self._base(head, ref, environment), head=head)

    def _base(self, head: str, ref: str | None, environment: Mapping[str, str]) -> Base:
        if ref is not None:
            return self._merge_base(head, ref, "given as the base")
        if environment.get("GITHUB_EVENT_NAME") == "pull_request":
            parents = self._parents(head)
            if len(parents) == 2:
                return self._first_parent(parents[0], environment)
        if target := environment.get("GITHUB_BASE_REF"):
            why = "the pull request's base"
            # A checkout without remote branches may still have the local one.
            known = next((each for each in (f"origin/{target}", target) if self.commit(each)), f"origin/{target}")
            return self._merge_base(head, known, why)
        for candidate, why in self._usual_bases():
            if self.commit(candidate):
                return self._merge_base(head, candidate, why)
        raise GitError(
            "Cannot determine which commit this branch started from: there is no origin/HEAD, origin/main or "
            "origin/master, and no other branch main or master.",
            self._way_out_of_shallowness()
            or "Name it with --base REF (--base HEAD for uncommitted changes), or give --revisions A:B.",
        )

    def changed(self, commit: str, folders: Collection[str]) -> frozenset[str]:
        """Return the files under `folders` that differ between the working tree and `commit`: changed, added or
        removed.

        Ignored and untracked files are included, because Alembic loads those too.
        """
        if not folders:
            return frozenset()
        specs = ["--", *_pathspecs(folders)]
        return self._differing(commit, specs, ["ls-files", "--others", "-z", *specs])

    def edited(self, commit: str) -> frozenset[str]:
        """Return the files that differ from `commit`: changed, added or removed. Ignored files are not included."""
        return self._differing(commit, [], ["ls-files", "--others", "--exclude-standard", "-z"])

    def _differing(self, commit: str, specs: list[str], others: list[str]) -> frozenset[str]:
        """Return the tracked files in `specs` that differ from `commit`, and those that the command `others` lists."""
        # `git diff` would write the index whenever only the times of files differ, even without optional locks.
        tracked = ["diff-index", "--raw", "--no-renames", "--no-abbrev", "-z", commit, *specs]
        with _start(self.root, tracked) as first, _start(self.root, others) as second:
            outputs = [process.communicate() for process in (first, second)]
        for process, (_, stderr) in zip((first, second), outputs, strict=True):
            if process.returncode:
                raise self._failed(stderr)
        words = _split(outputs[0][0])
        unlike = dict(zip(words[1::2], (each.split() for each in words[::2]), strict=True))
        return frozenset({*unlike, *_split(outputs[1][0])}) - self._same(unlike)

    def _same(self, unlike: Mapping[str, list[str]]) -> frozenset[str]:
        """Return the files whose content is that of the commit. `git diff-index` lists a file whose times the index
        does not know without reading it.
        """
        unread = {
            name: blob
            for name, (before, now, blob, found, _) in unlike.items()
            if before[1:] == now and not found.strip("0")
        }
        files = [name for name in unread if unlike[name][1] in _REGULAR_FILES]
        links = [name for name in unread if unlike[name][1] == _SYMBOLIC_LINK]
        same = set()
        if files:
            lines = os.fsencode("".join(map(_line, files)))
            found = self._output(["hash-object", "--stdin-paths"], lines).decode().split()
            same |= {name for name, blob in zip(files, found, strict=True) if blob == unread[name]}
        if links:
            targets = self.contents(unread[name] for name in links)
            same |= {name for name in links if os.fsencode((self.root / name).readlink()) == targets[unread[name]]}
        return frozenset(same)

    def renamed(self, commit: str) -> dict[str, str]:
        """Return the files that moved since `commit`, as a mapping from the current path to the old one."""
        arguments = ["diff-index", "--name-status", "--find-renames", "--diff-filter=R", "-z", commit]
        words = _split(self._output(arguments))
        return {now: before for _, before, now in zip(words[::3], words[1::3], words[2::3], strict=True)}

    def files(self, commit: str, folders: Collection[str]) -> dict[str, str]:
        """Return every file under `folders` at `commit`, with the name of its blob. A missing folder has no files."""
        if not folders:
            return {}
        arguments = ["ls-tree", "-r", "-z", "--full-tree", commit, "--", *_plain(folders)]
        found = {}
        for entry in _split(self._output(arguments)):
            facts, _, path = entry.partition("\t")
            mode, _, blob = facts.split(" ")
            if mode in _REGULAR_FILES:
                found[path] = blob
        return found

    def contents(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of each blob. One process reads all of them. Raises `GitError` if one is missing."""
        wanted = list(dict.fromkeys(blobs))
        if not wanted:
            return {}
        output = self._output(["cat-file", "--batch"], "".join(f"{blob}\n" for blob in wanted).encode())
        found, position = {}, 0
        for blob in wanted:
            end = output.index(b"\n", position)
            words = output[position:end].split()
            if len(words) != 3:
                raise GitError(
                    f"The object {blob} is missing from the repository {self.root}.",
                    self._way_out_of_shallowness() or "Check the repository with `git fsck`.",
                )
            size = int(words[2])
            found[blob] = output[end + 1 : end + 1 + size]
            position = end + 1 + size + 1
        return found

    def before(self, files: Collection[str], to: str = "HEAD") -> str | None:
        """The commit before the first one on the way to the commit `to` that added one of `files`; `to` itself where
        none of them is in it, None if nothing comes before.
        """
        kind = ["log", "--first-parent", "--diff-merges=first-parent", "--no-renames", "--diff-filter=A", "-s"]
        done = _run(self.root, [*kind, "--format=%H", to, "--", *_pathspecs(files)])
        if done.returncode:
            return None
        added = done.stdout.decode().split()
        return self.commit(f"{added[-1]}^1" if added else to)

    def check_out(self, commit: str, folder: Path, index: Path) -> None:
        """Write the files of `commit` below `folder`, using a separate index: nothing in the repository changes, no
        hook runs, and the folder can be deleted without cleaning up in the repository.

        Small ignored files in the folders of tracked ones (generated modules, `.env`) are copied too.
        """
        own = {"GIT_INDEX_FILE": str(index), "GIT_LFS_SKIP_SMUDGE": "1"}
        for arguments in (["read-tree", commit], ["checkout-index", "--all", "--quiet", f"--prefix={folder}/"]):
            done = _run(self.root, arguments, more=own)
            if done.returncode:
                raise self._failed(done.stderr)
        folders = {os.path.dirname(name) for name in self.files(commit, ["."])}  # noqa: PTH120 - texts of git's
        for name in self.ignored_beside(folders):
            target = folder / name
            if not target.exists() and target.parent.is_dir():
                shutil.copyfile(self.root / name, target)

    def ignored_beside(self, folders: Collection[str]) -> list[str]:
        """Return small files in `folders` that git ignores, except byte code."""
        listing = ["ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z"]
        found = []
        for name in _split(self._output(listing)):
            if name.endswith(("/", ".pyc")) or os.path.dirname(name) not in folders:  # noqa: PTH120
                continue
            source = self.root / name
            if source.is_file() and source.stat().st_size <= _SMALL:
                found.append(name)
        return found

    def _usual_bases(self) -> Iterable[tuple[str, str]]:
        yield "origin/HEAD", "origin's default branch"
        for name in ("main", "master"):
            yield f"origin/{name}", f"origin has no default branch, but a branch {name}"
        current = _run(self.root, ["symbolic-ref", "--quiet", "--short", "HEAD"]).stdout.decode().strip()
        for name in ("main", "master"):
            if name != current:
                yield f"refs/heads/{name}", f"no remote branch, but a local branch {name}"

    def _parents(self, commit: str) -> list[str]:
        # The raw object names the parents even if a shallow clone does not have them.
        raw = self._output(["cat-file", "commit", commit]).decode(errors="replace")
        header = raw.split("\n\n", 1)[0]
        return [line.split()[1] for line in header.splitlines() if line.startswith("parent ")]

    def _first_parent(self, parent: str, environment: Mapping[str, str]) -> Base:
        target = environment.get("GITHUB_BASE_REF")
        name = f"origin/{target}" if target else "HEAD^1"
        if self.commit(parent) is None:
            raise GitError(
                "HEAD is GitHub's merge of the pull request, and the clone does not contain its first parent.",
                self._way_out_of_shallowness() or f"Fetch it with `git fetch origin {parent}`.",
            )
        return Base(parent, parent, name, "the first parent of GitHub's merge of the pull request")

    def _merge_base(self, head: str, ref: str, why: str) -> Base:
        tip = self.commit(ref)
        if tip is None:
            raise self._unknown(ref, why)
        done = _run(self.root, ["merge-base", head, tip])
        if done.returncode == 0:
            return Base(done.stdout.decode().split()[0], tip, ref.removeprefix("refs/heads/"), why)
        if self.shallow:
            raise GitError(
                f"The clone is shallow and does not reach back to where this branch left {ref}.",
                self._way_out_of_shallowness(),
            )
        raise GitError(
            f"HEAD and {ref} have no commit in common.", "Name another commit with --base, or give --revisions A:B."
        )

    def _unknown(self, ref: str, why: str) -> GitError:
        if way_out := self._way_out_of_shallowness():
            return GitError(f"The clone is shallow and does not have {ref} ({why}).", way_out)
        remote = ref.removeprefix("origin/")
        known = self.commit(f"origin/{remote}")
        return GitError(
            f"There is no commit {ref} in {self.root} ({why}).",
            f"Did you mean origin/{remote}?"
            if known
            else f"Fetch it with `git fetch origin {remote}`, or name another.",
        )

    def _way_out_of_shallowness(self) -> str:
        if not self.shallow:
            return ""
        return "Fetch the history: `fetch-depth: 0` for actions/checkout, or `git fetch --unshallow`."

    def _output(self, arguments: list[str], stdin: bytes = b"") -> bytes:
        done = _run(self.root, arguments, stdin)
        if done.returncode:
            raise self._failed(done.stderr)
        return done.stdout

    def _failed(self, stderr: bytes) -> GitError:
        words = stderr.decode(errors="replace").strip() or "no reason given"
        return GitError(
            f"git could not read {self.root}: {words.splitlines()[-1]}.",
            self._way_out_of_shallowness() or "Check the repository with `git fsck`.",
        )


def _command(folder: Path, arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    executable = shutil.which("git")
    if executable is None:
        raise NoRepositoryError(
            "git is not installed or not on PATH.",
            "Install git, or say which revisions to review with --revisions A:B.",
        )
    environment = {
        name: value for name, value in os.environ.items() if name.startswith(_KEPT) or not name.startswith("GIT_")
    }
    # English messages, no prompts, and no refresh of the index by what git calls optional.
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    settings = ["-c", "core.quotepath=off", "-c", "diff.relative=false", "-c", "core.fsmonitor=false"]
    return [executable, "-C", str(folder), *settings, *arguments], environment


def _start(folder: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    command, environment = _command(folder, arguments)
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)


def _run(
    folder: Path, arguments: list[str], stdin: bytes = b"", more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    command, environment = _command(folder, arguments)
    return subprocess.run(
        command, env=environment | dict(more or {}), input=stdin, capture_output=True, check=False
    )


def _explained(folder: Path, done: subprocess.CompletedProcess[bytes]) -> GitError:
    words = done.stderr.decode(errors="replace").strip()
    if "dubious ownership" in words or "safe.directory" in words:
        return GitError(
            f"git refuses to read the repository of {folder}, because another user owns it.",
            "Allow it with `git config --global --add safe.directory <the repository>`.",
        )
    if "must be run in a work tree" in words:
        return GitError(f"{folder} belongs to a repository without a working tree.", "Review a clone of it.")
    if "not a git repository" in words:
        return NoRepositoryError(
            f"{folder} is not in a git repository, so it is not known which revisions are new.",
            "Say which revisions to review with --revisions A:B, for example --revisions base:head.",
        )
    reason = words.splitlines()[-1] if words else "no reason given"
    return GitError(f"git could not read {folder}: {reason}.", "Give --revisions A:B, which needs no git.")


def _split(output: bytes) -> list[str]:
    return [os.fsdecode(part) for part in output.split(b"\0") if part]


def _line(name: str) -> str:
    """Return `name` as `--stdin-paths` reads it: in quotes where it could be taken for something else."""
    if not name.startswith('"') and not {"\n", "\r"} & set(name):
        return f"{name}\n"
    escaped = name.translate({ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n", ord("\r"): "\\r"})
    return f'"{escaped}"\n'


@lru_cache(maxsize=16)
def _repository(folder: Path) -> Git:
    done = _run(folder, ["rev-parse", "--show-toplevel", "--is-shallow-repository"])
    if done.returncode == 0:
        root, shallow = os.fsdecode(done.stdout).rsplit("\n", 2)[:2]
        return Git(Path(root).resolve(), shallow == "true")
    raise _explained(folder, done)


def _pathspecs(folders: Collection[str]) -> list[str]:
    # `top` and `literal`: from the root, and `*` in a folder's name is literal.
    return [":(top,literal)" + ("" if folder == "." else folder) for folder in folders]


def _plain(folders: Collection[str]) -> list[str]:
    return [] if "." in folders else list(folders)


def root_of(path: Path) -> Path | None:
    """Return the root of the repository that contains `path`; None if there is none that can be read."""
    try:
        return Git.containing(path.resolve()).root
    except GitError:
        return None
