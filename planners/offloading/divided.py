"""Modules divided among nodes, and the cheapest way through them all.

What a module costs depends on the node that hands it its input, on the node that takes its output and on where its
layers are: not on what the rest does. For each pair of these two nodes a search by the true cost model looks for the
best places of the layers, on the module alone; dynamic programming over (unit, node) then chooses among whole units and
divided modules, so that modules next to each other agree on where to meet.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Final

import numpy as np

from layerlift.planners.cost import batch
from layerlift.planners.cost.batch import Placements
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.pieces import Sums, ahead, cheapest_way, weighed, whole_pieces
from layerlift.planners.cost.units import units_of
from layerlift.planners.graphs.additive import weights_of
from layerlift.planners.graphs.branches import branches_of
from layerlift.planners.graphs.excursions import runs_of
from layerlift.planners.graphs.modules import modules_of
from layerlift.planners.problem.problem import Bools, Floats, Ints, Problem

Placement = tuple[int, ...]

NODES: Final = 4
"""Nodes that modules are divided among: where the placement given has them, and the best others."""
BRANCHES: Final = 4
"""Branches of a module that are divided in every way: those with most work."""
KEPT: Final = 4
"""Divisions that a search keeps for each pair of nodes."""
TRIES: Final = 1 << 16
"""Moves in one module that are looked at in a round."""
CLOSE: Final = (0.2, 0.01, 0.01, 0.01)
"""Share of the best way's cost by which a way through a pair of nodes may be worse for the pair to be looked at.

