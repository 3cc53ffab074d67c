"""What belongs to the whole server and not to one database: which state of it goes with which database.

Roles, memberships, tablespaces, other databases, ALTER SYSTEM: a clone of a database does not bring them back. So
every scratch database knows the state that it was left in, and whoever goes on in it finds that state. It is looked
at where somebody goes from one database to another, and brought back only where it is not the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol


class Keeper(Protocol):
    """Reads the state of a server, and brings another one back."""

    def take(self, databases: Mapping[str, int], current: str | None) -> Any:
        """The state now. `databases` are the scratch databases and their oids; `current` is the one that is in use."""
        ...

    def differ(self, now: Any, wanted: Any) -> bool:
        """Whether anything has to be brought back, to go on in another database than the one of `now`."""
        ...

    def restore(self, now: Any, wanted: Any, databases: Mapping[str, int], current: str) -> Iterable[str]:
        """Bring back `wanted`, for the database `current`. Returns what could not be brought back, a sentence each."""
        ...


class Shared:
    """The states of a server, one for each scratch database.

    The one in use is `current`; what happens to the server belongs to it until another one is entered.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._states: dict[str, object] = {}
        self._oids: dict[str, int] = {}
        self._now = self._initial = self._keeper.take({}, None)
        self.current: str | None = None
        """The scratch database in use."""

    def made(self, database: str, oid: int, template: str | None) -> None:
        """A scratch database was made, a clone of `template` where one is given."""
        self._oids[database] = oid  # before anybody looks: it is none of the project's
        if template is not None and template == self.current:
            self._look()
        self._states[database] = self._initial if template is None else self._states.get(template, self._initial)

    def dropped(self, database: str) -> None:
        """A scratch database is gone."""
        self._oids.pop(database, None)
        self._states.pop(database, None)
        if database == self.current:
            self.current = None

    def enter(self, database: str, before: Callable[[], None] = lambda: None) -> tuple[str, ...]:
        """Go on in `database`. `before` is called where another state has to be brought back.

        Returns what could not be brought back, a sentence each.
        """
        if database == self.current:
            return ()
        self._look()
        wanted = self._states[database]
        told: tuple[str, ...] = ()
        if self._keeper.differ(self._now, wanted):
            before()
            told = tuple(self._keeper.restore(self._now, wanted, self._oids, database))
            # where not all of it came back, what is there is not told as the next one's doing
            self._now = self._keeper.take(self._oids, database)
        self.current = database
        return told

    def _look(self) -> None:
        self._now = self._keeper.take(self._oids, self.current)
        if self.current is not None:
            self._states[self.current] = self._now
