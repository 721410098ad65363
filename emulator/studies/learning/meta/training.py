"""Two ways to spend the same episodes: Reptile, which learns a start, and its control, one policy for all tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from layerlift.emulator.studies.learning.meta.places import Task
from layerlift.emulator.studies.learning.meta.reinforce import RATE, REMEMBERED, copied, episode, reinforced
from layerlift.emulator.studies.learning.network import Network, policy_of
from layerlift.emulator.studies.learning.parameters import as_arrays, fitting, like, one_thread, remembered
from layerlift.emulator.world import streams
from layerlift.models.sums import left_sum
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.steps import weights_of

PASSES: Final = 2
"""Over a task's places, in a round."""
OUTER: Final = 0.5
"""How far the start goes towards where tasks led; the control's rate is as much less than that within a task."""
MEAN: Final = 0.95
"""How much of the running mean stays in a round."""


class Reptile:
    """A policy that few episodes lead on from; see `Training` of methods."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        self._network = Network(seed)
        self._optimiser: torch.optim.Optimizer | None = None
        self._mean = {name: each.detach().clone() for name, each in self._network.parameters.items()}

    def round(self, tasks: Sequence[Task]) -> float:
        """Some episodes on each task; the mean excess of their walks over the least that these could cost."""
        rng = np.random.default_rng(streams.family(self.seed, "episodes", f"round {self.rounds}").getrandbits(64))
        with one_thread():
            excess = self._learn(tasks, rng)
            self._remember()
        self.rounds += 1
        return left_sum(excess) / max(len(excess), 1)

    def _learn(self, tasks: Sequence[Task], rng: np.random.Generator) -> list[float]:
        """Learn each task from the start, which then goes towards where these led."""
        start, excess = self._network.parameters, []
        gone = {name: torch.zeros_like(each) for name, each in start.items()}
        for task in tasks:
            network = copied(self._network)
            excess += list(reinforced(network, task * PASSES, rng))
            for name, each in network.parameters.items():
                gone[name] += (each - start[name]).detach() * (OUTER / len(tasks))
        with torch.no_grad():
            for name, each in start.items():
                each += gone[name]
        return excess

    def _remember(self) -> None:
        stays = min(MEAN, (1.0 + self.rounds) / (10.0 + self.rounds))
        with torch.no_grad():
            for name, each in self._network.parameters.items():
                self._mean[name].mul_(stays).add_(each, alpha=1.0 - stays)

    def policy(self, notes: Mapping[str, str]) -> Weights:
        """The policy so far: the running mean of the start."""
        return weights_of([policy_of(self._mean)], notes)

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        made = as_arrays(self.seed, self.rounds, self._network.parameters, self._optimiser)
        return made | {f"mean_{name}": each.numpy().copy() for name, each in self._mean.items()}

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        with fitting(state, self.seed) as rounds:
            for name, parameter in self._network.parameters.items():
                parameter.copy_(like(state[f"parameter_{name}"], parameter))
                self._mean[name].copy_(like(state[f"mean_{name}"], parameter))
                if rounds and self._optimiser is not None:
                    self._optimiser.state[parameter] = remembered(state, name, parameter)
            self.rounds = rounds


class Plain(Reptile):
    """The control: one policy for all tasks, by the same episodes of the same tasks."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._optimiser = torch.optim.Adam(self._network.parameters.values(), RATE * OUTER, REMEMBERED)

    def _learn(self, tasks: Sequence[Task], rng: np.random.Generator) -> list[float]:
        """A step on an episode of each task at once, as often as each has episodes."""
        excess: list[float] = []
        if self._optimiser is None or not tasks:
            return excess
        for number in range(PASSES * max(len(task) for task in tasks)):
            self._optimiser.zero_grad()
            for task in tasks:
                loss, beyond = episode(self._network, task[number % len(task)], rng)
                (loss / len(tasks)).backward()
                excess.append(beyond)
            self._optimiser.step()
        return excess
