"""Where the migrations are, held against what Alembic itself finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reviewer.errors import InterpreterError, ProjectError, UsageError
from reviewer.project.discovery import ConfigFile, Interpreter, Tree, find_interpreter, find_trees
from tests.repository import write


def found(path: Path, *configs: ConfigFile, section: str = "alembic", git_root: Path | None = None) -> Tree:
    (tree,) = find_trees(path, configs, section, git_root)
    return tree


def ini(text: str) -> str:
    return f"[alembic]\n{text}\n"


def python_in(folder: Path) -> Path:
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return python


ALEMBIC = """
import json
from pathlib import Path
from alembic.config import Config
from alembic.script import ScriptDirectory
scripts = ScriptDirectory.from_config({config})
locations = [str(Path(each).resolve()) for each in scripts._version_locations]
print(json.dumps([str(Path(scripts.dir).resolve()), locations, scripts.recursive_version_locations]))
"""


def seen_by_alembic(folder: Path, config: str) -> object:
    code = ALEMBIC.format(config=config)
    command = [sys.executable, "-W", "ignore", "-c", code]
    return json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout)


def seen_by_us(tree: Tree) -> object:
    locations = [str(each) for each in tree.declared_locations]
    return [str(tree.script_location), locations, tree.recursive_version_locations]


SCRIPTS = {"migrations/env.py": "", "migrations/versions/a.py": "revision = 'a'"}


@pytest.mark.processes
@pytest.mark.parametrize(
    "options",
    [
        "script_location = migrations",
        "script_location = %(here)s/migrations",
        "script_location = %(here)s/migrations\nversion_locations = %(here)s/migrations/versions %(here)s/more",
        "script_location = migrations\nversion_locations = migrations/versions, more",
        "script_location = migrations\nversion_locations = migrations/versions:more\nversion_path_separator = :",
        "script_location = migrations\nversion_locations = migrations/versions;more\npath_separator = ;",
        "script_location = migrations\nversion_locations = migrations/versions:more\npath_separator = os",
        "script_location = migrations\nversion_locations = migrations/versions more\npath_separator = space",
        "script_location = migrations\npath_separator = newline\nversion_locations =\n  migrations/versions\n  more",
        "script_location = migrations\npath_separator = newline\nversion_locations = a b\n  more",
        "script_location = migrations\nversion_locations = %(there)s/versions\nthere = %(here)s/migrations",
        "script_location = migrations\nrecursive_version_locations = true",
        "script_location = migrations\nrecursive_version_locations = True",
        "script_location = package.sub:migrations\nprepend_sys_path = lib",
        "script_location = package:sub:migrations\nprepend_sys_path = . lib",
        "script_location = package.sub:migrations\nprepend_sys_path = .:lib\npath_separator = os",
    ],
)
def test_an_ini_file_means_what_it_means_to_alembic(tmp_path: Path, options: str) -> None:
    write(
        tmp_path,
        {"alembic.ini": ini(options), **SCRIPTS, "more/b.py": "revision = 'b'", "a b/c.py": "revision='c'"},
    )
    for name in ("__init__.py", "sub/__init__.py", "sub/migrations/env.py"):
        write(tmp_path / "lib/package", {name: ""})

    ours = found(tmp_path)

    assert seen_by_us(ours) == seen_by_alembic(tmp_path, "Config('alembic.ini')")
    assert ours.version_locations == tuple(each for each in ours.declared_locations if each.is_dir())
    assert ours.directory == tmp_path


@pytest.mark.processes
@pytest.mark.parametrize(
    "options",
    [
        'script_location = "migrations"',
        'script_location = "%(here)s/migrations"\nversion_locations = ["%(here)s/migrations/versions", "more"]',
        'script_location = "migrations"\nrecursive_version_locations = true',
    ],
)
def test_pyproject_means_what_it_means_to_alembic(tmp_path: Path, options: str) -> None:
    write(tmp_path, {"pyproject.toml": f"[tool.alembic]\n{options}\n", **SCRIPTS, "more/b.py": "revision = 'b'"})

    ours = found(tmp_path)

    assert seen_by_us(ours) == seen_by_alembic(tmp_path, "Config(toml_file='pyproject.toml')")


def test_everything_about_an_ordinary_project(tmp_path: Path) -> None:
    write(tmp_path, {"alembic.ini": ini("script_location = migrations"), **SCRIPTS})

    assert found(tmp_path) == Tree(
        name="",
        config_file=tmp_path / "alembic.ini",
        directory=tmp_path,
        script_location=tmp_path / "migrations",
        version_locations=(tmp_path / "migrations/versions",),
        declared_locations=(tmp_path / "migrations/versions",),
    )


def test_what_the_ini_file_leaves_out_is_read_from_pyproject_beside_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"alembic.ini": ini("x = 1"), "pyproject.toml": "[tool.alembic]\nscript_location = 'migrations'\n"},
    )
    write(tmp_path, SCRIPTS)

    tree = found(tmp_path)

    assert (tree.config_file, tree.toml_file) == (tmp_path / "alembic.ini", tmp_path / "pyproject.toml")
    assert tree.script_location == tmp_path / "migrations"


@pytest.mark.parametrize(
    "place", ["migrations/alembic.ini", "backend/alembic.ini", "a/b/c/alembic.ini", "backend/pyproject.toml"]
)
def test_a_configuration_further_down_is_found(tmp_path: Path, place: str) -> None:
    folder = (tmp_path / place).parent
    text = "[tool.alembic]\nscript_location = 's'" if place.endswith("toml") else ini("script_location = s")
    write(folder, {Path(place).name: text, "s/env.py": ""})
    write(tmp_path, {"pyproject.toml": "[project]\nname = 'x'\n"})
    for skipped in (".venv/x", "node_modules/y", "other_venv/lib"):
        write(tmp_path / skipped, {"alembic.ini": ini("script_location = s")})
    write(tmp_path, {"other_venv/pyvenv.cfg": ""})

    tree = found(tmp_path)

    assert (tree.config_file, tree.directory) == (tmp_path / place, folder)


def test_a_relative_script_location_may_be_meant_from_above_the_ini_file(tmp_path: Path) -> None:
    write(tmp_path, {"config/alembic.ini": ini("script_location = app/migrations"), "app/migrations/env.py": ""})

    from_path = found(tmp_path)
    from_git_root = found(tmp_path / "config", git_root=tmp_path)

    assert [each.directory for each in (from_path, from_git_root)] == [tmp_path, tmp_path]


def test_flask_migrate_keeps_the_ini_file_in_the_script_location(tmp_path: Path) -> None:
    write(tmp_path, {"migrations/alembic.ini": ini("# nothing"), **SCRIPTS})

    tree = found(tmp_path)

    assert (tree.script_location, tree.directory, tree.flask) == (tmp_path / "migrations", tmp_path, True)
    assert tree.version_locations == (tmp_path / "migrations/versions",)


def test_the_folder_of_a_flask_project_whose_migrations_are_in_its_package_is_above_the_package(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"app/core/migrations/alembic.ini": ini("# nothing"), "app/core/migrations/env.py": ""})
    write(tmp_path, {"app/__init__.py": "", "app/core/__init__.py": ""})

    (tree,) = find_trees(tmp_path / "app/core")

    assert (tree.script_location, tree.directory) == (tmp_path / "app/core/migrations", tmp_path)


def test_flask_migrate_passes_its_folder_whatever_the_file_says_of_the_script_location(tmp_path: Path) -> None:
    env = "from flask import current_app\n"
    write(tmp_path, {"migrations/alembic.ini": ini("script_location = ."), **SCRIPTS, "migrations/env.py": env})

    tree = found(tmp_path)

    assert (tree.script_location, tree.directory, tree.flask) == (tmp_path / "migrations", tmp_path, True)


def test_several_trees_are_named_on_the_command_line(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, {"alembic.ini": ini("script_location = s"), "s/env.py": ""})

    trees = find_trees(tmp_path, [ConfigFile(tmp_path / name / "alembic.ini", name) for name in ("one", "two")])

    assert [(each.name, each.directory) for each in trees] == [("one", tmp_path / "one"), ("two", tmp_path / "two")]


def test_a_section_is_chosen_by_name(tmp_path: Path) -> None:
    write(tmp_path, {"alembic.ini": "[one]\nscript_location = one\n[two]\nscript_location = two\n"})
    write(tmp_path, {"one/env.py": "", "two/env.py": ""})

    assert found(tmp_path, section="two").script_location == tmp_path / "two"


def test_a_package_that_is_not_found_by_looking_is_left_to_the_interpreter(tmp_path: Path) -> None:
    write(tmp_path, {"alembic.ini": ini("script_location = installed:migrations"), **SCRIPTS})

    tree = found(tmp_path)
    located = tree.located(tmp_path / "migrations")

    assert (tree.unresolved, tree.script_location, tree.version_locations) == (("installed:migrations",), None, ())
    assert (located.unresolved, located.version_locations) == ((), (tmp_path / "migrations/versions",))


def test_a_percent_sign_in_a_value_that_is_not_ours_is_no_problem(tmp_path: Path) -> None:
    write(
        tmp_path, {"alembic.ini": ini("script_location = migrations\nsqlalchemy.url = postgresql://a:b%c@d/%(e)s")}
    )
    write(tmp_path, SCRIPTS)

    assert found(tmp_path).script_location == tmp_path / "migrations"


@pytest.mark.parametrize(
    ("files", "message", "way_out"),
    [
        ({"x.txt": ""}, "There is no alembic.ini", "--config"),
        ({"alembic.ini": ini("x = 1")}, "sets no script_location in [alembic]", "--name"),
        ({"alembic.ini": "[other]\n"}, "has no section [alembic]", "It has [other]"),
        ({"alembic.ini": ini("script_location = gone")}, "is gone, which does not exist", "Correct"),
        ({"alembic.ini": ini("script_location = a"), "a": ""}, "is a, which is not a folder", "Correct"),
        ({"alembic.ini": ini("script_location = a"), "a/x.py": ""}, "There is no env.py in", "alembic init"),
        ({"alembic.ini": "script_location = a"}, "cannot be read: File contains no section headers", "Correct"),
        ({"alembic.ini": ini("script_location = %(x)s")}, "script_location of", "%%"),
        ({"alembic.ini": ini("script_location = a%")}, "script_location of", "%%"),
        (
            {"alembic.ini": ini("script_location = a\nversion_locations = b\npath_separator = |"), "a/env.py": ""},
            "the path separator '|', which Alembic does not know",
            "space, newline, os",
        ),
        (
            {"a/alembic.ini": "", "b/alembic.ini": ""},
            "has 2 Alembic configurations: a/alembic.ini and b/alembic.ini",
            "NAME=",
        ),
        (
            {f"{name}/alembic.ini": "" for name in "abcdefgh"},
            "has 8 Alembic configurations: a/alembic.ini, b/alembic.ini, c/alembic.ini, d/alembic.ini, e/alembic.ini,"
            " f/alembic.ini and 2 more",
            "NAME=",
        ),
        ({"pyproject.toml": "[tool.alembic\n"}, "cannot be read as TOML", "Correct"),
        ({"pyproject.toml": "[tool.alembic]\nscript_location = 1"}, "is not a string", "Alembic"),
        (
            {"pyproject.toml": "[tool.alembic]\nscript_location = 'a'\nversion_locations = 'b'", "a/env.py": ""},
            "is not a list of strings",
            "list",
        ),
        ({"pyproject.toml": "[tool.alembic]\nscript_location = 'a%'"}, "script_location of", "%%"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_with_a_way_out(
    tmp_path: Path, files: dict[str, str], message: str, way_out: str
) -> None:
    write(tmp_path, files)

    with pytest.raises(ProjectError) as caught:
        find_trees(tmp_path)

    assert message in caught.value.sentence
    assert "\n" not in caught.value.sentence
    assert way_out in caught.value.way_out


def test_who_stands_too_deep_in_the_project_is_told_where_it_begins(tmp_path: Path) -> None:
    write(tmp_path, {"app/alembic.ini": "", "app/migrations/versions/a.py": ""})
    deep = tmp_path / "app" / "migrations" / "versions"

    with pytest.raises(ProjectError) as caught:
        find_trees(deep, git_root=tmp_path)

    assert caught.value.way_out == f"There is one in a folder above: `alembic-reviewer review {tmp_path / 'app'}`."


def test_an_ini_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alembic.ini").write_bytes(b"[alembic]\nscript_location = \xff\xfe")

    with pytest.raises(ProjectError, match="is not UTF-8 text"):
        find_trees(tmp_path)


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    write(tmp_path, SCRIPTS)
    (tmp_path / "alembic.ini").write_bytes(b"\xef\xbb\xbf" + ini("script_location = migrations").encode())

    assert found(tmp_path).script_location == tmp_path / "migrations"


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ([ConfigFile(Path("/nowhere/alembic.ini"))], "There is no file /nowhere/alembic.ini"),
        ([ConfigFile(Path("a.ini")), ConfigFile(Path("b.ini"))], "has no name"),
        ([ConfigFile(Path("a.ini"), "x"), ConfigFile(Path("b.ini"), "x")], "x is the name of several"),
    ],
)
def test_a_config_option_that_cannot_work_is_refused(
    tmp_path: Path, configs: list[ConfigFile], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        find_trees(tmp_path, configs)


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="does not exist"):
        find_trees(tmp_path / "nowhere")


def test_the_projects_own_environment_is_used_first(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    active = python_in(tmp_path / "active")
    environment = {"VIRTUAL_ENV": str(active.parent.parent), "PATH": ""}
    project = tmp_path / "packages" / "backend"
    project.mkdir(parents=True)

    chosen = [find_interpreter(project, None, environment)]
    for folder in (tmp_path / ".venv", project / "venv", project / ".venv"):
        python_in(folder)
        chosen.append(find_interpreter(project, None, environment))

    assert chosen == [
        Interpreter((str(active),), "the active virtual environment ($VIRTUAL_ENV)"),
        Interpreter((str(tmp_path / ".venv/bin/python"),), "the project's .venv"),
        Interpreter((str(project / "venv/bin/python"),), "the project's venv"),
        Interpreter((str(project / ".venv/bin/python"),), "the project's .venv"),
    ]


def test_an_environment_above_the_git_root_is_not_the_projects(tmp_path: Path) -> None:
    python_in(tmp_path / ".venv")
    (tmp_path / "project" / ".git").mkdir(parents=True)
    path = python_in(tmp_path / "elsewhere")
    path.rename(path.with_name("python3"))

    chosen = find_interpreter(tmp_path / "project", None, {"PATH": str(path.parent)})

    assert chosen == Interpreter((str(path.with_name("python3")),), "python3 on PATH; the project has no .venv")


@pytest.mark.parametrize("command", ["{}/bin/python -X utf8", "'{}/bin/python' -X utf8", "env/bin/python -X utf8"])
def test_a_given_command_is_split_as_in_a_shell(tmp_path: Path, command: str) -> None:
    python = python_in(tmp_path / "env")

    chosen = find_interpreter(tmp_path, command.format(tmp_path / "env"), {"PATH": ""})

    assert chosen == Interpreter((str(python), "-X", "utf8"), "given with --python")


@pytest.mark.parametrize("command", ["no-such-python", "/no/such/python", "'", " "])
def test_a_given_command_that_does_not_exist_is_refused(tmp_path: Path, command: str) -> None:
    with pytest.raises(UsageError, match="--python"):
        find_interpreter(tmp_path, command, {"PATH": str(tmp_path)})


def test_no_python_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match="No Python was found"):
        find_interpreter(tmp_path, None, {"PATH": str(tmp_path)})
