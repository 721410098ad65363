"""What planners make of problems, and the tables that tell it: for `benchmarks.gaps` and `benchmarks.gaps_worlds`."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from layerlift.planners import Judge, Planner, Problem, make
from layerlift.planners.exact.optimal import BoundedPlacement, Optimal
from layerlift.planners.swarm.search import SwarmPlanner

SWARMS = ("pso", "ga", "sa")
UNSEEDED = tuple(f"{name}:start=runs" for name in SWARMS)
LETTER = "pso:start=random,moves=points"
RANDOMISED = (*SWARMS, *UNSEEDED, LETTER)
EVALUATIONS = 5_000
"""Placements that a swarm may try: a quarter of its default, so that the page is made in minutes."""


@dataclass(frozen=True, slots=True)
class Try:
    """What one planner made of one problem, over all seeds."""

    gaps: tuple[float, ...]
    """Value over the optimum (or its bound) minus 1; infinite where a limit is missed."""
    evaluations: float
    seconds: float

    def __str__(self) -> str:
        mean, worst = statistics.fmean(self.gaps), max(self.gaps)
        if mean == float("inf"):
            return "misses"
        text = percent(mean)
        return text if percent(worst) == text else f"{text} ({percent(worst)})"


def percent(share: float) -> str:
    """A gap as text."""
    return "0" if abs(share) < 5e-6 else f"{100 * share:.2f}" if share < 10 else f"{100 * share:.0f}"


def planner_of(text: str) -> Planner:
    """The planner of a text, a swarm with the page's evaluations."""
    if text not in RANDOMISED:
        return make(text)
    return make(f"{text}{',' if ':' in text else ':'}evaluations={EVALUATIONS}")


def attempt(text: str, problem: Problem, bound: float, seeds: int) -> Try:
    """Plan once per seed (once where nothing is random)."""
    judge, gaps, used, took = Judge(problem), [], [], []
    for seed in range(seeds if text in RANDOMISED else 1):
        planner, told = planner_of(text), [0]
        if isinstance(planner, SwarmPlanner):
            planner.progress = lambda done, most, key, told=told: told.__setitem__(0, done)
        began = time.process_time()
        plan = planner.plan(problem, random.Random(seed))
        took.append(time.process_time() - began)
        missed, value = judge.key(plan.placement)
        gaps.append(value / bound - 1.0 if missed == 0.0 else float("inf"))
        used.append(told[0])
    return Try(tuple(gaps), statistics.fmean(used), statistics.fmean(took))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a Markdown table, numbers to the right."""
    print("| " + " | ".join(head) + " |")
    print("| --- |" + " ---: |" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(str(each) for each in row) + " |")
    print()


def timed(problem: Problem, exact: Optimal | None = None) -> tuple[BoundedPlacement, float]:
    """What `optimal` (or `exact`) answers, and its CPU seconds."""
    exact = exact or Optimal()
    began = time.process_time()
    answer = exact.answer(problem)
    return answer, time.process_time() - began


def spent(tries: dict[str, dict[str, Try]]) -> None:
    """Evaluations and CPU seconds, the latter as multiples of what `one_step` takes on the same problem."""
    rows = []
    for text in next(iter(tries.values())):
        ratios = [found[text].seconds / max(found["one_step"].seconds, 1e-9) for found in tries.values()]
        used = [found[text].evaluations for found in tries.values()]
        told = f"{min(used):,.0f} to {max(used):,.0f}" if any(used) else ""
        rows.append([f"`{text}`", told, rounded(statistics.median(ratios)), rounded(max(ratios))])
    table(["planner", "evaluations", "time, median", "time, most"], rows)


def rounded(ratio: float) -> str:
    """To two digits, large numbers written out."""
    return f"{float(f'{ratio:.2g}'):,.10g}"
