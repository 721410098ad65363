"""The exact planner against brute force, and each of the bounds that its proofs rest on."""

from __future__ import annotations

import random
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from paper_problems import paper_problem
from period_problems import streams
from planner_problems import problems
from strategies import layer_graphs, placements

from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Objective, cost, make, simple_problem
from layerlift.planners.exact.branch_and_bound import Search
from layerlift.planners.exact.dual import Dual, limits_of
from layerlift.planners.exact.effort import Effort
from layerlift.planners.exact.exhaustive import every_placement
from layerlift.planners.exact.linear import Linear, Paths, Terms, held_share
from layerlift.planners.exact.milp import QueryProgram
from layerlift.planners.exact.optimal import Optimal
from layerlift.planners.exact.prefix_walk import PrefixWalk
from layerlift.planners.exact.question import Question
from layerlift.planners.exact.stages import Stages
from layerlift.planners.exact.units import UnitProblem, clean_units
from layerlift.planners.problem.shared_links import ports
from layerlift.planners.testing import check_planner
from layerlift.planners.testing.problems import Sketch, battery, chain_graph, draw_graph

pytest.importorskip("highspy")

ROWS = 70_000
"""Placements that brute force may look at in one example."""


def drawn(data: st.DataObject, max_layers: int, chain: bool | None = None, **options):
    problem = data.draw(problems(layer_graphs(max_layers=max_layers, chain=chain), **options))
    assume(len(problem.nodes) ** len(problem.graph) <= ROWS)
    return problem


def brute(problem) -> tuple[float, float]:
    judge = Judge(problem)
    return min(
        (float(missed[at]), float(values[at]))
        for rows in every_placement(problem)
        for missed, values in [judge.keys(rows)]
        for at in [np.lexsort((values, missed))[0]]
    )


def no_worse(key: tuple[float, float], best: tuple[float, float], slack: float = 1e-11) -> bool:
    return key < best or (key[0] <= best[0] * (1 + slack) and key[1] <= best[1] * (1 + slack))


def plainly_priced(problem):
    """Without prices so small that weighing them overflows."""
    assume(all(price == 0 or price > 1e-9 for price in problem.price_per_s.tolist()))
    return problem


@pytest.mark.parametrize("chain", [True, False])
@given(st.data())
@settings(max_examples=200, deadline=None)
def test_latency_equals_brute_force(chain: bool, data: st.DataObject) -> None:
    problem = drawn(data, 8, chain, plain=True)
    problem = replace(problem, query=data.draw(st.sampled_from(("dataflow", "serial"))))
    answer = Optimal().answer(problem)
    best = brute(problem)
    assert answer.proved
    assert answer.key[1] == cost.latency(problem, answer.placement)
    assert no_worse(answer.key, best)
    assert answer.bound <= best[1] * (1 + 1e-9)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_twelve_layers_equal_brute_force(data: st.DataObject) -> None:
    graph = data.draw(layer_graphs(max_layers=12, chain=False))
    problem = drawn_on(data, graph, 2 if len(graph) > 10 else 3)
    answer = Optimal().answer(problem)
    assert answer.proved
    assert no_worse(answer.key, brute(problem))


def drawn_on(data: st.DataObject, graph, nodes: int):
    return data.draw(problems(st.just(graph), max_nodes=nodes, min_nodes=nodes, plain=True))


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_every_objective_and_every_limit_equals_brute_force(data: st.DataObject) -> None:
    """Energy, money, balance, masks, memory, loads, prices of memory, headers, serial queries, deadlines, budgets."""
    problem = drawn(data, 6)
    local = cost.evaluate(problem, (0,) * len(problem.graph))
    deadline = data.draw(st.sampled_from((None, 0.5, 0.9)))
    budget = data.draw(st.sampled_from((None, 0.01, 0.3)))
    objective = replace(
        problem.objective, deadline_s=deadline and deadline * local.latency_s, budget=budget and budget * 1.0
    )
    problem = replace(problem, objective=objective)
    answer, best = Optimal().answer(problem), brute(problem)
    assert answer.proved
    assert no_worse(answer.key, best)
    assert best[0] > 0 or answer.bound <= best[1] * (1 + 1e-6)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_where_the_period_is_weighed_it_equals_brute_force(data: st.DataObject) -> None:
    """Alone and among other terms; with ports, loads, cores, masks and memory."""
    problem = data.draw(streams(layer_graphs(max_layers=6), max_nodes=3))
    answer, best = Optimal().answer(problem), brute(problem)
    assert answer.proved
    assert no_worse(answer.key, best)
    assert answer.bound <= best[1] * (1 + 1e-6)


