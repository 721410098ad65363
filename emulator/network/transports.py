"""What a transport such as TCP does to messages: waits behind uploads, weights, and connections that are slow at first.

The model's closed forms are in docs/semantics.md, "Transport". The fabric asks only where a world has such a transport.
All times are seconds of virtual time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

from layerlift.emulator.conditions.conditions import Conditions
from layerlift.emulator.kernel.flows import Flow
from layerlift.emulator.network.channels import Channel, Channels
from layerlift.emulator.protocol.messages import Departure, UploadPart
from layerlift.emulator.world.links import Crossing, Transport, one_behind_the_other
from layerlift.emulator.world.world import World
from layerlift.models.sums import left_sum
from layerlift.planners.cost.slow_start import REST_S, slow_start_s

_FULL = 1.0 - 1e-9
"""Share of what a link carries from which it is full: rates add up to it but for rounding."""


class _Way(NamedTuple):
    """A directed pair of nodes at an instant."""

    own: Transport
    crossed: tuple[Crossing, ...]


class _Connection:
    """What goes from one node to another in uploads, or else in all other messages."""

    __slots__ = ("last_s", "moving")

    def __init__(self) -> None:
        self.moving = 0
        """Messages that are crossing now."""
        self.last_s = -inf
        """When it was last used."""


class Transports:
    """The transports of all links of a fabric."""

    def __init__(self, world: World, conditions: Conditions, channels: Channels) -> None:
        self._world, self._conditions, self._channels = world, conditions, channels
        self._wholes: dict[_Way, Transport] = {}
        self._connections: dict[tuple[int, int, bool], _Connection] = {}
        self._ready_s: dict[tuple[int, int], float] = {}
        self._least_s: dict[tuple[int, int], float] = {}

    def begins_s(self, departure: Departure, now: float) -> float:
        """When a message that has crossed its latency `now` may begin to move: later where it waits behind an upload.

        Nobody overtakes who waits on the same pair of nodes. Parts, which are what others wait for, never wait.
        """
        ends = departure.source, departure.to
        way = self._way(ends, now)
        upload = type(departure.message) is UploadPart
        waits_s = 0.0
        if departure.bytes:
            if self._world.share_links and not upload:
                waits_s = self._waits_s(self._channels[ends], way)
            if self._whole(way).slow_start:
                self._start(departure, waits_s, now)
        if upload:
            return now
        begins_s = max(now + waits_s, self._ready_s.get(ends, 0.0))
        if begins_s > now:
            self._ready_s[ends] = begins_s
        return begins_s

    def part(self, departure: Departure, now: float) -> float:
        """The weight of a message against an upload's, its user's weight aside."""
        if type(departure.message) is UploadPart:
            return 1.0
        return self._whole(self._way((departure.source, departure.to), now)).query_weight

    def begun(self, departure: Departure) -> None:
        """Note that a message moves."""
        self._connection(departure).moving += 1

    def ended(self, departure: Departure, now: float) -> None:
        """Note that a message moves no longer, whatever the reason."""
        connection = self._connection(departure)
        connection.moving -= 1
        connection.last_s = now
        self._least_s.pop((departure.source, departure.sequence), None)

    def least_end_s(self, departure: Departure) -> float:
        """Before when a message cannot have arrived, since its connection was slow at first."""
        return self._least_s.get((departure.source, departure.sequence), 0.0)

    def _start(self, departure: Departure, waits_s: float, now: float) -> None:
        channel, connection = self._channels[departure.source, departure.to], self._connection(departure)
        latency_s = channel.latency_s if channel.link is None else channel.link.latency_s(departure.at)
        round_trip_s = 2.0 * latency_s + waits_s
        if not connection.moving and now - connection.last_s > REST_S + round_trip_s:
            least_s = departure.at + slow_start_s(round_trip_s, departure.bytes)
            self._least_s[departure.source, departure.sequence] = least_s
        connection.last_s = max(connection.last_s, now)

    def _connection(self, departure: Departure) -> _Connection:
        key = departure.source, departure.to, type(departure.message) is UploadPart
        if key not in self._connections:
            self._connections[key] = _Connection()
        return self._connections[key]

    def _way(self, ends: tuple[int, int], now: float) -> _Way:
        if self._channels[ends].link is None:
            return _Way(self._world.own_link(*ends).transport, self._world.path(*ends))
        # Not the state that is kept with the link: nobody may have looked at it for a while.
        state = self._conditions.state(*ends, now)
        return _Way(state.transport, tuple(carrier.crossing for carrier in state.via))

    def _whole(self, way: _Way) -> Transport:
        if way not in self._wholes:
            media = [self._world.media[crossing.medium].transport for crossing in way.crossed]
            self._wholes[way] = one_behind_the_other([way.own, *media])
        return self._wholes[way]

    def _waits_s(self, channel: Channel, way: _Way) -> float:
        """The queues on a way that an upload fills now, one after the other."""
        pair = channel.pair
        media = {port: self._queue_s(crossing) for crossing in way.crossed if (port := self._channels.medium(crossing))}
        waits_s = left_sum(
            queue_s for port, queue_s in media.items() if _filled(_flows(port.pairs), port.capacity, queue_s)
        )
        if not way.own.queue_s:
            return waits_s
        # A pair has the bandwidth of the narrowest medium on its way, too; then that is where its queue stands.
        narrowest = min((port.capacity for port in media), default=inf)
        own = pair.bandwidth < narrowest and _filled(pair.flows, pair.bandwidth, way.own.queue_s)
        ends = (port for port in pair.ports if port not in media)
        if own or any(_filled(_flows(port.pairs), port.capacity, way.own.queue_s) for port in ends):
            waits_s += way.own.queue_s
        return waits_s

    def _queue_s(self, crossing: Crossing) -> float:
        return self._world.media[crossing.medium].transport.queue_s


def _flows(pairs: Iterable[object]) -> Sequence[Flow]:
    return [flow for pair in pairs for flow in pair.flows]  # type: ignore[attr-defined]


def _filled(flows: Iterable[Flow], bytes_s: float, queue_s: float) -> bool:
    """Whether what goes through keeps it full, and an upload is among it that is larger than the queue."""
    if not queue_s:
        return False
    long = bytes_s * queue_s
    rate = 0.0
    uploads = False
    for flow in flows:
        rate += flow.rate
        departure: Departure = flow.tag  # type: ignore[assignment]
        uploads = uploads or (type(departure.message) is UploadPart and departure.bytes >= long)
    return uploads and rate >= bytes_s * _FULL
