"""Write what is generated in the documentation, or say with --check what is out of step.

    python3 scripts/docs.py [--check] [FILE ...]

Generated are: docs/checks/ from the docstrings and examples of the checks and the table in docs/conformance.md; the output under every `$ alembic-reviewer`
in the console blocks of README.md and docs/; the JSON in docs/agents.md; the format in docs/recording.md; the interface in docs/writing-checks.md; the
table of findings in the README of each example, from a review of it;
the JSON Schemas of the report, of a release and of the production statistics, from their types.
Without FILE all of them.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from environment import ROOT, prepared

if TYPE_CHECKING:
    from reviewer.review.rule import Check

PAGES = ROOT / "docs" / "checks"
CONFORMANCE = ROOT / "docs" / "conformance.md"
NOT_TRIED = "not tried"
"""What a cell of that table says of a version that was not there."""
NOTHING_RAN = ("none", "not run", NOT_TRIED)
"""What a cell says where no flagged statement was run."""
AFTER_OBSERVED = ("Not flagged, for example", "Allowing it")
OBSERVED = (
    "What servers did with existing tables at the flagged lines of these examples: locks newly acquired, `rewrite`, `index build`"
    " and `scan`, or the\nerror that was raised ([all rules](../conformance.md))."
)
MODULES = (
    "observations.py",
    "passes.py",
    "catalogue.py",
    "code.py",
    "history.py",
    "afterwards.py",
    "scale.py",
    "whole.py",
)
"""Of the recording, the parts before the whole."""
SCHEMAS = tuple(ROOT / "reviewer" / folder / "schema.json" for folder in ("report/json", "stats", "report/release"))
CONSOLE = re.compile(
    r"(?<=```console\n)\$ (alembic-reviewer\b[^\n|]*?)(?: \| head -n (\d+))?\n(.*?)(?=^```$)",
    re.DOTALL | re.MULTILINE,
)
TABLE = re.compile(r"(?<=<!-- findings -->\n).*?(?=<!-- end of findings -->)", re.DOTALL)
INTERFACE = re.compile(r"(?<=<!-- interface -->\n).*?(?=<!-- end of interface -->)", re.DOTALL)
REPORT = re.compile(r"(?<=<!-- report -->\n).*?(?=<!-- end of report -->)", re.DOTALL)
EXPLAINED = re.compile(r"(?<=<!-- explained -->\n).*?(?=<!-- end of explained -->)", re.DOTALL)
RECORDING = re.compile(r"(?<=<!-- recording -->\n).*?(?=<!-- end of recording -->)", re.DOTALL)


def main() -> int:
    """Write, or compare, and name the files that differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; status 1 where something is out of step"
    )
    arguments = parser.parse_args()
    stale = []
    for file in [ROOT / each for each in arguments.files] or [PAGES, *SCHEMAS, *_with_commands(), *_examples()]:
        for path, text in generated(file):
            if (path.read_text(encoding="utf-8") if path.exists() else None) == text:
                continue
            stale.append(path.relative_to(ROOT).as_posix())
            if arguments.check:
                continue
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{'out of step' if arguments.check else 'written'}: {name}")
    if stale and arguments.check:
        print("`python3 scripts/docs.py` writes them.")
    return 1 if stale and arguments.check else 0


def _filled(text: str, folder: Path) -> str:
    text = CONSOLE.sub(_console, text)
    text = RECORDING.sub(lambda _: "\n".join(_classes()) + "\n", text)
    text = INTERFACE.sub(lambda _: "\n".join(_interface()) + "\n", text)
    text = REPORT.sub(lambda _: _json(_report()), text)
    text = EXPLAINED.sub(lambda _: _json(_explained()), text)
    return TABLE.sub(lambda _: _findings(folder), text)


def generated(file: Path) -> Iterator[tuple[Path, str | None]]:
    """What `file` is to hold; for the folder of pages every page in it, None for one that is to go."""
    if file == PAGES:
        yield from _pages()
        return
    if file in SCHEMAS:
        yield file, _schema(file)
        return
    yield file, _filled(file.read_text(encoding="utf-8"), file.parent)


