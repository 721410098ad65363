"""Which of some points none of the others beats in everything."""

from __future__ import annotations

import numpy as np

from layerlift.planners.problem.problem import Floats


def undominated(table: Floats) -> list[int]:
    """The rows, shape (K, d), that no other is at most equal to throughout; of equals the first. By rising columns."""
    kept: list[int] = []
    front = np.empty_like(table)
    for number in np.lexsort(table.T[::-1]).tolist():
        row = table[number]
        if not (front[: len(kept)] <= row).all(axis=1).any():
            front[len(kept)] = row
            kept.append(number)
    return kept
