"""The major versions of PostgreSQL that are supported, and how a version number is read."""

from __future__ import annotations

import re

OLDEST = 14
"""The oldest major version that is supported."""
VERIFIED = 19
"""The newest major version on which the claims of all rules were verified."""
NEWEST = 19
"""The newest major version that is accepted."""


def major_of(version: str) -> int:
    """The major version in `16.14`, `19rc1`, `19devel` or `PostgreSQL 16.14 on x86_64`. Raises `ValueError`."""
    found = re.match(r"(?:PostgreSQL )?(\d+)", version)
    if found is None:
        raise ValueError(f"{version!r} is not a version of PostgreSQL")
    return int(found[1])


def unverified(major: int) -> str:
    """What a report has to say of a server of that version; empty if the claims of the rules were verified on it."""
    return f"what the rules say was verified on {OLDEST} to {VERIFIED}" if major > VERIFIED else ""
