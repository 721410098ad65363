"""What one query costs under a placement: the same physics as the emulation, for a user who is alone.

Every function takes a problem and a placement of shape (layers,): node indices, 0 = the client. A placement is
not checked against `allowed` or memory: see `fits`. `layerlift.planners.cost.batch` computes the same for many
placements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from layerlift.models.graph.graph import LayerGraph, Segment
from layerlift.models.graph.per_graph import makers, per_graph
from layerlift.models.graph.route import CLIENT, Route, Send, compile_route
from layerlift.models.sums import left_sum
from layerlift.planners.cost.holdings import held_in, held_on
from layerlift.planners.cost.period import busiest_s
from layerlift.planners.cost.slow_start import Connections
from layerlift.planners.problem.problem import Problem

LONG = 32
"""Layers from which on arrays add faster than a loop; both add from left to right."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One query, alone, from its start to its answer."""

    latency_s: float
    client_energy_j: float
    """Idle power over the whole latency, plus the increments for computing and for the radio."""
    energy_j: float
    """The client's energy plus what the servers draw while they are busy with this query."""
    money: float
    balance: float
    """Coefficient of variation of the servers' utilisation; 0 is even."""
    busy_s: tuple[float, ...]
    """Seconds of each node's processor at its full speed, shape (N,)."""
    radio_s: float
    """Seconds of the client's radio: the transmission times to and from it, summed."""
    link_bytes: int
    """Bytes that crossed any link, headers included."""
    period_s: float
    """Seconds for which the busiest CPU, link or port is busy with it: what a back-to-back stream can sustain."""


class _QueryWalk:
    """A query on its way through its route."""

    def __init__(self, problem: Problem, connections: Connections | None = None, begun_s: float = 0.0) -> None:
        """`connections` are those on which it goes from `begun_s` on; None: all of them are in use."""
        self.problem = problem
        self.connections = connections
        self.begun_s = begun_s
        self.ended_s = 0.0
        self.radio_s = 0.0
        self.carried_money = 0.0
        self.link_bytes = 0
        self.busy_s = [0.0] * len(problem.nodes)
        self.node_free_s = [0.0] * len(problem.nodes)
        self.link_free_s: dict[tuple[int, int], float] = {}
        self.carried_bytes: dict[tuple[int, int], int] = {}
        self.arrived_s: dict[tuple[int, int], float] = {}

    def run(self, route: Route) -> None:
        """Walk every step; `ended_s` is then the time of the answer, which may come before the last step ends."""
        problem, tables = self.problem, self.problem.tables
        made_by = makers(problem.graph)
        self._send(CLIENT, 0.0, route.opening)
        for step in route.steps:
            segment = step.segment
            node = segment.node
            begun = self.node_free_s[node]
            for tensor in step.waits:
                begun = max(begun, self.arrived_s[tensor, node])
            work = _work_s(problem, segment)
            end = begun + work * tables.slowdown[node]
            self.busy_s[node] += work
            self.node_free_s[node] = end
            if node == CLIENT and any(segment.first <= maker <= segment.last for maker in made_by):
                self.ended_s = max(self.ended_s, end)
            self._send(node, end, step.sends)
        for tensor in route.answers:
            self.ended_s = max(self.ended_s, self.arrived_s[tensor, CLIENT])

    def _send(self, source: int, emitted_s: float, sends: Iterable[Send]) -> None:
        problem = self.problem
        latency, bandwidth = problem.tables.latency_s[source], problem.tables.bandwidth_bytes_s[source]
        for send in sends:
            size = send.bytes + problem.header_bytes
            duration = size / bandwidth[send.to]
            link = (source, send.to)
            end = max(emitted_s + latency[send.to], self.link_free_s.get(link, 0.0)) + duration
            if self.connections is not None:
                end = self._slowly(self.connections, link, emitted_s, end, size)
            self.link_free_s[link] = end
            self.arrived_s[send.tensor, send.to] = end
            self.link_bytes += size
            self.carried_bytes[link] = self.carried_bytes.get(link, 0) + size
            self.carried_money += size * problem.tables.price_per_byte[source][send.to]
            if CLIENT in link:
                self.radio_s += duration

    def _slowly(
        self, connections: Connections, link: tuple[int, int], emitted_s: float, end_s: float, size: int
    ) -> float:
        """When a tensor arrives that otherwise would at `end_s`, on a connection that may be slow at first."""
        problem, (source, to) = self.problem, link
        if problem.transport is None or not problem.transport.slow_start[source, to] or not size:
            return end_s
        company_s = 0.0 if problem.company_s is None else float(problem.company_s[to])
        latency_s = problem.tables.latency_s[source][to] - company_s
        least_s = connections.least_end_s(link, self.begun_s + emitted_s, latency_s, size) - self.begun_s
        end_s = max(end_s, least_s + company_s)
        connections.ended(link, self.begun_s + end_s - company_s)
        return end_s


