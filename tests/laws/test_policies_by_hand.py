"""Two or three users and one server under its policies, with numbers worked out by hand: the whole emulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from policy_worlds import Refusing
from worlds import Run, chain_graph, fixed, run_world, small_world

from layerlift.emulator.protocol.messages import Leave, Weigh
from layerlift.emulator.world.faults import Crash, Outage, Pairs
from layerlift.emulator.world.laws import Regular
from layerlift.emulator.world.links import LinkSpec
from layerlift.models.errors import RunError

DELAY, RATE = 0.01, 1e6
LINK = LinkSpec(DELAY, RATE)
ONE = chain_graph([0, 0], [1_000_000])
THREE = chain_graph([0] * 4, [1_000_000] * 3)
TWENTY = chain_graph([0] * 21, [50_000] * 20)


def planned_s(layers: int) -> float:
    """From arrival to the first part: a round trip with the prediction; the request, the planning, the reply."""
    return 2 * DELAY + 12 * layers / RATE + 0.003


def run(*users: Mapping[str, Any], graph: Any = ONE, seconds: float = 0.3, **changes: Any) -> Run:
    """Each user asks once a second; `seconds` is what a layer takes on one core of anybody."""
    world = small_world(
        graph, (seconds,) * len(graph), fixed((1,) * len(graph)), clients=len(users), link=LINK,
        user={"queries": 9, "asks": Regular(1000.0)}, **changes,
    )  # fmt: skip
    made = tuple(replace(user, **mine) for user, mine in zip(world.users, users, strict=True))
    return run_world(replace(world, users=made))


def of(run: Run, user: str, table: str, column: str) -> list[Any]:
    return [row[column] for row in run.tables[table] if row["user"] == user]


def held(run: Run) -> list[tuple[str, str, int]]:
    return [(row["user"], row["event"], row["held_bytes"]) for row in run.tables["allocations"]]


# Greedy


def test_greedy_refuses_who_finds_no_memory_and_says_so() -> None:
    """Both come at once and are offered 1 MB; the first takes it."""
    made = run({}, {}, server={"policy": "greedy", "memory_bytes": 1e6, "cores": 2, "ghz": 2.0})
    assert of(made, "u0", "uploads", "status") == ["confirmed"]
    assert of(made, "u1", "uploads", "status") == ["refused"]
    assert of(made, "u1", "uploads", "reason") == ["memory: all 1000000 bytes are taken"]
    assert of(made, "u1", "uploads", "wasted_bytes") == [1_000_000]
    assert set(of(made, "u1", "queries", "remote_layers")) == {0}
    assert held(made)[:2] == [("u0", "admitted", 1_000_000), ("u1", "refused", 1_000_000)]


def test_greedy_grants_what_memory_there_is_and_refuses_what_is_more() -> None:
    made = run({}, {}, server={"policy": "greedy", "memory_bytes": 1.5e6, "cores": 2, "ghz": 2.0})
    assert of(made, "u1", "uploads", "reason") == ["quota: 1000000 bytes wanted, 500000 of 500000 left to this user"]


def test_greedy_refuses_who_finds_no_core_until_somebody_leaves() -> None:
    """The first leaves after its query of 3 s; the second asks at 0.023 s, and again 1 s after each refusal."""
    made = run({"queries": 4}, {"on_refusal": "wait"}, server={"policy": "greedy"})
    assert set(of(made, "u1", "uploads", "reason")[:-1]) == {"cpu: all 1 cores are reserved"}
    left = next(d.at for d in made.hosts.departures if type(d.message) is Leave)
    assert left == pytest.approx(3.32)
    asked = [planned_s(1) + 1.02 * k for k in range(5)]
    assert of(made, "u1", "uploads", "sent_s") == pytest.approx([*asked[:4], asked[4] + 0.02])
    assert of(made, "u1", "uploads", "status") == ["refused"] * 4 + ["confirmed"]
    assert set(of(made, "u1", "uploads", "wasted_bytes")) == {0}
    assert of(made, "u1", "queries", "latency_s")[-1] == pytest.approx(0.32)


def test_a_reserved_core_is_not_slowed_by_others() -> None:
    """Two users with a core each and a third without any; on `equal` all three would take turns."""
    server = {"policy": "greedy", "cores": 2, "ghz": 2.0}
    made = run({}, {}, {}, server=server)
    assert of(made, "u0", "queries", "latency_s")[2:] == pytest.approx([0.32] * 7)
    assert of(made, "u1", "queries", "latency_s")[2:] == pytest.approx([0.32] * 7)
    assert of(made, "u2", "queries", "remote_layers") == [0] * 9
    shared = run({}, {}, {}, server={**server, "policy": "equal"})
    assert of(shared, "u0", "queries", "latency_s")[2:] == pytest.approx([0.45 + 0.02] * 7)


def test_a_reserved_half_core_is_no_more_than_that_even_when_nobody_else_is_there() -> None:
    made = run({}, server={"policy": "greedy:cores=0.5"})
    assert of(made, "u0", "queries", "latency_s")[2:] == pytest.approx([0.6 + 0.02] * 7)


# Shares of the CPU


@pytest.mark.parametrize(
    ("policy", "latencies"),
    [
        # Each at half speed.
        ("equal", (0.62, 0.62)),
        ("first_come", (0.62, 0.62)),
        ("max_min", (0.62, 0.62)),
        # At 3/4 for 0.4 s; the other has done 0.1 s by then, and has 0.2 s left.
        ("priority", (0.62, 0.42)),
        ("proportional", (0.62, 0.42)),
    ],
)
def test_pieces_of_0_3_s_at_once_of_users_with_weights_1_and_3(policy: str, latencies: tuple[float, float]) -> None:
    made = run({"weight": 1.0}, {"weight": 3.0}, server={"policy": policy})
    assert of(made, "u0", "queries", "latency_s")[2:] == pytest.approx([latencies[0]] * 7)
    assert of(made, "u1", "queries", "latency_s")[2:] == pytest.approx([latencies[1]] * 7)


def test_who_has_left_leaves_its_share_to_the_other() -> None:
    made = run({"weight": 1.0}, {"weight": 3.0, "queries": 5}, server={"policy": "priority"})
    assert of(made, "u0", "queries", "latency_s")[2:] == pytest.approx([0.62] * 3 + [0.32] * 4)


def test_two_pieces_of_one_user_share_its_half_under_equal() -> None:
    """The second asks each 0.5 s. Of the first's 0.3 s, 0.25 are done by then; under `equal` it keeps its half core and
    ends at 0.6 s, while `first_come` gives each of three pieces a third: 0.5 + 0.05 x 3."""
    for policy, latency_s in (("equal", 0.6 + 0.02), ("first_come", 0.65 + 0.02)):
        made = run({}, {"asks": Regular(500.0), "in_flight": 2, "queries": 18}, server={"policy": policy})
        assert of(made, "u0", "queries", "latency_s")[3:] == pytest.approx([latency_s] * 6)


def test_equal_quotas_of_memory() -> None:
    """2.2 MB for two: 1.1 MB each, whoever wants more gets no more."""
    graph = chain_graph([0, 0, 0], [600_000, 600_000])
    made = run({}, {}, graph=graph, server={"policy": "equal", "memory_bytes": 2.2e6})
    refused = "quota: 1200000 bytes wanted, 1100000 of 1100000 left to this user"
    assert [row["reason"] for row in made.tables["uploads"]] == [refused, refused]


@pytest.mark.parametrize("number", range(len(Refusing.WORDS)))
def test_what_a_policy_says_is_shown_and_never_read(number: int) -> None:
    """Whatever the words are, the part is refused, once, and its user goes on at home."""
    made = run({"on_refusal": "skip"}, server={"policy": f"policy_worlds:Refusing:words={number}", "memory_bytes": 1e9})
    [upload] = made.tables["uploads"]
    assert (upload["status"], upload["attempt"]) == ("refused", 1)
    assert upload["reason"] == (Refusing.WORDS[number] or "the policy gives it nothing")
    assert of(made, "u0", "queries", "status") == ["answered"] * 9
    assert set(of(made, "u0", "queries", "remote_layers")) == {0}


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("nothing", "raised TypeError"), ("text", "a str, expected a Grant"), ("pairs", "a tuple, expected a Grant"),
        ("words", "expected numbers"), ("huge", "expected numbers"), ("capped", "expected a cpu_cap above 0"),
        ("number", "expected a text as its reason"), ("quits", "raised SystemExit: 3"), ("silent", "without a word"),
    ],
)  # fmt: skip
def test_an_odd_policy_ends_the_run_in_a_sentence_that_names_it(what: str, told: str) -> None:
    with pytest.raises(RunError, match=f"policy policy_worlds:Odd:what={what}.*{told}"):
        run({}, server={"policy": f"policy_worlds:Odd:what={what}", "memory_bytes": 1e9})


# Eviction


def eviction(second: Mapping[str, Any], **server: Any) -> Run:
    """3 MB; the first user has weight 1 and three parts of 1 MB by 3.08 s, the second has weight 3 and comes at 5 s."""
    first = {"planner": fixed((1, 1, 1), (0, 1, 2)), "weight": 1.0}
    second = {"arrival_s": 5.0, "weight": 3.0, **second}
    return run(first, second, graph=THREE, seconds=0.1, server={"policy": "priority", "memory_bytes": 3e6, **server})


EVICTED_S = 5.0 + planned_s(3) + DELAY + 2.0
"""When 2 MB of the second user are there: 7.033 s."""


def test_priority_takes_the_latest_parts_back_for_the_heavier() -> None:
    """Two of three parts go, the latest first. Query 7 of the first is there since 7.01: at 7.043 it begins anew
    at home, 0.3 s. Query 8 has layer 0 there and 0.2 s here; the second user asks at other times."""
    made = eviction({"planner": fixed((1, 1, 0)), "asks": Regular(1000.0, 0.5)})
    assert held(made)[3:6] == [
        ("u0", "evicted", 2_000_000),
        ("u0", "evicted", 1_000_000),
        ("u1", "admitted", 3_000_000),
    ]
    rows = [row for row in made.tables["allocations"] if row["event"] == "evicted"]
    assert [row["at_s"] for row in rows] == pytest.approx([EVICTED_S] * 2)
    assert {row["reason"] for row in rows} == {"over its quota, for u1"}
    queries = [row for row in made.tables["queries"] if row["user"] == "u0"]
    assert [row["latency_s"] for row in queries[4:7]] == pytest.approx([0.32] * 3)
    assert queries[7]["latency_s"] == pytest.approx(EVICTED_S + DELAY - 7.0 + 0.3)
    assert queries[7]["fallback"] == "refused by s1"
    assert queries[8]["latency_s"] == pytest.approx(0.1 + 0.2 + 2 * DELAY)
    assert (queries[8]["remote_layers"], queries[8]["confirmed_parts"]) == (1, 1)
    assert of(made, "u0", "uploads", "status") == ["confirmed"] * 3


def test_a_query_that_is_on_its_way_when_its_layers_are_evicted_is_refused() -> None:
    """Query 7 of the first leaves at 7.03 s and arrives at 7.04, after the eviction and before its news: refused, it
    begins anew at home at 7.05. Those before it took the same route and were not."""
    first = {"planner": fixed((1, 1, 1), (0, 1, 2)), "weight": 1.0, "asks": Regular(1000.0, 0.03)}
    second = {"arrival_s": 5.0, "weight": 3.0, "planner": fixed((1, 1, 0)), "asks": Regular(1000.0, 0.5)}
    made = run(first, second, graph=THREE, seconds=0.1, server={"policy": "priority", "memory_bytes": 3e6})
    assert of(made, "u0", "queries", "fallback")[5:] == ["", "", "refused by s1", ""]
    assert of(made, "u0", "queries", "latency_s")[6:8] == pytest.approx([0.32, 0.02 + 0.3])


def test_a_query_that_does_not_need_what_is_evicted_is_not_disturbed() -> None:
    """Layers 0 and 2 of the first are there, in a part each; the second's 1 MB are there at 6.033 s, and layer 2 goes.
    Query 6 is at layer 0 then and would need layer 2: it begins anew at home at 6.043; those after it do without.
    A third, whose query is there since 5.98 and takes 0.07 s of the core from each of the first's, is not disturbed."""
    first = {"planner": fixed((1, 0, 1), (0, 0, 1)), "weight": 1.0}
    second = {"arrival_s": 5.0, "weight": 3.0, "planner": fixed((1, 0, 0)), "asks": Regular(1000.0, 0.5)}
    third = {"planner": fixed((1, 0, 0)), "weight": 2.0, "asks": Regular(1000.0, 0.97)}
    made = run(first, second, third, graph=THREE, seconds=0.1, server={"policy": "priority", "memory_bytes": 3e6})
    assert of(made, "u0", "queries", "latency_s")[5:] == pytest.approx([0.41, 0.043036 + 0.3, 0.39, 0.39])
    assert [bool(text) for text in of(made, "u0", "queries", "fallback")] == [False] * 6 + [True] + [False] * 2
    assert not any(of(made, "u2", "queries", "fallback"))


