"""What a revision's source says of when it is to run."""

from __future__ import annotations

import pytest

from reviewer.project.phases import Phases, declared
from reviewer.project.source import SourceRevision, read_source


def source(text: str = "", path: str = "migrations/versions/a.py", labels: tuple[str, ...] = ()) -> SourceRevision:
    found = read_source(
        f"{text}\nrevision = 'a'\ndown_revision = None\nbranch_labels = {labels!r}\n".encode(), path
    )
    assert isinstance(found, SourceRevision)
    return found


@pytest.mark.parametrize(
    ("text", "before", "line"),
    [
        ("# pre/post deployment: post", False, 1),
        ("# Pre/Post Deploy: pre (see the wiki)", True, 1),
        ('"""Add a column.\n\ndeploy phase: expand\n"""', True, 3),
        ("phase = 'contract'", False, 1),
        ("deployment_stage: str = 'pre-deploy'", True, 1),
        ("is_post_deployment = True", False, 1),
        ("post_deploy = True", False, 1),
    ],
)
def test_a_revision_says_when_it_is_to_run(text: str, before: bool, line: int) -> None:
    found = declared(source(text), (), Phases())

    assert found is not None
    assert (found.before_code, found.line) == (before, line)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# the post office: a deployment: of stamps",
        "x = 'contract'",
        "phase = 'third'",
        "is_post_deployment = False",
        "SQL = '''\n# deployment: post\n'''",
        "# what happens after the code\n",
    ],
)
def test_what_only_looks_like_it_says_nothing(text: str) -> None:
    assert declared(source(text), (), Phases()) is None


def test_a_branch_label_and_a_folder_say_it_too() -> None:
    own = declared(source(labels=("contract",)), ("contract",), Phases())
    of_branch = declared(source(), ("expand",), Phases())
    folder = declared(source(path="migrations/post_deployment/a.py"), (), Phases())

    assert own is not None
    assert not own.before_code
    assert own.where == "branch label `contract`"
    assert of_branch is not None
    assert of_branch.before_code
    assert folder is not None
    assert not folder.before_code
    assert folder.where == "folder `post_deployment`"


def test_the_words_of_a_project_replace_ours() -> None:
    phases = Phases(before=("early",), after=("late",))

    found = declared(source("phase = 'late'"), (), phases)

    assert found is not None
    assert not found.before_code
    assert declared(source("phase = 'post'"), (), phases) is None
