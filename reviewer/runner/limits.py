"""Limits on how much is reported. Longer data is cut here, and marked as cut. See docs/limits.md.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Python >= 3.8. With these limits, the memory of neither process depends on what a migration does.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reviewer.runner.sources import Place


LONGEST_SQL = 1000000
"""Characters of one statement."""
SQL_IN_ALL = 50000000
"""Characters of all statements of one command. Each statement after that is cut to SQL_AFTER_THAT."""
SQL_AFTER_THAT = 10000
SAME_LINE = 1000
"""The most statements of one line of a revision that are reported in one command. The others are only counted."""
LONGEST_MESSAGE = 2000
"""Characters of one message of the server, or of one exception."""
MESSAGES = 200
"""Messages of the server in one statement; separately from that, messages that say what it did to relations:"""
TELLING_MESSAGES = 2000
LONGEST_EVENT = 16 * 1024 * 1024
"""Bytes of one event. Nothing ordinary comes close."""

# The server's own messages about what a statement does. RAISE in a loop must not displace them.
_TELLING = re.compile(
    r"rewriting table|verifying table|validating foreign key|existing constraints|is implied by|building index"
    r"|cascades to|, skipping$|will be truncated"
)
_BORING = re.compile(r"pg_toast_|deduplication")


class Messages:
    """The server's messages during one statement, up to the limits."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.kept: list[str] = []
        self.plain = self.telling = self.left_out = 0

    def add(self, message: object) -> None:
        # cut before it is searched: it may have a hundred megabytes
        text = cut(message if isinstance(message, str) else "", LONGEST_MESSAGE)
        if _BORING.search(text):
            return
        telling = _TELLING.search(text) is not None
        if telling and self.telling < TELLING_MESSAGES:
            self.telling += 1
        elif not telling and self.plain < MESSAGES:
            self.plain += 1
        else:
            self.left_out += 1
            return
        self.kept.append(text)

    def take(self) -> list[str]:
        """Return all messages, and a note if there were more."""
        more = [f"{self.left_out} more messages were left out"] if self.left_out else []
        found = self.kept + more
        self.clear()
        return found


class Allowance:
    """What may still be reported in one command."""

    def __init__(self) -> None:
        self.sql = 0
        self.lines: dict[Place, int] = {}

    def cut(self, sql: str) -> tuple[str, int]:
        """Return `sql` or its beginning, and how many characters were left out."""
        longest = LONGEST_SQL if self.sql < SQL_IN_ALL else SQL_AFTER_THAT
        kept = sql[:longest]
        self.sql += len(kept)
        return kept, len(sql) - len(kept)

    def tells(self, place: Place) -> bool:
        """Return whether one more statement of `place` is reported."""
        count = self.lines.get(place, 0) + 1
        self.lines[place] = count
        return count <= SAME_LINE

    def only_counted(self) -> list[tuple[Place, int]]:
        """Return the places whose statements were not all reported, with their number of statements."""
        return [(place, count) for place, count in self.lines.items() if count > SAME_LINE]


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 4] + " ..."
