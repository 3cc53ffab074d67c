"""What env.py, its listeners and callbacks do to a pass is in the report, and so is what a failure keeps from
running.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

import checks
from reviewer.config import Config
from reviewer.host.guardian import Guardian
from reviewer.judging import comments_in, judged
from reviewer.planning import plan_for
from reviewer.postgres import RunningServer, ServerRequest, start
from reviewer.project.discovery import find_trees
from reviewer.project.history import between, read_worktree
from reviewer.recording import Direction, Recording, dumps, loads
from reviewer.rehearsal.deploy import rehearse
from reviewer.report import FORMATS, render
from reviewer.review.finding import Basis
from reviewer.review.verdict import Report, Verdict
from reviewer.scope import Scope
from tests import forked
from tests.command import ENV, project, revision

AFTER = ENV + '\n\nraise RuntimeError("boom")\n'


class Bench:
    def __init__(self, server: RunningServer, guardian: Guardian) -> None:
        self._server: Future[RunningServer] = Future()
        self._server.set_result(server)
        self._guardian = guardian

    def record(self, folder: Path, span: str = "a:head") -> Recording:
        (tree,) = find_trees(folder, (), "alembic", git_root=None)
        graph = read_worktree(tree, folder)
        scope = Scope(tree, between(graph, span), graph, folder)
        config = Config(path=folder, revisions=span, rows=3)
        plan = forked.forking(plan_for(config, scope, forked.INTERPRETER, {}))
        work = folder / "work"
        work.mkdir(exist_ok=True)
        recording = rehearse(plan, self._server, self._guardian, work)
        self._server.result().drop_all()
        return recording

    def review(self, folder: Path, span: str = "a:head") -> Report:
        found = self.record(folder, span)
        return judged(Config(path=folder), [found], {"": comments_in(folder, found)})


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Guardian() as guardian, start(ServerRequest("auto", None), guardian) as server:
        yield Bench(server, guardian)


def told(report: Report) -> list[tuple[str, int]]:
    silent = {"endless-lock-wait", "missing-downgrade"}
    return [(f.rule, f.location.line if f.location else 0) for f in report.findings if f.rule not in silent]


def test_a_function_that_cannot_be_called_as_env_py_calls_it_is_told_at_its_def_line(
    bench: Bench, tmp_path: Path
) -> None:
    env = ENV.replace("run_migrations()", 'run_migrations(prefix="x")')
    fits = revision("b", "a", "pass", "pass").replace("upgrade()", "upgrade(prefix)")
    folder = project(tmp_path, fits, env=env)
    given = folder / "migrations" / "versions" / "a.py"
    given.write_text(given.read_text().replace("grade()", "grade(prefix)"))

    report = bench.review(folder)

    assert told(report) == [("failing-downgrade", 15)]
    message = next(f.message for f in report.findings if f.rule == "failing-downgrade")
    assert "cannot be called" in message
    assert "unexpected keyword argument 'prefix'" in message


def test_an_env_py_that_always_fails_behind_the_migrations_is_one_error_at_its_line(
    bench: Bench, tmp_path: Path
) -> None:
    report = bench.review(project(tmp_path, revision("b", "a"), revision("c", "b"), env=AFTER))

    assert report.verdict is Verdict.ERROR
    assert told(report) == []
    assert [error.split("\n")[0] for error in report.all_errors] == [
        f"env.py failed at migrations/env.py:{len(AFTER.splitlines())}: RuntimeError: boom."
    ]


def test_the_same_without_a_history_before_is_one_finding(bench: Bench, tmp_path: Path) -> None:
    report = bench.review(project(tmp_path, revision("b", "a"), env=AFTER), "base:head")

    assert report.verdict is Verdict.FAIL
    assert told(report) == [("failing-upgrade", 11)]


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("ALTER TABLE nope ADD COLUMN x int", 'relation "nope" does not exist'),
        ("SELECT no_such_function(1)", "function no_such_function(integer) does not exist"),
    ],
)
def test_a_history_that_fails_at_once_is_one_finding_with_its_cause_and_the_way_out(
    statement: str, says: str, bench: Bench, tmp_path: Path
) -> None:
    listener = (
        "from sqlalchemy import event\nfrom sqlalchemy.engine import Engine\n\n"
        '@event.listens_for(Engine, "handle_error")\ndef unwrap(c):\n'
        "    raise c.original_exception from c.sqlalchemy_exception\n"
    )
    folder = project(tmp_path, revision("b", "a"), env=listener + ENV)
    (folder / "migrations" / "versions" / "a.py").write_text(revision("a", None, f'op.execute("{statement}")'))

    report = bench.review(folder, "base:head")

    assert report.all_errors == ()
    assert told(report) == [("failing-upgrade", 12)]
    message = next(f.message for f in report.findings if f.rule == "failing-upgrade")
    assert message == (
        f"The upgrade of `a` fails: PostgreSQL says {says}; no earlier revision creates it: if it already exists, give"
        " it with --base-schema FILE."
    )
    (left_out,) = [each for each in report.all_skipped if each.what == "revision b"]
    assert "give it with --base-schema FILE" in left_out.reason


@pytest.mark.parametrize(
    "first",
    ["SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"],
)
def test_a_first_statement_that_no_query_may_come_before_does_not_keep_the_rest_from_being_watched(
    first: str, bench: Bench, tmp_path: Path
) -> None:
    configured = "        context.configure("
    env = ENV.replace(
        configured, f'        connection.exec_driver_sql("{first}")\n        connection.commit()\n{configured}'
    )
    assert env != ENV
    change = "op.execute('ALTER TABLE items ADD COLUMN d uuid DEFAULT gen_random_uuid()')"

    report = bench.review(project(tmp_path, revision("b", "a", change, "op.drop_column('items', 'd')"), env=env))

    assert report.all_errors == ()
    found = next(f for f in report.findings if f.rule == "rewriting-default")
    assert found.basis is Basis.OBSERVED


def test_an_error_that_env_py_swallows_is_a_failure(bench: Bench, tmp_path: Path) -> None:
    run = "        with context.begin_transaction():\n            context.run_migrations()\n"
    indented = "".join(f"    {line}\n" for line in run.splitlines())
    env = ENV.replace(run, f"        try:\n{indented}        except ZeroDivisionError:\n            pass\n")
    report = bench.review(project(tmp_path, revision("b", "a", "pass", "1 / 0"), env=env))

    assert told(report) == [("failing-downgrade", 15)]
    assert "env.py continued as if it had" in report.findings[0].message


def test_env_py_can_ask_for_the_revision_that_it_goes_to(bench: Bench, tmp_path: Path) -> None:
    asks = """
    assert context.get_revision_argument() in ("a", "b", "b-1", "c", "c-1")
