"""Users who share servers: what each other's pieces cost them. For planners that place all users together.

The model is mean-field: a user whose queries follow each other keeps `busy / latency` pieces running on a server on
average, and a piece there shares the processor with the pieces of all others. The latencies of users alone give the
averages, and the averages lengthen the pieces once: no fixed point is sought. Links are independent, as everywhere
in planning.

Memory is shared too. A problem's `memory_bytes` is what a server offered its user when asked: its free memory and what
that user already holds there, so equal offers are one room for all of them together. Of unequal offers the users with
small ones share what was offered to the largest of these, and all together share the largest offer: for every user,
those who were offered no more than it hold together no more than its offer. Where servers keep a quota for each user,
that is too strict: `memory="each"` leaves every user its own offer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.cost import batch
from layerlift.planners.cost.batch import Placements
from layerlift.planners.cost.judge import Judge, Rank
from layerlift.planners.problem.problem import Bools, Floats, Problem

SHORTEST_QUERY_S = 1e-12
"""Keeps a query that costs nothing from running infinitely often."""

Memory = Literal["shared", "each"]
"""Whose the offered memory is: all users' together, or each user's own."""


class Crowd:
    """The problems of all users, over the same servers in the same order.

    Raises `PlanError` when there is no problem, or when two users see different servers.
    """

    def __init__(self, problems: Sequence[Problem], memory: Memory = "shared") -> None:
        if not problems:
            raise PlanError("no user was given to plan for, expected at least one problem")
        for problem in problems:
            if problem.nodes[1:] != problems[0].nodes[1:]:
                raise PlanError(
                    f"users see different servers, {problem.nodes[1:]} and {problems[0].nodes[1:]}: plan them apart"
                )
        self.problems = tuple(problems)
        known: dict[str, Judge] = {}
        self.judges = tuple(known.setdefault(problem.digest, Judge(problem)) for problem in problems)
        offers = np.array([problem.memory_bytes for problem in problems])
        offers[:, 0 if memory == "shared" else slice(None)] = np.inf
        self.limited = bool(np.isfinite(offers).any())
        """Whether memory that users share may run out."""
        self._by_offer = np.argsort(offers, axis=0, kind="stable")
        self._offers = np.take_along_axis(offers, self._by_offer, axis=0)
        self._rank = np.argsort(self._by_offer, axis=0, kind="stable")

    def __len__(self) -> int:
        return len(self.problems)

    def scores(self, placements: Sequence[Placements]) -> tuple[Floats, Floats]:
        """How good choices for all users are: violations and values, each summed over the users.

        `placements[u]` has shape (P, L of user u): row p of every array together is choice p. Returns shapes (P,)
        and (P,), compared as `Judge.keys` are: the lower violation wins, then the lower value. The balance that the
        objectives weigh is that of the servers under all users. A choice that overfills a server has violation inf.
        """
        costs = [batch.evaluate(each, rows) for each, rows in zip(self.problems, placements, strict=True)]
        running = [running_pieces(each) for each in costs]
        total = np.sum(running, axis=0)
        violations, values = np.zeros(len(total)), np.zeros(len(total))
        for judge, rows, own in zip(self.judges, placements, running, strict=True):
            problem = judge.problem
            shared = batch.evaluate(problem, rows, contended(problem, total - own))
            shared = replace(shared, balance=evenness(problem, total))
            missed, worth = judge.keys(rows, shared)
            violations += missed
            values += worth
        violations[~self.has_room(placements)] = np.inf
        return violations, values

    def has_room(self, placements: Sequence[Placements]) -> Bools:
        """Whether all users' parameters fit together; arrays as in `scores`, the answer has shape (P,)."""
        if not self.limited:
            return np.ones(len(placements[0]), dtype=np.bool_)
        held = [batch.held_bytes(each, rows) for each, rows in zip(self.problems, placements, strict=True)]
        taken = np.cumsum(np.take_along_axis(np.array(held), self._by_offer[:, None, :], axis=0), axis=0)
        fitting: Bools = np.logical_and.reduce(taken <= self._offers[:, None, :], axis=(0, 2))
        return fitting

    def room_left(self, user: int, held: Floats) -> Floats:
        """Bytes that `user` may hold on each node, shape (N,), while users hold `held`, shape (U, N).

        What `user` itself holds does not count. At most 0 where the others hold too much already.
        """
        nodes = np.arange(held.shape[1])
        if not self.limited:
            return np.full(len(nodes), np.inf)
        ranked = np.take_along_axis(held, self._by_offer, axis=0)
        ranked[self._rank[user], nodes] = 0.0
        slack = self._offers - np.cumsum(ranked, axis=0)
        left: Floats = np.minimum.accumulate(slack[::-1], axis=0)[::-1][self._rank[user], nodes]
        return left

    def score(self, placements: Sequence[Sequence[int]]) -> Rank:
        """The score of one choice: one placement per user."""
        violations, values = self.scores([np.array([placement], dtype=np.int64) for placement in placements])
        return float(violations[0]), float(values[0])


def running_pieces(costs: batch.BatchCosts) -> Floats:
    """How many pieces of a user run on each node on average, shape (P, N); none on the client, which nobody shares."""
    made: Floats = costs.busy_s / np.maximum(costs.latency_s, SHORTEST_QUERY_S)[:, None]
    made[:, 0] = 0.0
    return made


def contended(problem: Problem, others: Floats) -> Floats:
    """`Problem.slowdown` when `others` pieces of other users run beside the reported load; shapes (..., N)."""
    shared = (problem.load + 1.0 + others) / problem.cores
    made: Floats = np.maximum(np.maximum(shared, 1.0 / problem.share), 1.0)
    return made


def evenness(problem: Problem, total: Floats) -> Floats:
    """Coefficient of variation of the servers' utilisation under `total` pieces of all users; shapes (P, N) -> (P,)."""
    if len(problem.nodes) < 2:
        return np.zeros(len(total))
    used = (total[:, 1:] + problem.load[1:]) / problem.cores[1:]
    mean = used.mean(axis=1)
    spread = np.sqrt(((used - mean[:, None]) ** 2).mean(axis=1))
    made: Floats = np.divide(spread, mean, out=np.zeros_like(mean), where=mean > 0)
    return made
