"""Concurrent transfers over shared links: weighted max-min fair rates by progressive filling.

A *pair* is a directed pair of nodes with a bandwidth of its own; a *port* is one node's uplink or downlink, or one way
through a medium, shared by all pairs that use it. The model is SimGrid's fluid one: the tightest constraint is
saturated, its flows are fixed, and so on. Only a port whose pairs could ask for more than it has couples them; all
others are left out of the solution.
"""

from __future__ import annotations

from math import inf

from layerlift.models.sums import left_sum


class Port:
    """One node's uplink or downlink, or one way through a medium: `capacity` in bytes per second, finite."""

    __slots__ = ("capacity", "demand", "pairs", "tight")

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.demand = 0.0
        """What its active pairs would carry without it, each counted up to twice the capacity: so it is finite."""
        self.pairs: dict[Pair, float] = {}
        """Active pairs and their part of the demand, in order of activation: a set would iterate in memory order."""
        self.tight = False
        """Whether it could bind when rates were last settled."""

    def resize(self, capacity: float) -> None:
        """Change the capacity; rates are stale until one of its pairs is settled."""
        self.capacity = capacity
        for pair in self.pairs:
            self.pairs[pair] = min(pair.bandwidth, 2.0 * capacity)
        self.demand = left_sum(self.pairs.values())


class Flow:
    """One transfer under way. `remaining` bytes are as of `since`; it moves at `rate` bytes per second."""

    __slots__ = ("end_s", "pair", "part", "rate", "remaining", "since", "tag", "timer_s", "weight")

    def __init__(self, pair: Pair, size: int, weight: float, now: float, tag: object) -> None:
        self.pair, self.weight, self.tag = pair, weight, tag
        self.part = 1.0
        """What is left of its pair's weight for it, by what it is: `reweigh` keeps that."""
        self.remaining, self.since, self.rate = float(size), now, 0.0
        self.end_s = inf
        """When it ends at this rate."""
        self.timer_s = inf
        """When its timer goes off; for whoever keeps timers."""


class Pair:
    """A directed pair of nodes: its `bandwidth` (bytes per second) is shared by its flows by weight."""

    __slots__ = ("bandwidth", "flows", "ports", "weight")

    def __init__(self, bandwidth: float, ports: tuple[Port, ...]) -> None:
        self.bandwidth, self.ports = bandwidth, ports
        self.flows: list[Flow] = []
        self.weight = 0.0

    def alone(self) -> bool:
        """Whether no other pair's flows can matter to this one's now."""
        for port in self.ports:  # noqa: SIM110 - a generator would cost more than the loop, in the hottest place
            if port.tight or port.demand > port.capacity:
                return False
        return True

    def add(self, flow: Flow) -> None:
        """Let `flow` take part; rates are stale until `settle`."""
        if not self.flows:
            # A pair asks for its bandwidth however many flows share it. Twice the capacity is enough to bind a port,
            # and unlike the bandwidth it is never infinite: adding and taking away must give back what was there.
            for port in self.ports:
                port.pairs[self] = wanted = min(self.bandwidth, 2.0 * port.capacity)
                port.demand += wanted
        self.flows.append(flow)
        self.weight += flow.weight

    def remove(self, flow: Flow) -> None:
        """Take `flow` out; rates are stale until `settle`."""
        flows = self.flows
        if flows[0] is flow:  # mostly the one that came first ends first, and identity is cheaper than a search
            del flows[0]
        else:
            flows.remove(flow)
        if flows:
            self.weight -= flow.weight
            return
        # Set, not subtracted: with nobody left, no rounding may be left either.
        self.weight = 0.0
        for port in self.ports:
            wanted = port.pairs.pop(self)
            port.demand = port.demand - wanted if port.pairs else 0.0

    def reroute(self, ports: tuple[Port, ...]) -> None:
        """Let it use these ports from now on; rates are stale until it, and a pair of each port it left, is settled."""
        before, self.ports = self.ports, ports
        if not self.flows:  # a pair at rest asks nothing of its ports
            return
        for port in before:
            wanted = port.pairs.pop(self)
            port.demand = port.demand - wanted if port.pairs else 0.0
        for port in ports:
            port.pairs[self] = wanted = min(self.bandwidth, 2.0 * port.capacity)
            port.demand += wanted

    def resize(self, bandwidth: float) -> None:
        """Change the bandwidth; rates are stale until `settle`."""
        if self.flows:  # a pair at rest asks nothing of its ports
            for port in self.ports:
                wanted = min(bandwidth, 2.0 * port.capacity)
                port.demand += wanted - port.pairs[self]
                port.pairs[self] = wanted
        self.bandwidth = bandwidth

    def reweigh(self, weight: float) -> None:
        """Give all its flows this weight, times the part of each; rates are stale until `settle`."""
        for flow in self.flows:
            flow.weight = weight * flow.part
        self.weight = weight * left_sum(flow.part for flow in self.flows)


