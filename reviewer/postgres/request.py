"""What a review requires of its server, and the candidates that were found."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, field

from reviewer.sql.versions import NEWEST, OLDEST, VERIFIED, major_of

__all__ = ["NEWEST", "OLDEST", "SOURCES", "VERIFIED", "Candidate", "ServerRequest"]

SOURCES = ("local", "embedded", "container")
"""Sources of servers that need only their name, in the order in which `auto` tries them."""


class ServerRequest(Struct, frozen=True):
    """The server that a review needs."""

    source: str = "auto"
    """`auto`, one of `SOURCES`, or the URL of a running server."""
    version: int | None = None
    """The major version; None for any supported one."""
    extensions: frozenset[str] = field(default_factory=frozenset)
    """Extensions that the migrations are known to need."""
    image: str | None = None
    """The container image to use instead of `postgres:N`."""
    large: bool = False
    """Whether it will hold large tables, whose times count: it then caches them as a server in production does."""

    @property
    def is_url(self) -> bool:
        """Whether the source is the URL of a running server."""
        return "://" in self.source


class Candidate(Struct, frozen=True):
    """One server that could be started, or the reason why it cannot."""

    source: str
    """One of `SOURCES`, or `url`."""
    version: str | None = None
    """For example `16.14`; only the major version if the rest is known only once the server runs."""
    folder: Path | None = None
    """The folder with the binaries."""
    extensions: frozenset[str] | None = None
    """The extensions that it can create; None if that is known only once the server runs."""
    image: str | None = None
    """The container image."""
    problem: str = ""
    """Why it is unusable, as a clause; empty if it is usable."""

    @property
    def major(self) -> int | None:
        """The major version, for example 16."""
        return major_of(self.version) if self.version else None

    @property
    def supported(self) -> bool:
        """Whether its major version is one that is supported."""
        return self.major is not None and OLDEST <= self.major <= NEWEST

    def lacks(self, wanted: frozenset[str]) -> frozenset[str]:
        """Return those of `wanted` that it is known to lack."""
        return frozenset() if self.extensions is None else wanted - self.extensions

    def named(self, version: str | None) -> str:
        """Return a short description, with the exact `version` once it is known."""
        where = f" in {self.folder}" if self.source == "local" and self.folder else ""
        image = f" in {self.image}" if self.image else ""
        return f"{self.source} PostgreSQL{' ' + version if version else ''}{where}{image}"

    def __str__(self) -> str:
        return self.named(self.version)
