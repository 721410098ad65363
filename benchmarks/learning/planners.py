"""docs/learned.md: how far learned planners are from the exact answer, where nothing was trained, and their time."""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice

import numpy as np

from benchmarks.docs.blocks import table
from benchmarks.learning.letters import policy
from layerlift.emulator.scenario import families
from layerlift.emulator.studies.learning.examples import problem_costs
from layerlift.emulator.studies.learning.gaps import Gaps, Measured, Trial, measured, trial
from layerlift.emulator.studies.learning.methods import method
from layerlift.emulator.studies.learning.reinforced.episodes import ground_of
from layerlift.emulator.studies.learning.reinforced.q_error import order_error
from layerlift.emulator.studies.learning.worlds import HOLD_OUT, Worlds, networks_of
from layerlift.models.graph.route import CLIENT
from layerlift.planners import Judge, Problem, make
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.features import features_of, looked_ahead
from layerlift.planners.learned.flips import FLIPS, flipped
from layerlift.planners.learned.literal.coordinated import COORDINATED
from layerlift.planners.learned.literal.ddlo import DECISIONS
from layerlift.planners.learned.literal.dil import LABELS
from layerlift.planners.learned.literal.recurrent import RECURRENT
from layerlift.planners.learned.literal.seq2seq import SEQ2SEQ
from layerlift.planners.learned.scorer import Scorer
from layerlift.planners.learned.steps import STEPS

WORLDS = 300
"""Of each group of networks."""
OUTSIDE = "mobilenet_v2"
"""Of the zoo, and none of the nine that the policy was trained and held out on."""
GROUPS = {name: (name,) for name in (*HOLD_OUT, OUTSIDE)} | {"trained on": networks_of((), HOLD_OUT)}
ROLLOUT = "one more move, untrained"
PLANNERS = (
    "dil",
    "dil:walks=1",
    "ddlo",
    "drl",
    "drl:walks=1",
    "ddpqn",
    "ddpqn:walks=1",
    "meta_drl",
    "units",
    "one_step",
)
TIMED = ("dil", "dil:walks=1", "ddlo", "drl", "ddpqn", "meta_drl", "units", "one_step")
REINFORCED = ("drl", "ddpqn")
SCORERS = (1, 2, 3, 4)
PROPOSALS = (1, 2, 4, 8, 16)
"""Of each scorer."""
CURVE_WORLDS = 150
LETTERS = {"dil": LABELS, "ddlo": DECISIONS, "drl": RECURRENT, "ddpqn": COORDINATED, "meta_drl": SEQ2SEQ}
"""The kinds of their policies."""
LETTER_WORLDS = 60
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
    policies = {name: policy_file.parsed(policy_file.shipped(name), (STEPS, FLIPS)) for name in ("dil", "ddlo")}
    rows = []
    for group in GROUPS:
        among = _trials(problems(group))
        for name, shipped in policies.items():
            result = measured(shipped, among)
            rows.append([group, f"`{name}`", *_numbers(result)])
    head = ["network", "planner", "best steps, %", "greedy gap, %", "best of 64, %", "its p95, %"]
    return table(head, rows)


def _trials(some: Iterable[Problem]) -> list[Trial]:
    made = [trial(problem) for problem in some]
    return [each for each in made if each.exact > 0.0]


def _numbers(result: Measured) -> list[str]:
    numbers = (result.right, result.greedy.mean, result.best.mean, result.best.p95)
    return [_percent(number) for number in numbers]


def curve() -> str:
    """The mean gap of `ddlo` by its first scorers and what each proposes, on the network of no training."""
    scorer = Scorer(policy_file.parsed(policy_file.shipped("ddlo"), (FLIPS,)))
    costs = {(members, count): list[float]() for members in SCORERS for count in PROPOSALS}
    for found in _trials(islice(problems(OUTSIDE), CURVE_WORLDS)):
        seen = found.costs
        room, held = np.full(len(seen.nodes), np.inf), np.zeros(len(seen.pieces))
        made = [
            flipped(table, seen.forbidden, max(PROPOSALS), held, room) for table in scorer.scores(features_of(seen))
        ]
        totals = [seen.totals(ways) for ways in made]
        for members, count in costs:
            least = min(float(some[:count].min()) for some in totals[:members])
            costs[members, count].append(least / found.exact - 1.0)
    rows = [
        [str(members), *(_percent(Gaps.of(costs[members, count]).mean) for count in PROPOSALS)] for members in SCORERS
    ]
    return table(["scorers", *(f"{count} of each, %" for count in PROPOSALS)], rows)


def letters() -> str:
    """What the networks of the publications come to, by sums over units, beside the best single cut."""
    rows = []
    for group in GROUPS:
        among = _trials(islice(problems(group), LETTER_WORLDS))
        for name, kind in LETTERS.items():
            letter = policy_file.parsed(policy_file.read(policy(name), (kind,)), (kind,))
            result = measured(letter, among, method(name, literal=True).walks)
            cut = Gaps.of(each.cut / each.exact - 1.0 for each in among).mean
            local = Gaps.of(each.local / each.exact - 1.0 for each in among).mean
            rows.append([group, f"`{name}`", *_numbers(result), _percent(cut), _percent(local)])
    head = ["network", "to the letter", "best steps, %", "first way, %", "best of its ways, %", "its p95, %"]
    return table([*head, "best single cut, %", "staying local, %"], rows)


def errors() -> str:
    """How far what reinforced policies expect is from exact values, in percent of staying local."""
    policies = {name: policy_file.parsed(policy_file.shipped(name), (STEPS,)) for name in REINFORCED}
    scorers = {name: Scorer(policy) for name, policy in policies.items()}
    rows = []
    for group in GROUPS:
        grounds = [ground_of(problem) for problem in problems(group)]
        each = {
            name: statistics.fmean(order_error(ground, scorer.scores(ground.seen)[0]) for ground in grounds)
            for name, scorer in scorers.items()
        }
        rows.append([group, *(_percent(error) for error in each.values())])
    told = [_percent(float(policy.notes["q_error"])) for policy in policies.values()]
    rows.append(["whole values, while training", *told])
    return table(["network", *(f"`{name}`, %" for name in REINFORCED)], rows)


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
    print("\n\n".join(part() for part in (gaps, accuracy, curve, letters, errors, times)))
