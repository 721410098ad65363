"""What a problem says of links that a user's queries share, for who weighs the period; and what is promised of it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from layerlift.emulator.planning.crowd import crosses
from layerlift.emulator.world.links import WAYS, Crossing
from layerlift.emulator.world.machines import INF
from layerlift.emulator.world.users import UserSpec
from layerlift.emulator.world.world import World
from layerlift.planners import period
from layerlift.planners.problem.problem import Problem
from layerlift.planners.problem.shared_links import SharedLinks, ports
from layerlift.planners.registry.base import capability
from layerlift.planners.registry.planners import make


def weighs_period(user: UserSpec) -> bool:
    """Whether a user's plan depends on the period: by its objective, or by what its planner optimises."""
    return bool(user.objective.period) or _optimises(user.planner) == "period"


@lru_cache(maxsize=256)
def _optimises(planner: str) -> object:
    try:
        return capability(make(planner), "optimises")
    except (Exception, SystemExit):  # a stranger's planner may raise anything; planning will tell what
        return None


def shared_links(world: World, client: int) -> SharedLinks:
    """What links share between the nodes of a client's problem, the client first."""
    nodes = [world.nodes[index] for index in (client, *world.servers)]
    uplinks = np.array([node.uplink_bytes_s for node in nodes], dtype=np.float64)
    downlinks = np.array([node.downlink_bytes_s for node in nodes], dtype=np.float64)
    made = ports(uplinks, downlinks, queue=world.share_links)
    ways = [
        Crossing(place, way) for place, medium in enumerate(world.media) for way in WAYS if medium.bytes_s(way) < INF
    ]
    if not ways or not world.share_links:
        return made
    rates = np.array([world.media[medium].bytes_s(way) for medium, way in ways], dtype=np.float64)
    carries = np.concatenate([made.carries, crosses(world, client, ways)])
    return SharedLinks(np.concatenate([made.bytes_s, rates]), carries)


def promised_period_s(world: World, user: UserSpec, problem: Problem, placement: tuple[int, ...]) -> float | None:
    """The period that a plan promises; None for who has one query in flight at a time and does not weigh it."""
    if user.in_flight == 1 and not weighs_period(user):
        return None
    return period(replace(problem, shared=shared_links(world, user.client)), placement)
