"""A planning to be done outside virtual time."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from layerlift.planners.problem.problem import Problem

if TYPE_CHECKING:
    pass


class PlanJob(NamedTuple):
    """A planning to be done outside virtual time, before `due_s`."""

    due_s: float
    request: int
    planner: str
    problem: Problem
    together: tuple[Problem, ...] = ()
    """Problems that are planned jointly, `problem` among them; empty: it is planned alone."""
    place: int = 0
    """Which of `together` it is."""
    literal: bool = False
    """Whether the plan is followed as its planner made it, with parts that move next to nothing."""

    @property
    def key(self) -> tuple[str, str]:
        """Equal for jobs that one planning answers."""
        problems = "+".join(problem.digest for problem in self.together or (self.problem,))
        return f"{self.planner} literally" if self.literal else self.planner, problems

    @property
    def name(self) -> str:
        """The key as 32 hexadecimal digits, for a run to remember."""
        return blake2b(repr(self.key).encode(), digest_size=16).hexdigest()
