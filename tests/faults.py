"""A table of faults, each done to a real review in a place of its own, and whether the review survives it.

To survive: it ends by itself, with a status that fits, in a sentence and never in a traceback, and leaves behind no
process, no file, no shared memory, no work tree of git and no change in the project. `scripts/faults.py` runs and prints
the table, docs/reliability.md tells what it promises, and tests/test_faults.py runs a part of it.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.command import ENV, TABLE, Place, before_long, files_in, mentioning, project, revision, somewhere
from tests.repository import Repository

PATIENCE = 240.0
"""Seconds after which a review that has not ended is a fault that was not survived."""

COLUMN = 'op.add_column("items", sa.Column("note", sa.Text()))'
UNDO = 'op.drop_column("items", "note")'
HISTORY = ("--revisions", "a:b")
LONG = (*HISTORY, "--env=SLOW=0.5")
"""A history that takes long enough for its result to be kept."""
INT, TERM, HUP, KILL = 128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGHUP, -signal.SIGKILL


class CannotTry(Exception):
    """This machine does not allow the fault; the sentence says why."""


@dataclass(frozen=True)
class Fault:
    """One thing that can go wrong, and how a review may end then."""

    group: str
    name: str
    do: Callable[[Bench], Ending]
    statuses: Collection[int]
    quick: bool = False
    """Whether it is in the part that runs with the tests."""

    @property
    def full_name(self) -> str:
        """What `--only` goes by."""
        return f"{self.group}: {self.name}"


@dataclass(frozen=True)
class Ending:
    """How a review has ended."""

    status: int
    said: str
    """What it has written, errors last."""
    more: str = ""
    """What else is wrong with it."""


@dataclass
class Bench:
    """A project, a place for one review of it, and what was seen meanwhile."""

    place: Place
    folder: Path
    servers: set[str] = field(default_factory=set)
    """Process numbers of the PostgreSQL servers that were seen."""

    def begin(
        self,
        *arguments: str,
        command: Sequence[str] | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        **options: object,
    ) -> subprocess.Popen[str]:
        """Start a review; `env` changes its environment, None takes a variable away."""
        environ = {**self.place.environ, **(env or {})}
        streams: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            command or self.place.command(*arguments),
            cwd=cwd or self.folder,
            env={name: value for name, value in environ.items() if value is not None},
            text=True,
            errors="replace",
            start_new_session=True,
            **({"stdin": subprocess.DEVNULL} | streams | options),
        )

    def end(self, process: subprocess.Popen[str]) -> Ending:
        """Wait for a review to end, and look at its servers meanwhile."""
        heard: list[tuple[str, str]] = []
        listener = threading.Thread(target=lambda: heard.append(process.communicate()), daemon=True)
        listener.start()
        deadline = time.monotonic() + PATIENCE
        while listener.is_alive() and time.monotonic() < deadline:
            self.look()
            listener.join(0.05)
        if listener.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            listener.join(10)
            return Ending(process.returncode or 0, "", f"it had not ended after {PATIENCE:.0f} s")
        stdout, stderr = heard[0]
        return Ending(process.returncode, (stdout or "") + (stderr or ""))

    def review(self, *arguments: str, **options: object) -> Ending:
        """A review from beginning to end."""
        return self.end(self.begin(*arguments, **options))  # type: ignore[arg-type]

    def look(self) -> None:
        """Remember the servers that run now."""
        for file in self.place.folder.glob("*/alembic-reviewer-*/data/postmaster.pid"):
            with suppress(OSError, IndexError):
                self.servers.add(file.read_text().splitlines()[0].strip())

    def process(self, program: str) -> int:
        """The number of the oldest process of this place with `program` in its command line, once there is one."""
        found: list[int] = []

        def there() -> bool:
            found[:] = sorted(pid for pid, words in mentioning(str(self.place.folder)) if program in words)
            return bool(found)

        if not before_long(there):
            raise AssertionError(f"no process {program} was seen")
        return found[0]

    def left_behind(self) -> list[str]:
        """What is still there: processes, files, shared memory, work trees."""
        left = self.place.left_behind()
        with suppress(OSError):
            segments = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
            left += [f"shared memory {each[1]}" for each in segments if each[4] in self.servers]
        worktrees = self.folder / ".git" / "worktrees"
        return [*left, *([str(worktrees)] if worktrees.exists() else [])]


@dataclass(frozen=True)
class Row:
    """What came of a fault."""

    fault: Fault
    status: int | None
    sentence: str
    left: Sequence[str]
    problems: Sequence[str]
    skipped: str = ""
    seconds: float = 0.0

    @property
    def survived(self) -> bool:
        """Whether nothing is wrong; a fault that cannot be tried here is no failure, and is told."""
        return not self.problems


def tried(fault: Fault) -> Row:
    """Do `fault` to a review, and look at what is left."""
    began = time.monotonic()
    with somewhere() as place:
        bench = Bench(place, place.folder / "project")
        _project(bench)
        before = files_in(bench.folder)
        try:
            ending = fault.do(bench)
        except CannotTry as reason:
            return Row(fault, None, "", (), (), str(reason))
        except Exception as error:  # noqa: BLE001 - the others are still to be tried
            ending = Ending(0, "", f"it could not be done: {error!r}")
        before_long(lambda: not bench.left_behind())
        left = bench.left_behind()
        problems = list(_problems(fault, ending, left))
        if fault.group != "the project changes itself" and files_in(bench.folder) != before:
            problems.append("files of the project have changed")
        for pid, _ in mentioning(str(place.folder)):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    return Row(fault, ending.status, _sentence(ending), left, problems, seconds=time.monotonic() - began)


def _problems(fault: Fault, ending: Ending, left: Sequence[str]) -> Iterator[str]:
    if ending.more:
        yield ending.more
    if ending.status not in fault.statuses:
        yield f"status {ending.status} is none of {', '.join(map(str, sorted(fault.statuses)))}"
    for words in ("Traceback (most recent call last)", "this is a bug of the reviewer", "Exception ignored"):
        if words in ending.said:
            yield f"it said {words!r}"
    if ending.status >= 2 and not ending.said.strip() and "unheard" not in fault.name:
        yield "it ended without a word"
    if left:
        yield "something is left behind"


def _sentence(ending: Ending) -> str:
    lines = [line.strip() for line in ending.said.splitlines() if line.strip()]
    for start in ("alembic-reviewer: ", "error: ", "could not review: ", "Error: "):
        for line in lines:
            if line.startswith(start):
                return line
    return lines[0] if lines else ""


# -- the project under review -----------------------------------------------------------------------

PAUSE = """
import os, time
def pause(name):
    here, go = os.environ.get("HERE", ""), os.environ.get("GO", "")
    if name == "base state":
        time.sleep(float(os.environ.get("SLOW", "0")))
    if os.environ.get("PAUSE_AT") == name and not os.path.exists(go):
        with open(here, "w") as file:
            file.write(str(os.getpid()))
        while not os.path.exists(go):
            time.sleep(0.02)
