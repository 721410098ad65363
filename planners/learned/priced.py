"""A problem as a policy looks at it: pieces of a network, a few nodes, every cost a share of staying local.

So weights, speeds, loads and prices are of one format, whatever the objective. Every number is made by + - * / alone,
in an order that is written down, so that it is the same on every processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.pieces import Sums
from layerlift.planners.problem.problem import Bools, Floats, Ints

MOST_NODES: Final = 32
"""Nodes that a policy chooses among: the client and the servers with the cheapest single cuts."""
DEAR: Final = 10_000.0
"""What is forbidden costs, in multiples of staying local; nothing costs more."""
TermWeights = tuple[float, float, float]
"""Of a second, a joule and a unit of money."""


@dataclass(frozen=True, slots=True)
class Priced:
    """The costs of P pieces on n nodes, as shares of what staying local costs; at most `DEAR`."""

    nodes: Ints
    """Which nodes of the problem these are, ascending, the client first; shape (n,)."""
    pieces: Floats
    """Of each piece on each node, shape (P, n)."""
    steps: Floats
    """Of going from node to node in front of each piece, shape (P, n, n); the first is come to from the client."""
    forbidden: Bools
    """Whether a piece may not be on a node, shape (P, n); never on the client."""

    def totals(self, ways: Ints) -> Floats:
        """What whole ways cost, shapes (K, P) -> (K,), added from the first piece on."""
        before = came_from(ways)
        each = np.arange(ways.shape[1])
        costs = self.steps[each, before, ways] + self.pieces[each, ways]
        total: Floats = np.cumsum(costs, axis=1)[:, -1]
        return total

    @property
    def cuts(self) -> Floats:
        """What single cuts cost: to a node in front of a piece, and there to the end; shape (P, n)."""
        before = np.cumsum(self.pieces[:, CLIENT]) - self.pieces[:, CLIENT]
        after: Floats = np.cumsum(self.pieces[::-1], axis=0)[::-1]
        return before[:, None] + self.steps[:, CLIENT] + after


def came_from(ways: Ints) -> Ints:
    """The node in front of each piece of each way: the client's at first. Shape (K, P), as `ways`."""
    return np.concatenate([np.full((len(ways), 1), CLIENT, dtype=ways.dtype), ways[:, :-1]], axis=1)


def priced(sums: Sums, weights: TermWeights, among: Ints | None = None, beaten: bool = True) -> Priced:
    """The weighted sum of the terms, in shares of staying local, on the nearest nodes, or `among` those given.

    Where that costs nothing: of the cheapest server alone, and where that costs nothing either, as it is. Unless
    `beaten`, nodes are left out than which another is cheaper for every piece and message (see `unbeaten`).
    """
    delays, carried = sums.rates
    pieces = weighed(weights, sums.pieces)
    delay, rate = weighed(weights, delays), weighed(weights, carried)
    scale = _scale(np.cumsum(pieces, axis=0)[-1])
    pieces, delay, rate = pieces / scale, delay / scale, rate / scale
    if among is not None:
        nodes = among
    else:
        nodes = np.arange(pieces.shape[1]) if beaten else unbeaten(pieces, delay, rate)
        nodes = nodes[_nearest(pieces[:, nodes], (delay[CLIENT] + rate[CLIENT] * sums.moved[:, None])[:, nodes])]
    forbidden = sums.forbidden[:, nodes]
    forbidden[:, 0] = False
    table = np.ix_(nodes, nodes)
    steps: Floats = rate[table] * sums.moved[:, None, None]
    steps += delay[table]
    kept = np.where(forbidden, DEAR, pieces[:, nodes])
    # fmin passes over what is no number: nothing through a link that carries nothing.
    return Priced(nodes, np.fmin(kept, DEAR, out=kept), np.fmin(steps, DEAR, out=steps), forbidden)


def weighed(weights: TermWeights, terms: Floats) -> Floats:
    """The weighted sum of three tables; terms without weight are left out, for infinity times 0 is no number."""
    made: Floats = np.zeros_like(terms[0])
    for weight, term in zip(weights, terms, strict=True):
        if weight:
            made = made + weight * term
    return made


def unbeaten(pieces: Floats, delay: Floats, rate: Floats) -> Ints:
    """The client, and the servers than which no node is cheaper: with no piece dearer, and no message from or to it.

    `pieces` has shape (P, N), what messages and their bytes cost from node to node (N, N). Where nothing is limited no
    cheapest way visits a server that is beaten, for the same way over the node that beats it costs less: what the two
    say to each other falls away. Of equal servers all stay.
    """
    links = np.concatenate([delay, rate, delay.T, rate.T])
    spared = links + np.tile(np.where(np.eye(len(delay), dtype=np.bool_), np.inf, 0.0), (4, 1))
    beats = (links[:, :, None] <= spared[:, None, :]).all(axis=0)
    beats &= (pieces[:, :, None] <= pieces[:, None, :]).all(axis=0)
    total = pieces.sum(axis=0)
    beats &= total[:, None] < total
    beats[:, CLIENT] = False
    return np.flatnonzero(~beats.any(axis=0))


def _scale(alone: Floats) -> float:
    """What shares are shares of, given the costs of all on one node, shape (N,)."""
    if alone[CLIENT] > 0.0:
        return float(alone[CLIENT])
    some = alone[(alone > 0.0) & np.isfinite(alone)]
    return float(some.min()) if len(some) else 1.0


def _nearest(pieces: Floats, leaving: Floats) -> Ints:
    """The client and the servers with the cheapest single cuts, at most `MOST_NODES`, ascending."""
    count = pieces.shape[1]
    if count <= MOST_NODES:
        return np.arange(count)
    before = np.cumsum(pieces[:, CLIENT]) - pieces[:, CLIENT]
    after = np.cumsum(pieces[::-1], axis=0)[::-1]
    cut = np.fmin(before[:, None] + leaving + after, DEAR).min(axis=0)
    cut[CLIENT] = -1.0
    return np.sort(np.argsort(cut, kind="stable")[:MOST_NODES])
