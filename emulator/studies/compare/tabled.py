"""A comparison as one table: a row for each run, with what was given for it and all that was seen of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.metrics import METRICS

_SIMPLE: Final = (bool, int, float, str)

Told = Callable[[str], dict[str, object]]
"""The plain values, by path, that a swept value stands for."""


def table(comparison: Comparison, told: Told | None = None) -> Any:
    """Return a `pyarrow.Table`: variant, planner, policy, a column for each field given, seed, status, reason, metrics.

    A cell is null where a run left the field as it is, or has no such number. Times are in seconds, shares of 1.
    """
    import pyarrow as pa

    trials = sorted(comparison.trials, key=lambda trial: (trial.variant, trial.seed))
    variants = [comparison.variants[trial.variant] for trial in trials]
    columns: dict[str, Any] = {
        name: pa.array([getattr(variant, name) for variant in variants], pa.string())
        for name in ("label", "planner", "policy")
    }
    given = [told(variant.value) if told and variant.value else {} for variant in variants]
    for path in dict.fromkeys(path for each in given for path in each):
        columns[path] = _column([each.get(path) for each in given])
    columns["seed"] = pa.array([trial.seed for trial in trials], pa.int64())
    columns["status"] = pa.array([trial.status for trial in trials], pa.string())
    columns["reason"] = pa.array([trial.reason for trial in trials], pa.string())
    for metric in METRICS:
        values = [comparison.values(metric.key, trial.variant).get(trial.seed, math.nan) for trial in trials]
        known = [None if math.isnan(value) else value for value in values]
        columns[metric.key] = pa.array(known, pa.float64())
    return pa.table(columns)


def _column(values: Sequence[object]) -> Any:
    """Of one type where all are: else each as text."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return pa.array([None if value is None else float(str(value)) for value in values], pa.float64())
    if len(kinds) <= 1 and all(kind in _SIMPLE for kind in kinds):
        return pa.array(values)
    return pa.array([None if value is None else str(value) for value in values], pa.string())
