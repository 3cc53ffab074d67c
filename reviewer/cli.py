"""The command line: composition only. The one place that prints and exits."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import checks
from reviewer import __version__
from reviewer.errors import CannotReview, ReviewerError, UsageError
from reviewer.host import streams
from reviewer.options import OPTIONS, Kind, Option, Where

if TYPE_CHECKING:
    from types import FrameType

    from reviewer.config import Config
    from reviewer.early import Early
    from reviewer.release.model import Release
    from reviewer.review.verdict import Report
    from reviewer.session import Fixer


class _ReviewCommand(click.Command):
    """Remembers the order of --format and --output: each --format takes the --output after it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        order = self.make_parser(ctx).parse_args(args=list(args))[2]
        ctx.meta["order"] = [p.name for p in order if p.name in {"formats", "outputs"}]
        return super().parse_args(ctx, args)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="alembic-reviewer")
def main() -> None:
    """Review Alembic revisions: run them on a throw-away PostgreSQL and say what would hurt."""


def _options(*places: Where) -> Callable[[Any], Any]:
    """PATH and every option that belongs to one of `places`."""

    def decorate(command: Any) -> Any:
        for option in reversed([each for each in OPTIONS if each.where in places]):
            flags = [flag for flag in (option.short, option.flag) if flag]
            command = click.option(*flags, option.name, help=option.help, **_shape(option))(command)
        return click.argument("path", default=".", type=click.Path(path_type=Path))(command)

    return decorate


def _shape(option: Option) -> dict[str, Any]:
    """How click reads it."""
    repeated = {"multiple": True, "metavar": option.metavar}
    match option.kind:
        case Kind.SWITCH:
            return {"is_flag": True}
        case Kind.NUMBER:
            return {"type": click.IntRange(option.least), "metavar": option.metavar}
        case Kind.SECONDS:
            return {"type": click.FloatRange(0, min_open=True), "metavar": option.metavar}
        case Kind.FILE:
            return {"type": click.Path(path_type=Path), "metavar": option.metavar}
        case Kind.CHOICE | Kind.FAIL_ON:
            return {"type": click.Choice(option.choices)}
        case Kind.OUTPUTS if option.choices:
            return {"type": click.Choice(option.choices), "multiple": True}
        case Kind.TEXTS | Kind.RULES | Kind.ASSIGNMENTS | Kind.CONFIGS | Kind.OUTPUTS:
            return repeated
        case _:
            return {"metavar": option.metavar}


@main.command(cls=_ReviewCommand)
@_options(Where.PROJECT, Where.NEW, Where.REHEARSAL, Where.RUN, Where.REVIEW)
@click.pass_context
def review(ctx: click.Context, /, **flags: Any) -> None:
    """Review the new revisions of the project in PATH.

    Exit status: 0 nothing at or above --fail-on, 1 findings at or above it, 2 wrong usage or
    configuration, 3 could not review.
    """
    pairs = _paired(ctx.meta["order"], flags.pop("formats"), flags.pop("outputs"))
    with _Failures():
        config = _config(flags, pairs)
        _refuse_unwritable(("--output", each.path) for each in config.outputs)
        with _begun(config) as begun:  # before the rest is loaded
            from reviewer.session import review_project

            fixer = _fixer() if config.fixes else None
            with _progress(quiet=config.quiet, verbose=config.verbose) as progress:
                report = review_project(config, os.environ, progress, fixer, begun)
        _write(report, config)
        ctx.exit(report.verdict.exit_status)


@contextmanager
def _begun(config: Config) -> Iterator[Early | None]:
    """What a review starts first; nothing where a recording is replayed, or where nothing can be started."""
    with ExitStack() as stack:
        begun = None
        if config.recording is None:
            from reviewer.early import started

            with suppress(ReviewerError):  # said in its turn: whatever else is wrong with the call comes first
                begun = stack.enter_context(started(config, os.environ))
        yield begun


def _fixer() -> Fixer:
    """What tries the fixes; loaded only where somebody asks for them."""
    from reviewer.fix.offer import offer

    return offer


