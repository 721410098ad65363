"""What is no layer vanishes while a file is read: shape arithmetic, If and Loop, sequences, functions, fixed inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from cut_runs import run_cut
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, parser
from small_nets import model, node, normal, saved, tensor

from layerlift import models
from layerlift.models.errors import ModelError, Undecided

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'

ANCHORS = """g (float[1,4,n] x) => (float[1,4,n] y)
<int64 two = {2}, float f0 = {0}, float f1 = {1}, float half = {0.5}> {
    s = Shape (x)
    n = Gather (s, two)
    nf = Cast <to = 1> (n)
    r = Range (f0, nf, f1)
    ra = Add (r, half)
    rs = Shape (ra)
    e = Expand (half, rs)
    y0 = Add (x, e)
    y = Add (y0, ra)
}"""
HALVES = """g (float[1,4,n] x) => (float[1,a,b] y)
<int64[1] two = {2}, float[1] c2 = {2}, int64[1] one = {1}, int64[1] m1 = {-1}> {
    s = Shape (x)
    n = Gather (s, two)
    nf = Cast <to = 1> (n)
    h2 = Div (nf, c2)
    hf = Floor (h2)
    hi = Cast <to = 7> (hf)
    sh = Concat <axis = 0> (one, m1, hi)
    y = Reshape (x, sh)
}"""
SLICED = """g (float[1,4,n] x) => (float[1,4,n] y)
<int64[1] two = {2}, int64[1] zero = {0}, int64[8] pos = {0,1,2,3,4,5,6,7}> {
    s = Shape (x)
    n = Gather (s, two)
    p = Slice (pos, zero, n)
    ps = Shape (p)
    z = ConstantOfShape (ps)
    zf = Cast <to = 1> (z)
    y = Add (x, zf)
}"""
# A float scale, known only once a shape is; and NonZero of a constant, whose size is known only once it has run.
RESIZED = """g (float[1,2,n,n] x) => (float[1,2,a,b] y)
<int64 three = {3}, float sixteen = {16}, int64[1] zero = {0}, float[2] ones = {1,1}> {
    s = Shape (x)
    n = Gather (s, three)
    nf = Cast <to = 1> (n)
    f = Div (sixteen, nf)
    f1 = Unsqueeze (f, zero)
    scales = Concat <axis = 0> (ones, f1, f1)
    y = Resize <mode = "nearest"> (x, , scales)
}"""
PLACES = """g (float[1,n] x) => (float[1,n] y) <int64[1] one = {1}> {
    s = Shape (x)
    c = ConstantOfShape <value: tensor = int64[1] {1}> (s)
    i = NonZero (c)
    t = Transpose <perm = [1, 0]> (i)
    r = ReduceSum <keepdims = 0> (t, one)
    w = Cast <to = 1> (r)
    y = Mul (x, w)
}"""
BRANCH = """g (float[m,4,n] x) => (float[1,4,n] y) <int64 zero = {0}, int64 one = {1}> {
    s = Shape (x)
    m = Gather (s, zero)
    c = Equal (m, one)
    y = If (c) <
        else_branch = el () => (float[1,4,n] e) { x0 = ReduceMax <axes = [0]> (x)  e = Neg (x0) },
        then_branch = th () => (float[1,4,n] t) { t = Relu (x) }
    >
}"""
RATE = """g (float[1,4] x, int64 sr) => (float[1,4] y) <int64 k = {16000}> {
    c = Equal (sr, k)
    y = If (c) <
        else_branch = el () => (float[1,4] e) { e = Neg (x) },
        then_branch = th () => (float[1,4] t) { t = Relu (x) }
    >
}"""
TRIPS = """g (float[1,4] x) => (float[1,4] y, float[3,1,4] rows) <int64 trips = {3}> {
    y, rows = Loop (trips, "", x) <body = b
      (int64 i, bool go_in, float[1,4] c) => (bool go, float[1,4] n, float[1,4] row) {
        f = Cast <to = 1> (i)
        row = Mul (c, f)
        n = Add (c, x)
        go = Identity (go_in)
    }>
}"""
WHILE = """g (float[1,4] x, bool more) => (float[1,4] y) <int64 two = {2}> {
    y = Loop ("", more, x) <body = b (int64 i, bool go_in, float[1,4] c) => (bool go, float[1,4] n) {
        n = Add (c, x)
        go = Less (i, two)
    }>
}"""


def check(made: onnx.ModelProto, folder: Path, **how: object) -> models.Network:
    """Load, run whole and cut after every layer; compare bits with the untouched file."""
    path = saved(made, folder / "f.onnx")
    network = models.load(path, **how)
    inputs = network.sample_inputs(1)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    fixed = {name: np.asarray(value) for name, value in dict(how.get("fix", {})).items()}
    names = [value.name for value in session.get_outputs()]
    expected = dict(zip(names, session.run(names, {**inputs, **fixed}), strict=True))
    for at in range(len(network.graph) + 1):
        seen = run_cut(network, [0] * at + [1] * (len(network.graph) - at), inputs, exact=True)
        assert all(np.array_equal(seen[name], expected[name]) for name in names), at
    return network


def kinds(network: models.Network) -> list[str]:
    return [layer.op_type for layer in network.graph.layers]


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "extents", "layers"),
    [
        (ANCHORS, {"n": 5}, ["Add", "Add"]),
        (HALVES, {"n": 6}, ["Reshape"]),
        (SLICED, {"n": 6}, ["Add"]),
        (RESIZED, {"n": 4}, ["Resize"]),
        (PLACES, {"n": 5}, ["Mul"]),
        (BRANCH, {"m": 1, "n": 3}, ["Relu"]),
        (BRANCH, {"m": 2, "n": 3}, ["ReduceMax", "Neg"]),
        (TRIPS, {}, ["Mul", "Add", "Mul", "Add", "Mul", "Add", *["Unsqueeze"] * 3, "Concat"]),
    ],
)
def test_what_shapes_decide_is_constant(text: str, extents: dict[str, int], layers: list[str], tmp_path: Path) -> None:
    network = check(parser.parse_model(HEAD + text), tmp_path, dims=extents)
    assert kinds(network) == layers


def test_a_branch_is_chosen_by_a_fixed_input_and_the_message_says_so(tmp_path: Path) -> None:
    made = parser.parse_model(HEAD + RATE)
    with pytest.raises(
        Undecided, match=r"If \('y'\).*give --fix sr=16000 \(fix in Python, models.NAME.fix in a sce"
    ) as e:
        models.load(saved(made, tmp_path / "r.onnx"))
    assert (e.value.option, e.value.example) == ("fix", {"sr": 16000})
    assert e.value.setting("mine") == "models.mine.fix: {sr: 16000}"
    one, other = (check(made, tmp_path, fix={"sr": rate}) for rate in (16000, 8000))
    assert (kinds(one), kinds(other)) == (["Relu"], ["Neg"])
    assert list(one.sample_inputs(0)) == ["x"]


def test_a_fixed_input_is_part_of_what_a_network_is(tmp_path: Path) -> None:
    made = model([node("Mul", ["x", "f"], ["y"])], [tensor("x", 3), tensor("f", "n")], ["y"])
    path = saved(made, tmp_path / "m.onnx")
    networks = [models.load(path, fix={"f": value}, dims=dims) for value, dims in ((2, {"n": 1}), (3.5, {"n": 3}))]
    networks.append(models.load(path, fix={"f": [1, 2, 3]}))
    held = [network.weights()["f"].tolist() for network in networks]
    assert held == [[2], [3.5] * 3, [1, 2, 3]]
    assert len({network.digest for network in networks}) == 3
    assert networks[1].topology == networks[2].topology


@pytest.mark.parametrize(
    ("fix", "said"),
    [
        ({"sr": 1.5}, "of type int64 and shape [] was fixed at 1.5; expected one whole number"),
        ({"sr": [1, 2]}, "was fixed at [1, 2]; expected one whole number"),
        ({"sr": 2**63}, "cannot be 9223372036854775808; give a number that fits"),
        ({"rs": 1}, "has no input 'rs' to fix; known: sr, x"),
        ({"x": [1, 2]}, "of type float32 and shape [1, 4] was fixed at [1, 2]; expected one number, or 4 of them"),
    ],
)
def test_what_an_input_cannot_be_is_refused(fix: dict[str, object], said: str, tmp_path: Path) -> None:
    path = saved(parser.parse_model(HEAD + RATE), tmp_path / "r.onnx")
    with pytest.raises(ModelError) as error:
        models.load(path, fix=fix)
    assert said in str(error.value)


def test_a_loop_ends_when_its_condition_does(tmp_path: Path) -> None:
    made = parser.parse_model(HEAD + WHILE)
    network = check(made, tmp_path, fix={"more": True})
    # The last turn is not known to be the last before it is over.
    assert kinds(network) == ["Add", "Add", "Add", "Identity"]
    with pytest.raises(Undecided, match="--fix more=1 "):
        models.load(saved(made, tmp_path / "w.onnx"))


@pytest.mark.long
def test_loops_without_end_are_refused_with_what_is_so(tmp_path: Path) -> None:
    endless = HEAD + WHILE.replace("go = Less (i, two)", "go = Identity (go_in)")
    with pytest.raises(ModelError, match=r"more than 2000 turns, .*; no layer comes before it"):
        models.load(saved(parser.parse_model(endless), tmp_path / "e.onnx"), fix={"more": True})
    unasked = HEAD + WHILE.replace('Loop ("", more, x)', 'Loop ("", "", x)').replace(
        "go = Less (i, two)", "go = Identity (go_in)"
    )
    with pytest.raises(ModelError, match="never ends; no option helps"):
        models.load(saved(parser.parse_model(unasked), tmp_path / "u.onnx"))


def test_a_branch_that_the_data_decides_is_not_decided_by_an_option(tmp_path: Path) -> None:
    made = parser.parse_model(
        HEAD
        + """g (float[1,64] x) => (float[1,64] y) <float z = {0}> {
            m = ReduceMax <keepdims = 0> (x)
            c = Less (m, z)
            y = If (c) <else_branch = el () => (float e) { e = Neg (x) },
              then_branch = th () => (float t) { t = Relu (x) }>
        }"""
    )
    with pytest.raises(ModelError, match=r"which .c. decides when the network runs; .*--output c ") as error:
        models.load(saved(made, tmp_path / "d.onnx"))
    assert not isinstance(error.value, Undecided)


def test_a_branch_may_do_nothing(tmp_path: Path) -> None:
    branch = helper.make_graph([node("Identity", ["r"], ["i"])], "b", [], [tensor("i", 1, 4)])
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("If", ["yes"], ["a"], then_branch=branch, else_branch=branch),
        node("Neg", ["a"], ["y"]),
        node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch),
    ]
    network = check(model(nodes, [tensor("x", 1, 4)], ["y", "z"], {"yes": np.asarray(True)}), tmp_path)
    assert kinds(network) == ["Relu", "Identity", "Neg", "Identity"]


def test_a_loop_inside_a_branch_reads_names_of_both(tmp_path: Path) -> None:
    body = helper.make_graph(
        [node("Add", ["c", "h"], ["n"]), node("Identity", ["go_in"], ["go"])],
        "body",
        [tensor("i", kind=TensorProto.INT64), tensor("go_in", kind=TensorProto.BOOL), tensor("c", 1, 4)],
        [tensor("go", kind=TensorProto.BOOL), tensor("n", 1, 4)],
    )
    inner = [node("Mul", ["x", "w"], ["h"]), node("Loop", ["trips", "", "h"], ["looped"], body=body)]
    branch = helper.make_graph(
        inner, "b", [], [tensor("looped", 1, 4)], [onnx.numpy_helper.from_array(normal(1, 4), "w")]
    )
    nodes = [
        node("If", ["yes"], ["a"], then_branch=branch, else_branch=branch),
        node("If", ["yes"], ["b"], then_branch=branch, else_branch=branch),
        node("Add", ["a", "b"], ["y"]),
    ]
    held = {"yes": np.asarray(True), "trips": np.asarray(2, np.int64)}
    network = check(model(nodes, [tensor("x", 1, 4)], ["y"], held), tmp_path)
    assert kinds(network) == ["Mul", "Add", "Add", "Mul", "Add", "Add", "Add"]


@pytest.mark.parametrize("opset", [11, 17])
def test_sequences_are_lists_of_names(opset: int, tmp_path: Path) -> None:
    made_of = {"zero": np.asarray(0, np.int64), "last": np.asarray(-1, np.int64), "two": np.asarray(2, np.int64)}
    nodes = [
        node("SplitToSequence", ["x", "two"], ["parts"], axis=1),
        node("SequenceAt", ["parts", "last"], ["tail"]),
        node("SequenceErase", ["parts", "zero"], ["rest"]),
        node("SequenceInsert", ["rest", "tail", "zero"], ["more"]),
        node("ConcatFromSequence", ["more"], ["joined"], axis=1),
        node("SplitToSequence", ["x"], ["rows"], axis=0, keepdims=0),
        node("ConcatFromSequence", ["rows"], ["stacked"], axis=1, new_axis=1),
        node("SequenceLength", ["parts"], ["count"]),
        node("Cast", ["count"], ["scale"], to=TensorProto.FLOAT),
        node("Mul", ["stacked", "scale"], ["y"]),
    ]
    network = check(model(nodes, [tensor("x", 2, 5)], ["joined", "y"], made_of, opset=opset), tmp_path)
    assert set(kinds(network)) == {"Split", "Concat", "Squeeze", "Unsqueeze", "Mul"}


def test_functions_are_written_out_where_they_are_called(tmp_path: Path) -> None:
    nodes = [node("twice", ["x"], ["h"], domain="loc"), node("MatMul", ["h", "w"], ["y"])]
    made = model(nodes, [tensor("x", 1, 4)], ["y"], {"w": normal(4, 3)}, domains=[helper.make_opsetid("loc", 1)])
    body = [node("Add", ["a", "a"], ["w"]), node("Neg", ["w"], ["b"])]
    made.functions.append(helper.make_function("loc", "twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    assert kinds(check(made, tmp_path)) == ["Add", "Neg", "MatMul"]
    assert kinds(models.from_model(made, "mine")) == ["Add", "Neg", "MatMul"]


def test_makers_come_first_and_what_stands_right_stays(tmp_path: Path) -> None:
    nodes = [node("Neg", ["a"], ["y"]), node("Relu", ["x"], ["a"]), node("Abs", ["x"], ["z"])]
    made = model(nodes, [tensor("x", 1, 4)], ["y", "z"])
    network = models.load(saved(made, tmp_path / "u.onnx"))
    assert kinds(network) == ["Relu", "Neg", "Abs"]
    x = network.sample_inputs(0)["x"]
    assert np.array_equal(run_cut(network, [0, 1, 0], {"x": x}, exact=True)["y"], -np.maximum(x, 0))


def test_what_a_file_says_of_shapes_is_not_believed(tmp_path: Path) -> None:
    made = model([node("Relu", ["x"], ["a"]), node("Neg", ["a"], ["y"])], [tensor("x", 1, 4)], [])
    made.graph.output.append(tensor("y", 7, 7))
    made.graph.value_info.append(tensor("a", 9))
    network = models.load(saved(made, tmp_path / "l.onnx"))
    assert [each.shape for each in network.graph.tensors] == [(1, 4)] * 3


def test_an_initializer_that_is_an_input_and_an_input_that_nobody_reads(tmp_path: Path) -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    made = model(nodes, [tensor("x", 1, 4), tensor("w", 4, 3), tensor("z", "q")], ["y"], {"w": normal(4, 3)})
    network = models.load(saved(made, tmp_path / "i.onnx"))
    assert list(network.sample_inputs(0)) == ["x"]
    assert [p.name for p in network.graph.parameters] == ["w"]


def test_dimensions_without_a_name_are_several(tmp_path: Path) -> None:
    made = model([node("GlobalAveragePool", ["x"], ["y"])], [tensor("x", 1, 3, "?", "?")], ["y"])
    path = saved(made, tmp_path / "q.onnx")
    with pytest.raises(Undecided, match=r"dimensions: x:2, x:3; give --dim x:2=224 --dim x:3=224 \(dims in") as error:
        models.load(path)
    assert models.load(path, dims=error.value.example).graph.tensors[0].shape == (1, 3, 224, 224)
    assert models.load(path, dims={"x:2": 6, "x:3": 8}).graph.tensors[0].shape == (1, 3, 6, 8)


def test_many_dimensions_are_still_one_sentence(tmp_path: Path) -> None:
    inputs = [tensor(f"past_key_values.{at}.key", "batch_size", f"length_of_{at}", 8) for at in range(40)]
    made = model([node("Concat", [value.name for value in inputs], ["y"], axis=1)], inputs, ["y"])
    with pytest.raises(Undecided) as error:
        models.load(saved(made, tmp_path / "m.onnx"))
    assert len(str(error.value)) <= 300
    assert str(error.value).endswith("... (dims in Python, models.NAME.dims in a scenario)")
    assert "--dim batch_size=1 --dim length_of_0=64" in str(error.value)
    assert models.load(tmp_path / "m.onnx", dims=error.value.example).graph.tensors[0].shape == (1, 64, 8)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["Add", "Mul", "Sub", "Max", "Div"]), min_size=1, max_size=8), st.integers(1, 9))
def test_integer_arithmetic_over_a_shape_never_becomes_a_layer(operators: list[str], extent: int) -> None:
    nodes = [node("Shape", ["x"], ["s0"])]
    nodes += [node(kind, [f"s{at}", "k"], [f"s{at + 1}"]) for at, kind in enumerate(operators)]
    last = f"s{len(operators)}"
    nodes += [node("Cast", [last], ["f"], to=TensorProto.FLOAT), node("Add", ["x", "f"], ["y"])]
    made = model(nodes, [tensor("x", extent, 2)], ["y"], {"k": np.asarray([3, 2], np.int64)})
    network = models.from_model(made, "shapes")
    assert kinds(network) == ["Add"]
    inputs = network.sample_inputs(0)
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.array_equal(inputs["x"] + network.weights()["f"], session.run(None, inputs)[0])
