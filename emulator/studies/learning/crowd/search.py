"""The cross-entropy method: draw policies around the best guess, play worlds with each, move towards what did well.

(Rubinstein, The Cross-Entropy Method for Combinatorial and Continuous Optimization, Methodol. Comput. Appl. Probab.
1(2):127, 1999; elites weighted by rank and drawn in mirrored pairs, as in Hansen's evolution strategies.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from layerlift.emulator.studies.learning.crowd.rollouts import Episodes, Played
from layerlift.emulator.studies.learning.worlds import TRIAL_FROM
from layerlift.emulator.world import streams
from layerlift.models.errors import RunError
from layerlift.models.sums import left_sum
from layerlift.planners.learned.crowd.features import OWN, SERVER
from layerlift.planners.learned.crowd.policy import (
    BY_HAND,
    MOST_HOME,
    MOST_WEIGHT,
    SHIFT,
    Mixture,
)
from layerlift.planners.problem.problem import Floats

POLICIES: Final = 8
"""Drawn in a round: half of them at random, the others opposite to these."""
ELITE: Final = POLICIES // 2
WORLDS: Final = 3
"""In which each policy of a round is played, the same for all."""
FIRST_SPREAD: Final = 2.0
HOME_SPREAD: Final = 2.0
"""Of what home is worth, at first: nobody knows beforehand how many should stay there."""
LEAST_SPREAD: Final = 0.4
SMOOTH: Final = 0.3
"""How much of the spread is new after a round."""
MEAN: Final = 0.85
"""How much of the running mean of the best guesses stays at every round."""
_APART: Final = 20_000
"""Rounds that one training may have before it meets the worlds of the next seed's."""
_SEEN: Final = {
    "gain": (674, 253), "gain_beside": (542, 347), "capacity": (588, 72), "upload": (586, 83), "work": (288, 81),
    "wanted": (236, 80), "load": (4, 60), "share": (2, 60), "filled": (160, 93), "behind": (213, 153),
    "claimed": (156, 196), "users": (46, 61), "promised": (109, 159), "plans": (35, 60), "link": (46, 112),
    "unknown": (0, 256),
}  # fmt: skip
_SEEN_OF_ALL: Final = {
    "servers": (97, 60), "best_gain": (825, 195), "capacity": (696, 60), "users": (108, 106), "claimed": (171, 178),
    "think": (392, 70),
}  # fmt: skip
"""What is seen in such worlds: its mean, and about its standard deviation. A parameter of 1 doubles how likely a choice
is for each standard deviation, and leaves it as it is at the mean, so that parameters mean much the same.
"""
_DOUBLES: Final = 8.0 * 2.0**SHIFT
"""Of a sum: what doubles how likely a choice is (see `layerlift.planners.learned.walk`)."""
_TYPICAL: Final = np.array(
    [*(float(_SEEN[name][0]) for name in SERVER), *(-float(_SEEN_OF_ALL[name][0]) for name in OWN)]
)
"""Of home's sum, what a weight of 1 moves: home is worth as much beside a typical server whatever weights are."""
_GRAIN: Final = np.array(
    [*(_DOUBLES / _SEEN[name][1] for name in SERVER), *(_DOUBLES / _SEEN_OF_ALL[name][1] for name in OWN)]
)
COUNT: Final = len(SERVER) + len(OWN) + 1
SEARCHED: Final = np.array([
    *(name in ("gain", "gain_beside", "capacity", "upload", "work", "wanted", "claimed", "plans") for name in SERVER),
    *(name in ("best_gain", "claimed", "think") for name in OWN),
    True,
])  # fmt: skip
"""Which parameters are searched for. In as many runs as a training of minutes has, more of them find less; the others
stay as set by hand.
"""


