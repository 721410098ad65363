"""What the fabric knows of every directed pair of nodes: looked up once, when the first message goes that way."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from layerlift.emulator.kernel.flows import Pair, Port
from layerlift.emulator.network.byte_ledger import Account, ByteLedger
from layerlift.emulator.network.changing_links import ChangingLink, ChangingLinks
from layerlift.emulator.world.world import World


class Channel(NamedTuple):
    """A directed pair of nodes: its link as the world has it, who shares it, its books, and what may happen to it."""

    latency_s: float
    bandwidth_bytes_s: float
    pair: Pair
    account: Account
    link: ChangingLink | None
    """None: nothing ever happens to it."""


class Channels(dict[tuple[int, int], Channel]):
    """Channels by (source, to), each made when it is first asked for.

    A dictionary, since it is asked for every message: a look-up must cost no more than that.
    """

    def __init__(self, world: World, ledger: ByteLedger, links: ChangingLinks) -> None:
        super().__init__()
        self._world, self._ledger, self._links = world, ledger, links
        self._ports: dict[tuple[str, int], Port | None] = {}

    def __missing__(self, ends: tuple[int, int]) -> Channel:
        source, to = ends
        spec = self._world.link(source, to)
        # What stays on one machine (a planner and its host) never touches the machine's up- and downlink.
        local = self._world.loops_back(source, to)
        ports = () if local else (self._port("up", source), self._port("down", to))
        pair = Pair(spec.bandwidth_bytes_s, tuple(port for port in ports if port is not None))
        account = self._ledger.account(source, to, spec.price_per_byte)
        link = self._links.link(source, to, pair)
        channel = self[ends] = Channel(spec.latency_s, spec.bandwidth_bytes_s, pair, account, link)
        return channel

    def _port(self, way: str, node: int) -> Port | None:
        """The uplink or downlink of a node, or none when it has no limit; the planner's are those of its place."""
        if (way, node) not in self._ports:
            place = self._world.planning.at if node == self._world.planner else node
            spec = self._world.nodes[place]
            capacity = spec.uplink_bytes_s if way == "up" else spec.downlink_bytes_s
            if place != node and place >= 0:
                self._ports[way, node] = self._port(way, place)
            else:
                self._ports[way, node] = Port(capacity) if capacity < inf else None
        return self._ports[way, node]