@main.command(short_help="Rewrite revisions as the findings advise; every fix is rehearsed.")
@_options(Where.PROJECT, Where.NEW, Where.REHEARSAL)
@click.option("--rule", "wanted", multiple=True, metavar="RULE", help="Fix only findings of this rule; repeatable.")
@click.option(
    "--diff/--write", "diff", default=True, help="Print a diff for `git apply` (default), or write the files."
)
@click.option("--unsafe", is_flag=True, help="Also what adds a revision or needs a decision.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Format of the result.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="File for it instead of standard output."
)
@click.pass_context
def fix(
    ctx: click.Context,
    /,
    wanted: tuple[str, ...],
    *,
    diff: bool,
    unsafe: bool,
    form: str,
    output: Path | None,
    **flags: Any,
) -> None:
    """Fix what a review of the project in PATH finds, in the revisions' own source.

    Every fix is rehearsed and reviewed before it is offered: the finding is gone, nothing worse is found, and the schema
    at the end is the same. Prints a diff; with --write, all files are written or none.

    Exit status: 0 nothing at or above --fail-on is left, 1 such findings are left, 2 wrong usage or configuration,
    3 could not review.
    """
    with _Failures():
        config = _config(flags)
        _refuse_unwritable([("--output", output)])
        from reviewer.fix import report
        from reviewer.fix.command import fix_project

        rules = tuple(rule for each in wanted for rule in each.split(",") if rule)
        with _progress(quiet=config.quiet, verbose=config.verbose) as progress:
            result = fix_project(config, os.environ, rules, unsafe=unsafe, write=not diff, progress=progress)
        told = report.as_json(result).encode() + b"\n" if form == "json" else b"" if result.written else result.diff
        _write_bytes(told, output)
        if form == "text" and not config.quiet:
            streams.say(report.words(result))
        ctx.exit(result.exit_status(config))


@main.command(cls=_ReviewCommand, short_help="Say what the deploy from A to B does to production.")
@click.argument("start", metavar="A")
@click.argument("end", metavar="B")
@_options(Where.PROJECT, Where.REHEARSAL, Where.RUN, Where.RELEASE)
@click.pass_context
def release(ctx: click.Context, /, start: str, end: str, **flags: Any) -> None:
    """Say what the deploy from A to B does to production: what waits and how long, in which order
    code and revisions go out, what to do before, and the way back.

    A and B are revisions, `base`, `head`, or tags, branches and commits of git. Exit status: as of
    `review`, for the revisions after A up to B.
    """
    pairs = _paired(ctx.meta["order"], flags.pop("formats"), flags.pop("outputs"))
    with _Failures():
        config = _config(flags, pairs)
        _refuse_unwritable(("--output", each.path) for each in config.outputs)
        _refuse_unwritable(
            each for each in (("--sql", config.sql), ("--notes", config.notes)) if each[1] is not None
        )
        from reviewer.release_session import release_project

        with _progress(quiet=config.quiet, verbose=config.verbose) as progress:
            found = release_project(config, start, end, os.environ, progress)
        _write_release(found, config)
        ctx.exit(found.exit_status)


@main.command()
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Format of the list.")
def rules(form: str) -> None:
    """List every rule: its id, severity, and what it says."""
    with _Failures():
        from reviewer.report import rules as page

        streams.write((page.as_json if form == "json" else page.as_text)(checks.load()))


def _rule_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """What the shell offers for RULE."""
    return [rule for rule in checks.by_id() if rule.startswith(incomplete)]


@main.command(short_help="Explain RULE: why it hurts, what to do instead.")
@click.argument("rule", shell_complete=_rule_names)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Format of the page.")
def explain(rule: str, form: str) -> None:
    """Explain RULE: why it hurts, what to do instead, and what is not flagged."""
    with _Failures():
        from reviewer.errors import nearest_rule
        from reviewer.report import explain as page

        known = checks.by_id()
        if rule not in known:
            raise UsageError(f"There is no rule `{rule}`.", nearest_rule(rule, known))
        found = known[rule]
        streams.write(page.as_json(found) if form == "json" else page.render(found, sys.stdout))


@main.command(short_help="Post a JSON report to a GitHub pull request.")
@click.argument("report", type=click.Path(path_type=Path))
@click.option("--repo", metavar="OWNER/NAME", default="", help="Repository. Default: GITHUB_REPOSITORY.")
@click.option(
    "--pull-request", type=click.IntRange(1), metavar="N", help="Default: the event's, or the one of --sha."
)
@click.option("--sha", metavar="COMMIT", default="", help="Head commit of the pull request, for links to lines.")
@click.option("--api-url", metavar="URL", default="", help="For GitHub Enterprise: https://HOST/api/v3.")
@click.option("--server-url", metavar="URL", default="", help="For GitHub Enterprise: https://HOST.")
@click.option(
    "--run", metavar="N[.N]", default="", help="Number of this CI run: a lower one never overwrites a higher one."
)
@click.option("--run-url", metavar="URL", default="", help="Address of this CI run.")
@click.option("--comment-id", metavar="NAME", default="", help="Keeps several comments on one pull request apart.")
@click.option(
    "--mode",
    type=click.Choice(["update", "recreate", "hide-and-recreate"]),
    default="update",
    help="What happens to the existing comment.",
)
@click.option("--on-findings", is_flag=True, help="Do not create a comment if nothing was found.")
@click.option("--inline", is_flag=True, help="Comment on the changed lines too.")
@click.option("--dry-run", is_flag=True, help="Print the comment and send nothing.")
def comment(*, report: Path, repo: str, mode: str, on_findings: bool, **flags: Any) -> None:
    """Post REPORT, as written by `review --format json`, to a GitHub pull request.

    The token comes from GITHUB_TOKEN. The existing comment is found and updated.
    """
    with _Failures():
        from reviewer.github.command import Call, run
        from reviewer.github.comment import Mode
        from reviewer.github.publication import When

        when = When.ON_FINDINGS if on_findings else When.AUTO
        call = Call(report=report, repository=repo, mode=Mode(mode), when=when, **flags)
        streams.write(run(call, os.environ).rstrip("\n"))


