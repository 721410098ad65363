"""From an ONNX file to its light form: shapes of everything, payloads of nothing, layers only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from layerlift.models.errors import ModelError, shortened
from layerlift.models.loading import control, dimensions, sequences, ties
from layerlift.models.loading.constants import Payload
from layerlift.models.loading.walking import Walk
from layerlift.models.onnx_files import operators, protos, strings, tails, untrusted
from layerlift.models.running import samples
from layerlift.models.sums import int_sum

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

    `light` has the layers' nodes, makers first, each with a unique name; its graph inputs are the activations that
    layers read, then the parameters; small integer constants are initializers; `value_info` is complete.
    """

    light: onnx.ModelProto
    parameters: tuple[str, ...]
    """Every parameter that a layer reads, in order of first use."""
    folding: onnx.ModelProto | None
    """Computes the parameters that the file computes from other constants; None when there are none."""
    constants: Mapping[str, np.ndarray]
    """Values that no initializer of the file holds: Constant nodes, and what was worked out while it was read."""
    upload_bytes: Mapping[str, int]
    """Parameters that travel smaller than they are held: stored quantized or in half precision, widened on arrival."""
    layout: Mapping[str, str]
    """Parameters that are another constant laid out anew (transposed, say), and that constant."""


def prepare(
    model: onnx.ModelProto,
    dims: Mapping[str, int] | None,
    payload: Payload,
    origin: str,
    fix: Mapping[str, dimensions.Fixed] | None = None,
) -> Prepared:
    """Strip `model` (already refused or accepted by `layerlift.models.onnx_files.untrusted`) to its light form.

    `dims` fixes dynamic dimensions, by symbolic name or as `"input:axis"`, and `fix` makes inputs constants. `payload`
    reads a stored tensor. Raises `ModelError` for dynamic dimensions that are not fixed, for operators that hold others
    and are not decided, and for shapes that cannot be inferred or are too large.
    """
    work = _Preparation(model, payload, origin)
    work.walk_through(dims or {}, fix or {})
    return work.finish()


class _Preparation:
    """The state of one preparation: what the walk has found, and what is kept of it."""

    def __init__(self, model: onnx.ModelProto, payload: Payload, origin: str) -> None:
        self.origin, self.model = origin, model
        self.walk = Walk(model, payload, origin, {**control.EXPANDED, **sequences.EXPANDED})
        # One that is named twice is the same tensor, and is answered once.
        self.outputs = list(dict.fromkeys(value.name for value in model.graph.output))
        self.inputs: list[onnx.ValueInfoProto] = []
        self.dims: Mapping[str, int] = {}

    def walk_through(self, dims: Mapping[str, int], fix: Mapping[str, dimensions.Fixed]) -> None:
        """Infer the shapes of everything that the outputs need, and fold what is constant."""
        walk, self.dims = self.walk, dims
        self.inputs, fixed = dimensions.settled(self.model, dims, fix, self.origin)
        samples.declare_pixels(self.inputs, self.model)
        for value in self.inputs:
            walk.types[value.name] = protos.type_of(value)
        for name, array in fixed.items():
            walk.constants.hold(name, array)
        walk.run(self.outputs)
        self.types, self.constant, self.values = walk.types, walk.constants, walk.constants.values
        self.nodes, self.folded = walk.nodes, walk.folded

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
        inside = self._inside(parameters)
        light = self._light(parameters, inside)
        known = {name: self.values[name] for name in parameters if name in self.values}
        folding = self._folding([name for name in parameters if not self._is_held(name)])
        layout = ties.by_layout(self.folded, [name for name in parameters if name not in inside])
        constants = self.constant.literals | known
        return Prepared(light, parameters, folding, constants, self._upload_bytes(parameters), layout)

    def _inside(self, parameters: Iterable[str]) -> set[str]:
        """The parameters that the light model holds: small integers, and floats that say how large something gets."""
        scales = {name for node in self.nodes if node.op_type in _FLOAT_SHAPES for name in node.input}
        wanted = [name for name in parameters if name in scales or self.types[name][0] in _INTEGERS]
        self.constant.know(wanted)
        return {name for name in wanted if name in self.values}

    def _is_held(self, name: str) -> bool:
        return name in self.constant.stored or name in self.constant.literals or name in self.values

    def _drop_dead(self) -> None:
        self._name_outputs()
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

    def _name_outputs(self) -> None:
        """Let each output be a tensor of its name, where it was only another name of one."""
        for name in self.outputs:
            tensor = self.walk.names.of(name)
            if tensor != name and tensor not in self.constant and tensor in self.types:
                self.nodes.append(helper.make_node("Identity", [tensor], [name]))
                self.types[name] = self.types[tensor]

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
            if dtype == TensorProto.STRING:
                raise ModelError(strings.said(name, self.origin, tails.remedy(self.model, self._is_text)))
            if shape is None or not dtype:
                node = maker.get(name)
                of = f", made by {node.op_type} ({node.name!r})" if node is not None else ""
                raise ModelError(f"{self.origin}: the shape of {name!r}{of} {self._why(name, node)}; {self._way(name)}")
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

    def _is_text(self, node: onnx.NodeProto) -> bool:
        return any(self.types.get(name, (0, None))[0] == TensorProto.STRING for name in (*node.input, *node.output))

    def _is_unsized(self, node: onnx.NodeProto) -> bool:
        return not all(operators.is_known(self.types.get(name)) for name in node.output if name)

    def _why(self, name: str, node: onnx.NodeProto | None) -> str:
        refused = self.walk.asked.refused.get((node.domain, node.op_type)) if node is not None else None
        if node is not None and refused is not None and not protos.has_schema(node, self.walk.version):
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            return f"is not known, for onnxruntime does not run {operator} ({refused})"
        wrong = self.walk.wrong.get(name)
        return f"depends on the data or is wrong ({wrong})" if wrong else "depends on the data or is wrong"

    def _way(self, name: str) -> str:
        """What to do about a tensor `name` without a shape."""
        if name in self.walk.wrong and self.dims:
            sizes = " ".join(f"--dim {key}={extent}" for key, extent in self.dims.items())
            return f"other sizes than {shortened(sizes, 80)} may fit each other"
        return tails.remedy(self.model, self._is_unsized, self.walk.can_end_at)

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

    def _light(self, parameters: Sequence[str], inside: set[str]) -> onnx.ModelProto:
        answered = set(self.outputs)
        made = [name for node in self.nodes for name in node.output if name and name not in answered]
        graph = helper.make_graph(
            self.nodes,
            self.model.graph.name or "network",
            [*self.inputs, *(self._info(name) for name in parameters if name not in inside)],
            [self._info(name) for name in self.outputs],
            [self.constant.tensor(name) for name in parameters if name in inside],
            value_info=[self._info(name) for name in made],
        )
        model = self.walk.model_of(graph)
        try:
            # Checked without weights, so that a file of any size can be.
            protos.check(model)
        except onnx.checker.ValidationError as error:
            raise ModelError(f"{self.origin} is not a valid ONNX model: {protos.one_line(error)}") from None
        return model

    def _folding(self, outputs: Sequence[str]) -> onnx.ModelProto | None:
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
            [self.constant.tensor(name) for name in read if name in self.values],
        )
        return self.walk.model_of(graph)
