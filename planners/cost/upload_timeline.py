"""What a user lives through while a plan is uploaded: the latency of queries after each confirm result."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor

from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners.cost.query import latency
from layerlift.planners.cost.slow_start import Connections
from layerlift.planners.problem.plan import Plan, Upload
from layerlift.planners.problem.problem import Problem

SHORTEST_QUERY_S = 1e-9
"""A query that costs nothing is counted as one clock tick, so that back-to-back queries stay finite."""

ROUNDING = 1e-9
"""Share of a query by which an instant may be missed and still be called the same instant."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The uploads of one plan, and the query latency between them; times in seconds from the first send.

    Links are independent: a query and an upload do not slow each other, and connections of queries are in use, while
    those of uploads may be slow at first. `changes_s` and `latencies_s` have one
    entry more than there are distinct confirm times: a query begun at or after `changes_s[k]` (and before the next)
    takes `latencies_s[k]`.
    """

    sent_s: tuple[float, ...]
    """When each part leaves the client, in the plan's order."""
    arrived_s: tuple[float, ...]
    """When its last byte is at the server."""
    confirmed_s: tuple[float, ...]
    """When its confirm result is back at the client."""
    bytes: tuple[int, ...]
    """What each part moves; a parameter that the server already has is not sent again."""
    changes_s: tuple[float, ...]
    latencies_s: tuple[float, ...]

    @property
    def ended_s(self) -> float:
        """When the last confirm result is back; 0 when nothing is uploaded."""
        return max(self.confirmed_s, default=0.0)

    @property
    def total_bytes(self) -> int:
        """What all parts move."""
        return sum(self.bytes)

    @property
    def queries_during_upload(self) -> int:
        """Back-to-back queries answered by `ended_s`."""
        return self.finished_by(self.ended_s)

    def latency_at(self, time_s: float) -> float:
        """Latency of a query begun at `time_s` (at least 0)."""
        return self.latencies_s[bisect_right(self.changes_s, time_s) - 1]

    def finished_by(self, time_s: float) -> int:
        """How many back-to-back queries, the first begun at 0, are answered by `time_s`."""
        begun, count = 0.0, 0
        for index, each_s in enumerate(self.latencies_s):
            each_s = max(each_s, SHORTEST_QUERY_S)
            until = self.changes_s[index + 1] if index + 1 < len(self.changes_s) else float("inf")
            if begun >= until:
                continue
            fitting = floor((time_s - begun) / each_s + ROUNDING)
            if until >= time_s:
                return count + max(0, fitting)
            number = ceil((until - begun) / each_s - ROUNDING)
            if number > fitting:
                return count + max(0, fitting)
            count += number
            begun += number * each_s
        return count

    def delay_area(self, until_s: float) -> float:
        """Area under the latency of a query begun at t, for t from 0 to `until_s`: the total system delay (s * s)."""
        ends = (*self.changes_s[1:], until_s)
        return left_sum(
            each * max(0.0, min(end, until_s) - since)
            for since, end, each in zip(self.changes_s, ends, self.latencies_s, strict=True)
        )


def timeline(
    problem: Problem, plan: Plan, latency_of: Callable[[Problem, tuple[int, ...]], float] = latency
) -> Timeline:
    """Upload `plan` on idle links: each part is sent, built by the server and confirmed before the next one.

    With `uploads_at_once = "per_server"` the parts of different servers travel side by side. A layer runs on its
    planned server once its part is confirmed, until then on the client. Links and servers do as `Problem` says;
    nothing is refused or lost. `latency_of` may stand in for `planners.latency`, to remember what it has computed.
    """
    sent, arrived, confirmed, sizes = _travel(problem, plan.uploads)
    order = sorted(range(len(plan.uploads)), key=lambda part: (confirmed[part], part))
    effective = [CLIENT] * len(problem.graph)
    changes, latencies = [0.0], [latency_of(problem, tuple(effective))]
    if plan.whole:
        order = order[-1:]
    for position, part in enumerate(order):
        for layer in plan.p1 if plan.whole else plan.uploads[part].layers:
            effective[layer] = plan.placement[layer]
        if position + 1 < len(order) and confirmed[order[position + 1]] == confirmed[part]:
            continue
        changes.append(confirmed[part])
        latencies.append(latency_of(problem, tuple(effective)))
    return Timeline(
        tuple(sent),
        tuple(arrived),
        tuple(confirmed),
        tuple(sizes),
        changes_s=tuple(changes),
        latencies_s=tuple(latencies),
    )


def _travel(problem: Problem, uploads: tuple[Upload, ...]) -> tuple[list[float], list[float], list[float], list[int]]:
    """When each part is sent, has arrived and is confirmed, and its bytes."""
    graph, tables = problem.graph, problem.tables
    rate = tables.bandwidth_bytes_s[CLIENT]
    slow = None if problem.transport is None else problem.transport.slow_start
    used = Connections()
    held: dict[int, frozenset[int]] = {}
    free: dict[int, float] = {}
    sent, arrived, confirmed, sizes = [], [], [], []
    for upload in uploads:
        server = upload.server
        queue = server if problem.uploads_at_once == "per_server" else CLIENT
        known = held.get(server, frozenset())
        size = graph.upload_bytes(upload.layers, known)
        held[server] = known | graph.parameters_of(upload.layers)
        begun = free.get(queue, 0.0)
        landed = begun + problem.upload_delay_s(server) + (size + problem.header_bytes) / rate[server]
        if slow is not None and slow[CLIENT, server] and size + problem.header_bytes:
            link, delay_s = (CLIENT, server), problem.upload_delay_s(server)
            landed = max(landed, used.least_end_s(link, begun, delay_s, size + problem.header_bytes))
            used.ended(link, landed)
        built = landed + float(problem.load_s_per_byte[server]) * size
        done = (
            built + tables.latency_s[server][CLIENT] + problem.header_bytes / tables.bandwidth_bytes_s[server][CLIENT]
        )
        free[queue] = done
        sent.append(begun)
        arrived.append(landed)
        confirmed.append(done)
        sizes.append(size)
    return sent, arrived, confirmed, sizes
