"""What an exception is about, whatever it is wrapped in, chained to or made of: from the runner, on a real server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from reviewer.recording import FailureKind
from reviewer.rehearsal.protocol import Failed
from tests.command import revision
from tests.runner.conftest import Project

REFUSED = "op.execute('SELECT * FROM nowhere')"
BY_DRIVER = "op.get_bind().connection.cursor().execute('SELECT 1 / 0')"
NOWHERE, ZERO = 'relation "nowhere" does not exist', "division by zero"


def caught(answer: str, statement: str = REFUSED) -> str:
    """A body in which `statement` is refused and a handler answers with `answer`."""
    return f"try:\n    {statement}\nexcept Exception as error:\n    {answer}"


@dataclass(frozen=True)
class Case:
    """The body of an `upgrade()`, and what its failure is."""

    body: str
    kind: str
    says: str
    sqlstate: str | None = None
    deliberate: bool = False
    worded: str = ""
    known: bool = False
    """Whether the statement is known."""
    top: str = ""


CASES = {
    "a statement": Case(REFUSED, "statement", NOWHERE, "42P01", known=True),
    "the driver's own cursor": Case(BY_DRIVER, "statement", ZERO, "22012"),
    "the driver's error again": Case(caught("raise error.orig"), "statement", NOWHERE, "42P01", known=True),
    "a circle": Case(caught("raise error.orig from error"), "statement", NOWHERE, "42P01", known=True),
    "raised from it": Case(
        caught("raise ValueError('not so') from error"),
        "statement",
        NOWHERE,
        "42P01",
        False,
        "ValueError: not so",
        True,
    ),
    "raised from it twice": Case(
        caught(
            "try:\n        raise ValueError('not so') from error\n"
            "    except ValueError as again:\n        raise OSError('nor so') from again"
        ),
        *("statement", NOWHERE, "42P01", False, "OSError: nor so", True),
    ),
    "raised from the driver's": Case(
        caught("raise ValueError('not so') from error", BY_DRIVER),
        *("statement", ZERO, "22012", False, "ValueError: not so"),
    ),
    "put in words without `from`": Case(
        caught("raise ValueError('not so')"), "statement", NOWHERE, "42P01", False, "ValueError: not so", True
    ),
    "the process ended because of it": Case(
        caught("os.sys.exit(1)"), "statement", NOWHERE, "42P01", False, "sys.exit(1) was called", True
    ),
    "put aside with `from None`": Case(
        caught("raise ValueError('not so') from None"), "raised", "ValueError: not so", deliberate=True
    ),
    "no way back, said in a handler": Case(
        caught("raise NotImplementedError('one way')"), "raised", "NotImplementedError: one way", deliberate=True
    ),
    "no way back, said because of it": Case(
        caught("raise NotImplementedError('one way') from error"), "raised", "one way", deliberate=True
    ),
    "what SQLAlchemy cannot do": Case(
        "sa.engine.default.DefaultDialect().get_columns(None, 'x')", "raised", "NotImplementedError"
    ),
    "a mistake in a handler": Case(
        caught("{}['x']"), "raised", f"KeyError: 'x' (while this was handled: {NOWHERE})"
    ),
    "dealt with before": Case(
        "try:\n    with op.get_bind().begin_nested():\n        op.get_bind().exec_driver_sql('SELECT * FROM nowhere')\n"
        f"except Exception:\n    pass\n{BY_DRIVER}",
        *("statement", ZERO, "22012"),
    ),
    "dealt with before, then raised": Case(
        "try:\n    with op.get_bind().begin_nested():\n        op.get_bind().exec_driver_sql('SELECT * FROM nowhere')\n"
        "except Exception:\n    pass\nraise ValueError('on purpose')",
        *("raised", "ValueError: on purpose"),
        deliberate=True,
    ),
    "a module that is missing": Case("import nowhere_at_all", "import", "No module named 'nowhere_at_all'"),
    "because a module is missing": Case(
        "try:\n    import nowhere_at_all\nexcept ImportError as error:\n    raise RuntimeError('install it') from error",
        *("import", "No module named 'nowhere_at_all' (RuntimeError: install it)"),
    ),
    "a value that SQLAlchemy refuses": Case(
        "op.get_bind().execute(sa.select(sa.bindparam('x', 'c', sa.Enum('a', 'b', name='e', validate_strings=True))))",
        *("raised", "LookupError: 'c' is not among the defined enum values"),
    ),
    "the process ended": Case("os.sys.exit(3)", "exited", "sys.exit(3) was called"),
    "a text that raises": Case(
        "raise Odd()",
        "raised",
        "Odd (what it says cannot be read)",
        deliberate=True,
        top="class Odd(Exception):\n    def __str__(self):\n        raise SystemExit\n    __repr__ = __str__\n",
    ),
    "no text": Case(
        "raise Odd()",
        "raised",
        "Odd (what it says cannot be read)",
        deliberate=True,
        top="class Odd(Exception):\n    def __str__(self):\n        return None\n",
    ),
    "attributes that raise": Case(
        "raise Odd('x')",
        "raised",
        "Odd: x",
        deliberate=True,
        top="class Odd(Exception):\n    __cause__ = orig = exceptions = property(lambda self: 1 / 0)\n",
    ),
    "a huge text": Case("raise ValueError('x' * 10 ** 8)", "raised", "ValueError: xxx", deliberate=True),
    "half a character and a NUL": Case(
        r"raise ValueError('a\udc80\0b')", "raised", "ValueError: a", deliberate=True
    ),
    "a very long chain": Case(
        "last = None\nfor number in range(30000):\n    following = ValueError(number)\n"
        "    following.__cause__, last = last, following\nraise last",
        *("raised", "ValueError: 29999"),
        deliberate=True,
    ),
    "a very long chain of contexts": Case(
        "last = None\nfor number in range(30000):\n    following = ValueError(number)\n"
        "    following.__context__, last = last, following\nraise last",
        *("raised", "ValueError: 29999"),
        deliberate=True,
    ),
    "several lines": Case(
        r"raise ValueError('two things are missing:\nURL\n  Field required\nNAME\n  Field required')",
        *("raised", "ValueError: two things are missing: URL: Field required; NAME: Field required"),
        deliberate=True,
    ),
}
GROUPS = {
    "a group": Case(
        caught("raise ExceptionGroup('some', [KeyError('x'), error])"), "statement", NOWHERE, "42P01", known=True
    ),
    "a group of others": Case(
        "raise ExceptionGroup('some', [KeyError('x'), OSError('y')])", "raised", "KeyError: 'x'"
    ),
    "a group in itself": Case(
        "inner = ExceptionGroup('inner', [OSError('y')])\nraise ExceptionGroup('outer', [inner]) from inner",
        *("raised", "OSError: y"),
    ),
}
if sys.version_info >= (3, 11):
    CASES.update(GROUPS)
NAMES = {name: f"c{number}" for number, name in enumerate(CASES)}


@pytest.fixture(scope="module")
def project(make: Callable[..., Project]) -> Project:
    return make(*(revision(NAMES[name], None, case.body, top=case.top) for name, case in CASES.items()))


@pytest.mark.parametrize("name", CASES)
def test_what_a_revision_raises_is_known_for_what_it_is(name: str, project: Project) -> None:
    case = CASES[name]

    answer = project.ask(do="step", revision=NAMES[name], direction="upgrade")

    failed = answer.failed
    assert isinstance(failed, Failed), answer
    assert (failed.kind, failed.sqlstate, failed.deliberate, failed.worded, failed.statement is not None) == (
        *(case.kind, case.sqlstate, case.deliberate, case.worded, case.known),
    ), failed
    assert case.says in failed.message
    assert len(failed.message) <= 2000
    assert failed.in_revision


def test_the_statement_behind_a_circle_is_told_with_its_line(project: Project) -> None:
    run = project.run(do="step", revision=NAMES["a circle"], direction="upgrade")

    assert run.failure is not None
    assert run.failure.sql == "SELECT * FROM nowhere"
    assert run.failure.message == NOWHERE
    assert run.failure.location is not None
    assert str(run.failure.location).startswith("migrations/versions/r")


@pytest.mark.parametrize(
    ("method", "listener"), [("get_ready", "before"), ("look_meanwhile", "after"), ("remember", "error")]
)
def test_a_mistake_of_the_reviewers_own_code_is_told_in_its_own_name(
    method: str, listener: str, make: Callable[..., Project]
) -> None:
    breaks = (
        "import sys\n"
        f"sys.modules['_alembic_reviewer_observation'].Watcher.{method} = lambda *_: {{}}['nothing']\n"
        "op.execute('SELECT 1')\nop.execute('SELECT nothing')"
    )

    run = make(revision("b", None, breaks)).run(do="step", revision="b", direction="upgrade")

    assert run.failure is not None
    assert (run.failure.kind, run.failure.message) == (
        FailureKind.REVIEWER,
        f"KeyError in {listener}, at <lambda> (r1.py:13)",
    )
