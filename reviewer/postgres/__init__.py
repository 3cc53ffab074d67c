"""A throw-away PostgreSQL for one review, from one of four sources: a URL, local binaries, the embedded wheel, a
container.

`start` returns a `RunningServer`; `candidates` lists the available servers without starting any. Importing this
package is cheap: the driver and the container library are imported when they are used.
"""

from __future__ import annotations

from reviewer.postgres.choice import candidates, start
from reviewer.postgres.cluster import choose_none
from reviewer.postgres.request import NEWEST, OLDEST, Candidate, ServerRequest
from reviewer.postgres.server import Address, RunningServer

__all__ = [
    "NEWEST",
    "OLDEST",
    "Address",
    "Candidate",
    "RunningServer",
    "ServerRequest",
    "candidates",
    "choose_none",
    "start",
]
