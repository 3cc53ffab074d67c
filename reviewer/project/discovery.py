"""Finds the migrations: alembic.ini or `[tool.alembic]`, script locations, and the project's interpreter.

Only reads files. What Alembic would find by importing (`package:folder`) is looked up along the paths that it would
search. If that fails, the project's interpreter is asked (`Tree.unresolved`).
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reviewer.errors import InterpreterError, ProjectError, UsageError
from reviewer.host import files, toml
from reviewer.host.paths import shown
from reviewer.sql.names import listed

_SEPARATORS = {"space": " ", "newline": "\n", "os": os.pathsep, ":": ":", ";": ";"}
"""Values of path_separator and version_path_separator."""

_SKIPPED_FOLDERS = frozenset({"__pycache__", "build", "dist", "env", "node_modules", "site-packages", "venv"})
_LEVELS = 4
"""The number of levels, from PATH downwards, that are searched for a configuration file."""
_NAMED = 6
"""Up to this number, configuration files are listed by name."""


class ConfigFile(Struct, frozen=True):
    """A configuration file as given with `--config [NAME=]FILE`."""

    path: Path
    name: str = ""


class Tree(Struct, frozen=True):
    """One migration tree: a script location with its revisions. All paths are absolute."""

    name: str
    """From `--config NAME=FILE`; empty if the project has only one tree."""
    config_file: Path
    """alembic.ini, or pyproject.toml with `[tool.alembic]`."""
    directory: Path
    """The folder that Alembic must be run in."""
    section: str = "alembic"
    """Section of the ini file."""
    toml_file: Path | None = None
    """pyproject.toml, which Alembic 1.16 and later read in addition to the ini file."""
    script_location: Path | None = None
    """None for a package that only the project's interpreter can find."""
    version_locations: tuple[Path, ...] = ()
    """Folders of revision files that exist."""
    declared_locations: tuple[Path, ...] = ()
    """The same folders, including those that do not exist or no longer exist."""
    recursive_version_locations: bool = False
    sourceless: bool = False
    unresolved: tuple[str, ...] = ()
    """Resources such as `package:folder` that could not be found without importing."""
    flask: bool = False
    """Whether Flask-Migrate made it. Flask-Migrate passes the script location itself; the ini file does not name
    it."""

    @property
    def env_py(self) -> Path | None:
        """The project's env.py; None if the script location is not known."""
        return self.script_location / "env.py" if self.script_location else None

    def located(self, script_location: Path, version_locations: Sequence[Path] = ()) -> Tree:
        """Return the same tree with the folders that the project's interpreter reports."""
        declared = tuple(version_locations) or (script_location / "versions",)
        return replace(
            self,
            script_location=script_location,
            version_locations=tuple(each for each in declared if each.is_dir()),
            declared_locations=declared,
            unresolved=(),
        )


class Interpreter(Struct, frozen=True):
    """How to start the Python that can import env.py."""

    command: tuple[str, ...]
    why: str
    """Why this one was chosen, as a phrase for people."""


def find_trees(
    path: Path, configs: Sequence[ConfigFile] = (), section: str = "alembic", git_root: Path | None = None
) -> tuple[Tree, ...]:
    """Return the migration trees of the project at `path`: those that `configs` name, or the one that is found.

    Raises `ProjectError` if there is none, if there are several, or if one is invalid.
    """
    if not path.exists():
        raise ProjectError(f"{path} does not exist.", "Name the folder of the project.")
    path = path.resolve()
    if not configs:
        configs = [ConfigFile(path if path.is_file() else _found_below(path, section, git_root))]
    _refuse_repeated_names(configs)
    folder = path if path.is_dir() else path.parent
    return tuple(_tree(each, section, folder, git_root) for each in configs)


def options_of(tree: Tree) -> _Options:
    """Return all options in the configuration of a tree."""
    return _Options.of(tree.config_file, tree.section)