@pytest.mark.parametrize("narrow", [False, True])
def test_the_program_knows_links_and_media(narrow: bool) -> None:
    graph = chain_graph([1000, 1000, 10], [0, 0, 0])
    seconds = [[0.004, 0.001], [0.02, 0.001], [0.02, 0.001]]
    problem = simple_problem(graph, seconds, bandwidth_bytes_s=1e5, objective=Objective(latency=0.0, period=1.0))
    if narrow:
        problem = replace(problem, shared=ports(np.array([5e4, np.inf]), np.array([np.inf, np.inf])))
    linear = Linear(problem, Terms.of(Judge(problem)))
    model = QueryProgram(linear, linear.allowed, 10.0, 0.044)
    solved = model.program.solve(1000, None, {})
    assert solved.columns is not None
    assert model.placement(solved.columns) == (0, 1, 1)
    assert solved.bound * 0.044 == pytest.approx(0.02 if narrow else 0.01, rel=1e-5)


@pytest.mark.long
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_program_bounds_the_period(data: st.DataObject) -> None:
    problem = data.draw(streams(layer_graphs(max_layers=5), max_nodes=3))
    objective = Objective(latency=data.draw(st.sampled_from((0.0, 1.0))), period=1.0)
    problem = replace(problem, objective=objective, query="dataflow")
    linear, best = Linear(problem, Terms.of(Judge(problem))), brute(problem)
    start = Judge(problem).local_key[1]
    assume(start > 1e-9)
    horizon_s = Question(problem, [linear], Judge(problem).key)._longest_s()
    model = QueryProgram(linear, linear.allowed, horizon_s, start)
    solved = model.program.solve(100_000, None, {})
    assert best[1] * (1 - 1e-5) - 1e-6 * start <= solved.bound * start <= best[1] * (1 + 1e-5) + 1e-6 * start


@pytest.mark.long
@given(st.data())
@settings(max_examples=80, deadline=None)
def test_the_program_alone_equals_brute_force(data: st.DataObject) -> None:
    """To the tolerance of its rows; serial queries, and shared parameters that are paid for, only bound."""
    problem = plainly_priced(drawn(data, 6))
    problem = replace(problem, objective=replace(problem.objective, balance=0.0, coordination=0.0))
    judge, local = Judge(problem), (0,) * len(problem.graph)
    linear, best, start = Linear(problem, Terms.of(judge)), brute(problem), judge.key(local)[1]
    paths = Paths(linear)
    model = QueryProgram(linear, paths.better_than(start * (1 + 1e-9)), (start - linear.base) / linear.rate, start)
    solved = model.program.solve(100_000, None, model.columns(local))
    assert solved.bound * start <= best[1] * (1 + 1e-6)
    assert solved.columns is not None
    if problem.query == "dataflow" and not (problem.price_per_byte_s.any() and shares(problem.graph)):
        assert no_worse(judge.key(model.placement(solved.columns)), best, 1e-5)
        assert solved.bound * start >= best[1] * (1 - 1e-5)


def shares(graph) -> bool:
    held = [parameter for layer in graph.layers for parameter in set(layer.parameters)]
    return len(held) > len(set(held))


