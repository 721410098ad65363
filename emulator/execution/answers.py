"""An answer of a cut network beside that of the whole one."""

from __future__ import annotations

import numpy as np


def not_numbers(found: np.ndarray) -> int:
    """How many values of an answer are NaN."""
    return int(np.isnan(found).sum()) if np.issubdtype(found.dtype, np.floating) else 0


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference over the largest absolute expected value; infinite when shapes or NaNs differ."""
    if found.shape != expected.shape:
        return float("inf")
    if np.array_equal(found, expected, equal_nan=True):
        return 0.0
    scale = float(np.max(np.abs(expected.astype(np.float64))))
    worst = float(np.max(np.abs(found.astype(np.float64) - expected.astype(np.float64))))
    return worst / scale if scale > 0.0 and np.isfinite(worst) else float("inf")
