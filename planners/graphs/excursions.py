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
from layerlift.planners.cost.pieces import Sums, weighed
from layerlift.planners.cost.units import units_of
from layerlift.planners.problem.problem import Bools, Floats, Ints

LONGEST = 24
"""Layers of the longest run that is looked at."""

NEAR = 1e-9
"""Share of all work that sums in different orders may differ by: far more than they do."""


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
    starts: Ints
    """The first run of each unit that has any; these units are U in all."""
    least: tuple[Floats, Floats]
    """The fewest bytes that enter and leave a run, shapes (U,)."""


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
    unit, first, last = table[:, :3].astype(np.int64).T.copy()
    came, made, held = table[:, 3:].T.copy()
    starts = np.flatnonzero(np.diff(unit, prepend=-1))
    least = (np.minimum.reduceat(came, starts), np.minimum.reduceat(made, starts)) if len(starts) else (came, made)
    return Runs(unit, first, last, came, made, held, starts, least)


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
        return self._spent_by(slice(None), self.nodes)

    def _spent_by(self, chosen: Ints | slice, nodes: Ints) -> Floats:
        """Each term of some runs on some nodes."""
        ends = np.zeros((len(self.sums.problem.seconds) + 1, len(nodes)))
        np.cumsum(self.sums.problem.seconds[:, nodes], axis=0, out=ends[1:])
        return self._terms(ends[self.runs.last[chosen] + 1] - ends[self.runs.first[chosen]], nodes)

    def _terms(self, alone: Floats, nodes: Ints) -> Floats:
        """Each term, first axis, of seconds that work takes alone on each of some nodes, the last axis."""
        problem, power = self.sums.problem, self.sums.problem.power
        lasting = alone * problem.slowdown[nodes]
        draw = np.array([power.compute_w, *problem.busy_w[1:]])[nodes]
        return np.array([lasting, power.idle_w * lasting + draw * alone, problem.price_per_s[nodes] * alone])

    @cached_property
    def allowed(self) -> Bools:
        """Whether each run may be on each node, shape (B, N)."""
        barred = np.concatenate([np.zeros((1, len(self.nodes))), np.cumsum(~self.sums.problem.allowed, axis=0)])
        made: Bools = barred[self.runs.last + 1] == barred[self.runs.first]
        return made

    def best(self, weights: Floats, costs: Floats, home: Ints, near: Ints) -> list[tuple[int, int]]:
        """The run of each unit that saves most, `weighed`, when it leaves the unit's node, and where it goes.

        Units are at `home` and cost `costs` there, shapes (units,); runs may go to `near`, among which all of `home`
        are. Units where nothing saves are left out.
        """
        at, starts = np.searchsorted(near, home), [*self.runs.starts.tolist(), len(self.runs.unit)]
        runs = [np.arange(starts[each], starts[each + 1]) for each in self._promising(weights, costs, at, near)]
        if not runs:
            return []
        added, begin = self._leaving(weights, np.concatenate(runs), at, near), 0
        found: list[tuple[int, int]] = []
        for own in runs:
            number, to = divmod(int(added[begin : begin + len(own)].argmin()), len(near))
            if added[begin + number, to] < 0.0:
                found.append((int(own[number]), int(near[to])))
            begin += len(own)
        return found

    def _promising(self, weights: Floats, costs: Floats, at: Ints, near: Ints) -> list[int]:
        """Which of the units with runs could save more than their lightest messages cost, were all that is slow gone.

        Most could not, and that is cheap to see. `at` are the places among `near` of where units are.
        """
        unit, header = self.runs.unit[self.runs.starts], self.sums.problem.header_bytes
        here, every = at[unit], np.arange(len(unit))
        delay, rate = (each[near[:, None], near] for each in self.sums.hops(weights))
        came, made = (least[:, None] + header for least in self.runs.least)
        moved = (delay + delay.T)[here] + rate[here] * came + rate.T[here] * made
        moved[every, here] = np.inf
        # No run saves more than its whole unit costs.
        if (moved.min(axis=1) > costs[unit] * (1.0 + NEAR)).all():
            return []
        layers = weighed(weights, self._terms(self.sums.problem.seconds[:, near], near))
        home = np.repeat(at, self.sums.facts.last - self.sums.facts.first + 1)
        faster = np.maximum(layers[np.arange(len(home)), home][:, None] - layers, 0.0)
        saved = np.add.reduceat(faster, self.sums.facts.first, axis=0)[unit]
        rounding = NEAR * float(layers.sum(axis=0).max())
        return np.flatnonzero((saved + rounding >= moved * (1.0 - NEAR)).any(axis=1)).tolist()

    def _leaving(self, weights: Floats, chosen: Ints, at: Ints, near: Ints) -> Floats:
        """What is added, `weighed`, when some runs leave for each of `near`; staying and the forbidden add nothing."""
        runs, header, every = self.runs, self.sums.problem.header_bytes, np.arange(len(chosen))
        here = at[runs.unit[chosen]]
        delay, rate = (each[near[:, None], near] for each in self.sums.hops(weights))
        spent = weighed(weights, self._spent_by(chosen, near))
        there = delay[here] + rate[here] * (runs.came[chosen] + header)[:, None]
        back = delay.T[here] + rate.T[here] * (runs.made[chosen] + header)[:, None]
        added: Floats = spent - spent[every, here][:, None] + there + back
        added[every, here] = 0.0
        added[~self.allowed[chosen[:, None], near]] = 0.0
        return added

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
