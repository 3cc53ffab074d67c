"""Ordinary values of every type: an SQL expression for row number `g`, distinct for distinct `g` if possible.

Ordinary means what an application would write: text that fits its column's name, so that a later cast or CHECK that
makes sense for real values accepts generated ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from reviewer.rows.shape import Field, Kind, Schema
from reviewer.sql.names import quoted

_HOUR = "g * interval '1 hour 1 minute 1.25 second'"
_PLAIN = {
    "bigint": "g::bigint",
    "real": "g::real + 0.5::real",
    "double precision": "g::float8 + 0.5",
    "money": "g::money",
    "boolean": "g % 2 = 0",
    "name": "('row' || g)::name",
    '"char"': 'pg_catalog.chr(97 + g % 26)::"char"',
    "date": "date '2024-01-01' + g",
    "timestamp without time zone": f"timestamp '2024-01-01' + {_HOUR}",
    "timestamp with time zone": f"timestamptz '2024-01-01 00:00:00+00' + {_HOUR}",
    "time without time zone": "time '00:00' + g * interval '61.5 second'",
    "time with time zone": "timetz '00:00+00' + g * interval '61.5 second'",
    "interval": "g * interval '1 minute'",
    "json": "pg_catalog.json_build_object('row', g)",
    "jsonb": "pg_catalog.jsonb_build_object('row', g)",
    "jsonpath": "('$.row' || g)::jsonpath",
    "inet": "inet '10.0.0.0' + g",
    "cidr": "pg_catalog.set_masklen(inet '10.0.0.0' + g, 32)::cidr",
    "macaddr": "('08:00:2b:01:' || pg_catalog.lpad(pg_catalog.to_hex(g / 256 % 256), 2, '0') || ':' || pg_catalog.lpad(pg_catalog.to_hex(g % 256), 2, '0'))::macaddr",
    "macaddr8": "('08:00:2b:01:02:03:' || pg_catalog.lpad(pg_catalog.to_hex(g / 256 % 256), 2, '0') || ':' || pg_catalog.lpad(pg_catalog.to_hex(g % 256), 2, '0'))::macaddr8",
    "xml": "xmlparse(content '<row>' || g || '</row>')",
    "tsvector": "pg_catalog.to_tsvector('simple', 'row ' || g)",
    "tsquery": "pg_catalog.to_tsquery('simple', 'row' || g)",
    "point": "pg_catalog.point(g, g)",
    "line": "pg_catalog.line(pg_catalog.point(g, 0), pg_catalog.point(g, 1))",
    "lseg": "pg_catalog.lseg(pg_catalog.point(g, 0), pg_catalog.point(g, 1))",
    "box": "pg_catalog.box(pg_catalog.point(g, g), pg_catalog.point(g + 1, g + 1))",
    "path": "pg_catalog.path(pg_catalog.polygon(pg_catalog.box(pg_catalog.point(g, g), pg_catalog.point(g + 1, g + 1))))",
    "polygon": "pg_catalog.polygon(pg_catalog.box(pg_catalog.point(g, g), pg_catalog.point(g + 1, g + 1)))",
    "circle": "pg_catalog.circle(pg_catalog.point(g, g), 1)",
    "oid": "g::oid",
    "pg_lsn": "('0/' || pg_catalog.to_hex(g))::pg_lsn",
    "xid": "g::text::xid",
    "regclass": "'pg_catalog.pg_class'::regclass",
    "regtype": "'text'::regtype",
    "regproc": "'now'::regproc",
    "bytea": "pg_catalog.decode(pg_catalog.lpad(pg_catalog.to_hex(g), 8, '0'), 'hex')",
}
# Types of extensions, by name.
_EXTENSIONS = {
    "citext": "'row ' || g",
    "hstore": "'row => ' || g",
    "ltree": "'row' || g",
    "lquery": "'row' || g",
    "cube": "'(' || g || ')'",
    "seg": "g",
    "isbn": "'978-0-393-04002-9'",
    "isbn13": "'978-0-393-04002-9'",
    "ean13": "'978-0-393-04002-9'",
    "semver": "'1.0.' || g",
    "geometry": "'SRID={srid};POINT(' || g % 90 || ' ' || g % 90 || ')'",
    "geography": "'SRID=4326;POINT(' || g % 90 || ' ' || g % 90 || ')'",
    "roaringbitmap": "'{' || g || '}'",
}
_TEXTS = frozenset({"text", "character varying", "character", "citext", "bpchar"})
_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision", "money"})
_WORDS = (
    (r"e?mail", "'person' || g || '@example.org'"),
    (r"ur[il]|link|href|website|webhook|endpoint", "'https://example.org/' || g"),
    (r"json|metadata|payload|params|settings|config|attributes|properties|context", "'{\"row\": ' || g || '}'"),
    (
        r"_at|_on|date|time|timestamp",
        f"pg_catalog.to_char(timestamp '2024-01-01' + {_HOUR}, 'YYYY-MM-DD HH24:MI:SS')",
    ),
    (r"u?uid|guid", "{uuid}"),
    (r"count|number|num|amount|size|total|price|quantity|age|year|port|version|position|order|level", "g::text"),
    (r"(is|has|can)_\w+|enabled|active", "CASE WHEN g % 2 = 0 THEN 'true' ELSE 'false' END"),
    (r"phone|mobile|fax", "'+4930' || pg_catalog.lpad(g::text, 6, '0')"),
    (r"slug|handle|username|login|key|code", "{word} || '-' || g"),
    (r"hash|digest|checksum|token|sha\d*|md5|password", "pg_catalog.md5({salt} || g)"),
    (r"locale|lang|language", "'en'"),
    (r"currency", "'EUR'"),
    (r"country", "'DE'"),
    (r"ip|ip_address", "pg_catalog.host(inet '10.0.0.0' + g)"),
)


def ordinary(schema: Schema, field: Field, table: str) -> str | None:
    """Return the value of `field` in row `g`, of exactly its type, except for domains; None if the type is unknown."""
    return _value(schema, field.type, field.text, field.name, f"{table}.{field.name}", depth=0)


def alternating(schema: Schema, field: Field, fields: Iterable[Field]) -> str:
    """Return the value of a boolean column of the table that has `fields`. Each of them alternates half as often as the
    one before: every combination occurs.
    """
    booleans = [each.name for each in fields if base(schema, each)[0] == "boolean"]
    return f"(g / {2 ** (booleans.index(field.name) % _COMBINED)}) % 2 = 0"


_COMBINED = 4
"""So many boolean columns are combined: each more takes twice as many rows."""


def base(schema: Schema, field: Field) -> tuple[str, str]:
    """Return the base type of a column's domains: its plain name (`numeric`) and its name with modifiers
    (`numeric(10,2)`).
    """
    kind, text = schema.by_oid.get(field.type), field.text
    while kind is not None and kind.kind == "d":
        text = kind.base_text
        kind = schema.by_oid.get(kind.base)
    return (kind.text if kind else text), text


def conditions(schema: Schema, field: Field) -> tuple[str, ...]:
    """Return the conditions of a column's domains, each with the column's name instead of `VALUE`."""
    found: list[str] = []
    kind = schema.by_oid.get(field.type)
    while kind is not None and kind.kind == "d":
        found += [_about(expression, field.name) for expression in kind.conditions]
        kind = schema.by_oid.get(kind.base)
    return tuple(found)


def is_text(plain: str) -> bool:
    """Return whether a type's values are free-form text."""
    return plain in _TEXTS


