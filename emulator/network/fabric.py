"""The network: takes what leaves nodes, shares the bandwidth, hands over what arrives.

A message first crosses its link's latency and only then competes for bandwidth; that is what lets hosts run ahead
by the smallest latency without ever being wrong. Tensors of one query go one at a time on each directed pair.
All times are seconds of virtual time, all sizes whole bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappush
from math import inf
from typing import Any, cast

from layerlift.emulator.conditions.conditions import Carrier, Conditions
from layerlift.emulator.kernel.clock import Kernel
from layerlift.emulator.kernel.flows import Flow, Pair, set_aside, settle
from layerlift.emulator.network.byte_ledger import Book, ByteLedger
from layerlift.emulator.network.changing_links import ChangingLinks
from layerlift.emulator.network.channels import Channels
from layerlift.emulator.network.tensor_queues import TensorQueues
from layerlift.emulator.network.transports import Transports
from layerlift.emulator.protocol.messages import (
    Cancel,
    Delivery,
    Departure,
    Message,
    Meter,
    ReadMeter,
    SwitchOff,
    UploadPart,
    Weigh,
)
from layerlift.emulator.world.world import World

# At one instant the fabric does: faults, capacities, completions, starts (semantics: "Links that change").
_COMPLETION, _START = 2, 3
_FABRIC = -1
"""The fabric's place in the order of nodes: before all of them, so that what arrives at an instant is there for it."""
_ORDERS = frozenset((Cancel, Weigh, ReadMeter, SwitchOff))
"""What nodes say to the fabric itself."""


