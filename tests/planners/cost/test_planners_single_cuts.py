"""All single cuts at once, against the cost model walked row by row; and the choice among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_problems import paper_problem
from planner_problems import problems
from strategies import layer_graphs

from layerlift.planners import Judge, Objective, Problem, cost, simple_problem
from layerlift.planners.cost import batch
from layerlift.planners.cost.single_cuts import CutCosts, all_single_cuts
from layerlift.planners.testing.problems import Sketch, draw_graph


def slow_cuts(problem: Problem) -> np.ndarray:
    """Every legal single cut, row by row, as the definition says."""
    rows = []
    for server in problem.servers:
        seen = set()
        for first in range(len(problem.graph)):
            row = tuple(
                server if layer >= first and problem.allowed[layer, server] else 0
                for layer in range(len(problem.graph))
            )
            if any(row) and row not in seen and cost.fits(problem, row):
                seen.add(row)
                rows.append(row)
    return np.array(rows, dtype=np.int64).reshape(-1, len(problem.graph))


@given(problems(layer_graphs(max_layers=6)))
@settings(max_examples=300, deadline=None)
def test_sums_are_what_the_cost_model_says_of_every_cut(problem: Problem) -> None:
    problem = replace(problem, objective=replace(problem.objective, balance=0.5))
    rows, cuts = slow_cuts(problem), CutCosts(problem)
    np.testing.assert_array_equal(all_single_cuts(problem), rows)
    assert [cuts.placement(number) for number in range(len(cuts))] == [tuple(row) for row in rows.tolist()]
    walked = batch.evaluate(problem, rows)
    np.testing.assert_allclose(cuts.latency_s, walked.latency_s, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(cuts.energy_j, walked.energy_j, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(cuts.money, walked.money, rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(cuts.balance, walked.balance, rtol=1e-9, atol=1e-12)


def broken_up(seed: int) -> Problem:
    """Units in a row, modules and early answers among them; some layers must stay at home."""
    rng = np.random.default_rng(seed)
    sketches: list[Sketch] = []
    last = "input"
    for number in range(int(rng.integers(2, 6))):
        kind, here = rng.integers(0, 5), [f"{letter}{number}" for letter in "abcd"]
        sizes = [int(size) for size in rng.integers(0, 4, 4) * 1_000_000]
        sketches.append(Sketch(here[0], (last,), sizes[0], 10))
        if kind == 1:
            sketches += [Sketch(here[1], (here[0],), sizes[1]), Sketch(here[2], (here[0],), sizes[2], 20)]
            sketches.append(Sketch(here[3], (here[1], here[2]), sizes[3]))
        elif kind == 2:
            sketches.append(Sketch(here[3], (here[0],), sizes[3]))
            sketches.append(Sketch(here[1], (here[3],), sizes[1]))  # an answer, which nobody reads
        # Some networks begin anew from what goes in.
        last = "input" if rng.random() < 0.1 else here[3] if kind in (1, 2) else here[0]
    graph = draw_graph("broken", sketches)
    made = simple_problem(
        graph, rng.integers(0, 8, (len(graph), 3)) / 4.0, bandwidth_bytes_s=rng.choice([1e6, 4e6], (3, 3)),
        latency_s=0.25, header_bytes=64, query=("dataflow", "serial")[seed % 2],
    )  # fmt: skip
    allowed = rng.random((len(graph), 3)) < 0.8
    allowed[:, 0] = True
    # What is said of layers on servers where they may not run is nobody's business.
    seconds = np.where(allowed, made.seconds, rng.choice([1.0, 1e30, np.inf]))
    held = rng.choice([0.0, 1e-3]) * np.array([0.0, 1.0, 2.0])
    return replace(
        made,
        seconds=seconds,
        allowed=allowed,
        price_per_s=np.array([0.0, 3.0, 1.0]),
        price_per_byte_s=held,
        busy_w=np.array([7.0, 2.0, 9.0]),
    )


@given(st.integers(0, 2**32))
@settings(max_examples=500, deadline=None)
def test_cuts_around_layers_that_stay_at_home_are_what_the_cost_model_says(seed: int) -> None:
    problem = broken_up(seed)
    cuts = CutCosts(problem)
    if not len(cuts):
        return
    walked = batch.evaluate(problem, all_single_cuts(problem), period=True)
    for term in ("latency_s", "energy_j", "money", "balance", "period_s"):
        np.testing.assert_allclose(getattr(cuts, term), getattr(walked, term), rtol=1e-11, atol=1e-12, err_msg=term)


@given(problems(layer_graphs(max_layers=6)), st.data())
@settings(max_examples=300, deadline=None)
def test_the_best_cut_is_the_one_that_walking_all_of_them_finds(problem: Problem, data: st.DataObject) -> None:
    wanted = replace(
        problem.objective,
        deadline_s=data.draw(st.sampled_from([None, 0.1, 1.0, 5.0])),
        budget=data.draw(st.sampled_from([None, 0.01, 1.0])),
    )
    problem = replace(problem, objective=wanted)
    rows, judge = slow_cuts(problem), Judge(problem)
    found = judge.best_cut()
    assert (found is None) == (not len(rows))
    if found is not None:
        assert found[1] == judge.best(rows)
        assert found[0] == judge.key(found[1])
        for server in {int(row.max()) for row in rows}:
            own = judge.best_cut(server)
            assert own is not None
            assert own[1] == judge.best(rows[rows.max(axis=1) == server])


def test_equal_servers_are_told_apart_by_their_number_alone() -> None:
    """Three servers alike to the last bit, whatever order the sums are added in."""
    alike = paper_problem("squeezenet", servers=range(3, 4))
    seconds = np.repeat(alike.seconds, [1, 3], axis=1)
    tripled = replace(
        alike, nodes=("client", "a", "b", "c"), tiers=("client", *["edge"] * 3), seconds=seconds,
        latency_s=np.where(np.eye(4), 0.0, 0.002), bandwidth_bytes_s=np.where(np.eye(4), np.inf, 1e7),
        memory_bytes=np.full(4, np.inf), load=np.zeros(4), share=np.ones(4), price_per_s=np.zeros(4),
        price_per_byte=np.zeros((4, 4)), price_per_byte_s=np.zeros(4), busy_w=np.zeros(4),
        load_s_per_byte=np.zeros(4), cores=np.ones(4, dtype=np.int64),
        allowed=np.ones((len(alike.graph), 4), dtype=np.bool_),
    )  # fmt: skip
    found = Judge(tripled).best_cut()
    assert found is not None
    assert max(found[1]) == 1


def test_a_cut_that_keeps_the_deadline_by_a_hair_is_taken() -> None:
    """Sums put it on the wrong side of the deadline or not: the cost model decides."""
    problem = paper_problem("alexnet")
    cuts = CutCosts(problem)
    exact = [cost.latency(problem, cuts.placement(number)) for number in range(len(cuts))]
    priced = replace(problem, price_per_s=np.array([0.0, *range(1, 11)], dtype=np.float64))
    for deadline in sorted(exact)[:5]:
        judge = Judge(replace(priced, objective=Objective(latency=0.0, money=1.0, deadline_s=deadline)))
        found = judge.best_cut()
        assert found is not None
        assert found[0][0] == 0.0
        assert found == (judge.key(found[1]), found[1])
        assert found[0][1] == pytest.approx(
            min(cost.money(priced, cuts.placement(number)) for number, each in enumerate(exact) if each <= deadline)
        )
