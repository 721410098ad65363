"""A policy: three layers of whole numbers that score the steps from node to node, the same on every processor.

Weights, inputs and what the layers make are whole numbers held in float32, and no sum can reach 2^24: whatever the
order of summation, and whether multiplication and addition are fused, the bits are the same. After each layer comes a
power of two, rounding down, and a clip; there is nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from layerlift.models.errors import PlanError
from layerlift.planners.learned.features import LARGEST, OF_NODE, OF_PIECE, OF_STEP, Features

Table = NDArray[np.int64]
EXACT: Final = 2**24
"""Below it, float32 holds every whole number."""
MOST_WEIGHT: Final = 127
MOST_INSIDE: Final = 255
"""What a layer hands on is from 0 to that."""
MOST_SCORE: Final = 1023
SHIFTS: Final = (7, 6, 8)
"""By which power of two each layer's sums are divided."""
WIDEST: Final = 512


@dataclass(frozen=True)
class Policy:
    """The whole numbers of one network, h and g wide inside."""

    piece: Table
    """Shape (OF_PIECE, h)."""
    target: Table
    """Of the node that is gone to, shape (OF_NODE, h)."""
    source: Table
    """Of the node that is left, shape (OF_NODE, h)."""
    step: Table
    """Shape (OF_STEP, h)."""
    first: Table
    """Added in the first layer, shape (h,)."""
    inner: Table
    """Shape (h, g)."""
    second: Table
    """Added in the second layer, shape (g,)."""
    outer: Table
    """Shape (g, 1)."""
    third: Table
    """Added in the last layer, shape (1,)."""

    @property
    def tables(self) -> dict[str, Table]:
        """The arrays by name, in order."""
        return {each.name: self.__dict__[each.name] for each in fields(self)}

    def check(self, origin: str) -> None:
        """Raise `PlanError` unless shapes fit, and no sum can reach `EXACT`. `origin` names the file."""
        wide, narrow = self.first.size, self.second.size
        wanted = {
            "piece": (OF_PIECE, wide), "target": (OF_NODE, wide), "source": (OF_NODE, wide), "step": (OF_STEP, wide),
            "first": (wide,), "inner": (wide, narrow), "second": (narrow,), "outer": (narrow, 1), "third": (1,),
        }  # fmt: skip
        for name, table in self.tables.items():
            if table.shape != wanted[name] or not 1 <= table.size <= WIDEST * WIDEST:
                raise PlanError(
                    f"policy {origin}: its table {name!r} has shape {table.shape}, expected {wanted[name]}; "
                    "train it again with layerlift train"
                )
        largest = max(self._largest())
        if largest >= EXACT:
            raise PlanError(
                f"policy {origin}: its sums may reach {largest}, expected less than {EXACT}, below which every "
                "processor adds alike; train it again with layerlift train"
            )

    def _largest(self) -> tuple[int, int, int]:
        """What the sums of each layer can reach, signs and order aside."""
        seen = np.concatenate([self.piece, self.target, self.source, self.step])
        sums = (
            LARGEST * np.abs(seen).sum(axis=0) + np.abs(self.first),
            MOST_INSIDE * np.abs(self.inner).sum(axis=0) + np.abs(self.second),
            MOST_INSIDE * np.abs(self.outer).sum(axis=0) + np.abs(self.third),
        )
        return int(sums[0].max()), int(sums[1].max()), int(sums[2].max())


def exact_scores(policy: Policy, seen: Features) -> Table:
    """What the policy says of every step, in 64-bit whole numbers, shape (P, n, n): what onnxruntime must say too."""
    piece, node, step = (each.astype(np.int64) for each in (seen.piece, seen.node, seen.step))
    summed = (
        (piece @ policy.piece)[:, None, None, :]
        + (node @ policy.target)[:, None, :, :]
        + (node @ policy.source)[:, :, None, :]
        + step @ policy.step
        + policy.first
    )
    wide = np.clip(summed >> SHIFTS[0], 0, MOST_INSIDE)
    narrow = np.clip((wide @ policy.inner + policy.second) >> SHIFTS[1], 0, MOST_INSIDE)
    scores = (narrow @ policy.outer + policy.third) >> SHIFTS[2]
    made: Table = np.clip(scores[..., 0], -MOST_SCORE, MOST_SCORE)
    return made
