"""Which queries are over: all below a number, and some above it, so that memory does not grow with their count."""

from __future__ import annotations


class Finished:
    """The finished queries of one user, whose queries are numbered from 0 and end nearly in order."""

    __slots__ = ("_above", "_floor")

    def __init__(self) -> None:
        self._floor = 0
        """All queries below it are over."""
        self._above: set[int] = set()

    def add(self, query: int) -> None:
        """Note that a query is over."""
        if query >= self._floor:
            self._above.add(query)
        while self._floor in self._above:
            self._above.remove(self._floor)
            self._floor += 1

    def __contains__(self, query: int) -> bool:
        return query < self._floor or query in self._above
