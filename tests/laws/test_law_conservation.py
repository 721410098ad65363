"""Law 5: nothing is lost or made up. Bytes, queries, busy time and memory, counted again from the outside."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import given
from worlds import Run, chain_graph, examples, fixed, run_world, small_world, worlds

from layerlift.emulator.protocol.messages import Cancel, PlanReady
from layerlift.emulator.world.world import World


def _users(run: Run, table: str) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in run.tables[table]:
        rows[row["user"]].append(row)
    return rows


@given(worlds())
@examples(80)
def test_every_byte_ends_in_one_way(world: World) -> None:
    run = run_world(world)
    ending, end = run.ending, run.ending.at_s
    left = {(d.source, d.sequence): d for d in run.hosts.departures if d.at <= end and type(d.message) is not Cancel}
    arrived = [(d.source, d.sequence) for d in run.hosts.deliveries if d.at <= end and type(d.message) is not PlanReady]
    assert len(set(arrived)) == len(arrived), "delivered twice"
    assert set(arrived) <= set(left), "delivered and never sent"
    sent, delivered = sum(d.bytes for d in left.values()), sum(left[key].bytes for key in arrived)
    assert (ending.sent_bytes, ending.delivered_bytes) == (sent, delivered)
    assert sent == delivered + ending.lost_bytes + ending.cancelled_bytes + ending.in_flight_bytes
    pending = [left[key] for key in set(left) - set(arrived)]
    # A cancelling has crossed its link when it stops a transfer; one that has ended by then is not in `pending`.
    heard = {
        (d.source, d.message.sequence)
        for d in run.hosts.departures
        if type(d.message) is Cancel and d.at + world.link(d.source, d.to).latency_s <= end
    }
    assert ending.cancelled_bytes == sum(d.bytes for d in pending if (d.source, d.sequence) in heard)
    assert ending.in_flight_bytes == sum(d.bytes for d in pending if (d.source, d.sequence) not in heard)
    usage = run.tables["usage"]
    assert sum(row["sent_bytes"] for row in usage) == sum(row["received_bytes"] for row in usage) == delivered


@given(worlds())
@examples(60)
def test_no_message_reaches_a_host_in_its_past(world: World) -> None:
    run = run_world(world, [[node.index] for node in world.nodes])
    known: dict[int, float] = defaultdict(float)
    for host, horizon, arrived in run.hosts.calls:
        assert all(known[host] <= each.at < horizon for each in arrived)
        known[host] = horizon
    latency = {(d.source, d.sequence): d.at + world.link(d.source, d.to).latency_s for d in run.hosts.departures}
    assert all(
        each.at >= latency[each.source, each.sequence]
        for each in run.hosts.deliveries
        if type(each.message) is not PlanReady
    )


@given(worlds())
@examples(80)
def test_every_query_ends_exactly_once(world: World) -> None:
    run = run_world(world)
    asked = _users(run, "queries")
    for user in world.users:
        rows = asked[user.name]
        assert [row["query"] for row in rows] == list(range(len(rows)))
        assert all((row["status"] == "answered") == (row["reason"] == "") for row in rows)
        assert all(row["status"] in ("answered", "failed") for row in rows)
        assert all(row["ended_s"] - row["asked_s"] == row["latency_s"] for row in rows)
        assert all(earlier["ended_s"] <= later["asked_s"] for earlier, later in pairwise(rows))
        assert [row for row in rows if row["reason"] == "run ended"] in ([], rows[-1:])
        if world.until_s == inf:
            assert len(rows) == user.queries
            assert not any(row["reason"] == "run ended" for row in rows)
        elif user.queries is not None:
            assert len(rows) <= user.queries
    assert all(row["at_s"] <= run.ending.at_s for rows in run.tables.values() for row in rows)


@given(worlds())
@examples(80)
def test_an_answered_query_ran_every_layer_once_and_in_order(world: World) -> None:
    run = run_world(world)
    by_query: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in run.tables["segments"]:
        by_query[row["user"], row["query"]].append(row)
        assert row["ready_s"] <= row["begun_s"] <= row["ended_s"] == row["at_s"]
    models = {user.name: world.models[user.model].graph for user in world.users}
    for query in run.tables["queries"]:
        rows = sorted(by_query.pop((query["user"], query["query"]), []), key=lambda row: row["step"])
        if query["status"] == "answered":
            layers = [layer for row in rows for layer in range(row["first_layer"], row["last_layer"] + 1)]
            assert layers == list(range(len(models[query["user"]])))
            assert [row["step"] for row in rows] == list(range(query["segments"]))
            here = sum(row["work_s"] for row in rows if row["node"] == query["client"])
            there = sum(row["work_s"] for row in rows if row["node"] != query["client"])
            assert (here, there) == pytest.approx((query["client_work_s"], query["server_work_s"]), rel=1e-12)
        for node in {row["node"] for row in rows}:
            mine = [row for row in rows if row["node"] == node]
            assert all(earlier["ended_s"] <= later["begun_s"] for earlier, later in pairwise(mine))
        assert all(query["asked_s"] <= row["begun_s"] and row["ended_s"] <= query["ended_s"] for row in rows)
    assert not by_query, "segments of a query that nobody asked"


@given(worlds())
@examples(80)
def test_busy_time_never_exceeds_the_cores(world: World) -> None:
    run = run_world(world)
    machines = {node.name: node for node in world.nodes}
    end, covered, busy = run.ending.at_s, defaultdict(float), defaultdict(float)
    for row in run.tables["usage"]:
        machine = machines[row["node"]]
        assert 0.0 <= row["busy_s"] <= machine.cores * row["period_s"] + 1e-9
        assert 0.0 <= row["radio_s"] <= row["period_s"] + 1e-9
        assert row["radio_s"] == 0.0 or machine.tier == "client"
        assert 0 <= row["held_bytes"] <= machine.memory_bytes
        assert 0.0 <= row["held_byte_s"] <= machine.memory_bytes * row["period_s"] * (1.0 + 1e-9)
        covered[row["node"]] += row["period_s"]
        busy[row["node"]] += row["busy_s"]
    assert all(covered[name] == pytest.approx(end, rel=1e-12) for name in machines)
    ended: dict[str, float] = defaultdict(float)
    for row in run.tables["segments"]:
        ended[row["node"]] += row["work_s"]
    for user in world.users:
        profiled = user.profile_runs * sum(world.seconds(user.model, user.client))
        ended[world.nodes[user.client].name] += (
            min(profiled, max(0.0, end - user.arrival_s)) if user.profile_runs else 0.0
        )
    assert all(busy[name] >= ended[name] - 1e-9 for name in machines), "work that no core did"
    if world.until_s == inf:
        assert all(busy[name] == pytest.approx(ended[name], abs=1e-9) for name in machines)


@given(worlds())
@examples(60)
def test_memory_is_given_back_when_a_user_leaves(world: World) -> None:
    run = run_world(world)
    held: dict[str, int] = defaultdict(int)
    of_user: dict[tuple[str, str], int] = defaultdict(int)
    memory = {node.name: node.memory_bytes for node in world.nodes}
    for row in run.tables["allocations"]:
        change = {"admitted": row["bytes"], "refused": 0, "released": -row["bytes"]}[row["event"]]
        held[row["server"]] += change
        of_user[row["server"], row["user"]] += change
        assert 0 <= row["held_bytes"] == held[row["server"]] <= memory[row["server"]]
        assert row["event"] != "released" or of_user[row["server"], row["user"]] == 0
    last = {row["node"]: row["held_bytes"] for row in run.tables["usage"]}
    assert all(last.get(name, 0) == held[name] for name in memory if run.ending.at_s > 0)
    gone = {d.message.user: d.at for d in run.hosts.departures if type(d.message).__name__ == "Leave"}
    longest = max(world.link(a, b).latency_s + world.header_bytes / 1e5 for a in world.clients for b in world.servers)
    for (_, name), bytes_left in of_user.items():
        user = next(user for user in world.users if user.name == name)
        if gone.get(user.index, inf) + longest < run.ending.at_s:
            assert bytes_left == 0, f"{name} left {bytes_left} bytes behind"


@pytest.mark.parametrize("first", [0, 1])
def test_memory_is_kept_by_whoever_shares_it(first: int) -> None:
    """Two users share a model of 1,000 and 200 bytes; the one who came first, or last, leaves first."""
    world = small_world(
        chain_graph([0, 0, 0], [1000, 200]), (0.1, 0.1), fixed((1, 1)), clients=3,
        server={"share_models": True, "memory_bytes": 1200}, until_s=4.0,
    )  # fmt: skip
    users = [replace(user, arrival_s=0.5 * user.index, queries=6, think_s=0.3) for user in world.users]
    users[first] = replace(users[first], queries=2)
    users[2] = replace(users[2], planner="local", arrival_s=0.0, queries=20)  # the run goes on without the others
    run = run_world(replace(world, users=tuple(users)))  # servers check themselves: what is held is charged to somebody
    decided = [(row["user"], row["event"], row["bytes"], row["held_bytes"]) for row in run.tables["allocations"]]
    assert decided[:2] == [("u0", "admitted", 1200, 1200), ("u1", "admitted", 0, 1200)]
    assert decided[2:] == [(f"u{first}", "released", 0, 1200), (f"u{1 - first}", "released", 1200, 0)]
