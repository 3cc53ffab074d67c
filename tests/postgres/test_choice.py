"""Which server is chosen, what is said about it, and what is said when there is none."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewer.errors import ReviewerError, ServerError, UsageError
from reviewer.host.guardian import Guardian
from reviewer.postgres import Candidate, ServerRequest, candidates, start
from reviewer.postgres import local as local_source
from reviewer.postgres.installation import extensions_in
from tests.postgres.conftest import as_root

pytestmark = pytest.mark.processes

HERE = candidates(ServerRequest())


def usable(source: str) -> Candidate:
    for found in HERE:
        if found.source == source and found.supported and not found.problem:
            return found
    pytest.skip(f"no {source} binaries on this machine")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of binaries, named by PG_CONFIG, of which a test makes something broken."""
    # Not in pytest's own folder, which is closed to the account that root's servers run under.
    with tempfile.TemporaryDirectory(prefix="broken-") as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent) / "bin"
        _binaries(folder)
        monkeypatch.setenv("PG_CONFIG", str(folder / "pg_config"))
        yield folder


def _binaries(folder: Path) -> None:
    folder.mkdir()
    program(folder / "pg_config", f"echo {folder}")
    program(folder / "initdb", "exit 1")
    program(folder / "postgres", "echo 'postgres (PostgreSQL) 16.3'")


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def refused(request: ServerRequest, guardian: Guardian) -> ReviewerError:
    with pytest.raises(ReviewerError) as caught, start(request, guardian):
        pass
    return caught.value


def test_prefers_local_binaries_and_says_so(guardian: Guardian) -> None:
    local = usable("local")

    with start(ServerRequest(), guardian) as server:
        told = (server.source, server.version, server.why)

    assert told == (
        "local",
        local.version,
        f"local PostgreSQL {local.version} in {local.folder}: installed on this machine",
    )


def test_a_version_is_exact_to_the_major(guardian: Guardian) -> None:
    embedded = usable("embedded")
    if any(found.source == "local" and found.major == embedded.major for found in HERE):
        pytest.skip("that version is installed on this machine too")

    with start(ServerRequest(version=embedded.major), guardian) as server:
        told = (server.source, server.major, server.why)

    assert told[:2] == ("embedded", embedded.major)
    assert re.fullmatch(
        rf"embedded PostgreSQL {embedded.version}: no local binaries of version {embedded.major} were found.*",
        told[2],
    )


def test_moves_on_to_where_a_wanted_extension_is(guardian: Guardian) -> None:
    local = usable("local")
    usable("embedded")
    if "vector" in (local.extensions or ()):
        pytest.skip("the local binaries have the extension vector")

    with start(ServerRequest(extensions=frozenset({"vector"})), guardian) as server:
        told = (server.source, server.has_extension("vector"), server.why)

    assert told[:2] == ("embedded", True)
    assert f"local PostgreSQL {local.version} in {local.folder} lacks the extension vector" in told[2]


def test_starts_all_the_same_when_nobody_has_an_extension(guardian: Guardian) -> None:
    with start(ServerRequest(extensions=frozenset({"no_such_thing"})), guardian) as server:
        assert server.why.endswith("no server that was found has the extension no_such_thing")
        assert not server.has_extension("no_such_thing")


def test_tells_who_else_has_an_extension(guardian: Guardian) -> None:
    local, embedded = usable("local"), usable("embedded")

    with start(ServerRequest("local"), guardian) as server:
        others = server.extension_sources("vector")

    assert embedded in others
    assert local not in others


def test_finds_extensions_without_a_server(guardian: Guardian) -> None:
    for source in ("local", "embedded"):
        found = usable(source)
        with (
            start(ServerRequest(source), guardian) as server,
            server.connect(server.create_database("x")) as connection,
        ):
            rows = connection.execute("SELECT name FROM pg_available_extensions").fetchall()

        assert found.extensions == frozenset(name for (name,) in rows)


