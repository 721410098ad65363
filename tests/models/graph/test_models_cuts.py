"""Where a network can be cut in two: against the definition, and against the published counts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from strategies import layer_graphs

from layerlift import models
from layerlift.models.graph import cuts
from layerlift.models.graph.graph import LayerGraph


@settings(max_examples=100, deadline=None, derandomize=True)
@given(layer_graphs(max_layers=10))
def test_a_cut_carries_what_the_rest_reads_from_before(graph: LayerGraph) -> None:
    found = cuts.cuts(graph)
    assert [cut.after for cut in found] == list(range(len(graph) - 1))
    for cut in found:
        entering, _ = graph.boundary(cut.after + 1, len(graph) - 1)
        assert cuts.crossing(graph, cut.after) == entering
        assert cut.width == len(entering)
        assert cut.bytes == sum(graph.tensors[t].bytes for t in entering)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(layer_graphs(max_layers=10))
def test_what_is_alive_at_once_is_what_crosses_and_what_is_made(graph: LayerGraph) -> None:
    before = [sum(graph.tensors[t].bytes for t in graph.inputs), *(cut.bytes for cut in cuts.cuts(graph))]
    made = [sum(graph.tensors[t].bytes for t in layer.outputs) for layer in graph.layers]
    assert cuts.peak_live_bytes(graph) == max(map(sum, zip(before, made, strict=True)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(layer_graphs(max_layers=10))
def test_blocks_partition_the_network(graph: LayerGraph) -> None:
    assert [i for first, last in cuts.blocks(graph) for i in range(first, last + 1)] == list(range(len(graph)))


@pytest.mark.parametrize(
    ("name", "single", "widest"),
    [("alexnet", 23, 1), ("squeezenet", 33, 2), ("googlenet", 25, 4), ("resnet50", 39, 2), ("shufflenet", 39, 2)],
)
def test_cut_widths_of_the_zoo(name: str, single: int, widest: int) -> None:
    graph = models.load(name).graph
    assert len(cuts.narrow(graph)) == single
    assert max(cut.width for cut in cuts.cuts(graph)) == widest


def test_blocks_keep_residual_blocks_and_activations_whole() -> None:
    resnet = models.load("resnet50").graph
    starts = [first for first, _ in cuts.blocks(resnet)]
    assert len(starts) == 1 + 16 + 1, "the stem, sixteen residual blocks, and the classifier"
    alexnet = models.load("alexnet").graph
    assert [alexnet.layers[first].op_type for first, _ in cuts.blocks(alexnet)] == ["Conv"] * 5 + ["Gemm"] * 3
