"""A mixed strategy for a crowd that cannot coordinate: each user draws a server, or home, by a policy's scores."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Literal

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.cost.judge import Judge
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.crowd.careful import safe
from layerlift.planners.learned.crowd.features import View, view_of
from layerlift.planners.learned.crowd.mixtures import MIXTURE, scorer_of, weights_of
from layerlift.planners.learned.crowd.offers import Offer, offers_of
from layerlift.planners.learned.crowd.policy import BY_HAND
from layerlift.planners.learned.policy import Table
from layerlift.planners.learned.walk import WEIGHTS
from layerlift.planners.problem.plan import Plan, all_local, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase

BITS: Final = 31
"""Of the number by which a choice is drawn."""
_STEP: Final = 2654435769
"""2^32 over the golden ratio: users that are numbered in a row draw evenly spread numbers."""


def drawn(scores: Table, number: int) -> int:
    """Which choice a number of `BITS` bits falls on: one of score s has a weight of about 2^(s / 8)."""
    behind = np.minimum(scores.max() - scores, len(WEIGHTS) - 1)
    summed = np.cumsum(WEIGHTS[behind])
    return int((summed <= (number * int(summed[-1])) >> BITS).sum())


def number_of(problem: Problem, rng: random.Random) -> int:
    """The number by which a user draws: by its own number where it knows that, else by chance.

    Numbers in a row are spread more evenly than by chance, so that a server's share of a crowd is nearer to what the
    scores say; nobody needs to talk for that.
    """
    if problem.crowd is None:
        return rng.getrandbits(BITS)
    return ((problem.crowd.user + 1) * _STEP % 2**32) >> (32 - BITS)


Goal = Literal["ratio", "latency"]


class Mixed(PlannerBase):
    """A mixed strategy for users that cannot coordinate: home or a server, drawn by a policy's scores.

    Of each server it sees the best way to use it beside the client (exact, given the server), what that saves, moves
    and asks for, how much the server can do, and what servers say of their users (`Problem.crowd`); of servers that
    beat staying local, and home, one is drawn: the higher its score, the likelier. So equal users spread over servers
    that look alike, and some stay at home before the servers are full; nobody waits for anybody. It keeps no state.

    `goal` says which of the policies that ship: users' mean of latency over latency at home (`ratio`), or mean latency.
    `policy` names the file of one that `layerlift train crowd` wrote; `by_hand` takes a few numbers set by hand. One of
    the three at most.

    `careful` is for those who must not fare worse than at home now and then: before a policy scores them, servers are
    left out at which 3.5 of the user's answers in a thousand would take more than 0.9 times what they take at home, or,
    with the user there, two in a hundred of the others' more than 1.1 times. A server that says nothing of its users is
    not left out, and none is for users who mind neither latency nor a deadline.
    """

    multi_server = False
    wants_crowd = True

    def __init__(self, goal: Goal = "ratio", policy: str = "", by_hand: bool = False, careful: bool = False) -> None:
        asked = (("policy", policy), ("by_hand", by_hand), (f"goal={goal}", goal != "ratio"))
        if len(given := [name for name, it in asked if it]) > 1:
            raise PlanError(f"crowd: {given[0]} and {given[1]} were both given, expected one of them")
        self._careful = careful
        if by_hand:
            self._policy = policy_file.written(weights_of(BY_HAND, {}))
        elif policy:
            self._policy = policy_file.read(policy, (MIXTURE,))
        else:
            self._policy = policy_file.shipped(f"crowd_{goal}")

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Layerlift's own; trained by the cross-entropy method (Rubinstein, Methodol. Comput. Appl. Probab. 1999)"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The way over the server that was drawn, or all-local."""
        judge = Judge(problem)
        offers = offers_of(judge)
        if self._careful:
            offers = safe(problem, judge, offers)
        return decided(problem, judge, offers, scorer_of(self._policy).scores, rng)


def decided(
    problem: Problem, judge: Judge, offers: list[Offer], scores: Callable[[View], Table], rng: random.Random
) -> Plan:
    """The plan of a user who draws among offers by `scores`; `judge` need not know the crowd."""
    if not offers:
        return all_local(problem)
    chosen = drawn(scores(view_of(problem, judge, offers)), number_of(problem, rng))
    return offload(offers[chosen - 1].placement) if chosen else all_local(problem)
