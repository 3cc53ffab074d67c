"""The runner cannot import the protocol: what its source reads and writes is held to the types here."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from reviewer.errors import InterpreterError
from reviewer.rehearsal import interpreter, protocol
from reviewer.rehearsal.interpreter import RUNNER
from reviewer.rehearsal.protocol import PROTOCOL, AnyCommand, AnyEvent, SetUp
from tests.command import revision
from tests.runner.conftest import Project

TREES = {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(RUNNER.parent.glob("*.py"))}
COMMANDS = {kind.__struct_config__.tag: kind for kind in AnyCommand.__args__}  # type: ignore[attr-defined]
EVENTS = {kind.__struct_config__.tag: kind for kind in AnyEvent.__args__}  # type: ignore[attr-defined]


def names(kind: Any, required: bool = False) -> set[str]:
    return {each.encode_name for each in msgspec.structs.fields(kind) if each.required or not required}


# -- commands -------------------------------------------------------------------------------------


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every function of the runner that takes a command, and which command that is: empty where it may be any."""
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and "command" in {each.arg for each in node.args.args}:
                yield (node.name if node.name in COMMANDS else ""), node


def read_from(name: str, within: ast.AST) -> set[str]:
    """The keys that are taken out of the variable or attribute `name`."""

    def is_it(node: ast.AST) -> bool:
        return getattr(node, "id", getattr(node, "attr", None)) == name

    found = set()
    for node in ast.walk(within):
        match node:
            case ast.Subscript(value, ast.Constant(str(key))) if is_it(value):
                found.add(key)
            case ast.Call(ast.Attribute(value, "get" | "pop"), [ast.Constant(str(key)), *_]) if is_it(value):
                found.add(key)
    return found


def test_the_runner_has_a_method_for_every_command() -> None:
    assert {name for name, _ in functions() if name} == set(COMMANDS)


def test_the_runner_reads_of_a_command_what_there_is_and_all_of_it() -> None:
    read: defaultdict[str, set[str]] = defaultdict(set)
    for name, function in functions():
        read[name] |= read_from("command", function)

    for tag, kind in COMMANDS.items():
        assert read[tag] <= names(kind), tag
        assert names(kind) <= read[tag] | read[""], tag
    assert read[""] <= {"do"}.union(*map(names, COMMANDS.values()))


def test_the_runner_reads_all_that_it_is_set_up_with() -> None:
    read = set().union(*(read_from("setup", tree) for tree in TREES.values()))

    assert read == names(SetUp)


# -- events ---------------------------------------------------------------------------------------


def written() -> Iterator[tuple[str, str, set[str], bool]]:
    """Every event in the source of the runner: where, its name, its keys, and whether those are all."""
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, (ast.Call, ast.Dict)):
                continue
            pairs: list[tuple[str | None, ast.expr]] = []
            if isinstance(node, ast.Call):
                pairs = [(each.arg, each.value) for each in node.keywords]
            elif isinstance(node, ast.Dict):
                pairs = [
                    (key.value if isinstance(key, ast.Constant) else None, value)  # type: ignore[misc]
                    for key, value in zip(node.keys, node.values, strict=True)
                ]
            for key, value in pairs:
                if key == "event" and isinstance(value, ast.Constant):
                    keys = {str(name) for name, _ in pairs if name is not None} - {"event"}
                    # what `failed` is called with is put beside what it finds out
                    whole = all(name is not None for name, _ in pairs) and value.value not in {
                        "failed",
                        "unrendered",
                    }
                    yield f"{file}:{node.lineno}", str(value.value), keys, whole


def test_the_runner_says_every_event_that_is_read_and_no_other() -> None:
    assert {name for _, name, _, _ in written()} == set(EVENTS)


@pytest.mark.parametrize(
    ("place", "name", "keys", "whole"), [pytest.param(*each, id=each[0]) for each in written()]
)
def test_an_event_has_the_keys_that_it_is_read_with(place: str, name: str, keys: set[str], whole: bool) -> None:
    assert keys <= names(EVENTS[name]), place
    if whole and name != "statement":  # the outcome of a statement is put together step by step
        assert names(EVENTS[name], required=True) <= keys, place


def test_an_event_with_a_key_that_nobody_reads_is_refused() -> None:
    line = b'seal 1 {"event": "done", "calls": 1, "connected": 1, "more": 1}\n'

    with pytest.raises(protocol.Unreadable, match="more"):
        list(protocol.Lines("seal").feed(line))


# -- the version ----------------------------------------------------------------------------------


def test_both_sides_have_one_version() -> None:
    said = [
        node.value.value
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and [each.id for each in node.targets if isinstance(each, ast.Name)] == ["PROTOCOL"]
        and isinstance(node.value, ast.Constant)
    ]

    assert said == [PROTOCOL]


def test_a_runner_of_another_version_is_refused(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project: Project = make(revision("b", "a"))
    monkeypatch.setattr(interpreter, "PROTOCOL", PROTOCOL + 1)

    with pytest.raises(InterpreterError, match=f"version {PROTOCOL} .* version {PROTOCOL + 1}"):
        project.ask(do="describe")
