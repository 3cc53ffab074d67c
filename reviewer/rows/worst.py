"""The worst rows that the schema allows: what production may contain, and what ordinary rows do not reveal."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from reviewer.rows import bounds as partition_bounds
from reviewer.rows import candidates, shape, values, writing
from reviewer.rows.shape import Field, Schema, Shape
from reviewer.sql import parse
from reviewer.sql.names import Name, quoted

if TYPE_CHECKING:
    from psycopg import Connection

    from reviewer.rows.bounds import Bound

_MOST_TABLES = 10
_MOST_CHANGES = 300
_MOST_PAIRS = 40
_FIRST = 2001
"""Number of the first of the rows that are added so that there is one for each change."""


def make(
    connection: Connection[tuple[object, ...]],
    tables: Iterable[Name],
    bounds: Iterable[Bound] = (),
    statements: Iterable[str] = (),
) -> None:
    """Turn rows of `tables`, which hold ordinary generated rows, into the worst ones: NULL, empty, duplicates,
    maximum length, the ends of the range, dangling references. `bounds` are those of the partitions to come;
    `statements`, what the upgrade sends, name keys of documents, what separates parts of a text, ranges of numbers, and
    which rows they take.

    If PostgreSQL rejects a change because the schema does not allow it, the row stays unchanged.
    """
    names = list(tables)
    schema = shape.read(connection, names)
    wanted = [t for t in schema.tables if not t.partitioned and any(n.matches(t.name) for n in names)]
    with connection.transaction():
        connection.execute("SET LOCAL client_min_messages = error")
        connection.execute("SET LOCAL statement_timeout = '5s'")
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        moved = list(partition_bounds.changes(connection, bounds))
        sent = list(statements)
        documents, texts = _read_from(sent)
        folded = _folded(sent)
        in_ranges = any(_RANGE.search(each) for each in sent)
        for table in wanted[:_MOST_TABLES]:
            asked = _asked(table, sent)
            _fill_pages(connection, schema, table, asked, sent)
            changes = list(_changes(schema, table, documents, texts, folded))[:_MOST_CHANGES]
            changes += _far_keys(schema, table) if in_ranges else []
            changes += [_to(table, key, made) for name, key, made in moved if name.matches(table.name)]
            changes += list(_taken(schema, table, asked, documents, texts))[:_MOST_CHANGES]
            if changes:
                writing.add_rows(connection, schema, table, len(changes), first=_FIRST)
                connection.execute(each_by_itself(changes).encode())


def each_by_itself(statements: Iterable[str]) -> str:
    """One statement that runs each of `statements`, and continues after one that PostgreSQL rejects."""
    listed = ", ".join(values.literal(statement) for statement in statements)
    body = f"""
DECLARE alembic_reviewer_change text;
BEGIN
    FOREACH alembic_reviewer_change IN ARRAY ARRAY[{listed}] LOOP
        BEGIN EXECUTE alembic_reviewer_change; EXCEPTION WHEN OTHERS THEN NULL; END;
    END LOOP;