"""
MODELS = """
import sqlalchemy as sa
from sqlalchemy.orm import declarative_base
Base = declarative_base()
class Item(Base):
    __tablename__ = "items"
    id = sa.Column(sa.Integer, primary_key=True)
if "commit-" in __file__:
    pause("old code")
"""


def _project(bench: Bench) -> None:
    env = (
        PAUSE
        + MODELS
        + ENV.replace("(connection=connection", "(connection=connection, target_metadata=Base.metadata")
    )
    first = revision("a", None, f"pause('base state')\n{TABLE}", 'op.drop_table("items")', PAUSE)
    project(bench.folder, env=env)
    (bench.folder / "migrations/versions/a.py").write_text(first)
    repository = Repository.at(bench.folder)
    repository.commit()
    repository.git("checkout", "--quiet", "-b", "feature")
    second = revision("b", "a", f"pause('deployed')\n{COLUMN}", f"pause('stepwise')\n{UNDO}", PAUSE)
    # another file has changed too, so that the code of the base commit is checked out
    repository.commit({"migrations/versions/r1.py": second, "notes.py": ""})


def _rewritten(bench: Bench, upgrade: str, downgrade: str = "pass", top: str = "", env: str = "") -> None:
    """Give the project another second revision, and more in env.py."""
    (bench.folder / "migrations/versions/r1.py").write_text(revision("b", "a", upgrade, downgrade, top))
    if env:
        file = bench.folder / "migrations/env.py"
        file.write_text(env + file.read_text())


# -- ends of life -----------------------------------------------------------------------------------

# Starts the reviewer so that it waits where it first calls the function PAUSE_AT, `module:name` or `module:Class.name`.
DRIVER = """
import functools, importlib, os, sys, time
module, _, path = os.environ["PAUSE_AT"].partition(":")
if path:
    *outer, name = path.split(".")
    place = functools.reduce(getattr, outer, importlib.import_module(module))
    original = getattr(place, name)
    def waiting(*args, **kwargs):
        if not os.path.exists(os.environ["GO"]):
            with open(os.environ["HERE"], "w") as file:
                file.write(str(os.getpid()))
            while not os.path.exists(os.environ["GO"]):
                time.sleep(0.02)
        return original(*args, **kwargs)
    setattr(place, name, waiting)
del os.environ["PAUSE_AT"]
import alembic_reviewer
alembic_reviewer.main()
"""
INTERPRETER = """#!/bin/sh
if [ ! -e "$GO" ]; then echo $$ >"$HERE"; while [ ! -e "$GO" ]; do sleep 0.05; done; fi
exec {python} "$@"
"""

MOMENTS = {
    "before the guardian": "reviewer.early:trees",
    "guardian started": "reviewer.session:start_server",
    "server starting": "reviewer.postgres.cluster:_Cluster._await_ready",
    "interpreter starting": "interpreter",
    "base state": "base state",
    "deployed": "deployed",
    "stepwise": "stepwise",
    "old code": "old code",
    "judging": "reviewer.session:judged",
    "writing the report": "reviewer.cli:_write",
}


def _paused(bench: Bench, moment: str) -> subprocess.Popen[str]:
    """A review that waits at `moment`."""
    where = MOMENTS[moment]
    here, go = bench.place.folder / "here", bench.place.folder / "go"
    wrapper = bench.place.folder / "interpreter"
    wrapper.write_text(INTERPRETER.format(python=sys.executable))
    wrapper.chmod(0o755)
    python = str(wrapper) if where == "interpreter" else sys.executable
    scope = ["--base", "main"] if moment == "old code" else list(HISTORY)
    told = {"HERE": str(here), "GO": str(go), "PAUSE_AT": where}
    arguments = ["review", "--python", python, *scope]
    arguments += [f"--env={name}={value}" for name, value in told.items()]
    process = bench.begin(command=[sys.executable, "-c", DRIVER, *arguments], env=told)
    if not before_long(lambda: here.exists() or process.poll() is not None) or process.poll() is not None:
        ended = bench.end(process)
        raise AssertionError(f"it did not come to {moment}: {ended.said[-2000:]}")
    bench.look()
    return process


def _end(who: str, number: int, moment: str) -> Callable[[Bench], Ending]:
    def do(bench: Bench) -> Ending:
        process = _paused(bench, moment)
        programs = {"guardian": "guardian.py", "runner": "in_environment.py", "postgres": "postgres -D"}
        if who == "the reviewer":
            os.kill(process.pid, number)
        elif who == "all":
            for pid, _ in mentioning(str(bench.place.folder)):
                with suppress(OSError):
                    os.kill(pid, number)
        else:
            os.kill(bench.process(programs[who]), number)
        (bench.place.folder / "go").touch()
        ending = bench.end(process)
        if who == "all":  # nobody was left to clear up: the next review does
            _age(bench.place.folder / "tmp")
            again = bench.review(*HISTORY)
            return ending if again.status == 0 else Ending(ending.status, again.said, "the next review failed")
        return ending

    return do


def _age(folder: Path) -> None:
    """As if an hour had passed: what is new and empty may be somebody's who has just begun."""
    for each in folder.iterdir():
        with suppress(OSError):
            os.utime(each, (time.time() - 3600, time.time() - 3600))


def _ends() -> Iterator[Fault]:
    alone = {("the reviewer", n): s for n, s in (("INT", INT), ("TERM", TERM), ("HUP", HUP), ("KILL", KILL))}
    others = {("guardian", "KILL"): (0,), ("runner", "KILL"): (0, 3), ("postgres", "KILL"): (0, 3)}
    alone[("all", "KILL")] = KILL
    for position, moment in enumerate(MOMENTS):
        ends: dict[tuple[str, str], Sequence[int]] = {who: (status,) for who, status in alone.items()}
        if 1 <= position < 8:  # what comes after needs none any more
            ends[("guardian", "KILL")] = others[("guardian", "KILL")]
        if 2 <= position < 8:
            ends[("postgres", "KILL")] = others[("postgres", "KILL")]
        if 3 <= position < 8:
            ends[("runner", "KILL")] = others[("runner", "KILL")]
        for (who, name), statuses in ends.items():
            number = int(getattr(signal, f"SIG{name}"))
            quick = (who, moment) in {
                ("the reviewer", "server starting"),
                ("all", "deployed"),
                ("postgres", "deployed"),
            }
            yield Fault(
                "ends of life",
                f"SIG{name} to {who}, {moment}",
                _end(who, number, moment),
                statuses,
                quick and name in {"TERM", "KILL"},
            )


