"""Planning on this machine, without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from layerlift.emulator.planning.answer import Answered
from layerlift.emulator.planning.asking import Asker, PlanLog, known
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.planning.workers import Workers
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.world.world import World


class LocalPlans:
    """Planning in this process, each distinct problem once; see `layerlift.emulator.runtime.ports.Plans`.

    `stopped` are the plannings that were stopped in the run that is replayed: nothing is on the watch then. With more
    than one of `workers`, planners that take long are asked in so many processes.
    """

    def __init__(
        self,
        world: World,
        memory: PlanMemory | None = None,
        log: PlanLog | None = None,
        stopped: Mapping[str, str] | None = None,
        workers: int = 1,
    ) -> None:
        self._world = world
        self._memory = memory or PlanMemory()
        self._stopped = stopped or {}
        timeout_s = world.planning.plan_timeout_s if stopped is None else inf
        self._asker = Asker(world.seed, timeout_s, self._memory.planner)
        self._workers = Workers(workers, world.seed, timeout_s)
        self.log = log or PlanLog()

    def submit(self, job: PlanJob) -> None:
        """See `Plans`."""
        if (self._world.seed, *job.key) not in self._memory.answers and known(job, self._stopped) is None:
            self._workers.submit(job)

    def result(self, job: PlanJob) -> PlanOutcome:
        """See `Plans`."""
        answers, key = self._memory.answers, (self._world.seed, *job.key)
        fresh = key not in answers
        if fresh:
            answers[key] = known(job, self._stopped) or self._workers.result(job) or self._asked(job)
        self.log.note(job, answers[key], fresh, self._asker.here)
        return answers[key].outcomes[job.place]

    def _asked(self, job: PlanJob) -> Answered:
        found = self._asker.ask(job)
        self._workers.note(job, found.took_s)
        return found

    def close(self) -> None:
        """End what was started."""
        self._workers.close()
        self._asker.close()
