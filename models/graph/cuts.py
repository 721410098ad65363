"""Where a network can be cut in two: what crosses, where little crosses, and the blocks in between."""

from __future__ import annotations

from dataclasses import dataclass

from layerlift.models.graph.graph import LayerGraph


@dataclass(frozen=True, slots=True)
class Cut:
    """The cut between layer `after` and the next one, in the graph's fixed order."""

    after: int
    tensors: tuple[int, ...]
    """Tensor indices that cross it, inputs of the network included."""
    bytes: int


def cuts(graph: LayerGraph) -> tuple[Cut, ...]:
    """Every cut between two consecutive layers, in order; `len(graph) - 1` of them."""
    crossing: set[int] = {t for t in graph.inputs if graph.tensors[t].consumers}
    found: list[Cut] = []
    for layer in graph.layers[:-1]:
        crossing.update(t for t in layer.outputs if graph.tensors[t].consumers)
        crossing = {t for t in crossing if graph.tensors[t].consumers[-1] > layer.index}
        held = tuple(sorted(crossing))
        found.append(Cut(layer.index, held, sum(graph.tensors[t].bytes for t in held)))
    return tuple(found)


def narrow(graph: LayerGraph) -> tuple[Cut, ...]:
    """The cuts that a single tensor crosses: where the classic planners may split."""
    return tuple(cut for cut in cuts(graph) if len(cut.tensors) == 1)


def best(graph: LayerGraph) -> tuple[Cut, ...]:
    """The cuts worth considering for a prefix at the client: no earlier cut, nor the input, carries as little."""
    least = sum(graph.tensors[t].bytes for t in graph.inputs)
    found: list[Cut] = []
    for cut in cuts(graph):
        if cut.bytes < least:
            least = cut.bytes
            found.append(cut)
    return tuple(found)


def blocks(graph: LayerGraph) -> tuple[tuple[int, int], ...]:
    """Runs of layers (first, last) that begin at a single-tensor cut in front of a layer that multiplies matrices.

    A convolution stays with the activation, normalisation and pooling that follow it, and an inception module or
    residual block stays whole: runs long enough for an optimiser to fuse operators inside them.
    """
    starts = [0]
    for cut in narrow(graph):
        following = graph.layers[cut.after + 1]
        heavy_before = any(layer.features.get("macs") for layer in graph.layers[starts[-1] : cut.after + 1])
        branches = len(graph.tensors[cut.tensors[0]].consumers) > 1
        if heavy_before and (branches or following.features.get("macs")):
            starts.append(cut.after + 1)
    ends = [start - 1 for start in starts[1:]] + [len(graph) - 1]
    return tuple(zip(starts, ends, strict=True))
