"""Users who answer each other: where they settle, what they leave each other, and what is said when they do not."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_problems import problems

from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Objective, cost, make, simple_problem
from layerlift.planners.cost import batch
from layerlift.planners.cost.crowd import Crowd
from layerlift.planners.game.answers import IntervalAnswers
from layerlift.planners.game.best_response import BestResponse
from layerlift.planners.game.joint_state import JointState
from layerlift.planners.game.menu import Menu, UserChoice, ahead
from layerlift.planners.game.rounds import Rounds
from layerlift.planners.graphs.intervals import grains, interval, intervals
from layerlift.planners.graphs.spans import spans_of
from layerlift.planners.problem.plan import validate
from layerlift.planners.testing import check_planner
from layerlift.planners.testing.problems import battery, chain_graph

NODES = 3


def one_layer(seconds: list[float], far_s: list[float] | None = None, **changes):
    """A user whose whole network is one layer; `far_s` is the delay to each server."""
    nodes = len(seconds)
    delay = np.zeros((nodes, nodes))
    delay[0, 1:] = 0.0 if far_s is None else far_s
    graph = chain_graph(makes=[1], holds=[1_000])
    return replace(simple_problem(graph, [seconds], bandwidth_bytes_s=1e18, latency_s=delay), **changes)


def answered(users, **options):
    return make("best_response", options).plan_all(users, random.Random(0))


def chosen(plans) -> list[tuple[int, ...]]:
    return [plan.placement for plan in plans]


def others_than(crowd: Crowd, placements, user: int):
    """Pieces that all but one user keep running, and the bytes that they hold."""
    rows = [np.array([placement]) for placement in placements]
    busy = [batch.evaluate(problem, row) for problem, row in zip(crowd.problems, rows, strict=True)]
    running = np.array([each.busy_s[0] / max(each.latency_s[0], 1e-12) for each in busy])
    held = np.array([batch.held_bytes(problem, row)[0] for problem, row in zip(crowd.problems, rows, strict=True)])
    running[:, 0] = held[:, 0] = 0.0
    rest = [other for other in range(len(crowd)) if other != user]
    return running[rest].sum(axis=0), held[rest].sum(axis=0)


def key_of(crowd: Crowd, user: int, placement, others):
    """What a choice is worth to its user: the problem with the others' pieces as load, judged on the first's scales."""
    problem = crowd.problems[user]
    found = cost.evaluate(replace(problem, load=problem.load + others), placement)
    return crowd.judges[user].rank(found.latency_s, found.energy_j, found.money, 0.0, found.period_s)


@st.composite
def crowds(draw, limited: bool = True):
    """Two to four users of small random networks before the same two servers; nothing is pinned."""
    users = []
    memory = np.array([np.inf, *draw(st.lists(st.sampled_from((np.inf, 5e6, 1e4)), min_size=2, max_size=2))])
    for _ in range(draw(st.integers(2, 4))):
        problem = draw(problems(min_nodes=NODES, max_nodes=NODES))
        wanted = replace(problem.objective, balance=0.0, deadline_s=draw(st.sampled_from((None, None, 0.5))))
        free = np.ones_like(problem.allowed)
        room = memory if limited else np.full(NODES, np.inf)
        users.append(replace(problem, objective=wanted, allowed=free, memory_bytes=room.copy()))
    return users


@pytest.mark.long
@pytest.mark.parametrize("planner", ["best_response", "best_response:order=worst+ionn", "best_response:inner=one_step"])
def test_it_is_a_planner_like_any_other(planner: str) -> None:
    assert check_planner(planner) > 10


@given(st.data())
@settings(max_examples=60)
def test_the_table_of_intervals_is_the_cost_model_under_any_load(data: st.DataObject) -> None:
    """Latency, energy, money and bytes of every interval that has no hole; chains, branches, both query modes."""
    problem = data.draw(problems(min_nodes=2, max_nodes=3))
    free = replace(
        problem,
        allowed=np.ones_like(problem.allowed),
        memory_bytes=np.full(len(problem.nodes), np.inf),
        objective=Objective(1.0, 0.0, 0.0, 1.0),
    )
    extra = data.draw(st.floats(0.0, 5.0))
    for at_server in Menu(Judge(free)).by_server:
        server = at_server.server
        slowdown = free.slowdown.copy()
        slowdown[server] += extra
        spans = zip(at_server.first.tolist(), at_server.last.tolist(), strict=True)
        rows = np.array([interval(free, server, first, last) for first, last in spans])
        assert len(rows) == len(grains(free)) * (len(grains(free)) + 1) // 2
        found = batch.evaluate(free, rows, np.repeat(slowdown[None, :], len(rows), axis=0))
        latency = at_server.latency_s(float(slowdown[server]))
        np.testing.assert_allclose(latency, found.latency_s, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(at_server.fixed_j + free.power.idle_w * latency, found.energy_j, rtol=1e-9)
        rent = free.price_per_byte_s[server] * at_server.held * latency
        np.testing.assert_allclose(at_server.fixed_money + rent, found.money, rtol=1e-9, atol=1e-15)
        np.testing.assert_array_equal(at_server.held, batch.held_bytes(free, rows)[:, server])


@given(problems())
@settings(max_examples=60)
def test_a_lone_user_gets_the_best_interval(problem) -> None:
    """With pins, prices, short memory and any objective: as good as `one_climb`, which tries every interval."""
    judge = Judge(problem)
    ours = make("best_response").plan(problem, random.Random(0))
    assert judge.key(ours.placement) == pytest.approx(
        judge.key(make("one_climb").plan(problem, random.Random(0)).placement), rel=1e-9
    )
    assert "converged: yes" in ours.note


def test_long_networks_are_cut_between_units_as_one_climb_cuts_them() -> None:
    graph = chain_graph(makes=[1_000] * 230, holds=[10] * 230)
    assert len(spans_of(graph, grains(simple_problem(graph, [[1.0]] * 230, bandwidth_bytes_s=1.0)), 0).first) == 26_565


@pytest.mark.long
@given(crowds())
@settings(max_examples=40)
def test_nobody_gains_by_another_interval_where_it_says_converged(users) -> None:
    plans = answered(users, epsilon=0.001)
    crowd, placements = Crowd(users), chosen(plans)
    for user, problem in enumerate(users):
        others, taken = others_than(crowd, placements, user)
        now = key_of(crowd, user, placements[user], others)
        local = (0,) * len(problem.graph)
        assert not ahead(key_of(crowd, user, local, others), now, 1e-9)
        if "converged: yes" not in plans[user].note:
            continue
        for server in problem.servers:
            for other in intervals(problem, server).tolist():
                if cost.held_bytes(problem, other)[server] + taken[server] <= problem.memory_bytes[server]:
                    assert not ahead(key_of(crowd, user, other, others), now, 0.001 + 1e-9)


@pytest.mark.long
@given(crowds())
@settings(max_examples=25)
def test_users_together_hold_no_more_than_the_servers_offer(users) -> None:
    for planner in ("best_response", "gibbs:sweeps=10", "ga:evaluations=60"):
        plans = make(planner).plan_all(users, random.Random(0))
        held = sum(np.array(cost.held_bytes(p, plan.placement)) for p, plan in zip(users, plans, strict=True))
        assert (held[1:] <= users[0].memory_bytes[1:]).all(), planner
        for plan, problem in zip(plans, users, strict=True):
            validate(plan, problem)


def test_two_users_part_when_contention_makes_the_second_server_better() -> None:
    """1 s on the good server, 1.5 s on the other, 9 s at home. Alone both take the good one, where two take 2 s."""
    users = [one_layer([9.0, 1.0, 1.5]) for _ in range(2)]
    assert chosen([make("one_climb").plan(users[0], random.Random(0))]) == [(1,)]
    plans = answered(users)
    assert chosen(plans) == [(1,), (2,)]
    assert plans[0].note == "best_response: converged: yes, after 2 rounds, 2 moves"
    slower = [one_layer([9.0, 1.0, 2.5]) for _ in range(2)]
    assert chosen(answered(slower)) == [(1,), (1,)]


def test_who_moves_first_moves_again_when_others_come() -> None:
    """The first user likes server 1 a little more; the others have nowhere else to go, so it makes room."""
    first = one_layer([9.0, 1.0, 1.1])
    others = [one_layer([9.0, 1.0, 50.0]) for _ in range(2)]
    plans = answered([first, *others])
    assert chosen(plans) == [(2,), (1,), (1,)]
    assert plans[0].note == "best_response: converged: yes, after 3 rounds, 4 moves"


def test_a_full_server_is_left_to_who_came_first_unless_the_offers_are_each_users_own() -> None:
    users = [one_layer([9.0, 1.0], memory_bytes=np.array([np.inf, 1_500.0]), cores=np.array([1, 8])) for _ in range(3)]
    for planner in ("best_response", "gibbs"):
        assert sorted(chosen(make(planner).plan_all(users, random.Random(0)))) == [(0,), (0,), (1,)]
        each = make(planner, {"memory": "each"}).plan_all(users, random.Random(0))
        assert chosen(each) == [(1,)] * 3


def test_unequal_offers_are_rooms_within_rooms() -> None:
    """Who was offered little shares that with the others who were; who was offered more has the rest on top."""
    rooms = [1_000.0, 3_000.0, 1_000.0, 0.0]
    users = [one_layer([9.0, 1.0], memory_bytes=np.array([np.inf, room]), cores=np.array([1, 8])) for room in rooms]
    crowd = Crowd(users)
    held = np.zeros((4, 2))
    assert [crowd.room_left(user, held)[1] for user in range(4)] == rooms
    held[0, 1] = 1_000.0
    assert [crowd.room_left(user, held)[1] for user in range(4)] == [1_000.0, 2_000.0, 0.0, 0.0]
    held[1, 1] = 2_500.0
    assert [crowd.room_left(user, held)[1] for user in range(4)] == [500.0, 2_000.0, -500.0, -500.0]
    assert crowd.score([(1,), (1,), (0,), (0,)])[0] == 0.0
    assert crowd.score([(1,), (1,), (1,), (0,)])[0] == np.inf
    assert chosen(answered(users)) == [(1,), (1,), (0,), (0,)]


class Pennies:
    """One user wants to be where the other is, who wants to be elsewhere: nobody can settle."""

    def __init__(self, users) -> None:
        away = np.zeros(3)
        self.home = UserChoice((0,), away, away)
        self.at = [UserChoice((server,), np.eye(3)[server], away) for server in (1, 2)]
        self.local_value = [9.0] * users

    def local(self, user: int) -> UserChoice:
        return self.home

    def key(self, user: int, choice: UserChoice, others) -> tuple[float, float]:
        if choice is self.home:
            return 0.0, self.local_value[user]
        met = others[choice.placement[0]] > 0
        return 0.0, 1.0 if met == (user == 0) else 2.0

    def best(self, user: int, others, room) -> UserChoice:
        return min(self.at, key=lambda choice: self.key(user, choice, others))


def test_a_cycle_is_seen_and_told() -> None:
    play = Rounds(Crowd([one_layer([9.0, 1.0, 1.0])] * 2), Pennies(2), 0.0)
    assert play.settle(50, "arrival") == (
        "converged: no, cycle of 2 rounds seen after 3, 6 moves; the best end of a round is taken"
    )


def test_who_is_better_off_at_home_is_sent_there() -> None:
    play = Rounds(Crowd([one_layer([9.0, 1.0, 1.0])] * 2), Pennies(2), 0.0)
    play.settle(1, "arrival")
    assert chosen(play.state) == [(1,), (2,)]
    assert play.send_home() == 0
    play.answers.local_value[0] = 1.5
    assert play.send_home() == 1
    assert chosen(play.state) == [(0,), (2,)]


def test_epsilon_keeps_users_from_moving_for_little() -> None:
    """Beside the second user the first would gain a fifth by leaving."""
    users = [one_layer([9.0, 1.0, 1.6]), one_layer([9.0, 1.0, 50.0])]
    assert chosen(answered(users, epsilon=0.1)) == [(2,), (1,)]
    assert chosen(answered(users, epsilon=0.3)) == [(1,), (1,)]


def test_the_rounds_are_an_upper_limit_that_the_note_tells() -> None:
    plans = answered([one_layer([9.0, 1.0])], rounds=1)
    assert "converged: no, stopped after 1 rounds, 1 moves" in plans[0].note
    assert chosen(plans) == [(1,)]


@pytest.mark.long
@given(crowds())
@settings(max_examples=12)
def test_the_same_users_settle_the_same_way_whatever_the_seed_and_nobody_is_named(users) -> None:
    first = BestResponse().plan_all(users, random.Random(0))
    assert BestResponse().plan_all(list(users), random.Random(9)) == first
    turned = BestResponse().plan_all(users[::-1], random.Random(0))
    assert len(turned) == len(users)
    for plan, problem in zip(turned[::-1], users, strict=True):
        validate(plan, problem)


def test_users_with_a_server_each_do_not_care_who_comes_first() -> None:
    users = [one_layer([9.0, 1.0, 5.0, 5.0]), one_layer([9.0, 5.0, 1.0, 5.0]), one_layer([9.0, 5.0, 5.0, 1.0])]
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        assert chosen(answered([users[user] for user in order])) == [(user + 1,) for user in order]


@pytest.mark.long
@pytest.mark.parametrize("order", ["arrival", "worst"])
@pytest.mark.parametrize("inner", ["one_climb", "greedy", "min_cut"])
def test_together_is_better_than_everybody_for_himself(inner: str, order: str) -> None:
    """Twelve users who alone all take the fastest server."""
    problem = battery()["modules"]
    users = [replace(problem, seconds=problem.seconds * factor) for factor in np.linspace(1.0, 2.0, 12)]
    crowd = Crowd(users)
    alone = [make(inner).plan(user, random.Random(0)).placement for user in users]
    together = chosen(answered(users, inner=inner, order=order))
    assert crowd.score(together)[1] < crowd.score(alone)[1]
    assert crowd.score(together)[1] <= crowd.score([(0,) * len(problem.graph)] * 12)[1]


@pytest.mark.long
@given(crowds(limited=False))
@settings(max_examples=12)
def test_gibbs_is_no_worse_than_its_starts(users) -> None:
    """What it starts from: everybody at home, everybody on what would be best alone."""
    joint = JointState(Crowd(users))
    own = joint.own_best()
    for user, problem in enumerate(users):
        climb = make("one_climb").plan(problem, random.Random(0)).placement
        judge = Judge(problem)
        assert judge.key(joint.placement(user, own[user])) == pytest.approx(judge.key(climb), rel=1e-9)
    made = chosen(make("gibbs:sweeps=5").plan_all(users, random.Random(0)))
    by_placement = [
        next(
            (server, first, last)
            for server in range(NODES)
            for first in range(len(joint.grains[user]))
            for last in range(first, len(joint.grains[user]))
            if joint.placement(user, (server, first, last)) == placement
        )
        for user, placement in enumerate(made)
    ]
    least = min(joint.value(own), joint.value([(0, 0, 0)] * len(users)))
    assert joint.value(by_placement) <= least * (1.0 + 1e-9)


def test_an_inner_planner_is_asked_with_the_others_load_and_what_they_leave() -> None:
    users = [one_layer([9.0, 1.0, 1.5]) for _ in range(2)]
    for inner in ("greedy", "min_cut", "pso:evaluations=50"):
        assert sorted(chosen(answered(users, inner=inner))) == [(1,), (2,)]
    tight = [one_layer([9.0, 1.0], memory_bytes=np.array([np.inf, 1_500.0]), cores=np.array([1, 8])) for _ in range(2)]
    assert chosen(answered(tight, inner="min_cut")) == [(1,), (0,)]


@pytest.mark.parametrize("options", ["rounds=0", "epsilon=-1", "epsilon=1"])
def test_it_says_what_it_expects(options: str) -> None:
    with pytest.raises(PlanError, match="expected rounds >= 1"):
        make(f"best_response:{options}")


def test_inner_is_a_planner_of_one_user() -> None:
    with pytest.raises(PlanError, match="did you mean one_climb"):
        make("best_response:inner=one_clim")
    with pytest.raises(PlanError, match="answers one user"):
        make("best_response:inner=best_response")
    with pytest.raises(PlanError, match="arrival or worst"):
        make("best_response:order=last")


def test_the_first_turns_are_those_of_who_loses_most() -> None:
    """On server 1 both take twice as long, but it is more of what the second has: it goes, if it is asked first."""
    far = one_layer([99.0, 1.0, 1.5], [4.0, 4.0])
    near = one_layer([99.0, 1.0, 1.5])
    play = Rounds(Crowd([far, near]), IntervalAnswers(Crowd([far, near])), 0.0)
    at_first = [play.answers.best(user, np.zeros(3), np.full(3, np.inf)) for user in range(2)]
    play._take_all(at_first)
    assert chosen(at_first) == [(1,), (1,)]
    assert list(play._turns("worst")) == [1, 0]
    assert list(play._turns("arrival")) == [0, 1]
