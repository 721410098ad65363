"""Planning for somebody who will leave: what the upload costs, and what it brings until then."""

from __future__ import annotations

import random
from dataclasses import replace
from math import exp
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_problems import MB, paper_problem
from planner_problems import problems
from strategies import layer_graphs

from layerlift.emulator import RunResult, Scenario, run
from layerlift.emulator.planning.answer import answer
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Plan, Problem, cost, make, simple_problem, validate
from layerlift.planners.cost.stay import Stay
from layerlift.planners.problem.plan import all_local, offload
from layerlift.planners.testing.problems import chain_graph

CHAINS = layer_graphs(max_layers=5, chain=True)


def test_seconds_of_a_stay() -> None:
    known, law = Stay(10.0), Stay(10.0, "exponential")
    assert [known.between(0, 4), known.between(4, 12), known.between(12, 20)] == [4, 6, 0]
    assert law.between(0, float("inf")) == pytest.approx(10.0)
    assert law.between(2, 5) == pytest.approx(10 * (exp(-0.2) - exp(-0.5)), rel=1e-6)


def test_what_a_plan_costs_over_a_stay_by_hand() -> None:
    graph = chain_graph([4], [MB])
    problem = simple_problem(graph, [[2.0, 0.5]], bandwidth_bytes_s=MB / 4, latency_s=0.0)
    plan, there_s = offload((1,)), cost.latency(problem, (1,))
    assert Stay(10.0).cost(Judge(problem), plan) == (0.0, pytest.approx(4 * 2.0 + 6 * there_s))
    assert Stay(3.0).cost(Judge(problem), plan) == (0.0, pytest.approx(3 * 2.0))
    assert Stay(10.0).cost(Judge(replace(problem, memory_bytes=np.array([np.inf, 1.0]))), plan)[0] == float("inf")


@pytest.mark.long
@given(problems(CHAINS, max_nodes=3), st.sampled_from(["units", "labels"]), st.sampled_from([0.05, 1.0, 30.0]))
@settings(max_examples=15, derandomize=True, deadline=None, database=None)
def test_nothing_is_better_over_the_stay_than_what_is_planned_for_it(
    problem: Problem, planner: str, stay_s: float
) -> None:
    judge, stay = Judge(problem), Stay(stay_s, "exponential")
    for order in ("", "+recursive"):
        plans: list[Plan] = [all_local(problem)]
        for options in (f":stay_s={stay_s},leaves=exponential", ""):
            plans.append(make(planner + options + order).plan(problem, random.Random(0)))
            validate(plans[-1], problem)
        home, planned, forever = (stay.cost(judge, plan) for plan in plans)
        assert planned <= min(home, forever)


def test_the_longer_the_stay_the_more_is_uploaded() -> None:
    problem = paper_problem("alexnet")
    held = []
    for stay_s in (0.001, 5.0, 100.0, 1e9):
        plan = make(f"units:stay_s={stay_s}").plan(problem, random.Random(0))
        held.append(sum(cost.held_bytes(problem, plan.placement)[1:]))
    assert held == sorted(held)
    assert held[0] == 0 < held[1] < held[-1]
    forever = make("units").plan(problem, random.Random(0))
    assert cost.latency(problem, plan.placement) == pytest.approx(cost.latency(problem, forever.placement))


def test_a_placement_for_a_stay_depends_on_its_uploads_in_memory_too() -> None:
    problem, memory = paper_problem("alexnet"), PlanMemory()
    made = {}
    for planner in ("units:stay_s=5+direct", "units:stay_s=5+recursive"):
        job = PlanJob(0.0, 0, planner, problem)
        made[planner] = answer(job, 1).outcomes[0]
        assert answer(job, 1, memory.planner).outcomes[0] == made[planner]
    direct, recursive = made.values()
    assert direct.placement != recursive.placement


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan"])
def test_a_stay_is_a_time(value: str) -> None:
    with pytest.raises(PlanError, match=f"labels: stay_s={value} was given, expected seconds above 0"):
        make(f"labels:stay_s={value}")


SHORT: dict[str, Any] = {
    "name": "short_stay",
    "nodes": [{"tier": "edge", "count": 2, "ghz": [16, 48], "cores": 4}],
    "links": {
        "client-edge": {"bandwidth_mb_s": 4, "latency_ms": 4},
        "edge-edge": {"bandwidth_mb_s": 100, "latency_ms": 1},
    },
    "users": [{"count": 4, "device": {"ghz": 1.5}, "queries": 12, "arrival": {"per_s": 0.2}, "model": "alexnet"}],
    "execution": "none",
    "reference_ghz": 48.6,
}


def stayed(planner: str) -> tuple[float, RunResult]:
    """Mean latency of users who ask twelve times and leave."""
    result = run(Scenario.from_dict(SHORT | {"users": [SHORT["users"][0] | {"planner": planner}]}), local=True)
    latencies = result.queries["latency_s"].to_pylist()
    return sum(latencies) / len(latencies), result


@pytest.mark.long
def test_a_short_stay_is_served_by_a_short_upload() -> None:
    (forever_s, forever), (staying_s, staying) = stayed("units"), stayed("units:stay_s=6")
    assert staying_s < 0.9 * forever_s
    assert sum(staying.uploads["bytes"].to_pylist()) < 0.2 * sum(forever.uploads["bytes"].to_pylist())
