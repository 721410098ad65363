"""A network that is slow and obviously right: everything is worked out again at every event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf


@dataclass
class Sent:
    """One message, and what became of it."""

    at: float
    source: int
    sequence: int
    to: int
    size: int
    user: int = 0
    stream: int = 0
    cancel_s: float = inf
    """When its sender cancels it."""
    began_s: float = inf
    ended_s: float = inf
    stopped_s: float = inf
    left: float = field(default=0.0)


def fair_rates(wants: Sequence[tuple[object, ...]], capacity: Mapping[object, float]) -> list[float]:
    """Textbook progressive filling: raise all rates together, freeze the users of each resource as it fills up.

    `wants[k]` are the resources that flow k uses.
    """
    rates = [0.0] * len(wants)
    frozen: set[int] = set()
    level = 0.0
    while len(frozen) < len(wants):
        steps = {}
        for resource, whole in capacity.items():
            users = [k for k, used in enumerate(wants) if resource in used]
            rising = [k for k in users if k not in frozen]
            if rising:
                taken = sum(rates[k] for k in users if k in frozen)
                steps[resource] = (whole - taken) / len(rising)
        level = max(level, min(steps.values()))
        full = {resource for resource, height in steps.items() if height <= level * (1 + 1e-12)}
        for k, used in enumerate(wants):
            if k not in frozen and full.intersection(used):
                rates[k] = level
                frozen.add(k)
    return rates


def simulate(
    messages: Sequence[Sent],
    latency_s: Mapping[tuple[int, int], float],
    bandwidth: Mapping[tuple[int, int], float],
    uplink: Mapping[int, float],
    downlink: Mapping[int, float],
    shared: bool = True,
    media: Mapping[tuple[int, int], Sequence[object]] | None = None,
    carries: Mapping[object, float] | None = None,
) -> None:
    """Fill in when each message begins to move, ends or is stopped.

    `media` has what else each pair of nodes goes over, and `carries` what that can carry.
    """
    capacity: dict[object, float] = {("pair", *pair): rate for pair, rate in bandwidth.items()}
    capacity |= {("up", node): rate for node, rate in uplink.items() if rate < inf}
    capacity |= {("down", node): rate for node, rate in downlink.items() if rate < inf}
    capacity |= dict(carries or {})
    crossed = media or {}
    entering = sorted(messages, key=lambda m: (m.at + latency_s[m.source, m.to], m.source, m.sequence))
    waiting: list[Sent] = []
    moving: list[Sent] = []
    now = 0.0
    for message in messages:
        message.left = float(message.size)

    def rates() -> list[float]:
        if not shared:
            return [bandwidth[m.source, m.to] for m in moving]
        wants = [
            (("pair", m.source, m.to), ("up", m.source), ("down", m.to), *crossed.get((m.source, m.to), ()))
            for m in moving
        ]
        return fair_rates(wants, capacity)

    def start(message: Sent) -> None:
        message.began_s = now
        moving.append(message)

    def blocked(message: Sent) -> bool:
        key = message.source, message.to, message.user, message.stream
        return bool(message.stream) and any((m.source, m.to, m.user, m.stream) == key for m in moving)

    while entering or waiting or moving:
        speed = rates()
        due = [now + m.left / rate for m, rate in zip(moving, speed, strict=True)]
        stops = [m.cancel_s + latency_s[m.source, m.to] for m in moving]
        enters = entering[0].at + latency_s[entering[0].source, entering[0].to] if entering else inf
        then = min([*due, *stops, enters])
        for message, rate in zip(moving, speed, strict=True):
            message.left -= rate * (then - now)
        now = then
        if then in due:
            done = moving.pop(due.index(then))
            done.ended_s = then
        elif then in stops:
            gone = moving.pop(stops.index(then))
            gone.stopped_s = then
        else:
            waiting.append(entering.pop(0))
        for message in list(waiting):
            if not blocked(message):
                waiting.remove(message)
                start(message)


def union_s(spans: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    """Seconds of `begin..end` that at least one span covers."""
    edges = sorted({begin, end, *(edge for span in spans for edge in span if begin < edge < end)})
    return sum(b - a for a, b in pairwise(edges) if any(s <= a and b <= e for s, e in spans))
