"""Minimum cuts of small directed graphs, by Dinic's algorithm on whole or floating-point capacities."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

INFINITE = float("inf")


class FlowGraph:
    """Nodes are numbered as they are added; node 0 is the source, node 1 the sink.

    An augmentation subtracts the bottleneck from itself, which leaves exactly 0, so that rounding cannot keep an
    edge alive and the search ends as it does with integers. Whole capacities stay whole, however large.
    """

    SOURCE, SINK = 0, 1

    def __init__(self) -> None:
        self.edges: list[list[int]] = [[], []]
        self.head: list[int] = []
        self.left: list[float] = []

    def node(self) -> int:
        """Add a node and return its number."""
        self.edges.append([])
        return len(self.edges) - 1

    def edge(self, tail: int, head: int, capacity: float) -> None:
        """Add a directed edge; one without capacity is left out."""
        if capacity > 0 and tail != head:
            # The way back begins at a whole 0: with 0.0 every augmentation would round a large int to a float.
            for start, end, room in ((tail, head, capacity), (head, tail, 0)):
                self.edges[start].append(len(self.head))
                self.head.append(end)
                self.left.append(room)

    def source_side(self) -> set[int]:
        """The source's side of a minimum cut, the smallest such side; uses up the capacities.

        The cut must be finite: no path of infinite edges may join source and sink.
        """
        level = self._saturate()
        return {node for node, depth in enumerate(level) if depth >= 0}

    def largest_source_side(self) -> set[int]:
        """As `source_side`, but the largest: of equal cuts the one nearest to the sink."""
        self._saturate()
        # An edge and its way back are neighbours in number, so `edge ^ 1` leads towards the node it is listed at.
        distance = self._distances(self.SINK, lambda edge: self.left[edge ^ 1])
        return {node for node, steps in enumerate(distance) if steps < 0}

    def _saturate(self) -> list[int]:
        """Push the largest flow; returns the distances that are left from the source, -1 behind the cut."""
        while True:
            level = self._distances(self.SOURCE, self.left.__getitem__)
            if level[self.SINK] < 0:
                return level
            self._block(level)

    def _distances(self, start: int, room: Callable[[int], float]) -> list[int]:
        """Steps from `start` over edges with `room`, -1 where none lead."""
        steps = [-1] * len(self.edges)
        steps[start] = 0
        queue = deque([start])
        while queue:
            node = queue.popleft()
            for edge in self.edges[node]:
                head = self.head[edge]
                if room(edge) > 0 and steps[head] < 0:
                    steps[head] = steps[node] + 1
                    queue.append(head)
        return steps

    def _block(self, level: list[int]) -> None:
        """Augment along shortest paths until none is left."""
        following = [0] * len(self.edges)
        path: list[int] = []
        node = self.SOURCE
        while True:
            if node == self.SINK:
                room = min(self.left[edge] for edge in path)
                for edge in path:
                    self.left[edge] -= room
                    self.left[edge ^ 1] += room
                path.clear()
                node = self.SOURCE
                continue
            while following[node] < len(self.edges[node]):
                edge = self.edges[node][following[node]]
                if self.left[edge] > 0 and level[self.head[edge]] == level[node] + 1:
                    path.append(edge)
                    node = self.head[edge]
                    break
                following[node] += 1
            else:
                if not path:
                    return
                edge = path.pop()
                node = self.head[edge ^ 1]
                following[node] += 1
