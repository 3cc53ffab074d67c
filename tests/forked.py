"""Processes of the interpreter that runs the tests, forked as in a review, for as long as the tests run."""

from __future__ import annotations

import atexit
import contextlib
import functools
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from reviewer.host.guardian import Guardian
from reviewer.project.discovery import Interpreter
from reviewer.rehearsal.fork_server import ForkServer
from reviewer.rehearsal.interpreter import RunnerProcess
from reviewer.rehearsal.plan import Plan

INTERPRETER = Interpreter((sys.executable,), "the one that runs this")


def forking(plan: Plan) -> Plan:
    """The plan with processes that are forked."""
    assert plan.interpreter == INTERPRETER.command
    return replace(plan, runner=runner(**plan.environ))


@functools.cache
def runner(**environ: str) -> Callable[..., RunnerProcess]:
    """Starts a process that has the variables of `environ`."""
    return _stack().enter_context(ForkServer(INTERPRETER.command, environ, Path("/"), _guardian())).start


@functools.cache
def _guardian() -> Guardian:
    return _stack().enter_context(Guardian())


@functools.cache
def _stack() -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack
