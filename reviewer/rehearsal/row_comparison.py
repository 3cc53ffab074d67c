"""Compares the rows of a few tables, by key and column, across the round trip."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from reviewer.recording import Catalogue, Loss, Table
from reviewer.rehearsal.catalogue_snapshot import read_plainly
from reviewer.sql.names import Name, quoted

if TYPE_CHECKING:
    from psycopg import Connection

_MOST = 500
"""The most rows of a table that are compared. In a table without a key, rows have no order, so all are compared or
none."""
_DIGITS = 1000
"""An integer of more digits is read as a `Decimal`, because Python refuses to convert it."""
_SHOWN = 60
_ROW = "alembic_reviewer_row"
"""The alias of the row in a query. A column of the same name would take precedence, so it is a name that no project
uses."""

Row = Mapping[str, object]
_Keyed = Mapping[tuple[object, ...], Row]


class Rows(Struct, frozen=True):
    """The rows of one table."""

    table: Name
    key: tuple[str, ...]
    """The columns that identify a row. Empty if there are none; rows are then compared in their order."""
    rows: tuple[Row, ...]

    def keyed(self) -> dict[tuple[object, ...], Row] | None:
        """Return the rows by key; None if the key does not distinguish them."""
        if not self.key or any(column not in row for row in self.rows[:1] for column in self.key):
            return None
        found = {tuple(_comparable(row[column]) for column in self.key): row for row in self.rows}
        return found if len(found) == len(self.rows) else None


def read(
    connection: Connection[tuple[object, ...]], catalogue: Catalogue, tables: Iterable[Name]
) -> tuple[Rows, ...]:
    """Read the rows of those of `tables` that exist, as JSON values. Of a large table, the first rows by key are
    read. A table that cannot be read, and a large one without a key, is left out.
    """
    wanted = [table for name in tables if (table := catalogue.table(name)) is not None]
    keys = [_key(table) for table in wanted]
    found = []
    with read_plainly(connection):
        answers = _answers(connection, [*map(_query, wanted, keys)])
    for table, key, answer in zip(wanted, keys, answers, strict=True):
        if answer is not None and (key or len(answer) <= _MOST):
            found.append(Rows(table.name, key, tuple(_decoded(str(text)) for (text,) in answer[:_MOST])))
    return tuple(found)


def _answers(
    connection: Connection[tuple[object, ...]], queries: Sequence[str]
) -> Sequence[Sequence[tuple[object, ...]] | None]:
    """Run `queries` in one round trip. If one of them fails, each by itself, and it gets None."""
    import psycopg

    if not queries:
        return ()
    try:
        with connection.transaction():
            cursor = connection.execute(";\n".join(queries).encode())
            answers = [cursor.fetchall()]
            while cursor.nextset():
                answers.append(cursor.fetchall())
            return answers
    except psycopg.Error:
        if len(queries) == 1:
            return (None,)
    return [answer for query in queries for answer in _answers(connection, [query])]


def _query(table: Table, key: Sequence[str]) -> str:
    only = "" if table.kind == "partitioned table" else "ONLY "
    order = ", ".join(f"{_ROW}.{quoted(column)}" for column in key)
    if not order:
        # each partition has its own ctids
        order = f"({_ROW}.*)::text" if table.kind == "partitioned table" else f"{_ROW}.ctid"
    row = f"pg_catalog.to_jsonb({_ROW}.*)::text"  # the alias alone could be taken for a column
    return f"SELECT {row} FROM {only}{table.name.sql} {_ROW} ORDER BY {order} LIMIT {_MOST + 1}"


def compare(before: Iterable[Rows], after: Iterable[Rows], written: Iterable[Rows] = ()) -> tuple[Loss, ...]:
    """Return what rows that existed `before` have lost. New rows and new columns are not losses. `written` are
    those of the new rows that are known to be new.

    A column or a table that is missing as a whole is a difference of the catalogue, and is not reported here.
    """
    now = {rows.table: rows for rows in after}
    ours = {rows.table: rows.rows for rows in written}
    found: list[Loss] = []
    for rows in before:
        if rows.table in now and rows.rows:
            found += _compared(rows, now[rows.table], ours.get(rows.table, ()))
    return tuple(found)


def added(before: Iterable[Rows], after: Iterable[Rows]) -> tuple[Rows, ...]:
    """Return the rows that exist only `after`."""
    old = {rows.table: rows for rows in before}
    return tuple(Rows(rows.table, rows.key, _added(old[rows.table], rows)) for rows in after if rows.table in old)


def survivors(
    base: Iterable[Rows], upgraded: Iterable[Rows], written: Iterable[Rows], after: Iterable[Rows]
) -> tuple[Loss, ...]:
    """Return what rows lost that were written between the upgrade and the downgrade.

    The four states are, in order: before the upgrade, after it, with the written rows, after the downgrade. Only
    columns whose values the upgrade has not changed count: a converted value would look lost.
    """
    tables = [{rows.table: rows for rows in state} for state in (base, upgraded, written, after)]
    found: list[Loss] = []
    for name, last in tables[3].items():
        if not all(name in state for state in tables):
            continue
        first, up, full = (state[name] for state in tables[:3])
        if any(len(each.rows) >= _MOST for each in (first, up, full, last)):
            continue  # only a part of a larger table is known, and which part may change
        columns = _left_alone(first, up)
        new = _added(up, full)
        if new and columns:
            # a downgrade may merge the values of new columns into old ones
            alone = set(_columns(full)) <= set(_columns(first))
            told = _lost(_only(Rows(name, full.key, new), columns), _only(last, columns))
            found += [replace(loss, allowed_before=alone) for loss in told]
    return tuple(found)


def lost(rows: Iterable[Rows], after: Iterable[Rows]) -> tuple[Loss, ...]:
    """Return what `rows`, which are part of the rows that existed, have lost."""
    now = {each.table: each for each in after}
    return tuple(loss for each in rows if each.table in now for loss in _lost(each, now[each.table]))


def changed(before: Iterable[Rows], after: Iterable[Rows]) -> tuple[Rows, ...]:
    """Return the rows `after`, matched by key, that differ from `before`, reduced to the key and the columns that
    differ.
    """
    old = {rows.table: rows.keyed() for rows in before}
    found = []
    for rows in after:
        known, now = old.get(rows.table), rows.keyed()
        if not known or not now:
            continue
        for key, row in now.items():
            was = known.get(key)
            columns = {c for c, value in row.items() if was is not None and not _equal(was.get(c), value)}
            if columns:
                found.append(_only(Rows(rows.table, rows.key, (row,)), columns | set(rows.key)))
    return tuple(found)


def taken_back(after: Iterable[Rows], before: Iterable[Rows], written: Iterable[Rows]) -> tuple[Rows, ...]:
    """Return `after` with the values that rows had `before` others were `written` over them, a trigger's too, as far as
    the written ones are still there.
    """
    old, new = ({rows.table: rows for rows in state} for state in (before, written))
    found = []
    for rows in after:
        last = new.get(rows.table)
        was = old[rows.table].keyed() if last is not None and rows.table in old else None
        wrote = last.keyed() if last is not None else None
        if (
            last is None
            or not was
            or not wrote
            or any(each not in row for each in last.key for row in rows.rows[:1])
        ):
            found.append(rows)
            continue
        made = []
        for row in rows.rows:
            key = tuple(_comparable(row[column]) for column in last.key)
            ours = wrote.get(key, {})
            restored = {
                column: value
                for column, value in was.get(key, {}).items()
                if column in row
                and column in ours
                and not _equal(value, ours[column])
                and _equal(row[column], ours[column])
            }
            made.append({**row, **restored})
        found.append(Rows(rows.table, rows.key, tuple(made)))
    return tuple(found)


def _left_alone(before: Rows, after: Rows) -> frozenset[str]:
    """Return the columns that hold the same values before and after the upgrade, as far as there are rows to
    compare.
    """
    both = [column for column in _columns(before) if column in _columns(after)]
    old, new = before.keyed(), Rows(after.table, before.key, after.rows).keyed()
    if old is None or new is None:
        return frozenset(both if _same(before, after) else ())
    pairs = [(row, new[key]) for key, row in old.items() if key in new]
    if not pairs:
        return frozenset()
    return frozenset(column for column in both if all(_equal(a[column], b[column]) for a, b in pairs))


def _added(before: Rows, after: Rows) -> tuple[Row, ...]:
    """Return the rows that are only in `after`."""
    old, new = before.keyed(), after.keyed()
    if old is not None and new is not None:
        return tuple(row for key, row in new.items() if key not in old)
    return tuple(_more(after, before))


def _more(rows: Rows, others: Rows) -> list[Row]:
    """Return those of `rows` that are not among `others`, compared by the columns of `rows`."""
    columns = _columns(rows)
    left = Counter(_whole(row, columns) for row in others.rows)
    found = []
    for row in rows.rows:
        whole = _whole(row, columns)
        if left[whole]:
            left[whole] -= 1
        else:
            found.append(row)
    return found


def _columns(rows: Rows) -> tuple[str, ...]:
    return tuple(rows.rows[0]) if rows.rows else ()


def _only(rows: Rows, columns: Set[str]) -> Rows:
    kept = tuple({name: value for name, value in row.items() if name in columns} for row in rows.rows)
    return Rows(rows.table, rows.key if set(rows.key) <= columns else (), kept)


def _compared(before: Rows, after: Rows, written: Sequence[Row]) -> list[Loss]:
    old = before.keyed()
    new = Rows(after.table, before.key, after.rows).keyed() if old is not None else None
    if old is not None and new is not None and old.keys() & new.keys():
        new = _without(new, Rows(before.table, before.key, (*written,)).keyed() or {}, old)
        seen = list(old)
        if len(after.rows) >= _MOST:  # rows with a higher key than the last one that was read may still exist
            seen = seen[: max((n for n, key in enumerate(seen, 1) if key in new), default=None)]
        pairs = [(old[key], new[key]) for key in seen if key in new]
        return _told(before, pairs, [old[key] for key in seen if key not in new])
    return _told(before, *_matched(before, after, written))


def _without(new: _Keyed, written: _Keyed, old: _Keyed) -> dict[tuple[object, ...], Row]:
    """Return `new` without the rows that were `written` under a key that had become free."""
    return {
        key: row
        for key, row in new.items()
        if key not in old or key not in written or not _agree(row, written[key]) or _agree(old[key], written[key])
    }


def _agree(one: Row, other: Row) -> bool:
    return all(_equal(one[column], other[column]) for column in one.keys() & other.keys())


def _matched(before: Rows, after: Rows, written: Sequence[Row]) -> tuple[list[tuple[Row, Row]], list[Row]]:
    """Match rows that no key identifies. Returns the pairs, and the rows that are missing.

    Matches equal rows first, then rows that are equal in the columns that have lost no value, then the rest in
    order.
    """
    now = _columns(after)
    common = [column for column in _columns(before) if column in now]
    pairs, left, rest = _alike(before.rows, after.rows, common)
    if written:
        known = [column for column in written[0] if column in now]
        _, _, rest = _alike(written, rest, before.key if set(before.key) <= {*known} and before.key else known)
    kept = [c for c in common if not Counter(_whole(r, [c]) for r in left) - Counter(_whole(r, [c]) for r in rest)]
    if kept:
        more, left, rest = _alike(left, rest, kept)
        pairs += more
    if len(left) == len(rest):
        return [*pairs, *zip(left, rest, strict=True)], []
    return pairs, left


def _alike(
    rows: Iterable[Row], others: Iterable[Row], columns: Sequence[str]
) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Pair each of `rows` with one of `others` that is equal in `columns`. Returns the pairs, those of `rows`
    without a match, and the rest of `others`.
    """
    waiting: dict[str, list[int]] = {}
    listed = list(others)
    for n in reversed(range(len(listed))):
        waiting.setdefault(_whole(listed[n], columns), []).append(n)
    pairs, without, used = [], [], set()
    for row in rows:
        same = waiting.get(_whole(row, columns))
        if same:
            used.add(n := same.pop())
            pairs.append((row, listed[n]))
        else:
            without.append(row)
    return pairs, without, [other for n, other in enumerate(listed) if n not in used]


