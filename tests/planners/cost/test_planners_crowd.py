"""Users who share servers: the joint cost model, Gibbs sampling, and arithmetic that plans rest on."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from layerlift.models.errors import PlanError
from layerlift.planners import Objective, cost, make, simple_problem
from layerlift.planners.cost.arithmetic import exponential
from layerlift.planners.cost.crowd import Crowd
from layerlift.planners.game.gibbs import Gibbs
from layerlift.planners.game.joint_state import LOCAL, JointState
from layerlift.planners.graphs.intervals import intervals
from layerlift.planners.testing import check_planner
from layerlift.planners.testing.problems import battery, chain_graph


def user(servers: int = 1, speed: float = 10.0, **changes):
    graph = chain_graph(makes=[1_000] * 3, holds=[1_000] * 3)
    seconds = [[0.5, *[0.5 / speed] * servers]] * 3
    return replace(simple_problem(graph, seconds, bandwidth_bytes_s=1e8, latency_s=0.001), **changes)


def test_one_user_costs_what_a_lone_query_costs() -> None:
    for problem in (replace(problem, crowd=None) for problem in battery().values()):
        if len(problem.nodes) > 1 and not problem.objective.balance:
            placement = make("all_remote").plan(problem, random.Random(0)).placement
            crowd = Crowd([problem])
            assert crowd.score([placement]) == pytest.approx(crowd.judges[0].key(placement), rel=1e-12)


def test_users_on_one_server_lengthen_each_others_pieces() -> None:
    """Two users who do nothing but compute on one core take twice as long; on two cores they do not."""
    problem = user()
    busy = simple_problem(problem.graph, problem.seconds, bandwidth_bytes_s=1e18, latency_s=0.0)
    remote, local = (1, 1, 1), (0, 0, 0)
    alone = cost.latency(busy, remote)
    assert Crowd([busy, busy]).score([remote, local]) == pytest.approx((0.0, alone + 1.5))
    assert Crowd([busy, busy]).score([remote, remote]) == pytest.approx((0.0, 2 * 2 * alone))
    roomy = replace(busy, cores=np.array([1, 2]))
    assert Crowd([roomy, roomy]).score([remote, remote]) == pytest.approx((0.0, 2 * alone))


def test_a_user_who_is_seldom_there_costs_little() -> None:
    often, seldom = user(), user()
    graph = chain_graph(makes=[1_000] * 3, holds=[0] * 3)
    idle = simple_problem(graph, [[9.0, 9.0], [0.0, 0.01], [9.0, 9.0]], bandwidth_bytes_s=1e8, latency_s=0.001)
    alone = cost.latency(often, (1, 1, 1))
    beside = Crowd([often, idle]).score([(1, 1, 1), (0, 1, 0)])[1] - cost.latency(idle, (0, 1, 0))
    crowded = Crowd([often, seldom]).score([(1, 1, 1), (1, 1, 1)])[1] / 2
    its_own_piece_waits = 0.01
    assert alone < beside < alone * 1.01 + its_own_piece_waits < crowded


def test_many_choices_score_as_single_ones() -> None:
    chosen = [user(2), user(2, price_per_s=np.array([0.0, 1.0, 2.0]), objective=Objective(1, 0.5, 0.5, 0.5))]
    crowd, rng = Crowd(chosen), np.random.default_rng(0)
    rows = [rng.integers(0, 3, (20, 3)) for _ in chosen]
    missed, values = crowd.scores(rows)
    for row in range(20):
        assert crowd.score([own[row].tolist() for own in rows]) == pytest.approx((missed[row], values[row]), rel=1e-12)


def test_users_must_see_the_same_servers() -> None:
    other = replace(user(), nodes=("client", "elsewhere"))
    with pytest.raises(PlanError, match="different servers"):
        Crowd([user(), other])
    with pytest.raises(PlanError, match="at least one"):
        Crowd([])


def test_gibbs_spreads_users_who_would_all_choose_the_same_server() -> None:
    """Six users, two equal servers: alone each takes the first; together three and three is best."""
    users = [user(2) for _ in range(6)]
    own = [make("one_climb").plan(problem, random.Random(0)).placement for problem in users]
    assert {node for placement in own for node in placement} == {1}
    plans = Gibbs().plan_all(users, random.Random(0))
    crowd = Crowd(users)
    even = crowd.score([(1, 1, 1)] * 3 + [(2, 2, 2)] * 3)
    assert crowd.score([plan.placement for plan in plans]) <= (0.0, even[1] * 1.001)
    assert crowd.score(own)[1] > 1.5 * even[1]


@pytest.mark.long
def test_gibbs_finds_the_best_joint_intervals_of_two_users() -> None:
    users = [user(2), user(2, speed=3.0)]
    crowd = Crowd(users)
    options = [[(0, 0, 0), *map(tuple, np.concatenate([intervals(p, s) for s in p.servers]).tolist())] for p in users]
    best = min(crowd.score([a, b]) for a in options[0] for b in options[1])
    plans = Gibbs(sweeps=600).plan_all(users, random.Random(0))
    assert crowd.score([plan.placement for plan in plans])[1] <= best[1] * 1.001


@pytest.mark.long
def test_what_gibbs_compares_is_the_joint_cost() -> None:
    users = [user(2), user(2, speed=3.0), user(2, objective=Objective(1.0, 0.3, 0.0, 0.0))]
    crowd = Crowd(users)
    joint, rng = JointState(crowd), random.Random(3)
    state = [LOCAL] * 3
    for _ in range(200):
        who = rng.randrange(3)
        state[who] = joint.neighbour(who, state[who], rng)
        placements = [joint.placement(number, chosen) for number, chosen in enumerate(state)]
        assert joint.value(state) == pytest.approx(crowd.score(placements)[1], rel=1e-9)


@pytest.mark.long
def test_a_lone_gibbs_user_gets_the_best_interval_and_all_of_the_battery_is_legal() -> None:
    problem = battery()["modules"]
    assert cost.latency(problem, make("gibbs").plan(problem, random.Random(0)).placement) == pytest.approx(
        cost.latency(problem, make("one_climb").plan(problem, random.Random(0)).placement)
    )
    check_planner("gibbs+recursive", {name: p for name, p in battery().items() if "memory" in name})


@pytest.mark.parametrize("options", ["sweeps=-1", "temperature=0", "cooling=1"])
def test_gibbs_says_what_it_expects(options: str) -> None:
    with pytest.raises(PlanError, match="expected sweeps >= 0"):
        make(f"gibbs:{options}")


@pytest.mark.parametrize("x", [-800.0, -20.0, -1.0, -1e-9, 0.0, 1e-9, 0.3, 1.0, 5.0, 100.0, 700.0])
def test_exponential(x: float) -> None:
    assert exponential(x) == pytest.approx(math.exp(max(x, -700.0)), rel=1e-6)