def test_replanning_on_an_eviction() -> None:
    """Told at 7.043, the first asks the server again, which offers it the 1 MB that it may hold."""
    first = {"planner": fixed((1, 1, 1), (0, 1, 2)), "weight": 1.0, "replan": "on_change"}
    second = {"arrival_s": 5.0, "weight": 3.0, "planner": fixed((1, 1, 0))}
    made = run(first, second, graph=THREE, seconds=0.1, server={"policy": "priority", "memory_bytes": 3e6})
    assert of(made, "u0", "plans", "cause") == ["arrival", "evicted"]
    asked = EVICTED_S + DELAY + planned_s(3) - 0.002
    assert of(made, "u0", "plans", "requested_s")[1] == pytest.approx(asked)
    assert made.plans.jobs[-1].problem.memory_bytes[1] == pytest.approx(1e6)
    # its planner insists on 3 MB, which cannot be: what is there goes on being used
    assert of(made, "u0", "plans", "status") == ["accepted", "failed"]
    assert of(made, "u0", "queries", "remote_layers")[-1] == 1


def test_a_part_that_is_taken_back_while_it_is_built_gets_its_answer() -> None:
    """The first's 1 MB arrive at 1.033 s and take 4 s to build; the second's arrive at 2.533: the first is told then,
    and does not wait for a confirm result that never comes."""
    made = run(
        {"weight": 1.0}, {"weight": 3.0, "arrival_s": 1.5},
        server={"policy": "priority", "memory_bytes": 1e6, "load_s_per_byte": 4e-6},
    )  # fmt: skip
    arrived_s = 1.5 + planned_s(1) + DELAY + 1.0
    assert of(made, "u0", "uploads", "status") == ["refused"]
    assert of(made, "u0", "uploads", "reason") == ["over its quota, for u1"]
    assert of(made, "u0", "uploads", "ended_s") == pytest.approx([arrived_s + DELAY])
    assert of(made, "u1", "uploads", "status") == ["confirmed"]
    assert of(made, "u1", "uploads", "ended_s") == pytest.approx([arrived_s + 4.0 + DELAY])


