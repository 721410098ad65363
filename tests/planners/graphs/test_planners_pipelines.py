"""The pipeline of least period, against every pipeline and every placement."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from period_problems import every_pipeline, streams
from strategies import layer_graphs

from layerlift.planners import Judge, Objective, Problem, cost, make, simple_problem
from layerlift.planners.cost.pieces import whole_pieces
from layerlift.planners.exact.exhaustive import every_placement
from layerlift.planners.graphs import pipelines
from layerlift.planners.graphs.pipeline_tables import kinds_of
from layerlift.planners.graphs.pipelines import Pipelines
from layerlift.planners.offloading.pipeline import place, trade_offs
from layerlift.planners.problem.shared_links import ports
from layerlift.planners.testing.problems import battery, chain_graph

PERIOD = Objective(latency=0.0, period=1.0)


def legal(problem: Problem) -> list[tuple[float, float, tuple[int, ...]]]:
    """Period, latency and placement of every legal pipeline."""
    made = []
    for placement in every_pipeline(problem):
        if cost.fits(problem, placement):
            spent = cost.evaluate(problem, placement)
            made.append((spent.period_s, spent.latency_s, placement))
    return made


def owned(graph) -> bool:
    """Whether no two layers share a parameter: a run's memory is then the sum of its pieces'."""
    held = [parameter for layer in graph.layers for parameter in set(layer.parameters)]
    return len(held) == len(set(held))


def is_ports(problem: Problem) -> bool:
    return problem.shared is None or all(
        carries.any(axis=0).sum() == 1 or carries.any(axis=1).sum() == 1 for carries in problem.shared.carries
    )


@given(streams(layer_graphs(max_layers=5, chain=True), max_nodes=4))
@settings(max_examples=100, deadline=None)
def test_it_is_the_best_of_all_pipelines_of_a_chain(problem: Problem) -> None:
    assume(owned(problem.graph) and is_ports(problem))
    every = legal(problem)
    least_s = min(period for period, _, _ in every)
    found = place(problem)
    assert found.period_s == cost.period(problem, found.placement) <= least_s * (1 + 1e-9)
    fastest_s = min(latency for period, latency, _ in every if period <= least_s * (1 + 1e-12))
    assert found.latency_s <= fastest_s * (1 + 1e-8)


@given(streams(layer_graphs(max_layers=6), max_nodes=4))
@settings(max_examples=60, deadline=None)
def test_it_is_never_worse_than_local_and_what_it_says_is_so(problem: Problem) -> None:
    found = place(problem)
    assert cost.fits(problem, found.placement)
    assert found.period_s == cost.period(problem, found.placement)
    assert found.period_s <= cost.period(problem, (0,) * len(problem.graph)) * (1 + 1e-9)


@given(streams(layer_graphs(max_layers=5, chain=True), max_nodes=3, plain=True))
@settings(max_examples=60, deadline=None)
def test_placements_that_are_no_pipelines_are_seldom_better(problem: Problem) -> None:
    """Only where a node has several runs, which its definition leaves out."""
    asked = replace(problem, objective=PERIOD)
    judge = Judge(asked)
    best = min((judge.key(found), found) for rows in every_placement(asked) for found in [judge.best(rows)])
    ours = place(asked)
    if ours.period_s > best[0][1] * (1 + 1e-9):
        runs = [node for at, node in enumerate(best[1]) if at == 0 or best[1][at - 1] != node]
        visited = [node for node in runs if node]
        middle = [at for at, node in enumerate(runs) if node == 0 and 0 < at < len(runs) - 1]
        assert len(visited) > len(set(visited)) or middle


def equals(servers: int, units: int = 6) -> Problem:
    graph = chain_graph([1000] * units, [0] * units)
    seconds = [[1.0, *([0.1] * servers)]] * units
    return simple_problem(graph, seconds, bandwidth_bytes_s=1e9, latency_s=0.001, objective=PERIOD)


def test_equal_servers_count_as_one_kind() -> None:
    problem = equals(12)
    search = Pipelines(problem, whole_pieces(problem.graph))
    assert search.kinds == [list(range(1, 13))]
    assert search.counts.tolist() == [6]
    found = place(problem)
    assert found.period_s == pytest.approx(0.1)
    assert found.placement == (1, 2, 3, 4, 5, 6)
    faster = problem.seconds.copy()
    faster[:, 12] /= 2.0
    assert len(Pipelines(replace(problem, seconds=faster), whole_pieces(problem.graph)).kinds) == 2


def test_ports_tell_servers_apart() -> None:
    problem = replace(equals(2), shared=ports(np.full(3, np.inf), np.array([np.inf, np.inf, 5.0])))
    assert kinds_of(problem) == [[1], [2]]
    assert 2 not in place(problem).placement


def test_the_devices_first_and_last_are_one_stage() -> None:
    graph = chain_graph([10, 10, 10], [0, 0, 0])
    seconds = [[1.0, 9.0], [9.0, 2.0], [1.5, 9.0]]
    problem = simple_problem(graph, seconds, bandwidth_bytes_s=1e9, latency_s=0.0, objective=PERIOD)
    problem = replace(problem, allowed=np.array([[True, False], [True, True], [True, True]]))
    found = place(problem)
    assert found.placement == (0, 1, 0)
    assert found.period_s == pytest.approx(2.5)


def test_what_begins_on_the_device_is_searched_again_for_what_must_end_there() -> None:
    """Its first unit would fit, but not beside its last: then one server takes that, and the other the rest."""
    graph = chain_graph([10, 10, 10, 10], [0] * 4)
    seconds = [[1.0, 1.2, 1.2], [9.0, 0.1, 0.1], [9.0, 0.1, 0.1], [1.0, 1.2, 1.2]]
    problem = simple_problem(graph, seconds, bandwidth_bytes_s=1e9, latency_s=0.0, objective=PERIOD)
    pinned = np.array([[True] * 3] * 3 + [[True, False, False]])
    found = place(replace(problem, allowed=pinned))
    assert found.placement == (1, 2, 2, 0)
    assert found.period_s == pytest.approx(1.2)


def test_of_too_many_servers_the_slowest_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = equals(5)
    uneven = problem.seconds * [[1.0, 1.0, 1.1, 1.2, 1.3, 1.4]]
    problem = replace(problem, seconds=uneven)
    assert place(problem).left_out == 0
    monkeypatch.setattr(pipelines, "EFFORT", 1500.0)
    found = place(problem)
    assert found.left_out > 0
    assert max(found.placement) <= 5 - found.left_out
    note = make("pipeline").plan(problem, random.Random(0)).note
    assert note.startswith("pipeline: a query every ")
    assert note.endswith(f"; {found.left_out} servers were left out")


@pytest.mark.parametrize("name", ["units", "labels", "shortest_path", "min_cut", "pso:evaluations=400", "one_step"])
def test_planners_by_the_objective_plan_for_the_period(name: str) -> None:
    """Each finds something better than the plan of least latency, where there is such."""
    problem = replace(battery()["chain"], objective=PERIOD)
    asked = make(name).plan(problem, random.Random(1)).placement
    plain = make(name).plan(replace(problem, objective=Objective()), random.Random(1)).placement
    assert cost.period(problem, asked) <= cost.period(problem, plain)
    if name in ("units", "labels", "shortest_path"):
        assert cost.period(problem, asked) <= place(problem).period_s * (1 + 1e-9)


@pytest.mark.long
def test_weights_between_latency_and_period_take_what_lies_between() -> None:
    problem = equals(4)
    fastest = (1,) * 6
    assert not trade_offs(Judge(replace(problem, objective=Objective())), fastest)
    seen = set()
    for weight in (0.0, 0.3, 3.0):
        asked = replace(problem, objective=Objective(latency=1.0, period=weight))
        placement = make("units").plan(asked, random.Random(0)).placement
        seen.add(cost.period(problem, placement))
        judge = Judge(asked)
        assert judge.key(placement) <= min(judge.key(each) for each in every_pipeline(asked)) or weight
    assert len(seen) > 1
