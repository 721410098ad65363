"""Gibbs sampling over all users' intervals together (Yan et al.)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from layerlift.models.errors import PlanError
from layerlift.planners.cost.arithmetic import exponential
from layerlift.planners.cost.crowd import Crowd, Memory
from layerlift.planners.cost.stay import Leaves, StayGiven, ToldStay, stay_of
from layerlift.planners.game.joint_state import LOCAL, JointState, ServerInterval
from layerlift.planners.graphs.intervals import OneClimb
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase


class Gibbs(PlannerBase):
    """Every user's interval on one server, sampled together, because users slow each other down.

    The state is one interval per user (see `layerlift.planners.graphs.intervals`), at first each user's own best. A
    step picks a user and proposes a neighbour of the interval: an end moved, another server, all-local or a new
    interval. It is accepted with probability 1 / (1 + exp((new - old) / T)); T starts at `temperature` of the value
    of a user and is multiplied by `cooling` after every sweep (one step per user). The best state seen is the
    answer; staying local and each user's own best are among them. The value is that of
    `layerlift.planners.cost.crowd`, with pieces on a server lengthened in place, which is exact where a query is in
    one place at a time. The memory of the servers is shared (or each user's own, by `memory`): in order, a user's
    own best is that which fits beside those before, and a proposal that does not fit beside the others is not a
    proposal. With `stay_s` and `leaves`, those of `units`, a user's value is its mean over the stay: at home until all
    is uploaded.
    """

    multi_server = False
    multi_user = True
    wants_crowd = "together"

    def __init__(
        self,
        sweeps: int = 300,
        temperature: float = 0.1,
        cooling: float = 0.97,
        memory: Memory = "shared",
        stay_s: StayGiven = None,
        leaves: Leaves = "known",
    ) -> None:
        if sweeps < 0 or temperature <= 0 or not 0 < cooling < 1:
            raise PlanError(
                f"gibbs: sweeps={sweeps}, temperature={temperature}, cooling={cooling} were given, expected "
                f"sweeps >= 0, temperature > 0 and 0 < cooling < 1"
            )
        self.sweeps = sweeps
        self.temperature = temperature
        self.cooling = cooling
        self.memory: Memory = memory
        self.stay = stay_of("gibbs", stay_s, leaves)
        self.wants_stay = isinstance(self.stay, ToldStay)

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return OneClimb.cite()

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The plan of one user who is alone."""
        return self.plan_all([problem], rng)[0]

    def plan_all(self, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        """One plan per user, in order. Raises `PlanError` when users see different servers."""
        joint = JointState(Crowd(problems, self.memory, self.stay))
        starts = [LOCAL] * len(problems), joint.own_best()
        best, best_value = starts[0], joint.value(starts[0])
        if (value := joint.value(starts[1])) < best_value:
            best, best_value = starts[1], value
        if problems[0].servers:
            best = self._sample(joint, starts[1], (best, best_value), rng)
        placements = [joint.placement(user, chosen) for user, chosen in enumerate(best)]
        outlook = joint.crowd.outlook(placements)
        return [
            offload(placement, words and f"gibbs{words}") for placement, words in zip(placements, outlook, strict=True)
        ]

    def _sample(
        self,
        joint: JointState,
        start: list[ServerInterval],
        best: tuple[list[ServerInterval], float],
        rng: random.Random,
    ) -> list[ServerInterval]:
        users = len(start)
        state, costs = list(start), joint.costs(start)
        value = costs.value()
        temperature = self.temperature * abs(value) / users or 1.0
        for _ in range(self.sweeps):
            for _ in range(users):
                user = rng.randrange(users)
                before = state[user]
                proposed = joint.neighbour(user, before, rng)
                if not costs.has_room(user, joint.alone(user, proposed)):
                    proposed = before
                costs.take(user, joint.alone(user, proposed))
                tried = costs.value()
                if rng.random() < 1.0 / (1.0 + exponential((tried - value) / temperature)):
                    state[user], value = proposed, tried
                    if value < best[1]:
                        best = (list(state), value)
                else:
                    costs.take(user, joint.alone(user, before))
            temperature *= self.cooling
        return best[0]
