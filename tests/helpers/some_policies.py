"""Random policies and features, as large as may be, for tests of what learned planners do with them."""

from __future__ import annotations

import numpy as np

from layerlift.planners.learned.features import LARGEST, OF_NODE, OF_PIECE, OF_STEP, Features
from layerlift.planners.learned.policy import MOST_WEIGHT, Policy, Table
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.steps import weights_of


def some_policy(seed: int, wide: int = 32, narrow: int = 16, most: int = MOST_WEIGHT) -> Policy:
    """A policy of random weights, as large as may be."""
    rng = np.random.default_rng(seed)

    def table(*shape: int) -> Table:
        return rng.integers(-most, most + 1, size=shape, dtype=np.int64)

    return Policy(
        table(OF_PIECE, wide), table(OF_NODE, wide), table(OF_NODE, wide), table(OF_STEP, wide), 999 * table(wide),
        table(wide, narrow), 9 * table(narrow), table(narrow, 1), 9 * table(1),
    )  # fmt: skip


def some_features(rng: np.random.Generator) -> Features:
    """Whole numbers of any size that features have; often the largest."""
    pieces, nodes = int(rng.integers(1, 9)), int(rng.integers(1, 7))

    def table(*shape: int) -> np.ndarray:
        drawn = rng.integers(0, LARGEST + 1, size=shape)
        return np.where(rng.random(shape) < 0.2, LARGEST, drawn).astype(np.float32)

    return Features(table(pieces, OF_PIECE), table(pieces, nodes, OF_NODE), table(pieces, nodes, nodes, OF_STEP))


def some_weights(seed: int, *more: int, wide: int = 32, narrow: int = 16) -> Weights:
    """A file's content: one such policy, or `more` of them."""
    return weights_of([some_policy(each, wide, narrow) for each in (seed, *more)], {"worlds": "none"})
