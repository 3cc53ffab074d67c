"""Revisions that are partly committed: whether they run again on what they have left behind."""

from __future__ import annotations

from reviewer.recording import Outcome
from tests.examples import Bench, Story

USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'
BACK = """with op.get_context().autocommit_block():
    op.drop_index("{0}", "users", postgresql_concurrently=True)
    op.drop_column("users", "{1}")"""


def guarded(index: str, column: str) -> str:
    return f"""seen = sa.inspect(op.get_bind())
with op.get_context().autocommit_block():
    if "{column}" not in {{each["name"] for each in seen.get_columns("users")}}:
        op.add_column("users", sa.Column("{column}", sa.Text()))
    if "{index}" not in {{each["name"] for each in seen.get_indexes("users")}}:
        op.create_index("{index}", "users", ["name"], postgresql_concurrently=True)"""


def test_each_of_several_guarded_revisions_is_run_again(bench: Bench) -> None:
    story = Story(
        (USERS,),
        (guarded("one", "a"), guarded("two", "b")),
        downgrades=(BACK.format("one", "a"), BACK.format("two", "b")),
    )

    recording = bench.record(story)

    assert recording.repeatable == ("new1", "new2")
    assert {each.outcome for each in recording.passes} == {Outcome.OK}
    assert "half-applied-revision" not in {each.rule for each in bench.findings(recording)}


def test_a_guard_that_does_not_cover_all_is_seen_through(bench: Bench) -> None:
    half = guarded("one", "a") + '\n    op.create_index("three", "users", ["id"], postgresql_concurrently=True)'
    back = BACK.format("one", "a") + '\n    op.drop_index("three", "users", postgresql_concurrently=True)'

    recording = bench.record(Story((USERS,), (half,), downgrade=back))

    assert recording.repeatable == ()
    assert {each.outcome for each in recording.passes} == {Outcome.OK}
    assert "half-applied-revision" in {each.rule for each in bench.findings(recording)}


def test_what_is_one_transaction_is_not_run_again(bench: Bench) -> None:
    recording = bench.record(
        Story(
            (USERS,),
            (
                guarded("one", "a")
                .replace("_concurrently=True", "_using='btree'")
                .replace("op.get_context().autocommit_block()", "op.get_bind().begin_nested()"),
            ),
            downgrade="pass",
        )
    )

    assert recording.repeatable == ()
