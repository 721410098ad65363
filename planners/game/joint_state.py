"""All users' intervals and their joint value, for planners that change one user's at a time."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerlift.planners import cost
from layerlift.planners.cost.crowd import SHORTEST_QUERY_S, Crowd
from layerlift.planners.cost.judge import Rank
from layerlift.planners.game.answers import IntervalAnswers
from layerlift.planners.graphs.intervals import grains, interval
from layerlift.planners.problem.problem import Floats, Problem, occupied

VIOLATION_WEIGHT = 1e3
"""What missing a deadline or budget by 100 % costs, in the unit of the users' start values."""

ServerInterval = tuple[int, int, int]
"""(server, first grain, last grain); server 0 stands for all-local."""

LOCAL: ServerInterval = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class IntervalCost:
    """What one interval of one user costs when the user is alone."""

    legal: bool
    latency_s: float
    energy_j: float
    money: float
    held: Floats
    """Bytes of parameters on each node, shape (N,)."""
    busy_s: Floats
    """Shape (N,)."""
    period_s: float
    demand: Floats
    """Seconds needed of each resource where rates are known (`layerlift.planners.cost.sharing`), shape (R,)."""
    away: float = 0.0
    """The share of the stay that its upload takes."""


class JointCosts:
    """What all users do, as arrays with a row per user: one user's change and the joint value are a few operations."""

    def __init__(self, crowd: Crowd, own: Sequence[IntervalCost]) -> None:
        problems, wanted = crowd.problems, [problem.objective for problem in crowd.problems]
        scales = [judge.divisors for judge in crowd.judges]
        self.crowd = crowd
        self._slowdown = np.array([problem.slowdown for problem in problems])
        self._least = np.maximum(1.0, 1.0 / np.array([problem.share for problem in problems]))
        self._load = np.array([problem.load for problem in problems])
        self._cores = np.array([problem.cores for problem in problems])
        self._idle_w = np.array([problem.power.idle_w for problem in problems])
        self._memory_price = np.array([problem.price_per_byte_s for problem in problems])
        self._latency_weight = np.array([each.latency / by.latency for each, by in zip(wanted, scales, strict=True)])
        self._energy_weight = np.array([each.energy / by.energy for each, by in zip(wanted, scales, strict=True)])
        self._money_weight = np.array([each.money / by.money for each, by in zip(wanted, scales, strict=True)])
        self._period_weight = np.array([each.period / by.period for each, by in zip(wanted, scales, strict=True)])
        self._paced = np.flatnonzero(self._period_weight)
        balance = np.array([each.balance / by.balance for each, by in zip(wanted, scales, strict=True)])
        self._balanced = np.flatnonzero(balance)
        self._balance_weight = balance[self._balanced]
        self._coordinated = [number for number, each in enumerate(wanted) if each.coordination]
        self._deadline_s = np.array([np.inf if each.deadline_s is None else each.deadline_s for each in wanted])
        self._budget = np.array([np.inf if each.budget is None else each.budget for each in wanted])
        self._bound = bool(np.isfinite(self._deadline_s).any() or np.isfinite(self._budget).any())
        users, nodes = len(problems), len(problems[0].nodes)
        self._period_s = np.zeros(users)
        self._latency_s, self._energy_j, self._money = np.zeros(users), np.zeros(users), np.zeros(users)
        self._busy_s, self._running, self._held = (np.zeros((users, nodes)) for _ in range(3))
        self._demands = np.zeros((users, len(crowd.nobody)))
        self._present: Floats | None = None
        self._away = np.zeros(users)
        self._home = np.array([missed * VIOLATION_WEIGHT + value for missed, value in self._home_keys(crowd)])
        for user, cost_alone in enumerate(own):
            self.take(user, cost_alone)

    @staticmethod
    def _home_keys(crowd: Crowd) -> list[Rank]:
        """What staying at home is to each user; nobody asks where no stay is known."""
        return [judge.local_key if judge.stay is not None else (0.0, 0.0) for judge in crowd.judges]

    def take(self, user: int, own: IntervalCost) -> None:
        """Let `user` do what costs `own` when it is alone."""
        self._away[user] = own.away
        self._latency_s[user], self._energy_j[user], self._money[user] = own.latency_s, own.energy_j, own.money
        self._busy_s[user], self._held[user], self._period_s[user] = own.busy_s, own.held, own.period_s
        if self.crowd.sharing is not None:
            self._demands[user] = own.demand
            return
        self._running[user] = own.busy_s / max(own.latency_s, SHORTEST_QUERY_S)
        self._running[user, 0] = 0.0

    def has_room(self, user: int, own: IntervalCost) -> bool:
        """Whether what `own` holds fits beside what the other users hold."""
        return not self.crowd.limited or bool((own.held <= self.crowd.room_left(user, self._held)).all())

    def value(self) -> float:
        """See `JointState.value`. The terms are summed exactly, so that the order of the users does not matter."""
        if self.crowd.sharing is not None:
            state = self.crowd.sharing.steady(self._demands, self._latency_s, self._present)
            self._present = state.present
            present = state.present[:, : self._cores.shape[1]]
            total, longer = state.present.sum(axis=0)[: self._cores.shape[1]], state.latency_s - self._latency_s
        else:
            present = self._running
            total = present.sum(axis=0)
            shared = (self._load + 1.0 + (total - self._running)) / self._cores
            longer = (self._busy_s * (np.maximum(shared, self._least) - self._slowdown)).sum(axis=1)
        latency = self._latency_s + longer
        rent = (self._memory_price * self._held).sum(axis=1)
        money = self._money + rent * longer
        energy = self._energy_j + self._idle_w * longer
        value = self._latency_weight * latency + self._energy_weight * energy + self._money_weight * money
        if self._bound:
            late = np.maximum(0.0, latency / self._deadline_s - 1.0)
            value += VIOLATION_WEIGHT * (late + np.maximum(0.0, money / self._budget - 1.0))
        if len(self._balanced):
            value[self._balanced] += self._balance_weight * self._unevenness(total)
        for user in self._paced.tolist():
            value[user] += self._period_weight[user] * self._period(user, present)
        for user in self._coordinated:
            judge, costs = self.crowd.judges[user], (float(each[user]) for each in (latency, energy, money))
            value[user] += judge.problem.objective.coordination * judge.lacking(*costs)
        if self._away.any():
            value = self._away * self._home + (1.0 - self._away) * value
        return math.fsum(value.tolist())

    def _period(self, user: int, present: Floats) -> float:
        """A user's period beside the pieces that the others keep running on each node; shape (U, N)."""
        others = present.sum(axis=0) - present[user]
        others[0] = 0.0
        crowded = self._busy_s[user] * occupied(self.crowd.problems[user], np.maximum(others, 0.0))
        return max(float(self._period_s[user]), float(crowded.max()))

    def _unevenness(self, total: Floats) -> Floats:
        """What `layerlift.planners.cost.crowd.evenness` says to each user who weighs it."""
        if len(total) < 2:
            return np.zeros(len(self._balanced))
        used = (total[1:] + self._load[self._balanced, 1:]) / self._cores[self._balanced, 1:]
        mean = used.mean(axis=1)
        spread = np.sqrt(((used - mean[:, None]) ** 2).mean(axis=1))
        variation: Floats = np.divide(spread, mean, out=np.zeros_like(mean), where=mean > 0)
        return variation


