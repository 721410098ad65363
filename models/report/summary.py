"""A network in numbers: what `layerlift models NAME` shows, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from layerlift.models.graph import borders, cuts
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.report.groups import groups, operators
from layerlift.models.timing.profile import Profile

BLOCKS: Final = 60
"""About how many rows of blocks there are at most: a page, however long the network is."""


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """All layers of one operator type."""

    op_type: str
    layers: int
    parameter_bytes: int
    flops: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer. `hold_bytes` of memory keep it on a server; `run_bytes` more run it once."""

    index: int
    name: str
    op_type: str
    output_shapes: tuple[tuple[int, ...], ...]
    output_bytes: int
    hold_bytes: int
    run_bytes: int
    flops: int
    seconds: float | None
    cut_tensors: int | None
    """How many tensors cross the cut after it; None after the last layer."""
    cut_bytes: int | None


@dataclass(frozen=True, slots=True)
class CutRow:
    """A cut worth considering (`layerlift.models.graph.borders.best`), and what is on either side of it."""

    after: int
    name: str
    tensors: int
    bytes: int
    flops_before: int
    flops_after: int
    parameter_bytes_before: int
    parameter_bytes_after: int
    seconds_before: float | None
    seconds_after: float | None
    least: bool
    """Whether it carries less than the input and every earlier cut."""


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A block, or a pattern of blocks that comes `times` times in a row; sums are over all of them."""

    first: int
    last: int
    times: int
    layers: int
    """Of one repetition."""
    name: str
    """Its last layer."""
    operators: dict[str, int]
    """Of one repetition, those that compute most first."""
    parameter_bytes: int
    flops: int
    seconds: float | None
    cut_tensors: int | None
    """How many tensors cross the cut after it; None after the last layer."""
    cut_bytes: int | None


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One network as a planner sees it."""

    name: str
    layers: int
    is_chain: bool
    parameters: int
    parameter_bytes: int
    upload_bytes: int
    flops: int
    input_bytes: int
    output_bytes: int
    peak_run_bytes: int
    """Memory that the most demanding layer needs beside its parameters."""
    peak_live_bytes: int
    """The most activations alive at once when the layers run in order, those of the running layer included."""
    seconds: float | None
    ghz: float | None
    cut_widths: dict[int, int]
    """How many cuts are crossed by that many tensors."""
    operators: tuple[OperatorRow, ...]
    best_cuts: tuple[CutRow, ...]
    blocks: tuple[BlockRow, ...]
    rows: tuple[LayerRow, ...]


def report(graph: LayerGraph, profile: Profile | None = None) -> ModelReport:
    """Describe `graph`; with a `profile` of it, times as well. Nothing is measured and no weight is read."""
    seconds = profile.seconds if profile is not None else None
    found, before = cuts.cuts(graph), _Before(graph, seconds)
    widths: dict[int, int] = {}
    for cut in found:
        widths[cut.width] = widths.get(cut.width, 0) + 1
    everything = range(len(graph))
    return ModelReport(
        name=graph.name,
        layers=len(graph),
        is_chain=graph.is_chain,
        parameters=len(graph.parameters),
        parameter_bytes=graph.held_bytes(everything),
        upload_bytes=graph.upload_bytes(everything),
        flops=sum(layer.flops for layer in graph.layers),
        input_bytes=sum(graph.tensors[t].bytes for t in graph.inputs),
        output_bytes=sum(graph.tensors[t].bytes for t in graph.outputs),
        peak_run_bytes=max(layer.run_bytes for layer in graph.layers),
        peak_live_bytes=cuts.peak_live_bytes(graph),
        seconds=profile.total_s if profile is not None else None,
        ghz=profile.ghz if profile is not None else None,
        cut_widths=dict(sorted(widths.items())),
        operators=_operators(graph, seconds),
        best_cuts=tuple(before.row(cut) for cut in borders.best(graph)),
        blocks=_blocks(graph, found, seconds),
        rows=_rows(graph, found, seconds),
    )


def _operators(graph: LayerGraph, seconds: Sequence[float] | None) -> tuple[OperatorRow, ...]:
    groups: dict[str, list[int]] = {}
    for layer in graph.layers:
        groups.setdefault(layer.op_type, []).append(layer.index)
    rows = [
        OperatorRow(
            kind,
            len(group),
            graph.held_bytes(group),
            sum(graph.layers[i].flops for i in group),
            _sum(seconds, group),
        )
        for kind, group in groups.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-(row.seconds or 0.0), -row.flops, row.op_type)))


def _rows(graph: LayerGraph, found: Sequence[cuts.Cut], seconds: Sequence[float] | None) -> tuple[LayerRow, ...]:
    rows = []
    for layer in graph.layers:
        made = [graph.tensors[t] for t in layer.outputs]
        cut = found[layer.index] if layer.index < len(found) else None
        rows.append(
            LayerRow(
                layer.index,
                layer.name,
                layer.op_type,
                tuple(tensor.shape for tensor in made),
                sum(tensor.bytes for tensor in made),
                graph.held_bytes([layer.index]),
                layer.run_bytes,
                layer.flops,
                None if seconds is None else seconds[layer.index],
                None if cut is None else cut.width,
                None if cut is None else cut.bytes,
            )
        )
    return tuple(rows)


def _blocks(graph: LayerGraph, found: Sequence[cuts.Cut], seconds: Sequence[float] | None) -> tuple[BlockRow, ...]:
    rows = []
    for group in groups(graph, BLOCKS):
        cut = found[group.last] if group.last < len(found) else None
        rows.append(
            BlockRow(
                group.first,
                group.last,
                group.times,
                len(group.pattern),
                graph.layers[group.last].name,
                operators(graph, group),
                graph.held_bytes(group.layers),
                sum(graph.layers[layer].flops for layer in group.layers),
                _sum(seconds, group.layers),
                None if cut is None else cut.width,
                None if cut is None else cut.bytes,
            )
        )
    return tuple(rows)


class _Before:
    """What lies before each cut and behind it, from one pass over the layers."""

    def __init__(self, graph: LayerGraph, seconds: Sequence[float] | None) -> None:
        self.graph, self.seconds = graph, seconds
        sizes = [parameter.held_bytes for parameter in graph.parameters]
        # A weight that layers share is held on both sides of a cut between them.
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for layer in graph.layers:
            for parameter in layer.parameters:
                first.setdefault(parameter, layer.index)
                last[parameter] = layer.index
        begun, ended = [0] * len(graph), [0] * len(graph)
        for parameter in first:
            begun[first[parameter]] += sizes[parameter]
            ended[last[parameter]] += sizes[parameter]
        self.flops = list(accumulate(layer.flops for layer in graph.layers))
        self.begun, self.ended = list(accumulate(begun)), list(accumulate(ended))

    def row(self, best: borders.BestCut) -> CutRow:
        """The row of one cut."""
        cut = best.cut
        after, seconds = cut.after, self.seconds
        return CutRow(
            after,
            self.graph.layers[after].name,
            cut.width,
            cut.bytes,
            self.flops[after],
            self.flops[-1] - self.flops[after],
            self.begun[after],
            self.begun[-1] - self.ended[after],
            None if seconds is None else sum(seconds[: after + 1]),
            None if seconds is None else sum(seconds[after + 1 :]),
            best.least,
        )


def _sum(seconds: Sequence[float] | None, layers: Sequence[int]) -> float | None:
    return None if seconds is None else sum(seconds[i] for i in layers)
