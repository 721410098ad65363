"""Several queries at once: the same answers, layer by layer, or a refusal."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from small_nets import model, node, normal, tensor

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.running.batching import BOUND, batched, difference


def net(nodes: list, inputs: list, outputs: list[str], weights: dict) -> models.Network:
    return models.from_model(model(nodes, inputs, outputs, weights), "mine")


def reshaping() -> models.Network:
    weights = {"w": normal(6, 4), "s": np.array([1, 2, 3, 2]), "t": np.array([1, 12])}
    nodes = [
        node("Reshape", ["x", "s"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3]),
        node("Relu", ["b"], ["c"]),
        node("Reshape", ["c", "t"], ["y"]),
    ]
    return net(nodes, [tensor("x", 1, 12)], ["y"], weights)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_reshapes_that_write_a_batch_of_one_down_are_rewritten(size: int) -> None:
    together = batched(reshaping(), size)
    assert [layer.name for layer in together.graph.layers] == [layer.name for layer in reshaping().graph.layers]
    assert all(together.graph.tensors[t].shape[0] == size for layer in together.graph.layers for t in layer.outputs)
    assert difference(reshaping(), together, size) == 0.0


def test_operators_that_onnx_does_not_know_have_their_shapes_and_tied_weights_stay_weights() -> None:
    weights = {"w": normal(16, 16), "g": normal(16, seed=1), "s": np.array([1, 4, 4]), "e": normal(9, 16, seed=2)}
    nodes = [
        node("Gather", ["e", "at"], ["r"]),
        node("SimplifiedLayerNormalization", ["r", "g"], ["a"], axis=-1),
        node("FusedMatMul", ["a", "w"], ["m"], domain="com.microsoft", alpha=0.5),
        node("QuickGelu", ["m"], ["q"], domain="com.microsoft"),
        node("Transpose", ["e"], ["et"]),
        node("MatMul", ["q", "et"], ["l"]),
        node("Softmax", ["l"], ["y"]),
    ]
    inputs = [tensor("at", 1, 3, kind=TensorProto.INT64)]
    made = model(nodes, inputs, ["y"], weights, domains=[helper.make_opsetid("com.microsoft", 1)])
    network = models.from_model(made, "mine")
    assert any(parameter.also for parameter in network.graph.parameters)
    together = batched(network, 3)
    assert together.graph.held_bytes(range(6)) == network.graph.held_bytes(range(6))
    assert all(together.graph.tensors[t].shape[0] == 3 for layer in together.graph.layers for t in layer.outputs)
    assert difference(network, together, 3) <= 1e-6


def test_reshapes_that_take_a_zero_for_a_size_are_rewritten_too() -> None:
    weights = {"s": np.array([1, 2, 6])}
    nodes = [node("Reshape", ["x", "s"], ["a"], allowzero=1), node("Relu", ["a"], ["y"])]
    network = net(nodes, [tensor("x", 1, 12)], ["y"], weights)
    assert difference(network, batched(network, 2), 2) == 0.0


def test_every_query_has_a_class_token_and_a_first_state_of_its_own() -> None:
    weights = {"t": normal(1, 1, 8), "w": normal(1, 16, 8), "r": normal(1, 16, 4), "h": normal(1, 1, 4, seed=1)}
    nodes = [
        node("Concat", ["t", "x"], ["tokens"], axis=1),
        node("Transpose", ["tokens"], ["by_time"], perm=[1, 0, 2]),
        node("LSTM", ["by_time", "w", "r", "", "", "h", "h"], ["", "last"], hidden_size=4),
        node("Transpose", ["last"], ["y"], perm=[1, 0, 2]),
    ]
    network = net(nodes, [tensor("x", 1, 5, 8)], ["y"], weights)
    assert difference(network, batched(network, 3), 3) <= 1e-6


def test_a_batch_of_a_zoo_network_answers_as_alone() -> None:
    network = models.load("squeezenet")
    assert difference(network, batched(network, 2), 2) <= BOUND


def test_layers_that_mix_queries_are_seen() -> None:
    nodes = [node("Softmax", ["x"], ["y"], axis=0)]
    network = net(nodes, [tensor("x", 1, 4)], ["y"], {})
    assert difference(network, batched(network, 2), 2) > BOUND


@pytest.mark.parametrize(
    ("nodes", "shape", "said"),
    [
        ([node("Relu", ["x"], ["y"])], (3, 4), "first axis of extent 1"),
        ([node("Relu", ["x"], ["y"])], (), "first axis of extent 1"),
        ([node("Transpose", ["x"], ["y"], perm=[1, 0])], (1, 4), "no row for each query"),
        ([node("ReduceSum", ["x"], ["y"], keepdims=0)], (1, 4), "no row for each query"),
    ],
)
def test_a_constant_batch_axis_is_refused_in_one_sentence(nodes: list, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        batched(net(nodes, [tensor("x", *shape)], ["y"], {}), 2)


def test_a_batch_is_of_one_or_more() -> None:
    with pytest.raises(ModelError, match="batch of 0"):
        batched(reshaping(), 0)
