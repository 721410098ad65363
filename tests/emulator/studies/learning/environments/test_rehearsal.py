"""A run that waits for answers: the same run as with a planner that gives them, and one that can be left."""

from __future__ import annotations

import gc
import random
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.run import run
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies.fairness.people import Person, Waited
from layerlift.emulator.studies.learning.environments import outcome
from layerlift.emulator.studies.learning.environments.choices import Choices, shares
from layerlift.emulator.studies.learning.environments.crowd_seen import OF_NODE, OF_USER, nothing_seen, seen
from layerlift.emulator.studies.learning.environments.outcome import FAILED, mean_ratio, ratios
from layerlift.emulator.studies.learning.environments.rehearsal import NAME, Rehearsal
from layerlift.planners import Plan, Problem, offload, simple_problem
from layerlift.planners.cost import query
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.single_cuts import single_cuts
from layerlift.planners.learned.priced import DEAR
from layerlift.planners.problem.plan import validate
from layerlift.planners.registry import register, unregister
from layerlift.planners.registry.base import PlannerBase
from layerlift.planners.testing.problems import battery, chain_graph

BATTERY = battery()


def small(planner: str = NAME, **changes: Any) -> Scenario:
    """Three users with one network, who come at once to two servers."""
    users = {"count": 3, "device": {"ghz": 0.1}, "model": "squeezenet", "queries": 8, "planner": planner}
    return Scenario.from_dict(
        {
            "name": "small",
            "nodes": [{"tier": "edge", "count": 2, "ghz": 20, "cores": 1}],
            "links": {
                "client-edge": {"bandwidth_mb_s": 20, "latency_ms": 1},
                "edge-edge": {"bandwidth_mb_s": 50, "latency_ms": 1},
            },
            "users": [users],
            "execution": "none",
        }
        | changes,
        [],
        allow_code=True,
    )


def played(rehearsal: Rehearsal, choose: Any) -> tuple[list[Problem], RunResult]:
    """The problems and the result of a run whose requests are answered by `choose(problem)`."""
    problems: list[Problem] = []
    while isinstance(heard := rehearsal.next(), Problem):
        problems.append(heard)
        rehearsal.answer(choose(heard))
    return problems, heard


def spread_out(problem: Problem) -> tuple[int, ...]:
    """All of it on the server of the user's number."""
    assert problem.crowd is not None
    return (problem.crowd.user % len(problem.servers) + 1,) * len(problem.graph)


class SpreadOut(PlannerBase):
    """The same as a planner."""

    wants_crowd = True

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        return offload(spread_out(problem))


@pytest.mark.long
def test_the_run_is_that_of_a_planner_that_gives_the_same_answers() -> None:
    register("spread_out", SpreadOut)
    try:
        for name in ("spread_out", "spread_out+ionn"):
            rehearsal = Rehearsal(small(name))
            problems, result = played(rehearsal, spread_out)
            assert [problem.crowd.user for problem in problems if problem.crowd] == [0, 1, 2]
            assert len(rehearsal.world.users) == 3
            assert result.digest == run(small(name), local=True).digest
            rehearsal.close()
    finally:
        unregister("spread_out")


def test_without_an_environment_everybody_stays_home() -> None:
    _, result = played(Rehearsal(small()), lambda problem: (0,) * len(problem.graph))
    assert result.digest == run(small(), local=True).digest
    assert set(result.queries["remote_layers"].to_pylist()) == {0}


def rehearsals() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rehearsal"]


def test_a_run_can_be_left_at_a_request_and_between_requests() -> None:
    for answers in (0, 1):
        rehearsal = Rehearsal(small())
        problem = rehearsal.next()
        assert isinstance(problem, Problem)
        assert rehearsals()
        for _ in range(answers):
            rehearsal.answer((0,) * len(problem.graph))
        rehearsal.close()
        assert not rehearsals()


def test_a_run_can_be_left_when_it_asks_nothing_more() -> None:
    rehearsal = Rehearsal(small().changed(["users.0.queries=100000"]))
    for _ in range(3):
        problem = rehearsal.next()
        assert isinstance(problem, Problem)
        rehearsal.answer((0,) * len(problem.graph))
    rehearsal.close()
    assert not rehearsals()


def test_what_a_run_raises_is_raised_here() -> None:
    broken = small().changed(["models.squeezenet.source=/nowhere.onnx"])
    rehearsal = Rehearsal(broken)
    with pytest.raises(Exception, match=r"nowhere\.onnx"):
        rehearsal.next()
    rehearsal.close()


def test_runs_that_overlap_leave_pythons_collections_as_they_were() -> None:
    before = gc.get_threshold()
    one, other = Rehearsal(small()), Rehearsal(small())
    one.next()
    other.next()
    one.close()
    other.close()
    assert gc.get_threshold() == before


# What a user may do.


