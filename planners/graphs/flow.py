"""Minimum cuts of small directed graphs, by Dinic's algorithm on floating-point capacities."""

from __future__ import annotations

from collections import deque

INFINITE = float("inf")


class FlowGraph:
    """Nodes are numbered as they are added; node 0 is the source, node 1 the sink.

    An augmentation subtracts the bottleneck from itself, which leaves exactly 0, so that rounding cannot keep an
    edge alive and the search ends as it does with integers.
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
        if capacity > 0.0 and tail != head:
            for start, end, room in ((tail, head, capacity), (head, tail, 0.0)):
                self.edges[start].append(len(self.head))
                self.head.append(end)
                self.left.append(room)

    def source_side(self) -> set[int]:
        """The source's side of a minimum cut, the smallest such side; uses up the capacities.

        The cut must be finite: no path of infinite edges may join source and sink.
        """
        while True:
            level = self._levels()
            if level[self.SINK] < 0:
                return {node for node, depth in enumerate(level) if depth >= 0}
            self._block(level)

    def _levels(self) -> list[int]:
        level = [-1] * len(self.edges)
        level[self.SOURCE] = 0
        queue = deque([self.SOURCE])
        while queue:
            node = queue.popleft()
            for edge in self.edges[node]:
                head = self.head[edge]
                if self.left[edge] > 0.0 and level[head] < 0:
                    level[head] = level[node] + 1
                    queue.append(head)
        return level

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
                if self.left[edge] > 0.0 and level[self.head[edge]] == level[node] + 1:
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
