"""The arithmetic of spatial partition: which part of every map a tile must compute, halo included.

A tile of the last map is walked back layer by layer (Fused Tile Partitioning, Zhao et al. 2018, DeepThings,
10.1109/TCAD.2018.2858384); where several layers read a map, the tile holds the smallest rectangle that serves all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import onnx

from layerlift.models.errors import ModelError
from layerlift.models.graph import features
from layerlift.models.preprocess.choosing import weight_shape
from layerlift.models.preprocess.windows import Range, Window, windows
from layerlift.models.running.network import Network
from layerlift.models.sums import int_sum, left_sum

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
class WindowedLayer:
    """A layer each of whose output places depends on a window of its input maps."""

    node: onnx.NodeProto
    maps: tuple[str, ...]
    """The activations that it reads, each once."""
    output: str
    rows: Window
    columns: Window
    flops: int
    extents: tuple[int, int]
    """Rows and columns of the output."""

    @property
    def slides(self) -> bool:
        """Whether it has padding of its own: a convolution or a pool."""
        return self.node.op_type in _WINDOWED

    def reads(self, made: Box) -> Box:
        """The part of each input map that the part `made` of the output needs."""
        return self.rows.reads(made[0]), self.columns.reads(made[1])


@dataclass(frozen=True, slots=True)
class Region:
    """Layers that turn one map, `entry`, into another, `exit`, and can be computed in tiles."""

    layers: tuple[WindowedLayer, ...]
    entry: str
    exit: str

    @property
    def extents(self) -> tuple[int, int]:
        """Rows and columns of the last map."""
        return self.layers[-1].extents


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: per tensor of the region, the rectangle of it that is computed (or read, for the region's entry)."""

    boxes: dict[str, Box]


def local(network: Network, node: onnx.NodeProto) -> WindowedLayer | str:
    """`node` as a layer that can be computed in tiles, or why it cannot."""
    maps = tuple(name for name in dict.fromkeys(node.input) if name and name not in network.graph.forms)
    problem = _obstacle(network, node, maps)
    if problem is not None:
        return problem
    read, made = network.types[maps[0]][1], network.types[node.output[0]][1]
    if node.op_type in _WINDOWED:
        axes = windows(node, read, made, weight_shape(network, node) if node.op_type == "Conv" else None)
    else:
        axes = Window(1, 1, 1, 0, 0, made[2]), Window(1, 1, 1, 0, 0, made[3])
    flops = features.flops(node, lambda name: network.types[name][1])
    return WindowedLayer(node, maps, node.output[0], *axes, flops, (made[2], made[3]))


def _obstacle(network: Network, node: onnx.NodeProto, maps: Sequence[str]) -> str | None:
    shapes = {network.types[name][1] for name in (*maps, *node.output) if name}
    if any(len(shape) != 4 for shape in shapes):
        return f"{node.op_type} does not turn maps of 4 dimensions into such maps"
    if len([name for name in node.output if name]) != 1:
        return f"{node.op_type} has a second output"
    if node.op_type == "Conv":
        return None if weight_shape(network, node) else "its kernels are not weights"
    if node.op_type in _WINDOWED:
        return _ODD if _is_odd(network, node) else None
    if node.op_type not in _UNARY | _BROADCASTING | {"Concat"} or node.domain not in ("", "ai.onnx"):
        return f"{node.op_type} is not a convolution, a pool or an operator that works point by point"
    if len({shape[2:] for shape in shapes}) != 1:
        return f"{node.op_type} reads maps of different sizes"
    weights = [name for name in node.input if name and name not in maps]
    if node.op_type == "Concat":
        return None if features.integer(node, "axis", 1) in (1, -3) and not weights else "it does not join channels"
    if node.op_type != "BatchNormalization" and any(_has_places(network, name) for name in weights):
        return f"{node.op_type} has weights that differ from place to place"
    return None


_ODD = "onnxruntime and ONNX disagree on its padding (automatic, with ceil_mode, dilations or a stride over the kernel)"


def _is_odd(network: Network, pool: onnx.NodeProto) -> bool:
    read, made = (network.types[name][1] for name in (pool.input[0], pool.output[0]))
    axes = windows(pool, read, made)
    if any((extent - 1) * axis.stride - axis.begin >= axis.extent for axis, extent in zip(axes, made[2:], strict=True)):
        return True
    automatic = any(a.name == "auto_pad" and a.s not in (b"", b"NOTSET") for a in pool.attribute)
    unusual = any(axis.dilation > 1 or axis.kernel < axis.stride for axis in axes)
    return automatic and (unusual or features.integer(pool, "ceil_mode", 0) == 1)


def _has_places(network: Network, weight: str) -> bool:
    return any(extent != 1 for extent in network.types[weight][1][-2:])


def walk_back(region: Region, box: Box) -> Tile:
    """The tile of `region` whose part of the last map is `box`.

    Raises `ModelError` when a part of a map would be computed from padding alone.
    """
    boxes = {region.exit: box}
    for layer in reversed(region.layers):
        needed = layer.reads(boxes[layer.output])
        if any(low >= high for low, high in needed):
            raise ModelError(f"tile: a tile of {layer.node.name!r} would read nothing but padding; use fewer tiles")
        for name in layer.maps:
            boxes[name] = _hull(boxes.get(name), needed)
    return Tile(boxes)


def flops(region: Region, tiles: Sequence[Tile]) -> int:
    """FLOPs of all tiles together, overlaps counted as often as they are computed."""
    return int_sum(
        layer.flops
        // (layer.extents[0] * layer.extents[1])
        * int_sum(_area(tile.boxes[layer.output]) for tile in tiles)
        for layer in region.layers
    )


def overhead(region: Region, tiles: Sequence[Tile]) -> float:
    """FLOPs of the halos, as a share of the region's own."""
    return flops(region, tiles) / sum(layer.flops for layer in region.layers) - 1


def shares(extent: int, parts: Sequence[float]) -> list[Range]:
    """`extent` rows in ranges proportional to `parts` (largest remainders), in order.

    Raises `ModelError` when a part would get no row.
    """
    exact = [extent * part / left_sum(parts) for part in parts]
    rows = [int(size) for size in exact]
    by_remainder = sorted(range(len(parts)), key=lambda at: rows[at] - exact[at])
    for at in by_remainder[: extent - int_sum(rows)]:
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
