"""A server that batches: pieces of queries that are alike run together (`discipline: batch`)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from layerlift.emulator.kernel.batch_cpu import Batch, BatchCpu
from layerlift.emulator.nodes.ports import HostPort
from layerlift.emulator.nodes.server.server import Server
from layerlift.emulator.nodes.visit import Visit
from layerlift.emulator.results.rows import BatchRow
from layerlift.emulator.world.machines import NodeSpec
from layerlift.models.graph.route import QueryMode
from layerlift.models.sums import left_sum


class Kind(NamedTuple):
    """What pieces have in common that may run together."""

    model: int
    first: int
    last: int
    query: QueryMode


class BatchVisit(Visit):
    """A query's stages where each may wait for company."""

    __slots__ = ("share_s",)

    share_s: float
    """Its part of the core-seconds of the batch that ends now."""

    @property
    def kind(self) -> Kind:
        """See `layerlift.emulator.kernel.batch_cpu.Joins`."""
        stage = self.stages[self.position]
        return Kind(self.itinerary.model, stage.first, stage.last, self.node.host.world.users[self.user].query)

    @property
    def waits_since_s(self) -> float:
        """From when all tensors were there: a stage that was ready while an earlier one ran has waited by then."""
        return self.ready_s[self.position]

    def go(self) -> None:
        """See `Visit.go`."""
        position = self.position
        if not self.job and not self.stopped and position < len(self.stages) and not self.missing[position]:
            assert self.works is not None, "a world whose costs are measured has no server that batches"
            self.begun_s = self.node.kernel.now
            self.job = self.node.cpu.serve(self.works[position], BatchVisit.served, self, self.user)

    def served(self) -> None:
        """Its batch is done."""
        self._end(self.share_s)

    def _ran(self) -> None:
        """The server has told of the whole batch."""


class BatchServer(Server):
    """See `Server`; its CPU runs batches."""

    __slots__ = ("_costs",)

    visit_class: ClassVar[type[Visit]] = BatchVisit

    def __init__(self, host: HostPort, spec: NodeSpec) -> None:
        self._costs: dict[tuple[Kind, int], float] = {}
        super().__init__(host, spec)

    def make_cpu(self) -> BatchCpu:
        """See `Machine.make_cpu`."""
        spec = self.spec
        return BatchCpu(self, spec.cores, spec.max_batch, spec.batch_wait_s, self._cost, self._batch_ended)

    def _cost(self, kind: Kind, size: int) -> float:
        """Seconds of a batch on one core."""
        known = self._costs.get((kind, size))
        if known is None:
            seconds = self.host.world.batch_seconds(kind.model, self.index, size)
            known = self._costs[kind, size] = left_sum(seconds[kind.first : kind.last + 1])
        return known

    def _batch_ended(self, batch: Batch) -> None:
        """Report a batch, and tell who runs real layers of all its pieces at once."""
        visits: list[BatchVisit] = [member.argument for member in batch.members.values()]
        for visit in visits:
            visit.share_s = batch.work_s / batch.size
        if self.host.executes:
            self.host.ran_together(tuple(visit.piece() for visit in visits))
        kind = batch.kind
        assert isinstance(kind, Kind)
        self.row(
            BatchRow(
                at_s=self.kernel.now,
                node=self.name,
                model=self.host.world.models[kind.model].name,
                first_layer=kind.first,
                last_layer=kind.last,
                size=batch.size,
                given_up=batch.size - len(visits),
                came_s=batch.came_s,
                company_s=batch.company_s,
                begun_s=batch.begun_s,
                work_s=batch.work_s,
            )
        )
