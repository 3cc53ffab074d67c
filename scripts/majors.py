"""Fetch PostgreSQL 14 to 18 for the tests: once, into a cache folder outside the checkout."""

from __future__ import annotations

import argparse

from environment import prepared, run


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    run([str(prepared("dev") / "python"), "-m", "tests.majors"])


if __name__ == "__main__":
    main()
