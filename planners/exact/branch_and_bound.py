"""Branch and bound over placements, layer by layer, with the true cost at the leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.judge import Rank
from layerlift.planners.cost.period import busiest_s
from layerlift.planners.exact.effort import Effort
from layerlift.planners.exact.linear import Linear, Paths
from layerlift.planners.exact.prefix_walk import PrefixWalk
from layerlift.planners.problem.problem import Bools, Problem

SLACK = 1e-12
"""Relative gain below which a placement is not worth looking for: the rounding of sums in another order."""

INF = float("inf")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best placement known, its key, and a proven lower bound on the value of any better one."""

    placement: tuple[int, ...]
    key: Rank
    bound: float
    complete: bool
    """Whether all was looked at: nothing better exists."""


class _PathLists:
    """One linear objective and its path bounds, as lists."""

    def __init__(self, linear: Linear) -> None:
        paths = Paths(linear)
        self.rate = linear.rate
        self.base = linear.base
        self.above: list[list[float]] = (linear.extra - linear.least_extra[:, None]).tolist()
        self.tail: list[list[float]] = paths.tail.tolist()
        self.dead = [bool(row.all()) for row in np.isneginf(paths.after)]
        self.linear = linear
        self._hops: dict[int, tuple[list[list[float]], list[list[float]]]] = {}

    def hop(self, size: int) -> tuple[list[list[float]], list[list[float]]]:
        """`Linear.hops` as lists."""
        if size not in self._hops:
            seconds, extra = self.linear.hops(size)
            self._hops[size] = seconds.tolist(), extra.tolist()
        return self._hops[size]


