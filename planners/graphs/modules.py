"""Modules of a network as small networks of their own: what one costs depends on where it begins and ends alone."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from layerlift.models.graph.graph import Layer, LayerGraph, Tensor
from layerlift.models.graph.per_graph import per_graph
from layerlift.planners.cost.units import Unit, units_of


@per_graph
def modules_of(graph: LayerGraph) -> Mapping[int, LayerGraph]:
    """By unit, the modules which one tensor enters and one leaves, in front of another unit.

    A layer before makes what enters and a layer after reads what leaves; they stand for the units around, read and
    make nothing else, and are the first and the last. Parameters are left out.
    """
    units = units_of(graph)
    made: dict[int, LayerGraph] = {}
    for number, (unit, after) in enumerate(pairwise(units)):
        if len(unit.layers) > 2 and len(unit.entering) == len(after.entering) == 1:
            made[number] = _alone(graph, unit, after.entering[0])
    return made


def _alone(graph: LayerGraph, unit: Unit, leaving: int) -> LayerGraph:
    """One unit between a layer that begins and one that ends."""
    end, own = len(unit.layers) + 1, graph.layers[unit.first : unit.last + 1]
    known = dict.fromkeys([unit.entering[0], *(tensor for layer in own for tensor in (*layer.inputs, *layer.outputs))])
    number = {tensor: at for at, tensor in enumerate(known, 1)}
    tensors = [Tensor("begin", 0, -1, (0,))]
    for tensor in known:
        made = graph.tensors[tensor]
        readers = [reader - unit.first + 1 for reader in made.consumers if unit.first <= reader <= unit.last]
        readers += [end] if tensor == leaving else []
        maker = 0 if tensor == unit.entering[0] else made.producer - unit.first + 1
        tensors.append(Tensor(made.name, made.bytes, maker, tuple(readers)))
    tensors.append(Tensor("end", 0, end, (), is_output=True))
    layers = [Layer(0, "before", "Identity", (0,), (1,), ())]
    for at, layer in enumerate(own, 1):
        inputs, outputs = (tuple(number[tensor] for tensor in each) for each in (layer.inputs, layer.outputs))
        layers.append(Layer(at, layer.name, layer.op_type, inputs, outputs, ()))
    layers.append(Layer(end, "after", "Identity", (number[leaving],), (len(tensors) - 1,), ()))
    return LayerGraph(f"a module of {graph.name}", tuple(layers), tuple(tensors), (), (0,), (len(tensors) - 1,))
