"""The reviewer's environment as the action's steps meet it, with an interpreter that hands them to a process which has
loaded the product already (`tests/warm.py`): to load it takes longer than most of what the steps do.

bash runs the action's scripts as ever, up to their last line; only `python -I -m reviewer.github.…_step` becomes a fork.
Whatever else the scripts may start, and whatever would start otherwise, is started by the environment's own interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests import warm
from tests.github.runner import ROOT

_LANG = "C.UTF-8"
_STUB = """#!{python} -IS
import json, os, socket, sys

words = sys.argv[1:]
start = ("LANG", "LC_", "LD_", "GLIBC_", "MALLOC_")
same = {{n: v for n, v in os.environ.items() if n.startswith(start)}} == {{"LANG": {lang!r}}}
steps = ["reviewer.github.review_step", "reviewer.github.publish_step"]
if not same or os.environ.get("GITHUB_ACTION_PATH") != {root!r} or words not in [["-I", "-m", each] for each in steps]:
    os.execv({real!r}, [{real!r}, *words])
request = os.memfd_create("request")
asked = {{"module": words[2], "arguments": [], "cwd": os.getcwd(), "env": dict(os.environ)}}
os.write(request, json.dumps(asked).encode())
ended, ends = os.pipe()
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
    control.connect({address!r})
    socket.send_fds(control, [b"r"], [request, 1, 2, ends])
os.close(ends)
with open(ended) as file:
    code = os.waitstatus_to_exitcode(int(file.read().split()[1]))
if code < 0:
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@contextlib.contextmanager
def environment(made: Path) -> Iterator[Path]:
    """An environment that looks like `made`, which the action's own script has made."""
    if sys.platform != "linux":
        yield made
        return
    with TemporaryDirectory(prefix="warmed-", dir="/tmp") as name:
        folder, address = Path(name) / made.name, str(Path(name) / "socket")
        (folder / "bin").mkdir(parents=True)
        (path_file,) = made.glob("lib/python3.*/site-packages/alembic-reviewer.pth")
        copy = folder / path_file.relative_to(made)
        copy.parent.mkdir(parents=True)
        shutil.copy(path_file, copy)
        (folder / "complete").touch()
        stub = folder / "bin" / "python"
        real = str(made / "bin" / "python")
        stub.write_text(_STUB.format(python=sys.executable, lang=_LANG, root=str(ROOT), real=real, address=address))
        stub.chmod(0o755)
        with _started(real, address):
            yield folder


@contextlib.contextmanager
def _started(python: str, address: str) -> Iterator[None]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    ours, theirs = socket.socketpair()
    # the same as a step has, but for what differs from job to job
    kept = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": _LANG, "CI": "true"}
    warm.start([python, "-I", "-m", "tests.warm"], kept, theirs, listener)
    atexit.register(ours.close)
    try:
        yield
    finally:
        ours.close()
