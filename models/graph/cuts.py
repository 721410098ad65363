"""Where a network can be cut in two: what crosses, where little crosses, and the blocks in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from layerlift.models.graph.graph import LayerGraph


@dataclass(frozen=True, slots=True)
class Cut:
    """The cut between layer `after` and the next one, in the graph's fixed order."""

    after: int
    width: int
    """How many tensors cross it, inputs of the network included; `crossing` names them."""
    bytes: int


def cuts(graph: LayerGraph) -> tuple[Cut, ...]:
    """Every cut between two consecutive layers, in order; `len(graph) - 1` of them."""
    return tuple(Cut(after, len(crossing), size) for after, crossing, size in _sweep(graph))


def crossing(graph: LayerGraph, after: int) -> tuple[int, ...]:
    """Indices of the tensors that cross the cut behind layer `after`, ascending."""
    return graph.boundary(after + 1, len(graph) - 1)[0]


def _sweep(graph: LayerGraph) -> Iterator[tuple[int, set[int], int]]:
    """Each cut's layer, what crosses it (one set, which changes from cut to cut) and how many bytes that is.

    A tensor is added and taken out once, so that a network of many parallel layers takes no longer than a chain.
    """
    tensors = graph.tensors
    alive = {t for t in graph.inputs if tensors[t].consumers}
    size = sum(tensors[t].bytes for t in alive)
    for layer in graph.layers[:-1]:
        begun = {t for t in layer.outputs if tensors[t].consumers}
        ended = {t for t in layer.inputs if tensors[t].consumers[-1] == layer.index}
        alive |= begun
        alive -= ended
        size += sum(tensors[t].bytes for t in begun) - sum(tensors[t].bytes for t in ended)
        yield layer.index, alive, size


def peak_live_bytes(graph: LayerGraph) -> int:
    """The most bytes of activations alive at once when the layers run in order, those of the running layer included."""
    alive = sum(graph.tensors[t].bytes for t in graph.inputs)
    peak = alive
    # The inputs that nobody reads are there before the first layer, and gone after it.
    last = {t: graph.tensors[t].consumers[-1] if graph.tensors[t].consumers else 0 for t in graph.inputs}
    ending: dict[int, int] = {}
    for given, reader in last.items():
        ending[reader] = ending.get(reader, 0) + graph.tensors[given].bytes
    for layer in graph.layers:
        made = [graph.tensors[t] for t in layer.outputs]
        alive += sum(tensor.bytes for tensor in made)
        peak = max(peak, alive)
        for tensor in made:
            end = tensor.consumers[-1] if tensor.consumers else layer.index
            ending[end] = ending.get(end, 0) + tensor.bytes
        alive -= ending.pop(layer.index, 0)
    return peak


def narrow(graph: LayerGraph) -> tuple[Cut, ...]:
    """The cuts that a single tensor crosses: where the classic planners may split."""
    return tuple(cut for cut in cuts(graph) if cut.width == 1)


def blocks(graph: LayerGraph) -> tuple[tuple[int, int], ...]:
    """Runs of layers (first, last) that begin at a single-tensor cut in front of a layer that multiplies matrices.

    A convolution stays with the activation, normalisation and pooling that follow it, and an inception module or
    residual block stays whole: runs long enough for an optimiser to fuse operators inside them.
    """
    starts, heavy_before = [0], False
    for after, alive, _ in _sweep(graph):
        heavy_before = heavy_before or bool(graph.layers[after].features.get("macs"))
        if len(alive) != 1 or not heavy_before:
            continue
        branches = len(graph.tensors[next(iter(alive))].consumers) > 1
        if branches or graph.layers[after + 1].features.get("macs"):
            starts.append(after + 1)
            heavy_before = False
    ends = [start - 1 for start in starts[1:]] + [len(graph) - 1]
    return tuple(zip(starts, ends, strict=True))
