"""From an ONNX file to its light form: shapes of everything, payloads of nothing, layers only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from layerlift.models.errors import ModelError, near
from layerlift.models.onnx_files import protos, untrusted

Payload = Callable[[TensorProto], np.ndarray]

SHAPE_BYTES = 64 * 1024
"""Integer constants up to this size stay in the light model, because shapes depend on them."""
_FLOAT_SHAPES = frozenset({"Resize", "Upsample", "Range"})
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


def prepare(model: onnx.ModelProto, dims: Mapping[str, int] | None, payload: Payload, origin: str) -> Prepared:
    """Strip `model` (already refused or accepted by `layerlift.models.onnx_files.untrusted`) to its light form.

    `dims` fixes dynamic dimensions, by symbolic name or as `"input:axis"`. `payload` reads a stored tensor.
    Raises `ModelError` for dynamic dimensions that are not fixed, and for shapes that cannot be inferred or are
    too large.
    """
    work = _Work(model, payload, origin)
    work.fix_dimensions(dims or {})
    work.infer_and_fold()
    return work.finish()


class _Work:
    """The state of one preparation: what is constant, what its value is where that matters, what is left."""

    def __init__(self, model: onnx.ModelProto, payload: Payload, origin: str) -> None:
        self.origin = origin
        self.model = model
        self.payload = payload
        self.stored = {tensor.name: tensor for tensor in model.graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.literals: dict[str, np.ndarray] = {}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                self.stored[node.output[0]] = held = protos.constant(node, origin)
                self.literals[node.output[0]] = numpy_helper.to_array(held)
            else:
                self.nodes.append(node)
        shape_floats = {name for node in self.nodes if node.op_type in _FLOAT_SHAPES for name in node.input}
        self.values = {
            name: payload(tensor)
            for name, tensor in self.stored.items()
            if _is_shape_like(tensor, name in shape_floats)
        }
        self.inputs = [value for value in model.graph.input if value.name not in self.stored]
        self.outputs = [value.name for value in model.graph.output]
        self.types: dict[str, tuple[int, tuple[int, ...] | None]] = {}
        self.folded: list[onnx.NodeProto] = []

    def fix_dimensions(self, dims: Mapping[str, int]) -> None:
        fixed: list[onnx.ValueInfoProto] = []
        missing: dict[str, str] = {}
        known: set[str] = set()
        for value in self.inputs:
            if not value.type.HasField("tensor_type"):
                raise ModelError(f"{self.origin}: input {value.name!r} is not a tensor; only tensors can be moved")
            if not value.type.tensor_type.HasField("shape"):
                raise ModelError(f"{self.origin}: input {value.name!r} has no shape; declare its rank in the model")
            shape: list[int] = []
            for axis, dim in enumerate(value.type.tensor_type.shape.dim):
                keys = [key for key in (dim.dim_param, f"{value.name}:{axis}") if key]
                given = next((dims[key] for key in keys if key in dims), None)
                if dim.HasField("dim_value") and dim.dim_value > 0:
                    shape.append(dim.dim_value)
                    continue
                known.update(keys)
                if given is None:
                    missing.setdefault(keys[0], f"{keys[0]} (axis {axis} of input {value.name!r})")
                shape.append(given if given is not None else 1)
            if any(extent < 1 for extent in shape):
                raise ModelError(f"{self.origin}: dims makes input {value.name!r} {shape}; extents start at 1")
            fixed.append(helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, shape))
        if missing:
            example = ", ".join(f"'{key}': 1" for key in missing)
            options = " ".join(f"--dim {key}=1" for key in missing)
            raise ModelError(
                f"{self.origin} has dynamic dimensions: {', '.join(missing.values())}; "
                f"fix them, e.g. dims={{{example}}} ({options})"
            )
        for key in dims:
            if key not in known:
                raise ModelError(f"{self.origin} has no dynamic dimension {key!r}{near(key, known)}")
        self.inputs = fixed

    def infer_and_fold(self) -> None:
        while True:
            self._infer()
            constant = self._constants()
            fresh = self._evaluate(constant)
            if not fresh:
                break
            self.values.update(fresh)
        self.folded = [node for node in self.nodes if self._is_folded(node, constant)]
        gone = {id(node) for node in self.folded}
        self.nodes = [node for node in self.nodes if id(node) not in gone]
        self.constant = constant

    def _infer(self) -> None:
        """Fill `types` with what shape inference finds; values are given for shape-like constants only."""
        unknown = [node for node in self.nodes if not all(name in self.values for name in node.output if name)]
        model = self._assemble(unknown, self.stored)
        try:
            inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        except Exception as error:
            raise ModelError(f"{self.origin} is corrupt: {protos.one_line(error)}") from None
        self.types = {}
        for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
            self.types[value.name] = protos.type_of(value)
        for name, array in self.values.items():
            self.types[name] = (helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)

    def _assemble(self, nodes: Sequence[onnx.NodeProto], stored: Iterable[str]) -> onnx.ModelProto:
        made = {name for node in nodes for name in node.output}
        constants = [name for name in stored if name not in made and name not in self.values]
        weights = [
            helper.make_tensor_value_info(n, self.stored[n].data_type, list(self.stored[n].dims)) for n in constants
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs]
        graph = helper.make_graph(
            nodes,
            "light",
            [*self.inputs, *weights],
            outputs,
            [numpy_helper.from_array(array, name) for name, array in self.values.items() if name not in made],
        )
        return self._model(graph)

    def _model(self, graph: onnx.GraphProto) -> onnx.ModelProto:
        imports = [entry for entry in self.model.opset_import if entry.domain in untrusted.STANDARD_DOMAINS]
        return helper.make_model(graph, opset_imports=imports, ir_version=max(4, self.model.ir_version))

    def _constants(self) -> set[str]:
        constant = set(self.stored)
        for node in self.nodes:
            if self._is_folded(node, constant):
                constant.update(name for name in node.output if name)
        return constant

    def _is_folded(self, node: onnx.NodeProto, constant: set[str]) -> bool:
        if node.op_type in ("Shape", "Size") and self.types.get(node.input[0], (0, None))[1] is not None:
            return True
        return all(name in constant for name in node.input if name)

    def _evaluate(self, constant: set[str]) -> dict[str, np.ndarray]:
        """Values of small integer constants that the file computes and that are not known yet."""
        nodes: list[onnx.NodeProto] = []
        inputs: dict[str, onnx.ValueInfoProto] = {}
        feeds: dict[str, np.ndarray] = dict(self.values)
        wanted: list[str] = []
        for node in self.nodes:
            if not self._is_folded(node, constant) or not all(self._is_small(name) for name in node.output if name):
                continue
            if all(name in self.values for name in node.output if name):
                continue
            if node.op_type in ("Shape", "Size") and node.input[0] not in feeds:
                shape = self.types[node.input[0]][1]
                assert shape is not None
                feeds.update(protos.shape_value(node, shape))
                wanted.extend(node.output)
                continue
            if all(name in feeds or name in wanted for name in node.input if name):
                nodes.append(node)
                wanted.extend(name for name in node.output if name)
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
        return dtype in _INTEGERS and shape is not None and 8 * int(np.prod(shape, dtype=object)) <= SHAPE_BYTES

    def finish(self) -> Prepared:
        self._drop_dead()
        self._trim_outputs()
        self._name_nodes()
        read = dict.fromkeys(name for node in self.nodes for name in node.input if name)
        self._check_shapes(read)
        parameters = tuple(name for name in read if name in self.constant)
        self.inputs = [value for value in self.inputs if value.name in read]
        light = self._light(parameters)
        return Prepared(light, parameters, self._folding(parameters), self.literals, self._upload_bytes(parameters))

    def _drop_dead(self) -> None:
        made = {name for node in self.nodes for name in node.output}
        for name in self.outputs:
            if name not in made:
                raise ModelError(f"{self.origin}: output {name!r} is not computed from any input; remove it")
        wanted = set(self.outputs)
        alive: list[onnx.NodeProto] = []
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
            while kept and not kept[-1]:
                kept.pop()
            if kept != list(node.output):
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
                raise ModelError(
                    f"{self.origin}: the shape of {name!r}{of} depends on the data or is wrong{self._why()}"
                )
            size = untrusted.check_size(name, shape, untrusted.bits_of(dtype, name, self.origin), self.origin)
            total += size if name in self.constant else 0
        if total > untrusted.MAX_PARAMETER_BYTES:
            raise ModelError(
                f"{self.origin} needs {total} bytes of parameters; the limit is {untrusted.MAX_PARAMETER_BYTES}"
            )
        for node in self.folded:
            for name in (n for n in node.output if n):
                dtype, shape = self.types.get(name, (0, None))
                if shape is not None and dtype:
                    untrusted.check_size(name, shape, untrusted.bits_of(dtype, name, self.origin), self.origin)

    def _why(self) -> str:
        try:
            onnx.shape_inference.infer_shapes(
                self._assemble([*self.folded, *self.nodes], self.stored), strict_mode=True, data_prop=True
            )
        except Exception as error:
            return f" ({protos.one_line(error)})"
        return ""

    def _upload_bytes(self, parameters: Sequence[str]) -> dict[str, int]:
        maker = {name: node for node in self.folded for name in node.output if name}

        def size(name: str) -> int:
            dtype, shape = self.types[name]
            own = untrusted.check_size(name, shape or (), untrusted.bits_of(dtype, name, self.origin), self.origin)
            node = maker.get(name)
            if node is None or node.op_type not in _WIDENING:
                return own
            return min(own, sum(size(read) for read in node.input if read))

        return {name: size(name) for name in parameters if name in maker and maker[name].op_type in _WIDENING}

    def _info(self, name: str) -> onnx.ValueInfoProto:
        dtype, shape = self.types[name]
        return helper.make_tensor_value_info(name, dtype, list(shape or ()))

    def _light(self, parameters: Sequence[str]) -> onnx.ModelProto:
        made = [name for node in self.nodes for name in node.output if name and name not in self.outputs]
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
