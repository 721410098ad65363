"""What planners are told of the crowd: numbers worked out by hand, their age, and who is told nothing."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest
from worlds import Run, chain_graph, run_world, small_world

from layerlift.emulator.nodes.server.attendance_book import SPAN_S, Recent
from layerlift.emulator.planning.crowd import crowd_wanted, wants_crowd
from layerlift.emulator.world.laws import AllAt, Bursts, Day, RecordedInstants, Regular, Steady
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.users import PlanningSpec
from layerlift.models.errors import PlanError
from layerlift.planners.problem.crowd_news import Asking, CrowdNews
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase
from layerlift.planners.registry.planners import make, register, unregister
from layerlift.planners.testing import check_planner
from layerlift.planners.testing.problems import battery, told_of_crowd

GRAPH = chain_graph([0, 0], [1_000_000])


class Curious(PlannerBase):
    """Everything to the first server, for whoever wants to know."""

    optimises = "nothing"
    wants_crowd = True

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        return offload((1,) * len(problem.graph))


class Blind(Curious):
    wants_crowd = False


class Jointly(Curious):
    wants_crowd = "together"
    multi_user = True

    def plan_all(self, problems: list[Problem], rng: random.Random) -> list[Plan]:
        return [self.plan(problem, rng) for problem in problems]


@pytest.fixture(autouse=True)
def planners():
    for name, maker in (("curious", Curious), ("blind", Blind), ("jointly", Jointly)):
        register(name, maker)
    yield
    for name in ("curious", "blind", "jointly"):
        unregister(name)


def run(planner: str, arrivals: tuple[float, ...], **changes: Any) -> Run:
    world = small_world(
        GRAPH, (0.1,), planner, clients=len(arrivals), servers=2, link=LinkSpec(0.01, 1e6),
        user={"queries": 30, "asks": Regular(500.0)}, **changes,
    )  # fmt: skip
    users = tuple(replace(user, arrival_s=at_s) for user, at_s in zip(world.users, arrivals, strict=True))
    return run_world(replace(world, users=users))


def news(made: Run, number: int) -> CrowdNews:
    told = made.plans.jobs[number].problem.crowd
    assert told is not None
    return told


def test_the_second_user_hears_of_the_first() -> None:
    """The first has claimed server 1; both ask twice a second for 0.1 s of work."""
    made = run("curious", (0.0, 4.0))
    first, second = news(made, 0), news(made, 1)
    assert (first.user, second.user) == (0, 1)
    assert first.asking == second.asking == Asking(2.0, 0.0, 1, 0.0)
    assert first.users.tolist() == [0, 0, 0]
    assert second.users.tolist() == [0, 1, 0]
    assert second.promised_bytes.tolist() == [0, 1e6, 0]
    assert second.asks_per_s.tolist() == [0, 2, 0]
    assert second.work.tolist() == pytest.approx([0, 0.2, 0])
    assert second.plans[1] == 1.0
    # One part of 1 MB has come, and it is still in the span.
    assert second.received_bytes_s[1] == pytest.approx(1e6 / SPAN_S, rel=0.1)
    assert second.received_bytes_s[2] < 1000.0
    # The answer to hello takes 0.01 s and what its bytes need; then the request and the loopback.
    assert 0.01 < second.age_s[1] < 0.03


def test_who_does_not_want_to_know_is_told_nothing_and_equal_users_are_planned_once() -> None:
    blind = run("blind", (0.0, 0.0))
    assert [job.problem.crowd for job in blind.plans.jobs] == [None, None]
    assert len({job.problem.digest for job in blind.plans.jobs}) == 1
    curious = run("curious", (0.0, 0.0))
    assert len({job.problem.digest for job in curious.plans.jobs}) == 2


def test_users_who_leave_are_gone_from_the_news() -> None:
    """The first asks its last question after 14.5 s."""
    made = run("curious", (0.0, 20.0))
    assert news(made, 1).users.tolist() == [0, 0, 0]
    assert news(made, 1).plans[1] == 0.0


@pytest.mark.parametrize(("heartbeat_s", "age_s"), [(0.5, 0.5), (3.0, 2.0), (30.0, 5.0)])
def test_news_of_rarer_heartbeats_are_never_fresher(heartbeat_s: float, age_s: float) -> None:
    """The second user comes at 5 s. Before the first beat nothing is known but that nothing ran at 0 s."""
    made = run("curious", (0.0, 5.0), planning=PlanningSpec(at=3, heartbeat_s=heartbeat_s))
    told, load = news(made, 1), made.plans.jobs[1].problem.load
    assert age_s - 0.5 <= told.age_s[1] <= age_s + 0.1
    assert told.users[1] == (1.0 if heartbeat_s < 5.0 else 0.0)
    assert heartbeat_s < 5.0 or load[1] == 0.0


def test_without_load_only_the_user_itself_is_known() -> None:
    told = news(run("curious", (0.0, 4.0), planning=PlanningSpec(knows_load=False)), 1)
    assert told.age_s.tolist() == [0.0, inf, inf]
    assert told.users.tolist() == [0, 0, 0]
    assert told.asking.per_s == 2.0


def test_together_means_only_where_users_are_gathered() -> None:
    alone = small_world(GRAPH, (0.1,), "jointly", clients=2)
    together = replace(alone, planning=PlanningSpec(gather_s=1.0))
    assert not wants_crowd(alone, "jointly")
    assert wants_crowd(together, "jointly")
    assert wants_crowd(alone, "curious")
    assert not crowd_wanted(alone)
    assert crowd_wanted(together)
    assert not wants_crowd(alone, "there_is_none")


def test_a_half_of_a_pair_that_does_not_want_to_know_is_not_told() -> None:
    seen: list[Problem] = []

    class Orders(PlannerBase):
        def upload(self, problem: Problem, placement: Any, rng: random.Random) -> Any:
            seen.append(problem)
            return offload(placement).uploads

        def plan(self, problem: Problem, rng: random.Random) -> Plan:
            return offload((0,) * len(problem.graph))

    register("orders", Orders)
    try:
        pair = make("curious+orders")
    finally:
        unregister("orders")
    assert pair.wants_crowd is True  # type: ignore[attr-defined]
    pair.plan(battery()["chain, told of the crowd"], random.Random(0))
    assert seen[0].crowd is None


@pytest.mark.parametrize(
    ("law", "per_s", "variation"),
    [
        (AllAt(), inf, 0.0),
        (Regular(40.0), 25.0, 0.0),
        (Steady(5.0), 5.0, 1.0),
        (Bursts(1.0, 10.0, 3.0, 1.0), 3.25, 1.0),
        (Day(1.0, 3.0, 86400.0, 0.0), 2.0, 1.0),
        (RecordedInstants((0.0, 1.0, 2.0)), 1.0, 0.0),
        (RecordedInstants((0.0, 1.0, 4.0)), 0.5, 0.25),
        (RecordedInstants((0.0, 1.0), repeat_s=2.0), 1.0, 0.0),
        (RecordedInstants((1.0,)), 0.0, 0.0),
    ],
)
def test_how_often_a_law_asks(law: Any, per_s: float, variation: float) -> None:
    assert law.mean_per_s == pytest.approx(per_s)
    assert law.gap_variation == pytest.approx(variation)


def test_recent_counts_the_last_span() -> None:
    recent = Recent()
    recent.add(1.0, 10.0)
    assert recent.amount(4.9) == 10.0
    assert recent.amount(7.5) == pytest.approx(5.0)
    recent.add(8.0, 4.0)
    assert recent.amount(9.0) == pytest.approx(4.0 + 10.0 * 0.2)
    assert recent.amount(30.0) == 0.0


def test_a_problem_keeps_its_news_in_a_pickle_and_refuses_what_cannot_be() -> None:
    problem = battery()["chain, told of the crowd"]
    again = pickle.loads(pickle.dumps(problem))
    assert replace(again).digest == replace(problem).digest
    assert again.crowd is not None
    assert not again.crowd.age_s.flags.writeable
    assert problem.crowd is not None
    assert problem.crowd.downlink_use[1] == pytest.approx(8.0 / 12.0)
    assert problem.crowd.uplink_use[1] == pytest.approx(0.5 / 20.0)
    assert told_of_crowd(problem, 1).digest != problem.digest != replace(problem, crowd=None).digest
    with pytest.raises(PlanError, match=r"problem\.crowd\.users is "):
        replace(problem.crowd, users=np.array([0.0, -1.0, 0.0, 0.0]))
    with pytest.raises(PlanError, match=r"problem\.crowd knows 4 nodes, expected the problem's 2"):
        replace(battery()["chain, one server"], crowd=problem.crowd)
    with pytest.raises(PlanError, match="a user asks -1"):
        Asking(-1.0)
    with pytest.raises(PlanError, match="0 queries in flight"):
        Asking(1.0, in_flight=0)


def test_the_kit_tells_only_those_who_want_to_know() -> None:
    seen: list[bool] = []

    class Watching(Curious):
        def plan(self, problem: Problem, rng: random.Random) -> Plan:
            seen.append(problem.crowd is not None)
            return Plan((0,) * len(problem.graph), ())

    class Blindly(Watching):
        wants_crowd = False

    check_planner(Watching())
    assert True in seen
    assert False in seen
    seen.clear()
    check_planner(Blindly())
    assert True not in seen
