"""What somebody sees who watches a run: how far it is, and why nothing moves while layers really run."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pieces import branching, split_world
from worlds import InlinePlans

from layerlift.emulator.report.progress_bar import LiveProgress
from layerlift.emulator.report.screen import Screen
from layerlift.emulator.runtime.conductor import Conductor, LocalHosts, Progress
from layerlift.emulator.runtime.one_clock import OneClock

WAITS = "waiting for layers that really run"


class Watching:
    """A data plane that looks at the run's progress whenever it has to run something."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.seen: list[tuple[int, bool]] = []

    def execute(self, piece: Any) -> None:
        assert self.progress is not None
        self.seen.append((self.progress.queries, self.progress.executing))

    def store(self, stored: Any) -> None: ...

    def answered(self, answered: Any) -> None: ...

    def forget(self, user: int, query: int) -> None: ...

    def measure(self, piece: Any) -> float:
        raise AssertionError("nothing is measured")


@pytest.mark.parametrize("lockstep", [False, True])
def test_a_run_says_when_it_waits_for_layers(lockstep: bool) -> None:
    world, data, after = split_world(branching(), "direct"), Watching(), []
    plans, look = InlinePlans(world), lambda state: after.append((state.queries, state.executing))
    runner: Any = (
        Conductor(
            world, LocalHosts(world, [range(len(world.nodes))], True), plans, lambda table, rows: None, data, look
        )
        if lockstep
        else OneClock(world, plans, lambda table, rows: None, data, look)
    )
    data.progress = runner.progress
    runner.run()
    assert data.seen
    assert all(executing for _, executing in data.seen)
    assert not any(executing for _, executing in after)
    assert runner.progress.queries == 3
    if not lockstep:  # whose rows of a window come after its layers
        assert data.seen[-1][0] == 3, "the last layers are waited for when all queries have been counted"


class Clock:
    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


def test_the_bar_follows_a_step_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, file = Clock(), io.StringIO()
    monkeypatch.setattr("layerlift.emulator.report.progress_bar.time", clock)
    world, state = split_world(branching(), "local"), Progress(queries=2)

    def drawn() -> str:
        file.seek(0)
        file.truncate()
        live._bar.refresh()
        return file.getvalue()

    with LiveProgress(Screen(file=file, force_terminal=True, width=160)) as live:
        live._bar.live.auto_refresh = False
        live.update(state, world)
        assert "2/3" in drawn()
        state.queries, state.executing, state.windows = 3, True, 1
        assert "3/3" in drawn(), "nobody has called update again"
        assert WAITS not in drawn(), "not for a moment"
        clock.now_s = 5.0
        assert WAITS in drawn()
        state.windows = 2
        assert WAITS not in drawn(), "another step"
        clock.now_s = 9.0
        state.executing = False
        assert WAITS not in drawn()


def test_nothing_is_drawn_into_a_pipe() -> None:
    file = io.StringIO()
    with LiveProgress(Screen(file=file, force_terminal=False)) as live:
        live.update(Progress(), split_world(branching(), "local"))
        live.notice("a sentence")
    assert file.getvalue() == ""
