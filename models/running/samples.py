"""Inputs that are made up: of the range that their type and their reader ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import helper

Types = Mapping[str, tuple[int, tuple[int, ...]]]

_HANDED_ON = frozenset(
    {"Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Slice"}
)
"""Their first input's values come out, and no others."""
_PIXELS = {"NominalRange_0_1": (0.0, 1.0), "Normalized_0_1": (0.0, 1.0), "Normalized_1_1": (-1.0, 1.0)}
PIXEL_RANGE = "Image.NominalPixelRange"
"""Where a model says which values its images have."""


def below(light: onnx.ModelProto, types: Types) -> dict[str, int]:
    """Per input that something is looked up by, the number of entries of the smallest table: its values stay below."""
    found: dict[str, int] = {}
    # Readers before what they read: what a tensor is used for is known when its maker is looked at.
    for node in reversed(light.graph.node):
        if node.op_type in _HANDED_ON and node.output[0] in found:
            _limit(found, node.input[0], found[node.output[0]])
        for slot, entries in _looked_up(node, types).items():
            if slot < len(node.input) and node.input[slot]:
                _limit(found, node.input[slot], entries)
    return found


def declare_pixels(inputs: Iterable[onnx.ValueInfoProto], model: onnx.ModelProto) -> None:
    """Say at each of `inputs` that is an image which values `model` says that images have."""
    told = [entry.value for entry in model.metadata_props if entry.key == PIXEL_RANGE]
    for value in inputs:
        if told and value.type.denotation == "IMAGE":
            value.metadata_props.add(key=PIXEL_RANGE, value=told[-1])


def pixels(value: onnx.ValueInfoProto) -> tuple[float, float] | None:
    """The range of an input that its model declares to be an image; None for any other."""
    told = {entry.key: entry.value for entry in value.metadata_props}
    return _PIXELS.get(told.get(PIXEL_RANGE, "")) if value.type.denotation == "IMAGE" else None


def made(
    name: str,
    dtype: int,
    shape: tuple[int, ...],
    seed: list[int],
    entries: int | None,
    span: tuple[float, float] | None,
) -> np.ndarray:
    """Values for an input, the same for the same `seed`.

    What looks something up is below its `entries`; masks and other integers are zeros and ones (a mask begins with a
    one, so that something is left), integers of a byte anything; an image is within its `span`, other floats normal.
    """
    rng, kind = np.random.default_rng(seed), helper.tensor_dtype_to_np_dtype(dtype)
    if entries is not None:
        return rng.integers(0, max(1, entries), shape).astype(kind)
    if "mask" in name.lower():
        mask = rng.integers(0, 2, shape)
        if mask.ndim and mask.shape[-1]:
            mask[..., 0] = 1
        return mask.astype(kind)
    if kind in (np.uint8, np.int8):
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max + 1, shape).astype(kind)
    if np.issubdtype(kind, np.integer) or kind == np.bool_:
        return rng.integers(0, 2, shape).astype(kind)
    if span is not None:
        return rng.uniform(*span, shape).astype(kind)
    return rng.standard_normal(shape, np.float32).astype(kind)


def _looked_up(node: onnx.NodeProto, types: Types) -> dict[int, int]:
    """Per input slot of `node` that holds positions in a table, how many entries that table has."""
    if node.op_type == "EmbedLayerNormalization":
        tables = {0: 2, 1: 4, 8: 3}  # words, segments and positions
        return {slot: _entries(node, at, 0, types) for slot, at in tables.items() if at < len(node.input)}
    if node.op_type in ("Gather", "GatherElements"):
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        return {1: _entries(node, 0, axis, types)}
    if node.op_type == "GatherND":
        return {1: min(types[node.input[0]][1], default=1)}
    return {}


def _entries(node: onnx.NodeProto, slot: int, axis: int, types: Types) -> int:
    shape = types[node.input[slot]][1] if node.input[slot] in types else ()
    return shape[axis] if -len(shape) <= axis < len(shape) else 1


def _limit(found: dict[str, int], name: str, entries: int) -> None:
    found[name] = min(entries, found.get(name, entries))
