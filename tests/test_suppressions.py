"""Comments that accept a finding."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from reviewer.recording import Direction, Location, Mode, Recording
from reviewer.review.finding import Basis, Finding, Severity, Suppressed
from reviewer.review.suppressions import Suppression, apply, read
from tests.command import project, revision, somewhere, told

RULES = {"blocking-index", "dropped-column", "unknown-suppression", "unused-suppression"}


def finding(line: int, rule: str = "blocking-index", path: str = "v/a.py") -> Finding:
    return Finding(rule, Severity.ERROR, "m", "r", Location(path, line), Direction.UPGRADE, Basis.PARSED)


def reviewed(source: str, *findings: Finding) -> tuple[Finding, ...]:
    return apply(findings, {"v/a.py": read(inspect.cleandoc(source), "v/a.py")}, RULES, revisions={"v/a.py": "r"})


def complaints(source: str, *findings: Finding) -> list[tuple[str, int, str]]:
    return [
        (each.rule, each.location.line, each.message)
        for each in reviewed(source, *findings)[len(findings) :]
        if each.location and each.severity is Severity.ERROR and each.revision == "r"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "op.x()  # reviewer: allow[blocking-index] small table",
        "# reviewer: allow[blocking-index] small table\nop.x()",
        "# reviewer: allow[blocking-index] small table\n# More words.\nop.x()",
        "op.x(\n    1,  # reviewer: allow[blocking-index] small table\n    2,\n)",
        "op.x(\n    # reviewer: allow[blocking-index] small table\n    1,\n)",
        "op.x(\n    1,\n)  # reviewer: allow[blocking-index] small table",
        "# reviewer: allow[blocking-index] small table\nop.x(\n    1,\n)",
        'op.x("""\n  SQL\n""")  # reviewer: allow[blocking-index] small table',
        "# reviewer: allow[dropped-column, blocking-index] small table\nop.x()",
        "#reviewer:allow[blocking-index]   small table",
        "# reviewer: allow[blocking-index]: small table\nop.x()",
        "x = 1\n\n# reviewer: allow-file[blocking-index] small table\n",
        "if x: op.x()  # reviewer: allow[blocking-index] small table",
        "op.x()  # noqa: E501  # reviewer: allow[blocking-index] small table",
        "op.x()  # noqa # type: ignore[x] # reviewer: allow[blocking-index] small table",
        "op.x()  # reviewer: allow[blocking-index] small table  # noqa: E501",
        "# reviewer: allow[blocking-index] small table\n@decorated\ndef f(): pass",
    ],
)
def test_a_comment_speaks_for_its_logical_line(source: str) -> None:
    suppressions = read(source if source.endswith(("\n", ")")) else source + "\nop.y()\n", "v/a.py")
    lines = [line for each in suppressions for line in range(max(each.first_line, 1), max(each.last_line, 1) + 1)]

    found = [apply([finding(line)], {"v/a.py": suppressions}, RULES)[0].suppressed for line in lines]

    assert {each.reason for each in found if each} == {"small table"}


def test_every_line_of_a_call_is_covered_and_no_line_around_it() -> None:
    source = inspect.cleandoc(
        """
        def upgrade():
            op.w()
            # reviewer: allow[blocking-index] small table
            op.x(
                1,
            )
            op.y()  # reviewer: allow[dropped-column] nobody reads it
            op.z()
        """
    )

    found = read(source, "v/a.py")

    assert found == (
        Suppression("v/a.py", 3, ("blocking-index",), "small table", first_line=4, last_line=6),
        Suppression("v/a.py", 7, ("dropped-column",), "nobody reads it", first_line=7, last_line=7),
    )


def test_a_finding_that_is_accepted_keeps_everything_and_says_why() -> None:
    (found,) = reviewed("# reviewer: allow[blocking-index] small table\nop.x()", finding(2))

    assert found.suppressed == Suppressed("small table", 1)
    assert (found.rule, found.severity, found.location) == ("blocking-index", Severity.ERROR, Location("v/a.py", 2))


def test_text_inside_strings_is_no_comment() -> None:
    source = (
        'op.execute("""\n# reviewer: allow[blocking-index] x\n""")\ny = "# reviewer: allow[blocking-index] x"\n'
    )

    assert read(source, "v/a.py") == ()


