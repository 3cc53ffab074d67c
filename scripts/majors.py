"""Fetch PostgreSQL 14 to 18 for the tests: once, into a cache folder outside the checkout."""

from __future__ import annotations

import argparse

from environment import prepared, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--next",
        action="store_true",
        help="PostgreSQL 19 instead, from Debian's packages: no other source has it yet",
    )
    arguments = parser.parse_args()
    run([str(prepared("dev") / "python"), "-m", "tests.majors", *["--next"] * arguments.next])


if __name__ == "__main__":
    main()
