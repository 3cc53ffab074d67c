"""The recording: what happened when the revisions ran. The interface between running and judging.

Everything before it needs Python, git and PostgreSQL; everything after it is a pure function of it. It consists of
frozen dataclasses with a JSON form (`dumps`, `loads`) that survives a round trip unchanged.
"""

from __future__ import annotations

from reviewer.recording.afterwards import Afterwards, Counter, Refused, StaleIndex, Visible
from reviewer.recording.catalogue import Catalogue, Column, Constraint, Enumeration, Index, Table
from reviewer.recording.code import (
    UNTOUCHED,
    Broken,
    ClientDefault,
    Control,
    Disagreement,
    Mapped,
    Models,
    NewCode,
    OldCode,
    Relationship,
)
from reviewer.recording.encoding import FORMAT, dumps, loads
from reviewer.recording.history import Declared, Guard, History, HistoryEntry, Revision
from reviewer.recording.observations import (
    NOT_THERE,
    Location,
    Lock,
    Observation,
    Origin,
    Relation,
    Scan,
    Statement,
    Written,
)
from reviewer.recording.passes import (
    Change,
    Difference,
    Direction,
    FailingOld,
    Failure,
    FailureKind,
    Loss,
    Moment,
    Outcome,
    Pass,
    Rehearsal,
    furthest,
    reach,
    seen_between,
)
from reviewer.recording.scale import Scale, ScaledRun, Sized, Taken
from reviewer.recording.whole import BaseOrigin, Environment, Mode, Recording, Server, Skipped, TransactionMode

__all__ = [
    "FORMAT",
    "NOT_THERE",
    "UNTOUCHED",
    "Afterwards",
    "BaseOrigin",
    "Broken",
    "Catalogue",
    "Change",
    "ClientDefault",
    "Column",
    "Constraint",
    "Control",
    "Counter",
    "Declared",
    "Difference",
    "Direction",
    "Disagreement",
    "Enumeration",
    "Environment",
    "FailingOld",
    "Failure",
    "FailureKind",
    "Guard",
    "History",
    "HistoryEntry",
    "Index",
    "Location",
    "Lock",
    "Loss",
    "Mapped",
    "Mode",
    "Models",
    "Moment",
    "NewCode",
    "Observation",
    "OldCode",
    "Origin",
    "Outcome",
    "Pass",
    "Recording",
    "Refused",
    "Rehearsal",
    "Relation",
    "Relationship",
    "Revision",
    "Scale",
    "ScaledRun",
    "Scan",
    "Server",
    "Sized",
    "Skipped",
    "StaleIndex",
    "Statement",
    "Table",
    "Taken",
    "TransactionMode",
    "Visible",
    "Written",
    "dumps",
    "furthest",
    "loads",
    "reach",
    "seen_between",
]
