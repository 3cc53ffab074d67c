"""The documentation of a rule, from the check's own docstring and examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from reviewer.report import inert
from reviewer.report.terminal import Terminal, encodable
from reviewer.review.rule import Check, Example, Rule


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


def document(check: Check) -> str:
    """The documentation of `check` as Markdown."""
    return "\n".join(_lines(check))


def _lines(check: Check) -> Iterator[str]:
    rule = check.RULE
    first, _, rest = (check.__doc__ or rule.summary).strip().partition("\n\n")
    yield from (f"# {rule.id}", "", " ".join(first.split()), "", *_facts(rule), "", rest.strip())
    flagged = [example for example in check.EXAMPLES if "# flagged" in _source(example)]
    safe = [example for example in check.EXAMPLES if "# flagged" not in _source(example)]
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
    if example.then:
        code = ["# first revision", *code]
    for following in example.then:
        code += ["", "# next revision", *following.splitlines()]
    if example.downgrade:
        code += ["", "# downgrade", *example.downgrade.splitlines()]
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", "\n".join(code)))])
    yield from (f"{ticks}python", *code, ticks)


def _source(example: Example) -> str:
    return "\n".join((example.upgrade, example.downgrade or "", *example.then))


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]
