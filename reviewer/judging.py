"""The report of recordings: what the checks find, what comments suppress, and how severe the configuration makes it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reviewer import __version__, recording
from reviewer.config import Config
from reviewer.errors import UsageError
from reviewer.host import files
from reviewer.host.paths import on_disk, relative, shown
from reviewer.project.git import root_of
from reviewer.recording import Direction, Mode, Outcome, Recording, Skipped
from reviewer.review import suppressions
from reviewer.review.durations import durations, refuse_unknown, told_beside
from reviewer.review.finding import Finding, Severity
from reviewer.review.rule import Group
from reviewer.review.suppressions import Suppression
from reviewer.review.verdict import Report, TreeReport
from reviewer.scope import Scope
from reviewer.sql.names import VERSION_TABLE
from reviewer.stats import drift
from reviewer.stats.sizes import Production

if TYPE_CHECKING:
    from reviewer.recording import Lock, Statement
    from reviewer.review.rule import Check, Rule

Comments = Mapping[str, tuple[Suppression, ...]]
"""The suppression comments of one tree, by the path of their file."""


def with_rules(config: Config) -> Config:
    """`config` with the rules of the groups that it names."""
    named = {group.value for group in Group} & config.named_rules()
    if not named:
        return config
    import checks as all_checks

    rules: dict[str, list[str]] = {}
    for check in all_checks.load():
        rules.setdefault(check.RULE.group.value, []).append(check.RULE.id)
    return config.without_groups({name: rules.get(name, []) for name in named})


def replayed(config: Config, production: Production | None = None) -> Report:
    """The report of a saved recording: the same as when it was made, without a server."""
    assert config.recording is not None
    try:
        text = files.read(config.recording)
    except OSError as error:
        raise UsageError(
            f"The recording {config.recording} cannot be read: {files.why(error)}.", "Name a file that exists."
        ) from None
    recordings = recording.loads(text, str(config.recording))
    refuse_unknown(config.calibrate, [new.id for each in recordings for new in each.revisions])
    root = root_of(config.path) or config.path
    comments = {each.tree: comments_in(root, each) for each in recordings}
    return replace(judged(config, recordings, comments, production), replayed=True)


def comments_of(scope: Scope) -> Comments:
    """The suppression comments in the reviewed revisions and in env.py, as the files were when they were read."""
    reviewed = (*scope.selection.edited, *scope.selection.revisions)
    found = {(path := shown(each.path)): suppressions.read(each.text, path) for each in reviewed}
    env = scope.tree.env_py
    if env is not None:
        with contextlib.suppress(OSError):
            path = relative(env, scope.root)
            found[path] = suppressions.read(files.read_regular(env), path)
    return found


def comments_in(root: Path, each: Recording) -> Comments:
    """The suppression comments in the revisions of a recording, as their files below `root` are now."""
    found = {}
    edited = {entry.location.path for entry in each.history.edited}
    asked = {each.control.location.path} if each.control.location is not None else set()
    for path in edited | asked | {revision.path for revision in each.revisions}:
        with contextlib.suppress(OSError):
            found[path] = suppressions.read(files.read_regular(on_disk(root, path)), path)
    return found


def judged(
    config: Config,
    recordings: Sequence[Recording],
    comments: Mapping[str, Comments],
    production: Production | None = None,
    *,
    merge: bool = True,
) -> Report:
    """The report of `recordings`: what the selected checks find, weighed by the sizes in `production`, with `comments`
    (by tree) applied. Reads no source. Raises `UsageError` if `production` is the database of none of them. `merge`: what
    one rule finds in one revision about one table is one finding.
    """
    import checks as all_checks
    from reviewer.review import ledger
    from reviewer.review.engine import review
    from reviewer.review.merging import merged

    loaded = all_checks.load()
    config = with_rules(config)
    config.check_rules({check.RULE.id for check in loaded})
    selected = _selected(config, loaded)
    asked = {check.RULE.id for check in selected}
    reporters = {check.RULE.reports_failed: check.RULE.id for check in loaded if check.RULE.reports_failed}
    waiting = waiting_rules()
    merging = merging_rules() if merge else frozenset[str]()
    of_files = {check.RULE.id for check in loaded if check.RULE.once_a_file and merge}
    reports = []
    skipped = _unused(recordings, production) + _hot_in_vain(config, recordings)
    for each in recordings:
        there = production if production is not None and production.knows(each.base) else None
        report = (
            review(each, selected, there, config.small_table)
            if each.revisions or each.history.rewritten
            else TreeReport(each)
        )
        timed = durations(each, there, config.calibrate)
        skipped += tuple(Skipped(f"--calibrate {revision}", reason) for revision, reason in timed.unused)
        report = replace(report, findings=told_beside(report.findings, timed), durations=timed)
        findings = _suppressed(report.findings, each, comments.get(each.tree, {}), loaded, selected)
        severe = _with_severities(config, findings, each, waiting)
        told = replace(report, findings=merged(severe, merging, of_files), order=_deploy_order(each, findings))
        dropped = [finding for finding in findings if config.ignored(finding.rule, _path(finding))]
        reports.append(
            ledger.settled(
                told, lambda rule, path: rule in asked and not config.ignored(rule, path), reporters, dropped
            )
        )
    return Report(
        tool=__version__,
        trees=tuple(reports),
        fail_on=config.fail_on,
        skipped=skipped,
        sizes=production.source if production is not None else None,
    )


def _deploy_order(recording: Recording, findings: Sequence[Finding]) -> str:
    if recording.new_code.mapped is None:
        return ""
    from reviewer.release.order import in_short

    return in_short(recording, findings, code_rules())


def _unused(recordings: Sequence[Recording], production: Production | None) -> tuple[Skipped, ...]:
    """What of production could not be used: the sizes of trees whose tables are in another database, and a schema that
    belongs to another revision. Raises `UsageError` if all of them are.
    """
    if production is None:
        return ()
    source = production.source
    others = [each.tree for each in recordings if not production.knows(each.base)]
    if others and len(others) == len(recordings):
        raise UsageError(
            f"{source.file} is about the database {source.database}, which has none of the tables of this project.",
            "Name the file of its own database with --stats.",
        )
    reason = f"{source.file} is about the database {source.database}, which has none of its tables"
    found = [Skipped(f"the sizes of tree {tree}", reason) for tree in others]
    first = {each.migration_tree: each for each in reversed(recordings)}  # with --each there are several of a tree
    for tree, each in first.items():
        if each.tree not in others and (why := drift.why_not(each, production)):
            name = f" of tree {tree}" if tree else ""
            found.append(Skipped(f"a comparison{name} with the schema of production", why))
    return tuple(found)


def _hot_in_vain(config: Config, recordings: Sequence[Recording]) -> tuple[Skipped, ...]:
    """The `hot-tables` that no tree has, before its new revisions or after them."""
    known = {
        str(name)
        for each in recordings
        for name in (
            *(table.name for table in each.base.tables),
            *(lock.relation for run in each.passes for told in run.statements for lock in _locks(told)),
        )
    }
    if not any(each.base.tables and each.mode is Mode.OBSERVED for each in recordings):
        return ()  # without a server, tables that the text does not show may exist
    return tuple(
        Skipped(f"hot table {name}", "the database has no table of that name")
        for name in config.hot_tables
        if name.removeprefix("public.") not in known
    )


def _locks(statement: Statement) -> Sequence[Lock]:
    return statement.observation.locks if statement.observation else ()


def code_rules() -> frozenset[str]:
    """The rules about the running code."""
    return _rules(lambda rule: rule.group is Group.BREAKING_CODE)


def merging_rules() -> frozenset[str]:
    """The rules whose findings on one table of one revision become one."""
    return _rules(lambda rule: rule.merges)


def quiet_rules() -> frozenset[str]:
    """The rules that are silent where another one says as much at the same place."""
    return _rules(lambda rule: rule.yields or rule.last_resort)


def waiting_rules() -> frozenset[str]:
    """The rules about how long others wait for a lock of the migration."""
    return _rules(lambda rule: rule.group.about_waiting)


def _rules(wanted: Callable[[Rule], object]) -> frozenset[str]:
    import checks as all_checks

    return frozenset(check.RULE.id for check in all_checks.load() if wanted(check.RULE))


def _selected(config: Config, loaded: Sequence[Check]) -> list[Check]:
    wanted = [c for c in loaded if (c.RULE.id in config.select if config.select else c.RULE.default)]
    return [check for check in wanted if not config.ignored(check.RULE.id)]


def _suppressed(
    findings: Sequence[Finding],
    each: Recording,
    comments: Comments,
    loaded: Sequence[Check],
    selected: Sequence[Check],
) -> tuple[Finding, ...]:

    def could_speak(rule: Rule) -> bool:
        tried = each.old_code.mapped is not None or not rule.of_old_code
        return tried and (each.models.compared or not rule.of_models)

    # a comment in env.py applies to findings about env.py, and is not unused in other reviews
    reviewed = {entry.location.path for entry in each.history.edited} | {
        revision.path for revision in each.revisions
    }
    told = {finding.location.path for finding in findings if finding.location is not None}
    return tuple(
        suppressions.apply(
            findings,
            {path: found for path, found in comments.items() if path in reviewed | told},
            {check.RULE.id for check in loaded},
            asked_rules={check.RULE.id for check in selected if could_speak(check.RULE)},
            revisions={revision.path: revision.id for revision in each.revisions},
            not_wholly_seen={revision.path for revision in each.revisions if not _wholly_seen(revision.id, each)},
        )
    )


def _wholly_seen(revision: str, recording: Recording) -> bool:
    """Whether a revision ran up and down on a server with rows in the tables, so that every finding had its chance."""
    tables = [table for table in recording.base.tables if table.name.name != VERSION_TABLE]
    ran = {
        found.direction
        for found in recording.passes_of(revision)
        if (found.outcome is Outcome.OK and found.rows)
        or (found.outcome is Outcome.FAILED and found.direction is Direction.DOWNGRADE)
    }
    return (
        recording.mode is Mode.OBSERVED
        and {Direction.UPGRADE, Direction.DOWNGRADE} <= ran
        and (not tables or any(table.rows for table in tables))
    )


def _with_severities(
    config: Config, findings: Sequence[Finding], recording: Recording, waiting: Collection[str]
) -> tuple[Finding, ...]:
    """The findings with the configured severities, in general and for single files."""
    kept = []
    for finding in findings:
        path = _path(finding)
        if config.ignored(finding.rule, path):
            continue
        usual = finding.severity
        if usual is Severity.WARNING and finding.rule in waiting and _is_hot(config, finding, recording):
            usual = Severity.ERROR
        kept.append(replace(finding, severity=config.severity_of(finding.rule, usual, path)))
    return tuple(kept)


def _path(finding: Finding) -> str | None:
    return finding.location.path if finding.location else None


def _is_hot(config: Config, finding: Finding, recording: Recording) -> bool:
    """Whether a finding is about a table in constant use, or its statement locks one."""
    hot = {name.removeprefix("public.") for name in config.hot_tables}
    if not hot:
        return False
    locked = {
        str(lock.relation)
        for each in recording.passes
        for statement in each.statements
        if statement.location is not None and statement.location == finding.location
        for lock in _locks(statement)
        if not lock.relation.new and lock.mode.blocks_writes
    }
    return bool(hot & {*locked, *finding.about[1:2]})
