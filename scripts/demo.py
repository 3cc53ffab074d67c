"""Set up what is needed and review one of the example projects with the embedded PostgreSQL."""

from __future__ import annotations

import argparse
import subprocess
import sys

from environment import ROOT, prepared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", nargs="?", default="examples/blog", help="default: %(default)s")
    project = parser.parse_args().project
    commands = prepared("examples")
    call = [str(commands / "alembic-reviewer"), "review", project, "--postgres", "embedded"]
    print(f"alembic-reviewer {' '.join(call[1:])}\n", flush=True)
    # findings are what the example is for: its exit status is not ours
    status = subprocess.run(call, cwd=ROOT, check=False).returncode
    sys.exit(0 if status in {0, 1} else status)


if __name__ == "__main__":
    main()
