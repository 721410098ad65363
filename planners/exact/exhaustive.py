"""Every possibility, for small cases: the oracle that other planners are measured against."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import product

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.cost.batch import Placements
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.query import latency
from layerlift.planners.cost.upload_timeline import timeline
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.graphs.chain import Chain
from layerlift.planners.problem.plan import Plan, Upload, uploads_of
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase
from layerlift.planners.uploading.efficiency import Recursive

ROWS = 1 << 15
"""Placements compared at a time."""


class Exhaustive(PlannerBase):
    """The best placement of all, or the best order and grain of an upload of all.

    Alone it compares every placement (N^L, at most `placements` of them) and then orders the upload, by `recursive`
    where there is too much to order. As an uploading half it compares every ordered division of P1's units into
    parts, where P1 has at most `units` units (6 have 4,683 divisions, 8 have 545,835), by the area under the query
    latency until the slowest possible upload would have ended: the total system delay. Raises `PlanError` for
    larger cases.
    """

    def __init__(self, placements: int = 300_000, units: int = 6) -> None:
        self.placements = placements
        self.units = units

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The best of all placements by the problem's objective and constraints, uploaded in the best way."""
        best = self.place(problem)
        try:
            return Plan(best, self.upload(problem, best, rng))
        except PlanError:
            return Plan(best, Recursive().upload(problem, best, rng), note="too many units to order: recursive")

    def place(self, problem: Problem) -> tuple[int, ...]:
        """The best of all placements, the first of equals in lexicographic order."""
        total = len(problem.nodes) ** len(problem.graph)
        if total > self.placements:
            raise PlanError(
                f"exhaustive: {problem.graph.name} has {total} placements over {len(problem.nodes)} nodes, expected "
                f"at most {self.placements}: use shortest_path, min_cut or a swarm, or set placements"
            )
        judge = Judge(problem)
        best = (0,) * len(problem.graph)
        best_key = judge.key(best)
        for rows in every_placement(problem):
            found = judge.best(rows)
            if (key := judge.key(found)) < best_key:
                best, best_key = found, key
        return best

    def upload(self, problem: Problem, placement: Sequence[int], rng: random.Random) -> tuple[Upload, ...]:
        """The given P1 in the best of all orders and grains."""
        chain = Chain(Additive(problem), placement)
        movable = [int(unit) for unit in chain.movable.nonzero()[0]]
        if len(movable) > self.units:
            raise PlanError(
                f"exhaustive: P1 has {len(movable)} units to order, expected at most {self.units}: "
                f"use recursive, or set units"
            )
        return Orders(problem, chain, movable).best()


class Orders:
    """All ordered divisions of `units` into parts, compared by the area under the query latency."""

    def __init__(self, problem: Problem, chain: Chain, units: Sequence[int]) -> None:
        self.problem = problem
        self.chain = chain
        self.units = tuple(units)
        self.known: dict[tuple[int, ...], float] = {}

    @cached_property
    def horizon_s(self) -> float:
        """When the upload unit by unit would have ended: later than any other."""
        return timeline(self.problem, self._plan([[unit] for unit in self.units])).ended_s

    def best(self) -> tuple[Upload, ...]:
        """The uploads with the least delay area; of equals the one with fewest parts, then the first."""
        if not self.units:
            return ()
        ranked = ((self.area(plan), len(plan.uploads), plan.uploads) for plan in map(self._plan, divisions(self.units)))
        return min(ranked)[2]

    def area(self, plan: Plan) -> float:
        """Area under the latency of a query begun at t, up to the horizon (s * s)."""
        return timeline(self.problem, plan, self._latency).delay_area(self.horizon_s)

    def _latency(self, problem: Problem, placement: tuple[int, ...]) -> float:
        if placement not in self.known:
            self.known[placement] = latency(problem, placement)
        return self.known[placement]

    def _plan(self, parts: Sequence[Sequence[int]]) -> Plan:
        placement = self.chain.target
        return Plan(placement, uploads_of(placement, [self.chain.layers(part) for part in parts]))


def every_placement(problem: Problem) -> Iterator[Placements]:
    """All N^L placements in lexicographic order, in blocks of at most `ROWS`."""
    nodes, count = len(problem.nodes), len(problem.graph)
    for start in range(0, nodes**count, ROWS):
        numbers = np.arange(start, min(start + ROWS, nodes**count))
        digits = [numbers // nodes ** (count - 1 - layer) % nodes for layer in range(count)]
        yield np.stack(digits, axis=1)


def divisions(units: Sequence[int]) -> Iterator[list[list[int]]]:
    """Every ordered division of `units` into non-empty parts: 1, 3, 13, 75, 541, 4683 for 1 to 6 units."""
    for count in range(1, len(units) + 1):
        for part_of in product(range(count), repeat=len(units)):
            parts: list[list[int]] = [[] for _ in range(count)]
            for unit, part in zip(units, part_of, strict=True):
                parts[part].append(unit)
            if all(parts):
                yield parts
