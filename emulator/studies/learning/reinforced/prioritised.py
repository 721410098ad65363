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

from layerlift.emulator.studies.learning.network import Network
from layerlift.emulator.studies.learning.reinforced.dueling import MOST_SHARE, apart, error_of, expected, states_worth
from layerlift.emulator.studies.learning.reinforced.episodes import Ground, Ways, walked
from layerlift.emulator.studies.learning.reinforced.memory import Arrays, Memory
from layerlift.emulator.studies.learning.reinforced.q_error import value_error
from layerlift.emulator.studies.learning.reinforced.reinforcement import Reinforcement
from layerlift.models.sums import left_sum
from layerlift.planners.learned.features import OF_NODE, OF_PIECE, OF_STEP
from layerlift.planners.learned.priced import MOST_NODES

STEPS: Final = 40
"""Of the optimiser, in a round."""
BATCH: Final = 256
FRESH: Final = 16
"""Steps of the ways through a problem that are remembered, in a round."""

_SEEN: Final = {
    "piece": (OF_PIECE,), "source": (OF_NODE,), "target": (MOST_NODES, OF_NODE), "step": (MOST_NODES, OF_STEP),
    "open": (MOST_NODES,),
}  # fmt: skip
WHOLE: Final = {**_SEEN, **{f"next_{name}": shape for name, shape in _SEEN.items()}, "taken": (), "last": ()}
"""Shapes of what is whole of a step: what was seen before it and after it, what was done, and whether that ended it."""
REAL: Final = ("rest", "next_rest", "spent")
"""What is not: what is still to come with one more move, before and after it, and what it cost."""

_FLAGS: Final = ("open", "next_open", "last")
_BY_NODE: Final = ("target", "step", "open")


class Prioritised(Reinforcement):
    """A policy on its way, and what it remembers."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.memory = Memory(WHOLE, REAL, MOST_NODES)
        self._mean = Network(seed)
        # The very tensors that the running mean is kept in.
        self._mean.parameters = {name: self._held.mean[name] for name in self._network.parameters}

    def _round(self, grounds: list[Ground]) -> float:
        rng = self._chance()
        self._explore(grounds, rng)
        losses = []
        for _ in range(STEPS):
            chosen, weights = self.memory.drawn(BATCH, self.rounds, rng)
            seen = _tensors({name: table[chosen] for name, table in self.memory.held.items()})
            told, came = self._told(seen), self._came(seen)
            losses.append(self._held.step((error_of(told, came) * torch.from_numpy(weights).float()).mean()))
            self.memory.learned(chosen, apart(told.detach(), came).numpy().astype(np.float64))
        self.rounds += 1
        return left_sum(losses) / STEPS

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


def _tensors(found: Arrays) -> dict[str, Tensor]:
    """Steps as the networks take them, without nodes that none of them has."""
    nodes = int(np.flatnonzero((found["open"] | found["next_open"]).any(axis=0)).max()) + 1
    made = {}
    for name, table in found.items():
        kind = np.int64 if name == "taken" else np.bool_ if name in _FLAGS else np.float32
        kept = table[:, :nodes] if name.removeprefix("next_") in _BY_NODE else table
        made[name] = torch.from_numpy(kept.astype(kind))
    return made


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
    return {**_state(ground, unit, before), **after, "taken": taken, "last": last, "spent": spent}


def _state(ground: Ground, unit: NDArray[np.int64], node: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    seen = ground.seen
    return {
        "piece": seen.piece[unit],
        "source": seen.node[unit, node],
        "target": seen.node[unit],
        "step": seen.step[unit, node],
        "open": ground.open[unit, node],
        "rest": ground.rest[unit, node],
    }
