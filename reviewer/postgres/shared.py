"""Server-wide objects, and which state of them belongs to which database.

Roles, memberships, tablespaces, other databases, ALTER SYSTEM: cloning a database does not restore them. So every
scratch database remembers the state that it was left in, and entering it restores that state. The state is read
when switching from one database to another, and restored only if it differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol


class Keeper(Protocol):
    """Reads the state of a server, and restores another one."""

    def take(self, databases: Mapping[str, int], current: str | None) -> Any:
        """Return the current state. `databases` are the scratch databases and their oids; `current` is the one in
        use.
        """
        ...

    def differ(self, now: Any, wanted: Any) -> bool:
        """Return whether anything must be restored to continue in another database than the one of `now`."""
        ...

    def restore(self, now: Any, wanted: Any, databases: Mapping[str, int], current: str) -> Iterable[str]:
        """Restore `wanted` for the database `current`. Returns what could not be restored, one sentence each."""
        ...


class Shared:
    """The states of a server, one for each scratch database.

    Changes to the server belong to the database in use, `current`, until another one is entered.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._states: dict[str, object] = {}
        self._oids: dict[str, int] = {}
        self._now = self._initial = self._keeper.take({}, None)
        self.current: str | None = None
        """The scratch database in use."""

    def adopted(self, database: str, oid: int, initial: Any) -> None:
        """Register a scratch database that already exists: the present state belongs to it, and `initial` was the
        state before.
        """
        self._oids[database] = oid
        self._initial = initial
        self.current = database
        self._look()

    def state(self) -> tuple[Any, Any]:
        """Return the initial state of the whole server, and the present one."""
        self._look()
        return self._initial, self._now

    def made(self, database: str, oid: int, template: str | None) -> None:
        """Register a new scratch database, a clone of `template` if one is given."""
        self._oids[database] = oid  # before the state is read: the database is not the project's
        if template is not None and template == self.current:
            self._look()
        self._states[database] = self._initial if template is None else self._states.get(template, self._initial)

    def dropped(self, database: str) -> None:
        """Forget a scratch database that was dropped."""
        self._oids.pop(database, None)
        self._states.pop(database, None)
        if database == self.current:
            self.current = None

    def enter(self, database: str, before: Callable[[], None] = lambda: None) -> tuple[str, ...]:
        """Continue in `database`. `before` is called if another state has to be restored.

        Returns what could not be restored, one sentence each.
        """
        if database == self.current:
            return ()
        self._look()
        wanted = self._states[database]
        told: tuple[str, ...] = ()
        if self._keeper.differ(self._now, wanted):
            before()
            told = tuple(self._keeper.restore(self._now, wanted, self._oids, database))
            # if not everything could be restored, the rest is not attributed to the next revision
            self._now = self._keeper.take(self._oids, database)
        self.current = database
        return told

    def _look(self) -> None:
        self._now = self._keeper.take(self._oids, self.current)
        if self.current is not None:
            self._states[self.current] = self._now
