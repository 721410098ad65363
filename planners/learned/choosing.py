"""The best of some ways by the true cost, of the single cuts, and of staying local."""

from __future__ import annotations

from typing import Final

import numpy as np

from layerlift.planners.cost.domination import undominated
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.pieces import ENERGY, LATENCY, MONEY, Sums
from layerlift.planners.cost.single_cuts import NEAR
from layerlift.planners.learned.priced import came_from
from layerlift.planners.problem.problem import Floats, Ints

TRIED: Final = 3
"""Ways that the cost model is asked about at most: the best by sums over pieces, where these are not exact."""
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


def apart_from_walks(judge: Judge) -> list[Placement]:
    """What `best_of` chooses from besides: staying local, and the single cuts that none beats in all terms."""
    cuts = judge.cuts
    terms = np.stack([cuts.latency_s, cuts.energy_j, cuts.money], axis=1)
    return [(0,) * len(judge.problem.graph), *map(cuts.placement, undominated(terms))]


def cheapest(judge: Judge, sums: Sums, ways: Ints) -> Placement:
    """The best placement of some ways alone, the earlier of equals. `ways` has shape (K, P), as of `best_of`."""
    return min((sums.placement(way) for way in _promising(judge, sums, ways)), key=judge.key)


def _promising(judge: Judge, sums: Sums, ways: Ints) -> list[list[int]]:
    """The `TRIED` different ways that are best as far as is known without the cost model, the earlier of equals."""
    wanted = judge.problem.objective
    if not wanted.adds_up:
        ways = ways[_different(ways, len(ways))]
        lengths = sums.facts.last - sums.facts.first + 1
        missed, values = judge.keys(np.repeat(ways, lengths, axis=1))
    else:
        asked = {
            LATENCY: bool(wanted.latency or wanted.deadline_s),
            ENERGY: bool(wanted.energy),
            MONEY: bool(wanted.money or wanted.budget),
        }
        latency_s, energy_j, money = _terms(sums, ways, asked)
        missed, values = judge.ranks(latency_s, energy_j, money, 0.0, np.zeros(len(ways)))
    order = np.lexsort((values, missed))
    if _told_apart(judge, sums):
        # Those that the last bits may put before the others.
        least = values[order[0]]
        order = order[values[order] <= least + NEAR * abs(least)]
    ranked = ways[order]
    made: list[list[int]] = ranked[_different(ranked, TRIED)].tolist()
    return made


def _told_apart(judge: Judge, sums: Sums) -> bool:
    """Whether sums tell ways apart as the cost model does, but for last bits."""
    wanted = judge.problem.objective
    limits = wanted.deadline_s is not None or wanted.budget is not None or judge.problem.tables.limited
    return sums.exact and wanted.adds_up and not limits


def _different(ways: Ints, most: int) -> list[int]:
    """Where each of some ways is first, in order, of at most so many: by a sure policy many are alike."""
    first: dict[bytes, int] = {}
    for number, way in enumerate(ways):
        first.setdefault(way.tobytes(), number)
        if len(first) == most:
            break
    return [*first.values()]


def _terms(sums: Sums, ways: Ints, asked: dict[int, bool]) -> list[Floats]:
    """Seconds, joules and money of ways, shapes (K, P) -> (K,), added from the first piece on; 0 where nobody asks."""
    nodes, (delays, carried) = len(sums.problem.nodes), sums.rates
    steps, pieces = came_from(ways) * nodes + ways, np.arange(ways.shape[1]) * nodes + ways
    made = []
    for term, wanted in asked.items():
        costs: Floats = np.zeros(ways.shape)
        if wanted:
            np.multiply(carried[term].take(steps), sums.moved, out=costs)
            costs += delays[term].take(steps)
            costs += sums.pieces[term].take(pieces)
        made.append(np.cumsum(costs, axis=1)[:, -1])
    return made
