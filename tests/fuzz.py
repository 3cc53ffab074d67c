"""The readers of what others write, each as a function of bytes that raises where it does not keep its promise.

`scripts/fuzz.py` feeds them what atheris makes up; tests/test_fuzz.py feeds them the seeds and mutations of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from reviewer.errors import ReviewerError
from reviewer.project.source import Problem, SourceRevision, read_source
from reviewer.recording import loads
from reviewer.report import json as report_json
from reviewer.review import suppressions
from reviewer.sql.parse import parse, split

ROOT = Path(__file__).parent.parent
SEEDS = Path(__file__).parent / "data" / "fuzz"


def sql(data: bytes) -> None:
    """Every text ends as operations, and its statements are parts of it."""
    text = data.decode("utf-8", "replace")
    assert isinstance(parse(text), tuple)
    assert isinstance(parse(text, cut=True), tuple)
    assert all(statement in text for statement in split(text))


def source(data: bytes) -> None:
    """A file is a revision or a problem with it."""
    assert isinstance(read_source(data, "a.py"), SourceRevision | Problem)


def recording(data: bytes) -> None:
    """A recording is read, or refused in a sentence."""
    _or_refused(loads, data)


def report(data: bytes) -> None:
    """A report is read, or refused in a sentence."""
    _or_refused(report_json.load, data)


def comments(data: bytes) -> None:
    """Suppression comments are found, or there are none."""
    suppressions.read(data, "a.py")


READERS: Mapping[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (sql, source, recording, report, comments)
}


def seeds(reader: str) -> Iterator[bytes]:
    """What reading begins with: inputs that were a fault once, and samples of what it is made for."""
    kept = SEEDS / reader
    yield from (file.read_bytes() for file in sorted(kept.glob("*")))
    if reader == "sql":
        statements = split((ROOT / "tests" / "data" / "statements.sql").read_text(encoding="utf-8"))
        yield from (statement.encode() for statement in statements)
    elif reader in {"source", "comments"}:
        yield from (file.read_bytes() for file in sorted((ROOT / "examples").glob("*/migrations/versions/*.py")))
        yield b"op.drop_table('a')  # reviewer: allow[dropped-table] it is empty\n# reviewer: allow-file[x]\n"
    elif reader == "report":
        from tests.report import reports

        yield from (report_json.render(each).encode() for name, each in reports.REPORTS.items() if name != "vast")
    else:
        from reviewer.recording import dumps
        from tests.report import reports

        yield from (
            dumps([tree.recording for tree in each.trees]).encode()
            for name, each in reports.REPORTS.items()
            if name not in {"vast", "hostile"}  # no recording holds half a surrogate pair
        )


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """`data` with a few of its parts lost, repeated, swapped, replaced or taken from another input."""
    text = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        start = chance.randint(0, len(text))
        end = min(len(text), start + chance.choice([1, 1, 2, 4, 16, 64]))
        match chance.randint(0, 5):
            case 0:
                del text[start:end]
            case 1:
                text[start:start] = text[start:end]
            case 2:
                other = chance.choice(others)
                at = chance.randint(0, len(other))
                text[start:end] = other[at : at + chance.randint(1, 40)]
            case 3:
                text[start:start] = chance.choice(_PARTS)
            case 4:
                text[start:start] = bytes([chance.randrange(256)])
            case _:
                text[start:end] = bytes(reversed(text[start:end]))
    return bytes(text)


def _or_refused(read: Callable[[bytes], object], data: bytes) -> None:
    try:
        read(data)
    except ReviewerError as error:
        if not str(error).strip():
            raise AssertionError("refused without a word") from error


_PARTS = [
    b"'", b'"', b"$$", b"$a$", b"--", b"/*", b"*/", b"\\", b"\x00", b"\n", b"\r", b";", b"(", b")", b"[", b"]", b",",
    b"E'", b"U&'", b"::", b"$1", b"%s", b"%(a)s", b":a", b"\xff", b"\xed\xa0\x80", b"#", b"# reviewer: allow[",
    b"{", b"}", b"null", b"-1", b"1e999", b"true", b"def upgrade():", b"    ", b"\t", b"\x0c", b"op.execute(",
]  # fmt: skip
