"""A query through the first layers of a placement: what is certain of it before the rest is placed."""

from __future__ import annotations

from collections.abc import Sequence

from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners.problem.problem import Problem

TOKEN = -1
"""Stands for a message without a tensor, which in serial mode says that a segment has ended."""


class PrefixWalk:
    """`layerlift.planners.cost.query` on the layers before `depth`, with the messages that they cause among themselves.

    Placing more layers can lengthen segments and add messages but never hastens anything, so every time in here is a
    lower bound for any completion, and exact when all layers are placed. The last segment ends as if nothing more
    joined it.
    """

    def __init__(self, problem: Problem, placement: Sequence[int], depth: int) -> None:
        self.problem = problem
        self.placement = placement
        self.depth = depth
        self.free_s = [0.0] * len(problem.nodes)
        self.emitted_s: dict[int, float] = {}
        self.arrived_s: dict[tuple[int, int], float] = {}
        self.sent: list[tuple[int, int, int]] = []
        """(tensor, from, to) of each message, tokens left out: a tensor sent later may stand for one."""
        self.answered_s = 0.0
        self._link_free_s: dict[tuple[int, int], float] = {}
        self._serial = problem.query == "serial"
        self._told: dict[int, float] = {}
        for tensor in sorted(problem.graph.inputs):
            self._emit(tensor, CLIENT, 0.0)
        if self._serial and placement[0] != CLIENT and placement[0] not in self._told:
            self._send(TOKEN, CLIENT, placement[0], 0.0)
        first = 0
        for layer in range(1, depth + 1):
            if layer == depth or placement[layer] != placement[first]:
                self._segment(first, layer)
                first = layer

    def _segment(self, first: int, end: int) -> None:
        problem, node = self.problem, self.placement[first]
        graph = problem.graph
        ready = self.free_s[node]
        if self._serial:
            ready = max(ready, self._signal(first, node))
        made: list[int] = []
        for layer in graph.layers[first:end]:
            for tensor in layer.inputs:
                ready = max(ready, self.arrived_s.get((tensor, node), 0.0))
            made.extend(layer.outputs)
        work = left_sum(problem.tables.seconds[node][first:end])
        emitted = ready + work * problem.tables.slowdown[node]
        self.free_s[node] = emitted
        self._told = {}
        for tensor in sorted(made):
            self._emit(tensor, node, emitted)

    def _signal(self, first: int, node: int) -> float:
        """When the segment that begins at `first` knows that the one before has ended: serial mode."""
        if not first:
            return self.arrived_s.get((TOKEN, node), 0.0)
        before = self.placement[first - 1]
        if node not in self._told:
            self._send(TOKEN, before, node, self.free_s[before])
        return self._told[node]

    def _emit(self, tensor: int, home: int, emitted: float) -> None:
        made, placement = self.problem.graph.tensors[tensor], self.placement
        self.emitted_s[tensor] = emitted
        readers = {placement[reader] for reader in made.consumers if reader < self.depth}
        if made.is_output:
            readers.add(CLIENT)
        for node in sorted(readers - {home}):
            self._send(tensor, home, node, emitted)
        if made.is_output:
            self.answered_s = max(self.answered_s, emitted if home == CLIENT else self.arrived_s[tensor, CLIENT])

    def _send(self, tensor: int, source: int, to: int, emitted: float) -> None:
        problem = self.problem
        size = problem.header_bytes + (problem.graph.tensors[tensor].bytes if tensor != TOKEN else 0)
        link = (source, to)
        arrived = max(emitted + problem.tables.latency_s[source][to], self._link_free_s.get(link, 0.0))
        arrived += size / problem.tables.bandwidth_bytes_s[source][to]
        self._link_free_s[link] = arrived
        self.arrived_s[tensor, to] = arrived
        if tensor != TOKEN:
            self.sent.append((tensor, source, to))
        self._told[to] = arrived
