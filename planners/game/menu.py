"""Every interval that a user may choose and what it costs under any load, as arrays.

Where all layers of an interval are allowed, a query is at most in three places one after the other, so that its
latency is `max(floor, through + work * slowdown)` exactly: `floor` for what never sees the server. The other
intervals (with layers in between that stay on the client) are walked once, alone, and lengthened by their work on
the server, which is never less than the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from layerlift.planners import cost
from layerlift.planners.cost import batch
from layerlift.planners.cost.batch import Placements
from layerlift.planners.cost.crowd import SHORTEST_QUERY_S, contended, evenness
from layerlift.planners.cost.judge import Judge, Rank
from layerlift.planners.cost.period import two_way_s
from layerlift.planners.cost.sharing import Sharing
from layerlift.planners.graphs.intervals import grains, interval
from layerlift.planners.graphs.spans import Spans, spans_of
from layerlift.planners.problem.problem import Bools, Floats, Problem, occupied

TIE = 1e-12
"""Keys that differ relatively by less are equal: the first one is taken, whatever the rounding."""


@dataclass(frozen=True, slots=True)
class ServerIntervals:
    """The intervals on one server, in order of first and last layer; arrays have shape (K,)."""

    server: int
    first: Placements
    last: Placements
    held: Floats
    """Bytes of parameters."""
    floor_s: Floats
    through_s: Floats
    work_s: Floats
    fixed_j: Floats
    """Energy without the client's idle power over the latency."""
    fixed_money: Floats
    """Money without what memory costs over the latency."""
    there_s: Floats
    """Seconds of transmission to the server."""
    back_s: Floats
    """Seconds of transmission back."""
    steady_s: Floats
    """The period but for the server's CPU: that of the client's, or of the links'."""

    def latency_s(self, slowdown: float) -> Floats:
        """Latency of a query while pieces on the server are so much longer."""
        # `through_s` may be -inf, where no answer waits for the server: the floor is then all.
        latency: Floats = np.maximum(self.floor_s, self.through_s + self.work_s * slowdown)
        return latency

    def kept(self, chosen: Bools) -> ServerIntervals:
        """The chosen ones of the intervals."""
        return ServerIntervals(
            self.server, self.first[chosen], self.last[chosen], self.held[chosen], self.floor_s[chosen],
            self.through_s[chosen], self.work_s[chosen], self.fixed_j[chosen], self.fixed_money[chosen],
            self.there_s[chosen], self.back_s[chosen], self.steady_s[chosen],
        )  # fmt: skip


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

    def __init__(self, judge: Judge, known: dict[tuple[str, int], Spans]) -> None:
        """`known` keeps what holds for a network, whoever asks: by its digest and the header's bytes."""
        self.judge = judge
        self.problem = problem = judge.problem
        label = (problem.graph.digest, problem.header_bytes)
        # What crosses depends on the graph and the header alone: users with other links or speeds share the spans.
        if label not in known:
            known[label] = spans_of(problem.graph, grains(problem), problem.header_bytes)
        self.spans = known[label]
        nothing = np.zeros(len(problem.nodes))
        self.local = UserChoice((0,) * len(problem.graph), nothing, nothing)
        self._local_cost = cost.evaluate(problem, self.local.placement)
        self._away: dict[int, Floats] = {}
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
        problem, spans = self.problem, self.spans
        # Prefix sums: an interval is whole where as many layers are forbidden before its end as before its start.
        forbidden = np.concatenate([[0], np.cumsum(~problem.allowed[:, server])])
        whole = forbidden[spans.last + 1] == forbidden[spans.first]
        # `_whole` takes every layer for allowed, so what it says of the other intervals is wrong: they are dropped
        # here.
        intervals = _whole(problem, spans, server).kept(whole & (spans.held <= problem.memory_bytes[server]))
        if not whole.all():
            intervals = _merged(intervals, _broken(problem, spans, server, np.flatnonzero(~whole)))
        # Unevenness may fall when others come, and terms may go together better: an interval that is bad alone may be
        # good in a crowd.
        if problem.objective.balance or problem.objective.coordination:
            return intervals
        nobody = np.zeros(len(problem.nodes))
        missed, values = self._ranks(intervals, intervals.latency_s(float(problem.slowdown[server])), nobody)
        limit, local = self.local_key(nobody)
        # Latency, energy and money of an interval grow with the others' load and those of staying local do not, so
        # what loses even alone loses always.
        return intervals.kept((missed < limit) | ((missed == limit) & (values < local)))


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


