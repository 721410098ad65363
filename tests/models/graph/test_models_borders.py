"""Block borders and the cuts worth considering: against their definition, and where a mask crosses every cut."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from strategies import layer_graphs

from layerlift import models
from layerlift.models.graph import borders, cuts
from layerlift.models.graph.graph import Layer, LayerGraph, Tensor


def encoder(blocks: int, parts: int = 9) -> LayerGraph:
    """Blocks of `parts` multiplications and a join with what came in, each of which reads one mask as well."""
    reads: list[list[int]] = [[0]]  # layer 0 makes the mask, tensor 1
    for block in range(blocks):
        entered = 0 if block == 0 else len(reads)
        for part in range(parts):
            reads.append([entered if part == 0 else len(reads), *([1] if part == 4 else [])])
        reads.append([len(reads), entered])
    tensors = [Tensor("x", 100, -1, tuple(n for n, read in enumerate(reads) if 0 in read))]
    for maker in range(len(reads)):
        readers = tuple(n for n, read in enumerate(reads) if maker + 1 in read)
        tensors.append(Tensor(f"t{maker}", 30 if maker == 0 else 100, maker, readers, not readers))
    layers = tuple(
        Layer(n, f"l{n}", "MatMul" if n else "Cast", tuple(read), (n + 1,), (), features={"macs": 1.0} if n else {})
        for n, read in enumerate(reads)
    )
    return LayerGraph("encoder", layers, tuple(tensors), (), (0,), (len(reads),))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(layer_graphs(max_layers=12))
def test_blocks_partition_the_network(graph: LayerGraph) -> None:
    assert [n for first, last in borders.blocks(graph) for n in range(first, last + 1)] == list(range(len(graph)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(layer_graphs(max_layers=12))
def test_the_best_cuts_are_those_of_the_definition(graph: LayerGraph) -> None:
    given = [graph.tensors[t] for t in graph.inputs]
    start = (sum(bool(t.consumers) for t in given), sum(t.bytes for t in given))
    keys = [start, *((cut.width, cut.bytes) for cut in cuts.cuts(graph)), (10**9, 0)]
    ends = {last for _, last in borders.blocks(graph)}
    expected = []
    for after in range(len(graph) - 1):
        here = keys[after + 1]
        if keys[after + 2] == here:
            continue  # a later one carries the same
        first = after
        while first > 0 and keys[first] == here:
            first -= 1
        least = all(here[1] < earlier for _, earlier in keys[: first + 1])
        lowest = keys[first] > here < keys[after + 2]
        if least or (lowest and ends & set(range(first, after + 1))):
            expected.append((after, least))
    assert [(found.cut.after, found.least) for found in borders.best(graph)] == expected


def test_a_mask_that_crosses_every_cut_holds_no_blocks_together() -> None:
    graph = encoder(8)
    assert max(last - first + 1 for first, last in cuts.blocks(graph)) > 64, "no cut has a single tensor"
    assert borders.blocks(graph) == ((0, 10), *((first, first + 9) for first in range(11, 81, 10)))
    assert [found.cut.after for found in borders.best(graph)][:-1] == list(range(10, 70, 10))
    assert all(found.cut.width == 2 for found in borders.best(graph)[:-1])


def test_inputs_that_are_read_late_hold_no_blocks_together() -> None:
    graph = models.load("resnet50").graph
    late, readers = len(graph.tensors), (30, 60, 90, 120, 170)
    tensors = (*graph.tensors, *(Tensor(f"past{n}", 10**9, -1, (n,)) for n in readers))
    layers = list(graph.layers)
    for number, reader in enumerate(readers):
        layers[reader] = replace(layers[reader], inputs=(*layers[reader].inputs, late + number))
    inputs = (*graph.inputs, *range(late, late + len(readers)))
    caught = replace(graph, layers=tuple(layers), tensors=tensors, inputs=inputs)
    assert len(cuts.blocks(caught)) <= 2
    assert len(borders.blocks(caught)) >= 17


def test_a_short_run_stays_whole_whatever_crosses_it() -> None:
    graph = encoder(3)
    assert borders.blocks(graph) == cuts.blocks(graph)


@pytest.mark.long
@pytest.mark.parametrize(("name", "single", "least"), [("resnet50", 18, 3), ("densenet121", 59, 4), ("alexnet", 5, 5)])
def test_cuts_of_published_networks(name: str, single: int, least: int) -> None:
    found = borders.best(models.load(name).graph)
    assert (len(found), sum(cut.least for cut in found)) == (single, least)
    assert all(found.cut.width == 1 for found in found)
    sizes = [each.cut.bytes for each in found if each.least]
    assert all(later < earlier for earlier, later in pairwise(sizes))
