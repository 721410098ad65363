"""The cheapest way of units through any number of nodes, when prices are put on limits."""

from __future__ import annotations

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.units import Unit, units_of
from layerlift.planners.graphs.additive import Additive, leaning
from layerlift.planners.graphs.memory_price import Placement, within_memory
from layerlift.planners.problem.problem import Floats


def place(judge: Judge) -> Placement:
    """The cheapest way found, whatever it is worth: good, where limits bind, and not exact.

    Where memory is short a price per byte held is raised until the way fits, and where a deadline or a budget is
    missed the weights lean towards latency or money.
    """
    return leaning(judge.problem, judge, cheapest)


def cheapest(additive: Additive) -> Placement:
    """The placement of least additive cost that fits into the servers' memory."""
    problem = additive.problem
    units = units_of(problem.graph)
    costs, steps = _tables(additive, units)
    held = np.array([float(problem.graph.held_bytes(unit.layers)) for unit in units])

    def solve(price: Floats) -> Placement:
        return _spread(units, _path(costs + held[:, None] * price[None, :], steps))

    return within_memory(problem, solve, unit_price=_scale(costs) / max(1.0, held.sum()))


def _tables(additive: Additive, units: tuple[Unit, ...]) -> tuple[Floats, list[Floats]]:
    """Cost of each unit on each node, answers sent home, shape (n, N); and of each step between nodes, n x (N, N)."""
    graph, problem = additive.problem.graph, additive.problem
    rows, steps = [], []
    for unit in units:
        chosen = slice(unit.first, unit.last + 1)
        row = np.where(problem.allowed[chosen].all(axis=0), additive.layers[chosen].sum(axis=0), np.inf)
        for layer in graph.layers[chosen]:
            for tensor in layer.outputs:
                if graph.tensors[tensor].is_output:
                    row = row + additive.transfers(graph.tensors[tensor].bytes)[:, CLIENT]
        rows.append(row)
        moved = [additive.transfers(graph.tensors[tensor].bytes) for tensor in unit.entering]
        steps.append(np.sum(moved, axis=0) if moved else np.zeros_like(problem.latency_s))
    return np.array(rows), steps


def _path(costs: Floats, steps: list[Floats]) -> list[int]:
    """The cheapest node of each unit; of equals the lowest index, so the client before any server."""
    nodes = costs.shape[1]
    best = np.full(nodes, np.inf)
    best[CLIENT] = 0.0
    came = []
    for row, step in zip(costs, steps, strict=True):
        through = best[:, None] + step
        came.append(through.argmin(axis=0))
        best = through.min(axis=0) + row
    chosen = [int(best.argmin())]
    for before in reversed(came[1:]):
        chosen.append(int(before[chosen[-1]]))
    return chosen[::-1]


def _spread(units: tuple[Unit, ...], nodes: list[int]) -> Placement:
    return tuple(node for unit, node in zip(units, nodes, strict=True) for _ in unit.layers)


def _scale(costs: Floats) -> float:
    """What the whole network costs on the client: the size of a price that matters."""
    return float(costs[:, CLIENT].sum()) or 1.0
