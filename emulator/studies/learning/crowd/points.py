"""The curve of a crowd's training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CrowdPoint:
    """One point, measured in worlds that are not learned from. Ratios are to what there is at home."""

    round: int
    cpu_s: float
    """CPU time of the training so far, measuring apart, wherever it was spent."""
    cost: float
    """What was made small, mean over the policies and worlds that were played since the last point."""
    ratio: float
    """The mean over users of latency over that at home."""
    latency: float
    """Mean latency over mean latency at home."""
    away: float
    """The share of plans that leave home."""
    hand_ratio: float
    """`ratio` with the numbers set by hand."""
    hand_latency: float
    """`latency` with the numbers set by hand."""

    def numbers(self) -> dict[str, float]:
        """Those that are measured, by name."""
        return {
            "ratio": self.ratio, "latency": self.latency, "away": self.away,
            "hand_ratio": self.hand_ratio, "hand_latency": self.hand_latency,
        }  # fmt: skip
