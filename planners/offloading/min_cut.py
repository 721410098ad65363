"""The minimum cut: exact for two sides on any DAG, when costs add up (DADS)."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from itertools import product
from math import sqrt
from typing import Literal

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners import cost
from layerlift.planners.cost.judge import Judge
from layerlift.planners.graphs.additive import Additive, leaning
from layerlift.planners.graphs.memory_price import Line, Placement, within_memory
from layerlift.planners.graphs.two_sided import Sides, cut, separate
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Floats, Problem
from layerlift.planners.registry.base import PlannerBase

GRID, RATIO, ROUNDS = 2, 8.0, 3
"""Heavy load: scales run over RATIO^-GRID to RATIO^GRID, then ROUNDS times around the best by the ratio's root."""

HEAVY_SERVERS = 3
"""Heavy load: how many servers are searched, those with the least largest stage under the light-load cut."""


class MinCut(PlannerBase):
    """DADS between the client and the best single server, by the problem's objective.

    `load = light` minimises the sum of what the client, the links and the server cost (latency where branches do
    not overlap); exact for that sum on any DAG. Where the objective weighs the period, the cuts of `heavy` are compared
    too, by the cost model. `heavy` minimises the largest of the three stages, DADS's
    approximation for a stream of queries: the stages are scaled by alpha, 1 and gamma, and the scales searched on a
    grid that closes in on the best, towards the likeliest servers only. Its plan raises throughput and may answer a
    lone query later than staying local, so it optimises nothing that the conformance kit compares.
    """

    multi_server = False

    def __init__(self, load: Literal["light", "heavy"] = "light") -> None:
        self.load = load
        if load == "heavy":
            self.optimises = "nothing"

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Hu, Bao, Wang, Liu, DADS, INFOCOM 2019, doi:10.1109/INFOCOM.2019.8737614"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The best two-sided placement over all servers."""
        judge = Judge(problem)
        if self.load == "light":
            found = [leaning(problem, judge, partial(light, server=server)) for server in problem.servers]
            if problem.objective.period:
                found += [placement for _, placement in _heavy_anywhere(Additive(problem, judge, (1.0, 0.0, 0.0)))]
            return offload(judge.or_local(judge.best(np.array(found, dtype=np.int64))))
        return offload(min(_heavy_anywhere(Additive(problem, judge)), key=lambda each: each[0])[1])


def light(additive: Additive, server: int) -> Placement:
    """The placement of least additive cost between the client and `server` that fits into its memory."""
    problem = additive.problem
    sides, units = Sides.towards(additive, server), separate(problem.graph)
    held = np.array([float(problem.graph.held_bytes([layer])) for layer in range(len(problem.graph))])

    def solve(price: Floats) -> Placement:
        priced = (np.array(sides.server) + held * price[server]).tolist()
        return _placement(cut(replace(sides, server=priced), units), server)

    def line(placement: Placement) -> Line:
        moved = [node == server for node in placement]
        return left_sum(sides.stages(moved)), left_sum(held[moved].tolist())

    return within_memory(problem, solve, (left_sum(sides.client) or 1.0) / max(1.0, held.sum()), line)


def _heavy_anywhere(additive: Additive) -> list[tuple[float, Placement]]:
    """Staying local, and the best heavy-load placement towards each of the likeliest servers."""
    problem = additive.problem
    ranked = []
    for server in problem.servers:
        sides = Sides.towards(additive, server)
        ranked.append((max(sides.stages(cut(sides))), server))
    stay = (left_sum(additive.layers[:, CLIENT].tolist()), (CLIENT,) * len(problem.graph))
    return [stay, *(heavy(additive, server) for _, server in sorted(ranked)[:HEAVY_SERVERS])]


def heavy(additive: Additive, server: int) -> tuple[float, Placement]:
    """The least largest stage (client, way or server) found towards `server`, and its placement.

    Placements that do not fit into the server's memory are passed over; staying local always fits.
    """
    problem = additive.problem
    sides, units = Sides.towards(additive, server), separate(problem.graph)
    best = (left_sum(sides.client), (CLIENT,) * len(problem.graph))
    at = (1.0, 1.0)

    def look(alpha: float, gamma: float) -> None:
        nonlocal best, at
        moved = cut(sides.scaled(alpha, gamma), units)
        slowest = max(sides.stages(moved))
        if slowest < best[0] and cost.fits(problem, placed := _placement(moved, server)):
            best, at = (slowest, placed), (alpha, gamma)

    scales = [1.0]
    for _ in range(GRID):
        scales = [scales[0] / RATIO, *scales, scales[-1] * RATIO]
    for alpha, gamma in product(scales, repeat=2):
        look(alpha, gamma)
    ratio = RATIO
    for _ in range(ROUNDS):
        ratio = sqrt(ratio)
        alpha, gamma = at
        for first, second in product((1.0 / ratio, 1.0, ratio), repeat=2):
            look(alpha * first, gamma * second)
    return best


def _placement(moved: list[bool], server: int) -> Placement:
    return tuple(server if away else CLIENT for away in moved)
