"""Law 1 on real processes: random worlds over Ray actors give the tables that one process gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from worlds import InlinePlans, run_world, worlds

from layerlift.emulator.cluster.hosts import RayHosts
from layerlift.emulator.cluster.session import RayCluster
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.conductor import Conductor
from layerlift.emulator.runtime.host import pack
from layerlift.emulator.world.world import World

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    with RayCluster():
        yield


def has_a_crowd(world: World) -> bool:
    """Somebody plans with others, by a planner of the tests: actors that do not find it would ask one by one."""
    joint = any(user.planner == "worlds:RandomCrowd" for user in world.users)
    return joint and world.planning.gather_s is not None


@pytest.mark.usefixtures("ray")
@given(worlds().filter(has_a_crowd))
@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # every try starts processes: shrinking would take minutes
    suppress_health_check=list(HealthCheck),
)
def test_actors_give_the_tables_of_one_process(world: World) -> None:
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    hosts = RayHosts(world, pack(world, 3), False, "off")
    try:
        hosts.wait()
        ending = Conductor(world, hosts, InlinePlans(world), lambda table, more: rows[table].extend(more)).run()
    finally:
        hosts.close()
    alone = run_world(world)
    for table in TABLES:
        assert (table, repr(rows[table])) == (table, repr(alone.rows[table]))
    assert (ending.at_s, ending.sent_bytes) == (alone.ending.at_s, alone.ending.sent_bytes)
