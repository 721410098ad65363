"""Graphs of one operator: cases are as networks have them, times are differences, and the nine bring hosts together."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from layerlift.models.errors import ModelError
from layerlift.models.loading import zoo
from layerlift.models.timing import generating, operator_cases, operator_data, training
from layerlift.models.timing.generating import Case, Timed
from layerlift.models.timing.operator_classes import generated_features
from layerlift.models.timing.operator_data import OperatorTimes, shipped
from layerlift.models.timing.predictor import shipped as predictor


def product(rows: int = 3) -> Case:
    ones = np.ones((1, rows, 8), np.float32)
    return Case("MatMul", (ones, np.ones((8, 4), np.float32)))


def test_copies_read_the_same_and_have_weights_of_their_own() -> None:
    made = product().model(3)
    assert [list(n.input) for n in made.graph.node] == [["x0", "w1_0"], ["x0", "w1_1"], ["x0", "w1_2"]]
    assert [value.name for value in made.graph.input] == ["x0"]
    layer = product().layer()
    assert (layer.features["macs"], layer.features["rows"], layer.features["weights"]) == (96, 3, 32)


def test_a_case_costs_what_more_copies_take_more(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Fake:
        def __init__(self, text: bytes) -> None:
            made.append(text.count(b"MatMul"))

        def run(self, feeds: object) -> dict[str, np.ndarray]:
            return {"y0_0": np.zeros((1, 3, 4))}

        def timed_run(self, feeds: object) -> tuple[None, float]:
            return None, 30e-6 + 2e-4 * made[-1]

    monkeypatch.setattr(generating, "Session", Fake)
    monkeypatch.setattr(generating, "_spent", lambda session, feeds: 30e-6 + 2e-4 * made[min(session.at, 9)])
    Fake.at = property(lambda self: self._at)  # type: ignore[attr-defined]
    original = Fake.__init__

    def init(self: Fake, text: bytes) -> None:
        original(self, text)
        self._at = len(made) - 1  # type: ignore[attr-defined]

    monkeypatch.setattr(Fake, "__init__", init)
    found = generating.timed(product())
    assert found.kind == "MatMul many rows"
    assert found.seconds == pytest.approx(2e-4)


@pytest.mark.long
@pytest.mark.parametrize("family", operator_cases.FAMILIES, ids=lambda family: family.__name__)
def test_every_family_runs_and_has_all_features_of_its_class(family) -> None:
    number = operator_cases.FAMILIES.index(family)
    seen = set()
    for case in itertools.islice(family(operator_cases.Drawn(number)), 400):
        if case.operator in seen or sum(a.size for a in case.inputs if a is not None) > 400_000:
            continue
        seen.add(case.operator)
        features = case.layer().features
        assert set(generated_features(generating.class_of(case.layer()))) <= set(features), case.operator
    assert seen


@pytest.mark.long
def test_cases_are_the_same_each_time() -> None:
    first, again = (list(operator_cases.normalising(operator_cases.Drawn(2)))[:5] for _ in "ab")
    for one, other in zip(first, again, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.inputs, other.inputs, strict=True))


def test_the_shipped_times_name_their_host_and_the_nine() -> None:
    times = shipped()
    assert set(times.networks) == set(zoo.classics())
    assert "GHz" in times.host
    assert predictor().operators_host == times.host
    assert predictor().host != times.host
    assert {"MatMul many rows", "LayerNormalization", "Conv depthwise", "LSTM", "QLinearConv"} <= {
        row.kind for row in times.rows
    }


@pytest.mark.long
def test_the_nine_bring_both_hosts_together() -> None:
    times = shipped()
    there = math.fsum(profile.uncut_s for _, profile in training.shipped_pairs())
    here = math.fsum(times.networks.values())
    assert times.scaled()[0].seconds == pytest.approx(times.rows[0].seconds * there / here)


def test_times_survive_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "o.json"
    shipped().save(path)
    assert OperatorTimes.load(path).networks == shipped().networks
    assert len(OperatorTimes.load(path).rows) == len(shipped().rows)
    with pytest.raises(ModelError, match="cannot be read"):
        OperatorTimes.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    "change", [{"format": 9}, {"rows": []}, {"networks": {}}, {"rows": [["Relu", -1.0, {}]]}, {"rows": [7]}]
)
def test_damaged_times_are_refused(change: dict, tmp_path: Path) -> None:
    shipped().save(tmp_path / "o.json")
    body = {**json.loads((tmp_path / "o.json").read_text()), **change}
    with pytest.raises(ModelError, match="make it again"):
        OperatorTimes.parse(json.dumps(body), "o")


@pytest.mark.long
def test_measuring_takes_the_least_pass_and_leaves_out_what_was_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [product(2), product(3), product(4), product(5)]
    passes = iter([5e-5, 4e-5, 0.0, 1e-6, 4e-5, 1e-5, 0.0, 3e-6, 6e-5, 9e-5, 3e-5, 2e-6])
    monkeypatch.setattr(operator_data, "timed", lambda case: Timed("Relu", next(passes), {"input_elements": 7.0}))
    monkeypatch.setattr(operator_data, "run_times", lambda *_: [2.0, 1.0])
    done: list[tuple[int, int]] = []
    found = operator_data.measured(lambda at, total: done.append((at, total)), cases)
    assert [row.seconds for row in found.rows] == [4e-5, 4e-5, 2e-6]
    assert found.rows[0].features == {"input_elements": 7.0, "output_elements": 0.0, "spilled": 0.0}
    assert set(found.networks.values()) == {1.0}
    assert done[-1] == (12, 12)
