"""Sequences of tensors: lists of names while a file is read, and never anything that a layer hands on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final, NoReturn

import numpy as np
import onnx
from onnx import helper

from layerlift.models.errors import ModelError
from layerlift.models.loading.control import on_axis
from layerlift.models.loading.walking import Expand, Step, Walk


def _construct(walk: Walk, node: onnx.NodeProto) -> Iterable[Step]:
    walk.sequences[node.output[0]] = tuple(node.input)
    return ()


def _insert(walk: Walk, node: onnx.NodeProto) -> Iterable[Step]:
    held = _held(walk, node)
    at = _position(walk, node, 2, len(held) + 1) if len(node.input) > 2 else len(held)
    walk.sequences[node.output[0]] = (*held[:at], node.input[1], *held[at:])
    return ()


def _erase(walk: Walk, node: onnx.NodeProto) -> Iterable[Step]:
    held = _held(walk, node)
    at = _position(walk, node, 1, len(held)) if len(node.input) > 1 else len(held) - 1
    walk.sequences[node.output[0]] = held[:at] + held[at + 1 :]
    return ()


def _at(walk: Walk, node: onnx.NodeProto) -> Iterable[Step]:
    held = _held(walk, node)
    walk.names.call(node.output[0], held[_position(walk, node, 1, len(held))])
    return ()


def _length(walk: Walk, node: onnx.NodeProto) -> Iterable[Step]:
    walk.constants.hold(node.output[0], np.asarray(len(_held(walk, node)), np.int64))
    return ()


def _concat(walk: Walk, node: onnx.NodeProto) -> Iterable[Step]:
    held, axis = _held(walk, node), _attribute(node, "axis", 0)
    if not held:
        _refuse(walk, node)
    if not _attribute(node, "new_axis", 0):
        return [helper.make_node("Concat", held, node.output, axis=axis)]
    lifted = [walk.names.fresh(f"{node.output[0]}_row") for _ in held]
    steps: list[Step] = [on_axis(walk, "Unsqueeze", name, up, axis) for name, up in zip(held, lifted, strict=True)]
    return [*steps, helper.make_node("Concat", lifted, node.output, axis=axis)]


def _split(walk: Walk, node: onnx.NodeProto) -> Iterable[Step]:
    """One Split for all, whose outputs are the sequence."""
    shape, axis = walk.types.get(node.input[0], (0, None))[1], _attribute(node, "axis", 0)
    if shape is None or not -len(shape) <= axis < len(shape):
        _refuse(walk, node)
    given = len(node.input) > 1 and bool(node.input[1])
    parts = _parts(walk, node, shape[axis]) if given else [1] * shape[axis]
    names = [walk.names.fresh(f"{node.output[0]}_{at}") for at in range(len(parts))]
    walk.sequences[node.output[0]] = tuple(names)
    if not parts:
        return ()
    if given or _attribute(node, "keepdims", 1):
        return [_split_node(walk, node.input[0], names, parts, axis)]
    wide = [walk.names.fresh(f"{name}_wide") for name in names]
    narrow: list[Step] = [on_axis(walk, "Squeeze", one, name, axis) for one, name in zip(wide, names, strict=True)]
    return [_split_node(walk, node.input[0], wide, parts, axis), *narrow]


def _parts(walk: Walk, node: onnx.NodeProto, extent: int) -> list[int]:
    sizes = walk.constants.value(node.input[1])
    if sizes is None or sizes.dtype.kind not in "iu" or sizes.ndim > 1 or (sizes.size and sizes.min() < 1):
        _refuse(walk, node)
    if sizes.ndim:
        return [int(size) for size in sizes]
    edges = [*range(0, extent, int(sizes)), extent]
    return [after - before for before, after in pairwise(edges)]


def _split_node(walk: Walk, name: str, made: list[str], parts: list[int], axis: int) -> onnx.NodeProto:
    if walk.version < 13:
        return helper.make_node("Split", [name], made, axis=axis, split=parts)
    sizes = walk.names.fresh(f"{made[0]}_sizes")
    walk.constants.hold(sizes, np.asarray(parts, np.int64))
    return helper.make_node("Split", [name, sizes], made, axis=axis)


def _held(walk: Walk, node: onnx.NodeProto) -> tuple[str, ...]:
    held = walk.sequences.get(node.input[0])
    if held is None:
        _refuse(walk, node)
    return held


def _position(walk: Walk, node: onnx.NodeProto, at: int, count: int) -> int:
    found = walk.integer(node.input[at])
    if found is None or not -count <= found < count:
        _refuse(walk, node)
    return found % count


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), default)


def _refuse(walk: Walk, node: onnx.NodeProto) -> NoReturn:
    raise ModelError(
        f"{walk.origin} has the sequence operator {node.op_type} ({node.name or node.output[0]!r}), whose tensors are "
        f"not known before it runs; {walk.remedy()}"
    )


EXPANDED: Final[Mapping[str, Expand]] = {
    "SequenceConstruct": _construct,
    "SequenceEmpty": _construct,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
    "SequenceAt": _at,
    "SequenceLength": _length,
    "ConcatFromSequence": _concat,
    "SplitToSequence": _split,
}
"""What stands for each operator that reads or makes a sequence."""
