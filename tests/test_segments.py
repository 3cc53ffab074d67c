"""Many revisions are rehearsed in segments, side by side where cores are free, and nobody can tell from the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from reviewer.recording import Outcome, Rehearsal
from reviewer.rehearsal.lanes import divided
from tests.branch import Branch
from tests.command import untimed

pytestmark = pytest.mark.processes

GIVEN = """op.create_table("users", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(80)),
    sa.Column("fax", sa.String(80)), sa.Column("telex", sa.String(80)))"""
MODELS = """
class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(80))
    {} = sa.Column(sa.String(80))
    {} = sa.Column(sa.String(80))
"""
OLD, NEW = MODELS.format("fax", "telex"), MODELS.format("phone", "mail")

Step = tuple[str, str]


def adds(column: str, table: str = "users") -> Step:
    return f'op.add_column("{table}", sa.Column("{column}", sa.String(80)))', drops(column, table)[0]


def drops(column: str, table: str = "users") -> Step:
    return (
        f'op.drop_column("{table}", "{column}")',
        f'op.add_column("{table}", sa.Column("{column}", sa.String(80)))',
    )


def steps(changed: dict[int, Step]) -> list[Step]:
    """Twenty revisions, of which the eleventh begins the second segment: the first makes a table, the others add a column
    to it where `changed` has none.
    """
    made = ('op.create_table("n0", sa.Column("id", sa.Integer, primary_key=True))', 'op.drop_table("n0")')
    return [changed.get(number, adds(f"c{number}", "n0") if number else made) for number in range(20)]


def branch(folder: Path, revisions: Sequence[Step]) -> Branch:
    made = Branch(folder, GIVEN, OLD)
    for upgrade, downgrade in revisions:
        made.adds(upgrade, downgrade)
    return made.with_models(NEW)


MANY = steps(
    {
        # what the code needs, and what breaks it
        2: adds("phone"),
        7: drops("fax"),
        13: adds("mail"),
        17: drops("telex"),
        # roles belong to the whole server
        3: ('op.execute("CREATE ROLE app_reader")', 'op.execute("DROP ROLE app_reader")'),
        11: (
            'op.execute("GRANT SELECT ON users TO app_reader")',
            'op.execute("REVOKE SELECT ON users FROM app_reader")',
        ),
        14: ('op.execute("CREATE ROLE app_writer")', 'op.execute("DROP ROLE app_writer")'),
        # downgrades that fail
        5: (adds("x")[0], 'op.execute("SELECT nothing")'),
        15: (adds("y")[0], 'op.drop_column("users", "z")'),
    }
)
AGAIN = steps(
    {
        # the second runs only in the session of the first, which is in another segment
        9: ("op.execute(\"SET app.ready = 'yes'\")", "pass"),
        10: ("op.execute(\"SELECT CAST(current_setting('app.ready') AS boolean)\")", "pass"),
        # only a superuser may do that: everything is rehearsed again
        16: ("op.execute(\"COPY users (id) FROM PROGRAM 'true'\")", "pass"),
    }
)


def test_the_report_is_the_same_on_any_number_of_lanes(tmp_path: Path) -> None:
    made = branch(tmp_path, MANY)
    one, two = (made.review("--jobs", jobs, "--rows", "5") for jobs in "12")

    assert untimed(one.told) == untimed(two.told)
    broken = [(each.column, each.revision) for each in two.recording.old_code.broken]
    assert broken == [("fax", "i"), ("telex", "s")]
    needs = {(each.column, each.revision) for each in two.recording.new_code.broken}
    assert needs == {("phone", "d"), ("mail", "o")}


def test_what_has_to_be_rehearsed_again_is_in_two_lanes_too(tmp_path: Path) -> None:
    two = branch(tmp_path, AGAIN).review("--jobs", "2", "--rows", "5")

    assert "revision r needs a superuser" in two.skipped
    alone = [each for each in two.recording.passes if each.revision == "l" and each.rehearsal is Rehearsal.STEPWISE]
    assert alone[0].outcome is Outcome.FAILED
    others = [
        each for each in two.recording.passes if each.revision != "l" and each.rehearsal is Rehearsal.STEPWISE
    ]
    assert [each.failure for each in others if each.outcome is not Outcome.OK] == []
    assert len(others) == 19 * 3


def test_where_a_segment_cannot_start_all_revisions_are_rehearsed_one_after_the_other(tmp_path: Path) -> None:
    """The upgrade that ends before the second segment fails, although each revision runs, and all of them together."""
    revisions = steps({})
    revisions[8] = (f'op.get_bind().info["went on"] = True\n{revisions[8][0]}', revisions[8][1])
    fails = """from alembic import context
if context.get_revision_argument() == "k" and "went on" in op.get_bind().info:
    raise RuntimeError("not together")"""
    revisions[9] = (f"{fails}\n{revisions[9][0]}", revisions[9][1])

    two = branch(tmp_path, revisions).review("--jobs", "2", "--rows", "5")

    assert [each.failure for each in two.recording.passes if each.outcome is not Outcome.OK] == []
    assert len(two.recording.passes) == 20 * 4


def test_divides_as_evenly_as_possible() -> None:
    assert divided(25, 4) == [range(6), range(6, 12), range(12, 18), range(18, 25)]
    assert divided(3, 1) == [range(3)]
