"""A crowd whose every query really runs: `python -m benchmarks.real_crowd`.

300 phones of AlexNet and SqueezeNet on the paper's ten servers, over Ray actors, `execution: every`: it finishes,
every answer has the bits of the uncut network's, and the digest is that of one process that executes nothing. Says how
many queries that is a second of wall clock and what they cost, by kind of process. `--users` and `--queries` make it
smaller, `--execution once` runs one query of each route. Exit code 1 for a wrong answer, another digest, or more
than 12 GiB in all.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from benchmarks.memory import Watch, processes
from layerlift.emulator import RunResult, Scenario, run

LIMIT_MIB = 12 * 1024
TICKS = os.sysconf("SC_CLK_TCK")


def scenario(users: int, queries: int, execution: str, planner: str = "ionn") -> Scenario:
    """The paper's servers and links, shared by many phones."""
    paper = Scenario.load("paper").model_dump(mode="json", exclude_unset=True, by_alias=True)
    clients, *servers = paper["nodes"]
    kinds = [
        {"count": users - users // 2, "model": "alexnet", "queries": queries},
        {"count": users // 2, "model": "squeezenet", "queries": queries},
    ]
    return Scenario.from_dict(
        {
            "name": "real-crowd",
            "nodes": [{**clients, "count": users, "names": "phone{}"}, *servers],
            "links": paper["links"],
            "share_links": True,
            "users": [{**kind, "planner": planner, "think_s": 0.5} for kind in kinds],
            "reference_ghz": paper["reference_ghz"],
            "execution": execution,
            "inputs": 4,
        }
    )


class Costs(Watch):
    """Watches memory, and the CPU seconds of each kind of process."""

    def __init__(self) -> None:
        super().__init__(every_s=3.0)  # looking costs the processes that are looked at
        self.seconds: dict[int, tuple[str, float]] = {}

    def look(self) -> None:
        """Note what each process has used so far; those that end are remembered."""
        for pid in processes(os.getpid()):
            try:
                name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition(" (")[2].rpartition(") ")
                fields = rest.split()
            except OSError:
                continue
            kind = "conductor" if pid == os.getpid() else "actors" if "ray::Host" in name else "Ray's own"
            self.seconds[pid] = kind, (int(fields[11]) + int(fields[12])) / TICKS

    def by_kind(self) -> Mapping[str, float]:
        """CPU seconds of each kind, most first."""
        self.look()
        found: defaultdict[str, float] = defaultdict(float)
        for kind, seconds in self.seconds.values():
            found[kind] += seconds
        return dict(sorted(found.items(), key=lambda each: -each[1]))


def told(result: RunResult, costs: Costs, wall_s: float) -> None:
    """What the run took."""
    queries = result.queries.num_rows
    spent = costs.by_kind()
    rows = result.measured.select(["kind", "name", "value"]).to_pylist()
    executed_s = sum(row["value"] for row in rows if row["kind"] == "execution_s")
    pieces = result.run["executed_pieces"]
    cuts = len({row["name"] for row in rows if row["kind"] == "execution_s"})
    whole = [f"{kind} {seconds:.0f}" for kind, seconds in spent.items()]
    run_s = wall_s - result.run["setup_s"]
    print(
        f"{queries:,} queries, {pieces:,} pieces ({cuts} different): {wall_s:.0f} s "
        f"({wall_s - run_s:.0f} of them to start), "
        f"{queries / run_s:.1f} queries a second after that"
    )
    print(
        f"{sum(spent.values()):.0f} CPU seconds ({', '.join(whole)}), {1e3 * sum(spent.values()) / queries:.1f} ms a "
        f"query; inside onnxruntime {executed_s:.0f} s, {1e3 * executed_s / max(pieces, 1):.1f} ms a piece"
    )
    print(f"{costs.peak_mib:,.0f} MiB at most in {costs.processes} processes, {LIMIT_MIB:,} allowed")


def measured(wanted: Scenario, options: dict[str, Any]) -> tuple[RunResult, Costs, float]:
    """The run, what it used, and how long it took (seconds of wall clock)."""
    costs = Costs()
    costs.start()
    last = [0.0]

    def look(*_: object) -> None:
        if time.monotonic() - last[0] > 1.0:
            last[0] = time.monotonic()
            costs.look()

    began = time.perf_counter()
    result = run(wanted, notice=lambda text: print(text, flush=True), progress=look, **options)
    wall_s = time.perf_counter() - began
    costs.stop()
    return result, costs, wall_s


@click.command()
@click.option("--users", default=300, show_default=True)
@click.option("--queries", default=12, show_default=True)
@click.option("--execution", type=click.Choice(["every", "once"]), default="every", show_default=True)
@click.option("--planner", default="ionn", show_default=True, help="`random` cuts everywhere.")
@click.option("--actors", default="auto", show_default=True)
def main(users: int, queries: int, execution: str, planner: str, actors: str) -> None:
    result, costs, wall_s = measured(scenario(users, queries, execution, planner), {"actors": actors})
    told(result, costs, wall_s)
    errors = [row["value"] for row in result.measured.to_pylist() if row["kind"] == "output_error"]
    alone = run(scenario(users, queries, "none", planner), local=True)
    same = alone.digest == result.digest
    print(f"{len(errors):,} answers compared, largest error {max(errors):g}; digest {'same' if same else 'DIFFERS'}")
    whole = execution != "every" or len(errors) == result.queries.num_rows
    sys.exit(int(not (same and whole and max(errors) == 0.0 and costs.peak_mib <= LIMIT_MIB)))


if __name__ == "__main__":
    main()
