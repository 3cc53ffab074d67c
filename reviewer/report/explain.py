"""The documentation of a rule, from the check's own docstring and examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from reviewer.report import inert
from reviewer.report.terminal import Terminal, encodable
from reviewer.review.rule import SECTIONS, Check, Example, Rule


def render(check: Check, stream: IO[str] | None = None) -> str:
    """The documentation of `check` as `stream` can show it; without one as Markdown."""
    terminal = Terminal.of(stream) if stream else Terminal()
    return encodable(page(check, terminal), stream)


def page(check: Check, terminal: Terminal) -> str:
    """The documentation of `check` for `terminal`: formatted if colours are available, else as Markdown."""
    source = inert.block(document(check))
    if terminal.colours is None:
        return source + "\n"
    from rich.markdown import Markdown

    console = terminal.console()
    # a bare address is shown once, one in <> as text and as target
    bare = re.sub(r"<(https?://[^>\s]+)>", r"\1", source)
    console.print(Markdown(bare, code_theme="ansi_dark", hyperlinks=False))
    written: str = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as Terminal.console says
    return "".join(f"{line.rstrip()}\n" for line in written.strip("\n").split("\n"))


def as_json(check: Check) -> str:
    """What the page of `check` says, in parts for programs."""
    rule = check.RULE
    first, *parts = re.split(r"^## (.+)\n", (check.__doc__ or rule.summary).strip(), flags=re.MULTILINE)
    sections = dict(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True))
    why, instead, safe, references = (sections.get(title.removeprefix("## "), "") for title in SECTIONS)
    flagged, unflagged = _examples(check)
    return inert.json_text(
        {
            "id": rule.id,
            "summary": rule.summary,
            "severity": rule.severity.value,
            "group": rule.group.value,
            "lock": rule.lock.value if rule.lock else None,
            "rewrites": rule.rewrites,
            "scans": rule.scans,
            "default": rule.default,
            "since": rule.since,
            "what": " ".join(first.split()),
            "why": why,
            "instead": instead,
            "not_flagged": safe,
            "references": re.findall(r"<(https?://[^>\s]+)>", references),
            "examples": {"bad": [_parts(each) for each in flagged], "good": [_parts(each) for each in unflagged]},
        }
    ).removesuffix("\n")


def _parts(example: Example) -> dict[str, object]:
    return {
        "title": example.title,
        "deployed": example.given or None,
        "upgrade": example.upgrade,
        "downgrade": example.downgrade,
        "next_revisions": list(example.then),
        "sibling_revisions": list(example.beside),
        "models": [each for each in (example.models, example.new_models) if each],
    }


def _examples(check: Check) -> tuple[list[Example], list[Example]]:
    """Those in which something is flagged, and the others."""
    flagged = [example for example in check.EXAMPLES if "# flagged" in _source(example)]
    return flagged, [example for example in check.EXAMPLES if example not in flagged]


def document(check: Check) -> str:
    """The documentation of `check` as Markdown."""
    return "\n".join(_lines(check))


def _lines(check: Check) -> Iterator[str]:
    rule = check.RULE
    first, _, rest = (check.__doc__ or rule.summary).strip().partition("\n\n")
    yield from (f"# {rule.id}", "", " ".join(first.split()), "", *_facts(rule), "", rest.strip())
    flagged, safe = _examples(check)
    for title, examples in (("## Flagged, for example", flagged), ("## Not flagged, for example", safe)):
        if examples:
            yield from ("", title)
        for example in examples:
            yield from ("", f"{_capital(example.title)}:", "", *_code(example))
    yield from (
        "",
        "## Allowing it",
        "",
        "On the line, or the line above it, with the reason why it is safe:",
        "",
        "```python",
        f"# reviewer: allow[{rule.id}] the table has ten rows",
        "```",
    )


def _facts(rule: Rule) -> Iterator[str]:
    yield f"- severity: {rule.severity.value}"
    yield f"- group: {rule.group.value}"
    if rule.lock:
        blocks = f", which blocks {rule.lock.blocks}" if rule.lock.blocks else ""
        yield f"- lock: {rule.lock}{blocks}"
    if rule.rewrites:
        yield "- the table is rewritten"
    if rule.scans:
        yield "- full table scan"
    if not rule.default:
        yield f"- off unless selected: `--select {rule.id}`"
    yield f"- since: {rule.since}"


def _code(example: Example) -> Iterator[str]:
    code = example.upgrade.splitlines()
    if example.then or example.beside:
        code = ["# first revision", *code]
    for following in example.then:
        code += ["", "# next revision", *following.splitlines()]
    for other in example.beside:
        code += ["", "# another revision with the same parent", *other.splitlines()]
    if example.downgrade:
        code += ["", "# downgrade", *example.downgrade.splitlines()]
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", "\n".join(code)))])
    yield from (f"{ticks}python", *code, ticks)


def _source(example: Example) -> str:
    return "\n".join((example.upgrade, example.downgrade or "", *example.then, *example.beside))


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]
