"""Hand-overs of a user who moves from server 1 to server 2, with numbers worked out by hand.

A question a second: layer 0 takes 0.1 s here, its 100,000 bytes go to the server, layers 1 and 2 take 0.6 s there.
The client's links have 10 ms and 1 MB/s, that between the servers 30 ms and 0.5 MB/s. A query takes 0.1 + 0.01 + 0.1 +
0.6 + 0.01 = 0.82 s on the server that the client is attached to, 0.1 + 0.04 + 0.2 + 0.6 + 0.04 = 0.98 s on the other.
"""

from __future__ import annotations

from typing import Any

import pytest
from worlds import Run, chain_graph, fixed, run_world, small_world

from layerlift.emulator.protocol.messages import CopyPart, PlanRequest
from layerlift.emulator.world.faults import Crash, Fault, Outage, Pairs
from layerlift.emulator.world.laws import Regular
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.mobility import Handover, Journey

LINK, BETWEEN = LinkSpec(0.01, 1e6), LinkSpec(0.03, 5e5)
SMALL = chain_graph([0, 100_000, 0, 0], [0, 1000, 1000])
LARGE = chain_graph([0, 100_000, 0, 0], [0, 1_000_000, 1_000_000])
"""2 s of upload."""
PLANNED_S = 2 * 0.04 + 36 / 5e5 + 0.003
"""The other server's prediction comes last."""
HOME, NEAR, FAR = 0.7, 0.82, 0.98


def run(handover: Handover, *moves: tuple[float, int], faults: tuple[Fault, ...] = (), **changes: Any) -> Run:
    """`moves`: when to which server (node index). At first the client is attached to server 1, where its layers go."""
    journey = Journey((0,), ((0.0, 1), *moves), changes.pop("interruption_s", 0.0), handover)
    user = {"queries": 10, "asks": Regular(1000.0), **changes.pop("user", {})}
    world = small_world(
        changes.pop("graph", LARGE), (0.1, 0.2, 0.4), changes.pop("planner", fixed((0, 1, 1))), servers=2, link=LINK,
        pairs={(1, 2): BETWEEN, (2, 1): BETWEEN}, mobility=(journey,), faults=faults, user=user, **changes,
    )  # fmt: skip
    return run_world(world)


def column(run: Run, name: str, table: str = "uploads") -> list[Any]:
    return [row[name] for row in run.tables[table]]


def kept(run: Run, server: str) -> list[tuple[float, str, int]]:
    return [
        (row["at_s"], row["event"], row["held_bytes"]) for row in run.tables["allocations"] if row["server"] == server
    ]


# Forward


def test_forwarding_leaves_everything_where_it_is_and_goes_the_longer_way() -> None:
    """Moved at 2.5 s: query 2 went the short way and comes back the long one."""
    made = run("forward", (2.5, 2), graph=SMALL, user={"queries": 5})
    assert column(made, "latency_s", "queries") == pytest.approx([HOME, NEAR, NEAR + 0.03, FAR, FAR])
    assert column(made, "status") == ["confirmed"]
    (change,) = made.tables["changes"]
    assert (change["at_s"], change["kind"], change["peer"]) == (2.5, "hand-over", "s2")
    assert change["note"] == "from s1, forward"


@pytest.mark.parametrize("share", [False, True])
def test_an_upload_under_way_goes_on_over_the_longer_way(share: bool) -> None:
    """2 MB at 1 MB/s until 1 s, then at 0.5 MB/s; its confirm result takes 0.04 s."""
    made = run("forward", (1.0, 2), share_links=share, user={"queries": 6})
    left = 2e6 - (1.0 - PLANNED_S - 0.01) * 1e6
    assert column(made, "ended_s") == pytest.approx([1.0 + left / 5e5 + 0.04])
    assert made.ending.lost_bytes == made.ending.cancelled_bytes == 0


def test_a_user_who_moves_back_has_the_short_way_again() -> None:
    """Back at 3.9 s: the answer of query 3, which leaves at 3.94, comes the short way."""
    made = run("forward", (2.5, 2), (3.9, 1), graph=SMALL, user={"queries": 6})
    assert column(made, "latency_s", "queries")[3:] == pytest.approx([FAR - 0.03, NEAR, NEAR])


# Reupload


