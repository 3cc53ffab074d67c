"""A cache of the tests' own, and programs that stand for a reviewer in a process of its own."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from reviewer.host.guardian import Guardian

HOLDER = Path(__file__).parent / "holder.py"
ROOT = Path(__file__).parents[2]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for all tests of this worker, so that `initdb` runs once for each version."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("ALEMBIC_REVIEWER_CACHE", str(folder))
        yield folder


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    with Guardian() as guardian:
        yield guardian


@dataclass(frozen=True)
class Held:
    """A server that another process holds."""

    process: subprocess.Popen[str]
    folder: Path
    source: str
    version: str
    owner: int

    def release(self) -> str:
        """Let it end in order; returns what it wrote to standard error."""
        return self.process.communicate("end\n", timeout=60)[1]


@contextmanager
def held_server(*arguments: str, user: str | None = None, **environment: str) -> Iterator[Held]:
    """A process that starts a server as `user` and holds it until it is told to end, or is killed."""
    entry = pwd.getpwnam(user) if user else None
    process = subprocess.Popen(
        [interpreter_for(user), str(HOLDER), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        user=entry.pw_uid if entry else None,
        group=entry.pw_gid if entry else None,
        extra_groups=[] if entry else None,
        env=environment_of(user) | environment,
        cwd="/",
    )
    assert process.stdout is not None
    with process:
        try:
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            told = json.loads(line)
            yield Held(process, Path(told["folder"]), told["source"], told["version"], told["owner"])
        finally:
            process.kill()


def environment_of(user: str | None) -> dict[str, str]:
    """What a process of `user` is started with."""
    # Another user's interpreter finds the reviewer and its libraries where ours has them.
    libraries = [str(ROOT), sysconfig.get_path("purelib")] if user else [str(ROOT)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(libraries), "PYTHONDONTWRITEBYTECODE": "1"}


def interpreter_for(user: str | None) -> str:
    """An interpreter of our version that `user` can run, with our libraries; skips the test where there is none."""
    if user is None:
        return sys.executable
    entry = pwd.getpwnam(user)
    asked = f"import sys, psycopg, reviewer; assert sys.version_info[:2] == {tuple(sys.version_info[:2])}"
    for name in (sys.executable, *(shutil.which(n, path="/usr/bin:/usr/local/bin") for n in ("python3", "python"))):
        try:
            subprocess.run(
                [str(name), "-c", asked],
                user=entry.pw_uid,
                group=entry.pw_gid,
                extra_groups=[],
                env=environment_of(user),
                cwd="/",
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return str(name)
    pytest.skip(
        f"{user} can run no Python {sys.version_info[0]}.{sys.version_info[1]} with the libraries of the tests"
    )
