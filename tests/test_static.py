"""A review without a server: every new revision rendered by itself, up and down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Place, project, revision, somewhere

FORGE = """
for fd in {int(name) for name in os.listdir('/dev/fd')} - {0, 1, 2}:
    try:
        os.write(fd, b'\\n{"event": "unrendered", "id": "nobody", "kind": "raised", "message": "forged"}\\n')
    except OSError:
        pass
"""


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as found:
        yield found


def column(number: int) -> tuple[str, str]:
    return f'op.add_column("items", sa.Column("c{number}", sa.Integer()))', f'op.drop_column("items", "c{number}")'


def downgrades(report: dict[str, object]) -> dict[str, list[str]]:
    revisions = report["revisions"]
    assert isinstance(revisions, list)
    return {
        each["id"]: [statement["sql"] for ran in each["passes"] for statement in ran["statements"]]
        for each in revisions
        for each["passes"] in [[ran for ran in each["passes"] if ran["direction"] == "downgrade"]]
    }


def test_the_downgrades_of_several_new_revisions_are_rendered(place: Place, tmp_path: Path) -> None:
    folder = project(
        tmp_path / "project",
        revision("b", "a", *column(1)),
        revision("c", "b", *column(2)),
        revision("d", "b", *column(3)),
        revision("e", "c", *column(4)).replace("'c'", "('c', 'd')"),
    )

    report = place.report(folder, "--revisions", "a:head", "--static")

    assert report["skipped"] == []
    assert downgrades(report) == {
        name: [f"ALTER TABLE items DROP COLUMN c{number};"] for number, name in enumerate("bcde", 1)
    }


def test_an_event_that_a_revision_has_forged_is_no_crash_and_makes_the_review_an_error(
    place: Place, tmp_path: Path
) -> None:
    up, down = column(1)
    folder = project(tmp_path / "project", revision("b", "a", FORGE + up, down))

    done = place.review(folder, "--revisions", "a:head", "--static", "--format", "json")

    report = json.loads(done.stdout)
    assert (done.returncode, report["verdict"]) == (3, "error"), done.stdout + done.stderr
    assert [each["id"] for each in report["revisions"]] == ["b"]
    assert any("a line that is not the runner's" in error for error in report["errors"]), report["errors"]


WRAPPED = """
try:
    import nothing_of_that_name
except ImportError as error:
    raise RuntimeError("the application is missing") from error
"""


def test_what_does_not_import_fails_with_a_database_too_and_what_only_wants_one_is_skipped(
    place: Place, tmp_path: Path
) -> None:
    gone = "op.execute('SELECT 1')\nfrom app.config import settings"
    folder = project(
        tmp_path / "project",
        revision("b", "a", gone, WRAPPED),
        revision("c", "b", "pass", "from os import nothing_of_that_name"),
        revision("d", "c", 'op.get_bind().execute(sa.text("SELECT 1")).scalar() + 1'),
    )

    done = place.review(folder, "--revisions", "a:head", "--static", "--format", "json")

    report = json.loads(done.stdout)
    failing = [each for each in report["findings"] if each["severity"] == "error"]
    assert [(each["rule"], each["path"][-5:], each["line"], each["basis"]) for each in failing] == [
        ("failing-upgrade", "r1.py", 13, "parsed"),
        ("failing-downgrade", "r1.py", 20, "parsed"),
        ("failing-downgrade", "r2.py", 16, "parsed"),
    ]
    assert "fails to import: No module named 'app'" in failing[0]["message"]
    assert "'nothing_of_that_name' (RuntimeError: the application is missing)" in failing[1]["message"]
    assert "cannot import name 'nothing_of_that_name' from 'os'" in failing[2]["message"]
    assert [each["what"] for each in report["skipped"]] == ["upgrade of revision d"]
    assert (done.returncode, report["errors"]) == (1, [])


HISTORY = """
op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("name", sa.String(50)),
    sa.Column("score", sa.Numeric(10, 2)), sa.Column("seen", sa.DateTime()))
