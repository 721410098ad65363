"""Stays that the scenario tells: what problems say of them, and how joint planners weigh an upload against one."""

from __future__ import annotations

import random
from dataclasses import replace
from math import exp, sqrt
from typing import Any

import numpy as np
import pytest
from paper_problems import MB
from worlds import chain_graph as bytes_chain
from worlds import small_world

from layerlift.emulator import Scenario, run
from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.world.laws import Exponential, Fixed, Uniform
from layerlift.emulator.world.users import UserSpec
from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Problem, cost, make, simple_problem
from layerlift.planners.cost.stay import Stay
from layerlift.planners.problem.stay_news import StayNews
from layerlift.planners.registry.base import CrowdPlanner
from layerlift.planners.registry.combine import told
from layerlift.planners.testing.demands import check_planner
from layerlift.planners.testing.problems import chain_graph

JOINT = (
    "best_response", "best_response:inner=units", "gibbs:sweeps=20", "spread", "pso:particles=10,evaluations=300",
    "ga:population=10,evaluations=300", "sa:walks=10,evaluations=300",
)  # fmt: skip


def with_option(planner: str, option: str) -> str:
    return f"{planner}{',' if ':' in planner else ':'}{option}"


def one_layer(stay: StayNews | None = None) -> Problem:
    """6 s at home, 2.79 s away, and four seconds of upload."""
    graph = chain_graph([4], [MB])
    return replace(simple_problem(graph, [[6.0, 0.5]], bandwidth_bytes_s=MB / 4, latency_s=0.0), stay=stay)


def test_a_key_is_the_mean_over_the_stay() -> None:
    problem = one_layer()
    there_s = cost.latency(problem, (1,))
    home, away = Judge(problem).key((0,))[1], Judge(problem).key((1,))[1]
    assert (home, away) == (6.0, there_s)
    judge = Judge(problem, Stay(10.0))
    assert judge.key((0,)) == (0.0, 6.0)
    assert judge.key((1,)) == (0.0, pytest.approx(0.4 * 6.0 + 0.6 * there_s))
    rows = np.array([[0], [1]])
    assert judge.keys(rows)[1] == pytest.approx([judge.key((0,))[1], judge.key((1,))[1]])
    assert Judge(problem, Stay(3.0)).key((1,)) == (0.0, pytest.approx(6.0))
    law = Judge(problem, Stay(4.0, "exponential")).key((1,))[1]
    assert law == pytest.approx((1 - exp(-1.0)) * 6.0 + exp(-1.0) * there_s, rel=1e-6)


def test_what_does_not_fit_is_infinitely_bad_however_long_the_upload() -> None:
    small = replace(one_layer(), memory_bytes=np.array([np.inf, 1.0]))
    for stay_s in (1.0, 4.0, 100.0):
        assert Judge(small, Stay(stay_s)).key((1,))[0] == np.inf
        assert Judge(small, Stay(stay_s)).keys(np.array([[1]]))[0][0] == np.inf


def test_uploads_to_several_servers_follow_each_other_or_do_not() -> None:
    graph = chain_graph([4, 4], [MB, MB])
    problem = simple_problem(graph, [[2.0, 0.5, 0.5]] * 2, bandwidth_bytes_s=MB / 4)
    one = Judge(problem, Stay(100.0)).uploading(np.array([[0.0, MB, MB]]))
    each = Judge(replace(problem, uploads_at_once="per_server"), Stay(100.0)).uploading(np.array([[0.0, MB, MB]]))
    assert (one[0], each[0]) == (pytest.approx(0.08), pytest.approx(0.04))


@pytest.mark.long
@pytest.mark.parametrize("planner", [*JOINT, "shortest_path", "units", "labels"])
def test_who_leaves_before_the_upload_ends_stays_home_and_who_stays_moves(planner: str) -> None:
    known = with_option(planner, "stay_s=known")
    for left_s, moves in ((3.9, False), (1000.0, True)):
        problem = one_layer(StayNews(left_s, 1000.0, False))
        assert any(make(known).plan(problem, random.Random(0)).placement) == moves
        assert (
            any(make(with_option(planner, f"stay_s={left_s}")).plan(one_layer(), random.Random(0)).placement) == moves
        )
    by_law = with_option(planner, "stay_s=law")
    assert any(make(by_law).plan(one_layer(StayNews(3.9, 1000.0, False)), random.Random(0)).placement)
    assert any(make(known).plan(one_layer(), random.Random(0)).placement), "who knows nothing plans for ever"


