"""File_1: seconds per layer, measured, written, read back and looked up."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import model, node, normal, tensor

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.loading import zoo
from layerlift.models.timing import measuring
from layerlift.models.timing.profile import Profile
from layerlift.models.timing.profiles import reference

HEADER = ["layers", "operators", "seconds", "spread_s", "parameter_bytes", "output_bytes"]


def example(**changes: object) -> Profile:
    fields: dict = {
        "network": "n",
        "digest": "d",
        "ghz": 2.6,
        "host": "h",
        "layers": ("a", "b"),
        "operators": ("Conv", "Relu"),
        "seconds": (0.001, 1e-9),
        "parameter_bytes": (400, 0),
        "output_bytes": (80, 80),
        "blocks": ((0, 1, 0.0009),),
        "spread_s": (0.0, 2e-9),
        "uncut_s": 0.001000001,
        "fused_s": 0.0009,
        "coverage": 1.0,
        "runs": 3,
        "date": "2026-01-01",
        "method": "m",
    }
    return Profile(**{**fields, **changes})


def test_a_profile_survives_the_disk(tmp_path: Path) -> None:
    example().save(tmp_path / "deep" / "p.json")
    assert Profile.load(tmp_path / "deep" / "p.json") == example()
    example(mem_gb_s=12.5).save(tmp_path / "m.json")
    assert Profile.load(tmp_path / "m.json") == example(mem_gb_s=12.5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"ghz": 0}, "ghz is 0"),
        ({"ghz": "fast"}, "not a profile"),
        ({"layers": []}, "not a profile"),
        ({"layers": [HEADER]}, "one per layer"),
        ({"layers": [HEADER[::-1], ["a", "Conv", 1.0, 0.0, 0, 0]]}, "columns"),
        ({"layers": [HEADER, ["a", "Conv", -1.0, 0.0, 0, 0]]}, "not negative"),
        ({"layers": [HEADER, ["a", "Conv", math.nan, 0.0, 0, 0]]}, "finite"),
        ({"layers": [HEADER, ["a"]]}, "not a profile"),
        ({"layers": [HEADER, ["a", "Conv", 0.0, 0.0, 0, 0]]}, "must be above 0"),
        ({"blocks": [[0, 1]]}, "not a profile"),
        ({"format": 99}, "another format"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"mem_gb_s": 0}, "mem_gb_s is 0"),
        ({"batches": [[1, [0.1, 0.1]]]}, "sizes from 2"),
        ({"batches": [[4, [0.1, 0.1]], [2, [0.1, 0.1]]]}, "ascending"),
        ({"batches": [[2, [0.1]]]}, "a time per layer"),
        ({"batches": [[2, [0.1, -0.1]]]}, "not negative"),
        ({"batches": 7}, "not a profile"),
        ({"host": None, "runs": None}, "not a profile"),
    ],
)
def test_impossible_profiles_are_refused(change: dict, named: str, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    example().save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=named):
        Profile.load(path)


@pytest.mark.parametrize("text", ["", "[]", "3", '{"format": 1}'])
def test_other_files_are_not_profiles(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ModelError, match=r"p\.json is not a profile"):
        Profile.load(tmp_path / "p.json")
    with pytest.raises(ModelError, match="there is no profile"):
        Profile.load(tmp_path / "other.json")


@pytest.mark.long
@pytest.mark.parametrize("name", zoo.names())
def test_the_zoo_has_reference_profiles_that_fit(name: str) -> None:
    network = models.load(name, seed=5)
    profile = reference(network, notify=pytest.fail)
    assert profile.fits(network)
    assert profile.layers == tuple(layer.name for layer in network.graph.layers)
    assert profile.total_s == pytest.approx(profile.uncut_s, rel=1e-4)
    if name != "mobilenet_v2":  # whose profile says that its layers took longer than the whole
        assert 0.85 <= profile.coverage <= 1.25, "ShuffleNet's 25 us layers are slowed by the act of taking events"
    if name in zoo.classics():
        assert profile.fused_s <= profile.uncut_s * 1.05
    else:
        assert profile.fused_s <= profile.uncut_s * 1.1, "the two were measured minutes apart"
        assert profile.host.count(" GHz") == 2, "the host of the nine, and the one that it was measured on"
        assert profile.ghz == reference(models.load("squeezenet")).ghz


@pytest.mark.long
def test_heavier_networks_take_longer() -> None:
    totals = {name: reference(models.load(name)).total_s for name in zoo.classics()}
    assert max(totals, key=totals.__getitem__) == "vgg19"
    assert totals["resnet50"] > totals["squeezenet"] > 0


def test_a_device_class_scales_by_the_clock_down_to_its_memory() -> None:
    graph = tiny().graph
    free = example(layers=("a", "b", "c"), seconds=(0.004, 0.001, 0.004), ghz=2.0)
    assert free.seconds_at(graph, 8.0) == pytest.approx((0.001, 0.00025, 0.001))
    bound = replace(free, mem_gb_s=0.5).seconds_at(graph, 8.0)
    moved = [graph.held_bytes([i]) + graph.layers[i].run_bytes for i in range(3)]
    assert bound == pytest.approx([max(s, m / 0.5e9) for s, m in zip((0.001, 0.00025, 0.001), moved, strict=True)])
    assert bound[2] > 0.001, "the second weight is a megabyte, at half a gigabyte per second"


def tiny(width: int = 64) -> models.Network:
    weights = {"w": normal(width, 512), "v": normal(512, 512, seed=1)}
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Relu", ["a"], ["b"]), node("MatMul", ["b", "v"], ["y"])]
    return models.from_model(model(nodes, [tensor("x", 64, width)], ["y"], weights), "tiny")


def test_measuring_explains_the_whole_by_its_parts() -> None:
    seen: list[tuple[int, int]] = []
    profile = measuring.measure(tiny(), 7, lambda done, total: seen.append((done, total)), ghz=1.5)
    assert profile.ghz == 1.5
    assert profile.total_s == pytest.approx(profile.uncut_s, rel=1e-3)
    relu, product = profile.seconds[1], profile.seconds[2]
    assert product > 3 * relu, "512 multiplications per element cost more than one comparison"
    assert seen[-1][0] == seen[-1][1]
    assert [block[:2] for block in profile.blocks] == [(0, 1), (2, 2)]
    assert profile.parameter_bytes == (64 * 512 * 4, 0, 512 * 512 * 4)
    assert profile.output_bytes == (64 * 512 * 4,) * 3
    with pytest.raises(ModelError, match="runs is 0"):
        measuring.measure(tiny(), 0)


def test_operators_that_onnxruntime_expands_are_measured_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_SUFFIX", "_no_such_event")
    profile = measuring.measure(tiny(), 3, ghz=1.0)
    assert profile.seconds[2] > profile.seconds[1] > 0


def test_an_unknown_network_is_measured_once_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path))
    said: list[str] = []
    first = reference(tiny(48), notify=said.append)
    assert "measuring tiny" in said[0]
    assert reference(tiny(48), notify=pytest.fail) == first


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.floats(0.01, 100))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_fitted_seconds_sum_to_the_total_and_keep_their_order(raw: list[float], total: float) -> None:
    fitted = measuring.fit_total(raw, total)
    assert sum(fitted) == pytest.approx(total)
    assert all(value >= 0 for value in fitted)
    order = sorted(range(len(raw)), key=raw.__getitem__)
    assert all(fitted[a] <= fitted[b] * (1 + 1e-12) for a, b in pairwise(order))
