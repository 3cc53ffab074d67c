"""The checks: one file per rule. Adding a file to this folder registers it."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from reviewer.check import Check

ENTRY_POINT_GROUP = "alembic_reviewer.checks"
"""Installed packages provide their own checks under this entry point group; each entry point is a check module."""


@cache
def load() -> tuple[Check, ...]:
    """All checks, built in and installed, by rule id. Raises `CheckError` for one that cannot be imported."""
    from importlib.metadata import entry_points

    built_in = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    ]
    installed = [_loaded(entry) for entry in entry_points(group=ENTRY_POINT_GROUP)]
    checks = [cast("Check", module) for module in (*built_in, *installed)]
    return tuple(sorted(checks, key=lambda check: check.RULE.id))


def _loaded(entry: EntryPoint) -> object:
    from reviewer.errors import CheckError

    try:
        module = entry.load()
        _ = module.RULE.id, module.check, module.EXAMPLES
    except Exception as error:
        raise CheckError.of(entry.value, error) from error
    return module


def by_id() -> dict[str, Check]:
    """The same as a dictionary by rule id."""
    return {check.RULE.id: check for check in load()}
