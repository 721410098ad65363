"""Where a person would cut a network: between its blocks, of which a few long tensors (masks, skips) may be no part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import Final, NamedTuple

from layerlift.models.graph import cuts
from layerlift.models.graph.cuts import Cut
from layerlift.models.graph.graph import LayerGraph, Tensor
from layerlift.models.sums import int_sum

Block = tuple[int, int]
"""A run of layers: the first and the last."""

LONG: Final = 64
"""A block of more layers is looked into: the longest block of a published network that is one has about fifty."""
_REACH: Final = 16
"""Tensors that are read within so many layers of where they are made always hold a block together."""


class BestCut(NamedTuple):
    """A cut worth considering, and whether it carries less than the input of the network and every earlier cut."""

    cut: Cut
    least: bool


def blocks(graph: LayerGraph) -> tuple[Block, ...]:
    """The network in runs of layers that a person takes for one thing: those of `cuts.blocks`, long ones taken apart.

    Where something reaches over many blocks (a mask, a skip connection, an encoder's memory, a network's input that
    is read late), no cut has a single tensor. So within a run of more than 64 layers the tensors that reach furthest
    are left aside, half of its length first, and less until it falls apart.
    """
    return tuple(part for first, last in cuts.blocks(graph) for part in _parts(graph, first, last, last - first + 1))


def best(graph: LayerGraph) -> tuple[BestCut, ...]:
    """The cuts worth considering: those that carry less than the input and every earlier cut, and those of blocks.

    A cut of a block is at its border and carries less than its neighbours on either side: fewer tensors, or as many
    of fewer bytes. Of neighbours that carry the same the last is taken: an activation stays with what it follows.
    """
    ends = {last for _, last in blocks(graph)}
    given = [graph.tensors[tensor] for tensor in graph.inputs]
    least = int_sum(tensor.bytes for tensor in given)
    before: tuple[float, int] = (int_sum(bool(tensor.consumers) for tensor in given), least)
    level = [list(alike) for _, alike in groupby(cuts.cuts(graph), key=_carried)]
    found: list[BestCut] = []
    for number, alike in enumerate(level):
        here = _carried(alike[0])
        after = _carried(level[number + 1][0]) if number + 1 < len(level) else (float("inf"), 0)
        smaller = alike[0].bytes < least
        if smaller or (before > here < after and any(cut.after in ends for cut in alike)):
            found.append(BestCut(alike[-1], smaller))
        least, before = min(least, alike[0].bytes), here
    return tuple(found)


def _carried(cut: Cut) -> tuple[float, int]:
    return cut.width, cut.bytes


def _parts(graph: LayerGraph, first: int, last: int, reach: int) -> Iterator[Block]:
    """A run of layers, taken apart while it is long; `reach` is how far tensors may reach that were counted so far."""
    while last - first >= LONG and (reach := reach // 2) >= _REACH:
        starts = [first, *_starts(graph, first, last, reach)]
        if len(starts) > 1:
            ends = [start - 1 for start in starts[1:]] + [last]
            for start, end in zip(starts, ends, strict=True):
                yield from _parts(graph, start, end, min(reach, end - start + 1))
            return
    yield first, last


def _starts(graph: LayerGraph, first: int, last: int, reach: int) -> Iterator[int]:
    """Where blocks begin behind `first`: at cuts that at most one tensor crosses which reaches no further than told."""
    width, which = _crossing(graph, first, last, reach)
    heavy_before = False
    for after in range(first, last):
        heavy_before = heavy_before or bool(graph.layers[after].features.get("macs"))
        count, tensor = width[after - first], which[after - first]
        if count > 1 or not heavy_before:
            continue
        branches = count == 1 and len(graph.tensors[tensor].consumers) > 1
        if branches or graph.layers[after + 1].features.get("macs"):
            yield after + 1
            heavy_before = False


def _crossing(graph: LayerGraph, first: int, last: int, reach: int) -> tuple[Sequence[int], Sequence[int]]:
    """For the cut behind each layer of a run how many near tensors cross it, and the sum of their indices."""
    width, which = [0] * (last - first + 2), [0] * (last - first + 2)
    seen = {t for layer in graph.layers[first : last + 1] for t in (*layer.inputs, *layer.outputs)}
    for index in seen:
        tensor = graph.tensors[index]
        if not _is_near(tensor, reach):
            continue
        begin, end = max(tensor.producer, first), min(tensor.consumers[-1], last)
        for count, by in ((width, 1), (which, index)):
            count[begin - first] += by
            count[end - first] -= by
    return list(accumulate(width)), list(accumulate(which))


def _is_near(tensor: Tensor, reach: int) -> bool:
    """Whether a tensor holds a block together: read soon after it is made, or after the start if it is an input."""
    if not tensor.consumers or tensor.consumers[-1] - tensor.producer > reach:
        return False
    return tensor.producer >= 0 or tensor.consumers[0] < _REACH
