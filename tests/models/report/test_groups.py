"""Blocks that repeat are one group, and a page of groups is short however long the network is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import layer_graphs

from layerlift import models
from layerlift.models.graph import borders
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.report.groups import Group, groups, operators


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data(), layer_graphs(max_layers=14), st.integers(1, 20))
def test_groups_partition_the_network_and_respect_where_they_must_begin(
    data: st.DataObject, graph: LayerGraph, most: int
) -> None:
    starts = data.draw(st.lists(st.integers(0, len(graph) - 1), max_size=3))
    found = groups(graph, most, starts)
    assert [layer for group in found for layer in group.layers] == list(range(len(graph)))
    assert set(starts) <= {group.first for group in found}
    for group in found:
        assert len(group) % group.times == 0
        kinds = [graph.layers[layer].op_type for layer in group.layers]
        assert kinds == kinds[: len(group) // group.times] * group.times


def lengths(name: str, most: int = 60) -> list[str]:
    found = groups(models.load(name).graph, most)
    return [f"{group.times}x{len(group.pattern)}" if group.times > 1 else str(len(group)) for group in found]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", ["4", "12", "2x10", "12", "3x10", "12", "5x10", "12", "10", "12", "2"]),
        ("densenet121", ["6", "5x11", "15", "2", "11x11", "15", "2", "23x11", "15", "2", "15x11", "16", "1"]),
    ],
)
def test_blocks_of_published_networks(name: str, expected: list[str]) -> None:
    assert lengths(name) == expected


@pytest.mark.parametrize("most", [1, 3, 7])
def test_where_too_little_repeats_neighbours_are_put_together(most: int) -> None:
    graph = models.load("googlenet").graph
    found = groups(graph, most)
    assert len(found) <= most
    assert {group.last for group in found} <= {last for _, last in borders.blocks(graph)}
    assert max(map(len, found)) < len(graph) / most + 60


def test_blocks_alike_in_operators_but_not_in_wires_are_not_alike() -> None:
    graph = models.load("resnet50").graph
    five = next(group for group in groups(graph, 60) if group.times == 5)
    sums = [layer for layer in five.layers if graph.layers[layer].op_type == "Sum"]
    middle = graph.layers[sums[2]]
    layers = list(graph.layers)
    layers[middle.index] = type(middle)(
        middle.index, middle.name, middle.op_type, middle.inputs[:1] * 2, middle.outputs, middle.parameters
    )
    changed = LayerGraph(graph.name, tuple(layers), graph.tensors, graph.parameters, graph.inputs, graph.outputs)
    assert all(group.times < 5 for group in groups(changed, 60))


def test_operators_are_told_heaviest_first() -> None:
    graph = models.load("resnet50").graph
    assert operators(graph, Group(16, 35, 2)) == {"Conv": 3, "BatchNormalization": 3, "Relu": 3, "Sum": 1}
    assert next(iter(operators(graph, Group(16, 35, 2)))) == "Conv"
