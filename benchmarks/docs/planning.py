"""What docs/planners.md and docs/policies.md say from measurements: orders of upload, joint plans, policies' time."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import crowd_error
from benchmarks.docs.blocks import prose, table
from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.policies import Capacity, Claim
from layerlift.emulator.policies import make as policy
from layerlift.emulator.scenario import Scenario
from layerlift.planners import Problem, make, simple_problem, timeline
from layerlift.planners.cost.crowd import Crowd
from layerlift.planners.problem.plan import Plan
from layerlift.planners.testing.problems import chain_graph

CHAINS, LAYERS = 300, 5
DELAYS_MS = (0.1, 2.0, 20.0, 100.0)
ORDERINGS = ("recursive", "efficiency", "ionn", "direct")
USERS = 300
ALONE = 15
"""Users whose planning alone is timed; the time of all is scaled up."""


def orders() -> str:
    """The delay until the last byte on random chains, over that of the best of all orders."""
    rows = []
    found = {delay: [_areas(_chain(number, delay / 1e3)) for number in range(CHAINS)] for delay in DELAYS_MS}
    for name in ORDERINGS:
        means = [statistics.fmean(areas[name] / areas["exhaustive"] for areas in found[delay]) for delay in DELAYS_MS]
        rows.append([f"`{name}`", *(f"{mean:.3f}" for mean in means)])
    return table(["network delay", *(f"{delay:g} ms" for delay in DELAYS_MS)], rows)


def _chain(number: int, latency_s: float) -> Problem:
    """A chain whose sizes and times are drawn evenly by their logarithms; the server is ten times as fast."""
    rng = random.Random(number)
    makes = [round(10 ** rng.uniform(3, 6)) for _ in range(LAYERS)]
    holds = [round(10 ** rng.uniform(5, 7.7)) for _ in range(LAYERS)]
    seconds = [10 ** rng.uniform(-2.5, -0.5) for _ in range(LAYERS)]
    graph = chain_graph(makes, holds)
    return simple_problem(graph, [[s, s / 10] for s in seconds], bandwidth_bytes_s=1e7, latency_s=latency_s)


def _areas(problem: Problem) -> dict[str, float]:
    """By ordering, the area under the latency up to the end of the longest upload."""
    placement = (1,) * LAYERS
    lived = {}
    for name in ("exhaustive", *ORDERINGS):
        uploads = make(f"local+{name}").uploading.upload(problem, placement, random.Random(0))  # type: ignore[attr-defined]
        lived[name] = timeline(problem, Plan(placement, uploads, whole=name == "direct"))
    end_s = max(each.ended_s for each in lived.values())
    return {name: each.delay_area(end_s) for name, each in lived.items()}


def joint() -> str:
    """What planning three hundred users together buys, under the model of crowds."""
    world = Scenario.load("contention", ["users.0.objective={latency: 1}"]).resolve()
    problems = [problem_of(world, user.index) for user in world.users][:USERS]
    crowd = Crowd(problems)
    home = _summed(crowd, [(0,) * len(problem.graph) for problem in problems])
    plans = {}
    took = {}
    for name in ("best_response", "gibbs"):
        plans[name], took[name] = _timed(lambda name=name: make(name).plan_all(problems, random.Random(0)))  # type: ignore[misc, attr-defined]
    one = make("one_climb")
    alone, spent = _timed(lambda: [one.plan(problem, random.Random(0)) for problem in problems[:ALONE]])
    alone += [one.plan(problem, random.Random(0)) for problem in problems[ALONE:]]
    sums = [_summed(crowd, [plan.placement for plan in each]) / home for each in (alone, *plans.values())]
    ratios = [spent * USERS / ALONE / took["best_response"], 1.0, took["gibbs"] / took["best_response"]]
    note = plans["best_response"][0].note.removeprefix("best_response: ")
    head = ["", "everybody local", "everybody alone (`one_climb`)", "`best_response`", "`gibbs`"]
    rows = [["latency", "1", *(f"{each:.4g}" for each in sums)], ["planning time", "-", *(f"{r:.2g}" for r in ratios)]]
    return f"{table(head, rows)}\n\n{prose(f'`best_response` says: {note}.')}"


def _summed(crowd: Crowd, placements: Sequence[tuple[int, ...]]) -> float:
    return float(crowd.score(placements)[1])


def _timed(act: Callable[[], list[Any]]) -> tuple[list[Any], float]:
    began = time.process_time()
    done = act()
    return done, time.process_time() - began


def foretold() -> str:
    """How well the crowd's cost foretells crowds."""
    return crowd_error.foretold()


def policies() -> str:
    """Milliseconds of a question about three hundred users."""
    rng = random.Random(0)
    claims = [
        Claim(
            user=k, order=k, weight=1.0, memory_bytes=rng.uniform(1e6, 1e8),
            work_s=rng.uniform(0.01, 1.0), link_bytes=rng.uniform(1e4, 1e6), period_s=rng.uniform(0.1, 2.0),
        )
        for k in range(USERS)
    ]  # fmt: skip
    capacity = Capacity(memory_bytes=4e9, cores=16, link_bytes_s=1e8)
    rows = []
    for name in ("equal", "alpha_fair", "drf", "dynamic_drf", "dynamic_drf:disruptions=1"):
        asked = policy(name)
        times = [_timed(lambda asked=asked: list(asked.grants(capacity, claims, {})))[1] for _ in range(7)]  # type: ignore[misc]
        rows.append([f"`{name}`", f"{min(times) * 1e3:.1f} ms"])
    return table([f"policy, {USERS} users", "CPU time of a question"], rows)
