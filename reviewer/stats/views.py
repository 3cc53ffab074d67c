"""The types of the file that `alembic-reviewer stats` writes. Its JSON Schema is generated from these classes.

As long as `schema` is 1, keys are only added. A key with a default here may be absent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from reviewer.recording import Catalogue

SCHEMA = 1
"""The version of the format."""

Natural = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Moment = Annotated[datetime, Meta(tz=True)]
Told = Annotated[str, Meta(description="Its name, with its schema unless that is public.")]


class View(Struct, frozen=True, kw_only=True):
    """Base of all objects in the file."""


class Setting(View, frozen=True, kw_only=True):
    """A setting of the server, as it applies to a new session of the role that read it."""

    name: Annotated[str, Meta(description="Its name.")]
    value: Annotated[str, Meta(description="Its value.")]
    unit: Annotated[str | None, Meta(description="The unit of the value, for example ms or 8kB.")] = None


class Override(View, frozen=True, kw_only=True):
    """A setting for a role, for the database, or for a role in the database."""

    role: Annotated[str | None, Meta(description="The role; null for every role.")]
    database: Annotated[bool, Meta(description="Whether it is for this database only.")]
    name: Annotated[str, Meta(description="Its name.")]
    value: Annotated[str, Meta(description="Its value.")]


class Index(View, frozen=True, kw_only=True):
    """An index."""

    name: Annotated[str, Meta(description="Its name, in the schema of its table.")]
    bytes: Annotated[Natural, Meta(description="Its size; 0 for a partitioned index.")]
    valid: Annotated[
        bool, Meta(description="Whether queries use it; a failed concurrent build leaves an invalid one.")
    ]
    unique: Annotated[bool, Meta(description="Whether it is unique.")]
    primary: Annotated[bool, Meta(description="Whether it is the primary key's.")]
    scans: Annotated[Natural, Meta(description="Scans of it since `counted_since`.")]


class Table(View, frozen=True, kw_only=True):
    """A table. A partitioned table has the sums of its partitions at every depth."""

    schema: Annotated[str, Meta(description="Its schema.")]
    name: Annotated[str, Meta(description="Its name.")]
    kind: Annotated[
        Literal["table", "partitioned table", "materialized view", "foreign table"],
        Meta(description="What it is."),
    ]
    rows: Annotated[
        Natural | None,
        Meta(
            description="Estimated rows, as the planner estimates them: reltuples, scaled to the present size of the"
            " table, or the live rows of the statistics if those are more. Null: never analyzed."
        ),
    ]
    heap_bytes: Annotated[Natural, Meta(description="Size of its rows without what is stored apart.")]
    toast_bytes: Annotated[Natural, Meta(description="Size of its large values that are stored apart.")]
    index_bytes: Annotated[Natural, Meta(description="Size of all its indexes.")]
    indexes: Annotated[tuple[Index, ...], Meta(description="Its indexes.")] = ()
    partitions: Annotated[
        tuple[str, ...],
        Meta(description="Its partitions, one level down; with the schema unless that is public."),
    ] = ()
    inserted: Annotated[Natural, Meta(description="Rows inserted since `counted_since` (n_tup_ins).")] = 0
    updated: Annotated[Natural, Meta(description="Rows updated since then (n_tup_upd).")] = 0
    deleted: Annotated[Natural, Meta(description="Rows deleted since then (n_tup_del).")] = 0
    dead: Annotated[Natural, Meta(description="Dead rows, estimated (n_dead_tup).")] = 0
    sequential_scans: Annotated[Natural, Meta(description="Sequential scans since then.")] = 0
    index_scans: Annotated[Natural, Meta(description="Index scans since then.")] = 0
    analyzed: Annotated[Moment | None, Meta(description="When it was last analyzed; null if unknown.")] = None


class OldestTransaction(View, frozen=True, kw_only=True):
    """The oldest transaction that was open in the database."""

    seconds: Annotated[Seconds, Meta(description="How long it was open.")]
    state: Annotated[str, Meta(description="State of its session, such as idle in transaction; or prepared.")]


class Replica(View, frozen=True, kw_only=True):
    """A standby that was connected."""

    state: Annotated[str | None, Meta(description="streaming, catchup and the like; null if hidden from the role.")]
    sync: Annotated[str | None, Meta(description="async, sync, potential or quorum; null if hidden.")]
    bytes_behind: Annotated[Natural | None, Meta(description="WAL that it had not replayed; null if hidden.")]
    seconds_behind: Annotated[Seconds | None, Meta(description="Its replay lag; null if hidden or idle.")]


class Slot(View, frozen=True, kw_only=True):
    """A replication slot."""

    kind: Annotated[str, Meta(description="physical or logical.")]
    active: Annotated[bool, Meta(description="Whether somebody was reading from it.")]


class Query(View, frozen=True, kw_only=True):
    """A statement of pg_stat_statements."""

    text: Annotated[str, Meta(description="Its normalised text: no constants, no comments.")]
    calls: Annotated[Natural, Meta(description="How often it was called.")]
    milliseconds: Annotated[Seconds, Meta(description="The time that all calls took.")]
    rows: Annotated[Natural, Meta(description="Rows that all calls returned or changed.")]


class Stats(View, frozen=True, kw_only=True):
    """What `alembic-reviewer stats` writes. As long as `schema` is 1, keys are only added."""

    schema: Annotated[Literal[1], Meta(description="Version of this format.")]
    tool: Annotated[str, Meta(description="Version of alembic-reviewer that wrote it.")]
    made: Annotated[Moment, Meta(description="When it was read from the server.")]
    database: Annotated[str, Meta(description="Name of the database.")]
    postgres: Annotated[str, Meta(description="Version of the server, for example 16.4.")]
    standby: Annotated[bool, Meta(description="Whether it was read from a standby, whose counters are its own.")]
    started: Annotated[Moment, Meta(description="When the server was started.")]
    counted_since: Annotated[
        Moment | None, Meta(description="When the counters were last reset; null if they never were.")
    ]
    settings: Annotated[tuple[Setting, ...], Meta(description="Settings that matter to a migration.")]
    overrides: Annotated[
        tuple[Override, ...], Meta(description="The same settings where a role or the database has its own.")
    ]
    tables: Annotated[tuple[Table, ...], Meta(description="Every table, partition and materialized view.")]
    oldest_transaction: Annotated[
        OldestTransaction | None, Meta(description="Null if none was open, or if the role may not see that.")
    ]
    replicas: Annotated[tuple[Replica, ...], Meta(description="The standbys that were connected.")]
    slots: Annotated[tuple[Slot, ...], Meta(description="The replication slots.")]
    unknown: Annotated[tuple[str, ...], Meta(description="What could not be read and why, one sentence each.")] = ()
    heads: Annotated[
        tuple[str, ...] | None,
        Meta(description="With --schema: the revisions that Alembic has noted; null if they could not be read."),
    ] = None
    catalogue: Annotated[
        Catalogue | None, Meta(description="With --schema: tables, columns, constraints, indexes and enum types.")
    ] = None
    queries: Annotated[
        tuple[Query, ...] | None, Meta(description="With --queries: the statements that took most time.")
    ] = None
