"""Any feed-forward ONNX file by path: what becomes a layer, a parameter, a tensor, and that the pieces still answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from cut_runs import run_cut
from onnx import TensorProto, numpy_helper
from small_nets import model, node, normal, saved, tensor

from layerlift import models
from layerlift.models.errors import ModelError


def direct(made: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The answer of the untouched model."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def check_everywhere(path: Path, error: float = 0.0, **how: object) -> models.Network:
    """Load, cut everywhere and after every layer, and compare with the untouched file (error relative to the scale)."""
    network = models.load(path, **how)
    inputs = network.sample_inputs(1)
    expected = direct(onnx.load(path), inputs)
    count = len(network.graph)
    cuts = [[i % 2 for i in range(count)], *([0] * at + [1] * (count - at) for at in range(count))]
    for placement in cuts:
        seen = run_cut(network, placement, inputs, exact=True)
        for name, answer in expected.items():
            assert np.max(np.abs(seen[name] - answer)) <= error * np.max(np.abs(answer)), (name, placement)
    return network


def branching() -> onnx.ModelProto:
    """Two inputs, two outputs, a weight shared through two nodes, a dead branch, folded weights, an unused input."""
    weights = {
        "w": normal(6, 6),
        "flat": normal(36, seed=1),
        "shape": np.asarray([6, 6], np.int64),
        "dead_w": normal(6, 9),
    }
    nodes = [
        node("Constant", [], ["half"], value=numpy_helper.from_array(np.asarray([0.5], np.float32))),
        node("Reshape", ["flat", "shape"], ["square"]),
        node("Transpose", ["square"], ["turned"], perm=[1, 0]),
        node("MatMul", ["x", "w"], ["a"]),
        node("MatMul", ["y", "w"], ["b"]),
        node("MatMul", ["x", "dead_w"], ["dead"]),
        node("Add", ["a", "b"], ["c"]),
        node("Mul", ["c", "half"], ["d"]),
        node("MatMul", ["d", "turned"], ["e"]),
        node("Tanh", ["a"], ["f"]),
    ]
    inputs = [tensor("x", "batch", 6), tensor("y", "batch", 6), tensor("unused", 3)]
    return model(nodes, inputs, ["e", "f"], weights)


@pytest.mark.long
def test_branches_shared_weights_and_folded_weights(tmp_path: Path) -> None:
    made = branching()
    del made.graph.input[2]
    network = check_everywhere(saved(made, tmp_path / "b.onnx"), dims={"batch": 3})
    graph = network.graph
    assert [layer.op_type for layer in graph.layers] == ["MatMul", "MatMul", "Add", "Mul", "MatMul", "Tanh"]
    assert [p.name for p in graph.parameters] == ["w", "half", "turned"]
    assert graph.upload_bytes([0, 1]) == graph.upload_bytes([0]) == 6 * 6 * 4
    assert np.array_equal(network.weights()["turned"], normal(36, seed=1).reshape(6, 6).T)
    assert [graph.tensors[t].name for t in graph.inputs] == ["x", "y"]
    assert [graph.tensors[t].name for t in graph.outputs] == ["e", "f"]


def test_unused_inputs_and_dead_layers_are_left_out(tmp_path: Path) -> None:
    network = models.load(saved(branching(), tmp_path / "b.onnx"), dims={"batch": 1})
    assert set(network.sample_inputs(0)) == {"x", "y"}
    assert "dead" not in {t.name for t in network.graph.tensors}


def test_dynamic_dimensions_are_named_with_what_to_pass(tmp_path: Path) -> None:
    made = model([node("Relu", ["x"], ["y"])], [tensor("x", "batch", 3, None, 8)], ["y"])
    path = saved(made, tmp_path / "d.onnx")
    with pytest.raises(
        ModelError, match=r"batch \(axis 0 of input 'x'\), x:2; give --dim batch=1 --dim x:2=224 \(dims in"
    ):
        models.load(path)
    with pytest.raises(ModelError, match="no dynamic dimension 'bach'; did you mean batch"):
        models.load(path, dims={"batch": 2, "x:2": 8, "bach": 1})
    with pytest.raises(ModelError, match="extents start at 0"):
        models.load(path, dims={"batch": -1, "x:2": 8})
    network = models.load(path, dims={"batch": 2, "x:2": 5})
    assert network.graph.tensors[0].shape == (2, 3, 5, 8)
    assert network.digest != models.load(path, dims={"batch": 3, "x:2": 5}).digest


def test_shape_arithmetic_of_exporters_is_folded(tmp_path: Path) -> None:
    weights = {"zero": np.asarray(0, np.int64), "minus": np.asarray([-1], np.int64), "axes": np.asarray([0], np.int64)}
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Shape", ["r"], ["s"]),
        node("Gather", ["s", "zero"], ["n"], axis=0),
        node("Unsqueeze", ["n", "axes"], ["n1"]),
        node("Concat", ["n1", "minus"], ["target"], axis=0),
        node("Reshape", ["r", "target"], ["y"]),
        node("Shape", ["y"], ["s2"]),
        node("Cast", ["s2"], ["s3"], to=TensorProto.FLOAT),
        node("ReduceProd", ["s3"], ["p"], keepdims=0),
        node("Mul", ["y", "p"], ["z"]),
    ]
    made = model(nodes, [tensor("x", "n", 3, 2)], ["z"], weights, opset=13)
    network = check_everywhere(saved(made, tmp_path / "s.onnx"), dims={"n": 4})
    assert [layer.op_type for layer in network.graph.layers] == ["Relu", "Reshape", "Mul"]
    assert float(network.weights()["p"]) == 24.0


def test_integer_inputs_embeddings_and_multiple_outputs(tmp_path: Path) -> None:
    weights = {"table": normal(50, 8), "parts": np.asarray([3, 5], np.int64)}
    nodes = [
        node("Gather", ["table", "ids"], ["e"]),
        node("Split", ["e", "parts"], ["left", "right"], axis=1),
        node("Relu", ["left"], ["y"]),
    ]
    made = model(nodes, [tensor("ids", 4, kind=TensorProto.INT64)], ["y"], weights)
    network = check_everywhere(saved(made, tmp_path / "i.onnx"))
    split = network.graph.layers[1]
    assert [network.graph.tensors[t].bytes for t in split.outputs] == [4 * 3 * 4, 4 * 5 * 4]
    assert network.sample_inputs(0)["ids"].dtype == np.int64


def test_small_number_types_count_their_true_bytes(tmp_path: Path) -> None:
    half = normal(16, 4).astype(np.float16)
    quantized = np.arange(-32, 32, dtype=np.int8).reshape(4, 16)
    weights = {"half": half, "q": quantized, "scale": np.asarray(0.1, np.float32), "zero": np.asarray(0, np.int8)}
    nodes = [
        node("DequantizeLinear", ["q", "scale", "zero"], ["w"]),
        node("MatMul", ["x", "w"], ["y"]),
        node("Cast", ["y"], ["h"], to=TensorProto.FLOAT16),
        node("MatMul", ["h", "half"], ["z"]),
    ]
    made = model(nodes, [tensor("x", 2, 4)], ["z"], weights, kind=TensorProto.FLOAT16)
    # onnxruntime has no half-precision MatMul here: uncut it skips the narrowing, which a cut tensor cannot.
    network = check_everywhere(saved(made, tmp_path / "q.onnx"), error=2e-3)
    sizes = {p.name: (p.held_bytes, p.upload_bytes, p.dtype) for p in network.graph.parameters}
    assert sizes["half"] == (16 * 4 * 2, 16 * 4 * 2, "float16")
    assert sizes["w"] == (64 * 4, 64 + 4 + 1, "float32"), "a quantized weight is uploaded quantized"
    made_by_cast = network.graph.tensors[network.graph.layers[-1].inputs[0]]
    assert (made_by_cast.bytes, made_by_cast.dtype) == (2 * 16 * 2, "float16")


def test_a_model_in_memory_is_a_network_too() -> None:
    made = model([node("MatMul", ["x", "w"], ["y"])], [tensor("x", 2, 4)], ["y"], {"w": normal(4, 3)})
    network = models.from_model(made, "mine")
    assert models.from_model(made, "mine").digest == network.digest
    inputs = network.sample_inputs(0)
    assert np.array_equal(models.uncut_session(network, exact=True).run(inputs)["y"], direct(made, inputs)["y"])
    other = model([node("MatMul", ["x", "w"], ["y"])], [tensor("x", 2, 4)], ["y"], {"w": normal(4, 3, seed=1)})
    assert models.from_model(other, "mine").digest != network.digest


def attention() -> onnx.ModelProto:
    """One block as exporters write it: reshapes by computed shapes, products of activations, a residual."""
    weights = {
        "wq": normal(8, 8),
        "wk": normal(8, 8, seed=1),
        "scale": np.ones(8, np.float32),
        "bias": np.zeros(8, np.float32),
        "zero": np.asarray([0], np.int64),
        "one": np.asarray([1], np.int64),
        "heads": np.asarray([2, 4], np.int64),
    }
    nodes = [
        node("LayerNormalization", ["x", "scale", "bias"], ["n"]),
        node("Shape", ["x"], ["s"]),
        node("Slice", ["s", "zero", "one"], ["tokens"]),
        node("Concat", ["tokens", "heads"], ["target"], axis=0),
        node("MatMul", ["n", "wq"], ["q0"]),
        node("Reshape", ["q0", "target"], ["q1"]),
        node("Transpose", ["q1"], ["q"], perm=[1, 0, 2]),
        node("MatMul", ["n", "wk"], ["k0"]),
        node("Reshape", ["k0", "target"], ["k1"]),
        node("Transpose", ["k1"], ["k"], perm=[1, 2, 0]),
        node("MatMul", ["q", "k"], ["scores"]),
        node("Softmax", ["scores"], ["p"], axis=-1),
        node("MatMul", ["p", "q"], ["mixed"]),
        node("Transpose", ["mixed"], ["m1"], perm=[1, 0, 2]),
        node("Shape", ["n"], ["s2"]),
        node("Reshape", ["m1", "s2"], ["m2"]),
        node("Add", ["m2", "x"], ["y"]),
    ]
    return model(nodes, [tensor("x", "tokens", 8)], ["y"], weights, opset=17)


def assorted() -> onnx.ModelProto:
    """Upsampling by float scales, a transposed convolution, two outputs of TopK, a recurrent layer, several dtypes."""
    weights = {
        "scales": np.asarray([1, 1, 2, 2], np.float32),
        "kernel": normal(2, 3, 3, 3),
        "k": np.asarray([2], np.int64),
        "w": normal(1, 16, 6),
        "r": normal(1, 16, 4, seed=1),
        "steps": np.asarray([5, 1, 6], np.int64),
    }
    nodes = [
        node("Resize", ["x", "", "scales"], ["up"], mode="nearest"),
        node("ConvTranspose", ["up", "kernel"], ["c"], strides=[2, 2]),
        node("GlobalAveragePool", ["c"], ["g"]),
        node("TopK", ["c", "k"], ["values", "places"], axis=3),
        node("Cast", ["places"], ["floats"], to=TensorProto.FLOAT),
        node("Add", ["values", "floats"], ["t"]),
        node("Flatten", ["t"], ["flat"]),
        node("Reshape", ["flat", "steps"], ["seq"]),
        node("LSTM", ["seq", "w", "r"], ["all", "last"], hidden_size=4),
        node("Mul", ["g", "g"], ["squares"]),
    ]
    return model(nodes, [tensor("x", 1, 2, 1, 1)], ["last", "squares"], weights, opset=13)


@pytest.mark.parametrize("opset", [17, 21])
def test_a_transformer_block(tmp_path: Path, opset: int) -> None:
    made = attention()
    made.opset_import[0].version = opset
    network = check_everywhere(saved(made, tmp_path / "t.onnx"), dims={"tokens": 5})
    kinds = [layer.op_type for layer in network.graph.layers]
    assert "Shape" not in kinds
    assert "Concat" not in kinds
    products = [layer for layer in network.graph.layers if layer.op_type == "MatMul"]
    assert [layer.features["macs"] for layer in products] == [5 * 8 * 8, 5 * 8 * 8, 2 * 5 * 5 * 4, 2 * 5 * 4 * 5]


def test_assorted_operators(tmp_path: Path) -> None:
    network = check_everywhere(saved(assorted(), tmp_path / "a.onnx"))
    by_kind = {layer.op_type: layer for layer in network.graph.layers}
    assert by_kind["ConvTranspose"].features["macs"] == 2 * 2 * 2 * 3 * 9
    assert by_kind["LSTM"].features["macs"] == 5 * 1 * (16 * 6 + 16 * 4)
    assert len(by_kind["TopK"].outputs) == 2


def test_scalars_and_strided_inputs_pass_a_cut(tmp_path: Path) -> None:
    nodes = [node("ReduceMean", ["x"], ["m"], keepdims=0), node("Sqrt", ["m"], ["r"]), node("Mul", ["x", "r"], ["y"])]
    network = check_everywhere(saved(model(nodes, [tensor("x", 3, 4)], ["y"], opset=13), tmp_path / "s.onnx"))
    inputs = {"x": np.abs(normal(4, 3)).T}
    seen = run_cut(network, [0, 1, 0], inputs, exact=True)
    assert np.array_equal(seen["y"], direct(network.model(), {"x": inputs["x"].copy()})["y"])


def test_four_bit_weights_travel_packed(tmp_path: Path) -> None:
    quarter = onnx.helper.make_tensor("q", TensorProto.INT4, [3, 5], list(range(-7, 8)))
    nodes = [node("DequantizeLinear", ["q", "s"], ["w"]), node("MatMul", ["x", "w"], ["y"])]
    made = model(nodes, [tensor("x", 2, 3)], ["y"], {"s": np.asarray(0.5, np.float32)}, opset=21)
    made.ir_version = 10
    made.graph.initializer.append(quarter)
    network = check_everywhere(saved(made, tmp_path / "f.onnx"))
    (weight,) = network.graph.parameters
    assert (weight.held_bytes, weight.upload_bytes) == (15 * 4, 8 + 4)
