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
from layerlift.models.onnx_files import operators, protos
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
    parameters = {name: parameter.name for parameter in network.graph.parameters for name in parameter.names}
    alone = {value.name: _extents(value) for value in light.graph.input if value.name not in parameters}
    if any(not shape or shape[0] != 1 for shape in alone.values()):
        raise _refused(network, "an input has no first axis of extent 1: fix its batch to 1 with --dim")
    for value in light.graph.input:
        if value.name in alone:
            value.type.tensor_type.shape.dim[0].dim_value = size
    rewritten, repeated = _rewrite(light, network), _repeat(light, network, size)
    _infer(light, network)
    try:
        graph = from_onnx.build(network.name, light, parameters, tied=parameters)
    except ModelError as error:
        raise _refused(network, f"the shapes of {size} at once do not follow ({error})") from None
    for tensor in graph.outputs:
        if graph.tensors[tensor].shape[:1] != (size,):
            raise _refused(network, f"its answer {graph.tensors[tensor].name!r} has no row for each query")
    topology = hashlib.sha256(light.SerializeToString(deterministic=True)).hexdigest()[:16]
    source = Shared(network.unmerged, rewritten, repeated, size)
    return Network(network.name, topology, topology, graph, light, source, network.synthetic)


class Shared:
    """The weights of the network for one query."""

    def __init__(
        self, network: Network, instead: Mapping[str, np.ndarray], repeated: Mapping[str, int], size: int
    ) -> None:
        self._network, self._instead, self._repeated, self._size = network, instead, repeated, size

    def fetch(self, light: onnx.ModelProto) -> Mapping[str, np.ndarray]:
        """Its weights, with the constants that were rewritten and those that every query has one of."""
        weights = self._network.weights()
        many = {name: np.repeat(weights[name], self._size, axis) for name, axis in self._repeated.items()}
        return {**weights, **self._instead, **many}


def difference(network: Network, together: Network, size: int) -> float:
    """How far the answers of `size` queries at once are from each alone, over the largest (inf for NaN in one only)."""
    each = [network.unmerged.sample_inputs(number) for number in range(size)]
    stacked = {name: np.concatenate([inputs[name] for inputs in each]) for name in each[0]}
    try:
        answers = uncut_session(together).run(stacked)
    except ModelError as error:
        raise _refused(network, str(error)) from None
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
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in light.graph.node:
        if node.op_type == "Reshape":
            readers.setdefault(node.input[1], []).append(node)
    changed: dict[str, np.ndarray] = {}
    for name, nodes in readers.items():
        of_one = all(network.unmerged.types[node.input[0]][1][:1] == (1,) for node in nodes)
        values = numpy_helper.to_array(stored[name]) if name in stored else None
        if values is None or values.ndim != 1 or not len(values) or values[0] != 1 or not of_one:
            continue
        kept = np.array([0, *values[1:]], values.dtype)
        stored[name].CopyFrom(numpy_helper.from_array(kept, name))
        changed[name] = kept
        for node in nodes:
            _copy_zeros(node, values)
    return changed


def _copy_zeros(node: onnx.NodeProto, values: np.ndarray) -> None:
    """Let a 0 in the Reshape `node` stand for the size that is read, as it does unless `allowzero` is set."""
    if 0 not in values:
        kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)


def _repeat(light: onnx.ModelProto, network: Network, size: int) -> dict[str, int]:
    """Repeat what stands beside each query's tensors: a class token in a Concat, the first state of recurrent cells.

    Returns the axes along which parameters are to be repeated.
    """
    types = network.unmerged.types
    values = {value.name: value for value in light.graph.input}
    axes: dict[str, int] = {}
    for node in light.graph.node:
        if node.op_type == "Concat" and _axis(node, len(types[node.output[0]][1])):
            axes.update((name, 0) for name in node.input if types[name][1][:1] == (1,))
        elif node.op_type in ("LSTM", "GRU", "RNN"):
            axes.update((name, 1) for name in node.input[5:7] if name)
    held = {name for parameter in network.graph.parameters for name in parameter.names}
    axes = {name: axis for name, axis in axes.items() if name in held and name in values}
    for name, axis in axes.items():
        values[name].type.tensor_type.shape.dim[axis].dim_value = size
    return axes


def _axis(node: onnx.NodeProto, rank: int) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0) % max(rank, 1)


def _infer(light: onnx.ModelProto, network: Network) -> None:
    answers = {value.name: value.type.tensor_type.elem_type for value in light.graph.output}
    del light.graph.value_info[:], light.graph.output[:]
    for name, kind in answers.items():
        light.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    try:
        inferred = onnx.shape_inference.infer_shapes(
            protos.without_strange(light), check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:
        raise _refused(network, protos.one_line(error)) from None
    values = (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
    kinds: dict[str, operators.Kind] = {value.name: protos.type_of(value) for value in values}
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in light.graph.initializer}
    kinds.update((tensor.name, (tensor.data_type, tuple(tensor.dims))) for tensor in light.graph.initializer)
    # What onnx does not know, and what comes after it.
    asked = operators.Asked(light.opset_import, light.ir_version)
    kinds.update(asked.outputs_of(light.graph.node, kinds, stored))
    made = [name for node in light.graph.node for name in node.output if name]
    for name in made:
        if not operators.is_known(kinds.get(name)):
            raise _refused(network, f"the shape of {name!r} does not follow from that of its inputs")
    del light.graph.output[:]
    light.graph.output.extend(_info(name, kinds[name]) for name in answers)
    light.graph.value_info.extend(_info(name, kinds[name]) for name in made if name not in answers)


def _info(name: str, kind: operators.Kind) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, kind[0], list(kind[1] or ()))


def _extents(value: onnx.ValueInfoProto) -> Sequence[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _refused(network: Network, why: str) -> ModelError:
    return ModelError(f"{network.name} cannot run several queries at once: {why}")
