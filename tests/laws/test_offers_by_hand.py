"""What servers offer and planners know, shared models, plans that come again: numbers worked out by hand."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from worlds import Run, chain_graph, fixed, run_world, small_world

from layerlift.emulator.protocol.messages import Leave
from layerlift.emulator.world.faults import Crash, Pairs, Trace
from layerlift.emulator.world.laws import Regular
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.users import PlanningSpec
from layerlift.planners.problem.plan import Plan, in_one_piece
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase

DELAY, RATE = 0.01, 1e6
LINK = LinkSpec(DELAY, RATE)
ONE = chain_graph([0, 0], [1_000_000])
PLANNED_S = 2 * DELAY + 12 / RATE + 0.003
"""From arrival to the first part: a round trip with the prediction; the request, the planning, the reply."""
ASKED_S = PLANNED_S - 0.002
"""From arrival until the planner is asked."""


class Widest(PlannerBase):
    """Everything to the server with the widest link."""

    optimises = "nothing"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        widths = [float(width) for width in problem.bandwidth_bytes_s[0][1:]]
        placement = (1 + widths.index(max(widths)),) * len(problem.graph)
        return Plan(placement, in_one_piece(placement))


def run(*users: Mapping[str, Any], graph: Any = ONE, seconds: float = 0.3, **changes: Any) -> Run:
    """Each user asks once a second; `seconds` is what a layer takes on one core of anybody."""
    world = small_world(
        graph, (seconds,) * len(graph), fixed((1,) * len(graph)), clients=len(users), link=LINK,
        user={"queries": 5, "asks": Regular(1000.0)}, **changes,
    )  # fmt: skip
    made = tuple(replace(user, **mine) for user, mine in zip(world.users, users, strict=True))
    return run_world(replace(world, users=made))


def of(run: Run, user: str, table: str, column: str) -> list[Any]:
    return [row[column] for row in run.tables[table] if row["user"] == user]


def problem(run: Run, user: str, number: int = 0) -> Problem:
    """What the planner was told for the nth plan of a user."""
    order = sorted((row["requested_s"], row["user"]) for row in run.tables["plans"])
    return run.plans.jobs[[n for n, (_, who) in enumerate(order) if who == user][number]].problem


# Models that users share


def shared(*users: Mapping[str, Any], **changes: Any) -> Run:
    return run(*users, server={"share_models": True, **changes.pop("server", {})}, **changes)


def test_the_second_user_of_a_model_uploads_nothing_and_memory_counts_once() -> None:
    """The first leaves after its query of 4 s; the second came at 2 s and goes on with what both had."""
    made = shared({}, {"arrival_s": 2.0})
    assert of(made, "u1", "uploads", "bytes") == [0]
    assert of(made, "u1", "uploads", "ended_s") == pytest.approx([2.0 + PLANNED_S + 2 * DELAY])
    rows = [(row["user"], row["event"], row["bytes"], row["held_bytes"]) for row in made.tables["allocations"]]
    assert rows == [
        ("u0", "admitted", 1_000_000, 1_000_000),
        ("u1", "admitted", 0, 1_000_000),
        ("u0", "released", 0, 1_000_000),
    ]
    assert of(made, "u1", "queries", "latency_s")[1:] == pytest.approx([0.62, 0.62, 0.32, 0.32])


def test_what_did_not_travel_takes_no_time_to_build() -> None:
    """1 MB takes 2 s to build. The second user of the model brings nothing, so its part is ready at once."""
    made = shared({}, {"arrival_s": 4.0}, server={"load_s_per_byte": 2e-6})
    assert of(made, "u0", "uploads", "ended_s") == pytest.approx([PLANNED_S + 1.0 + 2.0 + 2 * DELAY])
    assert of(made, "u1", "uploads", "bytes") == [0]
    assert of(made, "u1", "uploads", "ended_s") == pytest.approx([4.0 + PLANNED_S + 2 * DELAY])


def test_without_sharing_both_upload() -> None:
    made = run({}, {"arrival_s": 2.0})
    assert of(made, "u1", "uploads", "bytes") == [1_000_000]
    assert [row["held_bytes"] for row in made.tables["allocations"]][:2] == [1_000_000, 2_000_000]


def test_what_was_there_when_it_was_asked_for_may_be_gone() -> None:
    """The first leaves at 4.32 s, heard at 4.33. The second came at 4.305: told at 4.315 that all is there, it sends an
    empty part at 4.328, which arrives at 4.338 and is refused; told at 4.348, it sends the 1 MB."""
    made = shared({}, {"arrival_s": 4.305})
    left = next(d.at for d in made.hosts.departures if type(d.message) is Leave)
    assert left == pytest.approx(4.32)
    assert of(made, "u1", "uploads", "bytes") == [0, 1_000_000]
    assert of(made, "u1", "uploads", "status") == ["refused", "confirmed"]
    assert of(made, "u1", "uploads", "reason")[0] == "gone: 1 shared parameters have left"
    told_s = 4.305 + PLANNED_S + 2 * DELAY
    assert of(made, "u1", "uploads", "ended_s") == pytest.approx([told_s, told_s + 1.02])


def test_a_crash_frees_what_the_first_has_left_to_the_second() -> None:
    """The first leaves at 4.32 s; at 5.5 the server dies, and holds nothing. Back at 5.6, it gets 1 MB again."""
    made = shared({}, {"arrival_s": 2.0, "queries": 7}, faults=(Crash((2,), 5.5, 0.1),))
    rows = [(row["user"], row["event"], row["held_bytes"]) for row in made.tables["allocations"]]
    assert rows[2:] == [("u0", "released", 1_000_000), ("u1", "lost", 0), ("u1", "admitted", 1_000_000)]
    assert of(made, "u1", "uploads", "bytes") == [0, 1_000_000]


def test_memory_that_is_shared_admits_who_brings_nothing() -> None:
    made = shared({}, {"arrival_s": 2.0}, server={"memory_bytes": 1e6})
    assert of(made, "u1", "uploads", "status") == ["confirmed"]
    made = run({}, {"arrival_s": 2.0}, server={"memory_bytes": 1e6})
    assert of(made, "u1", "uploads", "status") == []


# Offers


@pytest.mark.parametrize(
    ("policy", "memory_bytes", "share", "link_share"),
    [
        # Three quarters of CPU and link, and all the memory: the heavier one.
        ("priority", 4e6, 0.75, 0.75),
        ("equal", 2e6, 0.5, 0.5),
        # What is left of the memory, by weight, up to what is wanted; CPU and link by weight.
        ("proportional", 3e6, 0.75, 0.75),
        # Nobody's memory can be taken: 1 MB of 4 is not free.
        ("greedy:cores=0.5", 3e6, 0.5, 0.5),
        ("first_come", 3e6, 1.0, 1.0),
    ],
)
def test_offers_to_who_comes_second(policy: str, memory_bytes: float, share: float, link_share: float) -> None:
    """One core, 4 MB, a link of 1 MB/s. The first has weight 1, wants 1 MB and holds it; the second has weight 3 and a
    model of 4 MB."""
    graph = chain_graph([1000] * 5, [1_000_000] * 4)
    first = {"planner": fixed((1, 0, 0, 0)), "weight": 1.0}
    second = {"planner": "local", "weight": 3.0, "arrival_s": 3.0}
    server = {"policy": policy, "memory_bytes": 4e6, "downlink_bytes_s": RATE}
    made = run(first, second, graph=graph, seconds=0.01, server=server, share_links=True)
    told = problem(made, "u1")
    assert told.memory_bytes[1] == pytest.approx(memory_bytes)
    assert told.share[1] == pytest.approx(share)
    assert told.bandwidth_bytes_s[0, 1] == pytest.approx(link_share * RATE)
    assert list(told.allowed[:, 1]) == [True] * 4
    alone = problem(made, "u0")
    assert (alone.memory_bytes[1], alone.bandwidth_bytes_s[0, 1]) == (4e6, RATE)


def test_the_offer_of_drf() -> None:
    """One core, 4 MB. The first wants 3 MB of memory (3/4) and 0.3 s each 0.32 s of the core (15/16), the second the
    same memory and a core. Each gets half a core: speeds 8/15 and 1/2, memory 1.6 and 1.5 MB; the 0.9 MB that are left
    go half to each: 1.95 MB."""
    graph = chain_graph([0, 0], [3_000_000])
    server = {"policy": "drf", "memory_bytes": 4e6}
    made = run({"queries": 9}, {"arrival_s": 5.0, "planner": "local"}, graph=graph, server=server)
    told = problem(made, "u1")
    assert told.memory_bytes[1] == pytest.approx(1.95e6)
    assert told.share[1] == pytest.approx(0.5)
    assert not told.allowed[0, 1]


def test_without_knowing_the_load_a_planner_takes_servers_for_idle() -> None:
    server = {"policy": "priority", "memory_bytes": 4e6}
    made = run({}, {"arrival_s": 3.0}, server=server, planning=PlanningSpec(knows_load=False))
    told = problem(made, "u1")
    assert (told.memory_bytes[1], told.share[1], told.load[1]) == (4e6, 1.0, 0.0)


# Heartbeats


@pytest.mark.parametrize(
    ("heartbeat_s", "arrival_s", "load"),
    [
        # The first's query is there from 2.01 to 2.31. Hello at 2.21: one piece.
        (float("inf"), 2.2, 1.0),
        # Hello at 2.36: nobody; but the beat of 2.25 says one, and the next comes at 2.5.
        (0.25, 2.35, 1.0),
        # Hello at 2.21: one piece; but the beat of 2.0 says none.
        (0.5, 2.2, 0.0),
        # The beat of 2.25 is heard at 2.26, after this question of 2.21 + 0.0110.
        (0.25, 2.2, 0.0),
    ],
)
def test_the_load_in_a_problem_is_as_old_as_the_heartbeat(heartbeat_s: float, arrival_s: float, load: float) -> None:
    """The planner lives on server 2, which has 0.01 s to server 1 and to the clients."""
    planning = PlanningSpec(at=3, heartbeat_s=heartbeat_s)
    made = run({}, {"arrival_s": arrival_s, "planner": "local"}, servers=2, planning=planning)
    assert problem(made, "u1").load[1] == load
    idle = run(
        {}, {"arrival_s": arrival_s, "planner": "local"}, servers=2, planning=replace(planning, knows_load=False)
    )
    assert problem(idle, "u1").load[1] == 0.0


# Bandwidth


@pytest.mark.parametrize(
    ("known", "first", "later"),
    [("true", 1e6, 4e6), ("nominal", 1e6, 1e6), ("measured", 1e6, 1e6 / (0.25 + 2 * DELAY))],
)
def test_what_bandwidth_a_planner_is_told(known: Any, first: float, later: float) -> None:
    """1 MB/s when the first plan is asked for, at 0.021 s; 4 MB/s from 0.03 s on, before the part enters the link: it
    takes 0.25 s and a round trip."""
    made = run(
        {"replan": "every", "replan_s": 1.0}, faults=(Trace(Pairs(0, 1, True), ((0.03, 4e6, None),)),),
        planning=PlanningSpec(bandwidth_known=known),
    )  # fmt: skip
    assert problem(made, "u0", 0).bandwidth_bytes_s[0, 1] == pytest.approx(first)
    assert problem(made, "u0", 1).bandwidth_bytes_s[0, 1] == pytest.approx(later)
    back = later if known == "measured" else 1e6
    assert problem(made, "u0", 1).bandwidth_bytes_s[1, 0] == pytest.approx(back)


# Plans that come again


def test_a_plan_that_says_what_is_being_done_disturbs_nothing() -> None:
    """A part takes 1.02 s and a plan comes each second: if each began it anew, none would ever be there."""
    made = run({"replan": "every", "replan_s": 1.0})
    assert of(made, "u0", "plans", "cause") == ["arrival"] + ["period"] * 4
    assert of(made, "u0", "plans", "requested_s") == pytest.approx([ASKED_S + k for k in range(5)])
    assert of(made, "u0", "uploads", "status") == ["confirmed"]
    assert of(made, "u0", "uploads", "ended_s") == pytest.approx([PLANNED_S + 1.02])
    assert of(made, "u0", "queries", "remote_layers") == [0, 0, 1, 1, 1]


def test_what_a_new_plan_does_not_want_is_let_go_when_no_query_needs_it_any_more() -> None:
    """At 1.5 s the link to server 2 becomes the wider one: the plan of 2.023 s has all there by 2.293. The query of 2
    s is still on server 1, until 2.32; then the client says so, and server 1 lets go at 2.33."""
    user = {"planner": "test_offers_by_hand:Widest", "replan": "every", "replan_s": 1.0}
    made = run(user, servers=2, graph=chain_graph([0, 0], [500_000]), faults=(Trace(Pairs(0, 2), ((1.5, 2e6, None),)),))
    assert of(made, "u0", "uploads", "server") == ["s1", "s2"]
    assert of(made, "u0", "uploads", "ended_s")[1] == pytest.approx(2.0 + PLANNED_S + 0.25 + 2 * DELAY)
    released = next(row for row in made.tables["allocations"] if row["event"] == "released")
    assert (released["server"], released["reason"]) == ("s1", "not wanted any more")
    assert released["at_s"] == pytest.approx(2.32 + DELAY)
    assert of(made, "u0", "queries", "latency_s") == pytest.approx([0.3, 0.32, 0.32, 0.32, 0.32])
    assert of(made, "u0", "queries", "remote_layers") == [0, 1, 1, 1, 1]
    ran = [row["node"] for row in made.tables["segments"]]
    assert ran == ["c0", "s1", "s1", "s2", "s2"]


def test_what_was_let_go_is_sent_again_when_a_plan_wants_it_back() -> None:
    """As before, but from 3.2 s on the link to server 1 is the wider one again: what it has let go travels again."""
    user = {"planner": "test_offers_by_hand:Widest", "replan": "every", "replan_s": 1.0, "queries": 7}
    wider = Trace(Pairs(0, 2), ((1.5, 2e6, None), (3.2, 5e5, None)))
    made = run(user, servers=2, graph=chain_graph([0, 0], [500_000]), faults=(wider,))
    assert of(made, "u0", "uploads", "server") == ["s1", "s2", "s1"]
    assert of(made, "u0", "uploads", "bytes") == [500_000] * 3
    assert of(made, "u0", "uploads", "status") == ["confirmed"] * 3


def test_who_finds_no_better_plan_goes_on_with_the_one_that_it_has() -> None:
    """Both want 1 MB of the 1.5 of server 1, and the second asks for it when it was promised to the first. Its planner
    insists: that cannot be, as it hears 0.023 s later, and the part for server 2 (1 MB, which has room) goes there."""
    first = {"planner": fixed((1, 0)), "on_refusal": "wait"}
    second = {"planner": fixed((1, 2), (0, 1)), "on_refusal": "replan"}
    made = run(first, second, graph=chain_graph([0] * 3, [1_000_000] * 2), servers=2,
               server={"memory_bytes": 1.5e6})  # fmt: skip
    assert of(made, "u1", "plans", "status") == ["accepted", "failed"]
    assert of(made, "u1", "uploads", "status") == ["refused", "confirmed"]
    planned_s = PLANNED_S + 12 / RATE
    assert of(made, "u1", "uploads", "sent_s") == pytest.approx([planned_s, 2 * planned_s + 0.02 + 0.02])
    assert of(made, "u1", "uploads", "wasted_bytes") == [0, 0]
    assert of(made, "u1", "queries", "remote_layers")[-1] == 1
