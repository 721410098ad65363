"""A network in units between which all its computation passes through one tensor: each can be solved alone.

At a clean cut the last layer makes the only tensor that later layers read, and depends on all layers before it. So
when its segment ends nothing else is under way: no node is busy, no link is queued. What comes after depends only on
the node and the time of that end, and every later time moves with it. Costs that are linear (`Linear`) then add up
over units, and the best placement is a shortest path over (cut, node) whose edges are the units' own optima.
(Zhang et al., QDMP, IMWUT 2020, cut at such vertices for two nodes; here for any number, and for segments.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from layerlift.models.graph.graph import Layer, LayerGraph, Tensor
from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.judge import Rank
from layerlift.planners.exact.linear import Linear
from layerlift.planners.problem.problem import Bools, Objective


@dataclass(frozen=True, slots=True)
class CleanUnit:
    """Layers `first` to `last` inclusive; `entering` and `leaving` are tensors, None at the network's ends."""

    first: int
    last: int
    entering: int | None
    leaving: int | None

    def __len__(self) -> int:
        return self.last - self.first + 1


def clean_units(graph: LayerGraph) -> tuple[CleanUnit, ...]:
    """Cut `graph` at all its clean cuts (see the module)."""
    units: list[CleanUnit] = []
    first, entering = 0, None
    crossing = {t for t in graph.inputs if graph.tensors[t].consumers or graph.tensors[t].is_output}
    behind = [0] * len(graph)
    for layer in graph.layers:
        made = {t for t in layer.outputs if graph.tensors[t].consumers or graph.tensors[t].is_output}
        crossing = {
            t for t in crossing | made if graph.tensors[t].is_output or graph.tensors[t].consumers[-1] > layer.index
        }
        ancestors = 0
        for tensor in layer.inputs:
            producer = graph.tensors[tensor].producer
            if producer >= 0:
                ancestors |= behind[producer] | 1 << producer
        behind[layer.index] = ancestors
        alone = len(crossing) == 1 and crossing <= made and ancestors == (1 << layer.index) - 1
        if layer.index == len(graph) - 1:
            units.append(CleanUnit(first, layer.index, entering, None))
        elif alone and not graph.tensors[next(iter(crossing))].is_output:
            leaving = next(iter(crossing))
            units.append(CleanUnit(first, layer.index, entering, leaving))
            first, entering = layer.index + 1, leaving
    return tuple(units)


class UnitProblem:
    """A unit as a problem of its own, between two given nodes.

    A layer without work on node `source` makes what enters, from an input of no bytes, so that the segment it is in
    may go on; what leaves, made on node `to`, is answered as a tensor of no bytes. Both ways take a constant time.
    At the network's ends `source` and `to` mean nothing. `allowed` (shape (layers, N)) is the mask to search within.
    """

    def __init__(self, linear: Linear, unit: CleanUnit, source: int, to: int) -> None:
        whole, nodes = linear.problem, np.arange(len(linear.problem.nodes))
        self.skip = int(unit.entering is not None)
        self.constant = 0.0
        """What its cost holds beside the unit's: the ways from and to a client who is not really there."""
        self.allowed: Bools = linear.allowed[unit.first : unit.last + 1].copy()
        seconds = whole.seconds[unit.first : unit.last + 1]
        ways = linear.hop_cost(0)
        if self.skip:
            self.allowed = np.vstack([nodes == source, self.allowed])
            seconds = np.vstack([np.zeros(len(nodes)), seconds])
            self.constant += float(ways[CLIENT, source])
        if unit.leaving is not None:
            self.allowed[-1] &= nodes == to
            self.constant += float(ways[to, CLIENT])
        self.problem = replace(
            whole,
            graph=_graph_of(whole.graph, unit),
            seconds=seconds,
            allowed=np.ones_like(self.allowed),
            memory_bytes=np.full(len(nodes), np.inf),
            price_per_byte_s=np.zeros(len(nodes)),
            objective=Objective(),
        )
        added = linear.added[unit.first : unit.last + 1]
        self.linear = Linear(
            self.problem,
            replace(linear.terms, period=0.0),
            self.allowed,
            np.vstack([np.zeros(len(nodes)), added]) if self.skip else added,
        )

    def key(self, placement: tuple[int, ...]) -> Rank:
        """Its cost; nothing constrains it."""
        return 0.0, self.linear.value(placement)


def _graph_of(graph: LayerGraph, unit: CleanUnit) -> LayerGraph:
    """The unit's layers with the tensors that they touch, renumbered in the same order."""
    inside = graph.layers[unit.first : unit.last + 1]
    touched = sorted({tensor for layer in inside for tensor in (*layer.inputs, *layer.outputs)})
    enters = unit.entering is not None
    number = {tensor: index + enters for index, tensor in enumerate(touched)}
    shift = int(enters) - unit.first
    tensors = [Tensor("start", 0, -1, (0,))] if enters else []
    for index in touched:
        tensor = graph.tensors[index]
        leaving = index == unit.leaving
        tensors.append(
            replace(
                tensor,
                bytes=0 if leaving else tensor.bytes,
                producer=0 if index == unit.entering else max(tensor.producer + shift, -1),
                consumers=tuple(reader + shift for reader in tensor.consumers if unit.first <= reader <= unit.last),
                is_output=leaving or (tensor.is_output and index != unit.entering),
            )
        )
    layers = [
        replace(
            layer,
            index=layer.index + shift,
            inputs=tuple(number[tensor] for tensor in layer.inputs),
            outputs=tuple(number[tensor] for tensor in layer.outputs),
        )
        for layer in inside
    ]
    if unit.entering is not None:
        layers.insert(0, Layer(0, "before", "Identity", (0,), (number[unit.entering],), ()))
    return LayerGraph(
        f"{graph.name} {unit.first} to {unit.last}",
        tuple(layers),
        tuple(tensors),
        graph.parameters,
        (0,) if enters else tuple(number[tensor] for tensor in graph.inputs if tensor in number),
        tuple(index for index, tensor in enumerate(tensors) if tensor.is_output),
    )
