"""What a plan costs, as ratios in one run: `python -m benchmarks.planning`.

Single cuts by sums against the cost model walked over every cut, the exact planners against `optimal`, and a crowd's
plans. CPU time, the analysis of each network done before: only ratios carry from machine to machine.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.gaps import problem_of, with_deadline
from layerlift.emulator import Scenario
from layerlift.emulator.planning.answer import solve
from layerlift.emulator.planning.problems import problem_of as problem_in
from layerlift.models.loading import zoo
from layerlift.planners import Judge, Problem, cost, make
from layerlift.planners.cost import batch
from layerlift.planners.cost.single_cuts import all_single_cuts

QUICK = ("direct", "ionn", "efficiency", "recursive", "units", "pipeline")
ROUNDS = 9


def fresh(problem: Problem, number: int) -> Problem:
    """The same question with a client that is a little slower: nothing that was computed for another helps."""
    return replace(problem, seconds=problem.seconds * (1.0 + 1e-3 * number))


def cpu_s(work: Callable[[Problem], object], problem: Problem, rounds: int = ROUNDS) -> float:
    """The least CPU time of a few rounds, each on a fresh problem."""
    took = []
    for number in range(rounds):
        asked = fresh(problem, number)
        began = time.process_time()
        work(asked)
        took.append(time.process_time() - began)
    return min(took)


def walked(problem: Problem) -> object:
    """The best single cut by walking every cut through the cost model: what `direct` was."""
    rows = all_single_cuts(problem)
    return Judge(problem).best(rows, batch.evaluate(problem, rows))


def plans(names: Sequence[str]) -> None:
    """Per network: CPU time of a plan, as a share of walking all single cuts; and milliseconds of `units` here."""
    print(f"{'network':14}{'walked, ms':>12}" + "".join(f"{name:>12}" for name in QUICK) + f"{'units, ms':>12}")
    for name in names:
        problem = problem_of(name)
        base = cpu_s(walked, problem, 3)
        shares = []
        for text in QUICK:
            planner = make(text)
            planner.plan(replace(problem), random.Random(0))
            shares.append(cpu_s(lambda asked, planner=planner: planner.plan(asked, random.Random(0)), problem) / base)  # type: ignore[misc]
        units_ms = shares[QUICK.index("units")] * base * 1e3
        print(f"{name:14}{base * 1e3:12.1f}" + "".join(f"{share:12.4f}" for share in shares) + f"{units_ms:12.2f}")


def limited(names: Sequence[str]) -> None:
    """Money under a deadline: CPU time of `labels` over that of `direct`."""
    for name in names:
        problem = problem_of(name)
        fastest = cost.latency(problem, make("units").plan(problem, random.Random(0)).placement)
        asked = with_deadline(problem, fastest)
        took_s = cpu_s(lambda each: make("labels").plan(each, random.Random(0)), asked, 5)
        ratio = took_s / cpu_s(lambda each: make("direct").plan(each, random.Random(0)), asked)
        print(f"{name}: labels takes {ratio:.0f} x direct under a deadline, {took_s * 1e3:.0f} ms here")


def crowd(planner: str) -> None:
    """CPU milliseconds for each of 300 different users of `contention`: question, plan, check and promise."""
    world = Scenario.load("contention").resolve()
    took = []
    for _ in range(3):
        began = time.process_time()
        for user in range(len(world.users)):
            solve(planner, problem_in(world, user), 1)
        took.append((time.process_time() - began) / len(world.users))
    print(f"contention, {planner}: {statistics.median(took) * 1e3:.2f} CPU ms a user")


def five_thousand() -> None:
    """CPU seconds of the plans of 5,000 different users by `direct`: question, plan, check and promise."""
    world = Scenario.load("contention", ["users.0.count=5000"]).resolve()
    began = time.process_time()
    for user in range(len(world.users)):
        solve("direct", problem_in(world, user), 1)
    print(f"contention with {len(world.users)} users, direct: {time.process_time() - began:.1f} CPU s")


def main() -> None:
    """Everything, in a minute or two."""
    plans(zoo.classics())
    limited(zoo.classics())
    for planner in ("direct", "ionn", "recursive"):
        crowd(planner)
    five_thousand()


if __name__ == "__main__":
    main()