class JointState:
    """All users' intervals and their joint value; what an interval costs alone is computed once."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.grains = [grains(problem) for problem in crowd.problems]
        self._alone: dict[tuple[str, ServerInterval], IntervalCost] = {}

    def placement(self, user: int, chosen: ServerInterval) -> tuple[int, ...]:
        """The placement that an interval of `user` stands for."""
        server, first, last = chosen
        parts = self.grains[user]
        return interval(self.crowd.problems[user], server, parts[first].first, parts[last].last)

    def neighbour(self, user: int, chosen: ServerInterval, rng: random.Random) -> ServerInterval:
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
        return proposed if 0 <= first <= last <= end and self.alone(user, proposed).legal else chosen

    def own_best(self) -> list[ServerInterval]:
        """Every user's best interval without load of others; in order, in the memory that those before leave."""
        crowd, tables = self.crowd, IntervalAnswers(self.crowd)
        nobody = crowd.nobody
        held = np.zeros((len(crowd), len(crowd.problems[0].nodes)))
        intervals: list[ServerInterval] = []
        for user, problem in enumerate(crowd.problems):
            chosen = tables.best(user, nobody, crowd.room_left(user, held))
            held[user] = chosen.held
            intervals.append(_as_interval(problem, chosen.placement))
        return intervals

    def costs(self, state: Sequence[ServerInterval]) -> JointCosts:
        """The users' present intervals, one per user, as arrays."""
        return JointCosts(self.crowd, [self.alone(user, chosen) for user, chosen in enumerate(state)])

    def value(self, state: Sequence[ServerInterval]) -> float:
        """Sum of the users' values under each other's load; what they miss of a deadline or budget weighs heavily."""
        return self.costs(state).value()

    def alone(self, user: int, chosen: ServerInterval) -> IntervalCost:
        """What an interval of `user` costs alone."""
        problem = self.crowd.problems[user]
        known = (self.crowd.labels[user], chosen)
        if known not in self._alone:
            placement = self.placement(user, chosen)
            alone = cost.evaluate(problem, placement)
            held = np.array(cost.held_bytes(problem, placement), dtype=np.float64)
            held[0] = 0.0
            legal = bool((held[1:] <= problem.memory_bytes[1:]).all())
            self._alone[known] = IntervalCost(
                legal,
                alone.latency_s,
                alone.energy_j,
                alone.money,
                held,
                np.array(alone.busy_s),
                alone.period_s,
                np.zeros(0) if self.crowd.sharing is None else self.crowd.alone(user, placement)[1][0],
                float(self.crowd.judges[user].uploading(held[None, :])[0]),
            )
        return self._alone[known]


def _as_interval(problem: Problem, placement: Sequence[int]) -> ServerInterval:
    """The interval that spans the moved layers of a placement on one server."""
    moved = [layer for layer, node in enumerate(placement) if node]
    if not moved:
        return LOCAL
    parts = grains(problem)
    first = next(index for index, part in enumerate(parts) if part.last >= moved[0])
    last = next(index for index, part in enumerate(parts) if part.last >= moved[-1])
    return placement[moved[0]], first, last
