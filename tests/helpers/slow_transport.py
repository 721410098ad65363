"""A network with transports that is slow and obviously right: everything is worked out again at every event."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf


@dataclass
class Talk:
    """One message, an upload or not, and when it arrived."""

    at: float
    source: int
    sequence: int
    to: int
    size: int
    upload: bool = False
    ended_s: float = inf
    left: float = 0.0
    ready_s: float = 0.0
    least_s: float = 0.0


@dataclass(frozen=True)
class Lane:
    """A directed pair: its resources (the first is its own), the queues on its way, its weight and how it begins."""

    latency_s: float
    resources: tuple[object, ...]
    queues: tuple[tuple[tuple[object, ...], float], ...] = ()
    """What a message waits, once, when an upload fills one of these resources."""
    weight: float = 1.0
    slow: bool = False


def weighted_rates(
    wants: Sequence[tuple[object, ...]], weights: Sequence[float], capacity: Mapping[object, float]
) -> list[float]:
    """Textbook filling: raise all levels together, each rate at its weight, and freeze the users of what is full."""
    rates, frozen, level = [0.0] * len(wants), set[int](), 0.0
    while len(frozen) < len(wants):
        steps: dict[object, float] = {}
        for resource, whole in capacity.items():
            users = [k for k, used in enumerate(wants) if resource in used]
            rising = [weights[k] for k in users if k not in frozen]
            if rising:
                steps[resource] = (whole - sum(rates[k] for k in users if k in frozen)) / sum(rising)
        level = max(level, min(steps.values()))
        full = {resource for resource, height in steps.items() if height <= level * (1 + 1e-12)}
        for k, used in enumerate(wants):
            if k not in frozen and full.intersection(used):
                rates[k] = level * weights[k]
                frozen.add(k)
    return rates


def simulate_talks(
    talks: Sequence[Talk], lanes: Mapping[tuple[int, int], Lane], capacity: Mapping[object, float]
) -> None:
    """Fill in when each message arrives."""
    entering = sorted(talks, key=lambda t: (t.at + lanes[t.source, t.to].latency_s, t.source, t.sequence))
    waiting: list[Talk] = []
    moving: list[Talk] = []
    held: list[Talk] = []
    used: dict[tuple[int, int, bool], float] = {}
    queue_end: dict[tuple[int, int], float] = {}
    now = 0.0

    def rates() -> list[float]:
        ways = [lanes[t.source, t.to] for t in moving]
        weights = [1.0 if t.upload else way.weight for t, way in zip(moving, ways, strict=True)]
        return weighted_rates([way.resources for way in ways], weights, capacity)

    def filled(resource: object, queue_s: float) -> bool:
        through = [
            (t, rate) for t, rate in zip(moving, rates(), strict=True) if resource in lanes[t.source, t.to].resources
        ]
        long = any(t.upload and t.size >= capacity[resource] * queue_s for t, _ in through)
        return long and sum(rate for _, rate in through) >= capacity[resource] * (1 - 1e-9)

    def enter(talk: Talk) -> None:
        lane, ends, kind = lanes[talk.source, talk.to], (talk.source, talk.to), (talk.source, talk.to, talk.upload)
        full = [queue_s for places, queue_s in lane.queues if queue_s and any(filled(each, queue_s) for each in places)]
        wait_s = 0.0 if talk.upload else sum(full)
        trip_s = 2 * lane.latency_s + wait_s
        busy = any((t.source, t.to, t.upload) == kind for t in (*moving, *held))
        if lane.slow and not busy and now - used.get(kind, -inf) > 0.2 + trip_s:
            talk.least_s = talk.at + trip_s * math.log2(1 + talk.size / 14480)
        used[kind] = now
        talk.left, talk.ready_s = float(talk.size), now
        if not talk.upload:
            talk.ready_s = queue_end[ends] = max(now + wait_s, queue_end.get(ends, 0.0))
        waiting.append(talk)

    while entering or waiting or moving or held:
        speed = rates()
        due = [now + t.left / rate for t, rate in zip(moving, speed, strict=True)]
        first = entering[0].at + lanes[entering[0].source, entering[0].to].latency_s if entering else inf
        then = min([*due, first, *(t.ready_s for t in waiting), *(t.least_s for t in held)])
        for talk, rate in zip(moving, speed, strict=True):
            talk.left -= rate * (then - now)
        now = then
        if then in due:
            held.append(moving.pop(due.index(then)))
        for talk in [t for t in held if t.least_s <= now]:
            held.remove(talk)
            talk.ended_s = used[talk.source, talk.to, talk.upload] = now
        if then == first:
            enter(entering.pop(0))
        for talk in [t for t in waiting if t.ready_s <= now]:
            waiting.remove(talk)
            moving.append(talk)
