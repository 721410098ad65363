"""How far every offloading planner is from the optimum: `python -m benchmarks.gaps > docs/gaps.md`.

Random worlds of the families that ship (`benchmarks.gaps_worlds`), then the nine networks in the paper's environment,
client r1 and all ten servers, for latency and for Lin's objective. The gaps come out the same everywhere; times are
ratios of one run. `--models`, `--seeds` and `--worlds` make it shorter.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from benchmarks import gaps_worlds
from benchmarks.gap_tables import (
    EVALUATIONS,
    LETTER,
    SWARMS,
    UNSEEDED,
    Try,
    attempt,
    percent,
    planner_of,
    spent,
    table,
    timed,
)
from layerlift import models
from layerlift.emulator import Scenario
from layerlift.emulator.world.world import World
from layerlift.models.loading import zoo
from layerlift.models.timing.profiles import reference
from layerlift.planners import ClientPower, Objective, Problem, cost, make
from layerlift.planners.cost.crowd import Crowd
from layerlift.planners.exact.optimal import Optimal

PLAIN = ("local", "all_remote", "greedy", "units")
"""Planners that do not heed limits."""
EXACT_IN_CLASS = ("one_step", "one_climb", "min_cut", "shortest_path", "labels")
TOGETHER_BY = ("best_response", "gibbs", *SWARMS)
WIDE = ("densenet121", "inception_v2", "shufflenet")
FACTORS = (1.0, 5.0, 10.0, 27.9)
LATE = 0.3
"""Where the deadline lies between the fastest placement (0) and staying local (1)."""


@cache
def paper() -> World:
    """The paper's environment as the bundled scenario makes it."""
    return Scenario.load("paper").resolve()


def problem_of(name: str, client: int = 0, factor: float | None = None) -> Problem:
    """The question of one client of the paper's environment; `factor` x the clock of the profile is the reference."""
    world, network = paper(), models.load(name)
    profile = reference(network)
    indices = (world.clients[client], *world.servers)
    nodes = [world.nodes[index] for index in indices]
    ghz = next(iter(world.models[0].reference_ghz.values())) if factor is None else factor * profile.ghz
    links = [[None if a == b else world.link(a, b) for b in indices] for a in indices]
    count = len(nodes)
    return Problem(
        graph=network.graph,
        nodes=("client", *(node.name for node in nodes[1:])),
        tiers=tuple(node.tier for node in nodes),
        seconds=np.array([[second * ghz * node.cores / node.ghz for node in nodes] for second in profile.seconds]),
        latency_s=np.array([[link.latency_s if link else 0.0 for link in row] for row in links]),
        bandwidth_bytes_s=np.array([[link.bandwidth_bytes_s if link else np.inf for link in row] for row in links]),
        memory_bytes=np.array([node.memory_bytes for node in nodes]),
        load=np.zeros(count),
        share=np.ones(count),
        price_per_s=np.array([node.price_per_s for node in nodes]),
        price_per_byte=np.array([[link.price_per_byte if link else 0.0 for link in row] for row in links]),
        price_per_byte_s=np.array([node.price_per_byte_s for node in nodes]),
        power=ClientPower(nodes[0].idle_w, nodes[0].compute_w, nodes[0].radio_w),
        busy_w=np.array([nodes[0].idle_w + nodes[0].compute_w, *(node.compute_w for node in nodes[1:])]),
        load_s_per_byte=np.array([node.load_s_per_byte for node in nodes]),
        cores=np.array([node.cores for node in nodes], dtype=np.int64),
        allowed=np.ones((len(network.graph), count), dtype=np.bool_),
    )


def with_deadline(problem: Problem, fastest_s: float) -> Problem:
    """Lin's question: the least money under a deadline."""
    local_s = cost.latency(problem, (0,) * len(problem.graph))
    deadline_s = fastest_s + LATE * (local_s - fastest_s)
    return replace(problem, objective=Objective(latency=0.0, money=1.0, deadline_s=deadline_s))


def measure(problems: dict[str, Problem], planners: Sequence[str], seeds: int, unit: float, word: str) -> None:
    """The table of gaps for one objective, and what the planners spent."""
    rows, tries = [], {}
    for name, problem in problems.items():
        answer, seconds = timed(problem)
        found = {text: attempt(text, problem, answer.bound, seeds) for text in planners}
        tries[name] = {**found, "optimal": Try((answer.gap,), 0.0, seconds)}
        known = f"{answer.key[1] * unit:.4g}" if answer.proved else f"at least {answer.bound * unit:.4g}"
        own = "proved" if answer.proved else percent(answer.key[1] / answer.bound - 1.0)
        rows.append([name, known, own, *found.values()])
        print(f"{word}: {name} done", file=sys.stderr)
    table(["network", word, "`optimal`", *(f"`{text}`" for text in planners)], rows)
    spent(tries)


