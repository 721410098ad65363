"""A network as an SVG picture: layers or blocks from top to bottom, branches side by side, a plan's cuts across."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final
from xml.etree import ElementTree as Xml

from layerlift.models.graph.graph import Layer, LayerGraph
from layerlift.models.graph.route import CLIENT
from layerlift.models.report.canvas import Canvas, width_of
from layerlift.models.report.groups import Group, operators
from layerlift.models.report.layout import Layout, Line, Room, layout
from layerlift.models.report.sketch import ENDS, Placed, Sketch, mib
from layerlift.models.sums import left_sum

_MARGIN: Final = 28.0
_NARROWEST: Final = 720.0
"""So that title and legend have room above a chain."""
_GAP: Final = 34.0
_CUT_GAP: Final = 30.0
_PILL: Final = 26.0
_SAID: Final = 15.0
"""One line of text in a box."""
_STRIPE: Final = 7.0
_LINE: Final = "#6b7280"
_PALE: Final = "#f3f4f6"
_MARK: Final = "#a3195b"
_KINDS: Final = {
    "heavy": ("#0072b2", "multiplies matrices"),
    "pool": ("#009e73", "pools"),
    "norm": ("#e69f00", "normalises"),
    "join": ("#d55e00", "joins"),
    "other": ("#9ca3af", "other"),
}
_HERE: Final = "#dfe3e8"
_THERE: Final = ("#a9d3f0", "#f8d48f", "#9fdcc6", "#ecc0da", "#f4b58d", "#f3ec9a", "#c9b8ea")
"""Light tints of colours that nobody's eyes confuse (after Okabe and Ito), under black letters."""
_NORMALISATIONS: Final = frozenset(
    {"BatchNormalization", "LRN", "InstanceNormalization", "LayerNormalization", "GroupNormalization"}
)
_JOINS: Final = frozenset({"Concat", "Add", "Sum", "Mul"})


def svg(graph: LayerGraph, plan: Placed | None = None) -> str:
    """Draw `graph` layer by layer, or block by block where it has more than 100 layers; blocks that repeat are one box.

    A box says what it computes, holds and hands on. A bar under it marks a cut worth considering
    (`layerlift.models.graph.borders.best`). With a `plan` boxes have the colour of their node, and a broken line across
    says what is sent where the plan cuts.
    """
    return _Picture(Sketch(graph, plan)).drawn()


