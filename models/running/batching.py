"""Several queries at once: a network whose inputs are stacked along their first axis."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import onnx
from onnx import numpy_helper

from layerlift.models.errors import ModelError
from layerlift.models.graph import from_onnx
from layerlift.models.onnx_files.protos import one_line
from layerlift.models.running.network import Network
from layerlift.models.running.session import uncut_session

BOUND: Final = 1e-3
"""How far answers of a batch may be from those of each query alone, over the largest of them."""


def batched(network: Network, size: int) -> Network:
    """`network` for `size` queries at once, layer by layer the same.

    Reshapes that write the batch of one down are rewritten. Raises `ModelError` when `size` is below 1, or when the
    network's batch axis is a constant in some other way.
    """
    if size < 1:
        raise ModelError(f"a batch of {size} was asked for; expected 1 query or more")
    light = onnx.ModelProto()
    light.CopyFrom(network.unmerged.light)
    parameters = {parameter.name for parameter in network.graph.parameters}
    alone = {value.name: _extents(value) for value in light.graph.input if value.name not in parameters}
    if any(not shape or shape[0] != 1 for shape in alone.values()):
        raise _refused(network, "an input has no first axis of extent 1: fix its batch to 1 with --dim")
    for value in light.graph.input:
        if value.name in alone:
            value.type.tensor_type.shape.dim[0].dim_value = size
    rewritten = _rewrite(light, network)
    _infer(light, network)
    try:
        graph = from_onnx.build(network.name, light, [p.name for p in network.graph.parameters])
    except ModelError as error:
        raise _refused(network, f"the shapes of {size} at once do not follow ({error})") from None
    for tensor in graph.outputs:
        if graph.tensors[tensor].shape[:1] != (size,):
            raise _refused(network, f"its answer {graph.tensors[tensor].name!r} has no row for each query")
    topology = hashlib.sha256(light.SerializeToString(deterministic=True)).hexdigest()[:16]
    source = Shared(network.unmerged, rewritten)
    return Network(network.name, topology, topology, graph, light, source, network.synthetic)


class Shared:
    """The weights of the network for one query."""

    def __init__(self, network: Network, instead: Mapping[str, np.ndarray]) -> None:
        self._network, self._instead = network, instead

    def fetch(self, light: onnx.ModelProto) -> Mapping[str, np.ndarray]:
        """Its weights, with the constants that were rewritten."""
        return {**self._network.weights(), **self._instead}


def difference(network: Network, together: Network, size: int) -> float:
    """How far the answers of `size` queries at once are from each alone, over the largest (inf for NaN in one only)."""
    each = [network.unmerged.sample_inputs(number) for number in range(size)]
    stacked = {name: np.concatenate([inputs[name] for inputs in each]) for name in each[0]}
    answers = uncut_session(together).run(stacked)
    alone = uncut_session(network.unmerged)
    worst = 0.0
    for number, inputs in enumerate(each):
        for name, expected in alone.run(inputs).items():
            worst = max(worst, _apart(answers[name][number : number + 1], expected))
    return worst


def _apart(given: np.ndarray, expected: np.ndarray) -> float:
    given, expected = np.asarray(given, np.float64), np.asarray(expected, np.float64)
    if given.shape != expected.shape or not np.array_equal(np.isnan(given), np.isnan(expected)):
        return float("inf")
    scale = float(np.nanmax(np.abs(expected), initial=0.0)) or 1.0
    return float(np.nanmax(np.abs(given - expected), initial=0.0)) / scale


def _rewrite(light: onnx.ModelProto, network: Network) -> dict[str, np.ndarray]:
    """Let each Reshape of a batch of one keep its first axis; returns the parameters that this changes."""
    stored = {tensor.name: tensor for tensor in light.graph.initializer}
    read = {name: node for node in light.graph.node for name in node.input[1:2] if node.op_type == "Reshape"}
    changed: dict[str, np.ndarray] = {}
    for name, node in read.items():
        shape = network.unmerged.types[node.input[0]][1]
        values = numpy_helper.to_array(stored[name]) if name in stored else None
        if values is None or values.ndim != 1 or not len(values) or values[0] != 1 or shape[:1] != (1,):
            continue
        kept = np.array([0, *values[1:]], values.dtype)
        stored[name].CopyFrom(numpy_helper.from_array(kept, name))
        changed[name] = kept
    return changed


def _infer(light: onnx.ModelProto, network: Network) -> None:
    answers = {value.name: value.type.tensor_type.elem_type for value in light.graph.output}
    del light.graph.value_info[:], light.graph.output[:]
    for name, kind in answers.items():
        light.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    try:
        inferred = onnx.shape_inference.infer_shapes(light, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:
        raise _refused(network, one_line(error)) from None
    light.CopyFrom(inferred)


def _extents(value: onnx.ValueInfoProto) -> Sequence[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _refused(network: Network, why: str) -> ModelError:
    return ModelError(f"{network.name} cannot run several queries at once: {why}")
