"""A rule says the same of a table or a column whatever the deploy has done to it before: given it another type, another
name, or another schema. Each flagged example of each check is judged again after that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from msgspec import Struct
from msgspec.structs import replace

import checks
from reviewer.recording import Recording, Revision, Table, TransactionMode
from reviewer.rehearsal import reconstruction
from reviewer.review.engine import review
from reviewer.review.finding import Finding
from reviewer.review.rule import Check
from tests import emitted
from tests.emitted import Emitted
from tests.examples import Bench, Story

CHECKS = checks.load()


class Before(Struct, frozen=True):
    """What the deploy has done before: statements, and the names that things have after them."""

    statements: tuple[str, ...]
    names: Mapping[str, str]
    path: str | None = None
    """The search path that leads to the tables from then on."""


def another_type(tables: Sequence[Table], _sql: str) -> Before:
    """Each column gets its type again."""
    return Before(
        tuple(
            f'ALTER TABLE {table.name.name} ALTER COLUMN "{column.name}" TYPE {column.type}'
            for table in tables
            if table.kind == "table"
            for column in table.columns
            if not (column.default or "").startswith("nextval")
        ),
        {},
    )


def another_column(tables: Sequence[Table], sql: str) -> Before:
    """Each column that the example names is renamed."""
    named = [
        (table.name.name, column.name)
        for table in tables
        for column in table.columns
        if column.name != "id" and re.search(rf"\b{column.name}\b", sql)
    ]
    return Before(
        tuple(f"ALTER TABLE {table} RENAME COLUMN {column} TO {column}_now" for table, column in named),
        {column: f"{column}_now" for _, column in named},
    )


def another_table(tables: Sequence[Table], _sql: str) -> Before:
    """Each table is renamed."""
    return Before(
        tuple(f"ALTER {kind(each)} {each.name.name} RENAME TO {each.name.name}_now" for each in tables),
        {each.name.name: f"{each.name.name}_now" for each in tables},
    )


def another_schema(tables: Sequence[Table], _sql: str) -> Before:
    """Each table is moved, and looked for there without its schema being named."""
    moved = (f"ALTER {kind(each)} {each.name.name} SET SCHEMA other" for each in tables)
    path = "SET search_path TO other, public"
    return Before(("CREATE SCHEMA other", *moved, path) if tables else (), {}, path)


def kind(table: Table) -> str:
    return table.kind.upper() if "view" in table.kind else "TABLE"


WAYS = (another_type, another_column, another_table, another_schema)


def flagged() -> Iterator[tuple[Check, str, Emitted]]:
    for check in CHECKS:
        for example in check.EXAMPLES:
            found = emitted.emitted(example)
            if found is not None and found.given and "# flagged" in example.upgrade + (example.downgrade or ""):
                yield check, example.title, found


EXAMPLES = list(flagged())


def prepared(found: Emitted, way: Callable[[Sequence[Table], str], Before]) -> tuple[Before, Emitted]:
    base = reconstruction.catalogue(found.given)
    tables = [each for each in base.tables if re.search(rf"\b{each.name.name}\b", found.sql)]
    before = way(tables, found.sql)

    def renamed(statements: tuple[str, ...]) -> tuple[str, ...]:
        for old, new in before.names.items():
            statements = tuple(re.sub(rf"\b{old}\b", new, each) for each in statements)
        return statements

    back = renamed(found.downgrade)
    if before.path and back:
        back = (before.path, *back)
    return before, replace(found, upgrades=tuple(map(renamed, found.upgrades)), downgrade=back)


def judged(found: Emitted, before: Before | None) -> Recording:
    """With what came before in a revision, and a transaction, of its own."""
    recording = replace(emitted.recording(found), transactions=TransactionMode(per_migration=True))
    first = Revision("new0", (), "new0.py", upgrade_line=1, downgrade_line=99)
    statements = before.statements if before else ()
    ran = emitted.recording(Emitted((), (statements,))).passes[0]
    return replace(
        recording,
        revisions=(first, *recording.revisions),
        passes=(replace(ran, revision="new0"), *recording.passes),
    )


def essence(findings: Sequence[Finding], rule: str) -> Sequence[object]:
    """What is said by the rule, and of which revision."""
    return sorted(
        (f.revision or "", f.severity.value, f.direction.value, bool(f.remedy))
        for f in findings
        if f.rule == rule and f.revision != "new0"
    )


def cases() -> Iterator[object]:
    for check, title, found in EXAMPLES:
        for way in WAYS:
            before, after = prepared(found, way)
            if before.statements:
                yield pytest.param(check, found, before, after, id=f"{way.__name__}: {check.RULE.id}: {title}")


@pytest.mark.parametrize(("check", "found", "before", "after"), list(cases()))
def test_a_rule_says_the_same_by_the_text_alone(
    check: Check, found: Emitted, before: Before, after: Emitted
) -> None:
    expected = essence(review(judged(found, None), CHECKS).findings, check.RULE.id)

    assert essence(review(judged(after, before), CHECKS).findings, check.RULE.id) == expected


def test_most_rules_speak_in_these_examples() -> None:
    spoken = {
        check.RULE.id
        for check, _, found in EXAMPLES
        if essence(review(judged(found, None), CHECKS).findings, check.RULE.id)
    }

    assert len(spoken) > 45


OF_THE_STATE = [
    "rename-as-drop",
    "blocking-primary-key",
    "changed-default",
    "index-rebuilding-type-change",
    "nullable-for-old-code",
    "renamed-column",
    "scanning-type-change",
    "stricter-for-old-code",
]
"""Rules that ask what a column or a table was or is, so that a server alone does not make them right."""


@pytest.mark.parametrize("rule", OF_THE_STATE)
def test_a_rule_says_the_same_on_a_server(rule: str, bench: Bench) -> None:
    """Renamed columns, renamed tables, and another schema."""
    found = next(f for c, _, f in EXAMPLES if c.RULE.id == rule)
    ways = [prepared(found, way) for way in WAYS[1:]]

    def story(before: Before | None, after: Emitted) -> Story:
        first = (body(before.statements),) if before and before.statements else ()
        return Story((body(found.given),), (*first, *map(body, after.upgrades)), per_migration=True)

    def told(story: Story) -> list[object]:
        recording = bench.record(story)
        last = recording.revisions[-1].id
        return [
            (f.severity.value, f.direction.value, bool(f.remedy))
            for f in review(recording, CHECKS).findings
            if f.rule == rule and f.revision == last
        ]

    expected = told(story(None, found))

    assert expected
    assert [told(story(before, after)) for before, after in ways if before.statements] == [
        expected for before, _ in ways if before.statements
    ]


def body(statements: Sequence[str]) -> str:
    return "\n".join(f"op.get_bind().exec_driver_sql({sql!r})" for sql in statements) or "pass"
