"""How long the exact planner may look: limits that count work, so that the same problem has the same answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Effort:
    """Limits of one planning. Wall-clock time is a limit only where `seconds` is given."""

    steps: int
    """Partial placements that one search may look at."""
    nodes: int
    """Nodes of the tree that one mixed-integer program may solve."""
    largest: int
    """Coefficients of the largest program that is tried."""
    seconds: float | None = None
    steps_done: int = 0
    _began: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the time limit, never negative; None without one."""
        return None if self.seconds is None else max(0.0, self.seconds - (time.monotonic() - self._began))

    @property
    def late(self) -> bool:
        """Whether the time limit has passed."""
        return self.seconds_left == 0.0
