"""A file that is to end earlier, and one with an empty cache: on the command line and in a scenario."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from small_nets import model, node, normal, saved, tensor

from layerlift.emulator import RunResult
from layerlift.emulator.cli.main import main

WORLD = """
name: kv
nodes: [{tier: edge, count: 2, ghz: 16, cores: 2, memory_mb: 2000, uplink_mb_s: 50, downlink_mb_s: 50}]
links: {client-edge: {bandwidth_mb_s: 5, latency_ms: 3}, edge-edge: {bandwidth_mb_s: 100, latency_ms: 1}}
users: [{kind: phone, count: 1, device: {ghz: 1, uplink_mb_s: 5}, model: kv, planner: random, queries: 2}]
models: {kv: {source: kv.onnx, dims: {past: 0}, output: z}}
execution: every
"""


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False, env={"COLUMNS": "160"})


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A step of a decoder, and how many of its answers are above 0: a size that nobody knows before."""
    monkeypatch.chdir(tmp_path)
    nodes = [
        node("Neg", ["p"], ["q"]), node("Concat", ["q", "x"], ["all"], axis=1), node("MatMul", ["all", "w"], ["y"]),
        node("Relu", ["y"], ["z"]), node("NonZero", ["z"], ["found"]), node("Cast", ["found"], ["f"], to=1),
    ]  # fmt: skip
    made = model(nodes, [tensor("x", 1, 1, 4), tensor("p", 1, "past", 4)], ["f"], {"w": normal(4, 4)})
    return saved(made, tmp_path / "kv.onnx")


@pytest.mark.long
def test_commands_end_a_network_where_they_are_told(cached: Path) -> None:
    refused = call("models", "kv.onnx", "--dim", "past=0")
    assert refused.exit_code == 2
    assert "--output z" in refused.output
    shown = call("models", "kv.onnx", "--dim", "past=0", "--output", "z")
    assert "4 layers" in shown.output
    assert call("predict", "kv.onnx", "--dim", "past=1", "--output", "y").exit_code == 0
    merged = call("preprocess", "kv.onnx", "merge", "--dim", "past=1", "--output", "z", "-o", "merged.onnx")
    assert merged.exit_code == 0, merged.output
    assert Path("merged.onnx").is_file()


@pytest.mark.parametrize("command", [["models"], ["profile"], ["predict"]])
def test_a_file_to_write_is_not_a_tensor(cached: Path, command: list[str]) -> None:
    refused = call(*command, "kv.onnx", "--output", "made.json")
    assert refused.exit_code == 2
    assert "-o FILE writes a file" in refused.output


@pytest.mark.long
def test_a_run_moves_an_empty_cache_and_ends_at_the_tensor(cached: Path) -> None:
    Path("kv.yaml").write_text(WORLD)
    done = call("run", "kv.yaml", "--local", "--quiet", "--strict", "--out", "made")
    assert done.exit_code == 0, done.output
    assert RunResult.load("made").complete
    Path("wrong.yaml").write_text(WORLD.replace("output: z", "output: [zz]"))
    refused = call("run", "wrong.yaml", "--local", "--quiet", "--out", "other")
    assert refused.exit_code == 2
    assert "no operator makes the tensor 'zz'" in refused.output
