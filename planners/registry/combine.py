"""Two halves make a planner: one says where the layers go, the other in what parts and order they travel."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from layerlift.models.errors import PlanError
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import CrowdPlanner, Planner, PlannerBase, StayPlanner, Uploader, capability


class Combined(PlannerBase):
    """`offloading + uploading`: the placement of the first planner, the uploads of the second."""

    def __init__(self, offloading: Planner, uploading: Uploader) -> None:
        self.offloading = offloading
        self.uploading = uploading
        for name in ("handles_dag", "multi_server", "multi_user", "optimises"):
            setattr(self, name, capability(offloading, name))
        self.wants_stay = bool(capability(offloading, "wants_stay") or capability(uploading, "wants_stay"))
        wanted = capability(offloading, "wants_crowd") or capability(uploading, "wants_crowd")
        setattr(self, "wants_crowd", wanted)  # noqa: B010 (the class has it, and an instance may say otherwise)

    @property
    def weighs_uploads(self) -> bool:
        """Whether the placement depends on how it will be uploaded."""
        return isinstance(self.offloading, StayPlanner) and self.offloading.stay is not None

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """Place, then order; the placement is the offloading planner's, who may ask first how it would be uploaded."""
        if isinstance(self.offloading, StayPlanner) and self.weighs_uploads:
            mine = told(problem, self.offloading)
            return self.offloading.choose(mine, lambda chosen: self._order(problem, offload(chosen), rng))
        return self._order(problem, self.offloading.plan(told(problem, self.offloading), rng), rng)

    def plan_all(self, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        """Place all users together, then order each user's uploads. Raises `PlanError` where the first cannot."""
        if not isinstance(self.offloading, CrowdPlanner):
            raise PlanError(f"{type(self.offloading).__name__} plans one user at a time: it has no plan_all")
        plans = self.offloading.plan_all([told(problem, self.offloading) for problem in problems], rng)
        return [self._order(problem, plan, rng) for problem, plan in zip(problems, plans, strict=True)]

    def _order(self, problem: Problem, plan: Plan, rng: random.Random) -> Plan:
        uploads = self.uploading.upload(told(problem, self.uploading), plan.placement, rng)
        whole = bool(capability(self.uploading, "whole")) and bool(uploads)
        return replace(plan, uploads=uploads, whole=whole)


def told(problem: Problem, half: object) -> Problem:
    """The problem as one half of a pair gets it: without the crowd and the stay unless it wants them itself."""
    if problem.crowd is not None and not capability(half, "wants_crowd"):
        problem = replace(problem, crowd=None)
    if problem.stay is not None and not capability(half, "wants_stay"):
        problem = replace(problem, stay=None)
    return problem
