"""What links share when a user's queries follow each other: ports, and anything else that several pairs go through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.problem.arrays import Bools, Floats


class _Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...


@dataclass(frozen=True, eq=False)
class SharedLinks:
    """What each of some media carries for all pairs of nodes that go through it; a port is one.

    With M media and the problem's N nodes.
    """

    bytes_s: Floats
    """What each medium carries, shape (M,)."""
    carries: Bools
    """Whether a message from node to node goes through it, shape (M, N, N)."""
    queue: bool = True
    """Whether messages share links at all; otherwise each has its pair's whole bandwidth, and no link is ever busy."""

    def __post_init__(self) -> None:
        media, shape = len(self.bytes_s), self.carries.shape
        if len(shape) != 3 or shape[0] != media or shape[1] != shape[2] or not bool((self.bytes_s > 0.0).all()):
            raise PlanError(
                f"problem.shared has {media} media and pairs of shape {shape}, expected bytes a second above 0 and "
                "pairs of shape (media, nodes, nodes)"
            )
        for array in (self.bytes_s, self.carries):
            array.setflags(write=False)

    @property
    def nodes(self) -> int:
        """How many nodes it speaks of; 0 where there is no medium."""
        return self.carries.shape[1] if len(self.bytes_s) else 0

    def told(self, hasher: _Hasher) -> None:
        """Make it part of a digest."""
        hasher.update(repr((self.queue, self.carries.shape)).encode())
        hasher.update(np.ascontiguousarray(self.bytes_s).tobytes())
        hasher.update(np.ascontiguousarray(self.carries).tobytes())

    def __setstate__(self, state: dict[str, object]) -> None:
        """Come out of a pickle as read-only as before."""
        self.__dict__.update(state)
        for array in (self.bytes_s, self.carries):
            array.setflags(write=False)


def ports(uplink_bytes_s: Floats, downlink_bytes_s: Floats, queue: bool = True) -> SharedLinks:
    """The ports of all nodes, shapes (N,): what a node sends to all together, and receives. Infinite ones are none."""
    nodes = len(uplink_bytes_s)
    apart = ~np.eye(nodes, dtype=np.bool_)
    carries, rates = [], []
    for node in range(nodes):
        sends = np.zeros((nodes, nodes), dtype=np.bool_)
        sends[node] = apart[node]
        for rate, pairs in ((uplink_bytes_s[node], sends), (downlink_bytes_s[node], sends.T)):
            if queue and np.isfinite(rate):
                carries.append(pairs)
                rates.append(float(rate))
    made = np.array(carries, dtype=np.bool_).reshape(-1, nodes, nodes)
    return SharedLinks(np.array(rates, dtype=np.float64), made, queue)
