"""What one round was: queries and parts with their times, really run or emulated, in one form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from layerlift.models.sums import left_sum

BEFORE: Final = "before"
AFTER: Final = "after"


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was answered."""

    begun_s: float
    ended_s: float
    up: int
    """How many parts were confirmed when it began."""
    wall_s: float = 0.0
    """What its layers took by the clock, wherever they ran; 0 where that is not known."""
    cpu_s: float = 0.0
    """The same by their threads' own clocks: less, where others had the processor meanwhile."""

    @property
    def latency_s(self) -> float:
        """From its beginning to its answer."""
        return self.ended_s - self.begun_s

    @property
    def corrected_s(self) -> float:
        """Its latency, had its layers had the processor for themselves."""
        return self.latency_s - max(0.0, self.wall_s - self.cpu_s)


@dataclass(frozen=True, slots=True)
class Part:
    """A part that was uploaded."""

    sent_s: float
    ended_s: float
    """When its confirm result came."""


@dataclass(frozen=True, slots=True)
class Round:
    """Queries before, beside and after one upload."""

    started_s: float
    """When the upload began."""
    queries: tuple[Query, ...]
    parts: tuple[Part, ...]
    error: float = 0.0
    """The largest difference of an answer from that of the uncut network, over its largest value."""

    @property
    def upload_s(self) -> float:
        """From the first part's leaving to the last confirm result."""
        return self.parts[-1].ended_s - self.parts[0].sent_s

    def phase(self, query: Query) -> str:
        """`before`, `0 of 3 up`, ..., `after`: by when it began."""
        if query.begun_s < self.started_s:
            return BEFORE
        return AFTER if query.up == len(self.parts) else f"{query.up} of {len(self.parts)} up"

    def phases(self) -> list[str]:
        """All of them, in order."""
        return [BEFORE, *(f"{up} of {len(self.parts)} up" for up in range(len(self.parts))), AFTER]

    @classmethod
    def really(cls, told: Mapping[str, Any], ran: Iterable[Sequence[float]]) -> Round:
        """From what the client tells, and what servers ran: (query, wall seconds, CPU seconds) each."""
        elsewhere: dict[int, list[tuple[float, float]]] = {}
        for query, wall_s, cpu_s in ran:
            elsewhere.setdefault(int(query), []).append((wall_s, cpu_s))
        queries = [
            Query(
                row["begun_s"],
                row["ended_s"],
                row["up"],
                row["wall_s"] + left_sum(wall_s for wall_s, _ in elsewhere.get(row["query"], [])),
                row["cpu_s"] + left_sum(cpu_s for _, cpu_s in elsewhere.get(row["query"], [])),
            )
            for row in told["queries"]
        ]
        parts = [Part(part["sent_s"], part["ended_s"]) for part in told["parts"]]
        return cls(told["started_s"], tuple(queries), tuple(parts), told["difference"])


def interference(rounds: Iterable[Round]) -> float:
    """What share of the time for computing others had the processor: 0 on an idle machine."""
    queries = [query for each in rounds for query in each.queries]
    wall_s = left_sum(query.wall_s for query in queries)
    return max(0.0, 1 - left_sum(query.cpu_s for query in queries) / wall_s) if wall_s else 0.0
