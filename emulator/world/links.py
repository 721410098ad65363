"""Links as plain numbers, and the media that several of them cross."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from layerlift.emulator.world.machines import INF

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
class LinkSpec:
    """One direction between two nodes."""

    latency_s: float
    bandwidth_bytes_s: float
    price_per_byte: float = 0.0
    via: tuple[Crossing, ...] = ()
    """Shared media that it crosses beside those that its ends are behind, in order."""


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

    def bytes_s(self, way: Way) -> float:
        """What one way can carry in a second."""
        return self.up_bytes_s if way == "up" else self.down_bytes_s
