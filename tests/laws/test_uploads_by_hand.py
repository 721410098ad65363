"""Semantics, "An upload": parts, confirm results, timeouts, refusals and leaving, with numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from worlds import Run, chain_graph, fixed, run_world, small_world

from layerlift.emulator.protocol.messages import Confirm, Leave, UploadPart
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.world import World
from layerlift.models.graph.graph import Layer, Parameter

DELAY, RATE = 0.01, 1e6
LINK = LinkSpec(DELAY, RATE)
THREE = chain_graph([0, 0, 0, 0], [1_000_000, 2_000_000, 4_000_000])
"""Three layers of 1, 2 and 4 seconds of upload; their tensors have no bytes."""
PATIENT = {"queries": 40, "think_s": 0.5}
PLANNED_S = 2 * DELAY + 3 * 12 / RATE + 3 * 0.001
"""Predictions (12 bytes a layer) back after a round trip; the request, the planning (the lookahead), the reply."""
ONE_PLANNED_S = PLANNED_S - 2 * 12 / RATE
"""The same for a network of one layer."""


def upload(placement: tuple[int, ...], parts: tuple[int, ...] = (), **changes: Any) -> Run:
    user = {**PATIENT, **changes.pop("user", {})}
    world = small_world(
        changes.pop("graph", THREE), (0.01,) * len(placement), fixed(placement, parts), servers=2, link=LINK,
        user=user, **changes,
    )  # fmt: skip
    return run_world(world)


def column(run: Run, name: str, table: str = "uploads") -> list[Any]:
    return [row[name] for row in run.tables[table]]


def test_parts_go_one_after_the_other_each_until_its_confirm_result() -> None:
    run = upload((1, 2, 1), (1, 0, 2))
    assert column(run, "sent_s") == pytest.approx([PLANNED_S, PLANNED_S + 2.02, PLANNED_S + 3.04])
    assert column(run, "ended_s") == pytest.approx([PLANNED_S + 2.02, PLANNED_S + 3.04, PLANNED_S + 7.06])
    assert column(run, "server") == ["s2", "s1", "s1"]
    assert column(run, "bytes") == [2_000_000, 1_000_000, 4_000_000]
    assert set(column(run, "status")) == {"confirmed"}


def test_servers_side_by_side_when_asked_for() -> None:
    run = upload((1, 2, 1), (1, 0, 2), user={"uploads_at_once": "per_server"})
    ended = {(row["server"], row["part"]): row["ended_s"] for row in run.tables["uploads"]}
    assert ended == pytest.approx(
        {("s1", 1): PLANNED_S + 1.02, ("s2", 0): PLANNED_S + 2.02, ("s1", 2): PLANNED_S + 5.04}
    )


def test_each_layer_moves_as_soon_as_its_part_is_confirmed() -> None:
    run = upload((1, 2, 1), (1, 0, 2))
    confirmed = [row["ended_s"] for row in run.tables["uploads"]]
    for query in run.tables["queries"]:
        there = sum(at <= query["begun_s"] for at in confirmed)
        assert query["remote_layers"] == query["confirmed_parts"] == there


def test_a_whole_plan_moves_all_at_once() -> None:
    world = small_world(THREE, (0.01,) * 3, fixed((1, 2, 1), (1, 0, 2), whole=True), servers=2, link=LINK, user=PATIENT)
    run = run_world(world)
    last = max(row["ended_s"] for row in run.tables["uploads"])
    assert {(row["begun_s"] > last, row["remote_layers"]) for row in run.tables["queries"]} == {(False, 0), (True, 3)}


def test_building_a_part_delays_its_confirm_result() -> None:
    run = upload((1, 0, 0), server={"load_s_per_byte": 2e-6})
    assert column(run, "ended_s") == pytest.approx([PLANNED_S + 1.0 + 2.0 + 0.02])


def tied(world_graph: Any = THREE) -> Any:
    """The same chain, but layers 0 and 2 share a parameter of 1,000,000 bytes."""
    layers = (*world_graph.layers[:2], replace(world_graph.layers[2], parameters=(0,)))
    return replace(world_graph, layers=layers, parameters=world_graph.parameters[:2])


def test_a_shared_parameter_travels_and_is_held_once_per_server() -> None:
    same = upload((1, 0, 1), (0, 0, 1), graph=tied())
    assert column(same, "bytes") == [1_000_000, 0]
    assert column(same, "held_bytes", "allocations")[:2] == [1_000_000, 1_000_000]
    apart = upload((1, 0, 2), (0, 0, 1), graph=tied())
    assert column(apart, "bytes") == [1_000_000, 1_000_000]


def test_what_travels_may_be_less_than_what_is_held() -> None:
    sparse = replace(THREE, parameters=(Parameter("w0", 1_000_000, 250_000), *THREE.parameters[1:]))
    run = upload((1, 0, 0), graph=sparse)
    assert column(run, "bytes") == [250_000]
    assert column(run, "held_bytes", "allocations")[0] == 1_000_000
    assert column(run, "ended_s") == pytest.approx([PLANNED_S + 0.25 + 0.02])


def test_only_what_travels_is_built() -> None:
    """A quarter of 1 MB travels in 0.25 s and takes 0.5 s to build, whatever it takes of the memory."""
    sparse = replace(THREE, parameters=(Parameter("w0", 1_000_000, 250_000), *THREE.parameters[1:]))
    run = upload((1, 0, 0), graph=sparse, server={"load_s_per_byte": 2e-6})
    assert column(run, "ended_s") == pytest.approx([PLANNED_S + 0.25 + 0.5 + 0.02])


def test_a_late_confirm_result_leads_to_retries_and_then_the_next_part() -> None:
    """The timeout is shorter than the transfer: two tries of part 0 are lost, then part 1 is, and no layer moves."""
    run = upload((1, 1, 0), (0, 1, 0), user={"cr_timeout_s": 0.5, "retries": 1})
    assert column(run, "status") == ["lost"] * 4
    assert column(run, "part") == [0, 0, 1, 1]
    assert column(run, "attempt") == [1, 2, 1, 2]
    assert column(run, "ended_s") == pytest.approx([PLANNED_S + 0.5 * k for k in (1, 2, 3, 4)])
    assert set(column(run, "remote_layers", "queries")) == {0}
    admitted = [row for row in run.tables["allocations"] if row["event"] == "admitted"]
    assert [(row["part"], row["held_bytes"]) for row in admitted] == [(0, 1_000_000), (1, 3_000_000)]


def test_a_duplicate_is_confirmed_without_storing_twice() -> None:
    """The first CR takes 1.02 s and 2 s of building, the timeout is 2.5 s: the second copy finds the part there."""
    run = upload((1, 0, 0), (0, 0, 0), user={"cr_timeout_s": 2.5, "retries": 3}, server={"load_s_per_byte": 2e-6})
    assert column(run, "status") == ["lost", "confirmed"]
    first, second = run.tables["uploads"]
    assert second["sent_s"] == first["ended_s"] == pytest.approx(PLANNED_S + 2.5)
    assert second["ended_s"] == pytest.approx(PLANNED_S + 2.5 + 1.0 + 0.02)
    events = [(row["event"], row["held_bytes"]) for row in run.tables["allocations"]]
    assert events == [("admitted", 1_000_000)]
    confirms = [d for d in run.hosts.deliveries if type(d.message) is Confirm]
    assert [d.message.attempt for d in confirms] == [1, 2]


def test_a_duplicate_that_comes_while_the_part_is_built_waits_for_it() -> None:
    """A part of 1 s takes 5 s to build; its second copy comes at 2.01 s and must not be confirmed before 6.01 s."""
    run = upload((1, 0, 0), user={"cr_timeout_s": 1.0, "retries": 20}, server={"load_s_per_byte": 5e-6})
    confirmed = [row for row in run.tables["uploads"] if row["status"] == "confirmed"]
    assert confirmed == []
    confirms = [d for d in run.hosts.departures if type(d.message) is Confirm]
    assert min(d.at for d in confirms) == pytest.approx(PLANNED_S + DELAY + 1.0 + 5.0)
    patient = upload((1, 0, 0), user={"cr_timeout_s": 4.5, "retries": 1}, server={"load_s_per_byte": 5e-6})
    assert column(patient, "status") == ["lost", "confirmed"]
    assert column(patient, "ended_s")[1] == pytest.approx(PLANNED_S + 6.02)
    remote = [row for row in patient.tables["queries"] if row["remote_layers"]]
    assert remote
    assert min(row["begun_s"] for row in remote) >= PLANNED_S + 6.02 - 1e-9


def test_a_parameter_that_comes_again_is_neither_held_nor_built_twice() -> None:
    """Part 0 is stored, but its CR (at 3.02 s) is late; part 1 brings the same parameter and needs no building."""
    run = upload(
        (1, 0, 1), (0, 0, 1), graph=tied(), user={"cr_timeout_s": 2.5, "retries": 0}, server={"load_s_per_byte": 2e-6}
    )
    assert column(run, "status") == ["lost", "confirmed"]
    assert column(run, "bytes") == [1_000_000, 1_000_000]
    assert column(run, "ended_s")[1] == pytest.approx(PLANNED_S + 2.5 + 1.0 + 0.02)
    admitted = [(row["bytes"], row["held_bytes"]) for row in run.tables["allocations"]][:2]
    assert admitted == [(1_000_000, 1_000_000), (0, 1_000_000)]


SOON = 0.005
"""The second asks what the server offers before the first has asked for room."""


def crowd(on_refusal: str, *, later_s: float = 0.1, **user: Any) -> World:
    """Two users whose parts of 1 MB each want 1.5 MB of memory; the second comes later, the first stays 3.6 s."""
    graph = chain_graph([0, 0], [1_000_000])
    world = small_world(
        graph, (0.01,), fixed((1,)), clients=2, link=LINK, server={"memory_bytes": 1_500_000},
        user={"queries": 7, "think_s": 0.5, "on_refusal": on_refusal, **user},
    )  # fmt: skip
    first, second = world.users
    return replace(world, users=(first, replace(second, arrival_s=later_s, queries=20)))


def test_a_refused_part_is_skipped() -> None:
    run = run_world(crowd("skip"))
    mine = [row for row in run.tables["uploads"] if row["user"] == "u1"]
    assert [row["status"] for row in mine] == ["refused"]
    assert mine[0]["reason"] == "memory: 1000000 bytes wanted, 500000 free"
    assert mine[0]["ended_s"] == pytest.approx(0.1 + ONE_PLANNED_S + 1.02)
    refused = [row for row in run.tables["allocations"] if row["event"] == "refused"]
    assert [(row["user"], row["held_bytes"]) for row in refused] == [("u1", 1_000_000)]
    assert not any(row["remote_layers"] for row in run.tables["queries"] if row["user"] == "u1")


def test_a_refused_part_is_sent_again_until_there_is_room() -> None:
    """The first user leaves after 3.6 s or so; the second asks at 0.03 s and then every second, each time in 0.02 s."""
    run = run_world(crowd("wait", later_s=SOON, retry_wait_s=0.98))
    mine = [row for row in run.tables["uploads"] if row["user"] == "u1"]
    assert [row["status"] for row in mine] == ["refused"] * 4 + ["confirmed"]
    assert [row["wasted_bytes"] for row in mine] == [0] * 5
    asked_s = [SOON + ONE_PLANNED_S + k for k in range(5)]
    assert [row["sent_s"] for row in mine] == pytest.approx([*asked_s[:4], asked_s[4] + 2 * DELAY])
    assert mine[-1]["ended_s"] == pytest.approx(asked_s[4] + 2 * DELAY + 1.0 + 2 * DELAY)
    first_left = next(d.at for d in run.hosts.departures if type(d.message) is Leave)
    released = next(row for row in run.tables["allocations"] if row["event"] == "released")
    assert released["at_s"] == pytest.approx(first_left + DELAY)
    assert (released["bytes"], released["held_bytes"]) == (1_000_000, 0)
    assert any(row["remote_layers"] for row in run.tables["queries"] if row["user"] == "u1")


def test_a_plan_that_says_the_same_again_sends_again_what_was_refused() -> None:
    """The second skips what is refused. It plans every 1.2 s, in vain until the first has left at 3.6 s or so; the next
    plan says what the one in force says, and its part goes out again."""
    run = run_world(crowd("skip", replan="every", replan_s=1.2))
    mine = [row for row in run.tables["uploads"] if row["user"] == "u1"]
    assert [row["status"] for row in mine] == ["refused", "confirmed"]
    assert [row["sent_s"] for row in mine] == pytest.approx([0.1 + ONE_PLANNED_S, 0.1 + ONE_PLANNED_S + 3 * 1.2])


def test_waiting_for_room_ends_with_the_retries() -> None:
    run = run_world(crowd("wait", later_s=SOON, retry_wait_s=0.001, retries=1))
    mine = [row for row in run.tables["uploads"] if row["user"] == "u1"]
    assert [row["status"] for row in mine] == ["refused", "refused"]


def test_a_user_asks_for_another_plan_no_more_often_than_it_retries() -> None:
    """Three parts of 0.5 MB; the other user was promised 1 MB before the second of them. It is refused, and so is the
    third: there is one plan in vain after the first refusal, and none after the second."""
    graph = chain_graph([0] * 4, [500_000] * 3)
    user = {"queries": 7, "think_s": 0.5, "on_refusal": "replan", "retries": 1}
    world = small_world(
        graph, (0.01,) * 3, fixed((1, 1, 0)), clients=2, link=LINK, server={"memory_bytes": 1_500_000}, user=user
    )
    first, second = world.users
    run = run_world(replace(world, users=(first, replace(second, arrival_s=SOON, planner=fixed((1, 1, 1), (0, 1, 2))))))
    mine = [row for row in run.tables["uploads"] if row["user"] == "u1"]
    assert [(row["part"], row["status"]) for row in mine] == [(0, "confirmed"), (1, "refused"), (2, "refused")]
    plans = [(row["cause"], row["status"]) for row in run.tables["plans"] if row["user"] == "u1"]
    assert plans == [("arrival", "accepted"), ("refused", "failed")]


@pytest.mark.parametrize("share", [False, True])
def test_leaving_cancels_what_is_under_way(share: bool) -> None:
    """One query of 0.03 s and a pause of 1.5 s: about 1.5 s of the 4 s transfer are done when the user leaves."""
    run = upload((0, 0, 1), user={"queries": 1, "think_s": 1.5}, share_links=share, until_s=inf)
    (row,) = run.tables["uploads"]
    assert (row["status"], row["reason"]) == ("cancelled", "user left")
    assert row["ended_s"] == run.ending.at_s == pytest.approx(1.53)
    assert run.ending.in_flight_bytes == 4_000_000
    longer = small_world(
        THREE, (0.01,) * 3, fixed((0, 0, 1)), clients=2, link=LINK, share_links=share,
        user={"queries": 1, "think_s": 1.5},
    )  # fmt: skip
    longer = replace(longer, users=(longer.users[0], replace(longer.users[1], planner="local", queries=3)))
    ending = run_world(longer).ending
    assert (ending.cancelled_bytes, ending.in_flight_bytes) == (4_000_000, 0)


def test_a_copy_that_comes_after_its_user_has_left_is_not_kept() -> None:
    """The first copy takes 4 s and is given up after 0.5 s; the user leaves at 1.5 s; the copy lands at 4 s."""
    world = small_world(
        THREE, (0.01,) * 3, fixed((0, 0, 1)), clients=2, link=LINK,
        user={"queries": 1, "think_s": 1.5, "cr_timeout_s": 0.5, "retries": 0},
    )  # fmt: skip
    world = replace(world, users=(world.users[0], replace(world.users[1], planner="local", queries=6)))
    run = run_world(world)
    landed = [d.at for d in run.hosts.deliveries if type(d.message) is UploadPart]
    left = next(d.at for d in run.hosts.departures if type(d.message) is Leave)
    assert landed[0] > left
    assert run.tables["allocations"] == []
    assert [row["held_bytes"] for row in run.tables["usage"]] == [0, 0, 0, 0]


def test_a_part_without_parameters_is_confirmed_too() -> None:
    bare = replace(THREE, layers=(THREE.layers[0], Layer(1, "relu", "Relu", (1,), (2,), ()), THREE.layers[2]))
    run = upload((0, 1, 0), graph=bare)
    assert column(run, "status") == ["confirmed"]
    assert column(run, "ended_s") == pytest.approx([PLANNED_S + 2 * DELAY])