def is_number(plain: str) -> bool:
    """Return whether a type's values are numbers."""
    return plain in _NUMBERS


def literal(text: str) -> str:
    """Return `text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def arguments(text: str) -> tuple[int, ...]:
    """Return the modifiers of a type, such as `(10, 2)` for `numeric(10,2)`; empty if it has none."""
    found = re.search(r"\(([\d, ]+)\)", text)
    return tuple(int(each) for each in found.group(1).split(",")) if found else ()


def _about(expression: str, column: str) -> str:
    return re.sub(
        r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\bVALUE\b",
        lambda found: quoted(column) if found.group() == "VALUE" else found.group(),
        expression,
    )


def _value(schema: Schema, oid: int, text: str, column: str, salt: str, depth: int) -> str | None:
    kind = schema.by_oid.get(oid)
    if kind is None or depth > 8:
        return None

    def inner(inner_oid: int, inner_text: str, name: str = column) -> str | None:
        return _value(schema, inner_oid, inner_text, name, salt, depth + 1)

    if kind.kind == "d":
        return inner(kind.base, kind.base_text)
    if kind.kind == "e":
        labels = ", ".join(literal(label) for label in kind.labels)
        return f"(ARRAY[{labels}])[1 + g % {len(kind.labels)}]::{kind.text}" if kind.labels else None
    if kind.element:
        element = inner(kind.element, kind.element_text)
        return f"ARRAY[{element}]::{kind.text}" if element else None
    if kind.kind == "c":
        parts = [inner(each.type, each.text, each.name) or "NULL" for each in kind.attributes]
        return f"ROW({', '.join(parts)})::{kind.text}"
    if kind.kind in {"r", "m"} and (kind.subtype or kind.text.endswith("multirange")):
        return _range(kind, inner)
    return _scalar(kind, text, column, salt)


def _range(kind: Kind, inner: Callable[[int, str], str | None]) -> str | None:
    match kind.text:
        case "int4range" | "int8range":
            cast = "int" if kind.text == "int4range" else "bigint"
            return f"pg_catalog.{kind.text}((10 * g)::{cast}, (10 * g + 5)::{cast})"
        case "daterange":
            return "pg_catalog.daterange(date '2024-01-01' + 10 * g, date '2024-01-06' + 10 * g)"
        case (
            "int4multirange"
            | "int8multirange"
            | "nummultirange"
            | "datemultirange"
            | "tsmultirange"
            | "tstzmultirange"
        ):
            return f"'{{}}'::{kind.text}"
    low = inner(kind.subtype, "") if kind.subtype else None
    return f"{kind.text}({low}, {low}, '[]')" if low else f"'{{}}'::{kind.text}"


def _scalar(kind: Kind, text: str, column: str, salt: str) -> str | None:
    sizes = arguments(text)
    match kind.text:
        case "text" | "character varying" | "character" | "bpchar":
            return _text(
                column, salt, sizes[0] if sizes else 1 if kind.text == "character" and text == "character" else None
            )
        case "integer":
            return "g::int"
        case "smallint":
            return "(g % 32000)::smallint"
        case "numeric":
            return _numeric(sizes)
        case "uuid":
            return f"pg_catalog.md5({literal(salt)} || g)::uuid"
        case "bit":
            return f"g::bit({sizes[0] if sizes else 1})"
        case "bit varying":
            return f"pg_catalog.right(g::bit(32)::text, {min(sizes[0], 32) if sizes else 32})::varbit"
    if kind.text in _PLAIN:
        return (
            f"({_PLAIN[kind.text]})::{text}" if "(" in text and "interval" not in kind.text else _PLAIN[kind.text]
        )
    if kind.name in {"vector", "halfvec"}:
        return f"pg_catalog.array_fill(g::real, ARRAY[{sizes[0] if sizes else 3}])::{kind.text}"
    if kind.name == "sparsevec":
        return f"('{{1:' || g || '}}/{sizes[0] if sizes else 3}')::{kind.text}"
    if kind.name in _EXTENSIONS:
        srid = re.search(r",(\d+)\)", text)
        written = _EXTENSIONS[kind.name].replace("{srid}", srid.group(1) if srid else "0")
        return f"({written})::text::{kind.text}"
    return None


def _numeric(sizes: tuple[int, ...]) -> str:
    if not sizes:
        return "g::numeric"
    precision, scale = sizes[0], sizes[1] if len(sizes) > 1 else 0
    whole = max(precision - scale, 0)
    number = f"(g % {10 ** min(whole, 9)})::numeric"
    if scale <= 0:
        return number
    if whole == 0:
        return f"(g % {10 ** min(scale, 9)})::numeric / {10 ** min(scale, 9)}"
    digits = {1: "5", 2: "25"}.get(scale) or f"25{'0' * (scale - 3)}1"
    return f"({number} + 0.{digits})"


def _text(column: str, salt: str, size: int | None) -> str:
    name = re.sub(r"[^a-z0-9_]", "", column.lower())
    uuid = f"pg_catalog.md5({literal(salt)} || g)"
    if size is None or size >= 36:
        uuid += "::uuid::text"
    if size in {32, 36} and re.search(r"(^|_)(id|u?uid|key|token|hash)$", name):
        return uuid
    if size == 64 and re.search(r"hash|digest|sha|checksum", name):
        return f"pg_catalog.encode(pg_catalog.sha256(({literal(salt)} || g)::bytea), 'hex')"
    word = (name or "row")[: (size or 60) // 2].rstrip("_")
    written = f"{literal(word.replace('_', ' ').capitalize())} || ' ' || g"
    for pattern, expression in _WORDS:
        if re.search(rf"(^|_)({pattern})s?$", name):
            replaced = {"{uuid}": uuid, "{word}": literal(word.replace("_", "-")), "{salt}": literal(salt)}
            for mark, value in replaced.items():
                expression = expression.replace(mark, value)
            written = expression
            break
    if size is None:
        return written
    if size < 40 and written.startswith(("'https", "'person", "pg_catalog.md5", "pg_catalog.to_char", "'{")):
        written = "'r' || g" if size < 24 else written
    if size < len(word) + 5:
        written = "'r' || g"
    return f"pg_catalog.right({written}, {size})"