def _whole(problem: Problem, spans: Spans, server: int) -> ServerIntervals:
    """The intervals as if every layer were allowed: the client, the server, the client, one after the other."""
    there_s, back_s = problem.latency_s[0, server], problem.latency_s[server, 0]
    up_bytes_s, down_bytes_s = problem.bandwidth_bytes_s[0, server], problem.bandwidth_bytes_s[server, 0]
    # Prefix sums, with a 0 in front: the seconds of layers a..b are the difference of entries b + 1 and a.
    at_client, at_server = (np.concatenate([[0.0], np.cumsum(problem.seconds[:, node])]) for node in (0, server))
    before, after = at_client[spans.first], at_client[-1] - at_client[spans.last + 1]
    work = at_server[spans.last + 1] - at_server[spans.first]
    sent = _tokens(problem, spans)
    before_s, after_s = before * problem.slowdown[0], after * problem.slowdown[0]
    opened_s, up_s, down_s = sent.opened / up_bytes_s, sent.up / up_bytes_s, sent.down / down_bytes_s
    # Messages of a pair queue: inputs leave when the query begins, what the first layers make when these have ended,
    # and not before the inputs are through. The delay passes while others are in transmission, so it counts once.
    begun = np.where(sent.opened_any, there_s + opened_s, 0.0)
    begun = np.where(sent.up_any, there_s + np.maximum(before_s, opened_s) + up_s, begun)
    makers = [problem.graph.tensors[tensor].producer for tensor in problem.graph.outputs]
    # The client's last layers matter when an answer comes from them; otherwise nobody waits for them.
    ends_home = max(makers) > spans.last
    # The client runs its two pieces one after the other whether or not the server is ready; an answer made by its
    # first piece is there when that ends. This part of the latency no load on the server can lengthen.
    floor = np.where(ends_home, before_s + after_s, np.where(min(makers) < spans.first, before_s, 0.0))
    # Without the server's own time: that is `work`, and the only part which `slowdown` lengthens.
    through = np.where(sent.waited_any & ends_home, begun + back_s + sent.waited / down_bytes_s + after_s, -np.inf)
    answer = np.where(sent.answered_any, begun + back_s + sent.answered / down_bytes_s, -np.inf)
    # Seconds at full speed, as everywhere where energy and money are counted, not `before_s` and `after_s`.
    power, client = problem.power, before + after
    there, back = problem.price_per_byte[0, server], problem.price_per_byte[server, 0]
    carried = there * (sent.opened + sent.up) + back * sent.down
    return ServerIntervals(
        server, spans.first, spans.last, spans.held, floor, np.maximum(through, answer), work,
        power.compute_w * client + power.radio_w * (opened_s + up_s + down_s) + problem.busy_w[server] * work,
        carried + problem.price_per_s[0] * client + problem.price_per_s[server] * work,
        opened_s + up_s, down_s,
        np.maximum(client * problem.occupancy[0], two_way_s(problem, server, sent.opened + sent.up, sent.down)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _SentBytes:
    opened: Floats
    opened_any: Bools
    up: Floats
    up_any: Bools
    down: Floats
    waited: Floats
    waited_any: Bools
    answered: Floats
    answered_any: Bools


def _tokens(problem: Problem, spans: Spans) -> _SentBytes:
    """What is sent; in serial mode a token where nothing else tells the next place to begin, and all is waited for."""
    opened, up, down = spans.opened, spans.up, spans.down
    opened_any, up_any = spans.opened_any, spans.up_any
    waited, waited_any = spans.waited, spans.waited_any
    if problem.query == "serial":
        token = float(problem.header_bytes)
        # In serial mode a piece begins when the one before has ended, and learns it from what arrives. Where no tensor
        # goes that way, a message with nothing but a header is sent. The client begins its last piece when all has
        # come back.
        later, goes_on = spans.first > 0, spans.last < len(problem.graph) - 1
        opened = np.where(~later & ~opened_any, token, opened)
        up = np.where(later & ~up_any, token, up)
        down = np.where(goes_on & ~spans.down_any, token, down)
        opened_any, up_any = opened_any | ~later, up_any | later
        waited, waited_any = down, goes_on
    return _SentBytes(opened, opened_any, up, up_any, down, waited, waited_any, spans.answered, spans.answered_any)


def _broken(problem: Problem, spans: Spans, server: int, chosen: Placements) -> ServerIntervals:
    """Legal intervals with layers in between that must stay on the client; one of each that move the same layers."""
    layers, allowed = np.arange(len(problem.graph)), problem.allowed[:, server]
    # Intervals that differ in forbidden layers only move the same layers, those from the first allowed one to the
    # last: walking the first of them is enough.
    after = np.minimum.accumulate(np.where(allowed, layers, len(layers))[::-1])[::-1]
    before = np.maximum.accumulate(np.where(allowed, layers, -1))
    start, end = after[spans.first[chosen]], before[spans.last[chosen]]
    some = np.flatnonzero(start <= end)
    chosen = chosen[some[np.unique(start[some] * len(layers) + end[some], return_index=True)[1]]]
    inside = (layers >= spans.first[chosen][:, None]) & (layers <= spans.last[chosen][:, None])
    rows = (inside & allowed).astype(np.int64) * server
    fitting = batch.fits(problem, rows)
    rows, chosen = rows[fitting], chosen[fitting]
    costs = batch.evaluate(problem, rows, carried=True, period=True)
    held, work = batch.held_bytes(problem, rows)[:, server], costs.busy_s[:, server]
    return ServerIntervals(
        server, spans.first[chosen], spans.last[chosen], held, np.zeros(len(rows)),
        # Made so that `latency_s` gives the walked latency at today's slowdown and all of the work is lengthened
        # beyond that. Work beside which something else takes longer would be hidden, so the truth is never more.
        costs.latency_s - work * problem.slowdown[server], work,
        costs.energy_j - problem.power.idle_w * costs.latency_s,
        costs.money - problem.price_per_byte_s[server] * held * costs.latency_s,
        costs.carried_s[:, server], costs.carried_s[:, server * len(problem.nodes)],
        np.maximum(costs.busy_s[:, 0] * problem.occupancy[0], costs.links_s),
    )  # fmt: skip


def _merged(one: ServerIntervals, other: ServerIntervals) -> ServerIntervals:
    """The intervals of both in order."""
    # `_first_best` takes the first of equals, so the order must be that of the intervals, not of how they were
    # computed.
    order = np.lexsort((np.concatenate([one.last, other.last]), np.concatenate([one.first, other.first])))

    def both(ours: Floats, theirs: Floats) -> Floats:
        joined: Floats = np.concatenate([ours, theirs])[order]
        return joined

    return ServerIntervals(
        one.server, np.concatenate([one.first, other.first])[order], np.concatenate([one.last, other.last])[order],
        both(one.held, other.held), both(one.floor_s, other.floor_s), both(one.through_s, other.through_s),
        both(one.work_s, other.work_s), both(one.fixed_j, other.fixed_j), both(one.fixed_money, other.fixed_money),
        both(one.there_s, other.there_s), both(one.back_s, other.back_s), both(one.steady_s, other.steady_s),
    )  # fmt: skip
