"""What makes one placement better than another: the objective, normalised, under a deadline and a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, TypeVar, overload

import numpy as np

from layerlift.models.sums import int_sum
from layerlift.planners.cost import batch, query
from layerlift.planners.cost.batch import Placements
from layerlift.planners.cost.coordination import Spans, spans_of
from layerlift.planners.cost.holdings import held_on
from layerlift.planners.cost.single_cuts import NEAR, CutCosts
from layerlift.planners.problem.problem import Floats, Ints, Problem

Quantity = TypeVar("Quantity", float, Floats)

Term = Literal["latency", "energy", "money", "period"]

NOTHING = 1e-30
"""A term below it (seconds, joules, money) is zero: nothing is divided by it."""

Rank = tuple[float, float]
"""(violation, value): smaller is better, and any feasible placement (violation 0) beats any infeasible one."""


@dataclass(frozen=True, slots=True)
class Scales:
    """What each term of the objective is divided by: the larger of its all-local and best-single-cut values.

    The best single cut is the one of least latency among all servers'. A term that is zero in both keeps its unit.
    """

    latency: float
    energy: float
    money: float
    balance: float
    period: float


class Staying(Protocol):
    """A stay, see `layerlift.planners.cost.stay`."""

    def missed(self, upload_s: float) -> float:
        """The share of the stay, 0 to 1, that is over before an upload of so many seconds is."""
        ...


KEPT = 128
"""Placements that a judge remembers."""


@dataclass(slots=True)
class _Asked:
    """What a placement costs, and its rank once that was asked for."""

    cost: query.Cost
    rank: Rank | None = None


class Judge:
    """Compares placements of one problem; make it once and ask it often.

    The value of a placement is the weighted sum of its terms, each over its scale. A deadline and a budget follow
    Lin's three-way comparison (TII 16(8):5456): of two feasible placements the lower value wins, a feasible one
    beats an infeasible one, and of two infeasible ones the one that misses by less wins. With a deadline alone
    that is the lower completion time; with both, the relative misses are added.

    With a `stay`, `key` and `keys` are means over it: all is done at home until all parameters are where they belong,
    over idle links, and as placed from then on. `rank`, `ranks` and single cuts know nothing of it.
    """

    def __init__(self, problem: Problem, stay: Staying | None = None) -> None:
        self.problem = problem
        self.stay = stay
        self._asked: dict[tuple[int, ...], _Asked] = {}
        """What was asked of late, at most `KEPT`: searches ask twice what they have found, and often find a cut."""

    @cached_property
    def cuts(self) -> CutCosts:
        """Every single cut towards every server, and what it costs to the last bits but a few."""
        return CutCosts(self.problem)

    @cached_property
    def local(self) -> query.Cost:
        """What keeping everything on the client costs."""
        return query.evaluate(self.problem, (0,) * len(self.problem.graph))

    @cached_property
    def local_key(self) -> Rank:
        """The rank of keeping everything on the client."""
        return self._rank_of(self.local)

    @cached_property
    def spans(self) -> Spans:
        """Between what and what the terms lie that are to go together."""
        return spans_of(self.problem)

    @cached_property
    def scales(self) -> Scales:
        """See `Scales`."""
        best = local = self.local
        if len(self.cuts):
            best = self.cost(self.cut_of_least("latency")[1])
        return Scales(
            latency=_unit(local.latency_s, best.latency_s),
            energy=_unit(local.energy_j, best.energy_j),
            money=_unit(local.money, best.money),
            balance=_unit(local.balance, best.balance),
            period=_unit(local.period_s, best.period_s),
        )

    def best_cut(self, server: int | None = None) -> tuple[Rank, tuple[int, ...]] | None:
        """The best single cut (towards `server`), the first of equals, after its rank; None where there is none.

        Sums narrow the choice down (see `layerlift.planners.cost.single_cuts`), the cost model makes it.
        """
        cuts = self.cuts
        among = None if server is None else np.flatnonzero(cuts.server == server)
        if not len(cuts if among is None else among):
            return None
        looked = [(self._cut_rank(number), number) for number in self._in_question(among).tolist()]
        rank, number = min(looked)
        return rank, cuts.placement(number)

    def cut_of_least(self, term: Term) -> tuple[float, tuple[int, ...]]:
        """The least that a single cut costs in one term, and the first cut that does; there must be one."""
        values = term_of(self.cuts, term)
        near = np.flatnonzero(values <= values.min() * (1.0 + NEAR)).tolist()
        found = [(term_of(self.cost(self.cuts.placement(each)), term), each) for each in near]
        least, number = min(found)
        return least, self.cuts.placement(number)

    def _cut_rank(self, number: int) -> Rank:
        return self._rank_of(self.cost(self.cuts.placement(number)))

    def cost(self, placement: tuple[int, ...]) -> query.Cost:
        """What a placement costs."""
        return self._known(placement).cost

    def _known(self, placement: tuple[int, ...]) -> _Asked:
        known = self._asked.get(placement)
        if known is None:
            if len(self._asked) == KEPT:
                self._asked.clear()
            known = self._asked[placement] = _Asked(query.evaluate(self.problem, placement))
        return known

    def _in_question(self, among: Ints | None) -> Ints:
        """Which of some cuts (None: of all) may be the best one, as far as sums tell."""
        cuts, wanted, scales = self.cuts, self.problem.objective, self.divisors
        terms: tuple[tuple[float, Callable[[], Floats], float], ...] = (
            (wanted.latency, lambda: cuts.latency_s, scales.latency),
            (wanted.energy, lambda: cuts.energy_j, scales.energy),
            (wanted.money, lambda: cuts.money, scales.money),
            (wanted.balance, lambda: cuts.balance, scales.balance),
            (wanted.period, lambda: cuts.period_s, scales.period),
            (wanted.coordination, lambda: self.lacking(cuts.latency_s, cuts.energy_j, cuts.money), 1.0),
        )
        values = np.zeros(1)
        for weight, of_cuts, scale in terms:
            if weight:
                values = values + weight * _of(of_cuts(), among) / scale
        if not any(weight for weight, _, _ in terms):
            values = np.zeros(len(cuts if among is None else among))
        chosen = self._sure(values, among)
        return chosen if among is None else among[chosen]

    def _sure(self, values: Floats, among: Ints | None) -> Ints:
        """Which cuts of these values may be the best one, given how far they keep the limits."""
        wanted = self.problem.objective
        if wanted.deadline_s is None and wanted.budget is None:
            best = values.min()
            return np.flatnonzero(values <= best + NEAR * abs(best))
        missed, sure = np.zeros(len(values)), np.ones(len(values), dtype=np.bool_)
        limits: tuple[tuple[float | None, Term], ...] = ((wanted.deadline_s, "latency"), (wanted.budget, "money"))
        for limit, used in limits:
            if limit is not None:
                spent = _of(term_of(self.cuts, used), among)
                missed += np.maximum(0.0, spent / limit - 1.0)
                sure &= spent <= limit * (1.0 - NEAR)
        if missed.min() > NEAR:
            return np.flatnonzero(missed <= missed.min() + NEAR * (1.0 + missed.min()))
        best = values[sure].min() if sure.any() else np.inf
        return np.flatnonzero((missed <= NEAR) & (values <= best + NEAR * abs(best)))

    @cached_property
    def divisors(self) -> Scales:
        """What keys divide by: the scales, but nothing where one term alone is wanted and only the order counts."""
        wanted = self.problem.objective
        weights = (
            wanted.latency, wanted.energy, wanted.money, wanted.balance, wanted.period, wanted.coordination,
        )  # fmt: skip
        return self.scales if sum(weight != 0 for weight in weights) > 1 else Scales(1.0, 1.0, 1.0, 1.0, 1.0)

    def value(self, placement: Sequence[int]) -> float:
        """The objective of one placement, each term over its scale; constraints are not in it."""
        found = query.evaluate(self.problem, placement)
        return self._weigh(self.scales, found.latency_s, found.energy_j, found.money, found.balance, found.period_s)

    def lacking(self, latency_s: Quantity, energy_j: Quantity, money: Quantity) -> Quantity:
        """What the coordination degree of plans with these costs lacks of 1; 0 where nobody weighs it."""
        if not self.problem.objective.coordination:
            return latency_s * 0.0
        return 1.0 - self.spans.degree(latency_s, energy_j, money)

    def key(self, placement: Sequence[int]) -> Rank:
        """Rank of one placement; one that is not legal (`query.fits`) is infinitely infeasible."""
        if not any(placement):
            return self.local_key
        known = self._known(tuple(placement))
        if known.rank is not None:
            return known.rank
        missed, value = self._rank_of(known.cost)
        rank = missed if query.fits(self.problem, placement) else np.inf, value
        if self.stay is not None:
            held = held_on(self.problem.graph, placement, len(self.problem.nodes))
            rank = self.over_stay(rank, np.array(held, dtype=np.float64))
        known.rank = rank
        return rank

    def rank(self, latency_s: float, energy_j: float, money: float, balance: float, period_s: float) -> Rank:
        """Rank of a legal placement with these costs."""
        value = self._weigh(self.divisors, latency_s, energy_j, money, balance, period_s)
        return self._violation(latency_s, money), value

    def _rank_of(self, found: query.Cost) -> Rank:
        return self.rank(found.latency_s, found.energy_j, found.money, found.balance, found.period_s)

    def keys(self, placements: Placements, costs: batch.BatchCosts | None = None) -> tuple[Floats, Floats]:
        """Ranks of many placements, shapes (P, L) -> violations (P,), values (P,); `costs` where they are known."""
        found = costs or batch.evaluate(self.problem, placements)
        missed, values = self.ranks(found.latency_s, found.energy_j, found.money, found.balance, found.period_s)
        missed[~batch.fits(self.problem, placements)] = np.inf
        if self.stay is None:
            return missed, values
        return self.all_over_stay(missed, values, self.uploading(batch.held_bytes(self.problem, placements)))

    def over_stay(self, rank: Rank, held: Floats) -> Rank:
        """What a rank is on average over the stay, where `held` bytes of parameters belong on each node, shape (N,)."""
        if self.stay is None:
            return rank
        away = self.uploading(held[None, :])
        missed, values = self.all_over_stay(np.array([rank[0]]), np.array([rank[1]]), away)
        return float(missed[0]), float(values[0])

    def all_over_stay(self, missed: Floats, values: Floats, away: Floats) -> tuple[Floats, Floats]:
        """The same for many ranks, shapes (P,), given the shares of the stay that their uploads take."""
        home_missed, home_value = self.local_key
        legal = np.isfinite(missed)
        with_upload: Floats = np.where(legal, away * home_missed + (1.0 - away) * np.where(legal, missed, 0.0), np.inf)
        return with_upload, away * home_value + (1.0 - away) * values

    def uploading(self, held: Floats) -> Floats:
        """The share of the stay that uploading `held` bytes to each node takes, (P, N) -> (P,); 0 without a stay."""
        if self.stay is None:
            return np.zeros(len(held))
        each_s = held * self._seconds_per_byte
        taken = each_s.sum(axis=1) if self.problem.uploads_at_once == "one" else each_s.max(axis=1)
        return np.array([self.stay.missed(seconds) for seconds in taken.tolist()])

    @cached_property
    def _seconds_per_byte(self) -> Floats:
        """Seconds of upload for each byte that a node holds: parameters may travel shorter than they are held."""
        parameters = self.problem.graph.parameters
        held = int_sum(each.held_bytes for each in parameters)
        shorter = int_sum(each.upload_bytes for each in parameters) / held if held else 1.0
        made: Floats = shorter / self.problem.bandwidth_bytes_s[0] + self.problem.load_s_per_byte
        made[0] = 0.0
        return made

    def ranks(
        self, latency_s: Floats, energy_j: Floats, money: Floats, balance: Floats | float, period_s: Floats
    ) -> tuple[Floats, Floats]:
        """Ranks of many legal placements with these costs, shapes (P,) -> violations (P,), values (P,)."""
        wanted = self.problem.objective
        missed = np.zeros(len(latency_s))
        if wanted.deadline_s is not None:
            missed += np.maximum(0.0, latency_s / wanted.deadline_s - 1.0)
        if wanted.budget is not None:
            missed += np.maximum(0.0, money / wanted.budget - 1.0)
        uneven = np.broadcast_to(balance, missed.shape)
        return missed, self._weigh(self.divisors, latency_s, energy_j, money, uneven, period_s)

    def best(self, placements: Placements, costs: batch.BatchCosts | None = None) -> tuple[int, ...]:
        """The best of many placements, the first of equals; all-local when none is given."""
        if not len(placements):
            return (0,) * len(self.problem.graph)
        missed, values = self.keys(placements, costs)
        chosen = np.lexsort((values, missed))[0]
        return tuple(int(node) for node in placements[chosen])

    def or_local(self, placement: Sequence[int]) -> tuple[int, ...]:
        """`placement`, unless keeping everything on the client is better or `placement` is not legal."""
        local = (0,) * len(self.problem.graph)
        chosen = tuple(int(node) for node in placement)
        return chosen if chosen == local or self.key(chosen) < self.local_key else local

    def _violation(self, latency_s: float, money: float) -> float:
        wanted = self.problem.objective
        late = max(0.0, latency_s / wanted.deadline_s - 1.0) if wanted.deadline_s is not None else 0.0
        over = max(0.0, money / wanted.budget - 1.0) if wanted.budget is not None else 0.0
        return late + over

    def _weigh(
        self,
        scales: Scales,
        latency_s: Quantity,
        energy_j: Quantity,
        money: Quantity,
        balance: Quantity,
        period_s: Quantity,
    ) -> Quantity:
        wanted = self.problem.objective
        summed = (
            wanted.latency * latency_s / scales.latency
            + wanted.energy * energy_j / scales.energy
            + wanted.money * money / scales.money
            + wanted.balance * balance / scales.balance
        )
        if wanted.period:
            summed = summed + wanted.period * period_s / scales.period
        if wanted.coordination:
            summed = summed + wanted.coordination * self.lacking(latency_s, energy_j, money)
        return summed


@overload
def term_of(costs: query.Cost, term: Term) -> float: ...
@overload
def term_of(costs: CutCosts, term: Term) -> Floats: ...
def term_of(costs: query.Cost | CutCosts, term: Term) -> float | Floats:
    """One term of what a placement costs, or many placements do: seconds, joules or money."""
    if term == "latency":
        return costs.latency_s
    if term == "period":
        return costs.period_s
    return costs.energy_j if term == "energy" else costs.money


def _of(values: Floats, among: Ints | None) -> Floats:
    return values if among is None else values[among]


def _unit(local: float, best: float) -> float:
    larger = max(local, best)
    return larger if larger > NOTHING else 1.0
