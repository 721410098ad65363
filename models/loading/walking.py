"""One walk through a model's operators, makers first: each shape is inferred once, and what is constant is folded.

Whatever an operator's shape depends on is known when the walk comes to it, because all that was before it is. So one
walk folds shape arithmetic of any depth, and `If`, `Loop` and sequences vanish on the way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import onnx
from onnx import TypeProto, helper

from layerlift.models.errors import ModelError
from layerlift.models.loading.constants import Constants, Kind, Payload
from layerlift.models.loading.naming import Names
from layerlift.models.onnx_files import operators, ordering, protos, tails, untrusted

MOST_STEPS: Final = 100_000
"""Operators of one model, those that loops are written out to included."""
_STANDARD: Final = ("", "ai.onnx")

Step = onnx.NodeProto | Callable[[], Iterable["Step"]]
"""An operator, or something that says which come next."""
Expand = Callable[["Walk", onnx.NodeProto], Iterable[Step]]
"""Says what stands for an operator that is no layer."""


class Walk:
    """What is known of a model when the walk has come so far."""

    def __init__(self, model: onnx.ModelProto, payload: Payload, origin: str, instead: Mapping[str, Expand]) -> None:
        self.origin, self.model, self._instead = origin, model, instead
        self.version = untrusted.opset_of(model)
        self.names = Names(model.graph)
        self.constants = Constants(payload, origin, self.model_of)
        self.types = self.constants.types
        self.nodes: list[onnx.NodeProto] = []
        """Layers, in order."""
        self.folded: list[onnx.NodeProto] = []
        """Operators that read constants only, in order."""
        self.maker: dict[str, onnx.NodeProto] = {}
        """Which layer makes a tensor."""
        self.wrong: dict[str, str] = {}
        """Why the shape of a tensor could not be inferred."""
        self.sequences: dict[str, tuple[str, ...]] = {}
        """Lists of tensors, which are names only."""
        self._passed: set[str] = set()
        """What those operators make that the walk is through with, whatever has been put in their place."""
        # Imports of other domains than the operators are of are leftovers of an exporter.
        used = {"", "ai.onnx", "ai.onnx.ml", *ordering.domains(model.graph)}
        self._imports = [entry for entry in model.opset_import if entry.domain in used]
        self.asked = operators.Asked(self._imports, model.ir_version)
        """What onnxruntime says of operators that onnx has no shapes for."""
        self._versions = {entry.domain: entry.version for entry in self._imports}
        self._protos: dict[str, TypeProto] = {}
        """Of tensors that layers make, as onnx has said it: a reader is told the same."""
        self._steps = 0

    def model_of(self, graph: onnx.GraphProto) -> onnx.ModelProto:
        """A model of `graph`, in the versions of this one."""
        # From IR version 4 on an initializer need not be an input.
        return helper.make_model(graph, opset_imports=self._imports, ir_version=max(4, self.model.ir_version))

    def run(self, outputs: Sequence[str]) -> None:
        """Go through whatever `outputs` are computed by."""
        graph = self.model.graph
        for tensor in graph.initializer:
            self.constants.store(tensor)
        order = list(ordering.sorted_nodes(ordering.needed(graph.node, outputs), self.origin))
        for node in order:
            self._go_through(node)
            self._passed.update(node.output)

    def _go_through(self, node: onnx.NodeProto) -> None:
        """Take one of the model's operators, and whatever stands for it."""
        waiting: deque[Step] = deque([node])
        while waiting:
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise ModelError(
                    f"{self.origin} has more than {MOST_STEPS} operators when its loops are written out, which is too "
                    "many to cut; no option helps, export it with shorter loops"
                )
            step = waiting.popleft()
            more = self._take(step) if isinstance(step, onnx.NodeProto) else step()
            waiting.extendleft(reversed(list(more)))

    def _take(self, given: onnx.NodeProto) -> Iterable[Step]:
        node = self.names.resolved(given)
        standard = node.domain in _STANDARD
        if standard and node.op_type in self._instead:
            return self._instead[node.op_type](self, node)
        if standard and node.op_type == "Constant":
            # A Constant node and an initializer say the same; from here on only the second exists.
            held = protos.constant(node, self.origin)
            self.constants.hold(held.name, onnx.numpy_helper.to_array(held), held.data_type)
        elif standard and node.op_type in ("Shape", "Size") and self._shape(node.input[0]) is not None:
            # The shape of an activation is constant even though the activation is not.
            for name, array in protos.shape_value(node, self._shape(node.input[0]) or ()).items():
                self.constants.hold(name, array)
        elif standard and node.op_type == "Identity" and node.input[0] in self.constants.values:
            # What a loop hands on, turn by turn.
            self.constants.hold(node.output[0], self.constants.values[node.input[0]], self.types[node.input[0]][0])
        elif all(name in self.constants for name in node.input if name):
            self.folded.append(node)
            self._fold(node)
        else:
            self.nodes.append(node)
            self.maker.update((name, node) for name in node.output if name)
            self._infer(node)
        return ()

    def _shape(self, name: str) -> tuple[int, ...] | None:
        return self.types.get(name, (0, None))[1]

    def _fold(self, node: onnx.NodeProto) -> None:
        self._infer(node)
        # Where onnx knows no size it is the values that decide it; results of a known size wait until they are needed.
        if self._is_unsized(node):
            self.constants.run_unsized(node)
        self.constants.compute(node)

    def _infer(self, node: onnx.NodeProto) -> None:
        self._infer_once(node)
        unknown = [name for name in node.input if name in self.constants and name not in self.constants.values]
        if unknown and self._is_unsized(node):
            self.constants.know(unknown)
            self._infer_once(node)
        if self._is_unsized(node):
            self._ask(node)

    def _ask(self, node: onnx.NodeProto) -> None:
        """Let onnxruntime say what onnx does not know."""
        near = [name for name in (*node.input, *node.output) if name in self.types]
        values = {name: self.constants.values[name] for name in node.input if name in self.constants.values}
        self.types.update(self.asked.outputs_of([node], {name: self.types[name] for name in near}, values))

    def _is_unsized(self, node: onnx.NodeProto) -> bool:
        return not all(operators.is_known(self.types.get(name)) for name in node.output if name)

    def _infer_once(self, node: onnx.NodeProto) -> None:
        made = [name for name in node.output if name]
        try:
            found = self._inferred(node)
        except MemoryError:
            raise
        # onnx raises whatever its C++ checks raise, by no common class; the file is a stranger's.
        except Exception as error:
            self.wrong.update(dict.fromkeys(made, protos.one_line(error)))
            return
        for name in made:
            if name in found:
                self.types[name] = _kind(found[name])
                self._protos[name] = found[name]

    def _inferred(self, node: onnx.NodeProto) -> dict[str, TypeProto]:
        reads = list(dict.fromkeys(name for name in node.input if name))
        kinds = {name: self._proto(name) for name in reads}
        known = {name: self.constants.tensor(name) for name in reads if name in self.constants.values}
        version = self._versions.get(node.domain, self.version)
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
        if schema.has_type_and_shape_inference_function:
            return dict(
                onnx.shape_inference.infer_node_outputs(schema, node, kinds, known, opset_imports=self._imports)
            )
        return self._inferred_alone(node, kinds, known)

    def _inferred_alone(
        self, node: onnx.NodeProto, kinds: Mapping[str, TypeProto], known: Mapping[str, onnx.TensorProto]
    ) -> dict[str, TypeProto]:
        """The types of an operator that onnx knows by a function of others only."""
        given = [helper.make_value_info(name, kind) for name, kind in kinds.items() if name not in known]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = helper.make_graph([node], "alone", given, outputs, list(known.values()))
        found = onnx.shape_inference.infer_shapes(self.model_of(graph), data_prop=True)
        return {value.name: value.type for value in (*found.graph.output, *found.graph.value_info)}

    def _proto(self, name: str) -> TypeProto:
        # What is known by value may be known better than it was inferred.
        if name not in self._protos or name in self.constants.values:
            dtype, shape = self.types.get(name, (0, None))
            known = (
                helper.make_tensor_type_proto(dtype, None if shape is None else list(shape)) if dtype else TypeProto()
            )
            self._protos[name] = known
        return self._protos[name]

    def remedy(self) -> str:
        """How the network can be used without the operator that the walk has stopped at; or that it cannot."""
        return tails.remedy(self.model, self._stays, self.can_end_at)

    def _stays(self, node: onnx.NodeProto) -> bool:
        return node.op_type in self._instead and not self._passed.issuperset(node.output)

    def can_end_at(self, name: str) -> bool:
        """Whether a network can answer `name`, as far as the walk has come."""
        if name not in self._passed:
            return True
        tensor = self.names.of(name)
        return tensor not in self.constants and name not in self.sequences and self._shape(tensor) is not None

    def fed(self) -> set[str]:
        """The inputs that somebody feeds: those that are needed and not fixed."""
        given = {value.name for value in self.model.graph.input}
        return {name for name in given if name in self.types and name not in self.constants}

    def integer(self, name: str) -> int | None:
        """The value of a constant of one whole number; None when it is not known or none."""
        value = self.constants.value(name)
        if value is None or value.size != 1 or value.dtype.kind not in "iub":
            return None
        return int(np.asarray(value).reshape(())[()])


def _kind(found: TypeProto) -> Kind:
    return protos.type_of(onnx.ValueInfoProto(type=found))