END"""
    return f"DO {values.literal(body)}"


def _read_from(statements: Iterable[str]) -> tuple[list[str], list[str]]:
    """Documents and texts that are as bad for what `statements` take from them: values that are no numbers under their
    keys, the same part twice, and digits that are too many for a whole number.
    """
    keys, marks, digits = dict[str, None](), dict[str, None](), False
    for statement in statements:
        digits = digits or _AS_NUMBER.search(statement) is not None
        keys.update(dict.fromkeys(_KEY.findall(statement)))
        marks.update(dict.fromkeys(_SEPARATOR.findall(statement)))
    named = list(keys)[:_MOST_PAIRS]
    documents = [json.dumps(dict.fromkeys(named, value)) for value in ("x", None)] if named else []
    texts = [f"W{mark}W" for mark in list(marks)[:5]]
    texts += ["9" * 10, "9" * 20] if digits else []
    return [*map(values.literal, documents)], [*map(values.literal, texts)]


_AS_NUMBER = re.compile(r"(?:::\s*|\bas\s+)(?:pg_catalog\.)?(?:int[248]?|integer|bigint|smallint)\b", re.IGNORECASE)
_KEY = re.compile(r"->>?\s*'(\w+)'")
_SEPARATOR = re.compile(
    r"\b(?:string_to_(?:array|table)|regexp_split_to_(?:array|table))\s*\(.{1,60}?,\s*'([^'\\]{1,3})'",
    re.IGNORECASE,
)


def _changes(
    schema: Schema, table: Shape, documents: Sequence[str], texts: Sequence[str], folded: Collection[str]
) -> Iterator[str]:
    name = table.name.sql
    # an updated row moves to the end, so the first one has not been changed yet
    first = f"WHERE ctid = (SELECT ctid FROM ONLY {name} ORDER BY ctid LIMIT 1)"
    settable = [f for f in table.fields if f.generated is None and f.counts is None]
    yield from _nothing(table, settable, first)
    for field in settable:
        column = quoted(field.name)
        for value in _bad(schema, table, field, documents, texts):
            yield f"UPDATE ONLY {name} SET {column} = {value} {first}"
        last = f"(SELECT {column} FROM ONLY {name} WHERE {column} IS NOT NULL ORDER BY ctid DESC LIMIT 1)"
        yield f"UPDATE ONLY {name} SET {column} = {last} {first}"
    yield from itertools.islice(_null_beside(schema, table, settable, first), _MOST_PAIRS)
    yield from _nearly_twice(schema, table, first, folded)
    yield from itertools.islice(_null_twice(schema, table, settable, first), _MOST_PAIRS)
    keys = {column for columns in table.unique for column in columns}
    twice = [quoted(f.name) for f in settable if f.name not in keys]
    if len(twice) > 1:
        # two rows that are the same except for their key, for unique constraints over several columns
        source = f"(SELECT {', '.join(twice)} FROM ONLY {name} ORDER BY ctid DESC OFFSET 1 LIMIT 1)"
        yield f"UPDATE ONLY {name} SET ({', '.join(twice)}) = {source} {first}"


def _bad(
    schema: Schema, table: Shape, field: Field, documents: Sequence[str], texts: Sequence[str]
) -> tuple[str, ...]:
    plain = values.base(schema, field)[0]
    read = documents if plain in {"json", "jsonb"} else texts if values.is_text(plain) else ()
    return (*_worst(schema, table, field), *read)


def _folded(statements: Iterable[str]) -> set[str]:
    """The columns of which the statements take the text without its case or its spaces."""
    return {column for statement in statements for column in _FOLDED.findall(statement)}


_FOLDED = re.compile(r'\b(?:lower|upper|[lrb]?trim)\s*\(\s*(?:\w+\s*\.\s*)?"?(\w+)', re.IGNORECASE)


def _fill_pages(
    connection: Connection[tuple[object, ...]],
    schema: Schema,
    table: Shape,
    asked: Sequence[dict[str, str]],
    statements: Iterable[str],
) -> None:
    """Add rows to a table that is read page by page, more than two pages of those that the statements take."""
    named = re.compile(rf'\bfrom\s+(?:only\s+)?(?:"?\w+"?\s*\.\s*)?"?{re.escape(table.name.name)}\b', re.IGNORECASE)
    sizes = [
        int(found[1]) if found[1].isdecimal() else _PAGE
        for statement in statements
        if named.search(statement) and (found := _PAGED.search(statement))
    ]
    if not asked or not sizes or max(sizes) > _LARGEST_PAGE:
        return
    writing.add_rows(connection, schema, table, 2 * max(sizes) + 1, first=_FIRST + 2 * _MOST_CHANGES)
    given = ", ".join(f"{quoted(column)} = {value}" for column, value in asked[0].items())
    connection.execute(each_by_itself([f"UPDATE ONLY {table.name.sql} SET {given}"]).encode())


_PAGED = re.compile(r"\blimit\s+(\S+)\s+offset\b", re.IGNORECASE)
_PAGE = 1_000
"""Rows of a page whose size is a parameter."""
_LARGEST_PAGE = 5_000


def _asked(table: Shape, statements: Iterable[str]) -> list[dict[str, str]]:
    """What rows of the table hold that the statements take: where a column is filled that is still NULL, only those rows
    are read.
    """
    keys = {column for columns in table.unique for column in columns}
    nullable = {f.name for f in table.fields if f.nullable and f.generated is None} - keys
    there = {f.name for f in table.fields if f.generated is None} - keys
    empty = dict[str, str]()
    others = list[dict[str, str]]()
    for statement in dict.fromkeys(each for each in statements if _WHERE.search(each)):
        empty.update((column, "NULL") for column in _IS_NULL.findall(statement) if column in nullable)
        if len(others) < _MOST_ASKED:
            found = (dict(match.values) for match in parse.matches(statement) if match.table.matches(table.name))
            others += [each for each in found if each.keys() <= there and set(each.values()) != {"NULL"}]
    return [each for each in (empty, *others) if each]


_WHERE = re.compile(r"\bwhere\b", re.IGNORECASE)
_IS_NULL = re.compile(r'\b(\w+)"?\s+is\s+null\b', re.IGNORECASE)
_MOST_ASKED = 3


def _taken(
    schema: Schema, table: Shape, asked: Iterable[dict[str, str]], documents: Sequence[str], texts: Sequence[str]
) -> Iterator[str]:
    """Yield rows that are bad in one column, and in the others such that a statement takes them."""
    name = table.name.sql
    first = f"WHERE ctid = (SELECT ctid FROM ONLY {name} ORDER BY ctid LIMIT 1)"
    settable = [f for f in table.fields if f.generated is None and f.counts is None]
    for wanted in asked:
        given = ", ".join(f"{quoted(column)} = {value}" for column, value in wanted.items())
        for field in (each for each in settable if each.name not in wanted):
            for value in _bad(schema, table, field, documents, texts):
                yield f"UPDATE ONLY {name} SET {quoted(field.name)} = {value}, {given} {first}"


def _far_keys(schema: Schema, table: Shape) -> Iterator[str]:
    """Yield rows whose keys lie behind a gap, one of them at a round number: for batches that go by the number of rows, or
    leave out their bounds.
    """
    name = table.name.sql
    for field in table.fields:
        whole = values.base(schema, field)[0] in {"integer", "bigint"}
        free = field.generated is None and not any(field.name in key.columns for key in table.keys)
        if whole and free and (field.name,) in table.unique:
            for place, number in enumerate(_FAR):
                row = f"(SELECT ctid FROM ONLY {name} ORDER BY ctid DESC OFFSET {place} LIMIT 1)"
                yield f"UPDATE ONLY {name} SET {quoted(field.name)} = {number} WHERE ctid = {row}"


_FAR = (10_000, 10_001)
_RANGE = re.compile(r"\bupdate\b.*\bwhere\b.*(?:[<>]|\bbetween\b)", re.IGNORECASE | re.DOTALL)


def _to(table: Shape, key: str, made: str) -> str:
    first = f"(SELECT ctid FROM ONLY {table.name.sql} ORDER BY ctid LIMIT 1)"
    return f"UPDATE ONLY {table.name.sql} SET ({key}) = ROW({made}) WHERE ctid = {first}"


def _nothing(table: Shape, settable: Iterable[Field], first: str) -> Iterator[str]:
    """Yield a row in which every column is NULL that may be, for an UPDATE that fills one column from another."""
    name = table.name.sql
    nullable = [quoted(field.name) for field in settable if field.nullable]
    if len(nullable) < 2:
        return
    if not table.conditions:
        yield f"UPDATE ONLY {name} SET {', '.join(f'{each} = NULL' for each in nullable)} {first}"
        return
    # a CHECK may want one of several columns: which one is left depends on the order
    last = f"WHERE ctid = (SELECT ctid FROM ONLY {name} ORDER BY ctid DESC LIMIT 1)"
    for order in (nullable, nullable[::-1]):
        yield f"UPDATE ONLY {name} SET {order[0]} = {order[0]} {first}"
        yield from (f"UPDATE ONLY {name} SET {each} = NULL {last}" for each in order)


def _null_beside(schema: Schema, table: Shape, settable: Iterable[Field], first: str) -> Iterator[str]:
    """Yield rows that are NULL where a CHECK allows it only beside certain values of another column."""
    name = table.name.sql
    fields = {field.name: field for field in settable}
    for condition in candidates.all_conditions(schema, table):
        linked = [fields[each] for each in condition.columns if each in fields]
        for field in (each for each in linked if each.nullable):
            column = quoted(field.name)
            for other in (each for each in linked if each is not field):
                ordinary = values.ordinary(schema, other, str(table.name))
                for each in candidates.pool(schema, other, ordinary, (condition.expression,), len(linked))[:8]:
                    value = f"(SELECT {each.expression} FROM (SELECT {_FIRST} AS g) n)"
                    there = f"EXISTS (SELECT FROM ONLY {name} WHERE {column} IS NULL)"
                    yield f"UPDATE ONLY {name} SET {column} = NULL, {quoted(other.name)} = {value} {first} AND NOT {there}"


def _null_twice(schema: Schema, table: Shape, settable: Sequence[Field], first: str) -> Iterator[str]:
    """Yield rows that are the same in the columns of a unique index, with NULL in some: it allows them, unlike one with
    NULLS NOT DISTINCT. Then the same with the value that an index on `coalesce(…)` takes NULL for.
    """
    name = table.name.sql
    fields = {field.name: field for field in settable}
    for columns in table.unique:
        nullable = [fields[each] for each in columns if each in fields and fields[each].nullable]
        if not nullable:
            continue
        keys = {each for key in table.unique for each in key}
        copied = [each for each in settable if each.name not in keys or each.name in columns]
        listed = ", ".join(quoted(each.name) for each in copied)
        empty = " AND ".join(f"{quoted(each.name)} IS NULL" for each in nullable)
        source = f"FROM ONLY {name} WHERE {empty} ORDER BY ctid DESC LIMIT 1"
        yield f"UPDATE ONLY {name} SET {', '.join(f'{quoted(each.name)} = NULL' for each in nullable)} {first}"
        yield f"UPDATE ONLY {name} SET ({listed}) = (SELECT {listed} {source}) {first}"
        for field in nullable:
            for value in _stand_ins(schema, field):
                made = ", ".join(
                    f"CAST({value} AS {field.text})" if each is field else quoted(each.name) for each in copied
                )
                yield f"UPDATE ONLY {name} SET ({listed}) = (SELECT {made} {source}) {first}"


def _stand_ins(schema: Schema, field: Field) -> Iterable[str]:
    """What an application writes where it has no value and NULL would not do."""
    plain, _ = values.base(schema, field)
    if values.is_text(plain):
        return ("''",)
    if values.is_number(plain):
        return ("0", "-1")
    return _STAND_INS.get(plain, ())


def _nearly_twice(schema: Schema, table: Shape, first: str, folded: Collection[str]) -> Iterator[str]:
    """Yield rows whose unique texts differ in case, or in a space at the end: for unique indexes on lower(…) or
    trim(…). So do texts that need not be unique but are `folded`.
    """
    name = table.name.sql
    texts = {f.name for f in table.fields if f.generated is None and values.is_text(values.base(schema, f)[0])}
    groups = [*table.unique, *((each,) for each in sorted(texts.intersection(folded)))]
    for columns in dict.fromkeys(groups):
        for text in sorted(texts.intersection(columns)) if all(columns) else ():
            column = quoted(text)
            other_case = f"CASE {column} WHEN pg_catalog.upper({column}) THEN pg_catalog.lower({column}) ELSE pg_catalog.upper({column}) END"
            for other in (other_case, f"{column} || ' '"):
                source = ", ".join(other if each == text else quoted(each) for each in columns)
                # short ones: one more space would be truncated from a text of maximum length
                short = f"WHERE pg_catalog.upper({column}) <> pg_catalog.lower({column}) ORDER BY pg_catalog.length({column}), ctid DESC LIMIT 1"
                changed = f"({', '.join(map(quoted, columns))}) = (SELECT {source} FROM ONLY {name} {short})"
                yield f"UPDATE ONLY {name} SET {changed} {first}"


def _worst(schema: Schema, table: Shape, field: Field) -> Iterator[str]:
    if field.nullable:
        yield "NULL"
    plain, text = values.base(schema, field)
    sizes = values.arguments(text)
    if any(field.name in key.columns for key in table.keys):
        return
    if values.is_text(plain):
        yield "''"
        yield (
            f"pg_catalog.repeat('W', {min(sizes[0], 5000) if sizes else 3000})"
            if plain != "character"
            else f"pg_catalog.repeat('W', {sizes[0] if sizes else 1})"
        )
        yield f"pg_catalog.left({values.literal('Ünï ' + chr(39) + '%_{}')}, {min(sizes[0], 10) if sizes else 10})"
        return
    kind = schema.by_oid.get(field.type)
    if kind is not None and kind.kind == "e":
        yield from (values.literal(label) for label in kind.labels)
        return
    if kind is not None and kind.element:
        yield "'{}'"
        return
    yield from (each for each in _ENDS.get(plain, ()) if each != _ENDLESS or _may_be_endless(table, field))
    if plain == "numeric":
        scale = sizes[1] if len(sizes) > 1 else 0
        most = "9" * max(sizes[0] - scale, 0) if sizes else "9" * 30
        yield f"{most or '0'}.{'9' * scale or '0'}"
        yield f"-{most or '0'}.{'9' * scale or '0'}"
        yield "0"


_ENDLESS = "'infinity'"


def _may_be_endless(table: Shape, field: Field) -> bool:
    """Whether the schema says of a date that it may be without an end, which few applications can even read."""
    said = (each.expression for each in table.conditions if field.name in each.columns)
    return any("infinity" in each.lower() for each in (field.default or "", *said))


_STAND_INS = {
    "boolean": ("false", "true"),
    "uuid": ("'00000000-0000-0000-0000-000000000000'",),
    "date": ("'infinity'", "'-infinity'", "'1970-01-01'", "'0001-01-01'", "'9999-12-31'"),
    "timestamp without time zone": ("'infinity'", "'-infinity'", "'1970-01-01'", "'0001-01-01'", "'9999-12-31'"),
    "timestamp with time zone": ("'infinity'", "'-infinity'", "'1970-01-01Z'", "'0001-01-01Z'", "'9999-12-31Z'"),
}

_ENDS = {
    "smallint": ("0", "-32768", "32767"),
    "integer": ("0", "-2147483648", "2147483647"),
    "bigint": ("0", "-9223372036854775808", "9223372036854775807"),
    "real": ("0", "'-Infinity'", "'NaN'"),
    "double precision": ("0", "'-Infinity'", "'NaN'"),
    "date": ("'0001-01-01'", "'9999-12-31'", "'infinity'"),
    "timestamp without time zone": ("'0001-01-01'", "'9999-12-31'", "'infinity'"),
    "timestamp with time zone": ("'0001-01-02Z'", "'9999-12-30Z'", "'infinity'"),
    "interval": ("'0'", "'-1 year'"),
    "json": ("'null'", "'[]'", "'\"\"'", "'{}'", "'\"\\u0000\"'"),
    "jsonb": ("'null'", "'[]'", "'\"\"'", "'{}'"),
    "bytea": ("''", "'\\xff'"),
    "boolean": ("true", "false"),
}