"""
    env = ENV.replace("    section =", f"{asks}    section =")
    assert asks in env
    report = bench.review(project(tmp_path, revision("b", "a"), revision("c", "b"), env=env))

    assert report.all_errors == ()


def test_what_comes_after_a_statement_that_fails_is_judged_as_it_reads(bench: Bench, tmp_path: Path) -> None:
    body = """
op.add_column("items", sa.Column("v", sa.Text()))
op.execute("UPDATE nowhere SET a = 1")
op.create_index("ix_v", "items", ["v"])
op.create_table("fresh", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("n", sa.Text()))
op.create_index("ix_fresh", "fresh", ["n"])
op.execute("UPDATE nowhere SET a = 2")
op.drop_column("items", "id")
"""
    recording = bench.record(project(tmp_path, revision("b", "a", body)))
    report = judged(Config(path=tmp_path), [recording], {"": comments_in(tmp_path, recording)})

    assert told(report) == [
        ("failing-upgrade", 13),
        ("blocking-index", 14),
        ("dropped-column", 18),
        ("silently-dropped-constraint", 18),
    ]
    basis = {f.rule: f.basis for f in report.findings}
    assert basis["failing-upgrade"] is Basis.OBSERVED
    assert basis["blocking-index"] is basis["dropped-column"] is Basis.PARSED
    assert [s.location.line for s in recording.passes[0].unrun if s.location] == [14, 15, 16, 17, 18]
    assert loads(dumps([recording])) == (recording,)


def test_what_comes_after_a_statement_that_fails_in_the_downgrade_is_judged_as_it_reads(
    bench: Bench, tmp_path: Path
) -> None:
    column = 'op.add_column("items", sa.Column("v", sa.Text()))'
    back = """