def test_a_comment_behind_the_line_before_is_not_above() -> None:
    source = "op.x()  # reviewer: allow[blocking-index] small table\nop.y()"

    assert reviewed(source, finding(2))[0].suppressed is None


def test_only_the_rules_that_are_named_are_accepted() -> None:
    source = "op.x()  # reviewer: allow[dropped-column] nobody reads it"

    found = reviewed(source, finding(1), finding(1, "dropped-column"))

    assert [each.suppressed is None for each in found] == [True, False]


def test_a_comment_in_another_file_does_not_count() -> None:
    (found, _) = reviewed("op.x()  # reviewer: allow[blocking-index] small table", finding(1, path="v/b.py"))

    assert found.suppressed is None


def test_a_finding_without_a_place_is_left_as_it_is() -> None:
    without = Finding("several-heads", Severity.ERROR, "m", None, None, Direction.UPGRADE, Basis.PARSED)

    assert apply([without], {}, RULES) == (without,)


def test_the_nearest_comment_gives_the_reason_and_both_are_used() -> None:
    source = (
        "# reviewer: allow-file[blocking-index] all small\nop.x()  # reviewer: allow[blocking-index] this one\n"
    )

    found = reviewed(source, finding(2))

    assert [each.suppressed for each in found] == [Suppressed("this one", 2)]


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        (
            "# reviewer: allow[bloking-index] x",
            "There is no rule `bloking-index` to allow. Did you mean `blocking-index`?",
        ),
        ("# reviewer: allow[zzzz] x", "There is no rule `zzzz` to allow. `alembic-reviewer rules` lists them all."),
        ("# reviewer: allow[*] x", "There is no rule `*` to allow. `alembic-reviewer rules` lists them all."),
        (
            "# reviewer: allow[blocking-index]",
            "This suppression of `blocking-index` gives no reason; add why it is safe after the bracket.",
        ),
        (
            "# reviewer: allow-file[blocking-index] -",
            "This suppression of `blocking-index` gives no reason; add why it is safe after the bracket.",
        ),
        ("# reviewer: allow[] x", "This suppression names no rule; write `# reviewer: allow[rule-id] reason`."),
        (
            "# reviewer: allow[blocking-index,] x",
            "This suppression names no rule; write `# reviewer: allow[rule-id] reason`.",
        ),
        (
            "# reviewer: allow blocking-index",
            "This comment does not have the form `# reviewer: allow[rule-id] reason`.",
        ),
        (
            "# reviewer: ignore[blocking-index] x",
            "This comment does not have the form `# reviewer: allow[rule-id] reason`.",
        ),
        (
            "# reviewer: allow-line[blocking-index]",
            "This comment does not have the form `# reviewer: allow[rule-id] reason`.",
        ),
        (
            "# Reviewer: Allow[blocking-index] x",
            "This comment does not have the form `# reviewer: allow[rule-id] reason`.",
        ),
        (
            "# reviewer: allow[blocking-index x",
            "This comment does not have the form `# reviewer: allow[rule-id] reason`.",
        ),
    ],
)
def test_a_comment_that_is_wrong_suppresses_nothing_and_is_a_finding(comment: str, message: str) -> None:
    found = reviewed(f"{comment}\nop.x()", finding(2))

    assert found[0].suppressed is None
    assert complaints(f"{comment}\nop.x()", finding(2)) == [("unknown-suppression", 1, message)]


@pytest.mark.parametrize(
    "comment", ["# reviewer: Ada Lovelace", "# Reviewers: allow for it", "# the reviewer allows it"]
)
def test_a_comment_about_a_person_is_no_suppression(comment: str) -> None:
    assert read(f"{comment}\nop.x()", "v/a.py") == ()


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        (
            "# reviewer: allow[blocking-index] x\nop.x()",
            1,
            "This suppression of `blocking-index` matches no finding on its line or the line below; remove it.",
        ),
        (
            "op.x()\n# reviewer: allow-file[blocking-index] x",
            2,
            "This suppression of `blocking-index` matches no finding in this file; remove it.",
        ),
        (
            "# reviewer: allow[blocking-index] x\n\nop.x()",
            1,
            "This suppression of `blocking-index` is not above a statement; put it directly above one, or at its end.",
        ),
    ],
)
def test_a_comment_that_accepts_nothing_is_a_finding(source: str, line: int, message: str) -> None:
    assert complaints(source) == [("unused-suppression", line, message)]


