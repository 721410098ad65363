"""What planners are told of servers, and what devices with slow memory cost."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from layerlift.emulator.planning.problems import predicted_seconds, problem_of
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.world.world import World
from layerlift.models import load
from layerlift.models.timing.predictor import shipped


def paper(*settings: str) -> World:
    return Scenario.load("paper", settings).resolve()


def test_regressions_reach_the_planner_but_not_the_emulation() -> None:
    world = paper("planner.predictions=regression")
    server = world.servers[0]
    told = predicted_seconds(world, 0, server)
    machine = world.nodes[server]
    regression = shipped().seconds(load("alexnet"))
    assert told == pytest.approx([s * 72.5 * machine.cores / machine.ghz for s in regression], abs=1e-9)
    assert world.seconds(0, server) == paper().seconds(0, server) != pytest.approx(told)
    assert list(problem_of(world, 0).seconds[:, 1]) == list(told)


def test_exact_predictions_are_the_truth_and_need_no_regression() -> None:
    world = paper()
    assert predicted_seconds(world, 0, world.servers[3]) == world.seconds(0, world.servers[3])
    assert world.models[0].predicted_s == ()


def test_errors_of_predictions_are_drawn_per_server_from_the_seed() -> None:
    world = paper("planner.predictions={bias: 0.1, sigma: 0.2}")
    first, second = (predicted_seconds(world, 0, server) for server in world.servers[:2])
    assert first == predicted_seconds(paper("planner.predictions={bias: 0.1, sigma: 0.2}"), 0, world.servers[0])
    ratio = [told / true for told, true in zip(first, world.seconds(0, world.servers[0]), strict=True)]
    other = [told / true for told, true in zip(second, world.seconds(0, world.servers[1]), strict=True)]
    assert ratio != pytest.approx(other, rel=1e-3)
    assert sum(ratio) / len(ratio) == pytest.approx(1.1, abs=0.15)


def test_a_server_may_be_off_as_a_whole() -> None:
    """One error for all layers of a server, beside those of each layer; another for another server."""
    wrong = "planner.predictions={server_sigma: 0.3}"
    world = paper(wrong)
    factors = []
    for server in world.servers:
        told, true = predicted_seconds(world, 0, server), world.seconds(0, server)
        ratio = sum(told) / sum(true)
        assert told == pytest.approx([ratio * second for second in true], rel=1e-3, abs=2e-9)
        factors.append(ratio)
    assert len({round(factor, 6) for factor in factors}) == len(world.servers)
    assert 0.1 < statistics.stdev(factors) < 0.6
    assert predicted_seconds(paper(wrong), 0, world.servers[0]) == predicted_seconds(world, 0, world.servers[0])
    layers = paper("planner.predictions={sigma: 0.2}"), paper("planner.predictions={sigma: 0.2, server_sigma: 0.3}")
    one, both = (predicted_seconds(each, 0, each.servers[0]) for each in layers)
    assert both == pytest.approx([factors[0] * second for second in one], rel=1e-3, abs=2e-9)


def test_no_clock_makes_a_layer_faster_than_memory_allows() -> None:
    world = paper()
    spec, server = world.models[0], world.servers[-1]
    usual = world.seconds(0, server)
    floor = tuple(0.0 if layer % 2 else usual[layer] * 3 for layer in range(len(usual)))
    slow = replace(world, models=(replace(spec, floor_s={"reference": floor}),))
    assert slow.seconds(0, server) == tuple(s if layer % 2 else 3 * s for layer, s in enumerate(usual))
