"""Names of column types: spellings, SQLAlchemy's names, and which type changes need no table rewrite."""

from __future__ import annotations

import re

_SPELLINGS = {
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "int2": "smallint",
    "serial": "integer",
    "serial4": "integer",
    "bigserial": "bigint",
    "serial8": "bigint",
    "smallserial": "smallint",
    "serial2": "smallint",
    "bool": "boolean",
    "float": "double precision",
    "float8": "double precision",
    "float4": "real",
    "decimal": "numeric",
    "dec": "numeric",
    "varchar": "character varying",
    "char varying": "character varying",
    "char": "character",
    "bpchar": "character",
    "varbit": "bit varying",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
}

_SQLALCHEMY = {
    "smallint": "sa.SmallInteger()",
    "integer": "sa.Integer()",
    "bigint": "sa.BigInteger()",
    "numeric": "sa.Numeric({})",
    "real": "sa.REAL()",
    "double precision": "sa.Float(53)",
    "boolean": "sa.Boolean()",
    "text": "sa.Text()",
    "character varying": "sa.String({})",
    "character": "sa.CHAR({})",
    "bytea": "sa.LargeBinary()",
    "date": "sa.Date()",
    "timestamp without time zone": "sa.DateTime()",
    "timestamp with time zone": "sa.DateTime(timezone=True)",
    "time without time zone": "sa.Time()",
    "time with time zone": "sa.Time(timezone=True)",
    "interval": "sa.Interval()",
    "uuid": "postgresql.UUID()",
    "json": "sa.JSON()",
    "jsonb": "postgresql.JSONB()",
    "inet": "postgresql.INET()",
    "cidr": "postgresql.CIDR()",
    "tsvector": "postgresql.TSVECTOR()",
}

START_OF_TRANSACTION = frozenset({"now()", "current_timestamp", "transaction_timestamp()"})
"""One value in three spellings, in small letters:
<https://www.postgresql.org/docs/current/functions-datetime.html#FUNCTIONS-DATETIME-CURRENT>."""

# A neutral value of the type, as an SQL expression.
_NEUTRAL = {
    "smallint": "0",
    "integer": "0",
    "bigint": "0",
    "numeric": "0",
    "real": "0",
    "double precision": "0",
    "boolean": "false",
    "text": "''",
    "character varying": "''",
    "json": "'{}'",
    "jsonb": "'{}'",
    "date": "CURRENT_DATE",
    "timestamp without time zone": "CURRENT_TIMESTAMP",
    "timestamp with time zone": "CURRENT_TIMESTAMP",
}

BUILT_IN = frozenset(_SPELLINGS.values()) | frozenset(_SQLALCHEMY) | frozenset(
    ["bit", "money", "name", "oid", "xml", "citext", "hstore", "macaddr", "macaddr8", "point", "line", "lseg", "box", "path", "polygon", "circle", "tsquery", "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange", "int4multirange", "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange", "datemultirange", "pg_lsn", "vector"]
)  # fmt: skip
"""Types that are not domains: PostgreSQL's own, in `format_type`'s spelling without length, and common extensions'.
"""


_COMMON = BUILT_IN | frozenset(_SPELLINGS) | frozenset(
    ["aclitem", "cid", "jsonpath", "pg_snapshot", "refcursor", "regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc", "regprocedure", "regrole", "regtype", "tid", "txid_snapshot", "xid", "xid8", "geometry", "geography", "box2d", "box3d", "raster", "topogeometry", "ltree", "lquery", "ltxtquery", "cube", "seg", "earth", "halfvec", "sparsevec", "intarray", "isbn", "isbn13", "issn", "issn13", "ismn", "ismn13", "upc", "ean13", "lo", "h3index", "roaringbitmap", "semver"]
)  # fmt: skip
"""Types that nobody has to create: PostgreSQL's own, and those of extensions that others may have installed."""


def comes_with_postgres(type_: str) -> bool:
    """Whether the type can exist without a revision that creates it: PostgreSQL's own, or an extension's."""
    return base(type_) in _COMMON or base(type_).startswith("interval")


def canonical(type_: str) -> str:
    """`type_` in the spelling of `format_type`: `VARCHAR(50)` is `character varying(50)`."""
    base, length, suffix = _parts(type_)
    if not length:
        return base + suffix
    word, zone, rest = base.partition(" with")  # `timestamp(3) with time zone`
    return f"{word}({length}){zone}{rest}{suffix}"


