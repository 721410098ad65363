"""The links of a scenario under their own faults: what each is like at every instant, and what it loses."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from typing import NamedTuple

from layerlift.emulator.kernel.step_function import StepFunction, joined, outside, repeated, sojourns
from layerlift.emulator.world import streams
from layerlift.emulator.world.faults import Crash, Loss, OnOff, Outage, Trace
from layerlift.emulator.world.world import World

LinkFault = Outage | OnOff | Loss | Trace


class State(NamedTuple):
    """A directed link at an instant; `bandwidth_bytes_s` is 0 exactly when it is not `up`."""

    up: bool
    latency_s: float
    bandwidth_bytes_s: float


class Mark(NamedTuple):
    """What one fault makes of a link: down, or another latency or bandwidth; None leaves it as it is."""

    up: bool = True
    latency_s: float | None = None
    bandwidth_bytes_s: float | None = None


_NOTHING, _DOWN = Mark(), Mark(up=False)


def stream(world: World, index: int, *nodes: int) -> random.Random:
    """The stream of the seed that a fault, by its place in `World.faults`, has for these nodes."""
    return streams.fault(world.seed, index, *(world.nodes[node].name for node in nodes))


class LinkFaults:
    """Timelines of single links, from node to node as `World.link` has them, made when they are first asked for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._links: dict[tuple[int, int], StepFunction[State]] = {}
        self._marks: dict[tuple[int, int, int], StepFunction[Mark]] = {}
        self._bad: dict[tuple[int, int, int], StepFunction[bool]] = {}
        self._covering: dict[tuple[int, int], tuple[tuple[int, LinkFault], ...]] = {}

    def link(self, source: int, to: int) -> StepFunction[State]:
        """A link under all its faults."""
        if (source, to) not in self._links:
            link = self._world.link(source, to)
            usual = State(True, link.latency_s, link.bandwidth_bytes_s)
            marks = [self._mark(index, fault, source, to) for index, fault in self.covering(source, to)]
            self._links[source, to] = joined(marks, partial(_marked, usual)) if marks else StepFunction(usual)
        return self._links[source, to]

    def covering(self, source: int, to: int) -> tuple[tuple[int, LinkFault], ...]:
        """The faults of a link, with their places in `World.faults`."""
        if (source, to) not in self._covering:
            ends = self._world.nodes[source], self._world.nodes[to]
            self._covering[source, to] = tuple(
                (index, fault)
                for index, fault in enumerate(self._world.faults)
                if not isinstance(fault, Crash) and fault.pairs.cover(*ends)
            )
        return self._covering[source, to]

    def losses(self, source: int, to: int, at_s: float) -> Iterator[float]:
        """The share of messages that each loss takes at an instant."""
        for index, fault in self.covering(source, to):
            if isinstance(fault, Loss):
                yield self._share(index, fault, min(source, to), max(source, to), at_s)

    def _mark(self, index: int, fault: LinkFault, source: int, to: int) -> StepFunction[Mark]:
        """What a fault makes of a link; links that it treats alike share the timeline."""
        key = (index, min(source, to), max(source, to)) if isinstance(fault, OnOff) else (index, -1, -1)
        if key not in self._marks:
            self._marks[key] = _course(self._world, fault, *key)
        return self._marks[key]

    def _share(self, index: int, fault: Loss, one: int, other: int, at_s: float) -> float:
        if fault.bad_share is None:
            return fault.share
        key = index, one, other
        if key not in self._bad:
            spans = sojourns(stream(self._world, index, one, other), fault.good_s, fault.bad_s)
            self._bad[key] = outside(spans, True, False)
        return fault.bad_share if self._bad[key].at(at_s) else fault.share


def _course(world: World, fault: LinkFault, index: int, one: int, other: int) -> StepFunction[Mark]:
    match fault:
        case Outage(at_s=at_s, for_s=for_s, every_s=every_s):
            return outside(repeated(at_s, for_s, every_s), _DOWN, _NOTHING)
        case OnOff(on_s=on_s, off_s=off_s):
            return outside(sojourns(stream(world, index, one, other), on_s, off_s), _DOWN, _NOTHING)
        case Trace():
            return StepFunction(_NOTHING, _traced(fault))
        case Loss():
            return StepFunction(_NOTHING)


def _traced(fault: Trace) -> Iterator[tuple[float, Mark]]:
    period_s = fault.repeat_s
    for turn in range(1) if period_s is None else count():
        for at_s, bandwidth_bytes_s, latency_s in fault.points:
            mark = Mark(bandwidth_bytes_s != 0.0, latency_s, bandwidth_bytes_s)
            yield round(at_s + turn * (period_s or 0.0), 9), mark


def _marked(usual: State, marks: Sequence[Mark]) -> State:
    """A link under several faults: down if one says so; of two traces the later in the scenario holds."""
    up, latency_s, bandwidth_bytes_s = usual
    for mark in marks:
        up = up and mark.up
        latency_s = latency_s if mark.latency_s is None else mark.latency_s
        bandwidth_bytes_s = bandwidth_bytes_s if mark.bandwidth_bytes_s is None else mark.bandwidth_bytes_s
    return State(up, latency_s, bandwidth_bytes_s if up else 0.0)
