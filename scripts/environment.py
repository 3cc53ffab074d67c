"""A virtual environment in .venv with what the checkout needs: made once, renewed when pyproject.toml or constraints.txt
changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv"
CONSTRAINTS = ROOT / "scripts" / "constraints.txt"
OLDEST = (3, 10)


def prepared(extra: str) -> Path:
    """The folder of the environment's commands, with the reviewer and its `extra` requirements installed."""
    if sys.version_info < OLDEST:
        sys.exit(f"Python {'.'.join(map(str, OLDEST))} or later is needed; this is {sys.version.split()[0]}.")
    commands = FOLDER / "bin"
    stamp = FOLDER / f".installed-{extra}"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another script may be at it
        if not (commands / "python").exists():
            print("making .venv", flush=True)
            venv.create(FOLDER, with_pip=True)
        if not stamp.exists() or stamp.read_text() != wanted:
            print(f"installing the reviewer and its {extra} requirements", flush=True)
            pip = [str(commands / "python"), "-m", "pip", "install", "--quiet", "--constraint", str(CONSTRAINTS)]
            run([*pip, "--editable", f"{ROOT}[{extra}]"])
            stamp.write_text(wanted)
    return commands


def run(command: list[str]) -> None:
    """Run `command` in the checkout; where it fails, so do we, with its exit status."""
    done = subprocess.run(command, cwd=ROOT, env=_environment(), check=False)
    if done.returncode:
        sys.exit(done.returncode)


def said(command: list[str]) -> int:
    """Run `command` in the checkout, and print what it says when it ends. Returns its exit status."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=_environment(),
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(f"\n{Path(command[0]).name}: {done.stdout.strip()}", flush=True)
    return done.returncode


def _environment() -> dict[str, str]:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # byte code makes every later start two to four times faster
    return environment
