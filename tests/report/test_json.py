"""The JSON report: what the contract promises, and that every other format can be made from it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from typing import Any

import jsonschema
import msgspec
import pytest
from msgspec.structs import replace

from reviewer.errors import UsageError
from reviewer.recording import FailureKind, OldCode
from reviewer.report import inert, text
from reviewer.report import json as report_json
from reviewer.review.finding import Severity
from reviewer.review.verdict import Report
from tests.report import reports

VALIDATOR = jsonschema.Draft202012Validator(report_json.schema())
every_report = pytest.mark.parametrize("report", reports.REPORTS.values(), ids=reports.REPORTS.keys())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(report_json.schema())


def test_the_schema_beside_the_code_is_that_of_its_types() -> None:
    shipped = resources.files(report_json).joinpath("schema.json").read_text(encoding="utf-8")

    assert json.loads(shipped) == json.loads(json.dumps(report_json.schema())), (
        "`python3 scripts/docs.py` writes it"
    )


def test_every_object_of_the_schema_is_closed_and_has_a_description() -> None:
    def objects(value: object) -> list[dict[str, object]]:
        if isinstance(value, list):
            return [each for item in value for each in objects(item)]
        if not isinstance(value, dict):
            return []
        own = [value] if value.get("type") == "object" else []
        return own + [each for item in value.values() for each in objects(item)]

    found = objects(report_json.schema())

    assert [o for o in found if "description" not in o] == []
    assert [o["description"] for o in found if o.get("additionalProperties") is not False] == [
        "Facts for programs; the keys depend on the rule."
    ]


@every_report
def test_every_report_is_as_the_schema_says(report: Report) -> None:
    VALIDATOR.validate(json.loads(report_json.render(report)))


@every_report
def test_the_same_report_gives_the_same_text(report: Report) -> None:
    assert report_json.render(report) == report_json.render(report)


@every_report
def test_a_report_that_was_read_again_is_written_the_same(report: Report) -> None:
    written = report_json.render(report)

    assert report_json.render(report_json.load(written)) == written


def test_an_error_stays_with_its_tree() -> None:
    [tree] = reports.CLEAN.trees
    trees = [
        replace(tree, recording=replace(tree.recording, tree=name, errors=errors))
        for name, errors in {"shop": ("common", "own"), "billing": ("own",), "stock": ()}.items()
    ]
    report = replace(reports.CLEAN, trees=tuple(trees), errors=("common", "of none"))

    again = report_json.load(report_json.render(report))

    assert [each.recording.errors for each in again.trees] == [("common", "own"), ("own",), ()]
    assert sorted(again.errors) == ["common", "of none"]


def test_old_code_that_was_not_tried_always_has_a_reason() -> None:
    [tree] = reports.CLEAN.trees
    for old_code in (OldCode(), OldCode("c0ffee"), OldCode(reason="turned off")):
        bare = replace(tree, recording=replace(tree.recording, old_code=old_code))

        found = json.loads(report_json.render(replace(reports.CLEAN, trees=(bare,))))["trees"][0]["old_code"]

        assert not found["tried"]
        assert found["reason"]


def test_a_report_of_a_version_that_knew_no_errors_of_trees_is_read() -> None:
    report = replace(reports.CLEAN, errors=("common",))
    document = json.loads(report_json.render(report))
    for tree in document["trees"]:
        del tree["errors"]

    assert report_json.load(json.dumps(document)).all_errors == ("common",)


@every_report
def test_a_report_with_only_the_keys_that_must_be_there_is_read(report: Report) -> None:
    found = json.loads(report_json.render(report))

    read = report_json.load(json.dumps(_only_required(found, report_json.schema(), report_json.schema())))

    assert read.verdict is report.verdict
    assert [(each.rule, each.location) for each in read.findings] == [
        (each.rule, each.location and replace(each.location, path=inert.spelled(each.location.path)))
        for each in report.findings
    ]


def _only_required(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> Any:
    """`value` without the keys that a report of an earlier version may not have."""
    [schema] = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        return [_only_required(each, schema["items"], whole) for each in value]
    if not isinstance(value, dict) or "required" not in schema:
        return value
    return {key: _only_required(value[key], schema["properties"][key], whole) for key in schema["required"]}


@every_report
def test_keys_that_a_later_version_has_added_are_left_out(report: Report) -> None:
    written = report_json.render(report)

    def added(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                "new-key": [{"deep": 1}],
                **{key: added(each) for key, each in value.items() if key != "evidence"},
            }
        return [added(each) for each in value] if isinstance(value, list) else value

    without = json.loads(written)
    for finding in without["findings"]:
        finding["evidence"] = {}
    later = added(without)
    for finding in later["findings"]:
        finding["evidence"] = {}

    assert json.loads(report_json.render(report_json.load(json.dumps(later)))) == without


@every_report
def test_the_terminal_report_can_be_made_from_it(report: Report) -> None:
    assert text.render(report_json.load(report_json.render(report))) == text.render(report)


def test_has_the_keys_of_the_contract() -> None:
    found = json.loads(report_json.render(reports.TYPICAL))
    revision = found["revisions"][0]
    statement = revision["passes"][0]["statements"][1]

    assert {"schema", "tool", "verdict", "postgres", "mode", "revisions", "findings", "skipped"} <= set(found)
    assert found["tool"] == {"name": "alembic-reviewer", "version": "0.1.0"}
    assert found["postgres"] == {"version": "18.4", "source": "embedded"}
    assert [revision[key] for key in ("id", "down_revision", "path", "new", "rollback")] == [
        "8c1f0e2b7d43",
        ["51b0c3d9aa12"],
        "migrations/versions/8c1f0e2b7d43_orders_customer.py",
        True,
        "untested",
    ]
    assert statement["locks"] == [
        {"relation": "customers", "mode": "SHARE ROW EXCLUSIVE", "new_relation": False},
    ]
    assert statement["scanned"] == [{"relation": "orders", "rows": 100}, {"relation": "customers", "rows": 100}]
    assert found["findings"][0]["held"] == [
        {
            "relation": "orders",
            "mode": "ACCESS EXCLUSIVE",
            "since": {"path": "migrations/versions/8c1f0e2b7d43_orders_customer.py", "line": 17},
        }
    ]
    assert found["findings"][-1]["suppressed"] == {
        "reason": "unmapped since release 41, exported to the archive",
        "line": 26,
    }


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        ("clean", "pass"),
        ("notices", "pass"),
        ("typical", "fail"),
        ("error", "error"),
        ("nothing-new", "skipped"),
        ("several-trees", "warn"),
    ],
)
def test_says_the_verdict(report: str, verdict: str) -> None:
    assert json.loads(report_json.render(reports.REPORTS[report]))["verdict"] == verdict


def test_a_downgrade_that_fails_is_broken_and_one_that_raises_on_purpose_is_irreversible() -> None:
    found = json.loads(report_json.render(reports.TERRIBLE))

    assert [revision["rollback"] for revision in found["revisions"]] == ["broken", "irreversible", "untested"]


def test_a_statement_is_never_shortened() -> None:
    found = json.loads(report_json.render(reports.VAST))

    assert found["revisions"][0]["passes"][0]["statements"][0]["sql"] == reports.HUGE


def test_every_strict_reader_can_read_it() -> None:
    written = report_json.render(reports.HOSTILE)

    assert "ud800" in written
    assert msgspec.json.decode(written) == json.loads(written)


def test_is_ascii_and_gives_a_job_no_command() -> None:
    written = report_json.render(reports.HOSTILE)

    assert written.isascii()
    assert "##[" not in written
    assert not [line for line in written.splitlines() if line.lstrip().startswith("::")]


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "{}", '{"schema": 2}', "[" * 100_000, b"\xff\xfe\x00"],
    ids=["empty", "no JSON", "a list", "no keys", "another version", "too deep", "no text"],
)
def test_what_is_no_report_is_refused_in_one_sentence(text: str | bytes) -> None:
    with pytest.raises(UsageError, match=r"^The report (is|was) not"):
        report_json.load(text)


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a verdict that there is not": (lambda d: d | {"verdict": "fine"}, "invalid enum value 'fine' at `$.verdict`"),
    "text for a list": (lambda d: d | {"findings": "none"}, "expected `array`, got `str` at `$.findings`"),
    "a key that is missing": (
        lambda d: {k: v for k, v in d.items() if k != "trees"},
        "missing required field `trees`",
    ),
    "a negative line": (lambda d: _finding(d, line=-1), "`int` >= 0 at `$.findings[0].line`"),
    "a rule that is a page": (lambda d: _finding(d, rule="<script>"), "`$.findings[0].rule`"),
    "a rule without end": (lambda d: _finding(d, rule="x" * 101), "`$.findings[0].rule`"),
    "evidence that is too deep": (lambda d: _finding(d, evidence=_deep(200)), "`$.findings[0].evidence`"),
    "evidence that is far too deep": (lambda d: _finding(d, evidence=_deep(900)), ""),
    "another tool": (lambda d: d | {"tool": {"name": "other", "version": "1"}}, "`$.tool.name`"),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_in_a_report_is_named_with_its_place(change: Callable[[Any], Any], said: str) -> None:
    text = json.dumps(change(json.loads(report_json.render(reports.TYPICAL))))

    with pytest.raises(
        UsageError, match=r"^The report (is not JSON|was not written by alembic-reviewer): [^\n]*\."
    ) as raised:
        report_json.load(text)

    assert said in str(raised.value)


def _finding(document: Any, **changed: Any) -> Any:
    first, *others = document["findings"]
    return document | {"findings": [first | changed, *others]}


def _deep(levels: int) -> Any:
    found: Any = {}
    for _ in range(levels):
        found = {"a": found}
    return found


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    text = report_json.render(reports.TYPICAL)
    seconds = json.dumps(json.loads(text)["revisions"][0]["passes"][0]["seconds"])

    with pytest.raises(UsageError, match=r"^The report (is|was) not"):
        report_json.load(text.replace(f'"seconds": {seconds}', f'"seconds": {number}', 1))


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    text = report_json.render(reports.CLEAN)

    read = report_json.load(text.replace('"fail_on": "error"', '"fail_on": "never", "fail_on": "warning"'))

    assert read.fail_on is Severity.WARNING


def test_a_claimed_verdict_is_not_believed() -> None:
    found = json.loads(report_json.render(reports.TYPICAL))

    read = report_json.load(json.dumps({**found, "verdict": "pass"}))

    assert read.verdict.value == "fail"


@pytest.mark.processes
def test_writing_json_loads_neither_rich_nor_sqlglot() -> None:
    code = "import sys, reviewer.report.json; print(*sorted({'rich', 'sqlglot'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "\n"


def test_the_schema_knows_every_kind_of_failure() -> None:
    text = json.dumps(report_json.schema())

    assert [kind.value for kind in FailureKind if f'"{kind.value}"' not in text] == []
