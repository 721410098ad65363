"""One query's work on one node: its stages, in order, one at a time."""

from __future__ import annotations

from typing import Protocol

from layerlift.emulator.kernel.disciplines import AnyCpu
from layerlift.emulator.nodes.events import Piece
from layerlift.emulator.nodes.ports import Living
from layerlift.emulator.protocol.messages import QueryStep
from layerlift.emulator.protocol.routes import Itinerary, Stage
from layerlift.emulator.results.rows import SegmentRow


class VisitedNode(Living, Protocol):
    """What a visit asks of its node."""

    @property
    def index(self) -> int:
        """Its number in the world."""
        ...

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def cpu(self) -> AnyCpu:
        """What stages are served by."""
        ...

    def works(self, itinerary: Itinerary, place: int) -> tuple[float, ...] | None:
        """Seconds of each of this node's stages, alone; None when they are measured as they run."""
        ...

    def stage_ended(self, visit: Visit, stage: Stage) -> None:
        """A stage has run and sent what it makes."""
        ...


class Visit:
    """A stage starts when the node is free for this query and all its tensors have arrived, and emits at its end.

    The node waits for the query's next stage even if a later one is ready (semantics: "A query").
    """

    __slots__ = (
        "begun_s", "itinerary", "job", "missing", "node", "place", "position", "query", "ready_s", "stages", "stopped",
        "user", "wakes", "works",
    )  # fmt: skip

    def __init__(self, node: VisitedNode, itinerary: Itinerary, place: int, user: int, query: int) -> None:
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

    def piece(self) -> Piece:
        """The stage that is next or under way, as the data plane knows it."""
        node, step = self.node, self.stages[self.position].step
        return Piece(node.kernel.now, node.index, self.user, self.query, self.itinerary.key, step)

    def _end(self, work_s: float) -> None:
        node, stage = self.node, self.stages[self.position]
        host = node.host
        self.job = 0
        self._report(stage, work_s)
        if host.executes:
            self._ran()
        self.position += 1
        header = host.world.header_bytes
        for to, tensor, size, ordered in stage.parcels:
            message = QueryStep(self.user, self.query, self.itinerary.key, tensor)
            node.send(host.address(self.user, to), size + header, message, self.query + 1 if ordered else 0)
        node.stage_ended(self, stage)
        if self.position < len(self.stages):
            self.go()

    def _ran(self) -> None:
        self.node.host.ran(self.piece())

    def _report(self, stage: Stage, work_s: float) -> None:
        node = self.node
        node.host.rows["segments"].append(
            SegmentRow(
                at_s=node.kernel.now,
                node=node.name,
                user=node.host.user_names[self.user],
                query=self.query,
                step=stage.step,
                first_layer=stage.first,
                last_layer=stage.last,
                ready_s=self.ready_s[self.position],
                begun_s=max(self.begun_s, node.cpu.turned_s),
                ended_s=node.kernel.now,
                work_s=work_s,
            )
        )
