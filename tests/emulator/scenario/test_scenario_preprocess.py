"""Preprocessing written in a scenario reaches planners, costs and execution."""

from __future__ import annotations

import pytest

from layerlift.emulator import LayerliftError, Scenario, run

SMALL = ["execution=once", "users.0.queries=2", "users.0.count=1", "inputs=1"]


@pytest.mark.long
def test_a_collapsed_network_is_planned_in_modules_and_answers_the_same() -> None:
    plain = Scenario.load("quickstart", SMALL).resolve().models[0]
    scenario = Scenario.load("quickstart", [*SMALL, "preprocess=[collapse]"])
    collapsed = scenario.resolve().models[0]
    assert len(collapsed.graph) < len(plain.graph)
    assert sum(collapsed.seconds["reference"]) == pytest.approx(sum(plain.seconds["reference"]))
    result = run(scenario, local=True)
    assert result.summary["totals"]["output_error"] == 0
    last = int(result.plans["placement"].to_pylist()[0].rsplit("-", 1)[1])
    assert last == len(collapsed.graph) - 1


def test_a_model_may_say_otherwise() -> None:
    scenario = Scenario.load("quickstart", [*SMALL, "preprocess=[collapse]", "models={squeezenet: {preprocess: []}}"])
    plain = Scenario.load("quickstart", SMALL)
    assert len(scenario.resolve().models[0].graph) == len(plain.resolve().models[0].graph)


def test_an_unknown_step_is_told_with_its_path() -> None:
    with pytest.raises(LayerliftError, match=r"preprocess.*there is no step 'mrge'; did you mean merge"):
        Scenario.load("quickstart", ["preprocess=[mrge]"])
