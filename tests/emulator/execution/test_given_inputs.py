"""A scenario whose network has tied weights and is fed what a user gives: it runs, split, and answers exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from run_world import phones
from small_nets import model, node, normal, saved, tensor

from layerlift.emulator.run import run
from layerlift.models.errors import ModelError


def decoder(folder: Path) -> Path:
    nodes = [
        node("Gather", ["w", "ids"], ["h"]),
        node("Relu", ["h"], ["r"]),
        node("Transpose", ["w"], ["wt"], perm=[1, 0]),
        node("MatMul", ["r", "wt"], ["y"]),
    ]
    made = model(nodes, [tensor("ids", 1, 4, kind=TensorProto.INT64)], ["y"], {"w": normal(700, 64)})
    return saved(made, folder / "tied.onnx")


@pytest.mark.long
def test_given_inputs_are_run_and_tied_weights_are_there(tmp_path: Path) -> None:
    path = decoder(tmp_path)
    np.savez(tmp_path / "ids.npz", ids=np.asarray([[[0, 1, 2, 699]], [[5, 5, 5, 5]]], np.int64))
    users = [{"model": "tied", "planner": "all_remote", "queries": 4, "think_s": 5}]
    models = {"tied": {"source": str(path), "inputs": str(tmp_path / "ids.npz")}}
    scenario = phones(users=users, models=models, execution="every")
    assert np.array_equal(scenario.network("tied").sample_inputs(3)["ids"], [[5, 5, 5, 5]])
    made = run(scenario, local=True)
    assert {user["output_error"] for user in made.summary["users"]} == {0.0}
    assert {node for node in made.segments["node"].to_pylist() if not node.startswith("client")}, (
        "a server ran layers of it"
    )


def test_a_scenario_says_what_is_wrong_with_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "ids.npz", ids=np.zeros((1, 4), np.float32))
    models = {"tied": {"source": str(decoder(tmp_path)), "inputs": str(tmp_path / "ids.npz")}}
    scenario = phones(users=[{"model": "tied", "planner": "local", "queries": 1}], models=models)
    with pytest.raises(ModelError, match="'ids' is of type float32, expected int64"):
        scenario.network("tied")
