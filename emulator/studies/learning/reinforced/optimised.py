"""Parameters that an optimiser moves, their running mean, and all of it as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.emulator.studies.learning.parameters import like, remembered

MEAN: Final = 0.998
"""How much of the running mean stays at every step."""


class Parameters:
    """Named parameters, moved by Adam."""

    def __init__(self, named: Mapping[str, Tensor], rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.named = dict(named)
        self.mean = {name: each.detach().clone() for name, each in self.named.items()}
        """The running mean, which needs no end to be known."""
        self.steps = 0
        self._optimiser = torch.optim.Adam(self.named.values(), rate, betas)

    def step(self, loss: Tensor) -> float:
        """One step down a loss, and what that is."""
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        # At first it follows faster: so that it forgets where it began.
        stays = min(MEAN, (1.0 + self.steps) / (10.0 + self.steps))
        with torch.no_grad():
            for name, each in self.named.items():
                self.mean[name].mul_(stays).add_(each, alpha=1.0 - stays)
        self.steps += 1
        return float(loss.detach())

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays."""
        made: dict[str, NDArray[Any]] = {"steps": np.array(self.steps)}
        for name, parameter in self.named.items():
            made[f"parameter_{name}"] = parameter.detach().numpy().copy()
            made[f"mean_{name}"] = self.mean[name].numpy().copy()
            for kind, value in self._optimiser.state.get(parameter, {}).items():
                made[f"{kind}_{name}"] = value.detach().numpy().copy()
        return made

    def take(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state`. Raises as `fitting` knows for what does not fit."""
        if (steps := int(state["steps"])) < 0:
            raise ValueError(steps)
        with torch.no_grad():
            for name, parameter in self.named.items():
                parameter.copy_(like(state[f"parameter_{name}"], parameter))
                self.mean[name].copy_(like(state[f"mean_{name}"], parameter))
                if steps:
                    self._optimiser.state[parameter] = remembered(state, name, parameter)
        self.steps = steps
