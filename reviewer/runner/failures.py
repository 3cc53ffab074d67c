"""Describes failures in the terms of the protocol.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from reviewer.runner import causes, drivers, limits
    from reviewer.runner.redirection import Expected
    from reviewer.runner.sources import Sources
else:  # loaded earlier by path, so the project cannot have modules with these names
    causes = sys.modules["_alembic_reviewer_causes"]
    limits = sys.modules["_alembic_reviewer_limits"]
    drivers = sys.modules["_alembic_reviewer_drivers"]
    Expected = sys.modules["_alembic_reviewer_redirection"].Expected


as_text, server_words = drivers.as_text, drivers.server_words


def why(error: BaseException, sources: Sources) -> dict[str, Any]:
    """Describe what went wrong, in the terms of the protocol."""
    raised, error = error, causes.without_groups(error)
    behind = list(causes.all_behind(error))
    reason = causes.reason(error, sources.is_ours)
    place, deliberate = sources.of_traceback(error)
    for other in (raised, reason):  # an exception in a group may never have been raised itself
        if place is None and other is not error:
            place, deliberate = sources.of_traceback(other)[0], False
    refused = causes.refused(reason)
    ours = next((each for each in behind if isinstance(each, Expected)), None)
    said_in_revision = False
    kind, sqlstate, worded, statement = "raised", None, "", None
    added: dict[str, str] = {}
    if ours is not None:
        kind, message, deliberate = ours.kind, str(ours), ours.deliberate
        if kind == "raised" and place is not None and place[0] == sources.env:
            place = None  # raised by the runner, and about the whole revision
        said_in_revision = kind == "raised"
    elif refused is not None:
        kind = "statement"
        message, sqlstate = server_words(refused)
        added = drivers.server_adds(refused)
        statement = next(filter(None, map(drivers.statement_of, behind)), None)
        if causes.refused(error) is None:
            worded = exit_of(error) if isinstance(error, SystemExit) else causes.told(error)
    elif isinstance(reason, ImportError):
        kind, message = "import", causes.on_one_line(causes.text_of(reason) or "") or causes.type_name(reason)
        if reason is not error:
            message = f"{message} ({causes.told(error)})"
    elif isinstance(error, SystemExit):
        kind, message = "exited", exit_of(error)
        sys.stdout.flush()  # what it has printed may say why
    else:
        message = words(error)
        handled = causes.being_handled(error)
        if handled is not None:
            message += f" (while this was handled: {server_words(causes.refused(handled))[0]})"
    if isinstance(error, NotImplementedError) and not raised_by_a_library(error):
        deliberate = True
    in_revision = place is not None and place[0] != sources.env
    caused = sources.caused_by(error)
    if kind == "raised" and not said_in_revision and not in_revision:
        kind = "environment"
    return {
        "kind": kind,
        "message": as_text(message, limits.LONGEST_MESSAGE),
        "path": as_text(place[0]) if place else None,
        "line": place[1] if place else None,
        "in_revision": in_revision,
        "caused_path": caused[0],
        "caused_line": caused[1],
        "sqlstate": sqlstate,
        "deliberate": bool(deliberate and kind == "raised"),
        "worded": as_text(worded, limits.LONGEST_MESSAGE),
        "statement": statement,
        "added": added,
    }


def words(error: BaseException) -> str:
    """Return the message of an exception, and of the exception that it was raised from."""
    original = causes.attribute(error, "orig")
    if isinstance(original, BaseException):  # SQLAlchemy's wrapper for a failure before anything was sent
        return causes.told(original)
    *_, last = causes.said_causes(error)
    return causes.told(error) if last is error else f"{causes.told(error)}, caused by {causes.told(last)}"


def exit_of(error: BaseException) -> str:
    code = causes.attribute(error, "code")
    known = code is None or isinstance(code, (int, str))
    return "sys.exit(%s) was called" % (repr(code)[:200] if known else causes.type_name(code))


def raised_by_a_library(error: BaseException) -> bool:
    """Return whether Alembic or SQLAlchemy reports that it cannot do something. That is not a statement of the
    revision.
    """
    tb, name = causes.traceback_of(error), ""
    while tb is not None:
        name, tb = tb.tb_frame.f_globals.get("__name__") or "", tb.tb_next
    return str(name).partition(".")[0] in ("alembic", "sqlalchemy")


def without_database(error: BaseException) -> BaseException:
    """Replace an error that is caused by the missing database by a plain message: offline, Alembic returns None or
    a mock.
    """
    text = causes.text_of(error) or ""
    if (isinstance(error, (AttributeError, TypeError)) and "NoneType" in text) or "MockConnection" in text:
        plain = Expected("raised", f"it reads the database, and offline there is none ({causes.told(error)})")
        return plain.with_traceback(error.__traceback__)
    return error


def absent(way: str) -> NoReturn:
    # `alembic revision` writes a downgrade(), so nobody forgets it: its absence is deliberate
    raise Expected("raised", f"the revision has no {way}()", deliberate=way == "downgrade")
