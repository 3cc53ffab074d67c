"""What to do where a revision does not run: a sentence for each of PostgreSQL's refusals, and Alembic's, that people meet
most.
"""

from __future__ import annotations

import re

from reviewer.recording import FailureKind, Pass

VERSION_LENGTH = 32
"""Characters of a revision id that the version table takes as Alembic makes it."""

_ROW_SECURITY = (
    "The migrations run as the owner of the table, to whom its row security applies because it is forced: set what the"
    " policy reads with SET LOCAL, or take FORCE away for the transaction, with `ALTER TABLE ... NO FORCE ROW LEVEL"
    " SECURITY` before and FORCE after. If production migrates as a superuser or with BYPASSRLS, say so with"
    " `--migrate-as superuser`."
)

_BY_SQLSTATE: dict[str, tuple[tuple[str, str], ...]] = {
    "42501": ((r"row-level security", _ROW_SECURITY),),
    "42704": (
        (
            r'unrecognized configuration parameter "(?P<name>[^"]+)"',
            "Nobody has set `{name}` in this session, and `current_setting` raises then. If a policy reads it: "
            + _ROW_SECURITY[0].lower()
            + _ROW_SECURITY[1:],
        ),
        (
            r'type "(?P<name>[^"]+)" does not exist',
            "Alembic creates an enum type with its table and not with a column: create it before, with"
            ' `sa.Enum(..., name="{name}").create(op.get_bind(), checkfirst=True)`.',
        ),
    ),
    "42710": (
        (
            r'type "(?P<name>[^"]+)" already exists',
            "Alembic creates the type with each table that has it: give all but the first"
            ' `postgresql.ENUM(..., name="{name}", create_type=False)`; where a downgrade has left it behind, let that'
            ' drop it with `sa.Enum(name="{name}").drop(op.get_bind())`.',
        ),
        (r"", "Something has this name already: another revision made it, or a downgrade has left it behind."),
    ),
    "42P07": (
        (
            r"",
            "Another revision made it, `create_all()` of the application did, or a downgrade has left it behind: find"
            " out which, and let one of them make it.",
        ),
    ),
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


def way_out(failed: Pass) -> str:
    """What helps against the failure, as a sentence; empty where nobody knows."""
    failure = failed.failure
    if failure is None:
        return ""
    if failure.kind is FailureKind.STATEMENT:
        if is_of_its_id(failed):
            return too_long(failed.revision)
        if failure.sqlstate == "42P07" and _TEMPORARY.match(failure.sql or ""):
            return _UNTIL_THE_END
        known = _BY_SQLSTATE.get(failure.sqlstate or "", ())
    else:
        known = _BY_WORDS if failure.kind is FailureKind.RAISED else ()
    for pattern, sentence in known:
        found = re.search(pattern, failure.message)
        if found:
            return sentence.format(**{name: told.replace("`", "") for name, told in found.groupdict().items()})
    return ""


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
