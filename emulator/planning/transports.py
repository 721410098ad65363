"""What a problem says of the transports of its links."""

from __future__ import annotations

import numpy as np

from layerlift.emulator.world.links import IDEAL, Transport
from layerlift.emulator.world.world import World
from layerlift.planners.problem.transport_news import TransportNews


def transport_news(world: World, client: int) -> TransportNews | None:
    """The transports between a client and all servers; None where all of them are fluid.

    Where links are independent nobody meets an upload, and only slow starts are left.
    """
    if world.fluid:
        return None
    nodes = (client, *world.servers)
    table = [[_between(world, source, to) for to in nodes] for source in nodes]
    if all(each.fluid for row in table for each in row):
        return None
    shared = world.share_links
    return TransportNews(
        np.array([[each.queue_s if shared else 0.0 for each in row] for row in table], dtype=np.float64),
        np.array([[each.query_weight if shared else 1.0 for each in row] for row in table], dtype=np.float64),
        np.array([[each.slow_start for each in row] for row in table], dtype=np.bool_),
    )


def _between(world: World, source: int, to: int) -> Transport:
    return IDEAL if source == to else world.link(source, to).transport
