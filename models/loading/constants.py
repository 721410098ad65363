"""The constants of a model: their types, and the values of the small ones, worked out when somebody needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from layerlift.models.onnx_files import protos

Payload = Callable[[TensorProto], np.ndarray]
"""Reads a stored tensor."""
Kind = tuple[int, tuple[int, ...] | None]
"""Element type and shape of a tensor; 0 and None where they are not known."""

SMALL_BYTES: Final = 64 * 1024
"""Constants of this size can have their values looked at: shapes depend on them, and weights are larger as a rule."""
_WIDEST: Final = 8
"""Bytes that an element of a constant takes at most."""


class Constants:
    """What a model stores and what it computes from nothing else."""

    def __init__(self, payload: Payload, origin: str, model_of: Callable[[onnx.GraphProto], onnx.ModelProto]) -> None:
        self._payload, self._origin, self._model_of = payload, origin, model_of
        self.types: dict[str, Kind] = {}
        """Of every tensor that is known, those that are not constant included."""
        self.stored: dict[str, TensorProto] = {}
        self.values: dict[str, np.ndarray] = {}
        """Of small constants, as far as somebody wanted them."""
        self.literals: dict[str, np.ndarray] = {}
        """What no initializer of the file holds: Constant nodes, shapes of activations, inputs that are fixed."""
        self.makers: dict[str, onnx.NodeProto] = {}
        self._hopeless: set[str] = set()
        self._answered: dict[bytes, list[np.ndarray]] = {}
        """What small computations came to, by `_question`."""

    def __contains__(self, name: str) -> bool:
        return name in self.stored or name in self.makers or name in self.literals

    def store(self, tensor: TensorProto) -> None:
        """Know of a tensor that the file stores, without reading it."""
        self.stored[tensor.name] = tensor
        self.types[tensor.name] = tensor.data_type, tuple(tensor.dims)

    def hold(self, name: str, array: np.ndarray, dtype: int | None = None) -> None:
        """Know a constant that no initializer of the file holds."""
        self.literals[name] = array
        self.types[name] = dtype or helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        if self._is_small(name):
            self.values[name] = array

    def compute(self, node: onnx.NodeProto) -> None:
        """Know of an operator that reads constants only."""
        self.makers.update((name, node) for name in node.output if name)

    def know(self, names: Iterable[str]) -> None:
        """Work out the `values` of those of `names` that are small, and computed from small constants only."""
        plan: list[onnx.NodeProto] = []
        planned: set[str] = set()
        for name in names:
            self._plan(name, plan, planned)
        if plan:
            self._run(plan)

    def value(self, name: str) -> np.ndarray | None:
        """The value of `name`; None when it is large or no constant."""
        self.know([name])
        return self.values.get(name)

    def run_unsized(self, node: onnx.NodeProto) -> bool:
        """Run a `node` whose answers have no size before it runs, as NonZero; whether its inputs are known for that."""
        reads = [name for name in node.input if name]
        self.know(reads)
        if not all(name in self.values for name in reads):
            return False
        self._run([node])
        return True

    def _plan(self, wanted: str, plan: list[onnx.NodeProto], planned: set[str]) -> None:
        stack = [wanted]
        while stack:
            name = stack[-1]
            if name in planned or name in self.values or name in self._hopeless:
                stack.pop()
                continue
            node = self.makers.get(name)
            made = [name] if node is None else [each for each in node.output if each]
            if name not in self or not all(map(self._is_small, made)):
                self._hopeless.update(made)
            elif node is None:
                self.values[name] = self._payload(self.stored[name])
            else:
                reads = [each for each in node.input if each]
                unsettled = [n for n in reads if n not in planned and n not in self.values and n not in self._hopeless]
                stack.extend(unsettled)
                if unsettled:
                    continue
                if self._hopeless.intersection(reads):
                    self._hopeless.update(made)
                else:
                    plan.append(node)
                    planned.update(made)

    def _run(self, nodes: Sequence[onnx.NodeProto]) -> None:
        made = list(dict.fromkeys(name for node in nodes for name in node.output if name))
        computed = set(made)
        feeds = {name: self.values[name] for node in nodes for name in node.input if name and name not in computed}
        # The blocks of a network work out the same sizes from the same: a session is asked once.
        asked = _question(nodes, feeds)
        if asked is None or asked not in self._answered:
            found = self._answers(nodes, feeds, made)
            if asked is not None:
                self._answered[asked] = found
        else:
            found = self._answered[asked]
        for name, array in zip(made, found, strict=True):
            self.values[name] = array
            self.types[name] = helper.np_dtype_to_tensor_dtype(array.dtype), array.shape

    def _answers(
        self, nodes: Sequence[onnx.NodeProto], feeds: Mapping[str, np.ndarray], made: Sequence[str]
    ) -> list[np.ndarray]:
        graph = helper.make_graph(
            nodes,
            "constants",
            [protos.value_info(name, array) for name, array in feeds.items()],
            [onnx.ValueInfoProto(name=name) for name in made],
        )
        found = protos.run_once(self._model_of(graph), feeds, made, self._origin)
        return [found[name] for name in made]

    def _is_small(self, name: str) -> bool:
        dtype, shape = self.types.get(name, (0, None))
        # Python's integers do not overflow at a hostile shape.
        return bool(dtype) and shape is not None and _WIDEST * int(np.prod(shape, dtype=object)) <= SMALL_BYTES

    def tensor(self, name: str) -> TensorProto:
        """A known value as a message."""
        return numpy_helper.from_array(self.values[name], name)


def _question(nodes: Sequence[onnx.NodeProto], feeds: Mapping[str, np.ndarray]) -> bytes | None:
    """What `nodes` compute of `feeds`, whatever their tensors are called.

    None where the names or the bytes do not say it: graphs inside read names from outside, and strings are objects.
    """
    inside = any(each.HasField("g") or each.graphs for node in nodes for each in node.attribute)
    if inside or any(array.dtype.hasobject for array in feeds.values()):
        return None
    numbers = {name: str(at) for at, name in enumerate(feeds)}
    parts = [f"{array.dtype} {array.shape} ".encode() + array.tobytes() for array in feeds.values()]
    for node in nodes:
        for name in node.output:
            numbers.setdefault(name, str(len(numbers)))
        plain = onnx.NodeProto(
            op_type=node.op_type,
            domain=node.domain,
            input=[numbers[name] if name else "" for name in node.input],
            output=[numbers[name] if name else "" for name in node.output],
            attribute=node.attribute,
        )
        parts.append(plain.SerializeToString(deterministic=True))
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)
