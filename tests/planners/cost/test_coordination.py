"""How well latency, energy and money go together: by hand, against all placements, and as a term that is searched."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift.planners import Judge, Objective, Problem, evaluate, make, simple_problem
from layerlift.planners.cost import batch
from layerlift.planners.cost.coordination import LEAST, MOST, SETTLED, Spans, spans_of
from layerlift.planners.problem.problem import ClientPower
from layerlift.planners.testing.problems import battery, chain_graph

EVEN = (1 / 3, 1 / 3, 1 / 3)
UNIT = Spans((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), EVEN)
SHARE = st.floats(-0.2, 1.2)


def priced_chain(objective: Objective | None = None) -> Problem:
    """Four layers on a phone, a dear fast server that draws much, and a cheap slow one."""
    graph = chain_graph([200_000, 50_000, 20_000, 400], [1000] * 4)
    seconds = np.array([0.4, 0.3, 0.2, 0.1])[:, None] / np.array([1.0, 10.0, 3.0])[None, :]
    made = simple_problem(graph, seconds, bandwidth_bytes_s=2e6, objective=objective)
    power, busy_w = ClientPower(1.0, 3.0, 2.0), np.array([0.0, 60.0, 2.0])
    return replace(made, power=power, price_per_s=np.array([0.0, 5.0, 1.0]), busy_w=busy_w)


def every(problem: Problem) -> np.ndarray:
    nodes = range(len(problem.nodes))
    return np.array(list(itertools.product(nodes, repeat=len(problem.graph))), dtype=np.int64)


# The degree.


@given(SHARE, SHARE, SHARE)
def test_the_degree_is_that_of_the_formula(one: float, two: float, three: float) -> None:
    spans = replace(UNIT, weights=(0.5, 0.3, 0.2))
    shares = [min(max(share, 0.01), 0.99) for share in (one, two, three)]
    even = 3.0 * math.prod(shares) ** (1 / 3) / math.fsum(shares)
    weighed = 0.5 * shares[0] + 0.3 * shares[1] + 0.2 * shares[2]
    found = spans.degree(1.0 - one, 1.0 - two, 1.0 - three)
    assert found == pytest.approx(math.sqrt(even * weighed), rel=1e-12)
    many = spans.degree(*(np.array([1.0 - share, 0.0]) for share in (one, two, three)))
    assert many[0] == found  # to the last bit: one placement and many are ranked alike
    assert many[1] == spans.degree(0.0, 0.0, 0.0)


def test_nothing_gained_and_all_gained() -> None:
    assert UNIT.degree(1.0, 1.0, 1.0) == pytest.approx(math.sqrt(LEAST))
    assert UNIT.degree(0.0, 0.0, 0.0) == pytest.approx(math.sqrt(MOST))
    assert UNIT.degree(math.inf, 0.0, 0.0) == pytest.approx((LEAST * MOST * MOST) ** (1 / 6))


@given(SHARE, SHARE, SHARE, st.floats(0.0, 0.5))
def test_with_equal_weights_a_better_term_is_never_worse(one: float, two: float, three: float, more: float) -> None:
    assert UNIT.degree(one - more, two, three) >= UNIT.degree(one, two, three) - 1e-12


def test_with_other_weights_a_better_term_may_be_worse() -> None:
    # What is not weighed, but far ahead of the rest, makes it uneven.
    spans = replace(UNIT, weights=(1.0, 0.0, 0.0))
    assert spans.degree(0.9, 0.5, 0.1) < spans.degree(0.9, 0.5, 0.6)


# Between what terms lie.


def test_the_best_of_each_term_is_that_of_all_placements() -> None:
    problem = priced_chain()
    found = batch.evaluate(problem, every(problem))
    spans, local = spans_of(problem), evaluate(problem, (0, 0, 0, 0))
    least = (found.latency_s.min(), found.energy_j.min(), found.money.min())
    assert spans.best == pytest.approx(least, rel=1e-12)
    assert spans.wide[:2] == pytest.approx((local.latency_s - least[0], local.energy_j - least[1]), rel=1e-12)
    # Staying local costs no money: the other terms' best plans say what much is.
    others = [found.money[found.latency_s.argmin()], found.money[found.energy_j.argmin()]]
    assert spans.best[2] == 0.0
    assert spans.wide[2] == pytest.approx(max(others), rel=1e-12)


def test_a_term_that_cannot_change_is_all_gained() -> None:
    slow = np.array([[1.0, 5.0], [1.0, 5.0]])
    spans = spans_of(simple_problem(chain_graph([1000, 400], [10, 10]), slow, bandwidth_bytes_s=1e3))
    assert spans.wide == (SETTLED * 2.0, pytest.approx(SETTLED * spans.best[1] or 1e-30), 1e-30)
    assert spans.degree(*spans.best) == pytest.approx(math.sqrt(MOST))
    assert spans.shares(spans.best[0] * 1.01, spans.best[1], 1e-9) == (LEAST, MOST, LEAST)


@pytest.mark.parametrize(
    ("objective", "weights"),
    [
        (Objective(), EVEN),
        (Objective(latency=0.0, coordination=1.0), EVEN),
        (Objective(latency=3.0, energy=1.0), (0.75, 0.25, 0.0)),
        (Objective(latency=1.0, energy=1.0, money=2.0), (0.25, 0.25, 0.5)),
    ],
)
def test_terms_weigh_what_the_objective_says_where_it_weighs_two(
    objective: Objective, weights: tuple[float, float, float]
) -> None:
    assert spans_of(priced_chain(objective)).weights == pytest.approx(weights)


# As a term of the objective.

WANTED = (
    Objective(latency=0.0, coordination=1.0),
    Objective(latency=1.0, energy=0.5, coordination=2.0),
    Objective(latency=0.2, money=1.0, coordination=0.5, deadline_s=0.5),
)


@pytest.mark.parametrize("objective", WANTED)
def test_placements_are_ranked_by_it_one_by_one_and_together(objective: Objective) -> None:
    problem = priced_chain(objective)
    rows, judge = every(problem), Judge(problem)
    missed, values = judge.keys(rows)
    plain = Judge(replace(problem, objective=replace(objective, coordination=0.0)))
    for row, late, value in zip(rows.tolist(), missed.tolist(), values.tolist(), strict=True):
        assert judge.key(tuple(row)) == pytest.approx((late, value), rel=1e-12, abs=1e-15)
        found = evaluate(problem, row)
        lacks = 1.0 - spans_of(problem).degree(found.latency_s, found.energy_j, found.money)
        rest = plain.value(row) if objective.latency else 0.0
        assert judge.value(row) == pytest.approx(rest + objective.coordination * lacks, rel=1e-12)


@pytest.mark.parametrize("objective", WANTED)
def test_the_best_cut_is_the_best_of_all(objective: Objective) -> None:
    judge = Judge(priced_chain(objective))
    found = judge.best_cut()
    assert found is not None
    least = min(judge.key(judge.cuts.placement(number)) for number in range(len(judge.cuts)))
    assert found[0] == least == judge.key(found[1])


@pytest.mark.long
@pytest.mark.parametrize("text", ["exhaustive", "pso", "ga", "sa", "optimal"])
def test_searches_find_the_plan_that_goes_together_best(text: str) -> None:
    problem = priced_chain(WANTED[0])
    judge = Judge(problem)
    least = float(judge.keys(every(problem))[1].min())
    placement = make(text).plan(problem, random.Random(0)).placement
    assert judge.key(placement)[1] == pytest.approx(least, rel=1e-9)
    # Neither of the least latency nor of the least money: what is searched for is another plan than these.
    for other in (Objective(), Objective(latency=0.0, money=1.0)):
        alone = make("exhaustive").plan(replace(problem, objective=other), random.Random(0)).placement
        assert judge.key(alone)[1] > least + 1e-6


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_planners_whose_terms_add_up_are_no_worse_than_local(seed: int) -> None:
    problem = replace(battery()["modules"], objective=Objective(latency=0.5, money=0.5, coordination=1.0))
    judge = Judge(problem)
    for text in ("units", "labels", "shortest_path", "ionn", "best_response"):
        assert judge.key(make(text).plan(problem, random.Random(seed)).placement) <= judge.local_key
