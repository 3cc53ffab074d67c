"""Set up what is needed and review one of the example projects with the embedded PostgreSQL."""

from __future__ import annotations

import subprocess
import sys

from environment import ROOT, prepared


def main() -> None:
    commands = prepared("examples")
    project = sys.argv[1] if len(sys.argv) > 1 else "examples/blog"
    call = [str(commands / "alembic-reviewer"), "review", project, "--postgres", "embedded"]
    print(f"alembic-reviewer {' '.join(call[1:])}\n", flush=True)
    # findings are what the example is for: its exit status is not ours
    status = subprocess.run(call, cwd=ROOT, check=False).returncode
    sys.exit(0 if status in {0, 1} else status)


if __name__ == "__main__":
    main()