In each of the rounds in which single runs of layers move, at most so many.
"""


def divided(judge: Judge, placement: Placement) -> Placement:
    """The cheapest way through whole units and divided modules, on nodes near those of `placement`.

    By the objective without its limits; costs must add up over units (`UnitFacts.sequential`).
    """
    search = _Search(judge, placement)
    for close in CLOSE:
        if not search.improve(close):
            break
    return search.way()


class _Search:
    """Divisions of all modules, and what the step from node to node over each unit costs with the best of them."""

    def __init__(self, judge: Judge, placement: Placement) -> None:
        self.graph, weights = judge.problem.graph, weights_of(judge)
        sums = Sums(judge.problem, whole_pieces(self.graph))
        pieces, steps = sums.weighed(weights)
        self.steps: Floats = steps + pieces[:, None, :]
        delay, rate = sums.hops(weights)
        near = _near(placement, pieces, steps, sums)
        self.modules = {
            unit: _Module(judge.problem, unit, near, weights, delay + rate * judge.problem.header_bytes)
            for unit in modules_of(self.graph)
        }
        for unit, module in self.modules.items():
            self._take(unit, module)

    def improve(self, close: float) -> bool:
        """Move runs of layers where that may help; whether a step got cheaper."""
        count, nodes = self.steps.shape[:2]
        nowhere = np.zeros((count, nodes))
        on = ahead(nowhere, self.steps)
        to = np.full((count + 1, nodes), np.inf)
        to[0, 0] = 0.0
        for unit in range(count):
            to[unit + 1] = (to[unit][:, None] + self.steps[unit]).min(axis=0)
        bar = float(on[0, 0]) + close * abs(float(on[0, 0]))
        better = False
        for unit, module in self.modules.items():
            through = to[unit][:, None] + self.steps[unit] + on[unit + 1]
            if module.moved(through <= bar):
                better = self._take(unit, module) or better
        return better

    def _take(self, unit: int, module: _Module) -> bool:
        """Put the best divisions in place of the whole unit where they are cheaper; whether any step got cheaper."""
        found = np.full_like(self.steps[unit], np.inf)
        np.minimum.at(found, (module.rows[:, 0], module.rows[:, -1]), module.values)
        cheaper: Bools = found < self.steps[unit] * (1.0 - 1e-12)
        self.steps[unit] = np.where(cheaper, found, self.steps[unit])
        return bool(cheaper.any())

    def way(self) -> Placement:
        """The cheapest way."""
        count, nodes = self.steps.shape[:2]
        chosen = cheapest_way(np.zeros((count, nodes)), self.steps)
        made: list[int] = []
        for number, (unit, begin, end) in enumerate(zip(units_of(self.graph), [0, *chosen], chosen, strict=False)):
            inside = self.modules[number].best(begin, end, self.steps[number]) if number in self.modules else None
            made.extend([end] * len(unit.layers) if inside is None else inside)
        return tuple(made)


def _near(placement: Placement, pieces: Floats, steps: Floats, sums: Sums) -> Ints:
    """The nodes where `placement` ends modules, and the others that could do all modules soonest from there."""
    modules = list(modules_of(sums.problem.graph))
    homes = np.array(placement)[sums.facts.last][modules]
    used = np.unique(homes)[:NODES]
    cost = pieces[modules] + steps[modules, homes] + steps[modules, :, homes]
    order = np.argsort(np.where(np.isin(np.arange(pieces.shape[1]), used), -np.inf, cost.sum(axis=0)), kind="stable")
    return np.sort(order[:NODES])


class _Module:
    """Divisions of one module: rows are placements of `modules_of`, of which `KEPT` stay for each pair of ends."""

    def __init__(self, problem: Problem, unit: int, near: Ints, weights: Floats, beside: Floats) -> None:
        """`beside` is what a message without content costs from node to node."""
        own, nodes = units_of(problem.graph)[unit], len(problem.nodes)
        layers, nothing = slice(own.first, own.last + 1), np.zeros((1, nodes))
        self.problem = replace(
            problem,
            graph=modules_of(problem.graph)[unit],
            seconds=np.concatenate([nothing, problem.seconds[layers], nothing]),
            allowed=np.concatenate([nothing == 0, problem.allowed[layers], nothing == 0]),
            memory_bytes=np.full(nodes, np.inf),
        )
        self.weights, self.beside = weights, beside
        runs, place = runs_of(problem.graph), np.arange(len(own.layers) + 2) + own.first - 1
        chosen = runs.unit == unit
        self.inside: Bools = (place >= runs.first[chosen, None]) & (place <= runs.last[chosen, None])
        heavy = sorted(
            branches_of(problem.graph).get(unit, ()),
            key=lambda branch: -float(problem.seconds[branch[0] : branch[1] + 1, 0].sum()),
        )[:BRANCHES]
        # Where there are few divisions the client may take part, too, wherever the placement given has the module.
        self.near = np.union1d(near, 0) if len(heavy) < BRANCHES else near
        self._keep(self._divisions([slice(first - own.first + 1, last - own.first + 2) for first, last in heavy]))

    def _divisions(self, branches: list[slice]) -> Placements:
        """The branches on near nodes in every way, all else where the module ends, for every pair of ends."""
        ways = self.near[np.array(list(product(range(len(self.near)), repeat=2 + len(branches))))]
        rows: Placements = np.repeat(ways[:, 1:2], len(self.problem.graph), axis=1)
        rows[:, 0] = ways[:, 0]
        for branch, nodes in zip(branches, ways[:, 2:].T, strict=True):
            rows[:, branch] = nodes[:, None]
        return rows

    def _keep(self, rows: Placements) -> None:
        """Keep the best of some divisions for each pair of ends."""
        rows = np.unique(rows, axis=0)
        rows = rows[np.take_along_axis(self.problem.allowed, rows.T, axis=1).all(axis=0)]
        costs = batch.evaluate(self.problem, rows)
        values = weighed(self.weights, np.array([costs.latency_s, costs.energy_j, costs.money]))
        # The messages that begin and end it are not the module's.
        values = values - self.beside[0, rows[:, 0]] - self.beside[rows[:, -1], 0]
        pair = self._pair(rows)
        order = np.lexsort((values, pair))
        starts = np.flatnonzero(np.diff(pair[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        order = order[rank < KEPT]
        self.rows, self.values = rows[order], values[order]

    def _pair(self, rows: Placements) -> Ints:
        made: Ints = rows[:, 0] * len(self.problem.nodes) + rows[:, -1]
        return made

    def moved(self, pairs: Bools) -> bool:
        """Move each run of layers of what is kept for some pairs of ends, shape (N, N); whether there was any."""
        own, length = np.flatnonzero(pairs[self.rows[:, 0], self.rows[:, -1]]), self.rows.shape[1]
        if not len(own) or not len(self.inside):
            return False
        room = max(1, TRIES // (len(self.inside) * len(self.near)))
        chosen = self.rows[own[np.argsort(self.values[own], kind="stable")[:room]]]
        tries = np.where(self.inside[:, None], self.near[:, None], chosen[:, None, None, :]).reshape(-1, length)
        self._keep(np.concatenate([self.rows, tries]))
        return True

    def best(self, begin: int, end: int, steps: Floats) -> list[int] | None:
        """The best division between two nodes; None where the whole unit is no dearer."""
        own = np.flatnonzero((self.rows[:, 0] == begin) & (self.rows[:, -1] == end))
        if not len(own) or self.values[own[0]] > steps[begin, end]:
            return None
        made: list[int] = self.rows[own[0], 1:-1].tolist()
        return made
