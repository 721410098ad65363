"""Operators that onnx has no schema for, and whatever else a quantizer, an optimiser or a decoder brings."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from cut_runs import run_cut
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from small_nets import model, node, normal, rng, saved, tensor

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.onnx_files import operators
from layerlift.models.onnx_files.runtime import ort
from layerlift.models.preprocess import pipeline

MS = "com.microsoft"
DOMAINS = (helper.make_opsetid(MS, 1), helper.make_opsetid("ai.onnx.ml", 3))


def foreign(nodes: list[onnx.NodeProto], outputs: list[str], **more: object) -> onnx.ModelProto:
    inputs = more.pop("inputs", [tensor("x", 2, 16)])
    return model(nodes, inputs, outputs, domains=list(DOMAINS), **more)


def bytes_of(array: np.ndarray, high: int = 255) -> np.ndarray:
    return (np.abs(array) * 97).astype(np.int64).__mod__(high).astype(np.uint8)


WEIGHTS = {
    "w": normal(16, 16),
    "row": normal(16, seed=1),
    "ones": np.ones(16, np.float32),
    "codes": bytes_of(normal(16, 16, seed=2)),
    "packed": bytes_of(normal(16, 1, 8, seed=3)),
    "scale": np.asarray(0.05, np.float32),
    "scales": np.full((16, 1), 0.05, np.float32),
    "zero": np.asarray(128, np.uint8),
}


def layer(kind: str, read: str, made: str) -> list[onnx.NodeProto]:
    """One step that takes 2 x 16 floats to 2 x 16 floats."""
    simple = {
        "Gelu": node("Gelu", [read], [made], domain=MS),
        "QuickGelu": node("QuickGelu", [read], [made], domain=MS),
        "BiasGelu": node("BiasGelu", [read, "row"], [made], domain=MS),
        "FastGelu": node("FastGelu", [read, "row"], [made], domain=MS),
        "FusedMatMul": node("FusedMatMul", [read, "w"], [made], domain=MS, transB=1, alpha=0.5),
        "FusedGemm": node("FusedGemm", [read, "w", "row"], [made], domain=MS, activation="Relu"),
        "DynamicQuantizeMatMul": node("DynamicQuantizeMatMul", [read, "codes", "scale", "zero"], [made], domain=MS),
        "MatMulNBits": node(
            "MatMulNBits", [read, "packed", "scales"], [made], domain=MS, K=16, N=16, bits=4, block_size=16
        ),
        "Scaler": node("Scaler", [read], [made], domain="ai.onnx.ml", offset=[0.5] * 16, scale=[2.0] * 16),
        "Tanh": node("Tanh", [read], [made]),
        "MatMul": node("MatMul", [read, "w"], [made]),
    }
    if kind in simple:
        return [simple[kind]]
    if kind == "QLinearAdd":
        codes = [
            node("QuantizeLinear", [read, "scale", "zero"], [f"{made}q"]),
            node("QLinearAdd", [f"{made}q", "scale", "zero"] * 2 + ["scale", "zero"], [f"{made}s"], domain=MS),
        ]
        return [*codes, node("DequantizeLinear", [f"{made}s", "scale", "zero"], [made])]
    assert kind == "half"
    half = [node("Cast", [read], [f"{made}h"], to=TensorProto.FLOAT16)]
    half += [node(op, [f"{made}h{'' if at == 0 else at}"], [f"{made}h{at + 1}"]) for at, op in enumerate(HALVES)]
    return [*half, node("Cast", [f"{made}h{len(HALVES)}"], [made], to=TensorProto.FLOAT)]


HALVES = ("Tanh", "Sigmoid", "Relu", "Softmax")
KINDS = (
    "Gelu", "QuickGelu", "BiasGelu", "FastGelu", "FusedMatMul", "FusedGemm", "DynamicQuantizeMatMul", "MatMulNBits",
    "Scaler", "QLinearAdd", "half", "Tanh", "MatMul",
)  # fmt: skip


def chain(kinds: list[str], skips: list[bool]) -> onnx.ModelProto:
    """Steps one after another; after a skip the next reads a normalised sum of the last two."""
    nodes, last, before = [], "x", "x"
    for at, (kind, skip) in enumerate(zip(kinds, skips, strict=True)):
        nodes += layer(kind, last, f"t{at}")
        before, last = last, f"t{at}"
        if skip:
            read = [last, before, "ones", "row"]
            nodes.append(node("SkipLayerNormalization", read, [f"n{at}", "", "", f"s{at}"], domain=MS))
            before, last = f"s{at}", f"n{at}"
    used = {name for each in nodes for name in each.input}
    return foreign(nodes, [last], weights={name: array for name, array in WEIGHTS.items() if name in used})


def direct(made: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What onnxruntime itself answers, without graph optimisation."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    read = {value.name: inputs[value.name] for value in session.get_inputs()}
    return dict(zip(names, session.run(names, read), strict=True))


def check_cuts(network: models.Network, placements: list[list[int]]) -> dict[str, np.ndarray]:
    """Each placement answers as the uncut network does, bit for bit; shapes are those that were foretold."""
    inputs = network.sample_inputs(3)
    whole = models.uncut_session(network, exact=True, alias=True).run(inputs)
    declared = {tensor.name: tensor for tensor in network.graph.tensors}
    for placement in placements:
        seen = run_cut(network, placement, inputs, exact=True)
        for name, array in seen.items():
            if name in declared:
                assert (array.shape, array.dtype.name) == (declared[name].shape, declared[name].dtype), name
        for output in network.graph.outputs:
            name = network.graph.tensors[output].name
            assert seen[name].tobytes() == whole[name].tobytes(), (name, placement)
    return whole


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_cut_of_foreign_and_half_operators_is_bit_equal(tmp_path: Path, data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=2, max_size=6))
    skips = data.draw(st.lists(st.booleans(), min_size=len(kinds), max_size=len(kinds)))
    network = models.load(saved(chain(kinds, skips), tmp_path / "n.onnx"))
    count = len(network.graph)
    drawn = data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    check_cuts(network, [drawn, [at % 2 for at in range(count)]])


def test_every_foreign_kind_answers_as_onnxruntime_does(tmp_path: Path) -> None:
    kinds = [kind for kind in KINDS if kind != "half"]
    made = chain(kinds, [True] * len(kinds))
    network = models.load(saved(made, tmp_path / "n.onnx"))
    whole = check_cuts(network, [[at % 2 for at in range(len(network.graph))]])
    expected = direct(made, network.sample_inputs(3))
    assert {name: whole[name].tobytes() for name in expected} == {n: a.tobytes() for n, a in expected.items()}


def attention() -> onnx.ModelProto:
    weights = {"w": normal(8, 24), "b": normal(24, seed=1)}
    nodes = [node("Attention", ["x", "w", "b"], ["y"], domain=MS, num_heads=2), node("Relu", ["y"], ["z"])]
    return foreign(nodes, ["z"], inputs=[tensor("x", 1, 3, 8)], weights=weights)


def embedding() -> onnx.ModelProto:
    weights = {"words": normal(5, 8), "places": normal(4, 8, seed=1), "g": normal(8, seed=2), "b": normal(8, seed=3)}
    read = ["ids", "", "words", "places", "", "g", "b"]
    nodes = [node("EmbedLayerNormalization", read, ["y", "m"], domain=MS), node("Neg", ["y"], ["z"])]
    return foreign(nodes, ["z"], inputs=[tensor("ids", 1, 4, kind=TensorProto.INT32)], weights=weights)


def grouped() -> onnx.ModelProto:
    """A decoder's step: three tokens are in the cache, one comes."""
    weights = {"seen": np.asarray([3], np.int32), "total": np.asarray(4, np.int32)}
    read = ["q", "k", "v", "pk", "pv", "seen", "total"]
    step = node("GroupQueryAttention", read, ["y", "nk", "nv"], domain=MS, num_heads=2, kv_num_heads=1)
    inputs = [tensor("q", 1, 1, 16), tensor("k", 1, 1, 8), tensor("v", 1, 1, 8)]
    inputs += [tensor("pk", 1, 1, 3, 8), tensor("pv", 1, 1, 3, 8)]
    return foreign([step, node("Relu", ["y"], ["z"])], ["z", "nk", "nv"], inputs=inputs, weights=weights)


