"""`python -m benchmarks.docs`: make every table and figure in docs and README again, or say which are stale."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks.docs.blocks import Block, DocsError
from benchmarks.docs.registry import BLOCKS
from layerlift.models.errors import LayerliftError, near


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; 1 when a block is stale (`--check`) or could not be made, 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.docs", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="this block, or all of this page; give several")
    parser.add_argument("--at-most", type=float, metavar="SECONDS", help="only blocks that take no longer")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="name the blocks, where they are and how long each takes")
    what.add_argument("--check", action="store_true", help="write nothing, say which blocks are stale")
    given = parser.parse_args(arguments)
    try:
        blocks = chosen(given.only, given.at_most)
    except DocsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    if given.list:
        print(listed(blocks))
        return 0
    bad = [block.name for block in blocks if not done(block, given.check)]
    return int(bool(bad))


def chosen(names: Sequence[str] | None, at_most_s: float | None) -> list[Block]:
    """The blocks of these names or pages that take no longer than that; all of them when nothing is said.

    Raises `DocsError` for a name that there is not.
    """
    known = {key for block in BLOCKS for key in (block.name, block.page)}
    for name in names or ():
        if name not in known:
            raise DocsError(f"there is no block or page {name!r}{near(name, known)}; --list names them")
    picked = [block for block in BLOCKS if not names or block.name in names or block.page in names]
    return [block for block in picked if at_most_s is None or block.seconds <= at_most_s]


def listed(blocks: Sequence[Block]) -> str:
    """A line for each block, and how long all take."""
    lines = [f"{block.seconds:6g} s  {block.page:24} {block.name}{_remark(block)}" for block in blocks]
    return "\n".join([*lines, f"{sum(block.seconds for block in blocks):6g} s  in all, about, on one idle core"])


def _remark(block: Block) -> str:
    if not block.comparable:
        return "  (measured on this machine: cannot be stale)"
    return "  (times are not compared)" if block.timed else ""


def done(block: Block, check: bool) -> bool:
    """Make a block and write it, or compare it; whether that went well, with a line about it."""
    if check and not block.comparable:
        print(f"{block.page}: {block.name}: measured, cannot be checked", flush=True)
        return True
    began = time.perf_counter()
    try:
        made = block.make()
        fresh = block.fresh(made)
        if not check and not (fresh and block.comparable):
            block.write(made)
    except LayerliftError as error:
        print(f"{block.page}: {block.name}: Error: {error}", flush=True)
        return False
    told = ("fresh" if fresh else "STALE") if check else "unchanged" if fresh and block.comparable else "made again"
    print(f"{block.page}: {block.name}: {told} ({time.perf_counter() - began:.1f} s)", flush=True)
    return fresh or not check


if __name__ == "__main__":
    sys.exit(main())
