"""Containers, as far as a machine without an engine shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reviewer.errors import ServerError
from reviewer.host.guardian import Guardian
from reviewer.postgres import ServerRequest, candidates, start

pytestmark = pytest.mark.processes


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    nowhere = str(tmp_path / "docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{nowhere}")
    return nowhere


def test_says_that_no_engine_answers(no_engine: str, guardian: Guardian) -> None:
    with pytest.raises(ServerError) as caught, start(ServerRequest("container"), guardian):
        pass

    assert caught.value.sentence == (
        f"No PostgreSQL is available: container: no container engine answers at {no_engine}."
    )
    assert "--postgres embedded" in caught.value.way_out


def test_names_the_image_of_the_version_or_the_given_one(no_engine: str) -> None:
    by_version = candidates(ServerRequest("container", version=15))
    given = candidates(ServerRequest("container", image="postgis/postgis:16-3.4"))

    assert [(one.image, one.version) for one in (*by_version, *given)] == [
        ("postgres:15", "15"),
        ("postgis/postgis:16-3.4", None),
    ]
    assert {one.problem for one in (*by_version, *given)} == {f"no container engine answers at {no_engine}"}


def test_an_engine_that_cannot_be_asked_is_one_sentence(
    guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The port of discard, on which nobody listens: found out by the container library itself.
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")

    with pytest.raises(ServerError) as caught, start(ServerRequest("container", image="postgres:16"), guardian):
        pass

    assert caught.value.sentence.startswith("The container postgres:16 cannot be started: ")
    assert "\n" not in caught.value.sentence
