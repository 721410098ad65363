"""The links and media of a scenario under their own faults: what each is like at every instant, and what it loses."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from layerlift.emulator.kernel.step_function import StepFunction, joined
from layerlift.emulator.world import streams
from layerlift.emulator.world.faults import LinkFault, Mark, Pairs, Through
from layerlift.emulator.world.links import IDEAL, Crossing, Transport, one_behind_the_other
from layerlift.emulator.world.world import World
from layerlift.models.sums import left_sum


class Carrier(NamedTuple):
    """One way through a shared medium at an instant, and what it can carry in a second, which is above 0."""

    crossing: Crossing
    bytes_s: float


class State(NamedTuple):
    """What lies between two nodes at an instant; `bandwidth_bytes_s` is 0 exactly when it is not `up`."""

    up: bool
    latency_s: float
    bandwidth_bytes_s: float
    """What a lone transfer has: the least of the link's own and of all media on the way."""
    via: tuple[Carrier, ...] = ()
    """The media on the way, each at most once a way; says nothing while it is not `up`."""
    transport: Transport = IDEAL
    """Of the link, or of both where a moving client's way has two; not of the media."""


_Key = tuple[int, int, int]
"""A fault, by its place in `World.faults`, and the pair of nodes (ascending) whose own course is meant; -1: all."""


class LinkFaults:
    """Timelines of single links, from node to node as `World.link` has them, made when they are first asked for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._links: dict[tuple[int, int], StepFunction[State]] = {}
        self._media: dict[Crossing, StepFunction[State]] = {}
        self._courses: dict[_Key, StepFunction[Mark]] = {}
        self._losses: dict[_Key, StepFunction[float]] = {}
        self._covering: dict[tuple[int, int], tuple[tuple[int, LinkFault], ...]] = {}

    def link(self, source: int, to: int) -> StepFunction[State]:
        """A link under all its faults, with the media on the way under theirs."""
        if (source, to) not in self._links:
            own = self._own(source, to)
            media = [self._medium(crossing) for crossing in self._world.path(source, to)]
            self._links[source, to] = joined([own, *media], one_after_the_other) if media else own
        return self._links[source, to]

    def covering(self, source: int, to: int) -> tuple[tuple[int, LinkFault], ...]:
        """The faults of a link and of the media on the way, with their places in `World.faults`."""
        if (source, to) not in self._covering:
            path = self._world.path(source, to)
            self._covering[source, to] = tuple(
                (index, fault)
                for index, fault in enumerate(self._world.faults)
                if isinstance(fault, LinkFault) and (self._covers(fault, source, to) or _through(fault, path))
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

    def _own(self, source: int, to: int) -> StepFunction[State]:
        link = self._world.own_link(source, to)
        usual = State(True, link.latency_s, link.bandwidth_bytes_s, (), link.transport)
        marks = [
            self._course(index, fault, source, to)
            for index, fault in self.covering(source, to)
            if isinstance(fault.pairs, Pairs)
        ]
        return joined(marks, partial(_marked, usual)) if marks else StepFunction(usual)

    def _medium(self, crossing: Crossing) -> StepFunction[State]:
        """One way through a medium, as a part of the ways that cross it."""
        if crossing not in self._media:
            spec = self._world.media[crossing.medium]
            usual = State(True, spec.latency_s, spec.bytes_s(crossing.way), (), spec.transport)
            marks = [
                self._course(index, fault, -1, -1)
                for index, fault in enumerate(self._world.faults)
                if isinstance(fault, LinkFault) and _through(fault, (crossing,))
            ]
            crossed = partial(_crossed, crossing, usual)
            self._media[crossing] = joined(marks, crossed) if marks else StepFunction(crossed(()))
        return self._media[crossing]

    def _covers(self, fault: LinkFault, source: int, to: int) -> bool:
        nodes = self._world.nodes
        return isinstance(fault.pairs, Pairs) and fault.pairs.cover(nodes[source], nodes[to])

    def _course(self, index: int, fault: LinkFault, source: int, to: int) -> StepFunction[Mark]:
        """What a fault makes of a link; links that it treats alike share the timeline."""
        key = _key(index, fault, source, to)
        if key not in self._courses:
            self._courses[key] = fault.course(self._stream(key))
        return self._courses[key]

    def _stream(self, key: _Key) -> random.Random:
        index, *nodes = key
        return streams.fault(self._world.seed, index, *(self._world.nodes[node].name for node in nodes if node >= 0))


def _through(fault: LinkFault, path: Sequence[Crossing]) -> bool:
    return isinstance(fault.pairs, Through) and any(map(fault.pairs.covers, path))


def _key(index: int, fault: LinkFault, source: int, to: int) -> _Key:
    if not fault.apart or isinstance(fault.pairs, Through):
        return index, -1, -1
    # Both directions have the smaller node first, so that they find one timeline: they go down together.
    return index, min(source, to), max(source, to)


def one_after_the_other(parts: Sequence[State]) -> State:
    """A way that consists of several, each over media of its own; what two of them cross is crossed once."""
    up = all(part.up for part in parts)
    via = {carrier.crossing: carrier for part in parts for carrier in part.via}
    return State(
        up,
        left_sum(part.latency_s for part in parts),
        min(part.bandwidth_bytes_s for part in parts),
        tuple(via.values()),
        one_behind_the_other([part.transport for part in parts]),
    )


def _crossed(crossing: Crossing, usual: State, marks: Sequence[Mark]) -> State:
    state = _marked(usual, marks)._replace(transport=IDEAL)  # whoever asks for that of a medium knows which one
    return state._replace(via=(Carrier(crossing, state.bandwidth_bytes_s),)) if state.up else state


def _marked(usual: State, marks: Sequence[Mark]) -> State:
    """A link under several faults: down if one says so; of two traces the later in the scenario holds."""
    up, latency_s, bandwidth_bytes_s, _, transport = usual
    for mark in marks:
        up = up and mark.up
        latency_s = latency_s if mark.latency_s is None else mark.latency_s
        if mark.bandwidth_bytes_s is not None:  # as sent over the wire: headers come off it, too
            bandwidth_bytes_s = mark.bandwidth_bytes_s * transport.efficiency
    return State(up, latency_s, bandwidth_bytes_s if up else 0.0, (), transport)
