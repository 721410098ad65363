"""The branches of a network's modules: the longest runs of layers in a unit which one tensor enters and one leaves."""

from __future__ import annotations

from collections.abc import Mapping

from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.per_graph import per_graph
from layerlift.planners.graphs.excursions import runs_of

Branch = tuple[int, int]
"""The first and the last layer."""


@per_graph
def branches_of(graph: LayerGraph) -> Mapping[int, tuple[Branch, ...]]:
    """By unit, its branches in the graph's order, no layer in two of them; units without a module are left out."""
    runs = runs_of(graph)
    by_unit: dict[int, list[Branch]] = {}
    for unit, first, last in zip(runs.unit.tolist(), runs.first.tolist(), runs.last.tolist(), strict=True):
        by_unit.setdefault(unit, []).append((first, last))
    return {unit: _longest(found) for unit, found in by_unit.items()}


def _longest(runs: list[Branch]) -> tuple[Branch, ...]:
    taken: list[Branch] = []
    for first, last in sorted(runs, key=lambda run: (run[0] - run[1], run[0])):
        if all(last < other[0] or first > other[1] for other in taken):
            taken.append((first, last))
    return tuple(sorted(taken))
