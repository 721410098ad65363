"""The faces of the lockstep: where hosts live, where plans are made, who runs pieces, and how a run is told."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from layerlift.emulator.network.byte_ledger import Traffic
from layerlift.emulator.nodes.planner_node import PlanJob
from layerlift.emulator.protocol.messages import Delivery, PlanOutcome
from layerlift.emulator.runtime.host import Answer, Answered, Dropped, Host, Piece, Stored
from layerlift.emulator.world.world import World

Costs = Sequence[tuple[tuple[int, int, int], float]]
Call = tuple[int, float, Sequence[Delivery], Costs]
"""(host, horizon, deliveries, costs): one `Host.advance`."""


class Hosts(Protocol):
    """Where hosts live: in this process, or in Ray actors."""

    @property
    def home(self) -> Sequence[int]:
        """Host number of each node."""
        ...

    def __len__(self) -> int: ...

    def advance(self, calls: Sequence[Call]) -> list[Answer]:
        """Advance several hosts (host, horizon, deliveries, costs) at once; answers in the order of the calls."""
        ...

    def finish(self, at: float) -> list[Answer]:
        """End the run at `at` on every host."""
        ...


class Plans(Protocol):
    """Where planning happens."""

    def submit(self, job: PlanJob) -> None:
        """Begin a planning; jobs of one window may run side by side."""
        ...

    def result(self, job: PlanJob) -> PlanOutcome:
        """Wait for a planning that was submitted."""
        ...


class DataPlane(Protocol):
    """Who runs the pieces, if anybody."""

    def store(self, stored: Stored) -> None:
        """A server holds other parameters from now on."""
        ...

    def execute(self, piece: Piece) -> None:
        """Run a piece (later, in order)."""
        ...

    def measure(self, piece: Piece) -> float:
        """Run a piece now and return what it cost: seconds, alone, on a core of its node."""
        ...

    def answered(self, answered: Answered) -> None:
        """All outputs of a query exist: check them."""
        ...

    def forget(self, user: int, query: int) -> None:
        """A query has failed: let go of its tensors."""
        ...


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


@dataclass(slots=True)
class Progress:
    """How far a run is, for whoever shows it."""

    now_s: float = 0.0
    windows: int = 0
    calls: int = 0
    queries: int = 0
    left: int = 0


@dataclass(slots=True)
class Ending:
    """How a run ended."""

    at_s: float
    progress: Progress
    sent_bytes: int
    delivered_bytes: int
    lost_bytes: int
    cancelled_bytes: int
    in_flight_bytes: int
    costs: list[tuple[tuple[int, int, int], float]] = field(default_factory=list)
    """Measured seconds of every piece, by (user, query, step); only with `compute: measured`."""


def ending(
    at_s: float, progress: Progress, traffic: Traffic, costs: list[tuple[tuple[int, int, int], float]]
) -> Ending:
    """How a run ended, with the network's books."""
    return Ending(
        at_s, progress, traffic.sent_bytes, traffic.delivered_bytes, traffic.lost_bytes, traffic.cancelled_bytes,
        traffic.in_flight_bytes, costs,
    )  # fmt: skip


def pass_on(answer: Answer, data: DataPlane) -> None:
    """Tell the data plane what has happened, in the order in which it did."""
    for event in answer.events:
        if isinstance(event, Piece):
            data.execute(event)
        elif isinstance(event, Stored):
            data.store(event)
        elif isinstance(event, Dropped):
            data.forget(event.user, event.query)
        else:
            data.answered(event)


@contextmanager
def fewer_collections() -> Iterator[None]:
    """Let Python look for cyclic garbage less often: a run makes millions of rows and messages, and no cycles."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
