"""What a scenario says of users who ask anew and of servers that come and go, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from small_scenario import Few, small

from layerlift.emulator.scenario.resolving.resolve import resolve
from layerlift.emulator.scenario.scenario import Scenario
from layerlift.emulator.world.laws import Exponential, Fixed
from layerlift.emulator.world.scaling import Scaling
from layerlift.emulator.world.users import Slow, UserSpec
from layerlift.emulator.world.world import World
from layerlift.models.errors import ScenarioError


def world(**changes: Any) -> World:
    return resolve(Scenario.from_dict(small(**changes)), Few())


def user(**fields: Any) -> UserSpec:
    return world(users=[{"model": "small", "queries": 3, **fields}]).users[0]


def test_slow_plans_have_defaults() -> None:
    made = user(replan={"when": "slow"})
    assert (made.replan, made.slow) == ("slow", Slow(1.5, 5.0, 30.0))
    made = user(replan={"when": "slow", "factor": 2, "for_s": 0.5, "cooldown_s": 7})
    assert made.slow == Slow(2.0, 0.5, 7.0)


def test_other_ways_of_asking_anew_are_as_before() -> None:
    assert (user().replan, user().slow) == ("never", None)
    assert user(replan="on_change").replan == "on_change"
    every = user(replan=4)
    assert (every.replan, every.replan_s, every.slow) == ("every", 4.0, None)


@pytest.mark.parametrize(
    ("replan", "words"),
    [
        ({"when": "fast"}, "users.0.replan.when is 'fast', expected slow"),
        ({"factor": 2}, "users.0.replan.when is missing"),
        ({"when": "slow", "factor": 0.9}, "users.0.replan.factor is 0.9, expected a number of at least 1"),
        ({"when": "slow", "for_s": 0}, "users.0.replan.for_s is 0, expected a number of at least 0.001"),
        ({"when": "slow", "cooldown": 3}, "users.0.replan.cooldown is not a known field; did you mean cooldown_s?"),
        ("sometimes", "users.0.replan"),
    ],
)
def test_what_is_wrong_is_said(replan: Any, words: str) -> None:
    with pytest.raises(ScenarioError) as error:
        user(replan=replan)
    assert words in str(error.value)


def test_a_stay_keeps_its_law_beside_the_number_that_was_drawn() -> None:
    made = user(stay_s={"exponential": 60})
    assert isinstance(made.stay, Fixed)
    assert made.stay_law == Exponential(60.0)
    assert user(stay_s=9).stay_law == Fixed(9.0)
    assert user().stay_law is None


def test_a_group_that_is_scaled_knows_its_servers_and_which_begin_off() -> None:
    nodes = small()["nodes"]
    nodes[1] = {**nodes[1], "autoscale": {"min": 2, "max": 2, "check_s": 3}}
    made = world(nodes=nodes, planner={"at": "far"})
    assert made.scaling == (Scaling((2, 3, 4), 2, 2, 0.6, 30.0, 10.0, 3.0, 60.0),)
    assert made.begin_off == {4}
    assert made.revocable
    nodes[1]["autoscale"] = {}
    assert world(nodes=nodes, planner={"at": "far"}).scaling == (Scaling((2, 3, 4), 1, 3),)
    assert world().begin_off == frozenset()


def test_clients_are_not_scaled() -> None:
    nodes = small()["nodes"]
    nodes[0] = {**nodes[0], "autoscale": {}}
    with pytest.raises(ScenarioError, match=r"nodes\.0\.autoscale is given for clients"):
        world(nodes=nodes, planner={"at": "far"})
