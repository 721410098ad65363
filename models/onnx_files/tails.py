"""The tail of a model: where it can end earlier than its file says, and which tensors it can end at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import onnx

from layerlift.models.errors import ModelError, near

_NAMED: Final = 3
"""Tensors that a remedy names, at most: a sentence has to hold it."""
_LONGEST: Final = 40
"""Characters of a tensor's name that a remedy can name whole."""


def ending_at(model: onnx.ModelProto, outputs: Sequence[str], origin: str) -> onnx.ModelProto:
    """`model` with the tensors `outputs` as its answers, without the operators that none of them needs.

    Without `outputs` it is `model` itself. Raises `ModelError` for a name that no operator makes.
    """
    if not outputs:
        return model
    maker = {name: node for node in model.graph.node for name in node.output if name}
    for name in outputs:
        if name not in maker:
            raise ModelError(f"{origin}: no operator makes the tensor {name!r} that it is to end at{near(name, maker)}")
    needed = _needed(outputs, maker)
    ended = onnx.ModelProto()
    ended.CopyFrom(model)
    del ended.graph.node[:]
    ended.graph.node.extend(node for node in model.graph.node if id(node) in needed)
    del ended.graph.output[:]
    ended.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(outputs))
    return ended


def remedy(model: onnx.ModelProto, stands_in_the_way: Callable[[onnx.NodeProto], bool]) -> str:
    """How `model` may be used in spite of the operators that stand in the way; or that there is no such way."""
    ends = _ends(model, stands_in_the_way)
    if not ends:
        return "no layer comes before it, so nothing can be cut off to help"
    options = " ".join(f"--output {name}" for name in ends)
    return f"end the network before it with {options} (models.NAME.output in a scenario)"


def _ends(model: onnx.ModelProto, stands_in_the_way: Callable[[onnx.NodeProto], bool]) -> list[str]:
    """Tensors that can be computed without the operators in the way, from the inputs, and that lead furthest."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    # Of each tensor that can be had: whether it depends on an input.
    had = {value.name: value.name not in stored for value in graph.input} | dict.fromkeys(stored, False)
    lost: list[onnx.NodeProto] = []
    made: set[str] = set()
    for node in graph.node:
        read = [name for name in node.input if name]
        if stands_in_the_way(node) or not all(name in had for name in read):
            lost.append(node)
            continue
        # A shape is a constant, whatever it is the shape of.
        from_input = node.op_type not in ("Shape", "Size") and any(had[name] for name in read)
        had.update(dict.fromkeys((name for name in node.output if name), from_input))
        made.update(name for name in node.output if name and from_input)
    wanted = [value.name for value in graph.output if value.name in made]
    wanted += [name for node in lost for name in node.input if name in made]
    found = [name for name in dict.fromkeys(wanted) if len(name) <= _LONGEST]
    return found[:_NAMED]


def _needed(outputs: Iterable[str], maker: dict[str, onnx.NodeProto]) -> set[int]:
    """The operators, by identity, that the tensors `outputs` are computed by: nodes need not be in order yet."""
    waiting, needed = list(outputs), set[int]()
    while waiting:
        node = maker.get(waiting.pop())
        if node is not None and id(node) not in needed:
            needed.add(id(node))
            waiting.extend(name for name in node.input if name)
            waiting.extend(_read_inside(node))
    return needed


def _read_inside(node: onnx.NodeProto) -> list[str]:
    """What the subgraphs of `node` read; names of their own among it, which nobody outside makes."""
    waiting, read = [node], list[str]()
    while waiting:
        for attribute in waiting.pop().attribute:
            for graph in (attribute.g, *attribute.graphs):
                waiting.extend(graph.node)
                read.extend(name for inner in graph.node for name in inner.input)
                read.extend(value.name for value in graph.output)
    return read