def dynamic(disruptions: int) -> Run:
    """1 MB. The first two hold ten layers of 50,000 bytes each, one a part. The third comes at 3 s and wants three."""
    ten = fixed((1,) * 10 + (0,) * 10, (*range(10), *(9,) * 10))
    three = fixed((1,) * 3 + (0,) * 17, (*range(3), *(2,) * 17))
    return run(
        {"planner": ten}, {"planner": ten}, {"planner": three, "arrival_s": 3.0}, graph=TWENTY, seconds=0.001,
        server_ghz=100.0, server={"policy": f"dynamic_drf:disruptions={disruptions}", "memory_bytes": 1e6},
    )  # fmt: skip


def test_dynamic_drf_without_disruptions_takes_nothing_from_anybody() -> None:
    """Nothing is free, so the third is offered nothing, and a plan that wants something cannot be."""
    made = dynamic(0)
    assert {event for _, event, _ in held(made)} <= {"admitted", "released"}
    assert of(made, "u2", "plans", "status") == ["failed"]
    assert made.plans.jobs[-1].problem.memory_bytes[1] == 0.0
    assert [of(made, user, "queries", "remote_layers")[-1] for user in ("u0", "u1", "u2")] == [10, 10, 0]


def test_dynamic_drf_with_one_disruption_takes_from_one() -> None:
    """Fair are 0.15 MB for the third and 0.425 for the others; only the second is cut down to that. So the third may
    have 0.075 MB: one part, for which one of the second goes, and no more."""
    made = dynamic(1)
    taken = [(row["user"], row["bytes"]) for row in made.tables["allocations"] if row["event"] == "evicted"]
    assert taken == [("u1", 50_000)]
    assert of(made, "u2", "uploads", "status") == ["confirmed", "refused", "refused"]
    assert of(made, "u2", "uploads", "reason")[1] == "quota: 50000 bytes wanted, 25000 of 75000 left to this user"
    assert [of(made, user, "queries", "remote_layers")[-1] for user in ("u0", "u1", "u2")] == [10, 9, 1]


