"""The part of docs/gaps.md on random worlds: planners against the optimum in families that ship, held-out seeds."""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil, inf, isfinite

from benchmarks.gap_tables import SWARMS, Try, attempt, percent, spent, table, timed
from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.scenario import families
from layerlift.planners import Judge, Objective, Problem, make
from layerlift.planners.exact.optimal import Optimal

Tries = dict[str, dict[str, Try]]
"""What planners made of problems: by the problem's number and the planner."""
FAMILIES = ("lone_random", "lone_slow_asym", "lone_big", "three_tiers")
WIDE = "inception_v2"
"""Its modules are so wide that their optimum takes a quarter of a minute a world and stays unproved."""
SIMPLE = ("local", "all_remote", "greedy", "spread")
PLANNERS = (*SIMPLE, "one_step", "one_climb", "min_cut", "units", "shortest_path", *SWARMS)
LIMITED = "money_deadline"
LIMITED_BY = ("one_step", "one_climb", "min_cut", "labels", "shortest_path", *SWARMS)
NEAR = 0.01

HEAD = """## Random worlds

{worlds} worlds of each family of one user ([families.md](families.md)), held-out seeds from {seed:,} on, for latency.
Worlds with `{wide}` are passed over: its optimum takes a quarter of a minute and stays unproved. The gap's mean, 95th
percentile and worst over the worlds, in percent, and the share of worlds in which it is at most 1 %.
"""

LEAST_MONEY = """### Least money within a deadline

{worlds} worlds of the family `{family}`: the first user of each who misses its deadline at home, where anything keeps
it. Where a planner misses a deadline that can be kept, that is counted, and its gaps are those of the other worlds.
`optimal` looks a tenth as long as it does by default, so that the bound is loose and gaps look larger than they are.
Its own row is the gap that it states, a share of its value and not of the bound.
"""

TIMES = """### Times

Over all these worlds, the last table's questions apart.
"""


def alone(family: str, count: int) -> Iterator[Problem]:
    """The problems of the only users of so many worlds."""
    seed = families.HELD_OUT_FROM
    while count:
        scenario = families.draw(family, seed)
        if WIDE not in {spec.source for spec in scenario.models.values()} | set(scenario.users[0].model):
            yield problem_of(scenario.resolve(), 0)
            count -= 1
        seed += 1


def pressed(count: int) -> Iterator[Problem]:
    """Users who miss their deadlines at home, the first of each world: `count` of them."""
    seed = families.HELD_OUT_FROM
    while count:
        world = families.draw(LIMITED, seed).resolve()
        problems = (problem_of(world, user.index) for user in world.users)
        late = next((each for each in problems if Judge(each).local_key[0] > 0.0 and keeps(each)), None)
        if late is not None:
            yield late
            count -= 1
        seed += 1


def keeps(problem: Problem) -> bool:
    """Whether the fastest placement keeps the limits."""
    fastest = make("units").plan(replace(problem, objective=Objective()), random.Random(0))
    return Judge(problem).key(fastest.placement)[0] == 0.0


def tried(problems: Sequence[Problem], planners: Sequence[str], word: str, exact: Optimal | None = None) -> Tries:
    """What planners, and `optimal`, make of problems."""
    made: Tries = {}
    for number, problem in enumerate(problems):
        answer, seconds = timed(problem, exact)
        found = {text: attempt(text, problem, answer.bound, 1) for text in planners}
        made[str(number)] = {**found, "optimal": Try((answer.gap,), 0.0, seconds)}
        print(f"{word}: {number + 1} of {len(problems)}", file=sys.stderr, end="\r")
    return made


def classes(tries: Tries, limited: bool) -> None:
    """The table of gaps by planner."""
    rows = []
    for text in next(iter(tries.values())):
        gaps = sorted(found[text].gaps[0] for found in tries.values())
        kept = [gap for gap in gaps if isfinite(gap)]
        told = map(percent, (statistics.fmean(kept), p95(kept), kept[-1])) if kept else "---"
        near = sum(gap <= NEAR for gap in gaps) / len(gaps)
        rows.append([f"`{text}`", *told, f"{100 * near:.0f} %", *([str(gaps.count(inf))] if limited else [])])
    table(["planner", "mean", "p95", "worst", "within 1 %", *(["misses"] if limited else [])], rows)


def p95(values: Sequence[float]) -> float:
    """The 95th percentile of ascending values: the least that 95 % of them do not exceed."""
    return values[ceil(0.95 * len(values)) - 1]


def pages(worlds: int) -> None:
    """Measure and print."""
    print(HEAD.format(worlds=worlds, seed=families.HELD_OUT_FROM, wide=WIDE))
    together: Tries = {}
    for family in FAMILIES:
        found = tried(list(alone(family, worlds)), PLANNERS, family)
        together |= {f"{family} {number}": each for number, each in found.items()}
        proved = sum(each["optimal"].gaps[0] == 0.0 for each in found.values())
        print(f"**{family}**: {families.load(family).about} `optimal` proved {proved} of {worlds}.\n")
        classes(found, False)
    print(LEAST_MONEY.format(worlds=worlds, family=LIMITED))
    short = Optimal(steps=2_000, nodes=50, largest=20_000)
    classes(tried(list(pressed(worlds)), LIMITED_BY, LIMITED, short), True)
    print(TIMES)
    spent(together)
