"""Speed of the time plane, as ratios in one run: `python -m benchmarks.speed`.

The emulator against a SimPy twin of the same world (same completion times, same rows written), its cost per query as
the crowd grows, and its memory. Nothing here is an absolute promise: only ratios carry from machine to machine.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.crowd import RoundRobin, crowd
from benchmarks.twin import Crowd
from emulator.results import ResultWriter
from emulator.together import Together
from emulator.world import World


def emulate(world: World, folder: Path) -> tuple[float, list[float]]:
    """Wall seconds of a whole local run with every row written, and when each query ended."""
    began = time.perf_counter()
    writer = ResultWriter(folder)
    Together(world, RoundRobin(world), writer.add).run()
    writer.close({})
    took_s = time.perf_counter() - began
    return took_s, writer.result().queries["ended_s"].to_pylist()


def simulate(world: World, folder: Path) -> tuple[float, list[float]]:
    """The same by the SimPy twin, its rows written by the same writer."""
    began = time.perf_counter()
    writer = ResultWriter(folder)
    for table, rows in Crowd(world).run().items():
        writer.add(table, rows)
    writer.close({})
    took_s = time.perf_counter() - began
    return took_s, writer.result().queries["ended_s"].to_pylist()


def against_simpy(rounds: int = 3) -> None:
    world = crowd(users=300, servers=12, queries=100)
    ours, theirs = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            took_s, ends = emulate(world, Path(folder) / "ours")
            twin_s, twin_ends = simulate(world, Path(folder) / "twin")
        worst = max(abs(a - b) for a, b in zip(sorted(ends), sorted(twin_ends), strict=True))
        assert worst < 1e-6, f"the twin disagrees by {worst} s"
        ours.append(took_s)
        theirs.append(twin_s)
    queries = len(ends)
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    print(
        f"300 users, 12 servers, {queries} queries: {queries / statistics.median(ours):,.0f} queries per wall second,"
    )
    print(
        f"  SimPy twin {queries / statistics.median(theirs):,.0f}; ratio {ratio:.2f} (completion times agree to 1 us)"
    )


if __name__ == "__main__":
    against_simpy(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
