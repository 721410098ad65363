"""Connections that are slow at first: what a message takes at least, and queries that follow each other on them."""

from __future__ import annotations

from math import frexp, inf
from typing import Final

INITIAL_BYTES: Final = 14_480
"""What a connection sends before it has heard anything: ten segments of 1448 bytes (RFC 6928)."""
REST_S: Final = 0.2
"""Idle for longer than this and a round trip, a connection begins anew (RFC 5681, 4.1, with Linux's least timeout)."""
_LN2: Final = 0.6931471805599453
_ROOT: Final = 0.7071067811865476


def slow_start_s(round_trip_s: float, size: int) -> float:
    """What a message of `size` bytes takes at least, from its departure to its arrival, on a connection that begins."""
    return round_trip_s * log2(1.0 + size / INITIAL_BYTES)


def log2(value: float) -> float:
    """The binary logarithm of a number above 0, to 1e-15 of its size or absolutely; made of + - x / alone.

    The platform's own may differ in its last bit from one processor to the next, and digests would see it.
    """
    mantissa, exponent = frexp(value)
    if mantissa < _ROOT:
        mantissa, exponent = 2.0 * mantissa, exponent - 1
    # ln m = 2 artanh z, with z within 0.172: ten terms are enough.
    z = (mantissa - 1.0) / (mantissa + 1.0)
    square, total = z * z, 0.0
    for power in range(21, 0, -2):
        total = total * square + 1.0 / power
    return exponent + 2.0 * z * total / _LN2


class Connections:
    """When each directed pair of nodes was last used, by the messages of queries that follow each other."""

    def __init__(self, warm: bool = False) -> None:
        """All have been idle for ever, or (`warm`) are in use."""
        self._unknown_s = inf if warm else -inf
        self._last_s: dict[tuple[int, int], float] = {}

    def least_end_s(self, link: tuple[int, int], emitted_s: float, latency_s: float, size: int) -> float:
        """Before when a message that leaves at `emitted_s` cannot be there; 0 on a connection that is in use."""
        entered_s, round_trip_s = emitted_s + latency_s, 2.0 * latency_s
        last_s = self._last_s.get(link, self._unknown_s)
        self._last_s[link] = entered_s if last_s == inf else max(last_s, entered_s)
        if entered_s - last_s > REST_S + round_trip_s:
            return emitted_s + slow_start_s(round_trip_s, size)
        return 0.0

    def ended(self, link: tuple[int, int], at: float) -> None:
        """Note that a message has arrived."""
        self._last_s[link] = at