@pytest.mark.long
@given(st.data())
@settings(max_examples=120, deadline=None)
def test_units_cost_alone_what_they_cost_together(data: st.DataObject) -> None:
    """The theorem behind the decomposition: for any placement the units' own costs sum to the whole's."""
    problem = plainly_priced(drawn(data, 10))
    linear = Linear(problem, Terms(latency=1.0, energy=0.3, money=0.7))
    placement = data.draw(placements(problem.graph, len(problem.nodes)))
    total = 0.0
    for unit in clean_units(problem.graph):
        part = UnitProblem(linear, unit, placement[unit.first - 1] if unit.first else 0, placement[unit.last])
        own = placement[max(unit.first - 1, 0) : unit.last + 1]
        total += part.key(own)[1] - part.constant
    assert total == pytest.approx(linear.value(placement), rel=1e-10, abs=1e-12)


def test_units_are_the_modules() -> None:
    units = clean_units(battery()["modules"].graph)
    assert [(unit.first, unit.last) for unit in units] == [(0, 0), (1, 4), (5, 6), (7, 7)]
    assert len(clean_units(battery()["shared weight, two answers"].graph)) == 1
    assert all(len(unit) == 1 for unit in clean_units(battery()["chain"].graph))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_prefix_is_never_later_than_the_whole_query(data: st.DataObject) -> None:
    problem = drawn(data, 8)
    placement = data.draw(placements(problem.graph, len(problem.nodes)))
    whole = PrefixWalk(problem, placement, len(placement))
    assert whole.answered_s == pytest.approx(cost.latency(problem, placement), rel=1e-12, abs=1e-15)
    for depth in range(1, len(placement)):
        prefix = PrefixWalk(problem, placement, depth)
        for tensor, emitted in prefix.emitted_s.items():
            assert emitted <= whole.emitted_s[tensor] * (1 + 1e-12)
        for key, arrived in prefix.arrived_s.items():
            assert key[0] < 0 or arrived <= whole.arrived_s[key] * (1 + 1e-12)
        assert prefix.answered_s <= whole.answered_s * (1 + 1e-12)


@pytest.mark.long
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_paths_never_promise_too_little(data: st.DataObject) -> None:
    problem = plainly_priced(drawn(data, 8))
    linear = Linear(problem, Terms(latency=1.0, energy=0.3, money=0.7))
    placement = data.draw(placements(problem.graph, len(problem.nodes)))
    assume(all(problem.allowed[layer, node] for layer, node in enumerate(placement)))
    paths, value = Paths(linear), linear.value(placement)
    assert paths.bound <= value * (1 + 1e-12)
    assert all(paths.through[layer, node] <= value * (1 + 1e-12) for layer, node in enumerate(placement))
    assert all(paths.better_than(value * 1.001 + 1e-9)[layer, node] for layer, node in enumerate(placement))


@pytest.mark.long
@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_prices_on_limits_bound_what_keeps_them(data: st.DataObject) -> None:
    problem = plainly_priced(drawn(data, 5, min_nodes=2))
    local = cost.evaluate(problem, (0,) * len(problem.graph))
    objective = Objective(latency=0.5, energy=1.0, deadline_s=0.8 * local.latency_s + 1e-6, budget=0.5)
    problem = replace(problem, objective=objective)
    dual = Dual(Linear(problem, Terms.of(Judge(problem))), limits_of(problem, 0.0))
    dual.solve(Effort(1000, 0, 0))
    missed, value = brute(problem)
    assume(missed == 0)
    assert dual.bound <= value * (1 + 1e-9)
    best = Optimal().answer(problem).placement
    assert all(dual.alive(value * 1.001)[layer, node] for layer, node in enumerate(best))


@given(layer_graphs(max_layers=8), st.data())
@settings(max_examples=60, deadline=None)
def test_shares_of_memory_never_exceed_what_is_held(graph, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.integers(0, len(graph) - 1)))
    share = held_share(graph)
    assert sum(share[layer] for layer in chosen) <= graph.held_bytes(chosen) * (1 + 1e-12)
    assert share.sum() == pytest.approx(graph.held_bytes(range(len(graph))))


