"""Renders revisions as SQL without a database.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8.
"""

from __future__ import annotations

import contextlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from reviewer.runner import drivers, failures
    from reviewer.runner.commands import Runner
else:  # loaded earlier by path, so the project cannot have modules with these names
    drivers = sys.modules["_alembic_reviewer_drivers"]
    failures = sys.modules["_alembic_reviewer_failures"]


@contextlib.contextmanager
def replaced(*changes: tuple[Any, str, Any]) -> Iterator[None]:
    """Replace attributes of classes, and restore them at the end."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    try:
        for owner, name, value in changes:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def offline(runner: Runner, command: dict[str, Any]) -> None:
    """Render revisions as SQL, each by itself, so that one that cannot be rendered does not hide the others."""
    from alembic.ddl.impl import DefaultImpl
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import HeadMaintainer, MigrationStep

    state = {"inside": False}
    calls = []

    def static_output(impl: Any, text: str) -> None:
        if sys._getframe(1).f_code.co_name in ("emit_begin", "emit_commit"):  # Alembic's own BEGIN and COMMIT
            state["inside"] = sys._getframe(1).f_code.co_name == "emit_begin"
            return
        path, line, origin = runner.sources.location(sys._getframe())
        sql, left_out = runner.watcher.allowance.cut(text)
        rendered = {
            "sql": drivers.as_text(sql),
            "path": path,
            "line": line,
            "origin": origin,
            "inside": state["inside"],
        }
        runner.channel.emit(event="rendered", left_out=left_out, **rendered)

    def configure(context: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("connection") is None:
            kwargs["url"] = "postgresql://"
            kwargs["dialect_name"] = "postgresql"
            kwargs.pop("dialect_opts", None)
        return original_configure(context, *args, **kwargs)

    def fn(rev: Any, context: Any, script: Any) -> list[Any]:
        runner.sources.learn(script, runner.sources.env)
        calls.append(1)
        runner.channel.emit(
            event="mode",
            per_migration=bool(context.opts.get("transaction_per_migration")),
            transactional_ddl=bool(context.impl.transactional_ddl),
            dialect=context.dialect.name,
            driver="",
        )
        make = (
            MigrationStep.downgrade_from_script if command.get("downgrade") else MigrationStep.upgrade_from_script
        )
        way = "downgrade" if command.get("downgrade") else "upgrade"
        revisions = [script.get_revision(each) for each in command["revisions"]]
        for revision in revisions:
            if not hasattr(revision.module, way):
                setattr(revision.module, way, lambda: failures.absent(way))
        return [runner.wrapped(make(script.revision_map, each), swallow=True) for each in revisions]

    def stay(*_: Any) -> None:
        """Do nothing: without a database, there are no heads to update."""

    original_configure = EnvironmentContext.configure
    with replaced(
        (DefaultImpl, "static_output", static_output),
        (EnvironmentContext, "configure", configure),
        (HeadMaintainer, "update_to_step", stay),
    ):
        runner.env_py.run(fn, as_sql=True, starting_rev=None, destination_rev="head")
    runner.channel.emit(event="done", calls=len(calls), connected=0)
