"""Values to try for columns with a CHECK constraint, first those that the constraint itself mentions.

PostgreSQL decides which are valid; the code here does not need to understand the constraint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from msgspec import Struct

from reviewer.rows import pattern, values
from reviewer.rows.shape import Condition, Field, Schema, Shape

_STRING = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"(?<![\w.'\"])-?\d+(?:\.\d+)?(?![\w.'\"])")
_NAME = re.compile(r"'(?:[^']|'')*'|\"((?:[^\"]|\"\")*)\"|\b([a-z_][\w$]*)\b")
_DATE = re.compile(r"^-?\d{4}-\d\d-\d\d")
_PATTERN_ROWS = 200
_PRODUCT = 400


class Candidate(Struct, frozen=True):
    """An expression for row `g`, and how far it is from an ordinary value. 0 is ordinary."""

    expression: str
    penalty: int


class Component(Struct, frozen=True):
    """Columns that are linked by conditions, and those conditions."""

    columns: tuple[str, ...]
    generated: tuple[str, ...]
    conditions: tuple[str, ...]


def all_conditions(schema: Schema, table: Shape) -> tuple[Condition, ...]:
    """Return the conditions on the table's rows: its CHECK constraints, its partition bounds and those of its
    domains.
    """
    found = [
        each if each.columns else Condition(each.name, names_in(each.expression, table), each.expression)
        for each in table.conditions
    ]
    for field in table.fields:
        found += [Condition(field.text, (field.name,), each) for each in values.conditions(schema, field)]
    return tuple(each for each in found if each.columns)


def names_in(expression: str, table: Shape) -> tuple[str, ...]:
    """Return the columns of the table that an expression mentions."""
    mentioned = {(quoted or "").replace('""', '"') or plain for quoted, plain in _NAME.findall(expression)}
    return tuple(field.name for field in table.fields if field.name in mentioned)


def components(table: Shape, conditions: Iterable[Condition]) -> tuple[Component, ...]:
    """Group the conditions so that no two groups share a column. A generated column counts as the columns that it
    is computed from.
    """
    generated = {field.name: names_in(field.generated, table) for field in table.fields if field.generated}
    groups: list[tuple[set[str], list[str]]] = []
    for condition in conditions:
        columns = set(condition.columns)
        for name in condition.columns:
            columns |= set(generated.get(name, ()))
        expressions = [condition.expression]
        apart = []
        for others, asked in groups:
            if others & columns:
                columns |= others
                expressions += asked
            else:
                apart.append((others, asked))
        groups = [*apart, (columns, expressions)]
    return tuple(
        Component(
            tuple(f.name for f in table.fields if f.name in columns and f.name not in generated),
            tuple(f.name for f in table.fields if f.name in columns and f.name in generated),
            tuple(expressions),
        )
        for columns, expressions in groups
    )


def pool(
    schema: Schema, field: Field, ordinary: str | None, expressions: Iterable[str], columns: int
) -> tuple[Candidate, ...]:
    """Return candidates for one of the `columns` columns of a component, best first, no more than can be combined."""
    text = "\n".join(expressions)
    most = max(int(_PRODUCT ** (1 / max(columns, 1))), 2)
    found = [Candidate(ordinary, 0)] if ordinary is not None else []
    nothing = [Candidate("NULL", 9)] if field.nullable else []
    if nothing and re.search(r"\bIS (?:NOT )?NULL\b|num_n|COALESCE", text):
        found += nothing
    found += _mined(schema, field, ordinary, text)
    found += nothing
    unique = {candidate.expression: candidate for candidate in reversed(found)}
    ordered = [unique[expression] for expression in dict.fromkeys(c.expression for c in found)]
    return tuple(ordered[:most])


def _mined(schema: Schema, field: Field, ordinary: str | None, text: str) -> list[Candidate]:
    plain, _ = values.base(schema, field)
    kind = schema.by_oid.get(field.type)
    while kind is not None and kind.kind == "d":
        kind = schema.by_oid.get(kind.base)
    strings = list(dict.fromkeys(each.replace("''", "'") for each in _STRING.findall(text)))
    strings += [
        part.strip('"') for each in strings if each[:1] == "{" == each[:1] for part in each[1:-1].split(",")
    ]
    numbers = [n for n in dict.fromkeys([*_NUMBER.findall(_STRING.sub("", text)), *strings]) if _is_number(n)]
    if kind is not None and kind.kind == "e":
        return [Candidate(values.literal(label), 1) for label in kind.labels]
    if values.is_text(plain):
        return [*_texts(strings, text), *_sized(numbers, ordinary), *_common_texts()]
    if values.is_number(plain):
        return [Candidate(_within(schema, field, c.expression), c.penalty) for c in _numbers(plain, numbers)]
    if kind is not None and kind.element:
        return list(_arrays(strings, numbers, ordinary, kind.element_text))
    match plain:
        case "boolean":
            return [Candidate("true", 1), Candidate("false", 1)]
        case "json" | "jsonb":
            return list(_documents(strings, plain))
        case "bytea":
            return [
                Candidate(f"pg_catalog.decode(pg_catalog.lpad(pg_catalog.to_hex(g), 2 * {n}, '0'), 'hex')", 1)
                for n in numbers
                if _is_size(n)
            ]
        case "interval":
            return [
                Candidate(f"interval {values.literal(s)} + g * interval '1 second'", 1)
                for s in strings
                if s[:1].isdigit()
            ]
    if plain == "date" or plain.startswith("timestamp"):
        return list(_dates(plain, strings, ordinary))
    return [Candidate(f"{values.literal(s)}", 1) for s in strings if plain == "uuid" and len(s) == 36]


def _texts(strings: list[str], text: str) -> Iterator[Candidate]:
    patterned = bool(re.search(r"!?~|SIMILAR|similar|regexp", text))
    for string in strings:
        if patterned and re.search(r"[\\^$\[\](){}+*?|]", string):
            yield from _matching(string)
        elif "%" in string:
            yield Candidate(f"pg_catalog.replace({values.literal(string)}, '%', g::text)", 1)
        else:
            yield Candidate(values.literal(string), 1)


def _matching(expression: str) -> Iterator[Candidate]:
    try:
        made = dict.fromkeys(pattern.samples(expression, _PATTERN_ROWS))
    except (pattern.Unreadable, RecursionError, OverflowError):
        return
    listed = ", ".join(values.literal(each) for each in made if len(each) < 500)
    if listed:
        yield Candidate(f"(ARRAY[{listed}])[1 + (g - 1) % {len(made)}]", 1)


def _sized(numbers: list[str], ordinary: str | None) -> Iterator[Candidate]:
    for number in numbers:
        if _is_size(number):
            yield Candidate(f"pg_catalog.lpad(g::text, {number}, 'a')", 2)
            yield Candidate(f"pg_catalog.rpad(({ordinary or 'g::text'})::text, {number}, 'x')", 2)


def _common_texts() -> Iterator[Candidate]:
    for expression in (
        "'r' || g",
        "g::text",
        "'ROW' || g",
        "'person' || g || '@example.org'",
        "'https://example.org/' || g",
        "pg_catalog.md5(g::text)",
        "'/row/' || g",
        "'row-' || g",
        "'2024-01-01'",
        "'{}'",
        "'[]'",
        "'1.0.' || g",
        "''",
    ):
        yield Candidate(expression, 3)


def _within(schema: Schema, field: Field, expression: str) -> str:
    """Return the number limited to the range of the type: a CAST that overflows would abort the statement."""
    plain, text = values.base(schema, field)
    sizes = values.arguments(text)
    if plain == "numeric" and sizes:
        most = 10 ** max(sizes[0] - (sizes[1] if len(sizes) > 1 else 0), 0) - 1
    else:
        most = {"smallint": 32767, "integer": 2**31 - 1}.get(plain, 0)
    return f"least(greatest({expression}, -{most}), {most})" if most else expression


def _numbers(plain: str, numbers: list[str]) -> Iterator[Candidate]:
    for n in numbers:
        yield Candidate(f"{n} + g", 1)
        yield Candidate(f"{n} - g", 1)
    for n in numbers:
        yield Candidate(n, 2)
        yield Candidate(f"{n} + 1", 2)
        yield Candidate(f"{n} - 1", 2)
    ordered = sorted({float(n) for n in numbers})
    for low, high in pairwise(ordered):
        middle = (low + high) / 2
        yield Candidate(f"{int(middle) if plain in {'integer', 'bigint', 'smallint'} else middle}", 2)
        if plain not in {"integer", "bigint", "smallint"}:
            yield Candidate(f"{low} + ({high - low}) * (g % 97) / 97.0", 1)
    for expression in ("g", "2 * g", "1000 + g", "1000000 + g", "0", "1", "-g", "10", "100", "g % 10"):
        yield Candidate(expression, 3)


def _dates(plain: str, strings: list[str], ordinary: str | None) -> Iterator[Candidate]:
    step = "g" if plain == "date" else "g * interval '1 minute'"
    day = "1" if plain == "date" else "interval '1 day'"
    for string in strings:
        if _DATE.match(string):
            yield Candidate(f"{plain} {values.literal(string)}", 2)
            yield Candidate(f"{plain} {values.literal(string)} + {step}", 1)
            yield Candidate(f"{plain} {values.literal(string)} - {step}", 1)
            yield Candidate(f"{plain} {values.literal(string)} + 2 * {step}", 2)
    if ordinary is not None:
        yield Candidate(f"{ordinary} + {day}", 2)
        yield Candidate(f"{ordinary} - {day}", 2)
        yield Candidate(f"{ordinary} + 400 * {day}", 3)
    if plain == "date":
        yield Candidate("current_date + g", 3)
        yield Candidate("current_date - g", 3)
    else:
        yield Candidate(f"(pg_catalog.now() + g * interval '1 day')::{plain}", 3)
        yield Candidate(f"(pg_catalog.now() - g * interval '1 day')::{plain}", 3)
        yield Candidate(f"pg_catalog.date_trunc('day', {ordinary or 'pg_catalog.now()'})", 3)


def _documents(strings: list[str], plain: str) -> Iterator[Candidate]:
    import json

    for string in strings:
        try:
            json.loads(string)
        except ValueError:
            continue
        yield Candidate(f"{values.literal(string)}::{plain}", 1)
    keys = [s for s in strings if re.fullmatch(r"[\w -]{1,60}", s)][:10]
    for value in ("g", "'row ' || g", "'[]'::jsonb", "true"):
        pairs = ", ".join(f"{values.literal(key)}, {value}" for key in keys)
        if pairs:
            yield Candidate(f"pg_catalog.{plain}_build_object({pairs})", 2)
    for string in ("{}", "[]", "[1]", '["row"]', '"row"', "1", "true"):
        yield Candidate(f"'{string}'::{plain}", 3)


def _arrays(strings: list[str], numbers: list[str], ordinary: str | None, element: str) -> Iterator[Candidate]:
    for string in strings:
        if values.is_text(element) and string[:1] not in "{[":
            yield Candidate(f"ARRAY[{values.literal(string)}]", 1)
    for number in numbers:
        if _is_size(number) and int(number) <= 100 and ordinary is not None:
            yield Candidate(f"pg_catalog.array_fill(({ordinary})[1], ARRAY[{int(number)}])", 2)
    yield Candidate("'{}'", 3)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d{1,18}(\.\d+)?", text))


def _is_size(text: str) -> bool:
    return text.isdigit() and 0 < int(text) <= 10_000
