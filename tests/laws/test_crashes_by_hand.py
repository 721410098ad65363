"""Semantics, "A query" and "Links that change": servers that crash, with numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from test_queries_by_hand import graph_of
from worlds import Run, chain_graph, fixed, run_world, small_world

from layerlift.emulator.protocol.messages import Hello, Load
from layerlift.emulator.world.faults import Crash, Fault, Outage, Pairs
from layerlift.emulator.world.laws import Regular
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.users import PlanningSpec

DELAY, RATE = 0.01, 1e6
LINK = LinkSpec(DELAY, RATE)
THREE = chain_graph([0, 0, 0, 0], [1000, 1000, 1000])
SECONDS = (0.1, 0.2, 0.4)
PLANNED_S = 2 * DELAY + 3 * 12 / RATE + 3 * 0.001
ONE, TWO = 1, 2
"""Node indices of the servers."""


def run(*faults: Fault, placement: tuple[int, ...] = (0, 1, 1), **changes: Any) -> Run:
    """A question a second. Of the usual network, layer 0 takes 0.1 s here, and the others 0.6 s on server 1."""
    user = {"queries": 6, "asks": Regular(1000.0), **changes.pop("user", {})}
    world = small_world(
        changes.pop("graph", THREE), changes.pop("seconds", SECONDS), changes.pop("planner", fixed(placement)),
        link=LINK, faults=faults, user=user, **changes,
    )  # fmt: skip
    return run_world(world)


def column(run: Run, name: str, table: str = "uploads") -> list[Any]:
    return [row[name] for row in run.tables[table]]


def pieces(run: Run, query: int) -> list[tuple[str, int, int]]:
    """Node, first and last layer of what ran to its end for a query, in the order in which it ended."""
    rows = [row for row in run.tables["segments"] if row["query"] == query]
    return [(row["node"], row["first_layer"], row["last_layer"]) for row in rows]


HOME, AWAY = 0.7, 0.1 + DELAY + 0.6 + DELAY


def test_a_query_on_a_dead_server_is_finished_at_home_and_its_delay_says_so() -> None:
    """Query 2: layer 0 until 2.1, on the server from 2.11; it dies at 2.3, the client hears it at 2.31 and runs layers
    1 and 2 in 0.6 s: 0.31 + 0.6. Back at 3.5 s, its parts are sent again at 3.51: 0.002 s and a round trip."""
    made = run(Crash((ONE,), 2.3, 1.2))
    assert column(made, "latency_s", "queries") == pytest.approx([HOME, AWAY, 0.31 + 0.6, HOME, AWAY, AWAY])
    assert column(made, "fallback", "queries") == ["", "", "s1 is down", "", "", ""]
    assert column(made, "confirmed_parts", "queries") == [0, 1, 1, 0, 1, 1]
    assert pieces(made, 2) == [("c0", 0, 0), ("c0", 1, 2)]
    assert column(made, "status") == ["confirmed", "confirmed"]
    assert column(made, "sent_s") == pytest.approx([PLANNED_S, 3.51])
    assert column(made, "ended_s") == pytest.approx([PLANNED_S + 2 * DELAY + 0.002, 3.51 + 2 * DELAY + 0.002])
    held = [(row["event"], row["bytes"], row["held_bytes"]) for row in made.tables["allocations"]]
    assert held[:3] == [("admitted", 2000, 2000), ("lost", 2000, 0), ("admitted", 2000, 2000)]
    assert column(made, "at_s", "allocations")[1] == 2.3
    changes = [(row["at_s"], row["node"], row["kind"]) for row in made.tables["changes"]]
    assert changes == [(2.3, "s1", "crash"), (3.5, "s1", "restart")]
    busy = next(row["busy_s"] for row in made.tables["usage"] if row["node"] == "s1")
    assert busy == pytest.approx(0.6 + (2.3 - 2.11) + 0.6 + 0.6)


def test_an_answer_that_left_before_the_crash_arrives() -> None:
    """The server ends at 1.71 and dies at 1.715: the answer is on its way, and is there at 1.72, before the news."""
    made = run(Crash((ONE,), 1.715))
    assert column(made, "latency_s", "queries")[1] == pytest.approx(AWAY)
    assert column(made, "fallback", "queries")[1] == ""


def test_a_server_that_dies_in_the_middle_of_a_transfer_is_used_again_when_it_is_back() -> None:
    """2 MB are on their way from 0.033 s; at 1 s the server dies, and 0.967 MB have crossed in vain, `resume` or not:
    a dead server keeps nothing. At 3 s it is back, at 3.01 s the client sends the part again, whole."""
    for resume in (False, True):
        made = run(Crash((ONE,), 1.0, 2.0), graph=chain_graph([0] * 4, [1_000_000] * 3), user={"resume": resume})
        assert column(made, "status") == ["failed", "confirmed"]
        assert column(made, "reason")[0] == "s1 is down"
        assert column(made, "ended_s") == pytest.approx([1.01, 3.01 + 2.0 + 2 * DELAY])
        assert column(made, "bytes") == [2_000_000, 2_000_000]
        assert column(made, "wasted_bytes") == [pytest.approx((1.0 - PLANNED_S - DELAY) * RATE, abs=1), 0]
        assert made.ending.lost_bytes == 2_000_000
        assert column(made, "remote_layers", "queries")[-1] == 0
        assert {row["kind"] for row in made.tables["changes"]} == {"crash", "restart"}


def test_a_server_that_was_dead_and_is_back_is_used() -> None:
    """As before, but there is time for queries afterwards: that of 6 s runs there."""
    made = run(Crash((ONE,), 1.0, 2.0), graph=chain_graph([0] * 4, [1_000_000] * 3), user={"queries": 8})
    assert column(made, "latency_s", "queries")[5:] == pytest.approx([HOME, AWAY, AWAY])


def test_a_crash_while_a_part_is_being_built() -> None:
    """2,000 bytes arrive at 0.035 s and take 2 s to build. The server dies at 1 s and is back at 1.5 s."""
    made = run(Crash((ONE,), 1.0, 0.5), server={"load_s_per_byte": 1e-3})
    assert column(made, "status") == ["failed", "confirmed"]
    assert column(made, "reason") == ["s1 is down", ""]
    assert column(made, "wasted_bytes") == [2000, 0]
    assert column(made, "ended_s") == pytest.approx([1.01, 1.51 + 2 * DELAY + 0.002 + 2.0])
    assert [row["event"] for row in made.tables["allocations"]][:3] == ["admitted", "lost", "admitted"]
    assert column(made, "remote_layers", "queries") == [0, 0, 0, 0, 2, 2]


CHAIN = chain_graph([0, 1_000_000, 0, 0], [1000, 1000, 1000])
"""What layer 0 makes takes 1 s from server to server."""


def path(*faults: Fault, **changes: Any) -> Run:
    """Layer 0 on server 1, layer 1 on server 2, layer 2 here: query 2 is on server 1 from 2.01 to 2.11, on its way to
    server 2 from 2.12 to 3.12, there until 3.32, and here from 3.33 to 3.73."""
    user = {"queries": 3, "asks": Regular(1000.0), "in_flight": 4, "uploads_at_once": "per_server"}
    return run(*faults, placement=(1, 2, 0), graph=CHAIN, servers=2, user=user, **changes)


def test_the_usual_course_of_a_path_over_two_servers() -> None:
    assert column(path(), "latency_s", "queries")[1:] == pytest.approx([1.73, 1.73])


@pytest.mark.parametrize(
    ("node", "at_s", "latency_s"), [(1, 2.05, 1.46), (2, 2.05, 1.46), (1, 2.6, 1.43), (2, 2.6, 1.43), (2, 3.2, 1.91)]
)
def test_whichever_server_of_a_path_dies_the_client_begins_at_what_it_has(
    node: int, at_s: float, latency_s: float
) -> None:
    """It has the input alone: all 0.7 s, 0.01 s after the crash. At 2.06 it shares its core with query 1, which falls
    back as well: 1.4 s. At 2.61 query 1 has 0.12 s left of its last layer: 0.82 s. At 3.21 nobody is there."""
    made = path(Crash((node,), at_s))
    last = made.tables["queries"][-1]
    assert (last["query"], last["fallback"]) == (2, f"s{node} is down")
    assert last["latency_s"] == pytest.approx(latency_s)
    assert pieces(made, 2)[-1] == ("c0", 0, 2)


def test_a_tensor_between_two_servers_that_breaks_off_is_told_to_the_client() -> None:
    """The link from server 1 to server 2 breaks at 2.6 s for 0.1 s: as if one of them had died."""
    made = path(Outage(Pairs(ONE, TWO), 2.6, 0.1))
    last = made.tables["queries"][-1]
    assert (last["query"], last["fallback"]) == (2, "link s1 > s2 is down")
    assert last["latency_s"] == pytest.approx(1.43)
    assert made.ending.lost_bytes == 1_000_000
    assert made.tables["changes"] == []


# Several outputs


TWO_ENDS = graph_of(
    {"in": 0, "a": 0, "b": 0, "c": 0},
    {"split": (["in"], ["a"]), "left": (["a"], ["b"]), "right": (["a"], ["c"])},
    {"b", "c"},
)


def test_an_output_that_has_come_back_is_not_made_again() -> None:
    """Query 1: split until 1.1, left on server 1 until 1.31, back at 1.32; right on server 2 from 1.11 to 1.51. Server
    2 dies at 1.4: the client has `a` and `b`, and runs right from 1.41 to 1.81."""
    made = run(Crash((TWO,), 1.4), graph=TWO_ENDS, seconds=(0.1, 0.2, 0.4), placement=(0, 1, 2), servers=2)
    second = made.tables["queries"][1]
    assert (second["fallback"], second["latency_s"]) == ("s2 is down", pytest.approx(0.81))
    assert pieces(made, 1) == [("c0", 0, 0), ("s1", 1, 1), ("c0", 2, 2)]
    later = made.tables["queries"][2]
    assert later["latency_s"] == pytest.approx(0.1 + 0.4)


def test_an_output_that_has_not_come_back_is_made_again() -> None:
    """The same, but server 2 dies at 1.2: left is still under way on server 1, and is run here too, from 1.21 on."""
    made = run(Crash((TWO,), 1.2), graph=TWO_ENDS, seconds=(0.1, 0.2, 0.4), placement=(0, 1, 2), servers=2)
    assert made.tables["queries"][1]["latency_s"] == pytest.approx(0.21 + 0.6)
    assert pieces(made, 1) == [("c0", 0, 0), ("c0", 1, 2)]


def test_a_layer_whose_second_output_is_lost_makes_both_again() -> None:
    """One layer of 0.2 s makes p (1,000 bytes) and q (1 MB). Query 1: done at 1.21, p is here at 1.221, q would be at
    2.221, but the link breaks at 2 s: told at 2.01, and the client runs the layer again until 2.21."""
    graph = graph_of({"in": 0, "p": 1000, "q": 1_000_000}, {"both": (["in"], ["p", "q"])}, {"p", "q"})
    made = run(Outage(Pairs(ONE, 0, one_way=True), 2.0, 0.5), graph=graph, seconds=(0.2,), placement=(1,),
               user={"queries": 4, "in_flight": 9})  # fmt: skip
    second = next(row for row in made.tables["queries"] if row["query"] == 1)
    assert (second["fallback"], second["status"]) == ("link s1 > c0 is down", "answered")
    assert second["latency_s"] == pytest.approx(1.21)
    assert pieces(made, 1)[-1] == ("c0", 0, 0)


# Plans


def test_who_arrives_while_a_server_is_dead_plans_without_it_and_is_told_of_it_later() -> None:
    """Dead from 0.5 to 2.5; the user comes at 1 and asks server 2 alone. At 2.51 it greets server 1."""
    planner = fixed((0, 2, 2))
    made = run(Crash((ONE,), 0.5, 2.0), planner=planner, servers=2, user={"arrival_s": 1.0})
    (job,) = made.plans.jobs
    assert job.problem.allowed[:, 0].all()
    assert not job.problem.allowed[:, 1].any()
    assert job.problem.allowed[:, 2].all()
    assert column(made, "sent_s") == pytest.approx([1.0 + PLANNED_S])
    greeted = [(d.at, d.to) for d in made.hosts.deliveries if type(d.message) is Hello]
    assert greeted == [(pytest.approx(1.01), TWO), (pytest.approx(2.52), ONE)]


def test_a_user_who_waits_for_a_server_that_dies_does_not_wait_for_ever() -> None:
    """Server 1 dies at 0.005, before Hello is there: the news come at 0.015, the other's answer at 0.02."""
    made = run(Crash((ONE,), 0.005), planner=fixed((0, 2, 2)), servers=2)
    assert column(made, "sent_s") == pytest.approx([PLANNED_S])
    assert not made.plans.jobs[0].problem.allowed[:, 1].any()


