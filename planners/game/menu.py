"""Every interval that a user may choose and what it costs under any load: the best of them beside any others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from layerlift.planners import cost
from layerlift.planners.cost.crowd import SHORTEST_QUERY_S, contended, evenness
from layerlift.planners.cost.judge import Judge, Rank
from layerlift.planners.cost.sharing import Sharing
from layerlift.planners.game.server_intervals import ServerIntervals, Tables
from layerlift.planners.graphs.intervals import interval, spans_in
from layerlift.planners.problem.problem import Floats, occupied

TIE = 1e-12
"""Keys that differ relatively by less are equal: the first one is taken, whatever the rounding."""


@dataclass(frozen=True, slots=True)
class UserChoice:
    """What a user does, and what the others feel of it."""

    placement: tuple[int, ...]
    running: Floats
    """Pieces on each node on average, shape (N,) (see `layerlift.planners.cost.crowd`)."""
    held: Floats
    """Bytes of parameters on each node, shape (N,); the client's entry is 0."""


class Habit(NamedTuple):
    """Whose rates the shared resources are felt by: user number `user` of `sharing`."""

    sharing: Sharing
    user: int


class Menu:
    """The intervals of one problem on every server, but for those that are worse than staying local even alone.

    With others about, an interval only gets worse and staying local does not, so nothing is lost; where the balance
    of the servers is weighed that is not so, and all intervals are kept.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.problem = problem = judge.problem
        self.spans = spans_in(problem)
        nothing = np.zeros(len(problem.nodes))
        self.local = UserChoice((0,) * len(problem.graph), nothing, nothing)
        self._local_cost = cost.evaluate(problem, self.local.placement)
        self._away: dict[int, Floats] = {}
        self._tables = Tables(problem, self.spans)
        self.by_server = [self._intervals_on(server) for server in problem.servers]

    @property
    def cells(self) -> int:
        """Intervals kept, over all servers."""
        return sum(len(intervals.first) for intervals in self.by_server)

    def local_key(self, others: Floats, habit: Habit | None = None) -> Rank:
        """Rank of staying local while the others keep `others` pieces running, shape (N,)."""
        local = self._local_cost
        latency_s, energy_j = local.latency_s, local.energy_j
        if habit is not None:
            alone = np.array([latency_s])
            latency_s = float(habit.sharing.waited(habit.user, alone, alone)[0])
            energy_j += self.problem.power.idle_w * (latency_s - local.latency_s)
        return self.judge.rank(latency_s, energy_j, local.money, self._uneven(others[None, :]), local.period_s)

    def best(self, others: Floats, room: Floats, habit: Habit | None = None) -> tuple[Rank, UserChoice]:
        """The best interval or staying local, the first of equals, with at most `room` bytes on a server.

        `room` has shape (N,) and comes on top of `Problem.memory_bytes`; so has `others`, or (R,) with a `habit`.
        """
        (key, chosen), *offers = self.offers(others, room, habit)
        for rank, choice in offers:
            # Equal servers may give sums that differ in the last bits: the first must win whatever the order of
            # summing.
            if ahead(rank, key, TIE):
                key, chosen = rank, choice
        return key, chosen

    def offers(self, others: Floats, room: Floats, habit: Habit | None = None) -> list[tuple[Rank, UserChoice]]:
        """Staying local, and then the best interval of each server that has one, the first of equals."""
        made = [(self.local_key(others, habit), self.local)]
        nodes = len(self.problem.nodes)
        if habit is None:
            slowdown = contended(self.problem, others)
        else:
            slowdown = habit.sharing.slowdown(habit.user, others)
            crossing = habit.sharing.crossing(habit.user, slowdown)
        for intervals in self.by_server:
            # The tables hold what fits into the offer; what others hold changes with every turn, so it is looked at
            # here.
            legal = np.flatnonzero(intervals.held <= room[intervals.server])
            if not len(legal):
                continue
            server = intervals.server
            if habit is None:
                latency = intervals.latency_s(float(slowdown[server]))
            else:
                alone = intervals.latency_s(float(self.problem.slowdown[server]))
                longer = (
                    intervals.work_s * (slowdown[server] - self.problem.slowdown[server])
                    + intervals.there_s * (slowdown[nodes + server] - 1.0)
                    + intervals.back_s * (slowdown[2 * nodes + server] - 1.0)
                )
                if crossing is not None:
                    longer = longer + intervals.there_s * crossing[0, server] + intervals.back_s * crossing[server, 0]
                latency = habit.sharing.waited(habit.user, alone, alone + longer)
            missed, values = self._ranks(intervals, latency, others[:nodes])
            if self.judge.stay is not None:
                missed, values = self.judge.all_over_stay(missed, values, self._uploading(intervals))
            place = legal[_first_best(missed[legal], values[legal])]
            made.append(((float(missed[place]), float(values[place])), self._choice(intervals, int(place))))
        return made

    def _uploading(self, intervals: ServerIntervals) -> Floats:
        """The share of the stay that uploading each interval takes, shape (K,)."""
        if intervals.server not in self._away:
            held = np.zeros((len(intervals.held), len(self.problem.nodes)))
            held[:, intervals.server] = intervals.held
            self._away[intervals.server] = self.judge.uploading(held)
        return self._away[intervals.server]

    def _choice(self, intervals: ServerIntervals, place: int) -> UserChoice:
        problem, server = self.problem, intervals.server
        # What a user keeps running is told by its latency alone: with the others' load in it their answers would feed
        # back into their causes (`layerlift.planners.cost.crowd` seeks no fixed point).
        alone = np.maximum(intervals.latency_s(float(problem.slowdown[server])), SHORTEST_QUERY_S)
        running, held = np.zeros(len(problem.nodes)), np.zeros(len(problem.nodes))
        running[server] = intervals.work_s[place] / alone[place]
        held[server] = intervals.held[place]
        return UserChoice(
            interval(problem, server, int(intervals.first[place]), int(intervals.last[place])), running, held
        )

    def _ranks(self, intervals: ServerIntervals, latency: Floats, others: Floats) -> tuple[Floats, Floats]:
        problem, server = self.problem, intervals.server
        # Idle power and memory are paid by the second, so a crowded server makes even them dearer.
        joules = intervals.fixed_j + problem.power.idle_w * latency
        money = intervals.fixed_money + problem.price_per_byte_s[server] * intervals.held * latency
        # Evenness takes an array of all nodes for every interval, so it is left out where nobody weighs it.
        uneven: Floats | float = 0.0
        if problem.objective.balance:
            total = np.repeat(others[None, :], len(latency), axis=0)
            alone = np.maximum(intervals.latency_s(float(problem.slowdown[server])), SHORTEST_QUERY_S)
            # An interval loads one server only: the others keep what other users run there.
            total[:, server] += intervals.work_s / alone
            uneven = evenness(problem, total)
        period = intervals.steady_s
        if problem.objective.period:
            period = np.maximum(period, intervals.work_s * occupied(problem, others)[server])
        return self.judge.ranks(latency, joules, money, uneven, period)

    def _uneven(self, total: Floats) -> float:
        return float(evenness(self.problem, total)[0]) if self.problem.objective.balance else 0.0

    def _intervals_on(self, server: int) -> ServerIntervals:
        """The legal intervals on a server that may ever be chosen."""
        problem = self.problem
        intervals = self._tables.on(server)
        # Unevenness may fall when others come, and terms may go together better: an interval that is bad alone may be
        # good in a crowd.
        if problem.objective.balance or problem.objective.coordination:
            return intervals
        nobody = np.zeros(len(problem.nodes))
        missed, values = self._ranks(intervals, intervals.latency_s(float(problem.slowdown[server])), nobody)
        limit, local = self.local_key(nobody)
        # Latency, energy and money of an interval grow with the others' load and those of staying local do not, so
        # what loses even alone loses always.
        return intervals.kept(np.flatnonzero((missed < limit) | ((missed == limit) & (values < local))))


def ahead(new: Rank, old: Rank, epsilon: float) -> bool:
    """Whether `new` is better than `old`, by more than `epsilon` of the first term that tells them apart."""
    for ours, theirs in zip(new, old, strict=True):
        if ours == theirs:
            continue
        # The test below would fail (infinity is not more than a share of infinity), but whatever is finite is better.
        if np.isinf(theirs):
            return ours < theirs
        if abs(theirs - ours) > epsilon * abs(theirs):
            return ours < theirs
    return False


def _first_best(missed: Floats, values: Floats) -> int:
    # First all that miss as little as the best, up to rounding, then the best values among them: an exact minimum
    # would let the last bit of a sum decide between equal intervals.
    least = missed.min()
    among = np.flatnonzero(missed <= least * (1.0 + TIE))
    best = values[among].min()
    return int(among[np.flatnonzero(values[among] <= best + TIE * abs(best))[0]])
