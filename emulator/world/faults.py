"""What breaks and who moves, as plain numbers in SI units: the `faults` and `mobility` of a `World`.

These are specifications only; `layerlift.emulator.conditions.conditions.Conditions` says what they make of each link
and machine, and when. Their numbers are trusted, as all of a `World` are: scenarios check them
(`layerlift.emulator.scenario.schema.faults`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from layerlift.emulator.world.machines import NodeSpec, Tier

Handover = Literal["reupload", "copy", "forward"]
"""What becomes of a moving user's uploads: sent again by the client, copied between the servers, or left where they
are and reached through the new server."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The links between two ends, each of them a tier, a node (by index) or anything (None)."""

    source: Tier | int | None = None
    to: Tier | int | None = None
    one_way: bool = False
    """Only from `source` to `to`."""

    def cover(self, source: NodeSpec, to: NodeSpec) -> bool:
        """Whether the link from one node to another is among them."""
        if _is(source, self.source) and _is(to, self.to):
            return True
        return not self.one_way and _is(to, self.source) and _is(source, self.to)


def _is(node: NodeSpec, end: Tier | int | None) -> bool:
    return end is None or (node.index == end if isinstance(end, int) else node.tier == end)


@dataclass(frozen=True, slots=True)
class Outage:
    """Links are down in [at_s, at_s + for_s), and again every `every_s` (more than `for_s`)."""

    pairs: Pairs
    at_s: float
    for_s: float
    every_s: float | None = None


@dataclass(frozen=True, slots=True)
class OnOff:
    """Links come and go: exponential sojourns with these means, up first.

    Each pair of nodes has its own stream of the seed; its two directions go down together.
    """

    pairs: Pairs
    on_s: float
    off_s: float


@dataclass(frozen=True, slots=True)
class Loss:
    """Each message is lost with probability `share` (0 <= share < 1).

    With the three others, `bad_share` of them in the bad state, whose sojourns and those of the good state are
    exponential with means `bad_s` and `good_s` (Gilbert-Elliott); good first, each pair of nodes by itself.
    """

    pairs: Pairs
    share: float
    bad_share: float | None = None
    good_s: float = inf
    bad_s: float = 0.0


Point = tuple[float, float | None, float | None]
"""From an instant on: bandwidth (bytes/s; 0: down) and latency (s, positive); None: the scenario's own."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Links follow a recorded course; before the first point they are the scenario's own."""

    pairs: Pairs
    points: tuple[Point, ...]
    """Ascending in time, at least one."""
    repeat_s: float | None = None
    """Period with which the points come again; more than lies between the first and the last."""


@dataclass(frozen=True, slots=True)
class Crash:
    """Each of these servers is dead in [at_s, at_s + for_s) and loses its store; again every `every_s`.

    Or, with `mean_up_s` and `mean_down_s`, at random: exponential sojourns, alive first, each server by itself.
    """

    nodes: tuple[int, ...]
    at_s: float = 0.0
    for_s: float = inf
    every_s: float | None = None
    mean_up_s: float | None = None
    mean_down_s: float | None = None


Fault = Outage | OnOff | Loss | Trace | Crash


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


@dataclass(frozen=True, slots=True)
class Journey:
    """Clients whose attachments are listed: `stops` are (at_s, edge node), ascending; the first holds from 0 on."""

    clients: tuple[int, ...]
    stops: tuple[tuple[float, int], ...]
    interruption_s: float = 0.0
    handover: Handover = "reupload"


Mobility = Waypoint | Journey


def traced_latencies_s(faults: Iterable[Fault]) -> list[float]:
    """Every latency that some trace gives to links; mobility makes none that is smaller than a static one."""
    points = (point for fault in faults if isinstance(fault, Trace) for point in fault.points)
    return [latency_s for _, _, latency_s in points if latency_s is not None]
