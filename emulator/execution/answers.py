"""An answer of a cut network beside that of the whole one."""

from __future__ import annotations

import numpy as np


def not_finite(found: np.ndarray) -> int:
    """How many values of an answer are NaN or infinite."""
    return int(np.count_nonzero(~np.isfinite(found))) if np.issubdtype(found.dtype, np.floating) else 0


def relative_error(found: np.ndarray, expected: np.ndarray) -> float | None:
    """Largest absolute difference over the largest absolute expected value, of values that are finite.

    Infinite when shapes differ, or others than the expected values are NaN or infinite; None when no value is finite,
    for two answers that say nothing are not equal in what they say.
    """
    if found.shape != expected.shape:
        return float("inf")
    made, wanted = found.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(wanted)
    if not np.array_equal(finite, np.isfinite(made)) or not np.array_equal(
        made[~finite], wanted[~finite], equal_nan=True
    ):
        return float("inf")
    if not finite.any():
        return None if finite.size else 0.0
    scale = float(np.max(np.abs(wanted[finite])))
    worst = float(np.max(np.abs(made[finite] - wanted[finite])))
    if worst == 0.0:
        return 0.0
    return worst / scale if scale > 0.0 else float("inf")
