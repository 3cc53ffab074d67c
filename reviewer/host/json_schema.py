"""The JSON Schemas in the package, made from the types that are written."""

from __future__ import annotations

from typing import Any

import msgspec


def closed(kind: type[msgspec.Struct], name: str, title: str) -> dict[str, Any]:
    """Return the JSON Schema of `kind` as a document with the id `urn:alembic-reviewer:NAME:1`. It is closed: a key that
    it does not name is an error.
    """
    whole = msgspec.json.schema(kind)
    parts = whole["$defs"]
    for part in parts.values():
        # A docstring of several lines: how much of its indentation is left depends on the versions of Python and msgspec.
        if "description" in part:
            part["description"] = " ".join(part["description"].split())
        if part.get("type") == "object":
            part["additionalProperties"] = False
    root = parts.pop(kind.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:alembic-reviewer:{name}:1",
        **root,
        "title": title,
        "$defs": parts,
    }
