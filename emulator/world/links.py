"""Links as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One direction between two nodes."""

    latency_s: float
    bandwidth_bytes_s: float
    price_per_byte: float = 0.0