def built_in(type_: str) -> bool:
    """Whether the type, or the type of an array's elements, is not a domain or other user-defined type."""
    return _parts(type_)[0] in BUILT_IN


def sqlalchemy(type_: str) -> str | None:
    """The type as written in a revision, with `sa` and `postgresql` imported; None for a user-defined type."""
    base, length, suffix = _parts(type_)
    known = _SQLALCHEMY.get(base)
    if known is None or (length and "{}" not in known):
        return None
    found = known.format(length.replace(",", ", "))
    return f"postgresql.ARRAY({found})" if suffix else found


LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
"""The types of whole numbers, and the highest value that each holds."""


def neutral(type_: str) -> str | None:
    """A neutral value of the type, as an SQL expression; None if there is none."""
    base, _length, suffix = _parts(type_)
    return "'{}'" if suffix else _NEUTRAL.get(base)


def keeps_storage(old: str, new: str) -> bool:
    """Whether a change from `old` to `new`, without USING, is known not to rewrite the table.

    Measured on PostgreSQL 14 to 18: a wider `varchar` or `varbit`, `varchar` to `text`, a `numeric` with more
    digits before the point, a longer fraction of seconds, `cidr` to `inet`, `xml` to `text`.
    """
    old_base, old_length, old_suffix = _parts(old)
    new_base, new_length, new_suffix = _parts(new)
    if old_suffix or new_suffix:
        return canonical(old) == canonical(new)
    if (old_base, old_length) == (new_base, new_length):
        return True
    strings = {"character varying", "text"}
    if old_base in strings and new_base in strings:
        return not new_length or (bool(old_length) and int(old_length) <= int(new_length))
    if old_base == new_base == "bit varying":
        return not new_length or (bool(old_length) and int(old_length) <= int(new_length))
    if old_base == new_base == "numeric":
        return not new_length or (bool(old_length) and _wider(old_length, new_length))
    if old_base == new_base and new_base.startswith(("timestamp", "time ", "interval")):
        return not new_length or int(old_length or 6) <= int(new_length)
    return (old_base, new_base) in {("cidr", "inet"), ("xml", "text")}


def depends_on_time_zone(old: str, new: str) -> bool:
    """Whether the change rewrites the table in every time zone except UTC."""
    moments = {"timestamp without time zone", "timestamp with time zone"}
    (old_base, _, old_suffix), (new_base, length, new_suffix) = _parts(old), _parts(new)
    return {old_base, new_base} == moments and not (old_suffix or new_suffix) and length in {"", "6"}


def has_no_cast(old: str, new: str) -> bool:
    """Whether PostgreSQL is known to refuse a change from `old` to `new` that has no USING.

    Only casts on assignment count: measured on PostgreSQL 14 to 18 for its most common built-in types.
    """
    if "[]" in (_parts(old)[2], _parts(new)[2]) or not (built_in(old) and built_in(new)):
        return False
    old_kind, new_kind = (_ASSIGNED.get(base(each)) for each in (old, new))
    if old_kind is None or new_kind is None or new_kind == "text":
        return False
    return old_kind != new_kind


_ASSIGNED = {
    **dict.fromkeys(("character varying", "text", "character"), "text"),
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric", "real", "double precision"), "number"),
    **dict.fromkeys(("date", "timestamp without time zone", "timestamp with time zone"), "moment"),
    **{each: each for each in ("boolean", "uuid", "bytea")},
    **dict.fromkeys(("json", "jsonb"), "document"),
    **dict.fromkeys(("inet", "cidr"), "address"),
}
"""Types of one kind are cast to each other on assignment, and all of these to text."""


def _wider(old: str, new: str) -> bool:
    (old_digits, _, old_scale), (new_digits, _, new_scale) = old.partition(","), new.partition(",")
    return int(old_digits) <= int(new_digits) and int(old_scale or 0) == int(new_scale or 0)


