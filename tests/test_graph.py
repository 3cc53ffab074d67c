"""The revision graph, held against Alembic's own."""

from __future__ import annotations

import warnings

import pytest
from alembic.script.revision import Revision, RevisionError, RevisionMap
from hypothesis import given
from hypothesis import strategies as st

from reviewer.errors import ProjectError, UsageError
from reviewer.project.graph import Graph
from reviewer.project.source import ProblemKind, SourceRevision


def graph(*revisions: SourceRevision) -> Graph:
    return Graph.of(revisions)


def rev(
    id: str,  # noqa: A002 (as in Alembic)
    *down: str,
    depends_on: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
) -> SourceRevision:
    return SourceRevision(id, down, f"versions/{id}.py", depends_on, labels)


BRANCHES = graph(
    rev("a1"),
    rev("b1", "a1"),
    rev("c1", "b1", labels=("shop",)),
    rev("d1", "c1"),
    rev("c2", "b1", labels=("blog",)),
    rev("d2", "c2", depends_on=("shop",)),
    rev("z9", labels=("stock",)),
)


@st.composite
def graphs(draw: st.DrawFn) -> list[SourceRevision]:
    """Any history: branches, merges, several bases, dependencies, labels."""
    found: list[SourceRevision] = []
    ids = draw(st.lists(st.text("abcdef0123456789_", min_size=4, max_size=6), min_size=1, max_size=9, unique=True))
    for position, each in enumerate(ids):
        before = st.lists(st.sampled_from(ids[:position]), max_size=2, unique=True) if position else st.just([])
        down = draw(before)
        depends = [other for other in draw(before) if other not in down]
        labels = (f"label{position}",) if draw(st.integers(0, 4)) == 0 else ()
        found.append(SourceRevision(each, tuple(down), f"{each}.py", tuple(depends), labels))
    return draw(st.permutations(found))


def alembics(revisions: list[SourceRevision]) -> RevisionMap:
    return RevisionMap(
        lambda: [
            Revision(each.id, each.down_revisions or None, each.depends_on or None, each.branch_labels or None)
            for each in revisions
        ]
    )


@given(graphs())
def test_heads_and_bases_are_alembics(revisions: list[SourceRevision]) -> None:
    ours, theirs = Graph.of(revisions), alembics(revisions)

    assert not ours.problems
    assert ours.heads == tuple(sorted(theirs.heads))
    assert ours.bases == tuple(sorted(theirs.bases))
    assert ours.tips(ours.revisions) == tuple(sorted(theirs._real_heads))


@given(graphs(), st.data())
def test_an_upgrade_to_the_tips_of_a_set_runs_just_that_set(
    revisions: list[SourceRevision], data: st.DataObject
) -> None:
    ours, theirs = Graph.of(revisions), alembics(revisions)
    chosen = ours.with_ancestors(data.draw(st.sets(st.sampled_from(sorted(ours.revisions)), min_size=1)))

    ran = {
        getattr(each, "revision", each)
        for each in theirs.iterate_revisions(ours.tips(chosen), "base", implicit_base=True)
    }

    assert ran == chosen


@given(graphs())
def test_the_order_has_parents_first_and_does_not_depend_on_the_files_order(
    revisions: list[SourceRevision],
) -> None:
    ours = Graph.of(revisions)

    position = {each: number for number, each in enumerate(ours.order)}
    assert sorted(ours.order) == sorted(each.id for each in revisions)
    assert all(
        position[parent] < position[each.id]
        for each in revisions
        for parent in (*each.down_revisions, *each.depends_on)
    )
    assert ours.order == Graph.of(revisions[::-1]).order


@given(graphs(), st.data())
def test_beginnings_and_labels_mean_what_they_mean_to_alembic(
    revisions: list[SourceRevision], data: st.DataObject
) -> None:
    ours, theirs = Graph.of(revisions), alembics(revisions)
    names = [each.id for each in revisions] + [label for each in revisions for label in each.branch_labels]
    name = data.draw(st.sampled_from(names))
    symbol = data.draw(st.sampled_from([name, name[:3], name[:-1], f"{name}@heads", f"{name}@base"]))

    try:
        expected = tuple(
            sorted(str(getattr(each, "revision", each)) for each in theirs.get_revisions(symbol) if each)
        )
    except RevisionError:
        with pytest.raises(UsageError):
            ours.resolve(symbol)
    else:
        # What depends on another revision is a head of its own for us only if nothing needs it.
        assert set(ours.resolve(symbol)) <= set(expected) if "heads" in symbol else ours.resolve(symbol) == expected


@given(graphs())
def test_labels_spread_at_least_as_far_as_in_alembic(revisions: list[SourceRevision]) -> None:
    ours, theirs = Graph.of(revisions), alembics(revisions)

    for each in revisions:
        found = theirs.get_revision(each.id)
        assert found is not None
        # Alembic walks back from the last descendant that it met, so how far depends on the order of a set there.
        assert found.branch_labels <= ours.labels(each.id)


