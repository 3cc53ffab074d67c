"""Flask-Migrate, old and new: the application is found through FLASK_APP, and what keeps it from being made is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reviewer.host.guardian import Guardian
from reviewer.rehearsal.interpreter import RunnerProcess, Setup, environment
from reviewer.rehearsal.protocol import Address, Describe
from tests.command import project, revision, somewhere
from tests.repository import write
from tests.test_runner_versions import environment as interpreter

pytestmark = pytest.mark.processes

FLASK = {
    "new": ("3.11", "flask>=3", "flask-migrate>=4", "flask-sqlalchemy>=3.1", "psycopg2-binary>=2.9.9"),
    "old": ("3.11", "flask<2.2", "werkzeug<2.2", "flask-migrate<4", "flask-sqlalchemy<3", "sqlalchemy<2",
            "alembic==1.7.7", "setuptools<80", "psycopg2-binary>=2.9.9"),
}  # fmt: skip
SERVICE = """
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg2://app@database.invalid/app"
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = False
    db.init_app(app)
    Migrate(app, db)
    return app
"""
ADD = 'op.add_column("items", sa.Column("note", sa.Text()))'
ENV = """
from alembic import context
from flask import current_app
from sqlalchemy import create_engine

with create_engine(current_app.config["SQLALCHEMY_DATABASE_URI"]).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


def made(folder: Path) -> Path:
    project(folder, revision("b", "a", ADD, 'op.drop_column("items", "note")'), env=ENV)
    (folder / "alembic.ini").unlink()
    return write(folder, {"migrations/alembic.ini": "[alembic]\n", "service.py": SERVICE})


def refused(folder: Path, python: str, **given: str) -> tuple[str, str]:
    """The kind and the words with which env.py fails. It does not come as far as a server."""
    setup = Setup(folder, folder / "migrations/alembic.ini", script_location=str(folder / "migrations"), flask=True)
    with (
        Guardian() as guardian,
        RunnerProcess((python,), setup, environment(os.environ, given, (), ""), folder, guardian) as process,
    ):
        process.hello()
        address = Address(host="database.invalid", port=1, user="app")
        failed = process.run(Describe(address=address, database="app"), 1e12).failed
        assert failed is not None
        return failed.kind, failed.message


@pytest.mark.parametrize("name", [*FLASK, "4.0"])
def test_the_application_is_found_through_flask_app(name: str, tmp_path: Path) -> None:
    version, *packages = FLASK.get(name) or [each.replace("migrate>=4", "migrate==4.0.6") for each in FLASK["new"]]
    python = interpreter(version, *packages)
    folder = made(tmp_path / "project")

    with somewhere() as place:
        report = place.report(folder, "--revisions", "a:b", "--python", python, "--env", "FLASK_APP=service")

    assert report["verdict"] in {"pass", "warn"}
    assert [each["id"] for each in report["revisions"]] == ["b"]
    assert {each["outcome"] for each in report["revisions"][0]["passes"]} == {"ok"}


@pytest.mark.parametrize("name", FLASK)
def test_what_keeps_the_application_from_being_made_is_named(name: str, tmp_path: Path) -> None:
    version, *packages = FLASK[name]
    python = interpreter(version, *packages)
    folder = made(tmp_path / "project")

    assert "Could not locate a Flask application" in refused(folder, python)[1]
    write(folder, {"service.py": "import os\nimport nowhere_at_all\n" + SERVICE})
    kind, message = refused(folder, python, FLASK_APP="service")

    assert kind == "import"
    assert "While importing 'service', an ImportError was raised" in message
    assert "No module named 'nowhere_at_all' (service.py, line 2)" in message


@pytest.mark.parametrize("name", FLASK)
def test_migrations_inside_the_package_of_the_application_are_run_from_above_it(name: str, tmp_path: Path) -> None:
    version, *packages = FLASK[name]
    python = interpreter(version, *packages)
    package = made(tmp_path / "service")
    (package / "service.py").rename(package / "__init__.py")

    with somewhere() as place:
        report = place.report(package, "--revisions", "a:b", "--python", python, "--env", "FLASK_APP=service")

    assert {each["outcome"] for each in report["revisions"][0]["passes"]} == {"ok"}


def test_an_application_without_flask_migrate_is_named_as_the_reason(tmp_path: Path) -> None:
    version, *packages = FLASK["new"]
    python = interpreter(version, *packages)
    folder = made(tmp_path / "project")
    write(folder, {"service.py": SERVICE.replace("    Migrate(app, db)\n", "")})

    kind, message = refused(folder, python, FLASK_APP="service")

    assert kind == "environment"
    assert message.startswith("Flask's application has no Flask-Migrate.")


def test_a_launcher_gets_the_config_of_flask_migrate(tmp_path: Path) -> None:
    version, *packages = FLASK["new"]
    python = interpreter(version, *packages)
    folder = made(tmp_path / "project")
    write(folder, {"launcher.py": "def start(config):\n    raise RuntimeError(config.config_file_name)\n"})

    with somewhere() as place:
        told = (
            "--revisions",
            "a:b",
            "--python",
            python,
            "--env",
            "FLASK_APP=service",
            "--launcher",
            "launcher:start",
        )
        done = place.review(folder, *told)

    assert "alembic.ini" in done.stdout
    assert done.returncode == 3
