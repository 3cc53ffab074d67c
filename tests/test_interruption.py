"""A signal that meets a query: what fails while everything is cleaned up is not what the user is told."""

from __future__ import annotations

import signal

import pytest

from reviewer import cli
from reviewer.errors import ServerError


def _interrupted(number: int) -> None:
    """As a connection whose query was interrupted refuses the next one."""
    try:
        signal.raise_signal(number)
    finally:
        raise ServerError("another command is already in progress")


@pytest.mark.parametrize(
    ("number", "told", "status"),
    [
        (signal.SIGINT, "alembic-reviewer: interrupted\n", 130),
        (signal.SIGTERM, "alembic-reviewer: ended by SIGTERM\n", 143),
    ],
    ids=["SIGINT", "SIGTERM"],
)
def test_a_failure_on_the_way_out_does_not_hide_the_signal(
    number: int, told: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as raised, cli._Failures():
            _interrupted(number)
    finally:
        for each, handler in kept.items():
            signal.signal(each, handler)

    assert raised.value.code == status
    assert capsys.readouterr().err == told


def test_a_failure_without_a_signal_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised, cli._Failures():
        raise ServerError("It is gone.", "Start another one.")

    assert raised.value.code == 3
    assert capsys.readouterr().err == "alembic-reviewer: It is gone.\nStart another one.\n"