def find_interpreter(path: Path, command: str | None, environment: Mapping[str, str]) -> Interpreter:
    """Return the project's interpreter: `command`, or `.venv` or `venv` in `path` or above it up to the git root,
    or the active virtual environment, or python3.

    Raises `UsageError` if `command` does not exist, and `InterpreterError` if no interpreter is found.
    """
    search = environment.get("PATH", os.defpath)
    folder = path.resolve() if path.is_dir() else path.resolve().parent
    if command:
        return _given(folder, command, search)
    for parent in _up_to_git_root(folder):
        for name in (".venv", "venv"):
            python = parent / name / "bin" / "python"
            if os.access(python, os.X_OK):
                return Interpreter((str(python),), f"the project's {name}")
    if active := environment.get("VIRTUAL_ENV"):
        python = Path(active) / "bin" / "python"
        if os.access(python, os.X_OK):
            return Interpreter((str(python),), "the active virtual environment ($VIRTUAL_ENV)")
    for name in ("python3", "python"):
        if found := shutil.which(name, path=search):
            return Interpreter((found,), f"{name} on PATH; the project has no .venv")
    raise InterpreterError("No Python was found for the project.", "Name one with --python COMMAND.")


def _given(folder: Path, command: str, search: str) -> Interpreter:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--python {command}: {error}.", "Quote it as in a shell.") from None
    if not words:
        raise UsageError("--python is empty.", "Name the command that starts the project's Python.")
    program = words[0]
    if "/" not in program:
        found = shutil.which(program, path=search)
    else:
        places = (Path(os.path.expanduser(program)), folder / program)  # noqa: PTH111 - Path.expanduser raises without a home
        # Links are not followed: a virtual environment is identified by the path of its own python.
        found = next((str(each.absolute()) for each in places if os.access(each, os.X_OK) and each.is_file()), None)
    if found is None:
        raise UsageError(f"--python: there is no command {program}.", "Name the Python of the project.")
    return Interpreter((found, *words[1:]), "given with --python")


def _refuse_repeated_names(configs: Sequence[ConfigFile]) -> None:
    names = [each.name for each in configs]
    if len(configs) > 1:
        for each in configs:
            if names.count(each.name) > 1:
                what = (
                    f"{each.name} is the name of several"
                    if each.name
                    else f"{each.path} has no name although there are several"
                )
                raise UsageError(f"--config: {what}.", "Give each tree its own: --config NAME=FILE.")


def _found_below(path: Path, section: str, git_root: Path | None) -> Path:
    for level in _levels(path):
        found = [each for folder in level for each in _config_files(folder, section)]
        if len(found) == 1:
            return found[0]
        if found:
            names = listed([str(each.relative_to(path)) for each in found], _NAMED)
            raise ProjectError(
                f"{path} has {len(found)} Alembic configurations: {names}.",
                "Name those to review: --config FILE, or --config NAME=FILE for each of several.",
            )
    raise ProjectError(
        f"There is no alembic.ini, and no pyproject.toml with [tool.alembic], in {path} or below.",
        _way_up(path, section, git_root) or "Name the file with --config FILE.",
    )


def _way_up(path: Path, section: str, git_root: Path | None) -> str:
    """Return a hint for a command that was run in a subdirectory of the project; empty if there is none."""
    above = [each for each in path.parents if git_root is not None and each.is_relative_to(git_root)]
    found = next((each for each in above if _config_files(each, section)), None)
    return f"There is one in a folder above: `alembic-reviewer review {shlex.quote(str(found))}`." if found else ""


def _levels(path: Path) -> Iterator[list[Path]]:
    level = [path]
    for _ in range(_LEVELS):
        yield level
        level = [child for folder in level for child in _subfolders(folder)]


