"""Gibbs sampling over all users' intervals together (Yan et al.)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from layerlift.models.errors import PlanError
from layerlift.planners.cost.arithmetic import exponential
from layerlift.planners.cost.crowd import Crowd, Memory
from layerlift.planners.game.joint_state import LOCAL, Board, Interval
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
    proposal.
    """

    multi_server = False
    multi_user = True

    def __init__(
        self, sweeps: int = 300, temperature: float = 0.1, cooling: float = 0.97, memory: Memory = "shared"
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

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return OneClimb.cite()

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The plan of one user who is alone."""
        return self.plan_all([problem], rng)[0]

    def plan_all(self, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        """One plan per user, in order. Raises `PlanError` when users see different servers."""
        board = Board(Crowd(problems, self.memory))
        starts = [LOCAL] * len(problems), board.own_best()
        best, best_worth = starts[0], board.worth(starts[0])
        if (worth := board.worth(starts[1])) < best_worth:
            best, best_worth = starts[1], worth
        if problems[0].servers:
            best = self._sample(board, starts[1], (best, best_worth), rng)
        return [offload(board.placement(user, chosen)) for user, chosen in enumerate(best)]

    def _sample(
        self, board: Board, start: list[Interval], best: tuple[list[Interval], float], rng: random.Random
    ) -> list[Interval]:
        users = len(start)
        state, standing = list(start), board.standing(start)
        worth = standing.worth()
        heat = self.temperature * abs(worth) / users or 1.0
        for _ in range(self.sweeps):
            for _ in range(users):
                user = rng.randrange(users)
                before = state[user]
                proposed = board.neighbour(user, before, rng)
                if not standing.has_room(user, board.row(user, proposed)):
                    proposed = before
                standing.take(user, board.row(user, proposed))
                tried = standing.worth()
                if rng.random() < 1.0 / (1.0 + exponential((tried - worth) / heat)):
                    state[user], worth = proposed, tried
                    if worth < best[1]:
                        best = (list(state), worth)
                else:
                    standing.take(user, board.row(user, before))
            heat *= self.cooling
        return best[0]
