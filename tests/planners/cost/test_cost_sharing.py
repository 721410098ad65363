"""Users who ask at known rates: shared CPUs and ports against the closed forms of queues, and who goes where."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import long_but

from layerlift.planners import Objective, Problem, cost, make, simple_problem
from layerlift.planners.cost.crowd import Crowd, within_ports
from layerlift.planners.cost.sharing import Sharing, crowding, demands_of, lengthened, steepness
from layerlift.planners.problem.crowd_news import Asking, CrowdNews
from layerlift.planners.testing.problems import chain_graph

GRAPH = chain_graph(makes=[600_000, 600_000, 1_000], holds=[1_000] * 3)


def told(user: int, asking: Asking, servers: int = 1, port: float = np.inf, **changes: Any) -> Problem:
    """0.3 s at home and 0.03 s away; links carry 6 MB/s, the input is 0.6 MB."""
    seconds = [[0.1, *[0.01] * servers]] * 3
    problem = simple_problem(GRAPH, seconds, bandwidth_bytes_s=6e6, latency_s=0.001)
    zeros = np.zeros(servers + 1)
    ports = np.array([np.inf, *[port] * servers])
    names = "age_s", "users", "promised_bytes", "plans", "asks_per_s", "work", "received_bytes_s", "sent_bytes_s"
    nothing = {name: zeros.copy() for name in names}
    news = CrowdNews(user=user, asking=asking, uplink_bytes_s=ports.copy(), downlink_bytes_s=ports, **nothing)
    return replace(problem, crowd=news, **changes)


def erlang(width: int, work: float) -> float:
    """Mean time of a unit piece in M/M/c."""
    busy = 1.0
    for servers in range(1, width + 1):
        busy = work * busy / (servers + work * busy)
    waits = busy / (1.0 - work / width * (1.0 - busy))
    return 1.0 + waits / (width - work)


def repair(users: int, width: int, work: float) -> float:
    """Mean time of a unit piece where each user has at most one: the machine repair model, with `work` in all."""
    low, high = 0.0, 1e6
    for _ in range(100):
        chances, failing = [1.0], (low + high) / 2.0
        for there in range(users):
            chances.append(chances[-1] * (users - there) * failing / min(there + 1, width))
        done = sum(chance * min(there, width) for there, chance in enumerate(chances)) / sum(chances)
        low, high = (failing, high) if done < work else (low, failing)
    return sum(chance * there for there, chance in enumerate(chances)) / sum(chances) / work


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8, 16, 24, 100])
@pytest.mark.parametrize("use", [0.05, 0.3, 0.5, 0.7, 0.8, 0.9, 0.94])
def test_a_shared_resource_is_near_erlangs_queue(width: int, use: float) -> None:
    work = width * use
    exact = erlang(width, work)
    wide = np.array([float(width)])
    # From the work alone the same error weighs more, as the queue feeds it.
    assert 1.0 + crowding(np.array([work]), wide)[0] == pytest.approx(exact, rel=0.08 if use <= 0.9 else 0.12)
    assert lengthened(np.array([work * exact]), wide)[0] == pytest.approx(exact, rel=0.023)
    if width == 1:
        assert exact == pytest.approx(1.0 / (1.0 - use))
        assert lengthened(np.array([work * exact]), wide)[0] == pytest.approx(exact, rel=1e-12)


@given(st.floats(0.0, 5.0), st.floats(0.0, 5.0), st.floats(1.0, 50.0))
@settings(max_examples=40, deadline=None)
def test_more_work_never_makes_a_queue_shorter(less: float, more: float, width: float) -> None:
    low, high = sorted((less, more))
    works = np.array([low, high]) * width
    low_y, high_y = crowding(works, np.array([width, width]))
    assert 0.0 <= low_y <= high_y * (1.0 + 1e-9) + 1e-12
    assert lengthened(works, np.array([width, width]))[0] >= 1.0


def steady(problems: list[Problem], placement: tuple[int, ...]) -> Any:
    return Crowd(problems).steady([placement] * len(problems))


def test_many_who_ask_at_random_are_a_queue_with_processor_sharing() -> None:
    """100 users at 0.2 a second bring 0.6 s of work a second: 0.03 s become 0.03 / 0.4."""
    problems = [told(user, Asking(0.2)) for user in range(100)]
    made = steady(problems, (1, 1, 1))
    alone = cost.latency(problems[0], (1, 1, 1))
    assert made.use[1] == pytest.approx(0.6)
    # A user does not wait for itself, and its own questions seldom meet.
    assert made.latency_s[0] == pytest.approx(alone - 0.03 + 0.03 / 0.4, rel=0.02)


@pytest.mark.parametrize("users", [2, 3, 10])
def test_those_who_never_pause_share_what_there_is(users: int) -> None:
    problems = [told(user, Asking(None), latency_s=np.zeros((2, 2))) for user in range(users)]
    wide = [replace(each, bandwidth_bytes_s=np.full((2, 2), 1e15)) for each in problems]
    made = steady(wide, (1, 1, 1))
    assert made.latency_s == pytest.approx(np.full(users, 0.03 * users), rel=1e-3)


@pytest.mark.parametrize("use", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("users", [2, 3, 6, 20])
def test_those_who_think_are_foretold_as_by_mean_value_analysis(users: int, use: float) -> None:
    """Exact MVA for users who think between queries of 0.03 s, and 0.104 s on links of their own."""
    think_s = users * 0.03 / use
    problems = [told(user, Asking(None, think_s)) for user in range(users)]
    rest = cost.latency(problems[0], (1, 1, 1)) - 0.03
    queue = 0.0
    for number in range(1, users + 1):
        felt = 0.03 * (1.0 + queue)
        queue = number / (think_s + rest + felt) * felt
    made = steady(problems, (1, 1, 1)).latency_s[0]
    assert made - rest == pytest.approx(felt, rel=0.02)


@given(st.floats(0.0, 40.0), st.floats(1.0, 50.0))
@settings(max_examples=40, deadline=None)
def test_steepness_is_the_slope(others: float, width: float) -> None:
    wide, step = np.array([width]), 1e-6 * (1.0 + others)
    rise = lengthened(np.array([others + step]), wide) - lengthened(np.array([others]), wide)
    assert steepness(np.array([others]), wide)[0] == pytest.approx(rise[0] / step, rel=1e-3, abs=1e-6)


def test_ports_are_shared_too() -> None:
    """12 MB/s carry two inputs at full speed; 15 users at 1 a second use 75 % of them."""
    asking = Asking(1.0, variation=0.0)
    narrow = [told(user, asking, port=12e6) for user in range(15)]
    roomy = [told(user, asking) for user in range(15)]
    made, free = steady(narrow, (1, 1, 1)), steady(roomy, (1, 1, 1))
    assert made.use[3] == pytest.approx(0.75, rel=0.01)
    assert made.latency_s[0] - free.latency_s[0] == pytest.approx(0.1 * (repair(15, 2, 1.5) - 1.0), rel=0.05)
    assert within_ports(told(0, asking, port=1e6)).bandwidth_bytes_s[0, 1] == 1e6


def test_who_asks_at_random_waits_for_its_own_queries_and_who_asks_regularly_does_not() -> None:
    """M/D/1: at home a query takes 0.3 s; 2 a second wait rho / (2 (1 - rho)) of that."""
    home = (0, 0, 0)
    assert steady([told(0, Asking(2.0))], home).latency_s[0] == pytest.approx(0.3 + 0.3 * 0.6 / 0.8)
    assert steady([told(0, Asking(2.0, variation=0.0))], home).latency_s[0] == pytest.approx(0.3)
    assert steady([told(0, Asking(None))], home).latency_s[0] == pytest.approx(0.3)


@given(st.integers(0, 10_000))
@settings(max_examples=12, deadline=None)
def test_the_steady_state_is_one_whatever_it_is_sought_from(seed: int) -> None:
    draw = random.Random(seed)
    problems = [
        told(user, Asking(draw.choice((None, draw.uniform(0.1, 6.0))), draw.random()), 2, port=draw.choice((7e6, 3e7)))
        for user in range(draw.randint(1, 8))
    ]
    crowd = Crowd([replace(each, crowd=replace(each.crowd, downlink_bytes_s=problems[0].crowd.downlink_bytes_s,
                   uplink_bytes_s=problems[0].crowd.uplink_bytes_s)) for each in problems if each.crowd])  # fmt: skip
    sharing: Sharing | None = crowd.sharing
    assert sharing is not None
    rows = [np.array([[draw.choice((0, 1, 2))] * 3]) for _ in problems]
    needs = [demands_of(problem, row) for problem, row in zip(crowd.problems, rows, strict=True)]
    demands, alone = np.array([need[0] for _, need in needs]), np.array([float(c.latency_s[0]) for c, _ in needs])
    first = sharing.steady(demands, alone)
    again = sharing.steady(demands, alone, first.present + 0.5)
    assert again.present == pytest.approx(first.present, rel=1e-3, abs=1e-3)
    assert (first.latency_s >= alone * (1.0 - 1e-12)).all()
    # Little: whoever has a piece there has a query under way.
    assert (first.present.sum(axis=1) <= 1.0 + 1e-6).all()
    assert (first.use <= 1.0 + 1e-3).all()


JOINT = ["spread", "best_response", "best_response:inner=direct", "gibbs:sweeps=15", "sa:evaluations=300"]


@pytest.mark.parametrize("planner", long_but(JOINT, ("spread", "best_response")))
def test_equal_servers_are_used_equally(planner: str) -> None:
    """12 users at 2 a second over ports of 4 MB/s: one server could serve three, four servers share them evenly."""
    users = 8 if planner.startswith("sa") else 12
    problems = [told(user, Asking(2.0), 4, port=7e6) for user in range(users)]
    plans = make(planner).plan_all(problems, random.Random(1))  # type: ignore[attr-defined]
    there = [sum(node in plan.placement for plan in plans) for node in (1, 2, 3, 4)]
    assert min(there) > 0
    if not planner.startswith(("sa", "gibbs")):
        assert max(there) - min(there) <= 1
    assert "downlink of s" in plans[0].note or "CPU of s" in plans[0].note


def test_without_rates_a_note_says_nothing_of_them() -> None:
    problems = [replace(told(user, Asking(2.0), 2), crowd=None) for user in range(3)]
    assert Crowd(problems).sharing is None
    assert make("spread").plan_all(problems, random.Random(1))[0].note == ""  # type: ignore[attr-defined]


def test_the_note_does_not_ask_to_be_trusted_above_four_fifths() -> None:
    calm, crowded = ([told(user, Asking(rate)) for user in range(10)] for rate in (1.0, 2.9))
    assert "not to be trusted" not in Crowd(calm).outlook([(1, 1, 1)] * 10)[0]
    assert "CPU of s1 is used to 87%: above 80% not to be trusted" in Crowd(crowded).outlook([(1, 1, 1)] * 10)[0]
    behind = Crowd([told(0, Asking(3.0))]).outlook([(0, 0, 0)])[0]
    assert "no server is used; it asks about as fast as its answers come: above 80% not to be trusted" in behind


def test_a_user_alone_spreads_by_its_number_and_goes_where_there_is_room() -> None:
    spread = make("spread")
    chosen = [set(spread.plan(told(user, Asking(1.0), 3), random.Random(0)).placement) - {0} for user in range(3)]
    assert chosen == [{1}, {2}, {3}]
    busy = told(0, Asking(1.0), 3)
    assert busy.crowd is not None
    news = replace(busy.crowd, work=np.array([0.0, 0.9, 0.0, 0.0]), received_bytes_s=np.array([0.0, 0.0, 9e6, 0.0]),
                   downlink_bytes_s=np.full(4, 1e7), uplink_bytes_s=np.full(4, 1e7))  # fmt: skip
    for user in range(3):
        plan = spread.plan(replace(busy, crowd=replace(news, user=user)), random.Random(0))
        assert set(plan.placement) - {0} == {3}


def test_energy_and_deadlines_are_judged_among_the_others() -> None:
    """Four users at 6 a second on one core: nobody keeps 0.2 s there, one could."""
    wanted = Objective(latency=0.0, energy=1.0, deadline_s=0.2)
    problems = [told(user, Asking(6.0, variation=0.0), objective=wanted) for user in range(8)]
    one = Crowd(problems[:1]).score([(1, 1, 1)])
    all_there = Crowd(problems).score([(1, 1, 1)] * 8)
    assert one[0] == 0.0
    assert all_there[0] > 0.0
    assert all_there[1] > 8 * one[1]