class _Picture:
    """One picture: where everything is, and how it looks."""

    def __init__(self, sketch: Sketch) -> None:
        self.sketch, self.graph = sketch, sketch.graph
        self.box, self.high = (296.0, 54.0) if sketch.whole else (196.0, 40.0)
        self.at: Layout = layout(sketch.levels, sketch.lines, Room(self.box, 4.0, 18.0))
        self.legend = _wrapped(_legend(sketch), max(_NARROWEST, self.at.width))
        wide = max(_NARROWEST, self.at.width)
        self.left = _MARGIN + (wide - self.at.width) / 2
        self.top = _MARGIN + 58.0 + 20.0 * len(self.legend)
        self.crossed = {border.level for border in sketch.borders}
        last = max(sketch.levels)
        marked = {sketch.levels[box] for box in sketch.best}
        highs = [_PILL, *(self.high + (_SAID if level in marked else 0.0) for level in range(1, last)), _PILL]
        gaps = [_GAP + (_CUT_GAP if level + 1 in self.crossed else 0.0) for level in range(last)]
        self.y = [self.top, *(self.top + down for down in accumulate(map(sum, zip(highs, gaps, strict=False))))]
        self.highs = highs
        self.canvas = Canvas(wide + 2 * _MARGIN, self.y[-1] + _PILL + _MARGIN)

    def drawn(self) -> str:
        """The picture as a file holds it."""
        self._head()
        ports = _Ports(self.sketch.lines, self.at, self.box)
        for number, line in enumerate(self.sketch.lines):
            self._line(number, line, ports)
        for border in self.sketch.borders:
            self._cut(border.level, self.sketch.sent(border))
        self._pill(0, "input", self.graph.inputs)
        self._pill(self.sketch.bottom, "output", self.graph.outputs)
        for box, group in enumerate(self.sketch.groups, 1):
            self._box(box, group)
        return self.canvas.done()

    def _head(self) -> None:
        everything = range(len(self.graph))
        room = self.canvas.width - 2 * _MARGIN
        self.canvas.text(_MARGIN, _MARGIN + 8, self.graph.name, 17, room, font_weight="bold")
        boxes = f" in {len(self.sketch.groups)} boxes" if self.sketch.whole else ""
        held = mib(self.graph.held_bytes(everything))
        said = f"{len(everything):,} layers{boxes}, {held} of parameters, {_flop(self.graph, everything)}"
        ends = ((len(self.graph.inputs), "inputs"), (len(self.graph.outputs), "outputs"))
        said += "".join(f"; not all {count} {what} have lines" for count, what in ends if count > ENDS)
        self.canvas.text(_MARGIN, _MARGIN + 28, said, 12, room)
        for row, items in enumerate(self.legend):
            x, y = _MARGIN, _MARGIN + 50 + 20.0 * row
            for look, words in items:
                self._swatch(look, x, y)
                self.canvas.text(x + 24, y, words, 11, room)
                x += _item_width(words)

    def _swatch(self, look: str, x: float, y: float) -> None:
        kind, _, value = look.partition(" ")
        if kind == "line":
            self.canvas.path([f"M{x:.1f},{y - 4:.1f}", "h18"], _LINE, float(value))
        elif kind == "rule":
            self.canvas.rule(y - 4, x, x + 18, _MARK)
        elif kind == "bar":
            self.canvas.rect(x, y - 6, 18, float(value), _MARK)
        elif kind == "pile":
            self.canvas.rect(x + 3, y - 7, 15, 9, "white", stroke=_LINE)
            self.canvas.rect(x, y - 10, 15, 9, _PALE, stroke=_LINE)
        else:
            self.canvas.rect(x, y - 9, 18, 11, value, stroke="#9aa1ab", stroke_width="0.5")

    # Lines

    def _line(self, number: int, line: Line, ports: _Ports) -> None:
        passing = self.at.passing[number]
        level = self.sketch.levels
        y = self.y[level[line.source]] + self.highs[level[line.source]]
        x = self.left + ports.out[number]
        courses: list[str] = []
        points = {level[line.source]: (x, y)}
        for at in sorted(passing):
            here = self.left + passing[at]
            courses += _bent(points[at - 1], (here, self.y[at]))
            courses.append(f"L{here:.1f},{self.y[at] + self.highs[at]:.1f}")
            points[at] = here, self.y[at] + self.highs[at]
        for target in line.targets:
            courses += _bent(points[level[target] - 1], (self.left + ports.into[number, target], self.y[level[target]]))
        group = self.canvas.group(f"{mib(line.weight)}", "edge")
        self.canvas.path(courses, _LINE, _thick(line.weight), group, stroke_opacity="0.85")

    def _cut(self, level: int, words: str) -> None:
        y = self.y[level] - _GAP / 2 - 4
        right = self.canvas.width - _MARGIN
        self.canvas.rule(y, _MARGIN, right, _MARK)
        words_wide = min(width_of(words, 11), right - _MARGIN)
        self.canvas.rect(_MARGIN, y - 19, words_wide, 16, "white", fill_opacity="0.85")
        self.canvas.text(_MARGIN, y - 7, words, 11, right - _MARGIN, font_weight="bold")

    # Boxes

    def _pill(self, box: int, what: str, tensors: Sequence[int]) -> None:
        size = mib(sum(self.graph.tensors[tensor].bytes for tensor in tensors))
        words = f"{what}: {size}" if len(tensors) == 1 else f"{len(tensors)} {what}s: {size}"
        x, y = self._corner(box)
        tip = "\n".join(self.graph.tensors[tensor].name for tensor in tensors[:40])
        group = self.canvas.group(tip, "end")
        self.canvas.rect(x, y, self.box, _PILL, "white", group, rx="13", stroke=_LINE)
        self.canvas.text(x + 16, y + 17, words, 11, self.box - 32, group)

    def _box(self, box: int, group: Group) -> None:
        x, y = self._corner(box)
        part = self.canvas.group(_tip(self.graph, group), "box")
        high = self.highs[self.sketch.levels[box]]
        node = self.sketch.node_of(group)
        fill = _PALE if node is None else _tint(self.sketch, node)
        if group.times > 1:
            self.canvas.rect(x + 5, y + 5, self.box, high, "white", part, rx="4", stroke=_LINE)
        self.canvas.rect(x, y, self.box, high, fill, part, rx="4", stroke="#9aa1ab")
        self._stripe(part, group, x, y, high)
        self._words(part, group, x + _STRIPE + 7, y)
        if (found := self.sketch.best.get(box)) is not None:
            thick = 5.0 if found.least else 2.5
            self.canvas.rect(x, y + high - thick / 2, self.box, thick, _MARK, part)
            carries = f"cut: {mib(found.cut.bytes)} in {found.cut.width}"
            self.canvas.text(x + _STRIPE + 7, y + high - 8, carries, 10, self.box - _STRIPE - 12, part, fill=_MARK)

    def _stripe(self, part: Xml.Element, group: Group, x: float, y: float, whole: float) -> None:
        """What kinds of layers are in a box, by their number, from top to bottom."""
        kinds = Counter(_kind(self.graph.layers[layer]) for layer in group.layers)
        for kind, (colour, _) in _KINDS.items():
            high = whole * kinds[kind] / len(group)
            if high:
                self.canvas.rect(x, y, _STRIPE, high, colour, part)
            y += high

    def _words(self, part: Xml.Element, group: Group, x: float, y: float) -> None:
        room = self.box - _STRIPE - 12
        node = self.sketch.node_of(group)
        where = f"on {self.sketch.plan.nodes[node]}" if self.sketch.plan is not None and node is not None else ""
        first, *rest = _said(self.graph, group, room)
        taken = min(width_of(where, 10) + 6, room / 2) if where else 0.0
        self.canvas.text(x, y + 15, first, 11.5, room - taken, part, font_weight="bold")
        if where:
            self.canvas.text(x + room - taken + 6, y + 15, where, 10, taken, part)
        for number, words in enumerate(rest):
            self.canvas.text(x, y + 30 + 15 * number, words, 10, room, part)

    def _corner(self, box: int) -> tuple[float, float]:
        return self.left + self.at.across[box] - self.box / 2, self.y[self.sketch.levels[box]]


