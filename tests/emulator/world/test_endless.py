"""Worlds whose clocks alone would keep a run busy: said beforehand, or refused, with the number and the field."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from worlds import chain_graph, small_world

from layerlift.emulator.world.endless import check_clocks
from layerlift.emulator.world.faults import Crash
from layerlift.emulator.world.laws import Exponential, Fixed, RecordedInstants, Regular
from layerlift.emulator.world.users import PlanningSpec
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError


def world(**changes: Any) -> World:
    return small_world(chain_graph([0, 0], [1]), (0.1,), **changes)


def test_a_usual_world_is_not_worth_a_word() -> None:
    assert check_clocks(world(sample_s=1.0, until_s=86_400.0)) == []
    assert check_clocks(world(sample_s=inf)) == []


def test_how_many_rows_will_come_is_said_when_they_are_many() -> None:
    (said,) = check_clocks(world(sample_s=0.01, until_s=86_400.0))
    assert "25,920,000 rows" in said
    assert "sample_s" in said


def test_a_user_who_comes_in_thirty_years_costs_nothing_until_then() -> None:
    made = world(sample_s=1.0)
    late = replace(made, users=(replace(made.users[0], arrival_s=1e9),))
    years, rows = check_clocks(late)
    assert "1e+09 s or more (31.7 years)" in years
    assert "until_s" in years
    assert "3,000,000,000 rows" in rows
    assert len(check_clocks(replace(late, until_s=9e8))) == 1  # somebody ends it


@pytest.mark.parametrize(
    ("user", "years"),
    [
        ({"queries": 3, "think_s": 1e9}, 63.4),
        ({"queries": 3, "think_law": Exponential(1e9)}, 63.4),
        ({"queries": 4, "asks": Regular(1e12)}, 95.1),
        ({"queries": None, "asks": RecordedInstants((0.0, 3e9))}, 95.1),
        ({"queries": 3, "think_s": 1e9, "stay": Fixed(1e8)}, 3.2),
        ({"queries": 3, "think_s": 1e9, "stay": Fixed(60.0)}, None),
        ({"queries": 1, "think_s": 1e9}, None),
    ],
)
def test_a_run_of_years_is_worth_a_word(user: dict[str, Any], years: float | None) -> None:
    said = check_clocks(world(user=user, sample_s=inf))
    assert [f"({years} years)" in sentence for sentence in said] == ([] if years is None else [True])


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        (Crash((1,), mean_up_s=0.001, mean_down_s=0.001), "faults.0.mean_up_s + mean_down_s"),
        (Crash((1,), at_s=1.0, for_s=0.001, every_s=0.002), "faults.0.every_s"),
    ],
)
def test_what_waits_for_years_while_others_do_not_is_refused(fault: Crash, field: str) -> None:
    slow = {"queries": 3, "think_s": 1e8}
    assert len(check_clocks(world(user=slow, sample_s=inf))) == 1
    with pytest.raises(RunError, match="makes 1e\\+11 events") as error:
        check_clocks(world(user=slow, sample_s=inf, faults=(fault,)))
    assert str(error.value).startswith(f"{field} is 0.002 s")
    with pytest.raises(RunError, match=r"planner\.heartbeat_s"):
        check_clocks(world(user=slow, sample_s=inf, planning=PlanningSpec(at=1, heartbeat_s=1.0)))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sample_s": 1e-9}, "sample_s"),
        ({"planning": PlanningSpec(at=1, heartbeat_s=1e-9)}, "planner.heartbeat_s"),
        ({"user": {"replan": "every", "replan_s": 1e-9}}, "users.*.replan"),
        ({"user": {"on_refusal": "wait", "retries": 10**12, "retry_wait_s": 1e-9}}, "users.*.retry_wait_s"),
        ({"planning": PlanningSpec(at=1, heartbeat_s=0.01), "until_s": 1e9}, "planner.heartbeat_s"),
    ],
)
def test_what_could_never_end_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(RunError) as error:
        check_clocks(world(**changes))
    assert field in str(error.value)
    assert len(str(error.value)) <= 300
