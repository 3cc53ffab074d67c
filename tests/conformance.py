"""Holds every example of every check against real servers: what the rule claims, and what the server did.

`python3 scripts/conformance.py` runs it on every supported major version that is here and writes docs/conformance.md. New checks
are found by themselves.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

import checks
from reviewer.host.guardian import Guardian
from reviewer.recording import Observation, Recording, Rehearsal, Statement
from reviewer.review.finding import Finding
from reviewer.review.rule import Check, Example, Rule
from tests import examples, majors, remedied
from tests.examples import Bench, Story

PAGE = Path(__file__).parent.parent / "docs" / "conformance.md"

FLAGGED = "flagged"
"""What a cell says where there is nothing to see on the server: the rule is about more than what a statement does."""
NOT_RUN = "not run"
"""What a cell says of a version that cannot run any of the rule's bad examples."""
NO_CLAIM = "none"
"""What a cell says where no example of the rule is flagged at a statement."""
NOT_TRIED = "not tried"
"""What a cell says of a version that was not there when the rule was tried."""


class Trial(Struct, frozen=True):
    """One example on one server."""

    rule: str
    example: str
    major: int
    bad: bool
    """Whether the example has a line that must be flagged."""
    ran: bool = True
    seen: tuple[str, ...] = ()
    """What the flagged statements did, in words."""
    differences: tuple[str, ...] = ()
    """Where the server or the review did not do what the check's module says, a sentence each."""


@contextlib.contextmanager
def bench(major: int) -> Iterator[Bench]:
    """A bench on a server of that major version; skips the test that asks where it was not fetched."""
    with (
        majors.server(major) as server,
        Guardian() as guardian,
        tempfile.TemporaryDirectory(prefix="conformance-") as name,
    ):
        running = Bench(server, guardian, Path(name).resolve())
        try:
            yield running
        finally:
            running.close()


def chosen() -> int:
    """The major version for the tests of the checks: TEST_POSTGRES_VERSION, or the newest."""
    return int(os.environ.get("TEST_POSTGRES_VERSION", majors.MAJORS[-1]))


@contextlib.contextmanager
def benches() -> Iterator[Callable[[int], Bench]]:
    """A bench for each major version that is asked for, kept to the end.

    Where no server of the chosen version was fetched, one is looked for as a review does; what asks for any other is
    skipped.
    """
    with contextlib.ExitStack() as stack:
        running: dict[int, Bench] = {}

        def bench_of(major: int) -> Bench:
            if major not in running:
                running[major] = stack.enter_context(
                    examples.bench(version=_asked())
                    if major == chosen() and majors.binaries(major) is None
                    else bench(major)
                )
            return running[major]

        yield bench_of


def _asked() -> int | None:
    return chosen() if "TEST_POSTGRES_VERSION" in os.environ else None


def try_out(bench: Bench, check: Check, example: Example, *, every_remedy: bool = True) -> Trial:
    """Rehearse the example and its remedies and compare them with what the check's module says.

    `every_remedy`: also those that the newest version gets as well, and that are tried there.
    """
    bad = _is_bad(example)
    if bench.major < example.since:
        return Trial(check.RULE.id, example.title, bench.major, bad, ran=False)
    recording = bench.record(Story.of(example))
    found = [f for f in bench.findings(recording) if f.rule == check.RULE.id]
    differences = [
        *recording.errors,
        *_misplaced(found, example, recording),
        *_unkept(check.RULE, found, recording),
        *_unsafe(
            bench,
            Story.of(example),
            found if every_remedy else _of_this_version(bench, found, recording),
            recording,
        ),
    ]
    seen = dict.fromkeys(word for f in found for word in _words(f, recording))
    return Trial(check.RULE.id, example.title, bench.major, bad, True, tuple(seen), tuple(differences))


def claims(rule: Rule) -> bool:
    """Whether the rule says what the server does with the statements that it flags."""
    return bool(rule.lock or rule.rewrites or rule.scans or rule.sqlstate)


