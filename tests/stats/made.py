"""Production written by hand: tables with their sizes, and what goes with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from reviewer.sql.names import Name
from reviewer.stats import views
from reviewer.stats.sizes import Production

MADE = datetime(2026, 11, 22, 10, 15, tzinfo=timezone.utc)


def table(name: str, rows: int | None, size: int | None = None, **more: Any) -> views.Table:
    """A table of `rows` rows, of a hundred bytes each unless `size` says otherwise."""
    told = Name.told(name)
    return views.Table(
        schema=told.schema or "public",
        name=told.name,
        kind="table",
        rows=rows,
        heap_bytes=(rows or 1) * 100 if size is None else size,
        toast_bytes=0,
        index_bytes=0,
        **more,
    )


def stats(tables: Mapping[str, int | views.Table | None], **more: Any) -> views.Stats:
    """A file about tables with so many rows each."""
    return views.Stats(
        schema=1,
        tool="0.1.0",
        made=MADE,
        database="shop",
        postgres="16.4",
        standby=False,
        started=MADE,
        counted_since=None,
        settings=(),
        overrides=(),
        tables=tuple(rows if isinstance(rows, views.Table) else table(name, rows) for name, rows in tables.items()),
        oldest_transaction=None,
        replicas=(),
        slots=(),
        **more,
    )


def production(tables: Mapping[str, int | views.Table | None], **more: Any) -> Production:
    """The same as a review has it."""
    return Production.of(stats(tables, **more), "stats.json")
