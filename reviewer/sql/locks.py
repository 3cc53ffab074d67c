"""Table-level lock modes: their names, which conflict with which, and what each one blocks.

Source: <https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES>.
"""

from __future__ import annotations

from enum import Enum


class LockMode(Enum):
    """A table-level lock mode in the manual's spelling, weakest first; comparable by strength."""

    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @classmethod
    def from_pg_locks(cls, name: str) -> LockMode:
        """The mode that `pg_locks.mode` calls `name`, for example `AccessExclusiveLock`.

        Raises `ValueError` for a name that is not a table-level lock mode.
        """
        try:
            return _BY_PG_LOCKS_NAME[name]
        except KeyError:
            raise ValueError(f"{name!r} is not a table-level lock mode") from None

    @property
    def pg_locks_name(self) -> str:
        """The name of this mode in `pg_locks.mode`."""
        return self.value.title().replace(" ", "") + "Lock"

    def conflicts_with(self, other: LockMode) -> bool:
        """Whether two sessions cannot hold this mode and `other` on one table at the same time."""
        return other in _CONFLICTS[self]

    def includes(self, other: LockMode) -> bool:
        """Whether a transaction that holds this mode gets `other` on the same table without waiting: nobody else can
        hold what conflicts with it.
        """
        return _CONFLICTS[other] <= _CONFLICTS[self]

    @property
    def blocks_reads(self) -> bool:
        """Whether a plain SELECT waits while this mode is held."""
        return self.conflicts_with(LockMode.ACCESS_SHARE)

    @property
    def blocks_writes(self) -> bool:
        """Whether INSERT, UPDATE and DELETE wait while this mode is held."""
        return self.conflicts_with(LockMode.ROW_EXCLUSIVE)

    @property
    def blocks(self) -> str:
        """What waits while this mode is held, as a phrase: `reads and writes`, `writes`, or empty."""
        if self.blocks_reads:
            return "reads and writes"
        return "writes" if self.blocks_writes else ""

    @property
    def strength(self) -> int:
        """Position in the manual's list, for `max()` and comparisons."""
        return _ORDER[self]

    def __lt__(self, other: LockMode) -> bool:
        return self.strength < other.strength

    def __le__(self, other: LockMode) -> bool:
        return self.strength <= other.strength

    def __str__(self) -> str:
        return self.value


_ORDER = {mode: position for position, mode in enumerate(LockMode)}
_BY_PG_LOCKS_NAME = {mode.pg_locks_name: mode for mode in LockMode}
_A, _RS, _RX, _SUX, _S, _SRX, _X, _AX = LockMode
_CONFLICTS: dict[LockMode, frozenset[LockMode]] = {
    _A: frozenset({_AX}),
    _RS: frozenset({_X, _AX}),
    _RX: frozenset({_S, _SRX, _X, _AX}),
    _SUX: frozenset({_SUX, _S, _SRX, _X, _AX}),
    _S: frozenset({_RX, _SUX, _SRX, _X, _AX}),
    _SRX: frozenset({_RX, _SUX, _S, _SRX, _X, _AX}),
    _X: frozenset({_RS, _RX, _SUX, _S, _SRX, _X, _AX}),
    _AX: frozenset(LockMode),
}
