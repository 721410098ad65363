"""How far what a policy reckons with is from the truth: dynamic programming knows what every step will come to."""

from __future__ import annotations

from typing import Final

import numpy as np

from layerlift.emulator.studies.learning.reinforced.episodes import Ground
from layerlift.planners.cost.pieces import ahead
from layerlift.planners.learned.lacking import lacking
from layerlift.planners.learned.policy import Table
from layerlift.planners.learned.priced import Priced
from layerlift.planners.problem.problem import Floats

MOST: Final = 1.0
"""What costs more than staying local is as bad as that."""


def exact_q(costs: Priced) -> Floats:
    """The least that every step will have come to at the end, as a share of staying local, shape (P, n, n)."""
    rest = ahead(costs.pieces, costs.steps)
    made: Floats = costs.steps + (costs.pieces + rest[1:])[:, None, :]
    return made


def value_error(ground: Ground, share: Floats, scores: Table) -> float:
    """The mean absolute error of Q over all open steps of all states, in shares of staying local.

    `share`, shape (P, n), is what states are thought to be worth of `Ground.rest`, `scores` say what steps lack.
    """
    told = (share * ground.rest[:-1])[:, :, None] + lacking(scores, ground.rest[:-1], ground.open)
    return _apart(told, exact_q(ground.costs), ground)


def order_error(ground: Ground, scores: Table) -> float:
    """The same of what steps lack of the best one, which is all that orders them, and all that ships."""
    exact = exact_q(ground.costs)
    lacks = exact - np.where(ground.open, exact, np.inf).min(axis=2, keepdims=True)
    return _apart(lacking(scores, ground.rest[:-1], ground.open), lacks, ground)


def _apart(told: Floats, exact: Floats, ground: Ground) -> float:
    apart = np.abs(np.minimum(told, MOST) - np.minimum(exact, MOST))[ground.open]
    return float(apart.mean())
