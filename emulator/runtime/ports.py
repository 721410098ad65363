"""The faces of the lockstep: where hosts live, where plans are made, who runs pieces, and how a run is told."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from layerlift.emulator.nodes.events import Answered, Dropped, Piece, Stored, Together
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.protocol.messages import Delivery, PlanOutcome
from layerlift.emulator.runtime.host import Answer

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

    def execute_together(self, together: Together) -> None:
        """Run pieces in one batch (later, in order)."""
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


def pass_on(answer: Answer, data: DataPlane) -> None:
    """Tell the data plane what has happened, in the order in which it did."""
    for event in answer.events:
        if isinstance(event, Piece):
            data.execute(event)
        elif isinstance(event, Together):
            data.execute_together(event)
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