def test_replanning_on_change_knows_why() -> None:
    """The server that the plan does not use dies at 2 and is back at 3: told at 2.01 and 3.01, asked for 0.02 s later
    (predictions) and heard by the planner 0.001 s after that."""
    made = run(Crash((ONE,), 2.0, 1.0), planner=fixed((0, 2, 2)), servers=2, user={"replan": "on_change"})
    assert column(made, "cause", "plans") == ["arrival", "down", "up"]
    asked = 2 * DELAY + 36 / RATE + 0.001
    assert column(made, "requested_s", "plans") == pytest.approx([asked, 2.01 + asked, 3.01 + asked])
    assert [job.problem.allowed[1, 1] for job in made.plans.jobs] == [True, False, True]
    assert column(made, "bytes") == [2000]


def test_a_link_that_is_up_again_is_a_change_too() -> None:
    """Query 2's answer leaves at 2.71 and finds the link down: told at 2.73, and no plan is asked for. It is up at 3.3,
    as the client hears at 3.31: a plan is asked for."""
    made = run(Outage(Pairs(ONE, 0), 2.6, 0.7), user={"replan": "on_change"})
    assert column(made, "fallback", "queries")[2] == "link s1 > c0 is down"
    assert column(made, "latency_s", "queries")[2] == pytest.approx(0.73 + 0.6)
    assert column(made, "cause", "plans") == ["arrival", "up"]
    assert column(made, "requested_s", "plans")[1] == pytest.approx(3.31 + 2 * DELAY + 36 / RATE + 0.001)


def test_a_server_that_cannot_be_heard_is_not_waited_for_for_ever() -> None:
    """The link from server 1 is down from the start: after 2 s the user asks for a plan without it, and gets one."""
    made = run(Outage(Pairs(ONE, 0, one_way=True), 0.0, 1e6), planner=fixed((0, 2, 2)), servers=2)
    assert column(made, "status", "plans") == ["accepted"]
    assert column(made, "requested_s", "plans")[0] == pytest.approx(2.0 + 0.001)
    assert not made.plans.jobs[0].problem.allowed[:, 1].any()
    assert made.plans.jobs[0].problem.allowed[:, 2].all()
    assert column(made, "status") == ["confirmed"]


def test_a_dead_server_sends_no_heartbeat() -> None:
    """Heartbeats each 0.5 s; dead in [2.3, 3.5): none at 2.5 and 3, and the one of 3.5 comes as it restarts."""
    made = run(Crash((ONE,), 2.3, 1.2), planning=PlanningSpec(heartbeat_s=0.5))
    beats = [d.at for d in made.hosts.departures if type(d.message) is Load]
    assert beats[:7] == [0.5, 1.0, 1.5, 2.0, 3.5, 4.0, 4.5]
