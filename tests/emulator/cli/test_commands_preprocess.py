"""`layerlift preprocess`, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from layerlift import models
from layerlift.emulator.cli.main import main
from layerlift.models.preprocess.pipeline import KINDS


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["preprocess", *words], catch_exceptions=False, env={"COLUMNS": "160"})


def test_steps_are_listed() -> None:
    for words in ((), ("squeezenet",)):
        result = call(*words)
        assert result.exit_code == 0
        assert all(name in result.output for name in KINDS)
    result = CliRunner().invoke(main, ["preprocess", "--json"])
    assert json.loads(result.output)["tile"]["lossless"] is True


@pytest.mark.long
def test_a_pipeline_is_reported_and_written(tmp_path: Path) -> None:
    path = tmp_path / "made" / "out.onnx"
    result = call("squeezenet", "collapse", "tile:rows=2", "patterns", "--samples", "1", "-o", str(path))
    assert result.exit_code == 0, result.output
    assert "error (synthetic)" in result.output
    assert "not an accuracy" in result.output
    assert "has no merged layers" in result.output
    assert "pruned weights dense" in result.output
    assert len(models.load(path).graph) > len(models.load("squeezenet").graph)


@pytest.mark.long
def test_the_report_as_json() -> None:
    found = json.loads(call("googlenet", "collapse", "prune:keep=0.1", "--samples", "1", "--json").output)
    assert [step["step"] for step in found["steps"]] == ["collapse", "prune:keep=0.1"]
    assert found["steps"][0]["error"] is None
    assert found["error"]["synthetic"] is True
    assert found["steps"][1]["after"]["upload_bytes"] < found["steps"][1]["before"]["upload_bytes"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("squeezenet", "tle"), "did you mean tile"),
        (("squeeznet", "tile"), "did you mean squeezenet"),
        (("squeezenet", "tile", "--dim", "x"), "expected NAME=SIZE"),
        (("squeezenet", "separate:rank=0"), "rank is 0"),
        (("squeezenet", "merge", "-o", "/proc/none/out.onnx"), "cannot be written"),
    ],
)
def test_mistakes_are_one_sentence(words: tuple[str, ...], message: str) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
