"""The JSON report: what the contract promises, and that every other format can be made from it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import jsonschema
import pytest

from reviewer.errors import UsageError
from reviewer.recording import FailureKind, OldCode
from reviewer.report import json as report_json
from reviewer.report import text
from reviewer.review.verdict import Report
from tests.report import reports

VALIDATOR = jsonschema.Draft202012Validator(report_json.schema())
every_report = pytest.mark.parametrize("report", reports.REPORTS.values(), ids=reports.REPORTS.keys())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(report_json.schema())


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

        found = report_json.document(replace(reports.CLEAN, trees=(bare,)))["trees"][0]["old_code"]

        assert not found["tried"]
        assert found["reason"]


def test_a_report_of_a_version_that_knew_no_errors_of_trees_is_read() -> None:
    report = replace(reports.CLEAN, errors=("common",))
    document = report_json.document(report)
    for tree in document["trees"]:
        del tree["errors"]

    assert report_json.load(json.dumps(document)).all_errors == ("common",)


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
        ("notices", "warn"),
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
    with pytest.raises(UsageError, match=r"^The report is not"):
        report_json.load(text)


def test_a_report_with_a_key_too_many_is_refused() -> None:
    found = json.loads(report_json.render(reports.CLEAN))

    with pytest.raises(UsageError, match="extra"):
        report_json.load(json.dumps({**found, "extra": 1}))


def test_a_claimed_verdict_is_not_believed() -> None:
    found = json.loads(report_json.render(reports.TYPICAL))

    read = report_json.load(json.dumps({**found, "verdict": "pass"}))

    assert read.verdict.value == "fail"


def test_writing_json_loads_neither_rich_nor_jsonschema() -> None:
    code = "import sys, reviewer.report.json; print(*sorted({'rich', 'jsonschema', 'sqlglot'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "\n"


def test_the_schema_knows_every_kind_of_failure() -> None:
    text = json.dumps(report_json.schema())

    assert [kind.value for kind in FailureKind if f'"{kind.value}"' not in text] == []