class _Ports:
    """Where lines leave and enter boxes, in pixels across: side by side, in the order in which they come."""

    def __init__(self, lines: Sequence[Line], at: Layout, box: float) -> None:
        self.out: dict[int, float] = {}
        self.into: dict[tuple[int, int], float] = {}
        leaving: dict[int, list[tuple[float, int]]] = {}
        entering: dict[int, list[tuple[float, int]]] = {}
        for number, line in enumerate(lines):
            first = at.level[line.source] + 1
            ends = [at.across[target] for target in line.targets]
            leaving.setdefault(line.source, []).append(
                (at.passing[number].get(first, left_sum(ends) / len(ends)), number)
            )
            for target in line.targets:
                over = at.passing[number].get(at.level[target] - 1, at.across[line.source])
                entering.setdefault(target, []).append((over, number))
        for source, some in leaving.items():
            for place, number in _spread(some, at.across[source], box):
                self.out[number] = place
        for target, some in entering.items():
            for place, number in _spread(some, at.across[target], box):
                self.into[number, target] = place


def _spread(some: Iterable[tuple[float, int]], middle: float, box: float) -> Iterable[tuple[float, int]]:
    ordered = sorted(some)
    step = min(16.0, box * 0.6 / len(ordered))
    for place, (_, number) in enumerate(ordered):
        yield middle + (place - (len(ordered) - 1) / 2) * step, number


def _bent(start: tuple[float, float], end: tuple[float, float]) -> tuple[str, str]:
    (x1, y1), (x2, y2) = start, end
    bend = (y2 - y1) / 2
    return (
        f"M{x1:.1f},{y1:.1f}",
        f"C{x1:.1f},{y1 + bend:.1f} {x2:.1f},{y2 - bend:.1f} {x2:.1f},{y2:.1f}",
    )


