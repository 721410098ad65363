"""Rows of use: idle periods are one row, sums stay what they are, and a quiet day costs nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wild import wild_worlds
from worlds import InlinePlans, chain_graph, examples, fixed, run_world, small_world

from layerlift.emulator.kernel.clock import Kernel
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.conductor import Conductor, LocalHosts
from layerlift.emulator.runtime.host import pack
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.world import World

SUMMED = ("period_s", "busy_s", "held_byte_s", "sent_bytes", "received_bytes", "radio_s", "energy_j", "money")
DAY_S = 86_400.0


def sums(world: World) -> dict[str, dict[str, float]]:
    nodes: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(SUMMED, 0.0))
    for row in run_world(world).tables["usage"]:
        for column in SUMMED:
            nodes[row["node"]][column] += row[column]
    return nodes


@pytest.mark.long
@given(wild_worlds(), st.sampled_from((0.01, 0.05, 0.25, 0.3)))
@examples(40)
def test_sums_do_not_depend_on_the_period(world: World, period_s: float) -> None:
    """Without samples there is one row a node, in which nothing can be idle or merged."""
    sampled, whole = sums(replace(world, sample_s=period_s)), sums(replace(world, sample_s=inf))
    assert sampled.keys() == whole.keys()
    for node, expected in whole.items():
        assert sampled[node] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def quiet_day(users: int = 50) -> World:
    """Everybody uploads a layer on arrival, asks twice, half a day apart, and stays until midnight."""
    made = small_world(
        chain_graph([0, 0], [1000]), (0.01,), fixed((1,)), clients=users, sample_s=1.0, until_s=DAY_S,
        link=LinkSpec(0.001, 1e6), server={"idle_w": 10.0, "compute_w": 5.0}, client={"idle_w": 1.0},
        user={"queries": None, "think_s": DAY_S / 2},
    )  # fmt: skip
    return replace(made, users=tuple(replace(user, arrival_s=37.5 * user.index) for user in made.users))


def one_clock(world: World, write: Any) -> OneClock:
    return OneClock(world, InlinePlans(world), write)


def lockstep(world: World, write: Any) -> Conductor:
    return Conductor(world, LocalHosts(world, pack(world, 3)), InlinePlans(world), write)


@pytest.mark.parametrize("engine", [one_clock, lockstep])
def test_a_quiet_day_of_fifty_users_is_a_few_hundred_rows(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row a second and node would be 4.5 million."""
    scheduled = 0
    popped = Kernel.run_before

    def counted(kernel: Kernel, horizon: float) -> None:
        nonlocal scheduled
        scheduled += 1
        popped(kernel, horizon)

    monkeypatch.setattr(Kernel, "run_before", counted)
    rows: dict[str, list[Any]] = {table: [] for table in TABLES}
    ending = engine(quiet_day(), lambda table, more: rows[table].extend(more)).run()
    assert ending.at_s == DAY_S
    assert len(rows["queries"]) == 2 * 50
    assert len(rows["usage"]) < 50 * 12
    assert ending.progress.windows < 50 * 100
    assert scheduled < 50 * 300
    server = [row for row in rows["usage"] if row.node == "s1"]
    busy_s = sum(row.busy_s for row in server)
    assert sum(row.energy_j for row in server) == pytest.approx(10.0 * DAY_S + 5.0 * busy_s)
    assert max(row.period_s for row in server) > DAY_S / 4


def test_idle_periods_that_follow_each_other_are_one_row() -> None:
    """0.25 s of work at 0 s and at 2.25 s, samples each 0.5 s, and an end at 4.2 s: idle from 0.5 to 2 s and from 2.5 s
    to the end."""
    made = small_world(
        chain_graph([0, 0], [1]), (0.25,), sample_s=0.5, until_s=4.2, client={"idle_w": 2.0, "compute_w": 8.0},
        user={"queries": 2, "think_s": 2.0},
    )  # fmt: skip
    rows = [row for row in run_world(made).tables["usage"] if row["node"] == "c0"]
    told = [(row["at_s"], row["period_s"], row["busy_s"], row["energy_j"]) for row in rows]
    expected = [(0.5, 0.5, 0.25, 3.0), (2.0, 1.5, 0.0, 3.0), (2.5, 0.5, 0.25, 3.0), (4.2, 1.7, 0.0, 3.4)]
    assert [value for row in told for value in row] == pytest.approx([value for row in expected for value in row])


def test_what_is_held_is_held_in_idle_rows() -> None:
    """A part of 1,000 bytes comes in the first second and stays; nobody asks for the server afterwards."""
    made = small_world(
        chain_graph([0, 0], [1000]), (0.01,), fixed((1,)), sample_s=1.0, until_s=100.0,
        user={"queries": None, "think_s": 500.0}, server={"price_per_byte_s": 0.001},
    )  # fmt: skip
    first, idle = [row for row in run_world(made).tables["usage"] if row["node"] == "s1"]
    assert (idle["period_s"], idle["held_bytes"], idle["held_byte_s"]) == (99.0, 1000, 99_000.0)
    assert idle["money"] == pytest.approx(99.0)
    assert 0.0 < first["held_byte_s"] < 1000.0


@pytest.mark.parametrize("engine", [one_clock, lockstep])
def test_a_run_that_is_broken_off_tells_of_idle_nodes_too(engine: Any) -> None:
    rows: dict[str, list[Any]] = {table: [] for table in TABLES}
    made = engine(quiet_day(3), lambda table, more: rows[table].extend(more))

    def stop(progress: Any) -> None:
        if progress.now_s > 43_000.0:
            raise KeyboardInterrupt

    made._before_step = made._before_window = stop
    with pytest.raises(KeyboardInterrupt):
        made.run()
    made.break_off()
    last = {row.node: row.at_s for row in rows["usage"]}
    assert last.keys() == {"c0", "c1", "c2", "s1", "planner"}
    assert set(last.values()) == {43_200.0}
