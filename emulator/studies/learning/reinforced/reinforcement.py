"""Q-learning of a policy that scores steps: double, dueling, n-step, on ways that are walked as it learns.

Double: what is learning chooses the next step, its running mean says what that is worth (van Hasselt et al., 2016).
Dueling: a step is worth what its state is, less what it lacks (Wang et al., 2016). What a round does depends on the
seed, its number and the rounds before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.emulator.studies.learning.network import Network, policy_of
from layerlift.emulator.studies.learning.parameters import finite, fitting, one_thread
from layerlift.emulator.studies.learning.reinforced.dueling import MOST_SHARE, Value, error_of, expected, states_worth
from layerlift.emulator.studies.learning.reinforced.episodes import Ground, Steps, returns, steps_of, together, walked
from layerlift.emulator.studies.learning.reinforced.optimised import Parameters
from layerlift.emulator.studies.learning.reinforced.q_error import value_error
from layerlift.emulator.world import streams
from layerlift.models.sums import left_sum
from layerlift.planners.learned.lacking import lacking
from layerlift.planners.learned.policy import Table
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.scorer import Scorer
from layerlift.planners.learned.steps import weights_of
from layerlift.planners.learned.walk import CLOSED
from layerlift.planners.problem.problem import Floats

STEPS: Final = 48
"""Of the optimiser, in a round."""
BATCH: Final = 512
"""Steps of ways that one looks at."""
KEPT: Final = 256
"""Steps that are kept of the ways through a problem, in a round."""
RATE: Final = 2e-3
STAYS: Final = 0.9
"""How much of the running mean of errors stays in a round."""
AHEAD: Final = 8
"""Steps of a way that are added up before what is known of the rest."""


class Reinforcement:
    """A policy on its way."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        self._network, self._value = Network(seed), Value(seed)
        self._held = Parameters(self._network.parameters | self._value.parameters, RATE)
        self._q_error = 0.0

    def round(self, grounds: list[Ground]) -> float:
        """One round of ways through some problems; the mean loss over its steps."""
        with one_thread():
            return self._round(grounds)

    def _round(self, grounds: list[Ground]) -> float:
        rng = self._chance()
        found = self._walked(grounds, rng)
        losses = []
        for _ in range(STEPS):
            chosen = rng.integers(0, len(found.taken), size=BATCH)
            losses.append(self._held.step(self._errors(found, chosen).mean()))
        self.rounds += 1
        return left_sum(losses) / STEPS

    def _chance(self) -> np.random.Generator:
        return np.random.default_rng(streams.family(self.seed, "learning", f"round {self.rounds}").getrandbits(64))

    def _scorer(self) -> Scorer:
        """The policy that is learning, and its running mean."""
        return Scorer(weights_of([policy_of(self._network.parameters), policy_of(self._means())], {}))

    def _errors(self, found: Steps, chosen: NDArray[np.int64]) -> Tensor:
        seen = tensors_of(found, chosen)
        told = expected(self._network, self._value.parameters, seen, seen["taken"], ~seen["open"])
        return error_of(told, torch.clamp(-seen["made"] / seen["rest"], 0.0, MOST_SHARE))

    def _walked(self, grounds: Sequence[Ground], rng: np.random.Generator) -> Steps:
        """Steps of ways through some problems, and what they came to."""
        scorer, parts, errors = self._scorer(), [], []
        for ground in grounds:
            known, mean = scorer.scores(ground.seen)
            share = states_worth(self._held.mean, ground.seen.piece, ground.seen.node)
            errors.append(value_error(ground, share, mean))
            ways = walked(ground, known, rng)
            made = returns(ground, ways, _value_of(ground, share, known, mean), AHEAD)
            parts.append(steps_of(ground, ways, made, KEPT, rng))
        self._seen(left_sum(errors) / len(errors))
        return together(parts)

    def _seen(self, error: float) -> None:
        """Take note of the error of Q on problems that nothing has been learned from yet."""
        stays = min(STAYS, self.rounds / (1.0 + self.rounds))
        self._q_error = stays * self._q_error + (1.0 - stays) * error

    def _means(self) -> dict[str, Tensor]:
        return {name: self._held.mean[name] for name in self._network.parameters}

    def policy(self, notes: Mapping[str, str]) -> Weights:
        """The policy so far."""
        return weights_of([policy_of(self._means())], {**notes, "q_error": f"{self._q_error:.5f}"})

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        own = {"seed": self.seed, "rounds": self.rounds, "q_error": self._q_error}
        return {name: np.array(value) for name, value in own.items()} | self._held.state()

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        with fitting(state, self.seed) as rounds:
            self._take(state)
            self.rounds = rounds

    def _take(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._held.take(state)
        self._q_error = finite(state["q_error"])


def _value_of(ground: Ground, share: Floats, known: Table, mean: Table) -> Floats:
    """What is still to come, negative, in front of each unit on each node, shape (P + 1, n); 0 at the end.

    What is learning (`known`) chooses the step, the running mean says what that lacks, and what the state is worth.
    """
    nodes = ground.costs.pieces.shape[1]
    chosen = np.where(ground.open, known, CLOSED).argmax(axis=2)
    lacks = lacking(mean, ground.rest[:-1], ground.open)
    made = share * ground.rest[:-1] + np.take_along_axis(lacks, chosen[:, :, None], axis=2)[:, :, 0]
    return np.concatenate([-made, np.zeros((1, nodes))])


def tensors_of(found: Steps, chosen: NDArray[np.int64]) -> dict[str, Tensor]:
    """Some of the steps, by name."""
    names = ("piece", "source", "target", "step", "open", "taken", "rest", "made")
    return {name: torch.from_numpy(found.__getattribute__(name)[chosen]) for name in names}
