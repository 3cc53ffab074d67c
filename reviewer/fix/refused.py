"""Why a finding is not fixed."""

from __future__ import annotations


class Refused(Exception):
    """The finding cannot be fixed here; the words say why, without the full stop."""
