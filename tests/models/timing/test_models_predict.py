"""File_2: regressions per operator type, honest about networks that they have not seen."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import model, node, normal, tensor

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.loading import zoo
from layerlift.models.timing import regression, training
from layerlift.models.timing.predictor import ANY, Predictor, shipped
from layerlift.models.timing.profiles import reference
from layerlift.models.timing.regression import Fit, LayerSample, fit

GROUPED = "shufflenet"
"""The only network with grouped and depthwise convolutions: what the others teach does not cover it."""


@pytest.fixture(scope="module")
def pairs() -> tuple[training.ProfiledNetwork, ...]:
    return training.shipped_pairs()


@pytest.mark.long
def test_training_again_gives_the_shipped_coefficients_one_by_one(pairs: tuple[training.ProfiledNetwork, ...]) -> None:
    again, kept = training.train(pairs), shipped()
    assert (again.ghz, again.host) == (kept.ghz, kept.host)
    assert again.trained_on == kept.trained_on == zoo.classics()
    assert set(again.fits) == set(kept.fits)
    for kind, fitted in again.fits.items():
        assert fitted == kept.fits[kind], kind


@pytest.mark.long
def test_a_network_held_out_is_predicted_within_15_percent(pairs: tuple[training.ProfiledNetwork, ...]) -> None:
    report = training.held_out(pairs)
    ratios = {score.network: score.ratio for score in report.networks}
    assert 1.0 < ratios.pop(GROUPED) < 1.35
    assert all(abs(ratio - 1) < 0.15 for ratio in ratios.values()), ratios
    scores = {score.kind: score for score in report.operators}
    assert scores["Conv"].r2 > 0.98
    assert scores["Gemm"].r2 > 0.98
    assert sum(score.layers for score in report.operators) == sum(len(network.graph) for network, _ in pairs)


def test_seconds_fall_with_the_clock_and_stay_positive() -> None:
    network = models.load("squeezenet")
    slow, fast = shipped().seconds(network, 1.3), shipped().seconds(network, 13.0)
    assert len(slow) == len(network.graph)
    assert min(fast) > 0
    assert math.fsum(slow) == pytest.approx(10 * math.fsum(fast), rel=1e-3)
    assert math.fsum(shipped().seconds(network)) == pytest.approx(reference(network).total_s, rel=0.15)
    with pytest.raises(ModelError, match="ghz is 0"):
        shipped().seconds(network, 0)


def test_unknown_operators_are_predicted_by_their_nearest_kin() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Erf", ["a"], ["y"])]
    network = models.from_model(model(nodes, [tensor("x", 4, 1024)], ["y"], {"w": normal(1024, 2048)}), "mine")
    predictor = shipped()
    assert [predictor.kind(layer.op_type) for layer in network.graph.layers] == ["Gemm", ANY]
    product, erf = predictor.seconds(network)
    assert product > 10 * erf > 0


def test_a_predictor_survives_the_disk(tmp_path: Path) -> None:
    shipped().save(tmp_path / "p.json")
    assert Predictor.parse((tmp_path / "p.json").read_text(), "p") == shipped()


@pytest.mark.parametrize("change", [{"format": 9}, {"ghz": 0}, {"fits": {}}, {"ghz": None}, {"fits": {ANY: {}}}])
def test_damaged_predictors_are_refused(change: dict, tmp_path: Path) -> None:
    shipped().save(tmp_path / "p.json")
    body = {**json.loads((tmp_path / "p.json").read_text()), **change}
    with pytest.raises(ModelError, match="train it again"):
        Predictor.parse(json.dumps(body), "p")


@pytest.mark.long
def test_training_needs_matching_profiles(pairs: tuple[training.ProfiledNetwork, ...]) -> None:
    with pytest.raises(ModelError, match="no profiles"):
        training.train([])
    with pytest.raises(ModelError, match="at least 2"):
        training.held_out(pairs[:1])
    with pytest.raises(ModelError, match="was not measured on this"):
        training.train([(pairs[0][0], pairs[1][1])])


def samples(form: regression.Form, constant: float, slopes: dict[str, float], count: int = 30) -> list[LayerSample]:
    rng = np.random.default_rng(1)
    true = Fit(form, constant, slopes)
    found = []
    for _ in range(count):
        features = {name: float(rng.integers(10, 10**6)) for name in slopes}
        found.append(LayerSample("n", true.seconds(features), features))
    return found


@pytest.mark.parametrize(
    ("form", "constant", "slopes"),
    [("linear", 1e-4, {"a": 3e-9, "b": 0.0, "c": 5e-8}), ("logarithmic", -18.0, {"a": 0.6, "b": 0.3})],
)
def test_fits_find_what_made_the_data(form: regression.Form, constant: float, slopes: dict[str, float]) -> None:
    found = fit(form, samples(form, constant, slopes), list(slopes))
    assert found.constant == pytest.approx(constant, rel=1e-3)
    assert found.coefficients == pytest.approx(slopes, rel=1e-3, abs=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 4), st.booleans())
def test_non_negative_least_squares_against_all_subsets(seed: int, width: int, free: bool) -> None:
    rng = np.random.default_rng(seed)
    design = rng.standard_normal((12, width + 1))
    target = rng.standard_normal(12)
    found = regression._non_negative(design, target, free)
    best = math.inf
    for size in range(width + 2):
        for chosen in itertools.combinations(range(width + 1), size):
            if free and 0 not in chosen:
                continue
            part = np.linalg.lstsq(design[:, chosen], target, rcond=None)[0] if chosen else np.zeros(0)
            bounded = [value for at, value in zip(chosen, part, strict=True) if not (free and at == 0)]
            if all(value >= 0 for value in bounded):
                best = min(best, float(np.sum((design[:, chosen] @ part - target) ** 2)))
    assert np.all(found[1:] >= 0)
    assert free or found[0] >= 0
    assert float(np.sum((design @ found - target) ** 2)) == pytest.approx(best, rel=1e-9)


def test_scores() -> None:
    assert regression.r_squared([1, 2, 3], [1, 2, 3]) == 1
    assert regression.r_squared([1, 2, 3], [2, 2, 2]) == 0
    assert math.isnan(regression.r_squared([2, 2], [1, 3]))
    assert regression.rmse([1, 2], [1, 4]) == pytest.approx(math.sqrt(2))
