"""Lists of overrides: one table, whose rows are plain runs."""

from __future__ import annotations

from typing import Any

import pytest

from layerlift import Scenario, run, sweep
from layerlift.emulator.studies.fairness.measure import fairness
from layerlift.models.errors import LayerliftError

WORLD: dict[str, Any] = {
    "nodes": [{"tier": "edge", "name": "edge", "ghz": 24}],
    "links": {"client-edge": {"bandwidth_mb_s": 10, "latency_ms": 2}},
    "users": [{"model": "squeezenet", "planner": "ionn", "queries": 3, "device": {"ghz": 1}, "count": 1}],
    "execution": "none",
    "reference_ghz": 48.6,
}


@pytest.mark.long
def test_a_row_for_each_list_and_planner_is_a_plain_run() -> None:
    lists: list[Any] = [[], ["nodes.0.ghz=6", "users.0.queries=2"], {"users.0.queries": 5}, "nodes.0.policy=drf"]
    table = sweep(Scenario.from_dict(WORLD), lists, planners=["ionn", "local"], seeds=[2], alone=False, local=True)
    rows = table.to_pylist()
    assert [(row["nodes.0.ghz"], row["users.0.queries"], row["nodes.0.policy"], row["planner"]) for row in rows] == [
        (ghz, queries, policy, planner)
        for ghz, queries, policy in ((None, None, None), (6, 2, None), (None, 5, None), (None, None, "drf"))
        for planner in ("ionn", "local")
    ]
    settings = ["nodes.0.ghz=6", "users.0.queries=2", "users.0.planner=local", "seed=2"]
    seen = fairness(run(Scenario.from_dict(WORLD, settings), local=True))["all"]
    assert rows[3]["latency_mean_queries_s"] == seen["latency_s"]["queries"]["mean"]
    assert rows[3]["answered"] == 2
    assert rows[3]["money"] is None
    assert {row["status"] for row in rows} == {"done"}


@pytest.mark.parametrize(
    "wrong", [[], [[], []], ["nodes.0.ghz"], [3], [["nodes.0.gzh=3"]], [{"nodes.0.ghz": object()}], [{3: 3}]]
)
def test_what_is_no_list_of_overrides_is_refused_before_anything_runs(wrong: Any) -> None:
    with pytest.raises(LayerliftError) as error:
        sweep(Scenario.from_dict(WORLD), wrong, local=True, seeds=1, alone=False)
    assert len(str(error.value)) <= 300
    assert "\n" not in str(error.value)


def test_a_field_has_values_and_lists_have_none() -> None:
    for field, values in (("nodes.0.ghz", None), ([["nodes.0.ghz=3"]], [1, 2])):
        with pytest.raises(LayerliftError, match="expected"):
            sweep(Scenario.from_dict(WORLD), field, values, local=True)  # type: ignore[call-overload]
