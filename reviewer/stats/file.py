"""Reads and writes the file of `alembic-reviewer stats`. `schema.json` in this folder describes it to others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from reviewer.errors import UsageError
from reviewer.host import files, json_schema
from reviewer.sql.names import Name
from reviewer.stats import views
from reviewer.stats.sizes import Production, Size, told_bytes

LARGEST = 256 * 1024 * 1024
"""The largest file, in bytes, that is read. A file for 5,000 tables has 5 MB."""

_WAY_OUT = "Create it again with `alembic-reviewer stats URL`."


def dumps(stats: views.Stats) -> str:
    """Format `stats` as the text of the file, one line for each value, so that changes to a file in git are
    readable.
    """
    return msgspec.json.format(msgspec.json.encode(stats), indent=1).decode() + "\n"


def save(stats: views.Stats, path: Path) -> None:
    """Write `stats` to the file `path`. Raises `UsageError` if it cannot be written."""
    try:
        files.write(path, dumps(stats))
    except OSError as error:
        raise _unwritable(path, files.why(error)) from None


def refuse_unwritable(path: Path) -> None:
    """Raise `UsageError` if the file `path` cannot be created. Called before the work instead of after it."""
    if why := files.why_unwritable(path):
        raise _unwritable(path, why)


def _unwritable(path: Path, why: str) -> UsageError:
    return UsageError(
        f"The production statistics cannot be written to {path}: {why}.", "Name another file with -o."
    )


def summary(stats: views.Stats, path: Path) -> Iterator[str]:
    """Describe what was read and what could not be, one line each, for the user of the command."""
    parts = {part for table in stats.tables for part in table.partitions}
    own = [each for each in stats.tables if str(Name(each.name, each.schema)) not in parts]
    sizes = {id(each): Size(each.rows, each.heap_bytes + each.toast_bytes + each.index_bytes) for each in own}
    largest = max(own, key=lambda each: sizes[id(each)].bytes)
    yield (
        f"{path}: {len(stats.tables):,} tables of database {stats.database}, PostgreSQL {stats.postgres},"
        f" {told_bytes(sum(each.bytes for each in sizes.values()))}; the largest is"
        f" {Name(largest.name, largest.schema)}: {sizes[id(largest)]}"
    )
    for each in stats.unknown:
        yield f"unknown: {each}"


def load(path: Path) -> Production:
    """Read what the file `path` contains about production. Raises `UsageError` with one sentence if it cannot be
    read.
    """
    try:
        text = files.read(path, LARGEST + 1)
    except OSError as error:
        raise UsageError(
            f"The production statistics {path} cannot be read: {files.why(error)}.",
            "Name a file that `alembic-reviewer stats` has written.",
        ) from None
    if len(text) > LARGEST:
        raise UsageError(f"The production statistics {path} have more than {LARGEST // 1024**2} MB.", _WAY_OUT)
    return Production.of(loads(text, str(path)), path.name)


def loads(text: bytes, name: str) -> views.Stats:
    """Decode the contents of the file `name`. Raises `UsageError` with one sentence if they are not valid."""
    _refuse_other_schema(text, name)
    try:
        found = msgspec.json.decode(text, type=views.Stats)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        place = f" at {where}" if where else ""
        said = _printable(f"{what[:1].lower()}{what[1:]}{place}")[:300]
        raise UsageError(f"The production statistics {name} cannot be used: {said}.", _WAY_OUT) from None
    seen = set()
    for table in found.tables:
        if (key := (table.schema, table.name)) in seen:
            raise UsageError(f"The production statistics {name} name {_printable('.'.join(key))} twice.", _WAY_OUT)
        seen.add(key)
    return found


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)


class _Version(msgspec.Struct):
    schema: int


def _refuse_other_schema(text: bytes, name: str) -> None:
    """Raise `UsageError` if the file has another version. Checked first: such a file may have any form."""
    try:
        version = msgspec.json.decode(text, type=_Version).schema
    except msgspec.ValidationError:
        raise UsageError(f"{name} was not written by `alembic-reviewer stats`.", _WAY_OUT) from None
    except (ValueError, RecursionError) as error:
        said = "it is cut off" if "truncated" in str(error) else f"it is not JSON ({error})"
        raise UsageError(f"The production statistics {name} cannot be read: {said}.", _WAY_OUT) from None
    if version != views.SCHEMA:
        newer = version > views.SCHEMA
        raise UsageError(
            f"The production statistics {name} have version {version} of the format, and this version of"
            f" alembic-reviewer reads {views.SCHEMA}.",
            "Update alembic-reviewer." if newer else _WAY_OUT,
        )


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the file. It is closed: a key that it does not name is an error."""
    return json_schema.closed(views.Stats, "stats", "alembic-reviewer stats")
