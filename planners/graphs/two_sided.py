"""The cheapest placement between two sides, for costs that add up: a minimum cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from layerlift.models.graph.flow import INFINITE, FlowGraph
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.graphs.chain import Unit, units_of


@dataclass(frozen=True, slots=True)
class Sides:
    """Costs of two-sided placements between the client and one server."""

    graph: LayerGraph
    client: Sequence[float]
    """Of each layer on the client, shape (L,)."""
    server: Sequence[float]
    """Of each layer on the server, shape (L,); infinite where it is not allowed."""
    up: Sequence[float]
    """Of each tensor from client to server, shape (T,)."""
    down: Sequence[float]

    @classmethod
    def towards(cls, additive: Additive, server: int) -> Sides:
        """Those of `additive` between the client and `server`."""
        problem = additive.problem
        tensors = problem.graph.tensors
        allowed = np.where(problem.allowed[:, server], additive.layers[:, server], np.inf)
        return cls(
            problem.graph,
            additive.layers[:, CLIENT].tolist(),
            allowed.tolist(),
            [additive.transfer(tensor.bytes, CLIENT, server) for tensor in tensors],
            [additive.transfer(tensor.bytes, server, CLIENT) for tensor in tensors],
        )

    def scaled(self, client: float, server: float) -> Sides:
        """With the layers' costs multiplied."""
        return Sides(
            self.graph, [c * client for c in self.client], [s * server for s in self.server], self.up, self.down
        )

    def stages(self, moved: Sequence[bool]) -> tuple[float, float, float]:
        """Cost on the client, on the way and on the server of a placement (True = on the server)."""
        way = 0.0
        for number, tensor in enumerate(self.graph.tensors):
            home = tensor.producer >= 0 and moved[tensor.producer]
            readers = {moved[reader] for reader in tensor.consumers} | ({False} if tensor.is_output else set())
            if (not home) in readers:
                way += self.down[number] if home else self.up[number]
        client = left_sum(cost for cost, away in zip(self.client, moved, strict=True) if not away)
        return client, way, left_sum(cost for cost, away in zip(self.server, moved, strict=True) if away)


def cut(sides: Sides, units: Sequence[Unit] | None = None) -> list[bool]:
    """The cheapest two-sided placement: which layers are on the server, shape (L,).

    The DADS graph with one auxiliary vertex per tensor and direction, so that an output is charged once however
    many read it, and a way back from the server costs what it costs (in the paper it would be free). Answers go
    home to the client. Cut vertices split the graph, so that only modules with branches need a flow
    (Zhang et al., QDMP, IMWUT 2020): time is linear in the modules. `units` is `separate(sides.graph)`, where known.
    """
    units = units or separate(sides.graph)
    best: dict[bool, tuple[float, list[bool]]] = {False: (0.0, [])}
    for position, unit in enumerate(units):
        last = position == len(units) - 1
        leaving = None if last else sides.graph.tensors[units[position + 1].entering[0]].producer
        found: dict[bool, tuple[float, list[bool]]] = {}
        for before, after in product(best, (False, True)):
            cost, moved = _cut_unit(sides, unit, before, leaving, after)
            total = best[before][0] + cost
            if total < INFINITE and (after not in found or total < found[after][0]):
                found[after] = (total, best[before][1] + moved)
        best = found
    return min(best.values(), key=lambda each: each[0])[1]


def separate(graph: LayerGraph) -> list[Unit]:
    """Units between which the one tensor is made in the unit before and read only after it."""
    made: list[Unit] = []
    for unit in units_of(graph):
        tensor = graph.tensors[unit.entering[0]] if made else None
        tangled = tensor is not None and (
            tensor.producer < made[-1].first or tensor.consumers[0] < unit.first or tensor.is_output
        )
        made.append(Unit(made.pop().first, unit.last, unit.entering) if tangled else unit)
    return [Unit(u.first, u.last, _entering(graph, u.first)) for u in made]


def _entering(graph: LayerGraph, first: int) -> tuple[int, ...]:
    return tuple(
        n for n, t in enumerate(graph.tensors) if t.producer < first and t.consumers and t.consumers[-1] >= first
    )


def _cut_unit(sides: Sides, unit: Unit, before: bool, leaving: int | None, after: bool) -> tuple[float, list[bool]]:
    """The cheapest sides of one unit's layers when what enters is made on side `before` and `leaving` is on `after`."""
    if leaving is not None and after and sides.server[leaving] == INFINITE:
        return INFINITE, []
    if len(unit.layers) == 1:
        ends = [[False], [True]] if leaving is None else [[after]]
        return min((_unit_cost(sides, unit, before, end), end) for end in ends)
    graph = sides.graph
    flow = FlowGraph()
    vertex = {layer: flow.node() for layer in unit.layers}
    for layer, at in vertex.items():
        flow.edge(flow.SOURCE, at, sides.server[layer])
        flow.edge(at, flow.SINK, sides.client[layer])
    if leaving is not None:
        flow.edge(*((vertex[leaving], flow.SINK) if after else (flow.SOURCE, vertex[leaving])), INFINITE)
    inner = [tensor for layer in unit.layers for tensor in graph.layers[layer].outputs]
    for tensor in (*unit.entering, *inner):
        made = graph.tensors[tensor]
        home = vertex.get(made.producer, flow.SINK if before else flow.SOURCE)
        readers = [vertex[reader] for reader in made.consumers if reader in vertex]
        if made.is_output:
            readers.append(flow.SOURCE)
        _join(flow, home, readers, sides.up[tensor], sides.down[tensor])
    near = flow.source_side()
    moved = [vertex[layer] not in near for layer in unit.layers]
    return _unit_cost(sides, unit, before, moved), moved


def _join(flow: FlowGraph, home: int, readers: Iterable[int], up: float, down: float) -> None:
    """Charge `up` once when a reader is on the server and `home` is not, `down` once for the opposite."""
    upward, downward = flow.node(), flow.node()
    flow.edge(home, upward, up)
    flow.edge(downward, home, down)
    for reader in readers:
        flow.edge(upward, reader, INFINITE)
        flow.edge(reader, downward, INFINITE)


def _unit_cost(sides: Sides, unit: Unit, before: bool, moved: Sequence[bool]) -> float:
    graph = sides.graph
    side = dict(zip(unit.layers, moved, strict=True))
    total = left_sum(sides.server[layer] if away else sides.client[layer] for layer, away in side.items())
    for tensor in (*unit.entering, *(t for layer in unit.layers for t in graph.layers[layer].outputs)):
        made = graph.tensors[tensor]
        home = side.get(made.producer, before)
        readers = {side[reader] for reader in made.consumers if reader in side} | ({False} if made.is_output else set())
        if (not home) in readers:
            total += sides.down[tensor] if home else sides.up[tensor]
    return total