def test_the_old_server_goes_on_serving_until_the_new_one_has_everything() -> None:
    """Moved at 4.5 s: 2 MB to server 2 until 6.52. Queries 5 and 6 still go to server 1, 7 to server 2. Query 6 is
    under way until 6.98: then server 1 may let go, and hears it at 7.02."""
    made = run("reupload", (4.5, 2))
    assert column(made, "status") == ["confirmed", "confirmed"]
    assert column(made, "server") == ["s1", "s2"]
    assert column(made, "source") == ["c0", "c0"]
    assert column(made, "sent_s") == pytest.approx([PLANNED_S, 4.5])
    assert column(made, "ended_s") == pytest.approx([PLANNED_S + 2.02, 6.52])
    expected = [HOME] * 3 + [NEAR, NEAR - 0.01 + 0.04, FAR, FAR, NEAR, NEAR, NEAR]
    assert column(made, "latency_s", "queries") == pytest.approx(expected)
    first, last = kept(made, "s1")
    assert (first[1], last) == ("admitted", (pytest.approx(7.02), "released", 0))
    released = next(row for row in made.tables["allocations"] if row["event"] == "released")
    assert (released["reason"], released["bytes"]) == ("not wanted any more", 2_000_000)
    assert kept(made, "s2")[0] == (pytest.approx(6.51), "admitted", 2_000_000)


def test_a_part_under_way_is_cancelled_and_sent_to_the_new_server() -> None:
    """Moved at 1 s: the cancelling takes effect at 1.04 s. 2 MB to server 2 by 3.02."""
    made = run("reupload", (1.0, 2))
    assert column(made, "status") == ["cancelled", "confirmed"]
    assert column(made, "reason") == ["hand-over", ""]
    assert column(made, "ended_s") == pytest.approx([1.0, 3.02])
    assert made.ending.cancelled_bytes == 2_000_000
    assert kept(made, "s1") == []
    assert column(made, "latency_s", "queries")[4:] == pytest.approx([NEAR] * 6)


def test_moving_on_before_the_new_server_has_everything() -> None:
    """Moved at 4.5 and back at 5.5 s: server 1 still has everything, so nothing travels; server 2 has nothing."""
    made = run("reupload", (4.5, 2), (5.5, 1))
    assert column(made, "status") == ["confirmed", "cancelled", "confirmed"]
    assert column(made, "bytes") == [2_000_000, 2_000_000, 0]
    assert column(made, "ended_s")[1:] == pytest.approx([5.5, 5.52])
    assert column(made, "latency_s", "queries")[6:] == pytest.approx([NEAR] * 4)
    assert [event for _, event, _ in kept(made, "s1")] == ["admitted"]
    assert kept(made, "s2") == []


def test_a_hand_over_that_interrupts_breaks_what_is_on_its_way() -> None:
    """Moved at 3.15 s, when query 3 sends its tensor (3.11 to 3.21): no way to anybody until 3.45. The client hears it
    0.04 s later and runs the rest: 0.19 + 0.6. The part to server 2 would enter at 3.16: told at 3.17; sent at 3.46."""
    made = run("reupload", (3.15, 2), interruption_s=0.3)
    assert made.tables["queries"][3]["latency_s"] == pytest.approx(0.19 + 0.6)
    assert made.tables["queries"][3]["fallback"] == "link c0 > s1 is down"
    assert column(made, "status") == ["confirmed", "failed", "confirmed"]
    assert column(made, "ended_s")[1:] == pytest.approx([3.17, 3.46 + 2.02])
    assert column(made, "wasted_bytes") == [0, 0, 0]
    assert column(made, "latency_s", "queries")[4:] == pytest.approx([FAR, FAR, NEAR, NEAR, NEAR, NEAR])


# Copy


def test_a_copy_goes_from_server_to_server_and_not_over_the_clients_link() -> None:
    """Moved at 4.5 s: asked over server 2, server 1 hears it at 4.54. 2 MB at 0.5 MB/s enter at 4.57 and are there at
    8.57; confirmed at 8.58. Meanwhile queries go to server 1; it hears that it may let go when query 8 is over."""
    made = run("copy", (4.5, 2))
    assert column(made, "source") == ["c0", "s1"]
    assert column(made, "bytes") == [2_000_000, 2_000_000]
    assert column(made, "sent_s")[1] == 4.5
    assert column(made, "ended_s")[1] == pytest.approx(8.58)
    latencies = column(made, "latency_s", "queries")
    assert latencies[5:] == pytest.approx([FAR, FAR, FAR, FAR, NEAR])
    usage = {row["node"]: row for row in made.tables["usage"]}
    assert usage["c0"]["sent_bytes"] == 2_000_000 + 7 * 100_000
    assert usage["s1"]["sent_bytes"] == 2_000_000 + 36
    assert usage["s2"]["received_bytes"] == 2_000_000 + 100_000
    assert kept(made, "s1")[-1] == (pytest.approx(8.98 + 0.04), "released", 0)


