"""A struct's class does not have the defaults of its fields, as that of a dataclass would: it has descriptors."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from msgspec import Struct

import checks
import reviewer

ROOT = Path(__file__).parent.parent
OURS = ("reviewer", "checks", "tests", "scripts", "benchmarks")


def test_no_default_is_read_from_the_class_of_a_struct() -> None:
    fields: dict[str, set[str]] = {}
    for module in (*modules(reviewer), *modules(checks)):
        for name, each in vars(module).items():
            if isinstance(each, type) and issubclass(each, Struct):
                fields.setdefault(name, set()).update(each.__struct_fields__)
    assert "table" in fields["CreateTable"]

    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for folder in OURS
        for file in sorted((ROOT / folder).rglob("*.py"))
        if "projects" not in file.parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        if isinstance(node.value, ast.Name)
        if node.attr in fields.get(node.value.id, ())
    ]

    assert found == []


def modules(package: ModuleType) -> list[ModuleType]:
    """Every module of `package` that runs in our own process."""
    names = [each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [importlib.import_module(name) for name in names if not name.startswith("reviewer.runner")]
