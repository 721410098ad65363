"""What the fabric knows of every directed pair of nodes: looked up once, when the first message goes that way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import inf
from typing import NamedTuple

from layerlift.emulator.conditions.conditions import Carrier
from layerlift.emulator.kernel.flows import Pair, Port
from layerlift.emulator.network.byte_ledger import Account, ByteLedger
from layerlift.emulator.network.changing_links import ChangingLink, ChangingLinks
from layerlift.emulator.world.links import Crossing
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
        self._media: dict[Crossing, Port] = {}

    def __missing__(self, ends: tuple[int, int]) -> Channel:
        source, to = ends
        world = self._world
        spec = world.link(source, to)
        path = [Carrier(crossing, world.media[crossing.medium].bytes_s(crossing.way)) for crossing in world.path(*ends)]
        pair = Pair(spec.bandwidth_bytes_s, self._shared(source, to, path))
        account = self._ledger.account(source, to, spec.price_per_byte, [each.crossing for each in path])
        link = self._links.link(source, to, pair)
        channel = self[ends] = Channel(spec.latency_s, spec.bandwidth_bytes_s, pair, account, link)
        return channel

    def reroute(self, source: int, to: int, via: Sequence[Carrier], now: float) -> list[Pair]:
        """Let a pair go over these media, and have each carry what it can now; returns the pairs to settle."""
        channel = self[source, to]
        pair, ports = channel.pair, self._shared(source, to, via)
        stale = [port for port in pair.ports if port not in ports]
        moved = ports != pair.ports
        if moved:
            pair.reroute(ports)
            self._ledger.reroute(channel.account, [carrier.crossing for carrier in via], now)
        for carrier in via:
            port = self._medium(carrier)
            if port.capacity != carrier.bytes_s < inf:
                port.resize(carrier.bytes_s)
                stale.append(port)
        # Who is left there, or was there all the time, may have more now, or less: one of them brings all the others.
        found = [other for port in stale for other in islice(port.pairs, 1)]
        return [*found, pair] if moved and pair.flows else found

    def medium(self, crossing: Crossing) -> Port | None:
        """What is shared by all that cross a medium one way; None while nobody has, or where it has no limit."""
        return self._media.get(crossing)

    def _shared(self, source: int, to: int, via: Sequence[Carrier]) -> tuple[Port, ...]:
        """All that a pair shares on its way over some media: its ends' links and, where they have a limit, these."""
        # What stays on one machine (a planner and its host) never touches the machine's up- and downlink.
        if self._world.loops_back(source, to):
            return ()
        media = [self._medium(carrier) for carrier in via if carrier.bytes_s < inf]
        ends = self._port("up", source), *media, self._port("down", to)
        return tuple(port for port in ends if port is not None)

    def _medium(self, carrier: Carrier) -> Port:
        """What is shared by all that cross a medium one way; made with the carrier's capacity when first asked for."""
        if carrier.crossing not in self._media:
            self._media[carrier.crossing] = Port(carrier.bytes_s)
        return self._media[carrier.crossing]

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
