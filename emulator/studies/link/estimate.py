"""From what was seen on a link to the fields of a scenario: the closed form of docs/semantics.md, solved for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from layerlift.planners.cost.slow_start import INITIAL_BYTES, slow_start_s

SMALL: Final = 4096
"""Bytes of the message that finds the queue."""
LARGE: Final = 600 << 10
"""Bytes of the message that finds its share."""
LEAST_WEIGHT: Final = 0.01
MOST_WEIGHT: Final = 100.0
_NOTICED: Final = 0.5
"""Of what a slow start takes by the model: from so much on it is one."""
_LN2: Final = 0.6931471805599453


@dataclass(frozen=True, slots=True)
class Seen:
    """One direction, as it was measured; seconds of round trips whose other way is next to nothing."""

    goodput_bytes_s: float
    """Of an upload that has the link to itself."""
    small_s: Sequence[float]
    """Of `SMALL` bytes, alone."""
    large_s: Sequence[float]
    """Of `LARGE` bytes, alone, one after the other."""
    small_beside_s: Sequence[float]
    """Of `SMALL` bytes beside an upload."""
    large_beside_s: Sequence[float]
    warm_s: Sequence[float] = ()
    """Of `cold_bytes`, alone, one after the other."""
    cold_s: Sequence[float] = ()
    """The same after a second of idleness."""
    cold_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Fields:
    """What a scenario says of one direction."""

    latency_ms: float
    goodput_mbit_s: float
    queue_ms: float
    query_weight: float
    slow_start: bool
    told: bool
    """Whether a slow start would have been seen, if there was one."""


def fields(seen: Seen) -> Fields:
    """Solve T = latency + D + S (1 + w) / (c w), beside an upload, and T = latency + S / c, alone, for D and w."""
    bytes_s = seen.goodput_bytes_s
    small_s, beside_s = median(seen.small_s), median(seen.small_beside_s)
    more_small_s, more_large_s = beside_s - small_s, median(seen.large_beside_s) - median(seen.large_s)
    slower_s = more_large_s - more_small_s
    weight = MOST_WEIGHT if slower_s <= 0.0 else (LARGE - SMALL) / (bytes_s * slower_s)
    weight = min(MOST_WEIGHT, max(LEAST_WEIGHT, weight))
    queue_s = max(0.0, more_small_s - SMALL / (bytes_s * weight))
    trip_s = round_trip_s(seen.small_s, bytes_s)
    slow, told = _slow_start(seen, trip_s)
    return Fields(
        latency_ms=max(0.001, 500.0 * trip_s),
        goodput_mbit_s=bytes_s / 125_000,
        queue_ms=1000.0 * queue_s,
        query_weight=weight,
        slow_start=slow,
        told=told,
    )


def round_trip_s(small_s: Sequence[float], bytes_s: float) -> float:
    """The latency there and back: what small messages take beside carrying them."""
    return max(0.0, median(small_s) - SMALL / bytes_s)


def cold_size(trip_s: float, bytes_s: float) -> int:
    """Bytes of a message that a slow start lengthens most, by the model; 0 where it lengthens none."""
    size = int(bytes_s * trip_s / _LN2) - INITIAL_BYTES
    return min(max(size, 0), 4 << 20) if size > INITIAL_BYTES else 0


def _slow_start(seen: Seen, trip_s: float) -> tuple[bool, bool]:
    """Whether connections are slow at first, and whether that could be seen."""
    if not seen.cold_bytes or not seen.cold_s or not seen.warm_s:
        return False, False
    warm_s, cold_s = median(seen.warm_s), median(seen.cold_s)
    # A slow start is one of the whole way; the answer comes back in half a round trip.
    longer_s = slow_start_s(trip_s, seen.cold_bytes) + trip_s / 2.0 - warm_s
    if longer_s < 0.002 or longer_s < 0.1 * warm_s:
        return False, False
    return cold_s - warm_s > _NOTICED * longer_s, True
