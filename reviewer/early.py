"""What a review starts before the rest of it is loaded: the project's interpreter takes longer than anything else to be
ready.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from reviewer.config import Config
from reviewer.errors import ReviewerError
from reviewer.host.guardian import Guardian
from reviewer.project.discovery import Tree, find_interpreter, find_trees
from reviewer.project.git import root_of
from reviewer.rehearsal.fork_server import forks
from reviewer.rehearsal.interpreter import RunnerProcess, environment


class Early(Struct, frozen=True):
    """What runs already."""

    trees: tuple[Tree, ...]
    guardian: Guardian
    runner: Callable[..., RunnerProcess]
    """Starts processes of the one interpreter, with the one environment, that all trees have."""


@contextlib.contextmanager
def started(config: Config, environ: Mapping[str, str]) -> Iterator[Early]:
    """Start what every review of `config` needs. Raises `ReviewerError` if there is no migration tree."""
    found = trees(config)
    with Guardian() as guardian, contextlib.ExitStack() as stack:
        try:
            command = find_interpreter(config.path, config.python, environ).command
        except ReviewerError:  # told if one is needed
            runner: Callable[..., RunnerProcess] = RunnerProcess
        else:
            first, seen = found[0], environment(environ, config.env, config.pass_env, "{url}")
            files = None if config.static else (first.config_file, first.toml_file)
            runner = forks(command, seen, first.directory, files, guardian, stack)
        yield Early(found, guardian, runner)


def trees(config: Config) -> tuple[Tree, ...]:
    """The migration trees that `config` names, or the one that is found."""
    return find_trees(config.path, config.configs, config.section, git_root=root_of(config.path))
