"""The configuration: the command line over `[tool.alembic-reviewer]` or alembic-reviewer.toml, as one frozen
`Config`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from reviewer.errors import UsageError, nearest, nearest_rule
from reviewer.host import files, toml
from reviewer.options import OPTIONS, POSTGRES, Kind, Option, Where
from reviewer.project.discovery import ConfigFile
from reviewer.project.phases import Phases
from reviewer.report import FORMATS, RELEASE_FORMATS
from reviewer.review.finding import Severity
from reviewer.review.rule import Group
from reviewer.stats import SMALL_TABLE

OWN_FILE = "alembic-reviewer.toml"
TABLE = "alembic-reviewer"
"""The name of our table under `[tool]` in pyproject.toml."""


_WILDCARDS = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}


class Output(Struct, frozen=True):
    """One report to write: its format, and the file, or standard output."""

    format: str
    path: Path | None = None


class PathSettings(Struct, frozen=True):
    """Settings for revision files whose path matches a pattern."""

    pattern: str
    """The end of a path: `*` stays within one folder, `**` does not. `legacy/**`, `0001_*.py`."""
    ignore: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict)

    def matches(self, path: str) -> bool:
        """Whether these settings apply to the revision file `path`."""
        parts = re.split(r"(\*\*/?|\*|\?)", self.pattern.removeprefix("./"))
        regex = "".join(_WILDCARDS.get(part, re.escape(part)) for part in parts)
        return re.search(f"(?:^|/){regex}$", path) is not None


class Config(Struct, frozen=True):
    """All settings, from the command line or the configuration file."""

    path: Path = Path()
    base: str | None = None
    revisions: str | None = None
    configs: tuple[ConfigFile, ...] = ()
    x: tuple[str, ...] = ()
    """NAME=VALUE, as Alembic's own -x."""
    section: str = "alembic"
    """Section of the ini file: `--name`, as Alembic calls it."""
    launcher: str | None = None
    python: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables for env.py; `{url}` in a value becomes the throw-away database's URL."""
    pass_env: tuple[str, ...] = ()
    postgres: str = "auto"
    postgres_version: int | None = None
    postgres_image: str | None = None
    static: bool = False
    base_schema: Path | None = None
    base_from: str = "history"
    migrate_as: str = "owner"
    each: bool = False
    """Whether every revision is rehearsed as its own release."""
    jobs: int | None = None
    """How many rehearsals may run at the same time; None: as many as there are cores, at most 4."""
    rows: int = 100
    """Rows in each table before the revisions run; 0 for none."""
    seed: Path | None = None
    """SQL with rows of the project's own, inserted into the base state before generated rows."""
    seed_command: str | None = None
    """A command of the project that writes such rows."""
    old_code: bool = True
    """Whether the code of the base commit is run against the new schema."""
    snapshots: bool = True
    """Whether the base state is kept between reviews."""
    snapshot_key: tuple[str, ...] = ()
    """What a kept base state depends on besides what can be seen: `env:NAME`, `file:PATH`."""
    cache_size: int = 1024
    """Megabytes that kept base states may take together."""
    outputs: tuple[Output, ...] = (Output("text"),)
    save_recording: Path | None = None
    recording: Path | None = None
    fail_on: Severity | None = Severity.ERROR
    """None: never fail."""
    quiet: bool = False
    """Whether to print only the first line of the text report."""
    verbose: bool = False
    """Whether to report each step on standard error."""
    select: tuple[str, ...] = ()
    """The only rules or groups of rules to run; empty: those that are on by default."""
    ignore: tuple[str, ...] = ()
    timeout: float = 300.0
    """Seconds that one run of the project's migrations may take."""
    severity: Mapping[str, Severity] = field(default_factory=dict)
    paths: tuple[PathSettings, ...] = ()
    stats: Path | None = None
    """The file that tells how large the tables are in production."""
    scale: bool = False
    """Whether to measure how the revisions grow with their tables."""
    fixes: bool = False
    """Whether fixes are tried and reported; one costs another review."""
    scale_seconds: float = 60.0
    scale_rows: int = 1_000_000
    calibrate: tuple[tuple[str, float], ...] = ()
    """Revisions that have run in production, each with its seconds there."""
    small_table: int = SMALL_TABLE
    """Rows up to which a table is small in production."""
    hot_tables: tuple[str, ...] = ()
    """Tables in constant use, `name` or `schema.name`."""
    floor_revision: str | None = None
    """Nobody downgrades below this revision, so downgrades down to it are not reviewed."""
    one_way_revisions: tuple[str, ...] = ()
    """Revisions that are accepted as irreversible."""
    phases: Phases = Phases()
    """The words with which revisions say when they are to run."""
    sql: Path | None = None
    """Where `release` writes the SQL that it has seen."""
    notes: Path | None = None
    """Where `release` writes upgrade notes."""
    extensions: tuple[str, ...] = ()
    """Extensions that the server must provide in addition to those that the revisions name."""
    source: Path | None = None
    """The configuration file that was read."""

    def ignored(self, rule: str, path: str | None = None) -> bool:
        """Whether `rule` is turned off, in general or for a revision file."""
        return rule in self.ignore or any(rule in each.ignore for each in self._settings(path))

    def severity_of(self, rule: str, default: Severity, path: str | None = None) -> Severity:
        """The severity that the user set for `rule`, in general or for a revision file; the last match wins."""
        chosen = self.severity.get(rule, default)
        for each in self._settings(path):
            chosen = each.severity.get(rule, chosen)
        return chosen

    def without_groups(self, groups: Mapping[str, Collection[str]]) -> Config:
        """The same with the rules of a group where it names the group; `groups` has the rules of each."""

        def rules(named: Sequence[str]) -> tuple[str, ...]:
            return tuple(dict.fromkeys(rule for each in named for rule in groups.get(each, (each,))))

        paths = tuple(replace(each, ignore=rules(each.ignore)) for each in self.paths)
        return replace(self, select=rules(self.select), ignore=rules(self.ignore), paths=paths)

    def named_rules(self) -> frozenset[str]:
        """What it names as a rule or as a group of rules."""
        return frozenset({*self.select, *self.ignore, *(rule for each in self.paths for rule in each.ignore)})

    def check_rules(self, known: Collection[str]) -> None:
        """Raises `UsageError` if a setting names a rule that is not in `known`."""
        places: list[tuple[str, Collection[str]]] = [
            ("select", self.select),
            ("ignore", self.ignore),
            ("severity", self.severity),
        ]
        for each in self.paths:
            places += [
                (f'paths."{each.pattern}"', each.ignore),
                (f'paths."{each.pattern}".severity', each.severity),
            ]
        for place, rules in places:
            for rule in rules:
                if rule not in known:
                    raise UsageError(
                        f"`{place}` names the rule `{rule}`, which does not exist.",
                        nearest_rule(rule, [*known, *(group.value for group in Group)]),
                    )

    def _settings(self, path: str | None) -> tuple[PathSettings, ...]:
        return tuple(each for each in self.paths if path and each.matches(path))


