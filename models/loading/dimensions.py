"""Dynamic dimensions of a network's inputs, and inputs that are given once and for all, by whoever loads it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import onnx
from onnx import helper

from layerlift.models.errors import ModelError, Undecided, near
from layerlift.models.loading.constants import SMALL_BYTES
from layerlift.models.onnx_files import ordering, untrusted

Fixed = bool | int | float | Sequence[bool | int | float]
"""What an input is fixed at: one number for all its elements, or each of them in order."""

_NAMELESS: Final = frozenset({"", "?", "-1", "None", "none"})
"""What exporters write for a dimension without a name: two of them need not be equal."""
_SENSIBLE: Final = (
    (r"batch", 1),
    (r"past|cache", 16),
    (r"height|width|^h$|^w$|image|size", 224),
    (r"seq|token|length|time|len", 64),
    (r"sample|audio|wave", 16000),
    (r"channel|^c$", 3),
)


def settled(
    model: onnx.ModelProto, dims: Mapping[str, int], fix: Mapping[str, Fixed], origin: str
) -> tuple[list[onnx.ValueInfoProto], dict[str, np.ndarray]]:
    """The inputs of `model` that somebody feeds, with a whole number on every axis; and what the others are fixed at.

    An input that no output needs is left out, whatever its shape is. Raises `ModelError` as `fixed` does, and for a
    name or a value in `fix` that does not fit.
    """
    # Before IR version 4 every initializer was listed as a graph input too: those are not inputs that somebody feeds.
    stored = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in stored]
    outputs = [value.name for value in model.graph.output]
    read = {name for node in ordering.needed(model.graph.node, outputs) for name in ordering.reads(node)} | set(outputs)
    for name in fix:
        if name not in {value.name for value in fed}:
            raise ModelError(f"{origin} has no input {name!r} to fix{near(name, [value.name for value in fed])}")
    used = [value for value in fed if value.name in read]
    known = {key for value in fed for key in _keys_of(value)}
    given = [_of_length(value, fix[value.name]) if value.name in fix else value for value in used]
    declared = fixed(given, dims, origin, known)
    arrays = {value.name: _array(value, fix[value.name], origin) for value in declared if value.name in fix}
    return [value for value in declared if value.name not in fix], arrays


def fixed(
    inputs: Sequence[onnx.ValueInfoProto], dims: Mapping[str, int], origin: str, known: set[str]
) -> list[onnx.ValueInfoProto]:
    """The `inputs` with a whole number on every axis.

    `dims` fixes dynamic dimensions, by symbolic name or as `"input:axis"`. Raises `Undecided` for dimensions that stay
    dynamic, and `ModelError` for an input that is no tensor or has no rank, a negative extent, and a name in `dims`
    that is not among the `known`.
    """
    declared: list[onnx.ValueInfoProto] = []
    missing: dict[str, tuple[str, int]] = {}
    for value in inputs:
        if not value.type.HasField("tensor_type"):
            raise ModelError(f"{origin}: input {value.name!r} is not a tensor; only tensors can be moved")
        if not value.type.tensor_type.HasField("shape"):
            raise ModelError(f"{origin}: input {value.name!r} has no shape; declare its rank in the model")
        shape: list[int] = []
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            # An exporter writes 0 for what it does not know. It may be meant (a cache that holds nothing yet), which
            # only whoever loads it can say.
            if dim.HasField("dim_value") and dim.dim_value > 0:
                shape.append(dim.dim_value)
                continue
            keys = _keys(value.name, axis, dim)
            given = next((dims[key] for key in reversed(keys) if key in dims), None)
            if given is None:
                where = f"axis {axis} of input {value.name!r}"
                size = _sensible(value, axis)
                missing.setdefault(keys[0], (keys[0] if len(keys) == 1 else f"{keys[0]} ({where})", size))
            # A stand-in, so that the loop goes on and one error names all that is missing.
            shape.append(given if given is not None else 1)
        if any(extent < 0 for extent in shape):
            raise ModelError(f"{origin}: dims makes input {value.name!r} {shape}; extents start at 0")
        declared.append(helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, shape))
        if value.type.denotation:
            declared[-1].type.denotation = value.type.denotation
    for key in dims:
        if key not in known:
            raise ModelError(f"{origin} has no dynamic dimension {key!r}{near(key, known)}")
    if missing:
        names = ", ".join(said for said, _ in missing.values())
        example = {key: size for key, (_, size) in missing.items()}
        raise Undecided(f"{origin} has dynamic dimensions: {names}", "dims", example)
    return declared


def _keys(name: str, axis: int, dim: onnx.TensorShapeProto.Dimension) -> list[str]:
    """What a dynamic dimension can be called in `dims`: its own name, where it has one, then its place."""
    return [key for key in (dim.dim_param, f"{name}:{axis}") if key not in _NAMELESS]


def _keys_of(value: onnx.ValueInfoProto) -> list[str]:
    dims = value.type.tensor_type.shape.dim
    return [key for axis, dim in enumerate(dims) if dim.dim_value <= 0 for key in _keys(value.name, axis, dim)]


def _sensible(value: onnx.ValueInfoProto, axis: int) -> int:
    """A size that the dimension may well have: by its name, else by its place in a picture, a sequence or a batch."""
    dims = value.type.tensor_type.shape.dim
    name = dims[axis].dim_param
    for pattern, size in _SENSIBLE if name not in _NAMELESS else ():
        if re.search(pattern, name, re.IGNORECASE):
            return size
    if axis == 0:
        return 1
    pictures = len(dims) == 4 and value.type.tensor_type.elem_type not in (
        onnx.TensorProto.INT64,
        onnx.TensorProto.BOOL,
    )
    if pictures and axis == 1:
        return 3
    return 224 if pictures and axis != (3 if dims[3].dim_value in (1, 3) else 1) else 64


def _of_length(value: onnx.ValueInfoProto, given: Fixed) -> onnx.ValueInfoProto:
    """`value` with its one dynamic axis as long as what it is fixed at, where that is a list."""
    dims = value.type.tensor_type.shape.dim
    if isinstance(given, bool | int | float) or len(dims) != 1 or dims[0].dim_value > 0:
        return value
    return helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, [len(given)])


def _array(value: onnx.ValueInfoProto, given: Fixed, origin: str) -> np.ndarray:
    """What the input `value`, whose shape is known, is fixed at."""
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value for dim in kind.shape.dim)
    untrusted.bits_of(kind.elem_type, value.name, origin)
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    count = int(np.prod(shape, dtype=object))
    if 8 * count > SMALL_BYTES:
        raise ModelError(
            f"{origin}: input {value.name!r} of shape {list(shape)} is too large to fix; fix small ones only"
        )
    items = list(given) if isinstance(given, Sequence) else [given] * count
    whole = dtype.kind in "iub"
    if len(items) != count or (whole and any(not float(item).is_integer() for item in items)):
        raise ModelError(
            f"{origin}: input {value.name!r} of type {dtype.name} and shape {list(shape)} was fixed at {given!r}; "
            f"expected one {'whole number' if whole else 'number'}{f', or {count} of them' if count != 1 else ''}"
        )
    try:
        # An array of Python's integers refuses what does not fit.
        return np.asarray([int(item) if whole else float(item) for item in items], dtype).reshape(shape)
    except (OverflowError, ValueError):
        raise ModelError(
            f"{origin}: input {value.name!r} of type {dtype.name} cannot be {given!r}; give a number that fits"
        ) from None
