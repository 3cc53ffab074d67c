"""The INSERT that fills one table. The server generates and checks the rows, in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from reviewer.rows import candidates, values
from reviewer.rows.shape import Field, Key, Schema, Shape
from reviewer.sql.names import quoted

_PARENTS = 1000
"""The most parent rows that are distinguished."""


class NoParents(Exception):
    """A table refers to one that has no rows. The message names it."""


class Way(Struct, frozen=True):
    """How to fill a table."""

    rows: int
    first: int = 1
    """Number of the first row."""
    judged: bool = False
    """Whether to choose candidates that the CHECK constraints accept."""
    required_only: bool = False
    """Whether to leave out everything optional."""
    later: frozenset[str] = frozenset()
    """Foreign keys that are set after the table that they refer to is filled."""
    left_out: frozenset[str] = frozenset()
    """Columns for which the server cannot produce a value."""
    one_by_one: bool = False
    """Whether to insert row by row, so that a rejected row does not prevent the others."""


class _Parts(Struct):
    joins: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    """The expression of each column that is already determined."""


def statement(schema: Schema, table: Shape, counts: Mapping[int, int], way: Way) -> str:
    """Return the statement that inserts `way.rows` rows into `table`. `counts` has the number of rows by oid of the
    table.

    Raises `NoParents` if a table that it must refer to has no rows.
    """
    parts = _Parts()
    fields = [each for each in table.fields if each.generated is None]
    _foreign_keys(schema, table, counts, way, parts)
    for each in fields:
        if each.name not in parts.known and each.counts is not None:
            parts.known[each.name] = each.counts
    _own_keys(schema, table, way, parts)
    plain = {each.name: _ordinary(schema, table, each, way) for each in fields if each.name not in parts.known}
    parts.known |= {name: expression for name, expression in plain.items() if expression is not None}
    series = way.rows
    if way.judged and not way.one_by_one:
        series = max(way.rows * 8, 50)
    if way.judged:
        _components(schema, table, parts)
    named = [(quoted(each.name), parts.known[each.name]) for each in fields if each.name in parts.known]
    target = table.name.sql
    overriding = " OVERRIDING SYSTEM VALUE" if any(each.sequence for each in fields) else ""
    columns = f" ({', '.join(name for name, _ in named)})" if named else ""
    first, last = str(way.first), str(way.first + series - 1)
    if way.one_by_one:
        first = last = _ROW
    chosen = ", ".join(value for _, value in named)
    made = f"SELECT {chosen} FROM pg_catalog.generate_series({first}, {last}) AS s (g)" + "".join(
        f"\n{j}" for j in parts.joins
    )
    if not named:
        made, columns = "DEFAULT VALUES", ""
    insert = f"INSERT INTO {target}{columns}{overriding if named else ''} {made}"
    if way.one_by_one:
        return _loop(insert, way)
    limit = f" LIMIT {way.rows}" if named else ""
    return f"{insert}{limit} ON CONFLICT DO NOTHING"


def set_later(schema: Schema, table: Shape, key: Key, counts: Mapping[int, int]) -> str | None:
    """Return the UPDATE that sets a foreign key that could not be set at once; None if there is nothing to refer
    to.
    """
    parent = schema.table(key.referenced)
    count = min(counts.get(key.referenced, 0), _PARENTS)
    if parent is None or not count:
        return None
    settled = {column for other in table.keys if other.name != key.name for column in other.columns}
    settled |= {f.name for f in table.fields if f.counts is not None}
    settled |= {column for columns in table.unique for column in columns if set(key.columns) - set(columns)}
    free = [(c, n) for n, c in enumerate(key.columns) if c not in settled]
    if not free:
        return None
    which = "me.n / 2" if parent.oid == table.oid else f"1 + (me.n - 1) % {count}"
    same = "".join(f" AND p.k{n} = t.{quoted(c)}" for n, c in enumerate(key.columns) if c in settled)
    if same:
        which = "p.n"
    setting = ", ".join(f"{quoted(c)} = p.k{n}" for c, n in free)
    return (
        f"UPDATE ONLY {table.name.sql} t SET {setting}"
        f" FROM (SELECT ctid AS place, pg_catalog.row_number() OVER (ORDER BY ctid) AS n FROM ONLY {table.name.sql}) me,"
        f" {_parents(parent, key)} p WHERE me.place = t.ctid AND p.n = {which}{same}"
    )


def orphans(schema: Schema, table: Shape, key: Key) -> str:
    """Return the DELETE of rows whose foreign key refers to no row."""
    parent = schema.table(key.referenced)
    assert parent is not None
    pairs = list(zip(key.columns, key.referenced_columns, strict=True))
    matches = " AND ".join(f"p.{quoted(to)} = t.{quoted(column)}" for column, to in pairs)
    given = " AND ".join(f"t.{quoted(column)} IS NOT NULL" for column, _ in pairs)
    return (
        f"DELETE FROM ONLY {table.name.sql} t WHERE {given}"
        f" AND NOT EXISTS (SELECT FROM {_source(parent)} p WHERE {matches})"
    )


_ROW = "alembic_reviewer_row"


def _loop(insert: str, way: Way) -> str:
    """Insert row by row. The last error is raised again if no row was accepted. The number of attempts is limited."""
    last = way.first + way.rows * 4 - 1
    body = f"""
