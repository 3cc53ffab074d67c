"""The whole table of faults: is a review red exactly where plain Alembic is? Prints the count and what disagrees."""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.agreement import bench, cells


def main() -> int:
    """Try every cell whose description contains all the words on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="try only the cells that have each word in their name"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print the cells that agree too")
    arguments = parser.parse_args()
    wanted = [cell for cell in cells() if all(word in str(cell) for word in arguments.words)]
    random.Random(8).shuffle(wanted)  # who stops it early has seen some of everything
    started = time.monotonic()
    agreed = red = refused = 0
    with bench() as running:
        for number, cell in enumerate(wanted, 1):
            outcome = running.outcome(cell)
            agreed += outcome.agrees
            red += outcome.red
            refused += outcome.plain and not outcome.red
            if not outcome.agrees:
                print(f"DISAGREE {outcome}", flush=True)
            elif arguments.verbose:
                print(outcome, flush=True)
            if number % 25 == 0:
                print(f"{number} of {len(wanted)}, {time.monotonic() - started:.0f} s", flush=True)
    print(f"{agreed} of {len(wanted)} agree: {red} red, {refused} refused on purpose")
    return 0 if agreed == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
