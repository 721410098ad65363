"""The cheapest way of a network's units through any number of nodes: exact where nothing is limited."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from layerlift.planners.cost.inner_cuts import none_inside_beats
from layerlift.planners.cost.judge import Judge, Rank
from layerlift.planners.cost.pieces import PieceFacts, Sums, cheapest_ways, inner_pieces, whole_pieces
from layerlift.planners.cost.stay import Leaves, Stay, StayGiven, ToldStay, stay_in, stay_of
from layerlift.planners.cost.switches import cheapest_by_switches
from layerlift.planners.graphs.additive import weights_of
from layerlift.planners.graphs.excursions import Visits, visiting
from layerlift.planners.offloading.pipeline import trade_offs
from layerlift.planners.offloading.polishing import polish
from layerlift.planners.offloading.staying import best_over, priced
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Floats, Problem
from layerlift.planners.registry.base import PlannerBase

Placement = tuple[int, ...]


class Units(PlannerBase):
    """Dynamic programming over (unit, node), for any number of servers, in O(units x nodes^2).

    Exact among placements that keep each unit on one node: a unit lies between two single tensors, so that what units
    cost adds up (latency, energy, money; balance, period, coordination and memory paid by the second do not add up and
    are left out). Where the period has a weight the pipelines of least period, and of least latency up to some periods,
    are compared too, and nothing is exact. A second pass may change node inside a module too, where little crosses; the
    best single cut is compared as well; `polish` then tries branches of modules at work at the same time on different
    nodes, by the true cost, which takes a hundred times as long.
    A deadline, a budget and memory are not minimised under (that is `labels`): what breaks them is not taken.

    With `stay_s`, how long the user will stay (`leaves=known`) or stays on average (`exponential`), the upload is
    weighed against what it brings: of the ways at several prices of upload time the one that costs least over the stay.
    `stay_s=known` is the stay that the scenario gives the user, `stay_s=law` what its law says of it.
    """

    def __init__(
        self, inside: bool = True, stay_s: StayGiven = None, leaves: Leaves = "known", polish: bool = False
    ) -> None:
        self.inside, self.polish = inside, polish
        self.stay = stay_of("units", stay_s, leaves)
        self.wants_stay = isinstance(self.stay, ToldStay)

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Bellman, On a routing problem, 1958; units after Jeong et al., IONN, SoCC 2018"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The cheapest way, or all-local where that is no worse."""
        return self.choose(problem, offload)

    def choose(self, problem: Problem, uploaded: Callable[[Placement], Plan]) -> Plan:
        """The same, `uploaded` as it will be: what is best over a stay depends on that."""
        judge, stay = Judge(problem), stay_in(self.stay, problem)
        placed = place(judge, self.inside)
        if self.polish:
            placed = polish(judge, placed)
        if stay is None:
            return uploaded(placed)
        known = [placed, *ways_at_prices(judge, stay, self.inside)]
        return best_over(stay, judge, known, uploaded)


def place(judge: Judge, inside: bool = True) -> Placement:
    """The best of the cheapest ways, the best single cut and staying local (see `Units`)."""
    found = ways(judge, inside)

    def no_cut_beats(rank: Rank) -> bool:
        # A cut between modules is one of the ways over whole units: where the cheapest of these fits, none beats it.
        fits = judge.key(found.placements[0])[0] == 0.0
        return fits and none_inside_beats(rank, found.sums, found.pieces, found.weights)

    return best_of(judge, found.placements, no_cut_beats)


def place_freely(judge: Judge, inside: bool = True) -> Placement:
    """The cheapest way as if nothing were limited."""
    problem, wanted = judge.problem, judge.problem.objective
    endless = np.full(len(problem.nodes), np.inf)
    if wanted.deadline_s is None and wanted.budget is None and not np.isfinite(problem.memory_bytes[1:]).any():
        return place(judge, inside)
    plain = replace(wanted, deadline_s=None, budget=None)
    freely = Judge(replace(problem, memory_bytes=endless, objective=plain))
    # Scales are found among cuts, of which there are more here: terms must weigh what they do in the question asked.
    freely.scales = judge.scales
    return place(freely, inside)


