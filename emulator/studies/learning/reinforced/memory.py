"""A memory of steps that were taken, from which those that taught most are drawn more often: prioritised replay.

(Schaul et al., Prioritized Experience Replay, 2016: proportional, alpha 0.6, beta from 0.4 to 1.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from layerlift.planners.problem.problem import Floats, Ints

Arrays = Mapping[str, NDArray[Any]]
SIZE: Final = 4096
"""Steps that are remembered; the oldest make room."""
ALPHA: Final = 0.6
BETA: Final = (0.4, 1.0)
ROUNDS: Final = 60
"""After so many, beta is at its end."""
LEAST: Final = 1e-3
"""What no step's error is taken to be less than, in octaves: so that each may come up again."""


class Memory:
    """Steps, each with how likely it is to be drawn."""

    def __init__(
        self, whole: Mapping[str, tuple[int, ...]], real: Sequence[str], choices: int, size: int = SIZE
    ) -> None:
        """`whole` has the shapes of what is whole of a step; `taken` is one of `choices`; `real` names the rest."""
        self._choices = choices
        self.held: dict[str, NDArray[Any]] = {
            **{name: np.zeros((size, *shape), dtype=np.uint16) for name, shape in whole.items()},
            **{name: np.zeros(size, dtype=np.float32) for name in real},
        }
        self.priority: Floats = np.zeros(size)
        self.count = 0
        """That have ever been taken up."""

    def take_up(self, steps: Arrays) -> None:
        """Remember steps, each as likely to be drawn as the likeliest."""
        size, new = len(self.priority), len(steps["taken"])
        at = (self.count + np.arange(new)) % size
        for name, table in self.held.items():
            given = steps[name]
            if given.ndim == 1:
                table[at] = given
                continue
            table[at] = 0
            table[at, : given.shape[1]] = given
        self.priority[at] = self.priority.max() or 1.0
        self.count += new

    def drawn(self, count: int, rounds: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """Which steps, with putting back, and what each weighs, at most 1: less the likelier it was to be drawn."""
        known = min(self.count, len(self.priority))
        sums = np.cumsum(self.priority[:known])
        chosen = np.minimum(np.searchsorted(sums, rng.random(count) * sums[-1], side="right"), known - 1)
        beta = BETA[0] + (BETA[1] - BETA[0]) * min(1.0, rounds / ROUNDS)
        weights: Floats = (known * self.priority[chosen] / sums[-1]) ** -beta
        return chosen, weights / weights.max()

    def learned(self, chosen: Ints, errors: Floats) -> None:
        """Take note of by how much some steps were misjudged, in octaves."""
        self.priority[chosen] = (np.abs(errors) + LEAST) ** ALPHA

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays."""
        held = {name: table.copy() for name, table in self.held.items()}
        return {**held, "priority": self.priority.copy(), "count": np.array(self.count)}

    def resume(self, state: Arrays) -> None:
        """Go on from `state`. Raises `KeyError` or `ValueError` for what does not fit."""
        count, priority = int(state["count"]), np.array(state["priority"])
        alike = priority.shape == self.priority.shape and priority.dtype == np.float64
        if (
            count < 0
            or not alike
            or not np.isfinite(priority).all()
            or not (priority[: min(count, len(priority))] > 0).all()
        ):
            raise ValueError("priority")
        for name, table in self.held.items():
            given = state[name]
            if given.shape != table.shape or given.dtype != table.dtype or not np.isfinite(given).all():
                raise ValueError(name)
            table[:] = given
        if int(self.held["taken"].max()) >= self._choices:
            raise ValueError("taken")
        self.priority, self.count = priority, count
