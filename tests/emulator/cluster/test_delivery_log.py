"""Hosts that die at any call, and others in their place that live through the log: nobody can tell."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiled import Profiled
from worlds import InlinePlans, examples, groupings, worlds

from layerlift.emulator.cluster import delivery_log
from layerlift.emulator.cluster.delivery_log import DeliveryLog, repeat
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.conductor import Conductor, homes
from layerlift.emulator.runtime.host import Answer, Host
from layerlift.emulator.runtime.ports import Call
from layerlift.emulator.world.world import World


class Mortal:
    """Hosts of which each dies before a call as often as `rng` says, and is brought back from its log."""

    def __init__(self, world: World, groups: Sequence[Sequence[int]], rng: random.Random, often: float) -> None:
        self.home = homes(world, groups)
        self._world, self._groups, self._rng, self._often = world, groups, rng, often
        self._hosts = [Host(world, group, True) for group in groups]
        self._logs = [DeliveryLog() for _ in groups]
        self.deaths = 0

    def __len__(self) -> int:
        return len(self._hosts)

    def _host(self, number: int) -> Host:
        if self._rng.random() < self._often:
            self.deaths += 1
            self._hosts[number] = host = Host(self._world, self._groups[number], True)
            for block in self._logs[number].blocks():
                repeat(host, block)
            host.report()
        return self._hosts[number]

    def advance(self, calls: Sequence[Call]) -> list[Answer]:
        answers = []
        for number, horizon, mail, costs in calls:
            answers.append(self._host(number).advance(horizon, mail, costs))
            self._logs[number].add(horizon, mail, costs, answers[-1].halted)
        return answers

    def close(self) -> None:
        for log in self._logs:
            log.close()

    def finish(self, at: float) -> list[Answer]:
        return [self._host(number).finish(at) for number in range(len(self))]


def lived(world: World, groups: list[list[int]], often: float) -> tuple[dict[str, list[Any]], Profiled, int]:
    rows: dict[str, list[Any]] = {table: [] for table in TABLES}
    data, hosts = Profiled(world), Mortal(world, groups, random.Random(1), often)
    with closing(hosts):
        Conductor(world, hosts, InlinePlans(world), lambda table, more: rows[table].extend(more), data).run()
    return rows, data, hosts.deaths


@pytest.mark.long
@given(world=worlds(), data=st.data(), measured=st.booleans(), block=st.sampled_from((1, 5, 4096)))
@examples(24)
def test_a_host_that_lived_through_the_log_of_another_is_like_it(
    world: World, data: st.DataObject, measured: bool, block: int
) -> None:
    """At windows, between two halts of one window, and at the end of the run."""
    world = replace(world, compute="measured" if measured else "profiled")
    groups = data.draw(groupings(world))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(delivery_log, "_BLOCK", block)
        rows, plane, deaths = lived(world, groups, 0.2)
    whole, told, _ = lived(world, groups, 0.0)
    assert repr(rows) == repr(whole)
    assert plane.heard == told.heard
    assert plane.measured == told.measured
    assert deaths or len(plane.heard) < 50


def test_memory_holds_one_block_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_log, "_BLOCK", 100)
    log = DeliveryLog()
    for window in range(1_000):
        log.add(float(window), [], [((0, 0, window), 1.0)], False)
        assert len(log._calls) < 100
    blocks = list(log.blocks())
    assert len(blocks) == 21
    assert list(log.blocks()) == blocks, "it can be read again, and goes on after that"
    log.add(2_000.0, [], [], False)
    assert len(list(log.blocks())) == 21
    log.close()