def _lost(part: Rows, after: Rows) -> list[Loss]:
    """Compare rows that are only part of the table. If no key identifies them, they must exist unchanged."""
    old, new = part.keyed(), Rows(after.table, part.key, after.rows).keyed()
    if old is None or new is None:
        return _told(part, [], _more(part, after))
    pairs = [(row, new[key]) for key, row in old.items() if key in new]
    whole = len(after.rows) < _MOST
    return _told(part, pairs, [row for key, row in old.items() if key not in new and whole])


def _told(before: Rows, pairs: Sequence[tuple[Row, Row]], gone: Sequence[Row]) -> list[Loss]:
    table = str(before.table)
    found = [Loss(table, None, len(gone), len(before.rows), _shown(gone[0]), None)] if gone else []
    for column in _columns(before):
        changed = [(a[column], b[column]) for a, b in pairs if column in b and not _equal(a[column], b[column])]
        if changed:
            # an old value that is NULL is the least informative example
            old_value, new_value = next((pair for pair in changed if pair[0] is not None), changed[0])
            found.append(Loss(table, column, len(changed), len(pairs), _shown(old_value), _shown(new_value)))
    return found


def _same(before: Rows, after: Rows) -> bool:
    columns = _columns(before)
    return Counter(_whole(row, columns) for row in before.rows) == Counter(
        _whole(row, columns) for row in after.rows
    )


