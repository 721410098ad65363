"""The books of the network: bytes that were sent, arrived, were lost or cancelled, and how long radios were on.

Whole bytes only, so that law 5 is an equation: sent = delivered + lost + cancelled + in flight.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Literal, NamedTuple

from layerlift.emulator.kernel import periods
from layerlift.emulator.world.links import WAYS, Crossing
from layerlift.emulator.world.world import World
from layerlift.models.sums import left_sum

Book = Literal["lost", "cancelled", "again"]
"""Where bytes that did not arrive are put down; `again`: the network itself sent them once more."""


class Sample(NamedTuple):
    """What one node did on the network in one sampling period."""

    sent_bytes: int = 0
    received_bytes: int = 0
    radio_s: float = 0.0
    money: float = 0.0


_NOTHING = Sample()
_LAST = 0
"""The number of the period that the end of the run cut short."""
_SPANS = 1_000
"""Spans of radio time that are kept before they are added up."""


class ByteLedger:
    """Counts for the whole run, and per node and sampling period."""

    def __init__(self, world: World) -> None:
        self.sent_bytes = self.delivered_bytes = self.lost_bytes = self.cancelled_bytes = 0
        self._period = world.sample_s
        self._number = 1
        self.next_sample = self._period
        self._samples: dict[int, dict[int, Sample]] = {}
        self._counts: dict[int, _Count] = {}
        self._moved: set[int] = set()
        """Nodes that have sent or received something in the period that is open."""
        self._radios = {index: _Radio(index) for index in world.clients}
        self._live: dict[int, _Radio] = {}
        """Radios that are on, or will be as far as is known."""
        self._rerouted: list[tuple[float, Account, list[_Crossed]]] = []
        """When whose messages went over other media than before, and which those were; of the last window."""
        self._crossed = {Crossing(place, way): _Crossed() for place in range(len(world.media)) for way in WAYS}
        # The end of the run may lie in the window that was done last, so only what came before that window is final.
        self._safe = self._horizon = 0.0

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of messages that left and have not ended in any way, as these books have it (law 5 counts them too)."""
        return self.sent_bytes - self.delivered_bytes - self.lost_bytes - self.cancelled_bytes

    def account(self, source: int, to: int, price_per_byte: float, path: Sequence[Crossing] = ()) -> Account:
        """The books of a directed pair over the media of `path`; fetched once, used for every transfer."""
        # Only clients have radios that count: servers hang on wires.
        radios = tuple(self._radios[node] for node in (source, to) if node in self._radios)
        sender = self._count(source).sent.setdefault(price_per_byte, _Sent())
        return Account(source, to, sender, self._count(to), radios, [self._crossed[crossing] for crossing in path])

    def reroute(self, account: Account, path: Sequence[Crossing], at: float) -> None:
        """Let what arrives from now on be counted in the books of other media."""
        self._rerouted.append((at, account, account.media[:]))
        account.media[:] = [self._crossed[crossing] for crossing in path]

    def route_back(self, at: float) -> None:
        """Undo `reroute` where it came after `at`: arrivals of that time were counted in the books of before."""
        while self._rerouted and self._rerouted[-1][0] > at:
            _, account, before = self._rerouted.pop()
            account.media[:] = before

    def crossed_bytes(self) -> dict[Crossing, int]:
        """Bytes of the messages that have arrived over each way of each medium since the start of the run."""
        return {crossing: crossed.bytes for crossing, crossed in self._crossed.items()}

    def delivered(self, account: Account, size: int) -> None:
        """A message of `size` bytes arrived whole."""
        self.delivered_bytes += size
        account.sender.bytes += size
        account.receiver.received_bytes += size
        for crossed in account.media:
            crossed.bytes += size
        self._moved.add(account.source)
        self._moved.add(account.to)

    def put_down(self, book: Book, size: int) -> None:
        """Note bytes that were `lost` or `cancelled`, or that the network sent `again` itself."""
        if book == "lost":
            self.lost_bytes += size
        elif book == "cancelled":
            self.cancelled_bytes += size
        else:  # sent `again`: nobody else counts it, since no node has sent anything
            self.sent_bytes += size

    def take_back(self, book: Book, size: int) -> None:
        """Undo `put_down`: it fell after the end of the run."""
        self.put_down(book, -size)

    def radio_s(self, client: int, at: float) -> float:
        """Seconds that a client's radio has been on, from the start of the run to `at`."""
        return self._radios[client].ever(at)

    def undo(self, account: Account, size: int) -> None:
        """Count a delivery as in flight again: it fell after the end of the run."""
        self.delivered(account, -size)

    def switch_off(self, client: int, at: float) -> None:
        """A client's radio is off for good from `at` on, a moment in no period that is closed."""
        self._radios[client].switch_off(at)

    def carrying(self, account: Account, begin: float, end: float) -> None:
        """A transfer whose whole span is known from the start (independent links)."""
        for radio in account.radios:
            self._live[radio.node] = radio
            radio.add(begin, end, self._safe)

    def cut(self, account: Account, end: float, at: float) -> None:
        """A transfer that `carrying` announced up to `end` was stopped at `at`: the rest is not radio time."""
        for radio in account.radios:
            radio.cut(end, at)

    def opened(self, account: Account, at: float) -> None:
        """A transfer of unknown length began (shared links)."""
        for radio in account.radios:
            self._live[radio.node] = radio
            if not radio.users:
                radio.since = at
            radio.users += 1

    def closed(self, account: Account, at: float) -> None:
        """A transfer announced by `opened` ended."""
        for radio in account.radios:
            radio.users -= 1
            if not radio.users:
                radio.add(radio.since, at, self._safe)

    def sample_before(self, at: float) -> None:
        """Close every sampling period that ends before `at`; later deliveries belong to later periods."""
        while self.next_sample < at:
            if self._moved or self._live:
                self._close(self._number, self.next_sample)
                self._number += 1
            else:  # nothing happens on any link: however many periods that are, they cost nothing
                self._number = periods.ending_from(at, self._period)
            self.next_sample = self._number * self._period  # a product, not a sum: instants do not drift

    def window(self, horizon: float) -> None:
        """A window up to `horizon` is done. The run may still turn out to have ended inside it, but not before it."""
        self._safe, self._horizon = self._horizon, horizon
        self._rerouted = [each for each in self._rerouted if each[0] >= self._safe]
        if self.next_sample < horizon:  # at the instant itself something may still arrive that belongs to the period
            self.sample_before(horizon)

    @property
    def open_number(self) -> int:
        """The period that is not closed yet, from 1."""
        return self._number

    def take(self) -> dict[int, dict[int, Sample]]:
        """Who did what in the periods that were closed since the last call, by number (1 is the first) and node."""
        taken, self._samples = self._samples, {}
        return taken

    def last(self, until: float) -> dict[int, Sample]:
        """Close the period that the end of the run cut short and return it."""
        self._close(_LAST, until)
        return self._samples.pop(_LAST)

    def _count(self, node: int) -> _Count:
        return self._counts.setdefault(node, _Count())

    def _close(self, number: int, at: float) -> None:
        period: dict[int, Sample] = {}
        for node in self._moved:
            sample = self._counts[node].take()
            if sample.sent_bytes or sample.received_bytes:
                period[node] = sample
        self._moved.clear()
        for node, radio in list(self._live.items()):
            on = radio.until(at)
            if on:
                period[node] = period.get(node, _NOTHING)._replace(radio_s=on)
            if not radio.users and not radio.spans:
                del self._live[node]
        if period or number == _LAST:
            self._samples[number] = period


