"""One query's work on one node: its stages, in order, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerlift.emulator.protocol.messages import QueryStep
from layerlift.emulator.protocol.routes import Itinerary

if TYPE_CHECKING:
    from layerlift.emulator.nodes.runner import Runner


class Visit:
    """A stage starts when the node is free for this query and all its tensors have arrived, and emits at its end.

    The node waits for the query's next stage even if a later one is ready (semantics: "A query").
    """

    __slots__ = (
        "begun_s", "itinerary", "job", "missing", "node", "place", "position", "query", "ready_s", "stages", "stopped",
        "user", "wakes", "works",
    )  # fmt: skip

    def __init__(self, node: Runner, itinerary: Itinerary, place: int, user: int, query: int) -> None:
        self.node, self.itinerary, self.place, self.user, self.query = node, itinerary, place, user, query
        self.stages = itinerary.stages[place]
        self.wakes = itinerary.wakes[place]
        self.works = node.works(itinerary, place)
        self.missing = itinerary.missing[place].copy()
        self.ready_s = [node.kernel.now] * len(self.stages)
        self.position = 0
        self.begun_s = 0.0
        self.job = 0
        self.stopped = False

    def arrive(self, tensor: int) -> None:
        """A tensor of the query has reached the node."""
        for position in self.wakes.get(tensor, ()):
            self.missing[position] -= 1
            if not self.missing[position]:
                self.ready_s[position] = self.node.kernel.now
        self.go()

    def go(self) -> None:
        """Start the next stage if it can start."""
        position = self.position
        if not self.job and not self.stopped and position < len(self.stages) and not self.missing[position]:
            self.begun_s = self.node.kernel.now
            if self.works is None:
                self.node.host.measure(self)
            else:
                self.job = self.node.cpu.serve(self.works[position], self._end, self.works[position], self.user)

    def start(self, work_s: float) -> None:
        """Go on with a stage whose cost has just been measured."""
        if not self.stopped:
            self.job = self.node.cpu.serve(work_s, self._end, work_s, self.user)

    def stop(self) -> None:
        """Give up: what runs is taken from the CPU, nothing else starts."""
        self.stopped = True
        if self.job:
            self.node.cpu.cancel(self.job)
            self.job = 0

    def _end(self, work_s: float) -> None:
        node, stage = self.node, self.stages[self.position]
        host, header = node.host, node.host.world.header_bytes
        now = node.kernel.now
        self.job = 0
        ready_s = self.ready_s[self.position]
        self.position += 1
        host.rows["segments"].append(
            (now, node.name, host.user_names[self.user], self.query, stage.step, stage.first, stage.last, ready_s,
             self.begun_s, now, work_s)
        )  # fmt: skip
        if host.executes:
            host.piece(node.index, self, stage)
        for to, tensor, size, ordered in stage.parcels:
            message = QueryStep(self.user, self.query, self.itinerary.key, tensor)
            node.send(host.address(self.user, to), size + header, message, self.query + 1 if ordered else 0)
        node.stage_ended(self, stage)
        if self.position < len(self.stages):
            self.go()