def rotary() -> onnx.ModelProto:
    weights = {"at": np.asarray([[0, 1, 2]], np.int64), "cos": normal(4, 4), "sin": normal(4, 4, seed=1)}
    nodes = [node("Relu", ["x"], ["r"]), node("RotaryEmbedding", ["r", "at", "cos", "sin"], ["y"], domain=MS)]
    return foreign(nodes, ["y"], inputs=[tensor("x", 1, 2, 3, 8)], weights=weights)


def recurrent() -> onnx.ModelProto:
    """Its weights have to be constants: onnxruntime does not take them from outside."""
    codes = bytes_of(normal(1, 4, 32, seed=4)), bytes_of(normal(1, 8, 32, seed=5))
    weights = {"w": codes[0], "r": codes[1], "s": np.full(1, 0.02, np.float32), "z": np.full(1, 127, np.uint8)}
    read = ["x", "w", "r", "", "", "", "", "", "s", "z", "s", "z"]
    nodes = [node("DynamicQuantizeLSTM", read, ["y", "h", "c"], domain=MS, hidden_size=8), node("Tanh", ["h"], ["t"])]
    return foreign(nodes, ["t"], inputs=[tensor("x", 5, 1, 4)], weights=weights)


@pytest.mark.parametrize("make", [attention, embedding, grouped, rotary, recurrent])
def test_operators_of_optimised_transformers_and_recurrent_nets(tmp_path: Path, make: object) -> None:
    made = make()
    network = models.load(saved(made, tmp_path / "n.onnx"))
    whole = check_cuts(network, [[0, 1], [0, 0]])
    for name, array in direct(made, network.sample_inputs(3)).items():
        assert np.allclose(whole[name], array, atol=1e-6), name


