"""Facts of a graph, found once: graphs of equal digests share them, whoever holds them and however they got there."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

from layerlift.models.graph.graph import LayerGraph

T = TypeVar("T")

KEPT = 128
"""Graphs whose facts are remembered; those asked for last."""


class _ByDigest:
    """A graph as a key: graphs of equal digests are the same to whoever does not ask for names."""

    __slots__ = ("graph",)

    def __init__(self, graph: LayerGraph) -> None:
        self.graph = graph

    def __hash__(self) -> int:
        return hash(self.graph.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByDigest) and self.graph.digest == other.graph.digest


def per_graph(fact: Callable[[LayerGraph], T]) -> Callable[[LayerGraph], T]:
    """Let `fact`, a pure function of what `LayerGraph.digest` covers, be computed once per digest.

    Who gets what it returns must not write to it.
    """

    @lru_cache(maxsize=KEPT)
    def kept(key: _ByDigest) -> T:
        return fact(key.graph)

    @wraps(fact)
    def of(graph: LayerGraph) -> T:
        return kept(_ByDigest(graph))

    return of


@per_graph
def crossings(graph: LayerGraph) -> tuple[tuple[int, ...], ...]:
    """For each layer the tensors that are made before it and read by it or later, inputs included; ascending."""
    found: list[tuple[int, ...]] = []
    live = {tensor for tensor in graph.inputs if graph.tensors[tensor].consumers}
    for layer in graph.layers:
        found.append(tuple(sorted(live)))
        live.update(tensor for tensor in layer.outputs if graph.tensors[tensor].consumers)
        live = {tensor for tensor in live if graph.tensors[tensor].consumers[-1] > layer.index}
    return tuple(found)


@per_graph
def answers(graph: LayerGraph) -> tuple[int, ...]:
    """The tensors that the network answers and a layer makes, ascending."""
    return tuple(n for n, tensor in enumerate(graph.tensors) if tensor.is_output and tensor.producer >= 0)


@per_graph
def makers(graph: LayerGraph) -> tuple[int, ...]:
    """The layers that make the answers, ascending."""
    return tuple(sorted({graph.tensors[tensor].producer for tensor in answers(graph)}))
