"""A stand-in for the reviewer: starts a server, says where, and holds it until a line comes or it is killed.

Arguments: the source, and a version or nothing.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from reviewer.host.guardian import Guardian
from reviewer.postgres import ServerRequest, start

if __name__ == "__main__":
    source, *version = sys.argv[1:]
    request = ServerRequest(source, version=int(version[0]) if version else None)
    with Guardian() as guardian, start(request, guardian) as server:
        database = server.create_database("held")
        with server.connect(database) as connection:
            found = connection.execute("SHOW data_directory").fetchone()
        folder = Path(found[0]) if found else Path()
        told = {"folder": server.address.host, "source": server.source, "version": server.version}
        owner = folder.stat().st_uid if folder.exists() else os.geteuid()
        print(json.dumps(told | {"owner": owner}), flush=True)  # noqa: T201 - its way to answer
        sys.stdin.readline()
