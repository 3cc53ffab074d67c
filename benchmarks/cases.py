"""Prints the score over labelled cases: how many unsafe ones are told, how many safe ones are left alone.

python benchmarks/cases.py [--static] [--postgres KIND] [--postgres-version N] [--file CASES.json] [ID ...]
python benchmarks/cases.py --pairs [--static]      both halves of each pair of near twins
python benchmarks/cases.py --situations [SLUG ...] situations of public bug reports
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests import cases, pairs, situations


def main() -> int:
    """Review every case, print the wrong ones with what was said, and the score."""
    arguments = _arguments()
    if arguments.pairs:
        return _pairs(arguments)
    if arguments.situations:
        return _situations(arguments)
    wanted = [
        case
        for case in cases.load(arguments.file)
        if not arguments.ids or any(case.id.startswith(each) for each in arguments.ids)
    ]
    right = dict.fromkeys(("safe", "unsafe"), 0)
    began = time.perf_counter()
    with cases.bench(arguments.postgres, arguments.postgres_version) as bench:
        for case in wanted:
            report = bench.review(case, static=arguments.static)
            good = case.judge(report.findings) and not report.all_errors
            right[case.verdict] += good
            if not good or arguments.all:
                print(
                    f"{'right' if good else 'WRONG'} {case.id} is {case.verdict}: {case.title} {list(case.hazards)}"
                )
                for error in report.all_errors:
                    print(f"    {error}")
                for finding in report.findings:
                    print(f"    {finding.severity.value} {finding.rule}: {finding.message}")
    for verdict, count in right.items():
        print(f"{verdict}: {count} of {sum(case.verdict == verdict for case in wanted)} right")
    print(f"{time.perf_counter() - began:.0f} s")
    return 0 if sum(right.values()) == len(wanted) else 1


def _pairs(arguments: argparse.Namespace) -> int:
    with cases.bench(arguments.postgres, arguments.postgres_version) as bench:
        found = pairs.score(bench, [*pairs.BREAKING, *pairs.WORKING], arguments.static)
    for each in found.silent:
        print(f"silent: {each}")
    for each in found.noisy:
        print(f"noisy: {each}")
    print(f"{found.right:.1%} of {found.of} right, {len(found.errors)} false errors")
    return 0 if found.right == 1 else 1


def _situations(arguments: argparse.Namespace) -> int:
    wanted = [
        each
        for each in situations.SITUATIONS
        if not arguments.ids or any(each.slug.startswith(slug) for slug in arguments.ids)
    ]
    right = 0
    with cases.bench(arguments.postgres, arguments.postgres_version) as bench:
        for each in wanted:
            found = list(situations.wrong(each, bench))
            right += not found
            if found or arguments.all:
                print(f"{'WRONG' if found else 'right'} {each.slug}: {each.what} ({each.source})")
                for sentence in found:
                    print(f"    {sentence}")
    print(f"{right} of {len(wanted)} right")
    return 0 if right == len(wanted) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*", metavar="ID", help="only cases whose id begins so")
    parser.add_argument("--file", type=Path, default=cases.CASES)
    parser.add_argument("--pairs", action="store_true", help="the pairs of near twins instead")
    parser.add_argument("--situations", action="store_true", help="the situations of public bug reports instead")
    parser.add_argument("--static", action="store_true", help="without a server")
    parser.add_argument("--postgres", default="auto")
    parser.add_argument("--postgres-version", type=int)
    parser.add_argument("--all", action="store_true", help="print the right ones too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
