"""Laws 1 and 2: how nodes are packed into hosts never matters, and the same world gives the same tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import InlinePlans, examples, groupings, run_world, worlds

from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.host import pack
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.world import World


def _outcome(world: World, groups: list[list[int]]) -> tuple[object, ...]:
    run = run_world(world, groups)
    ending = run.ending
    return (
        repr(run.rows),
        ending.at_s,
        ending.sent_bytes,
        ending.delivered_bytes,
        ending.cancelled_bytes,
        ending.progress.windows,
    )


@given(worlds(), st.data())
@examples(60)
def test_packing_never_matters(world: World, data: st.DataObject) -> None:
    together = _outcome(world, pack(world, 1))
    assert _outcome(world, [[node.index] for node in world.nodes]) == together
    assert _outcome(world, data.draw(groupings(world))) == together


@given(worlds())
@examples(80)
def test_windows_never_matter(world: World) -> None:
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    ending = OneClock(world, InlinePlans(world), lambda table, more: rows[table].extend(more)).run()
    found = (repr(rows), ending.at_s, ending.sent_bytes, ending.delivered_bytes, ending.cancelled_bytes)
    assert found == _outcome(world, pack(world, 1))[:-1]


@pytest.mark.long
@given(worlds(), st.integers(2, 9))
@examples(25)
def test_the_bundled_packing_never_matters(world: World, hosts: int) -> None:
    groups = pack(world, hosts)
    assert len(groups) <= max(hosts, 1)
    assert sorted(index for group in groups for index in group) == [node.index for node in world.nodes]
    assert _outcome(world, groups) == _outcome(world, pack(world, 1))


@given(worlds())
@examples(25)
def test_the_same_world_gives_the_same_tables(world: World) -> None:
    assert _outcome(world, pack(world, 1)) == _outcome(world, pack(world, 1))