def in_the_tests(rule: Rule) -> tuple[int, ...]:
    """The major versions on which the tests try the examples of a rule; `main` tries all of them on every one.

    What a rule claims of the server is held to the oldest and the newest. What it reads from the text and the
    catalogue is the same on every version.
    """
    return (majors.MAJORS[0], majors.MAJORS[-1]) if claims(rule) else majors.MAJORS[-1:]


def cell(trials: Iterable[Trial]) -> str:
    """What was observed on one version, from the trials of one rule there."""
    tried = [*trials]
    bad = [trial for trial in tried if trial.bad]
    if not bad:
        return NO_CLAIM if tried else NOT_TRIED
    if not any(trial.ran for trial in bad):
        return NOT_RUN
    seen = dict.fromkeys(word for trial in bad for word in trial.seen)
    return "; ".join(sorted(seen, key=_rank)) or FLAGGED


def claim(rule: Rule) -> str:
    """What the rule promises of the flagged statement."""
    done = [word for word, claimed in (("rewrite", rule.rewrites), ("scan", rule.scans)) if claimed]
    told = [str(rule.lock)] if rule.lock else []
    told += [" and ".join(done)] if done else []
    told += [f"error {rule.sqlstate}"] if rule.sqlstate else []
    return ", ".join(told) or NO_CLAIM


def missing_refusals(trials: Sequence[Trial]) -> list[str]:
    """Of the trials of one rule on one version: the error that it promises and that no example met."""
    rule = checks.by_id()[trials[0].rule].RULE
    ran = [trial for trial in trials if trial.bad and trial.ran]
    if rule.sqlstate and ran and not any(f"error {rule.sqlstate}" in trial.seen for trial in ran):
        return [f"PostgreSQL {ran[0].major}, `{rule.id}`: no example is refused with {rule.sqlstate}"]
    return []


def page(trials: Sequence[Trial], before: str = "") -> str:
    """The table of rules and versions as a page of documentation. Rules that were not tried keep the rows and the
    differences that the page had `before`.
    """
    tried = {trial.rule for trial in trials}
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `([\w-]+)` \|.*$", before, re.MULTILINE)}
    rows |= {check.RULE.id: _row(check.RULE, trials) for check in checks.load() if check.RULE.id in tried}
    kept = list(re.finditer(r"^- PostgreSQL \d+, `([\w-]+)`.*$", before, re.MULTILINE))
    differences = [match[0] for match in kept if match[1] not in tried] + [f"- {each}" for each in _said(trials)]
    tried_now = {trial.major for trial in trials}
    earlier = re.search(r"^The servers were (.*)\.$", before, re.MULTILINE)
    lines = [
        *_HEAD,
        f"The servers were {earlier[1] if earlier and majors.NEXT not in tried_now else _versions(tried_now)}.",
        "",
        f"| rule | claim | {' | '.join(map(str, majors.ALL))} |",
        f"|---|---|{'---|' * len(majors.ALL)}",
        *(row for rule, row in sorted(rows.items()) if rule in checks.by_id()),
        "",
        *(sorted(set(differences)) or ["No differences."]),
    ]
    return "\n".join(lines) + "\n"


def _versions(tried: Iterable[int]) -> str:
    programs = [folder / "postgres" for major in sorted(tried) if (folder := majors.binaries(major))]
    # it says `postgres (PostgreSQL) 18.4`
    said = [subprocess.run([each, "--version"], capture_output=True, text=True, check=True) for each in programs]
    return ", ".join(each.stdout.split()[2] for each in said)


def _row(rule: Rule, trials: Sequence[Trial]) -> str:
    cells = [cell(t for t in trials if t.rule == rule.id and t.major == major) for major in majors.ALL]
    last = max(n for n, text in enumerate(cells) if text != NOT_TRIED)
    short = ["=" if text == cells[last] and n != last else text for n, text in enumerate(cells)]
    return f"| `{rule.id}` | {claim(rule)} | {' | '.join(short)} |"