#variable_conflict use_column
DECLARE
    {_ROW}_taken int := 0; {_ROW}_now int; {_ROW}_why text; {_ROW}_state text := 'P0001';
BEGIN
    FOR {_ROW} IN {way.first}..{last} LOOP
        BEGIN
            {insert};
            GET DIAGNOSTICS {_ROW}_now = ROW_COUNT;
            {_ROW}_taken := {_ROW}_taken + {_ROW}_now;
        EXCEPTION WHEN OTHERS THEN
            {_ROW}_why := SQLERRM; {_ROW}_state := SQLSTATE;
        END;
        EXIT WHEN {_ROW}_taken >= {way.rows} OR ({_ROW}_taken = 0 AND {_ROW} >= {way.first + 39});
    END LOOP;
    IF {_ROW}_taken = 0 THEN
        RAISE EXCEPTION USING MESSAGE = coalesce({_ROW}_why, 'no candidate satisfies its constraints'),
            ERRCODE = {_ROW}_state;
    END IF;
END"""
    return f"DO {values.literal(body)}"


def _ordinary(schema: Schema, table: Shape, each: Field, way: Way) -> str | None:
    """Return the ordinary value; None to leave the column out."""
    if (way.required_only or each.name in way.left_out) and (each.nullable or each.default is not None):
        return None
    unique = any(each.name in columns for columns in table.unique)
    if _says_more(schema, each) and not unique:
        return each.default
    if values.base(schema, each)[0] == "boolean":
        return values.alternating(schema, each, table.fields)
    expression = values.ordinary(schema, each, str(table.name))
    if expression is None:
        return None if each.nullable or each.default is not None else f"NULL::{each.text}"
    return expression


def _says_more(schema: Schema, each: Field) -> bool:
    """Return whether the default of a text column shows what its values look like, as `'active'` does."""
    constant = each.default is not None and each.default.startswith("'") and each.default[1:2] not in ("'", "")
    return constant and values.is_text(values.base(schema, each)[0])


def _foreign_keys(schema: Schema, table: Shape, counts: Mapping[int, int], way: Way, parts: _Parts) -> None:
    required = {each.name for each in table.fields if not each.nullable}
    for number, key in enumerate(table.keys):
        parent = schema.table(key.referenced)
        free = [column for column in key.columns if column not in parts.known]
        if not free or parent is None:
            continue
        own = parent.oid == table.oid
        if key.name in way.later or (own and not counts.get(key.referenced)):
            for column in free:
                if column not in required and not _in_other(table, key, column):
                    parts.known[column] = "NULL"
            continue
        count = min(counts.get(key.referenced, 0), _PARENTS)
        optional = [column for column in free if column not in required and not _in_other(table, key, column)]
        if not count or (way.required_only and optional):
            if not optional:
                raise NoParents(f"it refers to {parent.name}, which has no rows")
            parts.known |= dict.fromkeys(optional, "NULL")
            continue
        alias = f"f{number}"
        shared = [(n, c) for n, c in enumerate(key.columns) if c in parts.known and parts.known[c] != "NULL"]
        source = _parents(parent, key)
        if shared:
            same = " AND ".join(f"p.k{n} = {parts.known[c]}" for n, c in shared)
            parts.joins.append(
                f"CROSS JOIN LATERAL (SELECT p.* FROM {source} p WHERE {same} ORDER BY (p.n + s.g) % 7, p.n LIMIT 1) {alias}"
            )
        else:
            # two references to one table get different values: `CHECK (sender <> receiver)` is common
            before = sum(other.referenced == key.referenced for other in table.keys[:number])
            parts.joins.append(f"JOIN {source} {alias} ON {alias}.n = 1 + (s.g - 1 + {before}) % {count}")
        for n, column in enumerate(key.columns):
            if column in free:
                parts.known[column] = f"{alias}.k{n}"


def _own_keys(schema: Schema, table: Shape, way: Way, parts: _Parts) -> None:
    """Make a row that must refer to a row of its own table refer to itself."""
    required = {each.name for each in table.fields if not each.nullable}
    by_name = {each.name: each for each in table.fields}
    for number, key in enumerate(table.keys):
        if key.referenced != table.oid or not any(c in required and c not in parts.known for c in key.columns):
            continue
        for n, (column, to) in enumerate(zip(key.columns, key.referenced_columns, strict=True)):
            if column in parts.known and column != to:
                continue
            counted = by_name[to].counts
            if counted is not None and parts.known.get(to) == counted:
                name = f"c{number}_{n}"
                parts.joins.append(f"CROSS JOIN LATERAL (SELECT {counted} AS v WHERE s.g IS NOT NULL) {name}")
                parts.known[to] = f"{name}.v"
            if to not in parts.known:
                expression = _ordinary(schema, table, by_name[to], way)
                if expression is None:
                    continue
                parts.known[to] = expression
            parts.known[column] = parts.known[to]


def _in_other(table: Shape, key: Key, column: str) -> bool:
    """Return whether another foreign key also includes the column, and so sets it."""
    return any(column in other.columns for other in table.keys if other.name != key.name)


def _components(schema: Schema, table: Shape, parts: _Parts) -> None:
    by_name = {each.name: each for each in table.fields}
    keyed = {column for key in table.keys for column in key.columns}
    for number, component in enumerate(candidates.components(table, candidates.all_conditions(schema, table))):
        lists, ranks, penalties = [], [], []
        for n, name in enumerate(component.columns):
            each = by_name[name]
            fixed = name in keyed or each.counts is not None
            pool = _pool(schema, each, parts.known.get(name), component, fixed)
            text = values.base(schema, each)[1]
            rows = ", ".join(f"({i}, {c.penalty}, CAST({c.expression} AS {text}))" for i, c in enumerate(pool))
            lists.append(f"(VALUES {rows}) v{n} (i{n}, p{n}, {quoted(name)})")
            penalties.append(f"p{n}")
            ranks.append(f"pg_catalog.hashint4(i{n} * 7919 + s.g)")
        columns = ", ".join(quoted(name) for name in component.columns)
        made = "".join(f", ({by_name[name].generated}) AS {quoted(name)}" for name in component.generated)
        inner = f"SELECT *{made} FROM {' CROSS JOIN '.join(lists)}"
        asked = " AND ".join(f"({condition}) IS NOT FALSE" for condition in component.conditions)
        renamed = ", ".join(f"k{n}" for n in range(len(component.columns)))
        parts.joins.append(
            f"CROSS JOIN LATERAL (SELECT {columns} FROM ({inner}) x WHERE {asked}"
            f" ORDER BY {' + '.join(penalties)}, {', '.join(ranks)} LIMIT 1) a{number} ({renamed})"
        )
        for n, name in enumerate(component.columns):
            parts.known[name] = f"a{number}.k{n}"


def _pool(
    schema: Schema, each: Field, known: str | None, component: candidates.Component, fixed: bool
) -> Sequence[candidates.Candidate]:
    if fixed:
        nothing = [candidates.Candidate("NULL", 9)] if each.nullable and known != "NULL" else []
        return [candidates.Candidate(known or "NULL", 0), *nothing]
    found = candidates.pool(schema, each, known, component.conditions, len(component.columns))
    return found or [candidates.Candidate("NULL", 9)]


def _parents(parent: Shape, key: Key) -> str:
    columns = ", ".join(f"{quoted(c)} AS k{n}" for n, c in enumerate(key.referenced_columns))
    order = ", ".join(quoted(c) for c in key.referenced_columns)
    given = " AND ".join(f"{quoted(c)} IS NOT NULL" for c in key.referenced_columns)
    return (
        f"(SELECT {columns}, pg_catalog.row_number() OVER (ORDER BY {order}) AS n FROM {_source(parent)}"
        f" WHERE {given} ORDER BY {order} LIMIT {_PARENTS})"
    )


def _source(table: Shape) -> str:
    return table.name.sql if table.partitioned else f"ONLY {table.name.sql}"


def names(keys: Iterable[Key]) -> frozenset[str]:
    """Return the names of foreign keys."""
    return frozenset(key.name for key in keys)
