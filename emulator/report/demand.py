"""Whether more is asked than can be done: work against processors, and questions that wait at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from layerlift.emulator.report.formatting import count, seconds

ABOVE: Final = 1.05
"""Demand is above capacity from so many times on; below, a closed loop's last questions may be all there is."""
ENOUGH: Final = 20
"""Questions without which nothing is said of demand."""
WAITING: Final = 10
"""Open questions without which no queue is said to grow."""


Times = Mapping[str, Sequence[float]]
"""By user, instants in order."""


class Work(NamedTuple):
    """What one user's questions ask of one node."""

    seconds: float
    """CPU seconds of one of its questions that came here."""
    queries: int
    """Questions of which a piece ran here."""
    since_s: float
    """When its first piece was ready."""


def demand_above_capacity(queries: Any, segments: Any, world: Mapping[str, Any]) -> str | None:
    """Nodes that are asked for more CPU seconds than they have: the worst server, and how many devices."""
    nodes = {node["name"]: node for node in world.get("nodes", ())}
    times = _times(queries)
    ratios = {
        node: _ratio(users, times, nodes[node]["cores"]) for node, users in _works(segments).items() if node in nodes
    }
    over = sorted((node for node in ratios if ratios[node] >= ABOVE), key=lambda node: -ratios[node])
    servers = [node for node in over if nodes[node]["tier"] in ("edge", "cloud")]
    devices = [node for node in over if node not in servers]
    told = []
    if servers:
        more = f", {count(len(servers) - 1, 'other server')} for more than they can" if len(servers) > 1 else ""
        told.append(f"the CPU of {servers[0]} is asked for {ratios[servers[0]]:.3g} times what it can do{more}")
    if devices:
        worst = f"{ratios[devices[0]]:.3g} times, {devices[0]}"
        told.append(f"{count(len(devices), 'device')} for more than they can at home (at worst {worst})")
    return f"Demand above capacity: {'; '.join(told)}. What is not done waits or is lost." if told else None


def _ratio(users: Mapping[str, Work], times: tuple[Times, Times], cores: int) -> float:
    """CPU seconds wanted of a node over those that it has; 0 where too little was asked to tell.

    Of each user, the questions asked since its first piece ran here count, with the mean work of those that came here
    and in the share that did.
    """
    asked, answered = times
    since_s = min(work.since_s for work in users.values())
    needed, counted, until_s = 0.0, 0, since_s
    for user, work in users.items():
        wanted = [at for at in asked.get(user, ()) if at >= work.since_s]
        ended = sum(at >= work.since_s for at in answered.get(user, ()))
        needed += work.seconds * len(wanted) * (min(1.0, work.queries / ended) if ended else 1.0)
        counted += len(wanted)
        until_s = max([until_s, *wanted[-1:]])
    return needed / (cores * (until_s - since_s)) if counted >= ENOUGH and until_s > since_s else 0.0


def _times(queries: Any) -> tuple[Times, Times]:
    """By user, ascending: when questions came, and when those came that were answered."""
    asked: dict[str, list[float]] = defaultdict(list)
    answered: dict[str, list[float]] = defaultdict(list)
    columns = (queries[name].to_pylist() for name in ("user", "asked_s", "status"))
    for user, at, status in sorted(zip(*columns, strict=True), key=lambda row: row[1]):
        asked[user].append(at)
        if status == "answered":
            answered[user].append(at)
    return dict(asked), dict(answered)


def _works(segments: Any) -> dict[str, dict[str, Work]]:
    """By node and user."""
    sums = [("work_s", "sum"), ("query", "count_distinct"), ("ready_s", "min")]
    grouped = segments.group_by(["node", "user"]).aggregate(sums)
    found: dict[str, dict[str, Work]] = defaultdict(dict)
    names = ("node", "user", "work_s_sum", "query_count_distinct", "ready_s_min")
    for node, user, work_s, number, since_s in zip(*(grouped[name].to_pylist() for name in names), strict=True):
        found[node][user] = Work(work_s / number, number, since_s)
    return found


def growing_queues(queries: Any, world: Mapping[str, Any], end_s: float) -> str | None:
    """Kinds whose open questions are more at three quarters than at half time, and more again at the end.

    At the end they are at least ten, two a user, and half as many again as at half time.
    """
    kinds = {user["name"]: user["kind"] for user in world.get("users", ())}
    sizes = Counter(kinds.values())
    instants = (end_s / 2, end_s * 3 / 4, end_s)
    opened: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    columns = (queries[name].to_pylist() for name in ("user", "asked_s", "ended_s", "reason"))
    for user, asked_s, ended_s, reason in zip(*columns, strict=True):
        for number, at in enumerate(instants):
            here = asked_s <= at and (ended_s > at or (at == end_s and reason == "run ended"))
            opened[kinds.get(user, user)][number] += here
    growing = {
        kind: (half, later, last)
        for kind, (half, later, last) in opened.items()
        if half < later < last and last >= max(WAITING, 2 * sizes[kind], 1.5 * half)
    }
    if not growing:
        return None
    told = "; ".join(
        f"of {kind} {half:,}, {later:,} and {last:,} questions are open"
        for kind, (half, later, last) in growing.items()
    )
    return f"Queues grow to the end: {told} after half, three quarters and all of {seconds(end_s)}."
