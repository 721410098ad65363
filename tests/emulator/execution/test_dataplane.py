"""The data plane's books: real tensors, dropped after their last use; answers compared with the uncut network's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pieces import LAYERS, SECONDS, Lived, branching, split_world
from watched import Watched
from worlds import fixed

from layerlift import models
from layerlift.emulator.execution import dataplane
from layerlift.emulator.execution.answers import not_finite, relative_error
from layerlift.emulator.execution.backends import LocalBackend
from layerlift.emulator.execution.dataplane import DataPlane
from layerlift.emulator.execution.engine import Task
from layerlift.emulator.nodes.events import Piece, Stored
from layerlift.emulator.world.links import LinkSpec
from layerlift.models import Network, Subgraph
from layerlift.models.errors import RunError

SPREAD = fixed((0, 1, 1, 2, 2, 0, 1))
"""Branches on two servers, joined on the second, and back and forth: every kind of reference."""


@pytest.fixture(scope="module")
def network() -> Network:
    return branching()


@pytest.mark.long
def test_references_are_dropped_after_their_last_use(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataplane, "_UNDER_WAY", 24)
    monkeypatch.setattr(dataplane, "_CHECK_AT_ONCE", 8)
    backend = Watched([network])
    lived = Lived(split_world(network, SPREAD, queries=200), [network], backend, inputs=3)
    assert len(lived.errors) == 200
    assert len(backend.live) == 3, "only the inputs stay"
    assert backend.peak <= 3 + 24 + 8 + len(network.graph.tensors), "answers to compare, and one query under way"


def test_a_query_under_way_holds_only_what_is_still_to_be_read(network: Network) -> None:
    """Cut at every layer: one step at a time has its inputs, its output and at most a branch that waits."""
    backend = Watched([network])
    lived = Lived(split_world(network, fixed((1, 2, 1, 2, 1, 2, 1)), queries=6), [network], backend, inputs=1)
    assert max(piece.step for piece in lived.data.told) == 6
    assert backend.peak <= 1 + 5 + 3, "the input, five logits to compare, and three tensors of seven"


@pytest.mark.parametrize("planner", [SPREAD, fixed((1,) * 7, (0, 0, 1, 1, 1, 2, 2)), "local", "worlds:RandomPlanner"])
def test_a_split_answer_is_the_uncut_one(network: Network, planner: str) -> None:
    lived = Lived(split_world(network, planner, queries=12), [network])
    assert lived.errors == [0.0] * 12
    assert lived.data.executed == len(lived.data.told) == len(lived.rows["segments"])


def test_with_optimization_a_split_answer_is_within_rounding(network: Network) -> None:
    lived = Lived(split_world(network, SPREAD, queries=8), [network], optimization="all")
    assert len(lived.errors) == 8
    assert max(lived.errors) <= 1e-5


@pytest.mark.long
@pytest.mark.parametrize("name", ["squeezenet", "alexnet"])
def test_a_real_network_split_over_two_servers_is_exact(name: str) -> None:
    real = models.load(name)
    third = len(real.graph) // 3
    placement = [min(layer // third, 2) for layer in range(len(real.graph))]
    world = split_world(real, fixed(placement), queries=12, link=LinkSpec(0.001, 1e9))
    lived = Lived(world, [real], execution="once")
    assert lived.errors, "something was compared"
    assert set(lived.errors) == {0.0}
    last = len(real.graph) - 1
    pieces = {name for *_, name, _, _ in lived.measured("execution_s")}
    assert {f"net:0-{third - 1}", f"net:{third}-{2 * third - 1}", f"net:{2 * third}-{last}"} <= pieces


def test_a_wrong_weight_on_a_server_is_seen(network: Network) -> None:
    class Wrong(LocalBackend):
        def run(self, task: Task, piece: Subgraph, inputs: Mapping[str, Any]) -> Any:
            made, timing = super().run(task, piece, inputs)
            return {name: array + (task.node == 1) for name, array in made.items()}, timing

    lived = Lived(split_world(network, SPREAD, queries=12), [network], Wrong([network], "off"))
    assert min(lived.errors) == 0.0, "the first queries were local"
    assert max(lived.errors) > 1e-3


def test_once_runs_the_first_query_of_each_route_and_no_other(network: Network) -> None:
    planner = fixed((0, 1, 1, 2, 2, 0, 1), (0, 0, 1, 1, 2, 2, 3))
    lived = Lived(split_world(network, planner, queries=20), [network], execution="once")
    of_route: dict[str, list[Piece]] = defaultdict(list)
    for piece in lived.data.told:
        of_route[piece.route].append(piece)
    first = {
        (piece.query, piece.step)
        for pieces in of_route.values()
        for piece in pieces
        if piece.query == min(each.query for each in pieces)
    }
    assert len(of_route) >= 3, "the route changes as parts are confirmed"
    assert {(query, step) for _, query, step, *_ in lived.measured("execution_s")} == first
    assert lived.data.executed == len(first) < len(lived.data.told)
    assert lived.errors == [0.0] * len(of_route)


def test_a_server_that_was_never_given_a_part_cannot_run_it(network: Network) -> None:
    world = split_world(network, SPREAD)
    data = DataPlane(
        world, [network], LocalBackend([network], "off"), lambda table, rows: None,
        execution="every", inputs=1, optimization="off",
    )  # fmt: skip
    route = "0/dataflow/1:0"
    server = world.servers[0]
    with pytest.raises(RunError, match=rf"node {server} .*without holding 'w3'"):
        data.execute(Piece(0.0, server, 0, 0, route, 0))
    everything = tuple(range(len(network.graph.parameters)))
    data.store(Stored(server, 0, everything))
    data.execute(Piece(0.0, server, 0, 1, route, 0))
    data.store(Stored(server, 0, ()))
    with pytest.raises(RunError, match="without holding"):
        data.execute(Piece(0.0, server, 0, 2, route, 0))


def test_operators_compare_this_machine_with_the_profile_until_every_layer_was_timed(network: Network) -> None:
    lived = Lived(split_world(network, SPREAD, queries=10), [network])
    seen: set[int] = set()
    expected: dict[str, float] = defaultdict(float)
    for *_, name, _, _ in lived.measured("execution_s"):
        first, last = map(int, name.removeprefix("net:").split("-"))
        if not seen.issuperset(range(first, last + 1)):
            seen.update(range(first, last + 1))
            for layer in range(first, last + 1):
                expected[LAYERS[layer]] += SECONDS[layer]
    assert seen == set(range(len(LAYERS)))
    assert set(lived.data.operators) == set(expected)
    for operator, (measured, profiled) in lived.data.operators.items():
        assert profiled == pytest.approx(expected[operator], rel=1e-12, abs=0.0)
        assert measured > 0.0


def test_every_execution_is_a_row_with_its_profiled_cost(network: Network) -> None:
    lived = Lived(split_world(network, SPREAD, queries=5), [network])
    rows = lived.measured("execution_s")
    assert len(rows) == lived.data.executed
    for user, _, _, name, seconds, expected in rows:
        first, last = map(int, name.removeprefix("net:").split("-"))
        assert (user, expected) == ("u0", sum(SECONDS[first : last + 1]))
        assert seconds > 0.0


SMALL = arrays.arrays(np.float32, arrays.array_shapes(max_dims=3, max_side=4), elements=st.floats(-100, 100, width=32))


@pytest.mark.long
@given(SMALL, st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_relative_error_is_the_largest_difference_over_the_largest_value(expected: np.ndarray, data: Any) -> None:
    found = data.draw(arrays.arrays(np.float32, expected.shape, elements=st.floats(-100, 100, width=32)))
    error = relative_error(found, expected)
    flat = list(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    worst, scale = max(abs(a - b) for a, b in flat), max(abs(b) for _, b in flat)
    assert error == (0.0 if worst == 0.0 else worst / scale if scale else float("inf"))
    assert relative_error(expected, expected) == 0.0
    assert relative_error(found * np.float32(4), expected * np.float32(4)) == error, "it has no unit"


@pytest.mark.parametrize(
    ("found", "expected", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0, 3.0], float("inf")),
        ([[1.0, 2.0]], [1.0, 2.0], float("inf")),
        ([float("nan"), 2.0], [1.0, 2.0], float("inf")),
        ([1.0, 2.0], [1.0, float("nan")], float("inf")),
        ([float("nan"), 2.0], [float("nan"), 2.0], 0.0),
        ([float("inf"), 2.0], [1.0, 2.0], float("inf")),
        ([1.0, 2.0], [float("inf"), 2.0], float("inf")),
        ([0.0, -0.0], [0.0, 0.0], 0.0),
        ([1e-30, 0.0], [0.0, 0.0], float("inf")),
        ([], [], 0.0),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_relative_error_of_what_cannot_be_compared(found: list, expected: list, error: float) -> None:
    assert relative_error(np.array(found), np.array(expected)) == error


def test_nan_and_infinity_are_not_compared_but_have_to_be_the_same() -> None:
    nan, inf = np.nan, np.inf
    answer = np.asarray([nan, inf, 2.0, -4.0], np.float32)
    assert relative_error(answer, answer) == 0.0
    assert relative_error(np.asarray([nan, inf, 2.0, -3.0], np.float32), answer) == 0.25
    assert relative_error(np.asarray([nan, -inf, 2.0, -4.0], np.float32), answer) == inf
    assert relative_error(np.asarray([0.0, inf, 2.0, -4.0], np.float32), answer) == inf
    assert relative_error(np.asarray([nan, inf, 2.0, nan], np.float32), answer) == inf
    assert relative_error(answer[:2], answer[:2]) is None, "equal, and says nothing"
    assert relative_error(answer[:0], answer[:0]) == 0.0
    assert not_finite(answer) == 2
    assert not_finite(np.asarray([1, 2])) == 0
