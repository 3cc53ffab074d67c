"""Which files are migrations, and which of their lines caused something.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8.
"""

from __future__ import annotations

import linecache
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType
    from typing import Any, Optional, Tuple

    from reviewer.runner import causes

    Place = Tuple[Optional[str], Optional[int], str]
    """File, line and origin of a statement."""
else:  # loaded earlier by path, so the project cannot have modules with these names
    causes = sys.modules["_alembic_reviewer_causes"]


# Python's own files and the reviewer's: they change only with the version, which is known
OUTSIDE = tuple(
    {os.path.dirname(os.path.realpath(__file__)) + os.sep, os.path.dirname(os.path.realpath(os.__file__)) + os.sep}
)


class Batch(list):  # type: ignore[type-arg]  # it is not generic before Python 3.9
    """The operations of one `op.batch_alter_table`, each with its line. They are sent together when the block ends."""

    def __init__(self, sources: Sources) -> None:
        list.__init__(self)
        self.sources = sources
        self.places: list[Place] = []
        self.current: Place | None = None  # the line of the operation that is being sent

    def append(self, operation: Any) -> None:
        self.places.append(self.sources.location(sys._getframe()))
        list.append(self, operation)

    def __iter__(self) -> Iterator[Any]:
        for operation, place in zip(list.__iter__(self), self.places):
            self.current = place
            yield operation
        self.current = None


class Sources:
    """Knows which files are revision files, and finds the line of one that caused something."""

    def __init__(self) -> None:
        self.folders: tuple[str, ...] = ()
        self.env = ""
        self.here = ""
        self.cache: dict[str, tuple[bool, str]] = {}
        self.flush: CodeType | None = None  # the code that sends the operations of a batch

    def follow_batches(self) -> None:
        from alembic.operations.batch import BatchOperationsImpl

        changed: Any = BatchOperationsImpl
        original, sources = changed.__init__, self

        def begin(batch: Any, *args: Any, **kwargs: Any) -> None:
            original(batch, *args, **kwargs)
            batch.batch = Batch(sources)

        changed.__init__ = begin
        self.flush = BatchOperationsImpl.flush.__code__

    def asked_for_by(self, frame: FrameType) -> Place | None:
        """Return the place of the operation that a batch is sending, if `frame` is the one that sends it; None
        otherwise.
        """
        if frame.f_code is not self.flush:
            return None
        place = getattr(frame.f_locals["self"].batch, "current", None)
        return place if place and place[2] == "revision" else None

    def is_ours(self, filename: str) -> bool:
        """Return whether a file is one of the project's migrations, or its env.py."""
        revision, real = self.is_revision(filename)
        return revision or real == self.env

    def learn(self, script: Any, env: str, final: bool = True) -> None:
        """Learn the folders of the revisions and the path of env.py.

        `final` means that env.py has run. Before that, Alembic's own property must not be read, because it caches
        its value.
        """
        locations = getattr(script, "_version_locations", None) if final else None
        locations = locations or getattr(script, "version_locations", None)
        if not isinstance(locations, (list, tuple)) or not locations:
            locations = [os.path.join(str(script.dir), "versions")]
        before = self.folders, self.env, self.here
        self.folders = tuple(
            os.path.realpath(os.path.abspath(str(folder))) + os.sep for folder in locations if folder
        )
        self.env = os.path.realpath(os.path.abspath(env))
        self.here = os.getcwd()
        if before != (self.folders, self.env, self.here):
            self.cache = {}

    def is_revision(self, filename: str) -> tuple[bool, str]:
        known = self.cache.get(filename)
        if known is None:
            real = os.path.realpath(os.path.abspath(filename))
            known = self.cache[filename] = (real.startswith(self.folders) if self.folders else False, real)
        return known

    def location(self, frame: FrameType | None) -> Place:
        """Return (path, line, origin) of the innermost frame in a revision file. Outside of one, path and line are
        None, and the origin is env.py or Alembic.
        """
        env_line, through_alembic = None, False
        while frame is not None:
            filename = frame.f_code.co_filename
            revision, real = self.is_revision(filename)
            if revision:
                return real, frame.f_lineno, "revision"
            in_batch = self.asked_for_by(frame)
            if in_batch:
                return in_batch
            if real == self.env and env_line is None and not through_alembic:
                env_line = frame.f_lineno
            if frame.f_code.co_name == "run_migrations" and "alembic" in filename:
                through_alembic = True
            frame = frame.f_back
        if env_line is not None:
            return None, None, "environment"
        return None, None, "alembic" if through_alembic else "environment"

    def caused_by(self, error: BaseException) -> tuple[str | None, int | None]:
        """Return (path, line) of the innermost frame in a revision file, even if a function that it called raised
        the error.
        """
        found, tb = None, causes.traceback_of(error)
        while tb is not None:
            revision, real = self.is_revision(tb.tb_frame.f_code.co_filename)
            found = (real, tb.tb_lineno) if revision else self.asked_for_by(tb.tb_frame) or found
            tb = tb.tb_next
        return found[:2] if found else (None, None)

    def way_out(self, frame: FrameType | None, until: CodeType) -> tuple[int | None, list[str]]:
        """Return the line of env.py from which `frame` was reached, and the files that an error passes through on
        its way out, up to the code `until`.
        """
        line, files = None, {}
        while frame is not None:
            _, real = self.is_revision(frame.f_code.co_filename)
            if real == self.env:
                line = line or frame.f_lineno
            elif os.sep + "site-packages" + os.sep not in real and os.path.isfile(real):
                files[real] = True
            if frame.f_code is until:
                break
            frame = frame.f_back
        return line, [name for name in list(files)[:100] if not name.startswith(OUTSIDE)]

    def of_traceback(self, error: BaseException) -> tuple[tuple[str, int] | None, bool]:
        """Return (path, line) of the innermost frame in a revision file or env.py, and whether the error was raised
        by a `raise` on that line.
        """
        found: tuple[str, int] | None = None
        innermost = None
        tb = causes.traceback_of(error)
        while tb is not None:
            filename = tb.tb_frame.f_code.co_filename
            revision, real = self.is_revision(filename)
            if revision or real == self.env:
                found = (real, tb.tb_lineno)
            asked = self.asked_for_by(tb.tb_frame)
            if asked is not None:
                found = (str(asked[0]), asked[1] or 0)
            innermost = (real, tb.tb_lineno)
            tb = tb.tb_next
        there = found is not None and found == innermost
        # the migration may have replaced its file with a pipe, which would block when opened
        readable = found is not None and there and os.path.isfile(found[0])
        said = linecache.getline(*found).strip() if found and readable else ""
        return found, said.startswith("raise")