class Search:
    """A policy on its way: where the best ones are thought to be, and how far around."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        self._mean: Floats = parameters_of(BY_HAND)
        self._spread: Floats = np.where(SEARCHED, FIRST_SPREAD, 0.0)
        self._spread[-1] = HOME_SPREAD
        self._slow = self._mean

    def asked(self, family: Sequence[str]) -> list[Episodes]:
        """What the next round has to play: a job for each of its worlds."""
        policies = tuple(tuple(each.tolist()) for each in _whole(self._drawn()))
        first = (self.seed * _APART + self.rounds) * WORLDS
        return [
            Episodes(family[(first + each) % len(family)], (first + each) % TRIAL_FROM, policies)
            for each in range(WORLDS)
        ]

    def told(self, found: Sequence[Played], goal: str) -> float:
        """Move towards what did well; `found` is in order of what was asked. The mean cost over all policies."""
        costs = np.array([[worth.cost(goal) for worth in each.worths] for each in found])
        summed = np.cumsum(costs, axis=0)[-1] / len(costs)
        best = np.argsort(summed, kind="stable")[:ELITE]
        weight = np.log(ELITE + 1.0) - np.log(np.arange(1.0, ELITE + 1.0))
        weight /= np.cumsum(weight)[-1]
        chosen = self._drawn()[best]
        around = np.sqrt(np.cumsum(weight[:, None] * (chosen - self._mean) ** 2, axis=0)[-1])
        self._mean = np.cumsum(weight[:, None] * chosen, axis=0)[-1]
        spread = np.maximum((1.0 - SMOOTH) * self._spread + SMOOTH * around, LEAST_SPREAD)
        self._spread = np.where(SEARCHED, spread, 0.0)
        # Faster at first, so that it forgets where it began.
        stays = min(MEAN, (1.0 + self.rounds) / (10.0 + self.rounds))
        self._slow = stays * self._slow + (1.0 - stays) * self._mean
        self.rounds += 1
        return left_sum(summed.tolist()) / len(summed)

    def _drawn(self) -> Floats:
        """The policies of the next round, shape (POLICIES, parameters)."""
        rng = np.random.default_rng(streams.family(self.seed, "crowd", f"round {self.rounds}").getrandbits(64))
        noise = rng.standard_normal((POLICIES // 2, COUNT))
        made: Floats = self._mean + self._spread * np.concatenate([noise, -noise])
        return made

    def policy(self) -> Mixture:
        """The best guess so far: the running mean, for what a round finds best is partly its worlds' luck."""
        return Mixture.of(_whole(self._slow))

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        return {
            "seed": np.array(self.seed),
            "rounds": np.array(self.rounds),
            "mean": self._mean,
            "spread": self._spread,
            "slow": self._slow,
        }

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        try:
            seed, rounds = int(state["seed"]), int(state["rounds"])
            mean, spread, slow = (np.array(state[name], dtype=np.float64) for name in ("mean", "spread", "slow"))
            if any(each.shape != (COUNT,) or not np.isfinite(each).all() for each in (mean, spread, slow)):
                raise ValueError(COUNT)
            if rounds < 0 or not np.array_equal(spread > 0.0, SEARCHED):
                raise ValueError(rounds)
        except (KeyError, ValueError, TypeError, OverflowError):
            raise RunError(
                "what was kept of the training does not fit it: give another folder with --out, or leave --resume away"
            ) from None
        if seed != self.seed:
            raise RunError(f"what was kept is of --seed {seed}, expected {self.seed}: give that seed")
        self.rounds, self._mean, self._spread, self._slow = rounds, mean, spread, slow


def parameters_of(policy: Mixture) -> Floats:
    """What the search calls a policy, shape (COUNT,)."""
    numbers = policy.numbers.astype(np.float64)
    weights = numbers[:-1]
    moved = float(np.cumsum(weights * _TYPICAL)[-1])
    return np.concatenate([weights / _GRAIN, [(numbers[-1] - moved) / _DOUBLES]])


def _whole(parameters: Floats) -> NDArray[np.int64]:
    """The numbers of policies, shape (..., COUNT)."""
    weights = np.clip(np.rint(parameters[..., :-1] * _GRAIN), -MOST_WEIGHT, MOST_WEIGHT)
    home = np.rint(parameters[..., -1] * _DOUBLES + np.cumsum(weights * _TYPICAL, axis=-1)[..., -1])
    home = np.clip(home, -MOST_HOME, MOST_HOME)
    return np.concatenate([weights, home[..., None]], axis=-1).astype(np.int64)
