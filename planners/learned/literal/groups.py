"""A network cut into at most so many groups of units, and a few nodes: what networks of a fixed size can be told of it.

Publications have as many outputs as tasks, and one server or a few. Here a group is one decision for all its units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.planners.learned.priced import DEAR, Priced
from layerlift.planners.problem.problem import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Grouped:
    """The costs of G groups of P pieces on m nodes, the client first."""

    first: Ints
    """Of each group, its first piece; shape (G,)."""
    nodes: Ints
    """Which nodes of the priced problem these are, shape (m,); the client where there is none."""
    pieces: Floats
    """Of each group on each node, shape (G, m)."""
    steps: Floats
    """Of going from node to node in front of each group, shape (G, m, m)."""
    closed: Bools
    """Whether a group may not be on a node, shape (G, m); never on the client."""

    def spread(self, choices: Ints, pieces: int) -> Ints:
        """Choices of groups, shape (K, G), as nodes of the priced problem's pieces, shape (K, P)."""
        lengths = np.diff(np.append(self.first, pieces))
        chosen = np.where(self.closed[np.arange(len(self.first)), choices], CLIENT, choices)
        made: Ints = np.repeat(self.nodes[chosen], lengths, axis=1)
        return made


def grouped(costs: Priced, most: int, servers: list[int | None]) -> Grouped:
    """At most `most` groups that cost about the same on the client, on the client and some servers.

    A server that is `None` is not there: it is closed.
    """
    first = _firsts(costs, most)
    nodes = np.array([CLIENT, *(CLIENT if server is None else server for server in servers)])
    missing = np.array([False, *(server is None for server in servers)])
    closed = np.logical_or.reduceat(costs.forbidden, first, axis=0)[:, nodes] | missing
    pieces = np.minimum(np.add.reduceat(costs.pieces, first, axis=0), DEAR)[:, nodes]
    steps = costs.steps[first][:, nodes][:, :, nodes]
    return Grouped(first, nodes, np.where(closed, DEAR, pieces), steps, closed)


def _firsts(costs: Priced, most: int) -> Ints:
    """The first piece of each group."""
    count = len(costs.pieces)
    if count <= most:
        return np.arange(count)
    work = costs.pieces[:, CLIENT]
    if not work.any():
        work = np.ones(count)
    before = np.cumsum(work) - work
    number = np.floor(before / (before[-1] + work[-1]) * most)
    return np.flatnonzero(np.diff(number, prepend=-1.0))


def best_server(costs: Priced, among: list[int]) -> int | None:
    """The node of some with the cheapest single cut, the first of equals; `None` among none."""
    if not among:
        return None
    return among[int(costs.cuts.min(axis=0)[among].argmin())]


def legal(ways: Ints, costs: Priced, held: Floats, room: Floats) -> Ints:
    """Ways, shape (K, P), where every piece that may not be on its node, or has no room there, stays at the client."""
    made = np.where(costs.forbidden[np.arange(ways.shape[1]), ways], CLIENT, ways)
    if not np.isfinite(room[1:]).any():
        return made
    every = np.arange(len(made))
    used = np.zeros((len(made), len(room)))
    for number, size in enumerate(held.tolist()):
        at = made[:, number]
        at[used[every, at] + size > room[at]] = CLIENT
        used[every, at] += size
    return made
