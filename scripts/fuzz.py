"""Read made-up input for as long as it takes, with coverage as a guide where atheris is installed.

Usage: scripts/fuzz.py READER [--runs N] [--mutations] [--seed N]

What makes a reader fail is written into tests/data/fuzz/READER, from where the tests read it again.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.fuzz import READERS, SEEDS, mutated, seeds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--mutations", action="store_true", help="mutations of the seeds, not atheris")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the mutations")
    arguments = parser.parse_args()
    read = _kept(arguments.reader, READERS[arguments.reader])
    began = time.monotonic()
    if arguments.mutations:
        _mutate(arguments.reader, read, arguments.runs, arguments.seed)
        print(f"{arguments.reader}: {arguments.runs:,} runs in {time.monotonic() - began:.0f} s, no fault")
        return 0
    import atheris  # from PyPI, for CPython on Linux; not among our requirements

    corpus = Path("/tmp") / f"alembic-reviewer-fuzz-{arguments.reader}"
    corpus.mkdir(exist_ok=True)
    for data in seeds(arguments.reader):
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data[:4_096])
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-runs={arguments.runs}", "-max_len=4096", str(corpus)], read)
    atheris.Fuzz()
    return 0


def _mutate(reader: str, read: Callable[[bytes], None], runs: int, seed: int) -> None:
    every = [each[:4_096] for each in seeds(reader)]
    chance = random.Random(seed)
    for _ in range(runs):
        read(mutated(chance.choice(every), every, chance))


def _kept(reader: str, read: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """`read`, which also writes down what it fails on."""

    def trying(data: bytes) -> None:
        try:
            read(data)
        except BaseException:
            folder = SEEDS / reader
            folder.mkdir(parents=True, exist_ok=True)
            (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
            raise

    return trying


if __name__ == "__main__":
    sys.exit(main())
