"""Other tools that the product is compared with: each is installed at one version, into an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

TOOLS = Path(platformdirs.user_cache_dir("alembic-reviewer-benchmarks"))
"""Where they are installed."""
SQUAWK = "squawk-cli==2.70.0"
SPY = "py-spy==0.4.3"
PYTEST_ALEMBIC = ("pytest-alembic==0.13.1", "pytest==8.4.2")  # it collects nothing with pytest 9.1


def pip(*requirements: str) -> list[list[str]]:
    """The commands that install `requirements`; `{folder}` is where."""
    return [
        [sys.executable, "-m", "venv", "{folder}"],
        ["{folder}/bin/python", "-m", "pip", "install", "-q", *requirements],
    ]


def installed(folder: Path, commands: Sequence[Sequence[str]]) -> Path:
    """`folder`, after the commands that install a tool there, unless they already have. Raises what the commands raise."""
    filled = [[each.format(folder=folder) for each in command] for command in commands]
    complete = folder / "complete"
    if complete.exists() and complete.read_text(encoding="utf-8") == str(filled):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for command in filled:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    complete.write_text(str(filled), encoding="utf-8")
    return folder


def reason(error: Exception) -> str:
    """Why a tool cannot be installed, as the end of a sentence."""
    said = (getattr(error, "stderr", None) or str(error)).strip().splitlines() or [type(error).__name__]
    return f"it cannot be installed here ({said[-1][:200]})"
