"""The policy's network while it learns: whole numbers forward, as the policy will be, real numbers backward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from layerlift.planners.learned.features import OF_NODE, OF_PIECE, OF_STEP
from layerlift.planners.learned.policy import EXACT, MOST_INSIDE, MOST_SCORE, MOST_WEIGHT, SHIFTS, Policy
from layerlift.planners.learned.walk import PER_HALVING

WIDE: Final = 32
NARROW: Final = 16
GRAIN: Final = 64.0
"""Whole numbers in a weight of 1: the parameters themselves are of the size that optimisers expect."""
_ADDED: Final = {"first": 128.0, "second": GRAIN, "third": GRAIN}
"""Beside a weight's grain: that of what it is added to, a layer's inputs of 1."""
_SEEN: Final = {"piece": OF_PIECE, "target": OF_NODE, "source": OF_NODE, "step": OF_STEP}
NATURAL: Final = float(np.log(2.0)) / PER_HALVING
"""What a score of 1 is in natural logarithms."""


class Network:
    """Parameters of a policy. What they say is exactly what the policy will, and lets gradients through rounding."""

    def __init__(self, seed: int, wide: int = WIDE, narrow: int = NARROW) -> None:
        generator = torch.Generator().manual_seed(seed)
        inputs = int(np.add.reduce([*_SEEN.values()]))
        shapes = {name: (count, wide) for name, count in _SEEN.items()}
        made = {name: _drawn(shape, inputs, generator) for name, shape in shapes.items()}
        made |= {"inner": _drawn((wide, narrow), wide, generator), "outer": _drawn((narrow, 1), narrow, generator)}
        made |= {name: torch.full((size,), 0.1) for name, size in (("first", wide), ("second", narrow), ("third", 1))}
        self.parameters: dict[str, Tensor] = {name: each.requires_grad_() for name, each in made.items()}
        """Of the size that optimisers expect: a weight is `GRAIN` times that, in whole numbers."""

    def scores(self, seen: Mapping[str, Tensor]) -> Tensor:
        """Scores of the next nodes, shape (S, n); `seen` holds the fields of `Examples` as tensors."""
        weight = {name: _whole(self.parameters[name], GRAIN, MOST_WEIGHT) for name in (*_SEEN, "inner", "outer")}
        added = {name: _whole(self.parameters[name], GRAIN * grain, EXACT / 4) for name, grain in _ADDED.items()}
        state = seen["piece"] @ weight["piece"] + seen["source"] @ weight["source"] + added["first"]
        summed = state[:, None, :] + seen["target"] @ weight["target"] + seen["step"] @ weight["step"]
        wide = _layer(summed, SHIFTS[0], 0, MOST_INSIDE)
        narrow = _layer(wide @ weight["inner"] + added["second"], SHIFTS[1], 0, MOST_INSIDE)
        return _layer(narrow @ weight["outer"] + added["third"], SHIFTS[2], -MOST_SCORE, MOST_SCORE)[..., 0]


def _drawn(shape: tuple[int, int], inputs: int, generator: Any) -> Tensor:
    return torch.randn(shape, generator=generator) / float(inputs) ** 0.5


def _through(rounded: Tensor, real: Tensor) -> Tensor:
    """`rounded`, with the gradient of `real`."""
    return real + (rounded - real).detach()


def _whole(parameter: Tensor, grain: float, most: float) -> Tensor:
    real = parameter * grain
    return _through(torch.clamp(torch.round(real), -most, most), real)


def _layer(summed: Tensor, shift: int, low: int, high: int) -> Tensor:
    real = summed * 2.0**-shift
    rounded = _through(torch.floor(real), real)
    # Outside the bounds a little of the gradient gets through, so that no unit is lost for ever.
    kept = torch.clamp(rounded, low, high)
    return kept + 0.01 * (rounded - rounded.detach()) - 0.01 * (kept - kept.detach())


def loss_of(scores: Tensor, regret: Tensor, closed: Tensor, cross_entropy: float) -> Tensor:
    """Expected regret, and `cross_entropy` times how unlikely the best step is, mean over states."""
    logits = (scores * NATURAL).masked_fill(closed, -1e9)
    probability, logarithm = torch.softmax(logits, 1), torch.log_softmax(logits, 1)
    best = regret.masked_fill(closed, torch.inf).argmin(1, keepdim=True)
    expected = (probability * regret).sum(1).mean()
    return expected - cross_entropy * logarithm.gather(1, best).mean()


def policy_of(parameters: Mapping[str, Tensor]) -> Policy:
    """The whole numbers of some parameters."""
    tables: dict[str, Any] = {}
    for name, parameter in parameters.items():
        added = name in _ADDED
        most = EXACT / 4 if added else float(MOST_WEIGHT)
        rounded = torch.round(parameter.detach() * (GRAIN * _ADDED[name] if added else GRAIN))
        tables[name] = torch.clamp(rounded, -most, most).to(torch.int64).numpy()
    return Policy(**tables)
