"""The cheapest way of a network's pieces over nodes, by how often it changes node: a few operations on whole tables.

The cheapest ways that change node at most k times come from those that do at most k - 1 times, for all pieces and
nodes at once: staying from one piece to another is a difference of two running sums. Most networks are worth two or
three changes, so that this takes a fraction of a walk from piece to piece (`pieces.cheapest_ways`). That is what it
falls back on where more changes go on to help; sums may differ from the walk's in the last bits.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.pieces import cheapest_way
from layerlift.planners.problem.problem import Bools, Floats

MOST: Final = 5
"""Changes of node after which a walk is faster."""
NEAR: Final = 1e-12
"""Share of a cost by which a further change must lower it: more than sums in another order differ."""


def cheapest_by_switches(pieces: Floats, steps: Floats) -> list[int]:
    """The node of each piece on the cheapest way that begins at the client, to `NEAR`; of equals see `_traced`.

    `pieces` has shape (P, N) and may be infinite; `steps`, (P, N, N), is zero on the diagonals.
    """
    count, nodes = pieces.shape
    stayed = np.zeros((count + 1, nodes))
    np.add.accumulate(pieces, axis=0, out=stayed[1:])
    if not np.isfinite(stayed[-1]).all():
        return cheapest_way(pieces, steps)
    # best[p]: the least up to and with piece p - 1, on its node; the client stands before the first.
    best = np.full((count + 1, nodes), np.inf)
    best[:, CLIENT] = stayed[:, CLIENT]
    entered = best[:-1, CLIENT, None] + steps[:, CLIENT]
    rounds: list[tuple[Floats, Floats, Bools]] = []
    for _ in range(MOST):
        entered -= stayed[:-1]
        made = best.copy()
        np.minimum.accumulate(entered, axis=0, out=made[1:])
        made[1:] += stayed[1:]
        improved = made < best * (1.0 - NEAR)
        if not improved.any():
            return _traced(best[-1], rounds, steps)
        rounds.append((best, entered, improved))
        best = made
        entered = np.minimum.reduce(best[:-1, :, None] + steps, axis=1)
    return cheapest_way(pieces, steps)


def _traced(last: Floats, rounds: list[tuple[Floats, Floats, Bools]], steps: Floats) -> list[int]:
    """The nodes of the cheapest way, given what every round began with, entered at and improved.

    Of equals it is the way on the lowest node at the end that is the longest on the client, before it leaves and after.
    """
    end, node = len(steps), int(last.argmin())
    chosen = [CLIENT] * end
    for before, entered, improved in reversed(rounds):
        if not improved[end, node]:
            continue
        ways = entered[:end, node]
        equal = np.flatnonzero(ways <= ways.min() + NEAR * last.min())
        begin = int(equal[0] if node == CLIENT else equal[-1])
        chosen[begin:end] = [node] * (end - begin)
        end, node = begin, int((before[begin] + steps[begin, :, node]).argmin())
    return chosen
