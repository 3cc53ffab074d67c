"""Scores tools that check migrations on the same labelled cases, by one definition, each at a pinned version.

python benchmarks/peers.py [--only TOOL] [--tools FOLDER] [--postgres KIND] [--results FILE] [--write]

Each tool is installed from its registry into an environment of its own below FOLDER, once. What takes SQL gets what
`alembic upgrade --sql` prints for the new revisions, without Alembic's own statements about alembic_version; what takes
Python gets the files of the new revisions. A tool is right if it flags an unsafe case and says nothing about a safe one.
It flags a case if it has an error or a warning about it; not counted, of any tool, are rules about habits: timeouts that
every migration should set, IF NOT EXISTS, which column types are nicer. What they would change is in the last column.
--write puts the figures into docs/comparison.md.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic.command import upgrade
from alembic.config import Config as AlembicConfig

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import tools
from reviewer.report.inert import cut
from reviewer.review.finding import Severity
from reviewer.sql.parse import split
from tests import cases

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "comparison.md"
PRACTICE = Path(__file__).parent / "practice.json"
_MARKED = re.compile(r"(?<=<!-- scores -->\n).*?(?=<!-- end of scores -->)", re.DOTALL)
_BASE = "base0"
_LOCKING = frozenset({"lock", "scan", "rewrite", "index_build", "backfill"})


_AT_ONCE = 3
"""Processes of a peer."""


class NoAnswer(Exception):
    """The tool could not judge the case."""


@dataclass(frozen=True)
class Material:
    """One case as each kind of tool takes it."""

    case: cases.Case
    revisions: tuple[Path, ...]
    sql: Path | None
    """None where Alembic cannot render it without a database."""
    why: str = ""


@dataclass(frozen=True)
class Said:
    """What a tool said about a case: the rules that flagged it."""

    rules: frozenset[str]
    habits: frozenset[str] = frozenset()
    """Of rules about habits."""
    unanswered: str = ""


Judge = Callable[[Material], Said]


@dataclass(frozen=True)
class Tool:
    """Something that judges a migration."""

    name: str
    takes: str
    """What it reads."""
    install: Sequence[Sequence[str]] = ()
    """Commands that install it; `{folder}` is its own, which does not exist yet."""
    run: Callable[[Path, Material], set[str]] | None = None
    """The rules that speak, with the folder that it is installed in."""
    habits: str = r"(?!)"
    """A regular expression of the rules about habits."""

    @property
    def folder(self) -> str:
        """The name of the folder that it is installed in."""
        return re.sub(r"[^\w.]+", "-", self.name).strip("-")


def _squawk(folder: Path, material: Material) -> set[str]:
    found = json.loads(
        _output(
            [str(folder / "bin/squawk"), "--pg-version", "15.0", "--reporter", "json", str(_sql(material))], {0, 1}
        )
    )
    return {each["rule_name"] for each in found if each["level"] in {"Error", "Warning"}}


def _safemigrate(folder: Path, material: Material) -> set[str]:
    found = json.loads(_output([str(folder / "bin/safemigrate-lint"), str(_sql(material))], {0, 1}))
    return {each["rule_id"] for each in found if each["severity"] in {"critical", "warning"}}


def _alembic_guard(folder: Path, material: Material) -> set[str]:
    command = [str(folder / "bin/alembic-guard"), "--format", "json", *map(str, material.revisions)]
    found = json.loads(_output(command, {0, 1}))
    return {each["rule"] for each in found}


def _django(folder: Path, material: Material) -> set[str]:
    program = (
        "import json, sys; from django_migration_linter.sql_analyser.analyser import analyse_sql_statements,"
        " get_sql_analyser_class as of; e, _, w = analyse_sql_statements(of('postgresql'), json.load(sys.stdin));"
        " print(json.dumps([i.code for i in (*e, *w)]))"
    )
    text = _sql(material).read_text()
    # Django prints each statement on a line of its own
    statements = [" ".join(re.sub(r"(?m)^--.*$", "", each).split()) + ";" for each in split(text)]
    found = json.loads(_output([str(folder / "bin/python"), "-c", program], {0}, json.dumps(statements)))
    return set(found)


def _pgfence(folder: Path, material: Material) -> set[str]:
    command = ["node", str(folder / "node_modules/@flvmnt/pgfence/dist/index.js"), "analyze", "--output", "json"]
    found = json.loads(_output([*command, "--min-pg-version", "14", str(_sql(material))], {0, 1}))
    rules = {
        each["ruleId"]
        for result in found["results"]
        for each in result["checks"]
        if each["risk"] not in {"SAFE", "LOW"}
    }
    return rules | {each["ruleId"] for result in found["results"] for each in result["policyViolations"]}


PEERS = (
    Tool(
        "squawk-cli 2.70.0",
        "SQL",
        tools.pip(tools.SQUAWK),
        _squawk,
        r"prefer-.*|require-(lock|statement)-timeout|require-timeout-settings|ban-char-field",
    ),
    Tool(
        "safemigrate-lint 1.3.0",
        "SQL",
        tools.pip("safemigrate-lint==1.3.0", "pglast==8.8"),
        _safemigrate,
        r"timeout-settings-required|prefer-robust-stmts|.*-preferred|char-column-banned",
    ),
    Tool(
        "@flvmnt/pgfence 0.1.5",
        "SQL",
        [
            [
                "npm",
                "install",
                "--silent",
                "--no-fund",
                "--no-audit",
                "--prefix",
                "{folder}",
                "@flvmnt/pgfence@0.1.5",
            ]
        ],
        _pgfence,
        r"missing-.*|prefer-.*",
    ),
    Tool("alembic-guard 0.1.1", "revisions", tools.pip("alembic-guard==0.1.1"), _alembic_guard),
    Tool(
        "django-migration-linter 6.0.0, its SQL analyser",
        "SQL",
        tools.pip("django-migration-linter==6.0.0", "Django==5.2.19"),
        _django,
    ),
)
OURS = Tool("alembic-reviewer", "revisions, run on a server", habits="endless-lock-wait")
STATIC = Tool("alembic-reviewer --static", "SQL and revisions", habits="endless-lock-wait")


@dataclass
class Results:
    """What every tool said about every case."""

    cases: Sequence[cases.Case]
    said: dict[str, dict[str, Said]] = field(default_factory=dict)
    """By tool and case."""
    absent: dict[str, str] = field(default_factory=dict)
    """Why a tool was not run, by its name."""


def main() -> int:
    """Run every tool on every case, and tell who was right."""
    arguments = _arguments()
    found = [*cases.load(), *cases.load(PRACTICE)]
    results = Results(found)
    for file in arguments.also:
        _add(results, json.loads(file.read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        materials = [_material(case, Path(name).resolve() / case.id) for case in found]
        for tool in PEERS:
            if not _wanted(tool, arguments.only) or not _missing(results, tool):
                continue
            try:
                folder = _installed(tool, arguments.tools)
            except (OSError, subprocess.SubprocessError) as error:
                results.absent[tool.name] = tools.reason(error)
                print(f"{tool.name} is not compared: {results.absent[tool.name]}")
                continue
            _judge(results, tool, materials, lambda each, tool=tool, folder=folder: _peer(tool, folder, each))
        if any(_wanted(each, arguments.only) and _missing(results, each) for each in (OURS, STATIC)):
            _ours(results, materials, arguments)
    text = "\n".join(_page(results)) + "\n"
    if arguments.results is not None:
        arguments.results.write_text(json.dumps(_plain(results), indent=1) + "\n", encoding="utf-8")
    if arguments.write:
        PAGE.write_text(_MARKED.sub(lambda _: text, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(text)
    return 1 if results.absent else 0


def _ours(results: Results, materials: Sequence[Material], arguments: argparse.Namespace) -> None:
    with cases.bench(arguments.postgres, arguments.postgres_version) as bench:
        for tool in (OURS, STATIC):
            if not _wanted(tool, arguments.only) or not _missing(results, tool):
                continue

            def judge(material: Material, tool: Tool = tool) -> Said:
                report = bench.review(material.case, static=tool is STATIC)
                loud = {f.rule for f in report.findings if f.severity is not Severity.NOTICE}
                why = report.all_errors[0].splitlines()[0] if report.all_errors else ""
                return _said(tool, loud, why)

            _judge(results, tool, materials, judge)


def _judge(results: Results, tool: Tool, materials: Sequence[Material], judge: Judge) -> None:
    print(f"{tool.name} ...", file=sys.stderr, flush=True)
    wanted = [each for each in materials if each.case in _missing(results, tool)]
    with ThreadPoolExecutor(1 if tool is OURS or tool is STATIC else _AT_ONCE) as pool:  # our bench has one server
        said = dict(zip((each.case.id for each in wanted), pool.map(judge, wanted), strict=True))
    results.said[tool.name] = {**results.said.get(tool.name, {}), **said}


def _missing(results: Results, tool: Tool) -> list[cases.Case]:
    """The cases that the tool has not judged."""
    return [each for each in results.cases if each.id not in results.said.get(tool.name, {})]


def _peer(tool: Tool, folder: Path, material: Material) -> Said:
    assert tool.run is not None
    try:
        return _said(tool, tool.run(folder, material))
    except NoAnswer as error:
        return Said(frozenset(), unanswered=str(error))


def _said(tool: Tool, rules: set[str], unanswered: str = "") -> Said:
    habits = frozenset(each for each in rules if re.fullmatch(tool.habits, each))
    return Said(frozenset(rules) - habits, habits, unanswered)


# -- what the tools get ---------------------------------------------------------------------------


def _material(case: cases.Case, folder: Path) -> Material:
    folder.mkdir()
    cases.write(case, folder)
    versions = folder / "migrations" / "versions"
    new = tuple(sorted(each for each in versions.glob("*.py") if each.stem != _BASE))
    buffer = io.StringIO()
    config = AlembicConfig(str(folder / "alembic.ini"), output_buffer=buffer)
    config.set_main_option("script_location", str(folder / "migrations"))
    try:
        upgrade(config, f"{_BASE}:heads", sql=True)
    except Exception as error:  # noqa: BLE001  (whatever a migration raises, there is no SQL)
        return Material(case, new, None, f"Alembic renders no SQL: {error}".splitlines()[0])
    file = folder / f"{case.id}.sql"
    file.write_text(_without_bookkeeping(buffer.getvalue()), encoding="utf-8")
    return Material(case, new, file)


def _without_bookkeeping(sql: str) -> str:
    """No linter is to stumble over Alembic's own statements."""
    return re.sub(r"(?m)^(UPDATE|INSERT INTO|DELETE FROM) alembic_version\b[^;]*;\n*", "", sql)


