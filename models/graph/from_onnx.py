"""From a light ONNX model to the `LayerGraph` that planners see: a layer is a node with an activation input."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import onnx
from onnx import helper

from layerlift.models.errors import ModelError
from layerlift.models.graph import features
from layerlift.models.graph.graph import Form, Layer, LayerGraph, Parameter, Tensor
from layerlift.models.onnx_files import untrusted

TypeAndShape = tuple[int, tuple[int, ...]]


def types_of(light: onnx.ModelProto) -> dict[str, TypeAndShape]:
    """Element type and shape of every tensor that `light` declares. Raises `ModelError` for a dynamic shape."""
    found: dict[str, TypeAndShape] = {}
    for value in (*light.graph.input, *light.graph.value_info, *light.graph.output):
        kind = value.type.tensor_type
        if not all(dim.HasField("dim_value") for dim in kind.shape.dim):
            raise ModelError(f"tensor {value.name!r} has a dynamic shape; fix it with dims")
        found[value.name] = (kind.elem_type, tuple(dim.dim_value for dim in kind.shape.dim))
    for tensor in light.graph.initializer:
        found[tensor.name] = (tensor.data_type, tuple(tensor.dims))
    return found


def bytes_of(kind: TypeAndShape, name: str, origin: str) -> int:
    """Bytes of a tensor; types below a byte are packed, as ONNX stores them."""
    return untrusted.check_size(name, kind[1], untrusted.bits_of(kind[0], name, origin), origin)


def build(
    name: str,
    light: onnx.ModelProto,
    parameters: Collection[str],
    upload_bytes: Mapping[str, int] | None = None,
    tied: Mapping[str, str] | None = None,
) -> LayerGraph:
    """The layer graph of `light` (see `layerlift.models.loading.preparing.Prepared`), without touching any weight.

    `upload_bytes` names the parameters whose upload is smaller than what is held; those to which `tied` gives one name
    are one weight in several forms (see `layerlift.models.loading.ties`).
    Tensors are numbered inputs first, then in the order in which layers make them; parameters in order of first use.
    """
    types = types_of(light)
    held = set(parameters)
    inputs = [value.name for value in light.graph.input if value.name not in held]
    outputs = [value.name for value in light.graph.output]
    answered = frozenset(outputs)
    maker = {made: index for index, node in enumerate(light.graph.node) for made in node.output if made}
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(light.graph.node):
        for read in dict.fromkeys(n for n in node.input if n):
            readers.setdefault(read, []).append(index)
    names = [*inputs, *maker]
    number = {tensor: position for position, tensor in enumerate(names)}
    weights: dict[str, list[str]] = {}
    for read in readers:
        if read in held:
            weights.setdefault((tied or {}).get(read, read), []).append(read)
    slot = {form: position for position, forms in enumerate(weights.values()) for form in forms}
    tensors = tuple(
        Tensor(
            tensor,
            bytes_of(types[tensor], tensor, name),
            maker.get(tensor, -1),
            tuple(readers.get(tensor, ())),
            tensor in answered,
            types[tensor][1],
            dtype_name(types[tensor][0]),
        )
        for tensor in names
    )
    layers = tuple(_layer(index, node, number, slot, tensors, types) for index, node in enumerate(light.graph.node))
    return LayerGraph(
        name,
        layers,
        tensors,
        tuple(_parameter(forms, types, name, upload_bytes or {}) for forms in weights.values()),
        tuple(range(len(inputs))),
        tuple(number[output] for output in outputs),
    )


def dtype_name(elem_type: int) -> str:
    """The numpy name of an ONNX element type."""
    return str(helper.tensor_dtype_to_np_dtype(elem_type).name)


def _parameter(
    names: Sequence[str], types: Mapping[str, TypeAndShape], origin: str, upload_bytes: Mapping[str, int]
) -> Parameter:
    first, *others = (Form(name, types[name][1], dtype_name(types[name][0])) for name in names)
    size = bytes_of(types[first.name], first.name, origin)
    upload = min(upload_bytes.get(name, size) for name in names)
    return Parameter(first.name, size, upload, first.shape, first.dtype, tuple(others))


def _layer(
    index: int,
    node: onnx.NodeProto,
    number: dict[str, int],
    slot: dict[str, int],
    tensors: tuple[Tensor, ...],
    types: dict[str, TypeAndShape],
) -> Layer:
    read = [name for name in dict.fromkeys(node.input) if name in number]
    made = [name for name in node.output if name]
    owned = [name for name in dict.fromkeys(node.input) if name in slot]

    def shape_of(name: str) -> tuple[int, ...]:
        return types[name][1]

    return Layer(
        index,
        node.name,
        node.op_type,
        tuple(number[name] for name in read),
        tuple(number[name] for name in made),
        tuple(dict.fromkeys(slot[name] for name in owned)),
        features.flops(node, shape_of),
        sum(tensors[number[name]].bytes for name in (*read, *made)),
        features.features(node, shape_of, read),
        (node.name,),
    )
