"""A machine that runs stages of queries: clients and servers alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.nodes.machine import Machine
from emulator.nodes.visit import Visit
from emulator.routes import Itinerary, Stage
from emulator.world import NodeSpec

if TYPE_CHECKING:
    from emulator.host import Host


class Runner(Machine):
    """Knows what each stage costs it."""

    __slots__ = ("_works",)

    def __init__(self, host: Host, spec: NodeSpec) -> None:
        super().__init__(host, spec)
        self._works: dict[tuple[str, int], tuple[float, ...] | None] = {}

    def works(self, itinerary: Itinerary, place: int) -> tuple[float, ...] | None:
        """Seconds of each of this node's stages, alone; None when they are measured as they run."""
        key = itinerary.key, place
        if key not in self._works:
            seconds = self.seconds(itinerary.model)
            self._works[key] = (
                None
                if self.host.world.compute == "measured"
                else tuple(sum(seconds[stage.first : stage.last + 1]) for stage in itinerary.stages[place])
            )
        return self._works[key]

    def stage_ended(self, visit: Visit, stage: Stage) -> None:
        """Called when a stage has run and sent what it makes."""
