"""Dynamic dimensions of a network's inputs, fixed by whoever loads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import helper

from layerlift.models.errors import ModelError, near


def fixed(inputs: Sequence[onnx.ValueInfoProto], dims: Mapping[str, int], origin: str) -> list[onnx.ValueInfoProto]:
    """The `inputs` with a whole number on every axis.

    `dims` fixes dynamic dimensions, by symbolic name or as `"input:axis"`. Raises `ModelError` for an input that is no
    tensor or has no rank, a dimension that stays dynamic, a negative extent, and a name in `dims` that nothing has.
    """
    declared: list[onnx.ValueInfoProto] = []
    missing: dict[str, str] = {}
    known: set[str] = set()
    for value in inputs:
        if not value.type.HasField("tensor_type"):
            raise ModelError(f"{origin}: input {value.name!r} is not a tensor; only tensors can be moved")
        if not value.type.tensor_type.HasField("shape"):
            raise ModelError(f"{origin}: input {value.name!r} has no shape; declare its rank in the model")
        shape: list[int] = []
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            keys = [key for key in (dim.dim_param, f"{value.name}:{axis}") if key]
            given = next((dims[key] for key in keys if key in dims), None)
            # An exporter writes 0 for what it does not know. It may be meant (a cache that holds nothing yet), which
            # only whoever loads it can say.
            if dim.HasField("dim_value") and dim.dim_value > 0:
                shape.append(dim.dim_value)
                continue
            known.update(keys)
            if given is None:
                missing.setdefault(keys[0], f"{keys[0]} (axis {axis} of input {value.name!r})")
            # A stand-in, so that the loop goes on and one error names all that is missing.
            shape.append(given if given is not None else 1)
        if any(extent < 0 for extent in shape):
            raise ModelError(f"{origin}: dims makes input {value.name!r} {shape}; extents start at 0")
        declared.append(helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, shape))
        if value.type.denotation:
            declared[-1].type.denotation = value.type.denotation
    if missing:
        example = ", ".join(f"'{key}': 1" for key in missing)
        options = " ".join(f"--dim {key}=1" for key in missing)
        raise ModelError(
            f"{origin} has dynamic dimensions: {', '.join(missing.values())}; "
            f"fix them, e.g. dims={{{example}}} ({options})"
        )
    for key in dims:
        if key not in known:
            raise ModelError(f"{origin} has no dynamic dimension {key!r}{near(key, known)}")
    return declared
