"""A policy's network as an estimate of what a step will come to: the value of a state, less what the step lacks.

The policy says how steps are ordered, and that is all of it that is kept; the value of states is learned beside it in
floating point, and is of use while learning alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from layerlift.emulator.studies.learning.network import Network
from layerlift.planners.learned.features import LARGEST, OF_NODE, OF_PIECE, Whole
from layerlift.planners.learned.lacking import FINE, MOST_OCTAVES, PER_OCTAVE
from layerlift.planners.problem.problem import Floats

INSIDE: Final = 32
MOST_SHARE: Final = 5.0
"""What is to come is told as a share of what it is with one more move at most; what is more is as bad as that."""
_BEGINS: Final = 3.0
"""With which logit that share begins: nearly all of it."""


class Value:
    """The share of `Ground.rest` that is still to come in a state, between 0 and 1."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        inputs = OF_PIECE + OF_NODE
        made = {
            "value_seen": torch.randn((inputs, INSIDE), generator=generator) / float(inputs) ** 0.5,
            "value_first": torch.zeros(INSIDE),
            "value_outer": torch.randn((INSIDE, 1), generator=generator) / float(INSIDE) ** 0.5,
            "value_second": torch.full((1,), _BEGINS),
        }
        self.parameters: dict[str, Tensor] = {name: each.requires_grad_() for name, each in made.items()}


def shares(parameters: Mapping[str, Tensor], piece: Tensor, source: Tensor) -> Tensor:
    """What `Value` says of states, shapes (S, OF_PIECE) and (S, OF_NODE) -> (S,), by its `parameters`."""
    seen = torch.cat([piece, source], 1) * (1.0 / LARGEST)
    inside = torch.relu(seen @ parameters["value_seen"] + parameters["value_first"])
    return torch.sigmoid(inside @ parameters["value_outer"] + parameters["value_second"])[:, 0]


def expected(
    network: Network, value: Mapping[str, Tensor], seen: Mapping[str, Tensor], taken: Tensor, closed: Tensor
) -> Tensor:
    """The share of `Ground.rest` that a step will come to, shape (S,): the state's, and what the step lacks."""
    scores = network.scores(seen)
    behind = scores.masked_fill(closed, -torch.inf).amax(1) - scores.gather(1, taken[:, None])[:, 0]
    octaves = torch.clamp(behind * (1.0 / PER_OCTAVE), max=MOST_OCTAVES)
    return shares(value, seen["piece"], seen["source"]) + (torch.exp2(octaves) - 1.0) / FINE


def error_of(told: Tensor, made: Tensor) -> Tensor:
    """The loss of `apart`, each: small ones squared (Huber)."""
    found = apart(told, made)
    return torch.nn.functional.smooth_l1_loss(found, torch.zeros_like(found), reduction="none", beta=0.25)


def apart(told: Tensor, made: Tensor) -> Tensor:
    """How far shares are from what steps came to, in octaves, each."""
    return torch.log2(told + 1.0 / FINE) - torch.log2(made + 1.0 / FINE)


def states_worth(value: Mapping[str, Tensor], piece: Whole, node: Whole) -> Floats:
    """`shares` of every state of a problem, shapes (P, OF_PIECE) and (P, n, OF_NODE) -> (P, n)."""
    count, nodes = node.shape[:2]
    wide = np.repeat(piece, nodes, axis=0)
    with torch.no_grad():
        told = shares(value, torch.from_numpy(wide), torch.from_numpy(node.reshape(count * nodes, -1)))
    made: Floats = told.numpy().astype(np.float64).reshape(count, nodes)
    return made
