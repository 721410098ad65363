"""Segments and routes: every tensor that a step reads is made there before, or waited for and sent once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import layer_graphs, placements

from layerlift.models.errors import ModelError
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.route import CLIENT, Route, compile_route

SETTINGS = settings(max_examples=120, deadline=None, derandomize=True)


@st.composite
def routed(draw: st.DrawFn) -> tuple[LayerGraph, tuple[int, ...], str, Route]:
    graph = draw(layer_graphs(max_layers=10))
    placement = draw(placements(graph))
    mode = draw(st.sampled_from(("dataflow", "serial")))
    return graph, placement, mode, compile_route(graph, placement, mode)


@SETTINGS
@given(routed())
def test_segments_are_the_maximal_runs_of_the_placement(drawn: tuple) -> None:
    graph, placement, _, route = drawn
    segments = [step.segment for step in route.steps]
    assert [n for s in segments for n in [s.node] * len(s)] == list(placement)
    assert [i for s in segments for i in range(s.first, s.last + 1)] == list(range(len(graph)))
    assert all(a.node != b.node for a, b in pairwise(segments))


@SETTINGS
@given(routed())
def test_what_a_step_reads_was_made_there_or_is_waited_for(drawn: tuple) -> None:
    graph, placement, _, route = drawn
    at: dict[int, set[int]] = {node: set() for node in route.nodes}
    at[CLIENT].update(graph.inputs)
    for step in route.steps:
        node, seg = step.segment.node, step.segment
        needed, _ = graph.boundary(seg.first, seg.last)
        for tensor in needed:
            assert tensor in at[node] or tensor in step.waits
        at[node].update(step.waits)
        at[node].update(t for layer in graph.layers[seg.first : seg.last + 1] for t in layer.outputs)
    assert {t for t in graph.outputs if placement[graph.tensors[t].producer] != CLIENT} == set(route.answers)


@SETTINGS
@given(routed())
def test_each_tensor_goes_once_per_destination_from_its_maker(drawn: tuple) -> None:
    graph, placement, _, route = drawn
    sent: set[tuple[int, int]] = set()
    for source, sends in [(None, route.opening), *((s.segment, s.sends) for s in route.steps)]:
        for send in sends:
            assert (send.to, send.tensor) not in sent
            sent.add((send.to, send.tensor))
            if send.tensor >= len(graph.tensors):
                assert send.bytes == 0
                continue
            assert send.bytes == graph.tensors[send.tensor].bytes
            producer = graph.tensors[send.tensor].producer
            home = CLIENT if producer < 0 else placement[producer]
            assert send.to != home
            assert (producer < 0) == (source is None)
            assert source is None or source.first <= producer <= source.last
    wanted = {(step.segment.node, t) for step in route.steps for t in step.waits}
    assert wanted | {(CLIENT, t) for t in route.answers} == sent


@SETTINGS
@given(routed())
def test_serial_mode_is_totally_ordered_and_dataflow_adds_no_order(drawn: tuple) -> None:
    graph, _, mode, route = drawn
    if mode == "dataflow":
        assert all(t < len(graph.tensors) for step in route.steps for t in step.waits)
        return
    for earlier, later in pairwise(route.steps):
        told = {s.tensor for s in earlier.sends if s.to == later.segment.node}
        assert told & set(later.waits)
    if route.steps[0].segment.node != CLIENT:
        assert {s.tensor for s in route.opening} & set(route.steps[0].waits)


@SETTINGS
@given(layer_graphs(max_layers=10), st.data())
def test_a_boundary_is_what_the_rest_must_give_and_may_read(graph: LayerGraph, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(graph) - 1))
    last = data.draw(st.integers(first, len(graph) - 1))
    entering, leaving = graph.boundary(first, last)
    inside = {t for layer in graph.layers[first : last + 1] for t in layer.outputs}
    read = {t for layer in graph.layers[first : last + 1] for t in layer.inputs}
    assert set(entering) == read - inside
    after = {t for layer in graph.layers[last + 1 :] for t in layer.inputs}
    assert set(leaving) == {t for t in inside if t in after or t in graph.outputs}
    union = graph.parameters_of(range(first, last + 1))
    assert graph.held_bytes(range(first, last + 1)) == sum(graph.parameters[p].held_bytes for p in union)
    assert graph.upload_bytes(range(len(graph)), union) + graph.upload_bytes(range(first, last + 1)) == (
        graph.upload_bytes(range(len(graph)))
    )


@given(layer_graphs(max_layers=4))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_a_placement_of_the_wrong_length_is_refused(graph: LayerGraph) -> None:
    with pytest.raises(ModelError, match="expected"):
        compile_route(graph, [0] * (len(graph) + 1))
