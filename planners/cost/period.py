"""The period: how long a query keeps the busiest CPU, link or port busy (semantics: "Period").

What a back-to-back stream of one user's queries can sustain is one query a period, however long each takes: stages on
different nodes work on different queries at once. Nothing in it adds up: it is a maximum over nodes, directed pairs
of nodes, and what several pairs share (`Problem.shared`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from layerlift.models.sums import int_sum
from layerlift.planners.problem.problem import Floats, Problem, occupied


def busiest_s(problem: Problem, busy_s: Sequence[float], carried_bytes: Mapping[tuple[int, int], int]) -> float:
    """The period of one placement: seconds of each node's CPU, shape (N,), and bytes from node to node, by pair."""
    occupancy = problem.tables.occupancy
    longest = max(busy * occupancy[node] for node, busy in enumerate(busy_s))
    shared, bandwidth = problem.shared, problem.tables.bandwidth_bytes_s
    if shared is not None and not shared.queue:
        return longest
    for (source, to), size in carried_bytes.items():
        longest = max(longest, size / bandwidth[source][to])
    if shared is not None:
        for rate, carries in zip(shared.bytes_s.tolist(), shared.carries, strict=True):
            longest = max(longest, int_sum(size for pair, size in carried_bytes.items() if carries[pair]) / rate)
    return longest


def busiest_links_s(problem: Problem, carried_bytes: Floats) -> Floats:
    """Seconds of the busiest link or port of each of many placements; bytes of shape (P, N * N) -> (P,)."""
    shared = problem.shared
    if shared is not None and not shared.queue:
        return np.zeros(len(carried_bytes))
    longest: Floats = (carried_bytes / problem.bandwidth_bytes_s.ravel()).max(axis=1, initial=0.0)
    if shared is not None and len(shared.bytes_s):
        through = carried_bytes @ shared.carries.reshape(len(shared.bytes_s), -1).T.astype(np.float64)
        longest = np.maximum(longest, (through / shared.bytes_s).max(axis=1))
    return longest


def two_way_s(problem: Problem, server: int, there_bytes: Floats, back_bytes: Floats) -> Floats:
    """The same, where only the client and one server talk: bytes to it and back, shapes (P,) -> (P,)."""
    shared = problem.shared
    if shared is not None and not shared.queue:
        return np.zeros_like(there_bytes)
    there, back = problem.bandwidth_bytes_s[0, server], problem.bandwidth_bytes_s[server, 0]
    longest: Floats = np.maximum(there_bytes / there, back_bytes / back)
    if shared is not None:
        for rate, carries in zip(shared.bytes_s.tolist(), shared.carries, strict=True):
            through = carries[0, server] * there_bytes + carries[server, 0] * back_bytes
            longest = np.maximum(longest, through / rate)
    return longest


def periods(problem: Problem, busy_s: Floats, links_s: Floats, others: Floats | float = 0.0) -> Floats:
    """Periods of many placements: CPU seconds (P, N) and the busiest links' (P,), beside others' pieces (..., N)."""
    made: Floats = np.maximum((busy_s * occupied(problem, others)).max(axis=1), links_s)
    return made
