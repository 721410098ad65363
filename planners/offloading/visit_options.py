"""Which visits inside modules are worth a label: those that save something, and that no other beats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from layerlift.planners.cost.pieces import Sums
from layerlift.planners.graphs.excursions import Visits, visiting
from layerlift.planners.graphs.label_bounds import Options, Quantity
from layerlift.planners.graphs.label_search import undominated
from layerlift.planners.problem.problem import Bools, Floats, Ints

Placement = tuple[int, ...]

OPTIONS = 8
"""Visits that one unit may have on one node, for each limited resource."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that is limited: a term of the query, or the memory of a server."""

    quantity: Quantity
    term: int | None = None
    """Which of the terms of `Sums` it is."""
    server: int | None = None
    """Whose memory it is, where it is no term."""

    def added(self, terms: Floats, held: Floats, home: Ints, to: Ints) -> Floats:
        """What visits add to it, when they add `terms` and take `held` bytes along."""
        if self.term is not None:
            made: Floats = terms[self.term]
            return made
        moved: Floats = held * (to == self.server) - held * (home == self.server)
        return moved


class VisitOptions:
    """The visits between some nodes that may be worth their while, by unit."""

    def __init__(self, sums: Sums, weights: Floats, resources: list[Resource], nodes: Iterable[int]) -> None:
        """`nodes` are those that ways are likely to use; `weights` those of the objective's terms."""
        visits = Visits(sums)
        self.runs = runs = visits.runs
        pairs = np.array([(home, to) for home in nodes for to in nodes if home != to], dtype=np.int64).reshape(-1, 2)
        chosen = np.repeat(np.arange(len(runs.first)), len(pairs))
        home, to = np.tile(pairs, (len(runs.first), 1)).T
        legal = visits.allowed[chosen, to] & ~sums.forbidden[runs.unit[chosen], home]
        chosen, home, to = chosen[legal], home[legal], to[legal]
        terms, held = visits.added(chosen, home, to), runs.held[chosen]
        cost = weights @ terms
        used = np.zeros((len(resources), len(chosen)))
        for number, each in enumerate(resources):
            used[number] = each.added(terms, held, home, to)
        kept = _useful(cost, used, runs.unit[chosen] * len(visits.nodes) + home)
        self._run, self._to = chosen[kept], to[kept]
        unit = runs.unit[self._run]
        self.options: dict[int, Options] = {}
        self._of: dict[int, Ints] = {}
        for number in np.unique(unit).tolist():
            own = np.flatnonzero(unit == number)
            self._of[number] = own
            self.options[number] = Options(home[kept][own], cost[kept][own], used[:, kept][:, own])

    def applied(self, placement: Placement, taken: list[int]) -> Placement:
        """`placement` with the option that each unit has taken (-1: none)."""
        for unit, option in enumerate(taken):
            if option >= 0:
                number = int(self._of[unit][option])
                placement = visiting(placement, self.runs, int(self._run[number]), int(self._to[number]))
        return placement


def _useful(cost: Floats, used: Floats, group: Ints) -> Ints:
    """Visits that save something and that no other of their group beats in cost and one resource, at most `OPTIONS`."""
    saving: Bools = (cost < 0.0) | (used < 0.0).any(axis=0)
    chosen = np.flatnonzero(saving)
    order = chosen[np.lexsort((cost[chosen], group[chosen]))]
    if not len(order):
        return order
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    kept: list[Ints] = []
    for first, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
        own = order[first:end]
        for resource in used if len(used) else [np.zeros(len(cost))]:
            # What stays at home costs nothing more and uses nothing more: a visit must beat that too.
            bar = np.where(cost[own] < 0.0, np.inf, 0.0)
            front = own[undominated(resource[None, own], 0.0) & (resource[own] < bar)]
            kept.append(
                front[np.unique(np.linspace(0, len(front) - 1, OPTIONS).astype(np.int64))] if len(front) else own[:0]
            )
    return np.unique(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.int64)
