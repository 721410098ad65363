"""What one operator costs, from its shapes alone: floating-point operations and a predictor's features.

Convention: FLOPs are 2 x multiply-accumulates (MACs) for operators that multiply matrices (convolutions, Gemm, MatMul
and their quantized and recurrent kin; additions of a bias are not counted), and one per output element for all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import onnx

from layerlift.models.sums import int_sum

Shape = tuple[int, ...]

Shapes = Callable[[str], Shape]
"""Knows the shape of every tensor of a network."""

_CONVOLUTIONS = ("Conv", "ConvInteger", "QLinearConv", "DeformConv")
_MATRIX = ("MatMul", "MatMulInteger", "QLinearMatMul")
_RECURRENT = ("LSTM", "GRU", "RNN")


def macs(node: onnx.NodeProto, shape_of: Shapes) -> int:
    """Multiply-accumulates of `node`; 0 for operators that do not multiply matrices. `shape_of` knows every tensor."""
    counted = MACS.get(node.op_type)
    return counted(node, shape_of) if counted is not None else 0


def flops(node: onnx.NodeProto, shape_of: Shapes) -> int:
    """Floating-point operations of `node`, by the convention of this module."""
    multiplied = macs(node, shape_of)
    return 2 * multiplied if multiplied else int_sum(math.prod(shape_of(name)) for name in node.output if name)


def features(node: onnx.NodeProto, shape_of: Shapes, activations: Sequence[str]) -> dict[str, float]:
    """What a predictor regresses over, after Neurosurgeon (10.1145/3037697.3037698).

    All operators have elements in and out (`input_elements`, `output_elements`) and `macs`; some have more (`MORE`).
    """
    read = float(int_sum(math.prod(shape_of(name)) for name in activations))
    made = float(int_sum(math.prod(shape_of(name)) for name in node.output if name))
    known = {"input_elements": read, "output_elements": made, "macs": float(macs(node, shape_of))}
    more = MORE.get(node.op_type)
    return known if more is None else {**known, **more(node, shape_of)}


def _convolution_macs(node: onnx.NodeProto, shape_of: Shapes) -> int:
    return math.prod(shape_of(node.output[0])) * math.prod(shape_of(node.input[_weight_slot(node)])[1:])


def _transposed_macs(node: onnx.NodeProto, shape_of: Shapes) -> int:
    return math.prod(shape_of(node.input[0])) * math.prod(shape_of(node.input[1])[1:])


def _gemm_macs(node: onnx.NodeProto, shape_of: Shapes) -> int:
    left = shape_of(node.input[0])
    return math.prod(shape_of(node.output[0])) * (left[0] if integer(node, "transA", 0) else left[-1])


def _matrix_macs(node: onnx.NodeProto, shape_of: Shapes) -> int:
    return math.prod(shape_of(node.output[0])) * shape_of(node.input[0])[-1]


def _recurrent_macs(node: onnx.NodeProto, shape_of: Shapes) -> int:
    steps, batch = shape_of(node.input[0])[:2]
    return steps * batch * (math.prod(shape_of(node.input[1])) + math.prod(shape_of(node.input[2])))


def _convolution(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """Kernel area, groups, channels, weights, (kernel area / stride area) x filters, and what is gathered before the
    multiplication (`patches`; nothing for 1x1).
    """
    weight, group = shape_of(node.input[_weight_slot(node)]), integer(node, "group", 1)
    filters = weight[1] * group if node.op_type == "ConvTranspose" else weight[0]
    kernel, stride = float(math.prod(weight[2:])), math.prod(integers(node, "strides", (1,)))
    multiplied = float(macs(node, shape_of))
    return {
        "kernel": kernel,
        "group": float(group),
        "channels": float(weight[1]),
        "kernel_work": kernel / stride * filters,
        "weights": float(math.prod(weight)),
        "patches": multiplied * group / filters if kernel > 1 or stride > 1 else 0.0,
    }


def _connected(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """Neurons in and out."""
    made = int_sum(math.prod(shape_of(name)) for name in node.output if name)
    return {"in_neurons": float(math.prod(shape_of(node.input[0]))), "out_neurons": float(made)}


def _pool(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """Kernel area."""
    return {"kernel": float(math.prod(integers(node, "kernel_shape", (1,))))}


MACS: dict[str, Callable[[onnx.NodeProto, Shapes], int]] = {
    **dict.fromkeys(_CONVOLUTIONS, _convolution_macs),
    "ConvTranspose": _transposed_macs,
    "Gemm": _gemm_macs,
    **dict.fromkeys(_MATRIX, _matrix_macs),
    **dict.fromkeys(_RECURRENT, _recurrent_macs),
}
"""Multiply-accumulates by operator type, for those that multiply matrices."""

MORE: dict[str, Callable[[onnx.NodeProto, Shapes], dict[str, float]]] = {
    **dict.fromkeys((*_CONVOLUTIONS, "ConvTranspose"), _convolution),
    **dict.fromkeys(("Gemm", *_MATRIX), _connected),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pool),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool", "MaxRoiPool"), _pool),
}
"""Features by operator type beyond those that all have."""


def integer(node: onnx.NodeProto, name: str, default: int) -> int:
    """The integer attribute `name` of `node`."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def integers(node: onnx.NodeProto, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """The integer-list attribute `name` of `node`."""
    return next((tuple(int(i) for i in a.ints) for a in node.attribute if a.name == name), default)


def _weight_slot(node: onnx.NodeProto) -> int:
    return 3 if node.op_type == "QLinearConv" else 1
