"""Deep imitation learning: a policy that has learned from the exact answers, and walks of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.cost.judge import Judge
from layerlift.planners.graphs.additive import Additive, TermWeights
from layerlift.planners.graphs.pieces import Sums, whole_pieces
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.choosing import best_of
from layerlift.planners.learned.features import features_of
from layerlift.planners.learned.priced import priced
from layerlift.planners.learned.scorer import scorer_of
from layerlift.planners.learned.walk import ways
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Ints, Objective, Problem
from layerlift.planners.registry.base import PlannerBase

MOST_WALKS: Final = 4096
LEANS: Final = 6
"""Steps by which the objective is leaned towards a limit."""


class Dil(PlannerBase):
    """Deep imitation learning: scores of every step (unit, node, next node) by a policy, and the best of some walks.

    The policy was trained on what each step costs beyond the best, by the exact dynamic program of `units`, from every
    node and not from those on optimal paths alone, so that a step aside is no disaster. It knows no sizes: any network,
    any number of servers. `walks` of them are drawn, the first without chance; the true cost decides between the best,
    the best single cut and staying local. Under a deadline or a budget walks lean towards it too. `policy` names the
    file of a policy that `layerlift train dil` wrote, instead of the one that ships.
    Alone and without limits, `units` is exact and faster: this is for comparing, and for what has no exact answer.
    """

    def __init__(self, walks: int = 64, policy: str = "") -> None:
        if not 1 <= walks <= MOST_WALKS:
            raise PlanError(f"dil: walks is {walks}, expected 1 to {MOST_WALKS}")
        self.walks = walks
        self._policy = policy_file.read(policy) if policy else policy_file.shipped("dil")

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "after Yu et al., Intelligent edge: leveraging deep imitation learning, IEEE Wireless Commun. 2020"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The best of the walks, or all-local where that is no worse."""
        judge, sums = Judge(problem), Sums(problem, whole_pieces(problem.graph))
        if not len(problem.servers):
            return offload((0,) * len(problem.graph))
        draws = np.random.default_rng(rng.getrandbits(64))
        made = [self._walk(sums, weights, draws) for weights in _weights(judge)]
        return offload(best_of(judge, sums, np.concatenate(made)))

    def _walk(self, sums: Sums, weights: TermWeights, draws: np.random.Generator) -> Ints:
        """Walks by the scores of a problem whose terms weigh so much, as nodes of the problem, shape (walks, P)."""
        seen = priced(sums, weights)
        scores = scorer_of(self._policy).scores(features_of(seen))
        room = sums.problem.memory_bytes[seen.nodes]
        return seen.nodes[ways(scores, seen.forbidden, self.walks, draws, sums.facts.held, room)]


def _weights(judge: Judge) -> Iterator[TermWeights]:
    """What seconds, joules and money weigh: as the objective has it, and leaned towards a limit that may bind."""
    problem, wanted = judge.problem, judge.problem.objective
    yield _of(Additive(problem, judge))
    start = np.array([wanted.latency, wanted.energy, wanted.money])
    for end in _ends(wanted):
        for step in range(1, LEANS + 1):
            latency, energy, money = (start + (np.array(end) - start) * (step / LEANS)).tolist()
            yield _of(Additive(problem, judge, (latency, energy, money)))


def _ends(wanted: Objective) -> list[TermWeights]:
    ends = [(1.0, 0.0, 0.0)] if wanted.deadline_s is not None else []
    return ends + ([(0.0, 0.0, 1.0)] if wanted.budget is not None else [])


def _of(prices: Additive) -> TermWeights:
    return prices.per_second, prices.per_joule, prices.per_money
