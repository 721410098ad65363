"""Text in a model: tensors of strings, which one layer cannot hand to another."""

from __future__ import annotations

import onnx

from layerlift.models.errors import ModelError
from layerlift.models.onnx_files import tails


def refuse(model: onnx.ModelProto, origin: str) -> None:
    """Raise `ModelError` when an operator reads strings that the file stores or is fed."""
    text = _given(model)

    def is_text(node: onnx.NodeProto) -> bool:
        return _writes(node) or not text.isdisjoint((*node.input, *node.output))

    for node in model.graph.node if text else ():
        for name in (*node.input, *node.output):
            if name in text:
                raise ModelError(said(name, origin, tails.remedy(model, is_text)))


def said(name: str, origin: str, remedy: str) -> str:
    """The sentence that refuses the strings in the tensor `name`."""
    return f"{origin}: tensor {name!r} holds strings; only tensors of numbers can be cut; {remedy}"


def _given(model: onnx.ModelProto) -> set[str]:
    """The tensors of strings among what is stored and what is fed."""
    stored = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.STRING}
    fed = {value.name for value in model.graph.input if value.type.tensor_type.elem_type == onnx.TensorProto.STRING}
    return stored | fed | {name for node in model.graph.node if _is_constant(node) for name in node.output}


def _is_constant(node: onnx.NodeProto) -> bool:
    """Whether `node` is a constant of strings."""
    return node.op_type == "Constant" and any(
        attribute.name in ("value_string", "value_strings") or attribute.t.data_type == onnx.TensorProto.STRING
        for attribute in node.attribute
    )


def _writes(node: onnx.NodeProto) -> bool:
    """Whether `node` makes strings of numbers."""
    to_text = any(attribute.name == "to" and attribute.i == onnx.TensorProto.STRING for attribute in node.attribute)
    return (node.op_type == "Cast" and to_text) or any(each.name == "values_strings" for each in node.attribute)