def tangled(layers: int = 14, nodes: int = 8, seed: int = 5):
    """Layers that read two of the last four, over nodes of like speed: one unit, and much to choose."""
    rng = random.Random(seed)
    sketches = [Sketch("l0", ("input",), 1000)]
    for index in range(1, layers):
        reads = {f"l{rng.randrange(max(0, index - 4), index)}" for _ in range(2)}
        sketches.append(Sketch(f"l{index}", tuple(sorted(reads)), rng.choice((0, 1000, 50_000))))
    speeds = [1.0, *(rng.uniform(2, 6) for _ in range(nodes - 1))]
    work = [rng.uniform(0.01, 0.1) for _ in range(layers)]
    seconds = [[each / speed for speed in speeds] for each in work]
    return simple_problem(draw_graph("tangled", sketches), seconds, bandwidth_bytes_s=1e7, latency_s=0.002)


@pytest.mark.long
def test_the_program_goes_on_where_the_search_gives_up() -> None:
    problem = tangled()
    alone = Optimal(steps=500, largest=0).answer(problem)
    both = Optimal(steps=500, nodes=5_000).answer(problem)
    assert not alone.proved
    assert both.proved
    assert alone.bound < both.key[1] <= alone.key[1]
    searched = Optimal(steps=3_000_000, largest=0).answer(problem)
    assert searched.proved
    assert both.key[1] == pytest.approx(searched.key[1], rel=1e-6)
    assert both.gap == 0.0 < alone.gap == pytest.approx(1 - alone.bound / alone.key[1])


@pytest.mark.long
def test_little_effort_still_gives_a_plan_and_a_true_bound() -> None:
    for name, problem in battery().items():
        lazy, answer = Optimal(steps=1, nodes=0, largest=0).answer(problem), Optimal().answer(problem)
        assert answer.proved or problem.objective.coordination, name  # which is outside the bound
        assert lazy.key >= answer.key
        assert lazy.bound <= answer.key[1] * (1 + 1e-9) or answer.key[0] > 0


def test_a_time_limit_ends_it_with_an_honest_note() -> None:
    plan = make("optimal:time_limit_s=1e-9").plan(tangled(), random.Random(0))
    assert plan.note.startswith("not proved optimal: value ")
    assert "gap" in plan.note


def test_notes_say_what_is_proved() -> None:
    problem = battery()["modules"]
    latency = make("exhaustive").place(problem)
    note = make("optimal").plan(problem, random.Random(0)).note
    assert note == f"optimal: bound {cost.latency(problem, latency):.6g}, gap 0 %"
    hopeless = replace(problem, objective=Objective(latency=0, money=1, deadline_s=1e-3))
    assert make("optimal").plan(hopeless, random.Random(0)).note.startswith("no placement keeps the limits: ")
    fastest = Optimal().answer(hopeless).placement
    assert cost.latency(problem, fastest) == pytest.approx(cost.latency(problem, latency), rel=1e-12)


def test_two_branches_go_to_two_servers_where_that_pays() -> None:
    graph = draw_graph(
        "fork",
        [Sketch("a", ("input",)), Sketch("b", ("a",)), Sketch("c", ("a",)), Sketch("d", ("b", "c"))],
        input_bytes=0,
    )
    problem = simple_problem(
        graph, [[1, 0.1, 0.1], [9, 1, 1], [9, 1, 1], [1, 0.1, 0.1]], bandwidth_bytes_s=1e6, latency_s=0.01
    )
    answer = Optimal().answer(problem)
    assert {answer.placement[1], answer.placement[2]} == {1, 2}
    assert answer.key[1] == pytest.approx(0.01 + 0.1 + 0.011 + 1 + 0.1 + 0.011)


