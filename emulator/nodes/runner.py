"""A machine that runs stages of queries: clients and servers alike."""

from __future__ import annotations

from layerlift.emulator.nodes.machine import Machine
from layerlift.emulator.nodes.ports import HostPort
from layerlift.emulator.nodes.visit import Visit
from layerlift.emulator.protocol.routes import Itinerary, Stage
from layerlift.emulator.world.machines import NodeSpec
from layerlift.models.sums import left_sum


class Runner(Machine):
    """Knows what each stage costs it."""

    __slots__ = ("_works",)

    def __init__(self, host: HostPort, spec: NodeSpec) -> None:
        super().__init__(host, spec)
        self._works: dict[str, tuple[float, ...]] = {}

    def works(self, itinerary: Itinerary, place: int) -> tuple[float, ...] | None:
        """Seconds of each of this node's stages, alone; None when they are measured as they run."""
        works = self._works.get(itinerary.key)
        if works is None and self.host.world.compute == "profiled":
            seconds = self.seconds(itinerary.model)
            works = tuple(left_sum(seconds[stage.first : stage.last + 1]) for stage in itinerary.stages[place])
            self._works[itinerary.key] = works
        return works

    def stage_ended(self, visit: Visit, stage: Stage) -> None:
        """Called when a stage has run and sent what it makes."""
