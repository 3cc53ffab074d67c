"""Draws where the wall time of a review goes, in our own process and in the project's: a flame graph, and a table.

    python benchmarks/flame.py [--output FILE] [--write] [--postgres KIND] [--rate N] [--spy FILE] [-- PATH OPTION ...]

Without PATH, the second review of the four revisions of examples/blog; with it, a review of PATH with these options. py-spy, on
PATH or installed below --tools, looks at all processes N times a second, at those that wait too. The picture is an SVG
without scripts: each thread of each process is a block, unless it only waits, and within it what called comes above what was
called; grey is waiting. The tables have what the main threads did. --write puts both into docs/performance.md.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import projects, tools
from benchmarks.measuring import ENVIRONMENT, REVIEWER, ROOT, cached, review, review_call

PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
PHASES = (
    ("loading our own code", r"<frozen importlib"),
    ("git", r"reviewer/project/git\.py"),
    ("reading the project", r"reviewer/project/|_config \(.*reviewer/cli\.py"),
    ("starting the project's interpreter", r"RunnerProcess\.hello |_first_started|_forks"),
    ("waiting for the server", r"Workbench\.server .* result \(|start_server"),
    ("env.py and history", r" _build \(.*reviewer/rehearsal/base_state\.py|_with_kept_state"),
    (
        "rows",
        r" prepare \(.*reviewer/rehearsal/base_state\.py.* reviewer/rows/| prepare \(.*base_state\.py.*/rows/",
    ),
    ("catalogue before", r" prepare \(.*reviewer/rehearsal/base_state\.py"),
    ("rehearsal: as a deploy does", r"_Rehearsal\.(_deployed|_on_other_keys|_without_rows)"),
    ("rehearsal: step by step, in the project's process", r"_step_by_step.*RunnerProcess\."),
    (
        "rehearsal: step by step, making and dropping databases",
        r"_step_by_step.*\.(create_database|drop_database) ",
    ),
    ("rehearsal: step by step, trying what worked before", r"_step_by_step.*reviewer/rehearsal/trial"),
    ("rehearsal: step by step, comparing", r"_step_by_step"),
    ("rehearsal: the code of before and of after", r"(Old|New)Trial\.|_conclude"),
    ("stopping the server, removing folders", r"reviewer/session\.py.*(__exit__|\.close) |RunnerProcess\.close"),
    ("rehearsal: the rest", r"reviewer/rehearsal/"),
    ("judging", r" judged \(|reviewer/(review|replay|sql)/|/checks/"),
    ("report", r"reviewer/report/"),
    ("the rest", r""),
)
IN_THE_PROJECT = (
    ("observing statements", r"env\.py:.*observation\.py"),
    ("importing the project and its revisions", r"env\.py:.*<frozen importlib"),
    ("statements", r"env\.py:.*[ .](do_\w+|\w*execute|fetch\w*|connect) \("),
    ("the rest of env.py", r"env\.py:"),
    ("importing Alembic and SQLAlchemy", r"<frozen importlib"),
    ("waiting", ""),
)
"""What the processes of the project's interpreter do, likewise."""

_WAITS = re.compile(
    r"(?:.*\.)?(select|poll|_poll|read|readline|readinto|recv|recv_into|recvmsg|accept|wait|acquire|_wait_for_tstate_lock|sleep|wait_c"
    r"|_collect|_read_output|_watch_over_the_pipe|_worker|result|communicate|_communicate|waitpid|_try_wait|_connect_gen"
    r"|connect|flock|_serve|_next_command) \("
)


def between(mark: str, text: str, page: str) -> str:
    """`page` with `text` between its comments `mark` and `end of mark`."""
    marked = rf"(?<=<!-- {mark} -->\n).*?(?=<!-- end of {mark} -->)"
    return re.sub(marked, lambda _: text, page, flags=re.DOTALL)


@dataclass
class Frame:
    """A function in a stack, with what it called."""

    name: str
    samples: int = 0
    called: dict[str, Frame] = field(default_factory=dict)

    def add(self, stack: Sequence[str], samples: int) -> None:
        """Count a stack below this frame."""
        self.samples += samples
        if stack:
            self.called.setdefault(stack[0], Frame(stack[0])).add(stack[1:], samples)

    @property
    def depth(self) -> int:
        """Levels of calls, this one included."""
        return 1 + max((each.depth for each in self.called.values()), default=0)


