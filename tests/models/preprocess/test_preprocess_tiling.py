"""Spatial partition: equal to the original, borders included, at the cost that the halo arithmetic says.

Inputs and weights are small whole numbers wherever bits are compared: then every sum is exact in float32, in any order.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from preprocess_nets import chain, in_pieces, inception, network, weightless, whole
from small_nets import model, node, tensor

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.graph.route import compile_route
from layerlift.models.loading import zoo
from layerlift.models.preprocess import halos
from layerlift.models.preprocess.merge import merge
from layerlift.models.preprocess.modules import collapse
from layerlift.models.preprocess.tiling import region, tile, tiles_of
from layerlift.models.running.network import Network
from layerlift.models.running.session import uncut_session

BOUND = 1e-5
"""Of the output's scale: onnxruntime may add up a convolution's products in another order for maps of another size."""


def whole_numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32)


def output(of: Network, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return whole(of, inputs)[0]


def check(net: Network, tiled: Network, bits: bool = True) -> None:
    """Equal outputs on whole numbers."""
    inputs = {name: np.round(array * 2) for name, array in net.sample_inputs(0).items()}
    old, new = output(net, inputs), output(tiled, inputs)
    if bits:
        np.testing.assert_array_equal(old, new)
    else:
        assert np.abs(old - new).max(initial=0) <= BOUND * np.abs(old).max(initial=0)


KINDS = ["Conv", "Conv", "Conv", "MaxPool", "AveragePool", "Relu", "BatchNormalization", "Add"]


@st.composite
def layers(draw: DrawFn, channels: int, at: int) -> tuple[onnx.NodeProto, dict[str, np.ndarray], int]:
    """One layer of a run, its weights and how many channels it makes."""
    read, made = [f"t{at}"], [f"t{at + 1}"]
    kind = draw(
        st.sampled_from(["Conv", "Conv", "Conv", "MaxPool", "AveragePool", "Relu", "BatchNormalization", "Add"])
    )
    if kind == "Relu":
        return node("Relu", read, made, name=f"n{at}"), {}, channels
    if kind == "Add":
        return node("Add", [*read, f"w{at}"], made, name=f"n{at}"), {f"w{at}": whole_numbers(channels, 1, 1)}, channels
    if kind == "BatchNormalization":
        names = [f"{part}{at}" for part in ("scale", "shift", "mean", "var")]
        ones = dict.fromkeys((names[0], names[3]), np.ones(channels, np.float32))
        values = ones | {name: whole_numbers(channels, seed=at) for name in names[1:3]}
        return node(kind, [*read, *names], made, name=f"n{at}", epsilon=0.0), values, channels
    axes = [draw(st.integers(1, 4 if kind == "Conv" else 3)) for _ in range(2)]
    attributes: dict[str, object] = {"strides": [draw(st.integers(1, 3)) for _ in range(2)]}
    attributes["dilations"] = [draw(st.integers(1, 2)) for _ in range(2)]
    padding = draw(st.sampled_from(["none", "explicit", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if padding == "explicit":
        attributes["pads"] = [draw(st.integers(0, axes[i % 2] - (kind != "Conv"))) for i in range(4)]
    elif padding != "none":
        attributes["auto_pad"] = padding
    if kind == "Conv":
        group = draw(st.sampled_from([1, channels]))
        filters = draw(st.sampled_from([channels, 2 * channels]))
        weights = {
            f"w{at}": whole_numbers(filters, channels // group, *axes, seed=at),
            f"b{at}": whole_numbers(filters),
        }
        return node(kind, [*read, *weights], made, name=f"n{at}", group=group, **attributes), weights, filters
    attributes["ceil_mode"] = draw(st.integers(0, 1))
    if kind == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    return node(kind, read, made, name=f"n{at}", kernel_shape=axes, **attributes), {}, channels


@st.composite
def runs(draw: DrawFn) -> tuple[Network, bool]:
    """A run of one to four layers over a small image, and whether its sums are exact."""
    channels, nodes, weights = 2, [], {}
    for at in range(draw(st.integers(1, 4))):
        made, held, channels = draw(layers(channels, at))
        nodes.append(made)
        weights |= held
    exact = all(n.op_type != "AveragePool" for n in nodes[:-1])
    size = draw(st.integers(7, 24)), draw(st.integers(7, 24))
    proto = model(nodes, [tensor("t0", 1, 2, *size)], [f"t{len(nodes)}"], weights, draw(st.sampled_from([19, 21])))
    try:
        made_network = network(proto)
        runs_at_all = uncut_session(made_network).run(made_network.sample_inputs(0))
    except ModelError:
        assume(False)
    sizes = {tuple(array.shape) for array in runs_at_all.values()}
    declared = {made_network.graph.tensors[t].shape for t in made_network.graph.outputs}
    assume(sizes == declared)
    return made_network, exact


def tiled_or_refused(net: Network, grid: tuple[int, int], first: str, last: str) -> Network | None:
    """None when it is refused for one of the two reasons that padding can give."""
    try:
        return tile(net, rows=grid[0], columns=grid[1], first=first, last=last)
    except ModelError as error:
        if "nothing but padding" in str(error) or "disagree on its padding" in str(error):
            return None
        raise


@settings(max_examples=250, deadline=None, derandomize=True)
@given(runs(), st.sampled_from([(1, 2), (2, 1), (2, 2), (3, 1), (2, 3)]))
def test_tiles_equal_the_whole(case: tuple[Network, bool], grid: tuple[int, int]) -> None:
    net, exact = case
    first, last = net.graph.layers[0].name, net.graph.layers[-1].name
    height, width = net.graph.tensors[net.graph.outputs[0]].shape[2:]
    assume(height >= grid[0] and width >= grid[1])
    tiled = tiled_or_refused(net, grid, first, last)
    if tiled is None:
        return
    check(net, tiled, bits=exact)
    assert sum(layer.op_type == "Slice" for layer in tiled.graph.layers) <= grid[0] * grid[1] * len(net.graph)


@pytest.mark.parametrize("opset", [9, 11, 17])
@pytest.mark.parametrize("grid", [(1, 3), (4, 2)])
def test_modules_are_tiled_whole(opset: int, grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    weights = {"a": rng.integers(-2, 3, (4, 4, 5, 5)).astype(np.float32), "b": whole_numbers(4, 4, 1, 1)}
    nodes = [
        node("Conv", ["x", "a"], ["wide"], name="wide", pads=[2, 2, 2, 2]),
        node("Conv", ["x", "b"], ["narrow"], name="narrow"),
        node("MaxPool", ["x"], ["pooled"], name="pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Add", ["wide", "narrow"], ["sum"], name="sum"),
        node("Concat", ["sum", "pooled", "x"], ["y"], name="join", axis=1),
    ]
    net = chain(nodes, weights, 1, 4, 17, 13, opset=opset)
    tiled = tile(net, rows=grid[0], columns=grid[1], first="wide", last="join")
    check(net, tiled)
    slices = [n for n in tiled.light.graph.node if n.op_type == "Slice"]
    assert all(bool(n.attribute) == (opset < 10) for n in slices)


def test_parts_follow_capabilities() -> None:
    assert halos.shares(10, (1, 1)) == [(0, 5), (5, 10)]
    assert halos.shares(10, (1, 2, 2)) == [(0, 2), (2, 6), (6, 10)]
    assert halos.shares(7, (1, 1, 1)) == [(0, 3), (3, 5), (5, 7)]
    with pytest.raises(ModelError, match="fewer or evener"):
        halos.shares(10, (1, 100))
    net = vgg_like(3, 20)
    tiled = tile(net, rows=[1, 3], first="conv0", last="conv2")
    heights = [t.shape[2] for t in tiled.graph.tensors if t.name.startswith("y/tile")]
    assert heights == [5, 15]
    check(net, tiled)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 400), st.lists(st.floats(0.1, 10), min_size=1, max_size=6))
def test_shares_cover_the_map_in_proportion(extent: int, parts: Sequence[float]) -> None:
    try:
        found = halos.shares(extent, parts)
    except ModelError:
        assert min(extent * part / sum(parts) for part in parts) < 1
        return
    assert found[0][0] == 0
    assert found[-1][1] == extent
    for (low, high), part in zip(found, parts, strict=True):
        assert abs((high - low) - extent * part / sum(parts)) < 1
    assert all(a[1] == b[0] for a, b in pairwise(found))


def vgg_like(depth: int, size: int) -> Network:
    """`depth` convolutions of 3 x 3, stride 1, padding 1, 2 channels, over a square image."""
    nodes, weights = [], {}
    for at in range(depth):
        weights[f"w{at}"] = whole_numbers(2, 2, 3, 3, seed=at)
        names = ("x" if at == 0 else f"m{at}", "y" if at == depth - 1 else f"m{at + 1}")
        nodes.append(node("Conv", [names[0], f"w{at}"], [names[1]], name=f"conv{at}", pads=[1, 1, 1, 1]))
    return chain(nodes, weights, 1, 2, size, size)


@pytest.mark.parametrize(("depth", "strips"), [(1, 2), (3, 2), (4, 3)])
def test_the_flops_of_strips_are_the_halo_arithmetic(depth: int, strips: int) -> None:
    size = 36
    net = vgg_like(depth, size)
    tiled = tile(net, rows=strips, first="conv0", last=f"conv{depth - 1}")
    row_flops = 2 * size * 2 * 2 * 9
    halo_rows = sum(2 * (strips - 1) * below for below in range(depth))
    convolved = sum(layer.flops for layer in tiled.graph.layers if layer.op_type == "Conv")
    assert convolved == (depth * size + halo_rows) * row_flops
    found = region(net, 0, depth - 1)
    tiles = [each for row in tiles_of(found, (1,) * strips, (1,)) for each in row]
    assert halos.flops(found, tiles) == convolved
    assert halos.overhead(found, tiles) == pytest.approx(halo_rows / (depth * size), rel=1e-12)


def deep_things(size: int, grid: tuple[int, int], layers_: Sequence[tuple[str, int, int]]) -> int:
    """Output elements per channel over all tiles and layers, by the published recursion (inclusive coordinates)."""
    sizes = [size]
    for _, _, stride in layers_:
        sizes.append(sizes[-1] // stride)

    def edges(parts: int) -> list[tuple[int, int]]:
        step = sizes[-1] // parts
        return [(at * step, (at + 1) * step - 1) for at in range(parts)]

    def back(at: int, low: int, high: int) -> tuple[int, int]:
        kind, kernel, stride = layers_[at]
        if kind == "pool":
            return stride * low, min(stride * high + stride - 1, sizes[at] - 1)
        return max(0, stride * low - kernel // 2), min(stride * high + kernel // 2, sizes[at] - 1)

    total = 0
    for top, bottom in edges(grid[0]):
        for left, right in edges(grid[1]):
            box = (top, bottom, left, right)
            for at in reversed(range(len(layers_))):
                total += (box[1] - box[0] + 1) * (box[3] - box[2] + 1)
                box = (*back(at, box[0], box[1]), *back(at, box[2], box[3]))
    return total


def test_tiles_are_those_of_deepthings() -> None:
    layers_ = [("conv", 3, 1), ("pool", 2, 2), ("conv", 3, 1), ("conv", 1, 1), ("pool", 2, 2), ("conv", 3, 1)]
    nodes, weights = [], {}
    for at, (kind, kernel, stride) in enumerate(layers_):
        read, made = "x" if at == 0 else f"m{at}", "y" if at == len(layers_) - 1 else f"m{at + 1}"
        if kind == "pool":
            nodes.append(node("MaxPool", [read], [made], name=f"n{at}", kernel_shape=[2, 2], strides=[stride] * 2))
        else:
            weights[f"w{at}"] = whole_numbers(1, 1, kernel, kernel, seed=at)
            nodes.append(node("Conv", [read, f"w{at}"], [made], name=f"n{at}", pads=[kernel // 2] * 4))
    net = chain(nodes, weights, 1, 1, 40, 40)
    tiled = tile(net, rows=5, columns=2, first="n0", last="n5")
    made = [t for t in tiled.graph.tensors if "/tile" in t.name and "/part" not in t.name and t.producer >= 0]
    assert sum(math.prod(t.shape[2:]) for t in made) == deep_things(40, (5, 2), layers_)
    check(net, tiled)


def test_tiles_share_weights_and_run_apart() -> None:
    net = vgg_like(3, 24)
    tiled = tile(net, rows=2, columns=2, first="conv0", last="conv2").graph
    branches = [[layer.index for layer in tiled.layers if f"/tile{number}" in layer.name] for number in range(4)]
    assert len({tiled.upload_bytes(branch) for branch in branches}) == 1
    small = 3 * 2 * 8
    assert tiled.upload_bytes([*branches[0], *branches[1]]) == tiled.upload_bytes(branches[0]) + small, (
        "a server with two tiles is charged for their weights once; what is new are the bounds of a slice"
    )
    placement = [0] * len(tiled)
    for number, branch in enumerate(branches):
        for layer in branch:
            placement[layer] = number + 1
    route = compile_route(tiled, placement)
    assert [step.segment.node for step in route.steps] == [1, 2, 3, 4, 0]
    entry = set(tiled.inputs)
    assert all(set(step.waits) == entry for step in route.steps[:4]), "no tile waits for another"


def test_the_first_run_stops_where_halos_cost_too_much() -> None:
    net = vgg_like(8, 32)
    for allowed in (0.05, 0.2, 1.0):
        tiled = tile(net, rows=4, max_overhead=allowed)
        whole_flops = 2 * 32 * 32 * 2 * 2 * 9
        depth = sum(layer.op_type == "Conv" and "/tile0" in layer.name for layer in tiled.graph.layers)
        spent = sum(la.flops for la in tiled.graph.layers if la.op_type == "Conv" and "/tile" in la.name)
        assert spent / (depth * whole_flops) - 1 <= allowed
        deeper = sum(2 * 3 * below for below in range(depth + 1)) / ((depth + 1) * 32)
        assert depth == 8 or deeper > allowed


def test_what_cannot_be_tiled_is_named() -> None:
    net = models.load("alexnet")
    reshape = next(layer.name for layer in net.graph.layers if layer.op_type == "Reshape")
    with pytest.raises(ModelError, match=f"{reshape!r} of alexnet cannot be computed in tiles: Reshape"):
        tile(net, first=net.graph.layers[0].name, last=reshape)
    with pytest.raises(ModelError, match=r"read 3 maps and make 1; expected one each.*: 'a' to 'join'"):
        tile(inception(), first="b2", last="join")
    with pytest.raises(ModelError, match="'join' comes after 'stem'"):
        tile(inception(), first="join", last="stem")
    with pytest.raises(ModelError, match="no layer 'stm'; did you mean stem"):
        tile(inception(), first="stm", last="join")
    with pytest.raises(ModelError, match="give both first and last"):
        tile(inception(), first="stem")
    places = chain([node("Add", ["x", "w"], ["y"], name="add")], {"w": whole_numbers(1, 2, 8, 8)}, 1, 2, 8, 8)
    with pytest.raises(ModelError, match="weights that differ from place to place"):
        tile(places, first="add", last="add")
    indexed = [node("MaxPool", ["x"], ["y", "at"], name="pool", kernel_shape=[2, 2])]
    both = network(model(indexed, [tensor("x", 1, 1, 8, 8)], ["y"], {}))
    assert tile(both, first="pool", last="pool").graph.layers[-1].op_type == "Concat", "unused indices are dropped"
    padded = [node("Conv", ["x", "w"], ["y"], name="conv", pads=[6, 0, 0, 0])]
    with pytest.raises(ModelError, match="nothing but padding"):
        tile(chain(padded, {"w": whole_numbers(1, 1, 2, 2)}, 1, 1, 8, 8), rows=5, first="conv", last="conv")


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [(0, 1, "rows is 0"), (300, 1, "at most 256"), (20, 20, "at most 256"), ([1, -1], 1, "above 0")],
)
def test_impossible_grids_are_refused(rows: int | list[float], columns: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        tile(inception(), rows=rows, columns=columns)


def test_merged_layers_survive_where_no_tile_touches_them() -> None:
    merged = collapse(inception(16))
    tiled = tile(merged, rows=2, first="stem", last="stem_relu")
    assert [len(layer.nodes) for layer in tiled.graph.layers if layer.op_type == "Merged"] == [7]
    through = tile(merge(inception(16)), rows=2, first="stem", last="join_relu")
    assert not [layer for layer in through.graph.layers if layer.op_type == "Merged"]
    check(merged, tiled)
    check(merged, through)


def test_tiling_needs_no_weights() -> None:
    tile(weightless(models.load("resnet50")), rows=2, columns=2)


GRIDS = [(2, 1), (1, 2), (2, 2), (3, 1), (3, 2)]


@pytest.mark.long
@pytest.mark.parametrize("number", range(9))
def test_tiled_networks_of_the_zoo_answer_the_same(number: int) -> None:
    net = models.load(zoo.classics()[number])
    answers_the_same(net, GRIDS[number % len(GRIDS)], 0.25)


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.classics())
@pytest.mark.parametrize("grid", [*GRIDS, (5, 5)])
def test_every_tiling_of_the_zoo_answers_the_same(name: str, grid: tuple[int, int]) -> None:
    answers_the_same(models.load(name), grid, 2.0)


def answers_the_same(net: Network, grid: tuple[int, int], overhead: float) -> None:
    tiled = tile(net, rows=grid[0], columns=grid[1], max_overhead=overhead)
    assert tiled is not net
    assert tiled.graph.held_bytes(range(len(tiled.graph))) >= net.graph.held_bytes(range(len(net.graph)))
    inputs = net.sample_inputs(1)
    cuts = random.Random(grid[0]).sample(range(len(tiled.graph)), 3)
    for old, new, cut in zip(whole(net, inputs), whole(tiled, inputs), in_pieces(tiled, cuts, inputs), strict=True):
        assert np.abs(old - new).max() <= BOUND * np.abs(old).max()
        assert new.tobytes() == cut.tobytes(), "cut anywhere, the tiled network gives the same bits"