op.create_check_constraint("name_is_set", "users", "name IS NOT NULL")
op.execute("CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
"""


ASIDE = {"endless-lock-wait", "missing-downgrade"}


def found(place: Place, folder: Path) -> list[tuple[str, str]]:
    report = place.report(folder, "--revisions", "b:head", "--static")
    assert report["skipped"] == []
    return [(each["severity"], each["rule"]) for each in report["findings"] if each["rule"] not in ASIDE]


@pytest.mark.parametrize(
    ("upgrade", "told"),
    [
        ('op.alter_column("users", "score", type_=sa.Numeric(14, 2))', []),
        ('op.alter_column("users", "name", nullable=False)', []),
        ('op.alter_column("users", "id", nullable=False)', []),
        (
            'op.alter_column("users", "seen", type_=sa.DateTime(timezone=True))',
            [("warning", "rewriting-type-change"), ("notice", "type-changed-for-old-code")],
        ),
        ('op.alter_column("users", "name", type_=sa.Integer())', [("warning", "failing-upgrade")]),
        (
            """op.execute("ALTER TABLE users ADD COLUMN mood feeling")""",
            [("warning", "failing-upgrade")],
        ),
        ("""op.execute("CREATE TYPE mood AS ENUM ('good')")""", [("warning", "failing-upgrade")]),
        ("""op.add_column("users", sa.Column("name", sa.Text()))""", [("warning", "failing-upgrade")]),
        ("""op.create_table("users", sa.Column("id", sa.BigInteger()))""", [("warning", "failing-upgrade")]),
        (
            """op.execute("ALTER TABLE users ADD COLUMN n positive DEFAULT 1")""",
            [("error", "rewriting-domain-column")],
        ),
        ("""op.execute("COMMIT")""", [("error", "transaction-control")]),
    ],
    ids=[
        "a type that is stored alike",
        "a CHECK that proves NOT NULL",
        "NOT NULL already",
        "a change that depends on the time zone",
        "a change that PostgreSQL has no cast for",
        "a type that nobody has created",
        "a type that is there",
        "a column that is there",
        "a table that is there",
        "a domain with a constraint",
        "a COMMIT of the revision's own",
    ],
)
def test_earlier_revisions_tell_what_the_base_state_is(
    place: Place, tmp_path: Path, upgrade: str, told: list[tuple[str, str]]
) -> None:
    folder = project(
        tmp_path / "project",
        revision("b", "a", HISTORY, "pass"),
        revision("c", "b", upgrade, "pass"),
    )

    assert found(place, folder) == told


def test_an_earlier_revision_that_cannot_be_rendered_is_said_once_and_what_it_names_is_not_known(
    place: Place, tmp_path: Path
) -> None:
    looks = "assert op.get_bind().execute(sa.text('SELECT count(*) FROM users')).scalar()"
    folder = project(
        tmp_path / "project",
        revision("b", "a", HISTORY, "pass"),
        revision("c", "b", looks, "pass"),
        revision("d", "c", 'op.alter_column("users", "score", type_=sa.Numeric(14, 2))', "pass"),
    )

    report = place.report(folder, "--revisions", "c:head", "--static")

    assert [each["what"] for each in report["skipped"]] == ["what revision c did before"]
    told = [(each["severity"], each["rule"]) for each in report["findings"] if each["rule"] not in ASIDE]
    assert told == [("notice", "rewriting-type-change")]


def test_without_a_server_too_one_upgrade_runs_several_revisions_in_one_transaction(
    place: Place, tmp_path: Path
) -> None:
    folder = project(
        tmp_path / "project",
        revision("b", "a", HISTORY, "pass"),
        revision(
            "c", "b", 'op.create_check_constraint("c", "users", "score > 0", postgresql_not_valid=True)', "pass"
        ),
        revision("d", "c", 'op.execute("ALTER TABLE users VALIDATE CONSTRAINT c")', "pass"),
    )

    assert ("error", "validated-in-same-transaction") in found(place, folder)


def test_an_enum_type_that_the_downgrade_forgets_is_told(place: Place, tmp_path: Path) -> None:
    up = 'op.create_table("pets", sa.Column("mood", sa.Enum("x", name="pet_mood")))'
    folder = project(
        tmp_path / "project",
        revision("b", "a", HISTORY, "pass"),
        revision("c", "b", up, 'op.drop_table("pets")'),
        revision("d", "c", up.replace("pet", "dog"), 'op.drop_table("dogs")\nop.execute("DROP TYPE dog_mood")'),
    )

    report = place.report(folder, "--revisions", "b:head", "--static")

    assert [(each["rule"], each["revision"]) for each in report["findings"]] == [("incomplete-downgrade", "c")]


def test_nothing_is_said_of_a_downgrade_whose_upgrade_is_not_known(place: Place, tmp_path: Path) -> None:
    looks = "assert op.get_bind().execute(sa.text('SELECT 1')).scalar()"
    folder = project(tmp_path / "project", revision("b", "a", looks, 'op.drop_column("users", "age")'))

    done = place.review(folder, "--revisions", "a:head", "--static", "--format", "json")

    assert done.returncode == 3
    assert json.loads(done.stdout)["findings"] == []
