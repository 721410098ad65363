"""A network as a chain of units, between two of which a single tensor passes.

A module with branches (inception, a residual block) is one unit: IONN's collapse by dominators (SoCC'18, section 5.3),
taken in the graph's fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass

from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.per_graph import per_graph


@dataclass(frozen=True, slots=True)
class Unit:
    """Layers `first` to `last` inclusive, and the tensors that enter: one, except for a network of many inputs."""

    first: int
    last: int
    entering: tuple[int, ...]

    @property
    def layers(self) -> range:
        """Its layers."""
        return range(self.first, self.last + 1)


@per_graph
def units_of(graph: LayerGraph) -> tuple[Unit, ...]:
    """Cut `graph` after every layer where exactly one tensor crosses to later layers."""
    crossing: set[int] = {tensor for tensor in graph.inputs if graph.tensors[tensor].consumers}
    entering = tuple(sorted(crossing))
    units: list[Unit] = []
    first = 0
    for layer in graph.layers:
        crossing.update(tensor for tensor in layer.outputs if graph.tensors[tensor].consumers)
        crossing = {tensor for tensor in crossing if graph.tensors[tensor].consumers[-1] > layer.index}
        if len(crossing) == 1 or layer.index == len(graph) - 1:
            units.append(Unit(first, layer.index, entering))
            first, entering = layer.index + 1, tuple(crossing)
    return tuple(units)
