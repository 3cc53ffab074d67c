"""What one rule says of one table in one revision is said once."""

from __future__ import annotations

from msgspec.structs import replace

from reviewer.recording import Direction, Location
from reviewer.review.finding import Basis, Finding, Severity, Suppressed
from reviewer.review.merging import merged


def finding(line: int, table: str | None = "t", rule: str = "blocking-index", suppressed: bool = False) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        message=f"Building index `i{line}`.",
        revision="r1",
        location=Location("r1.py", line),
        direction=Direction.UPGRADE,
        basis=Basis.OBSERVED,
        about=("index", f"i{line}"),
        table=table,
        suppressed=Suppressed("known", line) if suppressed else None,
    )


def test_findings_of_one_table_become_one_that_names_the_lines_and_keeps_what_it_stands_for() -> None:
    (told,) = merged([finding(4), finding(5), finding(9)], {"blocking-index"})

    assert told.location == Location("r1.py", 4)
    assert told.message == "Building index `i4`. The same holds for 2 more of the kind on `t`, in lines 5 and 9."
    assert told.stands_for == (("index", "i5"), ("index", "i9"))
    assert told.evidence["covers"] == [
        {"line": 5, "message": "Building index `i5`."},
        {"line": 9, "message": "Building index `i9`."},
    ]


def test_findings_of_other_tables_and_rules_and_suppressed_ones_stay() -> None:
    given = [
        finding(4),
        finding(5, table="u"),
        finding(6, suppressed=True),
        finding(7, table=None),
        finding(8, rule="dropped-column"),
        finding(9, rule="dropped-column"),
    ]

    assert merged(given, {"blocking-index"}) == tuple(given)


def test_findings_of_a_rule_about_files_become_one_for_each_file() -> None:
    here, there = (
        finding(4, table=None, rule="application-import"),
        finding(6, table=None, rule="application-import"),
    )
    elsewhere = replace(here, revision="r2", location=Location("r2.py", 4))

    told = merged([here, there, elsewhere], (), {"application-import"})

    assert [each.message for each in told] == [
        "Building index `i4`. The same holds for 1 more of the kind, in line 6.",
        "Building index `i4`.",
    ]


def test_a_loop_on_one_line_is_told_once() -> None:
    (told,) = merged([finding(4), finding(4), finding(4)], {"blocking-index"})

    assert told.message.endswith("The same holds for 2 more of the kind on `t`, in the same line.")
