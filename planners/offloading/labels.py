"""The cheapest way under a deadline, a budget and memory that have ends: exact among placements of whole units."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.pieces import (
    ENERGY,
    LATENCY,
    MONEY,
    PieceFacts,
    Sums,
    cheapest_way,
    inner_pieces,
    whole_pieces,
)
from layerlift.planners.cost.stay import Leaves, Stay, StayGiven, ToldStay, stay_in, stay_of
from layerlift.planners.graphs.additive import weights_of
from layerlift.planners.graphs.label_bounds import WITHIN, Quantity
from layerlift.planners.graphs.label_search import LabelSearch
from layerlift.planners.graphs.unit_costs import unit_facts
from layerlift.planners.offloading import lagrangian
from layerlift.planners.offloading.polishing import polish
from layerlift.planners.offloading.staying import best_over, priced
from layerlift.planners.offloading.units import Placement, best_of, place_freely, ways_at_prices
from layerlift.planners.offloading.visit_options import Resource, VisitOptions
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Floats, Problem
from layerlift.planners.registry.base import PlannerBase

LOOKED = 12
"""Finished ways that the cost model looks at: the cheapest; more only where sums and model differ at a limit."""

FIRST = 16
"""Labels at a node of a first search, whose answer leaves the second less to look at."""

HALVINGS = 12
"""Halvings of the price of memory that find a good way to begin with."""

FACTORS = (1.0, 0.6, 1.7)
"""Of the price that bounds best at the beginning, those that are tried on every label."""

STEPS = 30
"""At most so many ways between two that lie on either side of a limit; a handful is usual."""

DEAREST = 4.0**10
"""A price, in what the whole network costs at home, beyond which no price is taken to help."""


class Labels(PlannerBase):
    """Label setting over units: the least of the objective within deadline, budget and every server's memory.

    Exact among placements that keep each unit on one node, as long as no node needs more than `most` labels (the note
    says when one did); without limits it is `units`. With `inside` the network may also be cut inside modules where
    little crosses, and runs of a module's layers may visit another node; `polish` is that of `units`. Where nothing
    keeps the limits it answers what misses them by least of all that it has seen. `stay_s` and `leaves` are those of
    `units`: the ways at several prices of upload time, and of what is limited, are weighed over the stay.
    """

    def __init__(
        self,
        most: int = 400,
        inside: bool = True,
        stay_s: StayGiven = None,
        leaves: Leaves = "known",
        polish: bool = False,
    ) -> None:
        if most < 1:
            raise PlanError(f"labels: most={most} was given, expected at least 1 label at each node")
        self.most, self.inside, self.polish = most, inside, polish
        self.stay = stay_of("labels", stay_s, leaves)
        self.wants_stay = isinstance(self.stay, ToldStay)

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Hansen, Bicriterion path problems, 1980; bounds after Dumitrescu and Boland, Networks 42(3), 2003"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The cheapest way within the limits, or all-local where that is no worse."""
        return self.choose(problem, offload)

    def choose(self, problem: Problem, uploaded: Callable[[Placement], Plan]) -> Plan:
        """The same, `uploaded` as it will be: what is best over a stay depends on that."""
        judge, stay = Judge(problem), stay_in(self.stay, problem)
        placement, complete = place(judge, self.most, self.inside)
        if self.polish:
            placement = polish(judge, placement)
        plan = uploaded(placement) if stay is None else over_stay(stay, judge, placement, self.inside, uploaded)
        note = "" if complete else f"labels: some were left out, beyond {self.most} at a node"
        return replace(plan, note=note) if note else plan


def over_stay(
    stay: Stay, judge: Judge, placement: Placement, inside: bool, uploaded: Callable[[Placement], Plan]
) -> Plan:
    """The plan that costs least over a stay: of a placement, ways at prices of upload time, and of what is limited."""
    known = [placement, *ways_at_prices(judge, stay, inside), *_limited_ways(judge, stay)]
    return best_over(stay, judge, known, uploaded)


def place(judge: Judge, most: int = 400, inside: bool = True) -> tuple[Placement, bool]:
    """The best way found, and whether the labels of whole units were all looked at (see `Labels`)."""
    found, complete = place_freely(judge, inside), True
    graph = judge.problem.graph
    if judge.key(found)[0] > 0.0:
        whole, inner = whole_pieces(graph), inner_pieces(graph)
        found, complete = within_limits(judge, whole, best_of(judge, [found]), most, inside)
        if inside and len(inner.first) > len(whole.first):
            found, _ = within_limits(judge, inner, found, most, False)
    if not _adds_up(judge.problem) or not (complete or _limits(judge.problem) == 1):
        # Where sums are not all, another search may see what this one cannot. Under one limit it sees the ways that
        # are cheapest at some price, and those have been seen.
        found = _better(judge, [found, judge.or_local(lagrangian.place(judge))])
    return found, complete


