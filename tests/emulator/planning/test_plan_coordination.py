"""What a run tells of how latency, energy and money of its plans go together, and how evenly servers are used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import chain_graph, examples, fixed, run_world, small_world, worlds

from layerlift.emulator.planning import coordination
from layerlift.emulator.planning.coordination import plan_coordination
from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.results.writer import ResultWriter
from layerlift.emulator.studies.compare.metrics import see
from layerlift.emulator.world.describe import describe_world
from layerlift.emulator.world.world import World

ONE_LAYER = chain_graph([1000, 10], [100])
AWAY, HOME = fixed((1,)), fixed((0,))


def world(planners: tuple[str, ...], servers: int = 1, **given: Any) -> World:
    """Clients who take a second, or a tenth and what messages take on a server that asks USD 5 a second."""
    nodes = {"client": {"compute_w": 3.0, "radio_w": 1.0}, "server": {"price_per_s": 5.0}} | given
    made = small_world(ONE_LAYER, [1.0], clients=len(planners), servers=servers, server_ghz=10.0, **nodes)
    return replace(made, users=tuple(replace(u, planner=p) for u, p in zip(made.users, planners, strict=True)))


def result(ran: World) -> RunResult:
    done = run_world(ran)
    writer = ResultWriter(None)
    for table, rows in done.rows.items():
        writer.add(table, rows)
    writer.close({"world": describe_world(ran), "virtual_s": done.ending.at_s})
    return writer.result()


def test_plans_are_told_in_the_closed_form_of_a_world_with_one_layer() -> None:
    """At home nothing of latency and energy is gained and all of money; away it is the other way about."""
    home, away = (0.01 * 0.01 * 0.99) ** (1 / 6), (0.99 * 0.99 * 0.01) ** (1 / 6)
    found = result(world((HOME, AWAY)))
    assert [user["plan"]["coordination"] for user in found.summary["users"]] == pytest.approx([home, away], rel=1e-9)
    assert found.summary["totals"]["coordination"] == pytest.approx((home + away) / 2, rel=1e-9)
    assert see(found).numbers["coordination"] == found.summary["totals"]["coordination"]
    told = [row for row in found.measured.to_pylist() if row["kind"] == "coordination"]
    assert sorted((row["user"], row["query"]) for row in told) == [("u0", 1), ("u1", 1)]


def test_servers_that_do_the_same_are_even_and_one_that_does_all_is_not() -> None:
    even, lone = (result(world(planners, servers=2)) for planners in ((AWAY, fixed((2,))), (AWAY, AWAY)))
    for found, cv in ((even, 0.0), (lone, 1.0)):
        assert found.summary["totals"]["node_balance"] == pytest.approx(cv, abs=1e-9)
        assert see(found).numbers["node_balance"] == found.summary["totals"]["node_balance"]
    assert result(world((HOME, HOME), servers=2)).summary["totals"]["node_balance"] == 0.0


def test_nothing_is_told_where_latency_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = world((AWAY,), client={}, server={})
    assert plan_coordination(problem_of(bare, 0), (1,)) is None
    found = result(bare).summary
    assert found["users"][0]["plan"]["coordination"] is found["totals"]["coordination"] is None
    for some in ({"server": {}}, {"client": {}}):
        assert plan_coordination(problem_of(world((AWAY,), **some), 0), (1,)) is not None
    monkeypatch.setattr(coordination, "MOST_STEPS", 3)  # one unit, two nodes: four steps
    assert plan_coordination(problem_of(world((AWAY,)), 0), (1,)) is None


def test_a_plan_that_failed_is_not_told() -> None:
    found = result(world(("worlds:Illegal", AWAY)))
    assert found.summary["users"][0]["plan"] is None
    assert found.summary["totals"]["coordination"] == found.summary["users"][1]["plan"]["coordination"]


@pytest.mark.long
@examples(8)
@given(worlds(), st.booleans())
def test_a_degree_is_a_share_and_a_variation_is_bounded(some: World, dear: bool) -> None:
    priced = tuple(
        replace(node, price_per_s=0.1, compute_w=2.0) if node.tier in ("edge", "cloud") and dear else node
        for node in some.nodes
    )
    totals = result(replace(some, nodes=priced)).summary["totals"]
    assert totals["coordination"] is None or 0.1 - 1e-9 <= totals["coordination"] <= 0.995 + 1e-9
    servers = sum(node.tier in ("edge", "cloud") for node in some.nodes)
    assert 0.0 <= totals["node_balance"] <= max(servers - 1, 0) ** 0.5 + 1e-9
