"""The tail of a model: where it can end earlier than its file says, and which tensors it can end at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import onnx

from layerlift.models.errors import ModelError, near
from layerlift.models.onnx_files import ordering

_LISTS: Final = ("Sequence", "SplitToSequence", "Optional")
"""How the operators are called that make what no network answers, lists of tensors; all but `SequenceAt`."""
_NAMED: Final = 3
"""Tensors that a remedy names, at most: a sentence has to hold it."""
_LONGEST: Final = 64
"""Characters of a tensor's name that a remedy can name whole."""


def ending_at(model: onnx.ModelProto, outputs: Sequence[str], origin: str) -> onnx.ModelProto:
    """`model` with the tensors `outputs` as its answers, without the operators and weights that none of them needs.

    Without `outputs` it is `model` itself. Raises `ModelError` for a name that no operator makes.
    """
    if not outputs:
        return model
    maker = {name: node for node in model.graph.node for name in node.output if name}
    for name in outputs:
        if name not in maker:
            raise ModelError(f"{origin}: no operator makes the tensor {name!r} that it is to end at{near(name, maker)}")
    needed = ordering.needed(model.graph.node, outputs)
    ended = onnx.ModelProto()
    ended.CopyFrom(model)
    del ended.graph.node[:]
    ended.graph.node.extend(needed)
    # What an operator that is gone has read may be what the model is refused for: strings, or too large.
    read = {name for node in needed for name in ordering.reads(node)}
    kept = [tensor for tensor in ended.graph.initializer if tensor.name in read]
    del ended.graph.initializer[:]
    ended.graph.initializer.extend(kept)
    dense = [tensor for tensor in ended.graph.sparse_initializer if tensor.values.name in read]
    del ended.graph.sparse_initializer[:]
    ended.graph.sparse_initializer.extend(dense)
    del ended.graph.output[:]
    ended.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(outputs))
    return ended


def remedy(
    model: onnx.ModelProto,
    stands_in_the_way: Callable[[onnx.NodeProto], bool],
    can_end_at: Callable[[str], bool] = lambda name: True,
) -> str:
    """How `model` may be used in spite of the operators that stand in the way; or that there is no such way.

    `can_end_at` says of a tensor whether a network can answer it, where more is known than the model's text.
    """
    ends = [name for name in _ends(model, stands_in_the_way) if can_end_at(name)]
    if not ends:
        return "no layer comes before it, so nothing can be cut off to help"
    short = [name for name in ends if len(name) <= _LONGEST]
    options = " ".join(f"--output {name}" for name in short[:_NAMED]) or "--output and a tensor that it reads"
    return f"end the network before it with {options} (models.NAME.output in a scenario)"


def _ends(model: onnx.ModelProto, stands_in_the_way: Callable[[onnx.NodeProto], bool]) -> list[str]:
    """Tensors that can be computed without the operators in the way, from the inputs, and that lead furthest."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    # Of each tensor that can be had: whether it depends on an input.
    had = {value.name: value.name not in stored for value in graph.input} | dict.fromkeys(stored, False)
    lost: list[onnx.NodeProto] = []
    made: set[str] = set()
    lists: dict[str, list[str]] = {}
    for node in graph.node:
        if stands_in_the_way(node) or not all(name in had for name in node.input if name):
            lost.append(node)
            continue
        # A shape is a constant, whatever it is the shape of.
        from_input = node.op_type not in ("Shape", "Size") and any(had.get(name) for name in ordering.reads(node))
        had.update(dict.fromkeys((name for name in node.output if name), from_input))
        if node.op_type.startswith(_LISTS) and node.op_type != "SequenceAt":
            lists.update((name, list(node.input)) for name in node.output)
        elif from_input:
            made.update(name for name in node.output if name)
    wanted = [*(value.name for value in graph.output), *(name for node in lost for name in ordering.reads(node))]
    waiting = wanted[::-1]
    found: dict[str, None] = {}
    while waiting:
        name = waiting.pop()
        # Each list once: several may be made of one.
        waiting.extend(reversed(lists.pop(name, [])))
        if name in made:
            found[name] = None
    return list(found)
