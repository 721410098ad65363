"""What sums over units cannot see: branches of a module at work at the same time on different nodes.

Where costs add up over units each module is searched alone, from and to every pair of near nodes, and a shortest path
joins the modules (`layerlift.planners.offloading.divided`). Then a local search by the true cost model: where that has
found nothing the branches of each module are divided among a few near nodes in every way, and single runs of layers
move; what improves in different modules is taken together, and again until nothing improves.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Final

import numpy as np

from layerlift.models.sums import int_sum
from layerlift.planners.cost.judge import Judge, Rank
from layerlift.planners.cost.units import units_of
from layerlift.planners.graphs.branches import branches_of
from layerlift.planners.graphs.excursions import runs_of
from layerlift.planners.graphs.unit_costs import unit_facts
from layerlift.planners.offloading.divided import divided
from layerlift.planners.problem.problem import Ints

Placement = tuple[int, ...]
Tries = Callable[[Judge, Ints], tuple[Ints, Ints]]
"""Placements that differ from a given one in one unit each, shape (P, L), and which unit that is, shape (P,)."""

BRANCHES: Final = 4
"""Branches of a module that are divided: those with most work."""
NEAR: Final = 4
"""Nodes that they are divided among: where the module ends, and the best others."""
ROUNDS: Final = 6
"""Of each kind of move at most."""


def polish(judge: Judge, placement: Placement) -> Placement:
    """`placement`, or a better one that has modules divided; takes a tenth of a second and more."""
    best, wanted = np.array(placement, dtype=np.int64), judge.problem.objective
    moves: tuple[Tries, ...] = (_divided, _moved)
    if unit_facts(judge.problem.graph).sequential and not wanted.balance and not wanted.period:
        found = divided(judge, placement)
        if judge.key(found) < judge.key(placement):
            best, moves = np.array(found, dtype=np.int64), (_moved,)
    for tries in moves:
        best = _improved(judge, best, tries)
    return tuple(best.tolist())


def _improved(judge: Judge, placement: Ints, tries: Tries) -> Ints:
    """The same after as many rounds of `tries` as help."""
    best, key = placement, judge.key(tuple(placement.tolist()))
    for _ in range(ROUNDS):
        rows, units = tries(judge, best)
        if not len(rows):
            break
        found = _together(judge, best, key, rows, units)
        if found is None:
            break
        best, key = found
    return best


def _together(judge: Judge, before: Ints, key: Rank, rows: Ints, units: Ints) -> tuple[Ints, Rank] | None:
    """What is best in each unit, all at once; or what is best of all alone, where that is better. None: nothing is."""
    missed, values = judge.keys(rows)
    order = np.lexsort((values, missed))
    better = [row for row in order.tolist() if (float(missed[row]), float(values[row])) < key]
    if not better:
        return None
    joined, seen = before.copy(), set[int]()
    for row in better:
        if int(units[row]) not in seen:
            seen.add(int(units[row]))
            joined = np.where(rows[row] != before, rows[row], joined)
    # The scalar cost decides: sums in another order may differ in the last digit, and a search must not go in circles.
    ranked = [(judge.key(tuple(made.tolist())), at, made) for at, made in enumerate((joined, rows[better[0]]))]
    found, _, made = min(ranked, key=lambda each: each[:2])
    return (made, found) if found < key else None


def _divided(judge: Judge, placement: Ints) -> tuple[Ints, Ints]:
    """The branches of each module on near nodes, in every way."""
    problem = judge.problem
    rows, units = [], []
    for unit, branches in branches_of(problem.graph).items():
        heavy = sorted(branches, key=lambda branch: -float(problem.seconds[branch[0] : branch[1] + 1, 0].sum()))
        for nodes in product(_near(judge, placement, unit), repeat=len(heavy[:BRANCHES])):
            made = placement.copy()
            for (first, last), node in zip(heavy, nodes, strict=False):
                made[first : last + 1] = node
            rows.append(made)
            units.append(unit)
    return _changed(placement, rows, units)


def _near(judge: Judge, placement: Ints, unit: int) -> list[int]:
    """Where the unit ends, and the nodes that could do all of it soonest if what enters came from there."""
    problem, whole = judge.problem, units_of(judge.problem.graph)[unit]
    home = int(placement[whole.last])
    entering = int_sum(problem.graph.tensors[tensor].bytes for tensor in whole.entering)
    taken_s = problem.seconds[whole.first : whole.last + 1].sum(axis=0) * problem.slowdown
    carried_s = entering / problem.bandwidth_bytes_s[home] + problem.latency_s[home]
    carried_s[home] = 0.0
    ranked = np.argsort(taken_s + carried_s, kind="stable").tolist()
    return [home, *(node for node in ranked if node != home)][:NEAR]


def _moved(judge: Judge, placement: Ints) -> tuple[Ints, Ints]:
    """Each run of a module's layers on each node that the placement uses."""
    runs, layer = runs_of(judge.problem.graph), np.arange(len(placement))
    inside = (layer >= runs.first[:, None]) & (layer <= runs.last[:, None])
    rows: list[Ints] = []
    units: list[int] = []
    for node in np.unique(placement).tolist():
        rows.extend(np.where(inside, node, placement))
        units.extend(runs.unit.tolist())
    return _changed(placement, rows, units)


def _changed(placement: Ints, rows: list[Ints], units: list[int]) -> tuple[Ints, Ints]:
    """Those that differ from `placement`, each once."""
    known: dict[bytes, int] = {placement.tobytes(): -1}
    chosen = [at for at, row in enumerate(rows) if known.setdefault(row.tobytes(), at) == at]
    return np.array([rows[at] for at in chosen]), np.array([units[at] for at in chosen], dtype=np.int64)
