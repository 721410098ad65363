"""Law 4 on the nine networks in the paper's environment, for every planner: one user, what was promised happens."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import inf, ulp
from typing import Any

import pytest
from tiers import quick_one

from layerlift.emulator import Scenario
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.local import LocalPlans
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.world import World
from layerlift.models.loading.zoo import classics
from layerlift.planners import Problem, latency, timeline
from layerlift.planners.problem.plan import Plan
from layerlift.planners.registry.planners import BUILTIN

SEARCHES = {
    "ga": "ga:evaluations=1500",
    "gibbs": "gibbs:sweeps=60",
    "optimal": "optimal:time_limit_s=10",
    "pso": "pso:evaluations=1500",
    "sa": "sa:evaluations=1500",
}
"""Planners that would take long on large networks, on a shorter leash."""
QUICK = sorted(set(BUILTIN) - set(SEARCHES) - {"exhaustive"})  # which refuses networks as large as these
PAIRS = ["shortest_path+recursive", "greedy+ionn", "random+efficiency", "all_remote+direct"]
FEW = 8
"""Queries during the upload, so that runs are short."""

_memory = PlanMemory()


@cache
def world_of(network: str) -> World:
    """The paper's twelve machines, one user who asks `network`."""
    overrides = ["users.0.count=1", f"users.0.model={network}", "users.0.profile_runs=0", "execution=none"]
    return replace(Scenario.load("paper", overrides).resolve(), sample_s=inf)


def planned(world: World) -> tuple[Problem, Plan]:
    """What the planner is asked and answers, told without running the world."""
    problem = problem_of(world, 0)
    outcome = LocalPlans(world, _memory).result(PlanJob(0.0, 0, world.users[0].planner, problem))
    assert not outcome.reason
    return problem, Plan(outcome.placement, outcome.uploads, whole=outcome.whole)


class Watched(LocalPlans):
    """Remembers what was asked and answered: a run tells planners of crowds what nobody else knows."""

    def __init__(self, world: World) -> None:
        super().__init__(world, _memory)
        self.seen: list[tuple[Problem, Plan]] = []

    def result(self, job: PlanJob) -> PlanOutcome:
        """As `LocalPlans`."""
        made = super().result(job)
        self.seen.append((job.problem, Plan(made.placement, made.uploads, whole=made.whole)))
        return made


Tables = dict[str, list[dict[str, Any]]]


def emulated(world: World) -> tuple[Tables, tuple[Problem, Plan]]:
    """The tables of a run on one clock, a dictionary a row, and what its only user was asked for and got."""
    tables: Tables = {name: [] for name in TABLES}

    def write(table: str, rows: list[tuple[Any, ...]]) -> None:
        columns = [name for name, _ in TABLES[table]]
        tables[table] += [dict(zip(columns, row, strict=True)) for row in rows]

    plans = Watched(world)
    OneClock(world, plans, write).run()
    [seen] = plans.seen
    return tables, seen


def watched(world: World, problem: Problem, plan: Plan, think_s: float) -> tuple[Tables, Problem, Plan]:
    """A run that lasts until some queries were asked after the upload of `plan`, and what was planned in it."""
    times = timeline(problem, plan)
    until_s = 1.2 * times.ended_s + 6 * max(times.latencies_s) + 3 * think_s + 1.0
    user = replace(world.users[0], think_s=think_s, queries=None)
    tables, (asked, made) = emulated(replace(world, users=(user,), until_s=until_s))
    return tables, asked, made


def check(network: str, planner: str, share_links: bool) -> None:
    """Every query takes what the plan promises for the parts that were confirmed when it began; never less, shared."""
    world = world_of(network)
    world = replace(world, users=(replace(world.users[0], planner=planner),), share_links=share_links)
    foretold = planned(world)
    think_s = timeline(*foretold).ended_s / FEW
    tables, problem, plan = watched(world, *foretold, think_s)
    if problem.crowd is None:
        assert plan == foretold[1]
    elif plan != foretold[1]:  # it was planned by more than was known before: how long it lasts is known only now
        tables, problem, plan = watched(world, problem, plan, think_s)
    times = timeline(problem, plan)
    [row] = tables["plans"]
    assert (row["p1_layers"], row["parts"]) == (len(plan.p1), len(plan.uploads))
    queries = [query for query in tables["queries"] if query["status"] == "answered"]
    after = [query for query in queries if query["plan_version"] and query["confirmed_parts"] == len(plan.uploads)]
    assert len(after) >= 2, "the upload did not end, or nobody asked after it"
    assert all(query["remote_layers"] == len(plan.p1) for query in after)
    assert times.latencies_s[-1] == latency(problem, plan.placement)
    for query in queries:
        confirmed = query["confirmed_parts"] // len(plan.uploads) if plan.whole else query["confirmed_parts"]
        promised_s = times.latencies_s[confirmed]
        close = 1e-9 * promised_s + 32 * ulp(query["ended_s"])
        assert query["latency_s"] >= promised_s - close
        if not share_links:
            assert query["latency_s"] <= promised_s + close


@pytest.mark.long
@pytest.mark.parametrize("planner", [*QUICK, *PAIRS])
@pytest.mark.parametrize("network", quick_one())
def test_queries_take_what_the_plan_promised(network: str, planner: str) -> None:
    check(network, planner, share_links=False)


@pytest.mark.long
@pytest.mark.parametrize("planner", ["direct", "random", "random+efficiency", "shortest_path+recursive"])
@pytest.mark.parametrize("network", classics())
def test_queries_on_shared_links_never_take_less_than_promised(network: str, planner: str) -> None:
    check(network, planner, share_links=True)


@pytest.mark.slow
@pytest.mark.parametrize("share_links", [False, True], ids=["independent", "shared"])
@pytest.mark.parametrize("planner", [*QUICK, *SEARCHES.values(), *PAIRS])
@pytest.mark.parametrize("network", classics())
def test_every_planner_on_every_network(network: str, planner: str, share_links: bool) -> None:
    check(network, planner, share_links)
