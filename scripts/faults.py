"""Do every known fault to a real review and print what it survived (see docs/reliability.md)."""

from __future__ import annotations

import sys

from environment import prepared, run


def main() -> None:
    run([str(prepared("dev") / "python"), "-m", "tests.faults", *sys.argv[1:]])


if __name__ == "__main__":
    main()
