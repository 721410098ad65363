"""The shortest path over units, whose edges are solved only where they may matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.planners.exact.branch_and_bound import SLACK
from layerlift.planners.exact.effort import Effort
from layerlift.planners.exact.linear import Linear, Paths
from layerlift.planners.exact.question import Question
from layerlift.planners.exact.units import CleanUnit, UnitProblem, clean_units
from layerlift.planners.problem.problem import Floats


@dataclass(slots=True)
class _UnitEdges:
    """One unit: what it costs from each node (row) to each node (column), between bounds; one row or column at an end.

    `known` holds the placements of the layers behind `upper`; an edge without one has all layers on its column's node.
    """

    unit: CleanUnit
    lower: Floats
    upper: Floats
    known: dict[tuple[int, int], tuple[int, ...]]


class Stages:
    """Least linear cost of a whole network, unit by unit (see `layerlift.planners.exact.units`).

    Every edge begins between a bound by paths and the cost of the unit on one node. The shortest path by lower
    bounds is found again and again; the widest edge on it is solved exactly (`Question`), until that path's bounds
    meet those of the best placement known. At any time `bound` bounds the linear cost of every placement from below.
    """

    def __init__(self, linear: Linear) -> None:
        self.linear = linear
        self.stages = [_stage(linear, unit) for unit in clean_units(linear.problem.graph)]
        self._given_up: set[tuple[int, int, int]] = set()
        self._refresh()

    @property
    def proved(self) -> bool:
        """Whether the placement is the best (to `SLACK`)."""
        return self.bound >= self.value - SLACK * abs(self.value)

    @property
    def placement(self) -> tuple[int, ...]:
        """The best placement known."""
        made: list[int] = []
        for stage, (source, to) in zip(self.stages, self._best, strict=True):
            made.extend(stage.known.get((source, to), (to,) * len(stage.unit)))
        return tuple(made)

    def solve(self, effort: Effort) -> None:
        """Solve edges until the placement is proved the best, or every edge that matters has had its `effort`."""
        while not self.proved and not effort.late:
            open_edges = list(self._open_edges())
            if not open_edges:
                break
            _, number, source, to = max(open_edges, key=lambda edge: edge[0])
            self._solve_edge(number, source, to, effort)
            self._refresh()

    def _open_edges(self) -> Iterator[tuple[float, int, int, int]]:
        for number, (source, to) in enumerate(self._lowest):
            stage = self.stages[number]
            width = stage.upper[source, to] - stage.lower[source, to]
            if width > SLACK * abs(self.value) / len(self.stages) and (number, source, to) not in self._given_up:
                yield float(width), number, source, to

    def _solve_edge(self, number: int, source: int, to: int, effort: Effort) -> None:
        stage = self.stages[number]
        lower, upper = float(stage.lower[source, to]), float(stage.upper[source, to])
        part = UnitProblem(self.linear, stage.unit, source, to)
        limit = min(upper, lower + self.value - self.bound) + part.constant
        alive = Paths(part.linear).better_than(limit + SLACK * abs(limit))
        found = Question(part.problem, [part.linear], part.key).better(None, alive, effort, (0.0, limit))
        if found.placement:
            stage.known[source, to] = found.placement[part.skip :]
            stage.upper[source, to] = upper = found.key[1] - part.constant
        proven = upper if found.placement and found.complete else min(found.bound - part.constant, upper)
        stage.lower[source, to] = max(lower, proven)
        if not found.complete:
            self._given_up.add((number, source, to))

    def _refresh(self) -> None:
        self.bound, self._lowest = _shortest([stage.lower for stage in self.stages])
        self.value, self._best = _shortest([stage.upper for stage in self.stages])


def _stage(linear: Linear, unit: CleanUnit) -> _UnitEdges:
    lower = _paths_through(linear, unit)
    upper = np.full_like(lower, np.inf)
    known: dict[tuple[int, int], tuple[int, ...]] = {}
    if unit.entering is not None and unit.leaving is not None:
        chosen = slice(unit.first, unit.last + 1)
        on_one = linear.layer_cost[chosen].sum(axis=0) + float(linear.least_extra[chosen].sum())
        upper = linear.hop_cost(linear.problem.graph.tensors[unit.entering].bytes) + on_one
        upper = lower.copy() if len(unit) == 1 else np.maximum(upper, lower)
    else:
        for source, column in np.ndindex(*lower.shape):
            _try_each_node(linear, unit, source, column, upper, known)
    return _UnitEdges(unit, lower, upper, known)


def _try_each_node(
    linear: Linear,
    unit: CleanUnit,
    source: int,
    column: int,
    upper: Floats,
    known: dict[tuple[int, int], tuple[int, ...]],
) -> None:
    """Bound an edge at an end of the network by the unit as a whole on each node that it may be on."""
    part = UnitProblem(linear, unit, source, column)
    for node in np.flatnonzero(part.allowed[part.skip :].all(axis=0)).tolist():
        placement = (node,) * len(unit)
        worth = part.key((source,) * part.skip + placement)[1] - part.constant
        if worth < upper[source, column]:
            upper[source, column] = worth
            known[source, column] = placement


def _paths_through(linear: Linear, unit: CleanUnit) -> Floats:
    """Lower bounds on the unit's cost from the longest of its cheapest paths; shape (rows, columns) of the stage."""
    graph, nodes = linear.problem.graph, len(linear.problem.nodes)
    rows = nodes if unit.entering is not None else 1
    heads: dict[int, Floats] = {}
    answered = np.full(rows, -np.inf)
    for layer in graph.layers[unit.first : unit.last + 1]:
        ready = np.zeros((rows, nodes))
        for number in layer.inputs:
            tensor = graph.tensors[number]
            hop = linear.hop_cost(tensor.bytes)
            if number == unit.entering or tensor.producer < 0:
                come = hop[:rows]
            else:
                come = (heads[tensor.producer][:, :, None] + hop).min(axis=1)
            ready = np.maximum(ready, come)
        heads[layer.index] = ready + linear.layer_cost[layer.index]
        for number in layer.outputs:
            if graph.tensors[number].is_output:
                back = linear.hop_cost(graph.tensors[number].bytes)[:, CLIENT]
                answered = np.maximum(answered, (heads[layer.index] + back).min(axis=1))
    base = float(linear.least_extra[unit.first : unit.last + 1].sum())
    if unit.leaving is not None:
        return base + heads[unit.last]
    return base + answered[:, None]


def _shortest(tables: list[Floats]) -> tuple[float, list[tuple[int, int]]]:
    """Least sum of one entry of each table, where the column of one is the row of the next, and the entries."""
    best, came = np.zeros(1), []
    for table in tables:
        through = best[:, None] + table
        came.append(through.argmin(axis=0))
        best = through.min(axis=0)
    column = int(best.argmin())
    value, edges = float(best[column]), []
    for back in reversed(came):
        row = int(back[column])
        edges.append((row, column))
        column = row
    return value, edges[::-1]
