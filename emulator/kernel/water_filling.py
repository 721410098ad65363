"""Water-filling: one resource by weight, and several at once by dominant share. Nothing but + - x /, min and max."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import fsum, inf


def fill(capacity: float, weights: Sequence[float], wanted: Sequence[float]) -> list[float]:
    """Divide `capacity` so that each gets `min(wanted, level * weight)`: the weighted max-min fair division.

    Nothing is left while anybody with a weight wants more. `wanted` and `capacity` may be infinite, weights may be
    zero (then the share is). The same claims have the same shares, however they are listed. Source: D. Bertsekas,
    R. Gallager, Data Networks, section 6.5.2.
    """
    # `fsum` rounds once, at the end: so the order of the claims cannot show in anybody's share.
    if fsum(wanted) <= capacity:
        return [want if weight > 0.0 else 0.0 for want, weight in zip(wanted, weights, strict=True)]
    level = _level(capacity, weights, wanted)
    return [min(want, level * weight) if weight > 0.0 else 0.0 for want, weight in zip(wanted, weights, strict=True)]


def _level(capacity: float, weights: Sequence[float], wanted: Sequence[float]) -> float:
    """The water's level when not everybody can have all."""
    # Mostly everybody wants more than its part, and nothing has to be sorted.
    level = capacity / (fsum(weights) or 1.0)
    if all(want >= level * weight for want, weight in zip(wanted, weights, strict=True)):
        return level
    order = sorted((want / weight, weight, want) for want, weight in zip(wanted, weights, strict=True) if weight > 0.0)
    # Weights of those who are still waiting, summed from the end: subtracting one after the other would leave rounding.
    waiting = list(accumulate(weight for _, weight, _ in reversed(order)))
    left = capacity
    for ratio, _, want in order:
        level = max(left, 0.0) / waiting.pop()
        if ratio > level:  # this one, and so all after it, wants more than the water's level gives
            return level
        left -= want
    return inf


def fill_dominant(
    demands: Sequence[Sequence[float]],
    weights: Sequence[float],
    floors: Sequence[Sequence[float]] | None = None,
    room: float = 1.0,
) -> list[float]:
    """Raise all users' weighted dominant shares together until what they need is used up; return each one's speed.

    `demands[u][r]` is the part of resource r that user u needs at full speed (may be above 1); `floors[u][r]` is
    what it has already and keeps. User u gets `max(floor, speed * demand)` of each resource, with speed in [0, 1],
    and all together at most `room` of each resource unless the floors alone are more. A user stops at full speed, or
    when a resource of which it needs more is used up; the others go on. Who needs nothing goes at full speed.
    Source: Ghodsi et al., Dominant Resource Fairness, NSDI 2011; weights as in its section 4.3; floors as in Kash,
    Procaccia, Shah, JAIR 51, 2014.
    """
    held = floors or [[0.0] * len(demand) for demand in demands]
    dominant = [max(demand, default=0.0) for demand in demands]
    # At level l of the weighted dominant shares, a user goes at l * pace, whatever it is that dominates for it.
    pace = [weight / most if most > 0.0 else inf for most, weight in zip(dominant, weights, strict=True)]
    limits = [1.0] * len(demands)
    open_ = list(range(len(demands[0]))) if demands else []
    while open_:
        levels = [_level_of(r, demands, held, pace, limits, room) for r in open_]
        tightest = levels.index(min(levels))
        if levels[tightest] == inf:  # there is enough of all that is left for whoever is not stopped yet
            break
        r, level = open_.pop(tightest), levels[tightest]
        # Who needs the resource that is used up stops here, or where its floor lets it be already.
        for u, demand in enumerate(demands):
            if demand[r] > 0.0:
                limits[u] = min(limits[u], max(level * pace[u], held[u][r] / demand[r]))
    return limits


def _level_of(
    r: int,
    demands: Sequence[Sequence[float]],
    held: Sequence[Sequence[float]],
    pace: Sequence[float],
    limits: Sequence[float],
    room: float,
) -> float:
    """The weighted dominant share at which resource r is used up; infinite when there is enough for all.

    What is used grows piecewise linearly with the level. The bends are where a user outgrows its floor and where it
    stops; the last bend below the room is found by bisection, the rest of the way is a straight line. Without floors
    it is plain water-filling.
    """
    # Whoever is stopped at or below its floor keeps the floor, whatever the level.
    growing = [limit * demand[r] > floor[r] for limit, demand, floor in zip(limits, demands, held, strict=True)]
    rows = [
        (held[u][r], limits[u] * demands[u][r], pace[u] * demands[u][r]) for u, grows in enumerate(growing) if grows
    ]
    left = room - fsum(floor[r] for floor, grows in zip(held, growing, strict=True) if not grows)
    if fsum(top for _, top, _ in rows) <= left:
        return inf
    if left <= fsum(floor for floor, _, _ in rows):
        return 0.0
    if all(floor == 0.0 for floor, _, _ in rows):
        return _level(left, [slope for _, _, slope in rows], [top for _, top, _ in rows])

    def used(level: float) -> float:
        return fsum([max(floor, min(top, level * slope)) for floor, top, slope in rows])

    bends = sorted({at / slope for floor, top, slope in rows for at in (floor, top)})
    low, high = 0, len(bends) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if used(bends[middle]) <= left else (low, middle)
    before, after = used(bends[low]), used(bends[high])
    if after <= before:  # nothing grows between the two bends, and there is nothing to divide by
        return bends[low]
    return bends[low] + (bends[high] - bends[low]) * max(0.0, left - before) / (after - before)