def test_what_an_optimiser_writes_as_a_standard_operator_is_one(tmp_path: Path) -> None:
    weights = {"w": normal(16, 16), "g": normal(16, seed=1), "b": normal(16, seed=2)}
    nodes = [
        node("SimplifiedLayerNormalization", ["x", "g"], ["a"], axis=-1, epsilon=1e-6, stash_type=1),
        node("MatMul", ["a", "w"], ["m"]),
        # onnx knows it from version 17 on.
        node("LayerNormalization", ["m", "g", "b"], ["n"], axis=-1),
        node("Add", ["n", "x"], ["y"]),
    ]
    made = model(nodes, [tensor("x", 2, 16)], ["y"], weights, opset=13)
    network = models.load(saved(made, tmp_path / "n.onnx"))
    whole = check_cuts(network, [[0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 2, 3]])
    x = network.sample_inputs(3)["x"]
    assert np.allclose(whole["y"], direct(made, {"x": x})["y"], atol=1e-6)
    assert len(pipeline.apply(network, ["low_rank:rank=4"]).graph) == 5


def test_what_onnxruntime_lacks_is_said_and_what_comes_before_it_can_be_had(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("Neg", ["r"], ["n"]), node("Nothing", ["n"], ["y"], domain=MS)]
    path = saved(foreign(nodes, ["y"]), tmp_path / "n.onnx")
    with pytest.raises(ModelError, match=r"onnxruntime does not run com.microsoft.Nothing \(.*--output n ") as refused:
        models.load(path)
    assert len(str(refused.value)) <= 300
    assert [each.op_type for each in models.load(path, outputs=["n"]).graph.layers] == ["Relu", "Neg"]