@dataclass(frozen=True)
class Stack:
    """What one thread was seen to do, how often."""

    processes: tuple[str, ...]
    thread: str
    frames: tuple[str, ...]
    samples: int


def main() -> int:
    """Record a review, draw it, and print the table."""
    arguments = _arguments()
    try:
        spy = arguments.spy or shutil.which("py-spy") or str(_installed(arguments.tools))
    except (OSError, subprocess.SubprocessError) as error:
        print(f"There is no picture: it needs py-spy, and {tools.reason(error)}.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="alembic-reviewer-flame-") as name:
        folder = Path(name).resolve()
        with cached(folder / "cache"):
            command = _command(folder, arguments)
            review(command)
            raw = folder / "stacks"
            record = [
                "record",
                "--rate",
                str(arguments.rate),
                "--format",
                "raw",
                "--idle",
                "--threads",
                "--subprocesses",
            ]
            began = time.perf_counter()
            done = subprocess.run(
                [spy, *record, "--output", str(raw), "--", *command],
                env=ENVIRONMENT,
                capture_output=True,
                text=True,
                check=False,
            )
            seconds = time.perf_counter() - began
        if not raw.exists():
            print(f"py-spy could not look at the review: {done.stderr.strip()[-500:]}", file=sys.stderr)
            return 1
        stacks = list(read(raw.read_text(encoding="utf-8")))
    text = "\n".join(table(stacks, seconds)) + "\n"
    (PICTURE if arguments.write else arguments.output).write_text(drawn(stacks, seconds), encoding="utf-8")
    if arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(between("where the time goes", text, page), encoding="utf-8")
    print(text)
    return 0


def read(raw: str) -> Iterator[Stack]:
    """The stacks of py-spy's raw format. Processes and the thread come first in each, the innermost frame last."""
    for line in raw.splitlines():
        text, _, samples = line.rpartition(" ")
        parts = text.split(";")
        processes = tuple(each for each in parts if re.match(r"process \d+:", each))
        thread, *frames = parts[len(processes) :] or [""]
        if processes and frames:
            yield Stack(processes, thread, tuple(frames), int(samples))


def table(stacks: Sequence[Stack], seconds: float) -> Iterator[str]:
    """What the main threads of our own process and of the project's did, as two tables."""
    main = [each for each in stacks if _thread(each) == "MainThread"]
    ours = [each for each in main if len(each.processes) == 1]
    project = [each for each in main if "in_environment.py" in each.processes[-1]]
    a_second = sum(each.samples for each in ours) / seconds
    yield "| what the reviewer does | s | share |"
    yield "|---|---|---|"
    for phase, spent in _spent(ours, PHASES, a_second):
        yield f"| {phase} | {spent:.2f} | {spent / seconds:.0%} |"
    yield f"| together | {seconds:.2f} | |"
    yield ""
    yield f"| what the project's interpreter does meanwhile, in {len({each.processes for each in project})} processes | s |"
    yield "|---|---|"
    for phase, spent in _spent(project, IN_THE_PROJECT, a_second):
        yield f"| {phase} | {spent:.2f} |"


def _spent(
    stacks: Sequence[Stack], phases: Sequence[tuple[str, str]], a_second: float
) -> Iterator[tuple[str, float]]:
    """Seconds of each phase, but for those that hardly took any."""
    counts = dict.fromkeys((phase for phase, _ in phases), 0)
    for each in stacks:
        stack = " ".join(each.frames)
        counts[next(phase for phase, words in phases if re.search(words, stack))] += each.samples
    yield from ((phase, count / a_second) for phase, count in counts.items() if count / a_second >= 0.005)


def drawn(stacks: Sequence[Stack], seconds: float) -> str:
    """The picture. Blocks have one scale: the whole width is as long as the review took."""
    blocks: dict[tuple[str, str], Frame] = {}
    for each in stacks:
        title = _title(each)
        blocks.setdefault(title, Frame(" ".join(title))).add([*map(_short, each.frames)], each.samples)
    order = sorted(
        blocks, key=lambda title: (title[0] != _OURS, "MainThread" not in title[1], -blocks[title].samples)
    )
    whole = max((each.samples for each in blocks.values()), default=1)
    least = whole / 300
    parts, top = [], 30
    for title in order:
        block = blocks[title]
        if block.samples < 4 * least or _waits(block):
            continue
        share = seconds * block.samples / whole
        parts.append(f'<text x="4" y="{top + 12}" class="title">{escape(block.name)}: {share:.2f} s</text>')
        below = top + 18
        shown = max((each.depth for each in block.called.values()), default=0)
        deepest = below
        for rectangle, bottom in _rectangles(block, 0.0, below, _WIDTH / whole, least):
            parts.append(rectangle)
            deepest = max(deepest, bottom)
        top = deepest + 14 if shown else below
    style = (
        "text{font:11px monospace}.title{font-weight:bold;font-size:12px}rect{stroke:#fff;stroke-width:.5}"
        "svg{background:#fff}"
    )
    head = f'<text x="4" y="16" class="title">A review of {seconds:.2f} s; callers above callees, grey is waiting</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 10}" width="{_WIDTH}" height="{top + 10}">'
        f"<style>{style}</style>\n{head}\n" + "\n".join(parts) + "\n</svg>\n"
    )


