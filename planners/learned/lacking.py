"""What the scores of a policy that learned by reinforcement mean: by how much a step is worse than the best.

A step whose score is d behind the best lacks (2^(d / 32) - 1) / 64 of what is still to come with one more move at most:
fine where steps are nearly equal, and far where one is a disaster.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from layerlift.planners.learned.policy import Table
from layerlift.planners.problem.problem import Bools, Floats

PER_OCTAVE: Final = 32
"""By how much less a score is where a step lacks twice as much (and a `FINE`th)."""
FINE: Final = 64.0
MOST_OCTAVES: Final = 12.0


def lacking(scores: Table, rest: Floats, open_: Bools) -> Floats:
    """What every step costs beyond the best from the same node, as the scores have it; infinite where none is open.

    Shapes (P, n, n) of scores and of what is open; `rest`, shape (P, n), is what is still to come (see the module).
    """
    best = np.where(open_, scores, -(2**30)).max(axis=2, keepdims=True)
    octaves = np.minimum((best - scores) / PER_OCTAVE, MOST_OCTAVES)
    made: Floats = np.where(open_, rest[:, :, None] * (np.exp2(octaves) - 1.0) / FINE, np.inf)
    return made
