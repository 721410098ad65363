"""Who moves, as plain numbers in SI units: the `mobility` of a `World`, and where each client is attached over time.

A way of moving is one class here and one section of a scenario (`layerlift.emulator.scenario.schema.moves`). Walks
over an area know the exact instants at which another edge server becomes the nearest.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NamedTuple, Protocol

Place = tuple[float, float]
_NOWHERE: Final = math.inf


Handover = Literal["reupload", "copy", "forward"]
"""What becomes of a moving user's uploads: sent again by the client, copied between the servers, or left where they
are and reached through the new server."""


class Mobility(Protocol):
    """Clients that move, and what a hand-over costs them."""

    @property
    def clients(self) -> tuple[int, ...]:
        """Node indices; each of them moves by itself."""

    @property
    def interruption_s(self) -> float:
        """How long a client's links to all servers are down at a hand-over."""

    @property
    def handover(self) -> Handover:
        """What becomes of its uploads."""

    @property
    def reachable(self) -> Sequence[int]:
        """Node indices of the edge servers that a client may ever be attached to, ascending."""

    def attachments(self, stream: random.Random) -> Iterator[tuple[float, int]]:
        """To which edge server (node index) a client is attached, and since when; the first holds from 0 on.

        A server may be told again. `stream` is the client's own.
        """


@dataclass(frozen=True, slots=True)
class Waypoint:
    """Each of these clients walks by itself in a rectangle and is attached to the nearest edge server.

    Random waypoint (Johnson and Maltz 1996): from a uniform place straight to another one, at a uniform speed, then a
    uniform pause. A hand-over happens at the exact instant at which another server is nearer by `hysteresis_m`.
    """

    clients: tuple[int, ...]
    area_m: tuple[float, float]
    speed_m_s: tuple[float, float]
    """Lowest and highest; positive, or clients would come to rest for ever."""
    pause_s: tuple[float, float]
    edges: tuple[tuple[int, float, float], ...]
    """Node index and place (x, y) in metres of the edge servers that a client may attach to; at least one."""
    hysteresis_m: float = 0.0
    interruption_s: float = 0.0
    """How long a client's links to all servers are down at a hand-over."""
    handover: Handover = "reupload"

    @property
    def reachable(self) -> Sequence[int]:
        """See `Mobility`."""
        return sorted(edge for edge, _, _ in self.edges)

    def attachments(self, stream: random.Random) -> Iterator[tuple[float, int]]:
        """See `Mobility`."""
        return nearest_edges(self, stream)


@dataclass(frozen=True, slots=True)
class Journey:
    """Clients whose attachments are listed: `stops` are (at_s, edge node), ascending; the first holds from 0 on."""

    clients: tuple[int, ...]
    stops: tuple[tuple[float, int], ...]
    interruption_s: float = 0.0
    handover: Handover = "reupload"

    @property
    def reachable(self) -> Sequence[int]:
        """See `Mobility`."""
        return sorted({edge for _, edge in self.stops})

    def attachments(self, stream: random.Random) -> Iterator[tuple[float, int]]:
        """See `Mobility`."""
        return iter(self.stops)


class Leg(NamedTuple):
    """A straight way walked at constant speed: at `begin_s` in `start`, at `end_s` at the goal; then a pause."""

    begin_s: float
    end_s: float
    start: Place
    direction: Place
    """Unit vector."""
    length_m: float

    def reached_s(self, way_m: float) -> float:
        """When a walker has gone this far, to 1 ns."""
        share = way_m / self.length_m if self.length_m else 1.0
        return round(min(self.end_s, self.begin_s + share * (self.end_s - self.begin_s)), 9)


def walk(spec: Waypoint, rng: random.Random) -> Iterator[Leg]:
    """The endless legs of one client from instant 0 on; drawn numbers are rounded to nine decimals."""
    start, begin_s = _somewhere(spec, rng), 0.0
    while True:
        goal = _somewhere(spec, rng)
        across, along = goal[0] - start[0], goal[1] - start[1]
        length_m = math.sqrt(across * across + along * along)
        end_s = round(begin_s + length_m / _drawn(rng, *spec.speed_m_s), 9)
        direction = (across / length_m, along / length_m) if length_m else (0.0, 0.0)
        yield Leg(begin_s, end_s, start, direction, length_m)
        start, begin_s = goal, round(end_s + _drawn(rng, *spec.pause_s), 9)


def _somewhere(spec: Waypoint, rng: random.Random) -> Place:
    return _drawn(rng, 0.0, spec.area_m[0]), _drawn(rng, 0.0, spec.area_m[1])


def _drawn(rng: random.Random, low: float, high: float) -> float:
    return round(rng.uniform(low, high), 9)


