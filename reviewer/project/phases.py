"""When a revision is to run, before the code or after it, where its author says so: a branch label, a folder, a variable
of the module, a comment.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from reviewer.project.source import SourceRevision
    from reviewer.recording import Declared

_COMMENT = re.compile(
    r"^[\s#]*(?:pre/post[\s_-]?deploy(?:ment|ed)?|deploy(?:ment)?(?:[\s_-](?:phase|stage))?|(?:migration[\s_-])?phase)\s*:\s*"
    r"[`'\"]?([\w-]+)",
    re.IGNORECASE,
)
"""`pre/post deployment: post`, `deploy phase: expand`: a comment of its own, or a line of the docstring."""
_VARIABLE = re.compile(r"phase|deploy|stage", re.IGNORECASE)
"""Variables of a module whose text says when it is to run: `phase = "expand"`."""


class Phases(Struct, frozen=True):
    """The words with which the revisions of a project say when they are to run."""

    before: tuple[str, ...] = ("expand", "pre", "pre-deploy", "pre-deployment", "before")
    after: tuple[str, ...] = ("contract", "post", "post-deploy", "post-deployment", "after")

    def means(self, word: str) -> bool | None:
        """Whether `word` means before the code; None if it means neither."""
        said = _plain(word)
        if said in map(_plain, self.before):
            return True
        return False if said in map(_plain, self.after) else None


def declared(revision: SourceRevision, labels: Iterable[str], phases: Phases) -> Declared | None:
    """When `revision` is to run, as it says itself, else as the labels of its branch say or the folder that it is in;
    None if none of them does.
    """
    from reviewer.recording import Declared

    own = revision.branch_labels
    words = [
        *_in_text(revision.text),
        *((label, f"branch label `{label}`", None) for label in (*own, *sorted(set(labels) - set(own)))),
        *((part, f"folder `{part}`", None) for part in reversed(PurePosixPath(revision.path).parts[:-1])),
    ]
    for word, where, line in words:
        before = phases.means(word)
        if before is not None:
            return Declared(before, where, line)
    return None


def _in_text(text: bytes) -> Iterator[tuple[str, str, int | None]]:
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for statement in module.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or not isinstance(statement.value, ast.Constant):
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            if not isinstance(target, ast.Name):
                continue
            value = statement.value.value
            if value is True:
                yield target.id.removeprefix("is_"), f"`{target.id}`", statement.lineno
            elif isinstance(value, str) and _VARIABLE.search(target.id):
                yield value, f"`{target.id} = {value!r}`", statement.lineno
    for number, line in (*_comments(text), *_docstring(module)):
        found = _COMMENT.match(line)
        if found:
            yield found[1], f"`{line.strip().lstrip('# ')[:60]}`", number


def _comments(text: bytes) -> list[tuple[int, str]]:
    """The comments of a file, each with its line."""
    try:
        tokens = list(tokenize.tokenize(io.BytesIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


def _docstring(module: ast.Module) -> Iterator[tuple[int, str]]:
    """The lines of the docstring, each with its number."""
    first = module.body[0] if module.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        yield from enumerate(first.value.value.splitlines(), first.lineno)


def _plain(word: str) -> str:
    return word.strip().lower().replace("_", "-").replace(" ", "-")
