"""Q-learning from a memory: double, dueling, with prioritised replay, each step by itself.

What is learning chooses the next step, its running mean says what that is worth; what was misjudged most comes up most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.emulator.studies.learning.dueling import MOST_SHARE, apart, error_of, expected, states_worth
from layerlift.emulator.studies.learning.episodes import Ground, Ways, walked
from layerlift.emulator.studies.learning.memory import Arrays, Memory, remembered
from layerlift.emulator.studies.learning.network import Network
from layerlift.emulator.studies.learning.q_error import value_error
from layerlift.emulator.studies.learning.reinforcement import Reinforcement
from layerlift.models.sums import left_sum

STEPS: Final = 64
"""Of the optimiser, in a round."""
BATCH: Final = 256
FRESH: Final = 16
"""Steps of the ways through a problem that are remembered, in a round."""


class Prioritised(Reinforcement):
    """A policy on its way, and what it remembers."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.memory = Memory()
        self._mean = Network(seed)
        # The very tensors that the running mean is kept in.
        self._mean.parameters = {name: self._held.mean[name] for name in self._network.parameters}

    def _round(self, grounds: list[Ground]) -> float:
        rng = self._chance()
        self._explore(grounds, rng)
        losses = []
        for _ in range(STEPS):
            chosen, weights = self.memory.drawn(BATCH, self.rounds, rng)
            seen = {name: torch.from_numpy(self._real(table[chosen], name)) for name, table in self.memory.held.items()}
            told, came = self._told(seen), self._came(seen)
            losses.append(self._held.step((error_of(told, came) * torch.from_numpy(weights).float()).mean()))
            self.memory.learned(chosen, apart(told.detach(), came).numpy().astype(np.float64))
        self.rounds += 1
        return left_sum(losses) / STEPS

    @staticmethod
    def _real(table: NDArray[Any], name: str) -> NDArray[Any]:
        if name in ("open", "next_open", "last"):
            return table.astype(np.bool_)
        return table.astype(np.int64 if name == "taken" else np.float32)

    def _explore(self, grounds: Sequence[Ground], rng: np.random.Generator) -> None:
        scorer, errors = self._scorer(), []
        for ground in grounds:
            known, mean = scorer.scores(ground.seen)
            share = states_worth(self._held.mean, ground.seen.piece, ground.seen.node)
            errors.append(value_error(ground, share, mean))
            self.memory.take_up(_steps(ground, walked(ground, known, rng), rng))
        self._seen(left_sum(errors) / len(errors))

    def _told(self, seen: Mapping[str, Tensor]) -> Tensor:
        return expected(self._network, self._value.parameters, seen, seen["taken"], ~seen["open"])

    def _came(self, seen: Mapping[str, Tensor]) -> Tensor:
        """What a step came to: its cost, and what its next state is worth by the running mean."""
        after = {name.removeprefix("next_"): table for name, table in seen.items() if name.startswith("next_")}
        with torch.no_grad():
            best = self._network.scores(after).masked_fill(~after["open"], -torch.inf).argmax(1)
            worth = expected(self._mean, self._held.mean, after, best, ~after["open"]) * after["rest"]
            spent = seen["spent"] + torch.where(seen["last"], 0.0, worth)
            return torch.clamp(spent / seen["rest"], 0.0, MOST_SHARE)

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        return super().state() | {f"memory_{name}": table for name, table in self.memory.state().items()}

    def _take(self, state: Mapping[str, NDArray[Any]]) -> None:
        super()._take(state)
        own = {name.removeprefix("memory_"): table for name, table in state.items() if name.startswith("memory_")}
        self.memory.resume(own)


def _steps(ground: Ground, ways: Ways, rng: np.random.Generator) -> Arrays:
    """Some steps of ways through a problem, and the states after them; after the last it is as in front of it."""
    count, wide = ways.taken.shape
    chosen = rng.permutation(count * wide)[:FRESH]
    unit, before, taken = chosen // wide, ways.before.reshape(-1)[chosen], ways.taken.reshape(-1)[chosen]
    last = unit == count - 1
    later, stood = np.where(last, unit, unit + 1), np.where(last, before, taken)
    costs = ground.costs
    spent = costs.steps[unit, before, taken] + costs.pieces[unit, taken]
    after = {f"next_{name}": table for name, table in _state(ground, later, stood).items()}
    return remembered(
        {**_state(ground, unit, before), **after, "taken": taken, "last": last, "spent": spent.astype(np.float32)}
    )


def _state(ground: Ground, unit: NDArray[np.int64], node: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    seen = ground.seen
    return {
        "piece": seen.piece[unit],
        "source": seen.node[unit, node],
        "target": seen.node[unit],
        "step": seen.step[unit, node],
        "open": ground.open[unit, node],
        "rest": ground.rest[unit, node].astype(np.float32),
    }