_WIDTH, _HEIGHT = 1600, 15
_OURS = "alembic-reviewer"


def _rectangles(frame: Frame, left: float, top: int, scale: float, least: float) -> Iterator[tuple[str, int]]:
    """What `frame` called, each with the lower edge."""
    for each in sorted(frame.called.values(), key=lambda called: -called.samples):
        width = each.samples * scale
        if each.samples < least:
            break
        colour = "#ccc" if _waits(each) else f"hsl({sum(map(ord, each.name)) % 45 + 10},85%,68%)"
        letters = int(width / 6.7)
        label = each.name if len(each.name) <= letters else each.name[: max(0, letters - 1)]
        text = f'<text x="{left + 2:.1f}" y="{top + 11}">{escape(label)}</text>' if letters > 3 else ""
        title = f"<title>{escape(each.name)} ({each.samples} samples)</title>"
        yield (
            f'<g>{title}<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_HEIGHT}" fill="{colour}"/>{text}</g>',
            top + _HEIGHT,
        )
        yield from _rectangles(each, left, top + _HEIGHT, scale, least)
        left += width


def _waits(frame: Frame) -> bool:
    """Whether nearly all of its time is waiting."""
    if not frame.called:
        return _WAITS.match(frame.name) is not None
    waiting = sum(each.samples for each in frame.called.values() if _waits(each))
    return waiting > 0.9 * frame.samples


def _title(stack: Stack) -> tuple[str, str]:
    """The process and the thread, in words."""
    number, _, command = stack.processes[-1].removeprefix("process ").partition(":")
    thread = _thread(stack)
    if len(stack.processes) == 1:
        return _OURS, thread
    if "in_environment.py" in command:
        return f"the project's interpreter, process {number}", thread
    return f"process {number} ({command.strip(chr(34)).rpartition('/')[2][:40]})", thread


def _thread(stack: Stack) -> str:
    """Its name. Until Python has named it, the main thread is known by its number, which is that of the process."""
    process, thread = (re.search(r"\d+", each) for each in (stack.processes[-1], stack.thread))
    if process and thread and process[0] == thread[0]:
        return "MainThread"
    return stack.thread.partition(": ")[2] or "a thread"


def _short(frame: str) -> str:
    """A frame with the end of its path."""
    return re.sub(r"\((?:[^()]*/)?([^/()]+/[^/()]+)\)$", r"(\1)", frame)


def _command(folder: Path, arguments: argparse.Namespace) -> list[str]:
    if arguments.review:
        return [REVIEWER, "review", *arguments.review, "--postgres", arguments.postgres]
    return review_call(projects.blog(folder / "blog"), arguments)


def _installed(kept: Path) -> Path:
    """py-spy. Raises what its installation raises."""
    return tools.installed(kept / tools.SPY.replace("==", "-"), tools.pip(tools.SPY)) / "bin" / "py-spy"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "review", nargs="*", metavar="PATH OPTION", help="the project and the options of its review"
    )
    parser.add_argument("--output", type=Path, default=Path("review.svg"), metavar="FILE", help="(review.svg)")
    parser.add_argument("--write", action="store_true", help="put picture and tables into the documentation")
    parser.add_argument("--postgres", default="auto", help="as for the reviewer")
    parser.add_argument("--rate", type=int, default=100, help="how often to look, a second (100)")
    parser.add_argument("--spy", metavar="FILE", help="the command py-spy")
    parser.add_argument(
        "--tools", type=Path, default=tools.TOOLS, metavar="FOLDER", help="where other tools are installed"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
