"""Tied weights: read in several forms, they count once, travel once, and answer as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from cut_runs import run_cut
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from small_nets import model, node, normal, saved, tensor
from worlds import fixed, run_world, small_world

from layerlift import models
from layerlift.emulator.world.links import LinkSpec
from layerlift.models.loading import ties
from layerlift.models.preprocess import pipeline

WORDS, WIDTH = 512, 48
SIZE = WORDS * WIDTH * 4
IDS = tensor("ids", 1, 4, kind=TensorProto.INT64)


def decoder(*, stored_twice: bool, changed: bool = False) -> onnx.ModelProto:
    """An embedding that is used again, transposed, as the last layer: by `Transpose`, or by a copy in the file."""
    table = normal(WORDS, WIDTH)
    turned = table.T.copy()
    turned[3, 5] += changed
    nodes = [node("Gather", ["w", "ids"], ["h"]), node("Relu", ["h"], ["r"]), node("MatMul", ["r", "wt"], ["y"])]
    if stored_twice:
        return model(nodes, [IDS], ["y"], {"w": table, "wt": turned})
    return model([node("Transpose", ["w"], ["wt"], perm=[1, 0]), *nodes], [IDS], ["y"], {"w": table})


def stored(**arrays: np.ndarray) -> dict[str, TensorProto]:
    return {name: numpy_helper.from_array(array, name) for name, array in arrays.items()}


def equal(**arrays: np.ndarray) -> dict[str, str]:
    return ties.by_content(stored(**arrays), numpy_helper.to_array, arrays)


@pytest.mark.parametrize("stored_twice", [False, True])
def test_a_transposed_embedding_is_one_weight(tmp_path: Path, stored_twice: bool) -> None:
    network = models.load(saved(decoder(stored_twice=stored_twice), tmp_path / "tied.onnx"))
    graph = network.graph
    assert [parameter.names for parameter in graph.parameters] == [("w", "wt")]
    assert [layer.parameters for layer in graph.layers] == [(0,), (), (0,)]
    assert graph.held_bytes(range(3)) == graph.upload_bytes(range(3)) == SIZE
    assert graph.upload_bytes([2], graph.layers[0].parameters) == 0
    inputs = network.sample_inputs(0)
    whole = models.uncut_session(network, exact=True).run(inputs)["y"]
    for placement in ([0, 0, 1], [0, 1, 1], [0, 1, 0], [1, 0, 1]):
        assert np.array_equal(run_cut(network, placement, inputs, exact=True)["y"], whole)


def test_a_model_in_memory_is_looked_at_as_a_file_is() -> None:
    made = models.from_model(decoder(stored_twice=True), "tied")
    assert [parameter.names for parameter in made.graph.parameters] == [("w", "wt")]


def test_one_number_makes_them_two_weights(tmp_path: Path) -> None:
    network = models.load(saved(decoder(stored_twice=True, changed=True), tmp_path / "untied.onnx"))
    assert [parameter.names for parameter in network.graph.parameters] == [("w",), ("wt",)]
    assert network.graph.held_bytes(range(3)) == 2 * SIZE


def test_what_is_equal_is_found_in_any_form() -> None:
    table, square, kernel = normal(400, 64), normal(160, 160), normal(64, 64, 3, 3)
    assert equal(a=table, b=normal(400, 64, seed=1), c=table.copy()) == {"c": "a"}
    assert equal(a=table, b=table.T.copy(), c=table.reshape(400, 1, 64)) == {"b": "a", "c": "a"}
    assert equal(a=square, b=square.T.copy(), c=square + 1) == {"b": "a"}
    assert equal(a=kernel, b=kernel.copy(), c=kernel.T.copy()) == {"b": "a"}
    assert equal(a=table, b=table.astype(np.float64)) == {}


def test_what_is_small_or_all_one_number_is_no_tie() -> None:
    assert equal(a=normal(60, 60), b=normal(60, 60)) == {}
    assert equal(a=np.zeros((300, 300), np.float32), b=np.zeros((300, 300), np.float32)) == {}


def test_a_step_that_remakes_one_form_makes_it_a_weight_of_its_own(tmp_path: Path) -> None:
    network = models.load(saved(decoder(stored_twice=True), tmp_path / "tied.onnx"))
    assert [p.names for p in pipeline.apply(network, "merge").graph.parameters] == [("w", "wt")]
    pruned = pipeline.apply(network, "prune:keep=0.5").graph
    assert [parameter.names for parameter in pruned.parameters] == [("w",), ("wt",)]
    # It may drop the last bits of an embedding that is read as it was, but never its bytes.
    assert pruned.held_bytes(range(len(pruned))) == 2 * SIZE


@st.composite
def tied_networks(draw: st.DrawFn) -> models.Network:
    """A chain of square layers over few weights, each as it is, transposed, or a copy."""
    side = 136
    weights = {f"w{number}": normal(side, side, seed=number) for number in range(draw(st.integers(1, 3)))}
    nodes, chain = [], "x"
    for at in range(draw(st.integers(2, 6))):
        name = draw(st.sampled_from(sorted(weights)))
        form = draw(st.sampled_from(["as it is", "transposed", "copy", "other way round"]))
        if form == "transposed":
            nodes.append(node("Transpose", [name], [f"t{at}"], perm=[1, 0]))
            name = f"t{at}"
        elif form != "as it is":
            copied = weights[name].copy() if form == "copy" else weights[name].T.copy()
            weights[f"c{at}"], name = copied, f"c{at}"
        nodes.append(node("MatMul", [chain, name], [f"y{at}"]))
        chain = f"y{at}"
    made = model(nodes, [tensor("x", 1, side)], [chain], weights)
    return models.from_model(made, "tied")


@pytest.mark.long
@settings(max_examples=30, deadline=None, derandomize=True)
@given(network=tied_networks(), data=st.data())
def test_each_distinct_byte_travels_to_a_server_once(network: models.Network, data: st.DataObject) -> None:
    graph, weights = network.graph, network.weights()
    count = len(graph)
    placement = tuple(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    world = small_world(
        graph, (0.01,) * count, fixed(placement, range(count)), servers=2, link=LinkSpec(0.01, 1e6),
        user={"queries": 30, "think_s": 0.5},
    )  # fmt: skip
    run = run_world(world)
    assert {row["status"] for row in run.tables["uploads"]} <= {"confirmed"}
    for server in (1, 2):
        layers = [at for at in range(count) if placement[at] == server]
        matrices = [weights[name] for name in _read(network, layers)]
        distinct = {min(matrix.tobytes(), matrix.T.tobytes()) for matrix in matrices}
        expected = sum(len(each) for each in distinct)
        rows = [row for row in run.tables["uploads"] if row["server"] == f"s{server}"]
        assert sum(row["bytes"] for row in rows) == expected == graph.held_bytes(layers)
        held = [row["held_bytes"] for row in run.tables["usage"] if row["node"] == f"s{server}"]
        assert max(held, default=0) == expected


def _read(network: models.Network, layers: list[int]) -> list[str]:
    nodes = network.light.graph.node
    return [name for at in layers for name in nodes[at].input if name in network.graph.forms]
