"""What a scenario says of a network whose inputs have no sizes yet, or decide a branch."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from onnx import TensorProto, helper
from small_nets import model, node, saved, tensor

from layerlift.emulator.cli.model_options import dims_of, fix_of
from layerlift.emulator.scenario.scenario import Scenario
from layerlift.models.errors import ModelError, ScenarioError, Undecided


def branching(folder: Path) -> Path:
    branches = [helper.make_graph([node(kind, ["x"], ["b"])], "b", [], [tensor("b", 1, 4)]) for kind in ("Relu", "Neg")]
    nodes = [node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])]
    inputs = [tensor("x", 1, 4), tensor("c", kind=TensorProto.BOOL)]
    return saved(model(nodes, inputs, ["y"]), folder / "b.onnx")


@pytest.mark.long
def test_a_scenario_says_what_to_write_and_takes_it(tmp_path: Path) -> None:
    source = branching(tmp_path)
    with pytest.raises(ScenarioError, match=r"models\.own .*; set models\.own\.fix: \{c: 1\}"):
        Scenario.load("paper", [f"models={{own: {{source: {source}}}}}", "users.0.model=own"]).resolve()
    given = f"models={{own: {{source: {source}, fix: {{c: true}}}}}}"
    loaded = Scenario.load("paper", [given])
    assert loaded.models["own"].fix == {"c": True}


def test_what_a_message_says_is_yaml_that_says_it() -> None:
    error = Undecided("n.onnx has dynamic dimensions: x:2", "dims", {"x:2": 224, "x:3": 8})
    text = error.setting("own").partition(": ")[2]
    assert yaml.safe_load(text) == {"x:2": 224, "x:3": 8}


def test_options_are_numbers_truths_and_lists() -> None:
    assert fix_of(["sr=16000", "a:0=1.5", "m=true", "s=1,2,-3"]) == {
        "sr": 16000,
        "a:0": 1.5,
        "m": True,
        "s": [1, 2, -3],
    }
    assert dims_of(["x:2=224", "batch=1"]) == {"x:2": 224, "batch": 1}
    for wrong in ("sr", "=1", "sr=", "sr=1,", "sr=abc"):
        with pytest.raises(ModelError, match="expected INPUT=VALUE"):
            fix_of([wrong])
    with pytest.raises(ModelError, match="expected NAME=SIZE"):
        dims_of(["batch=\N{SUPERSCRIPT TWO}"])
