"""Constraints as prices: the best bound that a linear cost can give on a problem with limits, and good placements.

A deadline, a budget and each server's memory say that some linear cost of a placement stays below 1. Charging the
excess at any prices bounds the problem from below (Lagrange); the prices are chosen by Kelley's cutting planes, one
small linear program for each set of prices that is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerlift.models.sums import left_sum
from layerlift.planners.exact.effort import Effort
from layerlift.planners.exact.highs import INF, Program
from layerlift.planners.exact.linear import Linear, Paths, Terms, held_share
from layerlift.planners.exact.stages import Stages
from layerlift.planners.problem.problem import Bools, Floats, Problem

ROUNDS = 12
"""Sets of prices that are tried at most."""

STEPS = 100
"""Partial placements that one search may look at while prices are sought: any bound will do, and there are many."""

CLOSE = 1e-4
"""Relative distance between the bound and what prices could still give at which the search for prices ends."""

DEAREST = 1e3
"""Highest price of a limit: overrunning it by all of itself then costs so many times the objective."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`terms` and `share` (shape (L, N), cost of each layer on each node) sum to at most 1, in parts of the limit."""

    terms: Terms
    share: Floats


def limits_of(problem: Problem, least_s: float) -> list[Limit]:
    """The problem's deadline, budget and finite memories."""
    wanted, shape = problem.objective, problem.seconds.shape
    found: list[Limit] = []
    if wanted.deadline_s is not None:
        found.append(Limit(Terms(latency=1.0 / wanted.deadline_s), np.zeros(shape)))
    if wanted.budget is not None:
        money = Linear(problem, Terms(money=1.0), least_s=least_s)
        found.append(Limit(Terms(money=1.0 / wanted.budget), money.added / wanted.budget))
    held = held_share(problem.graph)
    for server in problem.servers:
        room = float(problem.memory_bytes[server])
        if room < min(held.sum(), np.inf):
            share = np.zeros(shape)
            share[:, server] = held / max(room, 1.0)
            found.append(Limit(Terms(), share))
    return found


class Dual:
    """The bound and the placements that prices on the limits give.

    `free` is the linear cost without limits. After `solve`, `bound` holds for every placement within the limits,
    and `placements` are those that were best at some prices.
    """

    def __init__(self, free: Linear, limits: Sequence[Limit]) -> None:
        self.free = free
        self.limits = limits
        self.bound = -INF
        self.placements: list[tuple[int, ...]] = []
        self.priced: list[tuple[Linear, float]] = []
        """The linear costs that were tried, with what their value must be less by to be a bound."""
        self._cuts: list[tuple[float, list[float]]] = []

    def solve(self, effort: Effort) -> None:
        """Try prices until the bound is close to the best that prices can give."""
        prices, done = [0.0] * len(self.limits), 0
        for _ in range(ROUNDS):
            small = Effort(STEPS if done < effort.steps else 0, 0, 0, effort.seconds_left)
            self._try(prices, small)
            done += small.steps_done
            if not self.limits:
                break
            prices, most = self._next()
            if effort.late or most - self.bound <= CLOSE * abs(most):
                break
        effort.steps_done += done

    def alive(self, value: float) -> Bools:
        """Which layers may be on which nodes in a placement within the limits that costs less than `value`."""
        made = self.free.allowed.copy()
        for linear, excess in self.priced:
            made &= Paths(linear).better_than(value + excess)
        return made

    def _try(self, prices: Sequence[float], effort: Effort) -> None:
        linear, excess = self._at(prices)
        stages = Stages(linear)
        stages.solve(effort)
        self.priced.append((linear, excess))
        self.bound = max(self.bound, stages.bound - excess)
        placement = stages.placement
        if placement not in self.placements:
            self.placements.append(placement)
            used = [self._used(limit, placement) - 1.0 for limit in self.limits]
            self._cuts.append((self.free.value(placement), used))

    def _at(self, prices: Sequence[float]) -> tuple[Linear, float]:
        free, terms, added = self.free, self.free.terms, self.free.added.copy()
        for price, limit in zip(prices, self.limits, strict=True):
            terms = Terms(
                terms.latency + price * limit.terms.latency,
                terms.energy + price * limit.terms.energy,
                terms.money + price * limit.terms.money,
            )
            added += price * limit.share
        return Linear(free.problem, terms, free.allowed, added), float(left_sum(prices))

    def _used(self, limit: Limit, placement: tuple[int, ...]) -> float:
        return Linear(self.free.problem, limit.terms, added=limit.share).value(placement)

    def _next(self) -> tuple[list[float], float]:
        """The prices at which the placements known would give the best bound, and that bound."""
        scale = max(abs(value) for value, _ in self._cuts) or 1.0
        program = Program()
        level = program.column(-1.0, DEAREST * 10.0)
        prices = [program.column(upper=DEAREST) for _ in self.limits]
        for value, used in self._cuts:
            program.row(
                [(level, 1.0), *((price, -over) for price, over in zip(prices, used, strict=True))], high=value / scale
            )
        solved = program.solve(1, None, {})
        if solved.columns is None:
            return [0.0] * len(prices), self.bound
        return [solved.columns[price] * scale for price in prices], solved.columns[level] * scale
