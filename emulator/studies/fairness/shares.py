"""What the servers handed out, to whom and when: CPU, memory and bytes by user and window, and dominant shares.

Tables hold what was used, not what was offered. So a share here is a user's part of what all users together got in a
window, and a server that stands idle takes nothing from anybody's share.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from layerlift.emulator.results.sums import rows_of

Tables = Callable[[str], Any]

RESOURCES: Final = ("cpu_s", "memory_byte_s", "bytes")
"""Seconds of work on servers; bytes x seconds of parameters held there; bytes between client and servers."""

Handed = Mapping[str, Sequence[Sequence[float]]]
"""By user: one list per resource of `RESOURCES`, with an amount per window."""


def window_edges(end_s: float, sample_s: float, most: int) -> list[float]:
    """Return the edges (s) of at most `most` windows over [0, end_s]: whole numbers of sampling periods, the last cut.

    An infinite sampling period gives one window; nothing to cover gives no edges.
    """
    if not end_s > 0:
        return []
    periods = end_s / sample_s
    step = sample_s * max(1, -(-periods // most))
    edges = [0.0]
    while edges[-1] + step < end_s * (1 - 1e-12):
        edges.append(len(edges) * step)
    return [*edges, end_s]


def window_of(edges: Sequence[float], at_s: float) -> int:
    """Return the number of the window (from, to] that an instant is in; instants outside are in the nearest."""
    return min(max(bisect_left(edges, at_s) - 1, 0), len(edges) - 2)


def handed_out(tables: Tables, world: Mapping[str, Any], edges: Sequence[float]) -> Handed:
    """Return what each user got of each resource in each window.

    Work of a segment is spread evenly over the time it ran, bytes of a query or of a part over the time from its
    sending to its end; memory is exact, from admission to release. Bytes between servers belong to nobody here.
    """
    windows = len(edges) - 1
    handed: dict[str, list[list[float]]] = defaultdict(lambda: [[0.0] * windows for _ in RESOURCES])
    servers = {node["name"] for node in world["nodes"] if node["tier"] in ("edge", "cloud")}
    for row in rows_of(tables("segments").select(["node", "user", "begun_s", "ended_s", "work_s"])):
        if row["node"] in servers:
            _spread(handed[row["user"]][0], edges, row["begun_s"], row["ended_s"], row["work_s"])
    for row in rows_of(tables("allocations").select(["at_s", "user", "event", "bytes"])):
        sign = {"admitted": 1.0, "released": -1.0, "evicted": -1.0, "lost": -1.0}.get(row["event"], 0.0)
        _hold(handed[row["user"]][1], edges, row["at_s"], sign * row["bytes"])
    for row in rows_of(tables("queries").select(["user", "begun_s", "ended_s", "sent_bytes", "received_bytes"])):
        carried = row["sent_bytes"] + row["received_bytes"]
        _spread(handed[row["user"]][2], edges, row["begun_s"], row["ended_s"], carried)
    for row in rows_of(tables("uploads").select(["user", "sent_s", "ended_s", "bytes", "wasted_bytes", "status"])):
        if row["status"] in ("confirmed", "refused"):
            carried = row["bytes" if row["status"] == "confirmed" else "wasted_bytes"]
            _spread(handed[row["user"]][2], edges, row["sent_s"], row["ended_s"], carried)
    for got in handed.values():
        got[1] = _without_dust(got[1])
    return handed


def dominant_shares(handed: Handed, users: Sequence[str], window: int) -> list[float]:
    """Return each of these users' dominant share of what all users got in a window, in [0, 1].

    The largest over resources of (what the user got) / (what everybody got); a resource of which nobody got any does
    not count. Source: Ghodsi et al., Dominant Resource Fairness, NSDI 2011, with what was handed out for capacity.
    """
    totals = [sum(got[resource][window] for got in handed.values()) for resource in range(len(RESOURCES))]
    shares = []
    for user in users:
        got = handed.get(user)
        parts = (
            [] if got is None else [min(1.0, max(0.0, g[window] / t)) for g, t in zip(got, totals, strict=True) if t]
        )
        shares.append(max(parts, default=0.0))
    return shares


def disruptions(tables: Tables) -> list[float]:
    """Return the instants (s) at which a policy took back what a user still wanted: not leavings, not crashes."""
    rows = rows_of(tables("allocations").select(["at_s", "event"]))
    return [row["at_s"] for row in rows if row["event"] == "evicted"]


def offloading_since(tables: Tables) -> dict[str, float]:
    """Return since when (s) each user wants something of the servers: its first accepted plan that places layers there.

    Users who never had such a plan are not in it: whether they wanted something, the tables do not tell.
    """
    since: dict[str, float] = {}
    for row in rows_of(tables("plans").select(["at_s", "user", "status", "p1_layers"])):
        if row["status"] == "accepted" and row["p1_layers"] > 0:
            since.setdefault(row["user"], row["at_s"])
    return since


def _spread(amounts: list[float], edges: Sequence[float], begun_s: float, ended_s: float, amount: float) -> None:
    first, last = window_of(edges, begun_s), window_of(edges, ended_s)
    if first == last or ended_s <= begun_s:
        amounts[last] += amount
        return
    for window in range(first, last + 1):
        inside = min(ended_s, edges[window + 1]) - max(begun_s, edges[window])
        amounts[window] += amount * max(0.0, inside) / (ended_s - begun_s)


def _hold(amounts: list[float], edges: Sequence[float], since_s: float, held: float) -> None:
    """Hold so many bytes (less, when negative) from an instant to the last edge."""
    for window in range(window_of(edges, since_s) if held else len(amounts), len(amounts)):
        amounts[window] += held * max(0.0, edges[window + 1] - max(since_s, edges[window]))


def _without_dust(amounts: list[float]) -> list[float]:
    """What admissions and releases leave by rounding is nothing: it must not become somebody's share."""
    least = 1e-9 * max(amounts, default=0.0)
    return [amount if amount > least else 0.0 for amount in amounts]