@given(st.integers(1, 6), st.integers(0, 5))
def test_on_a_line_labels_spread_as_in_alembic(length: int, labelled: int) -> None:
    line = [
        rev(f"r{n}", *([f"r{n - 1}"] if n else []), labels=("label",) if n == labelled else ())
        for n in range(length)
    ]
    ours, theirs = Graph.of(line), alembics(line)

    assert [ours.labels(each.id) for each in line] == [
        found.branch_labels for each in line if (found := theirs.get_revision(each.id))
    ]


@pytest.mark.parametrize(
    ("symbol", "ids"),
    [
        ("base", ()),
        ("heads", ("d1", "d2", "z9")),
        ("stock@head", ("z9",)),
        ("shop", ("c1",)),
        ("shop@head", ("d1",)),
        ("blog@heads", ("d2",)),
        ("c2@head", ("d2",)),
        ("a1", ("a1",)),
        ("z", ("z9",)),
        ("a1+1", ("b1",)),
        ("shop@a1+2", ("c1",)),
        ("d1-1", ("c1",)),
        ("d1-3", ("a1",)),
        ("a1-1", ()),
        ("shop@head-1", ("c1",)),
        ("blog+1", ("d2",)),
        ("stock@+1", ("z9",)),
    ],
)
def test_symbols(symbol: str, ids: tuple[str, ...]) -> None:
    assert BRANCHES.resolve(symbol) == ids


@pytest.mark.parametrize(
    ("symbol", "message", "way_out"),
    [
        ("head", "means 3 heads: d1, d2, z9", "heads"),
        ("c", "is a prefix of 2 ids: c1, c2", "Write more"),
        ("shopp", "no revision `shopp`", "Did you mean `shop`?"),
        ("", "no revision ``", "7 revisions"),
        ("b1+1", "leads to 2 revisions (c1, c2)", "Write the id"),
        ("d1+1", "leads to no revision", "Write the id"),
        ("nothing@head", "no revision `nothing`", "7 revisions"),
    ],
)
def test_a_symbol_that_means_nothing_or_too_much_says_so(symbol: str, message: str, way_out: str) -> None:
    with pytest.raises(UsageError) as caught:
        BRANCHES.resolve(symbol)

    assert message in caught.value.sentence
    assert way_out in caught.value.way_out


def test_ids_with_dashes_and_dots_are_ids_first() -> None:
    found = graph(rev("2024-1"), rev("2024", "2024-1"), rev("v1.0-2", "2024"))

    assert [found.resolve(each) for each in ("2024-1", "v1.0-2", "v1.0-2-1", "v1")] == [
        ("2024-1",),
        ("v1.0-2",),
        ("2024",),
        ("v1.0-2",),
    ]


def test_heads_with_a_label_of_their_own_are_meant_to_stay_apart() -> None:
    shared = graph(rev("a", labels=("core",)), rev("b", "a"), rev("c", "a"), rev("x", labels=("other",)))

    assert (BRANCHES.labelled_heads, shared.labelled_heads) == (("d1", "d2", "z9"), ("x",))


@pytest.mark.parametrize(
    ("revisions", "kind", "message"),
    [
        ([rev("a"), rev("b"), rev("a", "b")], ProblemKind.DUPLICATE, "both declare revision a"),
        ([rev("b", "a")], ProblemKind.MISSING_PARENT, "versions/b.py (revision b) has the down_revision a"),
        ([rev("b", depends_on=("x",))], ProblemKind.MISSING_DEPENDENCY, "(revision b) depends on x"),
        ([rev("a", "b"), rev("b", "a"), rev("c", "b"), rev("x")], ProblemKind.CYCLE, "form a cycle"),
        ([rev("a", "a")], ProblemKind.CYCLE, "a → a"),
        ([rev("a", depends_on=("b",)), rev("b", "a")], ProblemKind.CYCLE, "form a cycle"),
    ],
)
def test_a_broken_history_names_what_is_broken(
    revisions: list[SourceRevision], kind: ProblemKind, message: str
) -> None:
    found = Graph.of(revisions)

    assert [each.kind for each in found.problems] == [kind]
    assert message in found.problems[0].message
    with pytest.raises(ProjectError) as caught:
        found.raise_fatal()
    assert caught.value.way_out


def test_alembic_refuses_what_we_call_broken() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((RevisionError, KeyError)):
            _ = alembics([rev("b", "a")]).heads


def test_an_empty_folder_is_an_empty_graph() -> None:
    empty = graph()

    assert (empty.heads, empty.order, empty.resolve("heads"), empty.resolve("head")) == ((), (), (), ())
