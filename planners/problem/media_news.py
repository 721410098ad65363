"""What a problem says of the shared media between its nodes: a site's uplink, a cell, a back-haul."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.problem.arrays import Bools, Floats


@dataclass(frozen=True, eq=False)
class MediaNews:
    """Each way of each medium that has a limit, K of them, over N nodes. Links are never wider than what they cross."""

    names: tuple[str, ...]
    """Such as `backhaul up`, shape (K,)."""
    bytes_s: Floats
    """What each can carry for all together, shape (K,)."""
    used_bytes_s: Floats
    """What the servers behind it have sent (up) or received (down) over the last seconds, shape (K,).

    As they say it themselves: the best that is known of its use, and 0 where no server is behind it.
    """
    crosses: Bools
    """Whether the way from one node to another goes over it, shape (K, N, N)."""

    def __post_init__(self) -> None:
        count = len(self.names)
        fine = self.bytes_s.shape == self.used_bytes_s.shape == (count,) and self.crosses.shape[:1] == (count,)
        if not fine or not bool((self.bytes_s > 0.0).all()) or not bool((self.used_bytes_s >= 0.0).all()):
            raise PlanError(f"problem.crowd.media has {count} names, expected as many rates above 0 and uses from 0 on")
        if self.crosses.ndim != 3 or self.crosses.shape[1] != self.crosses.shape[2]:
            raise PlanError(f"problem.crowd.media.crosses has shape {self.crosses.shape}, not (media, nodes, nodes)")
        self._seal()

    @property
    def use(self) -> Floats:
        """Share of each that was in use over the last seconds, shape (K,)."""
        used: Floats = self.used_bytes_s / self.bytes_s
        return used

    def label(self) -> bytes:
        """Names all of it: equal news have equal labels."""
        arrays = (self.bytes_s, self.used_bytes_s, self.crosses)
        return b"/".join([repr(self.names).encode(), *(np.ascontiguousarray(each).tobytes() for each in arrays)])

    def _seal(self) -> None:
        for array in (self.bytes_s, self.used_bytes_s, self.crosses):
            array.setflags(write=False)

    def __setstate__(self, state: dict[str, object]) -> None:
        """Come out of a pickle as read-only as before."""
        self.__dict__.update(state)
        self._seal()
