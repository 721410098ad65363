"""What planners have in common that learned to walk from unit to unit."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Final

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.pieces import Sums, whole_pieces
from layerlift.planners.graphs.additive import Additive, TermWeights
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.choosing import Placement, apart_from_walks, best_of, cheapest
from layerlift.planners.learned.policy_file import Kind
from layerlift.planners.learned.priced import priced
from layerlift.planners.learned.steps import STEPS
from layerlift.planners.learned.walker import walker_of
from layerlift.planners.problem.plan import Plan, all_local, offload
from layerlift.planners.problem.problem import Ints, Objective, Problem
from layerlift.planners.registry.base import PlannerBase

MOST_WALKS: Final = 4096
LEANS: Final = 6
"""Steps by which the objective is leaned towards a limit."""
FLOATS: Final = "by a policy in floating point: another processor may plan otherwise"
"""The note of a plan as published."""


class Learned(PlannerBase):
    """A planner that walks by a trained policy from unit to unit, and takes the best of its ways by the true cost.

    `walks` of them are drawn, the first without chance; the best single cut and staying local are always among what is
    chosen from. Under a deadline or a budget walks lean towards it too. `policy` names the file of a policy that
    `layerlift train` wrote, instead of the one that ships. `literal` plans as published: with a policy of
    `layerlift train --literal`, in floating point, choosing among what the policy says alone.
    """

    NAME: ClassVar[str]
    KIND: ClassVar[Kind] = STEPS
    """The kind of policy that ships."""
    LITERAL: ClassVar[Kind | None] = None
    """The kind of policy of the publication."""
    LITERAL_WALKS: ClassVar[int] = 1
    """From how many ways the publication chooses."""

    def __init__(self, walks: int = 64, policy: str = "", literal: bool = False) -> None:
        if not 1 <= walks <= MOST_WALKS:
            raise PlanError(f"{self.NAME}: walks is {walks}, expected 1 to {MOST_WALKS}")
        self.literal = literal
        self.own = literal
        """Whether it chooses among what its policy says alone."""
        self.walks = self.LITERAL_WALKS if literal else walks
        self._kind = self._published(policy) if literal else self.KIND
        if literal:
            self.optimises = "nothing"
        self._policy = policy_file.read(policy, (self._kind,)) if policy else policy_file.shipped(self.NAME)

    def _published(self, policy: str) -> Kind:
        """The kind of the publication's policy. Raises `PlanError` where there is none, or no `policy` of it."""
        if self.LITERAL is None:
            raise PlanError(f"{self.NAME}: there is no literal form of it; leave literal=true away")
        if not policy:
            raise PlanError(
                f"{self.NAME}: literal=true has no policy, for none ships: name one with policy=FILE, "
                f"made by layerlift train {self.NAME} --literal"
            )
        return self.LITERAL

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The best of the walks, or all-local where that is no worse; as published, the best of the policy's own."""
        if not len(problem.servers):
            return all_local(problem)
        judge, sums = Judge(problem), Sums(problem, whole_pieces(problem.graph))
        ways = self._ways(judge, sums, rng)
        if self.own:
            return offload(cheapest(judge, sums, ways), FLOATS if self.literal else "")
        return offload(best_of(judge, sums, ways))

    def candidates(self, problem: Problem, wanted: Sequence[Objective], rng: random.Random) -> list[Placement]:
        """All that `plan` would choose from under some objectives: the walks, staying local and single cuts.

        Of single cuts those that none of the others beats in latency, energy and money.
        """
        found = {} if self.own else dict.fromkeys(apart_from_walks(Judge(problem)))
        for objective in wanted if len(problem.servers) else ():
            posed = replace(problem, objective=objective)
            sums = Sums(posed, whole_pieces(problem.graph))
            ways = self._ways(Judge(posed), sums, rng, beaten=True)
            found |= dict.fromkeys(sums.placement(way) for way in np.unique(ways, axis=0).tolist())
        return [*found] or [(CLIENT,) * len(problem.graph)]

    def _ways(self, judge: Judge, sums: Sums, rng: random.Random, beaten: bool = False) -> Ints:
        """All walks, as nodes of the problem, shape (K, P); of those that others always beat too where that may pay."""
        draws = np.random.default_rng(rng.getrandbits(64))
        # Who has met what no cost tells of chooses among all nodes.
        if self.own:
            return self._walk(sums, _of(Additive(judge.problem, judge)), draws, beaten=True)
        every = beaten or not _adds_up(judge.problem)
        return np.concatenate([self._walk(sums, weights, draws, every) for weights in _weights(judge)])

    def _walk(self, sums: Sums, weights: TermWeights, draws: np.random.Generator, beaten: bool) -> Ints:
        """Walks by the scores of a problem whose terms weigh so much, as nodes of the problem, shape (walks, P)."""
        seen = priced(sums, weights, beaten=beaten)
        room = sums.problem.memory_bytes[seen.nodes]
        return seen.nodes[walker_of(self._policy, self._kind).ways(sums, seen, self.walks, draws, room)]


def _weights(judge: Judge) -> Iterator[TermWeights]:
    """What seconds, joules and money weigh: as the objective has it, and leaned towards a limit that may bind."""
    problem, wanted = judge.problem, judge.problem.objective
    yield _of(Additive(problem, judge))
    start = np.array([wanted.latency, wanted.energy, wanted.money])
    for end in _ends(wanted):
        for step in range(1, LEANS + 1):
            latency, energy, money = (start + (np.array(end) - start) * (step / LEANS)).tolist()
            yield _of(Additive(problem, judge, (latency, energy, money)))


def _adds_up(problem: Problem) -> bool:
    """Whether nothing is limited, and all that is wanted adds up over pieces and steps."""
    wanted = problem.objective
    limited = wanted.deadline_s is not None or wanted.budget is not None or np.isfinite(problem.memory_bytes[1:]).any()
    # What is held costs for as long as a query lasts, wherever that is spent.
    held = wanted.money and problem.price_per_byte_s.any()
    return wanted.adds_up and not (limited or held)


def _ends(wanted: Objective) -> list[TermWeights]:
    ends = [(1.0, 0.0, 0.0)] if wanted.deadline_s is not None else []
    return ends + ([(0.0, 0.0, 1.0)] if wanted.budget is not None else [])


def _of(prices: Additive) -> TermWeights:
    return prices.per_second, prices.per_joule, prices.per_money
