"""The entry point: removes what PYTHONPATH added to the import path, secures the standard streams, then runs
`reviewer.cli`.

The project under review can have packages called `reviewer` or `checks`, and PYTHONPATH, or the folder that
`python -m` was started in, would put them before ours. The project's own process gets PYTHONPATH all the same.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import site
import sys
import sysconfig
import threading
from pathlib import Path


def main() -> None:
    """Run the command line, with nothing of the project's on the import path."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # otherwise it is ignored, as under `nohup`
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until everything is loaded, an interrupt ends us silently
    sys.path[:] = _ours(sys.path)
    # A server is started in a thread, which would wait 5 ms at each system call while the main thread imports.
    sys.setswitchinterval(0.0005)
    # What is imported stays: looking through it again and again takes a tenth of the time.
    gc.set_threshold(50_000, 20, 20)
    from reviewer.host import streams

    streams.hold()
    from reviewer.cli import main as command

    try:
        command(prog_name="alembic-reviewer")
    except OSError as error:  # from the pages that click prints itself
        sys.exit(streams.failed(error))
    except SystemExit as ended:
        _end(ended.code)
        raise


def _end(status: str | int | None) -> None:
    """End the process as the interpreter would, unless it has more to do or to say than that.

    It would also take apart all that was loaded, object by object, which takes a tenth of the time of a review.
    """
    others = [each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
    if isinstance(status, str) or others:
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    atexit._run_exitfuncs()
    os._exit(status or 0)


def _ours(path: list[str]) -> list[str]:
    """`path` without the entries from PYTHONPATH and `python -m`. Our own folder stays, wherever it comes from."""
    named = os.environ.get("PYTHONPATH", "")
    brought = {_real(entry) for entry in (os.curdir, *named.split(os.pathsep))} - _installed()
    here = str(Path(__file__).resolve().parent)
    kept = [entry for entry in path if _real(entry) not in brought]
    return kept if here in map(_real, kept) else [*kept, here]


def _installed() -> set[str]:
    folders = [*site.getsitepackages(), *sysconfig.get_paths().values()]
    return {_real(folder) for folder in folders}


def _real(entry: str) -> str:
    try:
        return os.path.realpath(entry or os.curdir)
    except OSError:  # the current folder no longer exists
        return entry


if __name__ == "__main__":
    main()
