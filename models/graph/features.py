"""What one operator costs, from its shapes alone: floating-point operations and a predictor's features.

Convention: FLOPs are 2 x multiply-accumulates (MACs) for operators that multiply matrices (convolutions, Gemm, MatMul
and their quantized and recurrent kin; additions of a bias are not counted), and one per output element for all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import onnx

Shape = tuple[int, ...]

CONVOLUTIONS = frozenset({"Conv", "ConvInteger", "QLinearConv", "DeformConv"})
TRANSPOSED = frozenset({"ConvTranspose"})
MATRIX = frozenset({"MatMul", "MatMulInteger", "QLinearMatMul"})
RECURRENT = {"LSTM": 4, "GRU": 3, "RNN": 1}
FULLY_CONNECTED = frozenset({"Gemm"}) | MATRIX


def macs(node: onnx.NodeProto, shape_of: Callable[[str], Shape]) -> int:
    """Multiply-accumulates of `node`; 0 for operators that do not multiply matrices. `shape_of` knows every tensor."""
    if node.op_type in CONVOLUTIONS:
        weight = shape_of(node.input[_weight_slot(node)])
        return math.prod(shape_of(node.output[0])) * math.prod(weight[1:])
    if node.op_type in TRANSPOSED:
        return math.prod(shape_of(node.input[0])) * math.prod(shape_of(node.input[1])[1:])
    if node.op_type == "Gemm":
        left = shape_of(node.input[0])
        return math.prod(shape_of(node.output[0])) * (left[0] if integer(node, "transA", 0) else left[-1])
    if node.op_type in MATRIX:
        return math.prod(shape_of(node.output[0])) * shape_of(node.input[0])[-1]
    if node.op_type in RECURRENT:
        steps, batch = shape_of(node.input[0])[:2]
        return steps * batch * (math.prod(shape_of(node.input[1])) + math.prod(shape_of(node.input[2])))
    return 0


def flops(node: onnx.NodeProto, shape_of: Callable[[str], Shape]) -> int:
    """Floating-point operations of `node`, by the convention of this module."""
    multiplied = macs(node, shape_of)
    return 2 * multiplied if multiplied else sum(math.prod(shape_of(name)) for name in node.output if name)


def features(node: onnx.NodeProto, shape_of: Callable[[str], Shape], activations: Sequence[str]) -> dict[str, float]:
    """What a predictor regresses over, after Neurosurgeon (10.1145/3037697.3037698).

    Convolution: elements of the input maps and (kernel area / stride area) x filters (`kernel_work`); fully connected:
    neurons in and out; everything else: elements in and out. All have `macs`; convolutions also `kernel`, `group`,
    `channels`, `weights` and `patches`, the elements that are gathered before the multiplication (none for 1x1).
    """
    read = float(sum(math.prod(shape_of(name)) for name in activations))
    made = float(sum(math.prod(shape_of(name)) for name in node.output if name))
    known = {"input_elements": read, "output_elements": made, "macs": float(macs(node, shape_of))}
    if node.op_type in CONVOLUTIONS | TRANSPOSED:
        weight = shape_of(node.input[_weight_slot(node)])
        group = integer(node, "group", 1)
        filters = weight[0] if node.op_type in CONVOLUTIONS else weight[1] * group
        known["kernel"] = float(math.prod(weight[2:]))
        known["group"] = float(group)
        known["channels"] = float(weight[1])
        stride = math.prod(integers(node, "strides", (1,)))
        known["kernel_work"] = known["kernel"] / stride * filters
        known["weights"] = float(math.prod(weight))
        known["patches"] = known["macs"] * group / filters if known["kernel"] > 1 or stride > 1 else 0.0
    elif node.op_type in FULLY_CONNECTED:
        known["in_neurons"] = float(math.prod(shape_of(node.input[0])))
        known["out_neurons"] = made
    elif "Pool" in node.op_type:
        known["kernel"] = float(math.prod(integers(node, "kernel_shape", (1,))))
    return known


def integer(node: onnx.NodeProto, name: str, default: int) -> int:
    """The integer attribute `name` of `node`."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def integers(node: onnx.NodeProto, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """The integer-list attribute `name` of `node`."""
    return next((tuple(int(i) for i in a.ints) for a in node.attribute if a.name == name), default)


def _weight_slot(node: onnx.NodeProto) -> int:
    return 3 if node.op_type == "QLinearConv" else 1
