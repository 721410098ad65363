"""Functions that come out the same on every processor: nothing but + - x /, as everything that plans depend on."""

from __future__ import annotations

HALVINGS = 30
"""exp(x) = exp(x / 2^30)^(2^30): the series then needs three terms."""

LARGEST = 700.0
"""Beyond it exp leaves the range of a double."""


def exponential(x: float) -> float:
    """E to the power x, to about 1e-7 relative; `x` is clamped to +-700."""
    x = min(max(x, -LARGEST), LARGEST)
    small = x / (1 << HALVINGS)
    made = 1.0 + small * (1.0 + small / 2.0 * (1.0 + small / 3.0))
    for _ in range(HALVINGS):
        made *= made
    return made
