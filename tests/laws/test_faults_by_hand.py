"""Semantics, "Links that change": outages, losses, traces and crashes, with numbers worked out by hand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from worlds import Run, chain_graph, fixed, run_world, small_world

from layerlift.emulator.protocol.messages import Hello
from layerlift.emulator.world.faults import Fault, Loss, Outage, Pairs, Trace
from layerlift.emulator.world.laws import Regular
from layerlift.emulator.world.links import LinkSpec

DELAY, RATE = 0.01, 1e6
LINK = LinkSpec(DELAY, RATE)
THREE = chain_graph([0, 0, 0, 0], [1_000_000, 2_000_000, 4_000_000])
"""Three layers of 1, 2 and 4 seconds of upload; their tensors have no bytes."""
PLANNED_S = 2 * DELAY + 3 * 12 / RATE + 3 * 0.001
"""Predictions back after a round trip; the request, the planning (the lookahead), the reply."""
WAY = Pairs(0, 1)
"""The link between the one client and the first server, in both directions."""
THERE = Pairs(0, 1, one_way=True)


def run(*faults: Fault, placement: tuple[int, ...] = (0, 0, 1), **changes: Any) -> Run:
    user = {"queries": 30, "think_s": 0.3, **changes.pop("user", {})}
    graph = changes.pop("graph", THREE)
    world = small_world(
        graph, changes.pop("seconds", (0.01,) * len(graph)), fixed(placement, changes.pop("parts", ())),
        link=LINK, faults=faults, user=user, **changes,
    )  # fmt: skip
    return run_world(world)


def column(run: Run, name: str, table: str = "uploads") -> list[Any]:
    return [row[name] for row in run.tables[table]]


def checked_books(run: Run) -> None:
    ending = run.ending
    assert ending.sent_bytes == ending.delivered_bytes + ending.lost_bytes + ending.cancelled_bytes
    assert ending.in_flight_bytes == 0


# A part whose link breaks


@pytest.mark.parametrize("share", [False, True])
def test_a_broken_part_gets_its_failed_cr_and_is_sent_again_when_the_link_is_up(share: bool) -> None:
    """4 MB from 0.033 s on; the link is down in [2, 3): 1.967 MB have crossed, the failed CR comes at 2.01 s. At 3 s
    the part is sent again, whole: 3.01 + 4 + 0.01."""
    made = run(Outage(WAY, 2.0, 1.0), share_links=share)
    carried = round((2.0 - PLANNED_S - DELAY) * RATE)
    assert column(made, "status") == ["failed", "confirmed"]
    assert column(made, "reason") == ["link c0 > s1 is down", ""]
    assert column(made, "attempt") == [1, 2]
    assert column(made, "sent_s") == pytest.approx([PLANNED_S, 3.0 + DELAY])
    assert column(made, "ended_s") == pytest.approx([2.0 + DELAY, 3.0 + 4.0 + 3 * DELAY])
    assert column(made, "bytes") == [4_000_000, 4_000_000]
    assert column(made, "wasted_bytes") == [pytest.approx(carried, abs=1), 0]
    assert made.ending.lost_bytes == 4_000_000
    assert made.ending.delivered_bytes == 4_000_000 + 36
    assert made.ending.sent_bytes == 8_000_036
    changes = [(row["at_s"], row["kind"], row["peer"]) for row in made.tables["changes"]]
    assert changes == [(pytest.approx(2.0 + DELAY), "link down", "s1"), (pytest.approx(3.0 + DELAY), "link up", "s1")]
    checked_books(made)


def test_with_resume_only_the_rest_is_sent() -> None:
    """The same, but the second attempt has 4 MB - 1.967 MB; what has arrived counts as delivered, nothing is wasted."""
    made = run(Outage(WAY, 2.0, 1.0), user={"resume": True})
    first, second = made.tables["uploads"]
    carried = round((2.0 - PLANNED_S - DELAY) * RATE)
    assert (first["status"], first["bytes"], first["wasted_bytes"]) == ("failed", 4_000_000, 0)
    assert second["bytes"] == pytest.approx(4_000_000 - carried, abs=1)
    assert (second["status"], second["wasted_bytes"]) == ("confirmed", 0)
    assert second["ended_s"] == pytest.approx(3.0 + 3 * DELAY + (4_000_000 - carried) / RATE, abs=2e-6)
    assert made.ending.delivered_bytes == 4_000_000 + 36
    assert made.ending.lost_bytes == second["bytes"]
    assert made.tables["allocations"][0]["bytes"] == 4_000_000
    checked_books(made)


def test_a_part_that_breaks_twice_goes_on_twice() -> None:
    """Down in [1, 2) and [3, 4): 0.967 MB, then 0.98 MB from 2.02 to 3, and the rest from 4.02 s on."""
    made = run(Outage(WAY, 1.0, 1.0, every_s=2.0), user={"resume": True}, until_s=4.5)
    once, twice = 1.0 - PLANNED_S - DELAY, 1.0 - 2 * DELAY
    sizes = [4_000_000, 4_000_000 - once * RATE, 4_000_000 - (once + twice) * RATE]
    assert column(made, "bytes") == pytest.approx(sizes, abs=2)
    assert column(made, "sent_s") == pytest.approx([PLANNED_S, 2.0 + DELAY, 4.0 + DELAY])
    assert column(made, "status") == ["failed", "failed", "cancelled"]


def test_headers_are_not_taken_for_content_when_a_part_goes_on() -> None:
    """100,000 bytes of header go before the part: of what has crossed at 2 s, the server keeps that much less."""
    made = run(Outage(WAY, 2.0, 1.0), user={"resume": True}, header_bytes=100_000)
    first, second = made.tables["uploads"]
    crossed = (2.0 - first["sent_s"] - DELAY) * RATE
    assert second["bytes"] == pytest.approx(4_000_000 - (crossed - 100_000), abs=2)
    assert second["ended_s"] == pytest.approx(3.0 + 3 * DELAY + (second["bytes"] + 200_000) / RATE)


def test_parts_for_other_servers_go_on_meanwhile() -> None:
    """Part 0 breaks at 0.5 s; its thread takes the part for the other server at 0.51 s, then waits for the link."""
    made = run(Outage(WAY, 0.5, 4.0), placement=(1, 2, 0), parts=(0, 1, 0), servers=2)
    told = [(row["part"], row["status"]) for row in made.tables["uploads"]]
    assert told == [(0, "failed"), (1, "confirmed"), (0, "confirmed")]
    assert column(made, "ended_s") == pytest.approx([0.51, 0.51 + 2.02, 4.51 + 1.02])


# Control messages


def test_control_messages_wait_for_the_end_of_an_outage() -> None:
    """Hello leaves at 0 and would enter at 0.01, in the outage of [0.005, 1.005): it crosses at its end."""
    made = run(Outage(WAY, 0.005, 1.0))
    (hello,) = [d.at for d in made.hosts.deliveries if type(d.message) is Hello]
    assert hello == pytest.approx(1.005)
    assert column(made, "sent_s") == pytest.approx([1.005 + PLANNED_S - DELAY])
    assert made.ending.lost_bytes == 0
    checked_books(made)


def test_a_control_message_that_is_cut_off_starts_again_by_itself() -> None:
    """Hello has 100,000 bytes here and crosses from 0.01 to 0.11 s; cut at 0.05 s it starts again at 1.05 s."""
    made = run(Outage(WAY, 0.05, 1.0), header_bytes=100_000, user={"queries": 4})
    (hello,) = [d.at for d in made.hosts.deliveries if type(d.message) is Hello]
    assert hello == pytest.approx(1.05 + 0.1)
    assert made.ending.lost_bytes == 100_000


# Loss


def chances(world_seed: int, share: float) -> Iterator[int | None]:
    """What becomes of each message from the client to the server, in order: how much of it crosses; None: all."""
    rng = random.Random(f"{world_seed}/loss/c0>s1")
    while True:
        yield rng.random() if rng.random() < share else None  # type: ignore[misc]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_lost_is_sent_again_by_who_has_to(seed: int) -> None:
    """Six of ten messages to the server are lost. Hello and tensors (1,000 bytes) are sent again by the network, 0.2 s
    after the lost copy would have ended; the part gets a failed CR then, and the client waits 0.5, 1, 2... s."""
    graph = chain_graph([1000, 0], [500_000])
    world = small_world(
        graph, (0.01,), fixed((1,)), link=LINK, faults=(Loss(THERE, 0.6),), resend_s=0.2,
        user={"queries": 60, "think_s": 0.3, "retries": 30},
    )  # fmt: skip
    made, drawn = run_world(replace(world, seed=seed)), chances(seed, 0.6)
    at = DELAY
    while next(drawn) is not None:
        at += 0.2
    at += DELAY + 12 / RATE + 0.003
    rows, backoff, lost = made.tables["uploads"], 0.5, 0
    for row in rows:
        assert row["sent_s"] == pytest.approx(at)
        part = next(drawn)
        crossed = 500_000 if part is None else int(part * 500_000)
        at += crossed / RATE + 2 * DELAY
        assert row["ended_s"] == pytest.approx(at)
        assert (row["status"], row["wasted_bytes"]) == (("confirmed", 0) if part is None else ("failed", crossed))
        if part is not None:
            assert row["reason"] == "lost on link c0 > s1"
            lost, at, backoff = lost + 500_000, at + backoff, 2.0 * backoff
    assert rows[-1]["status"] == "confirmed"
    remote = [row for row in made.tables["queries"] if row["remote_layers"]]
    assert len(remote) > 10
    for row in remote:
        expected = 2 * DELAY + 0.001 + 0.01
        while (part := next(drawn)) is not None:
            expected, lost = expected + int(part * 1000) / RATE + 0.2, lost + 1000
        assert row["latency_s"] == pytest.approx(expected)
        assert row["fallback"] == ""
    assert made.ending.lost_bytes == lost
    checked_books(made)


# Traces


@pytest.mark.parametrize("share", [False, True])
def test_a_transfer_ends_when_the_integral_of_its_bandwidth_says(share: bool) -> None:
    """4 MB: at 1 MB/s until 1 s (0.967 MB), at 0.5 MB/s until 3 s (1 MB), the rest at 2 MB/s."""
    trace = Trace(THERE, ((1.0, 5e5, None), (3.0, 2e6, None)))
    made = run(trace, share_links=share)
    left = 4e6 - (1.0 - PLANNED_S - DELAY) * 1e6 - 1e6
    assert column(made, "ended_s") == pytest.approx([3.0 + left / 2e6 + DELAY])
    assert made.ending.lost_bytes == 0


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("since_s", [0.0, 0.015])
def test_a_transfer_that_begins_under_a_trace_has_its_bandwidth(share: bool, since_s: float) -> None:
    """Four times as much as usual from the start on, or from a moment on at which nothing crosses the link."""
    made = run(Trace(THERE, ((since_s, 4e6, None),)), share_links=share)
    assert column(made, "ended_s") == pytest.approx([PLANNED_S + 2 * DELAY + 1.0])


def test_a_trace_of_no_bandwidth_is_an_outage() -> None:
    made = run(Trace(THERE, ((2.0, 0.0, None), (3.0, None, None))))
    assert column(made, "status") == ["failed", "confirmed"]
    assert column(made, "ended_s") == pytest.approx([2.01, 3.01 + 4.02])


def test_what_one_cannot_use_any_more_goes_to_the_other() -> None:
    """Two users share a downlink of 1 MB/s; at 2 s the way of the first narrows to 0.2 MB/s, the second has 0.8."""
    made = run(Trace(Pairs(0, 2, one_way=True), ((2.0, 2e5, None),)), clients=2, share_links=True,
               server={"downlink_bytes_s": 1e6}, user={"queries": 60})  # fmt: skip
    left = 4e6 - (2.0 - PLANNED_S - DELAY) * 5e5
    ended = {row["user"]: row["ended_s"] for row in made.tables["uploads"]}
    assert ended["u1"] == pytest.approx(2.0 + left / 8e5 + DELAY)
    narrowed = 2.0 + left / 2e5 + DELAY
    assert ended["u0"] == pytest.approx(narrowed)


def test_on_independent_links_a_change_concerns_its_pair_alone() -> None:
    made = run(Trace(Pairs(0, 2, one_way=True), ((2.0, 2e5, None),)), clients=2, share_links=False,
               user={"queries": 60})  # fmt: skip
    ended = {row["user"]: row["ended_s"] for row in made.tables["uploads"]}
    assert ended["u1"] == pytest.approx(PLANNED_S + 4.02)
    assert ended["u0"] == pytest.approx(2.0 + (4e6 - (2.0 - PLANNED_S - DELAY) * 1e6) / 2e5 + DELAY)


def test_a_tensor_and_a_part_on_a_link_that_changes_share_it() -> None:
    """Layer 0 is there; layer 1 (8 MB) is on its way when a query's 1 MB leave at `begun`, at half of what there is.
    Both have 0.5 MB/s until the trace halves the link at 2 s, and 0.25 MB/s from then on, until the query's are over.
    """
    graph = chain_graph([1_000_000, 0, 0], [0, 8_000_000])
    made = run(Trace(THERE, ((2.0, 5e5, None),)), graph=graph, placement=(1, 1), parts=(0, 1), share_links=True,
               user={"queries": 2, "think_s": 1.0})  # fmt: skip
    query = made.tables["queries"][1]
    assert query["remote_layers"] == 1
    enters = query["begun_s"] + DELAY
    ends = 2.0 + (1e6 - (2.0 - enters) * 5e5) / 2.5e5
    assert query["latency_s"] == pytest.approx(ends - query["begun_s"] + 0.01 + DELAY + 0.01)


def test_latency_is_that_of_the_moment_at_which_a_message_leaves() -> None:
    """The way there has 10 ms until 1 s and 50 ms from then on; the way back stays at 10 ms."""
    made = run(Trace(THERE, ((1.0, None, 0.05),)), graph=chain_graph([0] * 4, [1000] * 3), placement=(1, 0, 0))
    remote = [row for row in made.tables["queries"] if row["remote_layers"]]
    early = [row["latency_s"] for row in remote if row["begun_s"] < 1.0]
    late = [row["latency_s"] for row in remote if row["begun_s"] >= 1.0]
    assert early == pytest.approx([0.05] * len(early))
    assert late == pytest.approx([0.09] * len(late))
    assert min(len(early), len(late)) > 1


# Queries on links that break


def test_a_query_whose_tensor_is_lost_is_finished_at_home_and_later_ones_stay_there_until_the_link_is_up() -> None:
    """A query a second: 0.1 s here, 0.3 MB over in 0.3 s, 0.2 s there. That of 2 s breaks at 2.25 s, its client hears
    of it at 2.26 s and runs the rest in 0.2 s. That of 3 s is local; the link is up at 3.5 s, nothing is sent again."""
    graph = chain_graph([0, 300_000, 0], [1000, 1000])
    made = run(Outage(WAY, 2.25, 1.25), graph=graph, seconds=(0.1, 0.2), placement=(0, 1),
               user={"queries": 5, "asks": Regular(1000.0)})  # fmt: skip
    queries = made.tables["queries"]
    usual = 0.1 + DELAY + 0.3 + 0.2 + DELAY
    assert column(made, "latency_s", "queries") == pytest.approx([0.3, usual, 0.26 + 0.2, 0.3, usual])
    assert [row["fallback"] for row in queries] == ["", "", "link c0 > s1 is down", "", ""]
    assert [row["remote_layers"] for row in queries] == [0, 1, 1, 0, 1]
    ran = [(row["node"], row["first_layer"], row["last_layer"]) for row in made.tables["segments"] if row["query"] == 2]
    assert ran == [("c0", 0, 0), ("c0", 1, 1)]
    assert column(made, "status") == ["confirmed"]
    assert made.ending.lost_bytes == 300_000
    assert made.ending.at_s < inf


def test_pauses_double_up_to_ten_times() -> None:
    """Nearly everything is lost, and control messages are sent again soon. Pauses are 1, 2, 4 ms, at most 1.024 s."""
    user = {"backoff_s": 0.001, "retries": 13, "queries": 200}
    graph = chain_graph([0, 0], [1000])
    made = run(Loss(THERE, 0.97), graph=graph, placement=(1,), seconds=(0.01,), user=user, resend_s=0.01)
    ended, sent = column(made, "ended_s")[:-1], column(made, "sent_s")[1:]
    pauses = [later - before for before, later in zip(ended, sent, strict=True)]
    assert pauses == pytest.approx([0.001 * 2 ** min(number, 10) for number in range(13)])


def test_what_can_be_sent_again_waits_for_what_is_under_way() -> None:
    """The link to server 2 is down in [1, 1.5): the part for it fails at 1.01 s, and that for server 1 has its
    turn, for 1.02 s. That the link is up is known at 1.51: one part at a time, so the other goes out at 2.03 s."""
    made = run(Outage(Pairs(0, 2), 1.0, 0.5), placement=(1, 2, 0), parts=(1, 0, 0), servers=2)
    assert column(made, "server") == ["s2", "s1", "s2"]
    assert column(made, "status") == ["failed", "confirmed", "confirmed"]
    assert column(made, "sent_s") == pytest.approx([PLANNED_S, 1.01, 1.01 + 1.02])
