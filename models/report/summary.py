"""A network in numbers: what `layerlift models NAME` shows, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from layerlift.models.graph import cuts
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.timing.profile import Profile


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
    """A cut worth considering: no earlier one carries as little. What is on either side of it."""

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
    rows: tuple[LayerRow, ...]


def report(graph: LayerGraph, profile: Profile | None = None) -> ModelReport:
    """Describe `graph`; with a `profile` of it, times as well. Nothing is measured and no weight is read."""
    seconds = profile.seconds if profile is not None else None
    found = cuts.cuts(graph)
    widths: dict[int, int] = {}
    for cut in found:
        widths[len(cut.tensors)] = widths.get(len(cut.tensors), 0) + 1
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
        peak_live_bytes=_peak_live(graph, found),
        seconds=profile.total_s if profile is not None else None,
        ghz=profile.ghz if profile is not None else None,
        cut_widths=dict(sorted(widths.items())),
        operators=_operators(graph, seconds),
        best_cuts=tuple(_cut_row(graph, cut, seconds) for cut in cuts.best(graph)),
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
                None if cut is None else len(cut.tensors),
                None if cut is None else cut.bytes,
            )
        )
    return tuple(rows)


def _cut_row(graph: LayerGraph, cut: cuts.Cut, seconds: Sequence[float] | None) -> CutRow:
    before, after = range(cut.after + 1), range(cut.after + 1, len(graph))
    return CutRow(
        cut.after,
        graph.layers[cut.after].name,
        len(cut.tensors),
        cut.bytes,
        sum(graph.layers[i].flops for i in before),
        sum(graph.layers[i].flops for i in after),
        graph.held_bytes(before),
        graph.held_bytes(after),
        _sum(seconds, before),
        _sum(seconds, after),
    )


def _peak_live(graph: LayerGraph, found: Sequence[cuts.Cut]) -> int:
    """While a layer runs, what crosses the cut before it is alive, and what it makes."""
    before = [sum(graph.tensors[t].bytes for t in graph.inputs), *(cut.bytes for cut in found)]
    return max(
        alive + sum(graph.tensors[t].bytes for t in layer.outputs)
        for alive, layer in zip(before, graph.layers, strict=True)
    )


def _sum(seconds: Sequence[float] | None, layers: Sequence[int]) -> float | None:
    return None if seconds is None else sum(seconds[i] for i in layers)