# Ends the reviewer with a signal when it makes the nth thing: a folder, a file, a process, a new name.
AT_EACH = """
import os, signal, sys, threading
count, number, wanted = 0, int(os.environ.pop("NUMBER")), int(os.environ.pop("NTH"))
import reviewer.session, reviewer.host.guardian
def hook(event, arguments):
    global count
    if event in ("os.mkdir", "subprocess.Popen", "os.rename", "os.remove", "shutil.rmtree", "os.chmod", "os.chown"):
        made = True
    elif event == "open":
        made = isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    else:
        return
    if made:
        count += 1
        if count == wanted:
            os.kill(os.getpid(), number)
sys.addaudithook(hook)
import alembic_reviewer
alembic_reviewer.main()
"""


def _at_nth(number: int, nth: int, scope: Sequence[str] = HISTORY) -> Callable[[Bench], Ending]:
    def do(bench: Bench) -> Ending:
        arguments = ["review", "--python", sys.executable, *scope, "--output", str(bench.place.folder / "report")]
        return bench.end(
            bench.begin(
                command=[sys.executable, "-c", AT_EACH, *arguments], env={"NUMBER": str(number), "NTH": str(nth)}
            )
        )

    return do


def _each_thing_made() -> Iterator[Fault]:
    for name, status in (("INT", INT), ("KILL", KILL)):
        for nth in range(1, 15):
            yield Fault(
                "at each thing made",
                f"SIG{name} at number {nth}",
                _at_nth(int(getattr(signal, f"SIG{name}")), nth),
                (status, 0),  # 0: there were not as many
                quick=name == "INT" and nth == 4,
            )


# -- what the project's processes do -----------------------------------------------------------------


def _body(
    upgrade: str, *arguments: str, top: str = "", env: str = "", downgrade: str = "pass"
) -> Callable[[Bench], Ending]:
    def do(bench: Bench) -> Ending:
        _rewritten(bench, upgrade, downgrade, top, env)
        before = files_in(bench.folder)
        ending = bench.review(*HISTORY, *arguments)
        for name, content in before.items():  # for the comparison of what was there before
            if (bench.folder / name).exists() and (bench.folder / name).read_bytes() != content:
                return Ending(ending.status, ending.said, f"{name} has changed")
        return ending

    def reset(bench: Bench) -> Ending:
        kept = files_in(bench.folder)
        try:
            return do(bench)
        finally:
            for name in ("migrations/versions/r1.py", "migrations/env.py"):
                (bench.folder / name).write_bytes(kept[name])

    return reset


SLEEP = "[sys.executable, '-c', 'import time; time.sleep(600)']"
DAEMON = f"""import subprocess, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(64):
            try: os.close(number)
            except OSError: pass
        os.execv(sys.executable, {SLEEP})
    os._exit(0)
os.wait()"""

PROCESSES: Mapping[str, tuple[str, Collection[int]]] = {
    "ends with os._exit(0)": ("os._exit(0)", (1, 3)),
    "ends with os._exit(7)": ("os._exit(7)", (1, 3)),
    "ends with sys.exit()": ("import sys\nsys.exit()", (1, 3)),
    "is aborted": ("os.abort()", (1, 3)),
    "kills itself": ("os.kill(os.getpid(), 9)", (1, 3)),
    "crashes": ("import ctypes\nctypes.string_at(0)", (1, 3)),
    "recurses without end": ("def f(): f()\nf()", (1,)),
    "raises MemoryError": ("raise MemoryError()", (1,)),
    "raises KeyboardInterrupt": ("raise KeyboardInterrupt()", (1, 3)),
    "raises what cannot be told": (
        "class Mute(Exception):\n    def __str__(self): raise RuntimeError('no words')\n    __repr__ = __str__\nraise Mute()",
        (1, 3),
    ),
    "starts 200 processes": (
        "import subprocess, sys\nfor _ in range(200):\n    subprocess.Popen(['sleep', '600'], start_new_session=True)",
        (0,),
    ),
    "starts a daemon": (DAEMON, (0,)),
    "starts a daemon and is killed": (f"{DAEMON}\nos.kill(os.getpid(), 9)", (1, 3)),
    "starts a child that ignores signals": (
        "import subprocess\nsubprocess.Popen(['sh', '-c', 'trap \"\" INT TERM HUP QUIT; while :; do sleep 1; done'])",
        (0,),
    ),
    "starts a child that keeps the channel": (
        f"import subprocess, sys\nsubprocess.Popen({SLEEP}, close_fds=False)\nos._exit(0)",
        (1, 3),
    ),
    "starts a stopped child": (
        "import signal, subprocess\nos.kill(subprocess.Popen(['sleep', '600']).pid, signal.SIGSTOP)",
        (0,),
    ),
    "leaves a thread": ("import threading, time\nthreading.Thread(target=time.sleep, args=[600]).start()", (0,)),
    "leaves an exit handler that waits": ("import atexit, time\natexit.register(time.sleep, 600)", (0,)),
    "closes all its files": ("os.closerange(3, 256)", (1, 3)),
    "closes the standard streams": ("os.closerange(0, 3)", (0,)),
    "writes into all its files": (
        'for number in range(3, 64):\n    try: os.write(number, b\'{"event": "done"}\\n\\xff\\x00\')\n    except OSError: pass',
        (0, 1, 3),
    ),
    "prints 50 megabytes": ("for _ in range(50):\n    print('x' * 1000000)", (0,)),
    "reads standard input": ("import sys\nsys.stdin.read()", (0,)),
    "blocks all signals": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        (0,),
    ),
    "changes its folder and its group": ("os.chdir('/')\ntry: os.setsid()\nexcept OSError: pass", (0,)),
    "has no room for files": (
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\nopen('/dev/null')",
        (1, 3),
    ),
    "empties the folder of temporary files": (
        "import shutil\nfor name in os.listdir(os.environ['TMPDIR']):\n    shutil.rmtree(os.environ['TMPDIR'] + '/' + name, ignore_errors=True)",
        (1, 3),
    ),
    "fills a folder of ours": (
        "import glob\nfor folder in glob.glob(os.environ['TMPDIR'] + '/alembic-reviewer-*'):\n    os.makedirs(folder + '/a/b/c', exist_ok=True)\n    os.chmod(folder + '/a', 0)",
        (0,),
    ),
    "writes a false owner": (
        "import glob\nfor file in glob.glob(os.environ['TMPDIR'] + '/alembic-reviewer-*/owner'):\n    os.unlink(file)\n    os.mkfifo(file)",
        (0,),
    ),
    "stops the server": (
        "import subprocess\nsubprocess.run(['pkill', '-STOP', '-f', f\"postgres -D {os.environ['TMPDIR']}/\"])\nop.execute('SELECT 1')",
        (1, 3),
    ),
    "kills the server": (
        "import subprocess\nsubprocess.run(['pkill', '-KILL', '-f', f\"postgres -D {os.environ['TMPDIR']}/\"])\nop.execute('SELECT 1')",
        (1, 3),
    ),
    "kills the guardian": (
        "for name in os.listdir('/proc'):\n    try: words = open(f'/proc/{name}/stat').read().split()\n    except (OSError, ValueError): continue\n    if words[3] == str(os.getppid()) and 'guardian' in open(f'/proc/{name}/cmdline').read(): os.kill(int(name), 9)",
        (0,),
    ),
    "stops the guardian": (
        "for name in os.listdir('/proc'):\n    try: words = open(f'/proc/{name}/stat').read().split()\n    except (OSError, ValueError): continue\n    if words[3] == str(os.getppid()) and 'guardian' in open(f'/proc/{name}/cmdline').read(): os.kill(int(name), 19)",
        (0,),
    ),
    "kills the reviewer": ("os.kill(os.getppid(), 9)\nimport time\ntime.sleep(600)", (KILL,)),
    "interrupts the reviewer twice": (
        "import signal, time\nos.kill(os.getppid(), signal.SIGINT)\nos.kill(os.getppid(), signal.SIGTERM)\ntime.sleep(600)",
        (INT, TERM, -signal.SIGTERM, -signal.SIGINT),
    ),
    "stops the reviewer for a while": (
        "import signal, subprocess, time\nsubprocess.Popen(['sh', '-c', f'sleep 0.5; kill -CONT {os.getppid()}'])\nos.kill(os.getppid(), signal.SIGSTOP)",
        (0,),
    ),
    "never ends": ("import time\ntime.sleep(600)", (1, 3)),
    "never ends, deaf": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass",
        (1, 3),
    ),
    "stops itself": ("import signal\nos.kill(os.getpid(), signal.SIGSTOP)", (1, 3)),
}
LIMITED = {"never ends", "never ends, deaf", "stops itself", "stops the server"}


