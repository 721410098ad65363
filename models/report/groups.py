"""Blocks that repeat, as one line each: what keeps a page of a thousand layers readable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from layerlift.models.graph import borders
from layerlift.models.graph.borders import Block
from layerlift.models.graph.graph import LayerGraph

_LONGEST: Final = 24
"""Blocks of the longest pattern that is looked for."""


@dataclass(frozen=True, slots=True)
class Group:
    """Layers `first` to `last`: a pattern of blocks, `times` in a row."""

    first: int
    last: int
    times: int = 1

    def __len__(self) -> int:
        return self.last - self.first + 1

    @property
    def layers(self) -> range:
        """All of its layers."""
        return range(self.first, self.last + 1)

    @property
    def pattern(self) -> range:
        """The layers of the first of its repetitions."""
        return range(self.first, self.first + len(self) // self.times)


def groups(graph: LayerGraph, most: int, starts: Sequence[int] = ()) -> tuple[Group, ...]:
    """The network in groups of blocks, at most about `most`; none goes over one of the layers `starts`.

    Alike are blocks of the same operators in the same order, wired in the same way; sizes may differ. Where too few
    repeat, neighbours are put together.
    """
    cut = sorted({0, *starts, len(graph)})
    found: list[Group] = []
    room = max(1, most // (len(cut) - 1))
    for begin, end in pairwise(cut):
        runs = _repeated(graph, _within(borders.blocks(graph), begin, end))
        found += runs if len(runs) <= room or len(runs) <= most - len(found) else _fewer(runs, room)
    return tuple(found)


def each(graph: LayerGraph) -> tuple[Group, ...]:
    """Every layer as a group of its own."""
    return tuple(Group(layer.index, layer.index) for layer in graph.layers)


def operators(graph: LayerGraph, group: Group) -> dict[str, int]:
    """How many layers of each operator one repetition of a group has, those that compute most first."""
    flops: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for index in group.pattern:
        layer = graph.layers[index]
        flops[layer.op_type] += layer.flops
        count[layer.op_type] += 1
    return dict(sorted(count.items(), key=lambda kind: (-flops[kind[0]], -kind[1])))


def _within(blocks: Sequence[Block], begin: int, end: int) -> list[Block]:
    """The blocks of the layers from `begin` to before `end`, cut off there."""
    return [(max(first, begin), min(last, end - 1)) for first, last in blocks if last >= begin and first < end]


def _fewer(runs: Sequence[Group], most: int) -> Iterator[Group]:
    """Neighbours put together, so that no group has many more layers than it must."""
    layers = runs[-1].last + 1 - runs[0].first
    for _, some in groupby(runs, key=lambda run: (run.first - runs[0].first) * most // layers):
        together = list(some)
        alone = len(together) == 1
        yield together[0] if alone else Group(together[0].first, together[-1].last)


def _repeated(graph: LayerGraph, blocks: Sequence[Block]) -> list[Group]:
    """Groups that cover `blocks` with the fewest blocks in their patterns; of such, the shortest patterns."""
    kinds = [_kind(graph, block) for block in blocks]
    count = len(kinds)
    alike = {period: _alike(kinds, period) for period in range(1, min(_LONGEST, count // 2) + 1)}
    cost: list[tuple[int, int]] = [(0, 0)] * (count + 1)
    taken: list[tuple[int, int]] = [(1, 1)] * count
    for at in reversed(range(count)):
        choices = [(1, 1)]
        for period, runs in alike.items():
            times = 1 + runs[at] // period
            choices += [(period, some) for some in {2, times - 1, times} if 2 <= some <= times]
        priced = [
            ((period + cost[at + period * times][0], period**2 + cost[at + period * times][1]), (period, times))
            for period, times in choices
        ]
        cost[at], taken[at] = min(priced)
    found, at = [], 0
    while at < count:
        period, times = taken[at]
        found.append(Group(blocks[at][0], blocks[at + period * times - 1][1], times))
        at += period * times
    return found


def _alike(kinds: Sequence[Hashable], period: int) -> list[int]:
    """For each block how many from it on are like the one `period` later."""
    runs = [0] * (len(kinds) + 1)
    for at in reversed(range(len(kinds) - period)):
        runs[at] = runs[at + 1] + 1 if kinds[at] == kinds[at + period] else 0
    return runs


def _kind(graph: LayerGraph, block: Block) -> Hashable:
    """What makes two blocks alike: operators, which of them have parameters, and who inside reads whom."""
    first, last = block
    kind = []
    for layer in graph.layers[first : last + 1]:
        makers = (graph.tensors[tensor].producer for tensor in layer.inputs)
        wires = tuple(layer.index - maker if maker >= first else -1 for maker in makers)
        kind.append((layer.op_type, bool(layer.parameters), wires))
    return tuple(kind)
