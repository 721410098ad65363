"""Networks whose weights no ONNX file can hold: external data is mapped, and inside a session by reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cut_runs import run_cut
from onnx import TensorProto
from small_nets import model, node, normal, saved, tensor

from layerlift import models
from layerlift.models import Network
from layerlift.models.errors import ModelError
from layerlift.models.loading.saving import save
from layerlift.models.preprocess import pipeline
from layerlift.models.timing.measuring import measure

I64 = TensorProto.INT64


def decoder(folder: Path, words: int, width: int, made: int) -> Path:
    """A table, a ReLU and a matrix, in a sparse file of zeros with a few numbers in it."""
    table, matrix = words * width * 4, width * made * 4
    with (folder / "weights.bin").open("wb") as stream:
        stream.truncate(table + matrix)
        stream.write(normal(2, width).tobytes())
        stream.seek(table)
        stream.write(normal(made, seed=1).tobytes())
    nodes = [node("Gather", ["w", "ids"], ["h"]), node("Relu", ["h"], ["r"]), node("MatMul", ["r", "m"], ["y"])]
    whole = model(nodes, [tensor("ids", 1, 2, kind=I64)], ["y"])
    for name, shape, offset in (("w", (words, width), 0), ("m", (width, made), table)):
        held = whole.graph.initializer.add(name=name, dims=shape, data_type=TensorProto.FLOAT)
        held.data_location = TensorProto.EXTERNAL
        held.external_data.add(key="location", value="weights.bin")
        held.external_data.add(key="offset", value=str(offset))
    return saved(whole, folder / "large.onnx")


def answers_everywhere(network: Network, width: int, made: int) -> None:
    """It gives the right answer whole, in every kind of session, and cut."""
    inputs = {"ids": np.asarray([[0, 1]], np.int64)}
    expected = np.maximum(normal(2, width)[:, :1], 0) * normal(made, seed=1)
    found = [models.uncut_session(network, exact=True, alias=True).run(inputs)["y"]]
    found.append(models.uncut_session(network, optimization="all").run(inputs)["y"])
    found.append(run_cut(network, [0, 1, 0], inputs, exact=True)["y"])
    for each in found:
        assert np.allclose(each[0], expected, rtol=1e-5, atol=1e-6)
        assert np.any(each)


@pytest.mark.long
def test_external_data_is_mapped_and_everything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = models.load(decoder(tmp_path, 9000, 40, 8000))
    assert all(isinstance(array, np.memmap) for array in network.weights().values())
    answers_everywhere(network, 40, 8000)
    small = measure(network, 2, ghz=1.0)
    monkeypatch.setattr(Network, "too_large_for_a_file", True)
    answers_everywhere(network, 40, 8000)
    large = measure(network, 2, ghz=1.0)
    assert [block[:2] for block in large.blocks] == [block[:2] for block in small.blocks]
    assert save(network, tmp_path / "again.onnx") == (tmp_path / "again.onnx", tmp_path / "again.onnx.data")
    assert not list(tmp_path.glob("*.part"))
    answers_everywhere(models.load(tmp_path / "again.onnx"), 40, 8000)


@pytest.mark.long
def test_a_mapped_file_that_has_changed_is_not_used(tmp_path: Path) -> None:
    path = decoder(tmp_path, 9000, 40, 8000)
    network = models.load(path)
    with (tmp_path / "weights.bin").open("r+b") as stream:
        stream.write(b"other")
    with pytest.raises(ModelError, match="has changed since it was loaded"):
        network.weights()


def test_weights_at_odd_places_are_read(tmp_path: Path) -> None:
    """onnxruntime wants arrays that begin where a number may."""
    values = normal(600, 600)
    (tmp_path / "odd.bin").write_bytes(b"x" + values.tobytes())
    made = model([node("MatMul", ["x", "w"], ["y"])], [tensor("x", 1, 600)], ["y"])
    held = made.graph.initializer.add(name="w", dims=values.shape, data_type=TensorProto.FLOAT)
    held.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "odd.bin"), ("offset", "1")):
        held.external_data.add(key=key, value=value)
    array = models.load(saved(made, tmp_path / "odd.onnx")).weights()["w"]
    assert not isinstance(array, np.memmap)
    assert np.array_equal(array, values)


@pytest.mark.slow
def test_more_than_2_gib_of_weights(tmp_path: Path) -> None:
    words, width, made = 400_000, 1024, 280_000
    network = models.load(decoder(tmp_path, words, width, made))
    assert network.graph.held_bytes(range(3)) > 2.5 * 2**30
    assert network.too_large_for_a_file
    answers_everywhere(network, width, made)
    found = measure(network, 2, ghz=1.0)
    assert len(found.seconds) == 3
    made_again, reports = pipeline.reported(network, "collapse", 1)
    assert reports[0].after.held_bytes == network.graph.held_bytes(range(3))
    save(made_again, tmp_path / "again.onnx")
    again = models.load(tmp_path / "again.onnx")
    assert again.graph.held_bytes(range(3)) == network.graph.held_bytes(range(3))
