"""Networks of dense layers while they learn, in the names and shapes of their policies' tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.emulator.studies.learning.parameters import like, remembered
from layerlift.planners.learned.literal.dense import ADDED
from layerlift.planners.learned.policy_file import Tables


class Dense:
    """Layers with ReLU between them, and their optimiser; tables are called as layers are, and `ending`."""

    def __init__(
        self,
        layers: Sequence[tuple[str, int, int]],
        seed: int,
        rate: float,
        betas: tuple[float, float],
        ending: str = "",
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._names = [name + ending for name, _, _ in layers]
        self.parameters: dict[str, Tensor] = {}
        for name, (_, inputs, outputs) in zip(self._names, layers, strict=True):
            drawn = torch.randn((inputs, outputs), generator=generator) * (2.0 / inputs) ** 0.5
            self.parameters[name] = drawn.requires_grad_()
            self.parameters[name + ADDED] = torch.zeros(outputs).requires_grad_()
        self._optimiser = torch.optim.Adam(self.parameters.values(), rate, betas)

    def said(self, given: Tensor) -> Tensor:
        """What the network says, shapes (N, inputs) -> (N, outputs)."""
        made = given
        for name in self._names:
            made = made @ self.parameters[name] + self.parameters[name + ADDED]
            if name != self._names[-1]:
                made = torch.relu(made)
        return made

    def step(self, loss: Tensor) -> float:
        """A step of the optimiser down `loss`, which is told."""
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        return float(loss.detach())

    @property
    def tables(self) -> Tables:
        """Its parameters as a policy has them."""
        return {name: each.detach().numpy().copy() for name, each in self.parameters.items()}

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `take` goes on from, bit for bit."""
        made: dict[str, NDArray[Any]] = {}
        for name, parameter in self.parameters.items():
            made[f"parameter_{name}"] = parameter.detach().numpy().copy()
            for kind, held in self._optimiser.state.get(parameter, {}).items():
                made[f"{kind}_{name}"] = held.detach().numpy().copy()
        return made

    def take(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises as `fitting` knows for what does not fit."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(like(state[f"parameter_{name}"], parameter))
                if f"step_{name}" in state:
                    self._optimiser.state[parameter] = remembered(state, name, parameter)
