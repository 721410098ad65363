"""Semantics, "Slow plans": who asks anew, when, who goes back, and who keeps quiet; with numbers worked out by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from worlds import Run, chain_graph, fixed, run_world, small_world

from layerlift.emulator.world.faults import Crash, Fault, Pairs, Trace
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.users import PlanningSpec, Slow
from layerlift.emulator.world.world import World
from layerlift.planners.problem.plan import Plan, in_one_piece
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase

GRAPH = chain_graph([100_000, 100_000], [500_000])
"""One layer: 0.1 s there and 0.1 s back over the link, half a second of upload."""
LINK = LinkSpec(0.01, 1e6)
SLOW = Slow(factor=1.5, for_s=2.0, cooldown_s=5.0)


class Widest(PlannerBase):
    """The server behind the link that is widest now, the first of equals; never home."""

    optimises = "nothing"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        widths = problem.bandwidth_bytes_s[0, 1:].tolist()
        placement = (1 + widths.index(max(widths)),)
        return Plan(placement, in_one_piece(placement))


class Narrowest(PlannerBase):
    """At first the widest; afterwards, when links differ, the one that is narrowest."""

    optimises = "nothing"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        widths = problem.bandwidth_bytes_s[0, 1:].tolist()
        placement = (1 + widths.index(min(widths)),)
        return Plan(placement, in_one_piece(placement))


def world(
    planner: str, *, faults: tuple[Fault, ...] = (), clients: int = 1, seconds: float = 0.4, **changes: Any
) -> World:
    slow = changes.pop("slow", SLOW)
    user = {"replan": "slow" if slow else "never", "slow": slow, "queries": None, **changes.pop("user", {})}
    return small_world(
        GRAPH, (seconds,), planner, clients=clients, servers=2, server_ghz=20.0, link=LINK, user=user, faults=faults,
        **{"until_s": 40.0, **changes},
    )  # fmt: skip


def causes(run: Run, user: str = "u0") -> list[str]:
    return [row["cause"] for row in run.tables["plans"] if row["user"] == user]


def mean_s(run: Run, since_s: float = 0.0) -> float:
    rows = [
        row["latency_s"] for row in run.tables["queries"] if row["begun_s"] >= since_s and row["status"] == "answered"
    ]
    return sum(rows) / len(rows)


def narrows(server: int, at_s: float = 8.0, bandwidth: float = 2e5) -> Trace:
    """The links between the client and a server are ever so much slower from an instant on."""
    return Trace(Pairs(0, server), ((at_s, bandwidth, None),))


def test_a_lone_user_with_exact_predictions_never_asks_again() -> None:
    for planner in (fixed((1,)), "direct", "ionn", "test_slow_by_hand:Widest"):
        made = run_world(world(planner, slow=Slow(1.0 + 1e-9, 1.0, 1.0)))
        assert causes(made) == ["arrival"]


def test_who_asks_by_the_clock_and_waits_for_itself_is_not_slow() -> None:
    """Bursts queue at the user itself: the latency from the question is long, the one from the beginning is as said."""
    from layerlift.emulator.world.laws import Bursts

    made = run_world(world(fixed((1,)), user={"asks": Bursts(1.0, 30.0, 2.0, 1.0, 0.0)}))
    assert max(row["latency_s"] for row in made.tables["queries"]) > 2.0
    assert causes(made) == ["arrival"]


def test_a_link_that_gets_worse_is_left_for_a_better_one() -> None:
    """From 8 s on a query takes a second instead of 0.24 s: after 2 s at the latest the mean is above 1.5 times that,
    within 2 s more the user asks, and server 2 has the layer 0.6 s later."""
    made = run_world(world("test_slow_by_hand:Widest", faults=(narrows(1),)))
    assert causes(made) == ["arrival", "slow"]
    asked = made.tables["plans"][1]["requested_s"]
    assert 8.0 < asked < 8.0 + 2.0 + 2.0 + 1.1
    assert mean_s(made, asked + 3.0) == pytest.approx(0.24)
    never = run_world(world("test_slow_by_hand:Widest", faults=(narrows(1),), slow=None))
    assert mean_s(made) < 0.6 * mean_s(never)


def test_a_plan_that_is_worse_is_given_back() -> None:
    """The planner takes the worst link: after 2 s of the new plan's queries the user has the old one again."""
    worse = narrows(1), narrows(2, bandwidth=4e4)
    made = run_world(world("test_slow_by_hand:Narrowest", faults=worse, until_s=60.0, slow=Slow(1.5, 2.0, 100.0)))
    rows = made.tables["plans"]
    assert causes(made) == ["arrival", "slow", "worse"]
    assert rows[2]["placement"] == rows[0]["placement"] != rows[1]["placement"]
    assert (rows[2]["plan_version"], rows[2]["note"]) == (3, "plan 1 again")
    assert rows[2]["predicted_s"] == rows[0]["predicted_s"]
    late = [row for row in made.tables["queries"] if row["plan_version"] == 3 and row["status"] == "answered"]
    assert late[-1]["latency_s"] == pytest.approx(1.0 + 0.04)


