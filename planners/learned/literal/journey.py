"""A way through a chain of units, decision by decision, as a network of a fixed size is asked for it.

It chooses among `ACTIONS` nodes: the client, and the servers with the cheapest single cuts. What may not be done, for
a layer is pinned, a node is not there, or its memory is full, stays at the client.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.pieces import Sums
from layerlift.planners.learned.features import LARGEST, told
from layerlift.planners.learned.priced import DEAR, Priced
from layerlift.planners.problem.problem import Floats

ACTIONS: Final = 9
OF_UNIT: Final = 3 * ACTIONS + 1
"""Numbers that are seen of a unit: what it costs on each node, what going there costs, where one is; what is left."""
Seen = NDArray[np.uint16]


class Journey:
    """A way that has begun at the client."""

    def __init__(self, sums: Sums, costs: Priced, room: Floats) -> None:
        """`room` holds the bytes that fit on each node of `costs`, shape (n,)."""
        self.costs, self._held, self._room = costs, sums.facts.held, room.copy()
        self.nodes = _nearest(costs)
        """Which nodes of `costs` it chooses among, shape (m,)."""
        self.at, self.way = CLIENT, list[int]()
        """Where it is, and where it has been since: numbers of `costs`."""
        among = np.ix_(np.arange(len(costs.pieces)), self.nodes)
        self._pieces = told(costs.pieces[among])
        self._left = told(np.cumsum(costs.pieces[::-1, CLIENT])[::-1])

    @property
    def number(self) -> int:
        """Of the unit that comes next."""
        return len(self.way)

    @property
    def over(self) -> bool:
        """Whether there is none."""
        return len(self.way) == len(self.costs.pieces)

    def seen(self) -> Seen:
        """What is seen of the unit that comes next: whole numbers from 0 to `LARGEST`, shape (OF_UNIT,)."""
        made = np.zeros((3, ACTIONS), dtype=np.uint16)
        made[:2] = LARGEST
        count = len(self.nodes)
        made[0, :count] = self._pieces[self.number]
        made[1, :count] = told(self.costs.steps[self.number, self.at, self.nodes])
        made[2, :count] = np.where(self.nodes == self.at, LARGEST, 0)
        return np.append(made.reshape(-1), self._left[self.number]).astype(np.uint16)

    def go(self, choice: int) -> float:
        """Go to a node, by its number among the actions; what that costs, as a share of staying local, at most DEAR."""
        number = self.number
        node = int(self.nodes[choice]) if choice < len(self.nodes) else CLIENT
        held = float(self._held[number])
        if node != CLIENT and (self.costs.forbidden[number, node] or held > self._room[node]):
            node = CLIENT
        spent = float(self.costs.steps[number, self.at, node] + self.costs.pieces[number, node])
        self._room[node] -= held
        self.at = node
        self.way.append(node)
        return min(spent, DEAR)


def _nearest(costs: Priced) -> NDArray[np.int64]:
    """The client and the servers with the cheapest single cuts, at most `ACTIONS`, ascending."""
    count = costs.pieces.shape[1]
    if count <= ACTIONS:
        return np.arange(count)
    before = np.cumsum(costs.pieces[:, CLIENT]) - costs.pieces[:, CLIENT]
    after = np.cumsum(costs.pieces[::-1], axis=0)[::-1]
    cut = (before[:, None] + costs.steps[:, CLIENT] + after).min(axis=0)
    cut[CLIENT] = -1.0
    return np.sort(np.argsort(cut, kind="stable")[:ACTIONS])
