"""What a problem says of the transports of its links, beyond the headers that its bandwidths lack already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.problem.arrays import Bools, Floats


class _Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...


@dataclass(frozen=True, eq=False)
class TransportNews:
    """From node to node, of shape (N, N); nothing on the diagonal."""

    queue_s: Floats
    """What a tensor waits that starts while a part of an upload fills the link."""
    query_weight: Floats
    """Of a query against an upload, where they share; above 0."""
    slow_start: Bools
    """Whether connections that have been idle are slow at first (`layerlift.planners.cost.slow_start`)."""

    def __post_init__(self) -> None:
        shape = self.queue_s.shape
        square = len(shape) == 2 and shape[0] == shape[1]
        alike = shape == self.query_weight.shape == self.slow_start.shape
        if not (square and alike and bool((self.queue_s >= 0.0).all()) and bool((self.query_weight > 0.0).all())):
            raise PlanError(
                "problem.transport has waits, weights and slow starts that do not fit: expected square arrays of one "
                "shape, waits of 0 s or more and weights above 0"
            )
        self._read_only()

    @property
    def nodes(self) -> int:
        """How many nodes it speaks of."""
        return len(self.queue_s)

    def told(self, hasher: _Hasher) -> None:
        """Make it part of a digest."""
        for array in (self.queue_s, self.query_weight, self.slow_start):
            hasher.update(np.ascontiguousarray(array).tobytes())

    def _read_only(self) -> None:
        for array in (self.queue_s, self.query_weight, self.slow_start):
            array.setflags(write=False)

    def __setstate__(self, state: dict[str, object]) -> None:
        """Come out of a pickle as read-only as before."""
        self.__dict__.update(state)
        self._read_only()
