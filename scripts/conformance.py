"""Hold every check against real servers of PostgreSQL 14 to 19, print the table and write docs/conformance.md."""

from __future__ import annotations

import sys

from environment import prepared, run


def main() -> None:
    run([str(prepared("dev") / "python"), "-m", "tests.conformance", *sys.argv[1:]])


if __name__ == "__main__":
    main()
