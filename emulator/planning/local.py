"""Planning on this machine, without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from layerlift.emulator.planning.asking import Asker, PlanLog, known
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.world.world import World


class LocalPlans:
    """Planning in this process, each distinct problem once; see `layerlift.emulator.runtime.ports.Plans`.

    `stopped` are the plannings that were stopped in the run that is replayed: nothing is on the watch then.
    """

    def __init__(
        self,
        world: World,
        memory: PlanMemory | None = None,
        log: PlanLog | None = None,
        stopped: Mapping[str, str] | None = None,
    ) -> None:
        self._world = world
        self._memory = memory or PlanMemory()
        self._stopped = stopped or {}
        timeout_s = world.planning.plan_timeout_s if stopped is None else inf
        self._asker = Asker(world.seed, timeout_s, self._memory.planner)
        self.log = log or PlanLog()

    def submit(self, job: PlanJob) -> None:
        """See `Plans`."""

    def result(self, job: PlanJob) -> PlanOutcome:
        """See `Plans`."""
        answers, key = self._memory.answers, (self._world.seed, *job.key)
        fresh = key not in answers
        if fresh:
            answers[key] = known(job, self._stopped) or self._asker.ask(job)
        self.log.note(job, answers[key], fresh, self._asker.here)
        return answers[key].outcomes[job.place]

    def close(self) -> None:
        """End what was started."""
        self._asker.close()
