"""A machine's clock is given over all cores, or of one; both only if they agree."""

from __future__ import annotations

from typing import Any

import pytest
from run_world import phones

from layerlift.emulator import Scenario
from layerlift.models.errors import ScenarioError


def clocks(**edge: Any) -> list[float]:
    """GHz of the two edge servers."""
    group = {"tier": "edge", "count": 2, "cores": 4, **edge}
    scenario = phones(nodes=[{"tier": "client", "count": 2, "ghz": 1}, group], links=LINKS)
    again = Scenario.from_dict(scenario.model_dump(mode="json"))
    found = [[node.ghz for node in made.resolve().nodes if node.tier == "edge"] for made in (scenario, again)]
    assert found[0] == found[1], "what was read is read again"
    return found[0]


LINKS = {pair: {"bandwidth_mb_s": 4, "latency_ms": 3} for pair in ("client-edge", "edge-edge")}


def test_of_one_core_is_so_many_times_over_all() -> None:
    assert clocks(ghz_per_core=2.5) == [10, 10]
    assert clocks(ghz_per_core=[2, 4]) == clocks(ghz=[8, 16]) == [8, 16]


def test_both_may_be_given_if_they_agree() -> None:
    assert clocks(ghz_per_core=[2, 4], ghz=[8, 16]) == [8, 16]
    assert clocks(ghz_per_core=0.1, ghz=0.4) == [0.4, 0.4]
    with pytest.raises(
        ScenarioError, match=r"nodes\.1\.ghz_per_core is 2 with 4 cores, 8 over all of them, but ghz is 9"
    ):
        clocks(ghz_per_core=2, ghz=9)
    with pytest.raises(ScenarioError, match="expected one of the two"):
        clocks(ghz_per_core=[2, 4], ghz=[8, 15])


def test_one_of_them_is_needed() -> None:
    with pytest.raises(ScenarioError, match=r"nodes\.1\.ghz is missing"):
        clocks()


def test_a_device_has_it_too() -> None:
    users = [{"model": "squeezenet", "queries": 1, "count": 2, "device": {"ghz_per_core": [0.5, 1], "cores": 2}}]
    scenario = phones(users=users, nodes=[{"tier": "edge", "ghz": 8, "count": 2}], links=LINKS)
    assert [node.ghz for node in scenario.resolve().nodes if node.tier == "client"] == [1, 2]
