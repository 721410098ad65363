"""Reading a model from a stranger: everything that could reach outside the file or never end is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from layerlift.models.errors import ModelError
from layerlift.models.onnx_files import functions, names, operators, strings, tails
from layerlift.models.onnx_files.protos import has_schema, one_line

MAX_TENSOR_BYTES = 4 * 2**30
"""No single tensor may be larger: checked from its shape, before anything is allocated."""
MAX_PARAMETER_BYTES = 16 * 2**30
"""All parameters of one network together."""
MAX_RANK = 64
"""What numpy holds."""
CONTROL = frozenset({"If", "Loop", "Scan"})
"""Operators that hold others: they are written out while a file is read, or refused then."""
RANDOM_OPERATORS = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_SEQUENCES = ("SequenceMap", "Optional")
_TYPED_FIELDS: dict[int, tuple[str, int]] = {
    onnx.TensorProto.FLOAT: ("float_data", 1),
    onnx.TensorProto.DOUBLE: ("double_data", 1),
    onnx.TensorProto.INT64: ("int64_data", 1),
    onnx.TensorProto.UINT64: ("uint64_data", 1),
    onnx.TensorProto.UINT32: ("uint64_data", 1),
    onnx.TensorProto.COMPLEX64: ("float_data", 2),
    onnx.TensorProto.COMPLEX128: ("double_data", 2),
}


def read(path: Path, outputs: Sequence[str] = ()) -> onnx.ModelProto:
    """Parse the ONNX file at `path`, leaving external data where it is; it ends at the tensors `outputs`, if given.

    Functions of the model's own are written out. Raises `ModelError` when the file is missing, not an ONNX model, or
    holds what this project refuses to run: operators outside the ONNX standard, random operators, optional values,
    sparse or string tensors, or payloads that do not fit their shapes. Subgraphs are looked at when they are used.
    """
    try:
        is_file = path.is_file()
    except OSError:
        is_file = False
    if not is_file:
        raise ModelError(f"{path} is not a file; give the path of an .onnx file or the name of a zoo network")
    if path.stat().st_size > onnx.checker.MAXIMUM_PROTOBUF:
        raise ModelError(f"{path} is larger than 2 GiB, which protobuf cannot hold; save it with external data")
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path} is not a readable ONNX model ({one_line(error)}); export it again") from None
    refuse_broken(model, str(path))
    if not model.graph.node:
        raise ModelError(f"{path} holds no operators; expected an ONNX model")
    model = functions.inlined(model, str(path))
    model = tails.ending_at(model, outputs, str(path))
    refuse(model, str(path))
    return model


def refuse_broken(model: onnx.ModelProto, origin: str) -> None:
    """Raise `ModelError` when what should be text in `model` is none: whoever looks further takes it for text."""
    for text in names.broken(model):
        raise ModelError(f"{origin} holds the name {text!r}, which is not UTF-8; export it again")


def refuse(model: onnx.ModelProto, origin: str) -> None:
    """Raise `ModelError`, naming the first thing in `model` that cannot be cut or trusted. `origin` names the file."""
    version = opset_of(model)
    if not operators.runs_opset(version):
        raise ModelError(
            f"{origin} uses opset {version}; the installed onnxruntime takes 1 to {operators.newest_opset()}; "
            "try onnx.version_converter.convert_version"
        )
    for node in model.graph.node:
        refuse_node(node, version, origin, lambda: tails.remedy(model, _is_refused))
    for twice in names.repeated(model):
        raise ModelError(f"{origin} defines {twice!r} more than once; each tensor needs a name of its own")
    strings.refuse(model, origin)
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise ModelError(f"{origin} has the sparse initializer {name!r}; store it dense")
    for tensor in payloads(model):
        check_payload(tensor, origin)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operator set that `model` declares; 0 when it declares none."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def payloads(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor stored in `model`: initializers, then tensor attributes of nodes."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def check_size(name: str, shape: tuple[int, ...], bits: int, origin: str) -> int:
    """Bytes of a tensor of `shape` with `bits` per element; `ModelError` when negative or too large to be honest."""
    if len(shape) > MAX_RANK:
        raise ModelError(f"{origin}: tensor {name!r} has {len(shape)} dimensions; no more than {MAX_RANK} can be run")
    total = bits
    for extent in shape:
        if extent < 0:
            raise ModelError(f"{origin}: tensor {name!r} has the impossible shape {list(shape)}")
        total *= extent
    size = (total + 7) // 8
    if size > MAX_TENSOR_BYTES:
        raise ModelError(
            f"{origin}: tensor {name!r} of shape {list(shape)} needs {size} bytes, more than the limit of "
            f"{MAX_TENSOR_BYTES}"
        )
    return size


def bits_of(dtype: int, name: str, origin: str) -> int:
    """Bits per element of an ONNX element type; `ModelError` for strings and for types unknown to this onnx."""
    if dtype == onnx.TensorProto.STRING:
        raise ModelError(f"{origin}: tensor {name!r} holds strings; only tensors of numbers can be cut")
    bits = _bits(dtype)
    if bits is None:
        raise ModelError(f"{origin}: tensor {name!r} has the unknown element type {dtype}")
    return bits


@cache
def _bits(dtype: int) -> int | None:
    try:
        kind = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    except (KeyError, TypeError, ValueError):
        return None
    if kind.name in ("int4", "uint4", "float4_e2m1fn"):
        return 4
    if kind.name in ("int2", "uint2"):
        return 2
    return int(kind.itemsize) * 8


def check_payload(tensor: onnx.TensorProto, origin: str) -> None:
    """Raise `ModelError` unless the payload of `tensor` has exactly the bytes that its shape and type call for."""
    bits = bits_of(tensor.data_type, tensor.name, origin)
    expected = check_size(tensor.name, tuple(tensor.dims), bits, origin)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return
    if tensor.HasField("raw_data"):
        if len(tensor.raw_data) != expected:
            raise ModelError(
                f"{origin}: tensor {tensor.name!r} of shape {list(tensor.dims)} holds {len(tensor.raw_data)} bytes, "
                f"expected {expected}"
            )
        return
    field, per_element = _TYPED_FIELDS.get(tensor.data_type, ("int32_data", 1))
    elements = expected * 8 // bits
    stored = len(getattr(tensor, field))  # which field of a TensorProto holds the elements depends on their type
    packed = bits < 8 and stored * 8 in range(expected * 8, expected * 8 + 8)
    if stored != elements * per_element and not packed:
        raise ModelError(f"{origin}: tensor {tensor.name!r} of shape {list(tensor.dims)} holds {stored} elements")


def refuse_inner(node: onnx.NodeProto, version: int, origin: str, remedy: Callable[[], str]) -> None:
    """As `refuse_node`, of an operator in a subgraph, which `refuse` has not looked into; its tensors as well."""
    refuse_node(node, version, origin, remedy)
    for attribute in node.attribute:
        for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
            check_payload(tensor, origin)


def refuse_stored(graph: onnx.GraphProto, origin: str) -> None:
    """Raise `ModelError` for what a subgraph may not store."""
    if graph.sparse_initializer:
        raise ModelError(f"{origin} has a sparse initializer in the subgraph {graph.name!r}; store it dense")
    for tensor in graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ModelError(
                f"{origin}: {graph.name!r} in it keeps {tensor.name!r} in an external file; store it in the model"
            )
        check_payload(tensor, origin)


def refuse_node(node: onnx.NodeProto, version: int, origin: str, remedy: Callable[[], str]) -> None:
    """Raise `ModelError` when `node` is of a kind that is never run, or not as ONNX says; its subgraphs are let be.

    `remedy` says how the network can be used without it.
    """
    where = f"{node.op_type} ({node.name or (node.output[0] if node.output else 'unnamed')!r})"
    for attribute in node.attribute:
        if node.op_type not in CONTROL and (attribute.HasField("g") or attribute.graphs):
            raise ModelError(f"{origin}: {where} holds operators of its own; {remedy()}")
        held = (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors)
        if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in held):
            raise ModelError(f"{origin}: {where} keeps a constant in an external file; store it in the model")
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            raise ModelError(f"{origin}: {where} holds a sparse tensor; store it dense")
    if node.op_type in RANDOM_OPERATORS:
        raise ModelError(
            f"{origin} has the random operator {where}, but a network must answer the same every time; {remedy()}"
        )
    if node.op_type.startswith(_SEQUENCES):
        raise ModelError(f"{origin} has the sequence operator {where}, but only plain tensors can be moved; {remedy()}")
    # What onnx does not know is shown to onnxruntime, which refuses what it does not know either.
    if version > onnx.defs.onnx_opset_version() or not has_schema(node, version):
        return
    schema = onnx.defs.get_schema(node.op_type, version, "")
    if not schema.min_input <= len(node.input) <= schema.max_input:
        raise ModelError(f"{origin}: {where} reads {len(node.input)} tensors, which is not what ONNX says of it")
    if not schema.min_output <= len(node.output) <= schema.max_output:
        raise ModelError(f"{origin}: {where} makes {len(node.output)} tensors, which is not what ONNX says of it")


def _is_refused(node: onnx.NodeProto) -> bool:
    """Whether `node` is of a kind that no network here may have, wherever it stands."""
    inside = node.op_type not in CONTROL and any(each.HasField("g") or each.graphs for each in node.attribute)
    return inside or node.op_type in RANDOM_OPERATORS or node.op_type.startswith(_SEQUENCES)
