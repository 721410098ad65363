"""What an episode is played on: a problem as a planner is told of it, and what its steps cost in truth.

An agent sees what it is told, and meets what is true; only of this can it learn what no planner can work out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.studies.learning.examples import Lesson
from layerlift.emulator.studies.learning.worlds import TRIAL_FROM, Worlds, family_of, one_of, varied
from layerlift.emulator.world import streams
from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.pieces import Sums, ahead, whole_pieces
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.learned.features import Features, features_of, looked_ahead
from layerlift.planners.learned.priced import Priced, priced
from layerlift.planners.problem.problem import Floats, Problem

WORLDS: Final = 4
"""Of a task, and an episode on each."""
FACTORS: Final = (1 / 8, 1 / 3, 1.0, 3.0, 8.0)
"""By how much servers, and links, of a task may be slower than they say."""


@dataclass(frozen=True, slots=True)
class Truth:
    """How many times as long servers and links take as they say."""

    servers: float = 1.0
    links: float = 1.0

    def of(self, problem: Problem) -> Problem:
        """The problem as it is in truth. What the client knows of itself is true."""
        seconds = problem.seconds.copy()
        seconds[:, CLIENT + 1 :] *= self.servers
        return replace(problem, seconds=seconds, bandwidth_bytes_s=problem.bandwidth_bytes_s / self.links)


@dataclass(frozen=True, slots=True)
class Place:
    """One problem to play on, P pieces on n nodes."""

    told: Priced
    seen: Features
    """Of what is told."""
    promised: Floats
    """What the rest would cost with one more move, if all were as told, shape (P + 1, n)."""
    true: Priced
    exact: float
    """The least that it can cost in truth, in shares of staying local."""


def place_of(told: Problem, true: Problem) -> Place:
    """The place of a problem that is told so, and is so in truth."""
    facts, prices = whole_pieces(told.graph), Additive(told, Judge(told))
    weights = (prices.per_second, prices.per_joule, prices.per_money)
    costs = priced(Sums(told, facts), weights)
    met = priced(Sums(true, facts), weights, costs.nodes)
    least = float(ahead(met.pieces, met.steps)[0, CLIENT])
    return Place(costs, features_of(costs), looked_ahead(costs).one_move, met, least)


Task = tuple[Place, ...]
"""Places of one kind: a family of worlds, a network, an objective, a truth."""


def of_seed(worlds: Worlds, seed: int) -> Task:
    """The task of one seed: its places differ in their worlds, and in how busy servers are."""
    rng = streams.family(seed, "learning", "task")
    family, network = (one_of(names, rng) for names in (worlds.families, worlds.networks))
    truth = Truth(one_of(FACTORS, rng), one_of(FACTORS, rng))
    made, objective = [], None
    for _ in range(WORLDS):
        drawn = family_of(family).draw(int(rng.random() * TRIAL_FROM), [f"users.0.model={network}", "users.0.count=1"])
        problem = varied(problem_of(drawn.resolve(), 0), rng)
        objective = objective or problem.objective
        told = replace(problem, objective=objective)
        made.append(place_of(told, truth.of(told)))
    return tuple(place for place in made if place.exact > 0.0)


def taught(lesson: Lesson) -> tuple[Task, ...]:
    """The tasks of a lesson's seeds, in order; those in which nothing costs anything are left out."""
    made = [of_seed(lesson.worlds, seed) for seed in lesson.seeds]
    return tuple(task for task in made if task)


def joined(parts: Sequence[tuple[Task, ...]]) -> tuple[Task, ...]:
    """All tasks of some parts, in order."""
    return tuple(task for part in parts for task in part)
