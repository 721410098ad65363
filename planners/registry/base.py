"""What every planner is: one pure method, capabilities as class attributes, and a source to cite."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from layerlift.planners.problem.plan import Plan, Upload
from layerlift.planners.problem.problem import Objective, Problem

Optimises = Literal["latency", "energy", "money", "period", "objective", "nothing"]
"""`objective` is the problem's own, with its weights, deadline and budget; `nothing` marks a baseline."""

WantsCrowd = bool | Literal["together"]
"""Whether a planner wants to know the crowd; `together`: only where it plans all users together."""


@runtime_checkable
class Planner(Protocol):
    """A class with `plan`. Nothing else is required: the attributes of `PlannerBase` are read where present.

    `plan` is pure: it keeps no state between calls, draws only from `rng`, and does not touch the problem.
    """

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """Answer `problem` with a legal plan (see `layerlift.planners.problem.plan.validate`)."""


@runtime_checkable
class Uploader(Protocol):
    """A planner that can also stand after the `+` in `pso+recursive`: it orders a placement that another chose."""

    def upload(self, problem: Problem, placement: Sequence[int], rng: random.Random) -> tuple[Upload, ...]:
        """Divide and order P1 of `placement`; the parts make up P1 exactly."""


@runtime_checkable
class CrowdPlanner(Protocol):
    """A planner with `multi_user = True`: it plans all users together, knowing that they share the servers."""

    def plan_all(self, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        """Answer each problem with a legal plan, in order. The problems name the same nodes from 1 upwards."""


@runtime_checkable
class Choosing(Protocol):
    """A planner that chooses among placements it can name: a front is drawn of all of them."""

    def candidates(self, problem: Problem, wanted: Sequence[Objective], rng: random.Random) -> list[tuple[int, ...]]:
        """The different placements that it would choose from under some objectives instead of the problem's own."""


@runtime_checkable
class StayPlanner(Protocol):
    """A planner that weighs the upload against a stay: which placement it takes depends on how it will be uploaded."""

    stay: object
    """The stay; None: for ever, and then the uploads do not matter."""

    def choose(self, problem: Problem, uploaded: Callable[[tuple[int, ...]], Plan]) -> Plan:
        """Answer `problem` with the best plan, as `uploaded` makes plans of placements."""


class PlannerBase:
    """Defaults for the capabilities that `layerlift planners` shows. Deriving from it is a courtesy, not a duty."""

    handles_dag: ClassVar[bool] = True
    """Whether networks with branches are planned as they are."""
    multi_server: ClassVar[bool] = True
    """Whether a plan of its own may use several servers; ordering what others placed is another matter."""
    multi_user: ClassVar[bool] = False
    """Whether it can plan all users together."""
    wants_crowd: ClassVar[WantsCrowd] = False
    """Whether its problems say what is known of the others (`Problem.crowd`). Otherwise that is None, so that equal
    users have equal problems, which are planned once.
    """
    wants_stay: bool = False
    """Whether its problems say how long their users will stay (`Problem.stay`); otherwise that is None, as above."""
    optimises: Optimises = "objective"
    """What it claims never to worsen against staying local."""
    whole: ClassVar[bool] = False
    """Whether what it uploads is used only when all of it is confirmed (see `Plan.whole`)."""
    REQUIRED_MODULES: ClassVar[tuple[str, ...]] = ()
    """Modules outside the core that it imports when it plans."""

    extra: ClassVar[str] = ""
    """What to install when one of them is missing, as in `pip install EXTRA`."""

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm, as one line."""
        return ""


def capability(plugin: object, name: str, defaults: type = PlannerBase) -> Any:
    """What a plug-in says of itself under `name`, or what its kind says by default; None where neither does.

    `plugin` is a class, what it makes, or a function that makes plug-ins.
    """
    # The one place where an attribute is looked up by name: a stranger's plug-in is whatever has the right methods,
    # so the attributes of `defaults` may be missing from it, and deriving from that class is not asked for.
    return getattr(plugin, name, getattr(defaults, name, None))
