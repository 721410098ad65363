"""What makes one placement better than another: the objective, normalised, under a deadline and a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from planners import cost, population
from planners.cuts import all_single_cuts
from planners.population import Placements
from planners.problem import Floats, Problem

Key = tuple[float, float]
"""(violation, value): smaller is better, and any feasible placement (violation 0) beats any infeasible one."""


@dataclass(frozen=True, slots=True)
class Scales:
    """What each term of the objective is divided by: the larger of its all-local and best-single-cut values.

    The best single cut is the one of least latency among all servers'. A term that is zero in both keeps its unit.
    """

    latency: float
    energy: float
    money: float
    balance: float


class Judge:
    """Compares placements of one problem; make it once and ask it often.

    The value of a placement is the weighted sum of its terms, each over its scale. A deadline and a budget follow
    Lin's three-way comparison (TII 16(8):5456): of two feasible placements the lower value wins, a feasible one
    beats an infeasible one, and of two infeasible ones the one that misses by less wins. With a deadline alone
    that is the lower completion time; with both, the relative misses are added.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @cached_property
    def scales(self) -> Scales:
        """See `Scales`."""
        problem = self.problem
        local = cost.evaluate(problem, (0,) * len(problem.graph))
        cuts = all_single_cuts(problem)
        best = local
        if len(cuts):
            best = cost.evaluate(problem, cuts[int(population.latencies(problem, cuts).argmin())].tolist())
        return Scales(
            latency=max(local.latency_s, best.latency_s) or 1.0,
            energy=max(local.energy_j, best.energy_j) or 1.0,
            money=max(local.money, best.money) or 1.0,
            balance=max(local.balance, best.balance) or 1.0,
        )

    def value(self, placement: Sequence[int]) -> float:
        """The objective of one placement, without unit; constraints are not in it."""
        found = cost.evaluate(self.problem, placement)
        return self._weigh(found.latency_s, found.energy_j, found.money, found.balance)

    def key(self, placement: Sequence[int]) -> Key:
        """Rank of one placement; one that is not legal (`cost.fits`) is infinitely infeasible."""
        found = cost.evaluate(self.problem, placement)
        violation = self._violation(found.latency_s, found.money) if cost.fits(self.problem, placement) else np.inf
        return violation, self._weigh(found.latency_s, found.energy_j, found.money, found.balance)

    def keys(self, placements: Placements) -> tuple[Floats, Floats]:
        """Ranks of many placements, shapes (P, L) -> violations (P,), values (P,)."""
        found = population.evaluate(self.problem, placements)
        wanted = self.problem.objective
        missed = np.zeros(len(placements))
        if wanted.deadline_s is not None:
            missed += np.maximum(0.0, found.latency_s / wanted.deadline_s - 1.0)
        if wanted.budget is not None:
            missed += np.maximum(0.0, found.money / wanted.budget - 1.0)
        missed[~population.fits(self.problem, placements)] = np.inf
        scales = self.scales
        values = (
            wanted.latency * found.latency_s / scales.latency
            + wanted.energy * found.energy_j / scales.energy
            + wanted.money * found.money / scales.money
            + wanted.balance * found.balance / scales.balance
        )
        return missed, values

    def best(self, placements: Placements) -> tuple[int, ...]:
        """The best of many placements, the first of equals; all-local when none is given."""
        if not len(placements):
            return (0,) * len(self.problem.graph)
        missed, values = self.keys(placements)
        chosen = np.lexsort((values, missed))[0]
        return tuple(int(node) for node in placements[chosen])

    def or_local(self, placement: Sequence[int]) -> tuple[int, ...]:
        """`placement`, unless keeping everything on the client is better or `placement` is not legal."""
        local = (0,) * len(self.problem.graph)
        chosen = tuple(int(node) for node in placement)
        return chosen if chosen == local or self.key(chosen) < self.key(local) else local

    def _weigh(self, latency_s: float, energy_j: float, money: float, balance: float) -> float:
        wanted, scales = self.problem.objective, self.scales
        return (
            wanted.latency * latency_s / scales.latency
            + wanted.energy * energy_j / scales.energy
            + wanted.money * money / scales.money
            + wanted.balance * balance / scales.balance
        )

    def _violation(self, latency_s: float, money: float) -> float:
        wanted = self.problem.objective
        late = max(0.0, latency_s / wanted.deadline_s - 1.0) if wanted.deadline_s is not None else 0.0
        over = max(0.0, money / wanted.budget - 1.0) if wanted.budget is not None else 0.0
        return late + over
