"""Planning in this process."""

from __future__ import annotations

from layerlift.emulator.planning.answer import answer
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.world.world import World


class LocalPlans:
    """Planning in this process, each distinct problem once; see `layerlift.emulator.runtime.conductor.Plans`."""

    def __init__(self, world: World, memory: PlanMemory | None = None) -> None:
        self._world = world
        self._memory = memory or PlanMemory()
        self.took_s: list[tuple[str, int, float]] = []

    def submit(self, job: PlanJob) -> None:
        """See `Plans`."""

    def result(self, job: PlanJob) -> PlanOutcome:
        """See `Plans`."""
        memory, seed, key = self._memory, self._world.seed, (self._world.seed, *job.key)
        if key not in memory.outcomes:
            timeout_s = self._world.planning.plan_timeout_s
            memory.outcomes[key], took_s = answer(job, seed, timeout_s, memory.planner)
            self.took_s.append((job.planner, job.request, took_s))
        return memory.outcomes[key][job.place]