def test_of_several_rules_each_must_be_used() -> None:
    source = "op.x()  # reviewer: allow[blocking-index, dropped-column, blockin-index] x"

    assert [(rule, line) for rule, line, _ in complaints(source, finding(1))] == [
        ("unknown-suppression", 1),
        ("unused-suppression", 1),
    ]


def test_a_comment_for_a_rule_that_was_not_asked_is_not_called_unused() -> None:
    suppressions = {"v/a.py": read("op.x()  # reviewer: allow[blocking-index] x", "v/a.py")}

    assert apply([], suppressions, RULES, asked_rules={"dropped-column"}) == ()


IDLE = 'op.add_column("items", sa.Column("a", sa.Text()))  # reviewer: allow[{}] x'
DOWN = 'op.drop_column("items", "a")'


@pytest.mark.processes
@pytest.mark.parametrize(
    ("rule", "after", "arguments", "wanted"),
    [
        pytest.param("blocking-index", "", [], ["unused-suppression"], id="everything was seen"),
        pytest.param("old-code-broken", "", [], [], id="the code of the base commit was not tried"),
        pytest.param("blocking-index", "", ["--static"], [], id="no server"),
        pytest.param("blocking-index", "", ["--no-rows"], [], id="no rows"),
        pytest.param(
            "blocking-index", 'op.execute("SELECT wrong")', [], ["failing-upgrade"], id="it fails half-way"
        ),
    ],
)
def test_no_comment_is_called_unused_by_a_review_that_has_not_seen_everything(
    tmp_path: Path, rule: str, after: str, arguments: list[str], wanted: list[str]
) -> None:
    folder = project(tmp_path / "project", revision("b", "a", f"{IDLE.format(rule)}\n{after}".strip(), DOWN))

    with somewhere() as place:
        report = place.report(folder, "--revisions", "a:b", "--ignore", "endless-lock-wait", *arguments)

    assert [each["rule"] for each in report["findings"]] == wanted


@pytest.mark.processes
def test_what_could_not_be_reviewed_leaves_its_comments_alone(tmp_path: Path) -> None:
    env = "raise SystemError('no')"
    folder = project(tmp_path / "project", revision("b", "a", IDLE.format("blocking-index"), DOWN), env=env)

    with somewhere() as place:
        done = place.review(folder, "--revisions", "a:b")

    assert done.returncode == 3, told(done)
    assert "unused" not in done.stdout


@pytest.mark.parametrize(
    "source",
    [
        b"\xff\xfe # reviewer: allow[x] y",
        b"# reviewer: nothing\nx = (",
        b"# coding: nonsense\n# reviewer",
        b"'''reviewer",
    ],
)
def test_a_file_that_is_no_python_is_no_crash(source: bytes) -> None:
    assert read(source, "v/a.py") == ()


def test_what_stands_before_a_syntax_error_is_read() -> None:
    assert [each.line for each in read("op.x()  # reviewer: allow[blocking-index] x\ny = (", "v/a.py")] == [1]


def test_comments_are_those_of_the_files_when_they_were_read(tmp_path: Path) -> None:
    """A migration that writes into its own file while it runs accepts nothing."""
    from reviewer.config import Config
    from reviewer.judging import comments_in, comments_of
    from reviewer.project.discovery import find_trees
    from reviewer.project.history import between, read_worktree
    from reviewer.scope import Scope

    folder = project(tmp_path / "project", revision("b", "a", "pass  # reviewer: allow[dropped-column] asked for"))
    (tree,) = find_trees(folder, (), Config(path=folder).section, git_root=None)
    graph = read_worktree(tree, folder)
    scope = Scope(tree, between(graph, "a:b"), graph, folder)
    file = folder / "migrations" / "versions" / "r1.py"
    file.write_text(file.read_text() + "# reviewer: allow-file[dropped-table] it says so itself\n")

    then = comments_of(scope)["migrations/versions/r1.py"]
    recording = Recording("0", Mode.OBSERVED, scope.selection.recorded())
    now = comments_in(folder, recording)["migrations/versions/r1.py"]

    assert [each.rules for each in then] == [("dropped-column",)]
    assert [each.rules for each in now] == [("dropped-column",), ("dropped-table",)]