def test_askings_in_vain_are_ever_rarer() -> None:
    """The only plan stays slow from 8 s on, and its planner promises what it did: n askings take 2^n - 1 cooldowns."""
    planning = PlanningSpec(literal=True, bandwidth_known="nominal")
    made = run_world(world(fixed((1,)), faults=(narrows(1),), until_s=200.0, planning=planning))
    asked = [row["requested_s"] for row in made.tables["plans"] if row["cause"] == "slow"]
    assert len(asked) in (4, 5)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert all(gap >= 5.0 * 2.0 ** (number + 1) - 0.1 for number, gap in enumerate(gaps))
    assert "worse" not in causes(made)


def test_an_upload_is_not_slowness_but_a_refused_part_is() -> None:
    big = chain_graph([100_000, 100_000], [20_000_000])
    made = run_world(replace(world(fixed((1,))), models=(replace(world("local").models[0], graph=big),), until_s=15.0))
    assert causes(made) == ["arrival"]
    full = small_world(
        GRAPH, (0.4,), fixed((1,)), servers=2, server_ghz=20.0, link=LINK, server={"memory_bytes": 600_000},
        user={"replan": "slow", "slow": SLOW, "queries": None}, clients=2, until_s=20.0,
    )  # fmt: skip
    first, second = full.users
    made = run_world(replace(full, users=(first, replace(second, arrival_s=0.1))))
    assert causes(made, "u0") == ["arrival"]
    assert causes(made, "u1")[:2] == ["arrival", "slow"]


def test_a_server_that_fails_for_good_is_slowness_too() -> None:
    made = run_world(world("direct", faults=(Crash((1,), at_s=8.0),)))
    assert causes(made)[:2] == ["arrival", "slow"]
    assert made.tables["plans"][-1]["placement"].startswith("s2:")


def test_after_a_crash_nobody_goes_back_to_what_was_before() -> None:
    """The link to server 1 narrows at 8 s and the user moves; server 1 crashes at 12 s, while the new plan is on
    trial, and that one is worse: it stays."""
    faults = narrows(1), narrows(2, 8.0, 4e4), Crash((1,), at_s=11.5, for_s=1.0)
    made = run_world(world("test_slow_by_hand:Narrowest", faults=faults, until_s=30.0, slow=Slow(1.5, 2.0, 100.0)))
    asked = made.tables["plans"][1]["requested_s"]
    assert asked < 11.5
    assert causes(made) == ["arrival", "slow"]


def test_a_crowd_that_took_the_same_server_spreads() -> None:
    """Four users keep one of two equal servers busy (0.4 s of work in 0.62): some move, and all gain."""
    heavy = world("direct", clients=4, seconds=8.0, until_s=60.0)
    never = run_world(replace(heavy, users=tuple(replace(user, replan="never", slow=None) for user in heavy.users)))
    slow = run_world(heavy)
    assert {row["cause"] for row in slow.tables["plans"]} >= {"slow"}
    assert mean_s(slow, 30.0) < mean_s(never, 30.0)
