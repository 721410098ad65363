"""Routes as nodes use them: compiled from their name, complete, and never stuck."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import layer_graphs, placements
from worlds import examples

from layerlift.emulator.protocol.routes import Itinerary, Routes
from layerlift.models.errors import ModelError
from layerlift.models.graph.graph import Layer, LayerGraph, Tensor
from layerlift.models.graph.route import CLIENT, QueryMode, compile_route

Drawn = tuple[LayerGraph, tuple[int, ...], QueryMode]


@st.composite
def routes(draw: st.DrawFn) -> Drawn:
    graph = draw(layer_graphs())
    return graph, draw(placements(graph)), draw(st.sampled_from(("dataflow", "serial")))


def itinerary_of(drawn: Drawn) -> Itinerary:
    graph, placement, mode = drawn
    return Routes([graph]).named(0, mode, placement)


@given(routes())
@examples(80)
def test_a_name_says_everything(drawn: Drawn) -> None:
    graph, placement, mode = drawn
    here, there = Routes([graph, graph]), Routes([graph, graph])
    named = here.named(1, mode, placement)
    assert there[named.key].route == named.route == compile_route(graph, placement, mode)
    assert (there[named.key].model, named.model) == (1, 1)
    assert here.named(1, mode, placement) is named
    assert here.named(0, mode, placement).key != named.key


@given(routes(), st.data())
@examples(60)
def test_other_placements_have_other_names(drawn: Drawn, data: st.DataObject) -> None:
    graph, placement, mode = drawn
    other = data.draw(placements(graph))
    known = Routes([graph])
    assert (known.named(0, mode, other).key == known.named(0, mode, placement).key) == (other == placement)


@pytest.mark.long
@given(routes())
@examples(80)
def test_stages_cover_the_layers_and_every_parcel_is_wanted(drawn: Drawn) -> None:
    graph, placement, _ = drawn
    itinerary = itinerary_of(drawn)
    where = {
        layer: node
        for node, stages in itinerary.stages.items()
        for stage in stages
        for layer in range(stage.first, stage.last + 1)
    }
    assert where == dict(enumerate(placement))
    assert itinerary.segments == sum(len(stages) for stages in itinerary.stages.values())
    assert itinerary.remote_layers == sum(node != CLIENT for node in placement)
    assert itinerary.local_layers() == [layer for layer, node in enumerate(placement) if node == CLIENT]
    parcels = itinerary.all_parcels()
    arriving = Counter((parcel.to, parcel.tensor) for _, parcel in parcels)
    assert set(arriving.values()) <= {1}
    wanted = {(node, tensor) for node, wakes in itinerary.wakes.items() for tensor in wakes}
    assert set(arriving) == wanted | {(CLIENT, tensor) for tensor in itinerary.answers}
    for node, stages in itinerary.stages.items():
        woken = Counter(position for positions in itinerary.wakes[node].values() for position in positions)
        assert [stage.missing for stage in stages] == [woken[position] for position in range(len(stages))]
    made_here = sum(stage.finals for stage in itinerary.stages[CLIENT])
    assert itinerary.outputs == len(graph.outputs) == made_here + len(itinerary.answers) + itinerary.given


@given(routes())
@examples(60)
def test_only_pairs_that_carry_several_tensors_are_ordered(drawn: Drawn) -> None:
    parcels = itinerary_of(drawn).all_parcels()
    carried = Counter((source, parcel.to) for source, parcel in parcels)
    assert all(parcel.ordered == (carried[source, parcel.to] > 1) for source, parcel in parcels)


@given(routes(), st.randoms(use_true_random=False))
@examples(80)
def test_whatever_the_order_of_arrivals_every_stage_runs(drawn: Drawn, rng: object) -> None:
    """Play the route without time: any parcel under way may arrive next; nodes run their stages in order."""
    itinerary = itinerary_of(drawn)
    missing = {node: [stage.missing for stage in stages] for node, stages in itinerary.stages.items()}
    position = dict.fromkeys(itinerary.stages, 0)
    woken = {CLIENT}
    under_way = [(CLIENT, parcel) for parcel in itinerary.opening]
    answers = 0

    def run(node: int) -> None:
        nonlocal answers
        stages = itinerary.stages[node]
        while position[node] < len(stages) and not missing[node][position[node]]:
            stage = stages[position[node]]
            position[node] += 1
            answers += stage.finals
            under_way.extend((node, parcel) for parcel in stage.parcels)

    run(CLIENT)
    while under_way:
        _, parcel = under_way.pop(rng.randrange(len(under_way)))  # type: ignore[attr-defined]
        woken.add(parcel.to)
        answers += parcel.to == CLIENT and parcel.tensor in itinerary.answers
        for waiting in itinerary.wakes[parcel.to].get(parcel.tensor, ()):
            missing[parcel.to][waiting] -= 1
        run(parcel.to)
    assert all(position[node] == len(stages) for node, stages in itinerary.stages.items())
    assert woken == set(itinerary.stages)
    assert answers == itinerary.outputs - itinerary.given


def test_a_layer_that_nothing_could_start_is_refused() -> None:
    """A layer without activations would wait for ever on a server: constants are folded when a model is loaded."""
    with pytest.raises(ModelError, match="reads no activation"):
        LayerGraph("odd", (Layer(0, "made", "Range", (), (0,), ()),), (Tensor("t", 4, 0, (), True),), (), (), (0,))
