"""Runs of layers inside a module that visit another node, while the rest of the module stays: what that costs.

The node that goes on with the module waits for what comes back, so that nothing overlaps: a visit takes the run's time
there instead of here, and two messages. That is worth it where one of a module's branches is light to carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.per_graph import per_graph
from layerlift.planners.graphs.pieces import Sums
from layerlift.planners.graphs.units import units_of
from layerlift.planners.problem.problem import Bools, Floats, Ints

LONGEST = 24
"""Layers of the longest run that is looked at."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of neighbouring layers within a unit which one tensor enters and one leaves; arrays have shape (B,)."""

    unit: Ints
    first: Ints
    last: Ints
    came: Floats
    """Bytes that enter."""
    made: Floats
    """Bytes that leave."""
    held: Floats
    """Bytes of parameters."""


@per_graph
def runs_of(graph: LayerGraph) -> Runs:
    """The runs inside all units of `graph` of three layers and more."""
    rows: list[tuple[float, ...]] = []
    for number, unit in enumerate(units_of(graph)):
        if len(unit.layers) > 2:
            for first in unit.layers:
                for last in range(first, min(unit.last, first + LONGEST - 1) + 1):
                    rows += _run(graph, number, first, last) if (first, last) != (unit.first, unit.last) else []
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Runs(*table[:, :3].astype(np.int64).T, *table[:, 3:].T)


def _run(graph: LayerGraph, unit: int, first: int, last: int) -> list[tuple[float, ...]]:
    """One row of `Runs`, or none where not one tensor enters and leaves."""
    layers = graph.layers[first : last + 1]
    into = {tensor for layer in layers for tensor in layer.inputs if graph.tensors[tensor].producer < first}
    made = [graph.tensors[tensor] for layer in layers for tensor in layer.outputs]
    out = [tensor for tensor in made if tensor.is_output or any(reader > last for reader in tensor.consumers)]
    if len(into) != 1 or len(out) != 1:
        return []
    held = graph.held_bytes(range(first, last + 1))
    return [(unit, first, last, graph.tensors[into.pop()].bytes, out[0].bytes, held)]


class Visits:
    """What visits of runs add to each term, where a whole unit is on one node; pieces must be whole units."""

    def __init__(self, sums: Sums) -> None:
        self.sums, self.runs = sums, runs_of(sums.problem.graph)
        self.nodes: Ints = np.arange(len(sums.problem.nodes))

    @cached_property
    def _spent(self) -> Floats:
        """Each term of each run on each node, shape (3, B, N)."""
        problem, power = self.sums.problem, self.sums.problem.power
        ends = np.concatenate([np.zeros((1, len(self.nodes))), np.cumsum(problem.seconds, axis=0)])
        alone = ends[self.runs.last + 1] - ends[self.runs.first]
        lasting = alone * problem.slowdown
        draw = np.array([power.compute_w, *problem.busy_w[1:]])
        return np.array([lasting, power.idle_w * lasting + draw * alone, problem.price_per_s * alone])

    @cached_property
    def allowed(self) -> Bools:
        """Whether each run may be on each node, shape (B, N)."""
        barred = np.concatenate([np.zeros((1, len(self.nodes))), np.cumsum(~self.sums.problem.allowed, axis=0)])
        made: Bools = barred[self.runs.last + 1] == barred[self.runs.first]
        return made

    def added(self, chosen: Ints, home: Ints, to: Ints) -> Floats:
        """What is added to each term, first axis, when runs leave `home` for `to`; the arguments broadcast."""
        runs, header = self.runs, self.sums.problem.header_bytes
        delays, carried = self.sums.rates
        there = delays[:, home, to] + carried[:, home, to] * (runs.came[chosen] + header)
        back = delays[:, to, home] + carried[:, to, home] * (runs.made[chosen] + header)
        made: Floats = self._spent[:, chosen, to] - self._spent[:, chosen, home] + there + back
        return made


def visiting(placement: tuple[int, ...], runs: Runs, chosen: int, to: int) -> tuple[int, ...]:
    """`placement` with one run elsewhere."""
    first, last = int(runs.first[chosen]), int(runs.last[chosen])
    return (*placement[:first], *((to,) * (last + 1 - first)), *placement[last + 1 :])