# -- pages of the checks --------------------------------------------------------------------------


def _pages() -> Iterator[tuple[Path, str | None]]:
    import checks
    from reviewer.report.explain import document

    built_in = [check for check in checks.load() if check.__name__.startswith("checks.")]
    seen = _observed()
    wanted = {
        PAGES / f"{check.RULE.id}.md": _with_observed(document(check).rstrip() + "\n", seen.get(check.RULE.id, {}))
        for check in built_in
    }
    wanted[PAGES / "README.md"] = "\n".join(_index(built_in)) + "\n"
    yield from wanted.items()
    yield from ((path, None) for path in sorted(PAGES.glob("*.md")) if path not in wanted)


def _observed() -> dict[str, dict[str, str]]:
    """What the servers did at the flagged statements of each rule, by version: the table of docs/conformance.md."""
    rows = [
        [cell.strip() for cell in line.strip("|\n ").split("|")]
        for line in CONFORMANCE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    versions = rows[0][2:]
    found = {}
    for rule, _, *cells in rows[2:]:
        newest = next(cell for cell in reversed(cells) if cell != NOT_TRIED)
        found[rule.strip("`")] = {
            major: newest if cell == "=" else cell for major, cell in zip(versions, cells, strict=True)
        }
    return found


def _with_observed(page: str, seen: Mapping[str, str]) -> str:
    """The page of a rule, with what was observed before the examples that are not flagged."""
    alike: dict[str, list[str]] = {}
    for major, did in seen.items():
        if did not in NOTHING_RAN:
            alike.setdefault(did, []).append(major)
    if not alike:
        return page
    ends = (end for title in AFTER_OBSERVED if (end := page.find(f"\n## {title}\n")) >= 0)
    place = next(ends, len(page))
    told = [
        f"- PostgreSQL {_versions(majors)}: {'nothing of that' if did == 'flagged' else did.replace('; ', ', or ')}"
        for did, majors in alike.items()
    ]
    for nothing, why in (("not run", "no example can be run there"), (NOT_TRIED, "not tried yet")):
        missing = [major for major, did in seen.items() if did == nothing]
        told += [f"- PostgreSQL {_versions(missing)}: {why}"] if missing else []
    return "\n".join([page[:place].rstrip("\n"), "", "## Observed", "", OBSERVED, "", *told, ""]) + page[place:]


def _versions(words: Sequence[str]) -> str:
    """Versions in words: `14 to 18` where they follow on each other."""
    numbers = [int(each) for each in words]
    if len(words) > 2 and numbers == [*range(numbers[0], numbers[-1] + 1)]:
        return f"{words[0]} to {words[-1]}"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _index(checks: Sequence[Check]) -> Iterator[str]:
    from reviewer.review.rule import Group

    yield "# Checks"
    yield ""
    yield "Written by `scripts/docs.py` from the checks themselves; `alembic-reviewer explain RULE` shows the same page, without what was observed."
    order = list(Group)
    rules = sorted((c.RULE for c in checks), key=lambda r: (order.index(r.group), -r.severity.rank, r.id))
    for group, members in groupby(rules, key=lambda rule: rule.group):
        yield from ("", f"## {group.title}", "", "| rule | severity | what it says |", "|---|---|---|")
        for rule in members:
            off = "" if rule.default else " (off unless selected)"
            yield f"| [{rule.id}]({rule.id}.md) | {rule.severity.value}{off} | {rule.summary} |"


# -- what the command prints ----------------------------------------------------------------------


def _with_commands() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _console(block: re.Match[str]) -> str:
    command, first_lines, _ = block.groups()
    lines = _printed(command.split()).rstrip("\n").split("\n")
    piped = f" | head -n {first_lines}" if first_lines else ""
    shown = lines[: int(first_lines)] if first_lines else lines
    return "\n".join([f"$ {command}{piped}", *shown, ""])


def _printed(command: Sequence[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_"))}
    environment |= {"COLUMNS": "100", "VIRTUAL_ENV": sys.prefix}
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {0, 1}:
        sys.exit(f"`{' '.join(command)}` ends with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


# -- what programs read ---------------------------------------------------------------------------


def _json(shown: object) -> str:
    return f"```json\n{json.dumps(shown, indent=2)}\n```\n"


def _report() -> dict[str, Any]:
    """A report in JSON, with the one pass of the one revision in which the finding was made."""
    call = ["review", "examples/blog", "--postgres", "embedded", "--select", "blocking-index", "--format", "json"]
    report = json.loads(_printed(["alembic-reviewer", *call]))
    report["postgres"]["version"] = report["postgres"]["version"].partition(".")[0]
    flagged = report["findings"][0]["revision"]
    revision = next(each for each in report["revisions"] if each["id"] == flagged)
    run = next(each for each in revision["passes"] if each["direction"] == "upgrade")
    run["statements"] = [each for each in run["statements"] if each["origin"] == "revision"]
    for each in run["statements"]:
        each["locks"].sort(key=lambda lock: lock["relation"])
    report["revisions"] = [{**revision, "passes": [run]}]
    report["findings"] = [each for each in report["findings"] if each["revision"] == flagged]
    return {key: _short(value) for key, value in report.items() if key != "trees"}


def _short(value: Any) -> Any:
    """Without times, which are others at every run, and without what is empty."""
    if isinstance(value, dict):
        shorter = {key: _short(each) for key, each in value.items() if key not in {"seconds", "relations"}}
        return {key: each for key, each in shorter.items() if each not in (None, [], {}, "", False, 0)}
    return [_short(each) for each in value] if isinstance(value, list) else value


def _explained() -> dict[str, Any]:
    call = ["alembic-reviewer", "explain", "mismatched-foreign-key", "--format", "json"]
    return {key: value for key, value in json.loads(_printed(call)).items() if key != "examples"}


# -- the forms of JSON files ----------------------------------------------------------------------


def _schema(file: Path) -> str:
    from reviewer.report import json as report
    from reviewer.report.release import json as release
    from reviewer.stats import file as stats

    made = dict(zip(SCHEMAS, (report.schema, stats.schema, release.schema), strict=True))
    return json.dumps(made[file](), indent=2) + "\n"


# -- the format of a recording --------------------------------------------------------------------


def _classes() -> Iterator[str]:
    """Every class of the recording with its fields, as its modules document them."""
    there = {file.name for file in (ROOT / "reviewer" / "recording").glob("*.py")} - {"__init__.py", "encoding.py"}
    if there != {*MODULES}:
        raise SystemExit(f"Parts of the recording and those that are documented differ: {there ^ {*MODULES}}.")
    parsed = [ast.parse((ROOT / "reviewer" / "recording" / file).read_text(encoding="utf-8")) for file in MODULES]
    classes = [
        each
        for module in parsed
        for each in module.body
        if isinstance(each, ast.ClassDef) and not each.name.startswith("_")
    ]
    enums = [each for each in classes if [ast.unparse(base) for base in each.bases] == ["Enum"]]
    for each in [*(each for each in reversed(classes) if each not in enums), *enums]:
        yield from ("", f"### {each.name}", "", _sentence(ast.get_docstring(each)), "")
        for node, following in zip(each.body, [*each.body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                what = f"- `{node.target.id}`: `{ast.unparse(node.annotation)}`"
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                what = f"- `{node.value.value!r}`".replace("'", '"')
            else:
                continue
            documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            said = _sentence(str(following.value.value)) if documented else ""  # type: ignore[union-attr]
            yield f"{what}. {said}" if said else what
    yield ""


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())


# -- what checks import ---------------------------------------------------------------------------


def _interface() -> Iterator[str]:
    """What `reviewer.check` offers, with the first sentence of each docstring."""
    from reviewer import check

    every = {name: getattr(check, name) for name in check.__all__}
    for name in ("Rule", "Example", "Context", "Schema", "Name"):
        yield from ("", f"### {name}", "", _first(every[name].__doc__), "")
        yield from _members(every[name])
    for name, module in every.items():
        if inspect.ismodule(module):
            yield from ("", f"### {name}", "", _first(module.__doc__), "")
            yield from _functions(module)
    yield from ("", "### Functions", "")
    yield from (_entry(name, each) for name, each in every.items() if inspect.isfunction(each))
    operations = [each for each in every.values() if _is_operation(each)]
    yield from ("", "### Operations", "")
    yield from map(_operation, operations)
    yield from ("", "### Values of the recording", "")
    yield "Described in [recording.md](recording.md): " + ", ".join(
        f"`{name}`"
        for name, each in every.items()
        if getattr(each, "__module__", "").startswith("reviewer.recording")
    )
    yield ""


def _members(of: type) -> Iterator[str]:
    fields = getattr(of, "__struct_fields__", ())
    documented = _documented(of)
    for name in fields:
        if not name.startswith("_"):
            yield f"- `{name}`: {documented[name]}" if name in documented else f"- `{name}`"
    for name, each in vars(of).items():
        if name.startswith("_") or name in fields:
            continue
        if isinstance(each, property | cached_property):
            called = each.fget if isinstance(each, property) else each.func
            yield f"- `{name}`: {_first(called.__doc__)}"
        elif inspect.isfunction(each):
            yield _entry(name, each)


def _documented(of: type) -> dict[str, str]:
    """The first sentence that stands below each field of a struct."""
    body = next(
        each for each in ast.parse(textwrap.dedent(inspect.getsource(of))).body if isinstance(each, ast.ClassDef)
    ).body
    return {
        field.target.id: _first(str(below.value.value))
        for field, below in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }


def _functions(module: ModuleType) -> Iterator[str]:
    for name, each in vars(module).items():
        if inspect.isfunction(each) and each.__module__ == module.__name__ and not name.startswith("_"):
            yield _entry(name, each)


def _entry(name: str, function: Callable[..., object]) -> str:
    taken = [each for each in inspect.signature(function).parameters if each != "self"]
    return f"- `{name}({', '.join(taken)})`: {_first(function.__doc__)}"


def _is_operation(each: object) -> bool:
    return inspect.isclass(each) and each.__module__ == "reviewer.sql.operations"


def _operation(each: type) -> str:
    names = [name for name in getattr(each, "__struct_fields__", ()) if not name.startswith("_")]
    called = f"- `{each.__name__}({', '.join(names)})`"
    return f"{called}: {_first(each.__doc__)}" if each.__doc__ else called


def _first(text: str | None) -> str:
    """The first sentence of a docstring."""
    paragraph = _sentence(inspect.cleandoc(text or "").split("\n\n")[0])
    return re.split(r"(?<=[.:]) (?=[A-Z`])", paragraph)[0].rstrip(":")


# -- what is found in the examples ----------------------------------------------------------------


def _examples() -> list[Path]:
    return [path for path in sorted((ROOT / "examples").glob("*/README.md")) if TABLE.search(path.read_text())]


def _findings(folder: Path) -> str:
    place = folder.relative_to(ROOT).as_posix()
    report = json.loads(
        _printed(["alembic-reviewer", "review", place, "--postgres", "embedded", "--format", "json"])
    )
    rows = [
        (
            f"`{each['revision']}`" if each["revision"] else "all",
            f"[{_name(each)}]({Path(each['path']).relative_to(place).as_posix()}#L{each['line']})"
            if each["path"]
            else "",
            each["direction"] or "",
            f"[{each['rule']}](../../docs/checks/{each['rule']}.md)",
            each["severity"],
        )
        for each in report["findings"]
        if each["suppressed"] is None
    ]
    lines = ["| revision | line | direction | rule | severity |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


def _name(finding: dict[str, object]) -> str:
    return f"line {finding['line']}"


if __name__ == "__main__":
    try:
        import reviewer  # noqa: F401 - whether it is there is what we want to know
    except ImportError:
        python = str(prepared("dev") / "python")
        sys.exit(subprocess.run([python, *sys.argv], check=False).returncode)
    sys.exit(main())
