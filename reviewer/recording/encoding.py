"""Converts recordings to JSON and back."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from reviewer.errors import RecordingError
from reviewer.recording.whole import Recording

FORMAT = 1
"""Version of the JSON form. A recording with another version is rejected."""


def dumps(recordings: Sequence[Recording]) -> str:
    """Return the recordings of one review, one for each tree, as JSON text."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(_File(FORMAT, tuple(recordings))), indent=1).decode()


def loads(text: str | bytes, file: str = "the file") -> tuple[Recording, ...]:
    """Return the recordings that `dumps` wrote. `file` names their file in errors.

    Raises `RecordingError` if the text has another version, is cut short, or is not a recording.
    """
    import msgspec

    way_out = "Make it again with `alembic-reviewer review --save-recording FILE`."
    try:
        found = msgspec.json.decode(text, type=_OnlyFormat).format
        if found != FORMAT:
            raise RecordingError(
                f"The recording in {file} has format {found}; this version reads format {FORMAT}.", way_out
            )
        return msgspec.json.decode(text, type=_File).recordings
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingError(f"There is no recording in {file}, or it is cut short: {error}.", way_out) from None


class _OnlyFormat(Struct, frozen=True):
    format: int


class _File(Struct, frozen=True):
    format: int
    recordings: tuple[Recording, ...]