def detector() -> onnx.ModelProto:
    """Boxes and scores, then what is kept of them, which depends on the scores."""
    weights = {"k": np.asarray([5], np.int64), "w": normal(4, 4)}
    nodes = [
        node("MatMul", ["x", "w"], ["boxes"]), node("ReduceMax", ["x"], ["most"], axes=[2], keepdims=1),
        node("Transpose", ["most"], ["scores"], perm=[0, 2, 1]),
        node("NonMaxSuppression", ["boxes", "scores", "k"], ["kept"]), node("Cast", ["kept"], ["y"], to=1),
    ]  # fmt: skip
    return model(nodes, [tensor("x", 1, 20, 4)], ["y"], weights)


def test_a_tail_of_unknown_size_is_refused_with_the_option_that_cuts_it_off(tmp_path: Path) -> None:
    path = saved(detector(), tmp_path / "d.onnx")
    with pytest.raises(ModelError, match="depends on the data") as refused:
        models.load(path)
    ends = re.findall(r"--output (\S+)", str(refused.value))
    assert ends == ["boxes", "scores"]
    network = models.load(path, outputs=ends)
    assert [network.graph.tensors[t].name for t in network.graph.outputs] == ends
    whole = check_cuts(network, [[0, 1, 2], [0, 0, 1]])
    inputs = network.sample_inputs(3)
    assert np.array_equal(whole["boxes"], inputs["x"] @ normal(4, 4))
    assert network.digest != models.load(path, outputs=["boxes"]).digest


def test_where_nothing_comes_before_the_unknown_size_no_remedy_is_named(tmp_path: Path) -> None:
    made = model([node("NonZero", ["x"], ["i"]), node("Cast", ["i"], ["y"], to=1)], [tensor("x", 8)], ["y"])
    with pytest.raises(ModelError, match="no layer comes before it") as refused:
        models.load(saved(made, tmp_path / "n.onnx"))
    assert "--output" not in str(refused.value)


def test_an_end_that_no_operator_makes_is_refused(tmp_path: Path) -> None:
    path = saved(detector(), tmp_path / "d.onnx")
    with pytest.raises(ModelError, match=r"no operator makes the tensor 'boxs' .*did you mean boxes"):
        models.load(path, outputs=["boxs"])
    with pytest.raises(ModelError, match="network of the zoo"):
        models.load("alexnet", outputs=["boxes"])


def test_outputs_that_are_inputs_or_constants_cost_no_layer(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("Mul", ["k", "k"], ["kk"]), node("Neg", ["y"], ["z"])]
    made = model(nodes, [tensor("x", 1, 4), tensor("u", 1, 2)], ["z", "x", "k", "kk", "u", "y"], {"k": normal(2)})
    network = models.load(saved(made, tmp_path / "n.onnx"))
    assert [network.graph.tensors[t].name for t in network.graph.outputs] == ["z", "x", "u", "y"]
    assert [each.op_type for each in network.graph.layers] == ["Relu", "Neg"]
    whole = models.uncut_session(network, exact=True).run(inputs := network.sample_inputs(0))
    assert np.array_equal(whole["x"], inputs["x"])
    assert np.array_equal(whole["u"], inputs["u"])
    made = model([node("Relu", ["x"], ["y"])], [tensor("x", 1, 4)], ["x", "k"], {"k": normal(2)})
    with pytest.raises(ModelError, match="no output is computed from an input"):
        models.load(saved(made, tmp_path / "n.onnx"))


def test_a_cache_that_holds_nothing_yet_moves_nothing(tmp_path: Path) -> None:
    nodes = [
        node("Neg", ["p"], ["q"]), node("Concat", ["q", "x"], ["all"], axis=1),
        node("MatMul", ["all", "w"], ["y"]), node("Relu", ["y"], ["z"]),
    ]  # fmt: skip
    made = model(nodes, [tensor("x", 1, 1, 4), tensor("p", 1, "past", 4)], ["z", "q"], {"w": normal(4, 4)})
    path = saved(made, tmp_path / "kv.onnx")
    network = models.load(path, dims={"past": 0})
    by_name = {each.name: each for each in network.graph.tensors}
    assert by_name["p"].bytes == by_name["q"].bytes == 0
    assert by_name["z"].shape == (1, 1, 4)
    check_cuts(network, [[0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 2, 0]])
    assert {each.name: each.shape for each in models.load(path, dims={"past": 2}).graph.tensors}["z"] == (1, 3, 4)