# Weights of links


def uploads_at_once(**changes: Any) -> Run:
    """Two parts of 1.5 MB at once over the server's downlink of 1 MB/s; weights are 1 and 3."""
    graph = chain_graph([0, 0], [1_500_000])
    server = {"policy": "priority", "downlink_bytes_s": RATE, **changes.pop("server", {})}
    return run({"weight": 1.0}, {"weight": 3.0}, graph=graph, server=server, share_links=True, **changes)


def test_weights_of_links_hold_when_the_message_has_crossed() -> None:
    """Claims and parts reach the server at 0.033 s; for 0.01 s both have half (5,000 bytes), then 3/4 and 1/4."""
    made = uploads_at_once()
    weighed_s = planned_s(1) + 2 * DELAY
    heavy = weighed_s + (1.5e6 - 5000.0) / 0.75e6
    light = heavy + (1.5e6 - 5000.0 - 0.25e6 * (heavy - weighed_s)) / 1e6
    assert of(made, "u1", "uploads", "ended_s") == pytest.approx([heavy + DELAY])
    assert of(made, "u0", "uploads", "ended_s") == pytest.approx([light + DELAY])
    told = [(d.to, d.message.weight) for d in made.hosts.departures if type(d.message) is Weigh]
    assert told[:2] == [(0, pytest.approx(0.5)), (1, pytest.approx(1.5))]