_HEAD = """\
# Conformance

Written by `python3 scripts/conformance.py`. Every example of every check runs on a real server of every supported major
version, and so does every remedy, one revision for each step, with rows in the tables. The steps must produce the same
schema as the flagged statement, if that is their purpose, with the same values, and statements of code that knows only
the previous state must run after every step. On the oldest and the newest versions the steps are also downgraded and
upgraded again. *Claim* is what the rule says about a statement that it flags. The columns say what the servers
did at the flagged statements: locks newly acquired on existing tables, `rewrite`, `index build` and `scan` of such a
table, `row by row` for a loop that changes every row of it, or the error that the server raised.
Several cases are separated by `;`. `=` is the same as on the newest version, `flagged` means that the flagged statement
does none of that, or that the rule is about the revision as a whole, `not run` that the version has no such statement,
`not tried` that there was no such server when the rule was tried.
""".splitlines()


def _said(trials: Sequence[Trial]) -> Iterator[str]:
    for trial in trials:
        for difference in trial.differences:
            yield f"PostgreSQL {trial.major}, `{trial.rule}`, {trial.example}: {difference}"
    for check in checks.load():
        for major in majors.ALL:
            here = [t for t in trials if t.rule == check.RULE.id and t.major == major]
            yield from missing_refusals(here) if here else ()


def _is_bad(example: Example) -> bool:
    return any(
        "# flagged" in body for body in (example.upgrade, example.downgrade or "", *example.then, *example.beside)
    )


def _misplaced(found: Sequence[Finding], example: Example, recording: Recording) -> Iterator[str]:
    there, wanted = examples.places(found), examples.flagged(example, recording)
    if there != wanted:
        yield f"flagged at {_places(there)}, not at {_places(wanted)}"


