"""Planning in the actor of the planner's node, each distinct problem once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Protocol

from layerlift.emulator.cluster.import_path import follow
from layerlift.emulator.planning.answer import Answered
from layerlift.emulator.planning.asking import Asker, PlanLog, known
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.workers import Pace
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.world.world import World

Ref = Any
Planned = tuple[Answered, dict[str, str]]
"""What came of a planning, and who is asked there in the actor's own process (`Asker.here`)."""


class Planning(Protocol):
    """Who begins a planning elsewhere and waits for it: `layerlift.emulator.cluster.hosts.RayHosts`."""

    def plan(self, node: int, job: PlanJob, seed: int, timeout_s: float) -> Ref:
        """Begin a planning in the actor of a node."""
        ...

    def plan_aside(self, job: PlanJob, seed: int, timeout_s: float) -> Ref:
        """Begin a planning in a task of its own, wherever a CPU is idle."""
        ...

    def planned(self, ref: Ref) -> Planned | None:
        """Wait for a planning; None when it died with its actor."""
        ...


class RayPlans:
    """Plans in the planner's actor, each distinct problem once; see `layerlift.emulator.runtime.ports.Plans`.

    `stopped` are the plannings that were stopped in the run that is replayed: nothing is on the watch then. With
    `aside`, planners that are known to take long plan in tasks, beside each other.
    """

    def __init__(
        self,
        world: World,
        hosts: Planning,
        log: PlanLog | None = None,
        stopped: Mapping[str, str] | None = None,
        aside: bool = False,
    ) -> None:
        self._world, self._hosts, self._stopped = world, hosts, stopped or {}
        self._timeout_s = world.planning.plan_timeout_s if stopped is None else inf
        self._here = Asker(world.seed, self._timeout_s)
        self._refs: dict[tuple[str, str], Ref] = {}
        self._aside, self._pace = aside, Pace()
        self._known: dict[tuple[str, str], Answered] = {}
        self.log = log or PlanLog()

    def submit(self, job: PlanJob) -> None:
        """See `Plans`."""
        if job.key in self._refs or job.key in self._known:
            return
        then = known(job, self._stopped)
        if then is not None:
            self._known[job.key] = then
            self.log.note(job, then, True, {})
        else:
            world = self._world
            if self._aside and self._pace.takes_long(job.planner):
                self._refs[job.key] = self._hosts.plan_aside(job, world.seed, self._timeout_s)
            else:
                self._refs[job.key] = self._hosts.plan(world.planner, job, world.seed, self._timeout_s)

    def result(self, job: PlanJob) -> PlanOutcome:
        """See `Plans`. What died with its actor is planned here."""
        if job.key not in self._known:
            found = self._hosts.planned(self._refs.pop(job.key))
            answered, here = found if found is not None else (self._here.ask(job), self._here.here)
            self._known[job.key] = answered
            self._pace.note(job, answered.took_s)
            self.log.note(job, answered, True, here)
        return self._known[job.key].outcomes[job.place]

    def close(self) -> None:
        """End what was started here."""
        self._here.close()


def planned_aside(path: Sequence[str], job: PlanJob, seed: int, timeout_s: float) -> Planned:
    """In a task: what comes of a planning, and who is asked in the task's own process."""
    follow(path)
    asker = Asker(seed, timeout_s)
    try:
        return asker.ask(job), asker.here
    finally:
        asker.close()
