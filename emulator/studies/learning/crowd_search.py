"""The cross-entropy method: draw policies around the best guess, play worlds with each, move towards what did well.

(Rubinstein, The Cross-Entropy Method for Combinatorial and Continuous Optimization, Methodol. Comput. Appl. Probab.
1(2):127, 1999; elites weighted by rank and drawn in mirrored pairs, as in Hansen's evolution strategies.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from layerlift.emulator.studies.learning.crowd_rollouts import Episodes, Worth
from layerlift.emulator.studies.learning.worlds import TRIAL_FROM
from layerlift.emulator.world import streams
from layerlift.models.errors import RunError
from layerlift.models.sums import left_sum
from layerlift.planners.learned.crowd.features import OWN, SERVER
from layerlift.planners.learned.crowd.policy import BY_HAND, MOST_HOME, MOST_WEIGHT, Mixture, of_vector, vector
from layerlift.planners.problem.problem import Floats

POLICIES: Final = 16
"""Drawn in a round: half of them at random, the others opposite to these."""
ELITE: Final = POLICIES // 2
WORLDS: Final = 5
"""In which each policy of a round is played, the same for all."""
FIRST_SPREAD: Final = 1.0
LEAST_SPREAD: Final = 0.15
SMOOTH: Final = 0.3
"""How much of the spread is new after a round."""
_APART: Final = 20_000
"""Rounds that one training may have before it meets the worlds of the next seed's."""
GRAIN: Final = np.array([24.0] * (len(SERVER) + len(OWN)) + [8192.0])
"""Whole numbers in a parameter of 1."""
MOST: Final = np.array([float(MOST_WEIGHT)] * (len(SERVER) + len(OWN)) + [float(MOST_HOME)])


class Search:
    """A policy on its way: where the best ones are thought to be, and how far around."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        self._mean: Floats = vector(BY_HAND) / GRAIN
        self._spread: Floats = np.full(len(GRAIN), FIRST_SPREAD)

    def asked(self, family: Sequence[str]) -> list[Episodes]:
        """What the next round has to play: a job for each of its worlds."""
        policies = tuple(tuple(each.tolist()) for each in _whole(self._drawn()))
        first = (self.seed * _APART + self.rounds) * WORLDS
        return [
            Episodes(family[(first + each) % len(family)], (first + each) % TRIAL_FROM, policies)
            for each in range(WORLDS)
        ]

    def told(self, found: Sequence[Sequence[Worth]], goal: str) -> float:
        """Move towards what did well; `found` is in order of what was asked. The mean cost over all policies."""
        costs = np.array([[worth.cost(goal) for worth in each] for each in found])
        summed = np.cumsum(costs, axis=0)[-1] / len(costs)
        best = np.argsort(summed, kind="stable")[:ELITE]
        weight = np.log(ELITE + 1.0) - np.log(np.arange(1.0, ELITE + 1.0))
        weight /= np.cumsum(weight)[-1]
        chosen = self._drawn()[best]
        around = np.sqrt(np.cumsum(weight[:, None] * (chosen - self._mean) ** 2, axis=0)[-1])
        self._mean = np.cumsum(weight[:, None] * chosen, axis=0)[-1]
        self._spread = np.maximum((1.0 - SMOOTH) * self._spread + SMOOTH * around, LEAST_SPREAD)
        self.rounds += 1
        return left_sum(summed.tolist()) / len(summed)

    def _drawn(self) -> Floats:
        """The policies of the next round, shape (POLICIES, parameters)."""
        rng = np.random.default_rng(streams.family(self.seed, "crowd", f"round {self.rounds}").getrandbits(64))
        noise = rng.standard_normal((POLICIES // 2, len(GRAIN)))
        return self._mean + self._spread * np.concatenate([noise, -noise])

    def policy(self, notes: Mapping[str, str]) -> Mixture:
        """The best guess so far."""
        return of_vector(_whole(self._mean), notes)

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        return {
            "seed": np.array(self.seed), "rounds": np.array(self.rounds), "mean": self._mean, "spread": self._spread
        }  # fmt: skip

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        try:
            seed, rounds = int(state["seed"]), int(state["rounds"])
            mean, spread = (np.array(state[name], dtype=np.float64) for name in ("mean", "spread"))
            fits = mean.shape == spread.shape == GRAIN.shape and bool(np.isfinite([mean, spread]).all())
            if not fits or rounds < 0 or not (spread > 0.0).all():
                raise ValueError(rounds)
        except (KeyError, ValueError, TypeError, OverflowError):
            raise RunError(
                "what was kept of the training does not fit it: give another folder with --out, or leave --resume away"
            ) from None
        if seed != self.seed:
            raise RunError(f"what was kept is of --seed {seed}, expected {self.seed}: give that seed")
        self.rounds, self._mean, self._spread = rounds, mean, spread


def _whole(parameters: Floats) -> NDArray[np.int64]:
    return np.clip(np.rint(parameters * GRAIN), -MOST, MOST).astype(np.int64)
