"""Prints how fast the reviewer is, as ratios and times measured in one run on this machine, each with its target.

    python benchmarks/speed.py [--runs N] [--postgres KIND] [--projects FILE] [--squawk FILE] [--tools FOLDER] [NAME ...]

NAME is a benchmark, or the letter of a target in docs/performance.md; all of them without a name:
{names}
What is compared runs by turns, and a ratio is the median over the pairs. Every review is the second one of its project, with
everything that it needs, where nothing else is said. Ends with status 1 where a target is missed. What cannot be measured here
is left out, with the reason.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import action, others, projects, published, releases
from benchmarks.measuring import (
    COMMANDS,
    ENVIRONMENT,
    REVIEWER,
    Benchmark,
    Failed,
    Figure,
    LeftOut,
    against_one_process,
    aimed,
    by_turns,
    cached,
    call,
    compared,
    fill,
    pairs,
    peak_megabytes,
    processor_seconds,
    ratio,
    review,
    review_call,
    seconds,
    server,
    start_and_stop,
)

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer


@dataclass(frozen=True)
class Row:
    """A benchmark on the command line."""

    run: Benchmark
    letters: str = ""
    """The targets that it measures, with spaces between them."""

    @property
    def what(self) -> str:
        """Its first sentence."""
        return (self.run.__doc__ or "").split(".\n")[0].split("\n")[0].rstrip(".")


def main() -> int:
    """Measure what is asked for and print it as it comes."""
    arguments = _arguments()
    results: list[Figure | LeftOut] = []
    with tempfile.TemporaryDirectory(prefix="alembic-reviewer-speed-") as name:
        for benchmark in wanted(arguments.names):
            folder = Path(name).resolve() / benchmark
            folder.mkdir()
            with cached(folder / "cache"):
                for result in measured(benchmark, folder, arguments):
                    print(result, flush=True)
                    results.append(result)
            shutil.rmtree(folder, ignore_errors=True)
    print(summary(results))
    return status(results)


def measured(benchmark: str, folder: Path, arguments: argparse.Namespace) -> Iterator[Figure | LeftOut]:
    """What the benchmark finds; if something that it runs does not work, that too."""
    try:
        yield from BENCHMARKS[benchmark].run(folder, arguments)
    except Failed as error:
        yield LeftOut(benchmark, str(error), broken=True)


def wanted(names: list[str]) -> list[str]:
    """The benchmarks that `names` stand for, each once."""
    by_letter = {letter: name for name, row in BENCHMARKS.items() for letter in row.letters.split()}
    return list(dict.fromkeys(by_letter.get(each, each) for each in names or BENCHMARKS))


def summary(results: list[Figure | LeftOut]) -> str:
    """One line for all of them."""
    figures = [each for each in results if isinstance(each, Figure)]
    others = [each for each in results if isinstance(each, LeftOut)]
    said = [f"{sum(each.met for each in figures)} of {len(figures)} targets are met"]
    for what, broken in (("left out", False), ("broken", True)):
        names = ", ".join(each.name for each in others if each.broken is broken)
        said += [f"{what}: {names}"] if names else []
    return "; ".join(said)


def status(results: list[Figure | LeftOut]) -> int:
    """1 where a target is missed, or something did not work."""
    return 0 if all(each.met if isinstance(each, Figure) else not each.broken for each in results) else 1


# -- one review over the bare commands ----------------------------------------------------------------


def single(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """One new revision of examples/blog, over the three bare commands that the review replaces."""
    ratios = _against_the_bare_commands(folder, arguments, projects.BLOG_NEW[:1])
    yield Figure("one new revision of examples/blog, over upgrade, downgrade, upgrade", *ratios, name="")


def four(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """Four new revisions of examples/blog of which one fails, over the bare stepwise commands."""
    yield Figure(
        "four new revisions of examples/blog, over upgrade +1, downgrade -1, upgrade +1 for each",
        *_against_the_bare_commands(folder, arguments, projects.BLOG_NEW),
        name="a2",
    )


def _against_the_bare_commands(
    folder: Path, arguments: argparse.Namespace, new: tuple[str, ...]
) -> tuple[float, str, float, str]:
    project = projects.blog(folder / "blog", new)
    command = review_call(project, arguments)
    review(command)  # keeps the data folder and the base state, writes the byte code
    bares, reviews = [], []
    with server(arguments.postgres) as started:
        base = started.create_database("base")
        call([*aimed(project, started, base), "upgrade", projects.BLOG_BASE], cwd=project)
        fill(started, base)
        for number in range(arguments.runs):
            database = started.create_database(f"run_{number}", base)
            typed: list[str] = []
            alembic = aimed(project, started, database)
            bares.append(seconds(lambda: _type(alembic, project, new, typed)))  # noqa: B023  (called at once)
            reviews.append(seconds(lambda: review(command)))
            started.drop_database(database)
    how = f"{pairs(reviews, bares)}; typed: {', '.join(typed)}"
    return ratio(reviews, bares), "", 0.8 if len(new) > 1 else 1.5, how


def _type(alembic: list[str], project: Path, new: tuple[str, ...], typed: list[str]) -> None:
    """What a developer would type, who goes on after a downgrade that fails, and stops at an upgrade that does."""

    def works(*what: str) -> bool:
        done = call([*alembic, *what], cwd=project, fine=(0, 1, 255))
        typed.append(" ".join(what) + ("" if done.returncode == 0 else " (fails)"))
        return done.returncode == 0

    for _ in new:
        if not works("upgrade", "+1"):
            return
        if works("downgrade", "-1") and not works("upgrade", "+1"):
            return


# -- the length of the history --------------------------------------------------------------------------


def history(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """One new revision behind histories of 10, 300 and 1,000 revisions, the base state kept or not."""
    lengths = (10, 300, 1000)
    made = {length: projects.long(folder / f"history-{length}", length) for length in lengths}
    calls = {length: review_call(project, arguments) for length, project in made.items()}
    firsts, wholes, bares = [], [], []
    times: dict[int, list[float]] = {length: [] for length in lengths}
    with server(arguments.postgres) as started:
        for length in lengths:
            review([*calls[length], "--no-snapshot"])  # keeps the fresh data folder, writes our byte code
            call(
                [str(COMMANDS / "alembic"), "history"], cwd=made[length]
            )  # writes that of the revisions, as in any checkout
        for number in range(max(1, arguments.runs // 2)):
            shutil.rmtree(folder / "cache" / "snapshots", ignore_errors=True)
            firsts.append(seconds(lambda: review(calls[300])))
            alembic = aimed(made[300], started, started.create_database(f"whole_{number}"))
            whole = [*alembic, "upgrade", "r0299"]
            wholes.append(
                seconds(lambda: start_and_stop(arguments.postgres)) + seconds(lambda: call(whole))  # noqa: B023
            )
        for length in lengths:
            review(calls[length])
        alembic = aimed(made[10], started, started.create_database("bare"))
        call([*alembic, "upgrade", "r0009"])
        for _ in range(arguments.runs):
            bares.append(
                sum(
                    seconds(lambda: call([*alembic, *command]))  # noqa: B023
                    for command in (["upgrade", "head"], ["downgrade", "-1"], ["upgrade", "head"])
                )
            )
            call([*alembic, "downgrade", "-1"])
            for length in lengths:
                times[length].append(seconds(lambda: review(calls[length])))  # noqa: B023
    yield compared(
        "one new revision behind 10, over the bare upgrade, downgrade, upgrade on a running server",
        times[10],
        bares,
        0.6,
        "a",
    )
    for length in lengths[1:]:
        yield compared(f"the same behind {length:,}, over that behind 10", times[length], times[10], 1.15, "b")
    yield compared(
        "first review behind 300, over `alembic upgrade` of them from empty and the start of a server",
        firsts,
        wholes,
        1.2,
        "c",
    )


# -- many new revisions, many tables --------------------------------------------------------------------


def many(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """100 new revisions, over the same up, down, up, one by one, in one process."""
    project = projects.long(folder / "many", 10, 100)
    command = review_call(project, arguments)
    reviews, bares = against_one_process(project, command, range(10, 110), arguments)
    yield compared("100 new revisions, over each of them up, down, up in one process", reviews, bares, 1.5, "d")


def every(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure | LeftOut]:
    """`--each` over the last 100 revisions, over the same up, down, up in one warm process."""
    if arguments.projects is not None:
        yield from published.each(folder, arguments)
        return
    yield LeftOut("d2 of published projects", "needs --projects FILE; a made-up history takes their place")
    project = projects.long(folder / "each", 300)
    command = review_call(project, arguments, "--revisions", "r0199:r0299", "--each")
    new = range(200, 300)
    reviews, bares = against_one_process(project, command, new, arguments)
    yield compared(
        "`--each` over the last 100 of 300 revisions, over each of them up, down, up in one process",
        reviews,
        bares,
        2.0,
        "d2",
        more=f"; {statistics.median(reviews) / len(new):.2f} s a revision",
    )


def tables(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """A base state of 2,000 tables over one of 20, with the same new revision."""
    calls = {
        number: review_call(projects.wide(folder / f"wide-{number}", number), arguments) for number in (20, 2000)
    }
    for command in calls.values():
        review(command)
    few, many = by_turns(arguments.runs, *(partial(review, command) for command in calls.values()))
    yield compared("one new revision on a base state of 2,000 tables, over one of 20", many, few, 1.3, "g")


def memory(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """The most memory that our own process needs, in any of several reviews."""
    made = {
        "one new revision behind 300": projects.long(folder / "history", 300),
        "the four of examples/blog": projects.blog(folder / "blog"),
        "100 new revisions": projects.long(folder / "many", 10, 100),
    }
    peaks = {}
    for what, project in made.items():
        command = review_call(project, arguments)
        peaks[what] = max(peak_megabytes(command) for _ in range(2))  # without a kept base state, and with it
    how = ", ".join(f"{what} {peak:.0f} MB" for what, peak in peaks.items())
    yield Figure("peak memory of our own process", max(peaks.values()), " MB", 120, how, "h")


# -- observation and checks -----------------------------------------------------------------------


def observation(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """A revision of 500 statements, watched and not."""
    from reviewer.host.guardian import Guardian
    from reviewer.rehearsal.interpreter import RunnerProcess, Setup
    from reviewer.rehearsal.protocol import Address, Upgrade

    project = projects.large(folder / "large", 500)
    watched: list[float] = []
    unwatched: list[float] = []
    with server(arguments.postgres) as started, Guardian() as guardian:
        setup = Setup(directory=project, config=project / "alembic.ini")
        with RunnerProcess((sys.executable,), setup, ENVIRONMENT, folder, guardian) as process:
            process.hello()

            def upgrade(database: str, to: str, observe: bool) -> float:
                began = time.perf_counter()
                command = Upgrade(to=(to,), database=database, address=Address.of(started.address), observe=observe)
                answer = process.run(command, time.monotonic() + 600)
                assert answer.ok, answer.failed
                return time.perf_counter() - began

            base = started.create_database("base")
            upgrade(base, "first", observe=False)
            started.terminate_connections(base)
            fill(started, base)
            for number in range(arguments.runs + 1):
                for observe, times in ((False, unwatched), (True, watched)):
                    database = started.create_database(f"run_{number}_{observe}", base)
                    times.append(upgrade(database, "new", observe))
                    started.drop_database(database)
    yield compared(
        "a revision of 500 statements with observation, over the same without", watched[1:], unwatched[1:], 1.5
    )


def checks(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """Every check over a recording of a revision of 1,000 statements."""
    import checks as all_checks
    from reviewer import recording

    project = projects.large(folder / "large", 1000)
    kept = folder / "recording.json"
    review(review_call(project, arguments, "--revisions", "first:head", "--save-recording", str(kept)))
    loaded = all_checks.load()
    (recorded,) = recording.loads(kept.read_bytes())
    statements = [len(each.statements) for each in recorded.passes]
    program = (
        "import time, sys; from pathlib import Path; from reviewer import recording; import checks\n"
        "from reviewer.review.engine import review; loaded = checks.load()\n"
        "(each,) = recording.loads(Path(sys.argv[1]).read_bytes()); import reviewer.sql.parse\n"
        "reviewer.sql.parse.parse('SELECT 1'); began = time.process_time(); review(each, loaded)\n"
        "print(time.process_time() - began)"
    )
    times = [
        float(call([sys.executable, "-c", program, str(kept)]).stdout) for _ in range(max(3, arguments.runs // 2))
    ]
    yield Figure(
        f"processor time of all {len(loaded)} checks over a revision of 1,000 statements",
        statistics.median(times),
        " s",
        1.0,
        f"{sum(statements)} statements in {len(statements)} passes; parsing included",
    )


# -- rows, reversibility and old code ---------------------------------------------------------------


def rows(_: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """Rows for a schema of 100 tables that refer to each other."""
    from reviewer import rows as filler
    from reviewer.rehearsal import catalogue

    times = []
    with server(arguments.postgres) as started:
        _shop(started, "shop", 100)
        for number in range(arguments.runs):
            database = started.create_database(f"run_{number}", "shop")
            with started.connect(database) as connection:
                began = time.perf_counter()
                filled = filler.fill(connection, catalogue.read(connection), 100)
                times.append(time.perf_counter() - began)
            assert (len(filled.tables), filled.skipped) == (100, ()), filled.skipped
            started.drop_database(database)
    yield Figure(
        "rows for 100 tables, 100 in each",
        statistics.median(times),
        " s",
        3.0,
        f"{arguments.runs} runs, wall clock",
    )


def snapshot(_: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """The catalogue of 200 tables."""
    from reviewer.rehearsal import catalogue_snapshot as catalogue

    times = []
    with server(arguments.postgres) as started:
        _shop(started, "shop", 200)
        with started.connect("shop") as connection:
            catalogue.take(connection)
            for _number in range(max(arguments.runs, 10)):
                began = time.perf_counter()
                found = catalogue.take(connection)
                times.append(time.perf_counter() - began)
    yield Figure(
        "a snapshot of the catalogue of 200 tables",
        statistics.median(times) * 1000,
        " ms",
        50,
        f"{len(found.objects):,} objects, {len(times)} runs, wall clock, best {min(times) * 1000:.0f} ms",
    )


def _shop(started: RunningServer, database: str, number: int) -> None:
    """A database with `number` tables of several kinds of columns; each refers to one before it."""
    started.create_database(database)
    with started.connect(database) as connection:
        for sql in projects.shop_tables(number):
            connection.execute(sql.encode())


def data(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """A review of one revision of a project with 100 tables and models, with rows and old code and without."""
    command = review_call(projects.shop(folder / "shop"), arguments)
    without = [*command, "--no-rows", "--no-old-code"]
    for each in (command, without):
        review(each)
    bare, full = by_turns(arguments.runs, lambda: review(without), lambda: review(command))
    yield compared(
        "review of one revision of a project with 100 tables, with rows, round trip and old code, over without",
        full,
        bare,
        2.5,
    )


# -- small things ---------------------------------------------------------------------------------


def startup(_: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """The list of rules, which imports every check."""
    command = [REVIEWER, "rules"]
    call(command)
    times = [processor_seconds(command) for _ in range(arguments.runs)]
    yield Figure(
        "processor time of `alembic-reviewer rules`", statistics.median(times), " s", 0.3, f"{arguments.runs} runs"
    )


def nothing_new(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """A branch that adds no revision."""
    command = [REVIEWER, "review", str(projects.blog(folder / "nothing", ())), "--base", "HEAD"]
    call(command)
    times = [seconds(lambda: call(command)) for _ in range(arguments.runs)]
    yield Figure("a branch without new revisions", statistics.median(times), " s", 0.6, f"{arguments.runs} runs")


def action_steps(_: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """Both steps of the action on a pull request with nothing new."""
    action.untouched()  # writes the byte code
    taken = [action.untouched() for _ in range(arguments.runs)]
    processor = statistics.median(each.processor for each in taken)
    yield Figure(
        "both steps of the action on a pull request with nothing new",
        statistics.median(each.seconds for each in taken),
        " s",
        action.MOST_SECONDS,
        f"{arguments.runs} runs, {processor:.2f} s of processor time",
        "i",
    )
    yield Figure(
        "requests that they send",
        max(each.requests for each in taken),
        "",
        action.FEWEST_REQUESTS,
        "one looks for a comment of an earlier push",
        "i",
    )


BENCHMARKS: Mapping[str, Row] = {
    "review": Row(single),
    "four": Row(four, "a2"),
    "history": Row(history, "a b c"),
    "published": Row(published.pull_requests, "a3"),
    "many": Row(many, "d"),
    "each": Row(every, "d2"),
    "static": Row(others.static, "e"),
    "pytest-alembic": Row(others.pytest_alembic, "f"),
    "tables": Row(tables, "g"),
    "memory": Row(memory, "h"),
    "action": Row(action_steps, "i"),
    "release": Row(releases.release),
    "stats": Row(releases.stats),
    "fill": Row(releases.fill),
    "observation": Row(observation),
    "checks": Row(checks),
    "rows": Row(rows),
    "snapshot": Row(snapshot),
    "data": Row(data),
    "startup": Row(startup),
    "nothing-new": Row(nothing_new),
}


def _arguments(given: list[str] | None = None) -> argparse.Namespace:
    letters = [letter for row in BENCHMARKS.values() for letter in row.letters.split()]
    names = "\n".join(f"    {name:15}{row.letters:7}{row.what}" for name, row in BENCHMARKS.items())
    description = (__doc__ or "").replace("{names}", names)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*BENCHMARKS, *letters, []])
    parser.add_argument("--runs", type=int, default=7, help="of each thing that is timed (default 7)")
    parser.add_argument("--postgres", default="auto", help="as for the reviewer")
    parser.add_argument("--projects", type=Path, metavar="FILE", help=published.HELP)
    parser.add_argument(
        "--squawk", metavar="FILE", help="the command squawk, instead of the one on PATH or in --tools"
    )
    parser.add_argument(
        "--tools", type=Path, default=others.TOOLS, metavar="FOLDER", help="where other tools are installed"
    )
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
