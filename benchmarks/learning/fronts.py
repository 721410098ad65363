"""docs/learned.md: how much of the exact front one policy draws, beside an exact planner under weightings."""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks.docs.blocks import table
from benchmarks.learning.planners import OUTSIDE
from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.scenario import Scenario, families
from layerlift.emulator.studies.learning.worlds import family_of, one_of
from layerlift.emulator.world import streams
from layerlift.planners import Objective, Problem, make
from layerlift.planners.cost.judge import Judge, Term
from layerlift.planners.learned.choosing import apart_from_walks
from layerlift.planners.offloading.drawn_front import Plans, drawn_front, share_of
from layerlift.planners.offloading.front import ADDITIVE, front_of, undominated_points
from layerlift.planners.problem.plan import Plan

FAMILIES: Final = ("lone_random", "three_tiers", "money_deadline")
SEEDS: Final = 4
"""Held-out worlds of each family."""
NETWORKS: Final = ("resnet50", OUTSIDE)
"""They take turns; no policy was trained on them."""
PAIRS: Final[tuple[tuple[Term, ...], ...]] = (("latency", "energy"), ("latency", "money"), ADDITIVE)
POOLED: Final = ("dil", "ddlo")
"""Drawn of all that they choose from."""
PAPER: Final = "paper"
_FACTORS: Final = (0.3, 0.5, 0.8, 1.2, 2.0, 3.0)
_USD_S: Final = 0.02 / 3600.0
_WATTS: Final = 4.0
"""What a server as fast as the client costs and draws, times one of the factors; more in proportion to its speed."""


class OnlyPlans:
    """A planner's answers, without what it chose from."""

    def __init__(self, name: str) -> None:
        self._planner = make(name)

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The planner's own."""
        return self._planner.plan(problem, rng)


def fronts() -> str:
    """Shares of the exact front's hypervolume, mean and worst over worlds."""
    rows = []
    for family in (*FAMILIES, PAPER):
        some = list(problems(family))
        for terms in PAIRS:
            shares = [_shares(problem, terms) for problem in some]
            print(f"{family}: {', '.join(terms)}: done", file=sys.stderr)
            columns = list(zip(*shares, strict=True))
            points = f"{statistics.median(columns[0]):.0f}"
            told = [_told(column) for column in columns[1:]]
            rows.append([f"`{family}`", ", ".join(terms), str(len(some)), points, *told])
    head = ["family", "terms", "worlds", "exact points"]
    drawn = [*(f"`{name}`, %" for name in POOLED), "`dil`'s plans, %", "`units`, %", "single cuts, %"]
    return table([*head, *drawn], rows, left=2)


def problems(family: str) -> Iterator[Problem]:
    """A first user in each held-out world of a family, whose servers cost and draw the more the faster they are."""
    if family == PAPER:
        yield problem_of(Scenario.load(PAPER).resolve(), 0)
        return
    for number, seed in enumerate(families.held_out_seeds(SEEDS)):
        settings = [f"users.0.model={NETWORKS[number % len(NETWORKS)]}", "users.0.count=1"]
        problem = problem_of(family_of(family).draw(seed, settings).resolve(), 0)
        yield _dear(problem, streams.family(seed, "learning", "front"))


def _dear(problem: Problem, rng: random.Random) -> Problem:
    alone_s = np.add.reduce(problem.seconds, axis=0)
    speed = alone_s[0] / alone_s[1:]
    price, draw = (np.array([one_of(_FACTORS, rng) for _ in problem.servers]) * speed for _ in range(2))
    return replace(
        problem,
        price_per_s=np.array([0.0, *(_USD_S * price)]),
        busy_w=np.array([problem.busy_w[0], *(_WATTS * draw)]),
    )


def _shares(problem: Problem, terms: Sequence[Term]) -> tuple[float, ...]:
    """How many points the front has, and the share of its hypervolume by each way to draw one.

    Of three terms the front is a good spread of the exact one, with what anybody drew beyond it.
    """
    exact, free = front_of(problem, terms), replace(problem, objective=Objective())
    planners: list[Plans] = [*map(make, POOLED), OnlyPlans("dil"), make("units")]
    drawn = [drawn_front(problem, exact, planner, random.Random(0)).points for planner in planners]
    drawn.append(undominated_points(free, exact.terms, apart_from_walks(Judge(free))))
    known = [point.placement for points in (exact.points, *drawn) for point in points]
    front = replace(exact, points=undominated_points(free, exact.terms, known))
    return float(len(front.points)), *(share_of(points, front) for points in drawn)


def _told(shares: Sequence[float]) -> str:
    mean, worst = statistics.fmean(shares), min(shares)
    return f"{100.0 * mean:.1f}" if len(shares) == 1 else f"{100.0 * mean:.1f}, worst {100.0 * worst:.1f}"
