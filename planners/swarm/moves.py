"""What the swarm planners do to placements, many rows at once: mutate a layer or a run of layers, cross segments.

A row is a genome: the placements of all users, one after another, one gene per layer. Every move keeps genes within
their allowed nodes; memory is not looked at (see `layerlift.planners.swarm.search.Space.repair`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from layerlift.planners.cost.batch import Placements
from layerlift.planners.problem.problem import Bools, Ints

Moves = Literal["runs", "points"]

POINT_SHARE, SWAP_SHARE = 0.2, 0.2
"""Shares of point mutations and of swaps where `runs` is chosen; the others are runs."""

PAIR_SHARE = 0.3
"""How often `runs` mutates twice at once: what one change costs (a deadline missed) another may save."""

NEIGHBOUR_SHARE = 0.5
"""How often a run takes the node before or after it, which moves or removes a border, instead of any node."""


class Genome:
    """Where genes may be: `allowed` has shape (G, N), `firsts` says where each user's genes begin."""

    def __init__(self, allowed: Bools, firsts: Sequence[int]) -> None:
        self.allowed = allowed
        self.count = len(allowed)
        self.firsts = np.array(firsts, dtype=np.int64)
        self.ends = np.append(self.firsts[1:], self.count)
        self.widest = int((self.ends - self.firsts).max())
        self.widths = allowed.sum(axis=1)
        self._nodes = np.argsort(~allowed, axis=1, kind="stable")
        self._rank = np.argsort(self._nodes, axis=1, kind="stable")

    def draw(self, genes: Ints, rng: np.random.Generator) -> Ints:
        """A random allowed node for each of `genes`."""
        made: Ints = self._nodes[genes, rng.integers(0, self.widths[genes])]
        return made

    def scattered(self, rows: int, rng: np.random.Generator) -> Placements:
        """Rows in which every gene is drawn by itself, shape (rows, G): Lin's start."""
        genes = np.broadcast_to(np.arange(self.count), (rows, self.count))
        return self.draw(genes, rng)

    def in_runs(self, rows: int, rng: np.random.Generator, runs: int = 3) -> Placements:
        """Rows that begin on the client and have up to `runs` random runs, shape (rows, G)."""
        made = np.zeros((rows, self.count), dtype=np.int64)
        for number in range(runs):
            chosen = np.flatnonzero(rng.random(rows) < 1.0 / (1.0 + number))
            for user in range(len(self.firsts)):
                users = np.full(len(chosen), user, dtype=np.int64)
                ends = np.sort(rng.integers(self.firsts[user], self.ends[user], size=(len(chosen), 2)), axis=1)
                self._paint(made, chosen, ends[:, 0], ends[:, 1], self._any_node(users, rng))
        return made

    def mutate(self, rows: Placements, chosen: Ints, moves: Moves, rng: np.random.Generator) -> None:
        """Mutate the `chosen` rows in place, each once.

        `points` gives one layer another node. `runs` does that sometimes, sometimes moves all that a user has on one
        node to another (a swap), and mostly gives a run of layers one node.
        """
        if moves == "points":
            self._points(rows, chosen, rng)
            return
        again = chosen[rng.random(len(chosen)) < PAIR_SHARE]
        for group in (chosen, again):
            self._mixed(rows, group, rng)

    def _mixed(self, rows: Placements, chosen: Ints, rng: np.random.Generator) -> None:
        kind = rng.random(len(chosen))
        self._points(rows, chosen[kind < POINT_SHARE], rng)
        self._swaps(rows, chosen[(kind >= POINT_SHARE) & (kind < POINT_SHARE + SWAP_SHARE)], rng)
        self._runs(rows, chosen[kind >= POINT_SHARE + SWAP_SHARE], rng)

    def cross(self, rows: Placements, chosen: Ints, donors: Placements, rng: np.random.Generator) -> None:
        """Copy a random segment of `donors` (shape (len(chosen), G) or (G,)) into each of the `chosen` rows."""
        ends = np.sort(rng.integers(0, self.count, size=(len(chosen), 2)), axis=1)
        genes = np.arange(self.count)
        inside = (genes >= ends[:, :1]) & (genes <= ends[:, 1:])
        rows[chosen] = np.where(inside, donors, rows[chosen])

    def _points(self, rows: Placements, chosen: Ints, rng: np.random.Generator) -> None:
        """Another allowed node for one gene of each row."""
        genes = rng.integers(0, self.count, size=len(chosen))
        others = rng.integers(0, np.maximum(self.widths[genes] - 1, 1))
        here = self._rank[genes, rows[chosen, genes]]
        others += (others >= here) & (self.widths[genes] > 1)
        rows[chosen, genes] = self._nodes[genes, others]

    def _runs(self, rows: Placements, chosen: Ints, rng: np.random.Generator) -> None:
        """One node for a run of one user's genes; lengths are spread evenly over their orders of magnitude."""
        count = len(chosen)
        users = rng.integers(0, len(self.firsts), size=count)
        first, end = self.firsts[users], self.ends[users]
        most = np.minimum(2 ** rng.integers(0, self.widest.bit_length() + 1, size=count), end - first)
        length = rng.integers(1, most + 1)
        start = rng.integers(first - length + 1, end)
        last = np.minimum(start + length, end) - 1
        start = np.maximum(start, first)
        beside = np.where(rng.random(count) < 0.5, start - 1, last + 1)
        reachable = (beside >= first) & (beside < end) & (rng.random(count) < NEIGHBOUR_SHARE)
        nodes = self._any_node(users, rng)
        nodes[reachable] = rows[chosen[reachable], beside[reachable]]
        self._paint(rows, chosen, start, last, nodes)

    def _swaps(self, rows: Placements, chosen: Ints, rng: np.random.Generator) -> None:
        """All genes that a user has on the node of one gene, to another node."""
        users = rng.integers(0, len(self.firsts), size=len(chosen))
        first, end = self.firsts[users], self.ends[users]
        here = rows[chosen, rng.integers(first, end)]
        nodes = self._any_node(users, rng)
        genes = np.arange(self.count)
        inside = (genes >= first[:, None]) & (genes < end[:, None]) & (rows[chosen] == here[:, None])
        rows[chosen] = np.where(inside & self.allowed[:, nodes].T, nodes[:, None], rows[chosen])

    def _any_node(self, users: Ints, rng: np.random.Generator) -> Ints:
        """A node that some gene of each user may be on, as likely as its genes allow it."""
        return self.draw(rng.integers(self.firsts[users], self.ends[users]), rng)

    def _paint(self, rows: Placements, chosen: Ints, start: Ints, last: Ints, nodes: Ints) -> None:
        genes = np.arange(self.count)
        inside = (genes >= start[:, None]) & (genes <= last[:, None]) & self.allowed[:, nodes].T
        rows[chosen] = np.where(inside, nodes[:, None], rows[chosen])
