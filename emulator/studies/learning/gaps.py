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
from layerlift.planners.graphs.pieces import ahead
from layerlift.planners.learned.features import Features, features_of, looked_ahead
from layerlift.planners.learned.policy import Policy
from layerlift.planners.learned.priced import Priced
from layerlift.planners.learned.scorer import Scorer
from layerlift.planners.learned.walk import ways
from layerlift.planners.problem.problem import Floats, Problem

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

    costs: Priced
    seen: Features
    held: Floats
    room: Floats
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
    """Of the best of `WALKS` walks."""
    right: float
    """The share of states on the greedy walks where the best step is taken."""


def trial(problem: Problem) -> Trial:
    """The trial of a problem, memory aside."""
    sums, costs = problem_costs(problem)
    after = looked_ahead(costs)
    exact = float(ahead(costs.pieces, costs.steps)[0, CLIENT])
    room = np.full(len(costs.nodes), np.inf)
    return Trial(
        costs,
        features_of(costs),
        sums.facts.held,
        room,
        exact,
        float(min(after.one_move[0, CLIENT], after.staying[0, CLIENT])),
        float(after.staying[0, CLIENT]),
    )


def trials(worlds: Worlds, seeds: Sequence[int]) -> list[Trial]:
    """The trials of all problems of some seeds; those that cost nothing are left out."""
    made = [trial(problem) for seed in seeds for problem in worlds.problems(seed)]
    return [each for each in made if each.exact > 0.0]


def measured(policy: Policy, among: Sequence[Trial]) -> Measured:
    """The policy's gaps on `among`."""
    scorer, greedy, best, right, states = Scorer(policy), [], [], 0, 0
    for number, each in enumerate(among):
        scores = scorer.scores(each.seen)
        made = ways(scores, each.costs.forbidden, WALKS, np.random.default_rng(number), each.held, each.room)
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
