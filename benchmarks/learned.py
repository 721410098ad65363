"""docs/learned.md: how far learned planners are from the exact answer, where nothing was trained, and their time."""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator
from functools import cache

import numpy as np

from benchmarks.docs.blocks import table
from layerlift.emulator.scenario import families
from layerlift.emulator.studies.learning.examples import problem_costs
from layerlift.emulator.studies.learning.gaps import Gaps, Trial, measured, trial
from layerlift.emulator.studies.learning.worlds import HOLD_OUT, Worlds, networks_of
from layerlift.models.graph.route import CLIENT
from layerlift.planners import Judge, Problem, make
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.features import looked_ahead
from layerlift.planners.learned.steps import STEPS

WORLDS = 100
"""Of each group of networks."""
OUTSIDE = "mobilenet_v2"
"""Of the zoo, and none of the nine that the policy was trained and held out on."""
GROUPS = {name: (name,) for name in (*HOLD_OUT, OUTSIDE)} | {"trained on": networks_of((), HOLD_OUT)}
ROLLOUT = "one more move, untrained"
PLANNERS = ("dil", "dil:walks=1", "units", "one_step")
TIMED = PLANNERS
TIMED_WORLDS = 20
REPEATS = 3


def problems(group: str) -> Iterator[Problem]:
    """One problem of each of `WORLDS` worlds on held-out seeds."""
    worlds = Worlds(networks=GROUPS[group])
    for seed in families.held_out_seeds(WORLDS):
        yield next(worlds.problems(seed))


def gaps() -> str:
    """The gaps of planners by network, in percent of the best known value."""
    rows = []
    for group in GROUPS:
        found = _gaps_of(group)
        for name, values in found.items():
            told = [_percent(value) for value in (values.mean, values.p95, values.worst)]
            shown = f"`{name}`" if name in PLANNERS else name
            rows.append([group, shown, *told, f"{100 * values.near:.0f} %"])
        print(f"{group}: done", file=sys.stderr)
    return table(["network", "planner", "mean", "p95", "worst", "within 1 %"], rows)


def _percent(share: float) -> str:
    return f"{round(100 * share, 2) + 0.0:.2f}"  # nothing is not less than nothing


@cache
def _gaps_of(group: str) -> dict[str, Gaps]:
    made: dict[str, list[float]] = {name: [] for name in (*PLANNERS, ROLLOUT)}
    for number, problem in enumerate(problems(group)):
        judge = Judge(problem)
        values = {name: judge.value(make(name).plan(problem, random.Random(number)).placement) for name in PLANNERS}
        values[ROLLOUT] = judge.value(_rollout(problem))
        least = min(values.values())
        for name, value in values.items():
            made[name].append(value / least - 1.0)
    return {name: Gaps.of(values) for name, values in made.items()}


def _rollout(problem: Problem) -> tuple[int, ...]:
    """What the features know before anything is learned: always the step after which one more move costs least."""
    sums, costs = problem_costs(problem)
    after, at, way = looked_ahead(costs).one_move, CLIENT, []
    for number in range(len(costs.pieces)):
        at = int((costs.steps[number, at] + costs.pieces[number] + after[number + 1]).argmin())
        way.append(at)
    return sums.placement(costs.nodes[np.array(way)].tolist())


def accuracy() -> str:
    """How many steps of the greedy walk are best, beside the gap that this goes with (by sums over units)."""
    policy = policy_file.parsed(policy_file.shipped("dil"), (STEPS,))
    rows = []
    for group in GROUPS:
        among: list[Trial] = [trial(problem) for problem in problems(group)]
        result = measured(policy, [each for each in among if each.exact > 0.0])
        numbers = (result.right, result.greedy.mean, result.best.mean, result.best.p95)
        rows.append([group, *(_percent(number) for number in numbers)])
    head = ["network", "best steps, %", "greedy gap, %", "best of 64, %", "its p95, %"]
    return table(head, rows)


def times() -> str:
    """CPU milliseconds of a plan: the median over problems of the least of a few tries."""
    rows = []
    for group in GROUPS:
        some = [problem for problem, _ in zip(problems(group), range(TIMED_WORLDS), strict=False)]
        spent = {name: statistics.median(_seconds(name, problem) for problem in some) for name in TIMED}
        rows.append([group, *(f"{1e3 * seconds:.1f}" for seconds in spent.values())])
    return table(["network", *(f"`{name}`, ms" for name in TIMED)], rows)


def _seconds(name: str, problem: Problem) -> float:
    planner, tries = make(name), []
    for _ in range(REPEATS):
        began = time.process_time()
        planner.plan(problem, random.Random(0))
        tries.append(time.process_time() - began)
    return min(tries)


if __name__ == "__main__":
    print("\n\n".join(part() for part in (gaps, accuracy, times)))
