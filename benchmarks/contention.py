"""The bundled crowd, measured in its two phases: `python -m benchmarks.contention [--users N] [--until S]`.

Local, execution none, every table written. Planning is told apart: its wall time is taken out of both rates. The first
phase ends when the first of the long uploads has, the second begins when the last one has. Peak memory is that of a
process of its own, for two sizes of the crowd, and its difference is what a user costs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.local import LocalPlans
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.results.writer import ResultWriter
from layerlift.emulator.runtime.ending import Progress
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.world.world import World
from layerlift.planners import Upload


class Phases:
    """Wall seconds without planning, and queries ended, by virtual time."""

    def __init__(self, plans: LocalPlans) -> None:
        self._plans, self._began = plans, time.perf_counter()
        self.points: list[tuple[float, int, float]] = []

    def note(self, state: Progress) -> None:
        planning = sum(seconds for _, _, seconds in self._plans.log.took_s)
        self.points.append((state.now_s, state.queries, time.perf_counter() - self._began - planning))

    def rate(self, first_s: float, last_s: float) -> tuple[int, float]:
        """Queries, and wall seconds, between two moments of virtual time."""
        inside = [point for point in self.points if first_s <= point[0] <= last_s]
        return inside[-1][1] - inside[0][1], inside[-1][2] - inside[0][2]


def world_of(users: int, until_s: float) -> World:
    """The bundled `contention` with so many users, who ask until the end, so that none has left in any phase."""
    changes = [f"users.0.count={users}", "users.0.queries=null", f"until_s={until_s}", "execution=none"]
    return Scenario.load("contention", changes).resolve()


def phases(users: int, until_s: float) -> None:
    """Print the rates of the two phases."""
    world = world_of(users, until_s)
    plans = LocalPlans(world)
    with tempfile.TemporaryDirectory() as folder:
        writer = ResultWriter(Path(folder) / "run")
        watch = Phases(plans)
        OneClock(world, plans, writer.add, None, watch.note).run()
        writer.close({})
        confirmed = [row for row in writer.result().uploads.to_pylist() if row["status"] == "confirmed"]
        flying_s = min(each["ended_s"] for each in last_parts(confirmed).values())
        done_s = max(row["ended_s"] for row in confirmed)
    planning = sum(seconds for _, _, seconds in plans.log.took_s)
    print(f"contention, {users} users, {until_s:.0f} virtual s: planning {planning:.1f} s of wall clock, told apart")
    for name, first_s, last_s in (("while all upload", 0.0, flying_s), ("once all have", done_s, until_s)):
        count, wall_s = watch.rate(first_s, last_s)
        rate = f"{count / wall_s:,.0f} per wall second" if wall_s > 0.0 else "none"
        print(f"  {name} ({first_s:.0f} to {last_s:.0f} s): {count:,} queries, {rate}")


def last_parts(confirmed: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The last confirmed part of each user that uploaded for long enough to meet the others."""
    return {row["user"]: row for row in confirmed if row["ended_s"] > 30.0}


class Spreading:
    """Plans without thinking, for what is measured is not planning: every user's layers to one server in turn."""

    def submit(self, job: PlanJob) -> None:
        """See `Plans`."""

    def result(self, job: PlanJob) -> PlanOutcome:
        """See `Plans`."""
        layers = range(len(job.problem.graph))
        server = job.request % len(job.problem.servers) + 1
        placement = tuple(server if job.problem.allowed[layer, server] else 0 for layer in layers)
        moved = tuple(layer for layer in layers if placement[layer])
        return PlanOutcome(True, placement, (Upload(server, moved),) if moved else (), False, "", 1.0, 1.0, "")


def memory(sizes: tuple[int, int] = (300, 1500), until_s: float = 220.0) -> None:
    """Print the peak memory of two sizes of the crowd, each in a process of its own, and what a user costs.

    Both run long enough to fill the writer's buffers of rows, which are bounded: they are no user's.
    """
    peaks = []
    for users in sizes:
        code = f"from benchmarks.contention import alone; alone({users}, {until_s})"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        peaks.append(int(told.split()[-1]))
    each = (peaks[1] - peaks[0]) / (sizes[1] - sizes[0])
    print(f"peak memory: {sizes[0]} users {peaks[0] / 1024:.0f} MiB, {sizes[1]} users {peaks[1] / 1024:.0f} MiB;")
    print(f"  {each:.1f} KiB a user")


def alone(users: int, until_s: float) -> None:
    """Run the crowd with plans made without thinking, and print this process's peak memory in KiB."""
    world = world_of(users, until_s)
    with tempfile.TemporaryDirectory() as folder:
        writer = ResultWriter(Path(folder) / "run")
        began = time.perf_counter()
        OneClock(world, Spreading(), writer.add).run()
        writer.close({})
        took_s = time.perf_counter() - began
        queries = writer.run["tables"]["queries"]["rows"]
    status = Path("/proc/self/status").read_text().splitlines()
    print(f"{users} users: {queries:,} queries in {took_s:.0f} s of wall clock")
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--users", type=int, default=300)
    options.add_argument("--until", type=float, default=900.0, help="virtual seconds")
    chosen = options.parse_args()
    phases(chosen.users, chosen.until)
    memory()


if __name__ == "__main__":
    main()
