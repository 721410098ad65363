"""Speed of the time plane, as ratios in one run: `python -m benchmarks.speed`.

The emulator against a SimPy twin of the same world (same completion times, same rows written), its cost per query as
the crowd grows, and its memory. Nothing here is an absolute promise: only ratios carry from machine to machine.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.crowd import RoundRobin, crowd
from benchmarks.twin import Crowd
from layerlift.emulator.results.writer import ResultWriter
from layerlift.emulator.runtime.conductor import Conductor
from layerlift.emulator.runtime.host import pack
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.world import World


def emulate(world: World, folder: Path) -> tuple[float, list[float]]:
    """Wall seconds of a whole local run with every row written, and when each query ended."""
    began = time.perf_counter()
    writer = ResultWriter(folder)
    OneClock(world, RoundRobin(world), writer.add).run()
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
    """Queries per wall second, and how many times the twin's that is, pair by pair."""
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


def growth(sizes: tuple[int, ...] = (100, 300, 1000, 3000), queries: int = 50) -> None:
    """CPU time per query as the crowd grows, one server per 25 users: 1.0 is cost in proportion to the crowd."""
    costs = []
    for users in sizes:
        world = crowd(users=users, servers=users // 25, queries=queries)
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            emulate(world, Path(folder) / "run")
            costs.append((time.process_time() - began) / (users * queries))
    slope = 1 + math.log(costs[-1] / costs[0]) / math.log(sizes[-1] / sizes[0])
    told = ", ".join(f"{users} users {cost * 1e6:.0f} us" for users, cost in zip(sizes, costs, strict=True))
    print(f"CPU time per query as the crowd grows: {told}; total cost grows as users^{slope:.2f}")


def memory() -> None:
    """Peak resident memory of a whole process that runs the 300-user world and writes every row."""
    code = (
        "import tempfile; from pathlib import Path; from benchmarks.crowd import crowd;"
        "from benchmarks.speed import emulate; folder = tempfile.mkdtemp();"
        "emulate(crowd(users=300, servers=12, queries=100), Path(folder) / 'run');"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    print(f"Peak memory of that run, Python and all libraries included: {int(told) / 1024:.0f} MiB")


def over_ray(actors: int = 4) -> None:
    """The same crowd over Ray actors, with the time plane in them and in the conductor."""
    from layerlift.emulator.cluster.hosts import RayHosts
    from layerlift.emulator.cluster.session import RayCluster

    with RayCluster(), tempfile.TemporaryDirectory() as folder:
        small = crowd(users=300, servers=12, queries=10)
        hosts = RayHosts(small, pack(small, actors), False, "off")
        hosts.wait()
        writer = ResultWriter(Path(folder) / "actors")
        began = time.perf_counter()
        ending = Conductor(small, hosts, RoundRobin(small), writer.add).run()
        took_s = time.perf_counter() - began
        digest = writer.close({})
        rate, pace = 3000 / took_s, ending.at_s / took_s
        print(
            f"Over {actors} Ray actors, time plane in them: {rate:,.0f} queries per wall second, {pace:.1f} x real time"
        )
        writer = ResultWriter(Path(folder) / "here")
        OneClock(small, RoundRobin(small), writer.add).run()
        assert writer.close({}) == digest, "packing changed the digest"
        world = crowd(users=300, servers=12, queries=100)
        began = time.perf_counter()
        writer = ResultWriter(Path(folder) / "conductor")
        OneClock(world, RoundRobin(world), writer.add).run()
        writer.close({})
        took_s = time.perf_counter() - began
        print(f"  time plane in the conductor, the actors standing by: {30000 / took_s:,.0f}; the digests are equal")


def main() -> None:
    """Everything, in a minute or two."""
    against_simpy()
    growth()
    memory()
    over_ray()


if __name__ == "__main__":
    main()
