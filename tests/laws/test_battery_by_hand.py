"""A client's battery: idle watts x time + compute watts x busy time + radio watts x time on air = its charge."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from worlds import Run, chain_graph, fixed, run_world, small_world

from layerlift.emulator.protocol.messages import Leave
from layerlift.emulator.world.laws import Regular
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.users import PlanningSpec
from layerlift.emulator.world.world import World

DELAY, RATE = 0.01, 1e6
LINK = LinkSpec(DELAY, RATE)
SMALL = chain_graph([0, 0], [1000])
STEP_S = 0.01
"""The end is found to this, in seconds at full power."""


def world(charge_j: float, graph: Any = SMALL, planner: str = "local", seconds: float = 0.1, **changes: Any) -> World:
    """2 W idle, 8 W more while computing, 5 W more while the radio is on: 15 W at full power."""
    power = {"idle_w": 2.0, "compute_w": 8.0, "radio_w": 5.0, "battery_j": charge_j}
    user = {"queries": None, "asks": Regular(1000.0), **changes.pop("user", {})}
    return small_world(graph, (seconds,), planner, link=LINK, client=power, user=user, **changes)


def death(run: Run) -> float:
    (row,) = [row for row in run.tables["changes"] if row["kind"] == "battery empty"]
    assert row["user"] == "u0"
    return row["at_s"]


def energy(run: Run) -> float:
    return sum(row["energy_j"] for row in run.tables["usage"] if row["node"] == "c0")


def test_a_battery_of_one_who_computes() -> None:
    """Each second costs 2 J and 0.8 J for the query of its first 0.1 s. 10 J: 3 s take 8.4 J, the query at 3 s 1 J
    more until 3.1 s, and the other 0.6 J last until 3.4 s."""
    run = run_world(world(10.0))
    assert 3.4 - 0.15 / 2 <= death(run) <= 3.4
    assert energy(run) == pytest.approx(10.0, abs=0.15)
    assert energy(run) <= 10.0
    assert run.ending.at_s == death(run)
    assert [row["status"] for row in run.tables["queries"]] == ["answered"] * 4


def test_an_open_query_fails_with_the_battery() -> None:
    """9 J: after 3 s 0.6 J are left, at 10 W they last 0.06 s: the query of 3 s has 0.1 s of work."""
    run = run_world(world(9.0))
    assert 3.06 - 0.015 <= death(run) <= 3.06
    last = run.tables["queries"][-1]
    assert (last["query"], last["status"], last["reason"]) == (3, "failed", "battery empty")
    assert last["ended_s"] == death(run)
    assert last["latency_s"] == pytest.approx(death(run) - 3.0)
    assert energy(run) == pytest.approx(9.0, abs=0.15)


def test_questions_that_wait_fail_as_well() -> None:
    """A question each 0.1 s, 0.25 s of work each: 10 W all the time, so 10 J last a second."""
    run = run_world(world(10.0, seconds=0.25, user={"asks": Regular(100.0)}))
    assert death(run) == pytest.approx(1.0, abs=0.015)
    failed = [row for row in run.tables["queries"] if row["status"] == "failed"]
    assert {row["reason"] for row in failed} == {"battery empty"}
    assert sorted(row["query"] for row in run.tables["queries"]) == list(range(10))


def test_a_client_with_two_cores_may_draw_the_power_of_both() -> None:
    """A query a second, of 10 s each, two at a time: 10 W until the second begins, then 18 W. 28 J last 2 s, and the
    meter must be read by then, though a client of one core could have gone on for longer."""
    made = world(28.0, seconds=10.0, user={"in_flight": 2})
    nodes = (replace(made.nodes[0], cores=2), *made.nodes[1:])
    run = run_world(replace(made, nodes=nodes))
    assert 2.0 - 0.23 / 18.0 <= death(run) <= 2.0
    assert energy(run) <= 28.0


@pytest.mark.parametrize("share", [False, True])
def test_a_battery_of_one_who_sends(share: bool) -> None:
    """A part of 9 MB is on air from 0.034 s on, at 7 W, and queries take 0.8 J a second. 20 J: 2 s take 14 + 1.6 J less
    the 0.17 J of the first 0.034 s, the query of 2 s 1.5 J until 2.1 s, and the rest lasts at 7 W."""
    run = run_world(world(20.0, chain_graph([0, 0], [9_000_000]), fixed((1,)), share_links=share, user={"queries": 9}))
    on_air = 2 * DELAY + 12 / RATE + 0.003 + DELAY
    file = 12 / RATE * 5.0
    left = 20.0 - 2.1 * 7.0 + on_air * 5.0 - file - 3 * 0.8
    assert 2.1 + (left - 0.15) / 7.0 <= death(run) <= 2.1 + left / 7.0
    (upload,) = run.tables["uploads"]
    assert (upload["status"], upload["reason"]) == ("cancelled", "battery empty")
    assert energy(run) == pytest.approx(20.0, abs=0.15)


def among_others(charge_j: float, **changes: Any) -> World:
    """The first user has a battery, the second has none and goes on for 8 s; both run their layer on the server."""
    made = world(charge_j, planner=fixed((1,)), clients=2, **changes)
    nodes = (made.nodes[0], replace(made.nodes[1], battery_j=None, idle_w=0.0, compute_w=0.0, radio_w=0.0))
    users = made.users[0], replace(made.users[1], queries=9)
    return replace(made, nodes=(*nodes, *made.nodes[2:]), users=users)


def test_servers_free_what_a_dead_client_held() -> None:
    """2 W and little else: 7 J are about 3.5 s; the server hears of it 0.01 s later."""
    run = run_world(among_others(7.0))
    left = next(d for d in run.hosts.departures if type(d.message) is Leave and d.message.user == 0)
    assert left.at == death(run)
    freed = next(row for row in run.tables["allocations"] if row["event"] == "released")
    assert (freed["user"], freed["reason"], freed["bytes"]) == ("u0", "user left", 1000)
    assert freed["at_s"] == pytest.approx(death(run) + DELAY)


def test_a_server_stops_working_for_a_dead_client() -> None:
    """Query 0 is at home and takes 4.8 J; the others are on the server. 2 W and a little radio do the rest: 9.2 J do
    not last until 2.61 s, when query 2 would be done there."""
    run = run_world(among_others(9.2, seconds=0.6, server={"cores": 2, "ghz": 2.0}))
    assert 2.01 < death(run) < 2.61
    there = [row["query"] for row in run.tables["segments"] if (row["user"], row["node"]) == ("u0", "s1")]
    assert there == [1]


@pytest.mark.parametrize("share", [False, True])
def test_a_dead_client_draws_nothing(share: bool) -> None:
    """Samples each 0.5 s: the last with energy is that of its end, which is not a multiple of 0.5."""
    run = run_world(among_others(7.3, sample_s=0.5, share_links=share))
    rows = [row for row in run.tables["usage"] if row["node"] == "c0"]
    assert rows[-1]["at_s"] > 8.0
    after = [row for row in rows if row["at_s"] - row["period_s"] >= death(run)]
    assert sum(row["period_s"] for row in after) >= 4.0
    assert {(row["energy_j"], row["radio_s"], row["busy_s"]) for row in after} == {(0.0, 0.0, 0.0)}
    assert energy(run) == pytest.approx(7.3, abs=0.15)
    assert energy(run) <= 7.3 + 1e-9


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("sample_s", [inf, 0.5])
def test_what_still_comes_to_a_dead_client_costs_it_nothing(share: bool, sample_s: float) -> None:
    """Answers of 0.9 MB: the radio is on nearly all the time, at 7 W, and when the battery ends an answer is on its way
    that the server does not call back."""
    made = among_others(20.0, graph=chain_graph([0, 900_000], [1000]), sample_s=sample_s, share_links=share)
    run = run_world(made)
    assert run.tables["queries"][-1]["ended_s"] > death(run) + 1.0
    assert energy(run) == pytest.approx(20.0, abs=0.15)
    assert energy(run) <= 20.0 + 1e-9


def test_a_planner_far_away_makes_no_battery_last_longer() -> None:
    """The planner lives on the server, and the way there takes 0.2 s: the meter is the client's own all the same."""
    far = LinkSpec(0.2, RATE)
    made = world(10.0, pairs={(0, 1): far, (1, 0): far}, planning=PlanningSpec(at=1))
    run = run_world(made)
    assert 3.4 - 0.15 / 2 <= death(run) <= 3.4
    assert energy(run) <= 10.0


def test_the_charge_is_in_the_problem() -> None:
    """20 J; a plan each second. The first is asked for at 0.02 s, the next ones at 1.02 s and 2.02 s; computing takes
    0.8 J each second (0.2 J of it in its first 0.025 s), the radio next to nothing; the reading may be older by one."""
    run = run_world(world(20.0, user={"replan": "every", "replan_s": 1.0, "queries": 4}))
    told = [job.problem.battery_j for job in run.plans.jobs]
    asked_s = [row["requested_s"] - 0.001 for row in run.tables["plans"]]
    assert asked_s[:3] == pytest.approx([0.020012, 1.020012, 2.020012])
    drawn = [2.0 * at_s + 0.8 * second + 8.0 * (at_s - second) for second, at_s in enumerate(asked_s)]
    assert told == pytest.approx([20.0 - each for each in drawn], abs=1e-3)


def test_whoever_has_a_full_battery_says_so_and_without_one_nothing() -> None:
    run = run_world(among_others(20.0))
    first, second = (job.problem for job in run.plans.jobs)
    assert first.battery_j is not None
    assert first.battery_j == pytest.approx(20.0 - 0.020012 * 2.0, abs=0.5)
    assert second.battery_j is None
