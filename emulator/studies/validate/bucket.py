"""A token bucket in user space: when the bytes of several senders have crossed a link that they share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

BURST_BYTES: Final = 16 << 10
_LEAST_BYTES: Final = 4 << 10
_MOST_BYTES: Final = 64 << 10
_SLOT_S: Final = 2e-3
"""A sender holds the link for about as long at a time: short beside a transfer, long beside a wake-up."""


def slot_bytes(bytes_s: float) -> int:
    """How many bytes a sender puts on a link of so many bytes per second at a time."""
    return min(_MOST_BYTES, max(_LEAST_BYTES, int(bytes_s * _SLOT_S)))


def slots(size: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut `size` bytes into (begin, end) of at most `most` bytes each."""
    return ((begin, min(size, begin + most)) for begin in range(0, size, most))


class Bucket:
    """One direction of a link that carries `bytes_s`. Safe among threads.

    Who sends reserves a slot, sleeps until it has passed, and hands the bytes over: so two senders who always have
    something to send take turns, and each gets half. A sender who wakes late within a message may catch up on
    `burst_bytes`, which a new message may not: nothing can be saved up while nobody sends.
    """

    def __init__(
        self, bytes_s: float, burst_bytes: int = BURST_BYTES, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.bytes_s = bytes_s
        self.slot_bytes = slot_bytes(bytes_s)
        self._burst_s, self._clock = max(burst_bytes, 2 * self.slot_bytes) / bytes_s, clock
        self._lock = threading.Lock()
        self._free_s = -float("inf")
        self.granted = 0
        """Bytes for which slots were reserved so far."""

    def reserve(self, size: int, *, first: bool) -> float:
        """When `size` more bytes will have crossed, on the bucket's clock; `first` of a message."""
        with self._lock:
            now = self._clock()
            self._free_s = max(self._free_s, now if first else now - self._burst_s) + size / self.bytes_s
            self.granted += size
            return self._free_s
