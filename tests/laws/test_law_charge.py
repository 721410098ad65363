"""Law 5 for charge: a battery never gives more than it holds, and a machine that is off draws what it is given."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from charge_books import charge_is_kept
from hypothesis import given
from hypothesis import strategies as st
from wild import wild_worlds
from worlds import Run, chain_graph, examples, run_world, small_world

from layerlift.emulator.world.faults import Crash
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.world import World

WATTS = {"idle_w": 2.0, "compute_w": 8.0, "radio_w": 5.0}


@pytest.mark.long
@given(wild_worlds(), st.sampled_from((0.05, 0.6, 1.5, 3.0, 6.0)))
@examples(60)
def test_charge_is_kept_in_wild_worlds(world: World, charge_j: float) -> None:
    """Every client has a battery that may end before, while or after its user is there."""
    clients = set(world.clients)
    nodes = tuple(replace(node, battery_j=charge_j) if node.index in clients else node for node in world.nodes)
    charge_is_kept(run_world(replace(world, nodes=nodes)))


def left_early(sample_s: float, **client: Any) -> Run:
    """The first user comes at 5 s with 20 J, asks once (0.1 s) and leaves; the second asks until 60 s."""
    made = small_world(
        chain_graph([0, 0], [1]), (0.1,), clients=2, sample_s=sample_s, until_s=60.0, client={**WATTS, **client},
        link=LinkSpec(0.01, 1e6),
    )  # fmt: skip
    first = replace(made.users[0], arrival_s=5.0, queries=1)
    second = replace(made.users[1], queries=None, think_s=1.0)
    nodes = (replace(made.nodes[0], battery_j=20.0), *made.nodes[1:])
    return run_world(replace(made, nodes=nodes, users=(first, second)))


@pytest.mark.parametrize("sample_s", [inf, 0.7])
def test_a_battery_is_read_though_its_user_has_left(sample_s: float) -> None:
    """2 W from 5 s on and 0.8 J for the query: 20 J last until 14.6 s, when the user has been away for 9.5 s."""
    run = left_early(sample_s)
    charge_is_kept(run)
    (end,) = [row for row in run.tables["changes"] if row["kind"] == "battery empty"]
    assert end["at_s"] == pytest.approx(14.6, abs=0.08)
    assert (end["node"], end["user"]) == ("c0", "u0")
    assert [row["status"] for row in run.tables["queries"] if row["user"] == "u0"] == ["answered"]
    drawn_j = sum(row["energy_j"] for row in run.tables["usage"] if row["node"] == "c0")
    assert drawn_j == pytest.approx(20.0, abs=0.16)


@pytest.mark.parametrize("sample_s", [inf, 0.7])
@pytest.mark.parametrize(("off_w", "expected_j"), [(0.0, 10.0 * 57.0), (4.0, 10.0 * 57.0 + 4.0 * 3.0)])
def test_a_crashed_server_draws_what_it_is_given(off_w: float, expected_j: float, sample_s: float) -> None:
    """Down from 1.25 s to 4.25 s of 60 s; nobody uses it."""
    made = small_world(
        chain_graph([0, 0], [1]), (0.1,), sample_s=sample_s, until_s=60.0, server={"idle_w": 10.0, "off_w": off_w},
        user={"queries": None, "think_s": 1.0}, faults=(Crash((1,), 1.25, 3.0),),
    )  # fmt: skip
    rows = [row for row in run_world(made).tables["usage"] if row["node"] == "s1"]
    assert sum(row["energy_j"] for row in rows) == pytest.approx(expected_j)
    assert sum(row["period_s"] for row in rows) == pytest.approx(60.0)


def test_a_server_that_stays_down_is_off_in_its_idle_rows() -> None:
    """Down from 1.25 s on: two seconds of samples, and one row of 58 s at 4 W."""
    made = small_world(
        chain_graph([0, 0], [1]), (0.1,), sample_s=1.0, until_s=60.0, server={"idle_w": 10.0, "off_w": 4.0},
        user={"queries": None, "think_s": 1.0}, faults=(Crash((1,), 1.25, inf),),
    )  # fmt: skip
    last = [row for row in run_world(made).tables["usage"] if row["node"] == "s1"][-1]
    assert (last["period_s"], last["energy_j"]) == (58.0, 58.0 * 4.0)
