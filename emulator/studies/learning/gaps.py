"""How far a policy's walks are from the exact answer, by sums over units: the curve of a training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np

from layerlift.emulator.studies.learning.examples import problem_costs
from layerlift.emulator.studies.learning.worlds import Worlds
from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners.graphs.pieces import Sums, ahead
from layerlift.planners.learned.features import looked_ahead
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.priced import Priced
from layerlift.planners.learned.walker import walker
from layerlift.planners.problem.problem import Problem

WALKS: Final = 64
NEAR: Final = 0.01


@dataclass(frozen=True, slots=True)
class Gaps:
    """By how much some answers cost more than the exact ones, as shares of these, ascending."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Gaps:
        """Those of some values, in any order."""
        return cls(tuple(sorted(values)))

    @property
    def mean(self) -> float:
        """The mean gap."""
        return left_sum(self.values) / len(self.values)

    @property
    def p95(self) -> float:
        """The least that 95 % do not exceed."""
        return self.values[ceil(0.95 * len(self.values)) - 1]

    @property
    def worst(self) -> float:
        """The largest."""
        return self.values[-1]

    @property
    def near(self) -> float:
        """The share that is at most 1 %."""
        return len([value for value in self.values if value <= NEAR]) / len(self.values)


@dataclass(frozen=True, slots=True)
class Trial:
    """A problem to measure a policy on, and the costs that it is compared with, in shares of staying local."""

    sums: Sums
    costs: Priced
    exact: float
    cut: float
    """Of the best single cut, or of staying local where that is less."""
    local: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A policy's gaps on some trials."""

    greedy: Gaps
    """Of the walk without chance."""
    best: Gaps
    """Of the best of all walks."""
    right: float
    """The share of states on the greedy walks where the best step is taken."""


def trial(problem: Problem) -> Trial:
    """The trial of a problem, memory aside."""
    sums, costs = problem_costs(problem)
    after = looked_ahead(costs)
    exact = float(ahead(costs.pieces, costs.steps)[0, CLIENT])
    return Trial(
        sums,
        costs,
        exact,
        float(min(after.one_move[0, CLIENT], after.staying[0, CLIENT])),
        float(after.staying[0, CLIENT]),
    )


def trials(worlds: Worlds, seeds: Sequence[int]) -> list[Trial]:
    """The trials of all problems of some seeds; those that cost nothing are left out."""
    made = [trial(problem) for seed in seeds for problem in worlds.problems(seed)]
    return [each for each in made if each.exact > 0.0]


def measured(policy: Weights, among: Sequence[Trial], walks: int = WALKS) -> Measured:
    """The policy's gaps on `among`, with so many walks."""
    walking, greedy, best, right, states = walker(policy), [], [], 0, 0
    for number, each in enumerate(among):
        room = np.full(len(each.costs.nodes), np.inf)
        made = walking.ways(each.sums, each.costs, walks, np.random.default_rng(number), room)
        totals = each.costs.totals(made)
        greedy.append(float(totals[0]) / each.exact - 1.0)
        best.append(float(totals.min()) / each.exact - 1.0)
        right += _right(each.costs, made[0].tolist())
        states += made.shape[1]
    return Measured(Gaps.of(greedy), Gaps.of(best), right / states)


def _right(costs: Priced, way: list[int]) -> int:
    """How many steps of a way are best, given where it was."""
    rest = ahead(costs.pieces, costs.steps)
    before, count = CLIENT, 0
    for number, node in enumerate(way):
        whole = costs.steps[number, before] + costs.pieces[number] + rest[number + 1]
        count += bool(whole[node] <= whole.min() * (1.0 + 1e-12))
        before = node
    return count
