"""A fix becomes a suggestion only if it can be accepted as a whole, on the lines that GitHub shows."""

from __future__ import annotations

import pytest

from reviewer.fix.diff import unified
from reviewer.github import suggestion
from reviewer.github.suggestion import MOST_LINES, Part, Suggestion

PATH = "migrations/versions/b.py"
OLD = [f"line {n}" for n in range(1, 31)]


def shown(lines: list[str], first: int = 1, *, path: str = PATH) -> dict[str, tuple[Part, ...]]:
    """The diff of a pull request that adds these lines."""
    patch = "\n".join([f"@@ -0,0 +{first},{len(lines)} @@", *("+" + each for each in lines)])
    return {path: suggestion.parts(patch)}


def diff(new: list[str], old: list[str] = OLD, *, end: str = "\n", path: str = PATH) -> str:
    texts = ["\n".join(lines).encode() + end.encode() for lines in (old, new)]
    return unified({path: texts[0]}, {path: texts[1]}).decode()


def accepted(found: Suggestion, old: list[str] = OLD) -> list[str]:
    """The file once somebody has accepted the suggestion."""
    return [*old[: found.first - 1], *found.text.split("\n"), *old[found.last :]]


def edited(*edits: tuple[int, int, list[str]]) -> list[str]:
    """The lines, some of them rewritten: from a line up to another one, counted from 1."""
    new = list(OLD)
    for start, end, lines in sorted(edits, reverse=True):
        new[start - 1 : end - 1] = lines
    return new


@pytest.mark.parametrize(
    ("new", "lines"),
    [
        pytest.param(edited((10, 11, ["a", "b"])), (10, 10), id="a line becomes two"),
        pytest.param(edited((10, 11, ["a"]), (25, 27, ["b"])), (10, 26), id="two places far apart"),
        pytest.param(edited((10, 10, ["a"])), (9, 9), id="a line is added"),
        pytest.param(edited((1, 1, ["a"])), (1, 1), id="a line is added before the first one"),
        pytest.param(edited((31, 31, ["a"])), (30, 30), id="a line is added after the last one"),
        pytest.param(edited((10, 12, [])), (9, 11), id="lines go"),
        pytest.param(edited((5, 5, ["import a"]), (20, 21, ["b"])), (5, 20), id="an import and a statement"),
        pytest.param(edited((4, 5, ["a"]), (20, 20, ["b"])), (4, 19), id="the last edit only adds"),
    ],
)
def test_an_accepted_suggestion_is_the_whole_fix(new: list[str], lines: tuple[int, int]) -> None:
    found = suggestion.of_fix(diff(new), PATH, shown(OLD)[PATH])

    assert found is not None
    assert (found.first, found.last) == lines
    assert accepted(found) == new


def test_lines_around_those_that_the_pull_request_adds_may_change_too() -> None:
    parts = suggestion.parts("@@ -8,3 +8,4 @@ def f():\n line 8\n line 9\n+line 10\n line 11")

    found = suggestion.of_fix(diff(edited((9, 11, ["a"]))), PATH, parts)

    assert found == Suggestion(9, 10, "a")


@pytest.mark.parametrize(
    ("text", "held"),
    [
        pytest.param("", shown(OLD), id="no fix"),
        pytest.param(diff(edited((10, 11, ["a"]))), shown(OLD[:9]), id="on a line that is not in the diff"),
        pytest.param(diff(edited((10, 11, ["a"]), (25, 26, ["b"]))), shown(OLD[:20]), id="partly on such a line"),
        pytest.param(
            diff(edited((10, 11, ["a"]))), shown([*OLD[:9], "another"]), id="on a line that has changed since"
        ),
        pytest.param(
            diff(edited((10, 11, ["a"]))), shown([*OLD[:8], "x", *OLD[9:]]), id="beside a line that has changed"
        ),
        pytest.param(
            diff(edited((10, 11, ["a"]))) + diff(OLD, OLD[1:], path="env.py"), shown(OLD), id="in two files"
        ),
        pytest.param(diff(edited((10, 11, ["a"])), path="env.py"), shown(OLD), id="in another file"),
        pytest.param(unified({}, {PATH: b"line 1\n"}).decode(), shown(OLD), id="a new file"),
        pytest.param(diff(edited((30, 31, ["a"])), end=""), shown(OLD), id="a last line without an end"),
        pytest.param(diff(edited((10, 11, ["a"] * (MOST_LINES + 1)))), shown(OLD), id="too long to be read"),
        pytest.param("diff --git a/x b/x\n@@ nonsense", shown(OLD), id="not a diff"),
    ],
)
def test_what_does_not_fit_is_no_suggestion(text: str, held: dict[str, tuple[Part, ...]]) -> None:
    assert suggestion.of_fix(text, PATH, held[PATH]) is None


def test_the_lines_of_a_diff_are_numbered_as_in_the_new_file() -> None:
    text = "@@ -1,3 +1,4 @@ def f():\n a\n-b\n+c\n+d\n e\n@@ -10 +11,2 @@\n+x\n y\n\\ No newline at end of file"

    assert suggestion.parts(text) == (
        Part(1, ("a", "c", "d", "e"), frozenset({2, 3})),
        Part(11, ("x", "y"), frozenset({11})),
    )


@pytest.mark.parametrize("text", ["a", "\ta = 1", "x = '```'", "", "a\n\n    b"])
def test_a_block_holds_the_text_exactly(text: str) -> None:
    found = suggestion.fenced(text)

    assert found is not None
    assert found[0].endswith("suggestion")
    assert "\n".join(found[1:-1]) == text
    assert not any(line.startswith(found[-1]) for line in found[1:-1])


@pytest.mark.parametrize("text", ["a\r", "a\u202eb", "<!-- x", "::error::x", "x ##[y"])
def test_what_would_have_to_be_escaped_is_no_suggestion(text: str) -> None:
    assert suggestion.fenced(text) is None
