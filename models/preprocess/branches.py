"""One tile as ONNX nodes: each layer computes its part of the map, cut out of what the layer before computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from layerlift.models.onnx_files import untrusted
from layerlift.models.preprocess.halos import Box, Region, Tile, WindowedLayer
from layerlift.models.preprocess.rewrite import Edit, FreshNames
from layerlift.models.preprocess.windows import with_pads
from layerlift.models.running.network import Network


class Branch:
    """The nodes of tile number `number` of `region`, in order, and the tensor `output` that holds its last map's part.

    Weights keep their names, so that tiles share them. New constants go to `edit`.
    """

    def __init__(self, base: Network, region: Region, tile: Tile, number: int, names: FreshNames, edit: Edit) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._tile, self._number, self._names, self._edit = tile, number, names, edit
        self._attributes = untrusted.opset_of(base.light) < 10
        shape = base.types[region.entry][1]
        self._held: dict[str, tuple[str, Box]] = {region.entry: (region.entry, ((0, shape[2]), (0, shape[3])))}
        self._parts: dict[tuple[str, Box], str] = {}
        for layer in region.layers:
            self._add(layer)
        self.output = self._held[region.exit][0]

    def _add(self, layer: WindowedLayer) -> None:
        made = self._tile.boxes[layer.output]
        needed = layer.reads(made)
        maps = {name: self._part(name, needed) for name in layer.maps}
        copy = onnx.NodeProto()
        copy.CopyFrom(layer.node)
        if layer.slides:
            copy = with_pads(copy, layer.rows.pads(made[0]), layer.columns.pads(made[1]))
        copy.name = self._fresh(layer.node.name)
        copy.input[:] = [maps.get(name, name) for name in layer.node.input]
        copy.output[0] = self._fresh(layer.output)
        self._held[layer.output] = copy.output[0], made
        self.nodes.append(copy)

    def _part(self, name: str, box: Box) -> str:
        """The tensor that holds exactly `box` of the map `name`."""
        tensor, held = self._held[name]
        if held == box:
            return tensor
        if (name, box) not in self._parts:
            self._parts[name, box] = self._slice(name, tensor, held, box)
        return self._parts[name, box]

    def _slice(self, name: str, tensor: str, held: Box, box: Box) -> str:
        starts = [low - inside[0] for (low, _), inside in zip(box, held, strict=True)]
        ends = [high - inside[0] for (_, high), inside in zip(box, held, strict=True)]
        output, node = self._fresh(f"{name}/part"), self._fresh(f"{name}/slice")
        if self._attributes:
            made = helper.make_node("Slice", [tensor], [output], node, starts=starts, ends=ends, axes=[2, 3])
        else:
            bounds = {"starts": starts, "ends": ends, "axes": [2, 3]}
            read = [self._constant(f"{node}/{what}", values) for what, values in bounds.items()]
            made = helper.make_node("Slice", [tensor, *read], [output], node)
        self.nodes.append(made)
        return output

    def _constant(self, wanted: str, values: Sequence[int]) -> str:
        name = self._names.fresh(wanted)
        self._edit.constants[name] = np.asarray(values, np.int64)
        return name

    def _fresh(self, name: str) -> str:
        return self._names.fresh(f"{name}/tile{self._number}")
