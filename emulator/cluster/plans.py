"""Planning in the actor of the planner's node, each distinct problem once."""

from __future__ import annotations

from typing import Any, Protocol

from layerlift.emulator.planning.answer import answer
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.world.world import World

Ref = Any


class Planning(Protocol):
    """Who begins a planning elsewhere and waits for it: `layerlift.emulator.cluster.hosts.RayHosts`."""

    def plan(self, node: int, job: PlanJob, seed: int, timeout_s: float) -> Ref:
        """Begin a planning in the actor of a node."""
        ...

    def planned(self, ref: Ref) -> tuple[tuple[PlanOutcome, ...], float] | None:
        """Wait for a planning; None when it died with its actor."""
        ...


class RayPlans:
    """Plans in the planner's actor, each distinct problem once; see `layerlift.emulator.runtime.conductor.Plans`."""

    def __init__(self, world: World, hosts: Planning) -> None:
        self._world, self._hosts = world, hosts
        self._refs: dict[tuple[str, str], Ref] = {}
        self._known: dict[tuple[str, str], tuple[PlanOutcome, ...]] = {}
        self.took_s: list[tuple[str, int, float]] = []

    def submit(self, job: PlanJob) -> None:
        """See `Plans`."""
        if job.key not in self._refs and job.key not in self._known:
            world = self._world
            self._refs[job.key] = self._hosts.plan(world.planner, job, world.seed, world.planning.plan_timeout_s)

    def result(self, job: PlanJob) -> PlanOutcome:
        """See `Plans`. What died with its actor is planned here."""
        if job.key not in self._known:
            found = self._hosts.planned(self._refs.pop(job.key))
            if found is None:
                found = answer(job, self._world.seed, self._world.planning.plan_timeout_s)
            self._known[job.key], took_s = found
            self.took_s.append((job.planner, job.request, took_s))
        return self._known[job.key][job.place]
