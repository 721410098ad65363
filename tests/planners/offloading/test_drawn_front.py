"""Fronts that planners draw, and their hypervolume beside the exact one's."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift.planners import Judge, Objective, Problem, cost, make, simple_problem
from layerlift.planners.cost.domination import undominated
from layerlift.planners.offloading.drawn_front import drawn_front, hypervolume, weightings
from layerlift.planners.offloading.front import front_of
from layerlift.planners.problem.plan import Plan, all_local
from layerlift.planners.registry.base import Choosing
from layerlift.planners.testing.problems import chain_graph

COORDINATES = st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=6)


@settings(max_examples=60)
@given(COORDINATES, st.sampled_from([1, 2, 3]))
def test_hypervolume_counts_the_cells_that_some_point_is_no_worse_than(drawn: list[tuple[int, ...]], axes: int) -> None:
    points = np.array(drawn, dtype=float).reshape(len(drawn), 3)[:, :axes]
    cells = np.stack(np.meshgrid(*[np.arange(4)] * axes, indexing="ij"), axis=-1).reshape(-1, axes)
    covered = [any((point <= cell).all() for point in points) for cell in cells]
    assert hypervolume(points, 4.0) == pytest.approx(np.count_nonzero(covered))


def test_weightings_go_from_each_term_alone_to_each_other() -> None:
    two = [(each.latency, each.money) for each in weightings(("latency", "money"))]
    assert len(two) == 33
    assert {(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)} <= set(two)
    three = [(each.latency, each.energy, each.money) for each in weightings(("latency", "energy", "money"))]
    assert len(set(three)) == 45
    assert all(sum(weights) == 1.0 for weights in three)


def priced_problem(seed: int) -> Problem:
    """Faster servers cost more: the client nothing."""
    rng = np.random.default_rng(seed)
    graph = chain_graph((10 ** rng.uniform(3, 5, 6)).astype(int).tolist(), [1000] * 6)
    seconds = (10 ** rng.uniform(-2, -1, 6))[:, None] / np.array([1.0, 4.0, 16.0])[None, :]
    problem = simple_problem(graph, seconds, bandwidth_bytes_s=1e6)
    wanted = Objective(deadline_s=1e-9)
    return replace(problem, price_per_s=np.array([0.0, 1.0, 9.0]), objective=wanted)


@pytest.mark.long
@pytest.mark.parametrize("terms", [("latency", "money"), ("latency", "energy", "money")])
def test_a_front_by_an_exact_planner_is_most_of_the_exact_one(terms: tuple[str, ...]) -> None:
    for seed in range(3):
        problem = priced_problem(seed)
        exact = front_of(problem, terms)
        units = drawn_front(problem, exact, make("units"), random.Random(0))
        # What weighted sums see is the convex hull.
        assert 0.7 < units.share <= 1.0 + 1e-9
        assert 1 < len(units.points) <= units.weightings
        known = {tuple(point.value(term) for term in exact.terms) for point in exact.points}
        if len(terms) == 2:
            assert {tuple(point.value(term) for term in exact.terms) for point in units.points} <= known
        # What it walks beside the best under any weighting lies between the corners of the hull.
        learned = drawn_front(problem, exact, make("dil"), random.Random(0))
        assert units.share - 0.01 < learned.share <= 1.0 + (1e-9 if len(terms) == 2 else 0.02)
        assert learned.candidates > len(learned.points) > len(units.points)


def test_a_front_is_drawn_of_all_that_a_planner_chooses_from_whoever_uploads() -> None:
    problem = priced_problem(0)
    exact = front_of(problem, ("latency", "money"))
    alone, paired = (drawn_front(problem, exact, make(text), random.Random(0)) for text in ("dil", "dil+ionn"))
    assert alone == paired
    shorter = drawn_front(problem, exact, make("dil:walks=1"), random.Random(0))
    assert shorter.candidates < alone.candidates
    assert shorter.share <= alone.share


@pytest.mark.parametrize("text", ["dil:walks=4", "ddlo:walks=4", "meta_drl:alone=true"])
def test_a_plan_is_the_best_of_its_candidates(text: str) -> None:
    planner = make(text)
    assert isinstance(planner, Choosing)
    for seed, wanted in enumerate((Objective(), Objective(latency=1.0, money=0.5), Objective(money=1.0, latency=0.0))):
        problem = replace(priced_problem(seed), objective=wanted)
        judge = Judge(problem)
        plan = planner.plan(problem, random.Random(3)).placement
        found = planner.candidates(problem, [wanted], random.Random(3))
        assert len(set(found)) == len(found)
        assert judge.key(plan) == min(map(judge.key, found))


def test_candidates_keep_within_memory() -> None:
    problem = replace(priced_problem(2), memory_bytes=np.array([np.inf, 2000.0, 3000.0]))
    planner = make("dil")
    assert isinstance(planner, Choosing)
    found = planner.candidates(problem, [Objective(), Objective(latency=0.0, money=1.0)], random.Random(0))
    assert len(found) > 10
    assert all(cost.fits(problem, placement) for placement in found)


@settings(max_examples=60)
@given(COORDINATES)
def test_what_none_beats_is_kept_once_by_rising_first_term(drawn: list[tuple[int, ...]]) -> None:
    table = np.array(drawn, dtype=float).reshape(len(drawn), 3)
    rows = [tuple(map(int, table[number])) for number in undominated(table)]
    beaten = {one for one in drawn for other in drawn if other != one and all(np.less_equal(other, one))}
    assert rows == sorted(set(drawn) - beaten)


class Home:
    """Stays local, whatever is asked."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        assert problem.objective.deadline_s is None
        return all_local(problem)


def test_a_front_of_one_end_is_only_a_part() -> None:
    problem = priced_problem(1)
    exact = front_of(problem, ("latency", "money"))
    drawn = drawn_front(problem, exact, Home(), random.Random(0))
    assert [point.placement for point in drawn.points] == [(0,) * 6]
    # From its corner, the slowest and cheapest, a tenth of either range is left.
    table = np.array([[point.value(term) for term in exact.terms] for point in exact.points])
    unit = (table - table.min(axis=0)) / (table.max(axis=0) - table.min(axis=0))
    assert drawn.share == pytest.approx(0.1 * 1.1 / hypervolume(unit, 1.1))
