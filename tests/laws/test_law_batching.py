"""The laws where servers batch: packing, conservation, the promise to a lone user."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from math import inf, ulp
from typing import Any

import pytest
from batching import batching, meeting
from hypothesis import given
from hypothesis import strategies as st
from worlds import InlinePlans, Run, examples, groupings, run_world, worlds

from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.host import pack
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.users import UserSpec
from layerlift.emulator.world.world import World
from layerlift.planners import timeline
from layerlift.planners.cost.query import latency
from layerlift.planners.problem.plan import Plan

CROWDED = st.one_of(
    worlds().flatmap(meeting),
    worlds().flatmap(meeting),
    worlds(planners=("direct", "worlds:RandomCrowd")).flatmap(batching),
)


def _outcome(world: World, groups: list[list[int]]) -> tuple[object, ...]:
    run = run_world(world, groups)
    return repr(run.rows), run.ending.at_s, run.ending.sent_bytes


@pytest.mark.long
@given(CROWDED, st.data())
@examples(25)
def test_packing_never_matters(world: World, data: st.DataObject) -> None:
    together = _outcome(world, pack(world, 1))
    assert _outcome(world, [[node.index] for node in world.nodes]) == together
    assert _outcome(world, data.draw(groupings(world))) == together
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    ending = OneClock(world, InlinePlans(world), lambda table, more: rows[table].extend(more)).run()
    assert (repr(rows), ending.at_s, ending.sent_bytes) == together


def batches_are_kept(run: Run) -> None:
    """Every piece that ran on a server that batches was in one batch, whose seconds its pieces share."""
    nodes = {node.name: node for node in run.world.nodes}
    pieces: Counter[tuple[object, ...]] = Counter()
    shares: dict[str, float] = defaultdict(float)
    for row in run.tables["segments"]:
        if nodes[row["node"]].discipline == "batch":
            key = row["node"], row["begun_s"], row["ended_s"], row["first_layer"], row["last_layer"]
            pieces[key] += 1
            shares[row["node"]] += row["work_s"]
    spent: dict[str, float] = defaultdict(float)
    for row in run.tables["batches"]:
        node = nodes[row["node"]]
        assert node.discipline == "batch"
        assert 1 <= row["size"] - row["given_up"] <= row["size"] <= node.max_batch
        assert row["came_s"] <= row["begun_s"] <= row["at_s"] == pytest.approx(row["begun_s"] + row["work_s"])
        assert 0.0 <= row["company_s"] <= min(node.batch_wait_s, row["begun_s"] - row["came_s"]) + 1e-12
        pieces[row["node"], row["begun_s"], row["at_s"], row["first_layer"], row["last_layer"]] -= (
            row["size"] - row["given_up"]
        )
        spent[row["node"]] += row["work_s"] * (1.0 - row["given_up"] / row["size"])
    assert not any(pieces.values()), "pieces and batches do not agree"
    assert shares == pytest.approx(spent)


@given(CROWDED)
@examples(40)
def test_pieces_and_batches_agree(world: World) -> None:
    run = run_world(world)
    batches_are_kept(run)
    busy: dict[str, float] = defaultdict(float)
    for row in run.tables["usage"]:
        busy[row["node"]] += row["busy_s"]
    spent: dict[str, float] = defaultdict(float)
    for row in run.tables["batches"]:
        spent[row["node"]] += row["work_s"]
    assert all(busy[name] >= work - 1e-9 for name, work in spent.items())
    if world.until_s == inf:
        assert all(busy[name] == pytest.approx(work, abs=1e-9) for name, work in spent.items())


@st.composite
def lonely(draw: st.DrawFn, share_links: bool) -> World:
    """One user who is told the truth, before servers most of which batch."""
    planners = ("worlds:RandomPlanner",) * 5 + ("ionn", "direct")
    world = draw(worlds(max_clients=1, share_links=share_links, planners=planners, cut=False, limits=False))
    user: UserSpec = replace(world.users[0], queries=draw(st.integers(4, 20)), cr_timeout_s=inf, profile_runs=1)
    planning = replace(world.planning, predictions="exact")
    return draw(batching(replace(world, users=(user,), planning=planning, sample_s=inf)))


def _plan(run: Run) -> Plan | None:
    if not run.tables["plans"]:
        return None
    outcome = run.plans.result(run.plans.jobs[0])
    return Plan(outcome.placement, outcome.uploads, whole=outcome.whole)


@given(lonely(share_links=False))
@examples(60)
def test_a_lone_user_takes_what_the_plan_promised(world: World) -> None:
    """Its queries, the wait for company that never comes included; and its upload, which waits for nobody."""
    run = run_world(world)
    plan = _plan(run)
    if plan is None:
        return
    problem = run.plans.jobs[0].problem
    confirmed = [row["ended_s"] for row in run.tables["uploads"] if row["status"] == "confirmed"]
    since_s = max(confirmed, default=run.tables["plans"][0]["at_s"] + 1.0)
    promised_s = latency(problem, plan.placement)
    if len(confirmed) == len(plan.uploads):
        for row in run.tables["queries"]:
            if row["begun_s"] > since_s:
                assert abs(row["latency_s"] - promised_s) <= 1e-9 * promised_s + 32 * ulp(row["ended_s"])
    expected = timeline(problem, plan)
    rows = {row["part"]: row for row in run.tables["uploads"]}
    begun_s = min((row["sent_s"] for row in rows.values()), default=0.0)
    for part, row in rows.items():
        assert row["sent_s"] - begun_s == pytest.approx(expected.sent_s[part], rel=1e-9, abs=1e-12)
        if row["status"] == "confirmed":
            assert row["ended_s"] - begun_s == pytest.approx(expected.confirmed_s[part], rel=1e-9, abs=1e-12)


@pytest.mark.long
def test_company_is_found_and_waited_for_often_enough() -> None:
    """The properties above would hold where nobody ever met, or waited."""
    seen: Counter[str] = Counter()

    @given(CROWDED)
    @examples(30)
    def count(world: World) -> None:
        batches = run_world(world).tables["batches"]
        seen["together"] += any(row["size"] > 1 for row in batches)
        seen["waited"] += any(row["company_s"] > 0.0 for row in batches)

    count()
    assert seen["together"] >= 6
    assert seen["waited"] >= 6
