"""Training as Yu et al. have it: labels of the best path, and the cross-entropy of every unit's own.

The best path is exact, over the places that the network knows. The rate, batches and steps are not public.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from layerlift.emulator.studies.learning.letters.dense import Dense
from layerlift.emulator.studies.learning.parameters import fitting, one_thread
from layerlift.emulator.studies.learning.proposals.shown import Shown
from layerlift.emulator.world import streams
from layerlift.models.sums import left_sum
from layerlift.planners.cost.pieces import cheapest_way
from layerlift.planners.learned.literal.dil import LABELS, LAYERS, PLACES, UNITS, numbers_of, units_of
from layerlift.planners.learned.policy_file import Weights

RATE: Final = 1e-3
BETAS: Final = (0.9, 0.999)
BATCH: Final = 32
STEPS: Final = 24
"""Of the optimiser, in a round."""
NOBODY: Final = -100
"""The label of a unit that is not there: cross_entropy passes over it."""


class Training:
    """The network on its way."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        self._network = Dense(LAYERS, seed, RATE, BETAS)

    def round(self, shown: Sequence[Shown]) -> float:
        """Steps on the best paths of the worlds shown; the mean loss over them."""
        rng = np.random.default_rng(streams.family(self.seed, "learning", f"labels {self.rounds}").getrandbits(64))
        told, labels = (torch.from_numpy(np.stack(each)) for each in zip(*map(labelled, shown), strict=True))
        losses = []
        with one_thread():
            for _ in range(STEPS):
                chosen = torch.from_numpy(rng.integers(0, len(told), size=BATCH))
                said = self._network.said(told[chosen]).reshape(-1, PLACES)
                losses.append(self._network.step(cross_entropy(said, labels[chosen].reshape(-1))))
        self.rounds += 1
        return left_sum(losses) / STEPS

    def policy(self, notes: Mapping[str, str]) -> Weights:
        """The policy so far."""
        return Weights(LABELS, self._network.tables, dict(notes))

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        return {"seed": np.array(self.seed), "rounds": np.array(self.rounds)} | self._network.state()

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        with fitting(state, self.seed) as rounds:
            self._take(state, rounds)

    def _take(self, state: Mapping[str, NDArray[Any]], rounds: int) -> None:
        self._network.take(state)
        self.rounds = rounds


def labelled(shown: Shown) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What the network is told of a problem, and the label of each unit on the best path, shape (UNITS,)."""
    units = units_of(shown.costs, shown.tiers)
    labels = np.full(UNITS, NOBODY, dtype=np.int64)
    labels[: len(units.first)] = cheapest_way(units.pieces, units.steps)
    return numbers_of(units), labels