def set_aside(flow: Flow, now: float) -> Pair:
    """Take a flow all of whose bytes have crossed out of its pair, which is returned; it moves no longer."""
    pair = flow.pair
    pair.remove(flow)
    flow.pair = Pair(pair.bandwidth, ())
    flow.pair.add(flow)
    flow.remaining, flow.rate, flow.since = 0.0, 0.0, now
    return pair


def settle(changed: Pair, now: float) -> list[Flow]:
    """Make all rates fair again after a flow joined or left `changed`; return the flows whose rate changed.

    Only pairs that share a tight port with it, directly or through others, are looked at.
    """
    if not changed.alone():
        return _fill(*_component(changed), now)
    moved: list[Flow] = []
    if changed.flows:  # nobody else can notice: its own bandwidth is all that binds
        _set_level(changed, changed.bandwidth / changed.weight, now, moved)
    return moved


def _component(changed: Pair) -> tuple[list[Pair], list[Port]]:
    """Pairs and tight ports whose rates can depend on `changed`."""
    pairs: dict[Pair, None] = {changed: None} if changed.flows else {}
    ports: dict[Port, None] = {}
    reached = [changed]
    while reached:
        for port in reached.pop().ports:
            # A port that was tight and is no longer still holds its pairs down until they are settled.
            if port in ports or not (port.tight or port.demand > port.capacity):
                continue
            ports[port] = None
            for pair in port.pairs:
                if pair not in pairs:
                    pairs[pair] = None
                    reached.append(pair)
    binding = []
    for port in ports:
        port.tight = port.demand > port.capacity  # from here on, as seen by the next change
        if port.tight:
            binding.append(port)
    return list(pairs), binding


def _fill(pairs: list[Pair], ports: list[Port], now: float) -> list[Flow]:
    """Progressive filling: fix the tightest constraint's pairs at its level, take what they use away, repeat."""
    moved: list[Flow] = []
    left = {port: port.capacity for port in ports}
    weight = {port: left_sum(pair.weight for pair in port.pairs) for port in ports}
    # Whoever is bound by its own bandwidth first is last, where taking it away is cheap; that order never changes.
    waiting = sorted(pairs, key=_own_level, reverse=True)
    fixed: set[Pair] = set()

    def fix(pair: Pair, level: float) -> None:
        fixed.add(pair)
        for port in pair.ports:
            if port in left:
                left[port] = max(0.0, left[port] - level * pair.weight)  # rounding must not make it negative
                weight[port] -= pair.weight
        _set_level(pair, level, now, moved)

    while waiting:
        pair = waiting[-1]
        if pair in fixed:  # by a port that was tighter
            waiting.pop()
            continue
        tightest, level = None, _own_level(pair)
        for port, spare in left.items():
            if weight[port] > 0.0 and spare / weight[port] < level:
                tightest, level = port, spare / weight[port]
        if tightest is None:  # its own bandwidth binds before any port does; so it does at a tie
            waiting.pop()
            fix(pair, level)
            continue
        for other in tightest.pairs:
            if other not in fixed:
                fix(other, level)
        del left[tightest]
    return moved


def _own_level(pair: Pair) -> float:
    return pair.bandwidth / pair.weight


def _set_level(pair: Pair, level: float, now: float, moved: list[Flow]) -> None:
    for flow in pair.flows:
        rate = level * flow.weight
        if rate != flow.rate:  # otherwise it ends when it would have, and its timer stands
            flow.remaining -= flow.rate * (now - flow.since)
            if flow.remaining < 0.0:
                flow.remaining = 0.0
            flow.since, flow.rate = now, rate
            flow.end_s = now + flow.remaining / rate if rate > 0.0 else inf
            moved.append(flow)
