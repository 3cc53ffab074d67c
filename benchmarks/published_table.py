"""Prints how long published projects take: a first review, a second one, and what else one would do with their last revision.

    python benchmarks/published_table.py --projects FILE [--write] [--runs N] [--postgres KIND] [NAME ...]

FILE is what benchmarks/published.py describes. --write puts the table into docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import others, published, tools
from benchmarks.flame import PAGE, between
from benchmarks.measuring import Failed, cached, call, median, peak_megabytes, review, seconds

_VERSIONS = "import alembic, sqlalchemy; print(*('.'.join(each.__version__.split('.')[:2]) for each in (alembic, sqlalchemy)))"
_HEAD = (
    "| project | Alembic, SQLAlchemy | revisions before | first review | second | three commands | `--sql` into squawk | memory |",
    "|---|---|---|---|---|---|---|---|",
)


def main() -> int:
    """Measure one project after the other, and print a line for each."""
    arguments = _arguments()
    wanted = [each for each in published.load(arguments.projects) if each.name in (arguments.names or [each.name])]
    lines = [*_HEAD]
    print(*_HEAD, sep="\n")
    for project in wanted:
        with tempfile.TemporaryDirectory(prefix="alembic-reviewer-published-") as name:
            folder = Path(name).resolve()
            try:
                with cached(folder / "cache"):
                    lines.append("| " + " | ".join(cells(folder / project.name, project, arguments)) + " |")
            except (Failed, published.Unsuitable) as error:
                said = error.last if isinstance(error, Failed) else str(error)
                print(f"{project.name} is left out: {said}", file=sys.stderr, flush=True)
                continue
        print(lines[-1], flush=True)
    if arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(between("published projects", "\n".join([*lines, ""]), page), encoding="utf-8")
    return 0


def cells(folder: Path, project: published.Project, arguments: argparse.Namespace) -> Iterator[str]:
    """One line of the table."""
    made = published.pull_request(folder, project)
    command = made.review(arguments)
    yield project.name
    yield ", ".join(call([project.python, "-c", _VERSIONS]).stdout.split())
    yield str(made.before)
    yield f"{seconds(lambda: review(command)):.1f} s"
    reviews, bares = made.by_turns(command, arguments)
    yield median(reviews, 1)
    yield median(bares, 1)
    yield _with_squawk(made, arguments)
    yield f"{peak_megabytes(command):.0f} MB"


def _with_squawk(made: published.PullRequest, arguments: argparse.Namespace) -> str:
    squawk = others.squawk(arguments)
    try:
        return median([seconds(lambda: _piped(made, squawk)) for _ in range(arguments.runs)], 1)
    except Failed:
        return "renders no SQL"


def _piped(made: published.PullRequest, squawk: str) -> None:
    call([squawk, "--pg-version", "15.0"], text=made.rendered(), fine=(0, 1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these projects")
    parser.add_argument("--projects", type=Path, required=True, metavar="FILE", help=published.HELP)
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    parser.add_argument("--runs", type=int, default=3, help="how often each is run (3)")
    parser.add_argument(
        "--postgres", default="auto", help="where PostgreSQL comes from, as for the reviewer (auto)"
    )
    parser.add_argument("--squawk", metavar="FILE", help="the command")
    parser.add_argument(
        "--tools", type=Path, default=tools.TOOLS, metavar="FOLDER", help="where it is installed else"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