class Fabric:
    """All links of a world. Lives with the conductor: there is one, whatever hosts the nodes are packed into.

    With a `kernel` of its own it is moved by `arrivals_before`. A host that has all nodes lends it its kernel and a
    `deliver` (called with the fields of a `Delivery`); then fabric and nodes share one clock and need no windows.
    """

    def __init__(
        self, world: World, kernel: Kernel | None = None, deliver: Callable[..., object] | None = None
    ) -> None:
        self._world = world
        self._conditions = Conditions(world)
        self._flowing = world.share_links or self._conditions.any or not world.fluid
        """Whether transfers are followed as flows, since their ends are not known at their beginnings."""
        self._kernel = kernel or Kernel()
        self._deliver = deliver
        self._arrived: list[tuple[Delivery, Departure | None]] = []
        self._stopped: list[tuple[float, Book, int]] = []
        self._reopened_bytes = 0
        self._events = self._notices = 0
        self._queues = TensorQueues()
        self._uploads: dict[tuple[int, int], Flow | tuple[Departure, float]] = {}
        self._weights: dict[tuple[int, int], float] = {}
        self.ledger = ByteLedger(world)
        self._links = ChangingLinks(self, world, self._conditions)
        self._channels = Channels(world, self.ledger, self._links)
        self._transports = None if world.fluid else Transports(world, self._conditions, self._channels)
        self._enter = self._begin if world.fluid else self._wait

    def next_event(self) -> float:
        """When something may happen next; infinite when nothing is under way."""
        return self._kernel.peek()

    def take(self, departures: Iterable[Departure]) -> None:
        """Accept what left nodes; departures of one window in any order, windows in order."""
        for departure in sorted(departures):
            self.append(departure)

    def append(self, departure: Departure) -> None:
        """Accept what leaves a node; the departures of each node in order."""
        at, source, sequence, to, size, stream, message = departure
        channel = self._channels[source, to]
        # The latency is that of the moment at which it leaves, whatever the link does while it is on its way.
        enter = at + (channel.latency_s if channel.link is None else channel.link.latency_s(at))
        self._events = number = self._events + 1
        if type(message) in _ORDERS:
            if type(message) is SwitchOff:
                # At once: this is only bookkeeping, and the device draws nothing from here on.
                self.ledger.switch_off(source, at)
                return
            if type(message) is ReadMeter:
                enter = at + self._world.lookahead_s  # its own meter is as near as anything can be
            self._kernel.schedule(enter, _FABRIC, (_START, source, sequence, number), self._obey, departure)
            return
        self.ledger.sent_bytes += size
        # Who has to share the link, or may see it change, is followed as a flow. All others are there at a moment that
        # is known now: one event instead of two. Without bytes nothing is shared, but a stream keeps its order.
        if channel.link is not None or (self._flowing and (size or stream)):
            order = _START, source, sequence, number
            heappush(self._kernel.heap, (enter, _FABRIC, order, self._enter, departure))
            return
        begin = max(enter, self._queues.free_s(departure)) if stream else enter
        arrival = begin + size / channel.bandwidth_bytes_s
        if stream:
            self._queues.ends(departure, arrival)
        if size:
            self.ledger.carrying(channel.account, begin, arrival)
            if type(message) is UploadPart:  # the only messages that are ever cancelled
                self._uploads[source, sequence] = departure, arrival
        self._kernel.schedule(arrival, _FABRIC, (_COMPLETION, source, sequence, number), self._land, departure)

    def arrivals_before(self, horizon: float) -> list[Delivery]:
        """Everything that reaches its node before `horizon`, in order of (time, source, sequence)."""
        self._arrived, self._stopped = [], []
        self._kernel.run_before(horizon)
        self.close(horizon)
        # Those to -1 are bytes that were kept of broken parts: noted for `rewind`, and nobody's message.
        arrived = [delivery for delivery, _ in self._arrived if delivery.to >= 0]
        if len(arrived) > 1:
            arrived.sort()
        return arrived

    def close(self, horizon: float) -> None:
        """Close the books up to `horizon`."""
        self.ledger.window(horizon)
        self._queues.forget(horizon)

    def rewind(self, end: float) -> None:
        """The run ended at `end`, inside the last window: what arrived or was stopped after it is in flight again."""
        for at, book, size in self._stopped:
            if at > end:
                self.ledger.take_back(book, size)
                # What was sent again after the end was not under way at the end: its loss was booked before.
                self._reopened_bytes += -size if book == "again" else size
        for delivery, departure in reversed(self._arrived):
            if delivery.at > end and departure is not None:
                self.ledger.route_back(delivery.at)
                self.ledger.undo(self._channels[departure.source, departure.to].account, departure.bytes)
                self._reopened_bytes += departure.bytes

    def open_bytes(self) -> int:
        """Bytes of the messages that have left and not ended in any way, counted where they are.

        Law 5 compares this with what the ledger makes of its books, and nothing here reads them. It looks at every
        event to come, so it is for the end of a run. A message that waits to be sent again is booked as lost: not open.
        """
        flows: dict[Flow, None] = {}
        waiting: list[Departure] = []
        for _, node, _, call, argument in self._kernel.heap:
            if node != _FABRIC:
                continue
            if call in (self._begin, self._wait) or (call == self._land and self._awaited(argument)):
                waiting.append(argument)
            elif call == self._end and argument.timer_s >= 0.0:  # below 0 is the timer of a flow that was stopped
                flows[argument] = None
        waiting += self._queues.waiting()
        for channel in self._channels.values():
            flows.update(dict.fromkeys(channel.pair.flows))  # one without a rate has no timer
            if channel.link is not None:
                flows.update(channel.link.flows)
                waiting += channel.link.held
        waiting += [cast(Departure, flow.tag) for flow in flows]
        return sum(departure.bytes for departure in waiting) + self._reopened_bytes

    # What links that change need of the fabric

    @property
    def now(self) -> float:
        """The fabric's clock, in seconds."""
        return self._kernel.now

    def at(self, when: float, source: int, sequence: int, call: Callable[[Any], object], argument: Any) -> None:
        """Do something at a later moment, among the completions of that instant."""
        # The number makes every order unique, so that the heap never compares what is to be called.
        self._events = number = self._events + 1
        self._kernel.schedule(when, _FABRIC, (_COMPLETION, source, sequence, number), call, argument)

    def change_at(self, when: float, order: tuple[int, ...], call: Callable[[Any], object], argument: Any) -> None:
        """Do something at a later moment, before all completions of that instant."""
        self._events = number = self._events + 1
        self._kernel.schedule(when, _FABRIC, (*order, number), call, argument)

    def tell(self, to: int, message: Message) -> None:
        """Let node `to` know something now."""
        # The network speaks as a node of its own, numbered after all others: what arrives at an instant is heard first.
        self._notices = sequence = self._notices + 1
        at, source = self._kernel.now, len(self._world.nodes)
        if self._deliver is None:
            self._arrived.append((Delivery(at, source, sequence, to, message), None))
        else:
            self._deliver(at, source, sequence, to, message)

    def book(self, book: Book, size: int) -> None:
        """Note bytes that were `lost`, `cancelled` or sent `again`."""
        self.ledger.put_down(book, size)
        if self._deliver is None:  # only windows overshoot the end of a run and have to take something back
            self._stopped.append((self._kernel.now, book, size))

    def part_arrived(self, departure: Departure, size: int) -> None:
        """Some bytes of a message that broke off have reached its receiver and count."""
        self.ledger.delivered(self._channels[departure.source, departure.to].account, size)
        if self._deliver is None:
            cut = departure._replace(bytes=size)
            self._arrived.append((Delivery(self._kernel.now, -1, 0, -1, departure.message), cut))

    def transfer(self, departure: Departure) -> None:
        """Begin a transfer whose turn it is."""
        self._transfer(departure)

    def stop(self, flow: Flow) -> Departure:
        """End a transfer before its time."""
        return self._close(flow)

    def resize(self, pair: Pair, bandwidth: float) -> None:
        """Give a pair another bandwidth (bytes per second)."""
        pair.resize(bandwidth)
        self._settle(pair)

    def reroute(self, source: int, to: int, via: Sequence[Carrier]) -> None:
        """Let a pair go over these media, and have each carry what it can now."""
        for pair in self._channels.reroute(source, to, via, self._kernel.now):
            self._settle(pair)

    def go_on(self, departure: Departure) -> None:
        """Begin the next tensor of the same query on this pair, if one waits."""
        if departure.stream:
            self._next_in_stream(departure)

    def _arrive(self, departure: Departure) -> None:
        _, source, sequence, to, size, _, message = departure
        at, ledger = self._kernel.now, self.ledger
        # What arrives at a sampling instant still belongs to the period that it ends, hence `>`.
        if at > ledger.next_sample:
            ledger.sample_before(at)
        if size:
            ledger.delivered(self._channels[source, to].account, size)
        if self._deliver is None:
            self._arrived.append((Delivery(at, source, sequence, to, message), departure))
        else:
            self._deliver(at, source, sequence, to, message)

    def _land(self, departure: Departure) -> None:
        """A message of known arrival is there, unless it was cancelled on the way."""
        if self._awaited(departure):
            self._uploads.pop((departure.source, departure.sequence), None)
            self._arrive(departure)

    def _awaited(self, departure: Departure) -> bool:
        """Whether nobody has cancelled a message of known arrival: only parts that have bytes can be."""
        part = type(departure.message) is UploadPart and departure.bytes
        return not part or (departure.source, departure.sequence) in self._uploads

    def _wait(self, departure: Departure) -> None:
        """A message has crossed its latency: it begins now, or when it has waited behind an upload."""
        assert self._transports is not None
        begins_s = self._transports.begins_s(departure, self._kernel.now)
        if begins_s <= self._kernel.now:
            self._begin(departure)
            return
        self._events = number = self._events + 1
        order = _START, departure.source, departure.sequence, number
        self._kernel.schedule(begins_s, _FABRIC, order, self._begin, departure)

    def _begin(self, departure: Departure) -> None:
        if not (departure.stream and self._queues.waits(departure)):
            self._transfer(departure)

    def _transfer(self, departure: Departure) -> None:
        _, source, sequence, to, size, _, message = departure
        now, ledger = self._kernel.now, self.ledger
        if now > ledger.next_sample:
            ledger.sample_before(now)
        channel = self._channels[source, to]
        pair, link = channel.pair, channel.link
        if link is not None:
            if not self._links.admit(departure, link):
                return
            size = link.carries(departure)  # fewer than it has, when it is to be lost on the way
        if not self._world.share_links:
            # Independent links: each transfer has the bandwidth to itself, as if it were alone on a pair of its own.
            pair = Pair(channel.bandwidth_bytes_s if link is None else link.state.bandwidth_bytes_s, ())
        flow = Flow(pair, size, self._weights.get((source, to), 1.0), now, departure)
        if self._transports is not None:
            flow.part = self._transports.part(departure, now)
            flow.weight *= flow.part
            self._transports.begun(departure)
        if type(message) is UploadPart:
            self._uploads[source, sequence] = flow
        pair.add(flow)
        ledger.opened(channel.account, now)
        if link is not None:
            link.flows[flow] = None
        if not size:  # through at once, however slow the link is, and it takes nothing from the others
            flow.end_s = now
            self._schedule(flow)
        elif len(pair.flows) == 1 and pair.alone():  # nobody to share with: the usual case, and no need to settle
            flow.rate = pair.bandwidth
            flow.end_s = now + size / pair.bandwidth
            self._schedule(flow)
        else:
            self._settle(pair)

    def _settle(self, pair: Pair) -> None:
        for moved in settle(pair, self._kernel.now):
            self._schedule(moved)

    def _end(self, flow: Flow) -> None:
        """A flow's timer: the flow ends, or has become slower since and is looked at again when it may end."""
        now = self._kernel.now
        if flow.timer_s != now:  # the timer of a flow that was stopped, or one that an earlier timer has replaced
            return
        flow.timer_s = inf
        if flow.end_s != now:
            self._schedule(flow)
            return
        if self._transports is not None and (least_s := self._transports.least_end_s(cast(Departure, flow.tag))) > now:
            # Its connection was slow at first: it arrives later than its share of the link alone would have it.
            pair = set_aside(flow, now)
            self._settle(pair)
            flow.end_s = least_s
            self._schedule(flow)
            return
        departure = self._close(flow)
        link = self._channels[departure.source, departure.to].link
        if link is not None and self._links.perished(departure, link):
            return
        self._arrive(departure)
        if departure.stream:
            self._next_in_stream(departure)

    def _close(self, flow: Flow) -> Departure:
        departure: Departure = flow.tag  # type: ignore[assignment]
        now, ledger, pair = self._kernel.now, self.ledger, flow.pair
        if now > ledger.next_sample:
            ledger.sample_before(now)
        flow.end_s = flow.timer_s = -1.0  # timers cannot be taken off the heap: theirs finds a moment that never is
        if type(departure.message) is UploadPart:
            del self._uploads[departure.source, departure.sequence]
        pair.remove(flow)
        if self._transports is not None:
            self._transports.ended(departure, now)
        channel = self._channels[departure.source, departure.to]
        if channel.link is not None:
            del channel.link.flows[flow]
        ledger.closed(channel.account, now)
        if pair.flows or not pair.alone():  # somebody gets what it leaves
            self._settle(pair)
        return departure

    def _next_in_stream(self, departure: Departure) -> None:
        following = self._queues.next(departure)
        if following is not None:
            self._transfer(following)

    def _obey(self, departure: Departure) -> None:
        """Do what a node has ordered; the order has crossed its link."""
        message = departure.message
        if type(message) is Cancel:
            self._cancel(departure.source, message.sequence)
        elif type(message) is Weigh:
            self._weigh(departure.source, departure.to, message.weight)
        else:
            self.tell(departure.source, Meter(self.ledger.radio_s(departure.source, self._kernel.now)))

    def _cancel(self, source: int, sequence: int) -> None:
        """Stop a transfer; one that has arrived already is left alone. Its bytes are counted as cancelled."""
        key = source, sequence
        upload = self._uploads.get(key)
        if isinstance(upload, Flow):
            departure = self._close(upload)  # parts are in no stream: nothing waits behind it
        elif upload is not None:
            departure, end = self._uploads.pop(key)  # type: ignore[misc]
            self.ledger.cut(self._channels[departure.source, departure.to].account, end, self._kernel.now)
        else:
            return
        self.book("cancelled", departure.bytes)

    def _weigh(self, server: int, client: int, weight: float) -> None:
        """Transfers between the two have another weight from now on, in both directions."""
        for ends in ((server, client), (client, server)):
            self._weights[ends] = weight  # for transfers to come; those under way are weighed anew below
            channel = self._channels.get(ends)
            if channel is not None and channel.pair.flows and self._world.share_links:
                channel.pair.reweigh(weight)
                self._settle(channel.pair)

    def _schedule(self, flow: Flow) -> None:
        """Set a flow's timer, unless one is set already that goes off before: most flows only become slower."""
        end_s = flow.end_s
        if end_s < flow.timer_s:
            flow.timer_s = end_s
            departure: Departure = flow.tag  # type: ignore[assignment]
            self._events = number = self._events + 1
            order = (_COMPLETION, departure.source, departure.sequence, number)
            heappush(self._kernel.heap, (end_s, _FABRIC, order, self._end, flow))
