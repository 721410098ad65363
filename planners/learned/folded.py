"""A policy of steps as it is run: what its file draws up, in fewer operators.

Each layer's power of two is folded into its weights, which moves no bit: numbers of float32 times a power of two are
as exact as before, and so are their sums, whole multiples of that power below 2^24 of them. What hangs on a piece and
a node alone is added up before it is spread over steps, and layers inside are of two axes, which onnxruntime fuses.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from layerlift.planners.learned.policy import SHIFTS, Policy
from layerlift.planners.learned.policy_file import IR, OPSET, initializers
from layerlift.planners.learned.steps import BOUNDS, step_inputs, suffix

_LAYERS: Final = (("piece", "target", "source", "step", "first"), ("inner", "second"), ("outer", "third"))
"""The tables of each layer."""


def folded_model(policies: tuple[Policy, ...]) -> onnx.ModelProto:
    """Networks that score the steps of P pieces and n nodes: outputs of shape (P * n * n, 1), one of each network."""
    ends = [suffix(number) for number in range(1, len(policies) + 1)]
    operators = [operator for end in ends for operator in _operators(end)]
    held = [*_fixed(), *(each for policy, end in zip(policies, ends, strict=True) for each in _tables(policy, end))]
    outputs = [helper.make_tensor_value_info(f"scores{end}", TensorProto.FLOAT, ["steps", 1]) for end in ends]
    graph = helper.make_graph(operators, "policy", step_inputs(), outputs, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def _tables(policy: Policy, end: str) -> list[onnx.TensorProto]:
    """The numbers of a network, those of each layer over its power of two."""
    scaled: dict[str, NDArray[Any]] = {
        name + end: policy.tables[name] * 2.0**-shift
        for names, shift in zip(_LAYERS, SHIFTS, strict=True)
        for name in names
    }
    flat = np.array([-1, policy.first.size], dtype=np.int64)
    return [*initializers(scaled), numpy_helper.from_array(flat, f"flat{end}")]


def _fixed() -> list[onnx.TensorProto]:
    axes = [numpy_helper.from_array(np.array([axis], dtype=np.int64), f"axes_{axis}") for axis in (1, 2)]
    return axes + initializers({name: np.array(value) for name, value in BOUNDS.items()})


def _operators(end: str) -> list[onnx.NodeProto]:
    shared = {"of_piece", "of_node", "of_step", "axes_1", "axes_2", *BOUNDS}

    def op(kind: str, inputs: str, output: str) -> onnx.NodeProto:
        named = [each if each in shared else each + end for each in inputs.split()]
        return helper.make_node(kind, named, [output + end])

    return [
        op("Gemm", "of_piece piece first", "piece_part"),
        op("Unsqueeze", "piece_part axes_1", "piece_wide"),
        op("MatMul", "of_node target", "target_sum"),
        op("Add", "target_sum piece_wide", "target_part"),
        op("Unsqueeze", "target_part axes_1", "target_wide"),
        op("MatMul", "of_node source", "source_part"),
        op("Unsqueeze", "source_part axes_2", "source_wide"),
        op("MatMul", "of_step step", "step_wide"),
        op("Add", "step_wide target_wide", "seen_wide"),
        op("Add", "seen_wide source_wide", "sum_1"),
        op("Floor", "sum_1", "whole_1"),
        op("Clip", "whole_1 nothing most_inside", "made_1"),
        op("Reshape", "made_1 flat", "steps_1"),
        op("Gemm", "steps_1 inner second", "sum_2"),
        op("Floor", "sum_2", "whole_2"),
        op("Clip", "whole_2 nothing most_inside", "made_2"),
        op("Gemm", "made_2 outer third", "sum_3"),
        op("Floor", "sum_3", "whole_3"),
        op("Clip", "whole_3 least_score most_score", "scores"),
    ]
