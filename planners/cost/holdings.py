"""Bytes of parameters that layers hold where they are placed: facts of a graph, counted once per network."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from layerlift.models.graph.graph import LayerGraph, Segment
from layerlift.models.graph.per_graph import per_graph
from layerlift.planners.problem.problem import Floats


@dataclass(frozen=True, slots=True)
class Holdings:
    """What each layer holds for itself, and what several layers share."""

    own: Floats
    """Bytes that no other layer reads, shape (L,); whole numbers, so that their sums are exact."""
    shared: tuple[tuple[int, tuple[int, ...]], ...]
    """Bytes of a parameter, and the layers that read it, ascending."""
    suffix: Floats
    """Bytes that the layers from each one on hold together, shape (L,)."""
    before: tuple[int, ...]
    """The sum of `own` of the layers before each one, and of all, shape (L + 1,)."""


@per_graph
def holdings(graph: LayerGraph) -> Holdings:
    """Who holds what in `graph`."""
    readers: dict[int, list[int]] = {}
    for layer in graph.layers:
        for parameter in set(layer.parameters):
            readers.setdefault(parameter, []).append(layer.index)
    own, last = np.zeros(len(graph)), np.zeros(len(graph))
    shared: list[tuple[int, tuple[int, ...]]] = []
    for parameter, layers in readers.items():
        size = graph.parameters[parameter].held_bytes
        last[layers[-1]] += size
        if len(layers) == 1:
            own[layers[0]] += size
        else:
            shared.append((size, tuple(layers)))
    suffix = np.cumsum(last[::-1])[::-1]
    own.setflags(write=False)
    suffix.setflags(write=False)
    return Holdings(own, tuple(shared), suffix, (0, *accumulate(map(int, own.tolist()))))


@per_graph
def layer_bytes(graph: LayerGraph) -> Floats:
    """Bytes of parameters that each layer holds alone, shape (L,)."""
    made = np.array([float(graph.held_bytes([layer])) for layer in range(len(graph))])
    made.setflags(write=False)
    return made


def held_in(graph: LayerGraph, segments: Sequence[Segment], nodes: int) -> list[int]:
    """Bytes of parameters that each of `nodes` nodes holds when the network is cut into `segments`."""
    facts, held = holdings(graph), [0] * nodes
    for segment in segments:
        held[segment.node] += facts.before[segment.last + 1] - facts.before[segment.first]
    if facts.shared:
        firsts = [segment.first for segment in segments]
        for size, layers in facts.shared:
            for node in {segments[bisect_right(firsts, layer) - 1].node for layer in layers}:
                held[node] += size
    return held


def held_on(graph: LayerGraph, placement: Sequence[int], nodes: int) -> list[int]:
    """Bytes of parameters that each of `nodes` nodes holds under `placement`, shape (nodes,)."""
    facts = holdings(graph)
    held = [int(size) for size in np.bincount(placement, weights=facts.own, minlength=nodes).tolist()]
    for size, layers in facts.shared:
        for node in {placement[layer] for layer in layers}:
            held[node] += size
    return held
