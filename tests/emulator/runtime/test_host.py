"""One host: pure, replayable, halting for measured costs, and cut at any moment."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiled import Profiled
from worlds import InlinePlans, chain_graph, examples, fixed, groupings, run_world, small_world, worlds

from layerlift.emulator.nodes.events import Answered, Stored
from layerlift.emulator.protocol.messages import Delivery
from layerlift.emulator.protocol.routes import Routes
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.conductor import Conductor, LocalHosts
from layerlift.emulator.runtime.host import Answer, Host, pack
from layerlift.emulator.world.world import World


def with_data(world: World, groups: list[list[int]]) -> tuple[dict[str, list[Any]], Profiled]:
    rows: dict[str, list[Any]] = {table: [] for table in TABLES}
    data = Profiled(world)
    hosts = LocalHosts(world, groups, execution=True)
    Conductor(world, hosts, InlinePlans(world), lambda table, more: rows[table].extend(more), data).run()
    return rows, data


@pytest.mark.long
@given(worlds(), st.data())
@examples(40)
def test_a_new_host_is_brought_up_to_date_in_one_call(world: World, data: st.DataObject) -> None:
    """What a host did in many windows, another does in one, given all deliveries at once."""
    groups = data.draw(groupings(world))
    run = run_world(world, groups)
    answers: dict[int, list[Answer]] = {number: [] for number in range(len(groups))}
    arrived: dict[int, list[Delivery]] = {number: [] for number in range(len(groups))}
    reached: dict[int, float] = {}
    for (number, horizon, deliveries), answer in zip(run.hosts.calls, run.hosts.answers, strict=True):
        answers[number].append(answer)
        arrived[number] += deliveries
        reached[number] = horizon
    for number, horizon in reached.items():
        fresh = Host(world, groups[number])
        again = fresh.advance(horizon, arrived[number])
        assert again.departures == [each for answer in answers[number] for each in answer.departures]
        for table in TABLES:
            told = [row for answer in answers[number] for row in answer.rows.get(table, [])]
            assert again.rows.get(table, []) == told
        assert again.next_event == answers[number][-1].next_event
        assert repr(again.jobs) == repr([job for answer in answers[number] for job in answer.jobs])
        assert again.left == [each for answer in answers[number] for each in answer.left]


@pytest.mark.long
@given(worlds(), st.data())
@examples(40)
def test_measuring_what_the_profile_says_gives_the_profiled_tables(world: World, data: st.DataObject) -> None:
    """Hosts halt at every piece, whatever else they have to do; that must not show."""
    measured = replace(world, compute="measured")
    rows, plane = with_data(measured, data.draw(groupings(world)))
    assert repr(rows) == repr(run_world(world).rows)
    assert len({(p.user, p.query, p.step) for p in plane.measured}) == len(plane.measured)
    assert len(plane.measured) >= len(rows["segments"])
    assert plane.executed == []


@given(worlds())
@examples(40)
def test_the_data_plane_hears_of_every_piece_answer_and_part(world: World) -> None:
    rows, plane = with_data(world, pack(world, 1))
    names, users = [node.name for node in world.nodes], [user.name for user in world.users]
    ran = {(row[1], row[2], row[3], row[4]) for row in rows["segments"]}
    heard = {(names[p.node], users[p.user], p.query, p.step) for p in plane.executed}
    assert len(heard) == len(plane.executed)
    assert ran <= heard
    assert [p.at for p in plane.executed] == sorted(p.at for p in plane.executed)
    answered = {(row[2], row[3]) for row in rows["queries"] if row[4] == "answered"}
    assert {(users[a.user], a.query) for a in plane.answers} == answered
    failed = {(row[2], row[3]) for row in rows["queries"] if row[4] == "failed" and row[5] != "run ended"}
    assert {(users[user], query) for user, query in plane.forgotten} == failed
    released = {(row[1], row[2]) for row in rows["allocations"] if row[3] == "released"}
    assert released <= {(names[s.node], users[s.user]) for s in plane.stores if not s.parameters}
    ready = {(row[1], row[2]) for row in rows["allocations"] if row[3] == "admitted"}
    assert {(names[s.node], users[s.user]) for s in plane.stores if s.parameters} <= ready


@pytest.mark.long
@given(worlds(), st.data())
@examples(40)
def test_the_data_plane_hears_of_things_in_the_order_in_which_they_can_be_done(
    world: World, data: st.DataObject
) -> None:
    """Whatever the packing: parameters before pieces that use them, makers before readers, all before the answer."""
    _, plane = with_data(world, data.draw(groupings(world)))
    routes = Routes([model.graph for model in world.models])
    held: dict[tuple[int, int], set[int]] = {}
    done: dict[tuple[int, int], set[int]] = {}
    for event in plane.heard:
        if isinstance(event, Stored):
            mine = held.setdefault((event.node, event.user), set())
            mine.update(event.parameters)
            if not event.parameters:
                mine.clear()
            continue
        itinerary = routes[event.route]
        graph, steps = world.models[itinerary.model].graph, itinerary.route.steps
        ran = done.setdefault((event.user, event.query), set())
        if isinstance(event, Answered):
            assert ran == set(range(len(steps)))
            continue
        segment = steps[event.step].segment
        made_by = {graph.tensors[t].producer for t in graph.boundary(segment.first, segment.last)[0]}
        earlier = {n for n, step in enumerate(steps) for k in made_by if step.segment.first <= k <= step.segment.last}
        assert earlier <= ran
        if segment.node:
            wanted = graph.parameters_of(range(segment.first, segment.last + 1))
            assert wanted <= held.get((event.node, event.user), set())
        ran.add(event.step)


def test_a_part_without_parameters_does_not_let_the_others_go() -> None:
    graph = chain_graph([0, 0, 0], [10, 10])
    bare = replace(graph, layers=(graph.layers[0], replace(graph.layers[1], parameters=())))
    world = small_world(bare, [0.1, 0.1], fixed((1, 1), (0, 1)), user={"queries": 9})
    _, plane = with_data(world, pack(world, 1))
    assert [(stored.node, stored.parameters) for stored in plane.stores] == [(1, (0,))]


def test_a_halted_host_names_the_piece_and_goes_on_with_its_cost() -> None:
    world = replace(small_world(chain_graph([0, 0], [0]), [0.25], user={"queries": 1}), compute="measured")
    host = Host(world, [0], execution=True)
    halted = host.advance(10.0)
    assert halted.halted
    assert halted.next_event == 0.0
    (piece,) = halted.pieces
    assert (piece.at, piece.node, piece.user, piece.query, piece.step) == (0.0, 0, 0, 0, 0)
    assert not halted.rows
    done = host.advance(10.0, (), [((0, 0, 0), 4.0)])
    assert not done.halted
    (query,) = done.rows["queries"]
    assert query[0] == 4.0
    assert done.left == [(4.0, 0)]


def test_finishing_cuts_what_is_open() -> None:
    graph = chain_graph([0, 0], [1_000_000])
    world = small_world(graph, [1.0], fixed((1,)), until_s=2.5, user={"queries": None, "think_s": 0.0})
    host = Host(world, [0])
    host.advance(0.5)
    ended = host.finish(0.75)
    (query,) = ended.rows["queries"]
    assert query[4:6] == ("failed", "run ended")
    assert query[0] == 0.75
    (usage,) = ended.rows["usage"]
    assert usage[2:4] == (0.75, 0.75)


def test_a_busy_device_is_sampled_to_the_last_moment() -> None:
    world = small_world(
        chain_graph([0, 0], [0]), [0.4], sample_s=0.3, until_s=1.0, user={"queries": None, "think_s": 0.1}
    )
    usage = [row for row in run_world(world).tables["usage"] if row["node"] == "c0"]
    assert [row["at_s"] for row in usage] == pytest.approx([0.3, 0.6, 0.9, 1.0])
    assert [row["period_s"] for row in usage] == pytest.approx([0.3, 0.3, 0.3, 0.1])
    assert [row["busy_s"] for row in usage] == pytest.approx([0.3, 0.2, 0.3, 0.0])


@given(worlds(), st.integers(1, 12))
@examples(30)
def test_packs_hold_every_node_once_in_at_most_as_many_hosts(world: World, hosts: int) -> None:
    groups = pack(world, hosts)
    assert 1 <= len(groups) <= hosts
    assert all(groups)
    assert sorted(index for group in groups for index in group) == [node.index for node in world.nodes]


def test_a_machine_without_a_user_is_idle() -> None:
    world = small_world(chain_graph([0, 0], [0]), [0.1], clients=2)
    world = replace(world, users=world.users[:1])
    usage = {row["node"]: row["busy_s"] for row in run_world(world).tables["usage"]}
    assert usage["c1"] == 0.0
    assert usage["c0"] == pytest.approx(0.3)
    assert inf not in usage.values()