def test_links_are_equal_under_policies_that_do_not_weigh_them() -> None:
    made = uploads_at_once(server={"policy": "equal"})
    assert of(made, "u0", "uploads", "ended_s") == pytest.approx([planned_s(1) + 2 * DELAY + 3.0])
    assert not any(type(d.message) is Weigh for d in made.hosts.departures)


def test_what_the_network_has_been_told_outlives_the_server() -> None:
    """The server is dead from 5 to 6 s, and the heavy user leaves meanwhile. The other weighs 1 then: the network,
    which has 0.5, is told, although the server has forgotten everybody."""
    made = run(
        {"weight": 1.0}, {"weight": 3.0, "queries": 6}, share_links=True, faults=(Crash((2,), 5.0, 1.0),),
        server={"policy": "priority", "downlink_bytes_s": RATE},
    )  # fmt: skip
    told = [(d.to, d.message.weight) for d in made.hosts.departures if type(d.message) is Weigh]
    assert told == [(0, pytest.approx(0.5)), (1, pytest.approx(1.5)), (0, pytest.approx(1.0))]


def test_what_was_taken_back_is_not_sent_again_before_the_next_plan() -> None:
    """After the eviction the link of the first is down for a while. Query 8 breaks on it; when it is up, the client
    sends what is missing on the server, which what was taken back is not."""
    first = {"planner": fixed((1, 1, 1), (0, 1, 2)), "weight": 1.0, "queries": 11}
    second = {"arrival_s": 5.0, "weight": 3.0, "planner": fixed((1, 1, 0)), "asks": Regular(1000.0, 0.5)}
    made = run(
        first, second, graph=THREE, seconds=0.1, server={"policy": "priority", "memory_bytes": 3e6},
        faults=(Outage(Pairs(0, 2), 7.9, 0.3),),
    )  # fmt: skip
    mine = [(row["kind"], row["at_s"]) for row in made.tables["changes"] if row["user"] == "u0"]
    assert mine == [("link down", pytest.approx(8.02)), ("link up", pytest.approx(8.21))]
    assert of(made, "u0", "uploads", "status") == ["confirmed"] * 3
    assert of(made, "u0", "queries", "remote_layers")[9:] == [1, 1]
