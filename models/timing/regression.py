"""Small regressions that stay sensible outside their data: non-negative linear, and log-log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Form = Literal["linear", "logarithmic"]
FORMS: tuple[Form, ...] = ("linear", "logarithmic")
FLOOR_S = 1e-9
_SWEEPS = 50
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class LayerSample:
    """One measured layer."""

    network: str
    seconds: float
    features: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients of one regression over named features.

    Linear: seconds = constant + sum of coefficient x feature, all coefficients >= 0. Logarithmic: log seconds =
    constant + sum of coefficient x log(1 + feature).
    """

    form: Form
    constant: float
    coefficients: Mapping[str, float]

    def seconds(self, features: Mapping[str, float]) -> float:
        """Predicted seconds, rounded to 1 ns and at least that; a feature that is missing counts as 0."""
        if self.form == "linear":
            found = self.constant + math.fsum(c * features.get(n, 0.0) for n, c in self.coefficients.items())
        else:
            logs = (c * math.log1p(features.get(n, 0.0)) for n, c in self.coefficients.items())
            found = math.exp(min(self.constant + math.fsum(logs), 50.0))
        return max(round(found, 9), FLOOR_S)


def fit(form: Form, samples: Sequence[LayerSample], names: Sequence[str], relative: bool = False) -> Fit:
    """Fit `form` to `samples` over the features `names`. `samples` must not be empty.

    The linear form minimises squared error divided by seconds, a compromise between absolute and relative error, under
    coefficients >= 0, so that no layer is ever predicted below 0; with `relative`, divided by their square, for samples
    of all sizes that no network weighs. The logarithmic form minimises squared log error,
    with slopes >= 0: more work never takes less time.
    """
    seconds = np.array([max(sample.seconds, FLOOR_S) for sample in samples])
    table = np.array([[sample.features.get(name, 0.0) for name in names] for sample in samples])
    table = table.reshape(len(samples), len(names))
    if form == "logarithmic":
        design = np.column_stack([np.ones(len(samples)), np.log1p(table)])
        found = _non_negative(design, np.log(seconds), free_constant=True)
    else:
        design = np.column_stack([np.ones(len(samples)), table])
        weight = 1 / seconds if relative else 1 / np.sqrt(seconds)
        found = _non_negative(design * weight[:, None], seconds * weight)
    rounded = [float(f"{value:.9g}") for value in found]
    return Fit(form, rounded[0], dict(zip(names, rounded[1:], strict=True)))


def _non_negative(design: np.ndarray, target: np.ndarray, free_constant: bool = False) -> np.ndarray:
    """Least squares with coefficients >= 0 (Lawson and Hanson's active sets) on columns scaled to length 1.

    With `free_constant` the first one may be negative.
    """
    scale = np.sqrt((design**2).sum(axis=0))
    scale[scale == 0] = 1.0
    scaled = design / scale
    count = scaled.shape[1]
    free = np.zeros(count, bool)
    free[0] = free_constant
    active, found = free.copy(), np.zeros(count)
    if free_constant:
        found = _on(scaled, target, active)
    for _ in range(_SWEEPS):
        gain = np.where(active, -np.inf, scaled.T @ (target - scaled @ found))
        if np.max(gain) <= _TINY * np.linalg.norm(target):
            break
        active[int(np.argmax(gain))] = True
        wanted = _on(scaled, target, active)
        while np.any(wanted[active & ~free] < 0):
            falling = np.flatnonzero(active & ~free & (wanted < 0))
            steps = found[falling] / (found[falling] - wanted[falling])
            found += float(np.min(steps)) * (wanted - found)
            active[falling[int(np.argmin(steps))]] = False
            found[~active] = 0.0
            wanted = _on(scaled, target, active)
        found = wanted
    return np.asarray(found / scale)


def _on(design: np.ndarray, target: np.ndarray, active: np.ndarray) -> np.ndarray:
    found = np.zeros(design.shape[1])
    if active.any():
        found[active] = np.linalg.lstsq(design[:, active], target, rcond=None)[0]
    return found


def r_squared(truth: Sequence[float], guess: Sequence[float]) -> float:
    """1 - squared error / variance; NaN when the truth does not vary."""
    mean = math.fsum(truth) / len(truth)
    variance = math.fsum((t - mean) ** 2 for t in truth)
    error = math.fsum((t - g) ** 2 for t, g in zip(truth, guess, strict=True))
    return 1 - error / variance if variance > 0 else math.nan


def rmse(truth: Sequence[float], guess: Sequence[float]) -> float:
    """Root of the mean squared error, in the unit of `truth`."""
    return math.sqrt(math.fsum((t - g) ** 2 for t, g in zip(truth, guess, strict=True)) / len(truth))
