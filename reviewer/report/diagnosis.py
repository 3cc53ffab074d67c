"""What `doctor` found, for the terminal: one line for each thing that a review would use, and the problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from reviewer.report import inert
from reviewer.report.terminal import Terminal

if TYPE_CHECKING:
    from reviewer.diagnosis import Diagnosis, Entry


def render(diagnosis: Diagnosis, terminal: Terminal = Terminal()) -> str:  # noqa: B008  (frozen)
    """`diagnosis` as a page for `terminal`; without one it is plain."""
    return inert.without_commands(terminal.printed(_lines(diagnosis, terminal)))


def _lines(diagnosis: Diagnosis, terminal: Terminal) -> Iterator[Text]:
    width = max((len(entry.what) for entry in diagnosis.entries), default=0)
    for entry in diagnosis.entries:
        mark = _mark(entry)
        found = inert.visible(entry.found)
        yield Text.assemble(mark, (f"{inert.name(entry.what):{width}}  ", "bold"), found)
        for more in (entry.why, entry.way_out):
            if more:
                yield from terminal.wrapped(Text(inert.sentence(more), "dim"), width + 9)
    wrong = sum(entry.wrong for entry in diagnosis.entries)
    yield Text("")
    if wrong:
        yield Text(f"{wrong} wrong: a review would stop there", "bold red")
    else:
        yield Text("everything that a review needs is available", "green")


def _mark(entry: Entry) -> tuple[str, str]:
    if entry.wrong:
        return "wrong  ", "bold red"
    return ("ok     ", "green") if entry.usable else ("-      ", "dim")
