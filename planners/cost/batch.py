"""The cost model over batches: what `layerlift.planners.cost.query` computes for one placement, for thousands at once.

A batch has shape (P, L): one placement a row. Layers are walked in order with vectors over the rows, so the
time grows with layers and tensors that cross, not with Python calls per placement.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerlift.planners.cost.period import busiest_links_s, periods
from layerlift.planners.problem.problem import Bools, Floats, Problem

Placements = NDArray[np.int64]

CHUNK_ROWS = 2048
"""Rows walked together: enough to drown numpy's call overhead, few enough to stay in the cache."""


@dataclass(frozen=True, slots=True)
class BatchCosts:
    """Columns of `layerlift.planners.cost.query.Cost`, each of shape (P,)."""

    latency_s: Floats
    energy_j: Floats
    money: Floats
    balance: Floats
    busy_s: Floats
    """Shape (P, N)."""
    carried_s: Floats
    """Seconds of transmission on each pair of nodes, from and to, shape (P, N * N); (P, 0) where nobody asked."""
    links_s: Floats
    """Seconds of the busiest link or port; 0 where the objective weighs no period and nobody asked for it."""
    period_s: Floats
    """See `layerlift.planners.cost.period`; 0 where it is not weighed, as `links_s`."""


def latencies(problem: Problem, placements: Placements, slowdown: Floats | None = None) -> Floats:
    """Latency of one query under each placement, in seconds; shapes (P, L) -> (P,)."""
    return evaluate(problem, placements, slowdown).latency_s


def energies(problem: Problem, placements: Placements) -> Floats:
    """Joules of one query under each placement; shapes (P, L) -> (P,)."""
    return evaluate(problem, placements).energy_j


def evaluate(
    problem: Problem,
    placements: Placements,
    slowdown: Floats | None = None,
    *,
    carried: bool = False,
    period: bool = False,
) -> BatchCosts:
    """Every cost of every placement; equal to `cost.evaluate` row by row.

    `slowdown` of shape (P, N) replaces `problem.slowdown`: how much others on the servers lengthen the pieces.
    `carried` asks for `BatchCosts.carried_s`, `period` for that where the objective does not; nobody else's pieces
    are in the period.
    """
    period = period or bool(problem.objective.period)
    rows = np.ascontiguousarray(placements, dtype=np.int64)
    parts = []
    for first in range(0, len(rows), CHUNK_ROWS):
        chosen = slice(first, first + CHUNK_ROWS)
        slow = None if slowdown is None else slowdown[chosen]
        parts.append(_BatchWalk(problem, rows[chosen], slow, carried, period).costs())
    if not parts:
        none, nodes = np.zeros(0), len(problem.nodes)
        return BatchCosts(none, none, none, none, np.zeros((0, nodes)), np.zeros((0, nodes * nodes)), none, none)
    return BatchCosts(
        latency_s=np.concatenate([part.latency_s for part in parts]),
        energy_j=np.concatenate([part.energy_j for part in parts]),
        money=np.concatenate([part.money for part in parts]),
        balance=np.concatenate([part.balance for part in parts]),
        busy_s=np.concatenate([part.busy_s for part in parts]),
        carried_s=np.concatenate([part.carried_s for part in parts]),
        links_s=np.concatenate([part.links_s for part in parts]),
        period_s=np.concatenate([part.period_s for part in parts]),
    )


def held_bytes(problem: Problem, placements: Placements) -> Floats:
    """Bytes of parameters on each node, shapes (P, L) -> (P, N); what layers of one node share counts once."""
    rows = np.asarray(placements, dtype=np.int64)
    count = len(problem.nodes)
    held = np.zeros(len(rows) * count)
    base = np.arange(len(rows)) * count
    users: dict[int, list[int]] = {}
    for layer in problem.graph.layers:
        for parameter in set(layer.parameters):
            users.setdefault(parameter, []).append(layer.index)
    own = [0.0] * len(problem.graph)
    for parameter, layers in users.items():
        size = float(problem.graph.parameters[parameter].held_bytes)
        own[layers[0]] += size
        if len(layers) == 1:
            continue
        there = np.zeros(len(rows) * count, dtype=np.bool_)
        there[base + rows[:, layers[0]]] = True
        for position in range(1, len(layers)):
            place = base + rows[:, layers[position]]
            held[place[~there[place]]] += size
            there[place] = True
    for layer_index, size in enumerate(own):
        if size:
            held[base + rows[:, layer_index]] += size
    return held.reshape(len(rows), count)


def fits(problem: Problem, placements: Placements) -> Bools:
    """Whether each placement obeys `allowed` and the servers' memory; shapes (P, L) -> (P,)."""
    rows = np.asarray(placements, dtype=np.int64)
    legal: Bools = np.logical_and.reduce(problem.allowed[np.arange(len(problem.graph)), rows], axis=1)
    if np.isfinite(problem.memory_bytes[1:]).any():
        within: Bools = np.logical_and.reduce(held_bytes(problem, rows)[:, 1:] <= problem.memory_bytes[1:], axis=1)
        legal &= within
    return legal


