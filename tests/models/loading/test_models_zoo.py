"""The zoo: full-size, seeded, kept on disk and never believed without its checksum."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.loading import disk_cache, zoo

MIB = 2**20


@pytest.mark.long
def test_the_nine_networks_and_their_friendly_names() -> None:
    assert len(zoo.classics()) == 9
    for alias, name in zoo.ALIASES.items():
        assert models.load(alias.upper()).digest == models.load(name).digest


@pytest.mark.parametrize(
    ("name", "mebibytes"), [("alexnet", 232.6), ("vgg19", 548.0), ("resnet50", 97.7), ("squeezenet", 4.71)]
)
def test_parameter_bytes_are_the_published_ones(name: str, mebibytes: float) -> None:
    graph = models.load(name).graph
    assert graph.held_bytes(range(len(graph))) / MIB == pytest.approx(mebibytes, rel=1e-3)


def macs(name: str) -> float:
    return sum(layer.features["macs"] for layer in models.load(name).graph.layers) / 1e9


@pytest.mark.long
@pytest.mark.parametrize(("name", "published"), [("vgg19", 19.6), ("resnet50", 4.1), ("densenet121", 2.87)])
def test_macs_are_the_published_ones(name: str, published: float) -> None:
    assert macs(name) == pytest.approx(published, rel=0.05)


def test_alexnet_macs_at_224_pixels() -> None:
    """The published 0.71 (grouped) is for 227 pixels; at 224 the maps are 54, 26 and 12 instead of 55, 27 and 13."""

    def grouped(first: int, second: int, third: int) -> float:
        convolutions = first**2 * 96 * 3 * 121 + second**2 * 256 * 48 * 25
        convolutions += third**2 * 9 * (384 * 256 + 384 * 192 + 256 * 192)
        return (convolutions + 9216 * 4096 + 4096 * 4096 + 4096 * 1000) / 1e9

    assert grouped(55, 27, 13) == pytest.approx(0.71, rel=0.05)
    assert macs("alexnet") == pytest.approx(grouped(54, 26, 12), rel=1e-9)


def test_googlenet_macs_by_map_size() -> None:
    """The published 1.58 is for maps of 56, 28, 14 and 7; this file's pooling floors to 55, 27, 13 and 6."""
    graph = models.load("googlenet").graph
    full = {112: 112, 55: 56, 27: 28, 13: 14, 6: 7, 1: 1}
    total = 0.0
    for layer in graph.layers:
        if layer.op_type == "Conv":
            side = graph.tensors[layer.outputs[0]].shape[2]
            total += layer.features["macs"] * (full[side] / side) ** 2
    assert total / 1e9 == pytest.approx(1.58, rel=0.05)
    assert macs("googlenet") == pytest.approx(1.43, rel=0.01)


@pytest.mark.long
def test_loading_and_analysing_densenet_makes_no_weights() -> None:
    zoo._prepared.cache_clear()
    network = models.load("densenet121")
    assert len(network.graph) == 668
    assert "weights" not in network._cache
    assert sum(len(t.raw_data) + 8 * len(t.int64_data) for t in network.light.graph.initializer) < 1000


def test_same_seed_same_weights_other_seed_other_weights() -> None:
    first, second, third = (models.load("squeezenet", seed=s) for s in (3, 3, 4))
    assert first.digest == second.digest != third.digest
    assert first.topology == third.topology
    fresh = zoo.seeding.weights(first.light, [p.name for p in first.graph.parameters], 3, None)
    for name, array in first.weights().items():
        assert np.array_equal(array, fresh[name])
    assert not np.array_equal(first.weights()["conv1_w_0"], third.weights()["conv1_w_0"])


@pytest.mark.long
def test_damaged_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path))
    good = {name: array.copy() for name, array in models.load("shufflenet").weights().items()}
    (file,) = (tmp_path / "weights").iterdir()
    body = bytearray(file.read_bytes())
    body[-5] ^= 1
    file.write_bytes(body)
    assert disk_cache.read_arrays(file) is None
    for name, array in models.load("shufflenet").weights().items():
        assert np.array_equal(array, good[name])
    assert [p.name for p in (tmp_path / "weights").iterdir()] == [file.name], "no temporary files are left"


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path / "file"))
    assert len(models.load("shufflenet").weights()) == 281
    with pytest.raises(ModelError, match="cannot be written"):
        disk_cache.write_bytes(tmp_path / "file" / "x", b"")


@pytest.mark.parametrize("cut", [0, 10, 40, 300])
def test_truncated_array_files_are_not_read(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.bin"
    arrays = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.ones((0, 3), np.int64)}
    disk_cache.write_arrays(path, arrays)
    held = disk_cache.read_arrays(path)
    assert held is not None
    assert all(np.array_equal(held[name], array) for name, array in arrays.items())
    whole = path.read_bytes()
    path.write_bytes(whole[:cut] if cut < len(whole) else whole[:-1])
    assert disk_cache.read_arrays(path) is None


@pytest.mark.long
@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "resnet50", "densenet121", "inception_v2"])
def test_activations_keep_their_scale(name: str) -> None:
    network = models.load(name)
    uncut = models.uncut_session(network)
    first, second = (uncut.run(network.sample_inputs(number))[network.logits[0]].ravel() for number in (0, 1))
    assert 0.1 < np.std(first) < 100
    assert len(np.unique(first)) > 800
    assert np.max(np.abs(first - second)) > 1e-3, "the answer must depend on the input"


@pytest.mark.long
def test_spectrum_makes_singular_values_decay() -> None:
    flat = models.load("squeezenet").weights()["fire9/expand3x3_w_0"].reshape(256, -1)
    steep = models.load("squeezenet", spectrum=0.8).weights()["fire9/expand3x3_w_0"].reshape(256, -1)
    assert np.linalg.norm(steep) == pytest.approx(np.linalg.norm(flat), rel=0.05)
    values = np.linalg.svd(steep, compute_uv=False)
    assert values[63] / values[0] == pytest.approx(64**-0.8, rel=0.05)
    assert np.linalg.svd(flat, compute_uv=False)[63] > 2 * values[63]


def test_samples_are_numbered_and_networks_travel() -> None:
    network = models.load("shufflenet")
    network.weights()
    travelled = pickle.loads(pickle.dumps(network))
    assert len(pickle.dumps(network)) < 400_000
    assert travelled.digest == network.digest
    (name,) = network.sample_inputs(5)
    assert np.array_equal(network.sample_inputs(5)[name], travelled.sample_inputs(5)[name])
    assert not np.array_equal(network.sample_inputs(5)[name], network.sample_inputs(6)[name])


def test_wrong_names_and_options_are_answered() -> None:
    with pytest.raises(ModelError, match="did you mean alexnet"):
        models.load("alexnt")
    with pytest.raises(ModelError, match="spectrum is 9"):
        models.load("alexnet", spectrum=9)
    with pytest.raises(ModelError, match="no dynamic dimensions"):
        models.load("alexnet", dims={"batch": 2})
    with pytest.raises(ModelError, match="seed is -1"):
        models.load("alexnet", seed=-1)
    with pytest.raises(ModelError, match="input_bytes is -5"):
        models.load("alexnet", input_bytes=-5)


def test_input_bytes_change_costs_and_nothing_else() -> None:
    plain, jpeg = models.load("alexnet"), models.load("alexnet", input_bytes=30_000)
    assert jpeg.graph.tensors[0].bytes == 30_000
    assert plain.graph.tensors[0].bytes == 3 * 224 * 224 * 4
    assert (jpeg.digest, jpeg.topology) == (plain.digest, plain.topology)
