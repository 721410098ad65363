"""How one query travels: which segment runs where, what it waits for and what it sends to whom.

Both the cost model and the emulation are built on this one description, so that they cannot disagree
about the shape of a query, only about time (semantics: "A query").
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from layerlift.models.graph.graph import LayerGraph, Segment
from layerlift.models.graph.per_graph import answers as answers_of
from layerlift.models.graph.per_graph import crossings

CLIENT = 0
"""The node index that stands for the client who asks, in every placement."""

QueryMode = Literal["dataflow", "serial"]


@dataclass(frozen=True, slots=True)
class Send:
    """One tensor to one node. `tensor` at or above `len(graph.tensors)` is a token: no bytes, only order."""

    to: int
    tensor: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RouteStep:
    """A segment in its place: it starts when its node is free and all of `waits` has arrived there."""

    segment: Segment
    waits: tuple[int, ...]
    """Tensors (and tokens) that must arrive from other nodes, ascending."""
    sends: tuple[Send, ...]
    """What its end emits, in the order in which each directed pair carries it."""


@dataclass(frozen=True, slots=True)
class Route:
    """A placement, compiled. Steps are in topological order, and each node runs its own steps in that order."""

    steps: tuple[RouteStep, ...]
    opening: tuple[Send, ...]
    """What the client sends at the query's start: inputs of the network to other nodes."""
    answers: tuple[int, ...]
    """Output tensors that must arrive at the client from elsewhere."""
    nodes: tuple[int, ...]
    """Nodes that take part, ascending, the client included."""


def compile_route(graph: LayerGraph, placement: Sequence[int], mode: QueryMode = "dataflow") -> Route:
    """Compile `placement` (shape (layers,), node indices, 0 = the client) into a `Route`.

    Each tensor goes once per destination node, straight from the node that made it. In `serial` mode a segment
    also waits for the end of the segment before it: where no tensor says so, a token does.
    Raises `ModelError` for a placement of the wrong length.
    """
    segments = graph.segments(placement)
    tensors = graph.tensors
    sends: list[list[Send]] = [[] for _ in segments]
    waits: list[set[int]] = [set() for _ in segments]
    opening: list[Send] = []
    answers: list[int] = []
    firsts = [segment.first for segment in segments]

    # What is made and read within one segment goes nowhere, and most tensors do.
    crossing = crossings(graph)
    for index in sorted({*answers_of(graph), *(tensor for first in firsts for tensor in crossing[first])}):
        tensor = tensors[index]
        home = CLIENT if tensor.producer < 0 else placement[tensor.producer]
        source = opening if tensor.producer < 0 else sends[bisect_right(firsts, tensor.producer) - 1]
        told: set[int] = set()
        for reader in tensor.consumers:
            node = placement[reader]
            if node == home:
                continue
            waits[bisect_right(firsts, reader) - 1].add(index)
            if node not in told:
                told.add(node)
                source.append(Send(int(node), index, tensor.bytes))
        if tensor.is_output and home != CLIENT:
            answers.append(index)
            if CLIENT not in told:
                source.append(Send(CLIENT, index, tensor.bytes))

    if mode == "serial":
        for number in range(1, len(segments)):
            node = segments[number].node
            if node == segments[number - 1].node:
                continue
            towards = [send.tensor for send in sends[number - 1] if send.to == node]
            if not towards:
                token = len(tensors) + number
                sends[number - 1].append(Send(node, token, 0))
                towards = [token]
            waits[number].update(towards)
        if segments[0].node != CLIENT and not any(send.to == segments[0].node for send in opening):
            opening.append(Send(segments[0].node, len(tensors), 0))
            waits[0].add(len(tensors))

    steps = tuple(
        RouteStep(segment, tuple(sorted(wait)), tuple(sorted(send, key=lambda s: (s.to, s.tensor))))
        for segment, wait, send in zip(segments, waits, sends, strict=True)
    )
    nodes = tuple(sorted({CLIENT, *(segment.node for segment in segments)}))
    return Route(steps, tuple(sorted(opening, key=lambda s: (s.to, s.tensor))), tuple(answers), nodes)
