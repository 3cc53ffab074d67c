"""Apply a base schema: a file of plain SQL, as `pg_dump` writes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from reviewer.errors import CannotReview, UsageError
from reviewer.host import files
from reviewer.postgres.trouble import NO_EXTENSION

if TYPE_CHECKING:
    from psycopg import Connection

_COPY = re.compile(r"^COPY\s.+\sFROM\s+stdin;\s*$", re.IGNORECASE)


class Script(Struct, frozen=True):
    """A file of plain SQL. It is read before any code of the project runs, so that code cannot change what is
    applied.
    """

    path: Path
    text: str
    what: str = "base schema"


def apply(
    connection: Connection[tuple[object, ...]],
    script: Script,
    way_out: str = "Create it with `pg_dump --schema-only --no-owner --no-privileges`, and the row of the version table with"
    " `pg_dump --data-only --table alembic_version`, of the version that is rehearsed on.",
) -> None:
    """Run the file's statements on `connection`, including the data of COPY blocks. psql meta-commands are skipped.

    Raises `CannotReview` if PostgreSQL rejects a statement.
    """
    import psycopg

    try:
        for sql, data in _parts(script.text):
            if data is None:
                connection.execute(sql.encode())
            else:
                with connection.cursor().copy(sql.rstrip().rstrip(";").encode()) as copy:
                    copy.write(data)
        connection.execute("RESET ALL")
    except psycopg.Error as error:
        message = error.diag.message_primary or str(error)
        raise CannotReview(
            f"PostgreSQL rejected the {script.what} {script.path}: {message}.",
            _ANOTHER_SERVER if NO_EXTENSION.search(message) else way_out,
        ) from None


_ANOTHER_SERVER = "Use --postgres local, --postgres container or --postgres URL of a server that has it."


def read(path: Path, what: str = "base schema") -> Script:
    """Read the file at `path`. Raises `UsageError` if it cannot be read or is not UTF-8."""
    try:
        return Script(path, files.read(path).decode(), what)
    except (OSError, UnicodeDecodeError) as error:
        why = files.why(error) if isinstance(error, OSError) else "it is not text in UTF-8"
        raise UsageError(
            f"The {what} {path} cannot be read: {why}.",
            f"Name a file of plain SQL with --{what.replace(' ', '-')}.",
        ) from None


def _parts(text: str) -> list[tuple[str, str | None]]:
    """Split the file into SQL to run unchanged, and COPY statements with the data that follows them."""
    parts: list[tuple[str, str | None]] = []
    sql: list[str] = []
    lines = iter(text.splitlines(keepends=True))
    for line in lines:
        if _COPY.match(line):
            parts.append(("".join(sql), None))
            sql = []
            data = []
            for row in lines:
                if row.rstrip("\r\n") == "\\.":
                    break
                data.append(row)
            parts.append((line, "".join(data)))
        elif not line.startswith("\\"):
            sql.append(line)
    parts.append(("".join(sql), None))
    return [part for part in parts if part[0].strip()]
