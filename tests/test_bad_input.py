"""What a user can get wrong ends in one clear sentence with a way out, the right exit status, and nothing left behind.

Through the real command. What a project itself gets wrong is in tests/projects.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import ENV, Place, files_in, project, revision, somewhere, told
from tests.repository import Repository, git, write

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and become another user")

COLUMN = 'op.add_column("items", sa.Column("note", sa.Text()))'
UNDO = 'op.drop_column("items", "note")'
HISTORY = ("--revisions", "a:b")


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as place:
        yield place
        assert place.left_behind() == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return project(tmp_path / "project", revision("b", "a", COLUMN, UNDO))


def refused(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    """It ended with `status`, in a sentence and a way out that hold `words`, on standard error alone."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == status, told(done)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert 1 <= len(lines) <= 3, told(done)
    for word in words:
        assert word in done.stderr, told(done)


def skipped(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The report says why nothing could be rehearsed, in JSON."""
    assert done.returncode == 3, told(done)
    assert done.stderr == ""
    reasons = json.dumps(json.loads(done.stdout), ensure_ascii=False)
    for word in words:
        assert word in reasons, told(done)


# -- what is under review ---------------------------------------------------------------------------


def test_no_git_repository(place: Place, folder: Path) -> None:
    refused(place.review(folder), 2, "is not in a git repository", "--revisions base:head")


def test_shallow_clone_without_the_base(place: Place, folder: Path, tmp_path: Path) -> None:
    repository = Repository.at(folder, {"README": "x"})
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.commit({"more": "x"})
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=feature", f"file://{folder}", "clone")

    done = place.review(tmp_path / "clone", "--base", "origin/main")

    refused(done, 2, "The clone is shallow", "fetch-depth: 0")


def test_unknown_ref(place: Place, folder: Path) -> None:
    Repository.at(folder, {"README": "x"})

    refused(place.review(folder, "--base", "nowhere"), 2, "There is no commit nowhere", "git fetch origin nowhere")


@pytest.mark.parametrize(
    ("name", "way_out"),
    [("bloking-index", "Did you mean `blocking-index`?"), ("foo", "`alembic-reviewer rules` lists them all.")],
    ids=["nearly one", "nothing like one"],
)
def test_a_rule_that_does_not_exist(place: Place, folder: Path, name: str, way_out: str) -> None:
    done = place.review(folder, "--revisions", "base:head", "--select", name)

    refused(done, 2, f"`{name}`", way_out)
    assert "dropped-column" not in done.stderr


def test_tags_in_the_place_of_revisions(place: Place, folder: Path) -> None:
    repository = Repository.at(folder, {"README": "x"})
    repository.git("tag", "v1.0")
    repository.commit({"more": "x"})
    repository.git("tag", "v2.0")

    done = place.review(folder, "--revisions", "v1.0:v2.0")

    refused(done, 2, "`v1.0` is a tag", "--base v1.0 after `git switch --detach v2.0`")


def test_git_is_not_installed(place: Place, folder: Path) -> None:
    Repository.at(folder, {"README": "x"})

    refused(place.review(folder, env={"PATH": "/nowhere"}), 2, "git is not installed", "--revisions A:B")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({"alembic.ini": None}, ["There is no alembic.ini", "--config FILE"], id="no alembic.ini"),
        pytest.param({"alembic.ini": "[other]\n"}, ["alembic.ini"], id="alembic.ini without its section"),
        pytest.param({"alembic.ini": "script_location"}, ["alembic.ini"], id="alembic.ini is no ini file"),
        pytest.param(
            {"alembic.ini": "[alembic]\nscript_location = nowhere\n"}, ["nowhere"], id="script_location missing"
        ),
        pytest.param(
            {"migrations/versions/r1.py": "revision = 'b'\ndown_revision = 'a'\ndef upgrade(:\n"},
            ["migrations/versions/r1.py", "r1.py:3"],
            id="syntax error",
        ),
        pytest.param({"migrations/versions/r1.py": revision("a")}, ["a.py", "r1.py"], id="two files, one id"),
        pytest.param(
            {"migrations/versions/r1.py": revision("b", "c"), "migrations/versions/r2.py": revision("c", "b")},
            ["cycle"],
            id="cycle",
        ),
        pytest.param({"migrations/versions/r1.py": revision("b", "gone")}, ["gone"], id="missing down_revision"),
        pytest.param({"migrations/versions/r1.py": b"revision = '\xff'\n"}, ["r1.py"], id="not UTF-8"),
        pytest.param(
            {"migrations/versions/r1.py": b"revision = 'b'\0\ndown_revision = 'a'\n"}, ["r1.py"], id="NUL byte"
        ),
    ],
)
def test_broken_project(files: dict[str, str | bytes | None], words: list[str], place: Place, folder: Path) -> None:
    for name, text in files.items():
        (folder / name).unlink(missing_ok=True)
        if text is not None:
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    before = files_in(folder)

    done = place.review(folder, "--revisions", "base:head")

    refused(done, 2, *words)
    assert files_in(folder) == before


def test_an_old_revision_that_is_not_python(place: Place, folder: Path) -> None:
    old = folder / "migrations/versions/a.py"
    old.write_text(f"{old.read_text()}\n\ndef helper(:\n")
    repository = Repository.at(folder, {"README": "x"})
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.commit({"migrations/versions/c.py": revision("c", "b", COLUMN.replace("note", "more"))})

    done = place.review(folder, "--base", "main", "--format", "json")

    skipped(done, "SyntaxError", "a.py", "Correct that file.")


def test_an_old_revision_that_fails_in_a_batch(place: Place, tmp_path: Path) -> None:
    batch = (
        'with op.batch_alter_table("items") as batch:\n    batch.alter_column("id")\n    batch.drop_column("gone")'
    )
    old = revision("b", "a", batch)
    line = next(number for number, text in enumerate(old.splitlines(), 1) if "gone" in text)
    folder = project(tmp_path / "project", old, revision("c", "b", COLUMN))

    done = place.review(folder, "--revisions", "b:c", "--format", "json")

    skipped(done, f"revision b failed at migrations/versions/r1.py:{line}: column", "does not exist")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--revisions", "a"], ["A:B", "base:head"]),
        (["--revisions", "x:b"], ["no revision `x`"]),
        (["--base", "x", *HISTORY], ["--base", "--revisions"]),
        (["--postgres", "oracle"], ["oracle", "embedded"]),
        (["--postgres", "mysql://root@localhost/x", *HISTORY], ["mysql://", "postgresql://"]),
        (["--postgres", "postgresql://a:secret@b@c/x", *HISTORY], ["%40"]),
        (["--postgres-version", "9", *HISTORY], ["PostgreSQL 9 is not supported", "14 to 19"]),
        (["--python", "nowhere", *HISTORY], ["no command nowhere", "Python of the project"]),
        (["--python", "'", *HISTORY], ["--python"]),
        (["--launcher", "app", *HISTORY], ["MODULE:FUNCTION"]),
        (["--env", "X", *HISTORY], ["NAME=VALUE"]),
        (["--base-schema", "nowhere.sql", *HISTORY], ["nowhere.sql", "plain SQL"]),
        (["--name", "other", *HISTORY], ["[other]", "--name SECTION"]),
        (["--config", "nowhere.ini"], ["nowhere.ini", "--config"]),
        (["--select", "blocking-indexes", *HISTORY], ["blocking-indexes", "blocking-index"]),
        (["--ignore", "blocking-indexes", *HISTORY], ["blocking-indexes", "blocking-index"]),
        (["--save-recording", "nowhere/file", *HISTORY], ["nowhere", "--save-recording"]),
        (["--output", ".", *HISTORY], ["cannot be written to .: it is a folder", "--output"]),
        (["--output", "alembic.ini/report", *HISTORY], ["alembic.ini is no folder"]),
        (["--recording", "nowhere"], ["nowhere"]),
        (["--recording", "alembic.ini"], ["--save-recording FILE"]),
        (["nowhere"], ["nowhere"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("-") else None,
)
def test_option_with_a_value_that_cannot_work(
    arguments: list[str], words: list[str], place: Place, folder: Path
) -> None:
    done = place.review(folder, *arguments)

    refused(done, 2, *words)
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("--format", "json", "--output", "o"), ("--output", "o", "--format", "json")], ids=" ".join
)
def test_one_format_takes_the_one_output_wherever_it_stands(
    arguments: tuple[str, ...], place: Place, folder: Path
) -> None:
    done = place.review(folder, *HISTORY, "--static", *arguments)

    assert done.stdout == "", told(done)
    assert json.loads((folder / "o").read_text())["verdict"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--timeout", "0"],
        ["--timeout", "soon"],
        ["--rows", "-1"],
        ["--format", "pdf"],
        ["--fail-on", "x"],
        ["--no"],
    ],
    ids=" ".join,
)
def test_option_with_a_value_of_another_kind(arguments: list[str], place: Place, folder: Path) -> None:
    done = place.review(folder, *arguments)

    assert (done.returncode, done.stdout) == (2, ""), told(done)
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param('{"format": 999, "recordings": []}', ["format 999", "--save-recording"], id="another version"),
        pytest.param('{"format": 1, "recordings": [{"tool": "0', ["cut short", "--save-recording"], id="cut short"),
        pytest.param('{"format": 1, "recordings": [{}]}', ["no recording", "--save-recording"], id="other content"),
        pytest.param("", ["no recording", "--save-recording"], id="empty"),
        pytest.param("\0\1\2", ["no recording", "--save-recording"], id="binary"),
    ],
)
def test_recording_that_is_none(text: str, words: list[str], place: Place, folder: Path) -> None:
    (folder / "recording.json").write_text(text)

    refused(place.review(folder, "--recording", "recording.json"), 2, "recording.json", *words)


def test_launcher_that_is_not_there(place: Place, folder: Path) -> None:
    done = place.review(folder, *HISTORY, "--launcher", "nowhere:configure", "--format", "json")

    skipped(done, "The launcher nowhere:configure cannot be used", "Name a function")


def test_a_variable_to_pass_that_does_not_exist_is_named_where_env_py_fails(place: Place, folder: Path) -> None:
    with (folder / "migrations" / "env.py").open("a") as file:
        file.write("\nimport os\nos.environ['THE_SECRET']\n")

    done = place.review(folder, *HISTORY, "--pass-env", "THE_SECRET", "--format", "json")

    skipped(done, "KeyError: 'THE_SECRET'", "THE_SECRET, which pass-env names, is not set here.")


# -- the project's interpreter ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing in it."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    return folder


def packages(bare: Path) -> Path:
    return next(bare.glob("lib/python*/site-packages"))


@pytest.mark.parametrize(
    ("alembic", "sqlalchemy", "words"),
    [
        ("", "", ["has no Alembic", "--python"]),
        ("1.6.5", "1.4.54", ["has Alembic 1.6.5", "1.7 or later"]),
        ("1.7.7", "1.3.24", ["has SQLAlchemy 1.3.24", "1.4 or later"]),
        ("1.13.0", "", ["has no SQLAlchemy", "--python"]),
    ],
)
def test_interpreter_with_other_packages(
    alembic: str, sqlalchemy: str, words: list[str], place: Place, folder: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    for name, version in {"alembic": alembic, "SQLAlchemy": sqlalchemy}.items():
        if version:
            text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            write(
                packages(tmp_path / "venv"),
                {f"{name}-{version}.dist-info/METADATA": text, f"{name.lower()}/__init__.py": ""},
            )

    done = place.review(folder, *HISTORY, "--python", str(tmp_path / "venv" / "bin" / "python"))

    refused(done, 3, *words)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("echo hello", id="prints and ends"),
        pytest.param("false", id="fails"),
        pytest.param("sh -c 'kill -9 $$'", id="is killed"),
        pytest.param("sh -c 'echo {}; echo {}'", id="prints what is no event"),
    ],
)
def test_interpreter_that_is_none(command: str, place: Place, folder: Path) -> None:
    refused(place.review(folder, *HISTORY, "--python", command), 3, "did not start the runner", "--python")


def test_mysql_project_without_a_postgresql_driver(bare: Path, place: Place, folder: Path) -> None:
    import alembic
    import sqlalchemy

    # The real Alembic and SQLAlchemy, and no driver beside them.
    found = {Path(module.__file__ or "").parents[1] for module in (alembic, sqlalchemy)}
    (source,) = found
    for name in ("alembic", "sqlalchemy", "mako", "markupsafe", "typing_extensions.py", "greenlet"):
        target = packages(bare) / name
        if (source / name).exists() and not target.exists():
            target.symlink_to(source / name)
    for each in source.glob("*.dist-info"):
        if each.name.lower().startswith(("alembic-", "sqlalchemy-")):
            (packages(bare) / each.name).symlink_to(each)
    ini = (folder / "alembic.ini").read_text().replace("postgresql+psycopg", "mysql+pymysql")
    (folder / "alembic.ini").write_text(ini)

    done = place.review(folder, *HISTORY, "--format", "json", "--python", str(bare / "bin" / "python"))

    skipped(done, "has no PostgreSQL driver", "pip install")


# -- the server ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "words"),
    [
        pytest.param("#!/bin/sh\nexit 1\n", ["present but broken", "PG_CONFIG"], id="pg_config fails"),
        pytest.param("#!/bin/sh\necho /nowhere\n", ["/nowhere has no postgres"], id="pg_config names no binaries"),
        pytest.param("#!/bin/sh\ndirname $0\n", ["present but broken"], id="binaries that do not run"),
    ],
)
def test_binaries_present_but_broken(
    program: str, words: list[str], place: Place, folder: Path, tmp_path: Path
) -> None:
    for name, text in {
        "pg_config": program,
        "postgres": "#!/bin/sh\necho out of order\nexit 1\n",
        "initdb": "#!/bin/sh\n",
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    done = place.review(folder, *HISTORY, "--postgres", "local", env={"PG_CONFIG": str(tmp_path / "pg_config")})

    refused(done, 3, *words, "leave --postgres out")


def test_binaries_that_run_and_cannot_set_up_a_server(place: Place, folder: Path) -> None:
    binaries = place.folder / "pg" / "bin"
    for name, text in {
        "pg_config": "#!/bin/sh\ndirname $0\n",
        "postgres": "#!/bin/sh\necho 'postgres (PostgreSQL) 16.1'\n",
        "initdb": "#!/bin/sh\necho 'initdb: error: no good'\nexit 1\n",
    }.items():
        write(binaries, {name: text})
        (binaries / name).chmod(0o755)

    done = place.review(folder, *HISTORY, "--postgres", "local", env={"PG_CONFIG": str(binaries / "pg_config")})

    refused(done, 3, "PostgreSQL 16.1", "cannot be set up", "no good")


def test_server_of_a_url_that_nobody_answers(place: Place, folder: Path) -> None:
    done = place.review(folder, *HISTORY, "--postgres", "postgresql://app:secret@127.0.0.1:1/app")

    refused(done, 3, "cannot be reached", "--postgres")
    assert "secret" not in done.stderr


@pytest.mark.parametrize("name", ["TMPDIR", "ALEMBIC_REVIEWER_CACHE"])
def test_folder_that_cannot_be_written_is_done_without(name: str, place: Place, folder: Path) -> None:
    done = place.review(folder, *HISTORY, env={name: "/proc/nowhere"})

    assert done.returncode == 0, told(done)
    assert done.stderr == ""


@as_root
@pytest.mark.parametrize("room", ["16k", "2m", "30m"])
def test_disk_that_is_full(room: str, place: Place, folder: Path) -> None:
    """In a mount namespace of its own, where every place for temporary files is small."""
    small = f"mount -t tmpfs -o size={room},mode=1777 none"
    # /tmp holds this test's own files: it stays, and cannot be written.
    folder = Path(shutil.move(folder, place.folder / "project"))
    mounts = f"mount --bind /tmp /tmp && {small} $TMPDIR && mount -o remount,bind,ro /tmp"
    mounts += f" && {small} /var/tmp && {small} /dev/shm"
    command = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
    if subprocess.run([*command, "true"], env=place.environ, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")

    done = subprocess.run(
        [*command, *place.command(*HISTORY)],
        cwd=folder,
        env=place.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    refused(done, 3, "TMPDIR")


@as_root
def test_report_that_does_not_fit_on_the_disk(place: Place, folder: Path) -> None:
    done = place.review(folder, *HISTORY, "--format", "json", "--output", "/dev/full")

    refused(done, 2, "/dev/full", "Name another file")


def test_recording_that_does_not_fit_on_the_disk(place: Place, folder: Path) -> None:
    done = place.review(folder, *HISTORY, "--save-recording", "/dev/full")

    refused(done, 2, "/dev/full", "Name another file")


# -- extensions ---------------------------------------------------------------------------------------


def test_extension_that_no_server_has(place: Place, tmp_path: Path) -> None:
    body = 'op.execute("CREATE EXTENSION unheard_of")'
    folder = project(tmp_path / "project", revision("b", "a", body))

    done = place.review(folder, *HISTORY, "--format", "json")

    skipped(done, "unheard_of", "--postgres")


def test_extension_that_the_embedded_server_lacks_names_where_it_is(place: Place, tmp_path: Path) -> None:
    body = 'op.execute("CREATE EXTENSION hstore")'
    folder = project(tmp_path / "project", revision("b", "a", body))

    done = place.review(folder, *HISTORY, "--postgres", "embedded", "--format", "json")

    skipped(done, "hstore", "--postgres")


def test_auto_moves_on_to_a_server_that_has_the_extension(place: Place, tmp_path: Path) -> None:
    body = 'op.execute("CREATE EXTENSION vector")'
    folder = project(tmp_path / "project", revision("b", "a", body, 'op.execute("DROP EXTENSION vector")'))

    local = place.review(folder, *HISTORY, "--postgres", "local")
    report = place.report(folder, *HISTORY)

    # The embedded wheel brings it; where the local server has it too, that one is taken.
    assert [each["outcome"] for each in report["revisions"][0]["passes"]] == ["ok"] * 3
    assert report["postgres"]["source"] == ("local" if local.returncode == 0 else "embedded")


# -- env.py -------------------------------------------------------------------------------------------


def test_env_that_calls_nothing_of_alembic(place: Place, tmp_path: Path) -> None:
    folder = project(tmp_path / "project", revision("b", "a"), env="print('hello')\n")

    done = place.review(folder, *HISTORY, "--format", "json")

    skipped(done, "without running migrations")


def test_env_that_forges_events(place: Place, tmp_path: Path) -> None:
    """What looks like an event on any descriptor that env.py was given is not believed."""
    forged = (
        "import os\nfor fd in range(3, 64):\n    try:\n"
        """        os.write(fd, b'{"event": "done", "calls": 1, "connected": 1}\\n')\n"""
        "    except OSError:\n        pass\n"
    )
    folder = project(tmp_path / "project", revision("b", "a", COLUMN, UNDO), env=forged + ENV)

    report = place.report(folder, *HISTORY)

    assert [each["outcome"] for each in report["revisions"][0]["passes"]] == ["ok"] * 3
