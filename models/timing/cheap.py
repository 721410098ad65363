"""Layers too cheap for events of whole microseconds: equal ones are one group, timed as many copies in one graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from layerlift.models.running.network import Network
from layerlift.models.running.session import Session, watched_model

CHEAP_S: Final = 20e-6
"""A layer whose event is shorter than this is cheap: taking the event costs about as much as the clock can tell."""
FEW: Final = 2
MANY: Final = 34

Array = np.ndarray
Values = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Groups:
    """What cheap layers cost."""

    seconds: Mapping[int, float]
    """By layer."""
    call_s: float
    """What the call of a session costs, whatever is in it."""


def grouped(network: Network, layers: Sequence[int], runs: int) -> Groups:
    """Time the layers `layers`, equal ones once: a graph of many copies takes longer than one of few by the copies.

    A copy's seconds are the difference over the number of copies, of the least thread CPU time of `runs` runs each, so
    that neither an event nor the call counts. The call is what is left of the few copies, in the middle of all groups.
    """
    values = _values(network, layers)
    groups: dict[bytes, list[int]] = {}
    for layer in layers:
        groups.setdefault(_signature(network, layer), []).append(layer)
    spent: dict[int, float] = {}
    calls: list[float] = []
    for members in groups.values():
        few, many = (_least(_copies(network, members[0], count), values, runs) for count in (FEW, MANY))
        each = max(many - few, 0.0) / (MANY - FEW)
        calls.append(max(few - FEW * each, 0.0))
        spent.update(dict.fromkeys(members, each))
    return Groups(spent, sorted(calls)[len(calls) // 2] if calls else 0.0)


def _values(network: Network, layers: Sequence[int]) -> Values:
    """What the layers read, from one run of the network."""
    graph = network.graph
    read = {tensor for layer in layers for tensor in graph.layers[layer].inputs}
    inside = [graph.tensors[tensor].name for tensor in sorted(read) if graph.tensors[tensor].producer >= 0]
    session = Session(watched_model(network.model(), inside, network).SerializeToString())
    inputs = network.sample_inputs(0)
    return {**network.weights(), **inputs, **session.run(inputs)}


def _signature(network: Network, layer: int) -> bytes:
    """Equal for layers that do the same with other values."""
    node = onnx.NodeProto()
    node.CopyFrom(network.light.graph.node[layer])
    kinds = [network.types[name] if name else None for name in (*node.input, *node.output)]
    node.name, node.doc_string = "", repr(kinds)
    del node.input[:], node.output[:]
    return bytes(node.SerializeToString(deterministic=True))


def _copies(network: Network, layer: int, count: int) -> Callable[[Values], Session]:
    original = network.light.graph.node[layer]
    moving = [network.graph.tensors[tensor].name for tensor in network.graph.layers[layer].inputs]

    def session(values: Values) -> Session:
        nodes = []
        for copy in range(count):
            node = onnx.NodeProto()
            node.CopyFrom(original)
            node.name = f"copy{copy}"
            node.output[:] = [f"{name}{copy}" if name else "" for name in original.output]
            nodes.append(node)
        last = [
            helper.make_tensor_value_info(f"{name}{count - 1}", *network.types[name])
            for name in original.output
            if name
        ]
        held = [name for name in dict.fromkeys(original.input) if name and name not in moving]
        inside = {tensor.name: tensor for tensor in network.light.graph.initializer}
        stored = [inside[n] if n in inside else numpy_helper.from_array(np.asarray(values[n]), n) for n in held]
        given = [helper.make_tensor_value_info(name, *network.types[name]) for name in moving]
        graph = helper.make_graph(nodes, "copies", given, last, stored)
        model = helper.make_model(graph, opset_imports=network.light.opset_import, ir_version=network.light.ir_version)
        return Session(model.SerializeToString())

    return session


def _least(build: Callable[[Values], Session], values: Values, runs: int) -> float:
    session = build(values)
    session.run(values)
    return min(session.timed_run(values)[1] for _ in range(runs))
