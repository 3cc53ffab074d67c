"""How the events of a command are put into the recording's words, whatever the revision has done to its own files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.command import revision
from tests.runner.conftest import Project

A_PIPE_IN_ITS_PLACE = "os.unlink(__file__)\nos.mkfifo(__file__)\n"


@pytest.mark.parametrize("raised", ["RuntimeError('no')", "NotImplementedError('no')"])
def test_a_revision_that_puts_a_pipe_in_its_own_place_is_not_waited_for(
    raised: str, make: Callable[..., Project]
) -> None:
    run = make(revision("b", "a", f"{A_PIPE_IN_ITS_PLACE}raise {raised}")).run(do="upgrade", to=["b"])

    assert run.failure is not None
    assert raised.replace("('", ": ").rstrip("')") in run.failure.message
    assert run.failure.location is not None
    assert run.failure.location.line == 14
    assert not run.always
    assert not run.final
