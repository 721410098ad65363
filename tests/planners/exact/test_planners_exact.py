"""Planners that claim to be exact, against brute force over every placement."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_problems import problems
from strategies import layer_graphs

from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Objective, cost, make
from layerlift.planners.cost import batch
from layerlift.planners.exact.exhaustive import every_placement
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.graphs.two_sided import Sides
from layerlift.planners.offloading.lagrangian import cheapest
from layerlift.planners.offloading.min_cut import heavy, light
from layerlift.planners.testing.problems import battery

CHAINS = layer_graphs(max_layers=5, chain=True)
DAGS = layer_graphs(max_layers=7, chain=False)
OBJECTIVES = st.sampled_from(
    [
        Objective(),
        Objective(latency=0, energy=1),
        Objective(latency=0, money=1),
        Objective(latency=1, energy=0.5, money=2),
    ]
)


def least(problem, values) -> float:
    return min(float(values(rows).min()) for rows in every_placement(problem))


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_shortest_path_is_exact_on_chains_for_latency(data: st.DataObject) -> None:
    problem = data.draw(problems(CHAINS, plain=True))
    plan = make("shortest_path").plan(problem, random.Random(0))
    best = least(problem, lambda rows: batch.latencies(problem, rows))
    assert cost.latency(problem, plan.placement) == pytest.approx(best, rel=1e-9, abs=1e-12)


@pytest.mark.long
@given(st.data())
@settings(max_examples=200, deadline=None)
def test_shortest_path_is_exact_on_chains_for_every_additive_objective(data: st.DataObject) -> None:
    drawn = data.draw(problems(CHAINS, max_nodes=3))
    nodes = len(drawn.nodes)
    problem = replace(
        drawn, objective=data.draw(OBJECTIVES), memory_bytes=np.full(nodes, np.inf), price_per_byte_s=np.zeros(nodes)
    )
    judge = Judge(problem)
    plan = make("shortest_path").plan(problem, random.Random(0))

    def legal_values(rows):
        missed, values = judge.keys(rows)
        return np.where(missed > 0, np.inf, values)

    assert judge.key(plan.placement)[1] == pytest.approx(least(problem, legal_values), rel=1e-9, abs=1e-12)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_additive_value_is_the_objective_on_chains(data: st.DataObject) -> None:
    drawn = data.draw(problems(CHAINS, max_nodes=3))
    problem = replace(drawn, objective=data.draw(OBJECTIVES), price_per_byte_s=np.zeros(len(drawn.nodes)))
    placement = tuple(data.draw(st.integers(0, len(problem.nodes) - 1)) for _ in problem.graph.layers)
    assert Additive(problem).value(placement) == pytest.approx(Judge(problem).key(placement)[1], rel=1e-9, abs=1e-12)


@pytest.mark.long
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_short_memory_and_constraints_are_obeyed_and_never_worse_than_local(data: st.DataObject) -> None:
    drawn = data.draw(problems(layer_graphs(max_layers=5), min_nodes=2))
    size = drawn.graph.held_bytes(range(len(drawn.graph)))
    memory = np.array([np.inf, *(data.draw(st.floats(0, 1.2)) * size for _ in drawn.servers)])
    objective = replace(drawn.objective, deadline_s=data.draw(st.sampled_from([None, 0.3, 3.0])))
    problem = replace(drawn, memory_bytes=memory, objective=objective)
    judge = Judge(problem)
    local = judge.key((0,) * len(problem.graph))
    for name in ("shortest_path", "min_cut", "ionn", "recursive", "one_climb", "greedy"):
        plan = make(name).plan(problem, random.Random(0))
        assert cost.fits(problem, plan.placement)
        assert judge.key(plan.placement) <= local


def test_a_missed_deadline_makes_prices_lean_towards_latency() -> None:
    problem = battery()["chain, deadline"]
    judge = Judge(problem)
    best = judge.key(make("exhaustive").place(problem))
    local = judge.key((0,) * len(problem.graph))
    assert local[0] > 0.0
    assert best[0] == 0.0
    for name in ("shortest_path", "min_cut", "ionn"):
        found = judge.key(make(name).plan(problem, random.Random(0)).placement)
        assert found[0] == 0.0
        assert found[1] <= 1.1 * best[1]


def test_a_budget_is_kept_by_giving_up_speed() -> None:
    problem = battery()["chain, budget"]
    judge = Judge(problem)
    best = judge.key(make("exhaustive").place(problem))
    free = make("shortest_path").plan(replace(problem, objective=Objective()), random.Random(0))
    assert judge.key(free.placement)[0] > 0.0
    for name in ("shortest_path", "min_cut", "ionn"):
        found = judge.key(make(name).plan(problem, random.Random(0)).placement)
        assert found[0] == 0.0
        assert found[1] <= 1.1 * best[1]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_min_cut_is_exact_on_its_additive_objective_for_any_dag(data: st.DataObject) -> None:
    problem = data.draw(problems(DAGS, max_nodes=2, min_nodes=2))
    problem = replace(problem, memory_bytes=np.full(2, np.inf), objective=data.draw(OBJECTIVES))
    additive = Additive(problem)
    found = light(additive, 1)
    assert all(problem.allowed[layer, node] for layer, node in enumerate(found))
    options = [range(1 + bool(free)) for free in problem.allowed[:, 1]]
    best = min(additive.value(placement) for placement in product(*options))
    assert additive.value(found) == pytest.approx(best, rel=1e-9, abs=1e-12)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_min_cut_is_exact_on_latency_for_chains_and_two_nodes(data: st.DataObject) -> None:
    problem = data.draw(problems(CHAINS, max_nodes=2, min_nodes=2, plain=True))
    plan = make("min_cut").plan(problem, random.Random(0))
    best = least(problem, lambda rows: batch.latencies(problem, rows))
    assert cost.latency(problem, plan.placement) == pytest.approx(best, rel=1e-9, abs=1e-12)


def test_on_dags_the_additive_optimum_is_not_the_latency_optimum() -> None:
    """Two equal branches: in parallel they halve the latency, which a sum of costs cannot see."""
    from layerlift.planners import simple_problem
    from layerlift.planners.testing.problems import Sketch, draw_graph

    graph = draw_graph(
        "fork",
        [Sketch("a", ("input",)), Sketch("b", ("a",)), Sketch("c", ("a",)), Sketch("d", ("b", "c"))],
        input_bytes=0,
    )
    problem = simple_problem(graph, [[1, 9], [1, 1.2], [1, 1.2], [1, 0.9]], bandwidth_bytes_s=1e9, latency_s=0.001)
    placement = make("min_cut").plan(problem, random.Random(0)).placement
    best = least(problem, lambda rows: batch.latencies(problem, rows))
    assert cost.latency(problem, placement) > 1.15 * best


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_heavy_load_stays_within_the_papers_factor_of_the_least_largest_stage(data: st.DataObject) -> None:
    problem = data.draw(problems(layer_graphs(max_layers=6), max_nodes=2, min_nodes=2, plain=True))
    additive = Additive(problem)
    sides = Sides.towards(additive, 1)
    slowest, placement = heavy(additive, 1)
    assert slowest == pytest.approx(max(sides.stages([bool(node) for node in placement])))
    best = min(max(sides.stages(moved)) for moved in product((False, True), repeat=len(problem.graph)))
    assert slowest <= 3.0 * best * (1 + 1e-9)
    assert slowest <= sum(sides.client) * (1 + 1e-9)


@pytest.mark.long
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_one_step_and_one_climb_are_exact_in_their_own_class(data: st.DataObject) -> None:
    problem = data.draw(problems(layer_graphs(max_layers=6), max_nodes=3))
    judge, count = Judge(problem), len(problem.graph)
    local = (0,) * count
    spans = [(first, last) for first in range(count) for last in range(first, count)]

    def keys(chosen):
        placed = [
            tuple(s if a <= layer <= b and problem.allowed[layer, s] else 0 for layer in range(count))
            for s in problem.servers
            for a, b in chosen
        ]
        return [judge.key(placement) for placement in [local, *placed]]

    step = judge.key(make("one_step").plan(problem, random.Random(0)).placement)
    climb = judge.key(make("one_climb").plan(problem, random.Random(0)).placement)
    assert step == pytest.approx(min(keys([span for span in spans if span[1] == count - 1])), rel=1e-9)
    assert climb == pytest.approx(min(keys(spans)), rel=1e-9)
    assert climb <= step or climb == pytest.approx(step)


@pytest.mark.parametrize("term", ["latency", "energy", "money"])
def test_one_step_by_one_term_finds_the_least_of_that_term(term: str) -> None:
    problem = battery()["modules"]
    measure = {"latency": cost.latency, "energy": cost.energy, "money": cost.money}[term]
    placement = make(f"one_step:by={term}").plan(problem, random.Random(0)).placement
    cuts = [tuple(s if layer >= k else 0 for layer in range(8)) for s in problem.servers for k in range(9)]
    assert measure(problem, placement) == pytest.approx(min(measure(problem, cut) for cut in cuts))


@pytest.mark.long
def test_exhaustive_is_the_minimum_over_all_and_refuses_what_is_too_large() -> None:
    problem = battery()["modules, balanced"]
    judge = Judge(problem)
    placement = make("exhaustive").place(problem)
    best = min(judge.key(p) for p in product(range(4), repeat=3) for p in [(*p, *placement[3:])])
    assert judge.key(placement) <= best
    values = least(problem, lambda rows: judge.keys(rows)[1])
    assert judge.value(placement) == pytest.approx(values)
    with pytest.raises(PlanError, match="65536 placements over 4 nodes, expected at most 1000"):
        make("exhaustive:placements=1000").plan(problem, random.Random(0))
    with pytest.raises(PlanError, match="7 units to order, expected at most 5"):
        make("all_remote+exhaustive:units=5").plan(battery()["chain"], random.Random(0))


def test_memory_that_binds_is_used_and_not_given_up() -> None:
    problem = battery()["chain, little memory"]
    best = cost.latency(problem, make("exhaustive").place(problem))
    assert best < 0.75 * cost.latency(problem, (0,) * len(problem.graph))
    for name in ("shortest_path", "ionn", "min_cut"):
        plan = make(name).plan(problem, random.Random(0))
        assert cost.latency(problem, plan.placement) <= 1.05 * best, name


def test_the_cheapest_path_crosses_several_servers_where_that_pays() -> None:
    problem = battery()["chain"]
    seconds = problem.seconds.copy()
    seconds[:3, 1], seconds[3:, 1] = 0.0001, 9.0
    seconds[:3, 2], seconds[3:, 2] = 9.0, 0.0001
    split = replace(problem, seconds=seconds)
    assert cheapest(Additive(split)) == (0, 1, 1, 2, 2, 2, 2)
