"""One question to the exact methods: what beats this placement? First the search, then the mixed-integer program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from layerlift.models.sums import left_sum
from layerlift.planners.cost.judge import Rank
from layerlift.planners.exact.branch_and_bound import INF, Search, SearchResult
from layerlift.planners.exact.effort import Effort
from layerlift.planners.exact.linear import Linear
from layerlift.planners.exact.milp import QueryProgram
from layerlift.planners.problem.problem import Bools, Problem

PROGRAM_SLACK = 1e-6
"""Relative gap at which a program counts as solved: the tolerances of its rows."""

SEARCHABLE = 2**48
"""Number of placements above which the search is not tried."""


def searchable(alive: Bools) -> bool:
    """Whether so few placements are left that the search may look at all of them."""
    return prod(int(nodes) for nodes in alive.sum(axis=1)) <= SEARCHABLE


class Question:
    """A problem, what its placements are compared by (`key`), and the linear costs that bound it (see `Search`)."""

    def __init__(self, problem: Problem, bounds: Sequence[Linear], key: Callable[[tuple[int, ...]], Rank]) -> None:
        self.problem = problem
        self.bounds = bounds
        self.key = key

    def better(self, start: tuple[int, ...] | None, alive: Bools, effort: Effort, limit: Rank) -> SearchResult:
        """The best placement within `alive` (shape (L, N)) of a key below `limit`, or `start`, and a bound.

        The bound is on the values of all placements within `alive` and no more than the limit's.
        """
        found = SearchResult(start or (), self.key(start) if start else (INF, INF), -INF, False)
        if searchable(alive):
            found = Search(self.problem, self.bounds, self.key).run(start, alive, effort, limit)
        return found if found.complete or effort.late else self._by_program(found, alive, effort, min(limit, found.key))

    def _by_program(self, found: SearchResult, alive: Bools, effort: Effort, limit: Rank) -> SearchResult:
        linear = self.bounds[0]
        feasible = limit[0] == 0.0 and limit[1] < INF
        unit = abs(limit[1]) if feasible and limit[1] else abs(linear.value((0,) * len(alive))) or 1.0
        model = QueryProgram(linear, alive, self._horizon_s(limit[1] if feasible else INF), unit)
        if model.program.size > effort.largest:
            return found
        solved = model.program.solve(effort.nodes, effort.seconds_left, model.columns(found.placement))
        bound = max(found.bound, min(solved.bound * unit, limit[1]))
        if solved.columns is not None:
            placement = model.placement(solved.columns)
            key = self.key(placement)
            if key < min(limit, found.key):
                found = replace(found, placement=placement, key=key)
        reached = min(limit, found.key)[1]
        return replace(found, bound=bound, complete=bound >= reached - PROGRAM_SLACK * abs(reached))

    def _horizon_s(self, value: float) -> float:
        """A latency that no placement worth less than `value` exceeds, and none that meets the deadline."""
        linear = self.bounds[0]
        most = self._longest_s()
        if linear.rate > 0 and value < INF:
            most = min(most, (value - linear.base) / linear.rate)
        if self.problem.objective.deadline_s is not None and value < INF:
            most = min(most, self.problem.objective.deadline_s)
        return most or 1.0

    def _longest_s(self) -> float:
        """Everything one after another, each on its slowest node."""
        linear, graph = self.bounds[0], self.problem.graph
        hops = left_sum(float(linear.hops(tensor.bytes)[0].max()) * len(self.problem.nodes) for tensor in graph.tensors)
        return float(linear.lasting_s.max(axis=1).sum()) + hops
