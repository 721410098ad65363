"""What candidates teach: at places on their ways, what each next step cost those who took it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from layerlift.emulator.studies.learning.examples import MOST_REGRET, Examples
from layerlift.models.graph.route import CLIENT
from layerlift.planners.learned.features import Features
from layerlift.planners.learned.priced import DEAR, Priced, came_from
from layerlift.planners.problem.problem import Floats, Ints

STATES: Final = 8
"""Places that are remembered of a problem: half of them on the best way, half on any."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """Candidates, shape (K, P), and what each of them costs from each piece on, shape (K, P)."""

    ways: Ints
    rest: Floats

    @property
    def best(self) -> int:
        """The number of the cheapest, the first of equals."""
        return int(self.rest[:, 0].argmin())


def proposed(costs: Priced, ways: Ints) -> Proposed:
    """Candidates with their costs."""
    each = np.arange(ways.shape[1])
    steps = costs.steps[each, came_from(ways), ways] + costs.pieces[each, ways]
    return Proposed(ways, np.cumsum(steps[:, ::-1], axis=1)[:, ::-1])


def plain(costs: Priced) -> Ints:
    """Staying local, and the best single cut: what every planner chooses from as well; shape (2, P)."""
    pieces, cuts = len(costs.pieces), costs.cuts
    first, node = np.divmod(int(cuts.argmin()), cuts.shape[1])
    cut = np.where(np.arange(pieces) < first, CLIENT, node)
    return np.stack([np.full(pieces, CLIENT), cut])


def learned_from(found: Proposed, seen: Features, costs: Priced, rng: np.random.Generator) -> Examples:
    """`STATES` places, and what each next step costs there beyond the best that was tried, as a share of staying local.

    A step that no candidate took there counts as what candidates cost on average beyond the best of them.
    """
    at = rng.integers(0, found.ways.shape[1], size=STATES)
    whose = rng.integers(0, len(found.ways), size=STATES)
    whose[: STATES // 2] = found.best
    before = came_from(found.ways)
    unknown = float(found.rest[:, 0].mean() - found.rest[:, 0].min())
    regret = np.full((STATES, costs.pieces.shape[1]), np.inf)
    for number, (unit, way) in enumerate(zip(at.tolist(), whose.tolist(), strict=True)):
        there = before[:, unit] == before[way, unit]
        np.minimum.at(regret[number], found.ways[there, unit], found.rest[there, unit])
    regret -= regret.min(axis=1, keepdims=True)
    regret = np.where(np.isfinite(regret), regret, max(unknown, 1e-6))
    at_node = before[whose, at]
    return Examples(
        seen.piece[at],
        seen.node[at, at_node],
        seen.node[at],
        seen.step[at, at_node],
        np.minimum(regret, MOST_REGRET).astype(np.float32),
        ~costs.forbidden[at] & (costs.steps[at, at_node] < DEAR),
    )