def _subfolders(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _SKIPPED_FOLDERS or not entry.is_dir(follow_symlinks=False):
            continue
        child = Path(entry.path)
        if not (child / "pyvenv.cfg").exists():
            yield child


def _config_files(folder: Path, section: str) -> list[Path]:
    ini, pyproject = folder / "alembic.ini", folder / "pyproject.toml"
    if ini.is_file():
        return [ini]
    # A quick test before parsing: most pyproject.toml files are about something else.
    concerned = section == "alembic" and pyproject.is_file() and b"tool.alembic" in _bytes(pyproject)
    return [pyproject] if concerned and _toml_options(pyproject) else []


def mentions_flask(env_py: Path | None) -> bool:
    """Return whether an env.py asks Flask for its application."""
    try:
        text = env_py.read_text(encoding="utf-8", errors="replace") if env_py is not None else ""
    except OSError:
        return False
    return re.search(r"^\s*from\s+flask\s+import\s[^#]*\bcurrent_app\b", text, re.MULTILINE) is not None


def _tree(config: ConfigFile, section: str, path: Path, git_root: Path | None) -> Tree:
    file = config.path.absolute()
    if not file.is_file():
        raise ProjectError(
            f"There is no file {config.path}.", "Name an alembic.ini or a pyproject.toml with --config."
        )
    options = _Options.of(file, section)
    location = options.text("script_location")
    tree = Tree(
        name=shown(config.name),
        config_file=file,
        directory=file.parent,
        section=section,
        toml_file=options.toml_file,
        recursive_version_locations=options.flag("recursive_version_locations"),
        sourceless=options.flag("sourceless"),
    )
    if location is None or mentions_flask(file.parent / "env.py"):
        if not (file.parent / "env.py").is_file():
            raise ProjectError(
                f"{file} sets no script_location in [{options.where}].",
                f"Add one, for example `script_location = {_example(file.parent)}`, or select the section with --name.",
            )
        # Flask-Migrate keeps alembic.ini inside the script location and passes that folder itself, ignoring the
        # file.
        tree = replace(tree, directory=_above_packages(file.parent.parent), flask=True)
        script: Path | None = file.parent
    else:
        tree = replace(tree, directory=_directory(file, location, path, git_root))
        script = _located(location, tree.directory, options)
        if script is None and not _is_resource(location):
            raise ProjectError(
                f"script_location of {file} is {location}, which does not exist.", "Correct the path."
            )
    if script and not script.is_dir():
        raise ProjectError(f"script_location of {file} is {location}, which is not a folder.", "Correct the path.")
    if script and not (script / "env.py").is_file():
        raise ProjectError(
            f"There is no env.py in {script}.", "Alembic needs one; `alembic init` shows what it holds."
        )
    return _with_versions(tree, script, location, options)


def _with_versions(tree: Tree, script: Path | None, location: str | None, options: _Options) -> Tree:
    unresolved = [location] if script is None and location else []
    declared: list[Path] = []
    for each in options.version_locations():
        found = _located(each, tree.directory, options)
        if found is None and _is_resource(each):
            unresolved.append(each)
        else:
            declared.append(found or (tree.directory / each).resolve())
    if script and not declared and not unresolved:
        declared = [script / "versions"]
    return replace(
        tree,
        script_location=script,
        version_locations=tuple(each for each in declared if each.is_dir()),
        declared_locations=tuple(declared),
        unresolved=tuple(unresolved),
    )


def _directory(file: Path, location: str, path: Path, git_root: Path | None) -> Path:
    """Return the folder that a relative script_location is relative to: the file's own, PATH, or one above the
    file.
    """
    if Path(location).is_absolute() or _is_resource(location):
        return file.parent
    above = [each for each in file.parent.parents if git_root and each.is_relative_to(git_root)]
    for folder in (file.parent, path, *above):
        if (folder / location).is_dir():
            return folder
    return file.parent


def _above_packages(folder: Path) -> Path:
    """Return the folder that packages are imported from: flask names a module by where its packages begin, so a start
    inside one finds no application.
    """
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _is_resource(location: str) -> bool:
    return not Path(location).is_absolute() and ":" in location


def _located(location: str, directory: Path, options: _Options) -> Path | None:
    if not _is_resource(location):
        found = (directory / location).resolve()
        return found if found.exists() else None
    package, *parts = location.split(":")
    inside = Path(*package.split("."), *parts)
    roots = [directory / each for each in options.prepend_sys_path()]
    for root in (*roots, directory, directory / "src"):
        if (root / inside).is_dir():
            return (root / inside).resolve()
    return None


def _example(folder: Path) -> str:
    found = sorted(each.parent.name for each in folder.glob("*/env.py"))
    return f"%(here)s/{found[0] if found else 'migrations'}"


class _Options(Struct, frozen=True):
    """Options as Alembic reads them: first from the ini file, then from pyproject.toml."""

    file: Path
    where: str
    ini: configparser.ConfigParser | None
    section: str
    from_toml: Mapping[str, Any]
    toml_file: Path | None

    @classmethod
    def of(cls, file: Path, section: str) -> _Options:
        if file.suffix == ".toml":
            from_toml = _toml_options(file)
            if not from_toml:
                raise ProjectError(
                    f"{file} has no [tool.alembic].", "Add it, or name the alembic.ini with --config."
                )
            return cls(file, "tool.alembic", None, section, from_toml, file)
        beside = file.parent / "pyproject.toml"
        both = beside.is_file() and b"tool.alembic" in _bytes(beside)
        from_toml = _toml_options(beside) if both else {}
        ini = _ini(file)
        if not ini.has_section(section) and not from_toml:
            raise ProjectError(
                f"{file} has no section [{section}].",
                f"It has {_listed(ini.sections())}; choose one with --name SECTION.",
            )
        return cls(file, section, ini, section, from_toml, beside if from_toml else None)

    def text(self, name: str) -> str | None:
        if self.ini and self.ini.has_option(self.section, name):
            try:
                return self.ini.get(self.section, name).strip()
            except configparser.InterpolationError as error:
                reason = " ".join(str(error).split())
                raise ProjectError(
                    f"{name} of {self.file} cannot be read: {reason}.", "Write a literal `%` as `%%`."
                ) from None
        value = self.from_toml.get(name)
        if value is not None and not isinstance(value, str):
            raise ProjectError(f"{name} of {self.toml_file} is not a string.", "Write it as Alembic documents it.")
        return self._substituted(value, name) if value is not None else None

    def flag(self, name: str) -> bool:
        if self.ini and self.ini.has_option(self.section, name):
            return self.text(name) == "true"
        return self.from_toml.get(name) is True

    def version_locations(self) -> list[str]:
        legacy = re.compile(r", *|(?: +)")
        return self._paths("version_locations", ("path_separator", "version_path_separator"), legacy)

    def prepend_sys_path(self) -> list[str]:
        return self._paths("prepend_sys_path", ("path_separator",), re.compile(r", *|(?: +)|:"))

    def _paths(self, name: str, separators: Sequence[str], legacy: re.Pattern[str]) -> list[str]:
        if self.ini and self.ini.has_option(self.section, name):
            text = self.text(name) or ""
            separator = next((found for each in separators if (found := self._ini_text(each)) is not None), None)
            if separator is None:
                parts = legacy.split(text)
            elif separator in _SEPARATORS:
                parts = text.split(_SEPARATORS[separator])
            else:
                raise ProjectError(
                    f"{self.file} sets the path separator {separator!r}, which Alembic does not know.",
                    f"Use one of {', '.join(_SEPARATORS)}.",
                )
            return [part.strip() for part in parts if part.strip()]
        value = self.from_toml.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ProjectError(f"{name} of {self.toml_file} is not a list of strings.", "Write it as a list.")
        return [self._substituted(each, name) for each in value]

    def _ini_text(self, name: str) -> str | None:
        return self.text(name) if self.ini and self.ini.has_option(self.section, name) else None

    def _substituted(self, value: str, name: str) -> str:
        assert self.toml_file is not None
        try:
            return str(value % {"here": self.toml_file.parent.as_posix()})
        except (KeyError, TypeError, ValueError) as error:
            raise ProjectError(
                f"{name} of {self.toml_file} cannot be read: {error}.", "Write a literal `%` as `%%`."
            ) from None


def _ini(file: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser({"here": file.parent.as_posix().replace("%", "%%")})
    try:
        parser.read_string(_bytes(file).decode("utf-8-sig"), source=file.name)
    except UnicodeDecodeError:
        raise ProjectError(f"{file} is not UTF-8 text.", "Save it as UTF-8.") from None
    except configparser.Error as error:
        raise ProjectError(f"{file} cannot be read: {' '.join(str(error).split())}.", "Correct the file.") from None
    return parser


def _toml_options(file: Path) -> Mapping[str, Any]:
    try:
        found = toml.loads(_bytes(file))
    except ValueError as error:
        raise ProjectError(f"{file} cannot be read as TOML: {error}.", "Correct the file.") from None
    options = found.get("tool", {}).get("alembic", {})
    return options if isinstance(options, dict) else {}


def _bytes(file: Path) -> bytes:
    try:
        return files.read(file)
    except OSError as error:
        raise ProjectError(
            f"{file} cannot be read: {files.why(error)}.", "Check the file and its permissions."
        ) from None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"[{name}]" for name in names) if names else "no sections"


def _up_to_git_root(folder: Path) -> Iterator[Path]:
    chain = (folder, *folder.parents)
    root = next((position for position, each in enumerate(chain) if (each / ".git").exists()), 0)
    yield from chain[: root + 1]
