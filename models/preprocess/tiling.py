"""Spatial partition: a run of layers as branches that each compute one tile of the last map, on a server of its own.

Tiles overlap where kernels reach over their edges, and the overlap is computed again (DeepThings, Zhao et al. 2018,
10.1109/TCAD.2018.2858384). Strips by capability: MoDNN, Mao et al. 2017, 10.23919/DATE.2017.7927211.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from models import untrusted
from models.errors import ModelError, near
from models.network import Network
from models.preprocess import halos
from models.preprocess.halos import Box, Region, Tile
from models.preprocess.modules import units
from models.preprocess.rewrite import Edit, Names, rewrite
from models.preprocess.windows import with_pads

MAX_TILES = 256
Parts = int | Sequence[float]


def tile(
    network: Network,
    *,
    rows: Parts = 2,
    columns: Parts = 1,
    first: str | None = None,
    last: str | None = None,
    max_overhead: float = 0.25,
) -> Network:
    """A run of convolutions, pools and point-by-point layers as parallel branches, one per tile. Lossless.

    `rows` and `columns` say how the last map is divided: a number of equal parts, or the parts' sizes (`[1, 2]`, what
    servers can do). `first` and `last` name the run's ends; without them it is the network's first run, as far as halos
    add at most the share `max_overhead` to its FLOPs. Modules are tiled whole. All branches read the same weights.
    Returns `network` itself when there is nothing to tile and no layer was named. Raises `ModelError` for options out
    of range and for runs that cannot be tiled, naming the layer in the way.
    """
    parts = _parts("rows", rows), _parts("columns", columns)
    if len(parts[0]) * len(parts[1]) > MAX_TILES:
        raise ModelError(f"tile: {len(parts[0])} x {len(parts[1])} tiles were asked for; at most {MAX_TILES} are made")
    if not max_overhead >= 0:
        raise ModelError(f"tile: max_overhead is {max_overhead}; expected a share of the FLOPs, 0 or more")
    base = network.unmerged
    if first is None and last is None:
        found = _first_run(base, parts, max_overhead)
        if found is None:
            return network
    else:
        found = _named_run(base, first, last)
    tiles = tiles_of(base, found, *parts)
    return rewrite(network, _edit(base, found, tiles, len(parts[1])), "tile")


def tiles_of(network: Network, region: Region, rows: Sequence[float], columns: Sequence[float]) -> list[Tile]:
    """The tiles of `region`, row by row. Raises `ModelError` when there are more parts than rows or columns."""
    shape = network.types[region.exit][1]
    across = halos.shares(shape[3], columns)
    return [halos.walk_back(network, region, (down, side)) for down in halos.shares(shape[2], rows) for side in across]


def region(network: Network, first: int, last: int) -> Region:
    """Layers `first..last` of `network` (unmerged) as a region.

    Raises `ModelError` naming a layer that cannot be tiled, or when they do not turn one map into another.
    """
    nodes = tuple(network.light.graph.node[first : last + 1])
    for node in nodes:
        problem = halos.obstacle(network, node)
        if problem is not None:
            raise ModelError(f"tile: {node.name!r} of {network.name} cannot be computed in tiles: {problem}")
    entering, leaving = network.graph.boundary(first, last)
    if len(entering) != 1 or len(leaving) != 1:
        raise ModelError(
            f"tile: {nodes[0].name!r} to {nodes[-1].name!r} of {network.name} read {len(entering)} maps and make "
            f"{len(leaving)}; expected one each"
        )
    tensors = network.graph.tensors
    return Region(nodes, first, last, tensors[entering[0]].name, tensors[leaving[0]].name)


def _parts(name: str, given: Parts) -> tuple[float, ...]:
    parts = (1.0,) * given if isinstance(given, int) else tuple(given)
    if not parts or not all(part > 0 for part in parts):
        raise ModelError(f"tile: {name} is {given}; expected a number of parts or a list of sizes above 0")
    return parts


def _first_run(base: Network, parts: tuple[Sequence[float], Sequence[float]], max_overhead: float) -> Region | None:
    """The longest run, from the first unit that can be tiled on, whose halos cost at most `max_overhead`."""
    found: Region | None = None
    start: int | None = None
    for unit in units(base.graph):
        nodes = base.light.graph.node[unit.first : unit.last + 1]
        if any(halos.obstacle(base, node) for node in nodes):
            if found is not None:
                break
            start = None
            continue
        start = unit.first if start is None else start
        candidate = _affordable(base, start, unit.last, parts, max_overhead)
        found = candidate or found
    return found


def _affordable(
    base: Network, first: int, last: int, parts: tuple[Sequence[float], Sequence[float]], max_overhead: float
) -> Region | None:
    try:
        candidate = region(base, first, last)
        tiles = tiles_of(base, candidate, *parts)
    except ModelError:
        return None
    if not any(node.op_type == "Conv" for node in candidate.nodes):
        return None
    return candidate if halos.overhead(base, candidate, tiles) <= max_overhead else None


def _named_run(base: Network, first: str | None, last: str | None) -> Region:
    if first is None or last is None:
        raise ModelError("tile: give both first and last, the names of the run's ends, or neither")
    ends = units(base.graph)
    names = [layer.name for layer in base.graph.layers]
    for name in (first, last):
        if name not in names:
            raise ModelError(f"tile: {base.name} has no layer {name!r}{near(name, names)}")
    start, end = names.index(first), names.index(last)
    if start > end:
        raise ModelError(f"tile: {first!r} comes after {last!r} in {base.name}; exchange them")
    for what, at, allowed in (("begin", start, {u.first for u in ends}), ("end", end, {u.last for u in ends})):
        if at not in allowed:
            low = max((a for a in allowed if a < at), default=min(allowed))
            high = min((a for a in allowed if a > at), default=max(allowed))
            raise ModelError(
                f"tile: {names[at]!r} of {base.name} lies inside a module, which is tiled whole; "
                f"{what} at {names[low]!r} or {names[high]!r}"
            )
    return region(base, start, end)


def _edit(base: Network, found: Region, tiles: Sequence[Tile], columns: int) -> Edit:
    names, edit = Names(base), Edit(dissolve=True)
    nodes: list[onnx.NodeProto] = []
    parts: list[str] = []
    for number, each in enumerate(tiles):
        branch = _Branch(base, found, each, number, names, edit)
        parts.append(branch.build())
        nodes += branch.nodes
    nodes += _joined(found, parts, columns, names)
    edit.nodes = {node.name: () for node in found.nodes}
    edit.nodes[found.nodes[0].name] = nodes
    return edit


def _joined(found: Region, parts: Sequence[str], columns: int, names: Names) -> list[onnx.NodeProto]:
    """The tiles side by side, then the rows of tiles on top of each other."""
    made: list[onnx.NodeProto] = []

    def concat(read: Sequence[str], axis: int, output: str) -> None:
        made.append(helper.make_node("Concat", read, [output], names.fresh(f"{found.exit}/join"), axis=axis))

    if len(parts) == columns:
        concat(parts, 3, found.exit)
        return made
    rows = [list(parts[at : at + columns]) for at in range(0, len(parts), columns)]
    strips: list[str] = []
    for row in rows:
        strips.append(row[0] if columns == 1 else names.fresh(f"{found.exit}/row"))
        if columns > 1:
            concat(row, 3, strips[-1])
    concat(strips, 2, found.exit)
    return made


class _Branch:
    """The nodes of one tile."""

    def __init__(self, base: Network, found: Region, tile: Tile, number: int, names: Names, edit: Edit) -> None:
        self.base, self.region, self.tile, self.number, self.names, self.edit = base, found, tile, number, names, edit
        self.nodes: list[onnx.NodeProto] = []
        self._cut: dict[tuple[str, Box], str] = {}

    def build(self) -> str:
        """Make the nodes; the name of the tensor that holds the tile of the last map."""
        shape = self.base.types[self.region.entry][1]
        self.held = {self.region.entry: (self.region.entry, ((0, shape[2]), (0, shape[3])))}
        for node in self.region.nodes:
            self._add(node)
        return self.held[self.region.exit][0]

    def _add(self, node: onnx.NodeProto) -> None:
        rows, columns = halos.axes_of(self.base, node)
        made = self.tile.boxes[node.output[0]]
        needed = rows.reads(made[0]), columns.reads(made[1])
        maps = {name: self._part(name, needed) for name in halos.maps_of(self.base, node)}
        slides = node.op_type in ("Conv", "MaxPool", "AveragePool")
        copy = with_pads(node, rows.pads(made[0]), columns.pads(made[1])) if slides else _copied(node)
        copy.name = self._fresh(node.name)
        copy.input[:] = [maps.get(name, name) for name in node.input]
        copy.output[0] = self._fresh(node.output[0])
        self.held[node.output[0]] = copy.output[0], made
        self.nodes.append(copy)

    def _part(self, name: str, box: Box) -> str:
        """The tensor that holds exactly `box` of the map `name`."""
        tensor, held = self.held[name]
        if held == box:
            return tensor
        if (name, box) not in self._cut:
            self._cut[name, box] = self._slice(name, tensor, held, box)
        return self._cut[name, box]

    def _slice(self, name: str, tensor: str, held: Box, box: Box) -> str:
        starts = [low - held[axis][0] for axis, (low, _) in enumerate(box)]
        ends = [high - held[axis][0] for axis, (_, high) in enumerate(box)]
        output = self._fresh(f"{name}/part")
        node = self._fresh(f"{name}/slice")
        if untrusted.opset_of(self.base.light) < 10:
            made = helper.make_node("Slice", [tensor], [output], node, starts=starts, ends=ends, axes=[2, 3])
        else:
            bounds = [self._constant(f"{node}/{what}", v) for what, v in (("starts", starts), ("ends", ends))]
            made = helper.make_node("Slice", [tensor, *bounds, self._constant(f"{node}/axes", [2, 3])], [output], node)
        self.nodes.append(made)
        return output

    def _constant(self, wanted: str, values: Sequence[int]) -> str:
        name = self.names.fresh(wanted)
        self.edit.constants[name] = np.asarray(values, np.int64)
        return name

    def _fresh(self, name: str) -> str:
        return self.names.fresh(f"{name}/tile{self.number}")


def _copied(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
