"""Low rank: exact where the rank is full or planted, optimal below, and as small as it says."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from preprocess_nets import chain, fresh_folder, network, weightless, whole
from small_nets import model, node, normal, tensor

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.loading import zoo
from layerlift.models.preprocess import factors
from layerlift.models.preprocess.lowrank import low_rank, sparse_low_rank
from layerlift.models.preprocess.merge import merge
from layerlift.models.preprocess.rewrite import codecs_of
from layerlift.models.preprocess.separable import separate
from layerlift.models.preprocess.tucker import tucker
from layerlift.models.running.network import Network

FULL = 10**6

fresh = pytest.fixture(autouse=True, scope="module")(fresh_folder)


def distance(old: Network, new: Network) -> float:
    """Largest difference of the logits, over their largest."""
    inputs = old.sample_inputs(0)
    pairs = list(zip(whole(old, inputs), whole(new, inputs), strict=True))
    return max(float(np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), 1e-30)) for a, b in pairs)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_truncation_is_the_best_of_its_rank(rows: int, columns: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, min(rows, columns)))
    matrix = normal(rows, columns, seed=rows * 100 + columns)
    left, right = factors.truncate(matrix, rank)
    assert (left.shape, right.shape) == ((rows, rank), (rank, columns))
    tail = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)[rank:]
    error = np.linalg.norm(matrix - left.astype(np.float64) @ right.astype(np.float64))
    assert error == pytest.approx(math.sqrt(float((tail**2).sum())), abs=1e-5 * float(np.linalg.norm(matrix)))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0.05, 1.0))
def test_the_rank_for_an_energy_is_the_least_that_keeps_it(rows: int, columns: int, energy: float) -> None:
    matrix = normal(rows, columns, seed=rows * 10 + columns)
    rank = factors.rank_for([factors.energies(matrix)], energy)
    held = np.cumsum(np.linalg.svd(matrix.astype(np.float64), compute_uv=False) ** 2)
    share = held / held[-1]
    assert share[rank - 1] >= energy * (1 - 1e-9)
    assert rank == 1 or share[rank - 2] < energy


@st.composite
def convolutions(draw: DrawFn) -> Network:
    group = draw(st.sampled_from([1, 1, 2, 4]))
    channels, filters = group * draw(st.integers(2, 3)), group * draw(st.integers(1, 4))
    kernel = [draw(st.integers(2, 4)) for _ in range(2)]
    attributes: dict[str, object] = {
        "strides": [draw(st.integers(1, 3)) for _ in range(2)],
        "dilations": [draw(st.integers(1, 2)) for _ in range(2)],
    }
    padding = draw(st.sampled_from(["none", "explicit", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if padding == "explicit":
        attributes["pads"] = [draw(st.integers(0, 4)) for _ in range(4)]
    elif padding != "none":
        attributes["auto_pad"] = padding
    weights = {"w": normal(filters, channels // group, *kernel)}
    if draw(st.booleans()):
        weights["b"] = normal(filters)
    nodes = [node("Conv", ["x", *weights], ["y"], name="conv", group=group, **attributes)]
    made = chain(nodes, weights, 1, channels, draw(st.integers(8, 14)), draw(st.integers(8, 14)))
    try:
        whole(made, made.sample_inputs(0))
    except ModelError:  # automatic padding with dilations, which onnxruntime does not run
        assume(False)
    return made


@pytest.mark.parametrize(
    "step", [lambda n: separate(n, rank=FULL, grow=True), lambda n: tucker(n, rank_in=FULL, rank_out=FULL, grow=True)]
)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(convolutions())
def test_full_rank_reproduces_a_convolution(step: Callable[[Network], Network], net: Network) -> None:
    made = step(net)
    assert len(made.graph) > 1
    assert distance(net, made) < 1e-5


def planted(filters: int, channels: int, rank: int, group: int = 1) -> np.ndarray:
    """A kernel whose groups have columns-by-rows rank `rank`."""
    parts = []
    for at in range(group):
        left = normal(channels * 3, rank, seed=at).reshape(channels, 3, rank)
        right = normal(rank, filters * 3, seed=100 + at).reshape(rank, filters, 3)
        parts.append(np.einsum("cyr,rox->ocyx", left, right))
    return np.concatenate(parts).astype(np.float32)


@pytest.mark.parametrize("group", [1, 2])
def test_a_separable_kernel_is_found_by_its_energy(group: int) -> None:
    weights = {"w": planted(16, 8, 2, group)}
    net = chain([node("Conv", ["x", "w"], ["y"], name="c", pads=[1] * 4, group=group)], weights, 1, 8 * group, 9, 9)
    made = separate(net, energy=0.999999)
    shapes = {p.name: p.shape for p in made.graph.parameters}
    assert shapes == {"w/column": (2 * group, 8, 3, 1), "w/row": (16 * group, 2, 1, 3)}
    assert distance(net, made) < 1e-5


def test_a_tucker_kernel_is_found_by_its_energy() -> None:
    core = normal(3, 2, 3, 3)
    kernel = np.einsum("rcyx,or,ic->oiyx", core, normal(20, 3, seed=1), normal(12, 2, seed=2)).astype(np.float32)
    net = chain([node("Conv", ["x", "w"], ["y"], name="c", strides=[2, 2])], {"w": kernel}, 1, 12, 11, 11)
    made = tucker(net, energy=0.999999)
    shapes = [p.shape for p in made.graph.parameters]
    assert shapes == [(2, 12, 1, 1), (3, 2, 3, 3), (20, 3, 1, 1)]
    assert distance(net, made) < 1e-5


def test_bytes_and_flops_are_those_of_the_decompositions() -> None:
    weights = {"w": normal(32, 16, 3, 3)}
    net = chain([node("Conv", ["x", "w"], ["y"], name="c", pads=[1] * 4)], weights, 1, 16, 10, 12)
    two = separate(net, rank=4).graph
    assert two.held_bytes(range(2)) == 4 * (4 * 16 * 3 + 32 * 4 * 3)
    assert sum(layer.flops for layer in two.layers) == 2 * 120 * (4 * 16 * 3 + 32 * 4 * 3)
    three = tucker(net, rank_in=5, rank_out=6).graph
    assert three.held_bytes(range(3)) == 4 * (5 * 16 + 6 * 5 * 9 + 32 * 6)
    assert sum(layer.flops for layer in three.layers) == 2 * 120 * (5 * 16 + 6 * 5 * 9 + 32 * 6)


def dense(transposed: bool, operator: str = "Gemm") -> Network:
    weight = normal(20, 30) if transposed else normal(30, 20)
    if operator == "MatMul":
        return chain([node("MatMul", ["x", "w"], ["y"], name="fc")], {"w": weight}, 4, 30)
    nodes = [node("Gemm", ["x", "w", "b"], ["y"], name="fc", transB=int(transposed), alpha=0.5, beta=2.0)]
    return chain(nodes, {"w": weight, "b": normal(20)}, 1, 30)


@pytest.mark.parametrize(("transposed", "operator"), [(True, "Gemm"), (False, "Gemm"), (False, "MatMul")])
def test_full_rank_reproduces_a_fully_connected_layer(transposed: bool, operator: str) -> None:
    net = dense(transposed, operator)
    made = low_rank(net, rank=FULL, grow=True)
    assert len(made.graph) == 2
    assert distance(net, made) < 1e-5
    assert distance(net, sparse_low_rank(net, rank=FULL, reduction=1.0, grow=True)) < 1e-5


def test_the_error_of_a_fully_connected_layer_is_the_tail_of_its_spectrum() -> None:
    net = dense(False)
    weights = low_rank(net, rank=7).weights()
    tail = np.linalg.svd(net.weights()["w"].astype(np.float64), compute_uv=False)[7:]
    change = net.weights()["w"] - weights["w/left"].astype(np.float64) @ weights["w/right"]
    assert np.linalg.norm(change) == pytest.approx(float(np.linalg.norm(tail)), rel=1e-5)


def test_a_layer_that_would_grow_stays() -> None:
    net = dense(False)
    assert low_rank(net, rank=12) is net, "12 x (30 + 20) numbers are as many as 30 x 20"
    assert len(low_rank(net, rank=11).graph) == 2


def test_sparse_low_rank_prunes_the_rows_of_the_weakest_neurons() -> None:
    weight = normal(30, 20)
    weight[[3, 5, 8, 11, 17, 29]] *= 0.01
    weight[:, [1, 2, 4, 19]] *= 0.01
    net = chain([node("Gemm", ["x", "w"], ["y"], name="fc")], {"w": weight}, 1, 30, opset=13)
    made = sparse_low_rank(net, rank=8, sparsity=0.2, reduction=0.25)
    left, right = made.weights()["w/left"], made.weights()["w/right"]
    assert np.flatnonzero((left[:, 2:] == 0).all(1)).tolist() == [3, 5, 8, 11, 17, 29]
    assert np.flatnonzero((right[2:] == 0).all(0)).tolist() == [1, 2, 4, 19]
    plain = low_rank(net, rank=8).weights()
    kept = [row for row in range(30) if row not in (3, 5, 8, 11, 17, 29)]
    np.testing.assert_array_equal(left[kept], plain["w/left"][kept])
    by_name = {p.name: p for p in made.graph.parameters}
    assert by_name["w/left"].held_bytes == 4 * 30 * 8
    assert by_name["w/left"].upload_bytes == 16 + 4 + 4 * (24 * 8 + 6 * 2)
    assert by_name["w/right"].upload_bytes == 16 + 3 + 4 * (16 * 8 + 4 * 2)
    for name, codec in codecs_of(made).items():
        array = made.weights()[name]
        data = codec.encode(array)
        assert len(data) == by_name[name].upload_bytes
        assert codec.decode(data, array.shape, "float32").tobytes() == array.tobytes()


def test_layers_that_share_weights_share_their_factors() -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="one", pads=[1] * 4),
        node("Conv", ["a", "w"], ["b"], name="two", pads=[1] * 4),
        node("Conv", ["b", "w"], ["y"], name="three", pads=[1] * 4, group=1),
    ]
    net = chain(nodes, {"w": normal(8, 8, 3, 3)}, 1, 8, 9, 9)
    made = separate(net, rank=3)
    assert [p.name for p in made.graph.parameters] == ["w/column", "w/row"]
    some = separate(net, rank=3, layers=["two"])
    assert [p.name for p in some.graph.parameters] == ["w", "w/column", "w/row"]
    assert [layer.name for layer in some.graph.layers] == ["one", "two/column", "two/row", "three"]
    assert distance(net, separate(net, rank=FULL, grow=True)) < 1e-5


def test_names_that_are_taken_are_not_reused() -> None:
    nodes = [node("Conv", ["x", "w"], ["y"], name="c"), node("Relu", ["y"], ["y/column"], name="c/column")]
    proto = model(nodes, [tensor("x", 1, 8, 9, 9)], ["y/column"], {"w": normal(8, 8, 3, 3)})
    made = separate(network(proto), rank=2)
    names = [layer.name for layer in made.graph.layers]
    assert len(set(names)) == 3
    assert distance(network(proto), separate(network(proto), rank=FULL, grow=True)) < 1e-5


def test_what_cannot_be_factored_is_named() -> None:
    net = models.load("squeezenet")
    name = next(layer.name for layer in net.graph.layers if layer.op_type == "Relu")
    with pytest.raises(ModelError, match="cannot be rewritten; expected a two-dimensional convolution"):
        separate(net, rank=4, layers=[name])
    with pytest.raises(ModelError, match="has no layer 'Dense_\\*'"):
        low_rank(net, rank=4, layers=["Dense_*"])
    assert low_rank(net, rank=4) is net, "it has no fully connected layer"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: low_rank(n), "give rank or energy"),
        (lambda n: low_rank(n, rank=4, energy=0.5), "one of them only"),
        (lambda n: separate(n, rank=0), "rank is 0"),
        (lambda n: separate(n, energy=1.5), "energy is 1.5"),
        (lambda n: tucker(n, rank_in=4), "give rank_out"),
        (lambda n: tucker(n, rank_in=4, rank_out=4, energy=0.5), "one of them only"),
        (lambda n: sparse_low_rank(n, rank=4, sparsity=0.0), "sparsity is 0.0"),
    ],
)
def test_options_are_checked(call: Callable[[Network], Network], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        call(models.load("squeezenet"))


def test_factors_are_made_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    net = dense(True)
    first = low_rank(net, rank=5).weights()
    monkeypatch.setattr(factors, "truncate", lambda *_: pytest.fail("the factors were kept"))
    again = low_rank(net, rank=5).weights()
    assert {name: array.tobytes() for name, array in again.items()} == {n: a.tobytes() for n, a in first.items()}


def test_only_an_energy_reads_weights() -> None:
    net = weightless(models.load("vgg19"))
    assert len(separate(net, rank=16).graph) > len(net.graph)
    assert len(tucker(net, rank_in=16, rank_out=16).graph) > len(net.graph)
    assert len(sparse_low_rank(low_rank(net, rank=99), rank=9).graph) > len(net.graph)
    with pytest.raises(AssertionError, match="asked for weights"):
        separate(weightless(models.load("squeezenet", seed=1)), energy=0.9)


def test_a_merged_layer_holds_the_factors_of_its_convolution() -> None:
    merged = merge(models.load("googlenet"))
    made = separate(merged, rank=8)
    old = {layer.nodes for layer in merged.graph.layers if len(layer.nodes) > 1}
    new = [layer.nodes for layer in made.graph.layers if len(layer.nodes) > 1]
    assert len(new) == len(old)
    assert any(name.endswith("/column") for nodes in new for name in nodes)


@pytest.mark.long
@pytest.mark.parametrize("number", range(9))
def test_full_rank_reproduces_a_layer_of_each_network(number: int) -> None:
    net = models.load(zoo.classics()[number])
    kernels = {n.name: net.types[n.input[1]][1] for n in net.light.graph.node if n.op_type == "Conv"}
    able = [name for name, shape in kernels.items() if min(shape[2:]) > 1 and shape[1] > 1 and math.prod(shape) < 2**19]
    chosen = [able[number % len(able)]]
    for made in (
        separate(net, rank=FULL, grow=True, layers=chosen),
        tucker(net, rank_in=FULL, rank_out=FULL, grow=True, layers=chosen),
    ):
        assert distance(net, made) < 1e-5
