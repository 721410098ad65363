"""From an ONNX file to its light form: shapes of everything, payloads of nothing, layers only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from layerlift.models.errors import ModelError
from layerlift.models.loading import dimensions, ties
from layerlift.models.onnx_files import operators, protos, tails, untrusted
from layerlift.models.running import samples
from layerlift.models.sums import int_sum

Payload = Callable[[TensorProto], np.ndarray]

SHAPE_BYTES = 64 * 1024
"""Integer constants up to this size stay in the light model, because shapes depend on them."""
# Scales and limits of these operators are floats, and the shapes of their outputs depend on them.
_FLOAT_SHAPES = frozenset({"Resize", "Upsample", "Range"})
# Each gives back what it reads, wider or in another shape: the receiver can do it, so the narrow form may travel.
_WIDENING = frozenset({"DequantizeLinear", "Cast", "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Identity"})
_INTEGERS = frozenset(
    {TensorProto.INT64, TensorProto.INT32, TensorProto.INT8, TensorProto.UINT8, TensorProto.BOOL, TensorProto.INT16}
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network without its weights.

    `light` has the layers' nodes in the file's order, each with a unique name; its graph inputs are the activations
    that layers read, then the parameters; small integer constants are initializers; `value_info` is complete.
    """

    light: onnx.ModelProto
    parameters: tuple[str, ...]
    """Every parameter that a layer reads, in order of first use."""
    folding: onnx.ModelProto | None
    """Computes the parameters that the file computes from other constants; None when there are none."""
    constants: Mapping[str, np.ndarray]
    """Values of Constant nodes, which no initializer holds."""
    upload_bytes: Mapping[str, int]
    """Parameters that travel smaller than they are held: stored quantized or in half precision, widened on arrival."""
    layout: Mapping[str, str]
    """Parameters that are another constant laid out anew (transposed, say), and that constant."""


def prepare(model: onnx.ModelProto, dims: Mapping[str, int] | None, payload: Payload, origin: str) -> Prepared:
    """Strip `model` (already refused or accepted by `layerlift.models.onnx_files.untrusted`) to its light form.

    `dims` fixes dynamic dimensions, by symbolic name or as `"input:axis"`. `payload` reads a stored tensor.
    Raises `ModelError` for dynamic dimensions that are not fixed, and for shapes that cannot be inferred or are
    too large.
    """
    work = _Preparation(model, payload, origin)
    work.inputs = dimensions.fixed(work.inputs, dims or {}, origin)
    samples.declare_pixels(work.inputs, model)
    work.infer_and_fold()
    return work.finish()