def _processes() -> Iterator[Fault]:
    for name, (body, statuses) in PROCESSES.items():
        more = ("--timeout", "12") if name in LIMITED else ()
        quick = name in {
            "starts a daemon",
            "empties the folder of temporary files",
            "kills the server",
            "stops itself",
        }
        yield Fault(
            "processes", f"a migration {name}", _body(f"{COLUMN}\n{body}", *more, downgrade=UNDO), statuses, quick
        )


# -- what its SQL does -------------------------------------------------------------------------------

SQL: Mapping[str, tuple[str, Collection[int]]] = {
    "ends all other sessions": (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
        (0, 1, 3),
    ),
    "ends its own session": ("SELECT pg_terminate_backend(pg_backend_pid())", (1,)),
    "ends the whole server": (
        "COPY (SELECT 1) TO PROGRAM 'kill -QUIT $PPID; kill -QUIT $(head -1 postmaster.pid)'",
        (1, 3),
    ),
    "crashes its session": ("COPY (SELECT 1) TO PROGRAM 'kill -SEGV $PPID'", (1, 3)),
    "stops its session": ("COPY (SELECT 1) TO PROGRAM 'kill -STOP $PPID'", (1, 3)),
    "sleeps": ("SELECT pg_sleep(600)", (1, 3)),
    "sleeps without a limit": ("SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_sleep(600)", (1, 3)),
    "limits every statement": ("SET statement_timeout = '1ms'", (0, 1, 3)),
    "limits every session": ("ALTER DATABASE {database} SET statement_timeout = '1ms'", (0, 1, 3)),
    "limits every session of the role": ("ALTER ROLE CURRENT_USER SET statement_timeout = '1ms'", (0, 1, 3)),
    "starts a process": ("COPY (SELECT 1) TO PROGRAM 'sleep 600 >/dev/null 2>&1 &'", (0,)),
    "starts a daemon": ("COPY (SELECT 1) TO PROGRAM 'setsid sleep 600 >/dev/null 2>&1 &'", (0,)),
    "starts a process that ignores signals": (
        "COPY (SELECT 1) TO PROGRAM '(trap \"\" INT TERM HUP QUIT; while :; do sleep 1; done) >/dev/null 2>&1 &'",
        (0,),
    ),
    "removes the data folder": ("COPY (SELECT 1) TO PROGRAM 'rm -rf base global pg_wal'", (0, 1, 3)),
    "writes files beside the data": (
        "COPY (SELECT 1) TO PROGRAM 'mkdir -p ../x/y; touch ../x/y/z; chmod 0 ../x || true'",
        (0,),
    ),
    "removes postmaster.pid": ("COPY (SELECT 1) TO PROGRAM 'rm postmaster.pid'", (0, 1, 3)),
    "removes the socket": ("COPY (SELECT 1) TO PROGRAM 'rm -f ../.s.PGSQL.5432'", (0, 1, 3)),
    "changes the server's settings": ("ALTER SYSTEM SET max_connections = 1", (1,)),
    "changes the server's settings outside a transaction": (
        "COMMIT; ALTER SYSTEM SET max_locks_per_transaction = 10; SELECT pg_reload_conf()",
        (0, 1, 3),
    ),
    "drops the other databases": ("COMMIT; DROP DATABASE IF EXISTS review_1 WITH (FORCE)", (0, 1, 3)),
    "allows no connections": (
        "UPDATE pg_database SET datallowconn = false WHERE datname <> 'template0'",
        (0, 1, 3),
    ),
    "renames the role": ("ALTER ROLE postgres RENAME TO someone", (0, 1, 3)),
    "takes the role's login": ("ALTER ROLE postgres NOLOGIN NOSUPERUSER", (0, 1, 3)),
    "makes all transactions read only": (
        "ALTER DATABASE {database} SET default_transaction_read_only = on",
        (0, 1, 3),
    ),
    "drops the schema": ("DROP SCHEMA public CASCADE", (1, 3)),
    "drops alembic_version": ("DROP TABLE alembic_version", (1, 3)),
    "drops a table of the catalogue": (
        "SET allow_system_table_mods = on; DELETE FROM pg_class WHERE relname = 'items'",
        (0, 1, 3),
    ),
    "locks everything": ("LOCK TABLE pg_class, pg_attribute, pg_database IN ACCESS EXCLUSIVE MODE", (0, 1, 3)),
    "hides our functions": (
        "CREATE FUNCTION public.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 1'; SET search_path = public, pg_catalog",
        (0, 1, 3),
    ),
    "prepares a transaction": ("COMMIT; BEGIN; CREATE TABLE held (i int); PREPARE TRANSACTION 'x'", (0, 1, 3)),
    "commits and begins": ("COMMIT; BEGIN", (0, 1)),
    "recurses without end": (
        "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT max(i) FROM r",
        (1, 3),
    ),
    "is of 20 megabytes": ("SELECT length('{long}')", (0, 1)),
}
SLOW = {"sleeps", "sleeps without a limit", "stops its session", "recurses without end", "locks everything"}