def load(flags: Mapping[str, object], git_root: Path | None = None) -> Config:
    """The configuration for a call with these `flags`: named as in `Config`, None or empty if not given.

    Lists are given as on the command line: `configs` as [NAME=]FILE, `x` and `env` as NAME=VALUE; `outputs` as
    pairs of format and file; `no_rows` and `static` as booleans. The file is looked for in the folder of `path`,
    then in `git_root`. Raises `UsageError` for anything invalid, naming the nearest valid alternative.
    """
    given = {name: value for name, value in flags.items() if _is_given(value)}
    path = Path(str(given.get("path", ".")))
    source = find_file(path, git_root)
    from_file = _read(source) if source else {}
    if given.keys() & {"base", "revisions"}:
        _refuse_both(given, "--base and --revisions")
        # A flag that says what is new overrides both keys of the file.
        from_file = {name: value for name, value in from_file.items() if name not in {"base", "revisions"}}
    _refuse_both(from_file, f"`base` and `revisions` in {source}")
    on_command_line = _Reader("the command line", Path(), flags=True)
    overrides = on_command_line.read(given)
    if "env" in from_file and "env" in overrides:
        overrides["env"] = {**from_file["env"], **overrides["env"]}
    if "rows" in overrides or "no_rows" in overrides:
        from_file = {name: value for name, value in from_file.items() if name not in {"rows", "no_rows"}}
    values = {**from_file, **overrides}
    _refuse_odd_launcher(values.get("launcher"))
    if values.get("each"):
        _refuse_beside_each(values)
    _refuse_beside_scale(values)
    _refuse_beside_fixes(values)
    if values.pop("no_rows", False):
        values["rows"] = 0
    if values.pop("no_old_code", False):
        values["old_code"] = False
    if values.pop("no_snapshot", False):
        values["snapshots"] = False
    return Config(**{**values, "path": path, "source": source})