class _Sent:
    """Bytes that left a node at one price and were delivered."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class _Crossed:
    """Bytes of messages that have arrived over one way through a medium."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class _Count:
    """What one node has sent, by price, and received since the last sample; whole bytes, so that it can be undone."""

    __slots__ = ("received_bytes", "sent")

    def __init__(self) -> None:
        self.received_bytes = 0
        self.sent: dict[float, _Sent] = {}

    def take(self) -> Sample:
        """The counts, which begin again at 0."""
        # Bytes times price, and not money added up: taking bytes back then leaves no rounding behind. Sorted, since a
        # sum of floating-point numbers depends on its order.
        money = left_sum(price * self.sent[price].bytes for price in sorted(self.sent))
        sample = Sample(sum(sent.bytes for sent in self.sent.values()), self.received_bytes, 0.0, money)
        self.received_bytes = 0
        for sent in self.sent.values():
            sent.bytes = 0
        return sample


class Account(NamedTuple):
    """The books of a directed pair."""

    source: int
    to: int
    sender: _Sent
    receiver: _Count
    radios: tuple[_Radio, ...]
    media: list[_Crossed]
    """Those that it goes over now: who moves may go over others later."""


class _Radio:
    """Seconds with at least one transfer under way: the union of spans, as they become known."""

    __slots__ = ("_before", "_limit", "_off", "_total", "node", "since", "spans", "users")

    def __init__(self, node: int) -> None:
        self.node = node
        self.spans: list[tuple[float, float]] = []
        self.users, self.since, self._total = 0, 0.0, 0.0
        self._before = 0.0
        self._limit = _SPANS  # grows with what cannot be settled yet, so that settling stays cheap
        self._off = inf

    def add(self, begin: float, end: float, safe: float) -> None:
        """Note a span; what lies before `safe` can no longer be cut short and is added up when there is much of it."""
        if begin >= self._off:
            return
        self.spans.append((begin, min(end, self._off)))
        if len(self.spans) > self._limit:
            self._settle(safe)
            self._limit = _SPANS + 2 * len(self.spans)

    def cut(self, end: float, at: float) -> None:
        """End one span that was to last until `end` at `at` already; others that end with it go on."""
        for position, (begin, last) in enumerate(self.spans):
            # Which of several with one end is cut makes no difference to their union, if it has begun.
            if last == end and begin <= at:
                self.spans[position] = begin, at
                return

    def switch_off(self, at: float) -> None:
        """End every span at `at`, and begin no other after it."""
        self._off = at
        self.spans = [(begin, min(end, at)) for begin, end in self.spans if begin < at]

    def until(self, at: float) -> float:
        """Seconds on since the last call, up to `at`; what is under way goes on counting from there."""
        self._settle(at)
        total, self._total = self._total, 0.0
        # A transfer without a known end has no span yet: what there was of it counts now, and the rest from here on.
        if self.users and self.since < at:
            total += max(0.0, min(at, self._off) - self.since)
            self.since = at
        self._before += total
        return total

    def ever(self, at: float) -> float:
        """Seconds on since the start of the run, up to `at`; nothing is changed by asking."""
        total, reach = self._before + self._total, -inf
        for begin, end in sorted(self.spans):
            if begin < at and end > reach:
                total += min(end, at) - max(begin, reach)
                reach = min(end, at)
        return total + max(0.0, at - self.since) if self.users else total

    def _settle(self, at: float) -> None:
        if not self.spans:
            return
        # In order of their beginnings, each span adds what lies beyond the furthest end so far: the union.
        later: list[tuple[float, float]] = []
        reach = -inf
        for begin, end in sorted(self.spans):
            if end > at:
                later.append((max(begin, at), end))
            if begin < at and end > reach:
                self._total += min(end, at) - max(begin, reach)
                reach = min(end, at)
        self.spans = later
