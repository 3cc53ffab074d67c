"""A revision that asks how large a table is before it does what takes long on a large one."""

from __future__ import annotations

import ast
import textwrap

import pytest

from reviewer.project.guards import guards
from reviewer.review.finding import Severity
from tests.examples import Bench, Story

USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'
COUNT = 'n = op.get_bind().execute(sa.text("SELECT count(*) FROM users")).scalar()'
INDEX = 'op.create_index("users_name_idx", "users", ["name"])'


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("if n < 10:\n    a()\n    b()", [(2, 3, 10, "n < 10")]),
        ("if 10 >= n:\n    a()", [(2, 2, 10, "10 >= n")]),
        ("if n > 10:\n    a()\nelse:\n    b()", [(4, 4, 10, "not n > 10")]),
        ("if n > 10:\n    return\na()\nb()", [(3, 4, 10, "not n > 10")]),
        ("if not n >= 10:\n    a()", [(2, 2, 10, "not n >= 10")]),
        ("for x in y:\n    if n < 10:\n        a()", [(3, 3, 10, "n < 10")]),
        ("if n > 10:\n    a()", []),
        ("if n == 10:\n    a()", []),
        ("if n < m:\n    a()", []),
        ("if n < 10 < m:\n    a()", []),
    ],
)
def test_the_lines_that_run_while_a_number_is_small(body: str, found: list[tuple[int, int, int, str]]) -> None:
    module = ast.parse(f"def upgrade():\n{textwrap.indent(body, '    ')}")

    assert [(g.first - 1, g.last - 1, g.limit, g.condition) for g in guards(module)] == found


@pytest.mark.parametrize(
    ("body", "severity", "named"),
    [
        (f"{COUNT}\nif n < 100_000:\n    {INDEX}", Severity.NOTICE, True),
        (f"{COUNT}\nif n < 50_000_000:\n    {INDEX}", Severity.ERROR, True),
        (f"{COUNT.replace('users', 'orders')}\nif n < 100_000:\n    {INDEX}", Severity.ERROR, False),
        (f"n = 5\nif n < 100_000:\n    {INDEX}", Severity.ERROR, False),
    ],
    ids=["small", "large", "another table", "another number"],
)
def test_a_build_under_a_condition_on_the_size_of_its_table(
    body: str, severity: Severity, named: bool, bench: Bench
) -> None:
    orders = 'op.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")'

    recording = bench.record(Story(given=(USERS, orders), new=(body,), downgrade='op.drop_index("users_name_idx")'))

    (found,) = [each for each in bench.findings(recording) if each.rule == "blocking-index"]
    assert found.severity is severity
    assert ("own condition `n < " in found.message) is named