def _refuse_beside_each(values: Mapping[str, Any]) -> None:
    if values.get("static"):
        raise UsageError(
            "--static runs nothing, so there is nothing for --each to rehearse.", "Leave one of them out."
        )
    if values.get("base_from") == "models":
        raise UsageError(
            "--each starts each revision from another state, and the models of the base commit provide only one.",
            "Leave out --base-from models, or --each.",
        )


def _refuse_beside_scale(values: Mapping[str, Any]) -> None:
    if not values.get("scale"):
        return
    if values.get("static"):
        raise UsageError("--scale measures on a server, and --static starts none.", "Leave one of them out.")
    if values.get("no_rows") or values.get("rows") == 0:
        raise UsageError(
            "--scale makes many rows from the generated ones, and there are none.", "Leave out --no-rows."
        )


def _refuse_beside_fixes(values: Mapping[str, Any]) -> None:
    if not values.get("fixes"):
        return
    if values.get("static") or values.get("recording"):
        beside = "--static" if values.get("static") else "--recording"
        raise UsageError(f"--fixes rehearses on a server, and {beside} starts none.", "Leave one of them out.")
    if values.get("each"):
        raise UsageError(
            "--fixes rehearses all new revisions together, and --each one after the other.",
            "Leave one of them out.",
        )


def _refuse_odd_launcher(launcher: str | None) -> None:
    if launcher is not None and not re.fullmatch(r"[\w.]+:\w+", launcher):
        raise UsageError(
            f"--launcher {launcher} is not of the form MODULE:FUNCTION.",
            "Name the project's function that takes Alembic's Config.",
        )


def find_file(path: Path, git_root: Path | None = None) -> Path | None:
    """The configuration file of the project at `path`: in its folder, else in the git root.

    Raises `UsageError` if one folder has both kinds.
    """
    folder = path if path.is_dir() else path.parent
    for place in dict.fromkeys(each.absolute() for each in (folder, git_root) if each is not None):
        own, shared = place / OWN_FILE, place / "pyproject.toml"
        has_table = shared.is_file() and _our_table(shared) is not None
        if own.is_file() and has_table:
            raise UsageError(
                f"{own} and [tool.{TABLE}] in {shared} both configure the reviewer.", "Remove one of the two."
            )
        if own.is_file() or has_table:
            return own if own.is_file() else shared
    return None


def _is_given(value: object) -> bool:
    return not (value is None or value is False or (isinstance(value, str | Sequence | Mapping) and not value))


def _refuse_both(values: Mapping[str, object], what: str) -> None:
    if "base" in values and "revisions" in values:
        raise UsageError(f"{what} are mutually exclusive.", "Use only one of them.")


def _read(source: Path) -> dict[str, Any]:
    found = _our_table(source)
    return _Reader(source.name, source.parent).read(found or {})


def _our_table(file: Path) -> Mapping[str, Any] | None:
    try:
        content = files.read(file)
        if file.name == OWN_FILE:
            return _without_table(toml.loads(content), file)
        # A quick test before parsing: most pyproject.toml files do not mention us.
        found = toml.loads(content).get("tool", {}).get(TABLE) if TABLE.encode() in content else None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {files.why(error)}.", "Check its permissions.") from None
    except ValueError as error:
        raise UsageError(f"{file} cannot be read as TOML: {error}.", "Correct the file.") from None
    if found is not None and not isinstance(found, dict):
        raise UsageError(f"tool.{TABLE} in {file} is not a table.", f"Write it as [tool.{TABLE}].")
    return found


