"""Batches really run: the answers of each query alone, whatever the network does with the axis of the queries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from batching import with_batches
from pieces import SECONDS, Lived, branching
from small_nets import model, node, normal, tensor
from worlds import fixed, small_world

from layerlift import models
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.world import World
from layerlift.models import Network
from layerlift.models.running.batching import BOUND
from layerlift.models.running.together import apart, piece_of_several, several, stacked


def crowd(network: Network, placement: tuple[int, ...], queries: int = 4, **user: Any) -> World:
    """Five clients whose pieces meet at two servers that batch."""
    seconds = SECONDS if len(network.graph) == len(SECONDS) else (0.01,) * len(network.graph)
    world = small_world(
        network.graph, seconds, fixed(placement), clients=5, servers=2, link=LinkSpec(0.002, 1e9),
        server={"discipline": "batch", "max_batch": 4, "batch_wait_s": 0.05},
        user={"queries": queries, "in_flight": 2, **user},
    )  # fmt: skip
    return replace(world, models=tuple(with_batches(each) for each in world.models))


def lived(network: Network, placement: tuple[int, ...], **settings: Any) -> tuple[Lived, list[int]]:
    made = Lived(crowd(network, placement), [network], **settings)
    return made, [row[5] for row in made.rows["batches"]]


@pytest.mark.parametrize("optimization", ["off", "all"])
def test_answers_of_a_batch_are_those_of_each_query_alone(optimization: str) -> None:
    """Over two servers, branches joined on one of them: pieces of several inputs and outputs, in batches and alone."""
    made, sizes = lived(branching(), (0, 1, 1, 2, 2, 2, 2), optimization=optimization)
    assert max(sizes) > 1
    assert len(made.errors) == 20
    assert max(made.errors) <= BOUND / 10
    assert made.data.executed == len(made.rows["segments"])


def test_a_batch_that_answers_another_query_would_be_seen() -> None:
    """Inputs differ, so that rows that change places are no rounding."""
    network = branching()
    each = [network.sample_inputs(number)["x"] for number in range(2)]
    many = several(network, 2)
    piece = piece_of_several(network, many, 2, 0, 6)
    assert piece is not None
    assert piece.stacking is not None
    joined = stacked(piece.stacking, {"0/x": each[0], "1/x": each[1]})
    assert np.array_equal(joined["x"], np.concatenate(each))
    parts = apart(piece.stacking, {"y": np.array([[1.0], [2.0]])})
    assert (parts["0/y"].tolist(), parts["1/y"].tolist()) == ([[1.0]], [[2.0]])


def test_with_once_one_query_of_a_route_runs_beside_copies_of_itself() -> None:
    """And a query of each size that a batch has had; behind a piece that was passed over none can begin."""
    made, sizes = lived(branching(), (1,) * 7, execution="once")
    assert max(sizes) > 1
    assert max(made.errors) <= BOUND / 10
    routes = len({piece.route for piece in made.data.told})
    assert len(set(sizes)) < len(made.errors) <= routes + len(set(sizes))
    ran = {round(row[5] / sum(SECONDS), 6) for row in made.measured("execution_s") if row[3] == "net:0-6"}
    assert ran >= {round((1.0 + (size - 1) / 4) / size, 6) for size in sizes}
    behind, _ = lived(branching(), (0, 1, 1, 1, 1, 1, 1), execution="once")
    assert behind.errors
    assert behind.data.executed < len(behind.rows["segments"])


def test_timings_of_a_batch_are_shared_by_its_queries() -> None:
    made, _ = lived(branching(), (1,) * 7)
    rows = [row for row in made.measured("execution_s") if row[3] == "net:0-6"]
    alone = sum(SECONDS)
    assert {round(row[5] / alone, 6) for row in rows} >= {1.0, round(1.75 / 4, 6)}


def shapes() -> Network:
    """A Reshape whose shape is computed from its input: a border of a piece that has no axis for the queries."""
    nodes = [
        node("Shape", ["x"], ["s"], start=0, end=1),
        node("Concat", ["s", "rest"], ["t"], axis=0),
        node("Relu", ["x"], ["a"]),
        node("Reshape", ["a", "t"], ["b"]),
        node("MatMul", ["b", "w"], ["y"]),
    ]
    weights = {"w": normal(12, 6), "rest": np.array([12])}
    return models.from_model(model(nodes, [tensor("x", 1, 3, 4)], ["y"], weights), "shapes")


def test_what_cannot_be_stacked_runs_one_by_one() -> None:
    network = shapes()
    cut = tuple(int(layer.op_type in ("Reshape", "MatMul")) for layer in network.graph.layers)
    made, sizes = lived(network, cut)
    assert max(sizes) > 1
    assert set(made.errors) <= {0.0} or max(made.errors) <= BOUND / 10
    assert len(made.errors) == 20


def transposed() -> Network:
    """The axis of the queries is the second one in the middle."""
    nodes = [
        node("Transpose", ["x"], ["a"], perm=[1, 0, 2]),
        node("MatMul", ["a", "w"], ["b"]),
        node("Transpose", ["b"], ["y"], perm=[1, 0, 2]),
    ]
    return models.from_model(model(nodes, [tensor("x", 1, 3, 4)], ["y"], {"w": normal(4, 5)}), "transposed")


def test_queries_lie_along_whichever_axis_is_theirs() -> None:
    network = transposed()
    piece = piece_of_several(network, several(network, 3), 3, 1, 1)
    assert piece is not None
    assert piece.stacking is not None
    assert piece.stacking.axes == {"a": 1, "b": 1}
    made, sizes = lived(network, (0, 1, 0))
    assert max(sizes) > 1
    assert max(made.errors) <= BOUND / 10


def test_networks_alike_but_for_their_weights_have_pieces_of_their_own() -> None:
    one, other = (several(models.load("squeezenet", seed=seed), 2) for seed in (0, 1))
    assert one.digest != other.digest
