"""`python -m benchmarks.learning.crowd --minutes 10`: make what docs/learned.md needs of crowds, as far as time goes.

The most important runs come first, seed by seed; what was made is kept, and nothing is made twice.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

from benchmarks.learning.crowd.measuring import each_found, store
from benchmarks.learning.crowd.tables import FIRST
from benchmarks.learning.crowd.worlds import (
    AGAINST,
    ALL,
    CONTENTION,
    FEW,
    HELD_OUT,
    HOME,
    MAIN,
    OTHERS,
    Case,
)
from layerlift.models.errors import LayerliftError


def cases(group: str, seeds: range) -> Iterator[Case]:
    """The runs of a group, the most important first."""
    large, small = CONTENTION.values()
    for seed in seeds:
        if group in ("300", "all"):
            yield from (Case(large, way, seed) for way in (HOME, *MAIN))
        if group in ("90", "all"):
            yield from (Case(small, way, seed) for way in (HOME, *ALL))
    for seed in seeds:
        if group in ("300", "all"):
            yield from (Case(large, way, seed) for way in ALL)
    for name, crowds, ways in (("others", OTHERS, FEW), ("held out", HELD_OUT, AGAINST)):
        if group in (name, "all"):
            yield from (Case(crowd, way, seed) for seed in seeds for crowd in crowds.values() for way in (HOME, *ways))


def main(arguments: Sequence[str] | None = None) -> int:
    """Make runs until the time is up; 1 when one cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning.crowd", description=__doc__)
    parser.add_argument("--group", choices=["300", "90", "others", "held out", "all"], default="all")
    parser.add_argument("--first", type=int, default=FIRST, help="the first seed")
    parser.add_argument("--seeds", type=int, default=FIRST + 4, help="the last seed")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--policies", choices=["any", "none"], default="any", help="none: not those that learned")
    given = parser.parse_args(arguments)
    kept, began = store(), time.monotonic()
    asked = dict.fromkeys(cases(given.group, range(given.first, given.seeds + 1)))
    todo = [case for case in asked if kept.get(case) is None and (given.policies == "any" or not case.told()["policy"])]
    try:
        for number, (case, _) in enumerate(each_found(todo, kept), start=1):
            spent = (time.monotonic() - began) / 60.0
            told = f"{case.crowd.title}, {case.way.title}, {case.seed}"
            print(f"{number} of {len(todo)} after {spent:.1f} min: {told}", flush=True)
            if spent > given.minutes:
                print("the time is up; run it again to go on", file=sys.stderr)
                return 0
    except LayerliftError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
