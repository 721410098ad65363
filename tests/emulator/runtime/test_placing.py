"""How many actors, and where the time plane runs: what `auto` chooses, and that it says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import chain_graph, examples, small_world, worlds

from layerlift.emulator.runtime.placing import TIME_PLANE_NODES, place
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError


def crowd(clients: int, servers: int = 3) -> World:
    return small_world(chain_graph((10, 10), (5,)), (0.1,), clients=clients, servers=servers)


@given(worlds(), st.one_of(st.just("auto"), st.integers(1, 40)), st.integers(1, 64))
@examples(40)
def test_every_node_has_one_home_and_no_actor_is_idle(world: World, actors: str | int, cores: int) -> None:
    groups = place(world, actors, cores=cores).groups
    assert sorted(index for group in groups for index in group) == [node.index for node in world.nodes]
    assert all(groups)
    assert actors == "auto" or len(groups) <= int(actors)


def test_a_small_world_has_an_actor_per_node_with_its_clock() -> None:
    placing = place(crowd(2, servers=10), cores=2)
    assert sorted(map(len, placing.groups)) == [1] * 13
    assert placing.time_plane == "actors"
    assert placing.why == "on Ray actors, one per node, time plane in the actors"


def test_clients_share_actors_when_the_machine_is_small_for_them() -> None:
    world = crowd(40)
    placing = place(world, cores=2)
    assert len(placing.groups) == 16
    alone = [group for group in placing.groups if len(group) == 1 and group[0] not in world.clients]
    assert len(alone) == 4, "each server and the planner keeps its own"
    assert "16 actors for 44 nodes" in placing.why
    assert len(place(world, cores=16).groups) == 44
    assert len(place(world, 7, cores=2).groups) == 7


def test_the_time_plane_of_a_large_world_is_the_conductor() -> None:
    below, above = crowd(TIME_PLANE_NODES - 4), crowd(TIME_PLANE_NODES - 3)
    assert place(below, cores=2).time_plane == "actors"
    placing = place(above, cores=2)
    assert placing.time_plane == "local"
    assert f"in the conductor ({TIME_PLANE_NODES + 1} nodes; above {TIME_PLANE_NODES}" in placing.why
    assert place(above, time_plane="actors", cores=2).time_plane == "actors"
    assert place(below, time_plane="local", cores=2).time_plane == "local"


@pytest.mark.parametrize("actors", ["many", "0", -3, "1.5", ""])
def test_a_number_of_actors_that_is_none_is_refused(actors: str | int) -> None:
    with pytest.raises(RunError, match="expected auto or a whole number of at least 1"):
        place(crowd(1), actors)


def test_more_actors_than_nodes_are_one_per_node() -> None:
    assert len(place(crowd(1), "99").groups) == 5


def test_an_unknown_time_plane_is_refused() -> None:
    with pytest.raises(RunError, match="expected auto, actors or local"):
        place(crowd(1), time_plane="elsewhere")
