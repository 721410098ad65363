"""The kind of policy that scores steps: one network of whole numbers, or a few that were trained apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from layerlift.models.errors import PlanError
from layerlift.planners.learned.features import OF_NODE, OF_PIECE, OF_STEP, VERSION
from layerlift.planners.learned.policy import MOST_INSIDE, MOST_SCORE, SHIFTS, Policy
from layerlift.planners.learned.policy_file import AGAIN, Kind, Tables, Weights, initializers

MOST_MEMBERS: Final = 8
"""Networks in a file."""
_NAMES: Final = ("piece", "target", "source", "step", "first", "inner", "second", "outer", "third")
_TABLE: Final = re.compile(rf"({'|'.join(_NAMES)})(_[2-{MOST_MEMBERS}])?")


def weights_of(policies: Sequence[Policy], notes: Mapping[str, str], kind: Kind | None = None) -> Weights:
    """Networks, 1 to `MOST_MEMBERS`, as they are written to a file: of kind `STEPS`, or another of such networks."""
    held = [(number, policy.tables) for number, policy in enumerate(policies, start=1)]
    tables = {name + suffix(number): table for number, each in held for name, table in each.items()}
    return Weights(kind or STEPS, tables, dict(notes))


def policies_of(weights: Weights) -> tuple[Policy, ...]:
    """The networks of a file's numbers, in order."""
    return tuple(_member(weights.tables, number) for number in range(1, _members(weights.tables) + 1))


def suffix(number: int) -> str:
    """What the names of a network's tables, inputs aside, end with: nothing for the first."""
    return "" if number == 1 else f"_{number}"


def _members(tables: Tables) -> int:
    return len([name for name in tables if name.startswith("piece")])


def _member(tables: Tables, number: int) -> Policy:
    return Policy(**{name: tables[name + suffix(number)] for name in _NAMES})


def _check(tables: Tables, origin: str) -> None:
    """Raise `PlanError` unless these are all the tables of some networks, in order, and each is one."""
    count = max(_members(tables), 1)
    wanted = [name + suffix(number) for number in range(1, count + 1) for name in _NAMES]
    if missing := [name for name in wanted if name not in tables]:
        raise PlanError(f"policy {origin} has no table {missing[0]!r} of float32; {AGAIN}")
    if list(tables) != wanted:
        raise PlanError(f"policy {origin} has other tables than a policy has; {AGAIN}")
    for number in range(1, count + 1):
        _member(tables, number).check(origin)


def _graph(tables: Tables) -> onnx.GraphProto:
    numbers = range(1, _members(tables) + 1)
    operators = [operator for number in numbers for operator in _operators(suffix(number))]
    outputs = [_output(suffix(number)) for number in numbers]
    return helper.make_graph(operators, "policy", step_inputs(), outputs, [*initializers(tables), *_fixed()])


BOUNDS: Final = {"nothing": 0, "most_inside": MOST_INSIDE, "least_score": -MOST_SCORE, "most_score": MOST_SCORE}
"""Between which numbers inside, and scores, are clipped, by their names in a network."""


def _fixed() -> list[onnx.TensorProto]:
    """What is no number of the policy's own."""
    shaped = {"axes_1": [1], "axes_2": [2], "axes_12": [1, 2], "axes_3": [3]}
    made = [numpy_helper.from_array(np.array(axes, dtype=np.int64), name) for name, axes in shaped.items()]
    scalars: dict[str, NDArray[Any]] = {name: np.array(value) for name, value in BOUNDS.items()}
    scalars |= {f"scale_{number}": np.array(2.0**-shift) for number, shift in enumerate(SHIFTS, start=1)}
    return made + initializers(scalars)


def _operators(end: str) -> list[onnx.NodeProto]:
    shared = {"of_piece", "of_node", "of_step", *(tensor.name for tensor in _fixed())}

    def named(names: str) -> list[str]:
        return [each if each in shared else each + end for each in names.split()]

    def op(kind: str, inputs: str, output: str) -> onnx.NodeProto:
        return helper.make_node(kind, named(inputs), named(output))

    def layer(number: int, summed: str, bounds: str) -> list[onnx.NodeProto]:
        return [
            op("Mul", f"{summed} scale_{number}", f"scaled_{number}"),
            op("Floor", f"scaled_{number}", f"whole_{number}"),
            op("Clip", f"whole_{number} {bounds}", f"made_{number}"),
        ]

    return [
        op("MatMul", "of_piece piece", "piece_sum"),
        op("Add", "piece_sum first", "piece_part"),
        op("Unsqueeze", "piece_part axes_12", "piece_wide"),
        op("MatMul", "of_node target", "target_sum"),
        op("Unsqueeze", "target_sum axes_1", "target_wide"),
        op("MatMul", "of_node source", "source_sum"),
        op("Unsqueeze", "source_sum axes_2", "source_wide"),
        op("MatMul", "of_step step", "step_wide"),
        op("Add", "target_wide source_wide", "nodes_wide"),
        op("Add", "nodes_wide piece_wide", "seen_wide"),
        op("Add", "seen_wide step_wide", "sum_1"),
        *layer(1, "sum_1", "nothing most_inside"),
        op("MatMul", "made_1 inner", "inner_sum"),
        op("Add", "inner_sum second", "sum_2"),
        *layer(2, "sum_2", "nothing most_inside"),
        op("MatMul", "made_2 outer", "outer_sum"),
        op("Add", "outer_sum third", "sum_3"),
        *layer(3, "sum_3", "least_score most_score"),
        op("Squeeze", "made_3 axes_3", "scores"),
    ]


def step_inputs() -> list[onnx.ValueInfoProto]:
    """What a network of steps reads, see `layerlift.planners.learned.features.Features`."""
    shapes: dict[str, list[str | int | None]] = {
        "of_piece": ["pieces", OF_PIECE],
        "of_node": ["pieces", "nodes", OF_NODE],
        "of_step": ["pieces", "nodes", "nodes", OF_STEP],
    }
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]


def _output(end: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(f"scores{end}", TensorProto.FLOAT, ["pieces", "nodes", "nodes"])


STEPS: Final = Kind("steps", VERSION, whole=True, tables=_TABLE, check=_check, graph=_graph)
"""Scores of every step from node to node in front of every piece."""
