"""What to do where a revision does not run: a sentence for each of PostgreSQL's refusals, and Alembic's, that people meet
most.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from reviewer.recording import FailureKind, Origin, Pass, Table
from reviewer.replay.stream import operations
from reviewer.sql.names import quoted
from reviewer.sql.operations import (
    AddCheck,
    AddForeignKey,
    AddUnique,
    CreateIndex,
    CreateTable,
    Operation,
)

VERSION_LENGTH = 32
"""Characters of a revision id that the version table takes as Alembic makes it."""

_ROW_SECURITY = (
    "The migrations run as the owner of the table, to whom its row security applies because it is forced: set what the"
    " policy reads with SET LOCAL, or take FORCE away for the transaction, with `ALTER TABLE ... NO FORCE ROW LEVEL"
    " SECURITY` before and FORCE after. If production migrates as a superuser or with BYPASSRLS, say so with"
    " `--migrate-as superuser`."
)

_EXTENSIONS = {
    "uuid-ossp": r"uuid_(?:generate_v[1345]\w*|nil|ns_\w+)",
    "pgcrypto": r"crypt|gen_salt|digest|hmac|gen_random_bytes|pgp_\w+",
    "pg_trgm": r"(?:word_|strict_word_)?similarity|show_trgm|g(?:in|ist)_trgm_ops",
    "unaccent": r"unaccent",
    "citext": r"citext",
    "hstore": r"hstore|akeys|avals|skeys|svals",
    "ltree": r"ltree|lquery|ltxtquery",
    "vector": r"vector|halfvec|sparsevec|(?:vector|halfvec)_(?:l2|ip|cosine|l1)_ops",
    "postgis": r"geometry|geography|st_\w+(?=\()",
}
"""What belongs to each: types, functions and operator classes. Types of projects may begin with `st_`."""


def _of_extensions(before: str, after: str) -> tuple[tuple[str, str], ...]:
    """What helps where PostgreSQL names something of an extension between `before` and `after`."""
    return tuple(
        (
            rf"{before}(?:\w+\.)?(?:{names}){after}",
            f"It belongs to the extension `{each}`, which is not there or not in the search_path: create it first, with"
            f" `{_created(each)}`.",
        )
        for each, names in _EXTENSIONS.items()
    )


def _created(extension: str) -> str:
    return f"CREATE EXTENSION IF NOT EXISTS {quoted(extension)}"


_MADE_BEFORE = (
    "Another revision made it, `create_all()` of the application did, or a downgrade has left it behind: find out which,"
    " and let one of them make it."
)
_MADE_HERE = "An earlier statement of this revision has made it: give one of them another name."

_BY_SQLSTATE: dict[str, tuple[tuple[str, str], ...]] = {
    "42501": ((r"row-level security", _ROW_SECURITY),),
    "42704": (
        (
            r'unrecognized configuration parameter "(?P<name>[^"]+)"',
            "Nobody has set `{name}` in this session, and `current_setting` raises then. If a policy reads it: "
            + _ROW_SECURITY[0].lower()
            + _ROW_SECURITY[1:],
        ),
        *_of_extensions('(?:type|operator class) "', '"'),
        *(
            (
                rf'no default operator class for access method "{method}"',
                f"The extension `btree_{method}` has one: create it first, with `{_created(f'btree_{method}')}`.",
            )
            for method in ("gist", "gin")
        ),
        (
            r'type "(?P<name>[^"]+)" does not exist',
            "Alembic creates an enum type with its table and not with a column: create it before, with"
            ' `sa.Enum(..., name="{name}").create(op.get_bind(), checkfirst=True)`.',
        ),
    ),
    "42703": (
        (
            r'column "(?P<name>[^"]*\([^"]*\)[^"]*)" does not exist',
            'Alembic takes a string for the name of a column: give it the expression as `sa.text("{name}")`.',
        ),
    ),
    "42710": (
        (r"enum label", "A downgrade cannot drop a label: add it with `IF NOT EXISTS`."),
        (
            r'type "(?P<name>[^"]+)" already exists',
            "Alembic creates the type with each table that has it: give all but the first"
            ' `postgresql.ENUM(..., name="{name}", create_type=False)`; where a downgrade has left it behind, let that'
            ' drop it with `sa.Enum(name="{name}").drop(op.get_bind())`.',
        ),
        (r"", "Something has this name already: another revision made it, or a downgrade has left it behind."),
    ),
    "42883": _of_extensions("function ", r"\("),
    "42701": ((r"", _MADE_BEFORE),),
    "42P07": ((r"", _MADE_BEFORE),),
    "42804": (
        (
            r'default for column "(?P<name>[^"]+)"',
            "Take the default off before, with `server_default=None`, and set the new one after the change of type.",
        ),
        (
            r'column "(?P<name>[^"]+)" cannot be cast automatically to type (?P<type>.+)$',
            'Say how the old values are read: `postgresql_using="{name}::{type}"`.',
        ),
        (r"foreign key constraint", "Give both columns of the foreign key the same type."),
    ),
    "42P01": (
        (
            r'relation "\w+_seq" does not exist',
            "A sequence keeps its name when its table is renamed: ask `pg_get_serial_sequence()` for it.",
        ),
    ),
    "42P17": (
        (
            r"must be marked IMMUTABLE",
            "Give it what it takes from settings, as in `to_tsvector('english', ...)` or `... AT TIME ZONE 'UTC'`; `now()`"
            " cannot be there.",
        ),
    ),
    "42P16": (
        (r"multiple primary keys", "Drop the primary key that is there first."),
        (
            r"view",
            "CREATE OR REPLACE VIEW can only add columns at the end: drop the view and create it again, with its"
            " privileges and its comment.",
        ),
    ),
    "0A000": (
        (
            r"on partitioned table .* concurrently",
            "Create the index `ON ONLY` the table, build one CONCURRENTLY on each partition, and attach them.",
        ),
        (r"concurrently", "Leave out CONCURRENTLY here."),
        (
            r"must include all partitioning columns",
            "Add the columns of the partition key to it, or make it unique on each partition alone.",
        ),
        (
            r"used (?:by|in)",
            "Drop what uses the column before, and create it again after, with its privileges.",
        ),
    ),
    "22001": (
        (
            r"",
            "Shorten the values in an earlier revision, or keep the column as long as the longest of them.",
        ),
    ),
    "55P04": (
        (
            r"",
            "A new label can be used once it is committed: add it inside `op.get_context().autocommit_block()`, or in a"
            " revision of its own with `transaction_per_migration=True` in env.py.",
        ),
    ),
    "25P02": (
        (
            r"",
            "An earlier statement of the same transaction has failed, and its error was caught: send what may fail inside"
            " `with op.get_bind().begin_nested():`, or ask for what is there before.",
        ),
    ),
    "2BP01": (
        (
            r"",
            "Drop what depends on it first, by name: CASCADE would drop whatever else production has there.",
        ),
    ),
}
"""For a SQLSTATE what the message may say, and what helps then: the first that matches."""

_BY_WORDS = (
    (
        r"^NameError: name '(?P<name>\w+)' is not defined",
        "Import `{name}` in the revision; autogenerate does not, unless script.py.mako does.",
    ),
    (
        r"Can't emit DROP CONSTRAINT|no name",
        "Give `op.drop_constraint()` the name that the database has: PostgreSQL's own is as `table_column_fkey`,"
        " `table_column_key` or `table_column_check`; a `naming_convention` in the metadata gives every constraint one.",
    ),
)
"""What Alembic and SQLAlchemy say before anything is sent, and what helps then."""


_TEMPORARY = re.compile(r"\s*CREATE\s+(?:(?:GLOBAL|LOCAL)\s+)?TEMP", re.IGNORECASE)
_UNTIL_THE_END = (
    "A temporary table lives as long as its session, which runs all revisions of an upgrade: drop it once it is not needed"
    " any more, or create it with ON COMMIT DROP."
)


def way_out(failed: Pass, tables: Iterable[Table] = ()) -> str:
    """What helps against the failure, as a sentence; empty where nobody knows. `tables` are those that there are."""
    failure = failed.failure
    if failure is None:
        return ""
    if failure.kind is FailureKind.STATEMENT:
        if is_of_its_id(failed):
            return too_long(failed.revision)
        if failure.sqlstate == "42P07" and _TEMPORARY.match(failure.sql or ""):
            return _UNTIL_THE_END
        if taken := _taken(failed, tables):
            return taken
        if _made_here(failed):
            return _MADE_HERE
        if owned := _OWNED.search(dict(failure.added).get("detail", "")):
            return _READS_ANOTHERS.format(**owned.groupdict())
        if similar := _similar_constraint(failure.message, tables):
            return similar
        known = _BY_SQLSTATE.get(failure.sqlstate or "", ())
    else:
        known = _BY_WORDS if failure.kind is FailureKind.RAISED else ()
    for pattern, sentence in known:
        found = re.search(pattern, failure.message)
        if found:
            return sentence.format(**{name: told.replace("`", "") for name, told in found.groupdict().items()})
    return ""


_OWNED = re.compile(
    r"default value for column (?P<column>\S+) of table (?P<table>\S+) depends on sequence (?P<sequence>\S+)"
)
_READS_ANOTHERS = (
    "`{sequence}` belongs to the table that goes, and the default of `{table}.{column}` reads it: run"
    " `ALTER SEQUENCE {sequence} OWNED BY {table}.{column}` first."
)
_LONGEST = 63
"""Bytes that PostgreSQL keeps of a name."""


def _taken(failed: Pass, tables: Iterable[Table]) -> str:
    """What has the name that a statement gives to something of another kind, or to something whose own name is longer."""
    failure = failed.failure
    found = re.match(r'(relation|type) "(?P<name>[^"]+)".* already exists', failure.message) if failure else None
    if failure is None or found is None or failure.sqlstate not in {"42710", "42P07"}:
        return ""
    name = found["name"]
    sent = next((each for each in reversed(failed.statements) if each.sql == failure.sql), None)
    making = operations(sent) if sent is not None else ()
    if found[1] == "type":
        is_table = any(isinstance(each, CreateTable) and each.table.name == name for each in making)
        return "A table makes a type of its own name: give the table or the type another one." if is_table else ""
    if any(made.encode()[:_LONGEST] == name.encode() != made.encode() for each in making for made in _names(each)):
        return f"PostgreSQL keeps {_LONGEST} bytes of a name, and these are the same as another's: shorten it."
    there = next((table.kind for table in tables if table.name.name == name), None)
    if there is not None and any(isinstance(each, CreateIndex) for each in making):
        return f"A {there} has this name, and an index cannot have the name of a table or view in its schema."
    return ""


def _made_here(failed: Pass) -> bool:
    """Whether the revision itself has made a constraint or relation that it makes again."""
    failure = failed.failure
    if failure is None or failure.sqlstate not in {"42710", "42P07"}:
        return False
    found = re.match(r'(?:constraint|relation) "(?P<name>[^"]+)".* already exists', failure.message)
    return found is not None and any(
        made == found["name"]
        for each in failed.statements
        if each.error is None and each.origin is Origin.REVISION
        for operation in operations(each)
        for made in _names(operation)
    )


def _names(operation: Operation) -> Iterator[str]:
    match operation:
        case CreateTable(table=table, if_not_exists=False):
            yield table.name
        case AddCheck(name=name) | AddUnique(name=name) | AddForeignKey(name=name) | CreateIndex(name=name) if name:
            yield name


def _similar_constraint(message: str, tables: Iterable[Table]) -> str:
    """The name with what a naming convention adds, if the table has one such constraint."""
    found = re.match(r'constraint "(?P<name>[^"]+)" of relation "(?P<table>[^"]+)" does not exist', message)
    if found is None:
        return ""
    suffix = f"_{found['name']}"
    there = [
        c.name for t in tables if t.name.name == found["table"] for c in t.constraints if c.name.endswith(suffix)
    ]
    if len(there) != 1:
        return ""
    return (
        f"`{found['table']}` has `{there[0]}`: where a naming convention would add to the name, give it as"
        f' `op.f("{there[0]}")`.'
    )


def is_of_its_id(failed: Pass) -> bool:
    """Whether the version table rejects the revision's id once the revision is done."""
    failure = failed.failure
    rejected = failure is not None and failure.sqlstate == "22001" and "version_num" in (failure.sql or "")
    return rejected and len(failed.revision) > VERSION_LENGTH


def too_long(revision: str) -> str:
    """What is wrong with a revision id that the version table does not take."""
    return (
        f"The revision id has {len(revision)} characters, and the version table takes {VERSION_LENGTH}:"
        " give the revision a shorter one."
    )
