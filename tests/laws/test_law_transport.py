"""Laws 1, 4 and 5 where links have transports: queues behind uploads, weights, connections that are slow at first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_law_promise import _close, _plan, _settled, lonely
from wild import wild_worlds, with_media, with_transports
from worlds import InlinePlans, Run, chain_graph, examples, fixed, groupings, run_world, small_world

from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.links import LinkSpec, Transport
from layerlift.emulator.world.world import World
from layerlift.planners import timeline
from layerlift.planners.cost.query import latency, latency_on
from layerlift.planners.cost.slow_start import Connections


def _kept(run: Run) -> tuple[int, int]:
    """Of the queries that were begun when all was uploaded, how many are foretold exactly, and how many are not known.

    The promise is that of connections in use. What a query takes on its connections as those before it have left them
    is foretold, too; of the first few one cannot know how they were left.
    """
    rows = _settled(run)
    if not rows:
        return 0, 0
    job = run.plans.jobs[0]
    placement = run.plans.result(job).placement
    promised_s = latency(job.problem, placement)
    cold, warm = Connections(), Connections(warm=True)
    foretold = unknown = 0
    for row in rows:
        assert row["latency_s"] >= promised_s - _close(row, promised_s)
        one_s, other_s = (latency_on(job.problem, placement, each, row["begun_s"]) for each in (cold, warm))
        if abs(one_s - other_s) <= _close(row, one_s):
            foretold += 1
            assert abs(row["latency_s"] - one_s) <= _close(row, one_s)
        else:
            unknown += 1
    return foretold, unknown


@given(lonely(share_links=False).flatmap(with_transports))
@examples(25)
def test_queries_on_independent_links_take_what_was_foretold(world: World) -> None:
    _kept(run_world(world))


@given(lonely(share_links=False).flatmap(with_media).flatmap(with_transports))
@examples(10)
def test_so_they_do_over_media(world: World) -> None:
    _kept(run_world(world))


@given(lonely(share_links=True).flatmap(with_transports))
@examples(12)
def test_queries_on_shared_links_never_take_less_than_the_plan_promised(world: World) -> None:
    run = run_world(world)
    for row in _settled(run):
        promised_s = latency(run.plans.jobs[0].problem, run.plans.result(run.plans.jobs[0]).placement)
        assert row["latency_s"] >= promised_s - _close(row, promised_s)


@given(lonely(share_links=False).flatmap(with_transports))
@examples(15)
def test_an_upload_follows_its_timeline_though_its_connections_are_slow_at_first(world: World) -> None:
    run = run_world(world)
    plan, rows = _plan(run), {row["part"]: row for row in run.tables["uploads"]}
    if plan is None or not rows:
        return
    expected = timeline(run.plans.jobs[0].problem, plan)
    begun = min(row["sent_s"] for row in rows.values())
    for number, row in rows.items():
        assert row["sent_s"] - begun == pytest.approx(expected.sent_s[number], rel=1e-9, abs=1e-12)
        if row["status"] == "confirmed":
            assert row["ended_s"] - begun == pytest.approx(expected.confirmed_s[number], rel=1e-9, abs=1e-12)


def test_a_lone_user_who_thinks_meets_slow_starts_and_one_who_does_not_does_not() -> None:
    """System: 100 ms one way, 144,800 bytes there and 14,480 back at 100 MB/s; a round trip and log2(11) of it."""
    graph = chain_graph([144_800, 14_480], [1000])
    link = LinkSpec(0.1, 1e8, transport=Transport(slow_start=True))
    seen = {}
    for think_s in (0.0, 0.5):
        user = {"queries": 20, "think_s": think_s}
        world = small_world(graph, [0.05], fixed((1,)), link=link, share_links=True, user=user)
        run = run_world(world)
        foretold, _ = _kept(run)
        assert foretold >= 6
        seen[think_s] = [row["latency_s"] for row in _settled(run)][-3:]
    log2_of_11 = 3.4594316186372973
    assert seen[0.0] == pytest.approx([0.25 + 159_280 / 1e8] * 3, rel=1e-9)
    assert seen[0.5] == pytest.approx([0.2 * log2_of_11 + 0.05 + 0.2] * 3, rel=1e-9)


@pytest.mark.parametrize(("queue_s", "weight"), [(0.0, 1.0), (0.04, 1.0), (0.04, 0.6), (0.004, 1.3)])
def test_a_query_beside_its_own_users_upload_takes_what_the_closed_form_says(queue_s: float, weight: float) -> None:
    """Two parts of which the second travels for seconds: the first layer is there, its input waits and is shared."""
    size, bandwidth, latency_s = 60_000, 1e6, 0.005
    graph = chain_graph([size, 1000, 1000], [500, 9_000_000])
    link = LinkSpec(latency_s, bandwidth, transport=Transport(1.0, queue_s, weight))
    planner = fixed((1, 1), (0, 1))
    world = small_world(graph, [0.02, 0.03], planner, link=link, share_links=True, user={"queries": 20})
    run = run_world(world)
    first, second = (row["ended_s"] for row in run.tables["uploads"])
    beside = [row for row in run.tables["queries"] if first < row["begun_s"] and row["ended_s"] < second]
    there_s = latency_s + queue_s + size * (1 + weight) / (bandwidth * weight)
    back_s = latency_s + 1000 / bandwidth
    assert len(beside) >= 10
    assert [row["latency_s"] for row in beside] == pytest.approx(
        [there_s + 0.02 + back_s + 0.03] * len(beside), rel=1e-9
    )


def _outcome(run: Run) -> tuple[Any, ...]:
    ending = run.ending
    books = ending.sent_bytes, ending.delivered_bytes, ending.lost_bytes, ending.cancelled_bytes, ending.in_flight_bytes
    assert books[0] == sum(books[1:])
    return repr(run.rows), ending.at_s, books


@given(wild_worlds(max_clients=4).flatmap(with_media).flatmap(with_transports), st.data())
@examples(8)
def test_packing_never_matters_and_no_byte_is_lost(world: World, data: st.DataObject) -> None:
    together = _outcome(run_world(world))
    assert _outcome(run_world(world, data.draw(groupings(world)))) == together
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    ending = OneClock(world, InlinePlans(world), lambda table, more: rows[table].extend(more)).run()
    assert (repr(rows), ending.at_s) == together[:2]


@pytest.mark.slow
def test_the_foretelling_is_tested_on_enough_queries() -> None:
    seen = {"foretold": 0, "slow": 0}

    @given(lonely(share_links=False).flatmap(with_transports))
    @examples(200)
    def count(world: World) -> None:
        run = run_world(world)
        foretold, _ = _kept(run)
        seen["foretold"] += foretold
        rows = _settled(run)
        if rows:
            promised_s = latency(run.plans.jobs[0].problem, run.plans.result(run.plans.jobs[0]).placement)
            seen["slow"] += any(row["latency_s"] > promised_s * 1.001 for row in rows)

    count()
    assert seen["foretold"] >= 50
    assert seen["slow"] >= 3