@main.command(short_help="Write the sizes and settings of production to a file.")
@click.argument("url")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="stats.json",
    metavar="FILE",
    help="File to write, or - for standard output. Default: stats.json.",
)
@click.option(
    "--schema", is_flag=True, help="With the schema, to be told where production differs from the history."
)
@click.option("--queries", is_flag=True, help="With the normalised statements of pg_stat_statements.")
def stats(url: str, output: Path, *, schema: bool, queries: bool) -> None:
    """Write the sizes and settings of the database at URL to a file for `review --stats`.

    Reads the catalogue and the statistics in one read-only transaction; any role that may connect
    can do it. No rows are read. The password belongs in PGPASSWORD or ~/.pgpass.
    """
    with _Failures():
        from reviewer.rehearsal import catalogue
        from reviewer.stats import file, server

        if str(output) == "-":
            streams.refuse_closed_output()
        else:
            file.refuse_unwritable(output)
        found = server.read(url, __version__, schema=catalogue.read if schema else None, queries=queries)
        if str(output) == "-":
            streams.write(file.dumps(found))
        else:
            file.save(found, output)
        for line in file.summary(found, output):
            streams.say(line)


@main.command(short_help="Show what a review would use, and what is wrong.")
@_options(Where.PROJECT, Where.NEW)
@click.pass_context
def doctor(ctx: click.Context, /, **flags: Any) -> None:
    """Show what a review would use and why, and what is wrong, with a way to fix each problem."""
    with _Failures():
        from reviewer.doctor import examine
        from reviewer.report import diagnosis as page
        from reviewer.report.terminal import Terminal

        diagnosis = examine(_config(flags), os.environ)
        streams.write(page.render(diagnosis, Terminal.of(sys.stdout)))
        ctx.exit(0 if diagnosis.healthy else 3)


@main.group(short_help="What is kept between reviews.", invoke_without_command=True)
@click.pass_context
def cache(ctx: click.Context) -> None:
    """List what is kept between reviews: base states, so that a history is replayed once."""
    if ctx.invoked_subcommand is not None:
        return
    with _Failures():
        from reviewer.postgres import snapshots
        from reviewer.report import kept as page

        streams.write(page.render(snapshots.folder(), list(snapshots.found())))


@cache.command()
def clear() -> None:
    """Remove all base states that are kept."""
    with _Failures():
        from reviewer.postgres import snapshots
        from reviewer.report.digest import number
        from reviewer.report.kept import megabytes

        count, size = snapshots.clear()
        streams.write(f"removed {number(count, 'base state')}, {megabytes(size)}")


def _config(flags: dict[str, Any], outputs: Sequence[tuple[str, Path | None]] = ()) -> Config:
    from reviewer.config import load
    from reviewer.project.git import root_of

    if flags.pop("no_rows", False):
        flags["rows"] = 0
    return load({**flags, "outputs": tuple(outputs)}, root_of(flags["path"]))


def _paired(
    order: Sequence[str], formats: Sequence[str], outputs: Sequence[str]
) -> tuple[tuple[str, Path | None], ...]:
    """Each --format with the --output after it; of one each the order means nothing. An --output before several is for
    the text report.
    """
    if len(formats) == len(outputs) == 1:
        return ((formats[0], Path(outputs[0])),)
    pairs: list[tuple[str, Path | None]] = []
    named, files = iter(formats), iter(outputs)
    for each in order:
        if each == "formats":
            pairs.append((next(named), None))
        elif pairs and pairs[-1][1] is None:
            pairs[-1] = (pairs[-1][0], Path(next(files)))
        elif not pairs:
            pairs.append(("text", Path(next(files))))
        else:
            raise click.UsageError("--output: each --format takes one file; this one has no --format before it.")
    return tuple(pairs)


def _refuse_unwritable(wanted: Iterable[tuple[str, Path | None]]) -> None:
    """Before the work, not after it: options with the files that they name, None for standard output."""
    from reviewer.host import files

    for option, file in wanted:
        if file is None:
            streams.refuse_closed_output()
        elif why := files.why_unwritable(file, makes_folders=True):
            raise _unwritable(file, why, option)


