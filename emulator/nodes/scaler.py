"""Who decides how many servers of a group are on: the planner's place, by what they tell it of their use."""

from __future__ import annotations

from collections import deque
from math import ceil

from layerlift.emulator.nodes.ports import Living
from layerlift.emulator.protocol.messages import PowerState, Switch, Use
from layerlift.emulator.world.scaling import Scaling
from layerlift.models.sums import left_sum

_SILENT_CHECKS = 2.5
"""A server that was to tell its use, and has not for so many checks, is thought to be down."""


class Scaler:
    """Belongs to the planner, and to one group (semantics: "Servers that come and go")."""

    __slots__ = ("_heard", "_lately", "_node", "_scaling", "_states")

    def __init__(self, node: Living, scaling: Scaling) -> None:
        self._node, self._scaling = node, scaling
        self._states: dict[int, PowerState] = {
            server: "on" if place < scaling.least else "off" for place, server in enumerate(scaling.servers)
        }
        """As far as it knows, in the order in which they are switched on."""
        self._heard: dict[int, tuple[float, Use]] = {}
        """The last word of each server, and when it came."""
        self._lately: deque[tuple[float, int]] = deque()
        """When it looked in the last `calm_s`, and how many would have been enough."""
        node.call_at(scaling.check_s * 1.5, self._check, 1)

    @property
    def closed(self) -> frozenset[int]:
        """Servers that are offered to no planner now."""
        return frozenset(server for server, state in self._states.items() if state != "on")

    def hear(self, message: Use) -> None:
        """A server tells how it is. What was sent before an order came is older than the order."""
        if message.server not in self._states:
            return
        self._heard[message.server] = self._node.kernel.now, message
        before = self._states[message.server]
        if (before, message.state) not in (("closing", "on"), ("starting", "off")):
            self._states[message.server] = message.state

    def _check(self, number: int) -> None:
        # Half a period after the servers have spoken, so that what all say is of the same time and has arrived.
        self._node.call_at(self._scaling.check_s * (number + 1.5), self._check, number + 1)
        serving = self._serving()
        told = [use for use in serving if use.span_s > 0.0]
        if not told:
            return
        nodes = self._node.host.world.nodes
        capacity_s = left_sum(nodes[each.server].cores * each.span_s for each in told)
        use = left_sum(each.busy_s for each in told) / capacity_s
        wanted = ceil(len(told) * use / self._scaling.target_use - 1e-9)
        self._follow(min(max(wanted, self._scaling.least), self._scaling.most), len(serving), use)

    def _serving(self) -> list[Use]:
        """The last words of the servers that are on, of those that still speak."""
        since_s = self._node.kernel.now - _SILENT_CHECKS * self._scaling.check_s
        heard = [self._heard[server] for server in self._in("on") if server in self._heard]
        return [use for at_s, use in heard if at_s > since_s]

    def _follow(self, wanted: int, serving: int, use: float) -> None:
        now = self._node.kernel.now
        self._lately.append((now, wanted))
        while self._lately[0][0] < now - self._scaling.calm_s:
            self._lately.popleft()
        starting, on, off = self._in("starting"), self._in("on"), self._in("off")
        room = self._scaling.most - (len(self._states) - len(off))
        missing = min(wanted - serving - len(starting), room)
        enough = max(count for _, count in self._lately)
        if missing > 0:
            self._switch(off[:missing], True, use)
        elif not starting and len(on) > enough:
            self._switch(on[enough:], False, use)
        if self._node.host.conditions.any:  # a server that was down has not heard
            self._order(starting, True, use)
            self._order(self._in("closing"), False, use)

    def _in(self, *states: PowerState) -> list[int]:
        return [server for server, state in self._states.items() if state in states]

    def _switch(self, servers: list[int], on: bool, use: float) -> None:
        for server in servers:
            self._states[server] = "starting" if on else "closing"
        self._order(servers, on, use)

    def _order(self, servers: list[int], on: bool, use: float) -> None:
        for server in servers:
            self._node.send(server, self._node.host.world.header_bytes, Switch(on, use))
