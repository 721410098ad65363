"""Training in rounds: each draws fresh worlds, by number, and takes some steps on what they teach.

What a round does depends on the seed, its number and what was learned before it: not on who drew the worlds, nor on
whether training stopped in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from layerlift.emulator.studies.learning.examples import Examples
from layerlift.emulator.studies.learning.learner import Learner
from layerlift.emulator.studies.learning.parameters import fitting, one_thread
from layerlift.emulator.world import streams
from layerlift.models.sums import left_sum
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.steps import weights_of

STEPS: Final = 48
"""Of the optimiser, in a round."""
BATCH: Final = 512
"""States that a step looks at."""


class Training:
    """A policy on its way: one network that learns what the exact answers teach."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        self._learner = Learner(seed)

    def round(self, examples: Examples) -> float:
        """One round on the states of its worlds; the mean loss over its steps."""
        rng = np.random.default_rng(streams.family(self.seed, "learning", f"round {self.rounds}").getrandbits(64))
        losses = []
        with one_thread():
            for number in range(self.rounds * STEPS, (self.rounds + 1) * STEPS):
                some = examples.some(rng.integers(0, len(examples.open), size=BATCH))
                losses.append(self._learner.step(some, number))
        self.rounds += 1
        return left_sum(losses) / STEPS

    def policy(self, notes: Mapping[str, str]) -> Weights:
        """The policy so far."""
        return weights_of([self._learner.policy], notes)

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        return {"seed": np.array(self.seed), "rounds": np.array(self.rounds)} | self._learner.state()

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        with fitting(state, self.seed) as rounds:
            self._take(state, rounds)

    def _take(self, state: Mapping[str, NDArray[Any]], rounds: int) -> None:
        self._learner.take(state, trained=rounds > 0)
        self.rounds = rounds
