"""What the units of a network cost on every node, for costs that add up: facts of the graph, priced all at once.

Every number is what `layerlift.planners.graphs.additive` says of it, term by term in the same order, so that it comes
out the same to the last bit however it is asked for: equally cheap ways stay equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.per_graph import per_graph
from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.units import Unit, units_of
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.problem.problem import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """What holds of a network's units whatever they cost; arrays have shape (U,)."""

    units: tuple[Unit, ...]
    first: Ints
    last: Ints
    long: tuple[int, ...]
    """Units of more than one layer."""
    entering: Floats
    """Bytes of the one tensor that enters; 0 where not exactly one does."""
    maker: Ints
    """The layer that makes it; -1 for an input."""
    single: Bools
    """Whether exactly one tensor enters."""
    answers: tuple[tuple[int, int], ...]
    """Unit and bytes of each answer, in the order in which they are made."""
    moved: Floats
    """Bytes of an upload of the unit alone."""
    held: Floats
    """Bytes of parameters that it holds."""
    apart: bool
    """Whether no two units share a parameter."""
    sequential: bool
    """Whether each unit reads what the one before makes and nothing else, and the last alone answers, once.

    What units cost then adds up to what the whole query costs: nothing overlaps.
    """


@per_graph
def unit_facts(graph: LayerGraph) -> UnitFacts:
    """Look at the units of `graph`."""
    units = units_of(graph)
    single = np.array([len(unit.entering) == 1 for unit in units])
    tensors = [graph.tensors[unit.entering[0]] if len(unit.entering) == 1 else None for unit in units]
    made = [
        (number, graph.tensors[tensor].bytes)
        for number, unit in enumerate(units)
        for layer in unit.layers
        for tensor in graph.layers[layer].outputs
        if graph.tensors[tensor].is_output
    ]
    parameters = [graph.parameters_of(unit.layers) for unit in units]
    return UnitFacts(
        units=units,
        first=np.array([unit.first for unit in units]),
        last=np.array([unit.last for unit in units]),
        long=tuple(number for number, unit in enumerate(units) if len(unit.layers) > 1),
        entering=np.array([float(tensor.bytes) if tensor else 0.0 for tensor in tensors]),
        maker=np.array([tensor.producer if tensor else -1 for tensor in tensors]),
        single=single,
        answers=tuple(made),
        moved=np.array([float(graph.upload_bytes(unit.layers)) for unit in units]),
        held=np.array([float(graph.held_bytes(unit.layers)) for unit in units]),
        apart=sum(map(len, parameters)) == len(frozenset().union(*parameters)),
        sequential=bool(single.all()) and _in_turn(units, [tensor.producer for tensor in tensors if tensor], made),
    )


def _in_turn(units: tuple[Unit, ...], makers: list[int], answered: list[tuple[int, int]]) -> bool:
    handed = all(before.first <= maker <= before.last for before, maker in zip(units, makers[1:], strict=False))
    return handed and makers[0] < 0 and [number for number, _ in answered] == [len(units) - 1]


class UnitCosts:
    """Prices of the units as wholes; arrays have shape (U, N), column n for the node n."""

    def __init__(self, additive: Additive) -> None:
        self.additive = additive
        self.facts = unit_facts(additive.problem.graph)
        self.nodes: Ints = np.arange(len(additive.problem.nodes))

    @cached_property
    def client(self) -> Floats:
        """Cost on the client, answers not counted, shape (U,)."""
        layers, facts = self.additive.layers[:, CLIENT], self.facts
        made = layers[facts.first].copy()
        for number in facts.long:
            made[number] = layers[facts.first[number] : facts.last[number] + 1].sum()
        return made

    @cached_property
    def on(self) -> Floats:
        """Cost on each node, answers sent home."""
        layers, facts, additive = np.ascontiguousarray(self.additive.layers), self.facts, self.additive
        made = layers[facts.first].copy()
        for number in facts.long:
            # Row by row, as a loop over the layers would.
            made[number] = np.add.accumulate(layers[facts.first[number] : facts.last[number] + 1], axis=0)[-1]
        for number, size in facts.answers:
            made[number] += additive.moving(np.array(float(size)), self.nodes, np.array(CLIENT))
        return made

    @cached_property
    def enter(self) -> Floats:
        """Bringing what enters from the client; 0 where not exactly one tensor does."""
        return self._moving(np.array(CLIENT), self.nodes)

    @cached_property
    def leave(self) -> Floats:
        """Bringing what enters from each node to the client; 0 where not exactly one tensor does."""
        return self._moving(self.nodes, np.array(CLIENT))

    @cached_property
    def upload(self) -> Floats:
        """Uploading each unit alone to each server, without the round trip; 0 for the client."""
        additive, problem = self.additive, self.additive.problem
        sizes, client = self.facts.moved[:, None], np.array(CLIENT)
        built = problem.load_s_per_byte * sizes
        made: Floats = additive.carried(sizes, client, self.nodes) + additive.waiting(built)
        made[:, CLIENT] = 0.0
        return made

    @cached_property
    def round_trip(self) -> Floats:
        """The delays and headers of one part on each server, shape (N,); 0 for the client."""
        return np.array([0.0, *(self.additive.round_trip(int(server)) for server in self.nodes[1:])])

    @cached_property
    def allowed(self) -> Bools:
        """Whether every layer of a unit may be on a node."""
        made: Bools = np.logical_and.reduceat(self.additive.problem.allowed, self.facts.first, axis=0)
        return made

    def _moving(self, source: Ints, to: Ints) -> Floats:
        made = self.additive.moving(self.facts.entering[:, None], source, to)
        made[~self.facts.single] = 0.0
        return made
