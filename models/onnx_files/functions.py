"""Functions that a model defines for itself, written out where they are called."""

from __future__ import annotations

import onnx
from onnx import inliner

from layerlift.models.errors import ModelError
from layerlift.models.onnx_files.protos import one_line


def inlined(model: onnx.ModelProto, origin: str) -> onnx.ModelProto:
    """`model` without functions of its own: itself where it has none.

    Raises `ModelError` when one cannot be written out, as when it calls itself.
    """
    if not model.functions:
        return model
    # Without the weights, which would be copied to and fro.
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.initializer[:]
    # What the graph stores has to be known there, or its names might be given again.
    declared = {value.name for value in bare.graph.input}
    bare.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        for tensor in model.graph.initializer
        if tensor.name not in declared
    )
    try:
        flat = inliner.inline_local_functions(bare)
    except MemoryError:
        raise
    except Exception as error:
        raise ModelError(
            f"{origin}: its function {model.functions[0].name!r} cannot be written out where it is called "
            f"({one_line(error)}); no option helps, export the model again"
        ) from None
    return _joined(model, flat)


def _joined(model: onnx.ModelProto, flat: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with the operators of `flat`, and its own weights."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    del whole.functions[:]
    del whole.graph.node[:]
    whole.graph.node.extend(flat.graph.node)
    del whole.opset_import[:]
    whole.opset_import.extend(flat.opset_import)
    return whole