@pytest.mark.parametrize("name", sorted(BATTERY))
def test_no_single_cut_towards_a_server_is_better_than_the_choice(name: str) -> None:
    problem = BATTERY[name]
    judge, choices = Judge(problem), Choices(problem)
    assert choices.placements[0] == (0,) * len(problem.graph)
    assert choices.costs[0] == pytest.approx(judge.local_key[0] + bool(judge.local_key[1]))
    for server in problem.servers:
        placement = choices.placements[server]
        cuts = single_cuts(problem, server)
        assert bool(choices.open[server]) == (placement is not None)
        if placement is None:
            assert not len(cuts)
            assert choices.costs[server] == DEAR
            continue
        validate(offload(placement), problem)
        assert set(placement) in ({server}, {0, server})
        assert query.fits(problem, placement)
        missed, values = judge.keys(cuts)
        best = min(zip(missed.tolist(), values.tolist(), strict=True))
        found = judge.key(placement)
        assert found <= best or found == pytest.approx(best)
        if judge.local_key[1]:
            assert choices.costs[server] == pytest.approx(min(found[1] / judge.local_key[1] + found[0], DEAR))


def test_a_choice_may_come_home_in_between() -> None:
    graph = chain_graph([4_000, 4_000, 400], [0, 0, 0])
    problem = simple_problem(graph, [[1.0, 0.1], [1.0, 0.1], [1.0, 9.0]], bandwidth_bytes_s=1e6)
    assert Choices(problem).placements == [(0, 0, 0), (1, 1, 0)]
    assert len(Choices(simple_problem(graph, [[1.0]] * 3, bandwidth_bytes_s=1e6)).costs) == 1


def test_what_is_seen_is_bounded_and_padded() -> None:
    for name, problem in BATTERY.items():
        made = seen(Choices(problem), 5, 10, 6)
        assert made["user"].shape == (OF_USER,)
        assert made["nodes"].shape == (6, OF_NODE)
        for table in (made["user"], made["nodes"]):
            assert table.dtype == np.float32
            assert np.isfinite(table).all(), name
            assert 0.0 <= table.min() <= table.max() <= 1.0
        assert not made["nodes"][len(problem.nodes) :].any()
        assert made["action_mask"][0] == 1
        assert made["nodes"][0, 0] == 1.0
    assert nothing_seen(3)["action_mask"].tolist() == [1, 0, 0]


def test_nothing_is_uploaded_to_the_client() -> None:
    problem = replace(BATTERY["chain"], load_s_per_byte=np.full(4, 1e-7))
    upload = seen(Choices(problem), 0, 1, 4)["nodes"][:, 4]
    assert upload[0] == 0.0
    assert upload[1:].all()


def test_what_is_known_of_the_crowd_is_seen() -> None:
    alone, told = (seen(Choices(BATTERY[name]), 0, 4, 4) for name in ("chain", "chain, told of the crowd"))
    assert not alone["nodes"][:, 9:].any()
    assert told["nodes"][1:, 9:].any()
    assert alone["user"][0] == 0.0 != told["user"][0]


def test_shares_of_all_and_of_nothing() -> None:
    assert shares(np.array([0.0, 1.0, 3.0, np.inf]), 1.0).tolist() == [0.0, 0.5, 0.75, 1.0]
    assert shares(np.array([0.0]), 0.0).tolist() == [0.0]


# What it was worth.


def test_at_home_the_ratio_is_one_and_elsewhere_that_of_latencies() -> None:
    home = Rehearsal(small())
    _, result = played(home, lambda problem: (0,) * len(problem.graph))
    assert ratios(result, home.world) == pytest.approx([1.0] * 3)
    away = Rehearsal(small("local"))
    _, result = played(away, lambda problem: (1,) * len(problem.graph))
    local_s = query.latency(problem_of(away.world, 0), (0,) * len(problem_of(away.world, 0).graph))
    latencies = np.array(result.queries["latency_s"].to_pylist())
    assert mean_ratio(ratios(result, away.world)) == pytest.approx(float(latencies.mean()) / local_s)


def test_failed_queries_cost_much_and_open_ones_at_least_home() -> None:
    def person(*waits: tuple[float, str]) -> Person:
        queries = tuple(Waited(at, 0.0, wait, wait, state) for at, (wait, state) in enumerate(waits))
        return Person("one", "users", "net", 0.0, queries)

    assert outcome._ratio(person((1.0, "answered"), (3.0, "answered")), 2.0) == 1.0
    assert outcome._ratio(person((0.1, "failed")), 2.0) == FAILED
    assert outcome._ratio(person((80.0, "failed")), 2.0) == 40.0
    assert outcome._ratio(person((0.1, "open"), (6.0, "open")), 2.0) == 2.0
    assert np.isnan(outcome._ratio(person(), 2.0))
    assert mean_ratio(np.array([np.nan, 1.0, 3.0])) == 2.0
    assert mean_ratio(np.array([np.nan])) == 1.0