@pytest.mark.long
@pytest.mark.parametrize("name", ["alexnet", "vgg19", "googlenet", "resnet50", "densenet121"])
def test_real_networks_in_the_papers_environment_are_proved(name: str) -> None:
    problem = paper_problem(name)
    answer = Optimal().answer(problem)
    assert answer.proved
    for rival in ("one_step", "shortest_path", "min_cut"):
        placement = make(rival).plan(problem, random.Random(0)).placement
        assert answer.key[1] <= cost.latency(problem, placement) * (1 + 1e-12), rival


@pytest.mark.long
def test_money_under_a_deadline_is_proved_on_alexnet() -> None:
    """Lin's objective, with a deadline halfway between the fastest placement and staying local."""
    base = paper_problem("alexnet")
    fastest, local = Optimal().answer(base).key[1], cost.latency(base, (0,) * len(base.graph))
    priced = replace(base, price_per_s=np.array([0.0, *np.linspace(1, 4, 5), *np.linspace(6, 18, 5)]))
    problem = replace(priced, objective=Objective(latency=0, money=1, deadline_s=(fastest + local) / 2))
    answer = Optimal().answer(problem)
    assert answer.proved
    assert cost.latency(problem, answer.placement) <= problem.objective.deadline_s
    ga = make("ga:evaluations=4000").plan(problem, random.Random(0))
    assert answer.key[1] <= cost.money(problem, ga.placement) * (1 + 1e-9)


def test_the_search_alone_says_when_it_is_not_complete() -> None:
    problem = tangled(10, 5)
    judge, linear = Judge(problem), Linear(problem, Terms(latency=1.0))
    start = (0,) * len(problem.graph)
    whole = Search(problem, [linear], judge.key).run(start, problem.allowed, Effort(10**6, 0, 0))
    short = Search(problem, [linear], judge.key).run(start, problem.allowed, Effort(50, 0, 0))
    assert whole.complete
    assert not short.complete
    assert short.bound <= whole.key[1] <= short.key[1]
    assert whole.key == brute_key_by_stages(problem)


def brute_key_by_stages(problem) -> tuple[float, float]:
    stages = Stages(Linear(problem, Terms(latency=1.0)))
    stages.solve(Effort(10**6, 0, 0))
    assert stages.proved
    return 0.0, cost.latency(problem, stages.placement)


def test_tensors_numbered_out_of_order_only_loosen_the_program() -> None:
    """A graph whose tensors are numbered against the order of their makers: queues are left out, the answer is not."""
    graph = battery()["modules"].graph
    count = len(graph.tensors)
    turned = [count - 1 - index for index in range(count)]
    layers = tuple(
        replace(each, inputs=tuple(turned[t] for t in each.inputs), outputs=tuple(turned[t] for t in each.outputs))
        for each in graph.layers
    )
    mirrored = replace(
        graph,
        layers=layers,
        tensors=tuple(reversed(graph.tensors)),
        inputs=tuple(turned[t] for t in graph.inputs),
        outputs=tuple(turned[t] for t in graph.outputs),
    )
    problem = replace(battery()["modules"], graph=mirrored)
    answer = Optimal().answer(problem)
    assert answer.proved
    assert no_worse(answer.key, brute(problem))


@pytest.mark.long
def test_it_meets_every_demand_of_the_kit() -> None:
    assert check_planner("optimal") > 100


@pytest.mark.parametrize("options", ["steps=-1", "nodes=-2", "largest=-1", "time_limit_s=0"])
def test_wrong_options_are_refused(options: str) -> None:
    with pytest.raises(PlanError, match="expected numbers of at least 0"):
        make(f"optimal:{options}")


def test_without_the_solver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highspy", None)
    with pytest.raises(PlanError, match=r"pip install 'layerlift\[exact\]'"):
        Optimal(steps=100).answer(tangled())


def test_a_chain_of_one_layer_and_no_server() -> None:
    problem = simple_problem(chain_graph([10], [10]), [[0.5]], bandwidth_bytes_s=1e6)
    answer = Optimal().answer(problem)
    assert (answer.placement, answer.key, answer.proved) == ((0,), (0.0, 0.5), True)
