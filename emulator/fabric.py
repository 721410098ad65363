"""The network: takes what leaves nodes, shares the bandwidth, hands over what arrives.

A message first crosses its link's latency and only then competes for bandwidth; that is what lets hosts run ahead
by the smallest latency without ever being wrong. Tensors of one query go one at a time on each directed pair.
All times are seconds of virtual time, all sizes whole bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from math import inf
from typing import Any, NamedTuple

from emulator.flows import Flow, Pair, Port, settle
from emulator.messages import Cancel, Delivery, Departure, UploadPart
from emulator.traffic import Traffic
from emulator.world import World

# At one instant the fabric does: faults, capacities, completions, starts (semantics: "Links that change").
_COMPLETION, _START = 2, 3


class _Route(NamedTuple):
    """What the fabric needs to know of a directed pair, looked up once."""

    latency_s: float
    bandwidth: float
    price_per_byte: float
    pair: Pair


class Fabric:
    """All links of a world. Lives with the conductor: there is one, whatever hosts the nodes are packed into."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._shared = world.share_links
        self._routes: dict[tuple[int, int], _Route] = {}
        self._ports: dict[tuple[str, int], Port | None] = {}
        self._events: list[tuple[float, int, int, int, float, Any]] = []
        self._streams: dict[tuple[int, int, int, int], deque[Departure]] = {}
        self._ends: dict[tuple[int, int, int, int], float] = {}
        self._uploads: dict[tuple[int, int], Flow] = {}
        self._cancelled: set[tuple[int, int]] = set()
        self._window: list[tuple[float, Departure]] = []
        self.traffic = Traffic(world)

    def next_event(self) -> float:
        """When something may happen next; infinite when nothing is under way."""
        return self._events[0][0] if self._events else inf

    def take(self, departures: Iterable[Departure]) -> None:
        """Accept what left nodes; departures of one window in any order, windows in order."""
        events, routes, shared = self._events, self._routes, self._shared
        for departure in sorted(departures):
            at, source, sequence, to, size, stream, message = departure
            route = routes.get((source, to)) or self._route(source, to)
            enter = at + route.latency_s
            if type(message) is Cancel:
                heappush(events, (enter, _START, source, sequence, 0.0, departure))
                continue
            self.traffic.sent_bytes += size
            if shared and (size or stream):
                heappush(events, (enter, _START, source, sequence, 0.0, departure))
                continue
            begin = enter
            if stream:
                key = self._stream(departure)
                begin = max(enter, self._ends.get(key, 0.0))
            arrival = begin + size / route.bandwidth
            if stream:
                self._ends[key] = arrival
            if size:
                self.traffic.carrying(source, to, begin, arrival)
            heappush(events, (arrival, _COMPLETION, source, sequence, 0.0, departure))

    def arrivals_before(self, horizon: float) -> list[Delivery]:
        """Everything that reaches its node before `horizon`, in order of (time, source, sequence)."""
        arrived: list[Delivery] = []
        self._window = []
        events, traffic = self._events, self.traffic
        while events and events[0][0] < horizon:
            at, phase, source, sequence, due, what = heappop(events)
            if at > traffic.next_sample:
                traffic.sample_before(at)
            if phase == _START:
                self._begin(at, what)
            elif type(what) is Flow:
                if what.due == due:
                    self._end(at, what, arrived)
            elif (source, sequence) in self._cancelled:
                self._cancelled.discard((source, sequence))
            else:
                self._arrive(at, what, arrived)
        traffic.window(horizon)
        if len(self._ends) > 65_536:
            self._ends = {key: end for key, end in self._ends.items() if end >= horizon}
        if len(arrived) > 1:
            arrived.sort()
        return arrived

    def rewind(self, end: float) -> None:
        """The run ended at `end`, inside the last window: what arrived after it is in flight again."""
        for at, departure in self._window:
            if at > end:
                price = self._route(departure.source, departure.to).price_per_byte
                self.traffic.undo(departure.source, departure.to, departure.bytes, price)

    def _arrive(self, at: float, departure: Departure, arrived: list[Delivery]) -> None:
        _, source, sequence, to, size, _, message = departure
        if size:
            self.traffic.delivered(source, to, size, self._routes[source, to].price_per_byte)
        self._window.append((at, departure))
        arrived.append(Delivery(at, source, sequence, to, message))

    def _begin(self, at: float, departure: Departure) -> None:
        if type(departure.message) is Cancel:
            self._cancel(at, departure.source, departure.message.sequence)
            return
        if departure.stream:
            key = self._stream(departure)
            queue = self._streams.get(key)
            if queue is not None:
                queue.append(departure)
                return
            self._streams[key] = deque()
        self._transfer(at, departure)

    def _transfer(self, at: float, departure: Departure) -> None:
        _, source, sequence, to, size, _, message = departure
        pair = self._routes[source, to].pair
        flow = Flow(pair, size, 1.0, at, departure)
        if type(message) is UploadPart:
            self._uploads[source, sequence] = flow
        pair.add(flow)
        self.traffic.opened(source, to, at)
        self._schedule(settle(pair, at))
        if not size:
            flow.due = at
            self._schedule([flow])

    def _end(self, at: float, flow: Flow, arrived: list[Delivery]) -> None:
        departure = self._close(at, flow)
        self._arrive(at, departure, arrived)
        self._next_in_stream(at, departure)

    def _close(self, at: float, flow: Flow) -> Departure:
        departure: Departure = flow.tag  # type: ignore[assignment]
        flow.due = -1.0
        if type(departure.message) is UploadPart:
            del self._uploads[departure.source, departure.sequence]
        flow.pair.remove(flow)
        self.traffic.closed(departure.source, departure.to, at)
        self._schedule(settle(flow.pair, at))
        return departure

    def _next_in_stream(self, at: float, departure: Departure) -> None:
        if departure.stream:
            key = self._stream(departure)
            if self._streams[key]:
                self._transfer(at, self._streams[key].popleft())
            else:
                del self._streams[key]

    def _cancel(self, at: float, source: int, sequence: int) -> None:
        """Stop a transfer; one that has arrived already is left alone. Its bytes are counted as cancelled."""
        flow = self._uploads.get((source, sequence))
        if flow is not None:
            departure = self._close(at, flow)
            self.traffic.cancelled_bytes += departure.bytes
            self._next_in_stream(at, departure)
            return
        for end, phase, s, q, _, what in self._events:
            if (s, q) == (source, sequence) and phase == _COMPLETION and type(what) is Departure:
                self._cancelled.add((source, sequence))
                self.traffic.cancelled_bytes += what.bytes
                self.traffic.cut(what.source, what.to, end, at)
                return

    def _schedule(self, flows: Iterable[Flow]) -> None:
        for flow in flows:
            if flow.due < inf:
                departure: Departure = flow.tag  # type: ignore[assignment]
                event = (flow.due, _COMPLETION, departure.source, departure.sequence, flow.due, flow)
                heappush(self._events, event)

    @staticmethod
    def _stream(departure: Departure) -> tuple[int, int, int, int]:
        user: int = departure.message.user  # type: ignore[union-attr]
        return departure.source, departure.to, user, departure.stream

    def _route(self, source: int, to: int) -> _Route:
        found = self._routes.get((source, to))
        if found is None:
            link = self._world.link(source, to)
            ports = [self._port("up", source), self._port("down", to)]
            pair = Pair(link.bandwidth_bytes_s, tuple(port for port in ports if port is not None))
            found = _Route(link.latency_s, link.bandwidth_bytes_s, link.price_per_byte, pair)
            self._routes[source, to] = found
        return found

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
