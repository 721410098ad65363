"""Worlds whose clocks alone would keep a run busy: said beforehand, or refused, with the number and the field."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from worlds import chain_graph, small_world

from layerlift.emulator.world.endless import check_clocks
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
    (said,) = check_clocks(late)
    assert "3,000,000,000 rows" in said


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
