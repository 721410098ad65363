"""Pruning keeps what matters most, and its uploads restore every bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preprocess_nets import chain, fresh_folder, weightless
from small_nets import node, normal

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.loading import zoo
from layerlift.models.preprocess.codecs import NATURAL, Codec, Patterns, ShortRows, Sparse
from layerlift.models.preprocess.lowrank import sparse_low_rank
from layerlift.models.preprocess.pruning import prune, prune_patterns
from layerlift.models.preprocess.rewrite import codecs_of
from layerlift.models.preprocess.tiling import tile
from layerlift.models.running.network import Network

VALUES = st.sampled_from([0.0, -0.0, 1.5, -2.0, float("inf"), float("nan"), 1e-45])
KINDS = st.sampled_from(["float16", "float32", "float64"])

fresh = pytest.fixture(autouse=True, scope="module")(fresh_folder)


def round_trip(codec: Codec, array: np.ndarray) -> bytes:
    data = codec.encode(array)
    assert len(data) == codec.size(array.shape, array.dtype.name)
    again = codec.decode(data, array.shape, array.dtype.name)
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()
    return data


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(VALUES, min_size=1, max_size=300), KINDS, st.integers(0, 5), st.integers(0, 300))
def test_sparse_uploads_restore_every_bit(values: list[float], kind: str, spare: int, zeros: int) -> None:
    array = np.asarray(values + [0.0] * zeros).astype(kind)
    held = int(np.count_nonzero(array.view(f"u{array.itemsize}")))
    codec = Sparse(min(len(array), held + spare))
    data = round_trip(codec, array)
    places = min(-(-len(array) // 8), 4 * codec.values)
    assert len(data) == 16 + places + codec.values * array.itemsize
    if held:
        with pytest.raises(ModelError, match="more than the"):
            Sparse(held - 1).encode(array)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(1, 20), st.integers(1, 6), KINDS, st.integers(0, 1), st.data())
def test_row_uploads_restore_every_bit(rows: int, width: int, kind: str, axis: int, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, width))
    short = data.draw(st.lists(st.integers(0, rows - 1), unique=True))
    array = np.asarray(data.draw(st.lists(VALUES, min_size=rows * width, max_size=rows * width)))
    array = array.astype(kind).reshape(rows, width)
    array[short, kept:] = 0
    made = array if axis == 0 else np.ascontiguousarray(array.T)
    round_trip(ShortRows(len(short), kept, axis), made)
    if kept < width:
        with pytest.raises(ModelError, match="more than the"):
            ShortRows(rows, kept, axis).encode(np.ones_like(made))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(1, 4), st.integers(1, 5), KINDS, st.data())
def test_pattern_uploads_restore_every_bit(filters: int, channels: int, kind: str, data: st.DataObject) -> None:
    count = filters * channels
    array = np.zeros((count, 9), kind)
    there = data.draw(st.lists(st.integers(0, count - 1), unique=True))
    for kernel in there:
        pattern = NATURAL[data.draw(st.integers(0, len(NATURAL) - 1))]
        array[kernel, pattern] = data.draw(st.lists(VALUES, min_size=4, max_size=4))
    shaped = array.reshape(filters, channels, 3, 3)
    for kernels in {len(there), count}:
        sent = round_trip(Patterns(kernels), shaped)
        assert len(sent) == 16 + -(-6 * count // 8) + 4 * kernels * array.itemsize
    with pytest.raises(ModelError, match="outside every pattern"):
        Patterns(count).encode(np.ones((filters, channels, 3, 3), kind))


def test_natural_patterns_are_the_centre_and_three_neighbours() -> None:
    assert NATURAL.shape == (56, 4)
    assert len({tuple(pattern) for pattern in NATURAL}) == 56
    assert (NATURAL == 4).sum(1).tolist() == [1] * 56


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: b"XXXX" + d[4:], lambda d: d + b"\0", lambda d: b""])
def test_damaged_uploads_are_refused(damage) -> None:  # type: ignore[no-untyped-def]
    array = np.zeros((8, 8), np.float32)
    array[0, :3] = 1
    for codec in (Sparse(3), ShortRows(7, 0)):
        with pytest.raises(ModelError, match="not in its format"):
            codec.decode(damage(codec.encode(array)), array.shape, "float32")


def test_uploads_with_impossible_places_are_refused() -> None:
    array = np.zeros(400, np.float32)
    array[7] = 1
    few = bytearray(Sparse(1).encode(array))
    few[16:20] = (400).to_bytes(4, "little")
    with pytest.raises(ModelError, match="1 values for 400 places"):
        Sparse(1).decode(bytes(few), (400,), "float32")
    bitmap = bytearray(Sparse(100).encode(array))
    bitmap[16:20] = b"\0\0\0\0"
    with pytest.raises(ModelError, match="expected 100"):
        Sparse(100).decode(bytes(bitmap), (400,), "float32")


def check_uploads(net: Network) -> None:
    """Every parameter with a codec costs what its upload has, and comes back."""
    by_name = {p.name: p for p in net.graph.parameters}
    assert codecs_of(net)
    for name, codec in codecs_of(net).items():
        assert len(round_trip(codec, net.weights()[name])) >= by_name[name].upload_bytes
        assert by_name[name].upload_bytes == min(by_name[name].held_bytes, codec.size(by_name[name].shape, "float32"))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.01, 1.0), st.booleans())
def test_pruning_keeps_the_largest(rows: int, columns: int, keep: float, ties: bool) -> None:
    weight = normal(rows, columns, seed=rows * 13 + columns)
    if ties:
        weight = np.round(weight)
    net = chain([node("MatMul", ["x", "w"], ["y"], name="fc")], {"w": weight}, 1, rows)
    made = prune(net, keep=keep)
    new = made.weights()["w"]
    count = max(1, round(keep * weight.size))
    kept = new != 0
    assert kept.sum() <= count
    np.testing.assert_array_equal(new[kept], weight[kept])
    order = np.sort(np.abs(weight).reshape(-1))[::-1]
    np.testing.assert_array_equal(np.sort(np.abs(new).reshape(-1))[::-1][:count], order[:count])
    assert (made.graph.layers, made.topology) == (net.graph.layers, net.topology)
    assert made.digest != net.digest
    check_uploads(made)
    assert prune(made, keep=keep).weights()["w"].tobytes() == new.tobytes(), "pruned twice is pruned once"


def test_a_tenth_of_alexnet_uploads_in_a_sixth() -> None:
    net = weightless(models.load("alexnet"))
    made = prune(net, keep=0.1)
    dense = 9216 * 4096 + 4096 * 4096 + 4096 * 1000
    expected = sum(-(-n // 8) + 4 * round(0.1 * n) + 16 for n in (9216 * 4096, 4096 * 4096, 4096 * 1000))
    everything = range(len(net.graph))
    assert net.graph.upload_bytes(everything) - made.graph.upload_bytes(everything) == 4 * dense - expected
    assert made.graph.held_bytes(everything) == net.graph.held_bytes(everything)


def test_patterns_fit_kernels_and_are_few() -> None:
    net = chain([node("Conv", ["x", "w"], ["y"], name="c")], {"w": normal(32, 16, 3, 3)}, 1, 16, 8, 8)
    made = prune_patterns(net, patterns=6, kernels=0.25)
    old, new = (n.weights()["w"].reshape(-1, 9) for n in (net, made))
    used = new != 0
    assert used.any(1).sum() == 128
    assert len({tuple(row) for row in used[used.any(1)]}) <= 6
    assert (used[used.any(1)].sum(1) == 4).all()
    assert used[used.any(1)][:, 4].all(), "the centre is in every pattern"
    np.testing.assert_array_equal(new[used], old[used])
    check_uploads(made)
    every = prune_patterns(net, patterns=56).weights()["w"].reshape(-1, 9)
    for kernel, pruned in zip(old, every, strict=True):
        others = np.delete(np.abs(kernel), 4)
        expected = {4, *(np.delete(np.arange(9), 4)[np.argsort(-others)[:3]])}
        assert set(np.flatnonzero(pruned)) == expected, (
            "with all patterns, the centre and the three largest others stay"
        )
    assert prune_patterns(made, patterns=6, kernels=0.25).weights()["w"].tobytes() == made.weights()["w"].tobytes()


@pytest.mark.long
def test_uploads_stay_sparse_through_later_steps() -> None:
    net = models.load("squeezenet")
    made = prune_patterns(net, kernels=0.5)
    tiled = tile(made, rows=2)
    assert codecs_of(tiled) == codecs_of(made)
    everything = sum(p.upload_bytes for p in made.graph.parameters)
    constants = sum(p.upload_bytes for p in tiled.graph.parameters if p.dtype == "int64")
    assert sum(p.upload_bytes for p in tiled.graph.parameters) - constants == everything
    check_uploads(tiled)


def test_pruning_checks_its_options() -> None:
    net = models.load("squeezenet")
    for call, message in (
        (lambda: prune(net, keep=0.0), "keep is 0.0"),
        (lambda: prune_patterns(net, patterns=57), "patterns is 57"),
        (lambda: prune_patterns(net, kernels=0.0), "kernels is 0.0"),
        (lambda: prune_patterns(net, layers=[net.graph.layers[0].name.upper() + "?"]), "has no layer"),
    ):
        with pytest.raises(ModelError, match=message):
            call()


@pytest.mark.long
@pytest.mark.parametrize("name", ["googlenet", "shufflenet", "squeezenet"])
def test_pruned_networks_of_the_zoo_upload_exactly(name: str) -> None:
    pruned_somewhere(models.load(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.classics())
def test_all_pruned_networks_of_the_zoo_upload_exactly(name: str) -> None:
    pruned_somewhere(models.load(name))


def pruned_somewhere(net: Network) -> None:
    for made in (prune(net, keep=0.05), prune_patterns(net, kernels=0.4), sparse_low_rank(net, rank=16)):
        if made is not net:
            check_uploads(made)
