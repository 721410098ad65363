"""Memory of twelve nodes with VGG19 over Ray actors: `python -m benchmarks.memory`.

Every client and server is an actor of its own and every query runs for real, after an upload of 548 MiB. What is
measured is the largest sum, over this process and all that it started, of proportional set sizes: memory that several
processes share counts once. Exit code 1 above 6 GiB.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import defaultdict
from pathlib import Path

from layerlift.emulator import RunResult, Scenario, run

LIMIT_MIB = 6 * 1024
CHANGES = [
    "users.0.model=vgg19",
    "users.0.queries=6",
    "links.client-edge.bandwidth_mb_s=400",
    "links.client-cloud.bandwidth_mb_s=400",
    "links.edge-cloud.bandwidth_mb_s=400",
    "execution=every",
]
SPREAD = "random"
"""A planner whose plan uses every server, so that each of the actors loads its part."""


class Watch(threading.Thread):
    """Samples memory until told to stop."""

    def __init__(self, every_s: float = 0.5) -> None:
        super().__init__(daemon=True)
        self._every_s = every_s
        self.peak_mib = 0.0
        self.processes = 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self._every_s):
            found = processes(os.getpid())
            total = sum(map(pss_mib, found))
            if total > self.peak_mib:
                self.peak_mib, self.processes = total, len(found)

    def stop(self) -> None:
        self._over.set()
        self.join()


def processes(root: int) -> list[int]:
    """The process `root`, what it started, and so on."""
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children[int(fields[1])].append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def pss_mib(pid: int) -> float:
    """Proportional set size; 0 for a process that has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def measured(planner: str) -> tuple[RunResult, Watch]:
    """A run of the paper's environment with VGG19, and the memory that it took."""
    watch = Watch()
    watch.start()
    result = run(Scenario.load("paper", [*CHANGES, f"users.0.planner={planner}"]))
    watch.stop()
    return result, watch


def main() -> int:
    worst = 0.0
    for planner in ("ionn", SPREAD):
        result, watch = measured(planner)
        worst = max(worst, watch.peak_mib)
        errors = [row["value"] for row in result.measured.to_pylist() if row["kind"] == "output_error"]
        print(
            f"12 nodes, VGG19, {planner}: {watch.peak_mib:,.0f} MiB at most in {watch.processes} processes; "
            f"{result.run['executed_pieces']} pieces on {len(set(result.segments['node'].to_pylist()))} nodes, "
            f"largest output error {max(errors):g}, {result.run['wall_s']:.0f} s"
        )
    print(f"{worst:,.0f} MiB, at most {LIMIT_MIB:,} MiB allowed")
    return int(worst > LIMIT_MIB)


if __name__ == "__main__":
    sys.exit(main())
