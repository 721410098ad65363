"""Which layers a step works on: those that it can, or those of them that the user names."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import onnx

from layerlift.models.errors import ModelError, near
from layerlift.models.graph import features
from layerlift.models.running.network import Network
from layerlift.models.sums import int_sum

_LISTED = 12
FLOATS = frozenset({"float16", "float32", "float64"})


def choose(
    network: Network, step: str, layers: Sequence[str] | None, able: Callable[[onnx.NodeProto], bool], what: str
) -> list[onnx.NodeProto]:
    """The ONNX nodes of `network` that `step` can work on (`able`), in order; with `layers`, those that match.

    `layers` holds names or patterns (`Conv_*`). Raises `ModelError` for a pattern that matches nothing (with near
    names) and for one that matches only nodes that are not `what`.
    """
    nodes = list(network.light.graph.node)
    fit = [node for node in nodes if able(node)]
    if layers is None:
        return fit
    for pattern in layers:
        if not _matching(nodes, pattern):
            raise ModelError(f"{step}: {network.name} has no layer {pattern!r}{near_layers(pattern, nodes)}")
        if not _matching(fit, pattern):
            raise ModelError(
                f"{step}: {pattern!r} of {network.name} cannot be rewritten; expected {what}{near_layers(pattern, fit)}"
            )
    return [node for node in fit if any(fnmatch.fnmatchcase(node.name, pattern) for pattern in layers)]


def near_layers(given: str, nodes: Sequence[onnx.NodeProto]) -> str:
    """As `layerlift.models.errors.near`, but of the names of `nodes`, and only some of them when none is near."""
    hint = near(given, (node.name for node in nodes))
    if hint.startswith("; known") and len(nodes) > _LISTED:
        names = ", ".join(node.name for node in nodes[:_LISTED])
        return f"; known: {names} and {len(nodes) - _LISTED} more (layerlift models lists them)"
    return hint


def weight_shape(network: Network, node: onnx.NodeProto, slot: int = 1) -> tuple[int, ...] | None:
    """The shape of the floating-point parameter that `node` reads at `slot`; None when it reads none there."""
    if len(node.input) <= slot:
        return None
    found = network.graph.forms.get(node.input[slot])
    return found.shape if found is not None and found.dtype in FLOATS else None


def is_convolution(network: Network, node: onnx.NodeProto) -> bool:
    """Whether `node` is a two-dimensional convolution with its own weights."""
    shape = weight_shape(network, node) if node.op_type == "Conv" else None
    return shape is not None and len(shape) == 4 and len(network.types[node.input[0]][1]) == 4


def is_dense(network: Network, node: onnx.NodeProto) -> bool:
    """Whether `node` multiplies its input by a matrix of its own: a fully connected layer."""
    if node.op_type not in ("Gemm", "MatMul") or features.integer(node, "transA", 0):
        return False
    shape = weight_shape(network, node)
    return shape is not None and len(shape) == 2 and node.input[0] not in network.graph.forms


def _matching(nodes: Iterable[onnx.NodeProto], pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(node.name, pattern) for node in nodes)


def numbers(shapes: Iterable[Sequence[int]]) -> int:
    """How many numbers arrays of these shapes hold together."""
    return int_sum(int(np.prod(shape, dtype=object)) for shape in shapes)