def _work_s(problem: Problem, segment: Segment) -> float:
    """Seconds of a segment at full speed, added from left to right."""
    if segment.last - segment.first < LONG:
        return left_sum(problem.tables.seconds_on(segment.node)[segment.first : segment.last + 1])
    return float(np.add.accumulate(problem.seconds[segment.first : segment.last + 1, segment.node])[-1])


def _route(problem: Problem, placement: Sequence[int]) -> Route:
    graph = problem.graph
    if len(placement) == len(graph) and not any(placement):
        return _at_home(graph)
    return compile_route(graph, placement, problem.query)


@per_graph
def _at_home(graph: LayerGraph) -> Route:
    """The route of a query that stays on the client, in whatever mode."""
    return compile_route(graph, (CLIENT,) * len(graph))


def _walk(problem: Problem, route: Route) -> _QueryWalk:
    walked = _QueryWalk(problem)
    walked.run(route)
    return walked


def latency(problem: Problem, placement: Sequence[int]) -> float:
    """Seconds from a query's start to its answer at the client (semantics: "A query"), on connections in use."""
    return _walk(problem, _route(problem, placement)).ended_s


def latency_on(problem: Problem, placement: Sequence[int], connections: Connections, begun_s: float) -> float:
    """The same of a query that begins at `begun_s`, after others on the same connections, which it takes note of.

    Where a link is slow at first (`Problem.transport`) a connection that has been idle makes it longer than `latency`.
    """
    walked = _QueryWalk(problem, connections, begun_s)
    walked.run(_route(problem, placement))
    return walked.ended_s


def evaluate(problem: Problem, placement: Sequence[int]) -> Cost:
    """Every cost of one query at once."""
    route = _route(problem, placement)
    walked = _walk(problem, route)
    busy, end, power = walked.busy_s, walked.ended_s, problem.power
    client = power.idle_w * end + power.compute_w * busy[CLIENT] + power.radio_w * walked.radio_s
    tables = problem.tables
    servers = left_sum(tables.busy_w[node] * busy[node] for node in problem.servers)
    spent = walked.carried_money + left_sum(price * busy[node] for node, price in enumerate(tables.price_per_s))
    if problem.price_per_byte_s.any():
        held = held_in(problem.graph, [step.segment for step in route.steps], len(problem.nodes))
        spent += left_sum(float(problem.price_per_byte_s[node]) * held[node] for node in problem.servers) * end
    return Cost(
        latency_s=end,
        client_energy_j=client,
        energy_j=client + servers,
        money=spent,
        balance=_variation(problem, busy, end),
        busy_s=tuple(busy),
        radio_s=walked.radio_s,
        link_bytes=walked.link_bytes,
        period_s=busiest_s(problem, busy, walked.carried_bytes),
    )


def energy(problem: Problem, placement: Sequence[int]) -> float:
    """Joules of one query: the client's, plus the servers' while busy with it."""
    return evaluate(problem, placement).energy_j


def money(problem: Problem, placement: Sequence[int]) -> float:
    """Money of one query: busy seconds, bytes carried, and memory held while it lasts."""
    return evaluate(problem, placement).money


def balance(problem: Problem, placement: Sequence[int]) -> float:
    """Coefficient of variation of the servers' utilisation when queries follow each other; 0 without servers."""
    return evaluate(problem, placement).balance


def period(problem: Problem, placement: Sequence[int]) -> float:
    """Seconds for which the busiest CPU, link or port is busy with one query (semantics: "Period")."""
    walked = _walk(problem, _route(problem, placement))
    return busiest_s(problem, walked.busy_s, walked.carried_bytes)


def held_bytes(problem: Problem, placement: Sequence[int]) -> list[int]:
    """Bytes of parameters that each node holds, shape (N,); what layers of one node share counts once."""
    return held_on(problem.graph, placement, len(problem.nodes))


def fits(problem: Problem, placement: Sequence[int]) -> bool:
    """Whether `placement` obeys `allowed` and the servers' memory."""
    if not problem.tables.limited:
        return True
    if not problem.allowed[np.arange(len(placement)), placement].all():
        return False
    room = problem.tables.memory_bytes
    held = held_bytes(problem, placement)
    return all(held[node] <= room[node] for node in problem.servers)


def _variation(problem: Problem, busy_s: Sequence[float], latency_s: float) -> float:
    """Standard deviation over mean of the servers' utilisation; the reported load counts as running all the time."""
    if not len(problem.servers):
        return 0.0
    running = [busy_s[node] / latency_s if latency_s > 0 else 0.0 for node in problem.servers]
    load, cores = problem.tables.load, problem.tables.cores
    used = [(own + load[node]) / cores[node] for own, node in zip(running, problem.servers, strict=True)]
    mean = left_sum(used) / len(used)
    return sqrt(left_sum((u - mean) ** 2 for u in used) / len(used)) / mean if mean > 0 else 0.0