def _without_table(found: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    if isinstance(found.get("tool"), dict) and TABLE in found["tool"]:
        raise UsageError(f"The keys in {file} do not belong in a table.", f"Remove the line [tool.{TABLE}].")
    return found


class _Reader(Struct, frozen=True):
    """Converts what was given into values of `Config`, and names the place if that is impossible."""

    where: str
    folder: Path
    flags: bool = False

    def read(self, written: Mapping[str, object]) -> dict[str, Any]:
        known = _FLAGS if self.flags else _KEYS
        found: dict[str, Any] = {}
        for key, value in written.items():
            if key == "path" and self.flags:
                continue
            if key not in known:
                raise UsageError(f"{self.where}: unknown key `{key}`.", nearest(key, known))
            option = known[key]
            found[option.name] = self._read(option, option.flag if self.flags else option.key, value)
        return found

    def _read(self, option: Option, key: str, value: object) -> Any:
        match option.kind:
            case Kind.TEXTS if option.name == "snapshot_key":
                return self.snapshot_key(key, value)
            case Kind.TEXTS:
                return self.texts(key, value)
            case Kind.RULES:
                return self.rules(key, value)
            case Kind.ASSIGNMENTS if option.name == "env":
                return dict(_pair(each) for each in self.assignments(key, value))
            case Kind.ASSIGNMENTS if option.name == "calibrate":
                return self.calibrations(key, value)
            case Kind.ASSIGNMENTS:
                return self.assignments(key, value)
            case Kind.CONFIGS:
                return self.configs(key, value)
            case Kind.SWITCH:
                return self.switch(key, value)
            case Kind.NUMBER:
                return self.number(key, value, option.least)
            case Kind.SECONDS:
                return self.seconds(key, value)
            case Kind.FILE:
                return self.file(key, value)
            case Kind.CHOICE:
                return self.choice(key, value, option.choices)
            case Kind.FAIL_ON:
                return self.fail_on(key, value, option.choices)
            case Kind.POSTGRES:
                return self.postgres(key, value)
            case Kind.OUTPUTS:
                return self.outputs(key, value)
            case Kind.SEVERITY_OF_RULES:
                return self.severities(key, value)
            case Kind.PATHS:
                return self.paths(key, value)
            case Kind.PHASES:
                return self.phases(key, value)
            case _:
                return self.text(key, value)

    def wrong(self, key: str, value: object, expected: str) -> UsageError:
        if self.flags:
            return UsageError(f"{key} {value} is not {expected}.", "See `alembic-reviewer review --help`.")
        shown = f"{value!r}" if isinstance(value, str) else f"{value}"
        return UsageError(f"{self.where}: `{key}` is {shown}, which is not {expected}.", "Correct the file.")

    def text(self, key: str, value: object) -> str:
        if isinstance(value, Path):
            return str(value)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, value, "a text")
        return value

    def texts(self, key: str, value: object) -> tuple[str, ...]:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list | tuple) or not all(isinstance(each, str) for each in values):
            raise self.wrong(key, value, "a list of strings")
        return tuple(values)

    def snapshot_key(self, key: str, value: object) -> tuple[str, ...]:
        found = []
        for each in self.texts(key, value):
            kind, _, name = each.partition(":")
            if kind not in {"env", "file"} or not name:
                raise self.wrong(key, each, "of the form env:NAME or file:PATH")
            found.append(each if kind == "env" else f"file:{self.folder / name}")
        return tuple(found)

    def rules(self, key: str, value: object) -> tuple[str, ...]:
        return tuple(part.strip() for each in self.texts(key, value) for part in each.split(",") if part.strip())

    def switch(self, key: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def number(self, key: str, value: object, least: int) -> int:
        if isinstance(value, str) and value.isdecimal() and self.flags:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.wrong(key, value, f"a whole number of at least {least}")
        return value

    def seconds(self, key: str, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
            raise self.wrong(key, value, "a number of seconds above 0")
        return float(value)

    def choice(self, key: str, value: object, choices: Collection[str]) -> str:
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(key, value, f"one of {', '.join(choices)}")
        return value

    def fail_on(self, key: str, value: object, choices: Collection[str]) -> Severity | None:
        if isinstance(value, Severity):
            return value
        word = self.choice(key, value, choices)
        return None if word == "never" else Severity(word)

    def file(self, key: str, value: object) -> Path:
        return self.folder / os.path.expanduser(self.text(key, value))  # noqa: PTH111 - Path.expanduser raises without a home

    def postgres(self, key: str, value: object) -> str:
        text = self.text(key, value)
        if text not in POSTGRES and "://" not in text and "=" not in text:
            raise self.wrong(key, value, f"one of {', '.join(POSTGRES)} or a URL")
        return text

    def assignments(self, key: str, value: object) -> tuple[str, ...]:
        if isinstance(value, Mapping):
            if not all(isinstance(each, str) for each in value.values()):
                raise self.wrong(key, value, "a table of strings")
            return tuple(f"{name}={each}" for name, each in value.items())
        found = self.texts(key, value)
        for each in found:
            name, equals, _ = each.partition("=")
            # Alembic's own -x also takes a name alone.
            if not name or not (equals or key in {"x", "-x"}):
                raise self.wrong(key, each, "of the form NAME=VALUE")
        return found

    def calibrations(self, key: str, value: object) -> tuple[tuple[str, float], ...]:
        if isinstance(value, Mapping):
            return tuple((str(name), self.seconds(f"{key}.{name}", each)) for name, each in value.items())
        found = []
        for each in self.texts(key, value):
            name, _, seconds = each.partition("=")
            try:
                number = float(seconds)
            except ValueError:
                number = 0.0
            if not name or not 0 < number < float("inf"):
                raise self.wrong(key, each, "of the form REVISION=SECONDS")
            found.append((name, number))
        return tuple(found)

    def configs(self, key: str, value: object) -> tuple[ConfigFile, ...]:
        if isinstance(value, Mapping):
            return tuple(ConfigFile(self.file(key, each), str(name)) for name, each in value.items())
        return tuple(self._config(each) for each in self.texts(key, value))

    def _config(self, text: str) -> ConfigFile:
        name, equals, file = text.partition("=")
        # `a/b=c.ini` is a file: a name contains no slash.
        if equals and "/" not in name:
            return ConfigFile(self.folder / file, name)
        return ConfigFile(self.folder / text)

    def outputs(self, key: str, value: object) -> tuple[Output, ...]:
        if not isinstance(value, list | tuple):
            raise self.wrong(key, value, "a list of formats with their files")
        found = tuple(
            Output(self.choice("--format", kind, (*FORMATS, *RELEASE_FORMATS)), Path(str(file)) if file else None)
            for kind, file in value
        )
        if sum(each.path is None for each in found) > 1:
            raise UsageError(
                "Two reports cannot both go to standard output.", "Add --output FILE after all but one --format."
            )
        return found

    def severities(self, key: str, value: object) -> dict[str, Severity]:
        words = [each.value for each in Severity]
        return {
            rule: Severity(self.choice(f"{key}.{rule}", word, words))
            for rule, word in self._table(key, value).items()
        }

    def paths(self, key: str, value: object) -> tuple[PathSettings, ...]:
        return tuple(self._path_settings(key, pattern, each) for pattern, each in self._table(key, value).items())

    def phases(self, key: str, value: object) -> Phases:
        known = ("before", "after")
        table = self._table(key, value)
        for name in table:
            if name not in known:
                raise UsageError(f"{self.where}: unknown key `{name}` in {key}.", nearest(name, known))
        return replace(Phases(), **{name: self.texts(f"{key}.{name}", each) for name, each in table.items()})

    def _path_settings(self, key: str, pattern: str, value: object) -> PathSettings:
        place = f'{key}."{pattern}"'
        settings = PathSettings(pattern)
        for name, each in self._table(place, value).items():
            if name == "ignore":
                settings = replace(settings, ignore=self.rules("ignore", each))
            elif name == "severity":
                settings = replace(settings, severity=self.severities(f"{place}.severity", each))
            else:
                known = ("ignore", "severity")
                raise UsageError(f"{self.where}: unknown key `{name}` in {place}.", nearest(name, known))
        return settings

    def _table(self, key: str, value: object) -> Mapping[str, object]:
        if not isinstance(value, Mapping):
            raise self.wrong(key, value, "a table")
        return value


def _pair(assignment: str) -> tuple[str, str]:
    name, _, value = assignment.partition("=")
    return name, value


_FLAGS = {name: each for each in OPTIONS if each.where is not Where.NOWHERE for name in (each.name, each.key)}
"""Options allowed on the command line, by their names in `Config` and by their own."""
_KEYS = {each.key: each for each in OPTIONS if each.in_file}
"""Keys allowed in the configuration file, by their own names."""