def factors(names: Sequence[str]) -> None:
    """Where the optimum lies when the devices do less per cycle."""
    rows = []
    for name in names:
        row: list[str] = [name]
        for factor in FACTORS:
            problem = problem_of(name, factor=factor)
            answer = Optimal().answer(problem)
            cut = cost.latency(problem, make("one_step").plan(problem, random.Random(0)).placement)
            parts = problem.graph.segments(answer.placement)
            where = " ".join(f"{problem.nodes[part.node]}:{part.first}-{part.last}" for part in parts)
            mark = "" if answer.proved else " (not proved)"
            row.append(f"{where}{mark}, {percent(cut / answer.bound - 1.0)} %")
        rows.append(row)
        print(f"factors: {name} done", file=sys.stderr)
    table(["network", *(f"factor {factor:g}" for factor in FACTORS)], rows)


def together(names: Sequence[str], seeds: int) -> None:
    """Both clients at once: the joint value of each planner over that of every client's own optimum."""
    rows = []
    for name in names:
        users = [problem_of(name, client) for client in range(len(paper().clients))]
        crowd = Crowd(users)
        alone = crowd.score([Optimal().answer(problem).placement for problem in users])[1]
        row = [name]
        for text in TOGETHER_BY:
            scores = []
            for seed in range(seeds):
                plans = planner_of(text).plan_all(users, random.Random(seed))  # type: ignore[attr-defined]
                scores.append(crowd.score([plan.placement for plan in plans])[1] / alone)
            row.append(f"{statistics.fmean(scores):.4f}")
        rows.append(row)
        print(f"together: {name} done", file=sys.stderr)
    table(["network", *(f"`{text}`" for text in TOGETHER_BY)], rows)


HEAD = """# How far the offloading planners are from the optimum

Made by `python -m benchmarks.gaps > docs/gaps.md`. The optimum is that of the planner `optimal`, by the true cost model
(query mode dataflow, one query alone); gaps are percentages of it, or of its proven lower bound where it is not proved.
Swarms have at most {evaluations:,} evaluations, a quarter of their default. Times are CPU time as multiples of what
`one_step` takes on the same problem, in this one run.

**In the paper's world nearly every planner that cuts at all finds the optimum** (second half of this page): its best
server is so much better than its links are slow that one cut is all there is to find. It tells planners apart no more
than a race without a course. Random worlds come first.
"""

PAPER = """## The paper's environment

The bundled scenario `paper`: client r1, five edge and five cloud servers, reference_ghz 72.5. Number of seeds: {seeds};
of several the mean, and in brackets the worst where it differs. The two middle sections leave out the three networks
of many layers in wide modules, whose optimum takes minutes there.
"""

LATENCY = """### Latency

`pso`, `ga` and `sa` begin with all-local and the best single cuts among random runs of layers.
`start=random,moves=points` is the letter of the source: every layer drawn by itself, and mutated alone.
"""

SPENT = """Evaluations are placements whose cost was computed, mean over the seeds, from the least to the most of the
networks.
"""

MONEY = """### Money under a deadline

Lin's question: the least money per query within a deadline, here 30 % of the way from the fastest placement to
staying local. Single cuts are rarely optimal here; where `optimal` cannot close its gap, all gaps are to its bound, and
the planners may be better than they look. `start=runs` takes the single cuts away from a swarm's beginning.
"""

FACTOR = """### Where the optimum lies

The same for devices that do `factor` times less per cycle than the machine of the profiles (27.9 is the scenario's):
node and layers of each segment of the latency optimum, and how much the best single cut is above it.
"""

TOGETHER = """### Both clients at once

r1 and r2 ask for the same network and share the servers. Summed latency under each other's load
(`layerlift.planners.cost.crowd`), divided by that of each client's own optimum: below 1, planning together pays. Mean
over the seeds.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="all", help="names separated by commas, or all")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--worlds", type=int, default=20, help="of each family")
    given = parser.parse_args(arguments)
    names = zoo.classics() if given.models == "all" else tuple(given.models.split(","))
    planners = (*PLAIN, *EXACT_IN_CLASS, *SWARMS, LETTER)
    fast = {name: problem_of(name) for name in names}
    print(HEAD.format(evaluations=EVALUATIONS))
    gaps_worlds.pages(given.worlds)
    print(PAPER.format(seeds=given.seeds))
    print(LATENCY)
    measure(fast, planners, given.seeds, 1e3, "latency, ms")
    print(SPENT)
    print(MONEY)
    narrow = [name for name in names if name not in WIDE]
    dear = {name: with_deadline(fast[name], Optimal().answer(fast[name]).key[1]) for name in narrow}
    measure(dear, (*EXACT_IN_CLASS, *SWARMS, UNSEEDED[0]), given.seeds, 1e6, "money, 1e-6 USD")
    print(FACTOR)
    factors(narrow)
    print(TOGETHER)
    together(names, given.seeds)


if __name__ == "__main__":
    main()
