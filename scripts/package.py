"""Build the sdist and the wheel, check them, and use them in fresh environments.

    python3 scripts/package.py [--no-demo] [PYTHON ...]

Each PYTHON, by default every Python from 3.10 on that is found here, gets an environment of its own with the wheel, and
the first one another with the sdist. In each, the command must start and review examples/blog.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (
    "reviewer/py.typed",
    "reviewer/report/json/schema.json",
    "reviewer/stats/schema.json",
    "alembic_reviewer.py",
)
"""Files of the wheel without which something does not work."""
ROOMS = ("alembic_reviewer", "alembic_reviewer.py", "checks", "reviewer")
"""What the wheel may contain besides its metadata."""
STARTS = (["bin/alembic-reviewer"], ["bin/python", "-m", "reviewer"], ["bin/python", "-m", "alembic_reviewer"])
"""The ways to start the reviewer in an environment."""


def main() -> None:
    """Build, check, install and run; the first thing that fails ends it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    parser.add_argument("--no-demo", action="store_true", help="start the command only, and review nothing")
    arguments = parser.parse_args()
    if any(importlib.util.find_spec(name) is None for name in ("build", "hatchling", "twine")):
        from environment import prepared

        sys.exit(subprocess.run([str(prepared("dev") / "python"), *sys.argv], check=False).returncode)
    with tempfile.TemporaryDirectory(prefix="package-") as name:
        folder = Path(name)
        sdist, wheel = built(folder)
        print(f"built and checked: {sdist.name}, {wheel.name}", flush=True)
        pythons = arguments.pythons or found()
        for number, (python, package) in enumerate([*((each, wheel) for each in pythons), (pythons[0], sdist)]):
            environment = folder / f"environment{number}"
            said = installed(environment, python, package, demo=not arguments.no_demo)
            print(f"{said} from {package.name}", flush=True)
            shutil.rmtree(environment)


def built(folder: Path) -> tuple[Path, Path]:
    """The sdist and the wheel, made in `folder` from the sdist, and checked."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    run(sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel))
    if wrong := faults(wheel):
        sys.exit(f"{wheel.name}: {'; '.join(wrong)}")
    return sdist, wheel


def faults(wheel: Path) -> list[str]:
    """What is missing in the wheel, and what does not belong there."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        said = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    dead = [
        f"the description links to {link}, which leads nowhere on the package index"
        for link in re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", "".join(said))
    ]
    missing = [f"{name} is missing" for name in NEEDED if name not in names]
    strange = [
        f"{name} does not belong there"
        for name in names
        if name.partition("/")[0] not in ROOMS and not re.match(r"alembic_reviewer-[^/]+\.dist-info/", name)
    ]
    return missing + strange + dead


def installed(environment: Path, python: str, package: Path, *, demo: bool) -> str:
    """Install the package into a fresh environment, start it in every way, and say which Python it was."""
    run(python, "-m", "venv", str(environment))
    wanted = f"{package}[examples]" if demo else str(package)
    run(str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted)
    started(environment)
    if demo:
        demonstrated(environment)
    return run(str(environment / "bin/python"), "--version").strip()


def started(environment: Path) -> None:
    """Every way to start it says the version of the checkout."""
    version = re.search(r'__version__ = "(.+)"', (ROOT / "reviewer/__init__.py").read_text())
    assert version
    for command, *arguments in STARTS:
        said = run(str(environment / command), *arguments, "--version", cwd=environment)
        if said.split()[-1] != version[1]:
            sys.exit(f"{command} {' '.join(arguments)} --version says {said!r} and not {version[1]}.")


def demonstrated(environment: Path) -> None:
    """The demo project is reviewed, and its findings are found."""
    command = [str(environment / "bin/alembic-reviewer"), "review", "examples/blog", "--postgres", "embedded"]
    said = run(*command, "--python", str(environment / "bin/python"), statuses={1})
    if "blocking-index" not in said:
        sys.exit(f"The demo did not find what it should:\n{said}")


def found() -> list[str]:
    """Every Python from 3.10 on that is on PATH or that pyenv has installed, one for each minor version."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    pythons = {}
    for minor in range(10, 15):
        candidates = [*versions.glob(f"3.{minor}.*/bin/python"), shutil.which(f"python3.{minor}")]
        for each in filter(None, candidates):
            if (
                subprocess.run([each, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode
                == 0
            ):
                pythons[minor] = str(each)
    return list(pythons.values()) or [sys.executable]


def run(*command: str, cwd: Path = ROOT, statuses: frozenset[int] | set[int] = frozenset({0})) -> str:
    """What the command prints; if it ends with another status, so do we, with all that it said."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in statuses:
        sys.exit(f"`{' '.join(command)}` ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
