"""Set up what is needed and run everything that must stay green: formatting, lint, types, tests."""

from __future__ import annotations

import sys

from environment import prepared, run


def main() -> None:
    commands = prepared("dev")
    run([str(commands / "python"), "-m", "tests.majors"])
    run([str(commands / "ruff"), "format", "--check", "."])
    run([str(commands / "ruff"), "check", "."])
    run([str(commands / "lint-imports"), "--no-cache"])
    run([str(commands / "mypy")])
    run([str(commands / "python"), "-m", "pytest", "-n", "auto", "-q", *sys.argv[1:]])


if __name__ == "__main__":
    main()
