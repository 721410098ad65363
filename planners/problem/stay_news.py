"""What a problem says of how long its user will stay."""

from __future__ import annotations

import math
from dataclasses import dataclass

from layerlift.models.errors import PlanError


@dataclass(frozen=True, slots=True)
class StayNews:
    """Seconds from now until the user asks nothing new; finite, at least 0."""

    left_s: float
    """As it will be."""
    mean_left_s: float
    """On average, by the law that the stay was drawn from and the time that has passed."""
    memoryless: bool
    """Whether that law is exponential, so that what is left has it too; else the mean is all that is said."""

    def __post_init__(self) -> None:
        if not all(math.isfinite(each) and each >= 0.0 for each in (self.left_s, self.mean_left_s)):
            raise PlanError(f"a stay has {self.left_s} s left, {self.mean_left_s} on average: expected numbers >= 0")