def test_a_copy_that_breaks_off_is_sent_by_the_client_instead() -> None:
    """The servers' link breaks in [6, 6.5). Server 1 hears it at 6.03, and its word waits for the link until 6.5. After
    0.5 s the client sends the part itself: 7 + 2.02."""
    made = run("copy", (4.5, 2), faults=(Outage(Pairs(1, 2), 6.0, 0.5),))
    assert column(made, "status") == ["confirmed", "failed", "confirmed"]
    assert column(made, "source") == ["c0", "s1", "c0"]
    assert column(made, "reason")[1] == "link s1 > s2 is down"
    assert column(made, "wasted_bytes")[1] == pytest.approx((6.0 - 4.57) * 5e5, abs=1)
    assert column(made, "ended_s")[1:] == pytest.approx([6.5, 9.02])
    assert made.tables["queries"][6]["fallback"] == "link c0 > s1 is down"


def test_a_copy_whose_server_dies_is_sent_by_the_client_instead() -> None:
    """Server 1 dies at 6 s, which the client hears at 6.04; 0.5 s later it sends the part itself. Queries are local
    until it is confirmed at 8.56."""
    made = run("copy", (4.5, 2), faults=(Crash((1,), 6.0),))
    assert column(made, "status") == ["confirmed", "failed", "confirmed"]
    assert column(made, "source") == ["c0", "s1", "c0"]
    assert column(made, "ended_s")[1:] == pytest.approx([6.04, 6.04 + 0.5 + 2.02])
    assert column(made, "latency_s", "queries")[7:] == pytest.approx([HOME, HOME, NEAR])
    assert all(d.at <= 6.0 for d in made.hosts.departures if d.source == 1), "the dead say nothing"


def test_moving_back_before_the_copy_is_done() -> None:
    """Moved at 4.5 and back at 6 s: server 1 has everything, and confirms it in 0.02 s; nothing travels. The copy that
    nobody wants arrives at 8.57 all the same, and is let go of."""
    made = run("copy", (4.5, 2), (6.0, 1))
    assert column(made, "status") == ["confirmed", "cancelled", "confirmed"]
    assert column(made, "source") == ["c0", "s1", "c0"]
    assert column(made, "bytes") == [2_000_000, 2_000_000, 0]
    assert column(made, "ended_s")[1:] == pytest.approx([6.0, 6.02])
    assert column(made, "latency_s", "queries")[6:] == pytest.approx([NEAR] * 4)
    assert sum(type(d.message) is CopyPart for d in made.hosts.departures) == 1
    admitted, released = kept(made, "s2")
    assert admitted == (pytest.approx(8.57), "admitted", 2_000_000)
    # told over server 1 at 8.61; query 8 is under way until 8.82; told over server 1 again
    assert released == (pytest.approx(8.82 + 0.04), "released", 0)


def test_a_part_that_was_not_confirmed_is_never_copied() -> None:
    made = run("copy", (1.0, 2))
    assert column(made, "source") == ["c0", "c0"]
    assert column(made, "status") == ["cancelled", "confirmed"]


def test_a_copy_between_servers_says_nothing_of_the_clients_own_links() -> None:
    """Copied from 4.5 to 8.58 s over the servers' link. At about 9 s the client tells its planner of server 1
    alone, to which it has sent 2 MB itself in 2.02 s."""
    made = run("copy", (4.5, 2), user={"replan": "every", "replan_s": 9.0, "queries": 11})
    assert column(made, "source")[:2] == ["c0", "s1"]
    told = [d.message.seen_bytes_s for d in made.hosts.departures if type(d.message) is PlanRequest]
    assert told[0] == ()
    assert told[-1] == ((1, pytest.approx(2e6 / 2.02)),)


def test_before_its_user_has_arrived_a_client_that_moves_hands_nothing_over() -> None:
    """Moved to server 2 at 2.5 s, arrived at 4 s, moved to server 1 at 8.5 s: one hand-over, of what is on server 2."""
    user = {"arrival_s": 4.0, "queries": 8}
    made = run("reupload", (2.5, 2), (8.5, 1), planner=fixed((0, 2, 2)), graph=SMALL, user=user)
    changes = [(row["at_s"], row["kind"], row["peer"], row["note"]) for row in made.tables["changes"]]
    assert changes == [(8.5, "hand-over", "s1", "from s2, reupload")]
    assert column(made, "server") == ["s2", "s1"]
    assert column(made, "sent_s")[1] == 8.5