def _adds_up(problem: Problem) -> bool:
    """Whether sums over units are what a query costs, but for a price on memory held."""
    wanted = problem.objective
    return unit_facts(problem.graph).sequential and not (wanted.balance or wanted.period or wanted.coordination)


def _limits(problem: Problem) -> int:
    """How many things may run out."""
    wanted, total = problem.objective, problem.graph.held_bytes(range(len(problem.graph)))
    short = int(np.count_nonzero(problem.memory_bytes[1:] < total))
    return (wanted.deadline_s is not None) + (wanted.budget is not None) + short


def _limited_ways(judge: Judge, stay: Stay) -> list[Placement]:
    """Ways at prices of upload time and of what is limited."""
    sums = Sums(judge.problem, whole_pieces(judge.problem.graph))
    resources = resources_of(sums)
    if not resources:
        return []
    pieces, steps = sums.weighed(weights_of(judge))
    made: list[Placement] = []
    for each in priced(sums, pieces, stay):
        made.extend(_by_prices(judge, sums, Quantity(each, steps), resources)[0])
    return made


def within_limits(judge: Judge, facts: PieceFacts, known: Placement, most: int, visits: bool) -> tuple[Placement, bool]:
    """The best of `known` and the ways over pieces within the limits; and whether labels were complete.

    `visits` are looked at too, where pieces are units.
    """
    sums, weights = Sums(judge.problem, facts), weights_of(judge)
    objective = Quantity(*sums.weighed(weights))
    resources = resources_of(sums)
    found, prices = _by_prices(judge, sums, objective, resources)
    best = _better(judge, [known, *found])
    nodes = sorted({0, *(node for placement in (best, *found) for node in placement)})
    options = VisitOptions(sums, weights, resources, nodes) if visits else None
    search = LabelSearch(
        objective,
        [each.quantity for each in resources],
        most,
        prices=np.concatenate([prices * factor for factor in FACTORS]),
        options=options.options if options else {},
    )
    # Where sums are not all, more must be left for the cost model to choose from.
    exact = facts is whole_pieces(judge.problem.graph) and _adds_up(judge.problem)
    beyond = _beyond(judge.problem, weights) if exact else np.inf
    complete = True
    for room in dict.fromkeys((min(FIRST, most), most)):
        beat = _bar(judge, sums, objective, weights, best)
        made = search.run(beat + abs(beat) * 1e-9, room, beyond)
        finished = [sums.placement(nodes) for nodes in made.nodes[:LOOKED].tolist()]
        if options is not None:
            taken = made.options[:LOOKED].tolist()
            finished += [options.applied(placement, each) for placement, each in zip(finished, taken, strict=True)]
        best, complete = _better(judge, [best, *finished]), made.complete
        if complete:
            break
    return best, complete


def resources_of(sums: Sums) -> list[Resource]:
    """The limits of a problem, as quantities of which ways may use so much."""
    problem, wanted = sums.problem, sums.problem.objective
    made = []
    for limit, term in ((wanted.deadline_s, LATENCY), (wanted.budget, MONEY)):
        if limit is not None:
            made.append(Resource(Quantity(*sums.weighed(np.eye(3)[term]), limit), term=term))
    total = float(sums.facts.held.sum())
    nowhere = np.zeros((1, len(problem.nodes), len(problem.nodes)))
    for server in problem.servers:
        room = float(problem.memory_bytes[server])
        if room < total:
            held = np.zeros((len(sums.facts.held), len(problem.nodes)))
            held[:, server] = sums.facts.held
            made.append(Resource(Quantity(held, nowhere, room), server=server))
    return made


def _better(judge: Judge, placements: list[Placement]) -> Placement:
    """The best of some placements, the first of equals."""
    return min(dict.fromkeys(placements), key=judge.key)


def _cost(sums: Sums, quantity: Quantity, placement: Placement) -> float:
    """What a placement costs by sums; infinite where it splits a piece."""
    nodes = np.array(placement)[sums.facts.first].tolist()
    return quantity.of(nodes) if sums.placement(nodes) == placement else np.inf


