"""The links of a scenario under their own faults: what each is like at every instant, and what it loses."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from layerlift.emulator.kernel.step_function import StepFunction, joined
from layerlift.emulator.world import streams
from layerlift.emulator.world.faults import LinkFault, Mark
from layerlift.emulator.world.world import World


class State(NamedTuple):
    """A directed link at an instant; `bandwidth_bytes_s` is 0 exactly when it is not `up`."""

    up: bool
    latency_s: float
    bandwidth_bytes_s: float


_Key = tuple[int, int, int]
"""A fault, by its place in `World.faults`, and the pair of nodes (ascending) whose own course is meant; -1: all."""


class LinkFaults:
    """Timelines of single links, from node to node as `World.link` has them, made when they are first asked for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._links: dict[tuple[int, int], StepFunction[State]] = {}
        self._courses: dict[_Key, StepFunction[Mark]] = {}
        self._losses: dict[_Key, StepFunction[float]] = {}
        self._covering: dict[tuple[int, int], tuple[tuple[int, LinkFault], ...]] = {}

    def link(self, source: int, to: int) -> StepFunction[State]:
        """A link under all its faults."""
        if (source, to) not in self._links:
            link = self._world.link(source, to)
            usual = State(True, link.latency_s, link.bandwidth_bytes_s)
            marks = [self._course(index, fault, source, to) for index, fault in self.covering(source, to)]
            self._links[source, to] = joined(marks, partial(_marked, usual)) if marks else StepFunction(usual)
        return self._links[source, to]

    def covering(self, source: int, to: int) -> tuple[tuple[int, LinkFault], ...]:
        """The faults of a link, with their places in `World.faults`."""
        if (source, to) not in self._covering:
            ends = self._world.nodes[source], self._world.nodes[to]
            self._covering[source, to] = tuple(
                (index, fault)
                for index, fault in enumerate(self._world.faults)
                if isinstance(fault, LinkFault) and fault.pairs.cover(*ends)
            )
        return self._covering[source, to]

    def losses(self, source: int, to: int, at_s: float) -> Iterator[float]:
        """The share of messages that each loss takes at an instant."""
        for index, fault in self.covering(source, to):
            if fault.lossy:
                key = _key(index, fault, source, to)
                if key not in self._losses:
                    self._losses[key] = fault.losses(self._stream(key))
                yield self._losses[key].at(at_s)

    def _course(self, index: int, fault: LinkFault, source: int, to: int) -> StepFunction[Mark]:
        """What a fault makes of a link; links that it treats alike share the timeline."""
        key = _key(index, fault, source, to)
        if key not in self._courses:
            self._courses[key] = fault.course(self._stream(key))
        return self._courses[key]

    def _stream(self, key: _Key) -> random.Random:
        index, *nodes = key
        return streams.fault(self._world.seed, index, *(self._world.nodes[node].name for node in nodes if node >= 0))


def _key(index: int, fault: LinkFault, source: int, to: int) -> _Key:
    # Both directions have the smaller node first, so that they find one timeline: they go down together.
    return (index, min(source, to), max(source, to)) if fault.apart else (index, -1, -1)


def _marked(usual: State, marks: Sequence[Mark]) -> State:
    """A link under several faults: down if one says so; of two traces the later in the scenario holds."""
    up, latency_s, bandwidth_bytes_s = usual
    for mark in marks:
        up = up and mark.up
        latency_s = latency_s if mark.latency_s is None else mark.latency_s
        bandwidth_bytes_s = bandwidth_bytes_s if mark.bandwidth_bytes_s is None else mark.bandwidth_bytes_s
    return State(up, latency_s, bandwidth_bytes_s if up else 0.0)
