"""Minimum cuts by Dinic's algorithm, against networkx."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift.models.graph.flow import INFINITE, FlowGraph

Edges = list[tuple[int, int, float]]


def edges(capacities: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[int, Edges]]:
    """How many nodes there are, and edges between them; 0 is the source, 1 the sink."""
    return st.integers(2, 8).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1), capacities), max_size=24),
        )
    )


def graphs(count: int, drawn: Edges) -> tuple[FlowGraph, nx.DiGraph]:
    """The same graph for both; parallel edges add up."""
    ours, theirs = FlowGraph(), nx.DiGraph()
    theirs.add_nodes_from(range(count))
    for _ in range(count - 2):
        ours.node()
    for tail, head, capacity in drawn:
        ours.edge(tail, head, capacity)
        if tail != head:
            known = theirs.get_edge_data(tail, head, {"capacity": 0})["capacity"]
            theirs.add_edge(tail, head, capacity=known + capacity)
    return ours, theirs


@given(edges(st.floats(0, 10)))
@settings(max_examples=200, deadline=None)
def test_dinic_cuts_as_networkx_does(drawn: tuple[int, Edges]) -> None:
    ours, theirs = graphs(*drawn)
    near = ours.source_side()
    value = sum(capacity for tail, head, capacity in drawn[1] if tail in near and head not in near)
    assert 0 in near
    assert 1 not in near
    assert value == pytest.approx(nx.minimum_cut_value(theirs, 0, 1), abs=1e-9)


@given(edges(st.one_of(st.integers(0, 4), st.integers(10**18, 10**18 + 4))))
@settings(max_examples=300, deadline=None)
def test_of_equal_cuts_the_smallest_and_the_largest_side_are_those_of_networkx(drawn: tuple[int, Edges]) -> None:
    ours, theirs = graphs(*drawn)
    assert ours.largest_source_side() == nx.minimum_cut(theirs, 0, 1)[1][0]
    backwards = [({0: 1, 1: 0}.get(head, head), {0: 1, 1: 0}.get(tail, tail), size) for tail, head, size in drawn[1]]
    turned, _ = graphs(drawn[0], backwards)
    mirrored = {{0: 1, 1: 0}.get(node, node) for node in turned.largest_source_side()}
    assert graphs(*drawn)[0].source_side() == set(range(drawn[0])) - mirrored


def test_whole_capacities_beyond_a_floats_digits_stay_whole() -> None:
    flow = FlowGraph()
    middle = flow.node()
    flow.edge(flow.SOURCE, middle, 10**18 + 1)
    flow.edge(middle, flow.SINK, 10**18)
    flow.edge(middle, flow.SINK, INFINITE)
    assert flow.source_side() == {flow.SOURCE}
    assert flow.left[1] == 10**18 + 1
