"""What a network is fed: made up within the range that its readers ask for, or given by a user."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from small_nets import model, node, normal, saved, tensor

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.running.given import with_inputs
from layerlift.models.running.samples import PIXEL_RANGE

I64 = TensorProto.INT64


def looked_up() -> onnx.ModelProto:
    """Words, positions and segments, each looked up in a table of its own, one behind other operators; and a mask."""
    nodes = [
        node("Gather", ["words", "ids"], ["a"]),
        node("Unsqueeze", ["places", "axis"], ["p"]),
        node("Squeeze", ["p", "axis"], ["q"]),
        node("Gather", ["rows", "q"], ["b"], axis=1),
        node("Transpose", ["b"], ["bt"], perm=[1, 2, 0]),
        node("Gather", ["kinds", "segments"], ["c"]),
        node("Cast", ["attention_mask"], ["m"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["m", "last"], ["mu"]),
        node("Add", ["a", "bt"], ["ab"]),
        node("Add", ["ab", "c"], ["abc"]),
        node("Mul", ["abc", "mu"], ["y"]),
    ]
    inputs = [tensor(name, 1, 64, kind=I64) for name in ("ids", "places", "segments", "attention_mask")]
    axis, last = np.asarray([0], np.int64), np.asarray([2], np.int64)
    weights = {"words": normal(900, 8), "rows": normal(8, 70), "kinds": normal(2, 8), "axis": axis, "last": last}
    return model(nodes, inputs, ["y"], weights)


def test_what_looks_something_up_stays_below_its_table() -> None:
    network = models.from_model(looked_up(), "looked up")
    found = [network.sample_inputs(number) for number in range(8)]
    for name, entries in (("ids", 900), ("places", 70), ("segments", 2), ("attention_mask", 2)):
        values = np.concatenate([each[name].ravel() for each in found])
        assert values.dtype == np.int64
        assert values.min() == 0
        assert values.max() < entries
        assert len(np.unique(values)) > 0.3 * entries, name
    assert all(each["attention_mask"][0, 0] == 1 for each in found), "something is left of every sample"
    assert models.uncut_session(network).run(found[0])


def test_a_table_of_one_entry_is_looked_up_at_0() -> None:
    made = model([node("Gather", ["e", "ids"], ["y"])], [tensor("ids", 1, 8, kind=I64)], ["y"], {"e": normal(1, 16)})
    assert not np.any(models.from_model(made, "one").sample_inputs(0)["ids"])


@pytest.mark.parametrize(
    ("told", "low", "high"), [("NominalRange_0_1", 0, 1), ("Normalized_1_1", -1, 1), (None, -9, 9), ("odd", -9, 9)]
)
def test_an_image_has_the_range_that_its_model_declares(told: str | None, low: float, high: float) -> None:
    made = model([node("Relu", ["x"], ["y"])], [tensor("x", 1, 3, 20, 20)], ["y"])
    made.graph.input[0].type.denotation = "IMAGE"
    if told is not None:
        made.metadata_props.add(key=PIXEL_RANGE, value=told)
    values = models.from_model(made, "image").sample_inputs(0)["x"]
    assert low <= values.min() < low + (high - low) / 3
    assert high - (high - low) / 3 < values.max() <= high


def test_bytes_are_of_any_value() -> None:
    nodes = [node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    network = models.from_model(model(nodes, [tensor("x", 1, 3, 20, 20, kind=TensorProto.UINT8)], ["y"]), "bytes")
    assert len(np.unique(network.sample_inputs(0)["x"])) > 200


@pytest.fixture
def adder(tmp_path: Path) -> models.Network:
    made = model([node("Add", ["x", "z"], ["y"])], [tensor("x", 1, 3), tensor("z", 1, 3)], ["y"])
    return models.load(saved(made, tmp_path / "adder.onnx"))


ONE = {"x": normal(1, 3), "z": normal(1, 3, seed=1)}


def test_a_file_and_a_folder_feed_the_same(adder: models.Network, tmp_path: Path) -> None:
    several = {"x": normal(5, 1, 3), "z": ONE["z"]}
    np.savez_compressed(tmp_path / "in.npz", **several)
    folder = tmp_path / "in"
    folder.mkdir()
    np.save(folder / "x.npy", np.asfortranarray(several["x"]))
    np.save(folder / "z.npy", several["z"].astype(">f4"))
    for place in (tmp_path / "in.npz", folder):
        fed = with_inputs(adder, place)
        assert fed.digest == adder.digest
        for number in (0, 4, 5, 13):
            found = fed.sample_inputs(number)
            assert np.array_equal(found["x"], several["x"][number % 5])
            assert np.array_equal(found["z"], ONE["z"])
            assert found["z"].dtype == np.float32
        assert np.array_equal(models.uncut_session(fed).run(fed.sample_inputs(1))["y"], several["x"][1] + ONE["z"])


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": ONE["x"]}, "no array 'z': expected one for each input"),
        ({**ONE, "xx": ONE["x"]}, "'xx', which is no input of adder; did you mean"),
        ({**ONE, "x": normal(1, 4)}, r"shape \[1, 4\], expected \[1, 3\]"),
        ({**ONE, "x": normal(0, 1, 3)}, r"shape \[0, 1, 3\], expected"),
        ({**ONE, "x": ONE["x"].astype(np.float64)}, "of type float64, expected float32; convert"),
        ({**ONE, "x": np.asarray([["a", "b", "c"]])}, "expected float32"),
        ({**ONE, "x": np.asarray([[None, 1, 2]])}, "of type object, expected float32"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(
    adder: models.Network, tmp_path: Path, arrays: dict[str, np.ndarray], said: str
) -> None:
    np.savez(tmp_path / "in.npz", **arrays, allow_pickle=True)
    with pytest.raises(ModelError, match=said) as error:
        with_inputs(adder, tmp_path / "in.npz")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 300


def _zipped(body: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ONE:
            archive.writestr(f"{name}.npy", body)
    return made.getvalue()


def _saved() -> bytes:
    made = io.BytesIO()
    np.save(made, ONE["x"])
    return made.getvalue()


@pytest.mark.parametrize(
    "body", [b"", b"PK\x03\x04", _zipped(b""), _zipped(b"\x93NUMPY\x01\x00\xff\xff"), _zipped(_saved()[:-4])]
)
def test_what_is_no_file_of_arrays_is_refused(adder: models.Network, tmp_path: Path, body: bytes) -> None:
    (tmp_path / "in.npz").write_bytes(body)
    with pytest.raises(ModelError, match=r"in\.npz"):
        with_inputs(adder, tmp_path / "in.npz")


def test_a_header_that_promises_much_takes_no_memory(adder: models.Network, tmp_path: Path) -> None:
    header = io.BytesIO()
    told = {"descr": "<f4", "fortran_order": False, "shape": (10**12, 1, 3)}
    np.lib.format.write_array_header_1_0(header, told)
    (tmp_path / "in.npz").write_bytes(_zipped(header.getvalue()))
    with pytest.raises(ModelError, match="larger than 1024 MiB"):
        with_inputs(adder, tmp_path / "in.npz")


def test_what_is_missing_is_said(adder: models.Network, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        with_inputs(adder, tmp_path / "none.npz")