def nearest_edges(spec: Waypoint, rng: random.Random) -> Iterator[tuple[float, int]]:
    """To which edge server (node index) a client is attached, and since when; the first at 0.

    Between hand-overs each leg's end repeats the server, so that whoever waits hears that time goes by. Ends after
    the first where there is only one server.
    """
    places = [(x, y) for _, x, y in spec.edges]
    now = -1
    for leg in walk(spec, rng):
        if now < 0:
            now = min(range(len(places)), key=lambda edge: (_squared(leg.start, places[edge]), edge))
            yield 0.0, spec.edges[now][0]
            if len(places) == 1:
                return
        way_m = 0.0
        while True:
            way_m, other = next_nearest(leg, places, now, way_m, spec.hysteresis_m)
            if way_m > leg.length_m:
                break
            now = other
            yield leg.reached_s(way_m), spec.edges[now][0]
        yield leg.end_s, spec.edges[now][0]


def _squared(one: Place, other: Place) -> float:
    return (one[0] - other[0]) * (one[0] - other[0]) + (one[1] - other[1]) * (one[1] - other[1])


def next_nearest(
    leg: Leg, places: Sequence[Place], now: int, way_m: float, hysteresis_m: float = 0.0
) -> tuple[float, int]:
    """How far on its leg a walker attached to `now` is, from `way_m` on, just before another place is nearer than
    `now` by more than the hysteresis, and which one; an infinite way when none ever is.

    Of several at once, the one that will be the nearest.
    """
    meet = _overtaken if hysteresis_m == 0.0 else _nearer_by
    found = (_NOWHERE, 0.0, now)
    for other, place in enumerate(places):
        if other != now:
            way = max(way_m, meet(leg, places[now], place, way_m, hysteresis_m))
            # The further ahead a place lies, the faster it comes nearer.
            ahead = (place[0] - leg.start[0]) * leg.direction[0] + (place[1] - leg.start[1]) * leg.direction[1]
            found = min(found, (way, -ahead, other))
    return found[0], found[2]


def _overtaken(leg: Leg, here: Place, there: Place, way_m: float, hysteresis_m: float) -> float:
    """Where the bisector is crossed from `here` to `there`: the difference of the squared distances is linear.

    May lie behind `way_m`; then `there` is nearer at once.
    """
    gain, lead = _difference(leg, here, there)
    return -lead / gain if gain > 0.0 else _NOWHERE


def _difference(leg: Leg, here: Place, there: Place) -> tuple[float, float]:
    """The squared distance to `here` less that to `there`, as (slope, value at the start) over the way."""
    across, along = there[0] - here[0], there[1] - here[1]
    gain = 2.0 * (across * leg.direction[0] + along * leg.direction[1])
    return gain, _squared(leg.start, here) - _squared(leg.start, there)


def _nearer_by(leg: Leg, here: Place, there: Place, way_m: float, hysteresis_m: float) -> float:
    """Where the walker enters the branch of a hyperbola inside which `there` is nearer by more than the hysteresis.

    With A and B the squared distances: sqrt(A) = sqrt(B) + h where A - B - h^2 = 2 h sqrt(B), squared a quadratic
    equation of the way.
    """
    gain, lead = _difference(leg, here, there)
    lead -= hysteresis_m * hysteresis_m
    towards = (leg.start[0] - there[0]) * leg.direction[0] + (leg.start[1] - there[1]) * leg.direction[1]
    four = 4.0 * hysteresis_m * hysteresis_m
    roots = _roots(
        gain * gain - four, 2.0 * (gain * lead - four * towards), lead * lead - four * _squared(leg.start, there)
    )
    ways = [way_m, *(root for root in roots if way_m < root < leg.length_m), leg.length_m]
    for way, beyond in pairwise(ways):
        # Inside, or entered, where the inside follows: a touch is not an entry.
        if _gap(leg, here, there, (way + beyond) / 2.0) > hysteresis_m:
            return way
    return _NOWHERE


def _gap(leg: Leg, here: Place, there: Place, way_m: float) -> float:
    at = (leg.start[0] + way_m * leg.direction[0], leg.start[1] + way_m * leg.direction[1])
    return math.sqrt(_squared(at, here)) - math.sqrt(_squared(at, there))


def _roots(a: float, b: float, c: float) -> list[float]:
    """The real roots of a x^2 + b x + c, ascending, without cancellation."""
    inside = b * b - 4.0 * a * c
    if inside < 0.0:
        return []
    q = -(b + math.copysign(math.sqrt(inside), b)) / 2.0
    found = [c / q] if q else []
    if a:
        found.append(q / a)
    return sorted(found)