def test_the_limit_of_opsets_is_that_of_onnxruntime(tmp_path: Path) -> None:
    newest = operators.newest_opset()
    assert operators.runs_opset(newest)
    assert not operators.runs_opset(newest + 1)
    relu = [node("Relu", ["x"], ["y"])]
    for opset in (6, newest):
        made = model(relu, [tensor("x", 1, 4)], ["y"], opset=opset)
        made.ir_version = onnx.IR_VERSION
        check_cuts(models.load(saved(made, tmp_path / "n.onnx")), [[0]])
    made = model(relu, [tensor("x", 1, 4)], ["y"], opset=newest + 1)
    with pytest.raises(ModelError, match=f"opset {newest + 1}; the installed onnxruntime takes 1 to {newest}"):
        models.load(saved(made, tmp_path / "n.onnx"))


def test_an_operator_that_is_older_than_its_opset_runs_by_the_oldest_equal_one(tmp_path: Path) -> None:
    made = model([node("Swish", ["x"], ["y"])], [tensor("x", 1, 4)], ["y"], opset=onnx.defs.onnx_opset_version())
    made.ir_version = onnx.IR_VERSION
    network = models.load(saved(made, tmp_path / "n.onnx"))
    x = network.sample_inputs(0)["x"]
    answer = models.uncut_session(network, exact=True).run({"x": x})["y"]
    assert np.allclose(answer, x / (1 + np.exp(-x)), atol=1e-6)


def test_a_network_that_answers_differently_each_time_is_refused(tmp_path: Path) -> None:
    weights = {"half": np.asarray(0.5, np.float32), "yes": np.asarray(True)}
    made = model([node("Dropout", ["x", "half", "yes"], ["y"])], [tensor("x", 1, 64)], ["y"], weights)
    network = models.load(saved(made, tmp_path / "n.onnx"))
    with pytest.raises(ModelError, match="answers 'y' differently each time it runs; export it for inference"):
        network.weights()


def test_shapes_that_no_schema_tells_are_seen_in_runs_that_agree() -> None:
    asked = operators.Asked([helper.make_opsetid("", 17), *DOMAINS], 8)
    known = {"x": (TensorProto.FLOAT, (2, 16)), "flat": (TensorProto.FLOAT, (8,))}
    scaler = layer("Scaler", "x", "y")
    unique = [node("Unique", ["flat"], ["u", "i", "n"], domain=MS)]
    assert asked.outputs_of(scaler, known, {}) == {"y": (TensorProto.FLOAT, (2, 16))}
    assert "u" not in asked.outputs_of(unique, known, {}), "how many differ depends on what they are"
    assert asked.outputs_of(layer("Tanh", "x", "y"), known, {})["y"][1] == (2, 16)


def test_random_numbers_have_no_remedy_where_they_come_first(tmp_path: Path) -> None:
    seeded = rng(1).integers(0, 9)
    nodes = [node("RandomNormalLike", ["x"], ["r"], seed=float(seeded)), node("Add", ["x", "r"], ["y"])]
    with pytest.raises(ModelError, match="must answer the same every time; no layer comes before it"):
        models.load(saved(model(nodes, [tensor("x", 1, 4)], ["y"]), tmp_path / "n.onnx"))
    nodes = [node("Relu", ["x"], ["e"]), node("RandomNormalLike", ["e"], ["r"]), node("Add", ["e", "r"], ["y"])]
    path = saved(model(nodes, [tensor("x", 1, 4)], ["y"]), tmp_path / "n.onnx")
    with pytest.raises(ModelError, match="--output e "):
        models.load(path)
    assert len(models.load(path, outputs=["e"]).graph) == 1
