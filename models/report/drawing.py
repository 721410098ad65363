"""A network as an SVG picture: layers from top to bottom, branches side by side, bytes as the width of lines."""

from __future__ import annotations

import math
import unicodedata
from xml.etree import ElementTree as Xml

from layerlift.models.graph import cuts
from layerlift.models.graph.graph import Layer, LayerGraph

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 190, 34, 24, 26, 30
_COLOURS = {
    "heavy": "#8fb4dc",
    "pool": "#72b7b2",
    "norm": "#eeca3b",
    "join": "#f58518",
    "other": "#bab0ac",
}
_NORMALISATIONS = frozenset({"BatchNormalization", "LRN", "InstanceNormalization", "LayerNormalization"})
_JOINS = frozenset({"Concat", "Add", "Sum", "Mul"})


def svg(graph: LayerGraph) -> str:
    """Draw `graph`: each box is a layer with its output shape and parameter bytes.

    A thick bar under a box marks a cut that carries less than every earlier one (`layerlift.models.graph.cuts.best`).
    """
    depth = _depths(graph)
    column = _columns(graph, depth)
    width = 2 * _MARGIN + (max(column) + 1) * (_WIDTH + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + 30 + (max(depth) + 1) * (_HEIGHT + _GAP_Y)
    root = Xml.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        width=f"{width:.0f}",
        height=str(height),
        viewBox=f"0 0 {width:.0f} {height}",
    )
    root.set("font-family", "sans-serif")
    Xml.SubElement(root, "rect", width="100%", height="100%", fill="white")
    title = f"{graph.name}: {len(graph)} layers, {_mib(graph.held_bytes(range(len(graph))))} of parameters"
    _text(root, _MARGIN, _MARGIN, title, 15)
    place = [
        (_MARGIN + across * (_WIDTH + _GAP_X), _MARGIN + 30 + down * (_HEIGHT + _GAP_Y))
        for across, down in zip(column, depth, strict=True)
    ]
    for layer in graph.layers:
        for tensor in layer.inputs:
            producer = graph.tensors[tensor].producer
            if producer >= 0:
                _edge(root, place[producer], place[layer.index], graph.tensors[tensor].bytes)
    narrow = {cut.after for cut in cuts.best(graph)}
    for layer in graph.layers:
        _box(root, graph, layer, place[layer.index], layer.index in narrow)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode") + "\n"


def _depths(graph: LayerGraph) -> list[int]:
    """The longest path from an input to each layer."""
    depth: list[int] = []
    for layer in graph.layers:
        above = [depth[graph.tensors[t].producer] for t in layer.inputs if graph.tensors[t].producer >= 0]
        depth.append(max(above, default=-1) + 1)
    return depth


def _columns(graph: LayerGraph, depth: list[int]) -> list[float]:
    """Horizontal places: each layer below its readers' mean, no two of one depth closer than a box."""
    rows: dict[int, list[int]] = {}
    for layer in graph.layers:
        rows.setdefault(depth[layer.index], []).append(layer.index)
    widest = max(len(row) for row in rows.values())
    column = [0.0] * len(graph)
    for level in sorted(rows):
        wanted = {index: _above(graph, column, index, (widest - 1) / 2) for index in rows[level]}
        ordered = sorted(rows[level], key=lambda index: (wanted[index], index))
        start = min(max(sum(wanted.values()) / len(ordered) - (len(ordered) - 1) / 2, 0.0), widest - len(ordered))
        for offset, index in enumerate(ordered):
            column[index] = start + offset
    return column


def _above(graph: LayerGraph, column: list[float], index: int, middle: float) -> float:
    above = [graph.tensors[t].producer for t in graph.layers[index].inputs if graph.tensors[t].producer >= 0]
    return sum(column[producer] for producer in above) / len(above) if above else middle


def _box(root: Xml.Element, graph: LayerGraph, layer: Layer, place: tuple[float, float], marked: bool) -> None:
    x, y = place
    group = Xml.SubElement(root, "g")
    Xml.SubElement(group, "title").text = _clean(
        f"layer {layer.index}: {layer.name}\n{layer.flops / 1e6:.2f} MFLOP, runs in {layer.run_bytes} bytes"
    )
    Xml.SubElement(
        group,
        "rect",
        x=f"{x:.1f}",
        y=f"{y:.1f}",
        width=str(_WIDTH),
        height=str(_HEIGHT),
        rx="5",
        fill=_COLOURS[_kind(layer)],
    )
    _text(group, x + 8, y + 14, f"{layer.index} {layer.op_type}", 11)
    shape = "x".join(str(extent) for extent in graph.tensors[layer.outputs[0]].shape) if layer.outputs else ""
    held = graph.held_bytes([layer.index])
    _text(group, x + 8, y + 27, shape + (f"   {_mib(held)}" if held else ""), 9)
    if marked:
        Xml.SubElement(
            group, "rect", x=f"{x:.1f}", y=f"{y + _HEIGHT:.1f}", width=str(_WIDTH), height="4", fill="#e45756"
        )


def _edge(root: Xml.Element, above: tuple[float, float], below: tuple[float, float], size: int) -> None:
    x1, y1 = above[0] + _WIDTH / 2, above[1] + _HEIGHT
    x2, y2 = below[0] + _WIDTH / 2, below[1]
    bend = max((y2 - y1) / 2, 10.0)
    path = f"M{x1:.1f},{y1:.1f} C{x1:.1f},{y1 + bend:.1f} {x2:.1f},{y2 - bend:.1f} {x2:.1f},{y2:.1f}"
    thickness = max(0.5, math.log10(size + 1) - 2.5)
    Xml.SubElement(root, "path", {"d": path, "fill": "none", "stroke": "#888", "stroke-width": f"{thickness:.2f}"})


def _kind(layer: Layer) -> str:
    if layer.features.get("macs"):
        return "heavy"
    if "Pool" in layer.op_type:
        return "pool"
    if layer.op_type in _NORMALISATIONS:
        return "norm"
    return "join" if layer.op_type in _JOINS else "other"


def _text(parent: Xml.Element, x: float, y: float, words: str, size: int) -> None:
    Xml.SubElement(parent, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": str(size)}).text = _clean(words)


def _clean(words: str) -> str:
    """Names come from strangers' files: characters that XML forbids are dropped."""
    return "".join(c for c in words if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs", "Cn"))


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 1024:.1f} KiB"
