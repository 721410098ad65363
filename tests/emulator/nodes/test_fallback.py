"""Queries that fail or go on elsewhere: their tensors are kept as long as they may be wanted, and no longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import branching, split_world
from watched import Watched
from worlds import fixed

from layerlift.emulator.execution.dataplane import DataPlane, Execution
from layerlift.emulator.execution.finished import Finished
from layerlift.emulator.nodes.events import Answered, Piece, Stored
from layerlift.emulator.protocol.routes import Routes
from layerlift.emulator.world.world import World
from layerlift.models import Network
from layerlift.models.errors import RunError

BASE = "0/dataflow/0:0,1:2,2:3,1:4"
"""The first two layers on the client; then the branches on two servers, joined and ended on the first."""
PLACES = (0, 1, 2, 1)
"""Where the steps of `BASE` run."""


class Revocable(World):
    """A world in which a server may die."""

    revocable = True


class Rests:
    """Routes, and those that a client runs after a `~`: there its segments are spelled out, as in `~2-3,4-6`."""

    def __init__(self, network: Network) -> None:
        self._known = Routes([network.graph])

    def __getitem__(self, key: str) -> Any:
        _, known, rest = key.partition("~")
        if not known:
            return self._known[key]
        runs = [tuple(map(int, run.split("-"))) for run in rest.split(",")]
        steps = [SimpleNamespace(segment=SimpleNamespace(node=0, first=a, last=b)) for a, b in runs]
        return SimpleNamespace(model=0, route=SimpleNamespace(steps=steps))


@pytest.fixture(scope="module")
def network() -> Network:
    return branching()


class Stage:
    """A data plane with both servers holding everything, and what it wrote."""

    def __init__(self, network: Network, execution: Execution = "every", kind: type[World] = Revocable) -> None:
        world = split_world(network, fixed((1,) * 7))
        self.world = kind(**{field.name: getattr(world, field.name) for field in fields(World)})
        self.rows: list[tuple[Any, ...]] = []
        self.backend = Watched([network])
        self.data = DataPlane(
            self.world, [network], self.backend, lambda table, rows: self.rows.extend(rows),
            execution=execution, inputs=1, optimization="off",
        )  # fmt: skip
        self.data._routes = Rests(network)  # type: ignore[assignment]
        for server in self.world.servers:
            self.data.store(Stored(server, 0, tuple(range(len(network.graph.parameters)))))

    def run(self, query: int, steps: Sequence[int], route: str = BASE, place: int | None = None) -> None:
        nodes = [self.world.users[0].client, *self.world.servers]
        for step in steps:
            node = nodes[PLACES[step] if place is None else place]
            self.data.execute(Piece(0.0, node, 0, query, route, step))

    def answer(self, query: int, route: str = BASE) -> None:
        self.data.answered(Answered(0.0, 0, query, route))

    def errors(self) -> dict[int, float]:
        """Output error by query."""
        self.data.close()
        return {row[4]: row[7] for row in self.rows if row[2] == "output_error"}

    @property
    def live(self) -> int:
        """References that are neither the input nor waiting to be compared or read."""
        self.data.close()
        return len(self.backend.live) - 1


@pytest.mark.parametrize(
    ("done", "rest"),
    [((0,), "2-6"), ((0, 1), "3-6"), ((0, 1, 2), "4-6"), ((0, 2), "2-2,4-6"), ((), "0-6"), ((0, 1), "2-3,4-6")],
)
def test_what_a_dead_server_left_is_finished_on_the_client(network: Network, done: tuple, rest: str) -> None:
    """From what earlier pieces made, or from the input; pieces that had been done may be done again."""
    stage = Stage(network)
    stage.run(0, done)
    stage.run(0, range(rest.count(",") + 1), f"{BASE}~{rest}", place=0)
    stage.answer(0, f"{BASE}~{rest}")
    assert stage.errors() == {0: 0.0}
    assert stage.live == 0


def test_what_still_runs_of_a_query_that_is_over_is_let_be(network: Network) -> None:
    stage = Stage(network)
    stage.run(0, (0,))
    stage.run(0, (0,), f"{BASE}~2-6", place=0)
    stage.answer(0, f"{BASE}~2-6")
    stage.run(1, (0, 1))
    stage.data.forget(0, 1)
    ran = stage.data.executed
    stage.run(0, (1, 2, 3))
    stage.run(1, (2, 3))
    assert stage.data.executed == ran
    assert stage.errors() == {0: 0.0}
    assert stage.live == 0, "nothing is kept for a query that nobody will end"


@pytest.mark.parametrize("kind", [World, Revocable])
@pytest.mark.parametrize("execution", ["every", "once"])
def test_a_failed_query_leaves_nothing(network: Network, execution: Execution, kind: type[World]) -> None:
    stage = Stage(network, execution, kind)
    for query in range(50):
        stage.run(query, (0, 1))
        stage.data.forget(0, query)
    assert stage.live == 0
    stage.run(50, (0, 1, 2, 3))
    stage.answer(50)
    assert stage.errors() == {50: 0.0}, "and the route is free for the next, if one is enough"


@given(st.data())
def test_once_gives_every_route_one_whole_query_or_none(data: st.DataObject) -> None:
    """Queries of one route, interleaved, each of which may fail at any step: an answer that is compared is right."""
    stage = Stage(branching(), "once")
    at = dict.fromkeys(range(4), 0)
    whole: list[int] = []
    while at:
        query = data.draw(st.sampled_from(sorted(at)))
        if data.draw(st.booleans()) and data.draw(st.booleans()):
            stage.data.forget(0, query)
            del at[query]
        elif at[query] == len(PLACES):
            stage.answer(query)
            whole.append(query)
            del at[query]
        else:
            stage.run(query, (at[query],))
            at[query] += 1
    errors = stage.errors()
    assert set(errors) <= set(whole)
    assert set(errors.values()) <= {0.0}
    assert len(errors) <= 1
    assert stage.live == 0


def test_once_goes_on_only_with_a_query_that_it_has_begun(network: Network) -> None:
    stage = Stage(network, "once")
    stage.run(0, (0,))
    stage.run(1, (0,))
    for query in (1, 0):
        stage.run(query, (0,), f"{BASE}~2-6", place=0)
        stage.answer(query, f"{BASE}~2-6")
    assert stage.data.executed == 2
    assert stage.errors() == {0: 0.0}


def test_a_piece_that_reads_what_nobody_made_is_an_error(network: Network) -> None:
    stage = Stage(network)
    with pytest.raises(RunError, match=r"query 3 of user 0 was to run layers 4 to 6 without 'c'"):
        stage.run(3, (3,))


def test_without_dying_servers_tensors_go_after_their_last_use(network: Network) -> None:
    kept = {}
    for kind in (World, Revocable):
        stage = Stage(network, kind=kind)
        stage.run(0, (0, 1, 2))
        kept[kind] = stage.live
    assert kept == {World: 2, Revocable: 3}, "the branches; and what they were made from"


@given(st.lists(st.integers(0, 12)))
def test_finished_queries_are_those_that_were_added(added: list[int]) -> None:
    finished, known = Finished(), set()
    for query in added:
        finished.add(query)
        known.add(query)
        assert [n in finished for n in range(14)] == [n in known for n in range(14)]
    in_order = Finished()
    for query in range(1000):
        in_order.add(query)
    assert not in_order._above, "its size does not grow with their count"
