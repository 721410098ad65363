"""A network as a chain of units, each either on the client or where a target placement wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners.cost.units import Unit, units_of
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.graphs.unit_costs import UnitCosts, UnitFacts
from layerlift.planners.problem.problem import Bools, Floats, Ints

__all__ = ["Chain", "Unit", "units_of"]

INF = float("inf")


class Chain:
    """Costs of the units in their two states, `client` and `planned`, in the unit of `Additive`.

    Arrays have shape (n,). `enter[k]`, `leave[k]` and `hand[k]` price the step from unit k - 1 to unit k when it
    goes from client to planned, from planned to client, and from planned to planned (which is nothing on one
    server, a hand-over between two); the client stands before unit 0. Answers go home within `planned`.
    """

    def __init__(self, additive: Additive, target: Sequence[int], costs: UnitCosts | None = None) -> None:
        """`costs` are those of `additive`, where they are known."""
        self.additive = additive
        self.target = tuple(map(int, target))
        costs = costs or UnitCosts(additive)
        self.facts: UnitFacts = costs.facts
        self.units = self.facts.units
        wanted = np.array(self.target)
        nodes, highest = np.minimum.reduceat(wanted, self.facts.first), np.maximum.reduceat(wanted, self.facts.first)
        self.movable: Bools = highest > 0
        self.client: Floats = costs.client
        every, home = np.arange(len(nodes)), wanted[self.facts.maker]
        self.planned: Floats = costs.on[every, nodes]
        self.enter: Floats = costs.enter[every, nodes]
        self.leave: Floats = costs.leave[every, home]
        self.hand: Floats = np.zeros(len(nodes))
        if (home != nodes).any():
            self.hand = additive.moving(self.facts.entering, home, nodes)
        self.bytes, self.upload, self.round_trip = self._uploads(costs, nodes, nodes == highest)
        self.exact = self.facts.sequential and bool((nodes == highest).all())
        """Whether what its ways cost is the true cost, but for rounding (see `UnitFacts.sequential`)."""
        self._correct(np.flatnonzero((nodes != highest) | ~self.facts.single).tolist())
        self.leave[0] = self.hand[0] = 0.0
        self._listed()

    @classmethod
    def towards_all(cls, costs: UnitCosts) -> list[Chain]:
        """The chains of which all that is allowed on a server may move there, for every server."""
        additive, problem = costs.additive, costs.additive.problem
        whole: Bools = np.logical_and.reduce(problem.allowed, axis=0)
        made: list[Chain] = []
        for server in problem.servers:
            if whole[server] and costs.facts.apart and costs.facts.single.all():
                chain = cls.__new__(cls)
                chain._towards(costs, server)
            else:
                target = [server if free else CLIENT for free in problem.allowed[:, server].tolist()]
                chain = cls(additive, target, costs)
            made.append(chain)
        return made

    def _towards(self, costs: UnitCosts, server: int) -> None:
        """What `__init__` does where all units may move to one server."""
        count = len(costs.facts.units)
        self.additive, self.facts, self.units = costs.additive, costs.facts, costs.facts.units
        self.target = (server,) * len(costs.additive.problem.graph)
        self.movable = np.ones(count, dtype=np.bool_)
        self.client, self.planned, self.enter = costs.client, costs.on[:, server], costs.enter[:, server]
        self.leave, self.hand = costs.leave[:, server].copy(), np.zeros(count)
        self.leave[0] = 0.0
        self.bytes, self.upload = costs.facts.moved, costs.upload[:, server]
        self.round_trip = np.full(count, costs.round_trip[server])
        self.exact = costs.facts.sequential
        self._listed()

    def _listed(self) -> None:
        """Keep as lists what the shortest path reads."""
        self._rows = (self.movable.tolist(), self.client.tolist())
        self._free = self.planned.tolist()
        self._steps = (self.enter.tolist(), self.leave.tolist(), self.hand.tolist())

    def _correct(self, numbers: Iterable[int]) -> None:
        """Units that are on several nodes, or that several tensors enter: layer by layer."""
        for number in numbers:
            unit = self.units[number]
            self.planned[number] = self._planned(unit)
            self.enter[number] = self._step(unit, lambda tensor: CLIENT, self.target.__getitem__)
            self.leave[number] = self._step(unit, self._home, lambda layer: CLIENT)
            self.hand[number] = self._step(unit, self._home, self.target.__getitem__)

    def __len__(self) -> int:
        return len(self.units)

    def placement(self, chosen: Iterable[int]) -> tuple[int, ...]:
        """The target for the layers of the `chosen` units, the client for all others."""
        made = [CLIENT] * len(self.target)
        for index in chosen:
            unit = self.units[index]
            made[unit.first : unit.last + 1] = self.target[unit.first : unit.last + 1]
        return tuple(made)

    def cost(self, chosen: Iterable[int]) -> float:
        """What a query costs when the `chosen` units, ascending, run planned; uploads cost nothing."""
        planned = np.zeros(len(self.units), dtype=np.bool_)
        planned[list(chosen)] = True
        before = np.concatenate(([False], planned[:-1]))
        steps = np.where(planned, np.where(before, self.hand, self.enter), np.where(before, self.leave, 0.0))
        return float((np.where(planned, self.planned, self.client) + steps).sum())

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
        at_client, at_planned = 0.0, INF
        came: list[tuple[bool, bool]] = []
        planned_costs = (self.planned + penalty * self.upload).tolist() if penalty else self._free
        for movable, alone, moved, enter, leave, hand in zip(*self._rows, planned_costs, *self._steps, strict=True):
            back, entered, on = at_planned + leave, at_client + enter, at_planned + hand
            came.append((back < at_client, on < entered))
            at_client = (back if back < at_client else at_client) + alone
            at_planned = (on if on < entered else entered) + moved if movable else INF
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

    def _uploads(self, costs: UnitCosts, nodes: Ints, whole: Bools) -> tuple[Floats, Floats, Floats]:
        """Bytes, upload cost and round trip of each unit; a shared parameter counts where it is needed first."""
        sizes = np.where(nodes > 0, self.facts.moved, 0.0)
        prices: Floats = costs.upload[np.arange(len(nodes)), nodes]
        trips: Floats = costs.round_trip[nodes]
        odd = np.flatnonzero(~whole) if self.facts.apart else np.arange(len(nodes))
        known: dict[int, frozenset[int]] = {}
        for number in odd.tolist():
            sizes[number], prices[number], trips[number] = self._uploaded(self.units[number], known)
        return sizes, prices, trips

    def _uploaded(self, unit: Unit, known: dict[int, frozenset[int]]) -> tuple[float, float, float]:
        """The same of one unit, when servers have the parameters `known` already; these are added to."""
        graph = self.additive.problem.graph
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
        return float(size), price, trip
