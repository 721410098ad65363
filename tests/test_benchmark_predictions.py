"""The benchmark of predictions: what it compares, and what it counts as right."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from layerlift.models import load
from layerlift.models.timing.predictor import shipped

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # benchmarks are not installed

predictions = importlib.import_module("benchmarks.predictions")


def test_a_machine_of_any_speed_gives_the_same_ratio() -> None:
    network = load("squeezenet")
    predicted_s = sum(shipped().layer_s(layer) for layer in network.graph.layers)
    for slow in (1.0, 3.0):
        # Here ResNet-50 takes `slow` times its 0.05 s, and the network half of what is predicted, as slowly.
        found = predictions.Measured(seconds=predicted_s / 2 * slow, beside_s=0.05 * slow)
        row = predictions.row("squeezenet", network, found, reference_s=0.05)
        assert row.ratio == pytest.approx(2.0)
        assert row.relative == pytest.approx(predicted_s / 2 / 0.05)


def test_the_page_counts_what_lies_within_its_bounds() -> None:
    rows = [predictions.Row(str(ratio), 3, 1.0, ratio) for ratio in (0.66, 0.67, 1.1, 1.5, 1.51)]
    assert predictions.page(rows).startswith("Of 5 networks 3 are predicted within 0.67 and 1.5")
    assert "is 1.10." in predictions.page(rows)


def test_a_file_may_come_with_its_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}
    monkeypatch.setattr(predictions, "load", lambda path, dims: given.update(path=path, dims=dims) or "network")
    assert predictions.loaded("nets/bert.onnx,batch=1,x:2=64") == ("bert", "network")
    assert given == {"path": "nets/bert.onnx", "dims": {"batch": 1, "x:2": 64}}
