"""One network that learns: its parameters, their running mean, which becomes the policy, and its optimiser's memory.

The running mean needs no end to be known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.emulator.studies.learning.examples import Examples
from layerlift.emulator.studies.learning.network import NARROW, WIDE, Network, loss_of, policy_of
from layerlift.emulator.studies.learning.parameters import like, remembered
from layerlift.planners.learned.policy import Policy

RATE: Final = 2e-3
MEAN: Final = 0.998
"""How much of the running mean stays at every step."""
CROSS_ENTROPY: Final = 0.3


class Learner:
    """A network on its way; `ending` is what the names of its arrays end with, where there are several."""

    def __init__(self, seed: int, wide: int = WIDE, narrow: int = NARROW, ending: str = "") -> None:
        self._network = Network(seed, wide, narrow)
        self._optimiser = torch.optim.Adam(self._network.parameters.values(), RATE)
        self._mean = {name: each.detach().clone() for name, each in self._network.parameters.items()}
        self._ending = ending

    def step(self, examples: Examples, number: int) -> float:
        """A step of the optimiser, its `number` counted from 0; the loss before it."""
        seen = _tensors(examples)
        found = loss_of(self._network.scores(seen), seen["regret"], ~seen["open"], CROSS_ENTROPY)
        self._optimiser.zero_grad()
        found.backward()
        self._optimiser.step()
        self._remember(number)
        return float(found.detach())

    def _remember(self, step: int) -> None:
        """Let the running mean follow, at first faster: so that it forgets where it began."""
        stays = min(MEAN, (1.0 + step) / (10.0 + step))
        with torch.no_grad():
            for name, each in self._network.parameters.items():
                self._mean[name].mul_(stays).add_(each, alpha=1.0 - stays)

    @property
    def policy(self) -> Policy:
        """The whole numbers of the running mean."""
        return policy_of(self._mean)

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `take` goes on from, bit for bit."""
        made: dict[str, NDArray[Any]] = {}
        for name, parameter in self._network.parameters.items():
            end = name + self._ending
            made[f"parameter_{end}"] = parameter.detach().numpy().copy()
            made[f"mean_{end}"] = self._mean[name].numpy().copy()
            for kind, value in self._optimiser.state.get(parameter, {}).items():
                made[f"{kind}_{end}"] = value.detach().numpy().copy()
        return made

    def take(self, state: Mapping[str, NDArray[Any]], trained: bool) -> None:
        """Go on where `state` was taken, after steps or before any. Raises as `fitting` knows for what does not fit."""
        with torch.no_grad():
            for name, parameter in self._network.parameters.items():
                end = name + self._ending
                parameter.copy_(like(state[f"parameter_{end}"], parameter))
                self._mean[name].copy_(like(state[f"mean_{end}"], parameter))
                if trained:
                    self._optimiser.state[parameter] = remembered(state, end, parameter)


def _tensors(examples: Examples) -> dict[str, Tensor]:
    arrays = {
        "piece": examples.piece,
        "source": examples.source,
        "target": examples.target,
        "step": examples.step,
        "regret": examples.regret,
        "open": examples.open,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
