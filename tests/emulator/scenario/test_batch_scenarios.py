"""Servers that batch, as a scenario says them: what is refused, what a policy caps, what planners are told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batching import growing
from made_profile import made_profile
from small_nets import model, node, normal, saved, tensor
from small_scenario import Few, small

from layerlift import models
from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.policies import PolicyBase, PolicyError, batch_cap
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.run import run
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.from_run import scenario_of
from layerlift.emulator.scenario.resolving.catalog import Priced
from layerlift.emulator.scenario.schema.sections import ModelSection
from layerlift.emulator.world.world import World
from layerlift.models.errors import ScenarioError
from layerlift.planners.cost.crowd import Crowd

BATCHING = {"tier": "edge", "name": "gpu", "ghz": 8, "discipline": "batch", "max_batch": 8, "batch_wait_ms": 3}


class Several(Few):
    """A catalog whose profiles know batches: each further query of one costs half of the first."""

    def __init__(self, unbatched: str = "") -> None:
        self.unbatched = unbatched

    def price(self, source: str, options: ModelSection, classes: tuple[str, ...]) -> Priced:
        priced = super().price(source, options, classes)
        batches = {name: growing(priced.seconds[name], (2, 4), 0.5) for name in classes}
        return replace(priced, batches=batches, unbatched=self.unbatched)


def scenario(**server: Any) -> Scenario:
    nodes = [{"tier": "client", "count": 2, "ghz": [1, 2]}, {**BATCHING, **server}]
    return Scenario.from_dict(small(nodes=nodes))


def refused(made: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        made()
    return str(caught.value)


def test_fields_become_a_node_of_the_world() -> None:
    world = scenario().resolve(Several())
    server = world.nodes[2]
    assert (server.discipline, server.max_batch, server.batch_wait_s) == ("batch", 8, 0.003)
    assert world.models[0].batches["reference"] == growing(world.models[0].seconds["reference"], (2, 4), 0.5)
    assert world.nodes[0].max_batch == 1
    usual = scenario(discipline="fifo", max_batch=None, batch_wait_ms=None).resolve(Several())
    assert not usual.models[0].batches, "nobody asks for them"


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ({"max_batch": None}, "nodes.1.max_batch is missing"),
        ({"max_batch": 0}, "nodes.1.max_batch is 0"),
        ({"discipline": "sharing"}, "nodes.1.max_batch is given, but discipline is sharing"),
        ({"discipline": "fifo", "max_batch": None}, "nodes.1.batch_wait_ms is given, but discipline is fifo"),
        ({"batch_wait_ms": -1}, "nodes.1.batch_wait_ms is -1"),
        ({"tier": "client"}, "nodes.1.discipline is batch for a client"),
    ],
)
def test_what_does_not_fit_together_is_refused(server: dict[str, Any], said: str) -> None:
    assert refused(lambda: scenario(**server)).startswith(said)


def test_a_device_does_not_batch() -> None:
    users = [{"model": "small", "queries": 1, "device": {"ghz": 1, "discipline": "batch"}}]
    assert refused(lambda: Scenario.from_dict(small(users=users))).startswith(
        "users.0.device.discipline is batch for a device"
    )


def test_a_profile_without_batches_is_refused_with_the_remedy() -> None:
    said = refused(lambda: scenario().resolve(Few()))
    assert said == (
        "nodes.1.profile is 'reference', which says nothing of several queries of small at once: measure them with "
        "layerlift profile small --batch 1,2,4,8 -o FILE, and name that file"
    )
    assert scenario(max_batch=1).resolve(Few()).nodes[2].max_batch == 1, "one at a time needs none"


def test_a_network_that_cannot_is_refused() -> None:
    said = refused(lambda: scenario().resolve(Several("small cannot run several queries at once: it is odd")))
    assert said == "nodes.1.discipline is batch, but small cannot run several queries at once: it is odd"


def test_measured_costs_are_refused() -> None:
    nodes = [{"tier": "client", "count": 2, "ghz": 1}, BATCHING]
    made = Scenario.from_dict(small(nodes=nodes, compute="measured", execution="every"))
    assert "gpu batches, and compute is measured" in refused(lambda: made.resolve(Several()))


class Capped(PolicyBase):
    """Three at most."""

    claims = False
    revokes = False
    max_batch = 3


class Strange(Capped):
    max_batch: Any = 0.5


def test_a_policy_may_cap_a_batch() -> None:
    assert (batch_cap("first_come"), batch_cap(f"{__name__}:Capped")) == (float("inf"), 3.0)
    made = scenario().changed([f"nodes.1.policy={__name__}:Capped"], allow_code=True)
    assert made.resolve(Several()).nodes[2].max_batch == 3
    with pytest.raises(PolicyError, match=r"has the max_batch 0\.5, expected a whole number"):
        batch_cap(f"{__name__}:Strange")


def world(**server: Any) -> World:
    return scenario(**server).resolve(Several())


def test_seconds_of_a_batch_are_scaled_by_the_clock_and_bounded_by_the_memory() -> None:
    made = world()
    assert made.batch_seconds(0, 2, 1) == made.seconds(0, 2) == (0.0625, 0.125, 0.1875)
    assert made.batch_seconds(0, 2, 3) == pytest.approx((0.125, 0.25, 0.375))
    assert made.batch_seconds(0, 2, 8) == pytest.approx(tuple(4.5 * second for second in made.seconds(0, 2)))
    floored = replace(
        made,
        models=(replace(made.models[0], floor_s={"reference": (0.1,) * 3}, floor_more_s={"reference": (0.02,) * 3}),),
    )
    assert floored.batch_seconds(0, 2, 3) == pytest.approx((0.14, 0.25, 0.375))


def test_planners_see_the_wait_and_the_rate_of_full_batches() -> None:
    made = world()
    problem = problem_of(made, 0)
    assert problem.company_s is not None
    assert problem.company_s.tolist() == [0.0, 0.003]
    assert problem.latency_s[0, 1] == pytest.approx(made.link(0, 2).latency_s + 0.003)
    assert problem.latency_s[1, 0] == made.link(2, 0).latency_s
    assert problem.upload_delay_s(1) == pytest.approx(made.link(0, 2).latency_s)
    assert problem.cores.tolist() == [1, 1], "8 / 4.5 is 1.8, rounded down"
    assert problem_of(world(max_batch=1), 0).company_s is None
    cheap = replace(
        made,
        models=(
            replace(made.models[0], batches={"reference": growing(made.models[0].seconds["reference"], (2,), 0.1)}),
        ),
    )
    assert problem_of(cheap, 0).cores.tolist() == [1, 4], "8 / 1.7 is 4.7"
    waits = replace(problem, company_s=problem.company_s * 2)
    assert waits.digest != problem.digest
    assert Crowd([problem, problem]).problems[0].cores.tolist() == [1, 1]


def reshaping(axis: bool) -> Any:
    """A network whose batch axis is written down in a Reshape; or transposed away."""
    weights = {"w": normal(12, 6), "s": np.array([1, 12])}
    nodes = [node("Reshape", ["x", "s"], ["a"]), node("MatMul", ["a", "w"], ["b"])]
    nodes += [node("Relu" if axis else "Transpose", ["b"], ["y"], **({} if axis else {"perm": [1, 0]}))]
    return model(nodes, [tensor("x", 1, 3, 4)], ["y"], weights)


def user_made(tmp_path: Path, axis: bool) -> Scenario:
    file = saved(reshaping(axis), tmp_path / "mine.onnx")
    network = models.load(str(file))
    profile = made_profile(network)
    replace(profile, batches=growing(profile.seconds, (2, 4), 0.25)).save(tmp_path / "mine.json")
    data = small(
        nodes=[
            {"tier": "client", "count": 3, "ghz": 0.001},
            {**BATCHING, "profile": "mine.json", "ghz": 1, "batch_wait_ms": 50},
        ],
        users=[{"model": "mine.onnx", "queries": 12, "planner": "direct", "asks": {"every_ms": 5}, "in_flight": 4}],
        reference_ghz=2.6,
        execution="every",
        until_s=30,
    )
    (tmp_path / "mine.yaml").write_text(json.dumps(data))
    return Scenario.load(tmp_path / "mine.yaml")


@pytest.mark.long
def test_a_network_without_a_row_for_each_query_is_refused_in_one_sentence(tmp_path: Path) -> None:
    said = refused(user_made(tmp_path, axis=False).resolve)
    assert "nodes.1.discipline is batch, but mine cannot run several queries at once" in said
    assert len(said) <= 300


@pytest.mark.long
def test_batches_run_for_real_and_a_replay_has_them_without_the_profile(tmp_path: Path) -> None:
    made = run(user_made(tmp_path, axis=True), local=True, out=tmp_path / "run")
    sizes = made.batches["size"].to_pylist()
    assert max(sizes) > 1
    errors = [row["value"] for row in made.measured.to_pylist() if row["kind"] == "output_error"]
    assert len(errors) == made.summary["totals"]["answered"]
    assert max(errors) <= 1e-5
    [told] = made.summary["servers"]
    assert (told["batches"]["count"], told["batches"]["largest"]) == (len(sizes), max(sizes))
    assert told["batches"]["mean_size"] == pytest.approx(sum(sizes) / len(sizes))
    assert made.verify() == made.digest
    (tmp_path / "mine.json").unlink()
    assert run(scenario_of(RunResult.load(tmp_path / "run")), local=True).digest == made.digest
