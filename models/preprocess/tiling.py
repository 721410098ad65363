"""Spatial partition: a run of layers as branches that each compute one tile of the last map, on a server of its own.

Tiles overlap where kernels reach over their edges, and the overlap is computed again (DeepThings, Zhao et al. 2018,
10.1109/TCAD.2018.2858384). Strips by capability: MoDNN, Mao et al. 2017, 10.23919/DATE.2017.7927211.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx
from onnx import helper

from layerlift.models.errors import ModelError
from layerlift.models.preprocess import halos
from layerlift.models.preprocess.branches import Branch
from layerlift.models.preprocess.choosing import near_layers
from layerlift.models.preprocess.halos import Region, Tile, WindowedLayer
from layerlift.models.preprocess.modules import Module, units
from layerlift.models.preprocess.rewrite import Edit, FreshNames, rewrite
from layerlift.models.running.network import Network

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
    add at most the share `max_overhead` to its FLOPs. All branches read the same weights.
    Returns `network` itself when there is nothing to tile and no layer was named. Raises `ModelError` for options out
    of range and for runs that cannot be tiled, naming the layer in the way.
    """
    parts = _parts("rows", rows), _parts("columns", columns)
    if len(parts[0]) * len(parts[1]) > MAX_TILES:
        raise ModelError(f"tile: {len(parts[0])} x {len(parts[1])} tiles were asked for; at most {MAX_TILES} are made")
    if not max_overhead >= 0:
        raise ModelError(f"tile: max_overhead is {max_overhead}; expected a share of the FLOPs, 0 or more")
    base = network.unmerged
    found = _first_run(base, parts, max_overhead) if first is None and last is None else _named_run(base, first, last)
    return network if found is None else rewrite(network, _edit(base, found, tiles_of(found, *parts)), "tile")


def tiles_of(region: Region, rows: Sequence[float], columns: Sequence[float]) -> list[list[Tile]]:
    """The tiles of `region`, rows of tiles from the top. Raises `ModelError` for more parts than rows or columns."""
    height, width = region.extents
    across = halos.shares(width, columns)
    return [[halos.walk_back(region, (down, side)) for side in across] for down in halos.shares(height, rows)]


def region(network: Network, first: int, last: int) -> Region:
    """Layers `first..last` of `network` (unmerged) as a region.

    Raises `ModelError` naming a layer that cannot be tiled, or when they do not turn one map into another.
    """
    layers: list[WindowedLayer] = []
    for node in network.light.graph.node[first : last + 1]:
        found = halos.local(network, node)
        if isinstance(found, str):
            raise ModelError(f"tile: {node.name!r} of {network.name} cannot be computed in tiles: {found}")
        layers.append(found)
    return _bounded(network, layers, first, last)


def _bounded(network: Network, layers: Sequence[WindowedLayer], first: int, last: int) -> Region:
    entering, leaving = network.graph.boundary(first, last)
    if len(entering) != 1 or len(leaving) != 1:
        around = next(unit for unit in units(network.graph) if unit.last >= last)
        raise ModelError(
            f"tile: {layers[0].node.name!r} to {layers[-1].node.name!r} of {network.name} read {len(entering)} maps "
            f"and make {len(leaving)}; expected one each, as whole modules have: {_named(network, around)}"
        )
    tensors = network.graph.tensors
    return Region(tuple(layers), tensors[entering[0]].name, tensors[leaving[0]].name)


def _named(network: Network, unit: Module) -> str:
    return f"{network.graph.layers[unit.first].name!r} to {network.graph.layers[unit.last].name!r}"


def _parts(name: str, given: Parts) -> tuple[float, ...]:
    if isinstance(given, int) and given > MAX_TILES:
        raise ModelError(f"tile: {name} is {given}; at most {MAX_TILES} tiles are made")
    parts = (1.0,) * given if isinstance(given, int) else tuple(given)
    if not parts or not all(0 < part < math.inf for part in parts):
        raise ModelError(f"tile: {name} is {given}; expected a number of parts or a list of sizes above 0")
    return parts


def _first_run(base: Network, parts: tuple[Sequence[float], Sequence[float]], max_overhead: float) -> Region | None:
    """The longest run, from the first unit that can be tiled on, whose halos cost at most `max_overhead`."""
    found: Region | None = None
    layers: list[WindowedLayer] = []
    for unit in units(base.graph):
        fresh = [halos.local(base, node) for node in base.light.graph.node[unit.first : unit.last + 1]]
        if any(isinstance(each, str) for each in fresh):
            if found is not None:
                break
            layers = []
            continue
        layers += [each for each in fresh if isinstance(each, WindowedLayer)]
        candidate = _affordable(base, layers, unit.last, parts, max_overhead)
        found = candidate or found
    return found


def _affordable(
    base: Network,
    layers: Sequence[WindowedLayer],
    last: int,
    parts: tuple[Sequence[float], Sequence[float]],
    max_overhead: float,
) -> Region | None:
    if not any(layer.node.op_type == "Conv" for layer in layers):
        return None
    try:
        candidate = _bounded(base, layers, last + 1 - len(layers), last)
        tiles = [each for row in tiles_of(candidate, *parts) for each in row]
    except ModelError:
        return None
    return candidate if halos.overhead(candidate, tiles) <= max_overhead else None


def _named_run(base: Network, first: str | None, last: str | None) -> Region:
    if first is None or last is None:
        raise ModelError("tile: give both first and last, the names of the run's ends, or neither")
    names = [layer.name for layer in base.graph.layers]
    for name in (first, last):
        if name not in names:
            raise ModelError(f"tile: {base.name} has no layer {name!r}{near_layers(name, base.light.graph.node)}")
    start, end = names.index(first), names.index(last)
    if start > end:
        raise ModelError(f"tile: {first!r} comes after {last!r} in {base.name}; exchange them")
    return region(base, start, end)


def _edit(base: Network, found: Region, tiles: Sequence[Sequence[Tile]]) -> Edit:
    names, edit = FreshNames(base), Edit(dissolve=True)
    nodes: list[onnx.NodeProto] = []
    parts: list[list[str]] = []
    for row in tiles:
        parts.append([])
        for each in row:
            branch = Branch(base, found, each, sum(map(len, parts)), names, edit)
            parts[-1].append(branch.output)
            nodes += branch.nodes
    edit.nodes = {layer.node.name: () for layer in found.layers}
    edit.nodes[found.layers[0].node.name] = nodes + _joined(found, parts, names)
    return edit


def _joined(found: Region, parts: Sequence[Sequence[str]], names: FreshNames) -> list[onnx.NodeProto]:
    """The tiles side by side, then the rows of tiles on top of each other."""
    made: list[onnx.NodeProto] = []

    def concat(read: Sequence[str], axis: int, output: str | None = None) -> str:
        output = output or names.fresh(f"{found.exit}/row")
        made.append(helper.make_node("Concat", read, [output], names.fresh(f"{found.exit}/join"), axis=axis))
        return output

    if len(parts) == 1:
        concat(parts[0], 3, found.exit)
    else:
        concat([concat(row, 3) if len(row) > 1 else row[0] for row in parts], 2, found.exit)
    return made