def _places(places: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{Path(path).name}:{line}" for path, line in places) or "no line"


def _unkept(rule: Rule, found: Sequence[Finding], recording: Recording) -> Iterator[str]:
    """Claims that the server did not keep, for the statements that ran."""
    for finding in found:
        seen = _observation(finding, recording)
        if seen is None:
            continue
        if rule.lock and seen.transaction is not None:
            taken = {lock.mode for lock in seen.locks if not lock.relation.new}
            if rule.lock not in taken:
                yield f"the claim is {rule.lock}, and it took {', '.join(map(str, sorted(taken))) or 'no lock'}"
        if rule.rewrites and not seen.rewritten:
            yield "the claim is a rewrite, and nothing was rewritten"
        whole = seen.scanned or seen.rewritten or seen.built or examples.row_by_row(finding, recording)
        if rule.scans and not whole:
            yield "the claim is a scan, and nothing was scanned"


def _of_this_version(bench: Bench, found: Sequence[Finding], recording: Recording) -> list[Finding]:
    """Those with another remedy than on the newest version."""
    assert recording.server is not None
    newest = replace(recording, server=replace(recording.server, version=f"{majors.MAJORS[-1]}.0"))
    there = {(each.rule, each.location, each.remedy) for each in bench.findings(newest)}
    return [each for each in found if (each.rule, each.location, each.remedy) not in there]


def _unsafe(bench: Bench, story: Story, found: Sequence[Finding], recording: Recording) -> Iterator[str]:
    """What is wrong with the remedies, deployed as they say."""
    for finding in found:
        if finding.remedy:
            yield from (f"remedy: {each}" for each in remedied.faults(bench, story, finding, recording))
            # remedies are of two kinds, for the newest version and for all others
            if bench.major in (majors.MAJORS[0], majors.MAJORS[-1], majors.NEXT):
                yield from (f"remedy: {each}" for each in remedied.one_way(bench, story, finding, recording))


def _words(finding: Finding, recording: Recording) -> Iterator[str]:
    seen = _observation(finding, recording)
    if seen is not None and seen.transaction is not None:
        yield _deeds(seen) + (", row by row" if examples.row_by_row(finding, recording) else "")
    refused = {s.sqlstate for s in _statements(finding, recording) if s.sqlstate}
    yield from (f"error {sqlstate}" for sqlstate in sorted(refused))


def _deeds(seen: Observation) -> str:
    locks = [lock.mode for lock in seen.locks if lock.relation.is_table and not lock.relation.new]
    work = [
        word
        for word, done in (
            ("rewrite", any(not each.new for each in seen.rewritten)),
            ("index build", any(not each.table_new for each in seen.built)),
            ("scan", any(not scan.relation.new for scan in seen.scanned)),
        )
        if done
    ]
    told = [str(max(locks))] if locks else []
    return ", ".join([*told, " and ".join(work)] if work else told) or FLAGGED


def _rank(word: str) -> tuple[bool, str]:
    return word.startswith("error"), word


def _observation(finding: Finding, recording: Recording) -> Observation | None:
    """What the server did at the finding's statement, in the pass that is judged."""
    place = finding.witness.place if finding.witness else None
    return recording.passes[place.run].statements[place.statement].observation if place else None


def _statements(finding: Finding, recording: Recording) -> list[Statement]:
    passes = [p for p in recording.passes if p.revision == finding.revision and p.direction is finding.direction]
    passes.sort(key=lambda each: each.rehearsal is not Rehearsal.DEPLOYED)
    return [s for each in passes for s in each.statements if s.location == finding.location]


def main() -> int:
    """Run everything, print the table, write the page."""
    parser = argparse.ArgumentParser(
        description="Hold every check against PostgreSQL 14 to 19 and write the table."
    )
    parser.add_argument("--rule", action="append", help="only this rule: the page keeps the others")
    parser.add_argument(
        "--major",
        action="append",
        type=int,
        choices=majors.ALL,
        help="only there, and write nothing",
    )
    arguments = parser.parse_args()
    majors.fetch()
    there = [major for major in majors.ALL if majors.binaries(major)]
    for major in {*majors.ALL} - {*there}:
        sys.stderr.write(f"PostgreSQL {major} is not here, and not tried: {majors.way(major)}\n")
    rules = [check.RULE.id for check in _checks(arguments.rule)]
    # parts, so that no process has nothing to do in the end
    parts = [part for part in (rules[n::_PARTS] for n in range(_PARTS)) if part]
    jobs = [(major, part) for major in arguments.major or there for part in parts]
    with multiprocessing.get_context("spawn").Pool(min(len(jobs), os.cpu_count() or 1)) as pool:
        trials = [trial for some in pool.starmap(_run_some, jobs, chunksize=1) for trial in some]
    before = PAGE.read_text(encoding="utf-8") if arguments.rule and not arguments.major and PAGE.exists() else ""
    text = page(trials, before)
    if not arguments.major:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
    differences = [*_said(trials)]
    sys.stdout.write(page(trials))
    sys.stdout.write(
        f"\n{sum(trial.ran for trial in trials)} trials of {len(rules)} rules, {len(differences)} differences\n"
    )
    return 1 if differences else 0


_PARTS = 4


def _run_some(major: int, rules: Sequence[str]) -> list[Trial]:
    trials = []
    with bench(major) as running:
        for check in _checks(rules):
            trials += [try_out(running, check, example) for example in check.EXAMPLES]
            for line in _said([t for t in trials if t.rule == check.RULE.id]):
                sys.stderr.write(f"{line}\n")
    sys.stderr.write(f"PostgreSQL {major}: {sum(t.ran for t in trials)} examples of {len(rules)} rules\n")
    return trials


def _checks(rules: Sequence[str] | None = None) -> list[Check]:
    return [check for check in checks.load() if not rules or check.RULE.id in rules]


if __name__ == "__main__":
    sys.exit(main())
