"""The arithmetic of spatial partition: which part of every map a tile must compute, halo included.

A tile of the last map is walked back layer by layer (Fused Tile Partitioning, Zhao et al. 2018, DeepThings,
10.1109/TCAD.2018.2858384); where several layers read a map, the tile holds the smallest rectangle that serves all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import onnx

from models import features
from models.errors import ModelError
from models.network import Network
from models.preprocess.choosing import weight_shape
from models.preprocess.windows import Range, Window, windows

Box = tuple[Range, Range]
"""Rows and columns of a map."""

_WINDOWED = frozenset({"Conv", "MaxPool", "AveragePool"})
# fmt: off
_UNARY = frozenset({
    "Abs", "BatchNormalization", "Cast", "Ceil", "Celu", "Clip", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu",
    "HardSigmoid", "HardSwish", "Identity", "LRN", "LeakyRelu", "Log", "Mish", "Neg", "PRelu", "Reciprocal", "Relu",
    "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu",
})
# fmt: on
_BROADCASTING = frozenset({"Add", "Div", "Max", "Mean", "Min", "Mul", "Pow", "Sub", "Sum"})


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: per tensor of the region, the rectangle of it that is computed (or read, for the region's entry)."""

    boxes: dict[str, Box]


@dataclass(frozen=True, slots=True)
class Region:
    """Layers `first` to `last` that turn one map, `entry`, into another, `exit`, and can be computed in tiles."""

    nodes: tuple[onnx.NodeProto, ...]
    first: int
    last: int
    entry: str
    exit: str


def obstacle(network: Network, node: onnx.NodeProto) -> str | None:
    """Why `node` cannot be computed in tiles; None when it can."""
    held = {parameter.name for parameter in network.graph.parameters}
    maps = [name for name in node.input if name and name not in held]
    shapes = {network.types[name][1] for name in (*maps, *node.output) if name}
    if any(len(shape) != 4 for shape in shapes):
        return f"{node.op_type} does not turn maps of 4 dimensions into such maps"
    if len([name for name in node.output if name]) != 1:
        return f"{node.op_type} has a second output"
    if node.op_type in _WINDOWED:
        return None if node.op_type != "Conv" or weight_shape(network, node) else "its kernels are not weights"
    if node.op_type not in _UNARY | _BROADCASTING | {"Concat"} or node.domain not in ("", "ai.onnx"):
        return f"{node.op_type} is not a convolution, a pool or an operator that works point by point"
    if len({shape[2:] for shape in shapes}) != 1:
        return f"{node.op_type} reads maps of different sizes"
    if node.op_type == "Concat":
        axis = features.integer(node, "axis", 1)
        return None if axis in (1, -3) and len(maps) == len(node.input) else "Concat joins something other than maps"
    exempt = node.op_type == "BatchNormalization"
    for name in node.input:
        if name in held and not exempt and any(extent != 1 for extent in network.types[name][1][-2:]):
            return f"{node.op_type} has weights that differ from place to place"
    return None


def axes_of(network: Network, node: onnx.NodeProto) -> tuple[Window, Window]:
    """How `node` slides over its input; point by point for operators that do not slide."""
    read, made = network.types[node.input[0]][1], network.types[node.output[0]][1]
    if node.op_type in _WINDOWED:
        return windows(node, read, made, weight_shape(network, node) if node.op_type == "Conv" else None)
    return Window(1, 1, 1, 0, 0, made[2]), Window(1, 1, 1, 0, 0, made[3])


def maps_of(network: Network, node: onnx.NodeProto) -> list[str]:
    """The activations that `node` reads, each once."""
    held = {parameter.name for parameter in network.graph.parameters}
    return [name for name in dict.fromkeys(node.input) if name and name not in held]


def walk_back(network: Network, region: Region, box: Box) -> Tile:
    """The tile of `region` whose part of the last map is `box`.

    Raises `ModelError` when a part of a map would be computed from padding alone.
    """
    boxes = {region.exit: box}
    for node in reversed(region.nodes):
        made = boxes[node.output[0]]
        rows, columns = axes_of(network, node)
        needed = rows.reads(made[0]), columns.reads(made[1])
        if any(low >= high for low, high in needed):
            raise ModelError(
                f"tile: a tile of {node.name!r} of {network.name} would read nothing but padding; use fewer tiles"
            )
        for name in maps_of(network, node):
            boxes[name] = _hull(boxes.get(name), needed)
    return Tile(boxes)


def flops(network: Network, region: Region, tiles: Sequence[Tile]) -> int:
    """FLOPs of all tiles together, overlaps counted as often as they are computed."""
    total = 0
    for node in region.nodes:
        shape = network.types[node.output[0]][1]
        whole = features.flops(node, lambda name: network.types[name][1])
        areas = sum(_area(tile.boxes[node.output[0]]) for tile in tiles)
        total += whole // (shape[2] * shape[3]) * areas
    return total


def overhead(network: Network, region: Region, tiles: Sequence[Tile]) -> float:
    """FLOPs of the halos, as a share of the region's own."""
    own = sum(features.flops(node, lambda name: network.types[name][1]) for node in region.nodes)
    return flops(network, region, tiles) / own - 1


def shares(extent: int, parts: Sequence[float]) -> list[Range]:
    """`extent` rows in ranges proportional to `parts` (largest remainders), in order.

    Raises `ModelError` when a part would get no row.
    """
    exact = [extent * part / sum(parts) for part in parts]
    rows = [int(size) for size in exact]
    by_remainder = sorted(range(len(parts)), key=lambda at: rows[at] - exact[at])
    for at in by_remainder[: extent - sum(rows)]:
        rows[at] += 1
    if min(rows) < 1:
        raise ModelError(f"tile: {extent} rows or columns cannot be shared as {list(parts)}; use fewer or evener parts")
    return list(pairwise(accumulate(rows, initial=0)))


def _hull(known: Box | None, needed: Box) -> Box:
    if known is None:
        return needed
    (top, bottom), (left, right) = known
    return (min(top, needed[0][0]), max(bottom, needed[0][1])), (min(left, needed[1][0]), max(right, needed[1][1]))


def _area(box: Box) -> int:
    return (box[0][1] - box[0][0]) * (box[1][1] - box[1][0])
