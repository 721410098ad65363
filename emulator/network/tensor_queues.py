"""The order of a query's tensors: on each directed pair of nodes they go one at a time (semantics: "A query")."""

from __future__ import annotations

from collections import deque

from layerlift.emulator.protocol.messages import Departure

_KEPT = 65_536
"""Ends that are kept before those that are past are forgotten."""

_Key = tuple[int, int, int, int]


class TensorQueues:
    """Who of each stream is on its way, and who waits behind it; `departure.stream` is not 0 in any of these calls."""

    def __init__(self) -> None:
        self._behind: dict[_Key, deque[Departure]] = {}
        self._ends: dict[_Key, float] = {}

    def waits(self, departure: Departure) -> bool:
        """Let a tensor go, or keep it when another of its stream is on the way."""
        key = _key(departure)
        # A queue, even an empty one, says that somebody of the stream is on the way.
        queue = self._behind.get(key)
        if queue is None:
            self._behind[key] = deque()
            return False
        queue.append(departure)
        return True

    def next(self, departure: Departure) -> Departure | None:
        """Who goes now that a tensor has come to its end, whatever end that was."""
        key = _key(departure)
        if self._behind[key]:
            return self._behind[key].popleft()
        del self._behind[key]
        return None

    def waiting(self) -> list[Departure]:
        """All who wait."""
        return [departure for queue in self._behind.values() for departure in queue]

    def free_s(self, departure: Departure) -> float:
        """Of transfers whose ends are known from the start: when the one before it in its stream has ended."""
        return self._ends.get(_key(departure), 0.0)

    def ends(self, departure: Departure, at: float) -> None:
        """Note when such a transfer ends: what comes next in the stream begins then, though the link is its own."""
        self._ends[_key(departure)] = at

    def forget(self, before: float) -> None:
        """Drop ends that are past, when there are many."""
        if len(self._ends) > _KEPT:
            self._ends = {key: end for key, end in self._ends.items() if end >= before}


def _key(departure: Departure) -> _Key:
    user: int = departure.message.user  # type: ignore[union-attr]
    return departure.source, departure.to, user, departure.stream
