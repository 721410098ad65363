"""Spreading users over servers: one greedy pass that knows rates and links."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.cost.crowd import Crowd, Memory
from layerlift.planners.cost.judge import Rank
from layerlift.planners.cost.sharing import STEEPEST, crowding
from layerlift.planners.game.answers import IntervalAnswers
from layerlift.planners.game.menu import UserChoice
from layerlift.planners.game.rounds import Rounds
from layerlift.planners.problem.crowd_news import CrowdNews
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Floats, Problem
from layerlift.planners.registry.base import PlannerBase


class Spread(PlannerBase):
    """Each user once takes its best interval on one server beside what is there already. The natural baseline.

    Users who are planned together come in order, and each feels those before it, by the rates at which they ask (the
    model of `layerlift.planners.cost.crowd`). A user who is planned alone feels what servers say of their users and
    links (`Problem.crowd`), as old as it is; of servers that are within `tolerance` of the best it takes the one that
    its own number names, so that equal users who come at once do not all take the first. Who would be better off at
    home when all have chosen goes home.
    """

    multi_server = False
    multi_user = True
    wants_crowd = True

    def __init__(self, tolerance: float = 0.02, memory: Memory = "shared") -> None:
        if not 0.0 <= tolerance < 1.0:
            raise PlanError(f"spread: tolerance={tolerance} was given, expected 0 <= tolerance < 1")
        self.tolerance = tolerance
        self.memory: Memory = memory

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return (
            "Graham, Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17(2):416, 1969 (list scheduling)"
        )

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The plan of one user, beside those whom the servers speak of."""
        crowd = Crowd([problem], self.memory)
        answers = IntervalAnswers(crowd)
        others, user = crowd.nobody, 0
        if problem.crowd is not None:
            others, user = _heard(problem, problem.crowd), problem.crowd.user
        local, *offers = answers.menu(0).offers(others, np.full(len(problem.nodes), np.inf), answers.habit(0))
        near = self._near(local, offers)
        chosen = near[user % len(near)][1]
        return offload(chosen.placement, f"spread: one of {len(near)} equally good servers" if len(near) > 1 else "")

    def plan_all(self, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        """One plan per user, in order, none worse than staying local. Raises `PlanError` when servers differ."""
        crowd = Crowd(problems, self.memory)
        game = Rounds(crowd, IntervalAnswers(crowd), 0.0)
        game.once()
        outlook = crowd.outlook([choice.placement for choice in game.state])
        return [
            offload(choice.placement, words and f"spread{words}")
            for choice, words in zip(game.state, outlook, strict=True)
        ]

    def _near(
        self, local: tuple[Rank, UserChoice], offers: list[tuple[Rank, UserChoice]]
    ) -> list[tuple[Rank, UserChoice]]:
        """The best servers and those that are nearly as good; only staying local where no server is better."""
        better = [offer for offer in offers if offer[0] < local[0]]
        if not better:
            return [local]
        missed, value = min(rank for rank, _ in better)
        return [
            (rank, choice) for rank, choice in better
            if rank[0] <= missed and rank[1] <= value + self.tolerance * abs(value)
        ]  # fmt: skip


def _heard(problem: Problem, news: CrowdNews) -> Floats:
    """Pieces of others at each resource, shape (R,), from what servers say of themselves.

    A server's CPU has the work of its users' plans, or what runs there if that is more: that is in `Problem.load`.
    """
    nodes = len(problem.nodes)
    known = [news.work / problem.cores, news.downlink_use, news.uplink_use]
    if news.media is not None:
        known.append(news.media.use)
    use = np.minimum(np.concatenate(known), STEEPEST)
    width = np.ones(len(use))
    width[:nodes] = problem.cores
    present = use * width * (1.0 + crowding(use * width, width))
    present[:nodes] = np.maximum(present[:nodes] - problem.load, 0.0)
    present[[0, nodes, 2 * nodes]] = 0.0
    made: Floats = present
    return made
