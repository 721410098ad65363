"""The pipeline of least period: what a stream of queries can sustain, when several servers work on it at once."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from layerlift.planners import cost
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.pieces import inner_pieces, whole_pieces
from layerlift.planners.graphs.pipelines import Pipelines
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase

Placement = tuple[int, ...]

NEAR = 1e-9
"""Relative distance below which two periods are equal, and the latency decides."""

STEPS = 6
"""Limits of the period, from the least to that of the fastest, under which the fastest pipeline is asked for."""


class Pipeline(PlannerBase):
    """The least period (semantics: "Period"), and of equal ones the least latency, by dynamic programming.

    Exact among pipelines: whole units, each server at most one run of neighbours, the device the first units and the
    last (they are one stage), links both ways counted. A server is never visited twice, and what has no weight in the
    period (energy, money, a deadline, a budget) is not looked at; memory and what is allowed where is. It is exact
    where the network answers once, at its end, and what links share are ports. `inside` also looks at cuts inside
    modules, as if what crosses came from the run before, and takes what the cost model says is better. Of more
    servers than the search can bear the slowest are left out, and the note says so.
    """

    optimises = "period"

    def __init__(self, inside: bool = True) -> None:
        self.inside = inside

    @classmethod
    def cite(cls) -> str:
        """The sources of the recurrence and of the problem."""
        return (
            "Narayanan et al., PipeDream, SOSP 2019, doi:10.1145/3341301.3359646; "
            "Benoit and Robert, Mapping pipeline skeletons onto heterogeneous platforms, JPDC 68(6):790, 2008"
        )

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The pipeline of least period, or all-local where none is better; the note has the period."""
        found = place(problem, self.inside)
        left = f"; {found.left_out} servers were left out" if found.left_out else ""
        return offload(found.placement, f"pipeline: a query every {found.period_s * 1000.0:.4g} ms{left}")


@dataclass(frozen=True, slots=True)
class Found:
    """A placement with its period and latency by the cost model."""

    placement: Placement
    period_s: float
    latency_s: float
    left_out: int = 0


def place(problem: Problem, inside: bool = True) -> Found:
    """The pipeline of least period (see `Pipeline`), all-local where none is better."""
    best = _found(problem, (0,) * len(problem.graph))
    left_out = 0
    for pipelines in searches(problem, inside):
        left_out = max(left_out, pipelines.left_out)
        least_s, runs = pipelines.least_period()
        if not runs:
            continue
        for each in (pipelines.fastest(least_s) or runs, runs):
            other = _found(problem, pipelines.placement(each))
            if cost.fits(problem, other.placement) and _better(other, best):
                best = other
    return Found(best.placement, best.period_s, best.latency_s, left_out)


def searches(problem: Problem, inside: bool = True, any_stage: bool = False) -> list[Pipelines]:
    """The pipelines over whole units, and over pieces of modules where there are any; `any_stage` as there."""
    whole, inner = whole_pieces(problem.graph), inner_pieces(problem.graph)
    facts = [whole, inner] if inside and len(inner.first) > len(whole.first) else [whole]
    return [Pipelines(problem, each, any_stage) for each in facts]


def trade_offs(judge: Judge, fastest: Placement) -> list[Placement]:
    """Pipelines between the least period and the latency of `fastest`: for objectives that weigh both.

    Nothing where the objective does not weigh the period.
    """
    problem = judge.problem
    if not problem.objective.period:
        return []
    made: list[Placement] = []
    slowest_s = cost.period(problem, fastest)
    for pipelines in searches(problem):
        least_s, runs = pipelines.least_period()
        if runs:
            limits = np.linspace(least_s, max(slowest_s, least_s), STEPS) if problem.objective.latency else [least_s]
            made += [pipelines.placement(each) for limit in limits if (each := pipelines.fastest(float(limit)))]
            made.append(pipelines.placement(runs))
    return list(dict.fromkeys(made))


def _found(problem: Problem, placement: Placement) -> Found:
    spent = cost.evaluate(problem, placement)
    return Found(placement, spent.period_s, spent.latency_s)


def _better(one: Found, other: Found) -> bool:
    if abs(one.period_s - other.period_s) > NEAR * max(one.period_s, other.period_s):
        return one.period_s < other.period_s
    return one.latency_s < other.latency_s * (1.0 - NEAR)
