"""The report for programs, and back again: every other format can be made from it.

`schema.json` beside this file describes it. Keys are only ever added while `schema` stays 1.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from reviewer.errors import UsageError
from reviewer.recording import (
    Catalogue,
    Change,
    Difference,
    Direction,
    Failure,
    FailureKind,
    Location,
    Lock,
    Loss,
    Mode,
    Moment,
    Observation,
    OldCode,
    Origin,
    Outcome,
    Pass,
    Recording,
    Rehearsal,
    Relation,
    Revision,
    Scan,
    Server,
    Skipped,
    Statement,
    Table,
    TransactionMode,
)
from reviewer.replay.effects import Held, Place, Witness, Work
from reviewer.report import inert
from reviewer.report.digest import RevisionDigest, Shown, TreeDigest, digest, show
from reviewer.review.finding import Basis, Finding, Severity, Suppressed
from reviewer.review.verdict import Report, Strongest, TreeReport
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name

FORMAT = 1
"""The value of `schema`."""
TOOL = "alembic-reviewer"

Document = dict[str, Any]


def schema() -> Document:
    """The JSON Schema of the report."""
    text = resources.files(__package__).joinpath("schema.json").read_text(encoding="utf-8")
    found: Document = json.loads(text)
    return found


def render(report: Report) -> str:
    """`report` as JSON text, in ASCII."""
    return inert.json_text(document(report))


# -- out ------------------------------------------------------------------------------------------


def document(report: Report) -> Document:
    """`report` as the values that become JSON."""
    trees = [digest(tree) for tree in report.trees]
    server = next((tree.recording.server for tree in report.trees if tree.recording.server), None)
    return {
        "schema": FORMAT,
        "tool": {"name": TOOL, "version": report.tool},
        "verdict": report.verdict.value,
        "fail_on": report.fail_on.value if report.fail_on else "never",
        "postgres": _server(server),
        "mode": report.mode,
        "errors": list(report.all_errors),
        "trees": [_tree(tree.recording) for tree in report.trees],
        "revisions": [_revision(revision, tree.tree.recording) for tree in trees for revision in tree.revisions],
        "findings": [_finding(shown, tree.tree.recording) for tree in trees for shown in _with_suppressed(tree)],
        "skipped": [
            *(_skipped(each, "") for each in report.skipped),
            *(_skipped(each, tree.name) for tree in trees for each in tree.tree.recording.skipped),
        ],
        "unrecognized": [
            {"sql": each.sql, **_place(each.location), "tree": tree.name}
            for tree in trees
            for each in tree.tree.unrecognized
        ],
    }


def _server(server: Server | None) -> Document | None:
    return {"version": server.version, "source": server.source} if server else None


def _tree(recording: Recording) -> Document:
    return {
        "name": recording.tree,
        "mode": recording.mode.value,
        "postgres": _server(recording.server),
        "transaction_per_migration": recording.transactions.per_migration,
        "errors": list(recording.errors),
        "old_code": {
            "commit": recording.old_code.commit or None,
            "tried": recording.old_code.mapped is not None,
            "reason": _why_not_tried(recording.old_code),
        },
        "tables": [
            {"schema": table.name.schema, "name": table.name.name, "kind": table.kind, "rows": table.rows}
            for table in recording.base.tables
        ],
    }


def _why_not_tried(found: OldCode) -> str:
    return found.reason or ("the recording does not say why" if found.mapped is None else "")


def _skipped(each: Skipped, tree: str) -> Document:
    return {"what": each.what, "reason": each.reason, "tree": tree}


def _place(location: Location | None) -> Document:
    return {"path": location.path if location else None, "line": location.line if location else None}


def _revision(found: RevisionDigest, recording: Recording) -> Document:
    revision = found.revision
    strongest = found.strongest
    return {
        "id": revision.id,
        "down_revision": list(revision.down_revisions),
        "path": revision.path,
        "new": True,
        "rollback": found.rollback,
        "passes": [_pass(each) for each in found.passes],
        "tree": found.tree,
        "message": revision.message,
        "phrase": found.phrase,
        "depends_on": list(revision.depends_on),
        "branch_labels": list(revision.branch_labels),
        "upgrade_line": revision.upgrade_line,
        "strongest_lock": {"mode": strongest.mode.value, "relations": [str(table) for table in strongest.tables]}
        if strongest
        else None,
        "trials": [_pass(each) for each in recording.trials if each.revision == revision.id],
        "one_way": revision.id in recording.one_way,
    }


def _pass(each: Pass) -> Document:
    failure = each.failure
    return {
        "direction": each.direction.value,
        "rehearsal": each.rehearsal.value,
        "outcome": each.outcome.value,
        "seconds": _seconds(each.seconds),
        "error": failure.message if failure else None,
        "statements": [_statement(statement) for statement in each.statements],
        "reason": each.reason,
        "rows": each.rows,
        "failure": {
            "kind": failure.kind.value,
            **_place(failure.location),
            "sql": failure.sql,
            "sqlstate": failure.sqlstate,
            "deliberate": failure.deliberate,
            "moment": failure.moment.value,
            "outside": _place(failure.outside) if failure.outside else None,
        }
        if failure
        else None,
        "worst": each.worst,
        "written": list(each.written),
        "compared": each.compared,
        "differences": [
            {
                "kind": difference.kind,
                "name": difference.name,
                "change": difference.change.value,
                "table": difference.table,
                "aspect": difference.aspect,
                "before": difference.before,
                "after": difference.after,
            }
            for difference in each.differences
        ],
        "losses": [_loss(loss) for loss in each.losses],
        "new_losses": [_loss(loss) for loss in each.new_losses],
        "brought": list(each.brought),
        "unread": list(each.unread),
        "unrun": [{"sql": unrun.sql, **_place(unrun.location)} for unrun in each.unrun],
    }


def _loss(loss: Loss) -> Document:
    return {
        "table": loss.table,
        "column": loss.column,
        "values": loss.values,
        "of": loss.of,
        "before": loss.before,
        "after": loss.after,
        "allowed_before": loss.allowed_before,
    }


def _statement(statement: Statement) -> Document:
    seen = statement.observation or Observation()
    relations = [
        *(lock.relation for lock in seen.locks),
        *seen.rewritten,
        *(scan.relation for scan in seen.scanned),
        *seen.built,
    ]
    return {
        "sql": statement.sql,
        **_place(statement.location),
        "seconds": _seconds(statement.seconds),
        "in_transaction": statement.in_transaction,
        "locks": [
            {"relation": str(lock.relation), "mode": lock.mode.value, "new_relation": lock.relation.new}
            for lock in seen.locks
        ],
        "rewritten": [str(relation) for relation in seen.rewritten],
        "scanned": [{"relation": str(scan.relation), "rows": scan.rows} for scan in seen.scanned],
        "rows": statement.rows,
        "origin": statement.origin.value,
        "parameters": list(statement.parameters),
        "error": statement.error,
        "sqlstate": statement.sqlstate,
        "observed": statement.observation is not None,
        "transaction": seen.transaction,
        "lock_timeout": seen.lock_timeout,
        "statement_timeout": seen.statement_timeout,
        "built": [str(relation) for relation in seen.built],
        "relations": [_relation(relation) for relation in dict.fromkeys(relations)],
    }


def _relation(relation: Relation) -> Document:
    return {
        "relation": str(relation),
        "schema": relation.schema,
        "name": relation.name,
        "kind": relation.kind,
        "new": relation.new,
        "table": relation.table,
        "table_new": relation.table_new,
    }


def _seconds(seconds: float) -> float:
    return round(seconds, 6)


def _with_suppressed(tree: TreeDigest) -> Iterable[Shown]:
    """Every finding in the order of the review, the suppressed ones too."""
    return [show(finding, tree.tree.recording) for finding in tree.tree.findings]


def _finding(shown: Shown, recording: Recording) -> Document:
    finding = shown.finding
    witness = finding.witness
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "message": finding.message,
        "revision": finding.revision,
        **_place(finding.location),
        "direction": finding.direction.value,
        "basis": finding.basis.value,
        "evidence": inert.json_value(finding.evidence),
        "remedy": list(finding.remedy),
        "suppressed": {"reason": finding.suppressed.reason, "line": finding.suppressed.line}
        if finding.suppressed
        else None,
        "tree": shown.tree,
        "sql": finding.sql,
        "about": list(finding.about),
        "held": [
            {
                "relation": str(held.relation),
                "mode": held.mode.value,
                "since": _place(held.since.location) if held.since.location else None,
            }
            for held in shown.held
        ],
        "statement": _address(witness.place, recording) if witness else None,
        "refused": _address(witness.refusal, recording) if witness and witness.refusal else None,
        "did": {
            "locks": [{"relation": str(lock.relation), "mode": lock.mode.value} for lock in witness.locks],
            "work": [
                {
                    "kind": work.kind,
                    "table": str(work.table),
                    "rows": work.rows,
                    "index": str(work.index) if work.index else None,
                }
                for work in witness.work
            ],
        }
        if witness
        else None,
    }


def _address(place: Place, recording: Recording) -> Document:
    """Which statement that is among those of the report: passes are counted within their revision."""
    run = recording.passes[place.run]
    before = sum(each.revision == run.revision for each in recording.passes[: place.run])
    return {"revision": run.revision, "pass": before, "statement": place.statement}


# -- in -------------------------------------------------------------------------------------------


def load(text: str | bytes) -> Report:
    """The report that `render` wrote, as far as the other formats need it.

    Held to the schema first, so that what comes from a job that ran somebody's code can be rendered anew: the
    verdict, the counts and the words are ours. Raises `UsageError` for anything else.
    """
    import jsonschema

    way_out = "Make it again with `alembic-reviewer review --format json`."
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The report is not JSON: {inert.sentence(str(error))}.", way_out) from None
    try:
        jsonschema.validate(found, schema(), cls=jsonschema.Draft202012Validator)
    except jsonschema.ValidationError as error:
        where = inert.name(error.json_path)
        what = inert.cut(inert.sentence(error.message), 200)
        raise UsageError(f"The report is not one of ours: {where}: {what}.", way_out) from None
    return _report(found)


def _report(found: Document) -> Report:
    return Report(
        tool=found["tool"]["version"],
        trees=tuple(_read_tree(tree, found) for tree in found["trees"]),
        fail_on=None if found["fail_on"] == "never" else Severity(found["fail_on"]),
        skipped=tuple(Skipped(each["what"], each["reason"]) for each in found["skipped"] if not each["tree"]),
        errors=_common_errors(found),
        replayed=found["mode"] == "replayed",
    )


def _common_errors(found: Document) -> tuple[str, ...]:
    """Those that no tree has for its own: the list has all of them."""
    own = Counter(error for tree in found["trees"] for error in tree.get("errors", ()))
    common = []
    for error in found["errors"]:
        if own[error]:
            own[error] -= 1
        else:
            common.append(error)
    return tuple(common)


def _read_old_code(found: Document) -> OldCode:
    mapped = () if found.get("tried") else None
    return OldCode(found.get("commit") or "", mapped, reason=found.get("reason", ""))


def _read_tree(tree: Document, found: Document) -> TreeReport:
    name = tree["name"]
    revisions = [each for each in found["revisions"] if each["tree"] == name]
    server = tree["postgres"]
    return TreeReport(
        recording=Recording(
            tool=found["tool"]["version"],
            mode=Mode(tree["mode"]),
            revisions=tuple(
                Revision(
                    each["id"],
                    tuple(each["down_revision"]),
                    each["path"],
                    tuple(each["depends_on"]),
                    tuple(each["branch_labels"]),
                    each["message"],
                    each["upgrade_line"],
                )
                for each in revisions
            ),
            passes=tuple(_read_pass(ran, each["id"]) for each in revisions for ran in each["passes"]),
            skipped=tuple(
                Skipped(each["what"], each["reason"]) for each in found["skipped"] if name and each["tree"] == name
            ),
            errors=tuple(tree.get("errors", ())),
            server=Server(server["version"], server["source"]) if server else None,
            transactions=TransactionMode(per_migration=tree["transaction_per_migration"]),
            base=Catalogue(
                tables=tuple(
                    Table(Name(each["name"], each["schema"]), each["kind"], rows=each["rows"])
                    for each in tree.get("tables", ())
                )
            ),
            old_code=_read_old_code(tree.get("old_code") or {}),
            tree=name,
            one_way=tuple(each["id"] for each in revisions if each.get("one_way")),
            trials=tuple(_read_pass(ran, each["id"]) for each in revisions for ran in each.get("trials", ())),
        ),
        findings=tuple(_read_finding(each, revisions) for each in found["findings"] if each["tree"] == name),
        unrecognized=tuple(
            Statement(each["sql"], _read_place(each)) for each in found["unrecognized"] if each["tree"] == name
        ),
        phrases=tuple((each["id"], each["phrase"]) for each in revisions),
        strongest=tuple(
            (each["id"], Strongest(LockMode(lock["mode"]), tuple(map(_read_relation, lock["relations"]))))
            for each in revisions
            if (lock := each["strongest_lock"])
        ),
    )


def _read_pass(found: Document, revision: str) -> Pass:
    failure = found["failure"]
    return Pass(
        revision,
        Direction(found["direction"]),
        Rehearsal(found["rehearsal"]),
        Outcome(found["outcome"]),
        found["seconds"],
        Failure(
            FailureKind(failure["kind"]),
            found["error"] or "",
            _read_place(failure),
            failure["sql"],
            failure["sqlstate"],
            failure["deliberate"],
            moment=Moment(failure.get("moment", Moment.DURING.value)),
            outside=_read_place(failure["outside"]) if failure.get("outside") else None,
        )
        if failure
        else None,
        tuple(_read_statement(each) for each in found["statements"]),
        found["reason"],
        found["rows"],
        found.get("worst", False),
        tuple(found.get("written", ())),
        found.get("compared", False),
        tuple(Difference(**{**each, "change": Change(each["change"])}) for each in found.get("differences", ())),
        tuple(Loss(**each) for each in found.get("losses", ())),
        tuple(Loss(**each) for each in found.get("new_losses", ())),
        tuple(found.get("brought", ())),
        tuple(found.get("unread", ())),
        tuple(Statement(each["sql"], _read_place(each)) for each in found.get("unrun", ())),
    )


def _read_statement(found: Document) -> Statement:
    relations = {
        each["relation"]: Relation(
            each["schema"], each["name"], each["kind"], each["new"], each["table"], each["table_new"]
        )
        for each in found["relations"]
    }
    return Statement(
        found["sql"],
        _read_place(found),
        Origin(found["origin"]),
        found["seconds"],
        found["in_transaction"],
        found["rows"],
        tuple(found["parameters"]),
        error=found["error"],
        sqlstate=found["sqlstate"],
        observation=_read_observation(found, relations) if found["observed"] else None,
    )


def _read_observation(found: Document, relations: Mapping[str, Relation]) -> Observation:
    def relation(name: str) -> Relation:
        return relations.get(name) or Relation("public", name, "other")

    return Observation(
        locks=tuple(Lock(relation(each["relation"]), LockMode(each["mode"])) for each in found["locks"]),
        rewritten=tuple(relation(name) for name in found["rewritten"]),
        scanned=tuple(Scan(relation(each["relation"]), each["rows"]) for each in found["scanned"]),
        built=tuple(relation(name) for name in found["built"]),
        lock_timeout=found["lock_timeout"],
        statement_timeout=found["statement_timeout"],
        transaction=found["transaction"],
    )


def _read_finding(found: Document, revisions: Sequence[Document]) -> Finding:
    suppressed = found["suppressed"]
    return Finding(
        found["rule"],
        Severity(found["severity"]),
        found["message"],
        found["revision"],
        _read_place(found),
        Direction(found["direction"]),
        Basis(found["basis"]),
        found["evidence"],
        tuple(found["remedy"]),
        tuple(found["about"]),
        found["sql"],
        Suppressed(suppressed["reason"], suppressed["line"]) if suppressed else None,
        witness=_read_witness(found, revisions),
    )


def _read_witness(found: Document, revisions: Sequence[Document]) -> Witness | None:
    """What is known of the statement, where the report says which it is and has it."""
    place = _read_address(found.get("statement"), revisions)
    if place is None:
        return None
    did = found.get("did") or {"locks": (), "work": ()}
    return Witness(
        place,
        _read_address(found.get("refused"), revisions),
        held=tuple(
            Held(
                _read_relation(each["relation"]),
                LockMode(each["mode"]),
                Statement("", _read_place(each["since"]) if each["since"] else None),
            )
            for each in found["held"]
        ),
        locks=tuple(Lock(_read_relation(each["relation"]), LockMode(each["mode"])) for each in did["locks"]),
        work=tuple(
            Work(
                each["kind"],
                _read_relation(each["table"]),
                each["rows"],
                _read_relation(each["index"]) if each["index"] else None,
            )
            for each in did["work"]
        ),
    )


def _read_address(found: Document | None, revisions: Sequence[Document]) -> Place | None:
    if found is None:
        return None
    run = 0
    for revision in revisions:
        if revision["id"] == found["revision"]:
            passes = revision["passes"]
            there = found["pass"] < len(passes) and found["statement"] < len(passes[found["pass"]]["statements"])
            return Place(run + found["pass"], found["statement"]) if there else None
        run += len(revision["passes"])
    return None


def _read_relation(told: str) -> Relation:
    name = Name.told(told)
    return Relation(name.schema or "public", name.name, "table")


def _read_place(found: Document) -> Location | None:
    return None if found["path"] is None else Location(found["path"], found["line"] or 1)
