"""The price of memory: the placement that bisection finds, in a few solutions."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_problems import paper_problem

from layerlift.planners import Problem, make, simple_problem
from layerlift.planners.graphs.memory_price import Placement, within_memory
from layerlift.planners.offloading import min_cut
from layerlift.planners.problem.problem import Floats

MOST_CUTS = 16
"""Bisection takes 45 for each server that is short of memory."""


def short_of_memory(network: str, *rooms: float) -> Problem:
    """A problem in which each server has room for so much of the network."""
    problem = paper_problem(network, servers=range(1, len(rooms) + 1))
    held = problem.graph.held_bytes(range(len(problem.graph)))
    return replace(problem, memory_bytes=np.array([np.inf, *(room * held for room in rooms)]))


def by_bisection(
    problem: Problem, solve: Callable[[Floats], Placement], unit_price: float, _: object = None
) -> Placement:
    return within_memory(problem, solve, unit_price)


@pytest.mark.parametrize(
    ("network", "rooms"),
    [("alexnet", (0.03, 0.3, 0.8)), pytest.param("squeezenet", (0.3,), marks=pytest.mark.long)],
)
def test_prices_that_cross_fit_as_well_as_bisection_in_few_cuts(
    network: str, rooms: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = short_of_memory(network, *rooms)
    cuts, cut = [0], min_cut.cut
    monkeypatch.setattr(min_cut, "cut", lambda *given: cuts.__setitem__(0, cuts[0] + 1) or cut(*given))
    found = make("min_cut").plan(problem, random.Random(0))
    assert any(found.placement)
    assert cuts[0] <= MOST_CUTS * len(rooms)
    monkeypatch.setattr(min_cut, "within_memory", by_bisection)
    assert make("min_cut").plan(problem, random.Random(0)) == found
    assert cuts[0] > 40 * len(rooms)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=7), st.integers(0, 200))
@settings(max_examples=30, derandomize=True, deadline=None, database=None)
def test_of_things_in_a_bag_the_same_are_left_out(things: list[tuple[int, int]], room: int) -> None:
    """Things of some worth and weight, each taken where its worth is above the price of its weight."""
    graph = paper_problem("alexnet", servers=range(1, 2)).graph
    chosen = [layer.index for layer in graph.layers if layer.parameters][: len(things)]
    held = {layer: graph.held_bytes([layer]) for layer in chosen}
    worth = dict(zip(chosen, (float(value) for value, _ in things), strict=False))
    problem = replace(
        simple_problem(graph, np.ones((len(graph), 2)), bandwidth_bytes_s=1.0),
        memory_bytes=np.array([np.inf, sum(held.values()) * room / 200]),
    )

    def solve(price: Floats) -> Placement:
        return tuple(int(layer in worth and worth[layer] > price[1] * held[layer]) for layer in range(len(graph)))

    def line(placement: Placement) -> tuple[float, float]:
        away = [layer for layer in chosen if placement[layer]]
        return -sum(worth[layer] for layer in away), float(sum(held[layer] for layer in away))

    unit = 1.0 / sum(held.values())
    crossed, halved = within_memory(problem, solve, unit, line), within_memory(problem, solve, unit)
    assert crossed == halved
