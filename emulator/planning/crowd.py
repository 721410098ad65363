"""What a problem says of the crowd, for planners that want to know."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from layerlift.emulator.protocol.messages import Attendance
from layerlift.emulator.world.links import WAYS, Crossing
from layerlift.emulator.world.world import World
from layerlift.models.sums import left_sum
from layerlift.planners.problem.arrays import Bools
from layerlift.planners.problem.crowd_news import CrowdNews
from layerlift.planners.problem.media_news import MediaNews
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
        media=_media(world, spec.client, heard[1:]) if shared else None,
    )


def _media(world: World, client: int, told: Sequence[Attendance]) -> MediaNews | None:
    """What is known of shared media; `told` is each server's word in their order."""
    limited = [
        (Crossing(place, way), medium)
        for place, medium in enumerate(world.media)
        for way in WAYS
        if medium.bytes_s(way) < inf
    ]
    if not limited:
        return None
    behind = [world.before(server) for server in world.servers]
    used = [
        left_sum(
            each.sent_bytes_s if crossing.way == "up" else each.received_bytes_s
            for each, media in zip(told, behind, strict=True)
            if crossing.medium in media
        )
        for crossing, _ in limited
    ]
    return MediaNews(
        tuple(f"{medium.name} {crossing.way}" for crossing, medium in limited),
        np.array([medium.bytes_s(crossing.way) for crossing, medium in limited], dtype=np.float64),
        np.array(used, dtype=np.float64),
        crosses(world, client, [crossing for crossing, _ in limited]),
    )


def crosses(world: World, client: int, crossings: Sequence[Crossing]) -> Bools:
    """Whether the way from one node of a client's problem to another goes over each, shape (K, N, N)."""
    made = np.zeros((len(crossings), len(world.servers) + 1, len(world.servers) + 1), dtype=np.bool_)
    places = {crossing: place for place, crossing in enumerate(crossings)}

    def note(row: int, column: int, path: Sequence[Crossing]) -> None:
        for crossing in path:
            if crossing in places:
                made[places[crossing], row, column] = True

    for row, server in enumerate(world.servers, start=1):
        note(0, row, world.path(client, server))
        note(row, 0, world.path(server, client))
        for column, path in enumerate(world.server_paths[row - 1], start=1):
            note(row, column, path)
    return made
