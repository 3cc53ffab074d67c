"""Whatever we ask of the server is asked of PostgreSQL's own catalogue, and not of what the project calls like it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reviewer.host.guardian import Guardian
from reviewer.postgres import ServerRequest, start

REVIEWER = Path(__file__).parent.parent / "reviewer"

# They write SQL for people to read, and send none.
FOR_PEOPLE = {"reconstruction.py", "remedies.py", "operations.py", "phrase.py", "events.py"}
FOR_PEOPLE_TOO = {"fix", "sql", "report", "github"}

# Syntax that looks like a function, and names of types that take arguments.
NO_FUNCTIONS = frozenset(
    [
        "coalesce",
        "nullif",
        "greatest",
        "least",
        "extract",
        "xmlparse",
        "row",
        "array",
        "values",
        "exists",
        "any",
        "cast",
        "overlay",
        "position",
        "substring",
        "trim",
        "numeric",
        "bit",
        "varchar",
        "char",
        "bpchar",
        "time",
        "timestamp",
        "timestamptz",
        "interval",
        "name",
        "text",
        "operator",
    ]
)
LOOKS_LIKE_SQL = re.compile(r"\b(SELECT|FROM|WHERE|UPDATE|INSERT|DELETE|JOIN|ORDER BY)\b|::")
FUNCTION = re.compile(r"(?<![\w.\"$])([a-z_][a-z0-9_]*)\(")
RELATION = re.compile(r"(?<![\w.\"])(pg_[a-z_]+)\b(?!\()")


@dataclass(frozen=True)
class Names:
    """What PostgreSQL calls its own."""

    functions: frozenset[str]
    relations: frozenset[str]


@pytest.fixture(scope="module")
def names() -> Iterator[Names]:
    with (
        Guardian() as guardian,
        start(ServerRequest(), guardian) as server,
        server.connect(server.create_database("x")) as connection,
    ):
        found = connection.execute(
            "SELECT 'function', proname::text FROM pg_catalog.pg_proc WHERE pronamespace = 11"
            " UNION SELECT 'relation', relname::text FROM pg_catalog.pg_class WHERE relnamespace = 11"
        ).fetchall()
        yield Names(
            frozenset(str(name) for kind, name in found if kind == "function") - NO_FUNCTIONS,
            frozenset(str(name) for kind, name in found if kind == "relation"),
        )


def modules() -> Iterator[Path]:
    for path in sorted(REVIEWER.rglob("*.py")):
        inside = path.relative_to(REVIEWER)
        if inside.name not in FOR_PEOPLE and inside.parts[0] not in FOR_PEOPLE_TOO:
            yield path


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module with their lines, docstrings left out; what is filled in later is a `§`."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):  # a docstring
            skipped.add(node.value)
        if node in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            skipped.update(part for part in node.values if isinstance(part, ast.Constant))
            parts = (str(part.value) if isinstance(part, ast.Constant) else "§" for part in node.values)
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def unqualified(text: str, names: Names, all_sql: bool) -> list[str]:
    """What `text` leaves to the search path."""
    if not (all_sql or LOOKS_LIKE_SQL.search(text)):
        return []
    found = [name for name in FUNCTION.findall(text) if name in names.functions]
    return found + [name for name in RELATION.findall(text) if name in names.relations]


def test_every_name_of_postgresqls_is_qualified(names: Names) -> None:
    found = [
        f"{path.relative_to(REVIEWER)}:{line}: {name}"
        for path in modules()
        for line, text in texts(path)
        if not text.startswith("nextval(")  # as the server prints a default, never sent
        for name in unqualified(text, names, all_sql=path.parent.name == "rows")
    ]

    assert found == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT a FROM pg_class", ["pg_class"]),
        ("SELECT count(*) FROM t", ["count"]),
        ("SELECT pg_catalog.count(*) FROM pg_catalog.pg_class", []),
        ("SELECT 'pg_class'::regclass", ["pg_class"]),
        ("SELECT coalesce(a, b) FROM t", []),
        ("now() is the time to count()", []),
    ],
)
def test_a_name_that_is_left_to_the_search_path_is_noticed(text: str, told: list[str], names: Names) -> None:
    assert unqualified(text, names, all_sql=False) == told


def test_in_the_migrations_own_session_types_and_operators_are_qualified_too() -> None:
    queries = [
        text
        for module in ("relations.py", "observation.py")
        for _, text in texts(REVIEWER / "runner" / module)
        if "pg_catalog." in text
    ]

    assert len(queries) >= 4
    for query in queries:
        bare = re.sub(r"OPERATOR\(pg_catalog\.[<>=]+\)|'[^']*'", "", query.replace('"char"', ""))
        assert (
            re.findall(r"::|\s(?:<>|[<>=]=?|~~?|\|\|)\s|\bIN \(|\bLIKE\b|\bDISTINCT FROM\b|\bnullif\b", bare) == []
        )
        assert [t for t in re.findall(r"\bAS ([\w.]+)\)", bare) if t != "bigint" and "." not in t] == []
