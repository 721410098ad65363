"""Gibbs sampling over all users' intervals together (Yan et al.)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import PlanError
from planners import cost
from planners.arithmetic import exponential
from planners.base import PlannerBase
from planners.crowd import SHORTEST_QUERY_S, Crowd, contended, evenness
from planners.intervals import OneClimb, grains, interval
from planners.plan import Plan, offload
from planners.problem import Floats, Problem

VIOLATION_WEIGHT = 1e3
"""What missing a deadline or budget by 100 % costs, in the unit of the users' start values."""

Interval = tuple[int, int, int]
"""(server, first grain, last grain); server 0 stands for all-local."""

LOCAL: Interval = (0, 0, 0)


class Gibbs(PlannerBase):
    """Every user's interval on one server, sampled together, because users slow each other down.

    The state is one interval per user (see `planners.intervals`), at first each user's own best. A step picks a user
    and proposes a neighbour of the interval: an end moved, another server, all-local or a new interval. It is
    accepted with probability 1 / (1 + exp((new - old) / T)); T starts at `temperature` of the value of a user and
    is multiplied by `cooling` after every sweep (one step per user). The best state seen is the answer; staying
    local and each user's own best are among them. The value is that of `planners.crowd`, with pieces on a server
    lengthened in place, which is exact where a query is in one place at a time.
    """

    multi_server = False
    multi_user = True

    def __init__(self, sweeps: int = 300, temperature: float = 0.1, cooling: float = 0.97) -> None:
        if sweeps < 0 or temperature <= 0 or not 0 < cooling < 1:
            raise PlanError(
                f"gibbs: sweeps={sweeps}, temperature={temperature}, cooling={cooling} were given, expected "
                f"sweeps >= 0, temperature > 0 and 0 < cooling < 1"
            )
        self.sweeps = sweeps
        self.temperature = temperature
        self.cooling = cooling

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return OneClimb.cite()

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The plan of one user who is alone."""
        return self.plan_all([problem], rng)[0]

    def plan_all(self, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        """One plan per user, in order. Raises `PlanError` when users see different servers."""
        crowd = Crowd(problems)
        board = Board(crowd)
        own = [OneClimb().plan(problem, rng).placement for problem in _distinct(crowd)]
        by_digest = dict(zip((problem.digest for problem in _distinct(crowd)), own, strict=True))
        starts = [LOCAL] * len(crowd), [_as_interval(p, by_digest[p.digest]) for p in crowd.problems]
        best, best_worth = starts[0], board.worth(starts[0])
        if (worth := board.worth(starts[1])) < best_worth:
            best, best_worth = starts[1], worth
        if crowd.problems[0].servers:
            best = self._sample(board, starts[1], (best, best_worth), rng)
        return [offload(board.placement(user, chosen)) for user, chosen in enumerate(best)]

    def _sample(
        self, board: Board, start: list[Interval], best: tuple[list[Interval], float], rng: random.Random
    ) -> list[Interval]:
        users = len(start)
        state, worth = list(start), board.worth(start)
        heat = self.temperature * abs(worth) / users or 1.0
        for _ in range(self.sweeps):
            for _ in range(users):
                user = rng.randrange(users)
                before = state[user]
                state[user] = board.neighbour(user, before, rng)
                tried = board.worth(state)
                if rng.random() < 1.0 / (1.0 + exponential((tried - worth) / heat)):
                    worth = tried
                    if worth < best[1]:
                        best = (list(state), worth)
                else:
                    state[user] = before
            heat *= self.cooling
        return best[0]


@dataclass(frozen=True, slots=True)
class Row:
    """What one interval of one user costs when the user is alone."""

    legal: bool
    latency_s: float
    energy_j: float
    money: float
    busy_s: Floats


class Board:
    """All users' intervals and their joint value; what an interval costs alone is computed once."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.grains = [grains(problem) for problem in crowd.problems]
        self.rows: dict[tuple[str, Interval], Row] = {}

    def placement(self, user: int, chosen: Interval) -> tuple[int, ...]:
        """The placement that an interval of `user` stands for."""
        server, first, last = chosen
        parts = self.grains[user]
        return interval(self.crowd.problems[user], server, parts[first].first, parts[last].last)

    def neighbour(self, user: int, chosen: Interval, rng: random.Random) -> Interval:
        """A random legal neighbour of an interval, or the interval itself where the one drawn is not legal."""
        server, first, last = chosen
        servers, end = len(self.crowd.problems[user].servers), len(self.grains[user]) - 1
        move = rng.randrange(5) if server else 4
        if move == 0:
            first += rng.choice((-1, 1))
        elif move == 1:
            last += rng.choice((-1, 1))
        elif move == 2:
            server = rng.randint(1, servers)
        elif move == 3:
            return LOCAL
        else:
            server = rng.randint(1, servers)
            first, last = sorted((rng.randint(0, end), rng.randint(0, end)))
        proposed = (server, first, last)
        return proposed if 0 <= first <= last <= end and self._row(user, proposed).legal else chosen

    def worth(self, state: Sequence[Interval]) -> float:
        """Sum of the users' values under each other's load; what they miss of a deadline or budget weighs heavily."""
        crowd = self.crowd
        rows = [self._row(user, chosen) for user, chosen in enumerate(state)]
        running = np.array([row.busy_s / max(row.latency_s, SHORTEST_QUERY_S) for row in rows])
        running[:, 0] = 0.0
        total = running.sum(axis=0)
        worth = 0.0
        for judge, row, own in zip(crowd.judges, rows, running, strict=True):
            problem = judge.problem
            longer = float((row.busy_s * (contended(problem, total - own) - problem.slowdown)).sum())
            uneven = float(evenness(problem, total[None, :])[0]) if problem.objective.balance else 0.0
            missed, value = judge.rank(
                row.latency_s + longer, row.energy_j + problem.power.idle_w * longer, row.money, uneven
            )
            worth += value + VIOLATION_WEIGHT * missed
        return worth

    def _row(self, user: int, chosen: Interval) -> Row:
        problem = self.crowd.problems[user]
        known = (problem.digest, chosen)
        if known not in self.rows:
            placement = self.placement(user, chosen)
            alone = cost.evaluate(problem, placement)
            self.rows[known] = Row(
                cost.fits(problem, placement), alone.latency_s, alone.energy_j, alone.money, np.array(alone.busy_s)
            )
        return self.rows[known]


def _distinct(crowd: Crowd) -> list[Problem]:
    return list({problem.digest: problem for problem in crowd.problems}.values())


def _as_interval(problem: Problem, placement: Sequence[int]) -> Interval:
    """The interval that spans the moved layers of a placement on one server."""
    moved = [layer for layer, node in enumerate(placement) if node]
    if not moved:
        return LOCAL
    parts = grains(problem)
    first = next(index for index, part in enumerate(parts) if part.last >= moved[0])
    last = next(index for index, part in enumerate(parts) if part.last >= moved[-1])
    return placement[moved[0]], first, last
