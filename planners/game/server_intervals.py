"""What every interval on every server costs beside any load, as arrays.

Where all layers of an interval are allowed, a query is at most in three places one after the other, so that its
latency is `max(floor, through + work * slowdown)` exactly: `floor` for what never sees the server. Layers in between
that stay on the client are an *excursion*: where one tensor leads there and one back, and nothing else passes by, it
only adds to that sum (`_Excursions`). Intervals around any other excursion are walked once, alone, and lengthened by
their work on the server, which is never less than the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layerlift.models.graph.per_graph import crossings
from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners.cost import batch
from layerlift.planners.cost.batch import Placements
from layerlift.planners.cost.period import two_way_s
from layerlift.planners.graphs.spans import Spans
from layerlift.planners.problem.problem import Bools, Floats, Ints, Problem


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

    def kept(self, chosen: Ints) -> ServerIntervals:
        """The chosen ones of the intervals."""
        return ServerIntervals(
            self.server, self.first[chosen], self.last[chosen], self.held[chosen], self.floor_s[chosen],
            self.through_s[chosen], self.work_s[chosen], self.fixed_j[chosen], self.fixed_money[chosen],
            self.there_s[chosen], self.back_s[chosen], self.steady_s[chosen],
        )  # fmt: skip


class Tables:
    """The legal intervals of one problem; what does not depend on the server is computed once for all of them."""

    def __init__(self, problem: Problem, spans: Spans) -> None:
        self.problem, self.spans = problem, spans
        # Prefix sums, with a 0 in front: the seconds of layers a..b are the difference of entries b + 1 and a.
        at_client = _summed(problem.seconds[:, 0])
        self._before, after = at_client[spans.first], at_client[-1] - at_client[spans.last + 1]
        self._sent = sent = _tokens(problem, spans)
        # Seconds at full speed, as everywhere where energy and money are counted, not `before_s` and `after_s`.
        self._client = self._before + after
        self._before_s, self._after_s = self._before * problem.slowdown[0], after * problem.slowdown[0]
        makers = [problem.graph.tensors[tensor].producer for tensor in problem.graph.outputs]
        # The client's last layers matter when an answer comes from them; otherwise nobody waits for them.
        ends_home = max(makers) > spans.last
        self._waited_any = sent.waited_any & ends_home
        # The client runs its two pieces one after the other whether or not the server is ready; an answer made by its
        # first piece is there when that ends. This part of the latency no load on the server can lengthen.
        first_answers = np.where(min(makers) < spans.first, self._before_s, 0.0)
        self._floor = np.where(ends_home, self._before_s + self._after_s, first_answers)
        # Where nobody reads what the first piece makes, or the last piece reads nothing, pieces overlap.
        self._one_by_one = ((spans.first == 0) | sent.up_any) & (self._waited_any | ~ends_home)
        self._there_bytes = sent.opened + sent.up

    def on(self, server: int) -> ServerIntervals:
        """The legal intervals on a server, one of each that move the same layers; perhaps more where all is allowed."""
        problem, spans = self.problem, self.spans
        room = problem.memory_bytes[server]
        allowed = problem.allowed[:, server]
        if allowed.all():
            whole = self._sums(server, None)
            return whole if room == np.inf else whole.kept(np.flatnonzero(spans.held <= room))
        ends = allowed[spans.first] & allowed[spans.last]
        excursions = _Excursions(problem, server, self._one_by_one)
        plain = excursions.plain(spans, ends)
        summed = self._sums(server, excursions)
        summed = summed.kept(np.flatnonzero(plain & (summed.held <= room)))
        # Ends that must stay at home are no part of what moves: such an interval is a shorter one, if that is there.
        others = ~plain & (ends | ~_known_when_trimmed(spans, allowed))
        if not others.any():
            return summed
        return _merged(summed, _broken(problem, spans, server, np.flatnonzero(others)))

    def _sums(self, server: int, excursions: _Excursions | None) -> ServerIntervals:
        """The intervals as if each was whole, with plain excursions: the client, the server, the client, in turn."""
        problem, spans, sent = self.problem, self.spans, self._sent
        there_s, back_s = problem.latency_s[0, server], problem.latency_s[server, 0]
        up_bytes_s, down_bytes_s = problem.bandwidth_bytes_s[0, server], problem.bandwidth_bytes_s[server, 0]
        at_server = _summed(problem.seconds[:, server])
        work = at_server[spans.last + 1] - at_server[spans.first]
        client, held, there_bytes, down = self._client, spans.held, self._there_bytes, sent.down
        opened_s, up_s = sent.opened / up_bytes_s, sent.up / up_bytes_s
        # Messages of a pair queue: inputs leave when the query begins, what the first layers make when these have
        # ended, and not before the inputs are through. The delay passes while others are in transmission, so it
        # counts once.
        begun = np.where(sent.opened_any, there_s + opened_s, 0.0)
        begun = np.where(sent.up_any, there_s + np.maximum(self._before_s, opened_s) + up_s, begun)
        sent_s, down_s = opened_s + up_s, down / down_bytes_s
        if excursions is not None:
            begun = begun + excursions.between(excursions.took_s, spans)
            work = work - excursions.between(excursions.there, spans)
            client = client + excursions.between(excursions.here, spans)
            held = held - excursions.between(excursions.held, spans)
            there_bytes = there_bytes + excursions.between(excursions.up, spans)
            down = down + excursions.between(excursions.down, spans)
            sent_s, down_s = there_bytes / up_bytes_s, down / down_bytes_s
        # Without the server's own time: that is `work`, and the only part which `slowdown` lengthens.
        waited = begun + back_s + sent.waited / down_bytes_s + self._after_s
        through = np.where(self._waited_any, waited, -np.inf)
        answer = np.where(sent.answered_any, begun + back_s + sent.answered / down_bytes_s, -np.inf)
        power = problem.power
        there, back = problem.price_per_byte[0, server], problem.price_per_byte[server, 0]
        carried = there * there_bytes + back * down
        return ServerIntervals(
            server, spans.first, spans.last, held, self._floor, np.maximum(through, answer), work,
            power.compute_w * client + power.radio_w * (sent_s + down_s) + problem.busy_w[server] * work,
            carried + problem.price_per_s[0] * client + problem.price_per_s[server] * work,
            sent_s, down_s,
            np.maximum(client * problem.occupancy[0], two_way_s(problem, server, there_bytes, down)),
        )  # fmt: skip


class _Excursions:
    """Runs of layers that must stay at home, between two that may go to a server.

    A run is plain where a single tensor leads there, made by the layer before, and a single one back, made by its last
    layer, so that server and client wait for each other; where nothing was answered before, and where its parameters
    are its own. Its quantities stand at its first layer, so that those of all runs in an interval are a difference of
    prefix sums.
    """

    def __init__(self, problem: Problem, server: int, one_by_one: Bools) -> None:
        graph, count = problem.graph, len(problem.graph)
        self._one_by_one = one_by_one
        took_s, there, here, held, up, down, plain, mixed = (np.zeros(count) for _ in range(8))
        read_until = np.zeros(count, dtype=np.int64)
        crossing, header = crossings(graph), problem.header_bytes
        back_s, there_s = problem.latency_s[server, 0], problem.latency_s[0, server]
        for first, last in _runs(~problem.allowed[:, server]):
            if not _is_plain(problem, first, last):
                mixed[first] = 1.0
                continue
            plain[first] = 1.0
            sent, returned = graph.tensors[crossing[first][0]], graph.tensors[crossing[last + 1][0]]
            here[first], there[first] = np.cumsum(problem.seconds[first : last + 1], axis=0)[-1, [CLIENT, server]]
            down[first], up[first] = sent.bytes + header, returned.bytes + header
            took_s[first] = (
                back_s + down[first] / problem.bandwidth_bytes_s[server, 0] + here[first] * problem.slowdown[0]
                + there_s + up[first] / problem.bandwidth_bytes_s[0, server]
            )  # fmt: skip
            own = {parameter for layer in graph.layers[first : last + 1] for parameter in layer.parameters}
            held[first] = left_sum(float(graph.parameters[parameter].held_bytes) for parameter in sorted(own))
            read_until[first] = returned.consumers[-1]
        self.took_s, self.there, self.here, self.held, self.up, self.down, self._plain, self._mixed = (
            _summed(each) for each in (took_s, there, here, held, up, down, plain, mixed)
        )
        self._read_until: Ints = np.maximum.accumulate(read_until)

    def between(self, summed: Floats, spans: Spans) -> Floats:
        """The sum over the runs in each interval."""
        made: Floats = summed[spans.last + 1] - summed[spans.first]
        return made

    def plain(self, spans: Spans, ends: Bools) -> Bools:
        """Which intervals with allowed `ends` are whole, or have plain runs only in which nothing goes past."""
        none = self.between(self._plain, spans) == 0.0
        # What a run returns must be read on the server alone: the client has it.
        alone = (self._read_until[spans.last] <= spans.last) & self._one_by_one
        made: Bools = ends & (self.between(self._mixed, spans) == 0.0) & (none | alone)
        return made


def _runs(forbidden: Bools) -> list[tuple[int, int]]:
    """First and last of the runs of forbidden layers that have allowed ones on both sides."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], forbidden, [False]]).astype(np.int8)))
    runs = [(first, end - 1) for first, end in edges.reshape(-1, 2).tolist()]
    return [(first, last) for first, last in runs if first > 0 and last < len(forbidden) - 1]


