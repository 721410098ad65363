"""One idea, two files (CONTRIBUTING.md): what is added the way it says there works everywhere, with no third file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import house
import pytest
from click.testing import CliRunner
from small_nets import model, node, normal, saved, tensor

from layerlift import models
from layerlift.emulator import policies
from layerlift.emulator.cli.main import main
from layerlift.emulator.policies import testing as policy_kit
from layerlift.emulator.run import run
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.world import laws
from layerlift.models.graph import features
from layerlift.models.timing import operator_classes, training
from layerlift.models.timing.profile import Profile
from layerlift.models.timing.profiles import reference
from layerlift.planners.registry import planners
from layerlift.planners.testing import check_planner

PLANNER = '''
from layerlift.planners import PlannerBase, fits, latency, offload


class BestTail(PlannerBase):
    """Keep the first layers, give the rest to one server."""

    optimises = "latency"

    @classmethod
    def cite(cls):
        return "this test"

    def plan(self, problem, rng):
        best = (0,) * len(problem.graph)
        for server in problem.servers:
            for cut in range(len(best)):
                placement = (0,) * cut + (server,) * (len(best) - cut)
                if fits(problem, placement) and latency(problem, placement) < latency(problem, best):
                    best = placement
        return offload(best)
'''
POLICY = '''
from layerlift.emulator.policies import Grant, PolicyBase


class Halves(PolicyBase):
    """Each of n users is entitled to 1/n of everything."""

    weighs_links = False
    starves = False

    def divide(self, capacity, claims, before):
        count = len(claims)
        share = Grant(capacity.memory_bytes / count, capacity.cores / count, 1.0 / count)
        empty = Grant(0.0, capacity.cores / count, 1.0 / count, reason="no memory")
        return [empty if capacity.memory_bytes <= 0.0 and claim.memory_bytes > 0.0 else share for claim in claims]
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules can be imported, as long as the test lasts."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def said(*arguments: str) -> str:
    shown = CliRunner().invoke(main, arguments)
    assert shown.exit_code == 0, shown.output
    return shown.output


@pytest.mark.long
def test_a_planner_is_its_file_and_a_line_in_the_registry(folder: Path) -> None:
    (folder / "two_files_planner.py").write_text(PLANNER)
    planners.register("best_tail", "two_files_planner:BestTail")
    try:
        assert check_planner("best_tail") > 0
        assert "best_tail" in [row["name"] for row in json.loads(said("planners", "--json"))]
        assert "this test" in said("planners", "best_tail")
        scenario = Scenario.load("quickstart", ["users.0.planner=best_tail+recursive", "execution=none"])
        plans = run(scenario, local=True).plans.to_pylist()
    finally:
        planners.unregister("best_tail")
    assert {(row["planner"], row["status"]) for row in plans} == {("best_tail+recursive", "accepted")}


@pytest.mark.long
def test_a_policy_is_its_file_and_a_line_in_the_registry(folder: Path) -> None:
    (folder / "two_files_policy.py").write_text(POLICY)
    policies.register("halves", "two_files_policy:Halves")
    try:
        assert policy_kit.conform("halves") > 0
        assert "halves" in [row["name"] for row in json.loads(said("policies", "--json"))]
        digests = [
            run(Scenario.load("quickstart", [f"nodes.0.policy={name}", "execution=none"]), local=True).digest
            for name in ("halves", "equal", "greedy")
        ]
    finally:
        policies.unregister("halves")
    assert digests[0] == digests[1] != digests[2]


def einsum_network(folder: Path) -> Any:
    """Products of matrices of several sizes, written in an operator that no profile of ours has, and activations."""
    sizes = (8, 16, 40, 64, 24, 96)
    nodes, weights = [], {}
    for number, (rows, columns) in enumerate(pairwise(sizes)):
        weights[f"w{number}"] = normal(rows, columns, seed=number)
        nodes.append(node("Einsum", [f"x{number}", f"w{number}"], [f"y{number}"], equation="ij,jk->ik"))
        nodes.append(node("Relu", [f"y{number}"], [f"x{number + 1}"]))
    made = model(nodes, [tensor("x0", 4, sizes[0])], [f"x{len(sizes) - 1}"], weights)
    return models.load(saved(made, folder / "products.onnx"))


def profile_of(network: Any) -> Profile:
    """A product takes 2 ns a multiply-accumulate, an activation 5 ns an element."""
    layers = network.graph.layers
    seconds = tuple(
        2e-9 * layer.features["macs"] if layer.op_type == "Einsum" else 5e-9 * layer.features["output_elements"]
        for layer in layers
    )
    return replace(
        reference(models.load("squeezenet")),
        network=network.name,
        digest=network.topology,
        layers=tuple(layer.name for layer in layers),
        operators=tuple(layer.op_type for layer in layers),
        seconds=seconds,
    )


@pytest.mark.long
def test_an_operator_of_the_regression_is_its_features_and_what_it_is_regressed_over(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def multiplied(op: Any, shape_of: features.Shapes) -> int:
        (rows, inner), (_, columns) = shape_of(op.input[0]), shape_of(op.input[1])
        return rows * inner * columns

    monkeypatch.setitem(features.MACS, "Einsum", multiplied)
    monkeypatch.setitem(operator_classes.FEATURES, "Einsum", ("macs",))
    network = einsum_network(tmp_path)
    profile = profile_of(network)
    trained = training.train([(network, profile)])
    assert trained.kind(network.graph.layers[0]) == "Einsum"
    assert trained.fits["Einsum"].coefficients == {"macs": pytest.approx(2e-9, rel=1e-3)}
    for layer, predicted, measured in zip(network.graph.layers, trained.seconds(network), profile.seconds, strict=True):
        if layer.op_type == "Einsum":
            assert predicted == pytest.approx(measured, rel=0.01)
    # It has features of its own, so what it costs says nothing of operators that nobody has measured.
    elements = {"input_elements": 1e4, "output_elements": 1e4}
    assert trained.fits[operator_classes.ANY].seconds(elements) == pytest.approx(5e-5, rel=0.01)


@pytest.mark.long
@pytest.mark.parametrize("base", [laws.Asks, laws.Draw])
def test_a_law_of_time_is_its_section_and_its_law(base: type) -> None:
    tree, names = house.tree_on_disk(), {law.__name__ for law in base.__subclasses__()}
    names -= {"Fixed"}  # a plain number, not a law that somebody adds
    assert len(names) > 1
    knowing = {
        module
        for module, source in tree.items()
        for target in house.targets(source)
        if target in {f"layerlift.emulator.world.laws.{name}" for name in names}
    }
    knowing |= {module for module, source in tree.items() for name in names if f"laws.{name}" in source}
    schema = "layerlift.emulator.scenario.schema"
    assert knowing <= {f"{schema}.arrivals", f"{schema}.durations"}