class Search:
    """Depth-first search in the graph's order for a placement that beats a given one.

    Every partial placement is bounded by walking its query (more layers only delay it, whatever their place) and
    by the best paths from there to the answer (`Paths`); a term that is not linear counts as nothing until the
    last layer is placed, but for the period, which what is placed already bounds. `key` judges complete placements.
    `bounds` are what it compares, in the order value,
    then latency and money where the problem has a deadline and a budget.
    """

    def __init__(self, problem: Problem, bounds: Sequence[Linear], key: Callable[[tuple[int, ...]], Rank]) -> None:
        self.problem = problem
        self.bounds = bounds
        self.key = key
        graph = problem.graph
        self.count, self.nodes = len(graph), len(problem.nodes)
        self.tensors = graph.tensors
        self.reads = [list(layer.inputs) for layer in graph.layers]
        self.makes = [sorted(layer.outputs) for layer in graph.layers]
        self.frontier = [self._readers(depth) for depth in range(self.count + 1)]
        self.limited = bool(np.isfinite(problem.memory_bytes[1:]).any())
        self.views = [_PathLists(linear) for linear in bounds]
        self.period = bounds[0].terms.period

    def run(
        self, start: tuple[int, ...] | None, alive: Bools, effort: Effort, cutoff: Rank | None = None
    ) -> SearchResult:
        """Improve on `start` within `alive` (shape (L, N)) as long as `effort` allows.

        With a `cutoff` only placements below that key are looked for; the bound is then no more than its value.
        Where there is no start and nothing is found, the placement is empty and its key infinite.
        """
        self.best: tuple[int, ...] = start or ()
        self.best_key: Rank = (INF, INF) if start is None else self.key(start)
        self.limit = self.best_key if cutoff is None else min(cutoff, self.best_key)
        self.effort, self.left, self.open_bound = effort, effort.steps, INF
        self.choices = [[int(node) for node in np.flatnonzero(row)] for row in alive]
        self.placement = [0] * self.count
        self.held: list[dict[int, int]] = [{} for _ in range(self.nodes)]
        self.held_bytes = [0] * self.nodes
        self._descend(0)
        effort.steps_done += effort.steps - self.left
        return SearchResult(self.best, self.best_key, min(self.limit[1], self.open_bound), self.open_bound == INF)

    def _readers(self, depth: int) -> list[tuple[int, list[int]]]:
        """Layers from `depth` on that read what is made before it, with what they read of that."""
        found = []
        for layer in range(depth, self.count):
            known = [t for t in self.reads[layer] if self.tensors[t].producer < depth]
            if known:
                found.append((layer, known))
        return found

    def _descend(self, depth: int) -> None:
        if depth == self.count:
            self._leaf()
            return
        children = []
        before = self.placement[depth - 1] if depth else CLIENT
        for node in self.choices[depth]:
            if self._hold(depth, node):
                self.placement[depth] = node
                children.append((*self._bound(depth + 1), node != before, node))
                self._release(depth, node)
        self.left -= len(children)
        children.sort()
        for violation, value, _, node in children:
            if self._beaten(violation, value):
                continue
            if self.left <= 0 or self.effort.late:
                self.open_bound = min(self.open_bound, value)
                continue
            self._hold(depth, node)
            self.placement[depth] = node
            self._descend(depth + 1)
            self._release(depth, node)

    def _leaf(self) -> None:
        placement = tuple(self.placement)
        key = self.key(placement)
        if key < self.limit:
            self.best, self.best_key, self.limit = placement, key, key

    def _beaten(self, violation: float, value: float) -> bool:
        most, least = self.limit
        if violation > most:
            return True
        return violation >= most - SLACK and value >= least - SLACK * abs(least)

    def _hold(self, layer: int, node: int) -> bool:
        """Put the layer's parameters on the node; False, and nothing done, where they do not fit."""
        if not self.limited:
            return True
        graph, held = self.problem.graph, self.held[node]
        own = set(graph.layers[layer].parameters)
        added = sum(graph.parameters[each].held_bytes for each in own if each not in held)
        if node != CLIENT and self.held_bytes[node] + added > self.problem.memory_bytes[node]:
            return False
        self.held_bytes[node] += added
        for each in own:
            held[each] = held.get(each, 0) + 1
        return True

    def _release(self, layer: int, node: int) -> None:
        if not self.limited:
            return
        graph, held = self.problem.graph, self.held[node]
        for each in set(graph.layers[layer].parameters):
            held[each] -= 1
            if not held[each]:
                del held[each]
                self.held_bytes[node] -= graph.parameters[each].held_bytes

    def _bound(self, depth: int) -> Rank:
        """A key that no completion of the first `depth` layers' placement can undercut."""
        prefix = PrefixWalk(self.problem, self.placement, depth)
        lows = [self._low(view, prefix, depth) for view in self.views]
        wanted, violation, rest = self.problem.objective, 0.0, lows[1:]
        if wanted.deadline_s is not None and rest:
            violation += max(0.0, rest.pop(0) * (1.0 - SLACK) / wanted.deadline_s - 1.0)
        if wanted.budget is not None and rest:
            violation += max(0.0, rest.pop(0) * (1.0 - SLACK) / wanted.budget - 1.0)
        return violation, lows[0] + (self.period * self._least_period(prefix, depth) if self.period else 0.0)

    def _least_period(self, prefix: PrefixWalk, depth: int) -> float:
        """What is busy already with the first `depth` layers: nothing that follows takes any of it away."""
        busy, carried = [0.0] * self.nodes, dict[tuple[int, int], int]()
        for layer in range(depth):
            node = self.placement[layer]
            busy[node] += self.problem.tables.seconds[node][layer]
        for tensor, source, to in prefix.sent:
            size = self.tensors[tensor].bytes + self.problem.header_bytes
            carried[source, to] = carried.get((source, to), 0) + size
        return busiest_s(self.problem, busy, carried)

    def _low(self, view: _PathLists, prefix: PrefixWalk, depth: int) -> float:
        placement, tensors = self.placement, self.tensors
        spent = view.base
        for layer in range(depth):
            spent += view.above[layer][placement[layer]]
        for tensor, source, to in prefix.sent:
            spent += view.hop(tensors[tensor].bytes)[1][source][to]
        latest = view.rate * prefix.answered_s
        for layer, known in self.frontier[depth]:
            if view.dead[layer]:
                continue
            least = INF
            for node in self.choices[layer]:
                ready = view.rate * prefix.free_s[node]
                for tensor in known:
                    ready = max(ready, self._ready(view, prefix, tensor, node))
                least = min(least, ready + view.tail[layer][node])
            latest = max(latest, least)
        return spent + latest

    def _ready(self, view: _PathLists, prefix: PrefixWalk, tensor: int, node: int) -> float:
        """The least cost until `tensor` is at `node`, the extra of a message not yet counted included."""
        known = prefix.arrived_s.get((tensor, node))
        if known is not None:
            return view.rate * known
        made = self.tensors[tensor]
        home = CLIENT if made.producer < 0 else self.placement[made.producer]
        emitted = prefix.emitted_s.get(tensor, 0.0)
        if home == node:
            return view.rate * emitted
        seconds, extra = view.hop(made.bytes)
        return view.rate * (emitted + seconds[home][node]) + extra[home][node]
