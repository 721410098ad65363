"""Planners that are there to be beaten."""

from __future__ import annotations

import random

from planners.base import PlannerBase
from planners.plan import Plan, all_local
from planners.problem import Problem


class Local(PlannerBase):
    """Every layer stays on the client."""

    multi_server = False

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The plan that moves nothing."""
        return all_local(problem)
