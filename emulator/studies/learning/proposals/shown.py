"""What is shown of worlds to those that find their answers themselves: priced problems, and nothing exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from layerlift.emulator.studies.learning.examples import Lesson, problem_costs
from layerlift.planners.learned.priced import Priced


@dataclass(frozen=True, slots=True)
class Shown:
    """A problem, and who its nodes are."""

    costs: Priced
    tiers: tuple[str, ...]
    """Of each node of `costs`."""


def taught(lesson: Lesson) -> tuple[Shown, ...]:
    """The problems of a lesson's worlds, in order of their seeds."""
    return tuple(shown for seed in lesson.seeds for shown in _of_seed(lesson, seed))


def _of_seed(lesson: Lesson, seed: int) -> list[Shown]:
    made = []
    for problem in lesson.worlds.problems(seed):
        _, costs = problem_costs(problem)
        made.append(Shown(costs, tuple(problem.tiers[node] for node in costs.nodes)))
    return made


def joined(parts: Sequence[tuple[Shown, ...]]) -> tuple[Shown, ...]:
    """All problems of some parts, in order."""
    return tuple(shown for part in parts for shown in part)
