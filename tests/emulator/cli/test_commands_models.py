"""The commands `models`, `profile` and `predict`, as a user calls them."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from made_profile import made_profile
from onnx import helper, numpy_helper

from layerlift.emulator.cli.main import main
from layerlift.models.loading import zoo
from layerlift.models.running.network import Network
from layerlift.models.timing.profile import Profile


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False, env={"COLUMNS": "160"})


@pytest.fixture
def small(tmp_path: Path) -> Path:
    weight = numpy_helper.from_array(np.ones((6, 5), np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["y"], name="[red]r")]
    values = [helper.make_tensor_value_info(n, 1, ["batch", size]) for n, size in (("x", 6), ("y", 5))]
    model = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:], [weight]), ir_version=8)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 17))
    path = tmp_path / "small.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.long
def test_the_zoo_is_listed() -> None:
    result = call("models")
    assert result.exit_code == 0
    assert all(name in result.output for name in zoo.names())
    listed = json.loads(call("models", "--json").output)
    assert listed["alexnet"]["layers"] == 24


def test_a_network_is_shown_and_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "a.svg"
    result = call("models", "alexnet", "--graph", str(picture))
    assert result.exit_code == 0
    assert "24 layers, a chain" in result.output
    assert "233 MiB of parameters, 0.655 GMACs" in result.output
    assert picture.read_text().startswith("<svg")
    assert "a.png" in call("models", "alexnet", "--graph", "a.png").output


@pytest.mark.long
def test_a_long_network_is_shown_by_blocks_and_whole_as_json() -> None:
    shown = call("models", "densenet121").output
    assert "23 x 11" in shown
    assert len(shown.splitlines()) < 80
    whole = json.loads(call("models", "densenet121", "--json").output)
    assert (len(whole["rows"]), len(whole["best_cuts"]), len(whole["blocks"])) == (668, 59, 13)
    assert [row["after"] for row in whole["best_cuts"] if row["least"]] == [77, 215, 485, 666]


@pytest.mark.long
def test_a_file_with_dynamic_dimensions(small: Path) -> None:
    refused = call("models", str(small))
    assert refused.exit_code == 2
    assert "--dim batch=1" in refused.output
    shown = call("models", str(small), "--dim", "batch=3")
    assert shown.exit_code == 0
    assert "[red]r" in shown.output, "names from a file are not markup"
    body = json.loads(call("models", str(small), "--dim", "batch=3", "--json").output)
    assert body["rows"][0]["output_shapes"] == [[3, 5]]


@pytest.mark.long
def test_profiling_writes_file_1(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.json"
    words = ["--dim", "batch=3", "--runs", "3", "--ghz", "1.5", "--mem-gb-s", "10", "--accept", "-o", str(out)]
    result = call("profile", str(small), *words)
    assert result.exit_code == 0, result.output
    profile = Profile.load(out)
    assert (profile.ghz, profile.mem_gb_s, len(profile.seconds)) == (1.5, 10.0, 2)


@pytest.mark.parametrize("coverage", [0.05, 0.89, 1.11, 3.14])
def test_a_profile_of_a_busy_machine_is_taken_only_when_accepted(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coverage: float
) -> None:
    def busy(network: Network, *args: object, **more: object) -> Profile:
        return made_profile(network, coverage=coverage)

    monkeypatch.setattr("layerlift.emulator.cli.commands.profile.measure", busy)
    out = tmp_path / "p.json"
    words = ["profile", str(small), "--dim", "batch=3", "-o", str(out)]
    refused = call(*words)
    assert refused.exit_code == 2
    assert f"measured at {coverage:.2f} of the whole network's time" in " ".join(refused.output.split())
    assert not out.exists()
    assert call(*words, "--accept").exit_code == 0
    assert Profile.load(out).coverage == coverage


@pytest.mark.long
def test_predicting_scales_and_writes_file_2(tmp_path: Path) -> None:
    out = tmp_path / "file_2.json"
    assert call("predict", "alexnet", "--ghz", "5.2", "-o", str(out)).exit_code == 0
    fast = json.loads(out.read_text())
    assert call("predict", "alexnet", "--ghz", "2.6", "-o", str(out)).exit_code == 0
    slow = json.loads(out.read_text())
    assert sum(slow["seconds"].values()) == pytest.approx(2 * sum(fast["seconds"].values()), rel=1e-3)
    scores = call("predict", "--report")
    assert scores.exit_code == 0
    assert "shufflenet" in scores.output
    assert "beyond 15 %" not in scores.output


@pytest.mark.long
def test_the_shipped_regressions_are_made_again_byte_by_byte(tmp_path: Path) -> None:
    out = tmp_path / "predictor.json"
    result = call("predict", "--train", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "the same as those that ship" in " ".join(result.output.split())
    assert out.read_bytes() == resources.files("layerlift.models").joinpath("data", "predictor.json").read_bytes()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["models", "alexnt"], "did you mean alexnet"),
        (["models", "none.onnx"], "not a file"),
        (["models", "alexnet", "--dim", "batch"], "NAME=SIZE"),
        (["profile", "alexnet", "--ghz", "-1"], "--ghz is -1"),
        (["profile", "alexnet", "--runs", "0"], "runs is 0"),
        (["predict"], "nothing to predict"),
        (["predict", "alexnet", "--ghz", "0"], "ghz is 0"),
        (["predict", "alexnet", "--train"], "--train and alexnet"),
    ],
)
def test_mistakes_get_a_sentence_and_code_2(words: list[str], named: str) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert named in result.output
    assert "Traceback" not in result.output
