"""The private channel to the reviewer.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8.
"""

from __future__ import annotations

import json
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from reviewer.runner import causes, drivers, limits
else:  # loaded earlier by path, so the project cannot have modules with these names
    causes = sys.modules["_alembic_reviewer_causes"]
    limits = sys.modules["_alembic_reviewer_limits"]
    drivers = sys.modules["_alembic_reviewer_drivers"]


class Channel:
    """The private channel to the reviewer. Its descriptor is moved to where `os.closerange` is unlikely to reach."""

    def __init__(self, number: int) -> None:
        try:
            import fcntl
            import resource

            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            high = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, max(64, min(soft, 65536) - 16))
            os.close(number)
            number = high
        except (ImportError, OSError, ValueError):
            os.set_inheritable(number, False)
        self.socket = socket.socket(fileno=number)
        self.pid = os.getpid()
        self.rest = b""
        self.held = b""  # sent together with the next event
        self.encode = json.JSONEncoder(ensure_ascii=True, default=causes.text_of).encode
        self.settle: Callable[[], None] | None = None  # called before the last event of a command
        self.seal, self.number = "", 0

    def emit(self, **event: Any) -> None:
        self.hold(**event)
        self.flush()

    def hold(self, **event: Any) -> None:
        """Send `event` together with the next one, which follows within a moment: the reviewer wakes up once for
        both.
        """
        if os.getpid() != self.pid:  # a forked child of the migration has nothing to send
            return
        if self.settle and event["event"] in ("done", "failed"):
            self.settle()
        self.held += self.line(event)

    def line(self, event: Any) -> bytes:
        """Return the event as a line. An event that is too large, too deep or not JSON is replaced by one that says
        so.
        """
        try:
            text = self.encode(event)
            if "\\ud" in text:  # may be a lone surrogate, as in a file name that is not UTF-8
                text = self.encode(whole(event))
            trouble = f"it has {len(text)} bytes" if len(text) > limits.LONGEST_EVENT else None
        except Exception as error:  # its content belongs to the project
            trouble = f"it is no JSON ({causes.type_name(error)})"
        if trouble is not None:
            text = self.encode({"event": "lost", "what": event["event"], "reason": trouble})
        self.number += 1
        return f"{self.seal} {self.number} {text}\n".encode("ascii")

    def flush(self) -> None:
        data, self.held = self.held, b""
        try:
            self.socket.sendall(data)
        except OSError:
            os._exit(70)  # the reviewer is gone, or the migration has closed the channel

    def receive(self) -> dict[str, Any] | None:
        while b"\n" not in self.rest:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line.decode("utf-8"))
        return message


def whole(value: Any) -> Any:
    """Return `value` with lone surrogates in every text escaped."""
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [whole(each) for each in value]
    return drivers.as_text(value) if isinstance(value, str) else value
