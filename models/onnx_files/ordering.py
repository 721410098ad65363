"""The order of a model's operators: what each reads, which are needed, and makers before readers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx

from layerlift.models.errors import ModelError


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that `node` holds itself: the branches of an If, the body of a Loop."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names of the tensors that `node` needs, its subgraphs included; their own names may be among them."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield from filter(None, current.input)
        for graph in subgraphs(current):
            waiting.extend(graph.node)
            yield from (value.name for value in graph.output)


def domains(graph: onnx.GraphProto) -> set[str]:
    """The domains of all operators of `graph`, those in subgraphs included."""
    waiting, found = list(graph.node), set[str]()
    while waiting:
        node = waiting.pop()
        found.add(node.domain)
        waiting.extend(inner for inside in subgraphs(node) for inner in inside.node)
    return found


def makers(nodes: Iterable[onnx.NodeProto]) -> dict[str, onnx.NodeProto]:
    """Which node makes each tensor."""
    return {name: node for node in nodes for name in node.output if name}


def needed(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """Those of `nodes` that `outputs` are computed by, in the order given."""
    made = makers(nodes)
    waiting, kept = list(outputs), set[int]()
    while waiting:
        node = made.get(waiting.pop())
        # By identity: messages cannot be hashed, and two nodes may be equal.
        if node is not None and id(node) not in kept:
            kept.add(id(node))
            waiting.extend(reads(node))
    return [node for node in nodes if id(node) in kept]


def sorted_nodes(nodes: Sequence[onnx.NodeProto], origin: str) -> list[onnx.NodeProto]:
    """The nodes with makers before readers; those that are so already stay where they are.

    Raises `ModelError` when they wait for one another in a circle.
    """
    made = makers(nodes)
    done: set[int] = set()
    order: list[onnx.NodeProto] = []
    for node in nodes:
        _place(node, made, done, order, origin)
    return order


def _place(
    first: onnx.NodeProto, made: Mapping[str, onnx.NodeProto], done: set[int], order: list[onnx.NodeProto], origin: str
) -> None:
    """Append `first` to `order`, after what it waits for; without recursion, for a chain may be long."""
    stack, open_ = [first], set[int]()
    while stack:
        node = stack[-1]
        if id(node) in done:
            stack.pop()
            continue
        waits = [made[name] for name in dict.fromkeys(reads(node)) if name in made and id(made[name]) not in done]
        if not waits:
            done.add(id(node))
            order.append(node)
        elif id(node) in open_:
            raise ModelError(
                f"{origin}: {node.op_type} ({node.name or node.output[0]!r}) waits for its own answer; no option "
                "helps, export the model again"
            )
        else:
            open_.add(id(node))
            # The first in the file comes first.
            stack.extend(reversed(waits))
