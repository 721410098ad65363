"""What draws ways by a policy, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, Protocol

import numpy as np

from layerlift.planners.graphs.pieces import Sums
from layerlift.planners.learned.features import features_of
from layerlift.planners.learned.policy_file import Kind, Weights, parsed
from layerlift.planners.learned.priced import Priced
from layerlift.planners.learned.scorer import Scorer
from layerlift.planners.learned.steps import STEPS
from layerlift.planners.learned.walk import ways
from layerlift.planners.problem.problem import Floats, Ints


class Walker(Protocol):
    """A policy that is ready to run."""

    def ways(self, sums: Sums, seen: Priced, count: int, draws: np.random.Generator, room: Floats) -> Ints:
        """About `count` ways of a problem's P pieces, shape (K, P), as numbers of `seen.nodes`; the first by no chance.

        `room`, shape (n,), holds the bytes that fit on each of these nodes, without an end where nobody minds.
        """


class StepsWalker:
    """Walks by the scores of steps: of each network the same number, network by network."""

    def __init__(self, weights: Weights) -> None:
        self._scorer = Scorer(weights)

    def ways(self, sums: Sums, seen: Priced, count: int, draws: np.random.Generator, room: Floats) -> Ints:
        """See `Walker`."""
        scores = self._scorer.scores(features_of(seen))
        each = max(1, count // len(scores))
        made = [ways(table, seen.forbidden, each, draws, sums.facts.held, room) for table in scores]
        return np.concatenate(made)


WALKERS: Final[Mapping[str, Callable[[Weights], Walker]]] = {STEPS.name: StepsWalker}
"""By the name of a kind of policy."""


def walker(weights: Weights) -> Walker:
    """What walks by a policy."""
    return WALKERS[weights.kind.name](weights)


@lru_cache(maxsize=16)
def walker_of(content: bytes, kind: Kind) -> Walker:
    """What walks by the policy that a file holds: made once in a process."""
    return walker(parsed(content, (kind,)))
