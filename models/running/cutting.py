"""Cutting: any run of consecutive layers as an ONNX model of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from layerlift.models.errors import ModelError
from layerlift.models.onnx_files.protos import aliasable, check, one_line
from layerlift.models.running import half
from layerlift.models.running.network import Network

BIG_BYTES = 65536
"""Parameters of at least this size become inputs of a piece, so that sessions can share them."""


@dataclass(frozen=True, slots=True)
class Stacking:
    """How a piece reads and makes the tensors of several queries at once (`layerlift.models.running.together`)."""

    size: int
    """How many queries."""
    axes: Mapping[str, int]
    """By tensor, the axis along which those of the queries lie one behind the other."""


@dataclass(frozen=True, slots=True)
class Subgraph:
    """Layers `first` to `last` of a network, ready to run. `(digest, first, last)` is its identity."""

    digest: str
    first: int
    last: int
    model: bytes
    """A serialised ONNX model; parameters below the size limit are inside."""
    inputs: tuple[str, ...]
    """Tensors to feed, in the order of `LayerGraph.boundary`."""
    outputs: tuple[str, ...]
    """Tensors that it hands on, in the order of `LayerGraph.boundary`."""
    big: tuple[str, ...]
    """Parameters to feed as well: keys of `Network.weights()`."""
    watched: tuple[str, ...]
    """Logits (`Network.logits`) made inside that are not handed on: extra outputs, for comparing answers."""
    stacking: Stacking | None = None
    """For a piece of several queries at once, whose inputs and outputs are then named for each of them."""

    @property
    def key(self) -> tuple[str, int, int]:
        """What identifies the piece."""
        return self.digest, self.first, self.last


def subgraph(network: Network, first: int, last: int, big_bytes: int = BIG_BYTES) -> Subgraph:
    """The piece of `network` with layers `first..last`, both inclusive.

    Fetches the network's weights. Raises `ModelError` when the layers are not a run of the network.
    """
    graph = network.graph
    if not 0 <= first <= last < len(graph):
        raise ModelError(f"layers {first}..{last} were asked of {network.name}, which has layers 0..{len(graph) - 1}")
    entering, leaving = graph.boundary(first, last)
    inputs = tuple(graph.tensors[t].name for t in entering)
    outputs = tuple(graph.tensors[t].name for t in leaving)
    nodes = _nodes(network, first, last)
    made = {name for node in nodes for name in node.output}
    watched = tuple(dict.fromkeys(name for name in network.logits if name in made and name not in outputs))
    kept = {tensor.name for tensor in network.light.graph.initializer}
    read = {name for node in nodes for name in node.input}
    held = [graph.parameters[p] for p in sorted(graph.parameters_of(range(first, last + 1)))]
    sizes = {name: p.held_bytes for p in held for name in p.names if name in read}
    big = tuple(
        name
        for name, size in sizes.items()
        if size >= big_bytes and name not in kept and aliasable(graph.forms[name].dtype)
    )
    weights = network.weights()
    piece = helper.make_graph(
        half.bordered(nodes, network.types, sizes),
        f"{network.light.graph.name}.{first}.{last}",
        [_info(network, name) for name in (*inputs, *big)],
        [_info(network, name) for name in (*outputs, *watched)],
        [numpy_helper.from_array(np.asarray(weights[name]), name) for name in sizes if name not in big],
    )
    model = helper.make_model(piece, opset_imports=network.light.opset_import, ir_version=network.light.ir_version)
    _check(model, network, first, last)
    return Subgraph(network.digest, first, last, model.SerializeToString(), inputs, outputs, big, watched)


def _nodes(network: Network, first: int, last: int) -> list[onnx.NodeProto]:
    """The ONNX nodes that the layers stand for, in a topological order: a merged layer may own scattered ones."""
    if network.base is None:
        return list(network.light.graph.node[first : last + 1])
    named = {node.name: node for node in network.light.graph.node}
    return [named[name] for layer in network.graph.layers[first : last + 1] for name in layer.nodes]


def _info(network: Network, name: str) -> onnx.ValueInfoProto:
    dtype, shape = network.types[name]
    return helper.make_tensor_value_info(name, dtype, list(shape))


def _check(model: onnx.ModelProto, network: Network, first: int, last: int) -> None:
    try:
        check(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"layers {first}..{last} of {network.name} are not a valid model: {one_line(error)}") from None