def test_goes_on_from_broken_binaries_and_says_why(broken: Path, guardian: Guardian) -> None:
    program(broken / "postgres", "echo 'error while loading shared libraries: libicu.so' >&2; exit 127")

    (first, *_) = candidates(ServerRequest())
    with start(ServerRequest(), guardian) as server:
        assert server.version

    assert first.folder == broken
    assert first.problem == "binaries present but broken: error while loading shared libraries: libicu.so"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param("echo 'cannot load libicu.so'; exit 127", "cannot load libicu.so", id="missing library"),
        pytest.param("echo 'mysqld 8.0'", "says 'mysqld 8.0'", id="another program"),
        pytest.param("exit 3", "ends with status 3", id="silent"),
    ],
)
def test_an_explicit_choice_of_broken_binaries_is_an_error(
    script: str, reason: str, broken: Path, guardian: Guardian
) -> None:
    program(broken / "postgres", script)

    error = refused(ServerRequest("local"), guardian)

    assert isinstance(error, ServerError)
    assert "binaries present but broken" in error.sentence
    assert reason in error.sentence


def test_binaries_for_another_machine_are_broken(broken: Path, guardian: Guardian) -> None:
    (broken / "postgres").write_bytes(b"\x7fELF" + bytes(60))

    assert "does not start (Exec format error)" in refused(ServerRequest("local"), guardian).sentence


def test_binaries_that_may_not_be_run_are_broken(broken: Path, guardian: Guardian) -> None:
    (broken / "postgres").chmod(0o644)

    assert "does not start (Permission denied)" in refused(ServerRequest("local"), guardian).sentence


def test_a_program_that_pg_config_does_not_name_is_an_error(
    guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_CONFIG", "/no/such/pg_config")

    assert "PG_CONFIG=/no/such/pg_config does not run" in refused(ServerRequest("local"), guardian).sentence


def test_a_folder_without_a_server_is_an_error(broken: Path, guardian: Guardian) -> None:
    (broken / "postgres").unlink()

    assert f"{broken} has no postgres" in refused(ServerRequest("local"), guardian).sentence


def test_an_initdb_that_fails_lets_auto_go_on_and_is_told_otherwise(broken: Path, guardian: Guardian) -> None:
    program(broken / "initdb", "echo 'initdb: error: no share folder' >&2; exit 1")

    with start(ServerRequest(), guardian) as server:
        why = server.why
    error = refused(ServerRequest("local"), guardian)

    sentence = f"PostgreSQL 16.3 in {broken} cannot be set up: initdb: error: no share folder"
    assert sentence in why
    assert error.sentence == sentence


@as_root
def test_root_is_told_that_nobody_else_can_reach_the_binaries(
    tmp_path: Path, guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    _binaries(tmp_path / "bin")
    monkeypatch.setenv("PG_CONFIG", str(tmp_path / "bin" / "pg_config"))

    error = refused(ServerRequest("local"), guardian)

    assert error.sentence.startswith(f"PostgreSQL 16.3 in {tmp_path / 'bin'} cannot be used by root: ")


def test_an_unsupported_version_is_passed_over(broken: Path, guardian: Guardian) -> None:
    program(broken / "postgres", "echo 'postgres (PostgreSQL) 9.6.24'")

    error = refused(ServerRequest("local"), guardian)

    assert "no local binaries of a version from 14 to 19 were found, only 9.6.24" in error.sentence
    assert local_source.candidates()[0].version == "9.6.24"


def test_extensions_of_an_unknown_layout_are_asked_from_pg_config(tmp_path: Path) -> None:
    share = tmp_path / "elsewhere"
    (share / "extension").mkdir(parents=True)
    (share / "extension" / "plpgsql.control").touch()
    (tmp_path / "a" / "bin").mkdir(parents=True)
    program(tmp_path / "a" / "bin" / "pg_config", f"echo {share}")

    assert extensions_in(tmp_path / "a" / "bin", 99) == {"plpgsql"}


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (ServerRequest(version=13), "PostgreSQL 13 is not supported."),
        (ServerRequest("docker"), "'docker' is not a source of servers."),
    ],
    ids=["version", "source"],
)
def test_nonsense_is_a_wrong_usage(request_: ServerRequest, sentence: str, guardian: Guardian) -> None:
    error = refused(request_, guardian)

    assert isinstance(error, UsageError)
    assert error.sentence == sentence
    assert error.way_out


def test_an_embedded_version_that_there_is_not_names_those_that_there_are(guardian: Guardian) -> None:
    usable("embedded")

    error = refused(ServerRequest("embedded", version=15), guardian)

    assert error.sentence == (
        "No PostgreSQL 15 is available: no embedded binaries of version 15 were found, only 16.14, 18.4."
    )


def test_trouble_while_the_server_is_in_use_is_not_taken_for_trouble_at_its_start(guardian: Guardian) -> None:
    with pytest.raises(ServerError, match="mine"), start(ServerRequest(), guardian):
        raise ServerError("mine")
