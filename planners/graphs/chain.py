"""A network as a chain of units, each either on the client or where a target placement wants it.

Between two units a single tensor passes, so that a module with branches (inception, a residual block) is one
unit: IONN's collapse by dominators (SoCC'18, section 5.3), taken in the graph's fixed order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.problem.problem import Bools, Floats


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


class Chain:
    """Costs of the units in their two states, `client` and `planned`, in the unit of `Additive`.

    Arrays have shape (n,). `enter[k]`, `leave[k]` and `hand[k]` price the step from unit k - 1 to unit k when it
    goes from client to planned, from planned to client, and from planned to planned (which is nothing on one
    server, a hand-over between two); the client stands before unit 0. Answers go home within `planned`.
    """

    def __init__(self, additive: Additive, target: Sequence[int]) -> None:
        self.additive = additive
        self.target = tuple(int(node) for node in target)
        graph = additive.problem.graph
        self.units = units_of(graph)
        count = len(self.units)
        self.movable: Bools = np.array([any(self.target[layer] for layer in unit.layers) for unit in self.units])
        self.client: Floats = np.array([float(additive.layers[u.first : u.last + 1, CLIENT].sum()) for u in self.units])
        self.planned: Floats = np.array([self._planned(unit) for unit in self.units])
        self.bytes, self.upload, self.round_trip = self._uploads()
        self.enter, self.leave, self.hand = np.zeros(count), np.zeros(count), np.zeros(count)
        for index, unit in enumerate(self.units):
            self.enter[index] = self._step(unit, lambda tensor: CLIENT, self.target.__getitem__)
            if index:
                self.leave[index] = self._step(unit, self._home, lambda layer: CLIENT)
                self.hand[index] = self._step(unit, self._home, self.target.__getitem__)
        self._rows = (self.movable.tolist(), self.client.tolist())
        self._steps = (self.enter.tolist(), self.leave.tolist(), self.hand.tolist())

    def __len__(self) -> int:
        return len(self.units)

    def placement(self, chosen: Iterable[int]) -> tuple[int, ...]:
        """The target for the layers of the `chosen` units, the client for all others."""
        made = [CLIENT] * len(self.target)
        for index in chosen:
            for layer in self.units[index].layers:
                made[layer] = self.target[layer]
        return tuple(made)

    def layers(self, chosen: Iterable[int]) -> tuple[int, ...]:
        """Layers of the `chosen` units that the target has on servers."""
        return tuple(layer for index in sorted(chosen) for layer in self.units[index].layers if self.target[layer])

    def held(self, index: int) -> int:
        """Bytes of memory that unit `index` needs on its servers."""
        return self.additive.problem.graph.held_bytes(self.layers([index]))

    def shortest_path(self, penalty: float) -> tuple[int, ...]:
        """Units that the cheapest way runs planned, when uploading a unit costs `penalty` times its upload.

        Linear in the units. Of equally cheap ways the one that stays on the client wins.
        """
        at_client, at_planned = 0.0, float("inf")
        came: list[tuple[bool, bool]] = []
        planned_costs = (self.planned + penalty * self.upload).tolist()
        for movable, alone, moved, enter, leave, hand in zip(*self._rows, planned_costs, *self._steps, strict=True):
            to_client = (at_client, at_planned + leave)
            to_planned = (at_client + enter, at_planned + hand)
            came.append((to_client[1] < to_client[0], to_planned[1] < to_planned[0]))
            at_client = min(to_client) + alone
            at_planned = min(to_planned) + moved if movable else float("inf")
        planned = at_planned < at_client
        chosen: list[int] = []
        for index in range(len(self.units) - 1, -1, -1):
            if planned:
                chosen.append(index)
            planned = came[index][planned]
        return tuple(reversed(chosen))

    def _planned(self, unit: Unit) -> float:
        """Cost of the unit where the target has it: layers, tensors between its layers, and answers home."""
        graph, additive, target = self.additive.problem.graph, self.additive, self.target
        total = left_sum(float(additive.layers[layer, target[layer]]) for layer in unit.layers)
        for layer in unit.layers:
            for number in graph.layers[layer].outputs:
                tensor = graph.tensors[number]
                to = {target[reader] for reader in tensor.consumers if reader <= unit.last}
                if tensor.is_output:
                    to.add(CLIENT)
                total += left_sum(additive.transfer(tensor.bytes, target[layer], node) for node in sorted(to))
        return total

    def _home(self, tensor: int) -> int:
        return self.target[self.additive.problem.graph.tensors[tensor].producer]

    def _step(self, unit: Unit, home: Callable[[int], int], node_of: Callable[[int], int]) -> float:
        """Cost of bringing what enters `unit` from where it is made to every node that reads it there."""
        total = 0.0
        for number in unit.entering:
            tensor = self.additive.problem.graph.tensors[number]
            readers = {node_of(reader) for reader in tensor.consumers if unit.first <= reader <= unit.last}
            total += left_sum(self.additive.transfer(tensor.bytes, home(number), node) for node in sorted(readers))
        return total

    def _uploads(self) -> tuple[Floats, Floats, Floats]:
        """Bytes, upload cost and round trip of each unit; a shared parameter counts where it is needed first."""
        graph = self.additive.problem.graph
        known: dict[int, frozenset[int]] = {}
        sizes, costs, trips = [], [], []
        for unit in self.units:
            size, price, trip = 0, 0.0, 0.0
            by_server: dict[int, list[int]] = {}
            for layer in unit.layers:
                if self.target[layer]:
                    by_server.setdefault(self.target[layer], []).append(layer)
            for server, layers in by_server.items():
                moved = graph.upload_bytes(layers, known.get(server, frozenset()))
                known[server] = known.get(server, frozenset()) | graph.parameters_of(layers)
                size += moved
                price += self.additive.uploading(moved, server)
                trip = max(trip, self.additive.round_trip(server))
            sizes.append(float(size))
            costs.append(price)
            trips.append(trip)
        return np.array(sizes), np.array(costs), np.array(trips)