def _sql() -> Iterator[Fault]:
    for name, (text, statuses) in SQL.items():
        statement = f"sql = {text!r}.replace('{{long}}', 'x' * 20000000)\n"
        statement += "name = op.get_bind().exec_driver_sql('SELECT current_database()').scalar()\n"
        statement += "import re\nfor each in re.split('; (?=[A-Z])', sql.replace('{database}', name)):\n"
        statement += "    op.get_bind().exec_driver_sql(each.replace('%', '%%'))"
        more = ("--timeout", "12") if name in SLOW else ()
        quick = name in {"starts a daemon", "ends all other sessions", "crashes its session"}
        yield Fault(
            "SQL", f"a migration {name}", _body(f"{COLUMN}\n{statement}", *more, downgrade=UNDO), statuses, quick
        )


# -- the environment ---------------------------------------------------------------------------------


def _streams(shell: str) -> Callable[[Bench], Ending]:
    """A review that a shell has started; `$R` is its command, and OUT a file outside of the project."""

    def do(bench: Bench) -> Ending:
        command = 'R() { "$@"; }; ' + shell
        words = bench.place.command(*HISTORY)
        out = str(bench.place.folder / "out")
        return bench.end(bench.begin(command=["bash", "-c", command, "bash", *words], env={"OUT": out}))

    return do


def _environ(*arguments: str, **env: str | None) -> Callable[[Bench], Ending]:
    def do(bench: Bench) -> Ending:
        values = {name: value and value.replace("{place}", str(bench.place.folder)) for name, value in env.items()}
        words = [word.replace("{place}", str(bench.place.folder)) for word in arguments]
        return bench.review(*HISTORY, *words, env=values)

    return do


def _tmpdir(name: str, mode: int = 0o711) -> Callable[[Bench], Ending]:
    def do(bench: Bench) -> Ending:
        folder = os.fsencode(bench.place.folder / "tmp") + b"/" + os.fsencode(name)
        Path(os.fsdecode(folder)).mkdir(parents=True)
        Path(os.fsdecode(folder)).chmod(mode)
        try:
            return bench.review(*HISTORY, env={"TMPDIR": os.fsdecode(folder)})
        finally:
            bench.place.allowed.append(
                os.fsdecode(folder).removeprefix(str(bench.place.folder / "tmp") + "/").split("/")[0]
            )
            left = list(Path(os.fsdecode(folder)).iterdir())
            assert not left, left

    return do


def _gone(bench: Bench) -> Ending:
    gone = bench.place.folder / "gone"
    gone.mkdir()
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    return bench.end(bench.begin(command=["sh", "-c", script, "sh", str(gone), *bench.place.command(*HISTORY)]))


def _with_pipe(*arguments: str, at: str = "pipe") -> Callable[[Bench], Ending]:
    """With a pipe that nobody else opens, at `at` below the place."""

    def do(bench: Bench) -> Ending:
        pipe = bench.place.folder / at
        os.mkfifo(pipe)
        try:
            return bench.review(*HISTORY, *(word.replace("{pipe}", str(pipe)) for word in arguments))
        finally:
            pipe.unlink(missing_ok=True)

    return do


def _cache(change: Callable[[Path], None]) -> Callable[[Bench], Ending]:
    """With a cache that `change` has changed; it is given the folder of the entries."""

    def do(bench: Bench) -> Ending:
        clusters = bench.place.folder / "cache" / "clusters"
        bench.review(*HISTORY)
        change(clusters)
        ending = bench.review(*HISTORY)
        for each in clusters.iterdir() if clusters.is_dir() else ():
            if not each.is_file():
                each.unlink()
        return ending

    return do


