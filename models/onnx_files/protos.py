"""Small questions put to ONNX messages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from layerlift.models.errors import ModelError
from layerlift.models.onnx_files.runtime import ort

_NOISE: Final = (
    (re.compile(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : |Fatal error: "), ""),
    (
        re.compile(r"Non-zero status code returned while running (\S+) node\. Name:('[^']*') Status Message: "),
        r"\1 \2: ",
    ),
    (re.compile(r"/\S+:\d+ .*?\)(?: const)? "), ""),
)
_ELSEWHERE: Final = "onnxruntime"
"""A domain that is none of onnx."""


def run_once(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], origin: str
) -> dict[str, np.ndarray]:
    """Run a constant computation; `ModelError` when onnxruntime will not, `MemoryError` when it has not the memory.

    Feeds of types that numpy lacks (4-bit integers, bfloat16) go into the model: onnxruntime takes no such array.
    """
    foreign = {name for name, array in feeds.items() if not aliasable(array.dtype.name)}
    if foreign:
        model = _with_inside(model, {name: feeds[name] for name in foreign})
        feeds = {name: array for name, array in feeds.items() if name not in foreign}
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run(list(outputs), dict(feeds))
    except MemoryError:
        raise
    except Exception as error:
        if says_no_memory(str(error)):
            raise MemoryError from None
        raise ModelError(f"{origin}: its constants cannot be computed: {one_line(error)}") from None
    return dict(zip(outputs, found, strict=True))


def says_no_memory(text: str) -> bool:
    """Whether onnxruntime, whose exceptions are of no kind of their own for that, says that it got no memory."""
    return "std::bad_alloc" in text or "Failed to allocate memory" in text


def aliasable(dtype: str) -> bool:
    """Whether onnxruntime takes arrays of `dtype` as they are: the types that numpy itself knows."""
    try:
        return np.dtype(dtype).isbuiltin == 1
    except TypeError:
        return False


def ort_value(array: np.ndarray, dtype: int) -> Any:
    """`array`, whose ONNX type is `dtype`, as onnxruntime holds it; types that numpy lacks are told by number."""
    if aliasable(array.dtype.name):
        return ort.OrtValue.ortvalue_from_numpy(array)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, dtype)


def _with_inside(model: onnx.ModelProto, arrays: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    inside = onnx.ModelProto()
    inside.CopyFrom(model)
    kept = [value for value in inside.graph.input if value.name not in arrays]
    del inside.graph.input[:]
    inside.graph.input.extend(kept)
    inside.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    return inside


def constant(node: onnx.NodeProto, origin: str) -> TensorProto:
    """The tensor that a Constant node holds; `ModelError` when it holds text or nothing."""
    name = node.output[0]
    for attribute in node.attribute:
        if attribute.name == "value":
            tensor = TensorProto()
            tensor.CopyFrom(attribute.t)
            tensor.name = name
            return tensor
        if attribute.name in ("value_float", "value_int"):
            scalar = helper.get_attribute_value(attribute)
            kind = np.float32 if attribute.name == "value_float" else np.int64
            return numpy_helper.from_array(np.asarray(scalar, kind), name)
        if attribute.name in ("value_floats", "value_ints"):
            kind = np.float32 if attribute.name == "value_floats" else np.int64
            return numpy_helper.from_array(np.asarray(helper.get_attribute_value(attribute), kind), name)
    raise ModelError(f"{origin}: the constant {name!r} holds no tensor of numbers")


def type_of(value: onnx.ValueInfoProto) -> tuple[int, tuple[int, ...] | None]:
    """Element type and shape; the shape is None where a dimension is unknown."""
    kind = value.type.tensor_type
    if not kind.HasField("shape") or not all(dim.HasField("dim_value") for dim in kind.shape.dim):
        return kind.elem_type, None
    return kind.elem_type, tuple(dim.dim_value for dim in kind.shape.dim)


def value_info(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
    """The declaration that fits `array`."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape))


def shape_value(node: onnx.NodeProto, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """What a Shape or Size node answers for a tensor of `shape`."""
    if node.op_type == "Size":
        return {node.output[0]: np.asarray(int(np.prod(shape, dtype=object)), np.int64)}
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    return {node.output[0]: np.asarray(shape[bounds.get("start", 0) : bounds.get("end", len(shape))], np.int64)}


def optional_outputs(node: onnx.NodeProto, version: int) -> frozenset[int]:
    """Positions of the outputs that `node` may leave out."""
    if not has_schema(node, version):
        return frozenset()
    outputs = onnx.defs.get_schema(node.op_type, version, "").outputs
    return frozenset(
        at for at, output in enumerate(outputs) if output.option == onnx.defs.OpSchema.FormalParameterOption.Optional
    )


def has_schema(node: onnx.NodeProto, version: int) -> bool:
    """Whether onnx knows a `node` of the standard operators in their `version`.

    onnxruntime's optimiser writes some of its own operators as standard ones, and others before their version.
    """
    return node.domain in ("", "ai.onnx") and onnx.defs.has(node.op_type, version, "")


def without_strange(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` as onnx can look at it: standard operators that only onnxruntime knows are of a domain of their own.

    onnx passes over what is of a domain that it does not know.
    """
    version = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    nodes = enumerate(model.graph.node)
    strange = [at for at, node in nodes if node.domain in ("", "ai.onnx") and not has_schema(node, version)]
    if not strange or version > onnx.defs.onnx_opset_version():
        return model
    stand_in = onnx.ModelProto()
    stand_in.CopyFrom(model)
    for at in strange:
        stand_in.graph.node[at].domain = _ELSEWHERE
    stand_in.opset_import.append(helper.make_opsetid(_ELSEWHERE, 1))
    return stand_in


def check(model: onnx.ModelProto) -> None:
    """Let onnx check `model`, all but what only onnxruntime knows. Raises `onnx.checker.ValidationError`."""
    onnx.checker.check_model(without_strange(model))


def one_line(error: Exception) -> str:
    """What `error` says, without line breaks and onnxruntime's codes and source lines, cut to a sentence's length."""
    text = " ".join(str(error).split())
    for pattern, instead in _NOISE:
        text = pattern.sub(instead, text)
    return text[:140]