def _parts(type_: str) -> tuple[str, str, str]:
    """Base in the canonical spelling, length without spaces, and `[]` for an array."""
    text = " ".join(type_.split())
    folded = text if '"' in text else text.lower()
    suffix = "[]" if folded.endswith("]") else ""
    folded = re.sub(r"(\[\d*\])+$", "", folded).strip()
    found = re.search(r"\(([\d\s,]+)\)", folded)
    length = found[1].replace(" ", "") if found else ""
    base = " ".join((folded[: found.start()] + folded[found.end() :]).split()) if found else folded
    if base == "float" and length:
        return ("real" if int(length) <= 24 else "double precision"), "", suffix
    base = _SPELLINGS.get(base, base)
    if base == "character" and not length:
        length = "1"
    return base, length, suffix


def narrows(old: str, new: str) -> bool:
    """Whether a change from `old` to `new` can encounter values that the new type rejects, truncates or rounds."""
    old_base, old_length, old_suffix = _parts(old)
    new_base, new_length, new_suffix = _parts(new)
    if old_suffix or new_suffix or keeps_storage(old, new):
        return False
    order = next((row for row in _NARROWING if old_base in row and new_base in row), None)
    if old_base != new_base and order is not None:
        return order.index(new_base) < order.index(old_base)
    if new_base in {"character varying", "character", "bit", "bit varying"} and old_base in {*_STRINGS, new_base}:
        return bool(new_length) and (not old_length or int(new_length) < int(old_length))
    if old_base == new_base == "numeric":
        return bool(new_length) and not _holds(old_length, new_length)
    if old_base == new_base and new_base.startswith(("timestamp", "time ", "interval")):
        return int(new_length or 6) < int(old_length or 6)
    if new_base in _DIGITS and old_base in {"numeric", *_LARGEST_DIGITS}:
        digits = old_length.partition(",")[0] if old_base == "numeric" else _LARGEST_DIGITS[old_base]
        return not digits or int(digits) > _DIGITS[new_base]
    if new_base == "numeric":
        return bool(new_length) and old_base in {"real", "double precision"}
    numbers = {"smallint", "integer", "bigint"}
    return (old_base in {"numeric", "real", "double precision"} and new_base in numbers) or (
        old_base in _STRINGS and new_base in numbers | {"numeric", "boolean", "uuid", "date", "jsonb", "json"}
    )


_DIGITS = {"real": 6, "double precision": 15}
"""How many decimal digits a floating number keeps."""
_LARGEST_DIGITS = {"smallint": "5", "integer": "10", "bigint": "19"}
_STRINGS = frozenset({"character varying", "text", "character", "citext"})
_NARROWING = (
    ("smallint", "integer", "bigint"),
    ("real", "double precision"),
    ("date", "timestamp without time zone"),
    ("date", "timestamp with time zone"),
    ("time without time zone", "timestamp without time zone"),
)
"""Types of one kind, each holding all of those before it."""


def _holds(old_length: str, new_length: str) -> bool:
    """Whether a `numeric` of the new length holds every value of the old one."""
    if not old_length:
        return False
    (old_digits, _, old_scale), (new_digits, _, new_scale) = old_length.partition(","), new_length.partition(",")
    before, scale = int(old_digits) - int(old_scale or 0), int(old_scale or 0)
    return int(new_scale or 0) >= scale and int(new_digits) - int(new_scale or 0) >= before


def kind(type_: str) -> str:
    """What Python makes of the type's values: `text`, `number`, `moment`; the type itself if unknown."""
    base, _, suffix = _parts(type_)
    return _KINDS.get(base, base) + suffix


_KINDS = {
    **dict.fromkeys(("character varying", "text", "character", "citext", "name"), "text"),
    **dict.fromkeys(("smallint", "integer", "bigint"), "whole number"),
    **dict.fromkeys(("real", "double precision"), "floating number"),
    **dict.fromkeys(("inet", "cidr"), "address"),
    **dict.fromkeys(("bit", "bit varying"), "bits"),
    **dict.fromkeys(("json", "jsonb"), "document"),
}


def family(type_: str) -> str:
    """Types that one btree operator family compares without a cast, under our own name for it."""
    found, _, suffix = _parts(type_)
    return _FAMILIES.get(found, _KINDS.get(found, found)) + suffix


_FAMILIES = dict.fromkeys(("date", "timestamp without time zone", "timestamp with time zone"), "moment")


def base(type_: str) -> str:
    """The canonical name without length or array."""
    return _parts(type_)[0]
