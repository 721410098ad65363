"""A model from a stranger: each thing that is refused is named, in one sentence, and nothing is allocated for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_nets import F, model, node, normal, saved, tensor

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.report.summary import report


def relu(**more: object) -> onnx.ModelProto:
    return model([node("Relu", ["x"], ["y"])], [tensor("x", 1, 4)], ["y"], **more)


def conditional() -> onnx.ModelProto:
    branch = helper.make_graph([node("Identity", ["x"], ["z"])], "b", [], [tensor("z", 1, 4)])
    nodes = [node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]
    return model(nodes, [tensor("x", 1, 4), tensor("c", kind=TensorProto.BOOL)], ["y"])


def custom() -> onnx.ModelProto:
    made = model([node("Evil", ["x"], ["y"], domain="evil.corp")], [tensor("x", 1, 4)], ["y"])
    made.opset_import.append(helper.make_opsetid("evil.corp", 1))
    return made


def function() -> onnx.ModelProto:
    made = model([node("Mine", ["x"], ["y"], domain="local")], [tensor("x", 1, 4)], ["y"])
    made.opset_import.append(helper.make_opsetid("local", 1))
    body = [node("Mine", ["a"], ["b"], domain="local")]
    made.functions.append(helper.make_function("local", "Mine", ["a"], ["b"], body, made.opset_import))
    return made


def sparse() -> onnx.ModelProto:
    made = model([node("Add", ["x", "w"], ["y"])], [tensor("x", 1, 4)], ["y"])
    values = helper.make_tensor("w", F, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [2])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    return made


def lying_shape() -> onnx.ModelProto:
    made = model([node("Add", ["x", "w"], ["y"])], [tensor("x", 1, 4)], ["y"], {"w": normal(4)})
    made.graph.initializer[0].dims[0] = 1 << 20
    return made


def oversize_weight() -> onnx.ModelProto:
    made = lying_shape()
    made.graph.initializer[0].dims[0] = 1 << 60
    return made


def negative_shape() -> onnx.ModelProto:
    made = lying_shape()
    made.graph.initializer[0].dims[0] = -4
    return made


def bomb() -> onnx.ModelProto:
    weights = {"s": np.asarray([1 << 20, 1 << 20], np.int64)}
    nodes = [node("ConstantOfShape", ["s"], ["w"]), node("ReduceMax", ["w"], ["m"]), node("Add", ["x", "m"], ["y"])]
    return model(nodes, [tensor("x", 1, 4)], ["y"], weights)


def folded_bomb() -> onnx.ModelProto:
    weights = {"big": np.full(20, 1 << 20, np.int64), "w": np.ones((1,) * 20, np.float32)}
    nodes = [
        node("NonZero", ["big"], ["n"]),
        node("Squeeze", ["n"], ["s"]),
        node("Add", ["big", "s"], ["reps"]),
        node("Tile", ["w", "reps"], ["t"]),
        node("ReduceMax", ["t"], ["m"], keepdims=0),
        node("Add", ["x", "m"], ["y"]),
    ]
    return model(nodes, [tensor("x", 1, 4)], ["y"], weights)


def expanding() -> onnx.ModelProto:
    weights = {"s": np.asarray([1 << 20, 1 << 20], np.int64)}
    return model([node("Expand", ["x", "s"], ["y"])], [tensor("x", 1, 1)], ["y"], weights)


def data_dependent() -> onnx.ModelProto:
    return model([node("NonZero", ["x"], ["n"]), node("Cast", ["n"], ["y"], to=F)], [tensor("x", 1, 4)], ["y"])


def mismatched() -> onnx.ModelProto:
    return model([node("MatMul", ["x", "w"], ["y"])], [tensor("x", 1, 4)], ["y"], {"w": normal(5, 3)})


def circular() -> onnx.ModelProto:
    nodes = [node("Add", ["x", "y"], ["a"]), node("Relu", ["a"], ["y"])]
    return model(nodes, [tensor("x", 1, 4)], ["y"])


def constant_output() -> onnx.ModelProto:
    nodes = [node("Relu", ["x"], ["y"]), node("Relu", ["w"], ["z"])]
    return model(nodes, [tensor("x", 1, 4)], ["z"], {"w": normal(4)})


def texts() -> onnx.ModelProto:
    nodes = [node("Constant", [], ["t"], value_string="boo"), node("Add", ["x", "t"], ["y"])]
    return model(nodes, [tensor("x", 1, 4)], ["y"])


def sequence() -> onnx.ModelProto:
    nodes = [node("SequenceConstruct", ["x"], ["s"]), node("SequenceAt", ["s", "at"], ["y"])]
    return model(nodes, [tensor("x", 1, 4), tensor("at", kind=TensorProto.INT64)], ["y"])


def unknown_operator() -> onnx.ModelProto:
    return model([node("Frobnicate", ["x"], ["y"])], [tensor("x", 1, 4)], ["y"])


def random_operator() -> onnx.ModelProto:
    nodes = [node("RandomNormalLike", ["x"], ["r"]), node("Add", ["x", "r"], ["y"])]
    return model(nodes, [tensor("x", 1, 4)], ["y"])


def no_shape() -> onnx.ModelProto:
    made = relu()
    made.graph.input[0].type.tensor_type.ClearField("shape")
    return made


def not_text() -> onnx.ModelProto:
    # An operator's name of the same length, then a byte that no UTF-8 has: protobuf lets it pass.
    body = model([node("Sqxeeze", ["x"], ["y"])], [tensor("x", 1, 4)], ["y"]).SerializeToString()
    return onnx.load_from_string(body.replace(b"Sqxeeze", b"Sq\xffeeze"))


def nested_name_that_is_not_text() -> onnx.ModelProto:
    made = relu()
    made.graph.node[0].attribute.append(helper.make_attribute("alphx", 1))
    return onnx.load_from_string(made.SerializeToString().replace(b"alphx", b"alph\xfe"))


def deep() -> onnx.ModelProto:
    return model([node("Identity", ["x"], ["y"])], [tensor("x", *[1] * 3000)], ["y"])


def brain_float() -> onnx.ModelProto:
    return model([node("Identity", ["x"], ["y"])], [tensor("x", 4, kind=TensorProto.BFLOAT16)], ["y"])


def brain_float_inside() -> onnx.ModelProto:
    nodes = [node("Cast", ["x"], ["b"], to=TensorProto.BFLOAT16), node("Cast", ["b"], ["y"], to=F)]
    return model(nodes, [tensor("x", 4)], ["y"])


def doubled_initializer() -> onnx.ModelProto:
    made = lying_shape()
    made.graph.initializer[0].dims[0] = 4
    made.graph.initializer.append(made.graph.initializer[0])
    return made


def too_few_inputs() -> onnx.ModelProto:
    return model([node("Shape", [], ["s"]), node("Reshape", ["x", "s"], ["y"])], [tensor("x", 1, 4)], ["y"])


def too_many_outputs() -> onnx.ModelProto:
    return model([node("Relu", ["x"], ["y", "z"])], [tensor("x", 1, 4)], ["y"])


def giant_range() -> onnx.ModelProto:
    weights = {"a": np.int64(0), "b": np.int64(10**12), "d": np.int64(1)}
    nodes = [
        node("Range", ["a", "b", "d"], ["k"]),
        node("Cast", ["k"], ["f"], to=F),
        node("ReduceSum", ["f"], ["z"], keepdims=0),
        node("Add", ["x", "z"], ["y"]),
    ]
    return model(nodes, [tensor("x", 1, 4)], ["y"], {name: np.asarray(value) for name, value in weights.items()})


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (conditional, "control-flow operator If"),
        (custom, "onnxruntime does not run evil.corp.Evil"),
        (function, "function 'Mine' cannot be written out|local.Mine"),
        (sparse, "sparse initializer 'w'"),
        (lying_shape, "holds 16 bytes, expected 4194304"),
        (oversize_weight, "more than the limit"),
        (negative_shape, "impossible shape"),
        (bomb, "'w' of shape"),
        (folded_bomb, "'t' of shape"),
        (expanding, "'y' of shape"),
        (data_dependent, "NonZero"),
        (mismatched, "'y'"),
        (circular, "waits for its own answer; no option helps"),
        (constant_output, "no output is computed from an input"),
        (texts, "'t' holds strings; .* no layer comes before it"),
        (sequence, "sequence operator SequenceAt .*; no layer comes before it"),
        (unknown_operator, "Frobnicate"),
        (random_operator, "random operator RandomNormalLike"),
        (no_shape, "input 'x' has no shape"),
        (not_text, r"holds the name b'Sq.xffeeze', which is not UTF-8"),
        (nested_name_that_is_not_text, "which is not UTF-8"),
        (deep, "3000 dimensions; no more than 64"),
        (brain_float, "'x' is of type bfloat16, .*export the model in float32"),
        (brain_float_inside, "'b' is of type bfloat16"),
        (doubled_initializer, "defines 'w' more than once"),
        (too_few_inputs, "Shape .'s'. reads 0 tensors"),
        (too_many_outputs, "Relu .'y'. makes 2 tensors"),
        (giant_range, r"'k' of shape \[1000000000000\] needs"),
        (lambda: relu(opset=0), "opset 0; the installed onnxruntime takes 1 to"),
        (lambda: relu(opset=99), "opset 99"),
    ],
)
def test_hostile_models_are_refused_by_name(make: Callable[[], onnx.ModelProto], named: str, tmp_path: Path) -> None:
    path = saved(make(), tmp_path / "stranger.onnx")
    with pytest.raises(ModelError, match=named) as caught:
        models.load(path)
    message = str(caught.value)
    assert "stranger.onnx" in message
    assert "\n" not in message
    assert len(message) <= 300


@pytest.mark.parametrize("body", [b"", b"\x00" * 64, b"not an onnx file at all", b"\x0a\xff\xff\xff\xff\x7f"])
def test_corrupt_files(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(body)
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        models.load(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(ModelError, match="is not a file"):
            models.load(path)


def with_external(location: str, **more: str) -> onnx.ModelProto:
    made = model([node("Add", ["x", "w"], ["y"])], [tensor("x", 1, 4)], ["y"], {"w": normal(4)})
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        weight.external_data.add(key=key, value=value)
    return made


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    inside = tmp_path / "model"
    inside.mkdir()
    (inside / "w.bin").write_bytes(normal(4).tobytes())
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    (inside / "folder").symlink_to(tmp_path)
    (inside / "loop").symlink_to("loop")
    (inside / "hard").mkdir()
    return inside


@pytest.mark.parametrize(
    ("location", "more", "named"),
    [
        ("../secret.bin", {}, "outside the model's folder"),
        ("folder/../../secret.bin", {}, "outside the model's folder"),
        ("..\\secret.bin", {}, "outside the model's folder"),
        ("/etc/passwd", {}, "outside the model's folder"),
        ("C:\\secret.bin", {}, "outside the model's folder"),
        ("", {}, "outside the model's folder"),
        ("link.bin", {}, "is a link"),
        ("folder/secret.bin", {}, "is a link"),
        ("hard", {}, "is missing"),
        ("none.bin", {}, "is missing"),
        ("n" * 5000, {}, "is missing"),
        ("a\0b", {}, "is missing"),
        ("loop/w.bin", {}, "is missing|is a link"),
        ("w.bin", {"offset": "8"}, "16 bytes at 8"),
        ("w.bin", {"offset": "-4"}, "16 bytes at -4"),
        ("w.bin", {"length": "99999999"}, "99999999 bytes"),
        ("w.bin", {"offset": "many"}, "not a number"),
    ],
)
def test_external_data_stays_in_the_folder(
    folders: Path, location: str, more: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders.parent)
    path = saved(with_external(location, **more), folders / "m.onnx")
    with pytest.raises(ModelError, match=named) as caught:
        models.load(path)
    assert len(str(caught.value)) <= 300


def test_external_data_inside_the_folder_is_read_whatever_the_working_directory(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(with_external("w.bin"), folders / "m.onnx")
    monkeypatch.chdir("/")
    network = models.load(path)
    assert np.array_equal(network.weights()["w"], normal(4))
    (folders / "w.bin").write_bytes(bytes(16))
    assert models.load(path).digest != network.digest
    with pytest.raises(ModelError, match="has changed"):
        network.source.fetch(network.light)


def test_an_output_that_is_named_twice_is_answered_once(tmp_path: Path) -> None:
    made = model([node("Relu", ["x"], ["y"])], [tensor("x", 1, 4)], ["y", "y"])
    network = models.load(saved(made, tmp_path / "twice.onnx"))
    assert len(network.graph.outputs) == 1
    assert set(models.uncut_session(network).run(network.sample_inputs(0))) == {"y"}


@pytest.mark.long
def test_shared_expressions_of_constants_are_sized_once_each(tmp_path: Path) -> None:
    # Each doubles the ways that lead to the first: 2^1500 of them.
    nodes = [node("Identity", ["s"], ["t0"])]
    nodes += [node("DequantizeLinear", ["q", f"t{at}"], [f"t{at + 1}"]) for at in range(2)]
    nodes += [node("Identity", [f"t{at}"], [f"t{at + 1}"]) for at in range(2, 1500)]
    nodes += [node("Mul", ["x", "t1500"], ["y"])]
    weights = {"s": np.asarray(0.5, np.float32), "q": np.asarray(2, np.int8)}
    network = models.load(saved(model(nodes, [tensor("x", 1, 4)], ["y"], weights), tmp_path / "shared.onnx"))
    assert float(network.weights()["t1500"]) == 2.0
    assert network.graph.upload_bytes([0]) <= 4


@pytest.mark.long
def test_a_network_of_many_parallel_operators_is_opened_and_cut(tmp_path: Path) -> None:
    count = 5000
    nodes = [node("Relu", ["x"], [f"y{at}"]) for at in range(count)]
    made = model(nodes, [tensor("x", 1, 4)], [f"y{at}" for at in range(count)])
    network = models.load(saved(made, tmp_path / "wide.onnx"))
    found = report(network.graph)
    assert (found.layers, found.peak_live_bytes) == (count, 16 + 16)
    assert found.cut_widths == {1: count - 1}


@pytest.mark.parametrize("name", ["a" * 300 + ".onnx", "a\0b.onnx", "a/" * 3000 + "m.onnx"])
def test_names_that_no_file_has(name: str) -> None:
    with pytest.raises(ModelError, match="is not a file") as caught:
        models.load(name)
    assert len(str(caught.value)) <= 300


@pytest.mark.skipif(sys.platform == "darwin", reason="memory is not bounded there")
def test_a_constant_that_is_allowed_and_larger_than_the_memory_is_refused_when_it_is_made(tmp_path: Path) -> None:
    """Of 3 GiB, below the limit of one tensor: so only the memory of the process that would make it stops it."""
    nodes = [
        node("ConstantOfShape", ["s"], ["w"], value=helper.make_tensor("one", F, [1], [1.0])),
        node("ReduceMax", ["w"], ["m"]),
        node("Add", ["x", "m"], ["y"]),
    ]
    made = model(nodes, [tensor("x", 1, 4)], ["y"], {"s": np.asarray([3 << 28], np.int64)})
    network = models.load(saved(made, tmp_path / "giant.onnx"))
    with pytest.raises(ModelError, match="LAYERLIFT_OPEN_MEMORY_GB") as refused:
        network.weights()
    assert len(str(refused.value)) <= 300
