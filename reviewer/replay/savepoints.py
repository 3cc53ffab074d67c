"""What ROLLBACK undoes: the states that a transaction can be rolled back to, and the statements that are undone."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from reviewer.recording import Statement
from reviewer.sql.operations import Operation, TransactionControl

State = TypeVar("State")


class Savepoints(Generic[State]):
    """The states of the transaction that is open: the one in which it began, and one for each savepoint."""

    def __init__(self, state: State) -> None:
        self._states: list[tuple[str, State]] = [("", state)]

    def begin(self, state: State) -> None:
        """A new transaction begins."""
        self._states = [("", state)]

    def follow(self, operations: Iterable[Operation], now: State) -> State | None:
        """Apply the effect of a statement on its transaction, `now` being the state after it. Returns the state
        that it rolled back to; None if it did not.
        """
        back = None
        for operation in operations:
            match operation:
                case TransactionControl(action="savepoint", name=name):
                    self._states.append((name, now if back is None else back))
                case TransactionControl(action="release savepoint", name=name):
                    if (position := self._position(name)) is not None:
                        del self._states[position:]
                case TransactionControl(action="rollback to savepoint", name=name):
                    if (position := self._position(name)) is not None:
                        del self._states[position + 1 :]  # the savepoint itself stays
                        back = self._states[position][1]
                case TransactionControl(action="rollback"):
                    back = self._states[0][1]
                    self.begin(back)
                case TransactionControl(action="begin" | "commit"):
                    self.begin(now if back is None else back)
        return back

    def _position(self, name: str) -> int | None:
        """Of the last savepoint of that name: it hides earlier ones until it is released."""
        return next((n for n in range(len(self._states) - 1, 0, -1) if self._states[n][0] == name), None)


def undone(statements: Sequence[tuple[Statement, Sequence[Operation]]]) -> frozenset[int]:
    """The positions of the statements that a later one rolls back."""
    gone: set[int] = set()
    stack: Savepoints[int] = Savepoints(0)
    last: Hashable = None
    for position, (statement, operations) in enumerate(statements):
        transaction = transaction_of(statement, last, operations=operations)
        if transaction is None or transaction != last:
            stack.begin(position)
        last = transaction
        back = stack.follow(operations, position + 1) if statement.error is None else None
        gone.update(range(back, position) if back is not None else ())
    return frozenset(gone)


def transaction_of(
    statement: Statement, last: Hashable, unseen: Hashable = 0, operations: Iterable[Operation] = ()
) -> Hashable:
    """Which transaction a statement is part of; `last` is the one before it, `unseen` the one to use if it was not
    observed.

    A failed statement is not observed, and a ROLLBACK has ended when it is observed: both are part of what was open
    before.
    """
    if any(isinstance(each, TransactionControl) and each.action == "rollback" for each in operations):
        return last
    if statement.observation is not None:
        return statement.observation.transaction
    if not statement.in_transaction:
        return None
    return last if statement.error is not None and last is not None else unseen
