"""Shared media in the crowd's cost: as ports where they are like ports, and users go where there is room."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import long_but

from layerlift.models.errors import PlanError
from layerlift.planners import Problem, make, simple_problem
from layerlift.planners.cost.crowd import Crowd, within_ports
from layerlift.planners.cost.media import weights_of
from layerlift.planners.game.answers import IntervalAnswers, PlannerAnswers
from layerlift.planners.game.joint_state import JointState
from layerlift.planners.problem.crowd_news import Asking, CrowdNews
from layerlift.planners.problem.media_news import MediaNews
from layerlift.planners.testing.problems import chain_graph

GRAPH = chain_graph(makes=[600_000, 600_000, 1_000], holds=[1_000] * 3)


def told(user: int, servers: int = 1, port: float = np.inf, media: MediaNews | None = None, **changes: Any) -> Problem:
    """Who asks twice a second; 0.3 s at home and 0.003 s away; links carry 6 MB/s, the input is 0.6 MB."""
    problem = simple_problem(GRAPH, [[0.1, *[0.001] * servers]] * 3, bandwidth_bytes_s=6e6, latency_s=0.001)
    ports = np.array([np.inf, *[port] * servers])
    names = "age_s", "users", "promised_bytes", "plans", "asks_per_s", "work", "received_bytes_s", "sent_bytes_s"
    nothing = {name: np.zeros(servers + 1) for name in names}
    news = CrowdNews(
        user=user, asking=Asking(1.0), uplink_bytes_s=ports.copy(), downlink_bytes_s=ports, media=media, **nothing
    )
    return replace(problem, crowd=news, **changes)


def media_of(ways: dict[str, tuple[float, list[tuple[int, int]]]], nodes: int) -> MediaNews:
    """By name: what a way can carry, and which pairs cross it."""
    crosses = np.zeros((len(ways), nodes, nodes), dtype=np.bool_)
    for place, (_, pairs) in enumerate(ways.values()):
        for pair in pairs:
            crosses[place][pair] = True
    rates = np.array([rate for rate, _ in ways.values()])
    return MediaNews(tuple(ways), rates, np.zeros(len(ways)), crosses)


@given(st.integers(1, 25), st.floats(7e6, 4e7), st.sampled_from([(1, 1, 1), (0, 1, 1), (1, 1, 0)]))
@settings(max_examples=25, deadline=None)
def test_a_medium_in_front_of_one_server_is_its_port(users: int, rate: float, placement: tuple[int, ...]) -> None:
    site = media_of({"site up": (rate, [(1, 0)]), "site down": (rate, [(0, 1)])}, 2)
    by_media = Crowd([told(user, media=site) for user in range(users)]).steady([placement] * users)
    by_ports = Crowd([told(user, port=rate) for user in range(users)]).steady([placement] * users)
    assert by_media.latency_s == pytest.approx(by_ports.latency_s, rel=1e-4)
    assert by_media.use[[7, 6]] == pytest.approx(by_ports.use[[3, 5]], rel=1e-4)


def test_what_a_way_can_carry_bounds_a_link_and_every_hop_counts() -> None:
    news = media_of({"cell up": (2e6, [(0, 1), (0, 2)]), "backhaul up": (1e6, [(0, 2)])}, 3)
    narrow = within_ports(told(0, 2, media=news)).bandwidth_bytes_s
    assert (narrow[0, 1], narrow[0, 2], narrow[1, 0], narrow[1, 2]) == (2e6, 1e6, 6e6, 6e6)


def test_narrower_ways_count_less_and_widths_are_of_the_clients_widest() -> None:
    problem = simple_problem(GRAPH, [[0.1, 0.01, 0.01]] * 3, bandwidth_bytes_s=4e6)
    bandwidth = np.array(problem.bandwidth_bytes_s)
    bandwidth[0, 2], bandwidth[1, 2] = 1e6, 8e6
    ways = {"cell up": (16e6, [(0, 1), (0, 2)]), "backhaul up": (8e6, [(1, 2)]), "unused up": (5.0, [])}
    weights, widths = weights_of(replace(problem, bandwidth_bytes_s=bandwidth), media_of(ways, 3))
    assert (weights[0, 0, 1], weights[0, 0, 2], weights[0, 1, 2]) == (1.0, 0.25, 0.0)
    assert (weights[1, 1, 2], weights[1, 0, 2]) == (1.0, 0.0)
    assert widths.tolist() == [4.0, 1.0, 1.0]


def test_users_of_another_cell_are_another_demand() -> None:
    """Both have equal problems; each loads its own cell."""
    cells = [media_of({"a up": (9e6, [(0, 1)] * a), "b up": (9e6, [(0, 1)] * (1 - a))}, 2) for a in (1, 0)]
    crowd = Crowd([told(user, media=cells[user % 2]) for user in range(4)])
    assert crowd.problems[0].digest == crowd.problems[1].digest
    assert len(set(crowd.labels)) == 2
    there = [crowd.alone(user, (1, 1, 1))[1][0, 6:].tolist() for user in range(4)]
    assert there[0] == there[2] == pytest.approx([0.1, 0.0], rel=1e-3)
    assert there[1] == there[3] == pytest.approx([0.0, 0.1], rel=1e-3)
    costs = JointState(crowd)
    felt = [costs.alone(user, (1, 0, 2)).demand[6:].tolist() for user in range(2)]
    assert felt == there[:2]
    # Two thirds of 9 MB/s each could carry: a cell that two share is felt, one of a lone user is not.
    lonely = Crowd([told(user, media=cells[user]) for user in range(2)]).steady([(1, 1, 1)] * 2)
    assert crowd.steady([(1, 1, 1)] * 4).latency_s.min() > lonely.latency_s.max()


@pytest.mark.parametrize("placement", [(1, 1, 1), (0, 2, 2), (0, 0, 3), (3, 3, 0)])
def test_tables_and_the_cost_itself_rank_an_interval_alike(placement: tuple[int, ...]) -> None:
    ways = {"north down": (8e6, [(0, 1), (0, 2)]), "south down": (9e6, [(0, 3)]), "south up": (7e6, [(3, 0)])}
    crowd = Crowd([told(user, 3, media=media_of(ways, 4)) for user in range(6)])
    answers = IntervalAnswers(crowd)
    others = np.linspace(0.0, 2.0, len(crowd.nobody))
    offers = answers.menu(0).offers(others, np.full(4, np.inf), answers.habit(0))
    for rank, choice in offers:
        assert crowd.rank_by_rate(0, choice.placement, others) == pytest.approx(rank, rel=1e-9)
    assert crowd.rank_by_rate(0, placement, others)[1] >= min(rank for rank, _ in offers)[1] * (1.0 - 1e-9)


def test_an_inner_planner_sees_links_as_slow_as_the_media_are() -> None:
    crowd = Crowd([told(user, 2, media=media_of({"cell up": (6e6, [(0, 2)])}, 3)) for user in range(2)])
    others = crowd.nobody
    others[-1] = 3.0
    beside = PlannerAnswers(crowd, make("direct"), 1)._beside(0, others)
    assert beside.bandwidth_bytes_s[0, 2] == pytest.approx(1.5e6)
    assert beside.bandwidth_bytes_s[0, 1] == pytest.approx(6e6)


JOINT = ["spread", "best_response", "best_response:inner=direct", "gibbs:sweeps=15", "sa:evaluations=300"]


@pytest.mark.parametrize("planner", long_but(JOINT, ("spread", "best_response")))
def test_equal_sites_are_used_equally(planner: str) -> None:
    """Three servers in the first site, one in the second, each behind 8 MB/s, and links are all that binds."""
    users = 8
    ways = {"north down": (8e6, [(0, 1), (0, 2), (0, 3)]), "south down": (8e6, [(0, 4)])}
    problems = [told(user, 4, media=media_of(ways, 5)) for user in range(users)]
    plans = make(planner).plan_all(problems, random.Random(1))  # type: ignore[attr-defined]
    north = sum(bool({1, 2, 3} & set(plan.placement)) for plan in plans)
    south = sum(4 in plan.placement for plan in plans)
    assert abs(north - south) <= (1 if planner.startswith(("spread", "best")) else 4)
    assert "medium north down" in plans[0].note or "medium south down" in plans[0].note or planner.startswith("sa")


def test_who_is_planned_alone_avoids_a_medium_that_is_said_to_be_in_use() -> None:
    news = media_of({"north down": (8e6, [(0, 1), (0, 2)]), "south down": (8e6, [(0, 3)])}, 4)
    busy = replace(news, used_bytes_s=np.array([7e6, 0.0]))
    for user in range(3):
        plan = make("spread").plan(told(user, 3, media=busy), random.Random(0))
        assert set(plan.placement) - {0} == {3}
    assert busy.use.tolist() == [7 / 8, 0.0]


# The news themselves


def test_news_name_a_problem_and_come_out_of_a_pickle_read_only() -> None:
    ways = {"north down": (8e6, [(0, 1)])}
    one, same, other = (told(0, media=media_of(each, 2)) for each in (ways, ways, {"north down": (9e6, [(0, 1)])}))
    assert one.digest == same.digest != other.digest
    assert one.digest != told(0).digest
    back: Problem = pickle.loads(pickle.dumps(one))
    assert back.digest == one.digest
    assert back.crowd is not None
    assert back.crowd.media is not None
    with pytest.raises(ValueError, match="read-only"):
        back.crowd.media.crosses[0, 0, 0] = True


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bytes_s": np.array([1.0, 2.0])}, "has 1 names"),
        ({"bytes_s": np.array([0.0])}, "rates above 0"),
        ({"used_bytes_s": np.array([-1.0])}, "uses from 0 on"),
        ({"crosses": np.zeros((1, 2, 3), dtype=np.bool_)}, "not .media, nodes, nodes."),
    ],
)
def test_news_of_another_shape_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        replace(media_of({"north down": (8e6, [(0, 1)])}, 2), **changes)


def test_news_of_other_nodes_or_of_other_media_than_the_others_have_are_refused() -> None:
    with pytest.raises(PlanError, match=r"media knows 3 nodes, expected the problem's 2"):
        told(0, media=media_of({"north down": (8e6, [])}, 3))
    here, there = (media_of({name: (8e6, [])}, 2) for name in ("a up", "b up"))
    for others in (there, None):
        with pytest.raises(PlanError, match="users see different shared media"):
            Crowd([told(0, media=here), told(1, media=others)])
