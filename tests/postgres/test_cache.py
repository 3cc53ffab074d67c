"""The cache of fresh data folders: shared, damaged, unwritable."""

from __future__ import annotations

import os
import threading
import zlib
from pathlib import Path

import pytest

from reviewer.host.guardian import Guardian
from reviewer.postgres import ServerRequest, start
from tests.postgres.conftest import as_root, held_server

pytestmark = pytest.mark.processes


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ALEMBIC_REVIEWER_CACHE", str(folder))
    return folder


def answers(guardian: Guardian) -> bool:
    with start(ServerRequest(), guardian) as server, server.connect(server.create_database("one")) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def entries(cache: Path) -> list[Path]:
    return sorted((cache / "clusters").iterdir())


def is_whole(entry: Path) -> bool:
    return entry.stem.split(".")[-2:] == [str(entry.stat().st_size), f"{zlib.crc32(entry.read_bytes()):08x}"]


def test_the_second_run_uses_what_the_first_one_made(own_cache: Path, guardian: Guardian) -> None:
    assert answers(guardian)
    (made,) = entries(own_cache)
    before = made.stat()

    assert answers(guardian)

    assert (entries(own_cache), made.stat().st_ino) == ([made], before.st_ino)


def test_the_entries_used_longest_ago_go_where_there_are_many(own_cache: Path, guardian: Guardian) -> None:
    folder = own_cache / "clusters"
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"15.1-{number:016x}.0.00000000.tar").touch()
        os.utime(folder / f"15.1-{number:016x}.0.00000000.tar", (number, number))

    assert answers(guardian)

    found = entries(own_cache)
    assert len(found) == 12
    assert [each.name for each in found if each.stat().st_size == 0] == [
        f"15.1-{number:016x}.0.00000000.tar" for number in range(9, 20)
    ]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: whole[:-20_000], id="cut short"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(
            lambda whole: whole.replace(b"data/global/", b"data/globul/"), id="the same size, names changed"
        ),
        pytest.param(lambda whole: b"x" * len(whole), id="the same size, rubbish"),
        pytest.param(
            # in the middle of a table: the server starts on it, and would tell other things of the catalogue
            lambda whole: whole.replace(b"pg_catalog", b"pg_catalug"),
            id="the same size, in a file's content",
        ),
    ],
)
def test_a_damaged_entry_is_made_anew(damage: object, own_cache: Path, guardian: Guardian) -> None:
    assert callable(damage)
    assert answers(guardian)
    (made,) = entries(own_cache)
    whole = made.read_bytes()
    made.write_bytes(damage(whole))

    assert answers(guardian)

    (again,) = entries(own_cache)
    assert is_whole(again)
    assert b"data/global/" in again.read_bytes()


def test_a_pipe_in_the_place_of_an_entry_is_not_waited_for(own_cache: Path, guardian: Guardian) -> None:
    assert answers(guardian)
    (made,) = entries(own_cache)
    made.unlink()
    os.mkfifo(made)

    assert answers(guardian)

    assert [is_whole(entry) for entry in entries(own_cache)] == [True]


def test_two_first_runs_at_once_leave_whole_entries(own_cache: Path, guardian: Guardian) -> None:
    good: list[bool] = []
    threads = [threading.Thread(target=lambda: good.append(answers(guardian))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert good == [True, True, True]
    assert all(is_whole(entry) for entry in entries(own_cache))


def test_works_where_the_cache_cannot_be_made(
    tmp_path: Path, guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ALEMBIC_REVIEWER_CACHE", str(tmp_path / "file" / "cache"))

    assert answers(guardian)


@as_root
def test_works_where_the_cache_may_not_be_written(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o755)

    with held_server("auto", user="nobody", ALEMBIC_REVIEWER_CACHE=str(locked)) as held:
        assert held.release() == ""

    assert list(locked.iterdir()) == []


def test_the_entry_is_readable_by_its_user_only(own_cache: Path, guardian: Guardian) -> None:
    assert answers(guardian)

    (made,) = entries(own_cache)
    assert (made.stat().st_mode & 0o077, made.stat().st_uid) == (0, os.geteuid())
