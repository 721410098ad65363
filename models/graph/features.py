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

CACHED_ELEMENTS = 1 << 17
"""So many floats fill a cache of the second level, of 512 KiB."""

_CONVOLUTIONS = ("Conv", "ConvInteger", "QLinearConv", "DeformConv")
_MATRIX = ("MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul", "DynamicQuantizeMatMul")
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

    All operators have elements in and out (`input_elements`, `output_elements`), what of them a cache of the second
    level cannot hold (`spilled`), how many activations they read, and `macs`; some have more (`MORE`).
    """
    read = float(int_sum(math.prod(shape_of(name)) for name in activations))
    made = float(int_sum(math.prod(shape_of(name)) for name in node.output if name))
    known = {
        "input_elements": read,
        "output_elements": made,
        "spilled": max(0.0, read + made - CACHED_ELEMENTS),
        "activations": float(len(activations)),
        "macs": float(macs(node, shape_of)),
    }
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


def _packed_macs(node: onnx.NodeProto, shape_of: Shapes) -> int:
    """Of weights that are packed below a byte: their shape is in attributes."""
    return math.prod(shape_of(node.output[0])) * integer(node, "K", 0)


def _recurrent_macs(node: onnx.NodeProto, shape_of: Shapes) -> int:
    steps, batch = shape_of(node.input[0])[:2]
    return steps * batch * (math.prod(shape_of(node.input[1])) + math.prod(shape_of(node.input[2])))


def _convolution(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """Kernel area, groups, axes, channels, weights, (kernel area / stride area) x filters, and what is gathered before
    the multiplication (`patches`; nothing for 1x1).
    """
    weight, group = shape_of(node.input[_weight_slot(node)]), integer(node, "group", 1)
    filters = weight[1] * group if node.op_type == "ConvTranspose" else weight[0]
    kernel, stride = float(math.prod(weight[2:])), math.prod(integers(node, "strides", (1,)))
    multiplied = float(macs(node, shape_of))
    return {
        "kernel": kernel,
        "group": float(group),
        "axes": float(len(weight) - 2),
        "channels": float(weight[1]),
        "kernel_work": kernel / stride * filters,
        "weights": float(math.prod(weight)),
        "patches": multiplied * group / filters if kernel > 1 or stride > 1 else 0.0,
    }


def _connected(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """Neurons in and out, rows of all results, how many results, and elements of all second matrices."""
    made = int_sum(math.prod(shape_of(name)) for name in node.output if name)
    shape = shape_of(node.output[0]) or (1,)
    return {
        "in_neurons": float(math.prod(shape_of(node.input[0]))),
        "out_neurons": float(made),
        "rows": float(math.prod(shape[:-1])),
        "matrices": float(math.prod(shape[:-2])),
        "weights": float(math.prod(shape_of(node.input[_second_slot(node)]))),
    }


def _packed(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """As `_connected`, of weights that are packed below a byte."""
    held = float(integer(node, "K", 0) * integer(node, "N", 0))
    return {**_connected(node, shape_of), "weights": held}


def _recurrent(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """Steps one after another (in each direction), and weights, which every step reads."""
    directions = (shape_of(node.input[1]) or (1,))[0]
    held = int_sum(math.prod(shape_of(name)) for name in node.input[1:3])
    return {"steps": float(shape_of(node.input[0])[0] * directions), "weights": float(held)}


def _along(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """Rows that are normalised one by one."""
    shape = shape_of(node.input[0])
    axis = integer(node, "axis", -1) % max(1, len(shape))
    together = math.prod(shape[axis:]) if node.op_type == "LayerNormalization" else math.prod(shape[axis : axis + 1])
    return {"rows": float(math.prod(shape) // together) if together > 1 else 1.0}


def _transposition(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """Elements that do not stay beside their neighbours (`scattered`), and runs of those that do (`pieces`)."""
    shape = shape_of(node.input[0])
    order = integers(node, "perm", tuple(reversed(range(len(shape)))))
    if sorted(order) != list(range(len(shape))):
        return {"scattered": 0.0, "pieces": 0.0}  # onnxruntime will refuse it
    run, last = 1, len(shape) - 1
    while last >= 0 and order[last] == last:
        run, last = run * shape[last], last - 1
    elements = math.prod(shape)
    if run > 1 or last < 0:
        return {"scattered": 0.0, "pieces": float(elements // max(1, run))}
    return {"scattered": float(elements), "pieces": 0.0}


def _picking(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """Runs of elements that are copied one by one."""
    shape = shape_of(node.input[0])
    run = math.prod(shape[integer(node, "axis", 0) % max(1, len(shape)) + 1 :])
    return {"pieces": float(math.prod(shape_of(node.output[0])) // max(1, run))}


def _resampled(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """Elements that are interpolated between others."""
    nearest = text(node, "mode", "nearest") == "nearest"
    return {"interpolated": 0.0 if nearest else float(math.prod(shape_of(node.output[0])))}


def _pool(node: onnx.NodeProto, shape_of: Shapes) -> dict[str, float]:
    """Kernel area."""
    return {"kernel": float(math.prod(integers(node, "kernel_shape", (1,))))}


MACS: dict[str, Callable[[onnx.NodeProto, Shapes], int]] = {
    **dict.fromkeys(_CONVOLUTIONS, _convolution_macs),
    "ConvTranspose": _transposed_macs,
    "Gemm": _gemm_macs,
    **dict.fromkeys(_MATRIX, _matrix_macs),
    "MatMulNBits": _packed_macs,
    **dict.fromkeys(_RECURRENT, _recurrent_macs),
}
"""Multiply-accumulates by operator type, for those that multiply matrices."""

MORE: dict[str, Callable[[onnx.NodeProto, Shapes], dict[str, float]]] = {
    **dict.fromkeys((*_CONVOLUTIONS, "ConvTranspose"), _convolution),
    **dict.fromkeys(("Gemm", *_MATRIX), _connected),
    "MatMulNBits": _packed,
    **dict.fromkeys(_RECURRENT, _recurrent),
    **dict.fromkeys(("Softmax", "LogSoftmax", "LayerNormalization"), _along),
    "Transpose": _transposition,
    "Gather": _picking,
    **dict.fromkeys(("Resize", "Upsample"), _resampled),
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


def text(node: onnx.NodeProto, name: str, default: str) -> str:
    """The text attribute `name` of `node`."""
    return next((a.s.decode("utf-8", "replace") for a in node.attribute if a.name == name), default)


def _second_slot(node: onnx.NodeProto) -> int:
    return 3 if node.op_type == "QLinearMatMul" else 1


def _weight_slot(node: onnx.NodeProto) -> int:
    return 3 if node.op_type == "QLinearConv" else 1
