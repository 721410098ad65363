"""Fronts with the period among their terms, beside every placement that there is."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from layerlift.emulator import Scenario
from layerlift.emulator.planning.problems import problem_of
from layerlift.planners import cost, make
from layerlift.planners.cost import batch
from layerlift.planners.offloading.drawn_front import BEYOND, hypervolume
from layerlift.planners.offloading.front import front_of
from layerlift.planners.problem.problem import Floats, Problem
from layerlift.planners.testing.problems import battery

SUMS = {"latency": "latency_s", "energy": "energy_j", "money": "money", "period": "period_s"}


def all_costs(problem: Problem, terms: tuple[str, ...]) -> Floats:
    """The terms of every legal placement."""
    rows = np.array(list(itertools.product(range(len(problem.nodes)), repeat=len(problem.graph))))
    rows = rows[batch.fits(problem, rows)]
    found = batch.evaluate(problem, rows, period=True)
    return np.array([getattr(found, SUMS[term]) for term in terms]).T


def share(problem: Problem, terms: tuple[str, ...]) -> float:
    """The hypervolume of `front_of` as a share of that of all placements."""
    front = front_of(problem, terms)
    ours = np.array([[point.value(term) for term in front.terms] for point in front.points])
    every = all_costs(problem, tuple(front.terms))
    least, extent = every.min(axis=0), np.ptp(every, axis=0)
    best = every[np.lexsort(every.T[::-1])]
    kept = [best[0]]
    for row in best:
        if not any((known <= row).all() for known in kept):
            kept.append(row)
    scaled = [(table - least) / extent for table in (ours, np.array(kept))]
    volumes = [hypervolume(each, BEYOND) for each in scaled]
    return volumes[0] / volumes[1]


@pytest.mark.parametrize("terms", [("latency", "period"), ("money", "period"), ("energy", "period")])
@pytest.mark.parametrize("name", ["chain", "chain, one server", "chain, slow servers", "chain, period within ports"])
def test_little_of_the_front_is_missing(name: str, terms: tuple[str, str]) -> None:
    assert 0.97 < share(battery()[name], terms) <= 1.0 + 1e-9


def test_three_terms_with_the_period_are_a_spread_too() -> None:
    assert share(battery()["chain, one server"], ("latency", "money", "period")) > 0.9


def test_it_has_the_least_of_each_term_and_does_not_claim_to_be_all() -> None:
    problem = battery()["chain"]
    front = front_of(problem, ("period", "latency"))
    assert front.terms == ("latency", "period")
    assert not front.complete
    rng = random.Random(0)
    fastest, steadiest = (make(name).plan(problem, rng).placement for name in ("units", "pipeline"))
    assert front.points[0].costs.latency_s == pytest.approx(cost.latency(problem, fastest), rel=1e-12)
    assert front.points[-1].costs.period_s == pytest.approx(cost.period(problem, steadiest), rel=1e-12)
    periods = [point.costs.period_s for point in front.points]
    assert periods == sorted(periods, reverse=True)
    assert front.knee in front.points


@pytest.mark.parametrize("name", ["chain", "modules", "modules, little memory"])
def test_one_step_by_period_is_the_cut_of_least_period(name: str) -> None:
    problem = battery()[name]
    count = len(problem.graph)
    cuts = [
        tuple(server if layer >= first and problem.allowed[layer, server] else 0 for layer in range(count))
        for server in problem.servers
        for first in range(count + 1)
    ]
    best = min(cost.period(problem, cut) for cut in cuts if cost.fits(problem, cut))
    made = make("one_step:by=period").plan(problem, random.Random(0)).placement
    assert cost.period(problem, made) == pytest.approx(best, rel=1e-12)
    assert make("one_step:by=period").optimises == "period"  # type: ignore[attr-defined]
    assert cost.period(replace(problem), made) <= cost.period(problem, (0,) * count)


@pytest.mark.long
def test_a_stage_longer_than_the_best_single_servers_may_be_worth_it() -> None:
    """Of `paper`'s second client: a slow server for the last layers, for a little less latency than with a fast one."""
    world = Scenario.load("paper").resolve()
    front = front_of(problem_of(world, 1), ("latency", "period"))
    found = [(point.costs.latency_s, point.costs.period_s) for point in front.points]
    assert any(latency_s < 0.1549 and period_s < 0.0878 for latency_s, period_s in found)
