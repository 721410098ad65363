"""A graph in the making: nodes in the order in which they run, weights that have a shape and no values yet."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 20
"""The first with Gelu as an operator."""
_IR_VERSION: Final = 9


class Builder:
    """Adds nodes and names them after where they stand: `encoder.0/Conv`, and `encoder.0/Conv_1` for a second.

    `at` is the place of a node or a weight in the network, as exporters write it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._stored: dict[str, TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[str] = []
        self._taken: dict[str, int] = {}

    def input(self, name: str, *shape: int, integers: bool = False) -> str:
        """A tensor that somebody feeds: floats, or 64-bit integers."""
        kind = TensorProto.INT64 if integers else TensorProto.FLOAT
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def weight(self, name: str, *shape: int) -> str:
        """A parameter; named twice, it is one parameter that two layers read."""
        self._stored.setdefault(name, TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape))
        return name

    def integers(self, *values: int, scalar: bool = False) -> str:
        """A constant that shapes or indices are read from; equal ones are one."""
        name = "i" + "_".join(str(value) for value in values) + ("s" if scalar else "")
        array = np.array(values[0] if scalar else values, np.int64)
        self._stored.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def constant(self, name: str, values: np.ndarray | float) -> str:
        """Floats that no seed decides; named twice, they are one constant."""
        if name not in self._taken:
            self._taken[name] = 1
            value = numpy_helper.from_array(np.asarray(values, np.float32), name)
            self._nodes.append(helper.make_node("Constant", [], [name], name, value=value))
        return name

    def op(self, kind: str, at: str, *inputs: str, **attributes: Any) -> str:
        """One node with one output, which bears the node's name; returns that name."""
        return self.ops(kind, at, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, at: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """One node with several outputs; returns their names."""
        name = self._fresh(f"{at}/{kind}")
        made = [name] if outputs == 1 else [f"{name}.{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, made, name, **attributes))
        return made

    def dense(self, at: str, x: str, sizes: tuple[int, int]) -> str:
        """One fully connected layer from `sizes[0]` to `sizes[1]` numbers, for a matrix of rows."""
        read, made = sizes
        weights = self.weight(f"{at}.weight", made, read), self.weight(f"{at}.bias", made)
        return self.op("Gemm", at, x, *weights, transB=1)

    def output(self, tensor: str, name: str) -> None:
        """Make `tensor` an answer of the network, under the name that its users know."""
        for node in self._nodes:
            _rename(node.output, tensor, name)
            _rename(node.input, tensor, name)
        self._outputs.append(name)

    def model(self) -> onnx.ModelProto:
        """The network, its weights declared without values."""
        outputs = [onnx.ValueInfoProto(name=name) for name in self._outputs]
        graph = helper.make_graph(self._nodes, self._name, self._inputs, outputs, list(self._stored.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)

    def _fresh(self, name: str) -> str:
        count = self._taken.get(name, 0)
        self._taken[name] = count + 1
        return f"{name}_{count}" if count else name


def _rename(names: Any, old: str, new: str) -> None:
    for position, name in enumerate(names):
        if name == old:
            names[position] = new
