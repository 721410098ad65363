"""Which regression a layer belongs to: its operator, divided where one operator runs as several kinds of kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from layerlift.models.graph.graph import Layer

ANY: Final = "any other"
"""The fit for operators that nobody has measured."""

Features = Mapping[str, float]
_MOVING: Final = 2
"""A product of so many activations has no weights: attention's."""

_HALVES: Final = 2
"""A convolution of more groups than AlexNet's runs as another kernel."""

_WIDE: Final = ("input_elements", "output_elements", "spilled")
_CONVOLVED: Final = ("input_elements", "macs", "output_elements", "spilled", "weights")
_MULTIPLIED: Final = ("input_elements", "macs", "output_elements", "weights")
_ROWS: Final = (*_WIDE, "rows")

FEATURES: Final[dict[str, tuple[str, ...]]] = {
    "Conv": ("input_elements", "kernel_work", "macs", "patches", "weights"),
    "Gemm": ("in_neurons", "out_neurons", "macs"),
    **dict.fromkeys(("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"), ()),
}
"""What the regression of an operator of the zoo is over (`layerlift.models.graph.features`), where it is not elements
in, out and beyond the cache. Operators that move nothing have a constant.

After Neurosurgeon, with what one CPU thread needs beside it: for convolutions and fully connected layers the product
of its two features (multiply-accumulates), and for convolutions what is gathered and the weights packed.
"""

GENERATED_FEATURES: Final[dict[str, tuple[str, ...]]] = {
    "Conv depthwise": _CONVOLVED,
    "Conv grouped": (*_CONVOLVED, "group", "patches"),
    "Conv of one axis": (*_CONVOLVED, "patches"),
    "ConvTranspose": _CONVOLVED,
    "ConvInteger": (*_CONVOLVED, "patches"),
    "QLinearConv": (*_CONVOLVED, "patches"),
    "QLinearConv depthwise": _CONVOLVED,
    "MatMul many rows": _MULTIPLIED,
    "MatMul of activations": (*_MULTIPLIED, "matrices", "rows"),
    **dict.fromkeys(("MatMulInteger", "QLinearMatMul", "DynamicQuantizeMatMul", "MatMulNBits"), _MULTIPLIED),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), ("input_elements", "macs", "output_elements", "steps", "weights")),
    **dict.fromkeys(("Softmax of rows", "LayerNormalization"), _ROWS),
    **dict.fromkeys(("Transpose", "Gather"), (*_WIDE, "pieces")),
    "Resize": (*_WIDE, "interpolated"),
}
"""The same for the classes that generated graphs teach, where it is not elements in, out and beyond the cache."""

LIKE: Final = {"DeformConv": "Conv", "LogSoftmax": "Softmax of rows", "Upsample": "Resize", "Swish": "Sigmoid"}
"""The class of an operator whose kernel is much like another's."""


def class_of(layer: Layer) -> str:
    """The class of a layer; its regression may be missing (`Predictor.kind`)."""
    divided = _DIVIDED.get(layer.op_type)
    return layer.op_type if divided is None else divided(layer.features)


def feature_names(kind: str) -> tuple[str, ...]:
    """What the regression of a class of the zoo is over: its own features, or elements in, out and beyond the cache."""
    return FEATURES.get(kind, _WIDE)


def generated_features(kind: str) -> tuple[str, ...]:
    """The same for a class that generated graphs teach."""
    return GENERATED_FEATURES.get(kind, _WIDE)


def speaks_for_others(kind: str) -> bool:
    """Whether what a class costs says something of operators that nobody has measured: not if it has features of its
    own.
    """
    return feature_names(kind) in (_WIDE, ())


def _convolution(features: Features) -> str:
    if features.get("group", 1.0) > _HALVES:
        return "Conv depthwise" if features.get("channels") == 1 else "Conv grouped"
    return "Conv of one axis" if features.get("axes") == 1 else "Conv"


def _quantized_convolution(features: Features) -> str:
    depthwise = features.get("group", 1.0) > 1 and features.get("channels") == 1
    return "QLinearConv depthwise" if depthwise else "QLinearConv"


def _product(features: Features) -> str:
    if features.get("activations", 1.0) >= _MOVING:
        return "MatMul of activations"
    return "Gemm" if features.get("rows", 1.0) <= 1 else "MatMul many rows"


def _softmax(features: Features) -> str:
    return "Softmax" if features.get("rows", 1.0) <= 1 else "Softmax of rows"


def _transpose(features: Features) -> str:
    return "Transpose, scattered" if features.get("scattered", 0.0) > 0 else "Transpose"


_DIVIDED: Final[dict[str, Callable[[Features], str]]] = {
    "Conv": _convolution,
    "QLinearConv": _quantized_convolution,
    "MatMul": _product,
    "FusedMatMul": _product,
    "Gemm": _product,
    "Softmax": _softmax,
    "Transpose": _transpose,
}
