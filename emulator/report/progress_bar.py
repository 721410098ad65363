"""A live progress bar on a terminal; silence when the output is piped."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from layerlift.emulator.runtime.conductor import Progress
from layerlift.emulator.world.world import World

_NOTABLE_S = 1.0
"""Layers that run for less are not mentioned: they come and go with each step of virtual time."""


class LiveProgress:
    """Shows how far a run is: queries of those asked for, or virtual time where queries have no end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: _Bar | None = None

    def __enter__(self) -> LiveProgress:
        if self._console.is_terminal:
            self._bar = _Bar(self._console)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def notice(self, text: str) -> None:
        """Say what is being done, to a person who watches."""
        if self._bar is not None:
            self._bar.console.print(text, style="dim", highlight=False)

    def update(self, state: Progress, world: World) -> None:
        """Called before each window. What is shown follows `state` from then on, within a window too."""
        if self._bar is not None:
            self._bar.watched = state, world


class _Bar(Bar):
    """Looks at the run whenever it draws itself, for a single step in which layers really run may take minutes."""

    def __init__(self, console: Console) -> None:
        self.watched: tuple[Progress, World] | None = None
        self._step, self._since = -1, 0.0
        super().__init__(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[clock]}", markup=False), console=console, transient=True,
        )  # fmt: skip
        self._task = self.add_task("Starting", total=None, clock="")

    def get_renderables(self) -> Iterable[RenderableType]:
        """See `Bar`: called for every picture, mostly by a thread of its own."""
        if self.watched is not None:
            self._look(*self.watched)
        return super().get_renderables()

    def _look(self, state: Progress, world: World) -> None:
        counted = [user.queries for user in world.users]
        clock = f"{state.now_s:.1f} s virtual, {state.left} of {len(world.users)} users done{self._waiting(state)}"
        if None not in counted:
            total, done = sum(count for count in counted if count is not None), state.queries
            self.update(self._task, description="Queries", total=total, completed=done, clock=clock)
        else:
            total, done = int(min(world.until_s, 1e12)), int(state.now_s)
            self.update(self._task, description="Virtual seconds", total=total, completed=done, clock=clock)

    def _waiting(self, state: Progress) -> str:
        """Why nothing moves, where that is so."""
        now = time.monotonic()
        if not state.executing or state.windows != self._step:
            self._step, self._since = state.windows, now
        return "; waiting for layers that really run" if now - self._since >= _NOTABLE_S else ""