def _whole(row: Row, columns: Sequence[str]) -> str:
    return json.dumps({name: _comparable(row.get(name)) for name in columns}, default=str, sort_keys=True)


def _key(table: Table) -> tuple[str, ...]:
    """Return the primary key, or the columns of a unique constraint or index that cannot hold NULL; empty if there
    is none.
    """
    for constraint in table.constraints:
        if constraint.kind == "primary key":
            return constraint.columns
    required = {column.name for column in table.columns if not column.nullable}
    for index in table.indexes:
        if index.unique and index.columns and set(index.columns) <= required and " WHERE " not in index.definition:
            return index.columns
    return ()


def _comparable(value: object) -> object:
    """Normalize a value so that equal meanings compare equal: 1, 1.0 and '1' as a key, JSON documents in any
    spelling.
    """
    match value:
        case str() | bool() | None:
            return value
        case int():
            return str(value)
        case Decimal():
            return _number(value)
        case dict() | list():
            return json.dumps(value, sort_keys=True, default=_number)
        case _:
            return value


def _number(value: Decimal) -> str:
    """Format with all digits, without insignificant zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _equal(one: object, other: object) -> bool:
    if one == other:
        return True
    if isinstance(one, str) and isinstance(other, str):
        return one.rstrip() == other.rstrip() or _moment(one) == _moment(other)
    if one is None or other is None or isinstance(one, bool) or isinstance(other, bool):
        return False
    return str(_comparable(one)) == str(_comparable(other)) or _parsed(one) == _parsed(other)


def _parsed(value: object) -> object:
    """Parse a JSON document that is stored as text; return any other value unchanged."""
    if isinstance(value, str) and value[:1] in "{[":
        try:
            return _decoded(value)
        except ValueError:
            return value
    return value


def _decoded(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=_integer)


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _DIGITS else Decimal(text)


def _moment(text: str) -> str:
    return text.removesuffix("+00:00").replace("T", " ")


def _shown(value: object) -> str | None:
    if value is None:
        return None
    text = str(value) if isinstance(value, str | Decimal) else json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
