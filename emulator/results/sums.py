"""Small sums over result tables, from which the summary is put together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple


def spread(values: Iterable[float]) -> dict[str, float] | None:
    """Count, mean, median and 95th percentile (linear between ranks) of some values; None when there are none."""
    ranked = sorted(values)
    if not ranked:
        return None
    return {
        "count": len(ranked),
        "mean": math.fsum(ranked) / len(ranked),
        "median": quantile(ranked, 0.5),
        "p95": quantile(ranked, 0.95),
    }


def summed(values: Iterable[float | None]) -> float | None:
    """The exact sum of what there is; None of nothing."""
    there = [value for value in values if value is not None]
    return math.fsum(there) if there else None


def quantile(ranked: Sequence[float], share: float) -> float:
    """The value below which `share` of the ascending, non-empty `ranked` lies, linear between neighbours."""
    place = share * (len(ranked) - 1)
    low = int(place)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (place - low)


def rows_of(table: Any) -> Iterator[dict[str, Any]]:
    """A table's rows as dictionaries."""
    names = table.column_names
    for values in zip(*(column.to_pylist() for column in table.columns), strict=True):
        yield dict(zip(names, values, strict=True))


def grouped(table: Any, column: str) -> dict[str, list[dict[str, Any]]]:
    """Rows by the value of one column, in order."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows_of(table):
        groups[row[column]].append(row)
    return groups


class Asked(NamedTuple):
    """What the summary needs of a query; there may be many."""

    answered: bool
    reason: str
    begun_s: float
    latency_s: float
    money: float
    ended_s: float


def asked_by_user(table: Any) -> dict[str, list[Asked]]:
    """The queries of each user, in the order in which they ended."""
    groups: dict[str, list[Asked]] = defaultdict(list)
    for part in table.select(["user", "status", "reason", "begun_s", "latency_s", "money", "ended_s"]).to_batches():
        for user, status, *rest in zip(*(column.to_pylist() for column in part.columns), strict=True):
            groups[user].append(Asked(status == "answered", *rest))
    return groups


def told_of_plans(table: Any, kinds: Collection[str]) -> dict[tuple[str, int], dict[str, float]]:
    """What `measured` says of plans, by user and number of the plan: the value of each kind that was told."""
    found: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for row in rows_of(table.select(["user", "kind", "query", "value"])):
        if row["kind"] in kinds:
            found[row["user"], row["query"]][row["kind"]] = row["value"]
    return found


def mean_of(values: Iterable[float | None]) -> float | None:
    """The mean of what there is; None of nothing."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def variation(values: Sequence[float]) -> float:
    """Standard deviation (of the whole population) over the mean of numbers of at least 0; all 0 is even: 0."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)) / mean if mean else 0.0


def seen_period(ends: Sequence[float]) -> float | None:
    """Seconds from answer to answer, on average, of answers in the order of their ends; None of fewer than two."""
    return (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else None


def usage_sums(table: Any) -> Mapping[str, dict[str, float]]:
    """Sums over the run per node; `held_bytes` is the most that a sample saw."""
    summed = ("busy_s", "sent_bytes", "received_bytes", "energy_j", "money")
    nodes: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys((*summed, "held_bytes"), 0))
    for row in rows_of(table.select(["node", "held_bytes", *summed])):
        node = nodes[row["node"]]
        for key in summed:
            node[key] += row[key]
        node["held_bytes"] = max(node["held_bytes"], row["held_bytes"])
    return nodes


def held_money(table: Any, world: Mapping[str, Any], end_s: float) -> dict[str, float]:
    """Money per user for parameters held: price x bytes x seconds from admission to release or the run's end."""
    prices = {node["name"]: node["price_per_byte_s"] for node in world["nodes"]}
    sign = {"admitted": 1, "released": -1, "evicted": -1, "lost": -1}
    owed: dict[str, list[float]] = defaultdict(list)
    for row in rows_of(table.select(["at_s", "server", "user", "event", "bytes"])):
        price = prices.get(row["server"], 0.0) * sign.get(row["event"], 0)
        owed[row["user"]].append(price * row["bytes"] * (end_s - row["at_s"]))
    return {user: math.fsum(parts) for user, parts in owed.items()}


def worst_errors(table: Any) -> dict[str, float]:
    """The largest output error per user."""
    worst: dict[str, float] = {}
    for row in rows_of(table.select(["user", "kind", "value"])):
        if row["kind"] == "output_error":
            worst[row["user"]] = max(row["value"], worst.get(row["user"], 0.0))
    return worst
