"""Files that a user names: pipes are told and not waited for, and what did not fit is not left behind."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from reviewer.host import files


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_pipe_into_which_nobody_writes_is_told(pipe: Path) -> None:
    with pytest.raises(OSError, match="without a writer") as caught:
        files.read(pipe)

    assert files.why(caught.value) == "it is a pipe without a writer"


def test_what_somebody_writes_into_a_pipe_is_read_to_its_end() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as stream:  # noqa: PTH123 - of a number
            stream.write(b"x" * 200_000)

    threading.Thread(target=write).start()

    assert files.read(Path(f"/dev/fd/{reading}")) == b"x" * 200_000

    os.close(reading)


def test_a_pipe_from_which_nobody_reads_is_told(pipe: Path) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        files.write(pipe, "report")

    assert files.why(caught.value) == "it is a pipe without a reader"
    assert pipe.is_fifo()


def test_a_pipe_from_which_somebody_reads_gets_it_all(pipe: Path) -> None:
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    while not heard:  # until the reader has opened it
        try:
            files.write(pipe, "report " * 50_000)
            reader.join()
        except OSError as error:
            assert files.why(error) == "it is a pipe without a reader"  # noqa: PT017 - it may come later

    assert heard == ["report " * 50_000]


@pytest.mark.parametrize("read", [files.read, files.read_regular])
def test_a_folder_and_a_missing_file_cannot_be_read(read: object, tmp_path: Path) -> None:
    assert callable(read)
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(OSError, match=r"."):
            read(path)


def test_only_an_ordinary_file_is_one(pipe: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")

    assert files.read_regular(tmp_path / "file") == files.read(tmp_path / "file") == b"content"
    for path in (pipe, Path("/dev/null")):
        with pytest.raises(OSError, match="not a regular file"):
            files.read_regular(path)


def test_what_cannot_be_written_to_its_end_leaves_no_new_file(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    for name in ("old", "new"):
        with pytest.raises(UnicodeEncodeError):
            files.write(tmp_path / name, "x" * 100_000 + "\udcff")

    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_lines_end_as_they_were_given(tmp_path: Path) -> None:
    files.write(tmp_path / "file", "a\r\nb\n")

    assert (tmp_path / "file").read_bytes() == b"a\r\nb\n"


def test_an_ordinary_file_is_read_up_to_the_size_that_is_allowed(tmp_path: Path, pipe: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")

    assert (files.read_regular(file), files.read_regular(file, 5)) == (b"12345", b"12345")
    with pytest.raises(OSError, match="too large"):
        files.read_regular(file, 4)
    with pytest.raises(OSError, match="not a regular file"):
        files.read_regular(pipe, 5)
