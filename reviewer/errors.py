"""Errors that users can cause: one class each, with one sentence that names the thing, and a way out.

A `ReviewerError` ends the command with one printed sentence and the exit status of its class, never with a
traceback. Any other exception that escapes is a bug of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

GIVE_SETTINGS = (
    "If it needs settings, give them with --env NAME=VALUE ({url} stands for the throw-away database),"
    " --pass-env NAME, -x NAME=VALUE or --launcher MODULE:FUNCTION."
)
"""The way out if env.py does not run."""

CANNOT_BE_BELIEVED = "What the project's process told cannot be believed"
"""How the error begins where something came over the channel that the runner has not said."""


class ReviewerError(Exception):
    """Base of everything that a user can cause. `str()` is the sentence, `way_out` what to do about it."""

    exit_status: ClassVar[int] = 3

    def __init__(self, sentence: str, way_out: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.way_out = way_out

    def __str__(self) -> str:
        return f"{self.sentence}\n{self.way_out}".strip()


class UsageError(ReviewerError):
    """The command was called with something that cannot work: an option, a reference, a configuration key."""

    exit_status = 2


class ProjectError(UsageError):
    """The Alembic project cannot be found or read: no alembic.ini, no script location, a broken history."""


class CannotReview(ReviewerError):
    """The call was correct, but the revisions could not be rehearsed."""


class ServerError(CannotReview):
    """No throw-away PostgreSQL could be started, or it broke while in use."""


class InterpreterError(CannotReview):
    """The project's interpreter does not start, or lacks Alembic, SQLAlchemy or a PostgreSQL driver."""


class CheckError(CannotReview):
    """A check of another package cannot be imported, or fails."""

    @classmethod
    def of(cls, module: str, error: Exception) -> CheckError:
        """The failure of the check in `module`, with the line of its own code."""
        import traceback

        frames = traceback.extract_tb(error.__traceback__)
        package = module.partition(".")[0]
        own = [each for each in frames if package in Path(each.filename).with_suffix("").parts]
        where = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
        return cls(
            f"The check `{module}` fails{where}: {type(error).__name__}: {error}.",
            f"Correct it, or uninstall the package that brings it: `{package}`.",
        )


class RecordingError(UsageError):
    """A recording file cannot be read: another version, truncated, or not a recording."""


def nearest(name: str, known: Collection[str], otherwise: str = "") -> str:
    """A sentence that suggests the nearest of `known` to `name`, or `otherwise`, by default a list of all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean `{near[0]}`?" if near else otherwise or f"Valid names are {', '.join(sorted(known))}."


def nearest_rule(name: str, known: Collection[str]) -> str:
    """A sentence that suggests the rule nearest to `name`, or says where all are listed: there are many."""
    return nearest(name, known, "`alembic-reviewer rules` lists them all.")
