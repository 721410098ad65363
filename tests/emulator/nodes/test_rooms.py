"""Room that is asked for before a part travels: promises are kept, counted once, and end."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from worlds import Run, chain_graph, fixed, run_world, small_world

from layerlift.emulator import Scenario, run
from layerlift.emulator.nodes.server.rooms import Rooms
from layerlift.emulator.protocol.messages import RoomRequest, RoomReturn, UploadPart
from layerlift.emulator.world.links import LinkSpec
from layerlift.models.sums import int_sum

LINK = LinkSpec(0.01, 1e6)


def part(number: int = 0, attempt: int = 1, version: int = 1, user: int = 0) -> UploadPart:
    return UploadPart(user, version, number, attempt, (number,), (number,))


def test_a_promise_lasts_until_the_part_comes() -> None:
    rooms = Rooms()
    rooms.promise(part(0), 100)
    rooms.promise(part(1, user=3), 50)
    assert (rooms.promised_bytes, rooms.of(0), rooms.of(3), sorted(rooms.users)) == (150, 100, 50, [0, 3])
    rooms.take(part(0))
    rooms.take(part(0))
    assert (rooms.promised_bytes, rooms.of(0), rooms.users) == (50, 0, [3])
    rooms.validate()


def test_what_is_given_back_is_that_attempts_and_its_late_question_finds_nothing() -> None:
    rooms = Rooms()
    rooms.promise(part(attempt=2), 100)
    rooms.give_back(RoomReturn(0, 1, 0, 1))
    assert rooms.promised_bytes == 100, "the first attempt is over, the second has its own promise"
    rooms.give_back(RoomReturn(0, 1, 0, 2))
    assert rooms.promised_bytes == 0
    assert not rooms.wanted(part(attempt=2))
    assert rooms.wanted(part(attempt=3))
    assert rooms.wanted(part(1, attempt=1))


def test_another_plan_frees_what_the_one_before_was_promised() -> None:
    rooms = Rooms()
    rooms.promise(part(0), 100)
    rooms.promise(part(1), 10)
    rooms.promise(part(0, version=2), 70)
    assert rooms.of(0) == 70
    rooms.narrow(0, (0, 5))
    assert rooms.of(0) == 70
    rooms.narrow(0, (5,))
    assert (rooms.of(0), rooms.promised_bytes, rooms.users) == (0, 0, [])


def test_who_leaves_and_a_crash_free_everything() -> None:
    rooms = Rooms()
    rooms.promise(part(), 100)
    rooms.promise(part(user=1), 10)
    rooms.leave(0)
    assert rooms.promised_bytes == 10
    rooms.clear()
    assert (rooms.promised_bytes, rooms.users) == (0, [])


def crowd(count: int, on_refusal: str, *, share_links: bool = True, **user: Any) -> Run:
    """Users who all want 1 MB of a server's 1.5 MB from the first moment on, and stay for a while."""
    world = small_world(
        chain_graph([0, 0], [1_000_000]), (0.01,), fixed((1,)), clients=count, link=LINK, share_links=share_links,
        server={"memory_bytes": 1_500_000}, user={"queries": 7, "think_s": 0.5, "on_refusal": on_refusal, **user},
    )  # fmt: skip
    return run_world(world)


@pytest.mark.parametrize("on_refusal", ["wait", "replan"])
def test_of_many_who_ask_at_once_those_who_find_no_room_send_nothing(on_refusal: str) -> None:
    made = crowd(5, on_refusal, retries=2)
    first = [row for row in made.tables["uploads"] if row["attempt"] == 1]
    assert sorted(row["status"] for row in first) == ["confirmed"] + ["refused"] * (len(first) - 1)
    assert int_sum(row["wasted_bytes"] for row in made.tables["uploads"]) == 0
    sent = [d for d in made.hosts.departures if type(d.message) is UploadPart]
    confirmed = [row for row in made.tables["uploads"] if row["status"] == "confirmed"]
    assert len(sent) == len(confirmed)


