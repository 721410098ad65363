"""What breaks, as plain numbers in SI units: the `faults` of a `World`, and what each of them does over time.

A kind of fault is one class here and one section of a scenario (`layerlift.emulator.scenario.schema.faults`). The
classes know what becomes of one link or machine; `layerlift.emulator.conditions.conditions.Conditions` puts together
what several of them make of each. Their numbers are trusted, as all of a `World` are: scenarios check them.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import NamedTuple

from layerlift.emulator.kernel.step_function import StepFunction, outside, repeated, sojourns
from layerlift.emulator.world.links import Crossing, Way
from layerlift.emulator.world.machines import NodeSpec, Tier


class Mark(NamedTuple):
    """What one fault makes of a link: down, or another latency or bandwidth; None leaves it as it is."""

    up: bool = True
    latency_s: float | None = None
    """Seconds, positive."""
    bandwidth_bytes_s: float | None = None
    """Bytes per second; 0 exactly when it is not `up`."""


_NOTHING, _DOWN = Mark(), Mark(up=False)


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


@dataclass(frozen=True, slots=True)
class Through:
    """One shared medium (by its place in `World.media`), one way or both (None): all that crosses it so."""

    medium: int
    way: Way | None = None

    def covers(self, crossing: Crossing) -> bool:
        """Whether a way through a medium is meant."""
        return crossing.medium == self.medium and self.way in (None, crossing.way)


def _is(node: NodeSpec, end: Tier | int | None) -> bool:
    return end is None or (node.index == end if isinstance(end, int) else node.tier == end)


@dataclass(frozen=True, slots=True)
class LinkFault:
    """A fault of links. A kind overrides what it does; what it leaves out it does not do.

    `course` and `losses` are handed the stream of the seed that the fault has for its links, each from its beginning.
    """

    pairs: Pairs | Through
    """What it is a fault of: links, or a shared medium, which has one course for all that crosses it."""

    @property
    def apart(self) -> bool:
        """Whether each pair of nodes has a stream of its own; else all links share one, and one course.

        What crosses a medium shares its course in any case.
        """
        return False

    @property
    def lossy(self) -> bool:
        """Whether it may ever lose a message."""
        return False

    @property
    def latencies_s(self) -> Sequence[float]:
        """Every latency that it may give to a link, in seconds: none may be smaller than the emulation looks ahead."""
        return ()

    def course(self, stream: random.Random) -> StepFunction[Mark]:
        """What it makes of a link over time, the same in both directions of a pair of nodes."""
        return StepFunction(_NOTHING)

    def losses(self, stream: random.Random) -> StepFunction[float]:
        """The share of messages that it takes over time: at least 0, below 1. Asked only of a fault that is `lossy`."""
        return StepFunction(0.0)


@dataclass(frozen=True, slots=True)
class MachineFault(ABC):
    """A fault of servers, by node index; each of them has a stream of its own."""

    nodes: tuple[int, ...]

    @abstractmethod
    def life(self, stream: random.Random) -> StepFunction[bool]:
        """Whether a server is alive, over time; when it is dead it loses its store."""


Fault = LinkFault | MachineFault


@dataclass(frozen=True, slots=True)
class Outage(LinkFault):
    """Links are down in [at_s, at_s + for_s), and again every `every_s` (more than `for_s`)."""

    at_s: float
    for_s: float
    every_s: float | None = None

    def course(self, stream: random.Random) -> StepFunction[Mark]:
        """See `LinkFault`."""
        return outside(repeated(self.at_s, self.for_s, self.every_s), _DOWN, _NOTHING)


@dataclass(frozen=True, slots=True)
class OnOff(LinkFault):
    """Links come and go: exponential sojourns with these means, up first.

    Each pair of nodes has its own stream of the seed; its two directions go down together.
    """

    on_s: float
    off_s: float

    @property
    def apart(self) -> bool:
        """See `LinkFault`."""
        return True

    def course(self, stream: random.Random) -> StepFunction[Mark]:
        """See `LinkFault`."""
        return outside(sojourns(stream, self.on_s, self.off_s), _DOWN, _NOTHING)


@dataclass(frozen=True, slots=True)
class Loss(LinkFault):
    """Each message is lost with probability `share` (0 <= share < 1).

    With the three others, `bad_share` of them in the bad state, whose sojourns and those of the good state are
    exponential with means `bad_s` and `good_s` (Gilbert-Elliott); good first, each pair of nodes by itself.
    """

    share: float
    bad_share: float | None = None
    good_s: float = inf
    bad_s: float = 0.0

    @property
    def apart(self) -> bool:
        """See `LinkFault`."""
        return self.bad_share is not None

    @property
    def lossy(self) -> bool:
        """See `LinkFault`."""
        return True

    def losses(self, stream: random.Random) -> StepFunction[float]:
        """See `LinkFault`."""
        if self.bad_share is None:
            return StepFunction(self.share)
        return outside(sojourns(stream, self.good_s, self.bad_s), self.bad_share, self.share)


Point = tuple[float, float | None, float | None]
"""From an instant on: bandwidth (bytes/s; 0: down) and latency (s, positive); None: the scenario's own."""


@dataclass(frozen=True, slots=True)
class Trace(LinkFault):
    """Links follow a recorded course; before the first point they are the scenario's own."""

    points: tuple[Point, ...]
    """Ascending in time, at least one."""
    repeat_s: float | None = None
    """Period with which the points come again; more than lies between the first and the last."""

    @property
    def latencies_s(self) -> Sequence[float]:
        """See `LinkFault`."""
        return [latency_s for _, _, latency_s in self.points if latency_s is not None]

    def course(self, stream: random.Random) -> StepFunction[Mark]:
        """See `LinkFault`."""
        return StepFunction(_NOTHING, self._marks())

    def _marks(self) -> Iterator[tuple[float, Mark]]:
        for turn in range(1) if self.repeat_s is None else count():
            for at_s, bandwidth_bytes_s, latency_s in self.points:
                mark = Mark(bandwidth_bytes_s != 0.0, latency_s, bandwidth_bytes_s)
                yield round(at_s + turn * (self.repeat_s or 0.0), 9), mark


@dataclass(frozen=True, slots=True)
class Crash(MachineFault):
    """Each of these servers is dead in [at_s, at_s + for_s) and loses its store; again every `every_s`.

    Or, with `mean_up_s` and `mean_down_s`, at random: exponential sojourns, alive first, each server by itself.
    """

    at_s: float = 0.0
    for_s: float = inf
    every_s: float | None = None
    mean_up_s: float | None = None
    mean_down_s: float | None = None

    def life(self, stream: random.Random) -> StepFunction[bool]:
        """See `MachineFault`."""
        if self.mean_up_s is not None and self.mean_down_s is not None:
            spans = sojourns(stream, self.mean_up_s, self.mean_down_s)
        else:
            spans = repeated(self.at_s, self.for_s, self.every_s)
        return outside(spans, False, True)