class _Preparation:
    """The state of one preparation: what is constant, what its value is where that matters, what is left."""

    def __init__(self, model: onnx.ModelProto, payload: Payload, origin: str) -> None:
        self.origin = origin
        self.model = model
        self.payload = payload
        self.stored = {tensor.name: tensor for tensor in model.graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.literals: dict[str, np.ndarray] = {}
        for node in model.graph.node:
            # A Constant node and an initializer say the same; from here on only the second exists.
            if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                self.stored[node.output[0]] = held = protos.constant(node, origin)
                self.literals[node.output[0]] = numpy_helper.to_array(held)
            else:
                self.nodes.append(node)
        # Floats are weights as a rule, whose payload is not to be read here: only those that give shapes are.
        shape_floats = {name for node in self.nodes if node.op_type in _FLOAT_SHAPES for name in node.input}
        self.values = {
            name: payload(tensor)
            for name, tensor in self.stored.items()
            if _is_shape_like(tensor, name in shape_floats)
        }
        # Before IR version 4 every initializer was listed as a graph input too: those are not inputs that somebody
        # feeds.
        self.inputs = [value for value in model.graph.input if value.name not in self.stored]
        # One that is named twice is the same tensor, and is answered once.
        self.outputs = list(dict.fromkeys(value.name for value in model.graph.output))
        # What onnxruntime has said of operators that onnx has no shapes for.
        self.asked = operators.Asked(self._imports(), model.ir_version)
        self.told: dict[str, operators.Kind] = {}
        self.types: dict[str, tuple[int, tuple[int, ...] | None]] = {}
        self.folded: list[onnx.NodeProto] = []

    def infer_and_fold(self) -> None:
        # A shape that is inferred makes another constant computable (`Shape`), and its value another shape
        # (`Reshape`). Each round adds values that were not known, of which there are finitely many, so this ends.
        while True:
            self._infer()
            constant = self._constants()
            fresh = self._evaluate(constant)
            self.values.update(fresh)
            if not fresh and not self._ask_onnxruntime():
                break
        self.folded = [node for node in self.nodes if self._is_folded(node, constant)]
        # By identity: messages cannot be hashed, and two nodes may be equal.
        gone = {id(node) for node in self.folded}
        self.nodes = [node for node in self.nodes if id(node) not in gone]
        self.constant = constant

    def _ask_onnxruntime(self) -> bool:
        """Fill `told` with types and shapes that onnx does not infer; whether there are new ones."""
        before = len(self.told)
        self.told.update(self.asked.outputs_of(self.nodes, self.types, self.values))
        return len(self.told) > before

    def _infer(self) -> None:
        """Fill `types` with what shape inference finds; values are given for shape-like constants only."""
        # A node whose outputs are known is replaced by their values: inference is then exact where it would only
        # propagate.
        unknown = [node for node in self.nodes if not all(name in self.values for name in node.output if name)]
        model = self._assemble(unknown, self.stored)
        try:
            inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        # onnx raises whatever its C++ checks raise, by no common class; the file is a stranger's.
        except MemoryError:
            raise
        except Exception as error:
            raise ModelError(f"{self.origin} is corrupt: {protos.one_line(error)}") from None
        self.types = {}
        for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
            self.types[value.name] = protos.type_of(value)
        # Inference says nothing of initializers, so what is known by value is added, and wins.
        for name, array in self.values.items():
            self.types[name] = (helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)

    def _assemble(self, nodes: Sequence[onnx.NodeProto], stored: Iterable[str]) -> onnx.ModelProto:
        made = {name for node in nodes for name in node.output}
        # Weights are declared as inputs and not stored: their payload may be gigabytes, and only their shape is
        # needed.
        constants = [name for name in stored if name not in made and name not in self.values]
        weights = [
            helper.make_tensor_value_info(n, self.stored[n].data_type, list(self.stored[n].dims)) for n in constants
        ]
        declared = {value.name: value for value in self.inputs}
        told = {name: helper.make_tensor_value_info(name, *kind) for name, kind in self.told.items() if name in made}
        outputs = [{**declared, **told}.get(name, onnx.ValueInfoProto(name=name)) for name in self.outputs]
        graph = helper.make_graph(
            nodes,
            "light",
            [*self.inputs, *weights],
            outputs,
            [numpy_helper.from_array(array, name) for name, array in self.values.items() if name not in made],
            value_info=[value for name, value in told.items() if name not in self.outputs],
        )
        return self._model(graph)

    def _model(self, graph: onnx.GraphProto) -> onnx.ModelProto:
        # From IR version 4 on an initializer need not be an input.
        return helper.make_model(graph, opset_imports=self._imports(), ir_version=max(4, self.model.ir_version))

    def _imports(self) -> list[onnx.OperatorSetIdProto]:
        # Imports of other domains than the operators are of are leftovers of an exporter.
        used = {"", "ai.onnx", "ai.onnx.ml", *(node.domain for node in self.model.graph.node)}
        return [entry for entry in self.model.opset_import if entry.domain in used]

    def _constants(self) -> set[str]:
        # One pass is enough: ONNX wants nodes in an order in which every input is made before it is read.
        constant = set(self.stored)
        for node in self.nodes:
            if self._is_folded(node, constant):
                constant.update(name for name in node.output if name)
        return constant

    def _is_folded(self, node: onnx.NodeProto, constant: set[str]) -> bool:
        # The shape of an activation is constant even though the activation is not.
        if node.op_type in ("Shape", "Size") and self.types.get(node.input[0], (0, None))[1] is not None:
            return True
        return all(name in constant for name in node.input if name)

    def _evaluate(self, constant: set[str]) -> dict[str, np.ndarray]:
        """Values of small integer constants that the file computes and that are not known yet."""
        nodes: list[onnx.NodeProto] = []
        inputs: dict[str, onnx.ValueInfoProto] = {}
        feeds: dict[str, np.ndarray] = dict(self.values)
        # In order, and each once.
        wanted: dict[str, None] = {}
        for node in self.nodes:
            # Large results are weights that the file computes: they are left to `folding`, which runs when somebody
            # needs them.
            if not self._is_folded(node, constant) or not all(self._is_small(name) for name in node.output if name):
                continue
            if all(name in self.values for name in node.output if name):
                continue
            if node.op_type in ("Shape", "Size") and node.input[0] not in feeds:
                # Answered without running: what it measures may be an activation, or a weight that was not read.
                shape = self.types[node.input[0]][1]
                assert shape is not None
                feeds.update(protos.shape_value(node, shape))
                wanted.update(dict.fromkeys(node.output))
                continue
            # An input without a value is a large constant, or known in the next round only: this result has to wait.
            if all(name in feeds or name in wanted for name in node.input if name):
                nodes.append(node)
                wanted.update(dict.fromkeys(name for name in node.output if name))
        if not wanted:
            return {}
        computed = [name for node in nodes for name in node.output if name]
        fresh = {name: feeds[name] for name in wanted if name in feeds}
        if nodes:
            read = {name for node in nodes for name in node.input if name in feeds}
            inputs = {name: protos.value_info(name, feeds[name]) for name in read}
            outputs = [onnx.ValueInfoProto(name=name) for name in computed]
            model = self._model(helper.make_graph(nodes, "shapes", list(inputs.values()), outputs))
            fresh.update(protos.run_once(model, {name: feeds[name] for name in read}, computed, self.origin))
        return fresh

    def _is_small(self, name: str) -> bool:
        dtype, shape = self.types.get(name, (0, None))
        # Python's integers do not overflow at a hostile shape; 8 bytes are the most that one of these types takes.
        return dtype in _INTEGERS and shape is not None and 8 * int(np.prod(shape, dtype=object)) <= SHAPE_BYTES

    def finish(self) -> Prepared:
        # Before anything is checked: a branch that no output needs may have any shape.
        self._drop_dead()
        self._trim_outputs()
        self._name_nodes()
        # A dict keeps the order of first use, in which parameters are numbered.
        read = dict.fromkeys(name for node in self.nodes for name in node.input if name)
        self._check_shapes(read)
        parameters = tuple(name for name in read if name in self.constant)
        self.inputs = [value for value in self.inputs if value.name in read or value.name in self.outputs]
        light = self._light(parameters)
        layout = ties.by_layout(self.folded, [name for name in parameters if name not in self.values])
        upload_bytes = self._upload_bytes(parameters)
        return Prepared(light, parameters, self._folding(parameters), self.literals, upload_bytes, layout)

    def _drop_dead(self) -> None:
        made = {name for node in self.nodes for name in node.output}
        given = {value.name for value in self.inputs}
        # What is constant needs no network to be known, and no query moves it.
        self.outputs = [name for name in self.outputs if name in made or name in given]
        if not made.intersection(self.outputs):
            raise ModelError(f"{self.origin}: no output is computed from an input, so that there is nothing to cut")
        wanted = set(self.outputs)
        alive: list[onnx.NodeProto] = []
        # Backwards through an order in which makers come first: every reader is seen before its maker.
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                wanted.update(name for name in node.input if name)
                alive.append(node)
        self.nodes = alive[::-1]

    def _trim_outputs(self) -> None:
        """Forget optional outputs that nobody reads, such as the mask of Dropout, whose shape is often unknown."""
        read = {name for node in self.nodes for name in node.input} | set(self.outputs)
        version = untrusted.opset_of(self.model)
        for position, node in enumerate(self.nodes):
            optional = protos.optional_outputs(node, version)
            kept = [name if name in read or at not in optional else "" for at, name in enumerate(node.output)]
            # An output left out in the middle is an empty name; at the end it is not written at all.
            while kept and not kept[-1]:
                kept.pop()
            if kept != list(node.output):
                # A copy, for the node belongs to the caller's model.
                self.nodes[position] = trimmed = onnx.NodeProto()
                trimmed.CopyFrom(node)
                del trimmed.output[:]
                trimmed.output.extend(kept)

    def _name_nodes(self) -> None:
        taken: set[str] = set()
        for position, node in enumerate(self.nodes):
            name = node.name or f"{node.op_type}_{position}"
            while name in taken:
                name = f"{name}_{position}"
            taken.add(name)
            if name != node.name:
                self.nodes[position] = named = onnx.NodeProto()
                named.CopyFrom(node)
                named.name = name

    def _check_shapes(self, read: Iterable[str]) -> None:
        maker = {name: node for node in self.nodes for name in node.output if name}
        total = 0
        for name in dict.fromkeys((*read, *maker)):
            dtype, shape = self.types.get(name, (0, None))
            if shape is None or not dtype:
                node = maker.get(name)
                of = f", made by {node.op_type} ({node.name!r})" if node is not None else ""
                why, end = self._why(node), tails.remedy(self.model, self._is_unsized)
                raise ModelError(f"{self.origin}: the shape of {name!r}{of} {why}; {end}")
            size = untrusted.check_size(name, shape, untrusted.bits_of(dtype, name, self.origin), self.origin)
            total += size if name in self.constant else 0
        if total > untrusted.MAX_PARAMETER_BYTES:
            raise ModelError(
                f"{self.origin} needs {total} bytes of parameters; the limit is {untrusted.MAX_PARAMETER_BYTES}"
            )
        # A weight may be small and what it is computed from enormous: intermediate results are held to the limits too.
        # Those without a shape are left to `_folding`, which refuses them if a parameter needs them.
        for node in self.folded:
            for name in (n for n in node.output if n):
                dtype, shape = self.types.get(name, (0, None))
                if shape is not None and dtype:
                    untrusted.check_size(name, shape, untrusted.bits_of(dtype, name, self.origin), self.origin)

    def _is_unsized(self, node: onnx.NodeProto) -> bool:
        return not all(operators.is_known(self.types.get(name)) for name in node.output if name)

    def _why(self, node: onnx.NodeProto | None) -> str:
        refused = self.asked.refused.get((node.domain, node.op_type)) if node is not None else None
        if node is not None and refused is not None and node.domain not in untrusted.STANDARD_DOMAINS:
            return f"is not known, for onnxruntime does not run {node.domain}.{node.op_type} ({refused})"
        # Strict inference says which node is wrong, but refuses nodes that could be inferred around: so it only
        # explains.
        try:
            onnx.shape_inference.infer_shapes(
                self._assemble([*self.folded, *self.nodes], self.stored), strict_mode=True, data_prop=True
            )
        except Exception as error:
            return f"depends on the data or is wrong ({protos.one_line(error)})"
        return "depends on the data or is wrong"

    def _upload_bytes(self, parameters: Sequence[str]) -> dict[str, int]:
        """What each parameter that the file widens takes to upload: what it is made of, where that is less."""
        narrow: dict[str, int] = {}
        # Makers come before readers, so each is sized once, however many ways lead to it.
        for node in self.folded:
            for name in (n for n in node.output if n and node.op_type in _WIDENING and self._is_sized(n)):
                # A Cast to fewer bytes widens nothing: the smaller form travels.
                reads = [narrow[read] if read in narrow else self._size(read) for read in node.input if read]
                narrow[name] = min(self._size(name), int_sum(reads))
        return {name: narrow[name] for name in parameters if name in narrow}

    def _is_sized(self, name: str) -> bool:
        return self.types.get(name, (0, None))[1] is not None

    def _size(self, name: str) -> int:
        dtype, shape = self.types[name]
        return untrusted.check_size(name, shape or (), untrusted.bits_of(dtype, name, self.origin), self.origin)

    def _info(self, name: str) -> onnx.ValueInfoProto:
        dtype, shape = self.types[name]
        return helper.make_tensor_value_info(name, dtype, list(shape or ()))

    def _light(self, parameters: Sequence[str]) -> onnx.ModelProto:
        answered = set(self.outputs)
        made = [name for node in self.nodes for name in node.output if name and name not in answered]
        graph = helper.make_graph(
            self.nodes,
            self.model.graph.name or "network",
            [*self.inputs, *(self._info(name) for name in parameters if name not in self.values)],
            [self._info(name) for name in self.outputs],
            [numpy_helper.from_array(self.values[name], name) for name in parameters if name in self.values],
            value_info=[self._info(name) for name in made],
        )
        model = self._model(graph)
        try:
            # Checked without weights, so that a file of any size can be.
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            raise ModelError(f"{self.origin} is not a valid ONNX model: {protos.one_line(error)}") from None
        return model

    def _folding(self, parameters: Sequence[str]) -> onnx.ModelProto | None:
        outputs = [name for name in parameters if name not in self.stored and name not in self.values]
        if not outputs:
            return None
        wanted = set(outputs)
        alive: list[onnx.NodeProto] = []
        for node in reversed(self.folded):
            # What is known by value goes in as an initializer, and what makes it stays out.
            if wanted.intersection(node.output) - set(self.values):
                wanted.update(name for name in node.input if name)
                alive.append(node)
        alive.reverse()
        for node in alive:
            for name in (n for n in node.output if n):
                if self.types.get(name, (0, None))[1] is None:
                    raise ModelError(
                        f"{self.origin}: {node.op_type} ({node.name or name!r}) computes a weight whose size is not "
                        "known before it runs; export the model with its constants folded"
                    )
        made = {name for node in alive for name in node.output}
        read = dict.fromkeys(name for node in alive for name in node.input if name and name not in made)
        graph = helper.make_graph(
            alive,
            "folding",
            [self._info(name) for name in read if name not in self.values],
            [self._info(name) for name in outputs],
            [numpy_helper.from_array(self.values[name], name) for name in read if name in self.values],
        )
        return self._model(graph)


def _is_shape_like(tensor: TensorProto, as_float: bool) -> bool:
    size = int(np.prod(tuple(tensor.dims), dtype=object)) * 8
    return size <= SHAPE_BYTES and (tensor.data_type in _INTEGERS or as_float)
