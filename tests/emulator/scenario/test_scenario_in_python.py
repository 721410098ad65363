"""A scenario made in Python: its mistakes are told as those of a file are, and it shows itself on one line."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from small_scenario import Few, small

from layerlift.emulator.scenario import Scenario
from layerlift.models.errors import ScenarioError


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sed": 3}, "sed is not a known field; did you mean seed"),
        ({"seed": "three"}, "seed is 'three', expected a whole number"),
        ({"users": []}, "users is empty: expected at least one kind of users"),
        ({"nodes": [{"tier": "edge", "ghz": 0}]}, "nodes.0.ghz is 0, expected a number above 0"),
        ({"links": {}}, "links has no client-edge: expected its bandwidth_mb_s and latency_ms"),
        ({"faults": [{"outage": "nowhere", "at_s": 1, "for_s": 1}]}, "faults.0.outage is 'nowhere', expected a pair"),
    ],
)
def test_a_mistake_is_told_as_that_of_plain_values(wrong: dict[str, Any], says: str) -> None:
    data = small(**wrong)
    with pytest.raises(ScenarioError) as made:
        Scenario(**data)
    with pytest.raises(ScenarioError) as read:
        Scenario.from_dict(data)
    assert str(made.value) == str(read.value)
    assert str(made.value).startswith(says)


def test_a_right_one_is_that_of_plain_values() -> None:
    made = Scenario(**small())
    assert made == Scenario.from_dict(small())
    assert made.resolve(Few()) == Scenario.from_dict(small()).resolve(Few())
    assert Scenario(nodes=made.nodes, links=made.links, users=made.users) == made
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made


def test_a_mistake_on_the_command_line_still_says_so() -> None:
    with pytest.raises(ScenarioError, match=r"^--set seed=x: seed is 'x', expected a whole number$"):
        Scenario.from_dict(small(), ["seed=x"])


def test_it_shows_itself_on_one_line() -> None:
    made = Scenario(**small(name="a\nb", seed=7))
    assert repr(made) == str(made) == "Scenario('a\\nb': 2 users, 4 servers, seed 7)"


def test_in_a_notebook_it_is_a_table_in_which_nothing_is_markup() -> None:
    evil = "<script>alert(1)</script>"
    users = [{"model": "small", "queries": 1, "planner": evil}]
    page = Scenario(**small(name=evil, about=f"{evil} & more", users=users))._repr_html_()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3
    assert "<tr><th>servers</th><td>4</td></tr>" in page
    assert "<tr><th>seed</th><td>1</td></tr>" in page
