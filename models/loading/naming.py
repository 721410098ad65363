"""Names inside subgraphs, once their operators stand beside the others: no two alike, and what is read by whom."""

from __future__ import annotations

from collections.abc import Mapping

import onnx


class Names:
    """The names of one model, and which of them are only other names of a tensor."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._taken = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        self._taken.update(name for node in graph.node for name in node.output)
        self._last: dict[str, int] = {}
        self._alias: dict[str, str] = {}

    def fresh(self, name: str) -> str:
        """A name that nothing has yet: `name` itself, or with a number."""
        found = name
        while found in self._taken:
            # From where the last search ended, so that a thousand turns of a loop take a thousand steps.
            self._last[name] = number = self._last.get(name, 0) + 1
            found = f"{name}_{number}"
        self._taken.add(found)
        return found

    def call(self, name: str, of: str) -> None:
        """Let `name` be another name of the tensor `of`."""
        if name and name != of:
            self._alias[name] = self.of(of)

    def of(self, name: str) -> str:
        """The tensor that `name` stands for."""
        return self._alias.get(name, name)

    def resolved(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """`node`, reading tensors by their own names."""
        return renamed(node, self._alias, {}) if self._alias else node


def renamed(node: onnx.NodeProto, reads: Mapping[str, str], makes: Mapping[str, str]) -> onnx.NodeProto:
    """`node` with other names for what it and its subgraphs read, and for what it makes; itself where none changes."""
    inputs = [reads.get(name, name) for name in node.input]
    outputs = [makes.get(name, name) for name in node.output]
    nested = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
    if not nested and inputs == list(node.input) and outputs == list(node.output):
        return node
    # A copy, for the node belongs to the caller's model.
    made = onnx.NodeProto()
    made.CopyFrom(node)
    del made.input[:], made.output[:]
    made.input.extend(inputs)
    made.output.extend(outputs)
    for attribute in made.attribute:
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            _rename_inside(graph, reads)
    return made


def _rename_inside(graph: onnx.GraphProto, reads: Mapping[str, str]) -> None:
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own.update(name for node in graph.node for name in node.output)
    outer = {name: now for name, now in reads.items() if name not in own}
    nodes = [renamed(node, outer, {}) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for value in graph.output:
        value.name = outer.get(value.name, value.name)
