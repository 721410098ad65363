"""Opening a large graph: small computations are asked once, and memory stays small."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from layerlift.models import from_model
from layerlift.models.loading import reading
from layerlift.models.onnx_files import protos

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # benchmarks are not installed

analysis = importlib.import_module("benchmarks.analysis")


@pytest.mark.long
def test_blocks_alike_ask_onnxruntime_as_often_as_one_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, run_once = [], protos.run_once
    monkeypatch.setattr(protos, "run_once", lambda *given: asked.append(1) or run_once(*given))
    for blocks in (1, 6):
        path = tmp_path / f"{blocks}.onnx"
        onnx.save(analysis.transformer(blocks), path)
        asked.append(0)
        reading.opened(path, {"batch": 1, "seq": 64}, {}, lambda held_bytes: None)
    first = asked.index(0, 1) - 1
    assert 0 < first <= 10
    assert len(asked) - first - 2 == first


@pytest.mark.long
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from("GS")), min_size=2, max_size=6))
def test_what_is_alike_but_for_a_value_or_an_attribute_is_asked_anew(wanted: list[tuple[int, int, str]]) -> None:
    # Each asks for another element of the shape, times another factor; few distinct questions among many.
    nodes, stored, sizes = [], [numpy_helper.from_array(np.array([[1, 5], [3, 2]], np.int64), "table")], (2, 3, 5)
    for turn, (axis, factor, how) in enumerate(wanted):
        stored.append(numpy_helper.from_array(np.array([axis], np.int64), f"axis{turn}"))
        stored.append(numpy_helper.from_array(np.array([factor], np.int64), f"factor{turn}"))
        pick = (
            helper.make_node("Gather", [f"shape{turn}", f"axis{turn}"], [f"at{turn}"])
            if how == "G"
            else helper.make_node("ReduceMax", ["table"], [f"at{turn}"], axes=[axis % 2], keepdims=0)
        )
        nodes += [
            helper.make_node("Shape", ["x"], [f"shape{turn}"]),
            pick,
            helper.make_node("Mul", [f"at{turn}", f"factor{turn}"], [f"size{turn}"]),
            helper.make_node("Expand", ["one", f"size{turn}"], [f"y{turn}"]),
        ]
    nodes.insert(0, helper.make_node("ReduceMax", ["x"], ["one"], keepdims=0))
    answers = [helper.make_tensor_value_info(f"y{turn}", TensorProto.FLOAT, None) for turn in range(len(wanted))]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)]
    graph = helper.make_graph(nodes, "sizes", inputs, answers, stored)
    network = from_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "sizes")
    shapes = {tensor.name: tensor.shape for tensor in network.graph.tensors}
    for turn, (axis, factor, how) in enumerate(wanted):
        picked = (sizes[axis],) if how == "G" else (3, 5) if axis % 2 == 0 else (5, 3)
        assert shapes[f"y{turn}"] == tuple(size * factor for size in picked)


@pytest.mark.long
def test_two_thousand_operators_are_opened_within_300_mib(tmp_path: Path) -> None:
    path = tmp_path / "transformer.onnx"
    model = analysis.transformer()
    assert len(model.graph.node) > 2000
    onnx.save(model, path)
    _, mib, layers = analysis.opened(path)
    assert layers > 1500
    assert mib < 300