@pytest.mark.parametrize("planner", JOINT)
def test_of_two_users_the_one_who_stays_moves(planner: str) -> None:
    made = make(with_option(planner, "stay_s=known"))
    assert isinstance(made, CrowdPlanner)
    problems = [one_layer(StayNews(3.9, 3.9, False)), one_layer(StayNews(1000.0, 1000.0, False))]
    leaves, stays = made.plan_all(problems, random.Random(0))
    assert (any(leaves.placement), any(stays.placement)) == (False, True)


def test_who_does_not_ask_is_not_told_and_problems_stay_equal() -> None:
    user = {"stay": Fixed(30.0), "planner": "units"}
    plain = problem_of(small_world(bytes_chain([0, 0], [10]), (1.0,), user=user), 0)
    assert plain.stay is None
    asked = problem_of(
        small_world(bytes_chain([0, 0], [10]), (1.0,), user={**user, "planner": "units:stay_s=known"}), 0
    )
    assert asked.stay == StayNews(30.0, 30.0, False)
    assert asked.digest != plain.digest == replace(asked, stay=None).digest
    assert told(asked, make("units")).stay is None
    assert told(asked, make("units:stay_s=known+recursive")).stay == asked.stay
    assert told(asked, make("units:stay_s=7")).stay is None


def test_what_is_left_of_a_stay() -> None:
    user = UserSpec(0, "u", 0, 0, arrival_s=10.0)
    assert user.staying(15.0) is None
    fixed = replace(user, stay=Fixed(30.0))
    assert fixed.staying(5.0) == StayNews(30.0, 30.0, False)
    assert fixed.staying(22.0) == StayNews(18.0, 18.0, False)
    assert fixed.staying(99.0) == StayNews(0.0, 0.0, False)
    assert replace(fixed, stay_law=Exponential(40.0)).staying(22.0) == StayNews(18.0, 40.0, True)
    assert replace(fixed, stay_law=Uniform(10.0, 50.0)).staying(22.0) == StayNews(18.0, 19.0, False)
    assert replace(user, stay=Exponential(40.0)).staying(22.0) == StayNews(40.0, 40.0, True)


def test_a_stay_is_a_number() -> None:
    with pytest.raises(PlanError):
        StayNews(float("inf"), 1.0, False)
    with pytest.raises(PlanError):
        make("spread:stay_s=-1")
    with pytest.raises(PlanError, match="stay_s"):
        make("gibbs:stay_s=perhaps")


@pytest.mark.long
@pytest.mark.parametrize("planner", ["spread:stay_s=known", "best_response:stay_s=law", "shortest_path:stay_s=known"])
def test_the_kit_tells_them_of_the_stay(planner: str) -> None:
    assert check_planner(planner) > check_planner(planner.partition(":")[0])


def short_stay(planner: str, seed: int) -> float:
    """Sixteen users who come one a second and stay for twelve: the mean over them of latency over that at home."""
    world: dict[str, Any] = {
        "nodes": [{"tier": "edge", "count": 4, "ghz": [16, 48], "spread": "random", "cores": 4, "memory_mb": 4096,
                   "uplink_mb_s": 60, "downlink_mb_s": 60}],
        "links": {
            "client-edge": {"bandwidth_mb_s": 4, "latency_ms": 4},
            "edge-edge": {"bandwidth_mb_s": 100, "latency_ms": 1},
        },
        "users": [
            {"count": 16, "device": {"ghz": [1, 2.5], "spread": "random"}, "arrival": {"per_s": 1},
             "model": {"alexnet": 1, "googlenet": 1, "squeezenet": 1}, "stay_s": {"uniform": [4, 20]},
             "planner": planner}
        ],
        "models": {name: {"input_bytes": 40_000} for name in ("alexnet", "googlenet", "squeezenet")},
        "planner": {"gather_s": 1}, "seed": seed, "execution": "none", "reference_ghz": 48.6, "sample_s": None,
    }  # fmt: skip
    made = run(Scenario.from_dict(world), local=True)
    home = {row["user"]: row["local_s"] for row in made.plans.to_pylist()}
    spent: dict[str, list[float]] = {}
    for row in made.queries.to_pylist():
        if row["status"] == "answered":
            spent.setdefault(row["user"], []).append(row["latency_s"] / home[row["user"]])
    return float(np.mean([np.mean(each) for each in spent.values()]))


@pytest.mark.long
@pytest.mark.parametrize("planner", ["shortest_path", "best_response", "spread"])
def test_where_people_leave_soon_those_who_know_do_better(planner: str) -> None:
    """By more than the interval (95 %, paired over four seeds)."""
    gains = [short_stay(planner, seed) - short_stay(with_option(planner, "stay_s=known"), seed) for seed in range(4)]
    assert np.mean(gains) > 3.182 * np.std(gains, ddof=1) / sqrt(len(gains))
