"""Shared media in whole runs: what planners are told of them, queues at a back-haul, and who is cut off."""

from __future__ import annotations

import random
from dataclasses import replace
from math import fsum
from typing import Any

import numpy as np
import pytest
from worlds import Run, chain_graph, fixed, run_world, small_world

from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.world.faults import Outage, Through, Trace
from layerlift.emulator.world.laws import Steady
from layerlift.emulator.world.links import LinkSpec, MediumSpec
from layerlift.emulator.world.world import World
from layerlift.planners.cost.crowd import Crowd
from layerlift.planners.problem.crowd_news import CrowdNews
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase
from layerlift.planners.registry.planners import register, unregister

CLIENTS, SERVERS = 2, 3


class CuriousOfMedia(PlannerBase):
    """Everything to the first server, for whoever wants to know."""

    optimises = "nothing"
    wants_crowd = True

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        return offload((1,) * len(problem.graph))


@pytest.fixture(autouse=True)
def planners():
    register("curious_of_media", CuriousOfMedia)
    yield
    unregister("curious_of_media")


def site_world(planner: str = "curious_of_media", clients: int = CLIENTS, **changes: Any) -> World:
    """The first client in a cell; the first two servers in a site; the third outside."""
    world = small_world(
        chain_graph([40_000, 0], [1_000_000]), (0.1,), planner, clients=clients, servers=SERVERS,
        link=LinkSpec(0.01, 1e6), server_ghz=10.0, share_links=True, **changes,
    )  # fmt: skip
    behind = [1, *[-1] * (clients - 1), 0, 0, -1, -1]
    nodes = tuple(replace(node, behind=at) for node, at in zip(world.nodes, behind, strict=True))
    media = (MediumSpec("site", 9e5, 8e5, 0.002), MediumSpec("cell", up_bytes_s=5e5))
    return replace(world, nodes=nodes, media=media)


def news(made: Run, number: int) -> CrowdNews:
    told = made.plans.jobs[number].problem.crowd
    assert told is not None
    return told


def test_a_problem_has_the_narrowest_of_each_way_and_all_latencies() -> None:
    problem = problem_of(site_world("local"), 0)
    assert problem.bandwidth_bytes_s[0].tolist() == [np.inf, 5e5, 5e5, 5e5]
    assert problem.bandwidth_bytes_s[:, 0].tolist() == [np.inf, 9e5, 9e5, 1e6]
    assert problem.bandwidth_bytes_s[1].tolist() == [9e5, np.inf, 1e6, 9e5]
    assert problem.latency_s[0].tolist() == pytest.approx([0.0, 0.012, 0.012, 0.01])
    assert problem.crowd is None


def test_news_say_which_ways_cross_what_and_how_much_servers_behind_it_have_carried() -> None:
    world = site_world(user={"queries": 40})
    users = tuple(replace(user, arrival_s=at_s) for user, at_s in zip(world.users, (0.0, 4.0), strict=True))
    made = run_world(replace(world, users=users))
    first, second = news(made, 0).media, news(made, 1).media
    assert first is not None
    assert second is not None
    assert first.names == second.names == ("site up", "site down", "cell up")
    assert first.bytes_s.tolist() == [9e5, 8e5, 5e5]
    assert first.used_bytes_s.tolist() == [0.0, 0.0, 0.0]
    said = news(made, 1)
    assert second.used_bytes_s[1] == said.received_bytes_s[1] + said.received_bytes_s[2] > 1e5
    assert second.used_bytes_s[2] == 0.0, "no server is behind the cell"
    ways = [[tuple(pair) for pair in np.argwhere(crosses).tolist()] for crosses in first.crosses]
    assert ways == [[(1, 0), (1, 3), (2, 0), (2, 3)], [(0, 1), (0, 2), (3, 1), (3, 2)], [(0, 1), (0, 2), (0, 3)]]
    assert not second.crosses[2].any(), "the second client is not in the cell"


def test_there_are_no_news_of_media_where_nothing_is_shared_or_nothing_has_a_limit() -> None:
    alone = run_world(replace(site_world(), share_links=False))
    assert news(alone, 0).media is None
    free = run_world(replace(site_world(), media=(MediumSpec("site"), MediumSpec("cell", latency_s=0.01))))
    assert news(free, 0).media is None


@pytest.mark.long
def test_a_back_haul_is_a_queue_with_processor_sharing_as_the_crowds_cost_says() -> None:
    """Twelve users ask 1.25 times a second for 0.04 s of 1 MB/s that all share: used to 0.6, 0.04 become 0.1 s."""
    users = 12
    world = small_world(
        chain_graph([40_000, 0], [0]), (1e-6,), fixed((1,)), clients=users, link=LinkSpec(0.001, 1e6), server_ghz=1.0,
        share_links=True, user={"asks": Steady(1.25), "queries": 300, "in_flight": 1000},
    )  # fmt: skip
    nodes = tuple(replace(node, behind=0 if node.tier == "client" else -1) for node in world.nodes)
    world = replace(world, nodes=nodes, media=(MediumSpec("backhaul", 1e6, 1e6),))
    run = run_world(world)
    last = max(row["ended_s"] for row in run.tables["uploads"])
    rows = [row for row in run.tables["queries"] if row["begun_s"] > last]
    seen_s = fsum(row["latency_s"] for row in rows) / len(rows)
    assert seen_s == pytest.approx(0.002 + 0.1, rel=0.1)
    problems = [_told(world, user) for user in range(users)]
    foretold = Crowd(problems).steady([(1,)] * users)
    assert foretold.latency_s.mean() == pytest.approx(seen_s, rel=0.1)
    assert foretold.use[-2:] == pytest.approx([0.6, 0.0], rel=0.02)


def _told(world: World, user: int) -> Problem:
    curious = replace(world.users[user], planner="curious_of_media")
    users = tuple(curious if each.index == user else each for each in world.users)
    return problem_of(replace(world, users=users), user)


def test_while_a_back_haul_is_down_everybody_behind_it_stays_at_home() -> None:
    world = small_world(
        chain_graph([1000, 1000], [0]), (0.1,), fixed((1,)), clients=3, link=LinkSpec(0.01, 1e6), server_ghz=10.0,
        share_links=True, user={"queries": 40},
    )  # fmt: skip
    nodes = tuple(replace(node, behind=0 if node.index in (0, 1) else -1) for node in world.nodes)
    faults = (Outage(Through(0), 1.0, 1.0),)
    run = run_world(replace(world, nodes=nodes, media=(MediumSpec("backhaul", 1e6, 1e6),), faults=faults))
    at_home = {
        user.name: [
            row["begun_s"] for row in run.tables["queries"] if row["user"] == user.name and row["remote_layers"] == 0
        ]
        for user in world.users
    }
    for name in ("u0", "u1"):
        during = [at for at in at_home[name] if 1.1 < at < 1.9]
        assert len(during) >= 6
        assert not [at for at in at_home[name] if at > 2.3]
    assert not [at for at in at_home["u2"] if at > 0.2]


def test_planners_are_told_what_a_medium_carries_at_that_instant() -> None:
    world = site_world("ionn", faults=(Trace(Through(0, "down"), ((0.0, 3e5, 0.05),)),))
    made = run_world(world)
    told = made.plans.jobs[0].problem
    assert told.bandwidth_bytes_s[0, 1] == 3e5
    assert told.latency_s[0, 1] == pytest.approx(0.01 + 0.05)
    assert told.bandwidth_bytes_s[3, 2] == 3e5
    assert told.bandwidth_bytes_s[1, 0] == 9e5
