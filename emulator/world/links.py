"""Links as plain numbers, and the media that several of them cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from layerlift.emulator.world.machines import INF
from layerlift.models.sums import left_sum

Way = Literal["up", "down"]
"""Through a medium: up is away from what is behind it (or along a link's name), down is towards it."""
WAYS: Final[tuple[Way, ...]] = ("up", "down")


class Crossing(NamedTuple):
    """One way through one medium, by its place in `World.media`."""

    medium: int
    way: Way

    @property
    def back(self) -> Crossing:
        """The other way through it."""
        return Crossing(self.medium, "down" if self.way == "up" else "up")


@dataclass(frozen=True, slots=True)
class Transport:
    """What a transport such as TCP makes of a link or medium: the defaults are those of an ideal, fluid one."""

    efficiency: float = 1.0
    """Share of the bandwidth that carries payload."""
    queue_s: float = 0.0
    """What a message waits that starts while an upload fills it, one way."""
    query_weight: float = 1.0
    """Of all that is no upload against uploads, where they share."""
    slow_start: bool = False
    """Whether a connection that has been idle is slow at first."""

    @property
    def fluid(self) -> bool:
        """Whether all that it does is to take headers off the bandwidth."""
        return not self.queue_s and self.query_weight == 1.0 and not self.slow_start


IDEAL: Final = Transport()


def one_behind_the_other(parts: Sequence[Transport]) -> Transport:
    """Several on one way: waits add up, weights multiply, and one that is slow at first makes all so.

    The efficiency stays that of the first, since each of them has its own bandwidth.
    """
    weight = 1.0
    for part in parts:
        weight *= part.query_weight
    slow = any(part.slow_start for part in parts)
    return Transport(parts[0].efficiency, left_sum(part.queue_s for part in parts), weight, slow)


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One direction between two nodes."""

    latency_s: float
    bandwidth_bytes_s: float
    """What it carries of what is sent: the transport's efficiency is taken off."""
    price_per_byte: float = 0.0
    via: tuple[Crossing, ...] = ()
    """Shared media that it crosses beside those that its ends are behind, in order."""
    transport: Transport = IDEAL


@dataclass(frozen=True, slots=True)
class MediumSpec:
    """A shared medium: a site's uplink, a cell, a back-haul. All that crosses it one way shares what that way has."""

    name: str
    up_bytes_s: float = INF
    down_bytes_s: float = INF
    latency_s: float = 0.0
    """What each crossing adds, either way."""
    price_per_byte: float = 0.0
    behind: int = -1
    """The medium that it is itself behind, which comes before it in `World.media`; -1: none."""
    transport: Transport = IDEAL
    """Both ways; its efficiency is taken off the bytes per second."""

    def bytes_s(self, way: Way) -> float:
        """What one way can carry in a second."""
        return self.up_bytes_s if way == "up" else self.down_bytes_s