class _BatchWalk:
    """All rows' queries, walked layer by layer.

    A segment begins where a row changes node and emits where it changes again, so per row there is one open
    segment: `ready_s`, the latest of its waits and of its node's own past, and `work_s`, its layers so far.
    """

    def __init__(
        self, problem: Problem, rows: Placements, slowdown: Floats | None, carried: bool, period: bool
    ) -> None:
        self.problem = problem
        self.rows = rows
        count, nodes = len(rows), len(problem.nodes)
        self.nodes = nodes
        self.columns = np.ascontiguousarray(rows.T)
        self.index = np.arange(count)
        self.slowdown = slowdown
        self.node_free_s = np.zeros(count * nodes)
        self.link_free_s = np.zeros(count * nodes * nodes)
        self.busy_s = np.zeros(count * nodes)
        self.arrived_s: dict[int, Floats] = {}
        self.ready_s = np.zeros(count)
        self.work_s = np.zeros(count)
        self.first = np.zeros(count, dtype=np.int64)
        self.ended_s = np.zeros(count)
        self.radio_s = np.zeros(count)
        self.carried_money = np.zeros(count)
        self.latency_s = problem.latency_s.ravel()
        self.bandwidth_bytes_s = problem.bandwidth_bytes_s.ravel()
        self.price = problem.price_per_byte.ravel() if problem.price_per_byte.any() else None
        self.serial = problem.query == "serial"
        self.carried_s = np.zeros(count * nodes * nodes if carried else 0)
        self.carried_bytes = np.zeros(count * nodes * nodes if period else 0)
        self.told = np.zeros(count * nodes, dtype=np.bool_)

    def costs(self) -> BatchCosts:
        """Walk the rows and price them."""
        self._walk()
        problem, end = self.problem, self.ended_s
        busy = self.busy_s.reshape(len(self.rows), self.nodes)
        power = problem.power
        joules = power.idle_w * end + power.compute_w * busy[:, 0] + power.radio_w * self.radio_s
        spent = self.carried_money.copy()
        for node in range(self.nodes):
            spent += problem.price_per_s[node] * busy[:, node]
            if node:
                joules = joules + problem.busy_w[node] * busy[:, node]
        if problem.price_per_byte_s.any():
            held = held_bytes(problem, self.rows)
            rate = np.zeros(len(held))
            for node in problem.servers:
                rate += problem.price_per_byte_s[node] * held[:, node]
            spent += rate * end
        count, none = len(self.rows), np.zeros(len(self.rows))
        weighed = len(self.carried_bytes) > 0
        links = busiest_links_s(problem, self.carried_bytes.reshape(count, -1)) if weighed else none
        return BatchCosts(
            end, joules, spent, self._variation(busy), busy, self.carried_s.reshape(count, -1),
            links, periods(problem, busy, links) if weighed else none,
        )  # fmt: skip

    def _walk(self) -> None:
        graph = self.problem.graph
        self._open()
        live: set[int] = set()
        for position, layer in enumerate(graph.layers):
            node = self.columns[position]
            if position:
                broken = np.flatnonzero(node != self.columns[position - 1])
                if len(broken):
                    self._close(broken, position, live)
                    self._begin(broken, position)
            here = self.index * self.nodes + node
            for tensor in layer.inputs:
                arrived = self.arrived_s.get(tensor)
                if arrived is not None:
                    np.maximum(self.ready_s, arrived[here], out=self.ready_s)
                    if graph.tensors[tensor].consumers[-1] == position:
                        del self.arrived_s[tensor]
            seconds = self.problem.seconds[position][node]
            self.work_s += seconds
            self.busy_s[here] += seconds
            live.difference_update(
                t for t in layer.inputs if not graph.tensors[t].is_output and graph.tensors[t].consumers[-1] == position
            )
            live.update(t for t in layer.outputs if graph.tensors[t].consumers or graph.tensors[t].is_output)
        self._close(self.index, len(graph), live)

    def _open(self) -> None:
        """The client sends the network's inputs to whoever reads them; in serial mode at least a token."""
        graph = self.problem.graph
        start = np.zeros(len(self.rows))
        home = np.zeros(len(self.rows), dtype=np.int64)
        for tensor in sorted(graph.inputs):
            for reader in graph.tensors[tensor].consumers:
                self._send(tensor, self.index, home, self.columns[reader], start)
        if self.serial:
            away = np.flatnonzero((self.columns[0] != 0) & ~self.told[self.index * self.nodes + self.columns[0]])
            if len(away):
                self._follow(away, home[away], self.columns[0][away], start[away])

    def _begin(self, rows: Placements, position: int) -> None:
        node = self.columns[position][rows]
        self.ready_s[rows] = self.node_free_s[rows * self.nodes + node]
        self.work_s[rows] = 0.0
        self.first[rows] = position
        if self.serial:
            home = self.columns[position - 1][rows]
            self._follow(rows, home, node, self.node_free_s[rows * self.nodes + home])

    def _follow(self, rows: Placements, home: Placements, node: Placements, end: Floats) -> None:
        """Let the new segments wait for the end of the ones before: for what was sent there, or else for a token."""
        silent = ~self.told[rows * self.nodes + node]
        self._carry(0, rows[silent], home[silent], node[silent], end[silent])
        arrived = self.link_free_s[(rows * self.nodes + home) * self.nodes + node]
        self.ready_s[rows] = np.maximum(self.ready_s[rows], arrived)

    def _close(self, rows: Placements, position: int, live: Set[int]) -> None:
        """End the segment before `position` in `rows`, and emit what the client or later layers elsewhere read."""
        home = self.columns[position - 1][rows]
        slow = self.problem.slowdown[home] if self.slowdown is None else self.slowdown[rows, home]
        end = self.ready_s[rows] + self.work_s[rows] * slow
        self.node_free_s[rows * self.nodes + home] = end
        if self.serial:
            self.told.reshape(-1, self.nodes)[rows] = False
        # Only what a segment that ends has made: where thousands of tensors are live, most are of segments long gone.
        begun = int(self.first[rows].min())
        if len(live) > position - begun:
            live = live & {t for layer in self.problem.graph.layers[begun:position] for t in layer.outputs}
        for number in sorted(live):
            tensor = self.problem.graph.tensors[number]
            own = np.flatnonzero(self.first[rows] <= tensor.producer)
            if not len(own):
                continue
            sent, source, emitted = rows[own], home[own], end[own]
            for reader in tensor.consumers:
                if reader >= position:
                    self._send(number, sent, source, self.columns[reader][sent], emitted)
            if tensor.is_output:
                self._answer(number, sent, source, emitted)

    def _answer(self, tensor: int, rows: Placements, source: Placements, emitted: Floats) -> None:
        client = np.zeros(len(rows), dtype=np.int64)
        self._send(tensor, rows, source, client, emitted)
        arrived = self.arrived_s.get(tensor)
        known = emitted if arrived is None else np.where(source == 0, emitted, arrived[rows * self.nodes])
        self.ended_s[rows] = np.maximum(self.ended_s[rows], known)

    def _send(self, tensor: int, rows: Placements, source: Placements, to: Placements, emitted: Floats) -> None:
        """Send `tensor` to nodes other than its own that have not had it: once per destination."""
        arrived = self.arrived_s.get(tensor)
        away = to != source
        if arrived is not None:
            away &= arrived[rows * self.nodes + to] < 0
        chosen = np.flatnonzero(away)
        if not len(chosen):
            return
        if arrived is None:
            arrived = self.arrived_s[tensor] = np.full(len(self.rows) * self.nodes, -1.0)
        rows, to = rows[chosen], to[chosen]
        size = self.problem.graph.tensors[tensor].bytes
        arrived[rows * self.nodes + to] = self._carry(size, rows, source[chosen], to, emitted[chosen])

    def _carry(self, size: int, rows: Placements, source: Placements, to: Placements, emitted: Floats) -> Floats:
        """Put `size` bytes and a header on each row's link, behind what that link already carries."""
        size += self.problem.header_bytes
        pair = source * self.nodes + to
        link = rows * (self.nodes * self.nodes) + pair
        duration = size / self.bandwidth_bytes_s[pair]
        end: Floats = np.maximum(emitted + self.latency_s[pair], self.link_free_s[link]) + duration
        self.link_free_s[link] = end
        self.radio_s[rows] += np.where((source == 0) | (to == 0), duration, 0.0)
        if len(self.carried_s):
            self.carried_s[link] += duration
        if len(self.carried_bytes):
            self.carried_bytes[link] += size
        if self.price is not None:
            self.carried_money[rows] += size * self.price[pair]
        if self.serial:
            self.told[rows * self.nodes + to] = True
        return end

    def _variation(self, busy: Floats) -> Floats:
        problem = self.problem
        if self.nodes < 2:
            return np.zeros(len(busy))
        over = self.ended_s[:, None]
        running = np.divide(busy[:, 1:], over, out=np.zeros_like(busy[:, 1:]), where=over > 0)
        used = (running + problem.load[1:]) / problem.cores[1:]
        mean = used.mean(axis=1)
        spread = np.sqrt(((used - mean[:, None]) ** 2).mean(axis=1))
        made: Floats = np.divide(spread, mean, out=np.zeros_like(mean), where=mean > 0)
        return made
