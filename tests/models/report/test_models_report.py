"""What `layerlift models NAME` shows: sums that add up, and memory."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from small_nets import model, node, normal, tensor
from strategies import layer_graphs

from layerlift import models
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.report import summary
from layerlift.models.timing.profiles import known, reference


@settings(max_examples=60, deadline=None, derandomize=True)
@given(layer_graphs(max_layers=8))
def test_operators_layers_and_cuts_add_up(graph: LayerGraph) -> None:
    found = summary.report(graph)
    assert sum(row.layers for row in found.operators) == found.layers == len(found.rows)
    assert sum(row.flops for row in found.operators) == found.flops == sum(row.flops for row in found.rows)
    assert sum(found.cut_widths.values()) == len(graph) - 1
    assert found.parameter_bytes <= sum(row.hold_bytes for row in found.rows)
    for cut in found.best_cuts:
        assert cut.flops_before + cut.flops_after == found.flops
    sizes = [found.input_bytes, *(cut.bytes for cut in found.best_cuts if cut.least)]
    assert all(later < earlier for earlier, later in pairwise(sizes))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(layer_graphs(max_layers=8))
def test_peak_memory_by_playing_the_run(graph: LayerGraph) -> None:
    alive = set(graph.inputs)
    peak = 0
    for layer in graph.layers:
        alive = {t for t in alive if any(reader >= layer.index for reader in graph.tensors[t].consumers)}
        now = alive | set(layer.outputs)
        peak = max(peak, sum(graph.tensors[t].bytes for t in now))
        alive = now
    first = sum(graph.tensors[t].bytes for t in {*graph.inputs, *graph.layers[0].outputs})
    assert summary.report(graph).peak_live_bytes == max(peak, first)


def test_memory_to_hold_and_to_run_a_layer() -> None:
    weights = {"w": normal(4, 6)}
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "a"], ["y"])]
    graph = models.from_model(model(nodes, [tensor("x", 2, 4)], ["y"], weights), "tiny").graph
    product, doubling = summary.report(graph).rows
    assert (product.hold_bytes, product.run_bytes) == (4 * 6 * 4, (8 + 12) * 4)
    assert (doubling.hold_bytes, doubling.run_bytes) == (0, (12 + 12) * 4)


@pytest.mark.long
def test_times_come_from_the_profile() -> None:
    network = models.load("alexnet")
    found = summary.report(network.graph, reference(network))
    assert found.seconds == pytest.approx(reference(network).total_s)
    assert sum(row.seconds or 0 for row in found.operators) == pytest.approx(found.seconds)
    for cut in found.best_cuts:
        assert (cut.seconds_before or 0) + (cut.seconds_after or 0) == pytest.approx(found.seconds)
    assert summary.report(network.graph).seconds is None
    assert known(models.from_model(network.model(), "unmeasured")) is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(layer_graphs(max_layers=12))
def test_blocks_add_up(graph: LayerGraph) -> None:
    found = summary.report(graph)
    assert [n for row in found.blocks for n in range(row.first, row.last + 1)] == list(range(len(graph)))
    assert sum(row.flops for row in found.blocks) == found.flops
    for row in found.blocks:
        assert sum(row.operators.values()) == row.layers
        assert row.layers * row.times == row.last - row.first + 1
        last = found.rows[row.last]
        assert (row.name, row.cut_tensors, row.cut_bytes) == (last.name, last.cut_tensors, last.cut_bytes)
