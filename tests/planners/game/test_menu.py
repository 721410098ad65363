"""The intervals of a menu: of networks with layers that must stay at home, each move once, and what each costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from planner_problems import problems

from layerlift.planners.cost import batch
from layerlift.planners.game.server_intervals import Tables
from layerlift.planners.graphs.intervals import interval, spans_in
from layerlift.planners.problem.problem import Problem, simple_problem
from layerlift.planners.testing.problems import Sketch, battery, draw_graph

CASES = [name for name, problem in sorted(battery().items()) if problem.servers and len(problem.graph) > 3]


def some_forbidden(name: str, seed: int) -> Problem:
    """A problem of the battery of whose layers some must stay at home: single ones, or runs."""
    whole = battery()[name]
    rng = np.random.default_rng(seed)
    allowed = whole.allowed.copy()
    allowed[:, 1] = rng.random(len(allowed)) < 0.6
    if seed % 2:
        allowed[:, 1] = True
        first = int(rng.integers(1, len(allowed) - 1))
        allowed[first : first + int(rng.integers(1, 3)), 1] = False
    return replace(whole, allowed=allowed, memory_bytes=np.full(len(whole.nodes), np.inf))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["chain", "modules"])
def test_of_intervals_that_move_the_same_layers_one_is_kept(name: str, seed: int) -> None:
    problem = some_forbidden(name, seed)
    spans, moves = spans_in(problem), set()
    for start, end in zip(spans.first.tolist(), spans.last.tolist(), strict=True):
        moves.add(tuple(layer for layer in range(start, end + 1) if problem.allowed[layer, 1]))
    made = Tables(problem, spans).on(1)
    kept = [interval(problem, 1, *ends) for ends in zip(made.first.tolist(), made.last.tolist(), strict=True)]
    assert len(kept) == len(set(kept)) == len(moves - {()}) < len(spans.first)
    assert [tuple(np.flatnonzero(row).tolist()) for row in kept] == sorted(moves - {()}, key=_ends)


def _ends(layers: tuple[int, ...]) -> tuple[int, int]:
    return layers[0], layers[-1]


@pytest.mark.parametrize("query", ["dataflow", "serial"])
@pytest.mark.parametrize("name", CASES)
def test_intervals_cost_what_the_cost_model_says_whatever_must_stay_at_home(name: str, query: str) -> None:
    for seed in range(6):
        hold(replace(some_forbidden(name, seed), query=query))


ROUND = [
    Sketch("a", ("input",), 100_000, 50_000, shares="tied"),
    Sketch("home", ("a",), 80_000, 30_000),
    Sketch("b", ("home",), 60_000, 10_000),
    Sketch("add", ("b", "home"), 60_000),
    Sketch("c", ("add",), 40_000, 50_000, shares="tied"),
    Sketch("d", ("c",), 4_000, 400_000),
]
"""What the second layer makes is read at once, and again behind the next."""


@pytest.mark.parametrize("home", range(1, 6))
@pytest.mark.parametrize("early", ["", "a", "add", "c"])
def test_so_where_an_excursion_is_not_all_that_happens(home: int, early: str) -> None:
    """A tensor goes past it, a weight is shared with it, or an answer is made before."""
    place = [each.name for each in ROUND].index(early) + 1 if early else 0
    sketches = [*ROUND[:place], Sketch("answer", (early,), 30_000), *ROUND[place:]] if early else ROUND
    graph = draw_graph("round", [replace(each, shares="") if early else each for each in sketches])
    seconds = [[0.02, 0.002], [0.01, 0.001], [0.03, 0.004], [0.001, 0.001], [0.02, 0.002], [0.01, 0.001], [0.01, 0.001]]
    problem = simple_problem(graph, seconds[: len(graph)], bandwidth_bytes_s=1e7, latency_s=0.002)
    allowed = np.ones((len(graph), 2), dtype=np.bool_)
    allowed[home, 1] = False
    problem = replace(problem, allowed=allowed)
    hold(problem)
    assert len(Tables(problem, spans_in(problem)).on(1).first) == len(graph) * (len(graph) - 1) / 2


@settings(max_examples=30)
@given(problem=problems(min_nodes=2, max_nodes=2))
def test_so_in_any_graph(problem: Problem) -> None:
    hold(problem)


def hold(problem: Problem) -> None:
    """All intervals on server 1 cost what the cost model says."""
    made = Tables(problem, spans_in(problem)).on(1)
    rows = np.array(
        [interval(problem, 1, *ends) for ends in zip(made.first.tolist(), made.last.tolist(), strict=True)]
    ).reshape(-1, len(problem.graph))
    walked = batch.evaluate(problem, rows, carried=True, period=True)
    latency = made.latency_s(float(problem.slowdown[1]))
    nodes = len(problem.nodes)
    said = (
        latency, made.held, made.work_s, made.there_s, made.back_s,
        made.fixed_j + problem.power.idle_w * latency,
        made.fixed_money + problem.price_per_byte_s[1] * made.held * latency,
        np.maximum(made.steady_s, made.work_s * problem.occupancy[1]),
    )  # fmt: skip
    known = (
        walked.latency_s, batch.held_bytes(problem, rows)[:, 1], walked.busy_s[:, 1], walked.carried_s[:, 1],
        walked.carried_s[:, nodes], walked.energy_j, walked.money, walked.period_s,
    )  # fmt: skip
    for ours, theirs in zip(said, known, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-15)
