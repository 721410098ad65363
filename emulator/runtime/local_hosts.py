"""Hosts in this process."""

from __future__ import annotations

from collections.abc import Sequence

from layerlift.emulator.runtime.host import Answer, Host
from layerlift.emulator.runtime.ports import Call
from layerlift.emulator.world.world import World


class LocalHosts:
    """Hosts in this process."""

    def __init__(self, world: World, groups: Sequence[Sequence[int]], execution: bool = False) -> None:
        self._hosts = [Host(world, group, execution) for group in groups]
        self.home = homes(world, groups)

    def __len__(self) -> int:
        return len(self._hosts)

    def advance(self, calls: Sequence[Call]) -> list[Answer]:
        """See `Hosts`."""
        return [self._hosts[host].advance(horizon, deliveries, costs) for host, horizon, deliveries, costs in calls]

    def finish(self, at: float) -> list[Answer]:
        """See `Hosts`."""
        return [host.finish(at) for host in self._hosts]


def homes(world: World, groups: Sequence[Sequence[int]]) -> list[int]:
    """Host number of each node, given the members of each host."""
    home = [0] * len(world.nodes)
    for number, group in enumerate(groups):
        for index in group:
            home[index] = number
    return home
