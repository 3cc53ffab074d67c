"""The page of `doctor`."""

from __future__ import annotations

from reviewer.diagnosis import Diagnosis, Entry
from reviewer.report import diagnosis

USED = Entry("PostgreSQL", "embedded", "the first match, so it is used")
UNUSABLE = Entry("PostgreSQL", "container", "cannot be used: no container engine answers", usable=False)
WRONG = Entry("project", "There is no alembic.ini.", way_out="Name it with --config FILE.")


def marks(page: str) -> list[str]:
    return [line.split()[0] for line in page.split("\n") if line[:1].strip()]


def test_what_cannot_be_used_and_is_not_needed_is_neither_ok_nor_wrong() -> None:
    page = diagnosis.render(Diagnosis((USED, UNUSABLE)))

    assert marks(page) == ["ok", "-", "everything"]


def test_what_is_wrong_is_counted() -> None:
    page = diagnosis.render(Diagnosis((WRONG, USED, UNUSABLE)))

    assert marks(page) == ["wrong", "ok", "-", "1"]
