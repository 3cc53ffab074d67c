"""Whether an upgrade can run again on what it has left behind, as after a failure that leaves it half applied.

Code that looks at what exists before it acts, as with an inspector, does not show that in its statements.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from reviewer.host.files import read_regular
from reviewer.host.paths import on_disk
from reviewer.recording import Origin, Pass, Revision
from reviewer.rehearsal import version_table
from reviewer.rehearsal.protocol import Step

if TYPE_CHECKING:
    from reviewer.rehearsal.workbench import Workbench


def may_differ(root: Path, revision: Revision, ups: Iterable[Pass]) -> bool:
    """Whether it is worth a try: some of it is committed before its end, and its code decides what to do. Where its
    downgrade does nothing, the second upgrade tells it.
    """
    if revision.downgrade_is_empty:
        return False
    sent = [each for run in ups for each in run.statements if each.origin is Origin.REVISION]
    whole = all(each.in_transaction for each in sent)
    return not whole and len(sent) > 1 and _decides(on_disk(root, revision.path))


def runs_again(bench: Workbench, revision: Revision, upgraded: str) -> bool:
    """Run the upgrade of `revision` on a copy of the database `upgraded`, in which it has run already."""
    database = bench.database(upgraded)
    if not version_table.step_back(bench.server, database, bench.version_table, revision):
        return False
    run = bench.run(Step(revision=revision.id, direction="upgrade"), database, observe=False)
    if not run.ok:
        bench.restart()
    return run.ok


def _decides(file: Path) -> bool:
    try:
        tree = ast.parse(read_regular(file))
    except (OSError, SyntaxError, ValueError):
        return False
    return any(isinstance(node, ast.If | ast.IfExp | ast.Try) for node in ast.walk(tree))
