"""What a refusal names as its remedy is one: the network loads with it, and is cut like any other."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from cut_runs import long_runs, run_cut
from onnx import TensorProto, helper
from small_nets import model, node, normal, saved, tensor

from layerlift import models
from layerlift.models.errors import ModelError

BEFORE = [node("Relu", ["x"], ["r"]), node("MatMul", ["r", "w"], ["h"])]
"""Two layers that every tail here comes after: `h` is what can be had."""
WEIGHTS = {
    "w": normal(4, 4),
    "zero": np.asarray(0, np.float32),
    "yes": np.asarray(True),
    "two": np.asarray(2, np.int64),
}


def with_tail(nodes: list[onnx.NodeProto], outputs: list[str], **more: object) -> onnx.ModelProto:
    return model([*BEFORE, *nodes], [tensor("x", 1, 4)], outputs, WEIGHTS, **more)


def branch(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "branch", [], [onnx.ValueInfoProto(name=nodes[-1].output[0])])


def decided_by_data() -> list[onnx.NodeProto]:
    return [node("ReduceMax", ["h"], ["m"], keepdims=0), node("Less", ["m", "zero"], ["c"])]


def body(*nodes: onnx.NodeProto, condition: bool = True) -> onnx.GraphProto:
    given = [tensor("s", 1, 4)]
    if condition:
        given = [tensor("i", kind=TensorProto.INT64), tensor("going", kind=TensorProto.BOOL), *given]
    goes = [node("Identity", ["going"], ["goes"])] if condition else []
    ends = [tensor("goes", kind=TensorProto.BOOL)] if condition else []
    return helper.make_graph([*goes, *nodes], "body", given, [*ends, tensor("t", 1, 4)])


def branch_at_the_end() -> onnx.ModelProto:
    either = {"then_branch": branch(node("Neg", ["h"], ["t"])), "else_branch": branch(node("Abs", ["h"], ["e"]))}
    return with_tail([*decided_by_data(), node("If", ["c"], ["y"], **either)], ["y"])


def branch_after_one_that_is_decided() -> onnx.ModelProto:
    first = {"then_branch": branch(node("Neg", ["h"], ["t"])), "else_branch": branch(node("Abs", ["h"], ["e"]))}
    second = {"then_branch": branch(node("Exp", ["a"], ["t"])), "else_branch": branch(node("Abs", ["a"], ["e"]))}
    nodes = [node("If", ["yes"], ["a"], **first), *decided_by_data(), node("If", ["c"], ["y"], **second)]
    return with_tail(nodes, ["y"])


def loop_at_the_end() -> onnx.ModelProto:
    trips = [node("ReduceSum", ["h"], ["sum"], keepdims=0), node("Cast", ["sum"], ["n"], to=TensorProto.INT64)]
    return with_tail([*trips, node("Loop", ["n", "", "h"], ["y"], body=body(node("Neg", ["s"], ["t"])))], ["y"])


def loop_without_end() -> onnx.ModelProto:
    turns = body(node("Neg", ["s"], ["t"]))
    return with_tail([node("Loop", ["", "yes", "h"], ["y"], body=turns)], ["y"])


def scan_at_the_end() -> onnx.ModelProto:
    steps = helper.make_graph([node("Neg", ["s"], ["t"])], "body", [tensor("s", 4)], [tensor("t", 4)])
    return with_tail([node("Scan", ["h"], ["y"], body=steps, num_scan_inputs=1)], ["y"])


def random_inside_a_branch() -> onnx.ModelProto:
    either = branch(node("RandomNormalLike", ["h"], ["t"]))
    return with_tail([node("If", ["yes"], ["y"], then_branch=either, else_branch=either)], ["y"])


def chosen_from_a_sequence() -> onnx.ModelProto:
    nodes = [
        node("SplitToSequence", ["h"], ["parts"], axis=1),
        node("ArgMax", ["h"], ["at"], axis=1, keepdims=0),
        node("Squeeze", ["at"], ["which"]),
        node("SequenceAt", ["parts", "which"], ["y"]),
    ]
    return with_tail(nodes, ["y"])


def labels() -> onnx.ModelProto:
    words = {"keys_int64s": [0, 1], "values_strings": ["no", "yes"], "default_string": "?", "domain": "ai.onnx.ml"}
    nodes = [node("ArgMax", ["h"], ["at"], axis=1), node("LabelEncoder", ["at"], ["y"], **words)]
    return with_tail(nodes, ["y"], domains=[helper.make_opsetid("ai.onnx.ml", 3)], kind=TensorProto.STRING)


def dictionary_of_classes() -> onnx.ModelProto:
    nodes = [node("Softmax", ["h"], ["p"]), node("ZipMap", ["p"], ["y"], classlabels_int64s=[0, 1, 2, 3], domain=ML)]
    made = with_tail(nodes, ["y"], domains=[helper.make_opsetid(ML, 3)])
    made.graph.output[0].ClearField("type")
    return made


def stored_text() -> onnx.ModelProto:
    made = with_tail([node("Cast", ["h"], ["s"], to=8), node("StringConcat", ["s", "unit"], ["y"])], ["y"], opset=20)
    made.graph.initializer.append(helper.make_tensor("unit", TensorProto.STRING, [1], [b" kg"]))
    return made


def constant_text() -> onnx.ModelProto:
    nodes = [node("Constant", [], ["unit"], value_string="kg"), node("Cast", ["h"], ["s"], to=8)]
    return with_tail([*nodes, node("StringConcat", ["s", "unit"], ["y"])], ["y"], opset=20)


def mapped_over_a_sequence() -> onnx.ModelProto:
    each = helper.make_graph([node("Neg", ["s"], ["t"])], "each", [tensor("s", 1, 1)], [tensor("t", 1, 1)])
    nodes = [
        node("SplitToSequence", ["h"], ["parts"], axis=1),
        node("SequenceMap", ["parts"], ["mapped"], body=each),
        node("ConcatFromSequence", ["mapped"], ["y"], axis=1),
    ]
    return with_tail(nodes, ["y"])


ML = "ai.onnx.ml"


@pytest.mark.long
@pytest.mark.parametrize(
    ("make", "named", "ends"),
    [
        (branch_at_the_end, "which 'c' decides", ["c", "h"]),
        (branch_after_one_that_is_decided, "which 'c' decides", ["c", "a"]),
        (loop_at_the_end, "which 'n' decides", ["n", "h"]),
        (loop_without_end, "more than 2000 turns", ["h"]),
        (scan_at_the_end, "unrolled or as a Loop", ["h"]),
        (random_inside_a_branch, "random operator", ["h"]),
        (chosen_from_a_sequence, "sequence operator SequenceAt", ["h", "which"]),
        (labels, "'y' holds strings", ["at"]),
        (dictionary_of_classes, "made by ZipMap", ["p"]),
        (stored_text, "'unit' holds strings", ["h"]),
        (constant_text, "'unit' holds strings", ["h"]),
        (mapped_over_a_sequence, "sequence operator SequenceMap|holds operators of its own", ["h"]),
    ],
)
def test_what_stands_at_the_end_can_be_cut_off_as_the_refusal_says(
    make: Callable[[], onnx.ModelProto], named: str, ends: list[str], tmp_path: Path
) -> None:
    path = saved(make(), tmp_path / "tail.onnx")
    with pytest.raises(ModelError, match=named) as refused:
        models.load(path)
    assert len(str(refused.value)) <= 300
    assert re.findall(r"--output (\S+)", str(refused.value)) == ends
    network = models.load(path, outputs=ends)
    assert [network.graph.tensors[t].name for t in network.graph.outputs] == ends
    inputs = network.sample_inputs(1)
    whole = models.uncut_session(network, exact=True).run(inputs)
    seen = run_cut(network, long_runs(network, random.Random(1), 0.5), inputs, exact=True)
    assert all(np.array_equal(seen[name], whole[name]) for name in ends)


def test_a_name_that_is_too_long_for_a_sentence_is_not_named_but_the_way_is(tmp_path: Path) -> None:
    long = "h" * 90
    nodes = [node("Relu", ["x"], [long]), node("NonZero", [long], ["n"]), node("Cast", ["n"], ["y"], to=1)]
    path = saved(model(nodes, [tensor("x", 1, 4)], ["y"]), tmp_path / "long.onnx")
    with pytest.raises(ModelError, match="--output and a tensor that it reads"):
        models.load(path)
    assert len(models.load(path, outputs=[long]).graph) == 1


def test_to_fix_all_that_is_fed_is_no_remedy(tmp_path: Path) -> None:
    either = {"then_branch": branch(node("Neg", ["h"], ["t"])), "else_branch": branch(node("Abs", ["h"], ["e"]))}
    made = with_tail([*decided_by_data(), node("If", ["c"], ["y"], **either)], ["y"])
    with pytest.raises(ModelError, match="which 'c' decides when the network runs") as refused:
        models.load(saved(made, tmp_path / "one.onnx"))
    assert "--fix" not in str(refused.value)
    made = with_tail([node("If", ["c"], ["y"], **either)], ["y"])
    made.graph.input.append(tensor("c", kind=TensorProto.BOOL))
    with pytest.raises(ModelError, match="--fix c=1 "):
        models.load(saved(made, tmp_path / "two.onnx"))


def test_sizes_that_do_not_fit_each_other_are_named_and_no_tail(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("Neg", ["z"], ["n"]), node("Add", ["r", "n"], ["y"])]
    path = saved(model(nodes, [tensor("x", 1, "a"), tensor("z", 1, "b")], ["y"]), tmp_path / "two.onnx")
    with pytest.raises(ModelError, match="other sizes than --dim a=4 --dim b=5 may fit each other") as refused:
        models.load(path, dims={"a": 4, "b": 5})
    assert "--output" not in str(refused.value)
    assert len(models.load(path, dims={"a": 4, "b": 4}).graph) == 3
