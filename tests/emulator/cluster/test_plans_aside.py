"""Where plans are made over Ray: in the planner's actor, or in tasks once they take long. No Ray is started here."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from run_world import phones

from layerlift.emulator.cluster.plans import Planned, RayPlans, planned_aside
from layerlift.emulator.planning import workers
from layerlift.emulator.planning.answer import answer
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.problems import problem_of


class Places:
    """Stands for the cluster: plans at once, and notes where."""

    def __init__(self, took_s: float) -> None:
        self.took_s = took_s
        self.where: list[str] = []

    def plan(self, node: int, job: PlanJob, seed: int, timeout_s: float) -> Any:
        self.where.append("actor")
        return job, seed

    def plan_aside(self, job: PlanJob, seed: int, timeout_s: float) -> Any:
        self.where.append("task")
        return job, seed

    def planned(self, ref: Any) -> Planned | None:
        job, seed = ref
        return answer(job, seed)._replace(took_s=self.took_s), {}


@pytest.mark.parametrize(
    ("took_s", "aside", "where"),
    [(1.0, True, ["actor", "task"]), (1.0, False, ["actor", "actor"]), (workers.LONG_S / 2, True, ["actor", "actor"])],
)
def test_what_takes_long_is_planned_in_tasks(took_s: float, aside: bool, where: list[str]) -> None:
    world, places = phones().resolve(), Places(took_s)
    plans = RayPlans(world, places, aside=aside)
    for user in (0, 1):
        job = PlanJob(0.0, user, "direct", problem_of(world, user))
        plans.submit(job)
        assert plans.result(job) == answer(job, world.seed).outcomes[0]
    assert places.where == where
    plans.close()


def test_a_task_answers_as_the_actor_does() -> None:
    world = phones().resolve()
    job = PlanJob(0.0, 0, "direct", problem_of(world, 0))
    found, here = planned_aside((), job, 3, inf)
    assert found.outcomes == answer(job, 3).outcomes
    assert here == {}
