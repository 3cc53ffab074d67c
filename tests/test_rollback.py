"""The rollback label follows from the recording alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reviewer.recording import (
    Afterwards,
    Catalogue,
    Change,
    Difference,
    Direction,
    Failure,
    FailureKind,
    Loss,
    Mode,
    Origin,
    Outcome,
    Pass,
    Recording,
    Refused,
    Rehearsal,
    Statement,
    Table,
)
from reviewer.review.rollback_label import label, why_untested
from reviewer.sql.names import Name

DOWN = Pass("a", Direction.DOWNGRADE, Rehearsal.STEPWISE, Outcome.OK, compared=True)
AGAIN = Pass("a", Direction.UPGRADE_AGAIN, Rehearsal.STEPWISE, Outcome.OK, compared=True)
REFUSED = Failure(FailureKind.STATEMENT, "no", sqlstate="23502")
ON_PURPOSE = Failure(FailureKind.RAISED, "no way back", deliberate=True)
FAILED = replace(DOWN, outcome=Outcome.FAILED, failure=REFUSED)

BASE = Catalogue((Table(Name("t"), "table", rows=5),))


def changing(sql: str, *rows: int) -> Pass:
    """An upgrade that changes so many rows with each of its statements."""
    ran = tuple(Statement(sql, rows=each) for each in rows)
    return Pass("a", Direction.UPGRADE, Rehearsal.STEPWISE, Outcome.OK, statements=ran)


LABELS: dict[str, tuple[list[Pass], list[Pass], str]] = {
    "nothing is lost": ([DOWN, AGAIN], [], "lossless"),
    "a new column goes with its values": ([replace(DOWN, brought=("t.c",)), AGAIN], [], "loses-new-data"),
    "rows that may come later are deleted": (
        [replace(DOWN, statements=(Statement("DELETE FROM t WHERE kind = 'new'"),)), AGAIN], [], "loses-new-data"),
    "Alembic forgets the revision": (
        [replace(DOWN, statements=(Statement("DELETE FROM alembic_version", origin=Origin.ALEMBIC),)), AGAIN], [], "lossless"),
    "values that were there are lost": ([replace(DOWN, losses=(Loss("t", "c", 1, 1),)), AGAIN], [], "loses-existing-data"),
    "a column does not come back": (
        [replace(DOWN, differences=(Difference("column", "c", Change.MISSING, "t"),)), AGAIN], [], "loses-existing-data"),
    "it fails on what was written since": ([DOWN, AGAIN], [replace(FAILED, written=("NULL in `t.c`",))], "data-dependent"),
    "an UPDATE in a loop met some of the rows": ([changing("UPDATE t SET c = 1 WHERE id = 2", 0, 1), DOWN, AGAIN], [], "lossless"),
    "it raises on purpose": ([replace(FAILED, failure=ON_PURPOSE)], [], "irreversible"),
    "it fails": ([FAILED], [], "broken"),
    "the upgrade does not run again": ([DOWN, replace(AGAIN, outcome=Outcome.FAILED, failure=REFUSED)], [], "broken"),
    "it was not run": ([replace(DOWN, outcome=Outcome.SKIPPED)], [], "untested"),
    "nobody looked": ([replace(DOWN, compared=False), AGAIN], [], "untested"),
    "nobody looked at the rows of a table": ([replace(DOWN, unread=("t",)), AGAIN], [], "untested"),
    "nothing is known": ([], [], "untested"),
}  # fmt: skip


@pytest.mark.parametrize(("passes", "trials", "wanted"), LABELS.values(), ids=LABELS.keys())
def test_says_what_is_known_of_the_way_back(passes: list[Pass], trials: list[Pass], wanted: str) -> None:
    recording = Recording("1", Mode.OBSERVED, (), passes=tuple(passes), trials=tuple(trials), base=BASE)

    assert label(recording, "a") == wanted


UNTESTED: dict[str, tuple[list[Pass], str]] = {
    "the upgrade fails on rows": ([replace(DOWN, rows=False), AGAIN], "it only ran on empty tables"),
    "it was not run": ([replace(DOWN, outcome=Outcome.SKIPPED, reason="its upgrade failed")], "its upgrade failed"),
    "nobody looked at the rows of a table": (
        [replace(DOWN, unread=("a", "b")), AGAIN], "the rows of `a` and `b` could not be compared"),
    "its UPDATE met no row": (
        [changing("UPDATE t SET c = 1 WHERE c = 2", 0), DOWN, AGAIN], "none of the rows was one that its UPDATE of `t` changes"),
    "nothing was rehearsed": ([], ""),
}  # fmt: skip


@pytest.mark.parametrize(("passes", "wanted"), UNTESTED.values(), ids=UNTESTED.keys())
def test_says_why_nothing_is_known(passes: list[Pass], wanted: str) -> None:
    recording = Recording("1", Mode.OBSERVED, (), passes=tuple(passes), base=BASE)

    assert label(recording, "a") == "untested"
    assert why_untested(recording, "a") == wanted


REFUSED_INSERT = Refused(Name("t"), "table", "insert", "INSERT INTO t …", "no", "42703", fresh=True)


@pytest.mark.parametrize(
    ("refused", "wanted"),
    [
        ((REFUSED_INSERT, replace(REFUSED_INSERT, action="update")), "untested"),
        ((REFUSED_INSERT,), "lossless"),
        ((replace(REFUSED_INSERT, fresh=False), replace(REFUSED_INSERT, action="update", fresh=False)), "lossless"),
    ],
    ids=["neither old nor new code writes", "new code updates", "only old code cannot write"],
)
def test_a_table_that_nobody_can_write_to_proves_nothing_of_what_is_written_later(
    refused: tuple[Refused, ...], wanted: str
) -> None:
    seen = (Afterwards("a", tried=4, refused=refused),)
    recording = Recording("1", Mode.OBSERVED, (), passes=(DOWN, AGAIN), base=BASE, afterwards=seen)

    assert label(recording, "a") == wanted
    assert ("nothing could be written to `t`" in why_untested(recording, "a")) == (wanted == "untested")