def _on_entries(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def do(clusters: Path) -> None:
        for each in list(clusters.glob("*.tar")):
            content = each.read_bytes()
            each.unlink()  # it may be a link to another place's
            each.write_bytes(content)
            change(each)

    return do


def _damaged(entry: Path) -> None:
    with entry.open("r+b") as file:
        for position in range(1 << 20, entry.stat().st_size, 3 << 20):
            file.seek(position)
            file.write(b"\0\xff" * 4096)


def _as_pipe(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


def _as_folder(entry: Path) -> None:
    entry.unlink()
    entry.symlink_to("/dev/zero")


def _without_a_name(bench: Bench) -> Ending:
    """As a user that the system does not know, who has no home: as containers are often started."""
    if os.geteuid() != 0:
        raise CannotTry("only root can become another user")
    probe = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    try:
        done = subprocess.run(
            [*probe, sys.executable, "-c", "import click"], cwd="/", capture_output=True, check=False
        )
    except OSError as error:
        raise CannotTry(f"setpriv: {error.strerror}") from None
    asked = "import os, sys; sys.exit(not os.access(sys.executable, os.X_OK))"
    if done.returncode or subprocess.run([*probe, sys.executable, "-c", asked], check=False).returncode:
        raise CannotTry("another user cannot run this Python")
    _on_entries(lambda _: None)(bench.place.folder / "cache" / "clusters")  # who shares them keeps them
    subprocess.run(["chown", "-R", "54321:54321", str(bench.place.folder)], check=True)
    command = [*probe, *bench.place.command(*HISTORY)]
    return bench.end(bench.begin(command=command, env={"HOME": None, "ALEMBIC_REVIEWER_CACHE": None}))


def _environment() -> Iterator[Fault]:
    group = "environment"
    shells = {
        "standard output is closed": ('R "$@" >&-', (2,), True),
        "standard error is closed": ('R "$@" 2>&-', (0,), False),
        "standard input is closed": ('R "$@" <&-', (0,), False),
        "all streams are closed, unheard": ('R "$@" <&- >&- 2>&-', (2,), False),
        "all streams are closed, the report goes to a file": (
            'R "$@" --output "$OUT" <&- >&- 2>&-; s=$?; grep -q warn "$OUT" || exit 9; exit $s',
            (0,),
            True,
        ),
        "standard output is full": ('R "$@" >/dev/full', (2,), True),
        "standard output is full, a long report": ('R "$@" --format html >/dev/full', (2,), False),
        "standard error is full": ('R "$@" 2>/dev/full', (0,), False),
        "standard error is full, with something to say": (
            'R "$@" --base x 2>/dev/full; s=$?; echo heard; exit $s',
            (2,),
            False,
        ),
        "nobody reads standard output": ('R "$@" | head -c 0; exit ${PIPESTATUS[0]}', (0,), True),
        "head reads one line": ('R "$@" | head -1; exit ${PIPESTATUS[0]}', (0,), False),
        "nobody reads standard error": (
            '{ R "$@" --base x 2>&1 >&3 | true; } 3>&1; s=${PIPESTATUS[0]}; echo heard; exit $s',
            (2,),
            False,
        ),
        "the report goes to a full file": ('R "$@" --output /dev/full', (2,), False),
        "the report is too large for the limit on files": ('ulimit -f 0; R "$@" --output "$OUT"', (2, 3), False),
        "few files may be open": ('ulimit -n 24; R "$@"', (0, 3), False),
        "started by nohup": ('nohup "$@" </dev/null', (0,), False),
        "encoding of standard output is ASCII": ('PYTHONIOENCODING=ascii LC_ALL=C R "$@"', (0,), False),
    }
    for name, (shell, statuses, quick) in shells.items():
        yield Fault(group, name, _streams(shell), statuses, quick)
    yield Fault(group, "TMPDIR has a comma", _tmpdir("a,b"), (0,), quick=True)
    yield Fault(group, "TMPDIR has quotes and spaces", _tmpdir('it\'s "a" %s {b}'), (0,))
    yield Fault(group, "TMPDIR is no text", _tmpdir("x\udcff"), (0,))
    yield Fault(group, "TMPDIR is long", _tmpdir("/".join(["long" * 20] * 3)), (0,))
    yield Fault(group, "TMPDIR is open to root alone", _tmpdir("closed", 0o700), (0,))
    yield Fault(group, "TMPDIR is not there", _environ(TMPDIR="/nowhere"), (0,))
    yield Fault(group, "TMPDIR is a file", _environ(TMPDIR="/etc/passwd"), (0,))
    yield Fault(group, "TMPDIR cannot be written", _environ(TMPDIR="/proc"), (0,))
    yield Fault(group, "TMPDIR is relative", _relative_tmpdir, (0,))
    yield Fault(group, "the cache is relative", _relative_cache, (0,), quick=True)
    yield Fault(group, "HOME is not set", _environ(HOME=None), (0,))
    yield Fault(group, "HOME is not there", _environ(HOME="{place}/tmp/../home", ALEMBIC_REVIEWER_CACHE=None), (0,))
    yield Fault(group, "a user without a name and a home", _without_a_name, (0, 3))
    yield Fault(group, "PATH is empty", _environ(PATH="", PG_CONFIG=None), (0, 2, 3))
    yield Fault(
        group,
        "PG variables lead elsewhere",
        _environ(
            PGHOST="192.0.2.1", PGHOSTADDR="192.0.2.1", PGSERVICE="x", PGOPTIONS="-c x=y", PGSSLMODE="require"
        ),
        (0,),
    )
    yield Fault(group, "the current folder is gone", _gone, (2,), quick=True)
    yield Fault(group, "the cache cannot be written", _environ(ALEMBIC_REVIEWER_CACHE="/proc/nowhere"), (0,))
    yield Fault(group, "the cache is a file", _environ(ALEMBIC_REVIEWER_CACHE="/etc/passwd"), (0,))
    yield Fault(
        group, "an entry of the cache is damaged, its size right", _cache(_on_entries(_damaged)), (0,), quick=True
    )
    yield Fault(
        group, "an entry of the cache is cut short", _cache(_on_entries(lambda e: os.truncate(e, 9999))), (0,)
    )
    yield Fault(group, "an entry of the cache is a pipe", _cache(_on_entries(_as_pipe)), (0,), quick=True)
    yield Fault(group, "an entry of the cache is a device", _cache(_on_entries(_as_folder)), (0,))
    yield Fault(
        group, "a pipe among the revisions", _with_pipe(at="project/migrations/versions/pipe.py"), (2,), quick=True
    )
    yield Fault(group, "a pipe as the recording", _with_pipe("--recording", "{pipe}"), (2,))
    yield Fault(group, "a pipe as the report", _with_pipe("--output", "{pipe}"), (2,))
    yield Fault(group, "a pipe as the saved recording", _with_pipe("--save-recording", "{pipe}"), (2,))
    yield Fault(group, "a pipe as the base schema", _with_pipe("--base-schema", "{pipe}"), (2,))
    yield Fault(group, "a pipe as the seed", _with_pipe("--seed", "{pipe}"), (2,))
    yield Fault(group, "a pipe as the configuration", _with_pipe("--config", "{pipe}"), (2,))


def _kept(change: Callable[[Path], object], at_once: int = 1) -> Callable[[Bench], Ending]:
    """With a kept base state whose folder `change` has changed: the reviews after it end as the first."""

    def do(bench: Bench) -> Ending:
        snapshots = bench.place.keeps_base_states()
        first = bench.review(*LONG)
        if not list(snapshots.glob("*.tar")):
            return Ending(first.status, first.said, "no base state was kept")
        change(snapshots)
        endings = [bench.end(each) for each in [bench.begin(*LONG) for _ in range(at_once)]]
        for each in snapshots.iterdir() if snapshots.is_dir() else ():
            if not each.is_file():
                each.unlink()
        return max(endings, key=lambda each: (bool(each.more), each.status))

    return do


def _on_kept(suffix: str, change: Callable[[Path], object]) -> Callable[[Path], None]:
    def do(snapshots: Path) -> None:
        for each in list(snapshots.glob(f"*{suffix}")):
            change(each)

    return do


def _killed_while_keeping(nth: int) -> Callable[[Bench], Ending]:
    """Killed at the nth thing that is made; the next review is whole, and keeps the base state or finds it."""

    def do(bench: Bench) -> Ending:
        snapshots = bench.place.keeps_base_states()
        killed = _at_nth(signal.SIGKILL, nth, LONG)(bench)
        again = bench.review(*LONG)
        if again.status or not list(snapshots.glob("*.json")):
            return Ending(killed.status, again.said, "the next review failed, or kept nothing")
        return killed

    return do


def _kept_states() -> Iterator[Fault]:
    group = "kept base states"
    yield Fault(group, "the data folder is damaged", _kept(_on_kept(".tar", _damaged)), (0,), quick=True)
    yield Fault(
        group, "the data folder is cut short", _kept(_on_kept(".tar", lambda e: os.truncate(e, 9999))), (0,)
    )
    yield Fault(group, "the data folder is a pipe", _kept(_on_kept(".tar", _as_pipe)), (0,))
    yield Fault(group, "the data folder is gone", _kept(_on_kept(".tar", Path.unlink)), (0,))
    yield Fault(
        group, "what is known of it is cut short", _kept(_on_kept(".json", lambda e: os.truncate(e, 99))), (0,)
    )
    yield Fault(group, "what is known of it is a pipe", _kept(_on_kept(".json", _as_pipe)), (0,), quick=True)
    yield Fault(group, "what is known of it is a device", _kept(_on_kept(".json", _as_folder)), (0,))
    yield Fault(group, "others can write to the folder", _kept(lambda folder: folder.chmod(0o777)), (0,))
    yield Fault(group, "nobody can write to the folder", _kept(lambda folder: folder.chmod(0o500)), (0,))
    yield Fault(group, "the folder is gone", _kept(shutil.rmtree), (0,))
    yield Fault(group, "ten reviews at once find it", _kept(lambda _: None, 10), (0,))
    yield Fault(group, "three reviews at once make it", _kept(_on_kept("", Path.unlink), 3), (0,))
    for nth in range(16, 34, 2):
        yield Fault(group, f"SIGKILL at number {nth}", _killed_while_keeping(nth), (KILL, 0), quick=nth == 24)
    for size in ("64k", "40m"):
        script = f"mount -t tmpfs -o size={size},mode=1777 none $PLACE/cache"
        yield Fault(group, f"{size} for the cache", _mounted(script, "--env=SLOW=0.5"), (0,))


def _relative_tmpdir(bench: Bench) -> Ending:
    return bench.review(*HISTORY[:2], str(bench.folder), cwd=bench.place.folder, env={"TMPDIR": "tmp"})


def _relative_cache(bench: Bench) -> Ending:
    env = {"ALEMBIC_REVIEWER_CACHE": "other", "XDG_CACHE_HOME": "cache"}
    ending = bench.review(*HISTORY[:2], str(bench.folder), cwd=bench.place.folder, env=env)
    kept = list((bench.place.folder / "other" / "clusters").glob("*.tar"))
    return ending if kept else Ending(ending.status, ending.said, "nothing was kept in the cache")


# -- disks -------------------------------------------------------------------------------------------


def _mounted(script: str, *arguments: str) -> Callable[[Bench], Ending]:
    """In a mount namespace of its own, after `script`, where PLACE is the folder of everything."""

    def do(bench: Bench) -> Ending:
        if os.geteuid() != 0:
            raise CannotTry("only root can mount")
        command = ["unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', "sh"]
        env = {"PLACE": str(bench.place.folder)}
        try:
            probe = subprocess.run(
                [*command, "true"], env={**bench.place.environ, **env}, capture_output=True, check=False
            )
        except OSError as error:
            raise CannotTry(f"unshare: {error.strerror}") from None
        if probe.returncode:
            raise CannotTry("nothing can be mounted here")
        words = [word.replace("{place}", str(bench.place.folder)) for word in arguments]
        return bench.end(bench.begin(command=[*command, *bench.place.command(*HISTORY, *words)], env=env))

    return do


def _disks() -> Iterator[Fault]:
    group = "disks"

    def small(options: str, where: str = "$PLACE/tmp") -> str:
        return f"mount -t tmpfs -o {options},mode=1777 none {where}"

    def alone(options: str) -> Callable[[Bench], Ending]:
        """Nowhere else can temporary files be written; /tmp is bound first, so that what is mounted in it stays."""
        others = " && ".join(f"mount -t tmpfs -o ro none {folder}" for folder in ("/var/tmp", "/dev/shm"))
        return _mounted(f"mount --bind /tmp /tmp && {small(options)} && mount -o remount,bind,ro /tmp && {others}")

    for size in ("16k", "2m", "30m"):
        yield Fault(group, f"{size} for temporary files", alone(f"size={size}"), (3,), quick=size == "2m")
    yield Fault(group, "12 files may be made", alone("nr_inodes=12"), (3,))
    yield Fault(group, "nothing can be written for temporary files", alone("ro"), (3,))
    yield Fault(group, "no programs may be started from temporary files", _mounted(small("noexec,nosuid")), (0,))
    yield Fault(group, "64k for the cache", _mounted(small("size=64k", "$PLACE/cache")), (0,))
    yield Fault(group, "the cache is read only", _mounted(small("ro", "$PLACE/cache")), (0,))
    yield Fault(
        group,
        "the project is read only",
        _mounted("mount --bind $PLACE/project $PLACE/project && mount -o remount,bind,ro $PLACE/project"),
        (0,),
    )
    report = "mkdir -p $PLACE/small && mount -t tmpfs -o size=4k none $PLACE/small && head -c 4096 /dev/zero >$PLACE/small/full"
    yield Fault(
        group, "no room for the report", _mounted(report, "--output", "{place}/small/report"), (2,), quick=True
    )
    yield Fault(
        group, "no room for the recording", _mounted(report, "--save-recording", "{place}/small/recording"), (2,)
    )
    yield Fault(
        group,
        "the report's folder is read only",
        _mounted("mkdir -p $PLACE/ro && mount -t tmpfs -o ro none $PLACE/ro", "--output", "{place}/ro/report"),
        (2,),
    )


# -- several at once, and a project that changes itself ----------------------------------------------


def _at_once(
    number: int, change: Callable[[Bench, list[subprocess.Popen[str]]], None] | None = None, **env: str | None
) -> Callable[[Bench], Ending]:
    def do(bench: Bench) -> Ending:
        values = {name: value and value.replace("{place}", str(bench.place.folder)) for name, value in env.items()}
        processes = [bench.begin(*HISTORY, env=values) for _ in range(number)]
        if change:
            change(bench, processes)
        endings = [bench.end(process) for process in processes]
        worst = max(endings, key=lambda each: (bool(each.more), each.status))
        killed = [each for each in endings if each.status < 0]
        if change is None and killed:
            return Ending(worst.status, worst.said, "one of them was killed")
        return worst

    return do


def _kill_first(bench: Bench, processes: list[subprocess.Popen[str]]) -> None:
    bench.process("postgres -D")
    processes[0].kill()


def _interrupt_all(bench: Bench, processes: list[subprocess.Popen[str]]) -> None:
    bench.process("postgres -D")
    for each in processes:
        each.send_signal(signal.SIGINT)


def _empty_cache(bench: Bench, _: list[subprocess.Popen[str]]) -> None:
    """Nothing: the cache is another one, and empty."""


def _several() -> Iterator[Fault]:
    group = "several at once"
    yield Fault(group, "four reviews of one project", _at_once(4), (0,))
    yield Fault(
        group,
        "three first reviews with one cache",
        _at_once(3, _empty_cache, ALEMBIC_REVIEWER_CACHE="{place}/tmp/../other"),
        (0,),
    )
    yield Fault(group, "three, of which one is killed", _at_once(3, _kill_first), (0,))
    yield Fault(group, "three that are interrupted", _at_once(3, _interrupt_all), (INT, 0))


OWN_SOURCE = """
from pathlib import Path
own = Path(__file__)
text = own.read_text()
if "reviewer:" not in text:
    own.write_text(text + "\\n# reviewer: allow-file[dropped-table] it says so itself\\n")
op.drop_table("items")
"""


def _rewrites_itself(bench: Bench) -> Ending:
    _rewritten(bench, OWN_SOURCE.strip(), TABLE)
    return bench.review(*HISTORY)


def _rewrites_seed(bench: Bench) -> Ending:
    seed = bench.place.folder / "seed.sql"
    seed.write_text("INSERT INTO items VALUES (1);")
    _rewritten(bench, f"open({str(seed)!r}, 'w').write('nonsense')\nraise RuntimeError('no')", UNDO)
    return bench.review(*HISTORY, "--seed", str(seed))


def _removes_itself(bench: Bench) -> Ending:
    _rewritten(bench, "os.unlink(__file__)\nop.drop_table('items')", TABLE)
    return bench.review(*HISTORY)


def _changes_itself() -> Iterator[Fault]:
    group = "the project changes itself"
    yield Fault(group, "a migration writes a suppression into its own file", _rewrites_itself, (1,), quick=True)
    yield Fault(group, "a migration writes into the seed", _rewrites_seed, (1,))
    yield Fault(group, "a migration removes its own file", _removes_itself, (1, 3))


def table() -> tuple[Fault, ...]:
    """Every fault."""
    return (
        *_ends(),
        *_each_thing_made(),
        *_processes(),
        *_sql(),
        *_environment(),
        *_kept_states(),
        *_disks(),
        *_several(),
        *_changes_itself(),
    )


# -- the soak, and the command -----------------------------------------------------------------------


def soak(number: int) -> list[str]:
    """Review one project `number` times in one place; what is wrong, and what is left."""
    with somewhere() as place:
        bench = Bench(place, place.folder / "project")
        _project(bench)
        problems: list[str] = []
        first = None
        began = time.monotonic()
        for position in range(1, number + 1):
            ending = bench.review(*HISTORY)
            first = first or ending
            if (ending.status, ending.said) != (first.status, first.said):
                problems.append(
                    f"review {position} said something else: status {ending.status}, {_sentence(ending)}"
                )
            left = bench.left_behind()
            problems += [f"after review {position}: {each}" for each in left]
            if position % 50 == 0:
                print(f"{position} reviews, {time.monotonic() - began:.0f} s, {len(problems)} problems", flush=True)
        if first is None or first.status != 0:
            problems.append("the first review did not pass")
        return problems


def _printed(row: Row) -> None:
    word = "skip" if row.skipped else "ok" if row.survived else "NOT"
    status = "" if row.status is None else str(row.status)
    told = row.skipped or row.sentence
    print(
        f"{word:4}  {status:>4}  {len(row.left):>2} left  {row.seconds:5.1f} s  {row.fault.full_name}", flush=True
    )
    if told:
        print(f"                               {told[:150]}", flush=True)
    for problem in (*row.problems, *row.left):
        print(f"      !! {problem}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run the table, or the part of it that is asked for; 1 where a fault was not survived."""
    parser = argparse.ArgumentParser(prog="scripts/faults.py", description="Do every known fault to a review.")
    parser.add_argument("--only", metavar="PATTERN", help="those whose name has PATTERN in it; * and ? may be used")
    parser.add_argument("--list", action="store_true", help="name the faults and do none")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="so many at once (2)")
    parser.add_argument(
        "--soak", type=int, default=0, metavar="N", help="instead of the table, N reviews in one place"
    )
    asked = parser.parse_args(arguments)
    if asked.soak:
        problems = soak(asked.soak)
        print("\n".join(problems) or f"{asked.soak} reviews: every one said the same, and nothing is left")
        return 1 if problems else 0
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if (
            signal.getsignal(number) is signal.SIG_IGN
        ):  # as a shell starts what runs in the background, and children inherit
            signal.signal(number, handler)
    faults = [f for f in table() if not asked.only or fnmatch.fnmatch(f.full_name, f"*{asked.only}*")]
    if asked.list or not faults:
        print("\n".join(fault.full_name for fault in faults) or "There is no such fault.")
        return 0 if faults else 2
    rows = []
    with ThreadPoolExecutor(asked.jobs) as pool:
        for row in pool.map(tried, faults):
            rows.append(row)
            _printed(row)
    failed = [row for row in rows if not row.survived]
    skipped = [row for row in rows if row.skipped]
    print(
        f"\n{len(rows) - len(failed) - len(skipped)} of {len(rows)} faults survived, {len(skipped)} cannot be tried here"
    )
    for row in failed:
        print(f"NOT SURVIVED  {row.fault.full_name}: {'; '.join(row.problems)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
