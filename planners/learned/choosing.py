"""The best of some ways by the true cost, of the single cuts, and of staying local."""

from __future__ import annotations

from typing import Final

import numpy as np

from layerlift.planners.cost.judge import Judge
from layerlift.planners.graphs.pieces import ENERGY, LATENCY, MONEY, Sums
from layerlift.planners.learned.priced import came_from
from layerlift.planners.problem.problem import Floats, Ints

TRIED: Final = 3
"""Ways that the cost model is asked about: the best by sums over pieces, which are exact but for modules at an end."""
Placement = tuple[int, ...]


def best_of(judge: Judge, sums: Sums, ways: Ints) -> Placement:
    """The best placement. `ways` has shape (K, P): the problem's node of each piece."""
    best, key = (0,) * len(judge.problem.graph), judge.local_key
    for way in _promising(judge, sums, ways):
        placement = sums.placement(way)
        if (found := judge.key(placement)) < key:
            best, key = placement, found
    cut = judge.best_cut()
    return cut[1] if cut is not None and cut[0] < key else best


def cheapest(judge: Judge, sums: Sums, ways: Ints) -> Placement:
    """The best placement of some ways alone, the earlier of equals. `ways` has shape (K, P), as of `best_of`."""
    return min((sums.placement(way) for way in _promising(judge, sums, ways)), key=judge.key)


def _promising(judge: Judge, sums: Sums, ways: Ints) -> list[list[int]]:
    """The `TRIED` ways that are best as far as is known without the cost model, the earlier of equals first."""
    wanted = judge.problem.objective
    if wanted.balance or wanted.period:
        lengths = sums.facts.last - sums.facts.first + 1
        missed, values = judge.keys(np.repeat(ways, lengths, axis=1))
    else:
        latency_s = _term(sums, ways, LATENCY, bool(wanted.latency or wanted.deadline_s))
        energy_j = _term(sums, ways, ENERGY, bool(wanted.energy))
        money = _term(sums, ways, MONEY, bool(wanted.money or wanted.budget))
        missed, values = judge.ranks(latency_s, energy_j, money, 0.0, np.zeros(len(ways)))
    chosen: dict[bytes, list[int]] = {}
    for at in np.lexsort((values, missed)).tolist():
        chosen.setdefault(ways[at].tobytes(), ways[at].tolist())
        if len(chosen) == TRIED:
            break
    return list(chosen.values())


def _term(sums: Sums, ways: Ints, term: int, asked: bool) -> Floats:
    """Seconds, joules or money of ways, shapes (K, P) -> (K,), added from the first piece on; 0 where nobody asks."""
    if not asked:
        return np.zeros(len(ways))
    delays, carried = sums.rates
    each, before = np.arange(ways.shape[1]), came_from(ways)
    steps = delays[term][before, ways] + carried[term][before, ways] * sums.moved
    made: Floats = np.cumsum(steps + sums.pieces[term][each, ways], axis=1)[:, -1]
    return made