def test_who_skips_sends_unasked_and_each_part_once() -> None:
    made = crowd(5, "skip")
    assert not any(type(d.message) is RoomRequest for d in made.hosts.departures)
    assert int_sum(row["wasted_bytes"] for row in made.tables["uploads"]) == 4_000_000


def test_a_server_that_can_never_refuse_is_not_asked() -> None:
    world = small_world(chain_graph([0, 0], [1_000_000]), (0.01,), fixed((1,)), link=LINK, user={"on_refusal": "wait"})
    assert world.nodes[1].memory_bytes == inf
    made = run_world(world)
    assert not any(type(d.message) is RoomRequest for d in made.hosts.departures)


def test_asking_costs_a_round_trip() -> None:
    plain = crowd(1, "skip").tables["uploads"]
    asked = crowd(1, "wait").tables["uploads"]
    assert asked[0]["sent_s"] == pytest.approx(plain[0]["sent_s"] + 0.02)
    assert asked[0]["ended_s"] == pytest.approx(plain[0]["ended_s"] + 0.02)


def test_room_that_was_promised_is_given_back_when_the_plan_is_dropped() -> None:
    """The first user is on its way with 1 MB when it leaves at 0.5 s; the second, who waits, has the room at once."""
    world = small_world(
        chain_graph([0, 0], [1_000_000]), (0.01,), fixed((1,)), clients=2, link=LINK,
        server={"memory_bytes": 1_500_000},
        user={"queries": 9, "think_s": 0.3, "on_refusal": "wait", "retry_wait_s": 0.4},
    )  # fmt: skip
    first, second = world.users
    made = run_world(replace(world, users=(replace(first, queries=2), second)))
    mine = {user: [row["status"] for row in made.tables["uploads"] if row["user"] == user] for user in ("u0", "u1")}
    assert mine["u0"] == ["cancelled"]
    assert mine["u1"][-1] == "confirmed"
    assert set(mine["u1"][:-1]) == {"refused"}


def test_a_part_that_comes_too_late_for_its_promise_is_asked_for_anew() -> None:
    """The transfer takes 1 s and is given up after 0.5: its room is free again, asked for again, and kept once."""
    made = crowd(1, "wait", share_links=False, cr_timeout_s=0.5, retries=3)
    assert [row["status"] for row in made.tables["uploads"]] == ["lost"] * 3 + ["confirmed"]
    assert [row["wasted_bytes"] for row in made.tables["uploads"]] == [1_000_000] * 3 + [0]
    admitted = [row for row in made.tables["allocations"] if row["event"] == "admitted"]
    assert [row["bytes"] for row in admitted] == [1_000_000]
    sent = [d for d in made.hosts.departures if type(d.message) is UploadPart]
    assert len(sent) == 3, "the first copy has come: who asks for the fourth hears that it is there"


def test_whole_models_are_not_carried_in_vain_where_memory_is_tight() -> None:
    """Twelve users want whole networks at once of servers that have room for some: it was gigabytes in vain."""
    scenario = {
        "nodes": [{"tier": "edge", "count": 3, "ghz": [24, 60], "cores": 4, "memory_mb": 150, "downlink_mb_s": 60}],
        "links": {
            "client-edge": {"bandwidth_mb_s": 12, "latency_ms": 4},
            "edge-edge": {"bandwidth_mb_s": 100, "latency_ms": 1},
        },
        "users": [
            {"count": 12, "device": {"ghz": [1, 2.5]}, "model": "resnet50", "planner": "direct", "think_s": 0.5,
             "on_refusal": "replan"}
        ],
        "execution": "none", "sample_s": None, "until_s": 30,
    }  # fmt: skip
    made = run(Scenario.from_dict(scenario), local=True)
    assert made.summary["troubles"]["wasted_bytes"] == 0
    assert made.summary["troubles"]["refused"] > 0
    assert sum(user["upload"]["state"] == "complete" and user["upload"]["parts"] for user in made.summary["users"]) == 3
