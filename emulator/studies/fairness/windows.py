"""Fairness over time: the indices of a run in each window of virtual time."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from layerlift.emulator.results.sums import rows_of
from layerlift.emulator.studies.fairness.indices import (
    coefficient_of_variation,
    fairness_ratio,
    indices,
    mean,
    starvation_share,
)
from layerlift.emulator.studies.fairness.people import Alone, Person, Waited, benefit, cost
from layerlift.emulator.studies.fairness.shares import Tables, dominant_shares, handed_out, offloading_since, window_of


def over_time(
    tables: Tables,
    world: Mapping[str, Any],
    persons: Sequence[Person],
    edges: Sequence[float],
    alone: Alone | None = None,
) -> list[dict[str, Any]]:
    """Return fairness in each window (from, to] of virtual time.

    `users`: with a cost there (`window_costs`); the indices of their benefits, for all and by kind; `waiting`: users
    with a query open in the window and layers placed on servers by then; of those, `starved` (starvation share) and
    `fairness_ratio` (k x smallest dominant share); `busy_share` and `node_balance` of servers.
    """
    if len(edges) < 2:
        return []
    costs = [window_costs(person, edges, alone) for person in persons]
    handed, since = handed_out(tables, world, edges), offloading_since(tables)
    waiting = [_waiting(person, edges, since.get(person.name, math.inf)) for person in persons]
    loads = _loads(tables, world, edges)
    found: list[dict[str, Any]] = []
    for window, (start_s, end_s) in enumerate(pairwise(edges)):
        there: dict[str, list[float]] = {}
        for person, row in zip(persons, costs, strict=True):
            value = row[window]
            if value is not None:
                there.setdefault(person.kind, []).append(benefit(value))
        everybody = [value for values in there.values() for value in values]
        wanting = [person.name for person, row in zip(persons, waiting, strict=True) if window in row]
        shares = dominant_shares(handed, wanting, window)
        found.append(
            {
                "from_s": start_s,
                "to_s": end_s,
                "users": len(everybody),
                **indices(everybody),
                "kinds": {kind: indices(values) for kind, values in there.items()},
                "waiting": len(wanting),
                "starved": starvation_share(shares),
                "fairness_ratio": fairness_ratio([shares]),
                "busy_share": mean(loads[window]),
                "node_balance": coefficient_of_variation(loads[window]),
            }
        )
    return found


def window_costs(person: Person, edges: Sequence[float], alone: Alone | None = None) -> list[float | None]:
    """Return a user's cost in each window; None before it has any, and while it asks nothing.

    The cost of the queries answered in the window, or of the last window that had one; and at least that of each
    query which is open at the window's end, at its age then, so that the starved show at once and a query just begun
    changes nothing.
    """
    answered: dict[int, list[Waited]] = {}
    opened: dict[int, list[Waited]] = {}
    for query in person.queries:
        last = window_of(edges, query.ended_s)
        if query.state == "answered":
            answered.setdefault(last, []).append(query)
        until = last + 1 if query.state == "open" else last
        for window in range(window_of(edges, query.asked_s), until):
            age_s = edges[window + 1] - query.asked_s
            if age_s > 0:
                opened.setdefault(window, []).append(query._replace(latency_s=age_s, state="open"))
    costs: list[float | None] = []
    carried: float | None = None
    for window in range(len(edges) - 1):
        ended, pending = answered.get(window, []), opened.get(window, [])
        carried = cost(person, ended, alone) if ended else carried
        values = [carried] if carried is not None and (ended or pending) else []
        values += [cost(person, [query], alone) for query in pending]
        costs.append(max((v for v in values if not math.isnan(v)), default=None))
    return costs


def _waiting(person: Person, edges: Sequence[float], since_s: float) -> set[int]:
    """The windows in which the user has a query open while its plan places layers on servers."""
    windows: set[int] = set()
    for query in person.queries:
        if query.ended_s > since_s:
            begun_s = max(query.asked_s, since_s)
            first, last = window_of(edges, begun_s), window_of(edges, query.ended_s)
            windows.update(range(min(first + (begun_s == edges[first + 1]), last), last + 1))
    return windows


def _loads(tables: Tables, world: Mapping[str, Any], edges: Sequence[float]) -> list[list[float]]:
    """Utilisation of each server in each window: samples spread over the window that they end in."""
    cores = {node["name"]: node["cores"] for node in world["nodes"] if node["tier"] in ("edge", "cloud")}
    busy = {name: [0.0] * (len(edges) - 1) for name in cores}
    for row in rows_of(tables("usage").select(["at_s", "node", "busy_s"])):
        if row["node"] in busy:
            at = min(max(bisect_left(edges, row["at_s"] * (1 - 1e-12)) - 1, 0), len(edges) - 2)
            busy[row["node"]][at] += row["busy_s"]
    lengths = [end - start for start, end in pairwise(edges)]
    return [[busy[name][w] / (cores[name] * length) for name in cores] for w, length in enumerate(lengths)]
