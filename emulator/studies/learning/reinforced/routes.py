"""What the letter of publications learns from: problems, and ways through many of them at once, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from layerlift.emulator.studies.learning.examples import Lesson, problem_costs
from layerlift.planners.cost.pieces import Sums
from layerlift.planners.learned.literal.journey import Journey, Seen
from layerlift.planners.learned.priced import Priced

Route = tuple[Sums, Priced]
Choose = Callable[[Seen], NDArray[np.int64]]
"""What each journey does next, by what each sees: shapes (J, K) -> (J,); one that is over sees nothing but 0."""


def taught(lesson: Lesson) -> list[Route]:
    """The problems of a lesson's worlds, in order of their seeds."""
    return [problem_costs(problem) for seed in lesson.seeds for problem in lesson.worlds.problems(seed)]


def together(journeys: Sequence[Journey], wide: int, choose: Choose) -> list[list[tuple[Seen, int, float]]]:
    """Lead all journeys to their ends, a step of each at a time; of each what it saw, chose, and what that came to.

    What is seen has `wide` numbers.
    """
    made: list[list[tuple[Seen, int, float]]] = [[] for _ in journeys]
    while not all(journey.over for journey in journeys):
        looked = np.zeros((len(journeys), wide), dtype=np.uint16)
        going = [number for number, journey in enumerate(journeys) if not journey.over]
        for number in going:
            looked[number] = journeys[number].seen()
        choices = choose(looked)
        for number in going:
            choice = int(choices[number])
            made[number].append((looked[number], choice, journeys[number].go(choice)))
    return made


def endless(route: Route) -> NDArray[np.float64]:
    """Room without an end on the nodes of a route: memory is no matter while learning."""
    return np.full(len(route[1].nodes), np.inf)
