"""The inputs of the action, as action.yml hands them to its steps: REVIEWER_* variables, checked here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from reviewer.config import Config
from reviewer.errors import UsageError
from reviewer.github.comment import Mode, identity
from reviewer.github.publication import When

T = TypeVar("T", bound=Enum)


class Purpose(Enum):
    """What the action is used for."""

    REVIEW = "review"
    COMMENT = "comment"


class Annotations(Enum):
    """How findings are shown on the lines of the diff."""

    INLINE = "inline"
    REVIEW = "review"
    BOTH = "both"
    NONE = "none"

    @property
    def by_command(self) -> bool:
        """Whether workflow commands are printed."""
        return self in {Annotations.INLINE, Annotations.BOTH}

    @property
    def by_review(self) -> bool:
        """Whether review comments are written."""
        return self in {Annotations.REVIEW, Annotations.BOTH}


class SuggestFixes(Enum):
    """Whether fixes are tried, which takes another review."""

    AUTO = "auto"
    """Where they can be suggested: with review comments."""
    TRUE = "true"
    FALSE = "false"


class Inputs(Struct, frozen=True):
    """All inputs; those that were not given are empty."""

    purpose: Purpose
    config: tuple[str, ...]
    working_directory: str
    python: str
    base_ref: str
    database_url: str
    postgres_version: str
    pass_env: tuple[str, ...]
    stats: str
    timeout: str
    fail_on: str
    when: When
    mode: Mode
    comment_id: str
    annotations: Annotations
    suggest_fixes: SuggestFixes
    summary: bool
    report_directory: str
    pull_request: int | None

    @property
    def marker_id(self) -> str:
        """What distinguishes the comments of several uses of the action."""
        return identity(self.comment_id) if self.comment_id else identity(*self.config, self.working_directory)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Inputs:
        """The inputs of `environ`. Raises `UsageError` for a value that action.yml does not allow."""

        def text(name: str, default: str = "") -> str:
            return environ.get("REVIEWER_" + name.replace("-", "_").upper(), "").strip() or default

        def word(name: str, kind: type[T], default: str) -> T:
            return kind(_one_of(name, text(name, default), [each.value for each in kind]))

        number = text("pull-request")
        if number and not (number.isascii() and number.isdecimal()):
            raise UsageError(f"The input pull-request is `{number}`, which is not a number.")
        fail_on = text("fail-on")
        if fail_on:
            _one_of("fail-on", fail_on, ["error", "warning", "notice", "never"])
        return cls(
            purpose=word("mode", Purpose, "review"),
            config=tuple(line.strip() for line in text("config").splitlines() if line.strip()),
            working_directory=text("working-directory", "."),
            python=text("python"),
            base_ref=text("base-ref"),
            database_url=text("database-url"),
            postgres_version=text("postgres-version"),
            pass_env=tuple(text("pass-env").split()),
            stats=text("stats"),
            timeout=text("timeout"),
            fail_on=fail_on,
            when=word("comment", When, "auto"),
            mode=word("comment-mode", Mode, "update"),
            comment_id=text("comment-id"),
            annotations=word("annotations", Annotations, "inline"),
            suggest_fixes=word("suggest-fixes", SuggestFixes, "auto"),
            summary=_one_of("summary", text("summary", "true"), ["true", "false"]) == "true",
            report_directory=text("report-directory"),
            pull_request=int(number) if number else None,
        )

    def flags(self) -> dict[str, object]:
        """The inputs in the form of command line options."""
        return {
            "path": ".",
            "configs": self.config,
            "python": self.python,
            "postgres": self.database_url,
            "postgres_version": self.postgres_version,
            "pass_env": self.pass_env,
            "stats": self.stats,
            "timeout": self._seconds(),
            "fail_on": self.fail_on,
            "fixes": self.suggest_fixes is SuggestFixes.TRUE,
        }

    def completed(self, config: Config) -> Config:
        """`config` with fixes, where nobody said whether, and they can be tried and suggested."""
        wanted = self.suggest_fixes is SuggestFixes.AUTO and self.annotations.by_review
        possible = not config.static and config.recording is None
        return replace(config, fixes=True) if wanted and possible else config

    def _seconds(self) -> float | None:
        try:
            return float(self.timeout) if self.timeout else None
        except ValueError:
            raise UsageError(f"The input timeout is `{self.timeout}`, which is not a number of seconds.") from None


def _one_of(name: str, value: str, words: list[str]) -> str:
    if value not in words:
        raise UsageError(f"The input {name} is `{value}`.", f"Valid values are {', '.join(words)}.")
    return value