def _sql(material: Material) -> Path:
    if material.sql is None:
        raise NoAnswer(material.why)
    return material.sql


def _output(command: Sequence[str], statuses: set[int], given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode not in statuses or not done.stdout.strip():
        words = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["nothing was printed"]
        raise NoAnswer(f"status {done.returncode}: {words[-1][:200]}")
    return done.stdout


def _installed(tool: Tool, kept: Path) -> Path:
    """The folder of the tool, installed if it is not there. Raises what the installation raises."""
    return tools.installed(kept / tool.folder, tool.install)


def _wanted(tool: Tool, only: Sequence[str]) -> bool:
    return not only or any(tool.name == each or tool.name.split(" ")[0] == each for each in only)


# -- what is told ---------------------------------------------------------------------------------


def _right(case: cases.Case, said: Said, *, habits: bool = False) -> bool:
    """Whether the tool is right; without an answer it is not."""
    flagged = bool(said.rules or (habits and said.habits))
    return not said.unanswered and flagged is not case.safe


def _page(results: Results) -> Iterator[str]:
    tools = [each for each in (OURS, STATIC, *PEERS) if each.name in results.said]
    safe = [each for each in results.cases if each.safe]
    unsafe = [each for each in results.cases if not each.safe]
    yield ""
    yield from _misses(results)
    locking, others = _families(unsafe)
    newer = [each for each in results.cases if each.id in {case.id for case in cases.load(PRACTICE)}]
    yield from ("### Scores", "")
    yield f"| tool | reads | unsafe flagged, of {len(unsafe)} | of these: locking, {len(locking)} | others, {len(others)} | safe left alone, of {len(safe)} | right, of {len(results.cases)} | of the {len(newer)} in practice.json | no answer | right with its rules about habits |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for tool in tools:
        said = results.said[tool.name]
        count = [
            sum(_right(each, said[each.id]) for each in some) for some in (unsafe, locking, others, safe, newer)
        ]
        silent = sum(bool(each.unanswered) for each in said.values())
        whole = sum(_right(each, said[each.id], habits=True) for each in results.cases)
        yield (
            f"| {tool.name} | {tool.takes} | {' | '.join(map(str, count[:4]))} | {count[0] + count[3]} | {count[4]} | {silent} | {whole} |"
        )
    yield ""
    for name, why in results.absent.items():
        yield from (f"{name} is not compared: {why}.", "")
    yield "### Case by case"
    yield ""
    yield "✓: right. `flags`: flags a safe one. `silent`: says nothing about an unsafe one. `?`: no answer. Where we are wrong comes first."
    yield ""
    yield f"| case | is | {' | '.join(tool.name.split(' ')[0] if tool is not STATIC else '--static' for tool in tools)} |"
    yield f"|---|---|{'---|' * len(tools)}"
    ours = [results.said[each.name] for each in (OURS, STATIC) if each.name in results.said]
    for case in sorted(results.cases, key=lambda each: [_right(each, said[each.id]) for said in ours]):
        cells = [_cell(case, results.said[tool.name][case.id]) for tool in tools]
        yield f"| {case.id} {case.title.replace('|', '/')} | {case.verdict} | {' | '.join(cells)} |"
    yield ""


def _families(unsafe: Sequence[cases.Case]) -> tuple[list[cases.Case], list[cases.Case]]:
    """What blocks while it works on rows, and what fails, loses data, breaks the running code or has no way back."""
    locking = [each for each in unsafe if _LOCKING.intersection(each.hazards)]
    return locking, [each for each in unsafe if each not in locking]


def _misses(results: Results) -> Iterator[str]:
    yield "### Where we are wrong"
    yield ""
    for tool in (OURS, STATIC):
        said = results.said.get(tool.name, {})
        wrong = [each for each in results.cases if each.id in said and not _right(each, said[each.id])]
        yield f"`{tool.name}`: {'nowhere on these cases' if not wrong else ''}".rstrip()
        yield ""
        for case in wrong:
            found = said[case.id]
            words = cut(found.unanswered, 140) or (
                f"flags it ({', '.join(sorted(found.rules))})" if case.safe else "says nothing about it"
            )
            yield f"- {case.id}, {case.verdict}, {case.title}: {words}"
        yield from [""] if wrong else []


def _cell(case: cases.Case, said: Said) -> str:
    if said.unanswered:
        return "?"
    return "✓" if _right(case, said) else "flags" if case.safe else "silent"


def _plain(results: Results) -> Mapping[str, Any]:
    return {
        "cases": {each.id: each.verdict for each in results.cases},
        "tools": {
            name: {
                case: {"rules": sorted(each.rules), "habits": sorted(each.habits), "unanswered": each.unanswered}
                for case, each in said.items()
            }
            for name, said in results.said.items()
        },
        "absent": results.absent,
    }


def _add(results: Results, earlier: Mapping[str, Any]) -> None:
    """What tools said in an earlier run. Raises `SystemExit` if a case of it has another label now."""
    if not earlier["cases"].items() <= {each.id: each.verdict for each in results.cases}.items():
        raise SystemExit("The earlier run was about other cases.")
    for name, said in earlier["tools"].items():
        results.said[name] = {
            case: Said(frozenset(each["rules"]), frozenset(each["habits"]), each["unanswered"])
            for case, each in said.items()
        }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="TOOL", help="this tool alone; repeatable")
    parser.add_argument(
        "--tools", type=Path, default=tools.TOOLS, metavar="FOLDER", help="where the tools are installed"
    )
    parser.add_argument("--postgres", default="auto")
    parser.add_argument("--postgres-version", type=int)
    parser.add_argument("--results", type=Path, metavar="FILE", help="write what each tool said, as JSON")
    parser.add_argument(
        "--also",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="take these results of an earlier run",
    )
    parser.add_argument("--write", action="store_true", help="put the figures into docs/comparison.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
