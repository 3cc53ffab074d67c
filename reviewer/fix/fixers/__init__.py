"""The fixers: one file for what they do to a file. Adding a file to this folder registers it.

Each has the `RULES` whose findings it fixes, and a function `fix` that makes a `Fix` of a finding or raises `Refused`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from reviewer.fix.fix import Fix
    from reviewer.fix.found import Found


class Fixer(Protocol):
    """A module of this folder."""

    __name__: str
    __doc__: str | None

    @property
    def RULES(self) -> tuple[str, ...]:  # noqa: N802  (a module's constant)
        """The rules whose findings it fixes."""

    def fix(self, found: Found) -> Fix:
        """How to fix it. Raises `Refused` where that cannot be done."""


@cache
def by_rule() -> Mapping[str, Fixer]:
    """Every fixer, under each of its rules."""
    modules = [importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__)]
    fixers = [cast("Fixer", module) for module in modules]
    return {rule: fixer for fixer in fixers for rule in fixer.RULES}
