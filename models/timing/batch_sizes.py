"""Seconds of batches of any size, from those of the sizes that were measured."""

from __future__ import annotations

from collections.abc import Sequence


def between(alone: Sequence[float], batches: Sequence[tuple[int, Sequence[float]]], size: int) -> tuple[float, ...]:
    """Seconds per layer for `size` queries at once, 2 or more, where `alone` is of one and `batches` of more.

    Straight lines between the sizes that were measured (ascending, at least one); beyond the largest each layer goes on
    as between the last two.
    """
    known = [(1, alone), *batches]
    at = next((number for number in range(1, len(known) - 1) if known[number][0] >= size), len(known) - 1)
    (low, before), (high, after) = known[at - 1], known[at]
    along = (size - low) / (high - low)
    return tuple(max(0.0, a + along * (b - a)) for a, b in zip(before, after, strict=True))
