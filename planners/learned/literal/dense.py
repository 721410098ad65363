"""Layers of networks in floating point, operator by operator, and the shapes of their tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import onnx
from onnx import TensorProto, helper

from layerlift.models.errors import PlanError
from layerlift.planners.learned.policy_file import AGAIN, Tables

ADDED: Final = "_added"
"""What the name of the table ends with that a layer adds."""
Shapes = Mapping[str, tuple[int, ...]]


def dense(name: str, given: str, made: str, relu: bool = False) -> list[onnx.NodeProto]:
    """A layer: `made` is `given` times the table `name` plus its `ADDED` one; with `relu`, no less than nothing."""
    summed = f"{made}_sum"
    operators = [helper.make_node("MatMul", [given, name], [f"{made}_product"])]
    operators.append(helper.make_node("Add", [f"{made}_product", name + ADDED], [summed if relu else made]))
    return operators + ([helper.make_node("Relu", [summed], [made])] if relu else [])


def dense_shapes(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """The shapes of such a layer's tables."""
    return {name: (inputs, outputs), name + ADDED: (outputs,)}


def value(name: str, *shape: str | int) -> Any:
    """An input or output of a graph, in float32."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def check_shapes(tables: Tables, wanted: Shapes, origin: str) -> None:
    """Raise `PlanError` unless these are the tables of these shapes, in order; `origin` names the file."""
    if list(tables) != list(wanted):
        raise PlanError(f"policy {origin} has other tables than a policy has; {AGAIN}")
    for name, shape in wanted.items():
        if tables[name].shape != shape:
            raise PlanError(
                f"policy {origin}: its table {name!r} has shape {tables[name].shape}, expected {shape}; {AGAIN}"
            )
