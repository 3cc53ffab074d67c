"""A GitHub for each test, and what it takes to speak to it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reviewer.github.api import Api
from tests.github import npm, warmed
from tests.github.fake import DATA, REPOSITORY, FakeGitHub
from tests.github.runner import made_environment

ConnectTo = Callable[..., Api]


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    """A GitHub, asked directly."""
    with FakeGitHub() as fake:
        yield fake


@pytest.fixture
def pauses() -> list[float]:
    """The seconds that were waited for, without waiting."""
    return []


@pytest.fixture
def connect(pauses: list[float]) -> Iterator[ConnectTo]:
    """Makes an `Api` to a GitHub; it does not wait, it notes how long it would."""
    with contextlib.ExitStack() as stack:

        def connect(github: FakeGitHub, *, timeout: int = 20, budget: float = 120) -> Api:
            api = Api(
                "secret", REPOSITORY, github.public_url, budget, pauses.append, between_writes=0, timeout=timeout
            )
            return stack.enter_context(api)

        yield connect


@pytest.fixture
def api(github: FakeGitHub, connect: ConnectTo) -> Api:
    """An `Api` to the GitHub of this test."""
    return connect(github)


@dataclass(frozen=True)
class Prism:
    """A proxy that holds both directions to GitHub's description."""

    port: int
    upstream: int


@pytest.fixture(scope="session")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prism]:
    """A running proxy; what it leads to is started by each test."""
    command = npm.package("@stoplight/prism-cli") / "dist" / "index.js"
    here, upstream = _free_port(), _free_port()
    description = tmp_path_factory.mktemp("prism") / "openapi.json"
    text = (DATA / "openapi.json").read_text().replace("https://api.github.com", f"http://127.0.0.1:{here}")
    description.write_text(text)
    arguments = ["proxy", "--errors", "-p", str(here), "-h", "127.0.0.1", str(description)]
    process = subprocess.Popen(
        [npm.node(), str(command), *arguments, f"http://127.0.0.1:{upstream}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Prism is listening" in line:
            break
    drained = _drain(process)
    yield Prism(here, upstream)
    process.terminate()
    process.wait()
    drained()


@pytest.fixture(params=["asked directly", "behind prism"])
def either(request: pytest.FixtureRequest) -> Iterator[FakeGitHub]:
    """A GitHub; once asked directly, once through a proxy that holds both directions to GitHub's description."""
    if request.param == "asked directly":
        with FakeGitHub() as fake:
            yield fake
        return
    prism: Prism = request.getfixturevalue("prism")
    with FakeGitHub(port=prism.upstream) as fake:
        fake.public_url = f"http://127.0.0.1:{prism.port}"
        # the description has no GraphQL, so everything goes by REST
        fake.graphql = False
        yield fake


def payloads(event: str) -> list[tuple[str, dict[str, object]]]:
    """GitHub's own examples of the payloads of `event`, each with its action."""
    file = npm.package("@octokit/webhooks-examples") / "api.github.com" / "index.json"
    found = json.loads(file.read_bytes())
    return [
        (str(example.get("action", "")), example)
        for each in found
        if each["name"] == event
        for example in each["examples"]
    ]


def marker_of(body: str) -> str:
    """The first line, without the run."""
    return re.sub(r" run=\S+", "", body.split("\n", 1)[0])


def written(folder: Path, text: str) -> Path:
    """A file with `text`."""
    file = folder / "report.json"
    file.write_text(text, encoding="utf-8")
    return file


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _drain(process: subprocess.Popen[str]) -> Callable[[], None]:
    import threading

    def read() -> None:
        assert process.stdout is not None
        with process.stdout:
            for _ in process.stdout:
                pass

    thread = threading.Thread(target=read)
    thread.start()
    return thread.join


@pytest.fixture(scope="session")
def made() -> Path:
    """The reviewer's environment, made by the action's own script, once for each lock file."""
    return made_environment()


@pytest.fixture(scope="session")
def warmed_environment(made: Path) -> Iterator[Path]:
    """The same, with an interpreter that hands the steps to a process that has loaded the product."""
    with warmed.environment(made) as folder:
        yield folder


@pytest.fixture
def environment(request: pytest.FixtureRequest, made: Path) -> Path:
    """The reviewer's environment; where the test is about how the steps start, with an interpreter of its own."""
    if request.node.get_closest_marker("cold"):
        return made
    found: Path = request.getfixturevalue("warmed_environment")
    return found
