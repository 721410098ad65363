"""What one user of a crowd may do: stay home, or use one server in the way that suits it best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.judge import Judge, Rank
from layerlift.planners.cost.pieces import Sums, cheapest_ways, whole_pieces
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.learned.priced import DEAR
from layerlift.planners.problem.problem import Bools, Floats, Problem

Placement = tuple[int, ...]


@dataclass(frozen=True)
class Choices:
    """One user's choices by node, 0 (the client) being to stay home.

    With a server go the best whole units for it and the client alone, by dynamic programming, or the best single cut
    towards it where that is better: for a lone user, of the loads that the problem tells of. It moves something, even
    where staying home would be better: what the others do may change that.
    """

    problem: Problem

    @cached_property
    def placements(self) -> list[Placement | None]:
        """Of each node; None for a server that can be given nothing."""
        return [placement for _, placement in self._found]

    @property
    def open(self) -> Bools:
        """Which nodes may be chosen."""
        return np.array([placement is not None for placement in self.placements])

    @cached_property
    def costs(self) -> Floats:
        """What each choice costs, as a share of staying home and with what it misses limits by; at most `DEAR`."""
        home = self._judge.local_key[1]
        missed, values = np.array([key for key, _ in self._found]).T
        made: Floats = np.minimum(values / (home if home > 0.0 else 1.0) + missed, DEAR)
        return made

    @cached_property
    def whole(self) -> Floats:
        """What it costs to have everything on a node, there and back, as a share of staying home, at most `DEAR`."""
        pieces, steps = self._tables
        made: Floats = np.cumsum(pieces, axis=0)[-1] + steps[0, CLIENT]
        home = float(made[CLIENT])
        return np.fmin(made / (home if home > 0.0 else 1.0), DEAR)

    @cached_property
    def _judge(self) -> Judge:
        return Judge(self.problem)

    @cached_property
    def _sums(self) -> Sums:
        return Sums(self.problem, whole_pieces(self.problem.graph))

    @cached_property
    def _tables(self) -> tuple[Floats, Floats]:
        prices = Additive(self.problem, self._judge)
        return self._sums.weighed(np.array([prices.per_second, prices.per_joule, prices.per_money]))

    @cached_property
    def _found(self) -> list[tuple[Rank, Placement | None]]:
        """Rank and placement by node."""
        local = (0,) * len(self.problem.graph)
        best: list[tuple[Rank, Placement | None]] = [((np.inf, np.inf), None) for _ in self.problem.nodes]
        best[CLIENT] = (self._judge.local_key, local)
        for server, placement in self._in_question():
            key = self._judge.key(placement)
            if key[0] < np.inf and key < best[server][0]:
                best[server] = (key, placement)
        return best

    def _in_question(self) -> list[tuple[int, Placement]]:
        """Servers, and what may be best with them; the whole units first."""
        pieces, steps = self._tables
        made: list[tuple[int, Placement]] = []
        if not len(self.problem.servers):
            return made
        pairs = [np.array([CLIENT, server]) for server in self.problem.servers]
        tables = [(pieces[:, pair], steps[:, pair][:, :, pair]) for pair in pairs]
        for server, way in zip(self.problem.servers, cheapest_ways(tables), strict=True):
            if any(way):
                made.append((server, self._sums.placement([server * node for node in way])))
            cut = self._judge.best_cut(server)
            if cut is not None:
                made.append((server, cut[1]))
        return made


def shares(given: Floats, of: Floats | float) -> NDArray[np.float64]:
    """What is given over itself and `of`: from 0 to 1, whatever is given; 0 of nothing, 1 of what is endless."""
    whole = given + of
    made = np.divide(given, whole, out=np.zeros_like(given), where=np.isfinite(whole) & (whole > 0.0))
    return np.where(np.isinf(given), 1.0, made)