def _unwritable(file: Path, why: str, option: str) -> UsageError:
    return UsageError(f"The report cannot be written to {file}: {why}.", f"Name another file with {option}.")


def _write(report: Report, config: Config) -> None:
    from reviewer.report import render

    for form, file in ((each.format, each.path) for each in config.outputs):
        if file is None:
            form = "quiet" if config.quiet and form == "text" else form
            streams.write(render(form, report, checks.by_id, sys.stdout))
        else:
            _write_to(file, render(form, report, checks.by_id))


def _write_release(release: Release, config: Config) -> None:
    from reviewer.release import emitted
    from reviewer.report import render_release
    from reviewer.report.release import notes

    for form, file in ((each.format, each.path) for each in config.outputs):
        if file is None:
            form = "quiet" if config.quiet and form == "text" else form
            streams.write(render_release(form, release, sys.stdout))
        else:
            _write_to(file, render_release(form, release))
    if config.sql is not None:
        _write_to(config.sql, emitted.script(release), "--sql")
    if config.notes is not None:
        _write_to(config.notes, notes.render(release), "--notes")


def _write_to(file: Path, text: str, option: str = "--output") -> None:
    from reviewer.host import files

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write(file, text)
    except OSError as error:
        raise _unwritable(file, files.why(error), option) from None


def _write_bytes(told: bytes, output: Path | None) -> None:
    """Write the result of a command, which may be in any encoding."""
    if output is None:
        streams.write_bytes(told)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(told)
    except OSError as error:
        raise UsageError(
            f"The result cannot be written to {output}: {error.strerror}.", "Name another file with --output."
        ) from None


class _progress:  # noqa: N801  (used as a function)
    """Shows progress on a terminal; silent elsewhere unless `verbose`."""

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self._quiet, self._verbose = quiet, verbose

    def __enter__(self) -> Any:
        if self._verbose:
            started = time.monotonic()
            return lambda text: streams.say(f"{time.monotonic() - started:6.1f} s  {text}")
        if self._quiet or not sys.stderr.isatty():
            return lambda _: None
        from rich.console import Console

        self._status = Console(stderr=True).status("starting")
        self._status.start()
        return lambda text: self._status.update(text)

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_status"):
            self._status.stop()


_Handler = Callable[[int, "FrameType | None"], object] | int | None
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


class _Ended(BaseException):
    """A signal asked us to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _ending(error: BaseException) -> BaseException:
    """The signal that has led to `error`, if one has: what it interrupts may fail while it is cleaned up."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, _Ended | KeyboardInterrupt):
        found = found.__cause__ or found.__context__
    return found or error


class _Failures:
    """Turns every failure into one sentence and an exit status."""

    def __enter__(self) -> None:
        self._before = _on_signals(_ended)
        try:
            Path.cwd()
        except OSError:
            self._end(UsageError("The current folder no longer exists.", "Change to an existing folder."))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if error is None:
            return
        error = _ending(error)
        if isinstance(error, ReviewerError):
            self._end(error)
        if isinstance(error, OSError) and error.errno in {28, 122}:  # ENOSPC, EDQUOT
            self._end(
                CannotReview("The disk is full.", "Free some space, or set TMPDIR to another temporary folder.")
            )
        if isinstance(error, _Ended | KeyboardInterrupt):
            # Everything is cleaned up except what the guardian does: another signal ends us immediately.
            _on_signals(signal.SIG_DFL)
            number = error.number if isinstance(error, _Ended) else int(signal.SIGINT)
            word = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
            streams.say(f"alembic-reviewer: {word}")
            sys.exit(128 + number)
        if isinstance(error, Exception) and not isinstance(error, (click.exceptions.Exit, click.ClickException)):
            import traceback

            streams.say("".join(traceback.format_exception(error)))
            streams.say(
                f"alembic-reviewer {__version__}: this is a bug of the reviewer, not of your project."
                " Please report it with the lines above."
            )
            sys.exit(3)

    def _end(self, error: ReviewerError) -> None:
        streams.say(f"alembic-reviewer: {error}")
        sys.exit(error.exit_status)


def _on_signals(handler: _Handler) -> dict[int, _Handler]:
    """Have `handler` take the signals that end a program; what took each before."""
    before: dict[int, _Handler] = {}
    for name in _ENDING:
        number = getattr(signal, name, None)
        # A signal that is ignored when we start, as by `nohup`, stays ignored. None: not set from Python.
        if number is not None and (current := signal.getsignal(number)) not in {signal.SIG_IGN, None}:
            before[number] = current
            signal.signal(number, handler)
    return before


def _ended(number: int, _: FrameType | None) -> None:
    raise _Ended(number)


if __name__ == "__main__":
    streams.hold()
    main()