op.execute("UPDATE nowhere SET a = 1")
op.drop_column("items", "v")
op.execute("COMMIT")
op.execute("FROB THE KNOB")
"""
    fails, other = revision("b", "a", column, back), revision("c", "b", "pass", "raise NotImplementedError")
    recording = bench.record(project(tmp_path, fails, other))
    report = judged(Config(path=tmp_path), [recording], {"": comments_in(tmp_path, recording)})

    found = {
        f.rule: (f.location.line, f.basis)
        for f in report.findings
        if f.location and f.direction is Direction.DOWNGRADE
    }
    assert found == {
        "failing-downgrade": (16, Basis.OBSERVED),
        "transaction-control": (18, Basis.PARSED),
        "unrecognized-statement": (19, Basis.PARSED),
    }
    assert [each.sql for each in report.trees[0].unrecognized] == ["FROB THE KNOB;"]
    unrun = [s.sql for each in recording.passes for s in each.unrun]
    assert unrun == ["ALTER TABLE items DROP COLUMN v;", "COMMIT;", "FROB THE KNOB;"]
    assert report.all_skipped == ()
    assert loads(dumps([recording])) == (recording,)


def test_what_comes_after_it_in_a_downgrade_and_cannot_be_rendered_is_skipped_with_the_reason(
    bench: Bench, tmp_path: Path
) -> None:
    back = """
op.execute("UPDATE nowhere SET a = 1")
op.drop_column("items", op.get_bind().execute(sa.text("SELECT 'v'")).scalar())
"""
    odd = """
op.execute("UPDATE nowhere SET a = 1")
raise ValueError(object())
"""
    folder = project(tmp_path, revision("b", "a", "pass", back), revision("c", "b", "pass", odd))
    report = bench.review(folder)

    assert told(report) == [("failing-downgrade", 16), ("failing-downgrade", 16)]
    left_out = {each.what: each.reason for each in report.all_skipped if "after the failure" in each.what}
    what, why = (
        "what comes after the failure in the downgrade of revision",
        "it cannot be rendered as SQL to be read",
    )
    assert left_out[f"{what} b"].startswith(f"{why}: ")
    assert left_out[f"{what} c"] == f"{why}: ValueError: <object object>"


def test_what_comes_after_it_and_cannot_be_rendered_is_skipped_with_the_reason(
    bench: Bench, tmp_path: Path
) -> None:
    body = """
op.execute("UPDATE nowhere SET a = 1")
op.create_index(f"ix_{op.get_bind().execute(sa.text('SELECT 1')).scalar()}", "items", ["id"])
"""
    report = bench.review(project(tmp_path, revision("b", "a", body)))

    assert told(report) == [("failing-upgrade", 12)]
    (left_out,) = [each for each in report.all_skipped if "after the failure" in each.what]
    assert left_out.what == "what comes after the failure in revision b"
    assert left_out.reason.startswith("it cannot be rendered as SQL to be read: ")


def test_a_revision_file_whose_name_is_not_utf_8_is_reviewed_and_every_format_names_it(
    bench: Bench, tmp_path: Path
) -> None:
    text = revision("b", "a", 'op.add_column("items", sa.Column("v", sa.Integer(), nullable=False))', "1 / 0")
    folder = project(
        tmp_path / os.fsdecode(b"p\xff"),
        text.replace("1 / 0", "1 / 0  # reviewer: allow[failing-downgrade] never mind"),
    )
    versions = folder / "migrations" / "versions"
    (versions / "r1.py").rename(os.fsdecode(os.fsencode(versions) + b"/b\xff.py"))

    recording = bench.record(folder)
    report = judged(Config(path=folder), [recording], {"": comments_in(folder, recording)})

    assert recording.revisions[0].path == "migrations/versions/b\\udcff.py"
    assert told(report) == [("required-column", 12)]
    assert loads(dumps([recording])) == (recording,)
    for name in FORMATS:
        text = render(name, report, checks.by_id)
        text.encode("utf-8")
    assert "b\\udcff.py" in json.loads(render("json", report, dict))["findings"][0]["path"]