@dataclass(frozen=True, slots=True)
class Ways:
    """Placements that are cheap by the objective without its limits, and what whole units cost by its `weights`."""

    placements: list[Placement]
    sums: Sums
    pieces: Floats
    """Shape (units, N)."""
    weights: Floats
    """Of seconds, joules and money."""


def ways(judge: Judge, inside: bool = True) -> Ways:
    """The cheapest ways over whole units and over pieces of modules."""
    problem, weights = judge.problem, weights_of(judge)
    whole, inner = whole_pieces(problem.graph), inner_pieces(problem.graph)
    sums, fine, nodes = Sums(problem, whole), None, None
    if inside and len(inner.first) > len(whole.first):
        within = Sums(problem, inner)
        found = cheapest_by_switches(*within.weighed(weights))
        fine, nodes = within.placement(found), _where_whole(found, whole, inner)
    pieces = sums.weighed_pieces(weights)
    if nodes is None:
        nodes = cheapest_by_switches(pieces, sums.weighed_steps(weights))
    made = [sums.placement(nodes)]
    if inside:
        made.append(_with_visits(sums, pieces, weights, nodes, made[0]))
    if fine is not None:
        made.append(fine)
    return Ways([*made, *trade_offs(judge, made[0])], sums, pieces, weights)


def _where_whole(nodes: list[int], whole: PieceFacts, inner: PieceFacts) -> list[int] | None:
    """The node of each whole piece on a way over inner ones that never changes inside a whole one; None if it does."""
    there = np.array(nodes)[np.searchsorted(inner.first, whole.first)]
    lengths = np.diff(np.searchsorted(inner.first, whole.first), append=len(nodes))
    return there.tolist() if np.repeat(there, lengths).tolist() == nodes else None


def ways_at_prices(judge: Judge, stay: Stay, inside: bool = True) -> list[Placement]:
    """The cheapest ways over whole units, and over pieces of modules, at several prices of a second of upload."""
    problem, weights = judge.problem, weights_of(judge)
    whole, inner = whole_pieces(problem.graph), inner_pieces(problem.graph)
    made = []
    for facts in (whole, inner) if inside and len(inner.first) > len(whole.first) else (whole,):
        sums = Sums(problem, facts)
        pieces, steps = sums.weighed(weights)
        found = cheapest_ways([(each, steps) for each in priced(sums, pieces, stay)])
        made += [sums.placement(nodes) for nodes in found]
    return made


def _with_visits(sums: Sums, pieces: Floats, weights: Floats, nodes: list[int], placement: Placement) -> Placement:
    """`placement`, which has each unit on its node, with the visit of each unit that saves most, where one does."""
    # Among the nodes that the way uses: a node that no unit is worth is hardly worth a part of one.
    near = np.array(sorted({0, *nodes}))
    visits = Visits(sums)
    runs = visits.runs
    if len(near) < 2 or not len(runs.starts):
        return placement
    for number, to in visits.best(weights, pieces[np.arange(len(nodes)), nodes], np.array(nodes), near):
        placement = visiting(placement, runs, number, to)
    return placement


def best_of(
    judge: Judge, placements: list[Placement], no_cut_beats: Callable[[Rank], bool] = lambda rank: False
) -> Placement:
    """The best of some placements, of the single cuts and of staying local; the earlier of equals.

    `no_cut_beats` may know that no single cut ranks below what was found without them.
    """
    best, key = (0,) * len(judge.problem.graph), judge.local_key
    for placement in dict.fromkeys(placements):
        if (found := judge.key(placement)) < key:
            best, key = placement, found
    if no_cut_beats(key):
        return best
    cut = judge.best_cut()
    return cut[1] if cut is not None and cut[0] < key else best
