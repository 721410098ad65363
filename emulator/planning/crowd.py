"""What a problem says of the crowd, for planners that want to know."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from layerlift.emulator.protocol.messages import Attendance
from layerlift.emulator.world.world import World
from layerlift.planners.problem.crowd_news import CrowdNews
from layerlift.planners.registry.base import capability
from layerlift.planners.registry.planners import make

NOBODY = Attendance(0.0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""What holds of every server when a run begins."""


def wants_crowd(world: World, planner: str) -> bool:
    """Whether the problems of a planner say what is known of the crowd."""
    try:
        wanted = capability(make(planner), "wants_crowd")
        return bool(wanted) and (wanted != "together" or plans_jointly(world, planner))
    except (Exception, SystemExit):  # a stranger's planner may raise anything; planning will tell what
        return False


def plans_jointly(world: World, planner: str) -> bool:
    """Whether users of a planner are gathered and planned together."""
    if world.planning.gather_s is None:
        return False
    try:
        return bool(capability(make(planner), "multi_user"))
    except (Exception, SystemExit):  # as above
        return False


def wants_stay(planner: str) -> bool:
    """Whether the problems of a planner say how long their users will stay."""
    try:
        return bool(capability(make(planner), "wants_stay"))
    except (Exception, SystemExit):  # as above
        return False


def crowd_wanted(world: World) -> bool:
    """Whether any planner of the world wants to know the crowd."""
    return any(wants_crowd(world, planner) for planner in sorted({user.planner for user in world.users}))


def crowd_news(world: World, user: int, told: Sequence[Attendance | None], now_s: float) -> CrowdNews:
    """What a problem says; `told` is each server's word in their order, None of those that have said nothing."""
    spec = world.users[user]
    nodes = [world.nodes[index] for index in (spec.client, *world.servers)]
    shared = world.share_links
    heard = [NOBODY, *(each or NOBODY for each in told)]
    ages = [0.0, *(inf if each is None else max(0.0, now_s - each.at_s) for each in told)]

    def column(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array(values, dtype=np.float64)

    return CrowdNews(
        user=user,
        asking=spec.asking,
        uplink_bytes_s=column([node.uplink_bytes_s if shared else inf for node in nodes]),
        downlink_bytes_s=column([node.downlink_bytes_s if shared else inf for node in nodes]),
        age_s=column(ages),
        users=column([each.users for each in heard]),
        promised_bytes=column([each.promised_bytes for each in heard]),
        plans=column([each.plans for each in heard]),
        asks_per_s=column([each.asks_per_s for each in heard]),
        work=column([each.work for each in heard]),
        received_bytes_s=column([each.received_bytes_s for each in heard]),
        sent_bytes_s=column([each.sent_bytes_s for each in heard]),
    )