def _bar(judge: Judge, sums: Sums, objective: Quantity, weights: Floats, best: Placement) -> float:
    """What a way may cost by sums to be better than `best`; infinite where sums cannot tell.

    Money adds up however a query overlaps, and what is paid for memory held is on top of sums.
    """
    if judge.key(best)[0] > 0.0:
        return np.inf
    if not weights[[LATENCY, ENERGY]].any():
        return float(weights[MONEY]) * judge.cost(best).money
    return _cost(sums, objective, best)


def _beyond(problem: Problem, weights: Floats) -> float:
    """What a way that keeps the limits may cost at most on top of sums: memory held from its start to its end."""
    dearest = float(weights[MONEY] * problem.price_per_byte_s.max())
    if not dearest:
        return 0.0
    deadline_s = problem.objective.deadline_s
    held = problem.graph.held_bytes(range(len(problem.graph)))
    return np.inf if deadline_s is None else dearest * held * deadline_s * (1.0 + WITHIN)


def _by_prices(
    judge: Judge, sums: Sums, objective: Quantity, resources: list[Resource]
) -> tuple[list[Placement], Floats]:
    """Ways that are cheapest at some price of one term, or of memory; and the prices of terms that bound best.

    The latter of shape (terms, resources): each row prices one term alone.
    """
    terms = [each.quantity for each in resources if each.term is not None]
    memory = [each.quantity for each in resources if each.term is None]
    found: list[Placement] = []
    prices = np.zeros((len(terms), len(resources)))
    for number, term in enumerate(terms):
        made, prices[number, number] = _at_one_limit(sums, objective, term)
        found.extend(made)
    return found + (_one_price(judge, sums, objective, memory) if memory else []), prices


def _at_one_limit(sums: Sums, objective: Quantity, limited: Quantity) -> tuple[list[Placement], float]:
    """The ways that are cheapest at some price of a resource, around its limit; and the price that bounds best.

    The price of two ways on either side of the limit is that at which both are equally good: a way that is better
    there takes the place of one of them, until there is none. 0 where the limit does not bind or cannot be kept.
    """
    cheap = _way(objective, limited, objective)
    quick = _way(objective, limited, limited)
    price, found = 0.0, [cheap.nodes, quick.nodes]
    if cheap.used > limited.limit and quick.used <= limited.limit * (1.0 + WITHIN):
        for _ in range(STEPS):
            price = max(0.0, quick.cost - cheap.cost) / (cheap.used - quick.used)
            if not price:
                break  # the quick way is as cheap as any
            mixed = Quantity(objective.pieces + price * limited.pieces, objective.steps + price * limited.steps)
            between = _way(objective, limited, mixed)
            if between.priced(price) >= quick.priced(price) * (1.0 - WITHIN):
                break
            found.append(between.nodes)
            cheap, quick = (between, quick) if between.used > limited.limit else (cheap, between)
    return [sums.placement(nodes) for nodes in found], price


@dataclass(frozen=True, slots=True)
class _Way:
    """A way by sums: the node of each piece, what it costs, and what it uses of a resource."""

    nodes: list[int]
    cost: float
    used: float

    def priced(self, price: float) -> float:
        return self.cost + price * self.used


def _way(objective: Quantity, limited: Quantity, weighed: Quantity) -> _Way:
    """The way that is cheapest as `weighed`."""
    nodes = cheapest_way(weighed.pieces, np.broadcast_to(weighed.steps, objective.steps.shape))
    return _Way(nodes, objective.of(nodes), limited.of(nodes))


def _one_price(judge: Judge, sums: Sums, objective: Quantity, limited: list[Quantity]) -> list[Placement]:
    """The ways at rising prices of some resources that are limited together."""
    pieces, steps = np.zeros_like(objective.pieces), np.zeros_like(objective.steps)
    for each in limited:
        share = max(each.limit, 1e-30)
        pieces, steps = pieces + each.pieces / share, steps + each.steps / share
    found: list[Placement] = []

    def fits(price: float) -> bool:
        nodes = cheapest_way(objective.pieces + price * pieces, objective.steps + price * steps)
        found.append(sums.placement(nodes))
        return judge.key(found[-1])[0] == 0.0

    at_home = float(objective.pieces[:, 0].sum()) or 1.0
    low, high = 0.0, at_home
    while not fits(high):
        low, high = high, high * 4.0
        if high > at_home * DEAREST:
            return found
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if fits(middle) else (middle, high)
    return found
