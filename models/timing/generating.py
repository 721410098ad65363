"""Graphs of one operator, over the ranges that today's networks have: what the regressions of their classes learn from.

Every case is one operator with its shapes. What it costs is what a graph of several copies takes more than a graph of
one, so that neither the call of a session nor the events of a profile count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from layerlift.models.graph import features
from layerlift.models.graph.graph import Layer
from layerlift.models.running.session import Session
from layerlift.models.sums import int_sum
from layerlift.models.timing.operator_classes import class_of

MICROSOFT: Final = "com.microsoft"
_OPSET: Final = 20
_IR: Final = 9
_MOST_WEIGHT_BYTES: Final = 96 << 20
_MOST_COPIES, _FEWEST_COPIES = 24, 2
_AIM_S: Final = 3e-3
"""How long the copies together shall take."""
_TURNS_S: Final = 4e-2
"""How long all turns together may take."""

Array = np.ndarray


@dataclass(frozen=True)
class Case:
    """One operator: an array for each input, of which the first `moving` are activations and the others weights.

    An entry None is an optional input that is not given.
    """

    operator: str
    inputs: tuple[Array | None, ...]
    moving: int = 1
    outputs: int = 1
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: str = ""

    def model(self, copies: int) -> onnx.ModelProto:
        """A graph of so many copies that read the same activations; each has weights of its own."""
        nodes, stored = [], []
        given = {f"x{at}": array for at, array in enumerate(self.inputs[: self.moving]) if array is not None}
        for copy in range(copies):
            names = [*self._activations()]
            for at, array in enumerate(self.inputs[self.moving :], self.moving):
                names.append("" if array is None else f"w{at}_{copy}")
                if array is not None:
                    stored.append(numpy_helper.from_array(array, f"w{at}_{copy}"))
            made = [f"y{copy}_{at}" for at in range(self.outputs)]
            nodes.append(
                helper.make_node(self.operator, names, made, f"n{copy}", domain=self.domain, **self.attributes)
            )
        graph = helper.make_graph(
            nodes,
            "case",
            [_info(name, array) for name, array in given.items()],
            [helper.make_empty_tensor_value_info(f"y{copies - 1}_{at}") for at in range(self.outputs)],
            stored,
        )
        imports = [helper.make_opsetid("", _OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=_IR)

    @property
    def feeds(self) -> dict[str, Array]:
        """The activations by name."""
        return {f"x{at}": array for at, array in enumerate(self.inputs[: self.moving]) if array is not None}

    @property
    def weight_bytes(self) -> int:
        """Bytes of one copy's weights."""
        return int_sum(array.nbytes for array in self.inputs[self.moving :] if array is not None)

    def layer(self) -> Layer:
        """What a planner would see of it. Runs it once: shapes are what onnxruntime made."""
        model = self.model(1)
        session = Session(model.SerializeToString())
        shapes = {name: tuple(array.shape) for name, array in session.run(self.feeds).items()}
        shapes |= {name: tuple(array.shape) for name, array in self.feeds.items()}
        shapes |= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        node = model.graph.node[0]
        found = features.features(node, lambda name: shapes[name], [name for name in self._activations() if name])
        return Layer(0, "n0", self.operator, (0,), (1,), (), features=found, nodes=("n0",))

    def _activations(self) -> Iterator[str]:
        for at, array in enumerate(self.inputs[: self.moving]):
            yield "" if array is None else f"x{at}"


@dataclass(frozen=True, slots=True)
class Timed:
    """What one case cost."""

    kind: str
    seconds: float
    features: Mapping[str, float]


def timed(case: Case) -> Timed:
    """What `case` costs on this machine: thread CPU time of many copies less that of few, the least of each.

    Both are taken in turn, so that a busy machine disturbs both; what it disturbs all the same may come out at 0, and
    is to be taken again (`layerlift.models.timing.operator_data`).
    """
    layer, feeds = case.layer(), case.feeds
    few = Session(case.model(_FEWEST_COPIES).SerializeToString())
    rough = max(min(_spent(few, feeds) for _ in range(4)) / _FEWEST_COPIES, 1e-6)
    room = _MOST_WEIGHT_BYTES // max(1, case.weight_bytes) - _FEWEST_COPIES
    more = int(max(1, min(_MOST_COPIES, room, _AIM_S / rough)))
    many = Session(case.model(_FEWEST_COPIES + more).SerializeToString())
    _spent(many, feeds)
    turns = [(_spent(few, feeds), _spent(many, feeds)) for _ in range(int(max(4, min(16, _TURNS_S / (rough * more)))))]
    spent = min(long for _, long in turns) - min(short for short, _ in turns)
    return Timed(class_of(layer), max(spent / more, 0.0), layer.features)


def _spent(session: Session, feeds: Mapping[str, Array]) -> float:
    return session.timed_run(feeds)[1]


def _info(name: str, array: Array) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
