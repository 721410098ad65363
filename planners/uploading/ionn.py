"""IONN: shortest paths under a falling penalty on the upload decide what is uploaded, and in what order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from layerlift.models.errors import PlanError
from layerlift.planners import cost
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.single_cuts import NEAR
from layerlift.planners.graphs.additive import Additive, leaning
from layerlift.planners.graphs.chain import Chain
from layerlift.planners.graphs.unit_costs import UnitCosts
from layerlift.planners.problem.plan import Plan, Upload, all_local, uploads_of
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase
from layerlift.planners.uploading.sharing import regrouped

BISECTIONS = 40
"""Halvings that find the least penalty under which a placement fits into memory."""

HIGHEST_PENALTY = 1e12
"""Above it a penalty is taken to have no effect."""


def penalty_list(rule: Literal["eight", "loop", "code"], factor: float) -> tuple[float, ...]:
    """The falling penalties p that multiply upload costs.

    `eight` is Shin's account of the released version: 1, K, K^2 ... in seven steps and then exactly 0. `loop` is
    the paper's Algorithm 1: K^n while at least 0.01, without the 0. `code` is the public code: K^n down to
    0.001, then 0. Raises `PlanError` unless 0 < factor < 1.
    """
    if not 0.0 < factor < 1.0:
        raise PlanError(
            f"ionn: factor={factor} was given, expected a number between 0 and 1 (the paper has 0.1 and 0.5)"
        )
    least = {"eight": 0.0, "loop": 0.01, "code": 0.001}[rule]
    made: list[float] = []
    power = 1.0
    while power >= least and (rule != "eight" or len(made) < 7):
        made.append(power)
        power *= factor
    return tuple(made) if rule == "loop" else (*made, 0.0)


def best_units(chain: Chain, penalty: float) -> tuple[int, ...]:
    """The units on the shortest path at `penalty`, or at the least higher penalty whose placement fits in memory."""
    problem = chain.additive.problem
    chosen = chain.shortest_path(penalty)
    if cost.fits(problem, chain.placement(chosen)):
        return chosen
    low, high = penalty, max(1.0, penalty)
    while not cost.fits(problem, chain.placement(chain.shortest_path(high))):
        low, high = high, high * 16.0
        if high > HIGHEST_PENALTY:
            return _trimmed(chain, chosen)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        if cost.fits(problem, chain.placement(chain.shortest_path(middle))):
            high = middle
        else:
            low = middle
    return chain.shortest_path(high)


def _trimmed(chain: Chain, chosen: tuple[int, ...]) -> tuple[int, ...]:
    """`chosen` without its largest units, as few as let it fit: for uploads that cost nothing, whatever the penalty."""
    left = sorted(chosen, key=lambda index: (chain.held(index), index))
    while left and not cost.fits(chain.additive.problem, chain.placement(left)):
        left.pop()
    return tuple(sorted(left))


def best_chain(problem: Problem, penalty: float) -> tuple[Chain, tuple[int, ...]] | None:
    """The chain towards the best single server and its units to move, or None where nothing beats all-local."""
    judge = Judge(problem)
    costs = UnitCosts(Additive(problem, judge))
    found = [(chain, best_units(chain, penalty)) for chain in Chain.towards_all(costs)]
    if _adds_up(judge, costs):
        found = _cheapest(found)
    best: tuple[Chain, tuple[int, ...]] | None = None
    best_key = judge.local_key
    for own, units in found:

        def search(additive: Additive, own: Chain = own, units: tuple[int, ...] = units) -> tuple[int, ...]:
            if additive is own.additive:
                return own.placement(units)
            chain = Chain(additive, own.target)
            return chain.placement(best_units(chain, penalty))

        placement = leaning(problem, judge, search, costs.additive)
        if (key := judge.key(placement)) < best_key:
            chosen = tuple(k for k, unit in enumerate(own.units) if any(placement[unit.first : unit.last + 1]))
            best, best_key = (own, chosen), key
    return best


def _adds_up(judge: Judge, costs: UnitCosts) -> bool:
    """Whether chains that are exact are ranked by what their ways cost: nothing but sums is wanted, and no limit."""
    wanted = judge.problem.objective
    more = wanted.balance or wanted.period or wanted.coordination
    plain = wanted.deadline_s is None and wanted.budget is None and not more
    weights = (wanted.latency, wanted.energy, wanted.money)
    held_free = not (wanted.money and judge.problem.price_per_byte_s.any())
    return plain and min(weights) >= 0.0 and any(weights) and held_free and costs.facts.sequential


def _cheapest(found: list[tuple[Chain, tuple[int, ...]]]) -> list[tuple[Chain, tuple[int, ...]]]:
    """The chains that sums leave in question: the cheapest, what is within rounding of it, and what is not exact."""
    spent = [chain.cost(units) for chain, units in found]
    exact = [cost for cost, (chain, _) in zip(spent, found, strict=True) if chain.exact]
    least = min(exact, default=0.0)
    return [
        each for cost, each in zip(spent, found, strict=True) if not each[0].exact or cost <= least + NEAR * abs(least)
    ]


def sent_as_divided(_: Problem, placement: Sequence[int], parts: Sequence[Iterable[int]]) -> tuple[Upload, ...]:
    """The parts as they were divided, one for each server."""
    return uploads_of(placement, parts)


def planned_uploads(
    problem: Problem,
    penalty: float,
    divide: Callable[[Chain, frozenset[int]], Iterable[Iterable[int]]],
    order: Callable[[Problem, Sequence[int], Sequence[Iterable[int]]], tuple[Upload, ...]] = sent_as_divided,
) -> Plan:
    """Choose P1 towards the best server by the shortest path at `penalty`, then `divide` its units into parts.

    `order` makes uploads of the parts.
    """
    found = best_chain(problem, penalty)
    if found is None:
        return all_local(problem)
    chain, chosen = found
    placement = chain.placement(chosen)
    parts = [chain.layers(part) for part in divide(chain, frozenset(chosen))]
    return Plan(placement, order(problem, placement, parts))


class Ionn(PlannerBase):
    """IONN's partitioning (Algorithm 1): the layers that newly join the shortest path form the next part.

    Alone it plans towards the best single server: P1 is the path at the last penalty, and a layer that leaves the
    path again is not uploaded. After another planner's P1 it divides that across all its servers, each unit being
    on the client or where P1 has it; units that no path takes form the last part. `penalties` and `factor` are
    explained at `penalty_list`. Branching modules move as one unit. With `shared`, parts that follow each other are
    sent as one where queries that share the link lose less by it (`layerlift.planners.uploading.sharing`).
    """

    multi_server = False

    def __init__(
        self, penalties: Literal["eight", "loop", "code"] = "eight", factor: float = 0.5, shared: bool = False
    ) -> None:
        self.penalties = penalty_list(penalties, factor)
        self.order = regrouped if shared else sent_as_divided

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Jeong, Lee, Shin, Moon, IONN, SoCC 2018, doi:10.1145/3267809.3267828"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """P1 on the best server, in the order in which the falling penalty admits its layers."""
        return planned_uploads(problem, self.penalties[-1], self._divide, self.order)

    def upload(self, problem: Problem, placement: Sequence[int], rng: random.Random) -> tuple[Upload, ...]:
        """The given P1, in the order in which the falling penalty admits its layers, the never admitted last."""
        chain = Chain(Additive(problem), placement)
        movable = frozenset(int(index) for index in chain.movable.nonzero()[0])
        return self.order(problem, placement, [chain.layers(part) for part in self._divide(chain, movable)])

    def _divide(self, chain: Chain, wanted: frozenset[int]) -> list[frozenset[int]]:
        left = wanted
        parts: list[frozenset[int]] = []
        for penalty in self.penalties:
            joined = left.intersection(chain.shortest_path(penalty))
            if joined:
                parts.append(joined)
                left -= joined
        return [*parts, left] if left else parts
