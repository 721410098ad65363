"""The best placement, or how far from it the best known one can be at most."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.cost.judge import Judge, Rank
from layerlift.planners.exact.branch_and_bound import SLACK
from layerlift.planners.exact.dual import Dual, limits_of
from layerlift.planners.exact.effort import Effort
from layerlift.planners.exact.linear import Linear, Terms
from layerlift.planners.exact.question import Question, searchable
from layerlift.planners.exact.stages import Stages
from layerlift.planners.exact.starts import starts
from layerlift.planners.offloading import labels
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Bools, Problem
from layerlift.planners.registry.base import PlannerBase


@dataclass(frozen=True, slots=True)
class BoundedPlacement:
    """The best placement found, its key, and a lower bound on the value of every placement within the limits."""

    placement: tuple[int, ...]
    key: Rank
    bound: float
    proved: bool
    """Whether nothing better exists, to 1e-12 of its value by search or 1e-6 by a program."""

    @property
    def gap(self) -> float:
        """By how much of its value it may at most be above the optimum; not a number where it breaks a limit."""
        if self.key[0] > 0.0:
            return float("nan")
        return 0.0 if self.proved or not self.key[1] else max(0.0, 1.0 - self.bound / self.key[1])

    @property
    def note(self) -> str:
        """The answer in words, for `Plan.note`."""
        if self.key[0] > 0.0:
            certain = "no placement keeps the limits" if self.proved else "no placement found keeps the limits"
            return f"{certain}: this one misses them by {self.key[0]:.3g} of their size"
        if self.proved:
            return f"optimal: bound {self.key[1]:.6g}, gap 0 %"
        return f"not proved optimal: value {self.key[1]:.6g}, bound {self.bound:.6g}, gap {100.0 * self.gap:.2g} %"


class Optimal(PlannerBase):
    """Exact for chains and DAGs over any number of nodes, with the true cost model (semantics: "A query").

    The network is cut where all its computation passes through one tensor; the units between are solved alone, by
    branch and bound over placements and, where that takes too long, by a mixed-integer program of the same makespan
    (HiGHS); a shortest path joins them. Limits (deadline, budget, memory) become prices first, and what gap remains
    is left to search and program on the whole network. Exact for weighted latency, energy and money under limits;
    balance and coordination are outside the bound; a period is bounded by what is placed, and by the program, but
    not by the decomposition, so that only small networks are proved; and serial queries and shared parameters loosen
    the programs, so there a gap may stay open.

    `steps` are the partial placements that one search may look at, `nodes` those of one program's tree, `largest` the
    coefficients of the largest program. They count work, so the answer is always the same; `time_limit_s` (wall
    clock) is off by default because it takes that away. `Plan.note` states bound and gap, in the unit of the objective
    where that has one term, else in its scales.
    """

    REQUIRED_MODULES = ("highspy",)
    extra = "layerlift[exact]"

    def __init__(
        self, steps: int = 20_000, nodes: int = 500, largest: int = 60_000, time_limit_s: float | None = None
    ) -> None:
        if min(steps, nodes, largest) < 0 or (time_limit_s is not None and time_limit_s <= 0):
            raise PlanError(
                f"optimal: steps={steps}, nodes={nodes}, largest={largest}, time_limit_s={time_limit_s} were given, "
                "expected numbers of at least 0 and a time limit above 0 (or none)"
            )
        self.steps, self.nodes, self.largest, self.time_limit_s = steps, nodes, largest, time_limit_s

    @classmethod
    def cite(cls) -> str:
        """The sources of the decomposition and of the solver."""
        return "Zhang et al., QDMP, IMWUT 2020 (cut vertices); Huangfu and Hall, HiGHS, doi:10.1007/s12532-017-0130-5"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The best placement, with bound and gap in the note."""
        answer = self.answer(problem)
        return offload(answer.placement, answer.note)

    def answer(self, problem: Problem) -> BoundedPlacement:
        """The best placement with its bound, as numbers."""
        return solve(problem, Effort(self.steps, self.nodes, self.largest, self.time_limit_s))


def solve(problem: Problem, effort: Effort) -> BoundedPlacement:
    """The best placement of `problem` that `effort` finds, and what it proves of it."""
    judge = Judge(problem)
    fastest = _staged(Linear(problem, Terms(latency=1.0)), effort)
    free = Linear(problem, Terms.of(judge), least_s=max(0.0, fastest.bound))
    staged = fastest if _latency_alone(problem) else _staged(free, effort)
    candidates = [(0,) * len(problem.graph), labels.place(judge)[0], fastest.placement, staged.placement]
    best, bound = _best(judge, candidates), staged.bound
    if _settled(judge, best, bound, fastest):
        return BoundedPlacement(best, judge.key(best), bound, True)
    dual = Dual(free, limits_of(problem, free.least_s))
    dual.solve(effort)
    best, bound = _best(judge, [best, *dual.placements]), max(bound, dual.bound)
    alive = _alive(dual, judge.key(best))
    if not searchable(alive) and not _settled(judge, best, bound, fastest):
        best = _best(judge, [best, *starts(judge)])
        alive = _alive(dual, judge.key(best))
    if _settled(judge, best, bound, fastest):
        return BoundedPlacement(best, judge.key(best), bound, True)
    if not alive.any(axis=1).all():
        return BoundedPlacement(best, judge.key(best), judge.key(best)[1], True)
    found = Question(problem, _bounds(problem, free), judge.key).better(best, alive, effort, judge.key(best))
    return BoundedPlacement(found.placement, found.key, max(bound, found.bound), found.complete)


def _alive(dual: Dual, best: Rank) -> Bools:
    """What a better placement may use, as far as prices tell; everything allowed where nothing keeps the limits."""
    return dual.alive(best[1]) if best[0] == 0.0 else dual.free.allowed


def _staged(linear: Linear, effort: Effort) -> Stages:
    stages = Stages(linear)
    stages.solve(effort)
    return stages


def _latency_alone(problem: Problem) -> bool:
    wanted = problem.objective
    others = (wanted.energy, wanted.money, wanted.balance, wanted.period, wanted.coordination)
    return wanted.latency == 1.0 and not any(others)


def _best(judge: Judge, placements: list[tuple[int, ...]]) -> tuple[int, ...]:
    return judge.best(np.array(placements, dtype=np.int64))


def _settled(judge: Judge, best: tuple[int, ...], bound: float, fastest: Stages) -> bool:
    """Whether `best` keeps the limits and meets the bound, or no placement can meet the only limit, a deadline."""
    missed, value = judge.key(best)
    if missed == 0.0:
        return value <= bound + SLACK * abs(value)
    wanted = judge.problem.objective
    only_deadline = wanted.deadline_s is not None and wanted.budget is None
    return only_deadline and fastest.proved and missed <= judge.key(fastest.placement)[0] < np.inf


def _bounds(problem: Problem, free: Linear) -> list[Linear]:
    """The linear costs that the search compares: the value, and what a deadline and a budget are held against."""
    made = [free]
    if problem.objective.deadline_s is not None:
        made.append(Linear(problem, Terms(latency=1.0)))
    if problem.objective.budget is not None:
        made.append(Linear(problem, Terms(money=1.0), least_s=free.least_s))
    return made
