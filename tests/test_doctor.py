"""`doctor` says what its user will meet: env.py is run, as a review begins with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import ENV, Place, project, somewhere, told

SETTINGS = "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    shop_url: str\n    shop_key: str\n"


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as place:
        yield place
        assert place.clean(), place.left_behind()


def doctor(place: Place, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "reviewer.cli",
        "doctor",
        "--python",
        sys.executable,
        "--revisions",
        "base:head",
    ]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=place.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_settings_that_are_missing_are_all_named(place: Place, tmp_path: Path) -> None:
    folder = project(tmp_path / "project", env=f"{SETTINGS}Settings(_env_file=None)\n{ENV}")

    done = doctor(place, folder)

    words = " ".join(done.stdout.split())
    assert done.returncode == 3, told(done)
    assert "2 validation errors for Settings; shop_url: Field required [type=missing]" in words
    assert "; shop_key: Field required [type=missing]" in words
    assert "--env NAME=VALUE" in words
    assert "1 wrong" in words


def test_an_env_py_that_runs_is_said_to(place: Place, tmp_path: Path) -> None:
    folder = project(tmp_path / "project", env=f"{SETTINGS}Settings(_env_file=None)\n{ENV}")

    done = doctor(place, folder, "--env", "SHOP_URL={url}", "--env", "SHOP_KEY=x")

    assert done.returncode == 0, told(done)
    assert "env.py         runs" in done.stdout
    assert "everything that a review needs is available" in done.stdout


def test_an_env_py_that_runs_no_migrations_is_told(place: Place, tmp_path: Path) -> None:
    done = doctor(place, project(tmp_path / "project", env="from alembic import context\n"))

    assert done.returncode == 3, told(done)
    assert "env.py ran to its end without running migrations." in done.stdout