def _is_plain(problem: Problem, first: int, last: int) -> bool:
    """See `_Excursions`."""
    graph = problem.graph
    there, back = crossings(graph)[first], crossings(graph)[last + 1]
    if len(there) != 1 or len(back) != 1:
        return False
    if graph.tensors[there[0]].producer != first - 1 or graph.tensors[back[0]].producer != last:
        return False
    if min(graph.tensors[tensor].producer for tensor in graph.outputs) <= last:
        return False
    own = {parameter for layer in graph.layers[first : last + 1] for parameter in layer.parameters}
    rest = (*graph.layers[:first], *graph.layers[last + 1 :])
    return not any(parameter in own for layer in rest for parameter in layer.parameters)


def _known_when_trimmed(spans: Spans, allowed: Bools) -> Bools:
    """Whether each interval without the layers at its ends that are not allowed is another one, or nothing."""
    start, end = _trimmed(spans.first, spans.last, allowed)
    begins, ends = np.zeros((2, len(allowed) + 1), dtype=np.bool_)
    begins[spans.first], ends[spans.last] = True, True
    made: Bools = (start > end) | (begins[start] & ends[end])
    return made


def _trimmed(first: Ints, last: Ints, allowed: Bools) -> tuple[Ints, Ints]:
    """The first and last allowed layer of each interval; the first is behind the last where there are none."""
    layers = np.arange(len(allowed))
    after = np.minimum.accumulate(np.where(allowed, layers, len(layers))[::-1])[::-1]
    before = np.maximum.accumulate(np.where(allowed, layers, -1))
    return after[first], before[last]


def _summed(values: Floats) -> Floats:
    """Prefix sums, with a 0 in front."""
    made: Floats = np.concatenate([[0.0], np.cumsum(values)])
    return made


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
    start, end = _trimmed(spans.first[chosen], spans.last[chosen], allowed)
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
