"""Law 4 for streams: a lone user's queries are answered as often as the plan's period promises, and never oftener."""

from __future__ import annotations

import random
from dataclasses import replace
from math import ceil, inf, lcm
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from wild import with_media
from worlds import Run, examples, run_world, worlds

from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.world.laws import AllAt, Regular
from layerlift.emulator.world.world import World
from layerlift.planners import Objective, Plan, Problem, cost, make, timeline

PLANNERS = ("pipeline", "pipeline", "pipeline+recursive", "worlds:RandomPlanner", "units")


@st.composite
def lone_streams(draw: st.DrawFn, share_links: bool | None = None, chain: bool | None = None, **options: Any) -> World:
    """One user who is told the truth, with several queries in flight, and stays until all is uploaded."""
    options = {"planners": PLANNERS, **options}
    world = draw(worlds(max_clients=1, chain=chain, share_links=share_links, cut=False, limits=False, **options))
    wanted = Objective(latency=draw(st.sampled_from((0.0, 0.0, 1.0))), period=1.0)
    user = replace(
        world.users[0], objective=wanted, think_s=0.0, cr_timeout_s=inf, profile_runs=1, queries=30,
        in_flight=draw(st.sampled_from((2, 3, 7))),
    )  # fmt: skip
    return replace(world, users=(user,), planning=replace(world.planning, predictions="exact"), sample_s=inf)


def settled(run: Run) -> list[dict[str, Any]]:
    """Answered queries that were begun after the last confirm result of a plan that is all there, as they ended."""
    if not run.tables["plans"]:
        return []
    outcome = run.plans.result(run.plans.jobs[0])
    assert not outcome.reason
    confirmed = [row["ended_s"] for row in run.tables["uploads"] if row["status"] == "confirmed"]
    if len(confirmed) < len(outcome.uploads):
        return []
    since = max(confirmed, default=run.tables["plans"][0]["at_s"] + 1.0)
    rows = [row for row in run.tables["queries"] if row["begun_s"] > since]
    assert all(row["status"] == "answered" for row in rows)
    return sorted(rows, key=lambda row: row["ended_s"])


def promised(run: Run) -> float:
    """The period of the plan that the run followed."""
    job = run.plans.jobs[0]
    return cost.period(job.problem, run.plans.result(job).placement)


@given(st.one_of(lone_streams(), lone_streams(share_links=True).flatmap(with_media)))
@examples(100)
def test_queries_never_take_less_than_their_periods(world: World) -> None:
    run = run_world(world)
    rows = settled(run)
    if rows:
        took_s = rows[-1]["ended_s"] - min(row["begun_s"] for row in rows)
        assert took_s >= len(rows) * promised(run) * (1.0 - 1e-9)
    told = [row for row in run.tables["measured"] if row["kind"] == "period_s"]
    assert len(told) == len(run.tables["plans"])
    assert all(row["value"] == promised(run) for row in told)


def planned(world: World) -> tuple[Problem, Plan]:
    """The problem and the plan of the first user, without running the world."""
    problem = problem_of(world, 0)
    return problem, make(world.users[0].planner).plan(problem, random.Random(0))


def stages(placement: tuple[int, ...]) -> list[int]:
    return [node for at, node in enumerate(placement) if not at or placement[at - 1] != node]


@given(lone_streams(chain=True, planners=("pipeline",), max_layers=8))
@examples(80)
def test_questions_that_come_once_a_period_take_what_one_alone_takes(world: World) -> None:
    """Under either discipline, and over shared links with ports."""
    problem, plan = planned(world)
    nodes = stages(plan.placement)
    period_s, alone_s = cost.period(problem, plan.placement), cost.latency(problem, plan.placement)
    assume(len(nodes) == len(set(nodes)) and period_s > 1e-6)
    start_s = timeline(problem, plan).ended_s * 2.0 + 5.0
    user = replace(world.users[0], asks=Regular(period_s * 1000.0, start_s), in_flight=1000, queries=12)
    run = run_world(replace(world, users=(user,)))
    assume(not run.tables["uploads"] or all(row["status"] == "confirmed" for row in run.tables["uploads"]))
    rows = settled(run)
    assert len(rows) == 12
    first_s = rows[0]["latency_s"]
    assert first_s >= alone_s * (1.0 - 1e-9)
    assert first_s <= alone_s * (1.0 + 1e-9) + 1e-12 or problem.shared is not None
    for row in rows:
        assert row["latency_s"] == pytest.approx(first_s, rel=1e-9, abs=1e-9)
    span_s = rows[-1]["ended_s"] - rows[0]["ended_s"]
    assert span_s == pytest.approx(11 * period_s, rel=1e-9, abs=1e-9)


@pytest.mark.long
@given(lone_streams(chain=True, planners=("pipeline",), max_layers=8))
@examples(60)
def test_back_to_back_they_are_answered_at_the_promised_rate(world: World) -> None:
    """With enough in flight and CPUs that serve in turn, after the fill: as many answers as are in flight at once."""
    problem, plan = planned(world)
    nodes, spent = stages(plan.placement), cost.evaluate(problem, plan.placement)
    period_s, alone_s = spent.period_s, spent.latency_s
    cpu_s = max(busy * problem.occupancy[node] for node, busy in enumerate(spent.busy_s))
    assume(len(nodes) == len(set(nodes)) and cpu_s == period_s > 1e-6 and alone_s / period_s < 40.0)
    cores = lcm(*(node.cores for node in world.nodes))
    flights = cores * ceil((2.0 * alone_s / period_s + 2.0 * len(world.nodes)) / cores)
    # All at once, so that the next one begins whenever one is answered, and none before the upload is done.
    asks = AllAt(timeline(problem, plan).ended_s * 2.0 + 5.0)
    user = replace(world.users[0], asks=asks, in_flight=flights, queries=6 * flights)
    run = run_world(replace(world, users=(user,), nodes=tuple(replace(n, discipline="fifo") for n in world.nodes)))
    rows = settled(run)
    assert len(rows) == 6 * flights or any(row["status"] != "confirmed" for row in run.tables["uploads"])
    begun = max((row["begun_s"] for row in rows), default=0.0)
    ends = [row["ended_s"] for row in rows if row["ended_s"] <= begun]
    for first, last in zip(ends[3 * flights :], ends[4 * flights :], strict=False):
        assert last - first == pytest.approx(flights * period_s, rel=1e-9, abs=1e-9)