def _thick(size: float) -> float:
    return max(0.8, math.log10(size + 1) - 2.2)


def _tint(sketch: Sketch, node: int) -> str:
    """The colour of a node: its own for the first seven servers, in the order in which a query comes to them."""
    return _HERE if node == CLIENT else _THERE[sketch.servers.index(node) % len(_THERE)]


def _legend(sketch: Sketch) -> list[tuple[str, str]]:
    """How something looks, and what it means."""
    kinds = {_kind(layer) for layer in sketch.graph.layers}
    items = [(f"fill {colour}", words) for kind, (colour, words) in _KINDS.items() if kind in kinds]
    items += [(f"line {_thick(size):.2f}", words) for size, words in ((2**10, "1 KiB"), (2**20, "1 MiB"))]
    if any(group.times > 1 for group in sketch.groups):
        items.append(("pile", "blocks alike"))
    bars = ((5, True, "cut: less than the input and all above"), (2.5, False, "cut: less than its neighbours"))
    items += [
        (f"bar {thick}", words)
        for thick, least, words in bars
        if any(found.least is least for found in sketch.best.values())
    ]
    if sketch.plan is not None:
        here = [CLIENT] if CLIENT in sketch.plan.placement else []
        items += [(f"fill {_tint(sketch, node)}", f"on {sketch.plan.nodes[node]}") for node in (*here, *sketch.servers)]
        items.append(("rule", "where the plan cuts"))
    return items


def _item_width(words: str) -> float:
    return 24 + width_of(words, 11) + 16


def _wrapped(items: Iterable[tuple[str, str]], room: float) -> list[list[tuple[str, str]]]:
    rows: list[list[tuple[str, str]]] = [[]]
    left = room
    for item in items:
        left -= _item_width(item[1])
        if left < 0 and rows[-1]:
            rows.append([])
            left = room - _item_width(item[1])
        rows[-1].append(item)
    return rows


def _said(graph: LayerGraph, group: Group, room: float) -> list[str]:
    """The words in a box, line by line."""
    last = graph.layers[group.last]
    shape = "x".join(str(extent) for extent in graph.tensors[last.outputs[0]].shape) if last.outputs else ""
    held = graph.held_bytes(group.layers)
    weights = mib(held) if held else ""
    if len(group) == 1:
        return [f"{last.index} {last.op_type}", ", ".join(filter(None, (shape, weights)))]
    size = len(group.pattern)
    count = f"{group.times} x {size} layers" if group.times > 1 else f"{size} layers"
    sums = ", ".join(filter(None, (shape, weights, _flop(graph, group.layers))))
    return [f"{group.first} to {group.last}: {count}", _operators(graph, group, room), sums]


def _operators(graph: LayerGraph, group: Group, room: float) -> str:
    """The operators of one repetition, the heaviest first, as far as there is room: `3 Conv, 2 Relu, 4 more`."""
    found = list(operators(graph, group).items())
    named = [name if number == 1 else f"{number} {name}" for name, number in found]
    for shown in range(len(named), 0, -1):
        left = [f"{left_out} more"] if (left_out := sum(number for _, number in found[shown:])) else []
        said = ", ".join([*named[:shown], *left])
        if width_of(said, 10) <= room:
            return said
    return named[0]


def _flop(graph: LayerGraph, layers: Iterable[int]) -> str:
    flops = sum(graph.layers[layer].flops for layer in layers)
    return f"{flops / 1e9:.2f} GFLOP" if flops >= 1e8 else f"{flops / 1e6:.2f} MFLOP"


def _tip(graph: LayerGraph, group: Group) -> str:
    first, last = graph.layers[group.first], graph.layers[group.last]
    names = first.name if group.first == group.last else f"{first.name} to {last.name}"
    most = max(graph.layers[layer].run_bytes for layer in group.layers)
    return f"layer {names}\n{_flop(graph, group.layers)}, runs in {mib(most)}"


def _kind(layer: Layer) -> str:
    if layer.features.get("macs"):
        return "heavy"
    if "Pool" in layer.op_type:
        return "pool"
    if layer.op_type in _NORMALISATIONS:
        return "norm"
    return "join" if layer.op_type in _JOINS else "other"
