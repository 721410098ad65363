"""What problems say of shared links, to whom, and what is promised of the period."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from worlds import chain_graph, small_world

from layerlift.emulator.planning.period import promised_period_s, shared_links, weighs_period
from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.world.links import MediumSpec
from layerlift.emulator.world.users import UserSpec
from layerlift.emulator.world.world import World
from layerlift.planners import Objective, cost

GRAPH = chain_graph([800_000, 4_000, 1_000], [0, 0])


def world(share_links: bool = True, **user: object) -> World:
    return small_world(
        GRAPH, [0.01, 0.02], servers=2, share_links=share_links, client={"uplink_bytes_s": 2e5},
        server={"downlink_bytes_s": 5e5, "cores": 2, "ghz": 2.0}, user=dict(user),
    )  # fmt: skip


def test_only_who_weighs_the_period_hears_of_ports() -> None:
    assert problem_of(world(planner="units"), 0).shared is None
    assert problem_of(world(planner="units", in_flight=3), 0).shared is None
    for asked in (
        world(planner="units", objective=Objective(period=0.1)),
        world(planner="pipeline"),
        world(planner="pipeline:inside=false+recursive"),
    ):
        shared = problem_of(asked, 0).shared
        assert shared is not None
        assert shared.bytes_s.tolist() == [2e5, 5e5, 5e5]
        assert shared.queue
    assert not weighs_period(UserSpec(0, "u", 0, 0, planner="no_such_planner"))


def test_the_promise_counts_ports_and_cores() -> None:
    asked = world(planner="units", in_flight=2)
    problem = problem_of(asked, 0)
    user = asked.users[0]
    assert promised_period_s(asked, user, problem, (0, 0)) == pytest.approx(0.03)
    assert promised_period_s(asked, user, problem, (1, 1)) == pytest.approx(800_000 / 2e5)
    assert promised_period_s(asked, user, problem, (0, 1)) == pytest.approx(max(0.01, 4_000 / 2e5))
    assert cost.period(problem, (1, 1)) == pytest.approx(800_000 / 1e6)
    assert promised_period_s(asked, replace(user, in_flight=1), problem, (1, 1)) is None
    alone = world(share_links=False, planner="pipeline")
    assert promised_period_s(alone, alone.users[0], problem_of(alone, 0), (1, 1)) == pytest.approx(0.03 / 2)
    assert not shared_links(alone, 0).queue
    assert shared_links(alone, 0).bytes_s.tolist() == []
    assert np.array_equal(shared_links(asked, 0).carries[0], [[False, True, True], [False] * 3, [False] * 3])


def test_the_promise_counts_shared_media() -> None:
    """Both servers are behind one uplink: what goes from one to the other does not cross it."""
    made = world(planner="pipeline")
    nodes = tuple(replace(node, behind=0) if node.tier == "edge" else node for node in made.nodes)
    site = replace(made, nodes=nodes, media=(MediumSpec("site", up_bytes_s=1e4, down_bytes_s=1e5),))
    problem = problem_of(site, 0)
    shared = shared_links(site, 0)
    assert shared.bytes_s.tolist() == [2e5, 5e5, 5e5, 1e4, 1e5]
    assert np.array_equal(shared.carries[3], [[False] * 3, [True, False, False], [True, False, False]])
    assert np.array_equal(shared.carries[4], shared.carries[3].T)
    promised_s = promised_period_s(site, site.users[0], problem, (1, 2))
    assert promised_s == cost.period(problem, (1, 2)) == pytest.approx(800_000 / 1e5)
    assert promised_period_s(site, site.users[0], problem, (0, 1)) == pytest.approx(1_000 / 1e4)
