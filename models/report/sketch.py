"""What a picture of a network shows, before it is drawn: boxes, the lines between them, and where a plan cuts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from layerlift.models.graph import borders
from layerlift.models.graph.borders import BestCut
from layerlift.models.graph.graph import LayerGraph, Segment
from layerlift.models.graph.route import CLIENT, Send, compile_route
from layerlift.models.report.groups import Group, each, groups
from layerlift.models.report.layout import Line
from layerlift.models.sums import int_sum

LAYERS: Final = 100
"""Networks of at most so many layers are drawn layer by layer."""
BOXES: Final = 60
"""About how many boxes others are drawn in."""
ENDS: Final = 4
"""Inputs and outputs that all have their lines; a decoder's caches, two for each block, have not."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A plan: the node of each layer, 0 being the client, and the names of nodes."""

    placement: Sequence[int]
    nodes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Border:
    """A line of the picture between two segments of a plan: what is sent there, and above which level it is."""

    level: int
    source: int
    sends: tuple[Send, ...]


class Sketch:
    """A network in boxes. Box number 0 is what is given to it, the last one what it answers; between them layers."""

    def __init__(self, graph: LayerGraph, plan: Placed | None = None) -> None:
        self.graph, self.plan = graph, plan
        self.segments: tuple[Segment, ...] = () if plan is None else graph.segments(plan.placement)
        starts = [segment.first for segment in self.segments]
        self.servers = list(dict.fromkeys(segment.node for segment in self.segments if segment.node != CLIENT))
        self.whole = len(graph) > LAYERS
        self.groups: tuple[Group, ...] = groups(graph, BOXES, starts) if self.whole else each(graph)
        self.box_of = [box for box, group in enumerate(self.groups, 1) for _ in group.layers]
        self.bottom = len(self.groups) + 1

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """What each box hands to others, in bytes; tensors that the same boxes read are one line."""
        found: dict[tuple[int, tuple[int, ...]], int] = {}
        for index, tensor in enumerate(self.graph.tensors):
            source = 0 if tensor.producer < 0 else self.box_of[tensor.producer]
            targets = {self.box_of[reader] for reader in tensor.consumers} | self._answered(index)
            if source == 0 and len(self.graph.inputs) > ENDS:
                targets &= {1}
            if targets := targets - {source}:
                key = source, tuple(sorted(targets))
                found[key] = found.get(key, 0) + tensor.bytes
        return tuple(Line(source, targets, size) for (source, targets), size in found.items())

    def _answered(self, index: int) -> set[int]:
        """The box of answers, where a tensor is one whose line is drawn."""
        few = len(self.graph.outputs) <= ENDS
        last = self.graph.tensors[index].producer == len(self.graph) - 1
        return {self.bottom} if self.graph.tensors[index].is_output and (few or last) else set()

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Of each box: below all that it reads, and below all boxes of earlier segments of the plan."""
        above: dict[int, list[int]] = {}
        for line in self.lines:
            for target in line.targets:
                above.setdefault(target, []).append(line.source)
        begins = {segment.first for segment in self.segments}
        level, least = [0], 1
        for box, group in enumerate(self.groups, 1):
            if group.first in begins:
                least = max(level) + 1
            level.append(max([least, *(level[source] + 1 for source in above.get(box, ()))]))
        return (*level, max(level) + 1)

    @cached_property
    def best(self) -> Mapping[int, BestCut]:
        """Boxes behind which is a cut worth considering."""
        ends = {group.last: box for box, group in enumerate(self.groups, 1)}
        return {ends[found.cut.after]: found for found in borders.best(self.graph) if found.cut.after in ends}

    @cached_property
    def borders(self) -> tuple[Border, ...]:
        """Where the plan sends something: before the first layer, between segments, behind the last one."""
        if self.plan is None:
            return ()
        route = compile_route(self.graph, self.plan.placement)
        ends = [self.levels[self.box_of[segment.first]] for segment in self.segments] + [self.levels[-1]]
        sources = [CLIENT, *(segment.node for segment in self.segments)]
        sends = [route.opening, *(step.sends for step in route.steps)]
        return tuple(
            Border(level, source, sent) for level, source, sent in zip(ends, sources, sends, strict=True) if sent
        )

    def sent(self, border: Border) -> str:
        """A border in words: `client sends 1.5 MiB to r7`, of several receivers each."""
        assert self.plan is not None
        parts = []
        for to in sorted({send.to for send in border.sends}):
            size = int_sum(send.bytes for send in border.sends if send.to == to)
            parts.append(f"{mib(size)} to {self.plan.nodes[to]}")
        return f"{self.plan.nodes[border.source]} sends {', '.join(parts)}"

    def node_of(self, group: Group) -> int | None:
        """Where the plan runs a box."""
        return None if self.plan is None else self.plan.placement[group.first]


def mib(size: float) -> str:
    """Bytes as a person reads them."""
    if size < 1024:
        return f"{size:.0f} B"
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 1024:.1f} KiB"
