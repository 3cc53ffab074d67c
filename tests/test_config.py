"""The configuration: the command line over the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from reviewer.config import Config, Output, PathSettings, find_file, load
from reviewer.errors import UsageError
from reviewer.project.discovery import ConfigFile
from reviewer.review.finding import Severity
from tests.repository import write

EVERYTHING = """
revisions = "a:head"
config = { main = "alembic.ini", other = "db/alembic.ini" }
x = ["tenant=a", "dry"]
name = "section"
launcher = "app.db:launch"
python = "uv run python"
env = { A = "1", DATABASE_URL = "{url}" }
pass-env = ["TOKEN"]
postgres = "embedded"
postgres-version = 16
postgres-image = "postgis/postgis:16-3.4"
static = true
base-schema = "schema.sql"
base-from = "models"
rows = 5
seed = "seed.sql"
fail-on = "warning"
select = ["a", "b"]
ignore = ["c"]
timeout = 1.5
severity = { d = "notice" }
stats = "stats.json"
small-table = 500
hot-tables = ["users", "app.orders"]
floor-revision = "a"
one-way-revisions = ["b"]
extensions = ["postgis"]

[paths."legacy/**"]
ignore = ["e"]
severity = { f = "warning" }
"""


def test_without_anything_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    assert load({"path": tmp_path}) == Config(path=tmp_path)
    assert Config().outputs == (Output("text"),)
    assert (Config().rows, Config().timeout, Config().fail_on, Config().postgres) == (
        100,
        300,
        Severity.ERROR,
        "auto",
    )


@pytest.mark.parametrize(
    "files",
    [
        {"alembic-reviewer.toml": EVERYTHING},
        {
            "pyproject.toml": "[tool.alembic-reviewer]"
            + EVERYTHING.replace("[paths.", "[tool.alembic-reviewer.paths."),
        },
    ],
    ids=["a file of our own", "pyproject.toml"],
)
def test_everything_can_be_set_in_a_file(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, files)

    assert load({"path": tmp_path}) == Config(
        path=tmp_path,
        revisions="a:head",
        configs=(ConfigFile(tmp_path / "alembic.ini", "main"), ConfigFile(tmp_path / "db/alembic.ini", "other")),
        x=("tenant=a", "dry"),
        section="section",
        launcher="app.db:launch",
        python="uv run python",
        env={"A": "1", "DATABASE_URL": "{url}"},
        pass_env=("TOKEN",),
        postgres="embedded",
        postgres_version=16,
        postgres_image="postgis/postgis:16-3.4",
        static=True,
        base_schema=tmp_path / "schema.sql",
        base_from="models",
        rows=5,
        seed=tmp_path / "seed.sql",
        fail_on=Severity.WARNING,
        select=("a", "b"),
        ignore=("c",),
        timeout=1.5,
        severity={"d": Severity.NOTICE},
        paths=(PathSettings("legacy/**", ("e",), {"f": Severity.WARNING}),),
        stats=tmp_path / "stats.json",
        small_table=500,
        hot_tables=("users", "app.orders"),
        floor_revision="a",
        one_way_revisions=("b",),
        extensions=("postgis",),
        source=tmp_path / next(iter(files)),
    )


def test_a_flag_overrides_the_file_and_an_absent_one_does_not(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"alembic-reviewer.toml": 'rows = 5\ntimeout = 9\nselect = ["a"]\nenv = ["A=1", "B=2"]\nstatic = true'},
    )

    found = load({"path": tmp_path, "rows": 7, "timeout": None, "select": (), "env": ("B=3",), "static": False})

    assert (found.rows, found.timeout, found.select, found.static) == (7, 9, ("a",), True)
    assert found.env == {"A": "1", "B": "3"}


def test_flags_are_read_as_they_are_written_on_the_command_line(tmp_path: Path) -> None:
    found = load(
        {
            "path": tmp_path,
            "config": ("db/alembic.ini", "other=two/alembic.ini", "a/b=c.ini"),
            "x": ("tenant=a=b",),
            "name": "section",
            "outputs": (("text", None), ("json", "report.json")),
            "save_recording": "r.json",
            "fail_on": "never",
            "select": ("a,b", "c"),
            "postgres": "postgresql://h/db",
            "postgres_version": 17,
        }
    )

    assert found == Config(
        path=tmp_path,
        configs=(
            ConfigFile(Path("db/alembic.ini")),
            ConfigFile(Path("two/alembic.ini"), "other"),
            ConfigFile(Path("a/b=c.ini")),
        ),
        x=("tenant=a=b",),
        section="section",
        outputs=(Output("text"), Output("json", Path("report.json"))),
        save_recording=Path("r.json"),
        fail_on=None,
        select=("a", "b", "c"),
        postgres="postgresql://h/db",
        postgres_version=17,
    )


@pytest.mark.parametrize(
    ("file", "flags", "rows"),
    [
        ("rows = 5", {"no_rows": True}, 0),
        ("no-rows = true", {}, 0),
        ("no-rows = true", {"rows": 3}, 3),
        ("", {"rows": 0}, 0),
    ],
)
def test_rows_can_be_turned_off(tmp_path: Path, file: str, flags: dict[str, object], rows: int) -> None:
    write(tmp_path, {"alembic-reviewer.toml": file})

    assert load({"path": tmp_path, **flags}).rows == rows


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"base": "main"}, ("main", None)),
        ({"revisions": "x:y"}, (None, "x:y")),
        ({}, (None, "a:head")),
    ],
)
def test_a_flag_for_what_is_new_replaces_the_files_answer(
    tmp_path: Path, flags: dict[str, object], expected: tuple[str | None, str | None]
) -> None:
    write(tmp_path, {"alembic-reviewer.toml": 'revisions = "a:head"'})

    found = load({"path": tmp_path, **flags})

    assert (found.base, found.revisions) == expected


def test_two_answers_to_what_is_new_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--base and --revisions"):
        load({"path": tmp_path, "base": "main", "revisions": "a:b"})
    write(tmp_path, {"alembic-reviewer.toml": 'revisions = "a:head"\nbase = "main"'})
    with pytest.raises(UsageError, match="`base` and `revisions`"):
        load({"path": tmp_path})


def test_the_projects_folder_comes_before_the_git_root(tmp_path: Path) -> None:
    backend = write(tmp_path / "backend", {"alembic.ini": "", "pyproject.toml": "[project]\nname = 'x'\n"})
    write(tmp_path, {"pyproject.toml": "[tool.alembic-reviewer]\nrows = 1\n"})

    from_root = find_file(backend / "alembic.ini", tmp_path)
    write(backend, {"alembic-reviewer.toml": ""})
    from_folder = find_file(backend, tmp_path)

    assert (from_root, from_folder) == (tmp_path / "pyproject.toml", backend / "alembic-reviewer.toml")


def test_two_files_in_one_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"alembic-reviewer.toml": "", "pyproject.toml": "[tool.alembic-reviewer]\n"})

    with pytest.raises(UsageError, match="both configure the reviewer"):
        load({"path": tmp_path})


@pytest.mark.parametrize(
    ("text", "message", "way_out"),
    [
        (
            "[tool.alembic-reviewer]\nrows = 5",
            "alembic-reviewer.toml do not belong in a table",
            "Remove the line [tool.alembic-reviewer].",
        ),
        ("hot-table = []", "alembic-reviewer.toml: unknown key `hot-table`", "Did you mean `hot-tables`?"),
        ("hot_tables = []", "unknown key `hot_tables`", "Did you mean `hot-tables`?"),
        ("path = 'x'", "unknown key `path`", "Did you mean `paths`?"),
        ("recording = 'x'", "unknown key `recording`", "Valid names are base, "),
        ("zzz = 1", "unknown key `zzz`", "Valid names are base, "),
        ("paths = {'a' = {ignored = []}}", 'unknown key `ignored` in paths."a"', "Did you mean `ignore`?"),
        ("rows = '5'", "`rows` is '5', which is not a whole number of at least 0", "Correct"),
        ("rows = -1", "`rows` is -1, which is not a whole number of at least 0", "Correct"),
        ("rows = true", "`rows` is True, which is not a whole number", "Correct"),
        ("timeout = 0", "`timeout` is 0, which is not a number of seconds above 0", "Correct"),
        ("timeout = inf", "`timeout` is inf, which is not a number of seconds", "Correct"),
        ("static = 'yes'", "`static` is 'yes', which is not true or false", "Correct"),
        ("select = [1]", "`select` is [1], which is not a list of strings", "Correct"),
        ("launcher = ['a']", "`launcher` is ['a'], which is not a text", "Correct"),
        ("base = ' '", "`base` is ' ', which is not a text", "Correct"),
        ("env = ['A']", "`env` is 'A', which is not of the form NAME=VALUE", "Correct"),
        ("env = {A = 1}", "which is not a table of strings", "Correct"),
        (
            "fail-on = 'errors'",
            "`fail-on` is 'errors', which is not one of error, warning, notice, never",
            "Correct",
        ),
        (
            "severity = {a = 'fatal'}",
            "`severity.a` is 'fatal', which is not one of error, warning, notice",
            "Correct",
        ),
        ("severity = 'error'", "`severity` is 'error', which is not a table", "Correct"),
        ("paths = {a = 1}", '`paths."a"` is 1, which is not a table', "Correct"),
        ("postgres = 'remote'", "`postgres` is 'remote', which is not one of auto, local", "Correct"),
        ("base-from = 'x'", "`base-from` is 'x', which is not one of history, models", "Correct"),
        ("rows = ", "cannot be read as TOML", "Correct"),
    ],
)
def test_a_mistake_in_the_file_names_the_nearest_right_thing(
    tmp_path: Path, text: str, message: str, way_out: str
) -> None:
    write(tmp_path, {"alembic-reviewer.toml": text})

    with pytest.raises(UsageError) as caught:
        load({"path": tmp_path})

    assert message in caught.value.sentence
    assert "alembic-reviewer.toml" in caught.value.sentence
    assert way_out in caught.value.way_out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"env": ("A",)}, "--env A is not of the form NAME=VALUE"),
        ({"x": ("=a",)}, "-x =a is not of the form NAME=VALUE"),
        ({"fail_on": "errors"}, "--fail-on errors is not one of error, warning, notice, never"),
        ({"outputs": (("xml", None),)}, "--format xml is not one of text, json"),
        ({"outputs": (("json", None), ("text", None))}, "Two reports cannot both go to standard output"),
        ({"postgres_version": 0}, "--postgres-version 0 is not a whole number of at least 1"),
    ],
)
def test_a_mistake_on_the_command_line_names_the_option(
    tmp_path: Path, flags: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load({"path": tmp_path, **flags})

    assert message in caught.value.sentence
    assert caught.value.way_out


@pytest.mark.parametrize("table", ["tool.alembic-reviewer = 1", "[[tool.alembic-reviewer]]"])
def test_our_table_must_be_a_table(tmp_path: Path, table: str) -> None:
    write(tmp_path, {"pyproject.toml": table})

    with pytest.raises(UsageError, match="is not a table"):
        load({"path": tmp_path})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(select=("bloking-index",)), "`select` names the rule `bloking-index`"),
        (Config(ignore=("bloking-index",)), "`ignore` names the rule `bloking-index`"),
        (Config(severity={"bloking-index": Severity.NOTICE}), "`severity` names the rule `bloking-index`"),
        (Config(paths=(PathSettings("a", ("bloking-index",)),)), '`paths."a"` names the rule `bloking-index`'),
    ],
)
def test_a_rule_that_does_not_exist_is_refused_with_the_nearest(config: Config, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        config.check_rules({"blocking-index", "dropped-column"})

    assert message in caught.value.sentence
    assert caught.value.way_out == "Did you mean `blocking-index`?"


def test_where_no_rule_is_near_the_list_is_named_and_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        Config(select=("foo",)).check_rules({"blocking-index", "dropped-column"})

    assert caught.value.way_out == "`alembic-reviewer rules` lists them all."


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("0001_*.py", "migrations/versions/0001_first.py", True),
        ("0001_*.py", "migrations/versions/10001_x.py", False),
        ("versions/*.py", "migrations/versions/a.py", True),
        ("versions/*.py", "migrations/versions/old/a.py", False),
        ("versions/**", "migrations/versions/old/a.py", True),
        ("migrations/**/a.py", "migrations/a.py", True),
        ("migrations/**/a.py", "migrations/x/y/a.py", True),
        ("./migrations/a?.py", "migrations/ab.py", True),
        ("a.py", "a_py", False),
        ("[a].py", "a.py", False),
    ],
)
def test_a_pattern_is_the_end_of_a_path(pattern: str, path: str, matches: bool) -> None:
    assert PathSettings(pattern).matches(path) is matches


def test_settings_for_a_path_come_on_top_of_the_general_ones() -> None:
    legacy = PathSettings("legacy/**", ("b",), {"c": Severity.NOTICE})
    config = Config(ignore=("a",), severity={"c": Severity.WARNING}, paths=(legacy,))

    ignored = [config.ignored(rule, path) for rule in "ab" for path in ("legacy/x.py", "new/x.py")]
    severities = [config.severity_of("c", Severity.ERROR, path) for path in ("legacy/x.py", "new/x.py", None)]

    assert ignored == [True, True, True, False]
    assert severities == [Severity.NOTICE, Severity.WARNING, Severity.WARNING]


def test_the_name_of_a_group_stands_for_its_rules() -> None:
    config = Config(select=("history", "blocking-index"), paths=(PathSettings("old/**", ignore=("schema",)),))

    told = config.without_groups({"history": ["broken-history", "several-heads"], "schema": ["json-column"]})

    assert told.select == ("broken-history", "several-heads", "blocking-index")
    assert told.ignored("json-column", "old/a.py")
    assert not told.ignored("json-column", "new/a.py")
