"""What every planner is: one pure method, capabilities as class attributes, and a source to cite."""

from __future__ import annotations

import random
from typing import ClassVar, Protocol, runtime_checkable

from planners.plan import Plan
from planners.problem import Problem


@runtime_checkable
class Planner(Protocol):
    """A class with `plan`. Nothing else is required: the attributes of `PlannerBase` are read where present.

    `plan` is pure: it keeps no state between calls, draws only from `rng`, and does not touch the problem.
    """

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """Answer `problem` with a legal plan (see `planners.plan.validate`)."""


class PlannerBase:
    """Defaults for the capabilities that `layerlift planners` shows. Deriving from it is a courtesy, not a duty."""

    handles_dag: ClassVar[bool] = True
    """Whether networks with branches are planned as they are."""
    multi_server: ClassVar[bool] = True
    """Whether a plan may use several servers."""
    multi_user: ClassVar[bool] = False
    """Whether it can plan all users together."""
    optimises: ClassVar[str] = "latency"
    REQUIRED_MODULES: ClassVar[tuple[str, ...]] = ()
    """Modules outside the core that it imports when it plans."""

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm, as one line."""
        return ""
